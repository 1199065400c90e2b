"""The order of an epoch over a network: blocks of neighbouring rows, mixed inside a window.

One request an image is too many, and all images at once are too much. So a row group's images are cut into blocks of a
few MB, each of which is one request, and an epoch's order is made so that few blocks are needed at a time:

- The blocks are permuted. Laid one behind the other they are a line of all samples, cut into `lanes` parts of equal
  length. Position p of the epoch belongs to lane p mod `lanes`: so ranks that divide the lanes among them never need
  each other's bytes.
- A block's samples, permuted, are dealt out evenly to the next `depth` cells of its lane: block b to the cells b,
  b + 1, … Cells come one after the other, each permuted. So one block comes and one goes with each cell, `depth` of
  them are in use in each lane, and the first sample needs one block only.
- A lane may begin small: its first samples are cut off as pieces that grow twofold, each a request and a cell of its
  own. So the first batches come with the first bytes, and not when a whole block of every lane is there.

All of it is a function of (seed, epoch) and the sizes: any position can be asked for, without those before it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rs_gpt4v_builder.errors import OptionError
from rs_gpt4v_builder.network.shelf import Shelf
from rs_gpt4v_builder.release.index import UNKNOWN, Index, Lines, Shard
from rs_gpt4v_builder.stream.order import Order, Positions, make_keys, permute

BLOCK_BYTES, WINDOW_BYTES, LANES = 4 << 20, 256 << 20, 8

MIXED = 0.75
"""Share of the window whose blocks are mixed; the rest is for blocks that are fetched ahead."""


SMALLER, SMALL_PIECES = 32, 3
"""A lane that begins small: by how much its first piece is smaller than a block, and number of pieces that grow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockSettings:
    """How a remote stream is cut and mixed. The order of its samples depends on them.

    Attributes:
        block_bytes: Bytes of images in one request, about.
        window_bytes: Bytes of images that all ranks together hold at a time.
        lanes: Parts that are read side by side. A number of ranks that divides it gives each rank bytes of its own.

    Raises:
        OptionError: A number is not positive, or the window holds less than two blocks a lane.
    """

    block_bytes: int = BLOCK_BYTES
    window_bytes: int = WINDOW_BYTES
    lanes: int = LANES

    def __post_init__(self) -> None:
        if min(self.block_bytes, self.window_bytes, self.lanes) < 1:
            raise OptionError(f"{self}: expected positive numbers")
        if self.window_bytes < 2 * self.block_bytes * self.lanes:
            least = 2 * self.block_bytes * self.lanes
            raise OptionError(
                f"window_bytes={self.window_bytes:,} is less than two blocks for each of {self.lanes} lanes: give it "
                f"{least:,} bytes or more, or make the blocks smaller"
            )

    @property
    def depth(self) -> int:
        """Blocks of a lane that are mixed."""
        return max(1, int(self.window_bytes * MIXED) // (self.block_bytes * self.lanes))


class Span(NamedTuple):
    """Some neighbouring lines of one row group, and where their images lie."""

    shard: Shard
    first: int  # line
    stop: int  # the line behind the last
    start: int  # first byte of the images in the shard; equal to `end` where there are none
    end: int
    group: int  # row group
    ranged: bool  # whether the images are byte ranges; else their row group has to be read


class Around(NamedTuple):
    """What lies around the images of a row group: its other columns, and maybe some of its neighbours."""

    before: tuple[int, int]  # from the images of the row group before it, or the start of the file
    behind: tuple[int, int]  # up to the images of the next one, or the end of the file
    groups: int  # row groups of the shard

    @property
    def bytes(self) -> int:
        """All of it."""
        return sum(end - start for start, end in (self.before, self.behind))


class BlockTable:
    """The blocks of an index: where each begins.

    Attributes:
        starts: First line of each block, (blocks + 1,) int64; the last is the number of lines.
    """

    def __init__(self, index: Index, starts: Positions) -> None:
        self.index, self.starts = index, starts
        self._ends = np.array([shard.stop for shard in index.shards], np.int64)

    @classmethod
    def of(cls, index: Index, block_bytes: int | Mapping[str, int]) -> "BlockTable":
        """Cut the row groups of an index into blocks of equal size, at most about `block_bytes` (may be by shard)."""
        sizes = (
            dict.fromkeys((s.path for s in index.shards), block_bytes) if isinstance(block_bytes, int) else block_bytes
        )
        parts = [_cut(index, shard, sizes.get(shard.path, BLOCK_BYTES)) for shard in index.shards if shard.rows]
        return cls(index, np.concatenate([*parts, np.array([len(index.lines)], np.int64)]))

    @classmethod
    def singly(cls, index: Index) -> "BlockTable":
        """Blocks of one line each."""
        return cls(index, np.arange(len(index.lines) + 1, dtype=np.int64))

    def cut(self, lines: Sequence[int]) -> "BlockTable":
        """The same blocks, further cut before some lines."""
        return BlockTable(self.index, distinct(np.concatenate([self.starts, np.asarray(lines, np.int64)])))

    def blocks(self, lines: Positions) -> Positions:
        """The block of each line, both (n,) int64."""
        return np.searchsorted(self.starts, lines, side="right") - 1

    def block(self, line: int) -> int:
        """The block of one line."""
        return int(np.searchsorted(self.starts, line, side="right")) - 1

    def span(self, block: int) -> Span:
        """Where a block lies."""
        return self._span(int(self.starts[block]), int(self.starts[block + 1]))

    def single(self, line: int) -> Span:
        """Where one line's image lies."""
        return self._span(line, line + 1)

    def around(self, shard: Shard, group: int) -> Around | None:
        """What lies around a row group's images; None where the index does not say."""
        lines = self.index.lines[shard.start : shard.stop]
        first, stop = np.searchsorted(lines["group"], [group, group + 1]).tolist()
        own = _images(lines[first:stop])
        before = (0, 0) if first == 0 else _images(lines[:first][lines["group"][:first] == group - 1])
        behind = (shard.bytes, 0) if stop == len(lines) else _images(lines[stop:][lines["group"][stop:] == group + 1])
        if own is None or before is None or behind is None:
            return None
        return Around((before[1], own[0]), (own[1], behind[0]), int(lines["group"][-1]) + 1)

    def _span(self, first: int, stop: int) -> Span:
        shard = self.index.shards[int(np.searchsorted(self._ends, first, side="right"))]
        lines = self.index.lines[first:stop]
        group, images = int(lines["group"][0]), _images(lines)
        if images is None:
            return Span(shard, first, stop, 0, 0, group, not (lines["offset"] == UNKNOWN).any())
        return Span(shard, first, stop, *images, group, True)


def _images(lines: Lines) -> tuple[int, int] | None:
    """First byte of the images of some lines, and the one behind their last; None where they have none."""
    lines = lines[lines["offset"] >= 0]
    if not len(lines):
        return None
    return int(lines["offset"].min()), int((lines["offset"] + lines["length"]).max())


def _cut(index: Index, shard: Shard, block_bytes: int) -> Positions:
    """First lines of the blocks of one shard."""
    lines = index.lines[shard.start : shard.stop]
    lengths = np.maximum(lines["length"], 0).astype(np.int64)
    before = np.cumsum(lengths) - lengths
    firsts = np.flatnonzero(np.diff(lines["group"], prepend=-1))
    new_group = np.zeros(len(lines), bool)
    new_group[firsts] = True
    group = np.cumsum(new_group) - 1
    totals = np.add.reduceat(lengths, firsts)
    counts = -(-totals // block_bytes)
    part = (before - before[firsts][group]) * counts[group] // np.maximum(totals, 1)[group]
    new = (np.diff(group, prepend=-1) != 0) | (np.diff(part, prepend=-1) != 0)
    return np.flatnonzero(new) + shard.start


def distinct(numbers: Positions) -> Positions:
    """Different numbers, in order: `np.unique`, which imports `numpy.ma` the first time, 20 ms."""
    ordered = np.sort(numbers)
    return ordered[np.flatnonzero(np.diff(ordered, prepend=ordered[:1] - 1))]


def sample_blocks(blocks: Positions, counts: Positions | None) -> tuple[Positions, Positions]:
    """Find the samples of each block.

    Args:
        blocks: The block of each row, in the rows' order, (rows,) int64.
        counts: Samples of each row, (rows,) int64; None is one each.

    Returns:
        First sample of each run of rows that are in one block, and the number of its samples, both (runs,) int64.
    """
    if not len(blocks):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    firsts = np.flatnonzero(np.diff(blocks, prepend=-1))
    sizes = np.add.reduceat(np.ones(len(blocks), np.int64) if counts is None else counts.astype(np.int64), firsts)
    filled = sizes > 0
    return (np.cumsum(sizes) - sizes)[filled], sizes[filled]


class BlockOrder(Order):
    """All samples, block by block, mixed inside a window; see the module.

    Args:
        starts: First sample of each block, (blocks,) int64.
        sizes: Samples of each block, at least one, (blocks,) int64.
        seed: Of the stream.
        epoch: Which order.
        depth: Blocks of a lane that are mixed.
        lanes: Number of lanes.
        small: Whether lanes begin small.
    """

    def __init__(
        self,
        starts: Positions,
        sizes: Positions,
        *,
        seed: int,
        epoch: int,
        depth: int,
        lanes: int,
        small: bool = False,
    ) -> None:
        super().__init__(epoch)
        count = len(starts)
        epochs = np.full(count, epoch, np.int64)
        order = permute(np.arange(count, dtype=np.int64), count, make_keys("blocks", seed), epochs)
        self._size = int(sizes.sum())
        key = mix_key("mix", seed, epoch)
        head = max(1, self._size // (SMALLER * count)) if small and count else 0
        self._lanes = _cut_lanes(starts[order], sizes[order], depth, lanes, key, head)
        self._cells: Shelf[tuple[int, int], Positions] = Shelf(4 * lanes, lambda _: 1)

    def __len__(self) -> int:
        return self._size

    @cached_property
    def cuts(self) -> list[int]:
        """Samples before which a lane begins in the middle of a block."""
        return [int(lane.first[0]) for lane in self._lanes if len(lane.first)]

    @cached_property
    def heads(self) -> list[int]:
        """Samples before which a small piece at the begin of a lane begins or the last one has ended."""
        return [sample for lane in self._lanes for sample in lane.first[1 : lane.heads + 1].tolist()]

    def samples(self, positions: Positions) -> Positions:
        """Return the samples at some positions; see `Order.samples`."""
        found = np.empty(len(positions), np.int64)
        places, lanes = np.divmod(positions, len(self._lanes))
        for number in distinct(lanes).tolist():
            here = np.flatnonzero(lanes == number)
            found[here] = self.in_lane(number, places[here])
        return found

    def in_lane(self, number: int, places: Positions) -> Positions:
        """Return the samples at some places of one lane, both (n,) int64."""
        lane, found = self._lanes[number], np.empty(len(places), np.int64)
        cells = np.searchsorted(lane.ends, places, side="right")
        for cell in distinct(cells).tolist():
            here = np.flatnonzero(cells == cell)
            content = self._cells.get((number, cell), partial(lane.cell, cell))
            found[here] = content[places[here] - (lane.ends[cell] - len(content))]
        return found


class _Lane:
    """A part of the line of blocks, dealt out to cells.

    Attributes:
        first: First sample of each piece (a block, or what of it is in this lane), (pieces,) int64.
        heads: Pieces that go wholly into one cell.
        ends: Samples up to the end of each cell, (cells,) int64.
    """

    def __init__(self, first: Positions, count: Positions, depth: int, key: int, heads: int) -> None:
        self.first, self.heads, self._count, self._depth, self._key = first, heads, count, depth, key
        self._permuted: Shelf[int, Positions] = Shelf(2 * depth, lambda _: 1)
        self._depths = np.where(np.arange(len(first)) < heads, 1, depth)  # cells over which a piece is dealt out
        self._phases = (_mix(first.astype(np.uint64), key) % self._depths.astype(np.uint64)).astype(np.int64)
        cells = np.zeros(len(first) + depth - 1 if len(first) else 0, np.int64)
        every = np.arange(len(first))
        for number in range(depth):
            cells[number : number + len(first)] += self._dealt(every, number + 1) - self._dealt(every, number)
        self.ends = np.cumsum(cells)

    def cell(self, cell: int) -> Positions:
        """The samples of a cell, in order."""
        parts = [self._part(piece, cell - piece) for piece in range(max(0, cell - self._depth + 1), self._stop(cell))]
        content = np.concatenate(parts)
        mixed: Positions = content[by_hash(content, self._key ^ (cell * _GOLDEN & _MASK))]
        return mixed

    def _stop(self, cell: int) -> int:
        return min(cell + 1, len(self.first))

    def _part(self, piece: int, number: int) -> Positions:
        """What a piece deals out to one of its cells."""
        count, phase, depth = int(self._count[piece]), int(self._phases[piece]), int(self._depths[piece])
        start, stop = (min(max(0, -(-(cells * count - phase) // depth)), count) for cells in (number, number + 1))
        if start == stop:
            return _NONE
        return self._permuted.get(piece, lambda: self._permute(piece))[start:stop]

    def _permute(self, piece: int) -> Positions:
        own = np.arange(self.first[piece], self.first[piece] + self._count[piece], dtype=np.int64)
        permuted: Positions = own[by_hash(own, self._key ^ _INSIDE)]
        return permuted

    def _dealt(self, pieces: Positions, cells: int) -> Positions:
        """How many samples of some pieces are in the first `cells` of their cells."""
        count = self._count[pieces]
        dealt: Positions = np.clip(-(-(cells * count - self._phases[pieces]) // self._depths[pieces]), 0, count)
        return dealt


def _cut_lanes(starts: Positions, sizes: Positions, depth: int, lanes: int, key: int, head: int) -> list[_Lane]:
    """Cut the line of blocks into lanes of equal length (the first ones have one sample more).

    The first small piece of a lane has `head` samples; 0 is no small ones.
    """
    ends = np.cumsum(sizes)
    total = int(ends[-1]) if len(ends) else 0
    bounds = [lane * (total // lanes) + min(lane, total % lanes) for lane in range(lanes + 1)]
    made = []
    for low, high in pairwise(bounds):
        first, stop = np.searchsorted(ends, low, side="right"), np.searchsorted(ends, high, side="left") + 1
        part = slice(first, stop if high > low else first)
        begin = np.maximum(ends[part] - sizes[part], low)
        count = np.minimum(ends[part], high) - begin
        pieces, counts, heads = _begun_small(starts[part] + begin - (ends[part] - sizes[part]), count, head)
        made.append(_Lane(pieces, counts, depth, key, heads))
    return made


def _begun_small(first: Positions, count: Positions, head: int) -> tuple[Positions, Positions, int]:
    """Cut a lane's pieces where small ones end: first samples and counts of all, and the number of small ones."""
    if not head or not len(first):
        return first, count, 0
    ends = np.cumsum(count)
    cuts = np.cumsum([head << step for step in range(SMALL_PIECES)])
    stops = distinct(np.concatenate([ends, cuts[cuts < ends[-1]]]))
    starts = np.concatenate([ends[:1] * 0, stops[:-1]])
    piece = np.searchsorted(ends, starts, side="right")
    return first[piece] + starts - (ends - count)[piece], stops - starts, int((stops <= cuts[-1]).sum())


_NONE = np.empty(0, np.int64)
_GOLDEN, _MASK, _INSIDE = 0x9E3779B97F4A7C15, (1 << 64) - 1, 0xD1B54A32D192ED03


def _mix(values: npt.NDArray[np.uint64], key: int) -> npt.NDArray[np.uint64]:
    """Hash numbers to 64 bits (splitmix64)."""
    mixed = (values + np.uint64(1)) * np.uint64(_GOLDEN) ^ np.uint64(key)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def mix_key(name: str, seed: int, epoch: int) -> int:
    """Make a key of 64 bits."""
    return int(make_keys(name, seed)[0]) ^ (epoch * _GOLDEN & _MASK)


def by_hash(samples: Positions, key: int) -> npt.NDArray[np.intp]:
    """The order of some samples by their hash, (n,)."""
    return np.argsort(_mix(samples.astype(np.uint64), key), kind="stable")
