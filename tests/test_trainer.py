"""A Trainer that is fed: its own steps, epochs and losses are right too, whatever it is resumed with."""

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("transformers")
pytest.importorskip("accelerate")

from transformers import Trainer, TrainingArguments
from transformers.trainer_utils import get_last_checkpoint

import loops
from rs_gpt4v_builder import LlavaCollator, Loader, Stream, feed_trainer
from rs_gpt4v_builder.errors import OptionError
from rs_gpt4v_builder.text.tokenizer import byte_tokenizer

ROWS = 11


@pytest.fixture
def release(tmp_path: Path) -> Path:
    return loops.write_release(tmp_path / "rs-gpt4v", ROWS)


def trainer_of(release: Path, model: loops.Watch, *, fed: bool = True, batch: int = 2, **options: Any) -> Trainer:
    options = {"num_train_epochs": 3, "save_steps": 1, "learning_rate": 0.05, **options}
    args = TrainingArguments(
        str(release.parent / "run"), per_device_train_batch_size=batch, use_cpu=True, report_to="none",
        disable_tqdm=True, logging_steps=1, **options,
    )  # fmt: skip
    trainer = Trainer(model, args)
    if fed:
        feed_trainer(trainer, Loader(Stream(release, "vqa"), collator(), batch_size=batch))
    return trainer


def collator() -> LlavaCollator:
    return LlavaCollator(byte_tokenizer(), form="hf")


@pytest.mark.parametrize("options", [{}, {"restore_callback_states_from_checkpoint": True}])
@pytest.mark.parametrize("steps", [1, 2, 3])
def test_a_part_of_an_accumulation_at_the_end_of_an_epoch(release: Path, steps: int, options: dict[str, Any]) -> None:
    """6 batches are a step of 4 and one of 2."""
    options = {"gradient_accumulation_steps": 4, **options}
    whole, killed, resumed = loops.Watch(), loops.Watch(until=(0, 4, 6, 10)[steps]), loops.Watch()
    undisturbed = trainer_of(release, whole, save_strategy="no", **options)
    undisturbed.train()
    with pytest.raises(loops.KilledError):
        trainer_of(release, killed, **options).train()
    again = trainer_of(release, resumed, **options)
    again.train(resume_from_checkpoint=get_last_checkpoint(again.args.output_dir))
    assert killed.seen + resumed.seen == whole.seen
    assert again.state.global_step == undisturbed.state.global_step == 6
    assert resumed.weight.item() == whole.weight.item()
    assert history(again) == history(undisturbed)


def history(trainer: Trainer) -> list[tuple[float, float, float]]:
    return [
        (line["epoch"], line["loss"], line["learning_rate"]) for line in trainer.state.log_history if "loss" in line
    ]


@pytest.mark.parametrize("batch", [1, 3])
def test_another_batch_size(release: Path, batch: int) -> None:
    killed, resumed = loops.Watch(until=8), loops.Watch()
    with pytest.raises(loops.KilledError):
        trainer_of(release, killed).train()
    again = trainer_of(release, resumed, batch=batch)
    again.train(resume_from_checkpoint=get_last_checkpoint(again.args.output_dir))
    seen = [number for batch in killed.seen + resumed.seen for number in batch]
    stream, order = Stream(release, "vqa"), []
    for epoch in range(5):
        stream.set_epoch(epoch)
        order += [int(sample["id"].rsplit("/", 1)[1]) for sample in stream]
    assert len(seen) > 2 * ROWS
    assert seen == order[: len(seen)]


def test_a_checkpoint_of_a_trainer_that_was_not_fed(release: Path) -> None:
    plain = trainer_of(release, loops.Watch(), fed=False, max_steps=1)
    rows = Stream(release, "vqa").samples.rows
    plain.train_dataset, plain.data_collator, plain.args.remove_unused_columns = rows, collator(), False
    plain.train()
    again = trainer_of(release, loops.Watch())
    with pytest.raises(OptionError, match="step 1 has no position in the stream"):
        again.train(resume_from_checkpoint=get_last_checkpoint(again.args.output_dir))


def test_what_does_not_fit_is_said(release: Path) -> None:
    trainer = trainer_of(release, loops.Watch(), fed=False)
    with pytest.raises(OptionError, match="rank 1 of 2, this Trainer is rank 0 of 1"):
        feed_trainer(trainer, Loader(Stream(release, "vqa", rank=1, world_size=2), collator(), batch_size=2))
    with pytest.raises(OptionError, match="of 3 samples, the Trainer counts on 2"):
        feed_trainer(trainer, Loader(Stream(release, "vqa"), collator(), batch_size=3))
