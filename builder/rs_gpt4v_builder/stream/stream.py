"""A stream of samples for training: an exact order that is known ahead, and a state of a few numbers."""

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from multiprocessing import context
from multiprocessing.sharedctypes import RawArray
from operator import length_hint
from pathlib import Path
from typing import Any

from rs_gpt4v_builder.errors import OptionError
from rs_gpt4v_builder.network.blocks import BlockSettings
from rs_gpt4v_builder.release.release import Release
from rs_gpt4v_builder.release.texts import Row
from rs_gpt4v_builder.stream.mix import MixOrder, plan_mix
from rs_gpt4v_builder.stream.netorder import NetworkOrders
from rs_gpt4v_builder.stream.order import FullOrder, InOrder, Order
from rs_gpt4v_builder.stream.samples import Samples, needed
from rs_gpt4v_builder.stream.share import Lane, Share

CHUNK = 32
"""Samples that plain iteration reads at a time: what stays in a processor's cache."""

FEW = 8
"""The same over a network."""

STATE = 1
"""Version of the state's form."""

ORDERS = ("auto", "full")


class Stream:
    """The samples of one config and split, an epoch at a time: `for row in stream`.

    **Order.** An epoch shows every sample once, in an order that is drawn from all their orders and is a pure function
    of `seed` and the epoch. Nothing is buffered: any position is computed when it is asked for.

    **Ranks and workers.** Rank r of W takes positions r, r + W, r + 2 W, … of what is left of the epoch, so that all
    ranks get the same number of samples. The workers of a `DataLoader` share out their rank's samples in blocks of
    `batch_size`, block by block in turn: give the loader's batch size here, and its batches and their order are the
    same whatever the number of workers. Without it they take single samples in turn.

    **State.** `state_dict()` is a few numbers and names whatever was read, can be written as JSON, and says how far
    the epoch was *consumed*. `load_state_dict` reads nothing. Any other number of ranks or workers and any other batch
    size go on exactly where the state says: no sample is lost or comes twice.

    **Epochs.** Call `set_epoch(n)` before each epoch. The next iteration begins at the loaded position, and later ones
    too until one of them has gone to the end; then they begin at the start of the same epoch. A state from the very end
    of an epoch gives an empty iteration first. `set_epoch` with another number begins at the start, with the same
    number it changes nothing: so a loop `for epoch in range(stream.epoch, epochs): stream.set_epoch(epoch)` is right
    for a new run and for a resumed one. It also reaches the workers of a `DataLoader`, persistent ones too; without it
    a stock loader whose workers are made anew for each epoch would begin each at the loaded position.

    **Data loaders.** A `Stream` is an `IterableDataset` wherever torch is installed. With torchdata's
    `StatefulDataLoader` its own state is exact, for the same number of workers. A stock `DataLoader` with workers knows
    only in its main process what was consumed: count the samples of this rank there (with `batch_size` given here), and
    save `stream.state_dict(consumed=count)`.

    A sample is a row of the release, whose `conversations` and `pairs` are those that the sample shows; `shown` are
    their positions in the release's row. A malformed row comes as it is.

    Args:
        where: A release: its folder, its URL, or a `Release`.
        config: `all`, `mini`, a task or a source.
        split: One of the release's splits.
        shuffle: Whether the samples are shuffled; else they come as the release has them.
        seed: Of the order.
        rank: Of this process; None is what `torch.distributed` says once it is initialised, else 0.
        world_size: Number of processes; None as for `rank`, else 1.
        pairs: What a sample is. `row`: one a row and epoch, its independent dialogues in order as many as fit
            `max_length` and never two with the same question; if not all of them do, the row is cut into such sheets,
            and every time that it comes it shows the next one. `each`: every dialogue is a sample. `one`: one a row and
            epoch, each dialogue in turn, beginning with one that the row's id decides.
        max_length: For `row`: tokens of a sample, by an estimate that is never too low; None gives whole rows.
        columns: Columns of a sample beside `shown`; None is all of them. Those that a training step needs (`id`,
            `image`, `conversations`, `pairs`) are read faster than whole rows; a `Loader` asks for no more by itself.
            Without `image` no image is read or fetched.
        mix: Weights of tasks, sources or `task/source`, which must not overlap, such as `{"vqa": 0.3, "rsicd": 0.7}`;
            or `task` or `source` for all of them, weighted by their numbers of samples. An epoch is then as long as all
            their samples together, and holds each component's share to the sample: one with more than its size comes
            again, in a new order each time round, and one with less goes on in the next epoch where it stopped. Rows of
            no component are left out, and the log says how many. Needs `shuffle`.
        temperature: Of the mix: weights are taken to the power of 1 / temperature. 1 keeps them, a large one makes
            them alike.
        remainder: What is left when the ranks have got the same number of samples, less than `world_size`: `drop` it
            for this epoch, or `repeat` the first samples of the epoch until it is enough.
        batch_size: Samples of a `DataLoader`'s batch, see above.
        order: `full` is the permutation of all samples. `auto` chooses that for a local release, and for a remote one
            blocks of neighbouring rows that are mixed inside a window; there `full` takes a request for each image.
        blocks: Sizes of these blocks and of the window.
        cache: Folder for what a `Release` keeps, see there.

    Attributes:
        release: The release.
        samples: All its samples, as they can be asked for.
        rank: Of this process.
        world_size: Number of processes.

    Raises:
        OptionError: An argument has a value that is not known.
        ReleaseError: There is no release.
    """

    def __init__(
        self,
        where: str | Path | Release,
        config: str = "all",
        split: str = "train",
        *,
        shuffle: bool = True,
        seed: int = 0,
        rank: int | None = None,
        world_size: int | None = None,
        pairs: str = "row",
        max_length: int | None = 2048,
        columns: Sequence[str] | None = None,
        mix: Mapping[str, float] | str | None = None,
        temperature: float = 1.0,
        remainder: str = "drop",
        batch_size: int | None = None,
        order: str = "auto",
        blocks: BlockSettings | None = None,
        cache: str | Path | None = None,
    ) -> None:
        if remainder not in ("drop", "repeat"):
            raise OptionError.unknown("remainder", remainder, ("drop", "repeat"))
        if order not in ORDERS:
            raise OptionError.unknown("order", order, ORDERS)
        if mix is not None and not shuffle:
            raise OptionError("mix with shuffle=False: a mix is drawn in a random order; leave one of them out")
        if mix is None and temperature != 1:
            raise OptionError(f"temperature={temperature!r} without mix: say what is mixed, such as mix='source'")
        if not hasattr(seed, "__index__"):
            raise OptionError(f"seed={seed!r}: expected a whole number")
        if batch_size is not None and not batch_size > 0:
            raise OptionError(f"batch_size={batch_size!r}: expected a number above 0, or None")
        self.rank, self.world_size = _ranks(rank, world_size)
        self.release = where if isinstance(where, Release) else Release(where, cache=cache)
        self.samples = Samples(self.release.rows(config, split, columns=needed(columns)), pairs, max_length, columns)
        self._mix = () if mix is None else plan_mix(mix, self.samples.parts(), temperature)
        self._ordered_by, self._sizes = order, blocks or BlockSettings()
        self._shuffle, self._seed, self._remainder, self._block = shuffle, int(seed), remainder, batch_size or 1
        self._at = _At(0, 0)
        self._run: _Run | None = None
        self._notice, self._noticed = _Notice(), 0
        _register()

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        # whoever asks whether this is an IterableDataset has imported torch, maybe after the stream was made
        _register()
        return type(self)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_run": None}

    def __repr__(self) -> str:
        rows, where = self.samples.rows, self.release.store.where
        return f"Stream({len(self.samples):,} samples of {rows.config!r}, {rows.split!r} in {where!r})"

    def __len__(self) -> int:
        """Samples of this rank in a whole epoch, wherever it begins; `len(stream.share())` are those that are left."""
        return len(self._share(_At(self.epoch, 0)))

    def __iter__(self) -> Iterator[Row]:
        at, worker = self._now(), _worker()
        share = self._share(at)
        number, workers = worker or (0, 1)
        run = _Run(at, share, Lane(share, number, workers, self._block))
        self._run = run
        self._end(run)
        return self._rows(run)

    @property
    def epoch(self) -> int:
        """Number of the epoch that the next iteration shows."""
        return self._now().epoch

    def set_epoch(self, epoch: int) -> None:
        """Go to an epoch: to its start, but stay where this one is if it has that number.

        Raises:
            OptionError: It is no whole number from 0.
        """
        if isinstance(epoch, bool) or not hasattr(epoch, "__index__") or epoch < 0:
            raise OptionError(f"epoch={epoch!r}: expected a whole number from 0")
        if epoch != self._now().epoch:
            self._go(_At(int(epoch), 0))

    def share(self, *, whole: bool = False, rest: bool = True) -> Share:
        """Return the rest of the epoch for this rank, as the next iteration would show it, to be read in any order.

        Args:
            whole: Whether rows come whole, as with `max_length=None`, where a sample is a `row`.
            rest: Whether more columns are wanted than a training step needs; False is faster.
        """
        return self._share(self._now(), whole=whole, rest=rest)

    def state_dict(self, consumed: int | None = None) -> dict[str, Any]:
        """Return where the stream is: what the latest iteration in this process was asked for is consumed.

        Args:
            consumed: Samples of this rank since that iteration began (or would begin), where somebody else counts: a
                `DataLoader` has fetched more than it has given out.

        Returns:
            A dict of numbers and names that can be written as JSON. It is the same on all ranks. In a worker of a
            `DataLoader` it is that worker's own.
        """
        worker, run = _worker(), self._run
        if worker:
            at, done = (run.at, run.consumed) if run else (self._now(), self._now().skip)
            return {**self._head(at.epoch), "position": at.position, "worker": self._worker_state(worker, done)}
        if run is None:
            at = self._now()
            return self.share().state_after(consumed) if consumed else {**self._head(at.epoch), "position": at.position}
        return run.share.state_after(run.consumed if consumed is None else consumed)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go to where a state says. Reads nothing.

        Raises:
            OptionError: It is no state of a stream, or one over other samples or in another order; the message names
                what differs.
        """
        numbers = [state.get(name) for name in ("epoch", "position")]
        if state.get("version") != STATE or not all(isinstance(number, int) and number >= 0 for number in numbers):
            raise OptionError(f"this is no state of a Stream (version {STATE}): expected what state_dict() gave")
        for name, value in self._head(0).items():
            if name != "epoch" and state.get(name) != value:
                found = f"the state was saved with {name}={state.get(name)!r}, this stream has {value!r}"
                raise OptionError(f"{found}: make the stream as the saved one was, or begin anew")
        total = sum(component.share for component in self._mix) or len(self.samples)
        if state["position"] > total:
            raise OptionError(f"this is no state of a Stream: position {state['position']:,} of {total:,} samples")
        worker, saved = _worker(), state.get("worker")
        if saved is not None and (worker is None or self._worker_state(worker, 0) != {**saved, "consumed": 0}):
            found = f"the state is that of a data loader's worker, {saved}"
            raise OptionError(f"{found}: load it with the same StatefulDataLoader, workers, batch size and ranks")
        self._go(_At(state["epoch"], state["position"], saved["consumed"] if saved else 0))

    def _rows(self, run: "_Run") -> Iterator[Row]:
        # the first sample waits for no other, as what they take may have to be fetched or made ready
        count, most = 1, CHUNK if self._network is None else FEW
        try:
            while run.consumed < len(run.lane):
                yield from run.give(run.lane.fetch(run.consumed, run.consumed + count))
                count = min(most, 2 * count)
        finally:
            run.lane.close()
        self._end(run)

    def _end(self, run: "_Run") -> None:
        """Let the next iteration begin at the start, once this one has nothing more to show."""
        if run.consumed >= len(run.lane) and self._at is run.at:
            self._at = _At(run.at.epoch, 0)

    def _now(self) -> "_At":
        """Where the next iteration begins."""
        if _worker() and self._notice.number != self._noticed:  # the main process has moved on
            self._noticed, self._at, self._run = self._notice.number, self._notice.at, None
        return self._at

    def _go(self, at: "_At") -> None:
        self._at, self._run = at, None
        if _worker() is None:
            self._notice.put(at)
            self._noticed = self._notice.number

    def _share(self, at: "_At", *, whole: bool = False, rest: bool = True) -> Share:
        return Share(
            self.samples,
            self._order(at.epoch),
            start=at.position,
            rank=self.rank,
            world_size=self.world_size,
            repeat=self._remainder == "repeat",
            whole=whole,
            rest=rest,
            head=self._head(at.epoch),
            network=self._network,
        )

    @cached_property
    def _network(self) -> NetworkOrders | None:
        """How the samples of a remote release are fetched."""
        if self.release.network is None:
            return None
        return NetworkOrders(self.samples, self._seed, self._sizes, self._mix)

    @property
    def _in_blocks(self) -> bool:
        return self._network is not None and self._shuffle and self._ordered_by == "auto"

    def _order(self, epoch: int) -> Order:
        if self._network is not None and self._in_blocks:
            return self._network.epoch(epoch)
        if self._mix:
            return MixOrder(self._mix, self._seed, epoch)
        if not self._shuffle:
            return InOrder(len(self.samples), epoch)
        return FullOrder(len(self.samples), self._seed, epoch)

    def _head(self, epoch: int) -> dict[str, Any]:
        return {"version": STATE, "epoch": epoch, **self._identity}

    @cached_property
    def _identity(self) -> dict[str, Any]:
        """All that the order depends on beside the epoch, by the names under which users know it."""
        rows = self.samples.rows
        return {
            "release": self.release.digest,
            "config": rows.config,
            "split": rows.split,
            "pairs": self.samples.pairs,
            "samples": len(self.samples),
            "shuffle": self._shuffle,
            "order": self._network.name if self._network and self._in_blocks else "full" if self._shuffle else "none",
            "seed": self._seed if self._shuffle else None,
            "mix": {component.name: component.share for component in self._mix} or None,
        }

    def _worker_state(self, worker: tuple[int, int], consumed: int) -> dict[str, int]:
        return {
            "number": worker[0],
            "workers": worker[1],
            "batch_size": self._block,
            "rank": self.rank,
            "world_size": self.world_size,
            "consumed": consumed,
        }


@dataclass(frozen=True, slots=True)
class _At:
    """Where an iteration begins: a position of an epoch, and what a data loader's worker has consumed from there."""

    epoch: int
    position: int
    skip: int = 0


