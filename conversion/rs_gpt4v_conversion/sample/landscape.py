"""Ground for questions: a satellite's countryside and a block in an aerial photograph.

Where `scene.py` says in words what it drew, these list every feature with its area, so that counts,
comparisons and areas can be answered exactly. Whatever is asked about lies whole inside the picture
and apart from its like.
"""

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image

from rs_gpt4v_conversion.sample import things
from rs_gpt4v_conversion.sample.canvas import SHADOW, UNITS, Canvas, Colour, Point, noise, varied

COUNTRYSIDE_SIZE, BLOCK_SIZE = 256, 512  # pixels
NEXT_TO = 14.0  # scene units from the middle of a road
NO_DATA_FROM = 0.8  # share of the width where an image with a black area ends


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """One thing on the ground."""

    kind: str  # such as "residential building"
    pixels: float  # area it covers
    next_to_road: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Landscape:
    """A finished picture and everything on it that questions are about."""

    image: Image.Image
    features: tuple[Feature, ...]
    urban: bool


@dataclass(frozen=True, slots=True)
class _Circle:
    x: float
    y: float
    radius: float


def countryside(rng: np.random.Generator) -> Landscape:
    """Draw 2.56 km of farmland, 10 m a pixel: lakes, woods, roads, and villages or a town."""
    canvas = Canvas(COUNTRYSIDE_SIZE, (74, 92, 58), rng)
    _patchwork(canvas)
    urban = bool(rng.random() < 0.4)
    taken: list[_Circle] = []
    towns = _apart(canvas, taken, 1, 60, 76) if urban else _apart(canvas, taken, 2, 14, 26)
    lakes = _apart(canvas, taken, int(rng.integers(0, 4)), 9, 22)
    woods = _apart(canvas, taken, int(rng.integers(0, 4)), 12, 26)
    for town in towns:
        _built_up(canvas, town)
    roads = _roads(canvas, [*lakes, *woods], int(rng.integers(1, 4)))
    pixel = (COUNTRYSIDE_SIZE / UNITS) ** 2
    features = [Feature(kind="road", pixels=3 * math.dist(*ends) * pixel) for ends in roads]
    for lake in lakes:
        canvas.polygon(things.blob(canvas, lake.x, lake.y, lake.radius), (28, 48, 66))
        features.append(Feature(kind="water area", pixels=math.pi * lake.radius**2 * pixel))
    for wood in woods:
        outline = things.blob(canvas, wood.x, wood.y, wood.radius)
        canvas.polygon(outline, (34, 54, 36))
        canvas.furrows(outline, 0.8, 2.2, (42, 62, 40))
        features.append(Feature(kind="forest", pixels=math.pi * wood.radius**2 * pixel))
    for town in towns:
        features.extend(_houses(canvas, town, roads, pixel))
    image = canvas.finish(relief=0.12, grain=2.5)
    return Landscape(image=image, features=tuple(features), urban=urban)


def _patchwork(canvas: Canvas) -> None:
    """Fields of all shapes: every pixel belongs to the nearest of some random points."""
    rng, size = canvas.rng, COUNTRYSIDE_SIZE
    rows, columns = np.mgrid[0:size, 0:size].astype(np.float32)
    rows += 7 * noise(rng, size, size, cells=6)
    columns += 7 * noise(rng, size, size, cells=6)
    centres = rng.uniform(0, size, (46, 2)).astype(np.float32)
    ys, xs = centres[:, :1, None], centres[:, 1:, None]
    nearest = (np.abs(rows - ys) + np.abs(columns - xs)).argmin(axis=0)
    palette = np.array([(70, 100, 56), (92, 112, 66), (128, 118, 84), (104, 88, 68), (60, 84, 50)])
    colours = palette[rng.integers(0, len(palette), len(centres))] + rng.integers(-8, 9, (46, 1))
    pixels = colours[nearest].astype(np.uint8)
    hedge = (np.diff(nearest, axis=0, append=nearest[-1:]) != 0) | (
        np.diff(nearest, axis=1, append=nearest[:, -1:]) != 0
    )
    pixels[hedge] = (54, 68, 46)
    canvas.image.paste(Image.fromarray(pixels).resize(canvas.image.size, Image.Resampling.BILINEAR))


