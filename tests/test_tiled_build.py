"""Releases of images that are cut, reduced or stretched on their way."""

import hashlib
import io
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image, ImageDraw

from rs_gpt4v_conversion.build import build
from rs_gpt4v_conversion.config import Config, SourceSpec
from rs_gpt4v_conversion.errors import UsageError
from rs_gpt4v_conversion.gates import as_text, check
from rs_gpt4v_conversion.geometry import corners, envelope
from rs_gpt4v_conversion.images import decoding
from rs_gpt4v_conversion.records import ImageRef, Object, Scene, Stretch
from rs_gpt4v_conversion.sources import Folder, Options, known_sources
from rs_gpt4v_conversion.sources._source import TILING

Row = dict[str, Any]
SIZE = (900, 700)


def draw(folder: Path) -> None:
    """A field of noise with three ships: dark blocks, turned by 30 degrees."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(120, 140, (SIZE[1], SIZE[0], 3), dtype=np.uint8)
    image = Image.fromarray(pixels)
    for ship in ships():
        assert ship.obb is not None
        ImageDraw.Draw(image).polygon(list(zip(ship.obb[0::2], ship.obb[1::2], strict=True)), fill=(10, 20, 30))
    folder.mkdir()
    for kind in ("png", "jpg"):
        image.save(folder / f"P0001.{kind}")


def ships() -> tuple[Object, ...]:
    places = ((100, 100), (450, 350), (800, 600))
    boxes = [corners(x, y, 80, 30, np.pi / 6) for x, y in places]
    return tuple(Object(category="ship", bbox=envelope(b), obb=b, number=i) for i, b in enumerate(boxes))


def spec(folder: Path, name: str, *, max_side: int | None = None, stretch: Stretch | None = None) -> SourceSpec:
    def read(root: Folder, _: Options) -> Iterator[Scene]:
        path = root.root / name
        width, height = root.size(path) or (None, None)
        image = ImageRef(image_id="P0001", source_id=name, path=path, image_path=f"S/{name}", width=width,
                         height=height, gsd=0.5, stretch=stretch)  # fmt: skip
        yield Scene(split="train", image=image, objects=ships(), searched=("ship", "harbor"), boxes="obb")

    source = replace(known_sources()["hit_uav"], read=read, options=TILING, tile=400)
    return SourceSpec(
        name="scenes", source=source, root=folder, options={"overlap": 100}, limit=None, max_side=max_side,
        reject_limit=0.2,
    )  # fmt: skip


def made(folder: Path, out: Path, spec: SourceSpec, **options: Any) -> list[Row]:
    config = Config(path=folder / "sources.toml", version="1.0.0", date="2026-01-01", sources=(spec,))
    build(config, out, **{"workers": 1, "skip_missing": False, **options})
    results = check(out)
    assert not any(r.count for r in results), as_text(results)
    shards = sorted((out / "data").rglob("*.parquet"))
    return [row for path in shards for row in pq.read_table(path).to_pylist()]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    draw(tmp_path / "images")
    return tmp_path / "images"


@pytest.mark.parametrize("kind", ["png", "jpg"])
def test_ships_lie_where_the_tiles_show_them(kind: str, folder: Path, tmp_path: Path) -> None:
    rows = made(folder, tmp_path / "out", spec(folder, f"P0001.{kind}"))
    tiles = {str(row["window"]): bool(row["objects"]) for row in rows}
    assert sorted(tiles.values()) == [False, False, True, True, True, True], "two without a ship are asked for one"
    digest = hashlib.sha256((folder / f"P0001.{kind}").read_bytes()).hexdigest()
    for row in rows:
        assert row["source_sha256"] == digest != row["image_sha256"]
        assert row["id"].endswith("/P0001__{}_{}".format(*row["window"]))
        assert (row["width"], row["height"], row["scale"], row["gsd"]) == (400, 400, 1, 0.5)
        assert row["image"]["path"].endswith(".jpg" if kind == "jpg" else ".png")
        picture = np.asarray(Image.open(io.BytesIO(row["image"]["bytes"])))
        for item in row["objects"]:
            centre = np.array(item["obb"]).reshape(4, 2).mean(axis=0).round().astype(int)
            assert picture[centre[1], centre[0]].mean() < 40


def test_a_reduced_tile_has_reduced_boxes(folder: Path, tmp_path: Path) -> None:
    rows = made(folder, tmp_path / "out", spec(folder, "P0001.png", max_side=100))
    whole = made(folder, tmp_path / "whole", spec(folder, "P0001.png"))
    assert [row["id"] for row in rows] == [row["id"] for row in whole]
    for small, row in zip(rows, whole, strict=True):
        assert (small["width"], small["scale"], small["gsd"]) == (100, 0.25, 2)
        assert small["window"] == row["window"]
        assert small["rendering"] == "reduced by Lanczos to 100x100"
        assert small["conversations"] == row["conversations"], "boxes in text are shares of the image"
        for a, b in zip(small["objects"], row["objects"], strict=True):
            assert a["obb"] == pytest.approx([v / 4 for v in b["obb"]], abs=1e-3)


def test_the_number_of_workers_and_the_engine_change_no_byte(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digests = []
    for name, workers, limit in (("one", 1, 10**8), ("two", 2, 10**8), ("vips", 1, 0)):
        monkeypatch.setattr(decoding, "MOST_PIXELS", limit)
        made(folder, tmp_path / name, spec(folder, "P0001.png"), workers=workers)
        files = sorted(p for p in (tmp_path / name).rglob("*") if p.is_file())
        digests.append([(p.relative_to(tmp_path / name), hashlib.sha256(p.read_bytes()).digest()) for p in files])
    assert digests[0] == digests[1] == digests[2]


def test_without_pyvips_nothing_is_written(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "MOST_PIXELS", 0)
    monkeypatch.setitem(sys.modules, "pyvips", None)
    with pytest.raises(UsageError, match=r'P0001\.png is large .* pip install "rs-gpt4v\[large\]"'):
        made(folder, tmp_path / "out", spec(folder, "P0001.png"))
    assert not (tmp_path / "out" / "data").exists()


def test_an_image_that_is_not_at_hand_is_one_missing_image(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"scenes: 2 images are not there, for example .*none\.png"):
        made(folder, tmp_path / "out", spec(folder, "none.png"))  # 2: one row a task


def test_every_band_must_be_at_hand(folder: Path, tmp_path: Path) -> None:
    files = tuple(folder / f"B0{i}.tif" for i in range(3))
    for path in files:
        Image.fromarray(np.full((50, 50), 500, dtype=np.uint16)).save(path)
    stretch = Stretch(bands=("B00", "B01", "B02"), low=0, high=1000, files=files)
    one = spec(folder, "B00.tif", stretch=stretch)
    files[1].unlink()
    with pytest.raises(UsageError, match=r"images are not there, for example .*B01\.tif"):
        made(folder, tmp_path / "out", one)
