"""Scenes cut into tiles."""

import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rs_gpt4v_conversion.errors import UsageError
from rs_gpt4v_conversion.gates.boxes import box_flaw
from rs_gpt4v_conversion.gates.splits import Splits
from rs_gpt4v_conversion.geometry import centre_inside, clip, corners, envelope, moved
from rs_gpt4v_conversion.records import Annotation, Count, ImageRef, Object, Presence, Scene
from rs_gpt4v_conversion.release import Where
from rs_gpt4v_conversion.scenes import ask_all
from rs_gpt4v_conversion.sources import known_sources
from rs_gpt4v_conversion.tiles import tiles, windows

PLAIN = known_sources()["hit_uav"]
TILED = replace(PLAIN, tile=1024)


def scene(width: int | None, height: int | None, *objects: Object, **more: Any) -> Scene:
    image = ImageRef(
        image_id="P0001", source_id="P0001.png", path=Path("images/P0001.png"), image_path="DOTA/images/P0001.png",
        width=width, height=height, gsd=0.3, origin="dota/P0001",
    )  # fmt: skip
    return Scene(split="train", image=image, objects=objects, searched=("ship", "harbor"), **more)


def ship(*bbox: float, **more: Any) -> Object:
    return Object(category="ship", bbox=bbox, **more)  # type: ignore[arg-type]


def turned(cx: float, cy: float, w: float, h: float, degrees: float, size: tuple[int, int]) -> Object:
    obb = corners(cx, cy, w, h, math.radians(degrees))
    return Object(category="ship", bbox=clip(envelope(obb), *size), obb=obb)


def cut(whole: Scene, **options: Any) -> dict[str, Scene]:
    return {s.image.image_id: s for s in tiles(whole, TILED, options)}


def test_a_source_without_tiles_leaves_its_images_whole() -> None:
    whole = scene(5000, 5000, ship(10, 10, 20, 20))
    assert list(tiles(whole, PLAIN, {})) == [whole]


@pytest.mark.parametrize("size", [(1024, 1024), (200, 1024), (None, None)])
def test_small_images_and_those_of_unknown_size_stay_whole(size: tuple[int | None, int | None]) -> None:
    whole = scene(*size, ship(10, 10, 20, 20))
    assert list(tiles(whole, TILED, {})) == [whole]


def test_the_option_tile_overrides_the_source_and_0_leaves_images_whole() -> None:
    whole = scene(1500, 600)
    assert list(cut(whole)) == ["P0001__0_0", "P0001__476_0"]
    assert list(cut(whole, tile=600, overlap=100)) == ["P0001__0_0", "P0001__500_0", "P0001__900_0"]
    assert list(tiles(whole, TILED, {"tile": 0})) == [whole]
    assert len(list(tiles(whole, PLAIN, {"tile": 600}))) == 4


def test_a_tile_says_where_it_is_from() -> None:
    tile = cut(scene(3000, 2000))["P0001__1976_976"].image
    assert (tile.parent, tile.window, tile.whole) == ("P0001", (1976, 976, 1024, 1024), (3000, 2000))
    assert (tile.width, tile.height) == (1024, 1024)
    assert tile.image_path == "DOTA/images/P0001__1976_976.png", "an exported tile has a file of its own"
    assert (tile.path, tile.source_id, tile.origin) == (Path("images/P0001.png"), "P0001.png", "dota/P0001")
    assert tile.gsd == 0.3


@given(
    width=st.integers(1, 6000), height=st.integers(1, 6000), tile=st.integers(300, 1500), overlap=st.integers(0, 299)
)
def test_windows_cover_the_image_inside_it_and_share_the_overlap(
    width: int, height: int, tile: int, overlap: int
) -> None:
    found = list(windows(width, height, tile, overlap))
    assert len(set(found)) == len(found)
    for side, size in ((0, width), (1, height)):
        spans = sorted({(w[side], w[side] + w[side + 2]) for w in found})
        assert (spans[0][0], spans[-1][1]) == (0, size)
        assert all(end - start == min(tile, size) for start, end in spans)
        assert all(before[1] - after[0] >= overlap for before, after in pairwise(spans))
    assert len(found) == len({w[0] for w in found}) * len({w[1] for w in found})