class _Run:
    """An iteration.

    Args:
        at: Where it begins.
        share: The rest of the epoch.
        lane: What of it this process reads.
    """

    def __init__(self, at: _At, share: Share, lane: Lane) -> None:
        self.at, self.share, self.lane = at, share, lane
        self._read, self._rows = at.skip, iter(list[Row]())  # samples read, and those of them that are not given out

    @property
    def consumed(self) -> int:
        """Samples of the lane that were given out; not counted one by one, which would be a part of what each costs."""
        return self._read - length_hint(self._rows)

    def give(self, rows: list[Row]) -> Iterator[Row]:
        """Give out samples that were read."""
        self._read, self._rows = self._read + len(rows), iter(rows)
        return self._rows


class _Notice:
    """Where the main process wants its data loader's workers to begin: a few numbers in memory that they share."""

    def __init__(self, numbers: Iterable[int] = (0, 0, 0)) -> None:
        self._numbers = RawArray("q", list(numbers))

    @property
    def number(self) -> int:
        """How many notices there were."""
        return int(self._numbers[0])

    @property
    def at(self) -> _At:
        """What the last one says."""
        return _At(self._numbers[1], self._numbers[2])

    def put(self, at: _At) -> None:
        """Give a notice."""
        self._numbers[:] = [self.number + 1, at.epoch, at.position]

    def __reduce__(self) -> tuple[Any, ...]:
        if context.get_spawning_popen() is None:
            return _Notice, (list(self._numbers),)
        return _same_notice, (self._numbers,)  # for a worker that is being started


