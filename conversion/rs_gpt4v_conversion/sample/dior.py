"""DIOR and DIOR-R: two annotation files an image, drawn apart, so that they agree neither in order nor to the pixel."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rs_gpt4v_conversion.sample.field import Field, Marked, draw_field
from rs_gpt4v_conversion.sample.layout import chance
from rs_gpt4v_conversion.sample.xml_files import Node, bndbox, size_of, write_list, write_xml

SIDE = 800  # pixels, every image
BEYOND, FAR_BEYOND = 48, 300  # pixels that are drawn and cut off, so that some things lie on the edge
TRIES = 12  # pictures drawn at most until one has a thing where the edge can be
LISTS = ("train", "test", "val", "train")  # of images 0, 1, 2, 3, and again: a larger sample moves none
FIRST_TEST = 11726

GREY, ODD_HEIGHT, NO_AREA, FAR = 0, 1, 2, 3  # images with a flaw
HEIGHT = 788  # that one file states
SPILL = 802  # where one upright box ends

NAMES = {
    "airplane": "airplane", "ship": "ship", "storage tank": "storagetank", "tennis court": "tenniscourt",
    "small vehicle": "vehicle", "large vehicle": "vehicle", "bridge": "bridge",
}  # fmt: skip
KINDS = (
    ("airplane", "small vehicle", "airplane", "storage tank"),
    ("ship", "ship", "bridge"),
    ("tennis court", "small vehicle", "tennis court", "large vehicle"),
    ("storage tank", "large vehicle", "bridge", "storage tank"),
)


@dataclass(frozen=True, slots=True)
class _Box:
    """One object in whole pixels."""

    name: str
    upright: tuple[int, int, int, int]
    corners: tuple[int, ...]


def write_dior(root: Path, images: int, seed: int) -> None:
    """Write DIOR with DIOR-R: both kinds of boxes, official lists, images in two folders."""
    lists: dict[str, list[str]] = {name: [] for name in ("train", "val", "test")}
    for number in range(images):
        split = LISTS[number % len(LISTS)]
        rng = chance(seed, "dior", number)
        field, left = _picture(rng, number)
        name = f"{number + (FIRST_TEST if split == 'test' else 1):05d}"
        lists[split].append(name)
        boxes = [b for thing in field.objects if (b := _box(thing, left, rng, spills=number == FAR)) is not None]
        place = "JPEGImages-test" if split == "test" else "JPEGImages-trainval"
        (root / place).mkdir(parents=True, exist_ok=True)
        field.image.crop((left, 0, left + SIDE, SIDE)).save(root / place / f"{name}.jpg", quality=88)
        _write_upright(root, name, boxes, number)
        _write_rotated(root, name, [boxes[i] for i in rng.permutation(len(boxes))], number, place)
    for split, names in lists.items():
        write_list(root / "ImageSets" / "Main" / f"{split}.txt", names)


def _picture(rng: np.random.Generator, number: int) -> tuple[Field, int]:
    """A picture larger than an image, and where the image begins in it: so that one thing is cut by the right edge."""
    kinds = KINDS[number % len(KINDS)]
    if number != FAR:
        return draw_field(rng, SIDE + BEYOND, SIDE + BEYOND, kinds, most=9), 0
    for _ in range(TRIES):
        field = draw_field(rng, SIDE + FAR_BEYOND, SIDE, kinds, most=9)
        starts = [round(thing.cx + 0.2 * thing.h) - SIDE for thing in field.objects]
        found = [start for start in starts if 0 <= start <= FAR_BEYOND]
        if found:
            return field, found[0]
    return field, 0


def _box(thing: Marked, left: int, rng: np.random.Generator, *, spills: bool) -> _Box | None:
    """The boxes of what can be seen of a thing, the upright one a little off; None where too little can be."""
    x1, y1, x2, y2 = thing.bbox
    x1, x2 = x1 - left, x2 - left
    seen = max(min(x2, SIDE) - max(x1, 0), 0) * max(min(y2, SIDE) - max(y1, 0), 0)
    if seen < 0.4 * (x2 - x1) * (y2 - y1):
        return None
    off = rng.integers(-2, 3, 4)
    a, b, c, d = (min(max(round(v) + int(o), 1), SIDE) for v, o in zip((x1, y1, x2, y2), off, strict=True))
    end = SPILL if spills and c == SIDE else c
    corners = tuple(round(v) - left * (i % 2 == 0) for i, v in enumerate(thing.obb))
    return _Box(NAMES[thing.kind], (a, b, end, d), corners)


def _write_upright(root: Path, name: str, boxes: Sequence[_Box], number: int) -> None:
    objects: list[Node] = []
    for i, box in enumerate(boxes):
        x1, y1, x2, y2 = box.upright
        if number == NO_AREA and i == 0:
            x2 = x1  # a slip of the annotator
        objects.append(
            ("object", [("name", box.name), ("pose", "Unspecified"), bndbox(x1, y1, x2, y2)]),
        )
    head: list[Node] = [
        ("filename", f"{name}.jpg"), ("source", [("database", "DIOR")]),
        size_of(SIDE, SIDE, 1 if number == GREY else 3), ("segmented", 0),
    ]  # fmt: skip
    path = root / "Annotations" / "Horizontal Bounding Boxes" / f"{name}.xml"
    write_xml(path, ("annotation", [*head, *objects]))


def _write_rotated(root: Path, name: str, boxes: Sequence[_Box], number: int, place: str) -> None:
    tags = [f"{axis}_{corner}" for corner in ("left_top", "right_top", "right_bottom", "left_bottom") for axis in "xy"]
    objects: list[Node] = [
        (
            "object",
            [
                ("type", "robndbox"), ("name", box.name), ("pose", "Unspecified"), ("truncated", 0), ("difficult", 0),
                ("robndbox", list(zip(tags, box.corners, strict=True))), ("angle", 0),
            ],
        )
        for box in boxes
    ]  # fmt: skip
    archive = f"/{place}.zip/{place}/{place}"
    head: list[Node] = [
        ("folder", archive), ("filename", f"{name}.jpg"), ("path", archive), ("source", [("database", "Unknown")]),
        size_of(SIDE, HEIGHT if number == ODD_HEIGHT else SIDE), ("segmented", 0),
    ]  # fmt: skip
    path = root / "Annotations" / "Oriented Bounding Boxes" / f"{name}.xml"
    write_xml(path, ("annotation", [*head, *objects]), declared=True)
