"""Weighted mixes: several tasks or sources in given shares, in one random order that is as exact as any other."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite

import numpy as np

from rs_gpt4v_builder.errors import OptionError
from rs_gpt4v_builder.stream.order import Order, Positions, make_keys, permute

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Part:
    """The samples of one shard.

    Attributes:
        task: Of its rows.
        source: Of its rows.
        start: Number of its first sample.
        stop: The number behind its last.
    """

    task: str
    source: str
    start: int
    stop: int

    def names(self) -> tuple[str, str, str]:
        """What a mix may call it."""
        return self.task, self.source, f"{self.task}/{self.source}"


@dataclass(frozen=True, slots=True)
class Component:
    """One part of a mix.

    Attributes:
        name: A task, a source or `task/source`.
        share: Samples of it in an epoch.
        ranges: Its samples: ranges of numbers, ascending.
    """

    name: str
    share: int
    ranges: tuple[tuple[int, int], ...]

    @property
    def size(self) -> int:
        """Number of samples."""
        return sum(stop - start for start, stop in self.ranges)


class MixOrder(Order):
    """Samples of several components in given shares, in a random order.

    Each component has its share of an epoch, to the sample, at places that a permutation scatters over the epoch. Its
    draws are counted over all epochs, and draw k is sample k mod size of its permutation number k div size: so one that
    is drawn more often than it has samples shows all of them equally often, and one that is drawn less often goes on in
    the next epoch where it stopped.
    """

    def __init__(self, components: Sequence[Component], seed: int, epoch: int) -> None:
        super().__init__(epoch)
        self._components = tuple(components)
        self._shares = np.array([component.share for component in components], np.int64)
        self._sizes = np.array([component.size for component in components], np.int64)
        self._ends = np.cumsum(self._shares)
        self._size = int(self._shares.sum())
        self._keys = make_keys("places", seed)
        self._own = [make_keys(f"component {component.name}", seed) for component in components]

    def __len__(self) -> int:
        return self._size

    def samples(self, positions: Positions) -> Positions:
        """Return the samples at some positions; see `Order.samples`."""
        found = np.empty(len(positions), np.int64)
        numbers, draws = self._draws(positions)
        for number, component in enumerate(self._components):
            here = numbers == number
            if here.any():
                passes, rest = np.divmod(draws[here], component.size)
                chosen = permute(rest, component.size, self._own[number], passes)
                found[here] = _in_ranges(chosen, component.ranges)
        return found

    def passes(self, positions: Positions) -> Positions:
        """Return how many times the samples were shown before; see `Order.passes`."""
        numbers, draws = self._draws(positions)
        passes: Positions = draws // self._sizes[numbers]
        return passes

    def _draws(self, positions: Positions) -> tuple[Positions, Positions]:
        """The component at each position, and which draw of the component it is."""
        epochs = np.full(len(positions), self.epoch, np.int64)
        places = permute(positions, self._size, self._keys, epochs)
        numbers = np.searchsorted(self._ends, places, side="right")
        shares = self._shares[numbers]
        return numbers, epochs * shares + places - (self._ends[numbers] - shares)


def plan_mix(mix: Mapping[str, float] | str, parts: Sequence[Part], temperature: float) -> tuple[Component, ...]:
    """Make the components of a mix.

    An epoch is as long as all their samples together.

    Args:
        mix: Weights by task, source or `task/source`; or `task` or `source`: each of them, with its size for a weight.
        parts: All samples that there are.
        temperature: Weights are taken to the power of 1 / temperature.

    Raises:
        OptionError: A name is not known or holds no samples, a weight is not above 0, two components overlap.
    """
    weights = _by_size(mix, parts) if isinstance(mix, str) else _checked(mix, parts)
    found: dict[str, list[tuple[int, int]]] = {name: [] for name in weights}
    left = 0
    for part in parts:
        names = [name for name in part.names() if name in found]
        if len(names) > 1:
            raise OptionError(f"mix: {names[0]!r} and {names[1]!r} both hold {part.names()[2]!r}: name each row once")
        if names:
            found[names[0]].append((part.start, part.stop))
        left += 0 if names else part.stop - part.start
    if left:
        log.warning("mix: %s samples belong to none of %s and are left out", f"{left:,}", ", ".join(weights))
    total = sum(stop - start for ranges in found.values() for start, stop in ranges)
    counts = shares(list(tempered(weights, temperature).values()), total)
    return tuple(
        Component(name, share, tuple(ranges)) for (name, ranges), share in zip(found.items(), counts, strict=True)
    )


def _by_size(mix: str, parts: Sequence[Part]) -> dict[str, float]:
    if mix not in ("task", "source"):
        raise OptionError.unknown("mix", mix, ("task", "source", "a dict of weights"))
    sizes: dict[str, float] = {}
    for part in parts:
        name = part.task if mix == "task" else part.source
        sizes[name] = sizes.get(name, 0) + part.stop - part.start
    if not any(sizes.values()):
        raise OptionError(f"mix={mix!r}: this config and split has no samples to mix")
    return {name: size for name, size in sizes.items() if size}


def _checked(mix: Mapping[str, float], parts: Sequence[Part]) -> dict[str, float]:
    known = dict.fromkeys(name for place in range(3) for name in (part.names()[place] for part in parts))
    if not isinstance(mix, Mapping):
        raise OptionError(f"mix={mix!r}: expected a dict of weights by name, or 'task' or 'source'")
    if not mix:
        raise OptionError(f"mix is empty: give weights of some of {', '.join(map(repr, known))}")
    for name, weight in mix.items():
        if name not in known:
            raise OptionError.unknown("mix", name, known)
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not (weight > 0 and isfinite(weight)):
            raise OptionError(f"mix: {name!r} has the weight {weight!r}: expected a number above 0")
        if not any(name in part.names() and part.stop > part.start for part in parts):
            raise OptionError(f"mix: {name!r} has no samples in this config and split: leave it out")
    return dict(mix)


def shares(weights: Sequence[float], total: int) -> list[int]:
    """Divide a number in the proportion of weights, by the largest remainders.

    Args:
        weights: Positive numbers.
        total: What is divided.

    Returns:
        Whole numbers that add up to it, each less than one away from its exact share.
    """
    whole = sum(weights)
    exact = [total * weight / whole for weight in weights]
    found = [int(share) for share in exact]
    by_rest = sorted(range(len(found)), key=lambda number: (found[number] - exact[number], number))
    for number in by_rest[: total - sum(found)]:
        found[number] += 1
    return found


def tempered(weights: Mapping[str, float], temperature: float) -> dict[str, float]:
    """Make the shares of a mix more alike: each weight to the power of 1 / temperature, with the sum 1.

    Raises:
        OptionError: The temperature is not above 0.
    """
    if not temperature > 0:
        raise OptionError(
            f"temperature={temperature!r}: expected a number above 0; 1 keeps the weights, a large one makes them alike"
        )
    top = max(weights.values())
    raised = {name: (weight / top) ** (1 / temperature) for name, weight in weights.items()}
    total = sum(raised.values())
    return {name: weight / total for name, weight in raised.items()}


def _in_ranges(numbers: Positions, ranges: Sequence[tuple[int, int]]) -> Positions:
    """Look up numbers in ranges that are laid one behind the other."""
    starts, stops = np.array(ranges, np.int64).T
    ends = np.cumsum(stops - starts)
    moves = stops - ends
    found: Positions = numbers + moves[np.searchsorted(ends, numbers, side="right")]
    return found