def _apart(canvas: Canvas, taken: list[_Circle], count: int, least: float, most: float) -> list[_Circle]:
    """Up to so many circles in the picture, none near one that is taken; they are taken then."""
    found: list[_Circle] = []
    for _ in range(60):
        if len(found) == count:
            break
        radius = float(canvas.rng.uniform(least, most))
        x, y = (float(v) for v in canvas.rng.uniform(radius * 1.3, UNITS - radius * 1.3, 2))
        circle = _Circle(x, y, radius)
        if all(math.hypot(x - o.x, y - o.y) > 1.25 * (radius + o.radius) for o in taken):
            found.append(circle)
            taken.append(circle)
    return found


def _roads(canvas: Canvas, avoid: list[_Circle], count: int) -> list[tuple[Point, Point]]:
    """Straight roads from edge to edge, at least one, past lakes and woods where they can."""
    roads: list[tuple[Point, Point]] = []
    for attempt in range(80):
        if len(roads) == count:
            break
        start, end = (float(v) for v in canvas.rng.uniform(16, UNITS - 16, 2))
        across = canvas.rng.random() < 0.5
        ends = ((0.0, start), (UNITS, end)) if across else ((start, 0.0), (end, UNITS))
        free = all(_distance((c.x, c.y), ends) > c.radius * 1.25 + 3 for c in avoid)
        spread = all(math.dist(_middle(ends), _middle(r)) > 24 for r in roads)
        if (free and spread) or (attempt == 79 and not roads):
            roads.append(ends)
    for ends in roads:
        canvas.line(ends, 4, (96, 98, 84))
        canvas.line(ends, 2, (166, 162, 150))
    return roads


def _middle(ends: tuple[Point, Point]) -> Point:
    return ((ends[0][0] + ends[1][0]) / 2, (ends[0][1] + ends[1][1]) / 2)


def _distance(point: Point, ends: tuple[Point, Point]) -> float:
    """From a point to a straight road."""
    (x, y), ((ax, ay), (bx, by)) = point, ends
    along = ((x - ax) * (bx - ax) + (y - ay) * (by - ay)) / math.dist(*ends) ** 2
    along = min(1.0, max(0.0, along))
    return math.hypot(x - ax - along * (bx - ax), y - ay - along * (by - ay))


def _built_up(canvas: Canvas, town: _Circle) -> None:
    canvas.polygon(things.blob(canvas, town.x, town.y, town.radius * 1.06), (112, 108, 98))


def _houses(canvas: Canvas, town: _Circle, roads: list[tuple[Point, Point]], pixel: float) -> list[Feature]:
    """Buildings on a grid that is out of line, none on a road."""
    rng = canvas.rng
    features = []
    for gy in np.arange(-town.radius, town.radius, 7):
        for gx in np.arange(-town.radius, town.radius, 7):
            x = town.x + float(gx + rng.uniform(-1, 1))
            y = town.y + float(gy + rng.uniform(-1, 1))
            inside = math.hypot(gx, gy) < town.radius * 0.92
            nearest = min(_distance((x, y), ends) for ends in roads)
            commercial, built = rng.random() < 0.15, rng.random() < 0.75
            if not (inside and built) or nearest < 5:
                continue
            w, h = (4.6, 3.8) if commercial else (2.8, 2.4)
            roof: Colour = (206, 206, 202) if commercial else (164, 120, 100)
            canvas.rectangle(x + 0.7, y + 0.7, w, h, 0, SHADOW)
            canvas.rectangle(x, y, w, h, 0, varied(rng, roof))
            features.append(
                Feature(
                    kind="commercial building" if commercial else "residential building",
                    pixels=w * h * pixel,
                    next_to_road=nearest < NEXT_TO,
                )
            )
    return features