sizes = st.integers(1100, 3000)


@st.composite
def marked(draw: st.DrawFn) -> Scene:
    width, height = draw(sizes), draw(sizes)
    objects = []
    for _ in range(draw(st.integers(1, 6))):
        thing = turned(
            draw(st.floats(0, width)), draw(st.floats(0, height)), draw(st.floats(2, 400)), draw(st.floats(2, 60)),
            draw(st.floats(0, 360)), (width, height),
        )  # fmt: skip
        if thing.bbox is not None and min(thing.bbox[2] - thing.bbox[0], thing.bbox[3] - thing.bbox[1]) > 1:
            objects.append(thing if draw(st.booleans()) else replace(thing, obb=None))
    return scene(width, height, *objects)


@given(whole=marked(), keep=st.sampled_from([0.0, 0.3, 0.7, 1.0]))
def test_objects_in_tiles_are_those_of_the_image(whole: Scene, keep: float) -> None:
    judged = set()
    for tile in cut(whole, keep=keep).values():
        assert tile.image.window is not None
        x, y, width, height = tile.image.window
        assert [o.number for o in tile.objects] == sorted({o.number for o in tile.objects})
        for item in tile.objects:
            origin = whole.objects[item.number]
            assert item.bbox is not None
            assert origin.bbox is not None
            assert not box_flaw(list(item.bbox), list(item.obb or ()), width, height)
            assert 0 < item.iof <= 1
            assert item.ignore == (item.iof < keep)
            back = moved(item.bbox, x, y)
            assert back == pytest.approx(clip_to(origin.bbox, tile.image.window), abs=1e-6)
            if item.obb is not None:
                assert origin.obb is not None
                assert moved(item.obb, x, y) == pytest.approx(origin.obb, abs=1e-6)
            elif origin.obb is not None:
                assert not centre_inside(moved(origin.obb, -x, -y), width, height), (
                    "a rotated box is kept where it may be"
                )
            if not item.ignore:
                judged.add(item.number)
    for number, item in enumerate(whole.objects):
        assert item.bbox is not None
        x1, y1, x2, y2 = item.bbox
        if x2 - x1 <= 200 and y2 - y1 <= 200:
            assert number in judged, "an object that fits into the overlap is whole in a tile"


def clip_to(box: tuple[float, ...], window: tuple[int, int, int, int]) -> tuple[float, ...]:
    x, y, width, height = window
    return (max(box[0], x), max(box[1], y), min(box[2], x + width), min(box[3], y + height))


def test_shares_of_an_upright_box() -> None:
    whole = scene(1848, 1000, ship(1000, 100, 1100, 200), ship(10, 10, 20, 20))
    found = cut(whole, keep=0.7)
    left, right = found["P0001__0_0"], found["P0001__824_0"]
    assert [(o.iof, o.ignore, o.bbox, o.number) for o in left.objects] == [
        (0.24, True, (1000, 100, 1024, 200), 0), (1, False, (10, 10, 20, 20), 1),
    ]  # fmt: skip
    assert [(o.iof, o.ignore, o.bbox, o.number) for o in right.objects] == [(1, False, (176, 100, 276, 200), 0)]
    assert {o.ignore for o in cut(whole, keep=0.2)["P0001__0_0"].objects} == {False}


def test_the_share_of_a_rotated_box_is_of_its_own_area_and_not_of_the_upright_one() -> None:
    # a diamond of which the tile has one half, but less of the box around it
    diamond = turned(1024, 500, 200, 200, 45, (2048, 1000))
    tile = next(tiles(scene(2048, 1000, diamond), TILED, {"keep": 0.4}))
    assert tile.objects[0].iof == pytest.approx(0.5)
    quarter = turned(1024, 500, 282.8, 2, 45, (2048, 1000))
    assert next(tiles(scene(2048, 1000, quarter), TILED, {})).objects[0].ignore


