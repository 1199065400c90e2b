"""The order of an epoch: which sample stands at which position, computed for any position without a table.

`permute` is a permutation of 0 … n-1 that is given by a key alone: a Feistel network over a grid of rows and columns,
each round of which shifts one coordinate by a hash of the other, and so can be undone. The grid has a few cells more
than there are samples; whoever lands on one of those walks on until it is back inside. So a stream needs no list of
what comes next, its state is a number, and any process can compute any part of the same order.
"""

import hashlib
from abc import ABC, abstractmethod
from math import isqrt

import numpy as np
import numpy.typing as npt

Positions = npt.NDArray[np.int64]

ROUNDS, MORE, SMALL = 8, 32, 4096
"""Rounds of the network, and those below `SMALL` samples, where a round has little to shift by."""


class Order(ABC):
    """The order of one epoch. Immutable; may be asked from several threads."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    @abstractmethod
    def __len__(self) -> int:
        """Samples of the epoch."""

    @abstractmethod
    def samples(self, positions: Positions) -> Positions:
        """Return the numbers of the samples at some positions of the epoch, both (n,) int64."""

    def passes(self, positions: Positions) -> Positions:
        """Return how many times the samples at these positions were shown before them, (n,) int64.

        It decides which part of a row is shown, so that each part gets its turn.
        """
        return np.full(len(positions), self.epoch, np.int64)


class InOrder(Order):
    """The samples as the release has them."""

    def __init__(self, size: int, epoch: int) -> None:
        super().__init__(epoch)
        self._size = size

    def __len__(self) -> int:
        return self._size

    def samples(self, positions: Positions) -> Positions:
        """Return the positions themselves."""
        return positions


class FullOrder(Order):
    """All samples in an order drawn from all their orders, a function of the seed and the epoch."""

    def __init__(self, size: int, seed: int, epoch: int) -> None:
        super().__init__(epoch)
        self._size, self._keys = size, make_keys("order", seed)

    def __len__(self) -> int:
        return self._size

    def samples(self, positions: Positions) -> Positions:
        """Return the samples at some positions; see `Order.samples`."""
        return permute(positions, self._size, self._keys, self.passes(positions))


def make_keys(name: str, seed: int) -> npt.NDArray[np.uint64]:
    """Make the keys of a network's rounds, (MORE,) uint64, from a name and a seed."""
    digest = hashlib.shake_128(f"{name}/{seed}".encode()).digest(8 * MORE)
    return np.frombuffer(digest, "<u8").astype(np.uint64)


def permute(positions: Positions, size: int, keys: npt.NDArray[np.uint64], which: Positions) -> Positions:
    """Permute numbers.

    Args:
        positions: Numbers from 0 to below `size`, (n,) int64.
        size: How many numbers there are.
        keys: Of the family of permutations: `make_keys`.
        which: Number of the permutation for each position, (n,) int64.

    Returns:
        Where each number goes, (n,) int64.
    """
    if size < 2:
        return positions.copy()
    rows = (isqrt(size - 1) + 2) // 2 * 2  # even, or else no permutation of the grid would be an odd one
    columns = -(-size // rows)
    tweaks = which.astype(np.uint64) * np.uint64(_TWEAK)
    found = _once(positions, rows, columns, keys, tweaks)
    outside = np.flatnonzero(found >= size)
    while len(outside):
        found[outside] = _once(found[outside], rows, columns, keys, tweaks[outside])
        outside = outside[found[outside] >= size]
    return found


def _once(
    numbers: Positions, rows: int, columns: int, keys: npt.NDArray[np.uint64], tweaks: npt.NDArray[np.uint64]
) -> Positions:
    """Run the network once: a permutation of the cells of a grid."""
    row, column = np.divmod(numbers.astype(np.uint64), np.uint64(columns))
    for number in range(0, MORE if rows * columns < SMALL else ROUNDS, 2):
        row = (row + _hash(column, keys[number] + tweaks)) % np.uint64(rows)
        column = (column + _hash(row, keys[number + 1] + tweaks)) % np.uint64(columns)
    return (row * np.uint64(columns) + column).astype(np.int64)


_TWEAK, _MULTIPLIER, _SECOND = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


def _hash(values: npt.NDArray[np.uint64], key: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Hash numbers to 32 bits (the finalizer of splitmix64 on the sum with the key)."""
    mixed = (values ^ key) * np.uint64(_MULTIPLIER)
    mixed ^= mixed >> np.uint64(29)
    mixed *= np.uint64(_SECOND)
    return mixed >> np.uint64(32)
