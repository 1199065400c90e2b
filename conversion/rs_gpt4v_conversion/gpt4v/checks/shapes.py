"""Boxes of answers and of annotations as corners and polygons.

Shares of the image's width and height, origin at its top left corner; a box is four numbers (x1 y1 x2 y2) or eight (x y
of four corners).
"""

from collections.abc import Sequence

import numpy as np
import shapely

from rs_gpt4v_conversion.gpt4v.listing import extent
from rs_gpt4v_conversion.records import Object

FARTHEST = 10.0
"""Times the image's side: a number beyond is no place, and may be too large to reckon with."""


def corners(box: Sequence[float]) -> Sequence[float]:
    """The x y of four corners; empty where a box is not of four or eight numbers."""
    return box if len(box) == 8 else _of_upright(box) if len(box) == 4 else ()


def is_place(box: Sequence[float]) -> bool:
    """Whether a box can be reckoned with, wherever it lies."""
    return len(box) in (4, 8) and max(box) <= FARTHEST and min(box) >= -FARTHEST


def is_simple(shape: Sequence[float]) -> bool:
    """Whether four corners that are a place enclose an area without crossing edges."""
    x1, y1, x2, y2, x3, y3, x4, y4 = shape
    ax, ay, bx, by, cx, cy, dx, dy = x2 - x1, y2 - y1, x3 - x2, y3 - y2, x4 - x3, y4 - y3, x1 - x4, y1 - y4
    first, second, third, fourth = ax * by - ay * bx, bx * cy - by * cx, cx * dy - cy * dx, dx * ay - dy * ax
    if (first > 0) == (second > 0) == (third > 0) == (fourth > 0) and first and second and third and fourth:
        return True  # four turns one way: convex
    return bool(shapely.is_valid(shapely.polygons(np.array(shape, dtype=np.float64).reshape(4, 2))))


def overlaps(pairs: Sequence[tuple[Sequence[float], Sequence[float]]]) -> list[float]:
    """Intersection over union of pairs of corners that are places, one after the other; 0 where one is not simple."""
    found = [0.0] * len(pairs)
    sound = [i for i, (one, other) in enumerate(pairs) if is_simple(one) and is_simple(other)]
    if sound:
        shapes = np.array([pairs[i] for i in sound], dtype=np.float64).reshape(-1, 2, 4, 2)
        polygons = shapely.polygons(shapes)
        areas = shapely.area(polygons)
        shared = shapely.area(shapely.intersection(polygons[:, 0], polygons[:, 1]))
        shares = shared / (areas[:, 0] + areas[:, 1] - shared)  # simple shapes have an area
        for i, share in zip(sound, shares.tolist(), strict=True):
            found[i] = share
    return found


def annotated_box(item: Object, numbers: int) -> Sequence[float] | None:
    """The box of an annotated object, pixels; of eight numbers if an answer's is and the object has them."""
    return item.obb if numbers == 8 and item.obb is not None else extent(item)


def _of_upright(box: Sequence[float]) -> tuple[float, ...]:
    x1, y1, x2, y2 = box
    return (x1, y1, x2, y1, x2, y2, x1, y2)
