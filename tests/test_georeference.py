"""Where an image lies on the ground."""

import io
import random
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

from rs_gpt4v_conversion.images import convert, load_image, tiff
from rs_gpt4v_conversion.images.georeference import Georeference, georeference
from rs_gpt4v_conversion.records import ImageRef
from rs_gpt4v_conversion.sample.geotiff import DOUBLE, GEO_KEYS, PIXEL_SCALE, SHORT, TIEPOINT
from rs_gpt4v_conversion.sample.geotiff import Georeference as Drawn
from shared import shared

TRANSFORMATION, PROJECTED, GEOGRAPHIC = 34264, 3072, 2048
PLACE = {PIXEL_SCALE: (0.5, 0.25, 0.0), TIEPOINT: (0.0, 0.0, 0.0, 600000.5, 5000000.25, 0.0)}


def keys(model: int = 1, raster: int = 1, **codes: int) -> tuple[int, ...]:
    named = {"projected": PROJECTED, "geographic": GEOGRAPHIC}
    groups = [(1024, 0, 1, model), (1025, 0, 1, raster), *((named[n], 0, 1, c) for n, c in codes.items())]
    return (1, 1, 0, len(groups), *(v for group in groups for v in group))


def geotiff(tags: dict[int, tuple[float, ...]], size: tuple[int, int] = (40, 20), **more: Any) -> bytes:
    info = TiffImagePlugin.ImageFileDirectory_v2()
    for tag, values in tags.items():
        info.tagtype[tag] = SHORT if tag == GEO_KEYS else DOUBLE
        info[tag] = values
    out = io.BytesIO()
    Image.fromarray(np.arange(size[0] * size[1] * 3, dtype=np.uint8).reshape(size[1], size[0], 3)).save(
        out, "TIFF", tiffinfo=info, **more
    )
    return out.getvalue()


def ground(tags: dict[int, tuple[float, ...]], **more: Any) -> tuple[str, tuple[float, ...]]:
    made = convert(geotiff(tags, **more))
    return made.crs, made.bounds


NORTH_UP = (600000.5, 4999995.25, 600020.5, 5000000.25)


def test_a_scale_and_a_tie_point() -> None:
    assert ground({**PLACE, GEO_KEYS: keys(projected=32632)}) == ("EPSG:32632", NORTH_UP)


def test_a_tie_point_within_the_image() -> None:
    tie = (10.0, 4.0, 0.0, 600005.5, 4999999.25, 0.0)
    assert ground({**PLACE, TIEPOINT: tie, GEO_KEYS: keys(projected=32632)}) == ("EPSG:32632", NORTH_UP)


def test_a_matrix_instead() -> None:
    matrix = (0.5, 0, 0, 600000.5, 0, -0.25, 0, 5000000.25, 0, 0, 0, 0, 0, 0, 0, 1.0)
    assert ground({TRANSFORMATION: matrix, GEO_KEYS: keys(projected=32632)}) == ("EPSG:32632", NORTH_UP)


def test_degrees() -> None:
    assert ground({**PLACE, GEO_KEYS: keys(model=2, geographic=4326)})[0] == "EPSG:4326"
    both = keys(model=1, geographic=4326, projected=3857)
    assert ground({**PLACE, GEO_KEYS: both})[0] == "EPSG:3857", "the grid, not what it is drawn on"


def test_pixels_that_are_points_lie_half_a_pixel_off() -> None:
    _, bounds = ground({**PLACE, GEO_KEYS: keys(raster=2, projected=32632)})
    assert bounds == (600000.25, 4999995.375, 600020.25, 5000000.375)


NONE: dict[str, dict[int, tuple[float, ...]]] = {
    "no tags": {},
    "no grid": PLACE,
    "no place": {GEO_KEYS: keys(projected=32632)},
    "a grid of its own": {**PLACE, GEO_KEYS: keys(projected=32767)},
    "an undefined grid": {**PLACE, GEO_KEYS: keys(projected=0)},
    "a grid without its code": {**PLACE, GEO_KEYS: keys(model=1, geographic=4326)},
    "a grid around the earth's centre": {**PLACE, GEO_KEYS: keys(model=3, geographic=4978)},
    "a code kept elsewhere": {**PLACE, GEO_KEYS: (1, 1, 0, 2, 1024, 0, 1, 1, PROJECTED, 34736, 1, 32632)},
    "half a key": {**PLACE, GEO_KEYS: keys(projected=32632)[:-1]},
    "pixels of no size": {**PLACE, PIXEL_SCALE: (0.0, 0.0, 0.0), GEO_KEYS: keys(projected=32632)},
    "no number": {**PLACE, PIXEL_SCALE: (float("nan"), 1.0, 0.0), GEO_KEYS: keys(projected=32632)},
    "too large a number": {**PLACE, TIEPOINT: (0, 0, 0, float("inf"), 0, 0), GEO_KEYS: keys(projected=32632)},
    "beyond the earth": {**PLACE, PIXEL_SCALE: (1e300, 1e300, 0.0), GEO_KEYS: keys(projected=32632)},
    "half a tie point": {**PLACE, TIEPOINT: (0.0, 0.0, 0.0), GEO_KEYS: keys(projected=32632)},
    "a turned image": {
        TRANSFORMATION: (0.4, 0.3, 0, 6e5, 0.3, -0.4, 0, 5e6, 0, 0, 0, 0, 0, 0, 0, 1.0),
        GEO_KEYS: keys(projected=32632),
    },
    "south up": {
        TRANSFORMATION: (0.5, 0, 0, 6e5, 0, 0.5, 0, 5e6, 0, 0, 0, 0, 0, 0, 0, 1.0),
        GEO_KEYS: keys(projected=32632),
    },
}


