"""Weighted mixes over a network: each component goes through its own blocks, lane by lane."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from rs_gpt4v_builder.network.blocks import BlockOrder, by_hash, distinct, mix_key
from rs_gpt4v_builder.network.shelf import Shelf
from rs_gpt4v_builder.stream.mix import Component
from rs_gpt4v_builder.stream.order import FullOrder, Order, Positions, make_keys

WINDOW = 256
"""Positions of a lane in which the components have their shares, to a sample each; within it their order is random."""

FEW = 32
"""Samples a lane, below which a component is not divided among the lanes."""


@dataclass(frozen=True, slots=True)
class BlockComponent:
    """A component of a mix and its blocks.

    Attributes:
        component: Its name, share and samples.
        starts: First sample of each of its blocks, (blocks,) int64.
        sizes: Their numbers of samples, (blocks,) int64.
        depth: Blocks of a lane that are mixed.
    """

    component: Component
    starts: Positions
    sizes: Positions
    depth: int


class BlockMixOrder(Order):
    """Samples of several components in given shares, each from few blocks at a time.

    An epoch holds each component's share of it, to the sample, and each lane its part of that. In each lane a component
    goes through its blocks' part of that lane, then through that of the next pass; the next epoch goes on where this
    one stopped. So a component's samples are shown equally often; lanes may be ahead of each other by a pass or two in
    a long training. A component of few samples or blocks is for all lanes together, in a full permutation.

    Args:
        components: What is mixed.
        seed: Of the stream.
        epoch: Which order.
        lanes: Number of lanes.
    """

    def __init__(self, components: Sequence[BlockComponent], seed: int, epoch: int, lanes: int) -> None:
        super().__init__(epoch)
        self._components, self._seed, self._count = tuple(components), seed, lanes
        shares = [c.component.share for c in components]
        self._size = sum(shares)
        rests = [share % lanes for share in shares]
        # what does not divide goes to the lanes in turn, so that they are of equal length
        self._turns = [sum(rests[:number]) % lanes for number in range(len(shares))]
        self._lanes = [self._lane(lane) for lane in range(lanes)]
        self._windows: Shelf[tuple[int, int], tuple[Positions, Positions]] = Shelf(4 * lanes, lambda _: 1)
        self._orders: Shelf[tuple[int, int], Order] = Shelf(3 * len(shares), lambda _: 1)

    def __len__(self) -> int:
        return self._size

    def samples(self, positions: Positions) -> Positions:
        """Return the samples at some positions; see `Order.samples`."""
        return self._both(positions)[0]

    def passes(self, positions: Positions) -> Positions:
        """Return how many times the samples were shown before; see `Order.passes`."""
        return self._both(positions)[1]

    def _both(self, positions: Positions) -> tuple[Positions, Positions]:
        found = np.empty((2, len(positions)), np.int64)
        places, lanes = np.divmod(positions, self._count)
        for lane in distinct(lanes).tolist():
            here = np.flatnonzero(lanes == lane)
            starts = self._lanes[lane].sum(axis=1)
            windows = np.searchsorted(starts, places[here], side="right") - 1
            for window in distinct(windows).tolist():
                there = here[windows == window]
                content = self._windows.get((lane, window), partial(self._window, lane, window))
                found[:, there] = np.stack(content)[:, places[there] - starts[window]]
        return found[0], found[1]

    def _lane(self, lane: int) -> Positions:
        """How many samples of each component stand before each window of a lane, (windows + 1, components) int64."""
        counts = [
            c.component.share // self._count + ((lane - turn) % self._count < c.component.share % self._count)
            for c, turn in zip(self._components, self._turns, strict=True)
        ]
        windows = max(1, sum(counts) // WINDOW)
        # where a component has less than one sample a window, it begins somewhere, and not in the last of them
        offsets = [int(make_keys(f"{c.component.name}/{lane}", self._seed)[0]) % windows for c in self._components]
        steps = np.arange(windows + 1, dtype=np.int64)[:, None]
        before: Positions = (steps * np.array(counts, np.int64) + np.array(offsets, np.int64)) // windows
        return before

    def _window(self, lane: int, window: int) -> tuple[Positions, Positions]:
        """The samples of a window, and how many times they were shown before."""
        before, after = self._lanes[lane][window], self._lanes[lane][window + 1]
        numbers = np.repeat(np.arange(len(before), dtype=np.int64), after - before)
        key = mix_key("window", self._seed, self.epoch) ^ (lane << 40) ^ window
        numbers = numbers[by_hash(np.arange(len(numbers), dtype=np.int64), key)]
        samples, passes = np.empty(len(numbers), np.int64), np.empty(len(numbers), np.int64)
        for number in distinct(numbers).tolist():
            here = np.flatnonzero(numbers == number)
            draws = np.arange(before[number], after[number], dtype=np.int64)
            samples[here], passes[here] = self._draw(number, lane, draws)
        return samples, passes

    def _draw(self, number: int, lane: int, draws: Positions) -> tuple[Positions, Positions]:
        """Samples of one component: its draws of this epoch in a lane, by number."""
        chosen, own = self._components[number], (lane - self._turns[number]) % self._count
        lane_of = [self._lanes[other][-1][number] for other in range(self._count)]
        if self._few(chosen):
            size = chosen.component.size
            draws = draws + self.epoch * chosen.component.share + sum(lane_of[:lane])
        else:
            size = chosen.component.size // self._count + (own < chosen.component.size % self._count)
            draws = draws + self.epoch * int(lane_of[lane])
        passes, places = np.divmod(draws, size)
        samples = np.empty(len(draws), np.int64)
        for which in distinct(passes).tolist():
            here = passes == which
            samples[here] = self._places(number, which, own, places[here])
        return samples, passes

    def _few(self, chosen: BlockComponent) -> bool:
        """Whether all lanes draw from a component together."""
        return len(chosen.starts) < self._count or chosen.component.size < FEW * self._count

    def _places(self, number: int, which: int, own: int, places: Positions) -> Positions:
        """Samples at some places of one pass of a component."""
        chosen = self._components[number]
        order = self._orders.get((number, which), lambda: self._order(number, which))
        if isinstance(order, BlockOrder):
            return order.in_lane(own, places)
        numbers = order.samples(places)
        firsts = np.cumsum(chosen.sizes) - chosen.sizes
        at = np.searchsorted(firsts, numbers, side="right") - 1
        return chosen.starts[at] + numbers - firsts[at]

    def _order(self, number: int, which: int) -> Order:
        chosen = self._components[number]
        seed = int(make_keys(chosen.component.name, self._seed)[0])
        if self._few(chosen):
            return FullOrder(chosen.component.size, seed, which)
        return BlockOrder(chosen.starts, chosen.sizes, seed=seed, epoch=which, depth=chosen.depth, lanes=self._count)
