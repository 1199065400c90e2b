"""RSVQAxBEN as ConfigILM repackages it: one file of questions a split, and patches with a 16-bit file a band.

A patch is a countryside as a satellite sees it: reflectances x 10,000, of which the brightest lie beyond what is shown.
"""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from rs_gpt4v_conversion.sample.canvas import noise
from rs_gpt4v_conversion.sample.geotiff import Georeference
from rs_gpt4v_conversion.sample.landscape import Landscape, countryside
from rs_gpt4v_conversion.sample.layout import chance, splits_by_position, write_json

SIDE = 120  # pixels of a band of 10 m
SHARES = {"train": 0.6, "val": 0.2, "test": 0.2}
FULL = 3000.0  # reflectance x 10,000 of white
HAZE = 900.0  # what thin cloud adds at most
SHORT_TIME = 1  # the patch whose name lacks a digit; in train

FIELDS = "non-irrigated arable land"
CLASSES = {
    "water area": "water bodies", "forest": "mixed forest", "residential building": "discontinuous urban fabric",
    "commercial building": "industrial or commercial units",
}  # fmt: skip
"""Names of land cover by what was drawn; fields are everywhere."""

ONE = ("Are there some {a}?", "Are some {a} present in the image?", "Are there some {a} in the scene?")
TWO = ("Are there {a} or {b} in the scene?", "Are {a} and {b} present?")
ALL, REST = "What classes are in the scene?", "Besides {a}, what classes are in the image?"


def write_rsvqaxben(root: Path, images: int, seed: int) -> None:
    """Write patches and the questions about them."""
    content: dict[str, dict[str, Any]] = {split: {} for split in SHARES}
    for number, split in enumerate(splits_by_position(images, SHARES)):
        rng = chance(seed, "rsvqaxben", number)
        landscape, name = countryside(rng), _name(number)
        _write_bands(root / name, name, number, _reflectance(landscape, rng))
        for i, (kind, question, answer) in enumerate(_asked(landscape, rng)):
            content[split][str(1000 * number + i)] = {
                "type": kind, "question": question, "answer": answer, "S2_name": name,
            }  # fmt: skip
    for split, questions in content.items():
        mixed = sorted(questions, key=lambda n: int(n) * 7919 % 10007)  # in no order, as the real ones are
        write_json(root / f"RSVQAxBEN_QA_{split}.json", {n: questions[n] for n in mixed})


def _name(number: int) -> str:
    """A patch's name; in some real ones the time lacks its zero."""
    time = "95032" if number == SHORT_TIME else f"10{number // 60 % 60:02d}{number % 60:02d}"
    row, column = divmod(number, 10)
    return f"S2A_MSIL2A_20260101T{time}_{row}_{column}"


def _reflectance(landscape: Landscape, rng: np.random.Generator) -> npt.NDArray[np.uint16]:
    """Red, green and blue, (3, rows, columns)."""
    small = landscape.image.resize((SIDE, SIDE), Image.Resampling.BOX)
    ground = np.asarray(small, np.float32).transpose(2, 0, 1) / 255 * FULL
    haze = HAZE * noise(rng, SIDE, SIDE, cells=2).clip(0, 1)
    ground[:, :3, :3] += 2 * FULL  # a roof that mirrors the sun
    bands: npt.NDArray[np.uint16] = (ground + haze).clip(1, 20_000).astype(np.uint16)
    return bands


def _write_bands(folder: Path, name: str, number: int, bands: npt.NDArray[np.uint16]) -> None:
    folder.mkdir(parents=True)
    row, column = divmod(number, 10)
    place = Georeference(
        left=500_000.0 + SIDE * 10 * column, top=5_400_000.0 - SIDE * 10 * row, scale=10.0,
        epsg=32632, name="WGS 84 / UTM zone 32N",
    )  # fmt: skip
    for band, pixels in zip(("B04", "B03", "B02"), bands, strict=True):
        Image.fromarray(pixels).save(folder / f"{name}_{band}.tif", tiffinfo=place.tags())


def _asked(landscape: Landscape, rng: np.random.Generator) -> list[tuple[str, str, str]]:
    """Type, text and answer of each question about a patch, all different."""
    drawn = {feature.kind for feature in landscape.features}
    there = [FIELDS, *(name for kind, name in CLASSES.items() if kind in drawn)]
    names = [FIELDS, *CLASSES.values()]
    found = [("LC", ALL, _listing(there, rng))]
    if len(there) > 2:
        found.append(("LC", REST.format(a=there[0]), _listing(there[1:], rng)))
    for name in names:
        form = ONE[int(rng.integers(len(ONE)))]
        found.append(("presence", form.format(a=name), "yes" if name in there else "no"))
    for form in TWO:
        a, b = (names[int(i)] for i in rng.permutation(len(names))[:2])
        held = [a in there, b in there]
        answer = any(held) if " or " in form else all(held)
        found.append(("presence", form.format(a=a, b=b), "yes" if answer else "no"))
    return found


def _listing(names: list[str], rng: np.random.Generator) -> str:
    """Classes in any order, as the answers list them."""
    *first, last = (names[int(i)] for i in rng.permutation(len(names)))
    return f"{', '.join(first)} and {last}" if first else last
