"""HIT-UAV: thermal pictures from a drone, each box exactly around what was drawn.

A rotated box is its centre, its sides and a turn in radians from 0 to pi, clockwise as one looks at
the picture: the corner that is at (dx, dy) from the centre before the turn is at
(dx cos - dy sin, dx sin + dy cos) after it.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

from rs_gpt4v_conversion.sample.canvas import noise, placed, rectangle
from rs_gpt4v_conversion.sample.layout import chance, splits_by_position, write_json

WIDTH, HEIGHT = 640, 512  # pixels
SHARES = {"train": 0.6, "val": 0.2, "test": 0.2}
EMPTY = 1  # the image without a box; in train

PERSON, CAR, BICYCLE, OTHER_VEHICLE, DONT_CARE = range(5)
NAMES = ("Person", "Car", "Bicycle", "OtherVehicle", "DontCare")
SIDES = {
    PERSON: (17, 12),
    CAR: (46, 22),
    BICYCLE: (26, 10),
    OTHER_VEHICLE: (78, 28),
    DONT_CARE: (60, 40),
}
"""Width and height in pixels of each category as seen from 60 m."""

DRONE_HEIGHTS = (60, 70, 80, 90, 100)  # metres
DATE = "20260101"
INFO = {"year": "2026", "version": "1.0", "description": "drawn sample", "date_created": DATE}

Pixels = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A rotated rectangle and what is in it."""

    category: int
    cx: float
    cy: float
    w: float
    h: float
    theta: float
    difficult: bool = False

    def corners(self) -> list[tuple[float, float]]:
        """The four corners, clockwise in the picture."""
        return rectangle(self.cx, self.cy, self.w, self.h, self.theta)

    def upright(self) -> tuple[int, int, int, int]:
        """Left, top, width and height of the smallest upright box of whole pixels around it."""
        xs, ys = zip(*self.corners(), strict=True)
        left, top = math.floor(min(xs)), math.floor(min(ys))
        return left, top, math.ceil(max(xs)) - left, math.ceil(max(ys)) - top


@dataclass(frozen=True, slots=True, kw_only=True)
class _Frame:
    """One picture and its boxes."""

    image: Image.Image
    boxes: tuple[Box, ...]
    night: bool
    altitude: int
    perspective: int
    rainy: bool


def write_hit_uav(root: Path, images: int, seed: int) -> None:
    """Write HIT-UAV with upright and rotated boxes, each with its own copy of the pictures."""
    splits = splits_by_position(images, SHARES)
    frames = [_frame(chance(seed, "hit_uav", n), empty=n == EMPTY) for n in range(images)]
    box_id = 0
    for split in SHARES:
        numbers = [n for n in range(images) if splits[n] == split]
        normal, rotated = _Upright(), _Rotated()
        for number in numbers:
            frame, name = frames[number], _name(frames[number], number)
            for form, document in (("normal_json", normal), ("rotate_json", rotated)):
                path = root / form / split / name
                path.parent.mkdir(parents=True, exist_ok=True)
                frame.image.save(path, quality=90)
                document.images.append(document.image(number, name, frame))
                document.boxes.extend(document.box(box_id + i, number, box) for i, box in enumerate(frame.boxes))
            box_id += len(frame.boxes)
        write_json(root / "normal_json" / "annotations" / f"{split}.json", normal.content())
        write_json(root / "rotate_json" / "annotations" / f"{split}.json", rotated.content())


class _Upright:
    """The file of the upright boxes: a box begins at its upper left corner.

    The list is called `annotation`, without an s.
    """

    def __init__(self) -> None:
        self.images: list[dict[str, Any]] = []
        self.boxes: list[dict[str, Any]] = []

    def image(self, number: int, name: str, frame: _Frame) -> dict[str, Any]:
        return {
            "filename": name, "height": HEIGHT, "width": WIDTH, "id": number, "date_captured": DATE,
        }  # fmt: skip

    def box(self, number: int, image: int, box: Box) -> dict[str, Any]:
        x, y, w, h = box.upright()
        return {
            "segmentation": [[x, y, x + w, y, x + w, y + h, x, y + h]], "area": w * h,
            "image_id": image, "bbox": [x, y, w, h], "category_id": box.category, "id": number,
        }  # fmt: skip

    def content(self) -> dict[str, Any]:
        groups = ("Person", "Vehicle", "Vehicle", "Vehicle", "DontCare")
        categories = [
            {"supercategory": group, "id": i, "name": name}
            for i, (group, name) in enumerate(zip(groups, NAMES, strict=True))
        ]
        return {
            "info": INFO, "licenses": [], "images": self.images, "categories": categories,
            "annotation": self.boxes,
        }  # fmt: skip


