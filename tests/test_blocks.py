"""The order of a remote epoch: every sample once, from few blocks at a time, computed at any position."""

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rs_gpt4v_builder.errors import OptionError
from rs_gpt4v_builder.network.blocks import Around, BlockOrder, BlockSettings, BlockTable, sample_blocks
from rs_gpt4v_builder.release.index import LINE, NULL, UNKNOWN, Index, Shard
from rs_gpt4v_builder.stream.blockmix import BlockComponent, BlockMixOrder
from rs_gpt4v_builder.stream.mix import Component, shares
from rs_gpt4v_builder.stream.order import FullOrder, Positions

QUICK = settings(max_examples=25)


def laid_out(sizes: list[int]) -> tuple[Positions, Positions]:
    """Blocks one behind the other."""
    counts = np.array(sizes, np.int64)
    return np.cumsum(counts) - counts, counts


def make(sizes: list[int], **options: Any) -> BlockOrder:
    return BlockOrder(*laid_out(sizes), **{"seed": 0, "epoch": 0, "depth": 3, "lanes": 4} | options)


def whole(order: Any) -> Positions:
    return order.samples(np.arange(len(order), dtype=np.int64))


sizes = st.lists(st.integers(1, 30), min_size=0, max_size=40)


@QUICK
@given(
    sizes=st.lists(st.integers(1, 90), max_size=40), depth=st.integers(1, 9), lanes=st.integers(1, 9),
    seed=st.integers(0, 5), epoch=st.integers(0, 5), small=st.booleans(),
)  # fmt: skip
def test_every_sample_comes_once(sizes: list[int], depth: int, lanes: int, seed: int, epoch: int, small: bool) -> None:
    order = make(sizes, depth=depth, lanes=lanes, seed=seed, epoch=epoch, small=small)
    assert len(order) == sum(sizes)
    assert sorted(whole(order).tolist()) == list(range(sum(sizes)))


@QUICK
@given(sizes=sizes.filter(bool), data=st.data(), small=st.booleans())
def test_any_position_can_be_asked_for(sizes: list[int], data: st.DataObject, small: bool) -> None:
    want = whole(make(sizes, small=small))
    asked = data.draw(st.lists(st.integers(0, len(want) - 1)))
    assert make(sizes, small=small).samples(np.array(asked, np.int64)).tolist() == want[asked].tolist()


def test_another_seed_or_epoch_is_another_order() -> None:
    sizes = [20] * 30
    orders = [whole(make(sizes, seed=seed, epoch=epoch)).tolist() for seed in (0, 1) for epoch in (0, 1)]
    assert len({tuple(order) for order in orders}) == 4
    assert orders[0] == whole(make(sizes)).tolist()


def test_the_order_is_what_it_always_was() -> None:
    assert whole(make([3, 2, 4, 1, 5], lanes=2, depth=2, seed=7, epoch=1)).tolist() == [
        13, 8, 10, 4, 11, 9, 7, 3, 14, 2, 12, 1, 6, 0, 5
    ]  # fmt: skip
    assert whole(make([9, 12], lanes=2, depth=2, seed=7, epoch=1, small=True)).tolist() == [
        0, 11, 2, 12, 1, 13, 3, 14, 5, 17, 6, 16, 4, 15, 7, 20, 8, 19, 10, 18, 9
    ]  # fmt: skip


@QUICK
@given(sizes=sizes.filter(bool), depth=st.integers(1, 9), lanes=st.integers(1, 9))
def test_few_blocks_are_in_use_at_a_time(sizes: list[int], depth: int, lanes: int) -> None:
    order = make(sizes, depth=depth, lanes=lanes)
    block_of = np.repeat(np.arange(len(sizes)), sizes)
    blocks = [block_of[whole(order)[lane::lanes]].tolist() for lane in range(lanes)]
    for lane in blocks:
        first = {block: lane.index(block) for block in lane}
        last = {block: len(lane) - lane[::-1].index(block) for block in lane}
        for place in range(len(lane)):
            # a cell is in a random order: it may begin with the newest of its blocks and end with the oldest
            assert sum(first[block] <= place < last[block] for block in first) <= depth + 1
    # lanes have blocks of their own, but for those that are cut between two
    assert sum(len(set(lane)) for lane in blocks) <= len(sizes) + lanes - 1


def test_cuts_are_where_lanes_begin_in_a_block() -> None:
    order = make([10] * 6, lanes=4)
    block_of = np.repeat(np.arange(6), 10)
    for lane in range(4):
        samples = np.sort(whole(order)[lane::4])
        for block in set(block_of[samples].tolist()):
            own = samples[block_of[samples] == block]
            assert own[0] == block * 10 or own[0] in order.cuts
            assert own.tolist() == list(range(own[0], own[0] + len(own)))


