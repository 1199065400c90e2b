"""Batches of a stream, made ahead of the training step by threads.

What a batch takes (reading, decoding, resizing, tokenizing) is done in C by code that gives up Python's lock, so
threads are enough; they hand a batch over without copying it, where processes would send it through shared memory.
"""

import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from rs_gpt4v_builder.batch.collate import LlavaCollator
from rs_gpt4v_builder.batch.targets import Batch, Target, find_target
from rs_gpt4v_builder.errors import OptionError, RowError
from rs_gpt4v_builder.text.dialogues import row_name

Collate = Callable[..., Any]

THREADS = "rs-gpt4v-loader"
"""How the names of the threads begin."""


class Share(Protocol):
    """The rest of an epoch for one rank; may be asked from several threads."""

    def __len__(self) -> int:
        """Samples of this rank."""

    def fetch(self, start: int, stop: int, /) -> list[Any]:
        """Read the samples `start` to below `stop`, in order."""

    def state_after(self, consumed: int, /) -> dict[str, Any]:
        """Return the state of the stream when each rank has consumed so many samples."""

    def close(self) -> None:
        """Let go of what was fetched ahead; whoever waits for a sample gets an error."""


class Samples(Protocol):
    """What a `Loader` asks of a `Stream`."""

    @property
    def epoch(self) -> int:
        """Number of the epoch that comes next."""

    def __len__(self) -> int:
        """Samples of this rank in a whole epoch."""

    def set_epoch(self, epoch: int, /) -> None:
        """Go to the start of an epoch, or stay where the stream is if it has that number."""

    def share(self, *, whole: bool = False, rest: bool = True) -> Share:
        """Return the rest of the epoch for this rank."""

    def load_state_dict(self, state: Mapping[str, Any], /) -> None:
        """Go to where a state says."""


class Loader:
    """The batches of a stream, an epoch at a time: `for batch in loader`.

    **Order.** Batches come in the stream's order, the same whatever the number of workers. A batch owns its memory: it
    stays as it is when the next one comes.

    **State.** `state_dict()` counts the batches that were given out; those made ahead are not lost. It is a few
    numbers, the same on all ranks, and `load_state_dict` reads nothing. Any other number of ranks or workers and any
    other batch size go on exactly where the state says.

    **Epochs.** As with a `Stream`: call `set_epoch(n)` before each; `for epoch in range(loader.epoch, epochs):
    loader.set_epoch(epoch)` is right for a new run and for a resumed one. The next iteration begins at the loaded
    position, and later ones too until one has gone to the end of the epoch; then they begin at its start.

    **Errors** of a worker are raised where its batch would have come, of the type that they had, naming the row.
    Leaving the loop early ends the threads, each after the batch that it is at.

    **Devices.** On the CPU pixels are float32, as the collator gives them. For a GPU they are moved as bytes, from
    pinned memory, on a stream of their own beside the training step, and normalised there in one step. (A row without
    image is black there, where the collator has zeros; no model looks at it.)

    Args:
        stream: What gives the samples.
        collate: What makes a batch of a list of rows: a `LlavaCollator`, or any `collate_fn`. It is called from several
            threads at once. With `packing` it gets whole rows.
        batch_size: Rows of a batch.
        workers: Threads. Two to four a GPU suit most machines; more than there are cores are of no use.
        device: Where the batch goes; None leaves it on the CPU.
        dtype: Of normalised images, float32 if it is None. A model in bfloat16 is as well off with that type. Images of
            a collator with `pixels="uint8"` stay bytes.
        prefetch: Batches made ahead, for each worker.
        drop_last: Whether a last batch that is not full is left out.
        resize: `cpu`, or `device`: PIL's values by dense products, for machines whose processors are too slow.
        decode: `cpu`, or `nvjpeg`: JPEGs are decoded on the GPU and resized there. Its values differ from those of the
            CPU by up to 28 levels, see `pixels.nvjpeg`. A damaged file is an error there whatever the collator's
            `on_error`.

    Attributes:
        stream: As given.
        collate: As given.
        batch_size: As given.

    Raises:
        OptionError: An argument has a value that is not known.
    """

    def __init__(
        self,
        stream: Samples,
        collate: Collate,
        batch_size: int,
        *,
        workers: int = 2,
        device: str | torch.device | None = None,
        dtype: torch.dtype | None = None,
        prefetch: int = 2,
        drop_last: bool = False,
        resize: str = "cpu",
        decode: str = "cpu",
    ) -> None:
        for name, number in (("batch_size", batch_size), ("workers", workers), ("prefetch", prefetch)):
            if isinstance(number, bool) or not isinstance(number, int) or number < 1:
                raise OptionError(f"{name}={number!r}: expected a whole number from 1")
        if not hasattr(stream, "share"):
            raise OptionError(f"a Loader of a {type(stream).__name__}: give it a Stream, or the rows to a DataLoader")
        self.stream, self.collate, self.batch_size = stream, collate, batch_size
        self._workers, self._prefetch, self._drop_last = workers, prefetch, drop_last
        self._target: Target = find_target(collate, device, dtype, resize=resize, decode=decode)
        self._wanted = _wanted(collate)
        self._run: _Run | None = None

    def __len__(self) -> int:
        """Batches of a whole epoch, wherever the next iteration begins."""
        return self._batches(len(self.stream))

    def __iter__(self) -> Iterator[Batch]:
        share = self.stream.share(**self._wanted)
        if isinstance(self.collate, LlavaCollator):
            self.collate.epoch = self.stream.epoch
        self._run = _Run(self.stream.epoch, share)
        return _Batches(self, self._run)

    @property
    def epoch(self) -> int:
        """Number of the epoch that the next iteration shows."""
        return self.stream.epoch

    def set_epoch(self, epoch: int) -> None:
        """Go to an epoch: to its start, but stay where the loader is if it has that number.

        Raises:
            OptionError: It is no whole number from 0.
        """
        before = self.stream.epoch
        self.stream.set_epoch(epoch)
        if self.stream.epoch != before:
            self._run = None

    def state_dict(self) -> dict[str, Any]:
        """Return where the loader is: after the batches that the latest iteration gave out.

        Returns:
            A dict of numbers and names that can be written as JSON.
        """
        run = self._run
        if run is None or run.epoch != self.stream.epoch:  # there was none yet, or the stream itself was moved on
            run = _Run(self.stream.epoch, self.stream.share())
        return run.share.state_after(run.consumed)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go to where a state of a loader or of its stream says. Reads nothing.

        Raises:
            OptionError: It is a state of another stream.
        """
        self.stream.load_state_dict(state)
        self._run = None

    def _batches(self, samples: int) -> int:
        return samples // self.batch_size if self._drop_last else -(-samples // self.batch_size)

    def _made(self, share: Share, ended: threading.Event, start: int, stop: int) -> Any:
        """Make a batch, in a thread."""
        if ended.is_set():
            raise CancelledError
        rows = share.fetch(start, stop)
        imager = self._target.imager
        try:
            batch = self.collate(rows) if imager is None else self.collate(rows, imager=imager)
            return self._target.send(batch)
        except RowError:  # it names its row
            raise
        except Exception as error:
            error.add_note(f"in the batch of the rows {', '.join(map(row_name, rows))}")
            raise

    def _finished(self, run: "_Run") -> None:
        """Note that an iteration has come to the end of its epoch."""
        run.consumed = len(run.share)  # with what `drop_last` leaves out
        if self._run is run and self.stream.epoch == run.epoch and len(run.share) < len(self.stream):
            # the loaded position has been used up
            self.stream.set_epoch(run.epoch + 1)
            self.stream.set_epoch(run.epoch)


def _wanted(collate: Collate) -> dict[str, bool]:
    """What a collator wants of a stream's samples: whole rows for packing, and no more columns than it looks at."""
    wanted = {}
    if getattr(collate, "packing", None) is not None:
        wanted["whole"] = True
    if isinstance(collate, LlavaCollator):
        wanted["rest"] = False
    return wanted


