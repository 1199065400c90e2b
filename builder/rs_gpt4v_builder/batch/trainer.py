"""The Trainer of transformers, and what is made of it (TRL's SFTTrainer), on a `Loader`'s batches.

A Trainer makes its own loader out of a dataset, shards it between the ranks or dispatches rank 0's, and resumes by
skipping what it has seen. `feed_trainer` gives it a loader that is sharded already and knows where it is.
"""

from collections.abc import Iterator, Sequence
from itertools import count
from typing import Any

from torch.utils.data import DataLoader
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import ExportableState

from rs_gpt4v_builder.batch.epochs import Epochs
from rs_gpt4v_builder.batch.loader import Loader
from rs_gpt4v_builder.errors import OptionError
from rs_gpt4v_builder.stream.stream import Stream


def feed_trainer(trainer: Trainer, loader: Loader) -> None:
    """Let a Trainer train on a loader's batches, and keep the loader's position in its checkpoints.

    Each rank sees the samples of its own stream, once an epoch: nothing is sharded or dispatched again. After
    `trainer.train(resume_from_checkpoint=…)` the samples are those that follow the ones trained on, in mid-epoch too;
    none is read to be skipped. They also are with another number of ranks or another batch size, but a Trainer counts
    in steps, and then goes on to the number of steps that its epochs have now. The train dataset and the data collator
    that the Trainer has are not used.

    Args:
        trainer: A Trainer of transformers, or of a class made from it, that has not begun.
        loader: The batches of this rank.

    Raises:
        OptionError: The loader and the Trainer do not agree on the rank, the number of ranks or the batch size.
    """
    arguments, stream = trainer.args, loader.stream
    ranks = arguments.process_index, arguments.world_size
    if isinstance(stream, Stream) and (stream.rank, stream.world_size) != ranks:
        raise OptionError(
            f"the loader's stream is for rank {stream.rank} of {stream.world_size}, this Trainer is rank "
            f"{arguments.process_index} of {arguments.world_size}, so samples would be lost or trained on by several "
            "ranks: make Stream(..., rank=args.process_index, world_size=args.world_size)"
        )
    if loader.batch_size != arguments.train_batch_size:
        raise OptionError(
            f"the loader's batches are of {loader.batch_size} samples, the Trainer counts on "
            f"{arguments.train_batch_size}: make Loader(..., batch_size=args.train_batch_size)"
        )
    setattr(trainer, "get_train_dataloader", lambda: _in_disguise(loader))  # noqa: B010  # mypy knows methods only
    trainer.add_callback(LoaderState())


class LoaderState(TrainerCallback, ExportableState):
    """Keeps a loader's position in `trainer_state.json`: `feed_trainer` adds it to a Trainer.

    Attributes:
        position: State of the loader as of the last checkpoint, None before there is one.
    """

    def __init__(self) -> None:
        self.position: dict[str, Any] | None = None
        self._loader: Epochs | None = None

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint keeps: the position behind the batches trained on."""
        if self._loader is not None:
            self.position = self._loader.state_dict()
        return {"args": {}, "attributes": {"position": self.position}}

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Put the loader where the checkpoint left it.

        Raises:
            OptionError: The checkpoint has no position of a loader.
        """
        saved: Any = state.stateful_callbacks  # its annotation says list, but it is a dict
        if type(self).__name__ not in saved:
            raise OptionError(
                f"the checkpoint of step {state.global_step} has no position in the stream, because the Trainer that "
                "wrote it was not fed by a Loader: start anew from its weights"
            )
        self._loader = kwargs["train_dataloader"].dataset.loader
        position = saved[type(self).__name__]["attributes"]["position"]
        if position is not None:
            self._loader.load_state_dict(position)


class _Batches:
    """The batches of a loader as a dataset whose samples are batches, and its own batch sampler.

    When a Trainer resumes, it takes its loader apart, skips what its batch sampler says about the batches that it has
    seen, and counts on from there. Here the sampler says only that there is one more; the batches themselves come from
    where the loader is. It counts in batches of the present run, so after a resume with other batches the end of its
    epoch is not the stream's: then the next epoch's follow.
    """

    def __init__(self, loader: Loader) -> None:
        self.loader = Epochs(loader)
        self._batches: Iterator[Any] = iter(())

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[int]:
        self._batches = iter(self.loader)
        return count()

    def __getitems__(self, numbers: Sequence[int]) -> Any:
        batch = next(self._batches, None)
        if batch is None:
            self._batches = iter(self.loader)
            batch = next(self._batches)
        return batch


def _in_disguise(loader: Loader) -> DataLoader[Any]:
    batches = _Batches(loader)
    return DataLoader(batches, batch_sampler=batches, collate_fn=_as_it_is)  # type: ignore[arg-type]


def _as_it_is(batch: Any) -> Any:
    return batch