def test_lanes_that_begin_small_need_few_samples_at_first() -> None:
    order = make([160] * 40, depth=6, lanes=8, small=True)
    for lane in range(8):
        own = whole(order)[lane::8]
        for start, stop in ((0, 5), (5, 15), (15, 35)):  # 160 / 32 samples, then twice as many each time
            piece = np.sort(own[start:stop])
            # neighbours, of two blocks where the lane begins just before the end of one
            assert (np.diff(piece) != 1).sum() <= 1
            assert {piece[0]} & {*order.cuts, *order.heads}
    assert len(order.heads) <= 8 * 4


def figures(order: Positions, per_chunk: int) -> tuple[float, float]:
    """Distinct of 12 chunks in 64 consecutive samples, and the share of samples with a neighbour from their chunk."""
    chunks = order // per_chunk
    distinct = [len(set(chunks[at : at + 64].tolist())) for at in range(0, len(chunks) - 64, 64)]
    same = chunks[1:] == chunks[:-1]
    return float(np.mean(distinct)), float(np.mean(same[1:] | same[:-1]))


@pytest.mark.parametrize(("rows", "kilobytes"), [(6_000, 24), (6_000, 56), (48_000, 200)])
def test_the_default_window_mixes_well(rows: int, kilobytes: int) -> None:
    """A set of 144 MB, of 336 MB, of 9.6 GB; webdataset's shuffle has 6.8 and 0.32, a full one 11.9 and 0.16."""
    chosen, block = BlockSettings(), max(1, 4096 // kilobytes)
    sizes = [block] * (rows // block) + ([rows % block] if rows % block else [])
    order = make(sizes, depth=chosen.depth, lanes=chosen.lanes, small=True)
    distinct, neighbours = figures(whole(order), rows // 12)
    assert distinct > 11
    assert neighbours < 0.2
    full, least = figures(whole(FullOrder(rows, 0, 0)), rows // 12)
    assert full > distinct
    assert 0.15 < least < 0.17


def index_of(shards: list[list[tuple[int, int]]]) -> Index:
    """An index of shards of (row group, bytes of the image, or NULL or UNKNOWN)."""
    lines = np.zeros(sum(map(len, shards)), LINE)
    made, at = [], 0
    for number, rows in enumerate(shards):
        offset = 100
        for line, (group, length) in enumerate(rows, at):
            there = length >= 0
            lines[line]["offset"], lines[line]["length"] = (offset, length) if there else (length, 0)
            lines[line]["group"] = group
            offset += length + 10 if there else 0
        made.append(Shard(path=f"{number}", bytes=offset, start=at, stop=at + len(rows)))
        at += len(rows)
    return Index(tuple(made), lines)


groups = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 50) | st.just(NULL)), max_size=30).map(sorted)


@QUICK
@given(shards=st.lists(groups, min_size=1, max_size=4), block_bytes=st.integers(1, 200))
def test_blocks_hold_all_lines_and_never_cross_a_row_group(
    shards: list[list[tuple[int, int]]], block_bytes: int
) -> None:
    index = index_of(shards)
    table = BlockTable.of(index, block_bytes)
    seen = 0
    for block in range(len(table.starts) - 1):
        span = table.span(block)
        lines = index.lines[span.first : span.stop]
        assert span.first == seen < span.stop
        assert span.shard.start <= span.first < span.stop <= span.shard.stop
        assert set(lines["group"].tolist()) == {span.group}
        there = lines["offset"] >= 0
        assert (lines["offset"][there] >= span.start).all()
        assert (lines["offset"][there] + lines["length"][there] <= span.end).all()
        if there.any():
            assert lines["length"].sum() <= block_bytes + lines["length"].max()
        else:
            assert span.start == span.end
        assert set(table.blocks(np.arange(span.first, span.stop)).tolist()) == {block}
        assert table.block(span.first) == block
        seen = span.stop
    assert seen == len(index.lines)


def test_blocks_are_about_as_large_as_they_should_be() -> None:
    table = BlockTable.of(index_of([[(0, 10)] * 95 + [(1, 10)] * 5]), 100)
    assert np.diff(table.starts).tolist() == [10, 9, 10, 9, 10, 9, 10, 9, 10, 9, 5]
    assert np.diff(table.cut([3, 4]).starts).tolist()[:4] == [3, 1, 6, 9]
    assert table.single(7)[1:5] == (7, 8, 240, 250)
    unknown = BlockTable.of(index_of([[(0, UNKNOWN)] * 3 + [(1, NULL)] * 2]), 100)
    assert [unknown.span(block).ranged for block in (0, 1)] == [False, True]


def test_what_lies_around_the_images_of_a_row_group() -> None:
    index = index_of([[(0, 10)] * 2 + [(1, NULL)] + [(2, 20)] * 2 + [(3, 30)], [(0, UNKNOWN)]])
    table, (shard, unknown) = BlockTable.of(index, 100), index.shards
    assert table.around(shard, 3) == Around((190, 200), (230, shard.bytes), 4)
    assert table.around(shard, 1) is None, "it has no images"
    assert table.around(shard, 0) is None, "where the next row group begins is not known"
    assert table.around(unknown, 0) is None
    alone = index_of([[(0, 10)] * 3])
    found = BlockTable.of(alone, 100).around(alone.shards[0], 0)
    assert found == Around((0, 100), (150, alone.shards[0].bytes), 1)
    assert found is not None and found.bytes == 100 + alone.shards[0].bytes - 150


def test_samples_of_blocks() -> None:
    blocks, counts = np.array([0, 0, 1, 1, 3, 0]), np.array([2, 0, 0, 0, 4, 1])
    assert [part.tolist() for part in sample_blocks(blocks, None)] == [[0, 2, 4, 5], [2, 2, 1, 1]]
    assert [part.tolist() for part in sample_blocks(blocks, counts)] == [[0, 2, 6], [2, 4, 1]]
    assert [part.tolist() for part in sample_blocks(blocks[:0], None)] == [[], []]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"lanes": 0}, "positive"),
        ({"block_bytes": -1}, "positive"),
        ({"window_bytes": 63 << 20}, "67,108,864 bytes or more"),
    ],
)
def test_sizes_that_make_no_sense_are_refused(wrong: dict[str, int], said: str) -> None:
    with pytest.raises(OptionError, match=said):
        BlockSettings(**wrong)


