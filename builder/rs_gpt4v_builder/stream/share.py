"""A rank's part of the rest of an epoch, and the part of it that one worker of a data loader reads."""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from rs_gpt4v_builder.release.texts import Row
from rs_gpt4v_builder.stream.netorder import NetworkOrders
from rs_gpt4v_builder.stream.order import Order, Positions
from rs_gpt4v_builder.stream.samples import Found, Samples

if TYPE_CHECKING:  # a local release needs nothing of a network
    from rs_gpt4v_builder.network.ahead import Ahead, Coming

try:
    import resource

    _COUNTED = hasattr(resource, "RUSAGE_THREAD")
except ImportError:  # Windows
    _COUNTED = False

AHEAD, HOLD = 128, 1024
"""How many samples ahead the system is told what will be read, and how many samples it takes without a byte from the
disk until that is given up: it costs a tenth of a read that finds its bytes in memory."""

FOUND = 1024
"""Samples in a row for which is found out at once where they lie: 0.2 µs less a sample than with 256."""

BLOCK, BLOCKS = 4096, 4
"""Samples for which the order is computed at once, and how many such blocks are kept."""


class Share:
    """The rest of an epoch for one rank: immutable, and may be asked from several threads.

    A sample is known here by its number in the share; 0 is the next one of this rank.
    """

    def __init__(
        self,
        samples: Samples,
        order: Order,
        *,
        start: int,
        rank: int,
        world_size: int,
        repeat: bool,
        whole: bool,
        rest: bool,
        head: Mapping[str, Any],
        network: NetworkOrders | None = None,
    ) -> None:
        self._samples, self._order, self._head = samples, order, head
        self._whole, self._rest = whole, rest
        self._start, self._rank, self._world = start, rank, world_size
        left = len(order) - start
        self._count = -(-left // world_size) if repeat else left // world_size
        self._ask = 0  # for so many samples more the system is told what comes
        self._warm = False  # whether bytes are found in memory
        self._lock = Lock()
        self._drawn: OrderedDict[int, tuple[Positions, Positions]] = OrderedDict()
        self._kept = _Kept()
        self._network, self._table = network, None if network is None else network.table(order)
        self._reader = self.reader(self._lines, self._count)

    def __len__(self) -> int:
        """Samples of this rank."""
        return self._count

    def fetch(self, start: int, stop: int) -> list[Row]:
        """Read the samples `start` to below `stop`, in order."""
        return Lane(self).fetch(start, stop)

    def state_after(self, consumed: int) -> dict[str, Any]:
        """Return the state of a stream when each rank has consumed so many samples of its share."""
        # what is left when no rank has any more belongs to the epoch that is over
        done = consumed >= len(self)
        return {**self._head, "position": len(self._order) if done else self._start + consumed * self._world}

    def close(self) -> None:
        """Fetch nothing ahead any more; for a remote release."""
        if self._reader is not None:
            self._reader.close()

    @property
    def all_of_it(self) -> "Ahead | None":
        """What fetches the whole share ahead, for a remote release."""
        return self._reader

    def reader(self, coming: "Coming", total: int) -> "Ahead | None":
        """Begin to fetch the rows of a sequence of samples ahead, for a remote release.

        Args:
            coming: A method that gives the lines of samples a to below b of the sequence. It is referred to weakly.
            total: How many there are.
        """
        network = self._samples.rows.release.network
        if self._network is None or self._table is None or network is None or not self._samples.images:
            return None
        rest = self._samples.needs_rest(self._rest)
        return network.ahead(self._table, self._network.settings, coming, total, rest=rest)

    def lines(self, numbers: Positions) -> Positions:
        """Lines of the index in which some samples lie, both (n,) int64."""
        return self._samples.rows.numbers(self._samples.row_numbers(self._draw(numbers)[0]))

    def _lines(self, start: int, stop: int) -> Positions:
        return self.lines(np.arange(start, stop, dtype=np.int64))

    def find(self, numbers: Positions) -> Found:
        """Find where samples lie, by their numbers in the share, (n,) int64, which ascend."""
        return self._samples.find(*self._draw(numbers))

    def find_range(self, start: int, stop: int) -> Found:
        """Find where the samples `start` to below `stop` lie."""
        return self._kept.find(start, stop, self._count, lambda first, last: self.find(np.arange(first, last)))

    def take(self, found: Found, read: list[Row] | None = None) -> list[Row]:
        """Read samples, in the order given.

        Args:
            found: Where they lie.
            read: Their rows, where they are there already.
        """
        before = _disk_reads()
        rows = self._samples.fetch(found, whole=self._whole, rest=self._rest, warm=self._warm, rows=read)
        self._watch(before, len(rows))
        return rows

    @property
    def asks(self) -> bool:
        """Whether it pays to say ahead of time what will be read."""
        return self._ask > 0

    def ahead(self, numbers: Positions) -> None:
        """Say that these samples will be read soon."""
        before = _disk_reads()
        self._samples.ahead(self._draw(numbers)[0])
        self._watch(before, len(numbers))

    def _watch(self, before: int, count: int) -> None:
        """See whether a disk was read from for so many samples; `before` are the reads until then."""
        self._ask = HOLD if _disk_reads() > before else max(0, self._ask - count)
        self._warm = not self._ask

    def _draw(self, numbers: Positions) -> tuple[Positions, Positions]:
        """The samples at some places of the share, and how often they were shown before; the places ascend."""
        first, last = int(numbers[0]) // BLOCK, int(numbers[-1]) // BLOCK
        blocks = [self._block(number) for number in range(first, last + 1)]
        samples, passes = blocks[0] if first == last else map(np.concatenate, zip(*blocks, strict=True))
        places = numbers - first * BLOCK
        return samples[places], passes[places]

    def _block(self, number: int) -> tuple[Positions, Positions]:
        with self._lock:
            found = self._drawn.get(number)
            if found is None:
                numbers = np.arange(number * BLOCK, min((number + 1) * BLOCK, len(self)), dtype=np.int64)
                # behind the end of the epoch come its first samples again
                positions = (self._start + self._rank + numbers * self._world) % len(self._order)
                found = self._drawn[number] = self._order.samples(positions), self._order.passes(positions)
                if len(self._drawn) > BLOCKS:
                    self._drawn.popitem(last=False)
        return found


def _disk_reads() -> int:
    """Blocks that this thread has read from disks, and pages it waited for, where the system counts them."""
    if not _COUNTED:
        return 0
    used = resource.getrusage(resource.RUSAGE_THREAD)
    return used.ru_inblock + used.ru_majflt


class _Kept:
    """Where the samples of a sequence lie, found for many at once; may be asked from several threads."""

    def __init__(self) -> None:
        self._found: tuple[int, int, Found | None] = -1, -1, None  # from, to, and where

    def find(self, start: int, stop: int, total: int, find: Callable[[int, int], Found]) -> Found:
        """Find where samples lie; for whoever goes on where the last ones ended, those of many more.

        Args:
            start: First sample.
            stop: The one behind the last, at most `total`.
            total: Samples of the sequence.
            find: Finds where samples a to below b lie.
        """
        first, last, found = self._found
        if found is None or not first <= start <= stop <= last:
            if start < first:  # another thread is ahead of this one
                return find(start, stop)
            first, last = start, min(max(stop, start + FOUND), total) if start == last else stop
            found = find(first, last)
            self._found = first, last, found
        return found.part(start - first, stop - first)


class Lane:
    """The samples of a share that one worker reads: whole blocks in turn with the other workers.

    Args:
        share: The share.
        worker: Number of the worker.
        workers: How many there are.
        block: Samples of a block.
    """

    def __init__(self, share: Share, worker: int = 0, workers: int = 1, block: int = 1) -> None:
        self._share, self._worker, self._workers, self._block = share, worker, workers, block
        self._kept = _Kept()
        # all of a share is fetched ahead by the share, which outlives its lanes
        self._reader = share.all_of_it if workers == 1 else share.reader(self._lines, len(self))

    def __len__(self) -> int:
        blocks, rest = divmod(len(self._share), self._block)
        own = -(-(blocks - self._worker) // self._workers)
        return max(0, own) * self._block + (rest if blocks % self._workers == self._worker else 0)

    def fetch(self, start: int, stop: int) -> list[Row]:
        """Read the worker's samples `start` to below `stop`, in order."""
        stop = min(stop, len(self))
        if start >= stop:
            return []
        read = self._reader.rows(start, stop) if self._reader is not None else None
        rows = self._share.take(self._find(start, stop), read)
        if self._reader is not None:
            return rows
        first, last = start + AHEAD, min(stop + AHEAD, len(self))
        if self._share.asks and first < last:
            self._share.ahead(self._numbers(first, last))
        return rows

    def close(self) -> None:
        """Fetch nothing ahead any more; for a remote release."""
        if self._reader is not None:
            self._reader.close()

    def _find(self, start: int, stop: int) -> Found:
        if self._workers == 1:
            return self._share.find_range(start, stop)
        return self._kept.find(start, stop, len(self), lambda a, b: self._share.find(self._numbers(a, b)))

    def _lines(self, start: int, stop: int) -> Positions:
        return self._share.lines(self._numbers(start, stop))

    def _numbers(self, start: int, stop: int) -> Positions:
        """Numbers in the share of the worker's samples."""
        numbers: Positions = np.arange(start, stop, dtype=np.int64)
        if self._workers == 1:
            return numbers
        blocks, rest = np.divmod(numbers, self._block)
        return (blocks * self._workers + self._worker) * self._block + rest
