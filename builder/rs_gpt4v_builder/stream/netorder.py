"""The order of a stream over a network: which blocks its samples lie in, and how they are mixed."""

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from rs_gpt4v_builder.network.blocks import MIXED, BlockOrder, BlockSettings, BlockTable, sample_blocks
from rs_gpt4v_builder.stream.blockmix import BlockComponent, BlockMixOrder
from rs_gpt4v_builder.stream.mix import Component, MixOrder
from rs_gpt4v_builder.stream.order import FullOrder, Order, Positions
from rs_gpt4v_builder.stream.samples import Samples

LEAST = 1 << 16
"""Smallest block of a component of a mix, bytes."""


class NetworkOrders:
    """Makes the order of each epoch of a remote stream.

    With a cache of images that holds all of them, epochs after the first are full permutations: by then the disk has
    what they need. Whether that is so is decided by sizes alone, not by what the disk has, so that all ranks agree.
    A mix goes by blocks in all epochs, since it goes on in an epoch where it stopped in the one before.

    Args:
        samples: All samples.
        seed: Of the stream.
        settings: How it is cut and mixed.
        mix: Components of a weighted mix; none is no mix.
    """

    def __init__(self, samples: Samples, seed: int, settings: BlockSettings, mix: Sequence[Component] = ()) -> None:
        self._samples, self._seed, self.settings, self._mix = samples, seed, settings, tuple(mix)

    @property
    def name(self) -> str:
        """All that the orders depend on beside seed and epoch, for the state."""
        s = self.settings
        small = "" if self._mix else ", small first"
        return f"blocks {s.block_bytes}/{s.window_bytes}/{s.lanes}{small}" + (", then full" if self._then_full else "")

    def epoch(self, epoch: int) -> Order:
        """The order of an epoch."""
        lanes = self.settings.lanes
        if self._mix:
            return BlockMixOrder(self._components, self._seed, epoch, lanes)
        if epoch and self._then_full:
            return FullOrder(len(self._samples), self._seed, epoch)
        starts, sizes = self._blocks
        depth = self.settings.depth
        return BlockOrder(starts, sizes, seed=self._seed, epoch=epoch, depth=depth, lanes=lanes, small=True)

    def table(self, order: Order) -> BlockTable:
        """What is fetched by one request each: the blocks, and where lanes cut them the parts."""
        network = self._samples.rows.release.network
        if network is not None and network.images is not None:
            return self._table  # on the disk there are whole blocks
        if isinstance(order, FullOrder | MixOrder):  # no two neighbours are needed at about the same time
            return BlockTable.singly(self._samples.rows.layout)
        if not isinstance(order, BlockOrder):
            return self._table
        lanes, heads = self._lines(order.cuts), self._lines(order.heads)
        # a row with samples in both lanes is a part of its own
        shared = [] if self._samples.counts() is None else [line + 1 for line in lanes]
        return self._table.cut([*lanes, *shared, *heads])

    def _lines(self, samples: Sequence[int]) -> list[int]:
        """Lines of the index of some samples."""
        rows = self._samples.rows
        found: list[int] = rows.numbers(self._samples.row_numbers(np.array(samples, np.int64))).tolist()
        return found

    @cached_property
    def _table(self) -> BlockTable:
        rows = self._samples.rows
        if self._mix:
            parts = zip(rows.shards, self._samples.parts(), strict=True)
            within = {shard.path: self._of(part.start) for (shard, _, _), part in parts}
            return BlockTable.of(rows.layout, {path: self._block(c) for path, c in within.items() if c is not None})
        network = rows.release.network
        if network is None:
            return BlockTable.of(rows.layout, self.settings.block_bytes)
        return network.table(rows.layout, self.settings.block_bytes)

    @cached_property
    def _blocks(self) -> tuple[Positions, Positions]:
        """First sample and number of samples of each block."""
        rows = self._samples.rows
        blocks = self._table.blocks(rows.numbers(np.arange(len(rows), dtype=np.int64)))
        return sample_blocks(blocks, self._samples.counts())

    @cached_property
    def _components(self) -> list[BlockComponent]:
        starts, sizes = self._blocks
        found = []
        for component in self._mix:
            inside = np.zeros(len(starts), bool)
            for start, stop in component.ranges:
                inside |= (start <= starts) & (starts < stop)
            depth = max(1, self._room(component) // (self._block(component) * self.settings.lanes))
            found.append(BlockComponent(component, starts[inside], sizes[inside], depth))
        return found

    def _of(self, sample: int) -> Component | None:
        """The component of a sample."""
        found = (c for c in self._mix if any(start <= sample < stop for start, stop in c.ranges))
        return next(found, None)

    def _block(self, component: Component) -> int:
        """Bytes of a component's blocks: so few that its share of the window holds two of them a lane."""
        return max(LEAST, min(self.settings.block_bytes, self._room(component) // (2 * self.settings.lanes)))

    def _room(self, component: Component) -> int:
        """A component's share of what is mixed, bytes."""
        total = sum(other.share for other in self._mix)
        return int(self.settings.window_bytes * MIXED) * component.share // total

    @cached_property
    def _then_full(self) -> bool:
        rows = self._samples.rows
        network = rows.release.network
        if network is None or self._mix:
            return False
        return network.keeps(int(np.maximum(rows.lines["length"], 0).sum()))
