"""Pictures with marked objects, for the sources that mark objects: what is drawn is what is said to be there.

An object's rotated box runs clockwise from the corner that is left of its head, as DOTA's annotators draw it.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from rs_gpt4v_conversion.geometry import corners, envelope
from rs_gpt4v_conversion.records import BBox, Obb
from rs_gpt4v_conversion.sample import things
from rs_gpt4v_conversion.sample.canvas import UNITS, Canvas, Colour, noise, varied

GROUND: tuple[Colour, ...] = ((96, 116, 70), (150, 140, 118), (128, 130, 126))
SEA: Colour = (46, 78, 88)


@dataclass(frozen=True, slots=True, kw_only=True)
class Marked:
    """One object as it was drawn, in pixels of the picture."""

    kind: str  # one of KINDS
    obb: Obb  # clockwise from the corner left of the head
    cx: float
    cy: float
    w: float  # along the object
    h: float  # across it
    angle: float  # clockwise turn of the head from the right, radians

    @property
    def bbox(self) -> BBox:
        """The upright box around it."""
        return envelope(self.obb)


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A picture and what is in it."""

    image: Image.Image
    objects: tuple[Marked, ...]


def _airplane(canvas: Canvas, x: float, y: float, turn: float, size: float) -> tuple[float, float]:
    things.plane(canvas, x, y, turn, size)
    return 32 * size, 28 * size


def _ship(canvas: Canvas, x: float, y: float, turn: float, size: float) -> tuple[float, float]:
    things.ship(canvas, x, y, turn, size)
    return 24 * size, 7 * size


def _tank(canvas: Canvas, x: float, y: float, turn: float, size: float) -> tuple[float, float]:
    things.tank(canvas, x, y, 9 * size)
    return 18 * size, 18 * size


def _court(canvas: Canvas, x: float, y: float, turn: float, size: float) -> tuple[float, float]:
    things.tennis_court(canvas, x, y, turn, 34 * size, (70, 110, 140))
    return 34 * size, 34 * 0.56 * size


def _car(canvas: Canvas, x: float, y: float, turn: float, size: float) -> tuple[float, float]:
    things.car(canvas, x, y, turn, 10 * size)
    return 10 * size, 4.5 * size


def _truck(canvas: Canvas, x: float, y: float, turn: float, size: float) -> tuple[float, float]:
    things.car(canvas, x, y, turn, 20 * size)
    return 20 * size, 9 * size


def _bridge(canvas: Canvas, x: float, y: float, turn: float, size: float) -> tuple[float, float]:
    canvas.rectangle(x, y, 44 * size, 9 * size, turn, (150, 148, 142))
    canvas.rectangle(x, y, 44 * size, 6 * size, turn, things.ASPHALT)
    return 44 * size, 9 * size


Draw = Callable[[Canvas, float, float, float, float], tuple[float, float]]
"""Draws a thing (x, y, clockwise turn in radians, size) and returns its length and width, in units of the canvas."""

KINDS: dict[str, Draw] = {
    "airplane": _airplane, "ship": _ship, "storage tank": _tank, "tennis court": _court, "small vehicle": _car,
    "large vehicle": _truck, "bridge": _bridge,
}  # fmt: skip
"""What can be drawn, by name."""

REACH = {"airplane": 22.0, "ship": 13.0, "storage tank": 10.0, "tennis court": 20.0, "small vehicle": 6.0,
         "large vehicle": 12.0, "bridge": 23.0}  # fmt: skip
"""Half the diagonal of each, in units of the canvas at size 1."""


def draw_field(
    rng: np.random.Generator, width: int, height: int, kinds: Sequence[str], *, most: int = 7, radar: bool = False
) -> Field:
    """Draw a picture with some objects, none touching another or the edge.

    Args:
        rng: Source of all chance in the picture.
        width: Pixels.
        height: Pixels.
        kinds: Of `KINDS`, in the order in which they get their turn: the first is always there.
        most: Objects at most; with 0 the picture is empty.
        radar: As a radar sees it: grey, bright things on a dark ground, speckled; three equal bands.
    """
    side = max(width, height)
    sea = bool(kinds) and kinds[0] == "ship"
    canvas = Canvas(side, varied(rng, SEA if sea else GROUND[int(rng.integers(len(GROUND)))]), rng)
    scale = side / UNITS
    marked: list[Marked] = []
    taken: list[tuple[float, float, float]] = []
    wanted = [kinds[i % len(kinds)] for i in range(int(rng.integers(min(2, most), most + 1)))] if kinds else []
    for kind in wanted:
        size = float(rng.uniform(0.8, 1.3))
        place = _free(rng, REACH[kind] * size + 2, width / scale, height / scale, taken)
        if place is None:
            continue
        x, y = place
        turn = float(rng.uniform(-math.pi, math.pi))
        w, h = KINDS[kind](canvas, x, y, turn, size)
        obb = corners(x * scale, y * scale, w * scale, h * scale, turn)
        # `corners` begins at the left of the tail; the next one is left of the head
        marked.append(
            Marked(
                kind=kind, obb=(*obb[2:], *obb[:2]), cx=x * scale, cy=y * scale, w=w * scale, h=h * scale, angle=turn,
            )
        )  # fmt: skip
    picture = canvas.finish().crop((0, 0, width, height))
    return Field(image=_radar(picture, rng) if radar else picture, objects=tuple(marked))


def _free(
    rng: np.random.Generator, reach: float, width: float, height: float, taken: list[tuple[float, float, float]]
) -> tuple[float, float] | None:
    if 2 * reach >= min(width, height):
        return None
    for _ in range(60):
        x, y = float(rng.uniform(reach, width - reach)), float(rng.uniform(reach, height - reach))
        if all(math.dist((x, y), (ox, oy)) > reach + other for ox, oy, other in taken):
            taken.append((x, y, reach))
            return x, y
    return None


def _radar(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Contrast of the drawing, turned into speckled grey: multiplicative noise, as coherent imaging has it."""
    grey = np.asarray(picture.convert("L"), np.float32)
    strength = 18 + 3.2 * np.abs(grey - np.median(grey)) * (1 + 0.2 * noise(rng, *grey.shape, cells=6))
    speckled = strength * rng.gamma(4, 0.25, grey.shape).astype(np.float32)
    return Image.fromarray(speckled.clip(0, 255).astype(np.uint8)).convert("RGB")