@dataclass(slots=True)
class _Run:
    """How far an iteration is.

    Attributes:
        epoch: Number of the epoch.
        share: What was left of it.
        consumed: Samples that were given out.
    """

    epoch: int
    share: Share
    consumed: int = 0


class _Batches(Iterator[Batch]):
    """An iteration: has batches made ahead, and gives them in order.

    Nothing that the threads hold refers to it, so it ends with the loop that holds it, and at the latest with the
    interpreter, before that takes its modules apart.
    """

    def __init__(self, loader: Loader, run: _Run) -> None:
        self._loader, self._run = loader, run
        self._numbers = iter(range(loader._batches(len(run.share))))
        self._coming: deque[tuple[int, Future[Any]]] = deque()
        self._pool = ThreadPoolExecutor(loader._workers, thread_name_prefix=THREADS)
        self._ended = threading.Event()
        self.close = weakref.finalize(self, _end, self._pool, self._ended, self._coming, run.share)

    def __next__(self) -> Batch:
        if not self.close.alive:
            raise StopIteration
        try:
            while len(self._coming) <= self._loader._workers * self._loader._prefetch and self._submit():
                continue
            if self._coming:
                stop, made = self._coming.popleft()
                batch: Batch = self._loader._target.receive(made.result())
                self._run.consumed = stop
                return batch
        except BaseException:  # also Ctrl-C while a batch is waited for
            self.close()
            raise
        self.close()
        self._loader._finished(self._run)
        raise StopIteration

    def _submit(self) -> bool:
        """Have one more batch made; False where there is none."""
        number = next(self._numbers, None)
        if number is None:
            return False
        share, size = self._run.share, self._loader.batch_size
        start, stop = number * size, min((number + 1) * size, len(share))
        self._coming.append((stop, self._pool.submit(self._loader._made, share, self._ended, start, stop)))
        return True


def _end(pool: ThreadPoolExecutor, ended: threading.Event, coming: deque[Any], share: Share) -> None:
    """End an iteration's threads, each after the batch that it is at, or that it waits for."""
    ended.set()
    share.close()
    coming.clear()
    # a collection of garbage may come to this in one of the threads, which cannot wait for itself
    pool.shutdown(wait=not threading.current_thread().name.startswith(THREADS), cancel_futures=True)