def block(rng: np.random.Generator, *, no_data: bool = False) -> Landscape:
    """Draw 78 m of a suburb, 0.1524 m a pixel: a road or two, houses, shops, pools.

    Args:
        rng: Source of all chance in the picture.
        no_data: Leave the right-hand fifth black, as at the edge of a flight.
    """
    canvas = Canvas(BLOCK_SIZE, (104, 116, 78), rng)
    width = UNITS * NO_DATA_FROM if no_data else UNITS
    pixel = (BLOCK_SIZE / UNITS) ** 2
    y = float(rng.uniform(104, 152))
    x = float(rng.uniform(80, 130)) if rng.random() < 0.5 else None
    roads = [((0.0, y), (width, y))] + ([((x, 0.0), (x, UNITS))] if x is not None else [])
    for start, end in roads:
        canvas.line([start, end], 34, (178, 174, 164))  # pavements
    for start, end in roads:
        things.road(canvas, start, end, 24)
    features = [Feature(kind="road", pixels=24 * math.dist(*ends) * pixel) for ends in roads]
    columns = [(0.0, width)] if x is None else [(0.0, x - 18), (x + 18, width)]
    for left, right in columns:
        for top, bottom in ((0.0, y - 18), (y + 18, UNITS)):
            lots = max(1, int((right - left) / 52))
            step = (right - left) / lots
            for i in range(lots):
                lot = (left + i * step, top, left + (i + 1) * step, bottom)
                features.extend(_lot(canvas, lot, top > 0, pixel))
    for along in np.arange(20, width - 10, 46):
        if rng.random() < 0.5:
            lane = 6 if rng.random() < 0.5 else -6
            things.car(canvas, float(along), y + lane, 0, 15)
    image = canvas.finish(relief=0.08, grain=5)
    if no_data:
        edge = int(BLOCK_SIZE * NO_DATA_FROM)
        image.paste((0, 0, 0), (edge, 0, BLOCK_SIZE, BLOCK_SIZE))
    urban = any(f.kind == "commercial building" for f in features)
    return Landscape(image=image, features=tuple(features), urban=urban)


def _lot(canvas: Canvas, lot: tuple[float, float, float, float], below: bool, pixel: float) -> list[Feature]:
    """One lot beside the road: a house with a garden, a shop with its yard, or trees."""
    rng = canvas.rng
    left, top, right, bottom = lot
    x, front = (left + right) / 2, (top if below else bottom)
    inwards = 1 if below else -1
    room, depth = right - left, bottom - top
    use = float(rng.random())
    if use < 0.15:
        things.wood(canvas, 12, (left + 8, top + 8, right - 8, bottom - 8), 8)
        return []
    if use < 0.38:
        w, h = room - 10, min(depth - 22, 84.0)
        canvas.rectangle(x, (top + bottom) / 2, room - 2, depth - 2, 0, (150, 146, 138))
        things.flat_building(canvas, x, front + inwards * (h / 2 + 14), w, h, 0, (188, 184, 176))
        return [Feature(kind="commercial building", pixels=w * h * pixel, next_to_road=True)]
    w, h = min(room - 16, float(rng.uniform(36, 46))), float(rng.uniform(28, 36))
    y = front + inwards * (h / 2 + 8)
    canvas.line([(right - 6, front), (right - 6, y)], 8, (176, 172, 164))
    roof = list(things.ROOFS.values())[int(rng.integers(len(things.ROOFS)))]
    things.house(canvas, x - 3, y, w, h, 0, varied(rng, roof))
    features = [Feature(kind="residential building", pixels=w * h * pixel, next_to_road=True)]
    garden = front + inwards * (h + 26)
    if rng.random() < 0.4:
        canvas.ellipse(x, garden, 12, 9, (206, 202, 192))
        canvas.ellipse(x, garden, 10, 7, (74, 158, 178))
        features.append(Feature(kind="water area", pixels=math.pi * 10 * 7 * pixel))
    for corner in (left + 8, right - 10):
        things.tree(canvas, corner, garden + inwards * float(rng.uniform(2, 12)), 7)
    return features
