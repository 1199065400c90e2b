"""Counters whose memory does not grow with what they count, or by eight bytes a distinct image."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

HIGHEST = 100_000
"""Numbers of a `Histogram` are told apart up to here; what is above counts as this much in its percentiles."""

DISTINCT = 50_000
"""Texts that a `Frequencies` keeps apart exactly."""

RECENT = 50_000
"""Numbers that a `Distinct` holds loosely before it packs them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """How some numbers are distributed.

    A percentile is one of the numbers: the smallest one that at least that share of them does not exceed.
    """

    count: int
    min: float
    p5: float
    p25: float
    median: float
    mean: float
    p75: float
    p95: float
    max: float


class Histogram:
    """How often each of the whole numbers from 0 occurs.

    Args:
        scale: What a number stands for: 0.1 where tenths are counted.
    """

    def __init__(self, scale: float = 1) -> None:
        self.scale = scale
        self.counts: NDArray[np.int64] = np.zeros(0, np.int64)
        self.total, self.sum, self.least, self.most = 0, 0, 0, 0

    def add(self, numbers: NDArray[np.int64]) -> None:
        """Count numbers."""
        if not len(numbers):
            return
        low, high = int(numbers.min()), int(numbers.max())
        self.least = min(self.least, low) if self.total else low
        self.most = max(self.most, high)
        self.total += len(numbers)
        self.sum += int(numbers.sum())
        self._add_counts(np.bincount(np.minimum(numbers, HIGHEST)))

    def merge(self, other: "Histogram") -> None:
        """Count what another one of the same scale has counted."""
        if not other.total:
            return
        self.least = min(self.least, other.least) if self.total else other.least
        self.most = max(self.most, other.most)
        self.total += other.total
        self.sum += other.sum
        self._add_counts(other.counts)

    def _add_counts(self, counts: NDArray[np.int64]) -> None:
        if len(counts) > len(self.counts):
            self.counts = np.concatenate([self.counts, np.zeros(len(counts) - len(self.counts), np.int64)])
        self.counts[: len(counts)] += counts

    def summary(self) -> Summary | None:
        """How the numbers are distributed, or None where there are none."""
        if not self.total:
            return None
        ranks = np.ceil(np.array([0.05, 0.25, 0.5, 0.75, 0.95]) * self.total - 1e-9)
        found = np.searchsorted(np.cumsum(self.counts), np.maximum(ranks, 1))
        p5, p25, median, p75, p95 = (self._scaled(int(n)) for n in found)
        return Summary(
            count=self.total, min=self._scaled(self.least), p5=p5, p25=p25, median=median,
            mean=round(self.sum / self.total * self.scale, 4), p75=p75, p95=p95, max=self._scaled(self.most),
        )  # fmt: skip

    def _scaled(self, number: int) -> float:
        return number if self.scale == 1 else round(number * self.scale, 6)


class Frequencies:
    """How often each of many texts occurs.

    Exact up to `DISTINCT` different texts. Beyond it the rarer half is forgotten each time that there are too many: the
    frequent ones stay, and a count is then too low by `missed` at most.
    """

    def __init__(self, limit: int = DISTINCT) -> None:
        self.limit = limit
        self.counts: dict[str, int] = {}
        self.total = 0
        self.missed = 0

    def add(self, text: str, count: int = 1) -> None:
        """Count a text."""
        self.counts[text] = self.counts.get(text, 0) + count
        self.total += count
        if len(self.counts) > self.limit:
            order = self.top(len(self.counts))
            self.missed += order[self.limit // 2][1]
            self.counts = dict(order[: self.limit // 2])

    def top(self, count: int) -> list[tuple[str, int]]:
        """The most frequent texts and their counts; equally frequent ones in alphabetical order."""
        return sorted(self.counts.items(), key=lambda item: (-item[1], item[0]))[:count]


class Distinct:
    """A set of numbers from 0 to 2**64 - 1, at eight bytes each."""

    def __init__(self) -> None:
        self._packed: NDArray[np.uint64] = np.zeros(0, np.uint64)
        self._recent: set[int] = set()

    def __len__(self) -> int:
        return len(self._packed) + len(self._recent)

    def add(self, numbers: Sequence[int]) -> list[bool]:
        """Add numbers.

        Returns:
            Of each, whether it was new.
        """
        wanted = np.array(numbers, np.uint64)
        places = np.searchsorted(self._packed, wanted)
        packed = np.zeros(len(wanted), bool)
        inside = places < len(self._packed)
        packed[inside] = self._packed[places[inside]] == wanted[inside]
        new = []
        for number, known in zip(numbers, packed.tolist(), strict=True):
            new.append(not known and number not in self._recent)
            if new[-1]:
                self._recent.add(number)
        if len(self._recent) > RECENT:
            self._packed, self._recent = self.array(), set()
        return new

    def array(self) -> NDArray[np.uint64]:
        """All numbers in ascending order."""
        recent = np.fromiter(self._recent, np.uint64, len(self._recent))
        return np.sort(np.concatenate([self._packed, recent]))


def union(sets: Sequence[Distinct]) -> int:
    """How many different numbers some sets hold together."""
    return len(np.unique(np.concatenate([s.array() for s in sets]))) if sets else 0