@pytest.mark.parametrize("what", NONE)
def test_what_cannot_be_said_truly_is_not_said(what: str) -> None:
    assert ground(NONE[what]) == ("", ())


def test_other_formats_have_none() -> None:
    out = io.BytesIO()
    Image.new("RGB", (4, 4)).save(out, "PNG")
    made = convert(out.getvalue())
    assert (made.crs, made.bounds) == ("", ())


@pytest.mark.parametrize("kind", ["classic", "big"])
def test_big_tiffs_have_the_same_tags(kind: str) -> None:
    content = geotiff({**PLACE, GEO_KEYS: keys(projected=32632)}, big_tiff=kind == "big")
    assert content[2] == (43 if kind == "big" else 42)
    assert convert(content).bounds == NORTH_UP


def test_a_window_has_bounds_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(geotiff({**PLACE, GEO_KEYS: keys(projected=32632)}))
    found = {}
    for name, more in {"tile": {"window": (4, 8, 20, 10)}, "small": {"max_side": 10}}.items():
        ref = ImageRef(image_id="a", source_id="a.tif", path=path, image_path="a.tif", **more)  # type: ignore[arg-type]
        found[name] = load_image(ref)
    assert found["tile"].bounds == (600002.5, 4999995.75, 600012.5, 4999998.25)
    assert found["tile"].crs == "EPSG:32632"
    assert found["small"].bounds == NORTH_UP, "a reduced image shows the same ground"
    assert (found["small"].width, found["small"].height) == (10, 5)


def test_the_georeference_of_a_drawn_sample_is_read_back() -> None:
    drawn = Drawn(left=-8238628.5, top=4970877.25, scale=0.2, epsg=3857, name="grid")
    out = io.BytesIO()
    Image.new("RGB", (512, 512)).save(out, "TIFF", tiffinfo=drawn.tags())
    assert georeference(tiff.read_tags(out)) is None, "read from the beginning"
    out.seek(0)
    assert georeference(tiff.read_tags(out)) == Georeference(
        crs="EPSG:3857", left=-8238628.5, top=4970877.25, dx=0.2, dy=0.2
    )


@pytest.mark.parametrize("big", [False, True])
def test_broken_tags_give_no_georeference_and_never_an_error(big: bool) -> None:
    whole = geotiff({**PLACE, GEO_KEYS: keys(projected=32632)}, big_tiff=big, compression=None)
    # the directory and the values behind it: where Pillow writes them
    (start,) = struct.unpack_from("<Q" if big else "<I", whole, 8 if big else 4)
    ends = len(whole) if start > 2400 else len(whole) - 2400
    rng = random.Random(f"tags {big}")
    lost = 0
    for _ in range(1500):
        broken = bytearray(whole)
        for _ in range(rng.randint(1, 6)):
            broken[rng.randrange(start if rng.random() < 0.8 else 4, ends)] = rng.choice((0, 1, 2, 12, 255, 127, 128))
        cut = bytes(broken[: rng.randint(8, len(broken))] if rng.random() < 0.2 else broken)
        found = georeference(tiff.read_tags(io.BytesIO(cut)))
        lost += found is None
        if found is not None:
            assert found.dx > 0
            assert found.dy > 0
            assert all(isinstance(v, float) for v in found.bounds(0, 0, 40, 20))
    assert 300 < lost < 1500


# by rasterio 1.4.4 with GDAL: `dataset.bounds`
REAL = {
    ("rsvqa_lr", "Images_LR", "102.tif"): (
        647023.3432352436, 6733729.7835239405, 651163.7933474041, 6737870.233636101,
    ),
    ("rsvqa_hr", "Data", "753.tif"): (
        -8238628.104099491, 4970774.0678039305, -8238525.099650872, 4970877.072252549,
    ),
}  # fmt: skip


@pytest.mark.parametrize("parts", REAL)
def test_real_tiles_lie_where_another_reader_says(parts: tuple[str, ...]) -> None:
    made = convert(shared("realdata", *parts).read_bytes())
    assert (made.crs, made.bounds) == ("EPSG:3857", REAL[parts])


def test_all_real_tiles_have_one() -> None:
    files = [*shared("realdata", "rsvqa_lr", "Images_LR").glob("*.tif")]
    files += shared("realdata", "rsvqa_hr", "Data").glob("*.tif")
    assert len(files) > 10
    for path in files:
        with path.open("rb") as file:
            found = georeference(tiff.read_tags(file))
        assert found is not None
        assert found.crs == "EPSG:3857"
        assert found.dx == pytest.approx(found.dy)
