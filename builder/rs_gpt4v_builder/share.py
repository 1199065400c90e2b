"""A rank's part of the rest of an epoch, and the part of it that one worker of a data loader reads."""

from collections.abc import Mapping
from time import perf_counter
from typing import Any

import numpy as np

from .order import Order, Positions
from .samples import Samples
from .text import Row

SLOW = 60e-6
"""Seconds a row, above which rows come from a disk and not from memory. Then it pays to ask for them ahead of time."""

AHEAD, HOLD = 256, 4096
"""How many samples ahead that is, and for how many it is taken for granted before it is looked at again."""


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
        head: Mapping[str, Any],
    ) -> None:
        self._samples, self._order, self._whole, self._head = samples, order, whole, head
        self._start, self._rank, self._world = start, rank, world_size
        left = len(order) - start
        self._count = -(-left // world_size) if repeat else left // world_size
        self._ask = 0  # for so many samples more the system is told what comes

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

    def take(self, numbers: Positions) -> list[Row]:
        """Read samples by their numbers, (n,) int64, in the order given."""
        positions = self._positions(numbers)
        samples, passes = self._order.samples(positions), self._order.passes(positions)
        begun = perf_counter()
        rows = self._samples.fetch(samples, passes, whole=self._whole)
        slow = perf_counter() - begun > SLOW * len(rows)
        self._ask = HOLD if slow else max(0, self._ask - len(rows))
        return rows

    @property
    def asks(self) -> bool:
        """Whether it pays to say ahead of time what will be read."""
        return self._ask > 0

    def ahead(self, numbers: Positions) -> None:
        """Say that these samples will be read soon."""
        self._samples.ahead(self._order.samples(self._positions(numbers)))

    def _positions(self, numbers: Positions) -> Positions:
        """Positions in the epoch; those behind its end are its first ones again."""
        return (self._start + self._rank + numbers * self._world) % len(self._order)


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

    def __len__(self) -> int:
        blocks, rest = divmod(len(self._share), self._block)
        own = -(-(blocks - self._worker) // self._workers)
        return max(0, own) * self._block + (rest if blocks % self._workers == self._worker else 0)

    def fetch(self, start: int, stop: int) -> list[Row]:
        """Read the worker's samples `start` to below `stop`, in order."""
        stop = min(stop, len(self))
        if start >= stop:
            return []
        rows = self._share.take(self._numbers(start, stop))
        first, last = start + AHEAD, min(stop + AHEAD, len(self))
        if self._share.asks and first < last:
            self._share.ahead(self._numbers(first, last))
        return rows

    def _numbers(self, start: int, stop: int) -> Positions:
        """Numbers in the share of the worker's samples."""
        blocks, rest = np.divmod(np.arange(start, stop, dtype=np.int64), self._block)
        numbers: Positions = (blocks * self._workers + self._worker) * self._block + rest
        return numbers