def test_what_the_edge_of_the_image_cuts_off_is_held_against_no_tile() -> None:
    half = turned(0, 500, 180, 80, 10, (3000, 1000))
    assert cut(scene(3000, 1000, half))["P0001__0_0"].objects[0].iof == pytest.approx(1)


def test_a_rotated_box_whose_centre_is_elsewhere_is_not_given() -> None:
    outside = turned(1060, 500, 200, 50, 0, (1848, 1000))
    tile = next(tiles(scene(1848, 1000, outside), TILED, {"keep": 0.1}))
    assert [(o.obb, o.ignore) for o in tile.objects] == [(None, False)]


def test_crossing_corners_do_not_stop_anything() -> None:
    crossed = Object(category="ship", bbox=(900, 100, 1100, 200), obb=(900, 100, 1100, 200, 1100, 100, 900, 190))
    assert [o.iof for t in tiles(scene(1848, 1000, crossed), TILED, {}) for o in t.objects][-1] == 1


def test_slivers_are_not_in_a_tile() -> None:
    whole = scene(1848, 1000, ship(1023.95, 100, 1100, 200))
    assert [len(t.objects) for t in tiles(whole, TILED, {})] == [0, 1]


def test_what_is_thinner_than_a_sliver_is_in_the_tile_that_holds_all_of_it() -> None:
    whole = scene(1848, 1000, ship(100, 100, 100.05, 200))
    assert [len(t.objects) for t in tiles(whole, TILED, {})] == [1, 0]


def test_categories_in_doubt_are_asked_no_number_and_no_absence() -> None:
    whole = scene(1848, 1000, ship(1000, 100, 1100, 200), Object(category="harbor", bbox=(900, 10, 1000, 90)))
    left = cut(whole)["P0001__0_0"]
    facts = [f for a in ask_all([left]) if isinstance(a, Annotation) for f in a.facts]
    assert {f.category for f in facts if isinstance(f, Presence | Count)} == {"harbor"}


def test_an_object_that_cannot_be_placed_makes_its_category_uncertain_in_every_tile() -> None:
    whole = scene(1848, 1000, Object(category="harbor", bbox=None), uncertain=("ship",))
    assert [(t.objects, t.uncertain) for t in tiles(whole, TILED, {})] == [((), ("harbor", "ship"))] * 2


def test_an_object_to_ignore_is_ignored_in_all_its_tiles() -> None:
    whole = scene(1848, 1000, ship(900, 100, 1000, 200, ignore=True, number=7))
    assert [(o.ignore, o.number) for t in tiles(whole, TILED, {}) for o in t.objects] == [(True, 7)] * 2


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"tile": 200}, "hit_uav: overlap is 200 and tile is 200 pixels, expected an overlap below"),
        ({"overlap": 1024}, "hit_uav: overlap is 1024 and tile is 1024"),
        ({"keep": 1.5}, "hit_uav: keep is 1.5, expected a share from 0 to 1"),
    ],
)
def test_options_that_do_not_go_together_are_refused(options: dict[str, float], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        list(tiles(scene(1848, 1000), TILED, options))


def test_tiles_of_one_file_in_two_splits_are_found_by_the_files_digest() -> None:
    gate = Splits((), "drop")
    for split, place in (("train", "0_0"), ("test", "824_0")):
        row = {"id": f"dota/{split}/vqa/P0001__{place}", "source": "dota", "image_sha256": place * 16,
               "source_sha256": "a" * 64}  # fmt: skip
        gate.row(row, Where(shard=f"data/vqa/dota/{split}-00000-of-00001.parquet", group=0, row=0))
    assert gate.results()[0].count == 1
