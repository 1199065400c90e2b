"""A rank's part of the rest of an epoch, and the part of it that one worker of a data loader reads."""

import contextlib
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from threading import Lock
from typing import Any

import numpy as np

from rs_gpt4v_builder.network.ahead import Ahead, Coming
from rs_gpt4v_builder.release.texts import Row
from rs_gpt4v_builder.stream.netorder import NetworkOrders
from rs_gpt4v_builder.stream.order import Order, Positions
from rs_gpt4v_builder.stream.samples import Samples

try:
    import resource

    _COUNTED = hasattr(resource, "RUSAGE_THREAD")
except ImportError:  # Windows
    _COUNTED = False

AHEAD, HOLD = 128, 1024
"""How many samples ahead the system is told what will be read, and how many samples it takes without a byte from the
disk until that is given up: it costs a tenth of a read that finds its bytes in memory."""

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
        self._lock = Lock()
        self._drawn: OrderedDict[int, tuple[Positions, Positions]] = OrderedDict()
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
    def all_of_it(self) -> Ahead | None:
        """What fetches the whole share ahead, for a remote release."""
        return self._reader

    def reader(self, coming: Coming, total: int) -> Ahead | None:
        """Begin to fetch the rows of a sequence of samples ahead, for a remote release.

        Args:
            coming: A method that gives the lines of samples a to below b of the sequence. It is referred to weakly.
            total: How many there are.
        """
        network = self._samples.rows.release.network
        if self._network is None or self._table is None or network is None or not self._samples.images:
            return None
        return network.ahead(self._table, self._network.settings, coming, total)

    def lines(self, numbers: Positions) -> Positions:
        """Lines of the index in which some samples lie, both (n,) int64."""
        return self._samples.rows.numbers(self._samples.row_numbers(self._draw(numbers)[0]))

    def _lines(self, start: int, stop: int) -> Positions:
        return self.lines(np.arange(start, stop, dtype=np.int64))

    def take(self, numbers: Positions, read: list[Row] | None = None) -> list[Row]:
        """Read samples by their numbers, (n,) int64, in the order given.

        Args:
            numbers: In the share.
            read: Their rows, where they are there already.
        """
        samples, passes = self._draw(numbers)
        with self._watched(len(numbers)):
            return self._samples.fetch(samples, passes, whole=self._whole, rest=self._rest, rows=read)

    @property
    def asks(self) -> bool:
        """Whether it pays to say ahead of time what will be read."""
        return self._ask > 0

    def ahead(self, numbers: Positions) -> None:
        """Say that these samples will be read soon."""
        with self._watched(len(numbers)):
            self._samples.ahead(self._draw(numbers)[0])

    @contextlib.contextmanager
    def _watched(self, count: int) -> Iterator[None]:
        """Watch whether a disk is read from."""
        before = _disk_reads()
        yield
        self._ask = HOLD if _disk_reads() > before else max(0, self._ask - count)

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
    """Blocks that this thread has read from disks, where the system counts them."""
    return resource.getrusage(resource.RUSAGE_THREAD).ru_inblock if _COUNTED else 0


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
        rows = self._share.take(self._numbers(start, stop), read)
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

    def _lines(self, start: int, stop: int) -> Positions:
        return self._share.lines(self._numbers(start, stop))

    def _numbers(self, start: int, stop: int) -> Positions:
        """Numbers in the share of the worker's samples."""
        blocks, rest = np.divmod(np.arange(start, stop, dtype=np.int64), self._block)
        numbers: Positions = (blocks * self._workers + self._worker) * self._block + rest
        return numbers
