"""Boxes of answers and of annotations as polygons, all of an answer at once.

Shares of the image's width and height, origin at its top left corner; a box is four numbers (x1 y1 x2 y2) or eight (x y
of four corners).
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from rs_gpt4v_conversion.gpt4v.listing import extent
from rs_gpt4v_conversion.records import Object

FARTHEST = 10.0
"""Times the image's side: a number beyond is no place, and may be too large to reckon with."""


def is_shape(box: Sequence[float]) -> bool:
    """Whether numbers can be the corners of a box, wherever it lies."""
    if len(box) not in (4, 8) or math.isnan(sum(box)):
        return False
    return min(box) >= -FARTHEST and max(box) <= FARTHEST


def is_convex(box: Sequence[float]) -> bool:
    """Whether four corners turn the same way one after the other, and so enclose an area without crossing edges.

    Two full turns, as of a star, take more corners than four.
    """
    x, y = box[0::2], box[1::2]
    turns = [(x[i - 1] - x[i - 2]) * (y[i] - y[i - 1]) - (y[i - 1] - y[i - 2]) * (x[i] - x[i - 1]) for i in range(4)]
    return min(turns) > 0 or max(turns) < 0


def polygons(boxes: Sequence[Sequence[float]]) -> NDArray[Any]:
    """One polygon a box; the boxes are shapes."""
    corners = [box if len(box) == 8 else _corners(box) for box in boxes]
    array = np.array(corners, dtype=np.float64).reshape(-1, 4, 2)
    return np.atleast_1d(shapely.polygons(array)) if len(array) else np.empty(0, dtype=object)


def overlaps(ones: Sequence[Sequence[float]], others: Sequence[Sequence[float]]) -> list[float]:
    """Intersection over union, pair by pair; 0 where one is no simple polygon or has no area."""
    both = polygons([*ones, *others]).reshape(2, -1)
    both[:, ~shapely.is_valid(both).all(axis=0)] = None  # whose area is no number, and no more than 0
    shared = shapely.area(shapely.intersection(both[0], both[1]))
    union = shapely.area(both).sum(axis=0) - shared
    found: list[float] = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0).tolist()
    return found


def annotated(item: Object, numbers: int, width: int, height: int) -> tuple[float, ...] | None:
    """The box of an annotated object in shares, of eight numbers if an answer's is and the object has them."""
    box = item.obb if numbers == 8 and item.obb is not None else extent(item)
    if box is None:
        return None
    return tuple(v / (height if i % 2 else width) for i, v in enumerate(box))


def _corners(box: Sequence[float]) -> tuple[float, ...]:
    x1, y1, x2, y2 = box
    return (x1, y1, x2, y1, x2, y2, x1, y2)
