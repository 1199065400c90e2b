"""Boxes of answers and of annotations as arrays and polygons, all of an answer at once.

Shares of the image's width and height, origin at its top left corner; a box is four numbers (x1 y1 x2 y2) or eight (x y
of four corners).
"""

from collections.abc import Sequence

import numpy as np
import shapely
from numpy.typing import NDArray

from rs_gpt4v_conversion.gpt4v.listing import extent
from rs_gpt4v_conversion.records import Object

FARTHEST = 10.0
"""Times the image's side: a number beyond is no place, and may be too large to reckon with."""

_NOWHERE = (float("nan"),) * 8

Array = NDArray[np.float64]


def corners(boxes: Sequence[Sequence[float]]) -> Array:
    """Shape (boxes, 8): the x y of four corners each; NaN where a box is not of four or eight numbers."""
    rows = [box if len(box) == 8 else _of_upright(box) if len(box) == 4 else _NOWHERE for box in boxes]
    return np.array(rows, dtype=np.float64).reshape(-1, 8)


def are_places(shapes: Array) -> NDArray[np.bool_]:
    """Which rows of corners can be reckoned with, wherever they lie."""
    near: NDArray[np.bool_] = np.logical_and.reduce(np.abs(shapes) <= FARTHEST, axis=1)
    return near


def are_simple(shapes: Array) -> NDArray[np.bool_]:
    """Which rows of corners, all of them places, enclose an area without crossing edges."""
    x, y = shapes[:, 0::2], shapes[:, 1::2]
    dx, dy = x[:, _NEXT] - x, y[:, _NEXT] - y
    turns = dx * dy[:, _NEXT] - dy * dx[:, _NEXT]
    least, most = turns.min(axis=1), turns.max(axis=1)
    simple: NDArray[np.bool_] = (least > 0) | (most < 0)  # four turns one way: convex
    if not simple.all():
        simple[~simple] = shapely.is_valid(shapely.polygons(shapes[~simple].reshape(-1, 4, 2)))
    return simple


_NEXT = [1, 2, 3, 0]


def overlaps(ones: Array, others: Array) -> Array:
    """Intersection over union, pair by pair of rows of corners that are places; 0 where one is not simple."""
    found = np.zeros(len(ones))
    sound = are_simple(ones) & are_simple(others)
    a, b = shapely.polygons(np.stack((ones[sound], others[sound])).reshape(2, -1, 4, 2))
    shared = shapely.area(shapely.intersection(a, b))
    found[sound] = shared / (shapely.area(a) + shapely.area(b) - shared)  # simple shapes have an area
    return found


def annotated_box(item: Object, numbers: int) -> Sequence[float] | None:
    """The box of an annotated object, pixels; of eight numbers if an answer's is and the object has them."""
    return item.obb if numbers == 8 and item.obb is not None else extent(item)


def _of_upright(box: Sequence[float]) -> tuple[float, ...]:
    x1, y1, x2, y2 = box
    return (x1, y1, x2, y1, x2, y2, x1, y2)