class _Rotated:
    """The file of the rotated boxes."""

    def __init__(self) -> None:
        self.images: list[dict[str, Any]] = []
        self.boxes: list[dict[str, Any]] = []

    def image(self, number: int, name: str, frame: _Frame) -> dict[str, Any]:
        return {
            "id": number, "width": WIDTH, "height": HEIGHT, "depth": 1, "filename": name,
            "scenario": str(int(frame.night)), "weather": str(int(frame.rainy)),
            "perspective": str(frame.perspective), "altitude": str(frame.altitude), "date": DATE,
        }  # fmt: skip

    def box(self, number: int, image: int, box: Box) -> dict[str, Any]:
        return {
            "id": number, "image_id": image, "category_id": box.category,
            "difficult": box.difficult, "bbox": [box.cx, box.cy, box.w, box.h, box.theta],
        }  # fmt: skip

    def content(self) -> dict[str, Any]:
        return {
            "info": INFO, "licenses": [],
            "scenarios": [{"id": 0, "name": "day"}, {"id": 1, "name": "night"}],
            "weather": [{"id": 0, "name": "sunny"}, {"id": 1, "name": "rainy"}],
            "images": self.images,
            "categories": [{"id": i, "name": name} for i, name in enumerate(NAMES)],
            "annotations": self.boxes,
        }  # fmt: skip


def _name(frame: _Frame, number: int) -> str:
    parts = (int(frame.night), frame.altitude, frame.perspective, int(frame.rainy))
    return "_".join(map(str, parts)) + f"_{number + 1:05d}.jpg"


def _frame(rng: np.random.Generator, *, empty: bool) -> _Frame:
    altitude = int(rng.choice(DRONE_HEIGHTS))
    night = bool(rng.random() < 0.5)
    course = float(rng.uniform(0, math.pi))  # of the road
    pixels = _ground(rng, course, night)
    boxes = () if empty else _boxes(rng, course, 60 / altitude)
    for box in boxes:
        _paint(pixels, box, rng)
    pixels += rng.standard_normal(pixels.shape, np.float32) * 2.5
    return _Frame(
        image=Image.fromarray(pixels.clip(0, 255).astype(np.uint8)),
        boxes=boxes, night=night, altitude=altitude, perspective=int(rng.choice([60, 70, 80, 90])),
        rainy=bool(rng.random() < 0.1),
    )  # fmt: skip


def _ground(rng: np.random.Generator, course: float, night: bool) -> Pixels:
    """Cool ground, a road that has kept some of the day's warmth, cold trees."""
    base = 58 if night else 78
    surface = Image.new("L", (WIDTH, HEIGHT), base)
    pen = ImageDraw.Draw(surface)
    middle, reach = (WIDTH / 2, HEIGHT / 2), 500.0
    for across, width, level in ((0, 172, base + 14), (0, 150, base + 34), (0, 3, base + 56)):
        pen.line(placed([(-reach, across), (reach, across)], *middle, course), level, width)
    for _ in range(70):
        along, away = float(rng.uniform(-reach, reach)), float(rng.uniform(104, 330))
        side = 1 if rng.random() < 0.5 else -1
        [(x, y)] = placed([(along, side * away)], *middle, course)
        radius = float(rng.uniform(10, 26))
        level = base - int(rng.integers(18, 34))
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), level)
    soft = surface.filter(ImageFilter.GaussianBlur(2.5))  # warmth has no sharp edges
    relief = 1 + 0.3 * noise(rng, HEIGHT, WIDTH, cells=12, octaves=6)
    pixels: Pixels = np.asarray(soft, np.float32) * relief
    return pixels