def _same_notice(numbers: Any) -> _Notice:
    notice = _Notice()
    notice._numbers = numbers
    return notice


def _worker() -> tuple[int, int] | None:
    """Number of this worker of a torch DataLoader, and how many there are; None elsewhere."""
    torch = sys.modules.get("torch.utils.data")
    info = torch and torch.get_worker_info()
    return (info.id, info.num_workers) if info else None


def _register() -> None:
    """Make Stream an IterableDataset, if torch is there: without it a DataLoader would ask for rows by number."""
    torch = sys.modules.get("torch.utils.data")
    if torch is not None and not issubclass(Stream, torch.IterableDataset):
        torch.IterableDataset.register(Stream)


def _ranks(rank: int | None, world_size: int | None) -> tuple[int, int]:
    """Rank and number of ranks; those that are None are asked of torch, if it knows."""
    torch = sys.modules.get("torch.distributed")
    known = (
        (torch.get_rank(), torch.get_world_size())
        if torch and torch.is_available() and torch.is_initialized()
        else (0, 1)
    )
    rank, world_size = known[0] if rank is None else rank, known[1] if world_size is None else world_size
    if not all(hasattr(number, "__index__") for number in (rank, world_size)) or not 0 <= rank < world_size:
        raise OptionError(f"rank={rank!r} of world_size={world_size!r}: expected a rank from 0 to below the world size")
    return rank, world_size
