"""A surface for overhead pictures: shapes in units of the scene, soft edges, a camera's grain.

Whatever its size in pixels, a canvas is 256 units wide and high, so one scene serves every source.
"""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageChops, ImageDraw

UNITS = 256.0
"""Width and height of every canvas in scene units."""

OVERSAMPLING = 2
"""Shapes are drawn so many times larger than the image: that is what makes their edges soft."""

Colour = tuple[int, ...]
"""Red, green and blue, 0 to 255, and for a translucent colour its opacity."""

Point = tuple[float, float]

SHADOW: Colour = (12, 18, 26, 105)


class Canvas:
    """A square picture under way.

    Args:
        size: Width and height of the finished picture, pixels.
        ground: Colour of the ground.
        rng: Source of all chance in the picture.
    """

    def __init__(self, size: int, ground: Colour, rng: np.random.Generator) -> None:
        self.size, self.rng = size, rng
        self.scale = size * OVERSAMPLING / UNITS
        self.image = Image.new("RGB", (size * OVERSAMPLING,) * 2, ground)
        self.pen = ImageDraw.Draw(self.image, "RGBA")

    def polygon(self, points: Sequence[Point], fill: Colour) -> None:
        """Fill a polygon."""
        self.pen.polygon(self._pixels(points), fill)

    def rectangle(self, x: float, y: float, w: float, h: float, turn: float, fill: Colour) -> None:
        """Fill a rectangle, given by its centre and sides and a clockwise turn in radians."""
        self.polygon(rectangle(x, y, w, h, turn), fill)

    def line(self, points: Sequence[Point], width: float, fill: Colour) -> None:
        """Draw a line with round joints."""
        self.pen.line(self._pixels(points), fill, max(1, round(width * self.scale)), "curve")

    def dashes(self, start: Point, end: Point, width: float, dash: float, fill: Colour) -> None:
        """Draw a broken straight line: dashes as long as the gaps between them."""
        length = math.dist(start, end)
        dx, dy = (end[0] - start[0]) / length, (end[1] - start[1]) / length
        for at in np.arange(0.0, length, 2 * dash):
            stop = min(float(at) + dash, length)
            points = [(start[0] + dx * d, start[1] + dy * d) for d in (float(at), stop)]
            self.line(points, width, fill)

    def disc(self, x: float, y: float, radius: float, fill: Colour) -> None:
        """Fill a circle."""
        self.ellipse(x, y, radius, radius, fill)

    def ellipse(self, x: float, y: float, rx: float, ry: float, fill: Colour) -> None:
        """Fill an upright ellipse, given by its centre and half axes."""
        (left, top), (right, bottom) = self._pixels([(x - rx, y - ry), (x + rx, y + ry)])
        self.pen.ellipse((left, top, right, bottom), fill)

    def arc(self, x: float, y: float, radius: float, width: float, fill: Colour) -> None:
        """Draw a circle as a line."""
        (left, top), (right, bottom) = self._pixels([(x - radius, y - radius), (x + radius, y + radius)])
        pixels = max(1, round(width * self.scale))
        self.pen.ellipse((left, top, right, bottom), None, fill, pixels)

    def furrows(self, points: Sequence[Point], turn: float, gap: float, fill: Colour) -> None:
        """Cover a polygon with parallel lines, as a plough or a mower leaves them."""
        outline = self._pixels(points)
        left, right = _span([x for x, _ in outline], self.image.width)
        top, bottom = _span([y for _, y in outline], self.image.height)
        if left >= right or top >= bottom:
            return
        area, lines = (Image.new("L", (right - left, bottom - top)) for _ in range(2))
        ImageDraw.Draw(area).polygon(moved(outline, -left, -top), 255)
        pen = ImageDraw.Draw(lines)
        middle, reach = ((right - left) / 2, (bottom - top) / 2), math.hypot(*lines.size) / 2
        for at in np.arange(-reach, reach, gap * self.scale):
            ends = [(-reach, float(at)), (reach, float(at))]
            pen.line(placed(ends, *middle, turn), 255, max(1, round(gap * self.scale * 0.4)))
        self.image.paste(fill, (left, top), ImageChops.multiply(area, lines))

    def tint(self, colour: Colour, mask: npt.NDArray[np.float32]) -> None:
        """Mix a colour in where a mask of any size, from 0 to 1, says so."""
        small = Image.fromarray((mask * 255).clip(0, 255).astype(np.uint8))
        self.image.paste(colour, mask=small.resize(self.image.size, Image.Resampling.BILINEAR))

    def finish(self, *, relief: float = 0.10, grain: float = 4.0) -> Image.Image:
        """The picture at its final size, with the unevenness of real ground and a camera's noise.

        Args:
            relief: Share by which large patches are brighter or darker.
            grain: Standard deviation of the noise, in grey levels.
        """
        pixels = np.asarray(self.image.reduce(OVERSAMPLING), np.float32)
        uneven = 1 + relief * noise(self.rng, self.size, self.size, cells=5)
        fine = self.rng.standard_normal((self.size, self.size, 1), np.float32) * grain
        light = self.rng.uniform(0.97, 1.03, 3).astype(np.float32)
        shaded = pixels * uneven[..., None] * light + fine
        return Image.fromarray(shaded.clip(0, 255).astype(np.uint8))

    def _pixels(self, points: Sequence[Point]) -> list[Point]:
        return [(x * self.scale, y * self.scale) for x, y in points]


def _span(values: Sequence[float], end: int) -> tuple[int, int]:
    return max(0, math.floor(min(values))), min(end, math.ceil(max(values)))


def rectangle(x: float, y: float, w: float, h: float, turn: float = 0.0) -> list[Point]:
    """Corners of a rectangle, given by its centre and sides and a clockwise turn in radians."""
    return placed([(-w / 2, -h / 2), (w / 2, -h / 2), (w / 2, h / 2), (-w / 2, h / 2)], x, y, turn)


def placed(points: Sequence[Point], x: float, y: float, turn: float, scale: float = 1.0) -> list[Point]:
    """Points of a small drawing around (0, 0), scaled, turned clockwise and moved to a place."""
    c, s = math.cos(turn) * scale, math.sin(turn) * scale
    return [(x + px * c - py * s, y + px * s + py * c) for px, py in points]


def moved(points: Sequence[Point], dx: float, dy: float) -> list[Point]:
    """Points moved by an offset."""
    return [(x + dx, y + dy) for x, y in points]


def noise(
    rng: np.random.Generator, height: int, width: int, *, cells: int, octaves: int = 4
) -> npt.NDArray[np.float32]:
    """Smooth noise from -1 to 1 with details of several sizes.

    Args:
        rng: Source of chance.
        height: Rows of the result.
        width: Columns of the result.
        cells: Number of large patches along a side.
        octaves: Number of sizes; each next one is half as large and half as strong.

    Returns:
        float32 of shape (height, width).
    """
    total = np.zeros((height, width), np.float32)
    for octave in range(octaves):
        count = cells * 2**octave
        coarse = Image.fromarray(rng.random((count, count), np.float32) * 2 - 1)
        smooth = coarse.resize((width, height), Image.Resampling.BICUBIC)
        total += np.asarray(smooth, np.float32) / 2**octave
    bounded: npt.NDArray[np.float32] = (total / 1.5).clip(-1, 1)
    return bounded


def varied(rng: np.random.Generator, colour: Colour, by: int = 12) -> Colour:
    """A colour a little brighter or darker, so that no two trees or roofs are the same."""
    shift = int(rng.integers(-by, by + 1))
    return tuple(max(0, min(255, c + shift)) for c in colour)