def _boxes(rng: np.random.Generator, course: float, scale: float) -> tuple[Box, ...]:
    """Vehicles along the road and people anywhere, none touching another."""
    wanted = [CAR] * int(rng.integers(2, 7)) + [PERSON] * int(rng.integers(2, 8))
    wanted += [BICYCLE] * int(rng.integers(1, 4)) + [OTHER_VEHICLE] * int(rng.integers(0, 2))
    wanted += [DONT_CARE] * int(rng.integers(0, 2))
    boxes: list[Box] = []
    for category in sorted(wanted, key=lambda c: -SIDES[c][0]):  # the large ones need the room most
        box = _free_place(rng, category, course, scale, boxes)
        if box is not None:
            boxes.append(box)
    return tuple(boxes)


def _free_place(rng: np.random.Generator, category: int, course: float, scale: float, taken: list[Box]) -> Box | None:
    w, h = (round(side * scale * float(rng.uniform(0.9, 1.1)), 4) for side in SIDES[category])
    on_road = category in (CAR, OTHER_VEHICLE)
    for _ in range(60):
        along, across = float(rng.uniform(-300, 300)), float(rng.uniform(-200, 200))
        if on_road:
            across = float(rng.choice([-54, -20, 20, 54]))
        [(cx, cy)] = placed([(along, across)], WIDTH / 2, HEIGHT / 2, course)
        turn = course + (rng.uniform(-0.12, 0.12) if on_road else rng.uniform(0, math.pi))
        box = Box(
            category=category, cx=round(cx, 4), cy=round(cy, 4), w=w, h=h,
            theta=round(float(turn) % math.pi, 4),
            difficult=category != DONT_CARE and bool(rng.random() < 0.1),
        )  # fmt: skip
        if _inside(box) and all(_apart(box, other) for other in taken):
            return box
    return None


def _inside(box: Box) -> bool:
    return all(4 <= x <= WIDTH - 4 and 4 <= y <= HEIGHT - 4 for x, y in box.corners())


def _apart(a: Box, b: Box) -> bool:
    reach = (math.hypot(a.w, a.h) + math.hypot(b.w, b.h)) / 2
    return math.dist((a.cx, a.cy), (b.cx, b.cy)) > reach + 3


def _paint(pixels: Pixels, box: Box, rng: np.random.Generator) -> None:
    """Draw something warm that fills its box and does not reach beyond it."""
    x, y, w, h = box.upright()
    rows, columns = np.mgrid[y : y + h, x : x + w].astype(np.float32) + 0.5  # centres of the pixels
    c, s = math.cos(box.theta), math.sin(box.theta)
    along = (columns - box.cx) * c + (rows - box.cy) * s  # in the box's own axes
    across = (rows - box.cy) * c - (columns - box.cx) * s
    edge_along, edge_across = box.w / 2 - np.abs(along), box.h / 2 - np.abs(across)
    cover = np.clip(edge_along + 0.5, 0, 1) * np.clip(edge_across + 0.5, 0, 1)
    u, v = 2 * along / box.w, 2 * across / box.h  # from -1 to 1 in the box
    if box.category in (PERSON, BICYCLE):  # bodies are rounder than bodywork
        inside = 1 - (np.abs(u) ** 3 + np.abs(v) ** 3)
        cover *= np.clip(inside * min(box.w, box.h) / 4 + 0.5, 0, 1)
    level = float(rng.uniform(186, 210)) + _warmth(box.category, u, v, rng)
    area = pixels[y : y + h, x : x + w]
    area += cover * (level - area)


def _warmth(category: int, u: Pixels, v: Pixels, rng: np.random.Generator) -> Pixels:
    """How much warmer or cooler than the whole a part is: an engine, a roof, a wheel."""
    pattern: Pixels
    if category == CAR:
        pattern = 42 * (u > 0.42) - 34 * ((np.abs(u + 0.1) < 0.4) & (np.abs(v) < 0.68))
    elif category == OTHER_VEHICLE:
        pattern = 44 * (u > 0.72) - 36 * ((u < 0.6) & (np.abs(v) < 0.76) & (np.sin(u * 18) > -0.4))
    elif category == DONT_CARE:  # a crowd that nobody can count
        pattern = 40 * noise(rng, *u.shape, cells=5, octaves=2)
    else:
        pattern = 40 * np.exp(-3 * (u**2 + v**2))
    return pattern.astype(np.float32)
