"""DOTA: pictures with rotated boxes, one of them large enough for several tiles, in the folders of two versions."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from rs_gpt4v_conversion.records import Obb
from rs_gpt4v_conversion.sample.field import Field, Marked, draw_field
from rs_gpt4v_conversion.sample.layout import chance

LARGE = (1500, 1300)
"""Pixels of the first picture."""

EMPTY = 1  # its label is a head alone
CUT = 2  # one of its objects lies partly outside

NAMES = {"airplane": "plane"}
"""DOTA's words by those of the drawing, where they differ; blanks become hyphens."""

GROUPS = (
    ("airplane", "storage tank", "large vehicle", "small vehicle"),
    ("ship", "bridge"),
    ("tennis court", "small vehicle", "large vehicle"),
)


def write_dota(root: Path, images: int, seed: int) -> None:
    """Write train and val; every fourth picture is in val, whose labels have decimals and no carriage returns."""
    for number in range(images):
        field = _field(chance(seed, "dota", number), number)
        base, name = root / ("val" if number % 4 == 3 else "train"), f"P{number:04d}"
        (base / "images").mkdir(parents=True, exist_ok=True)
        field.image.save(base / "images" / f"{name}.png", compress_level=1)
        lines = [*_head(number), *(_line(thing, number, i) for i, thing in enumerate(field.objects))]
        if number == 0:
            lines.append("12 12 40 12")  # fewer than nine words
        text = ("\n" if number % 4 == 3 else "\r\n").join((*lines, ""))
        for folder in _folders(number):
            (base / folder).mkdir(parents=True, exist_ok=True)
            (base / folder / f"{name}.txt").write_bytes(text.encode())
        _write_upright(base, name, field)


def _field(rng: np.random.Generator, number: int) -> Field:
    if number == 0:  # drawn small, as the number of pixels is what takes the time
        small = draw_field(rng, LARGE[0] // 2, LARGE[1] // 2, GROUPS[0], most=12)
        objects = tuple(_moved(thing, 2, 0) for thing in small.objects)
        return Field(image=small.image.resize(LARGE, Image.Resampling.BILINEAR), objects=objects)
    width, height = int(rng.integers(380, 480)), int(rng.integers(320, 400))
    field = draw_field(rng, width, height, GROUPS[number % len(GROUPS)], most=0 if number == EMPTY else 7)
    return _cut(field) if number == CUT else field


def _cut(field: Field) -> Field:
    """The picture without what is left of a line through its leftmost object, of which a fifth is outside then."""
    x1, _, x2, _ = min(thing.bbox for thing in field.objects)
    edge = int(x1 + (x2 - x1) / 5)
    objects = tuple(_moved(thing, 1, -edge) for thing in field.objects if thing.cx > edge)
    return Field(image=field.image.crop((edge, 0, field.image.width, field.image.height)), objects=objects)


def _moved(thing: Marked, factor: int, x: int) -> Marked:
    """A thing in a picture that was enlarged, or cut off at its left."""
    a, b, c, d, e, f, g, h = (v * factor + (0 if i % 2 else x) for i, v in enumerate(thing.obb))
    obb: Obb = (a, b, c, d, e, f, g, h)
    return replace(
        thing, obb=obb, cx=thing.cx * factor + x, cy=thing.cy * factor, w=thing.w * factor, h=thing.h * factor
    )


def _head(number: int) -> tuple[str, ...]:
    gsd = "None" if number == CUT else f"{0.1 + 0.05 * (number % 5):.12f}"
    head = ("imagesource:GoogleEarth", f"gsd:{gsd}")
    return ("acquisition dates:2026-01-01", *head) if number % 4 == 3 else head


def _line(thing: Marked, number: int, place: int) -> str:
    form = ".1f" if number % 4 == 3 else ".0f"
    words = [format(v, form) for v in thing.obb]
    words.append(NAMES.get(thing.kind, thing.kind).replace(" ", "-"))
    if number % 4 == 3:
        return " ".join((*words, "2")) if place == 1 else " ".join(words)  # no flag is 0
    return " ".join((*words, str(int(place == 1))))


def _folders(number: int) -> tuple[str, ...]:
    """Of version 1.0, whose archives unpack differently, and of version 1.5."""
    return ("labelTxt-v1.0/labelTxt" if number % 4 == 3 else "labelTxt", "labelTxt-v1.5")


def _write_upright(base: Path, name: str, field: Field) -> None:
    """The same objects with upright boxes: another archive, which is not to be taken for the rotated ones."""
    folder = base / "labelTxt-v1.5" / f"DOTA-v1.5_{base.name}_hbb"
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for thing in field.objects:
        x1, y1, x2, y2 = (round(v) for v in thing.bbox)
        kind = NAMES.get(thing.kind, thing.kind).replace(" ", "-")
        lines.append(f"{x1} {y1} {x2} {y1} {x2} {y2} {x1} {y2} {kind} 0\n")
    (folder / f"{name}.txt").write_bytes("".join(lines).encode())
