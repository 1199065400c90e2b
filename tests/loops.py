"""The training loops of docs/training.md, run as they stand there with other names and numbers."""

import os
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import datasets
import pytest
import torch
import transformers
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers.modeling_outputs import CausalLMOutput
from transformers.trainer_utils import get_last_checkpoint

import rs_gpt4v_builder
import tiny_release
from rs_gpt4v_builder.text.tokenizer import byte_tokenizer
from tiny_models import tiny_llava, tiny_processor

PAGE = Path(__file__).resolve().parents[1] / "docs" / "training.md"
TOKENIZER = byte_tokenizer()
BATCH, EPOCHS, SAVED, RATE = 2, 3, 3, 0.01
"""Samples of a rank's batch, epochs, steps between two checkpoints, learning rate."""


CARD = """---
configs:
- {config_name: vqa, data_files: [{split: train, path: data/vqa/*/train-*.parquet}]}
---
"""


class KilledError(Exception):
    """Where a machine would have gone away."""


class Watch(nn.Module):
    """A model that writes down what it was shown, and learns a number from it that tells in which order."""

    def __init__(self, until: int = -1) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))
        self.seen: list[list[int]] = []
        self.until = until

    @property
    def device(self) -> torch.device:
        return self.weight.device

    def forward(self, input_ids: Tensor, labels: Tensor, **_: Any) -> CausalLMOutput:
        if len(self.seen) == self.until:
            raise KilledError
        self.seen.append([number_of(ids) for ids in input_ids.tolist()])
        return CausalLMOutput(loss=(self.weight - sum(self.seen[-1])).square().sum())


def watched_llava(until: int = -1) -> Any:
    """A tiny LLaVA that does the same, for who trains nothing else."""
    model = tiny_llava()
    model.seen = []

    def before(_: nn.Module, __: Any, names: dict[str, Any]) -> None:
        if len(model.seen) == until:
            raise KilledError
        model.seen.append([number_of(ids) for ids in names["input_ids"].tolist()])

    model.register_forward_pre_hook(before, with_kwargs=True)
    return model


def model_for(loop: str, until: int = -1) -> Any:
    """A model that a loop can train, which is killed before a step."""
    return watched_llava(until) if loop == "sft" else Watch(until)


def number_of(ids: list[int]) -> int:
    """The number that the question of a sample asks for."""
    text = TOKENIZER.decode([n for n in ids if n < TOKENIZER.vocab_size])
    return int(re.findall(r"hut (\d+)\?", text)[0])


def write_release(folder: Path, rows: int) -> Path:
    """A release whose sample n asks for hut n."""
    pairs = [[("presence", f"Is there a hut {n}?", "yes")] for n in range(rows)]
    drawn = [tiny_release.row("vqa", "alpha", "train", n, tiny_release.picture(n), p) for n, p in enumerate(pairs)]
    tiny_release.write(folder, drawn)
    (folder / "README.md").write_text(CARD)
    return tiny_release.seal(folder)


def block(name: str) -> str:
    """The code of a loop."""
    (code,) = re.findall(rf"^```python {name}\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    return str(code)


def names_of(loop: str) -> dict[str, Any]:
    """What a reader's file imports for a loop; skips a test where a library is missing."""
    if loop == "torchrun":
        return {"DistributedDataParallel": nn.parallel.DistributedDataParallel}
    if loop == "accelerate":
        return {"Accelerator": pytest.importorskip("accelerate").Accelerator}
    if loop == "lightning":
        lightning = pytest.importorskip("lightning.pytorch")
        return {
            "LightningModule": lightning.LightningModule,
            "ModelCheckpoint": lightning.callbacks.ModelCheckpoint,
            "Trainer": lightning.Trainer,
            "Epochs": rs_gpt4v_builder.Epochs,
        }
    names = {"feed_trainer": rs_gpt4v_builder.feed_trainer, "get_last_checkpoint": get_last_checkpoint}
    if loop == "sft":
        trl = pytest.importorskip("trl")
        load = partial(datasets.load_dataset, cache_dir="cache")
        names["processor"] = tiny_processor()
        return {**names, "SFTConfig": trl.SFTConfig, "SFTTrainer": trl.SFTTrainer, "load_dataset": load}
    return {**names, "Trainer": transformers.Trainer, "TrainingArguments": transformers.TrainingArguments}


def run(name: str, model: nn.Module, **more: Any) -> dict[str, Any]:
    """Run a loop of the page, in a folder that holds the release `rs-gpt4v`; give back its names."""
    from_pretrained = partial(loaded, model)
    llava = SimpleNamespace(from_pretrained=from_pretrained)
    names = {
        "model": model,
        "LlavaForConditionalGeneration": llava,
        "torch": torch,
        "os": os,
        "Path": Path,
        "device": "cpu",
        **more,
    }
    names["optimizer"] = torch.optim.AdamW(model.parameters(), lr=RATE)
    names["byte_tokenizer"] = byte_tokenizer
    code = block("loop") + CHANGES.get(name, lambda code: code)(block(f"loop={name}"))
    code = changed(code, 'load_tokenizer("path/to/tokenizer.model")', "byte_tokenizer()")
    code = changed(code, "=16", f"={BATCH}")
    code = code.replace("500", str(SAVED)).replace("lr=2e-5", f"lr={RATE}")
    code = re.sub(r"(range\(|< |epochs=)3", rf"\g<1>{EPOCHS}", code)
    exec(compile(code, f"{PAGE.name}, {name}", "exec"), names)
    return names


def loaded(model: nn.Module, name: str) -> nn.Module:
    """Load a checkpoint of a Trainer into a model, as from_pretrained would, which has the names of older versions."""
    if Path(name).exists():
        weights = load_file(Path(name) / "model.safetensors")
        if not isinstance(model, Watch):
            weights = {
                f"model.{key}".replace("model.language_model.lm_head", "lm_head"): w for key, w in weights.items()
            }
            weights = {key.replace("language_model.model.", "language_model."): w for key, w in weights.items()}
        model.load_state_dict(weights)
    return model


def changed(code: str, old: str, new: str) -> str:
    if old not in code:
        raise ValueError(f"docs/training.md has no {old!r} any more")
    return code.replace(old, new)


def quiet(kind: str) -> Callable[[str], str]:
    """On the CPU, and without files and lines for people."""
    return lambda code: changed(
        code,
        f'{kind}("run", ',
        f'{kind}("run", use_cpu=True, report_to="none", disable_tqdm=True, learning_rate={RATE}, ',
    )


def two_on_the_cpu(code: str) -> str:
    """Where torchrun started several processes, Lightning is to take them."""
    several = 'accelerator="cpu", strategy="ddp", devices=2, ' if int(os.environ.get("WORLD_SIZE", 1)) > 1 else ""
    return changed(code, "Trainer(max_epochs", f"Trainer({several}max_epochs")


CHANGES = {"lightning": two_on_the_cpu, "trainer": quiet("TrainingArguments"), "sft": quiet("SFTConfig")}
