"""The training loops of docs/training.md: every sample once an epoch, exact after a kill, and a model that learns."""

import contextlib
import json
import os
import random
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

pytest.importorskip("transformers")

import loops
import tiny_release
from rs_gpt4v_builder import LlavaCollator, Stream
from rs_gpt4v_builder.text.tokenizer import byte_tokenizer
from tiny_models import tiny_llava

ROOT = Path(__file__).resolve().parents[1]
ROWS = 11
QUICK = ["torchrun", "accelerate", "trainer"]
ALONE = {"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0"}
HEAVY = [pytest.param(loop, marks=pytest.mark.filterwarnings("ignore")) for loop in ("sft", "lightning")]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """A tiny model is slower on several threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def beside_a_release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return loops.write_release(tmp_path / "rs-gpt4v", ROWS)


@pytest.fixture
def one_rank(loop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What torchrun says to its only process."""
    if loop == "torchrun":
        for name, value in ALONE.items():
            monkeypatch.setenv(name, value)


def run(loop: str, model: Any) -> None:
    try:
        loops.run(loop, model, **loops.names_of(loop))
    finally:
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()


@pytest.mark.parametrize("loop", ["plain", *QUICK, *HEAVY])
@pytest.mark.usefixtures("one_rank")
def test_every_sample_is_seen_once_an_epoch(loop: str, beside_a_release: Path) -> None:
    model = loops.model_for(loop)
    run(loop, model)
    steps = -(-ROWS // loops.BATCH)
    assert len(model.seen) == loops.EPOCHS * steps
    batches = [model.seen[e * steps : (e + 1) * steps] for e in range(loops.EPOCHS)]
    epochs = [[number for batch in epoch for number in batch] for epoch in batches]
    assert [sorted(epoch) for epoch in epochs] == [list(range(ROWS))] * loops.EPOCHS
    assert epochs[0] != epochs[1] != epochs[2]


@pytest.mark.parametrize("kills", [(4,), (6,), (13, 15)], ids=str)
@pytest.mark.parametrize("loop", [*QUICK, *HEAVY])
@pytest.mark.usefixtures("one_rank")
def test_after_a_kill_the_samples_go_on(loop: str, kills: tuple[int, ...], beside_a_release: Path) -> None:
    check_kills(loop, kills, undisturbed(loop, beside_a_release.parent))


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("loop", [*QUICK, *HEAVY])
@pytest.mark.usefixtures("one_rank")
def test_after_any_kills_the_samples_go_on(loop: str, beside_a_release: Path) -> None:
    whole, draw = undisturbed(loop, beside_a_release.parent), random.Random(loop)
    for number in range(10 if loop == "sft" else 40):
        kills = draw.sample(range(len(whole.seen)), draw.choice((1, 1, 2, 3)))
        check_kills(loop, tuple(sorted(kills)), whole)
        put_away(beside_a_release.parent, f"before-{number}")


def undisturbed(loop: str, folder: Path) -> Any:
    whole = loops.model_for(loop)
    run(loop, whole)
    put_away(folder, "undisturbed")
    return whole


def check_kills(loop: str, kills: tuple[int, ...], whole: Any) -> None:
    """Kill a run before these of its steps, one after the other, and compare each part with the undisturbed run."""
    begun = 0
    for kill in (*kills, None):
        model = loops.model_for(loop, -1 if kill is None else kill - begun)
        with contextlib.suppress(loops.KilledError):
            run(loop, model)
        end = len(whole.seen) if kill is None else kill
        shown = whole.seen[end - len(model.seen) : end]
        assert model.seen == shown, (kills, kill)
        if kill is not None:
            begun = kept(loop, kill, len(whole.seen) // loops.EPOCHS)
    assert len(model.seen) == len(whole.seen) - begun
    weights, expected = (torch.cat([p.detach().flatten() for p in m.parameters()]) for m in (model, whole))
    assert torch.equal(weights, expected)


def kept(loop: str, step: int, steps: int) -> int:
    """The last step that a checkpoint was written behind: most count all steps, and some those of an epoch."""
    if loop in ("torchrun", "accelerate"):
        epoch, step = divmod(step, steps)
        return epoch * steps + step // loops.SAVED * loops.SAVED
    return step // loops.SAVED * loops.SAVED


@pytest.mark.parametrize("names", [QUICK, *HEAVY], ids=str)
def test_two_ranks(names: list[str] | str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each sees its own samples; and one rank goes on where two were killed in mid-epoch."""
    for part in ("whole", "killed"):
        release = loops.write_release(tmp_path / part / "rs-gpt4v", 17)
    names = [names] if isinstance(names, str) else names
    for name in names:
        loops.names_of(name)
    seen = two_ranks(tmp_path, "7", *names)
    orders = [order_of(release, epoch) for epoch in range(loops.EPOCHS + 1)]
    for loop in names:
        shown = together([rank[f"{loop} whole"] for rank in seen])
        assert shown == [number for order in orders[: loops.EPOCHS] for number in order[:16]], loop
        assert together([rank[f"{loop} killed"] for rank in seen]) == shown[: 7 * 2 * loops.BATCH], loop
    monkeypatch.chdir(tmp_path / "killed")
    for loop in names:
        model = loops.model_for(loop)
        if loop == "torchrun":
            for name, value in ALONE.items():
                monkeypatch.setenv(name, value)
        run(loop, model)
        for name in ALONE:
            monkeypatch.delenv(name, raising=False)
        own = loop in ("torchrun", "accelerate")
        steps = 3 if own else 2  # in the second epoch, of 4 steps
        rest = orders[1][steps * 2 * loops.BATCH :] + orders[2] + orders[3]
        got = [number for batch in model.seen for number in batch]
        # the others count batches, of which an epoch has another number now
        assert got == (rest[:-17] if own else rest[: len(got)]), loop
        assert len(got) > 17


def together(ranks: list[list[list[int]]]) -> list[int]:
    """Samples in the order of their positions."""
    first, second = ([number for batch in batches for number in batch] for batches in ranks)
    return [number for pair in zip(first, second, strict=True) for number in pair]


def order_of(release: Path, epoch: int) -> list[int]:
    stream = Stream(release, "vqa")
    stream.set_epoch(epoch)
    return [int(sample["id"].rsplit("/", 1)[1]) for sample in stream]


def two_ranks(folder: Path, *arguments: str) -> list[Any]:
    """Run tests/ranks.py, which has the processes that torchrun would start."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
    common |= {"LOCAL_WORLD_SIZE": "2", "GROUP_RANK": "0", "TORCHELASTIC_RUN_ID": "none"}
    common["ACCELERATE_USE_CPU"] = "true"  # as it would not be distributed on a machine without GPUs
    paths = os.pathsep.join(str(ROOT / part) for part in (".", "builder", "conversion", "tests"))
    command = [sys.executable, str(ROOT / "tests" / "ranks.py"), str(folder), *arguments]
    environment = {**os.environ, **common, "PYTHONPATH": paths}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in "01"]


def put_away(folder: Path, name: str) -> None:
    """Rename the checkpoints, so that the next run does not find them."""
    (folder / name).mkdir()
    for path in [*folder.glob("last*"), *folder.glob("run*")]:
        path.rename(folder / name / path.name)


@pytest.mark.parametrize("loop", ["plain", "accelerate", "trainer", *HEAVY])
def test_a_tiny_llava_learns(loop: str, beside_a_release: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loops, "RATE", 0.02)
    model, losses = tiny_llava(), []
    model.register_forward_hook(lambda *parts: losses.append(loss_of(parts[2])))
    run(loop, model)
    steps = len(losses) // loops.EPOCHS
    first, last = sum(losses[:steps]), sum(losses[-steps:])
    assert last < 0.7 * first, losses


def loss_of(output: Any) -> float:
    """The loss of a forward; TRL takes it from the log probabilities."""
    if output.loss is not None:
        return float(output.loss.detach())
    return float(-output.log_probs.sum() / output.label_mask.sum())


def test_rows_with_and_without_image_in_a_batch() -> None:
    collate = LlavaCollator(byte_tokenizer(), form="hf")
    turns = [{"from": "human", "value": "<image>\nIs there a hut?"}, {"from": "gpt", "value": "yes"}]
    seen = {"id": "a", "image": {"bytes": tiny_release.picture(1), "path": "1.jpg"}, "conversations": turns}
    told = {"id": "b", "conversations": [{"from": "human", "value": "Hello"}, {"from": "gpt", "value": "Good day"}]}
    model = tiny_llava()
    both, alone = model(**collate([seen, told])), [model(**collate([row])) for row in (seen, told)]
    targets = [(collate([row])["labels"][:, 1:] != -100).sum() for row in (seen, told)]
    mean = sum(one.loss * count for one, count in zip(alone, targets, strict=True)) / sum(targets)
    torch.testing.assert_close(both.loss, mean)
    both.loss.backward()
    assert all(parameter.grad is not None for parameter in model.model.multi_modal_projector.parameters())
    alone[1].loss.backward()  # without an image in the batch there are no `pixel_values`
    assert "pixel_values" not in collate([told])


def test_accumulated_batches_weigh_as_one(beside_a_release: Path) -> None:
    """The gradient of four micro-batches is that of one batch of all their rows, however long the answers are."""
    rows = [release_row(number, "yes" * length) for number, length in enumerate((1, 1, 2, 9))]
    collate = LlavaCollator(byte_tokenizer(), form="hf")
    gradients = []
    for batches in ([[row] for row in rows], [rows]):
        model = tiny_llava()
        loader = [collate(batch) for batch in batches]
        optimizer = SimpleNamespace(step=lambda: None, zero_grad=lambda: None)
        code = loops.changed(loops.block("loop=accumulate"), "steps = 4", f"steps = {len(loader)}")
        exec(code, {"loader": loader, "model": model, "optimizer": optimizer})
        gradients.append(torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None]))
    torch.testing.assert_close(*gradients)


def release_row(number: int, answer: str) -> dict[str, Any]:
    return tiny_release.row("vqa", "a", "train", number, tiny_release.picture(number), [("presence", "Huts?", answer)])


@pytest.mark.filterwarnings("ignore")  # peft, about transformers
def test_adapters_are_in_the_language_model_only() -> None:
    peft = pytest.importorskip("peft")
    config = eval(loops.block("loop=lora"), {"LoraConfig": peft.LoraConfig})
    trained = [name for name, p in peft.get_peft_model(tiny_llava(), config).named_parameters() if p.requires_grad]
    assert len(trained) == 2 * 7  # two matrices for each of seven layers
    assert all(".language_model.layers.0." in name for name in trained)
