"""How well an order of samples is mixed, in two figures."""

import itertools
from collections.abc import Sequence

from feed.data import CHUNKS

WINDOW = 64


def distinct_chunks(order: Sequence[int]) -> float:
    """Mean number of the container's `CHUNKS` equal parts that `WINDOW` consecutive samples come from."""
    size = -(-len(order) // CHUNKS)
    parts = [number // size for number in order]
    windows = range(0, len(parts) - WINDOW + 1, WINDOW)
    return sum(len(set(parts[start : start + WINDOW])) for start in windows) / len(windows)


def near_neighbours(order: Sequence[int]) -> float:
    """Share of consecutive samples whose places in the container are less than a chunk apart."""
    size = -(-len(order) // CHUNKS)
    return sum(abs(one - other) < size for one, other in itertools.pairwise(order)) / (len(order) - 1)