def components(sizes: list[list[int]], weights: list[float]) -> list[BlockComponent]:
    starts, counts = laid_out([size for part in sizes for size in part])
    found, at = [], 0
    totals = [sum(part) for part in sizes]
    for number, (part, share) in enumerate(zip(sizes, shares(weights, sum(totals)), strict=True)):
        own = slice(at, at + len(part))
        first = int(starts[at])
        component = Component(f"part {number}", share, ((first, first + totals[number]),))
        found.append(BlockComponent(component, starts[own], counts[own], 2))
        at += len(part)
    return found


parts = st.lists(st.lists(st.integers(1, 20), min_size=1, max_size=12), min_size=1, max_size=4)


@QUICK
@given(sizes=parts, data=st.data(), lanes=st.integers(1, 5))
def test_a_mix_has_its_shares_and_goes_on_where_it_stopped(
    sizes: list[list[int]], data: st.DataObject, lanes: int
) -> None:
    weights = data.draw(st.lists(st.integers(1, 9).map(float), min_size=len(sizes), max_size=len(sizes)))
    chosen = components(sizes, weights)
    shown: list[Counter[int]] = [Counter() for _ in chosen]
    for epoch in range(4):
        order = BlockMixOrder(chosen, 3, epoch, lanes)
        samples = whole(order)
        assert len(order) == sum(map(sum, sizes)) == len(samples)
        for number, part in enumerate(chosen):
            ((start, stop),) = part.component.ranges
            inside = (samples >= start) & (samples < stop)
            assert inside.sum() == part.component.share
            shown[number].update(samples[inside].tolist())
        asked = data.draw(st.lists(st.integers(0, len(samples) - 1), max_size=5))
        again = BlockMixOrder(chosen, 3, epoch, lanes)
        assert again.samples(np.array(asked, np.int64)).tolist() == samples[asked].tolist()
        assert (again.passes(np.array(asked, np.int64)) >= 0).all()
    for counts, part in zip(shown, chosen, strict=True):
        every = [counts[sample] for sample in range(*part.component.ranges[0])]
        assert max(every) - min(every) <= 2


def test_a_mix_by_its_sizes_shows_everything_once_an_epoch() -> None:
    sizes = [[7] * 60, [5] * 53, [3]]
    for epoch in range(3):
        order = BlockMixOrder(components(sizes, [420, 265, 3]), 0, epoch, 8)
        assert sorted(whole(order).tolist()) == list(range(688))
        assert set(order.passes(np.arange(688)).tolist()) == {epoch}


def test_a_mix_is_mixed_everywhere() -> None:
    order = whole(BlockMixOrder(components([[20] * 100, [20] * 100, [20]], [3, 1, 0.01]), 0, 0, 8))
    counts = [int((order[at : at + 500] < 2000).sum()) for at in range(0, len(order) - 500, 500)]
    assert min(counts) > 500 * 0.65
    assert max(counts) < 500 * 0.85
