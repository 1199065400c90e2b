"""The order of a stream over a network: which blocks its samples lie in, and how they are mixed."""

from functools import cached_property

import numpy as np

from .blocks import BlockOrder, BlockSettings, BlockTable, sample_blocks
from .order import FullOrder, Order, Positions
from .samples import Samples


class NetworkOrders:
    """Makes the order of each epoch of a remote stream.

    With a cache of images that holds all of them, epochs after the first are full permutations: by then the disk has
    what they need. Whether that is so is decided by sizes alone, not by what the disk has, so that all ranks agree.

    Args:
        samples: All samples.
        seed: Of the stream.
        settings: How it is cut and mixed.
    """

    def __init__(self, samples: Samples, seed: int, settings: BlockSettings) -> None:
        self._samples, self._seed, self.settings = samples, seed, settings

    @property
    def name(self) -> str:
        """All that the orders depend on beside seed and epoch, for the state."""
        s = self.settings
        return f"blocks {s.block_bytes}/{s.window_bytes}/{s.lanes}" + (", then full" if self._then_full else "")

    def epoch(self, epoch: int) -> Order:
        """The order of an epoch."""
        if epoch and self._then_full:
            return FullOrder(len(self._samples), self._seed, epoch)
        starts, sizes = self._blocks
        depth, lanes = self.settings.depth, self.settings.lanes
        return BlockOrder(starts, sizes, seed=self._seed, epoch=epoch, depth=depth, lanes=lanes)

    def table(self, order: Order) -> BlockTable:
        """What is fetched by one request each: the blocks, and where lanes cut them the parts."""
        network = self._samples.rows.release.network
        if not isinstance(order, BlockOrder) or (network is not None and network.images is not None):
            return self._table  # on the disk there are whole blocks
        rows = self._samples.row_numbers(np.array(order.cuts, np.int64))
        lines = self._samples.rows.numbers(rows)
        # a row with samples in both lanes is a part of its own
        return self._table.cut([*lines.tolist(), *(lines + 1).tolist()])

    @cached_property
    def _table(self) -> BlockTable:
        rows = self._samples.rows
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
    def _then_full(self) -> bool:
        network = self._samples.rows.release.network
        return network is not None and network.keeps(int(np.maximum(self._samples.rows.lines["length"], 0).sum()))
