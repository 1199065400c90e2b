"""Boxes: the one form that all sources' conventions become, and how boxes relate.

Pixels of the image, origin at its top left corner, x to the right and y down; a positive angle turns clockwise as one
looks at the image.
"""

import math
from collections.abc import Sequence
from typing import TypeVar, cast

from rs_gpt4v_conversion.records import BBox, Obb

Shape = TypeVar("Shape", BBox, Obb)


SLACK = 1.0
"""Pixels by which a box may leave its image without being wrong: some annotators count from 0, some from 1."""


def corners(cx: float, cy: float, w: float, h: float, angle: float) -> Obb:
    """Four corners of a rotated box, clockwise in the image from the one that is top left before the turn.

    Args:
        cx: Centre, pixels.
        cy: Centre, pixels.
        w: Side along x before the turn, pixels.
        h: Side along y before the turn, pixels.
        angle: Clockwise turn in radians.
    """
    c, s = math.cos(angle), math.sin(angle)
    sides = ((-w / 2, -h / 2), (w / 2, -h / 2), (w / 2, h / 2), (-w / 2, h / 2))
    (ax, ay), (bx, by), (dx, dy), (ex, ey) = ((cx + x * c - y * s, cy + x * s + y * c) for x, y in sides)
    return (ax, ay, bx, by, dx, dy, ex, ey)


def envelope(obb: Obb) -> BBox:
    """The smallest upright box around four corners."""
    return (min(obb[0::2]), min(obb[1::2]), max(obb[0::2]), max(obb[1::2]))


def moved(shape: Shape, x: float, y: float) -> Shape:
    """A box or four corners moved by x and y pixels."""
    return cast(Shape, tuple(v + (y if i % 2 else x) for i, v in enumerate(shape)))


def clip(box: BBox, width: int, height: int) -> BBox | None:
    """The part of a box that lies inside an image, or None where that has no area."""
    x1, y1 = max(box[0], 0.0), max(box[1], 0.0)
    x2, y2 = min(box[2], float(width)), min(box[3], float(height))
    return (x1, y1, x2, y2) if x1 < x2 and y1 < y2 else None


def cell(box: BBox, width: int, height: int) -> tuple[int, int]:
    """Row and column, 0 to 2 each, of the ninth of an image in which the centre of a box lies."""
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    return min(2, max(0, int(3 * y / height))), min(2, max(0, int(3 * x / width)))


def in_cell(box: BBox, row: int, column: int, width: int, height: int) -> float:
    """Share of a box's area that lies in one ninth of the image."""
    left, top = column * width / 3, row * height / 3
    w = min(box[2], left + width / 3) - max(box[0], left)
    h = min(box[3], top + height / 3) - max(box[1], top)
    area = (box[2] - box[0]) * (box[3] - box[1])
    return max(w, 0.0) * max(h, 0.0) / area if area > 0 else 0.0


def clockwise(obb: Obb) -> Obb:
    """The corners in clockwise order as one looks at the image, beginning with the same one."""
    if signed_area(obb) >= 0:
        return obb
    return (*obb[0:2], *obb[6:8], *obb[4:6], *obb[2:4])


def centre_inside(obb: Sequence[float], width: int | None, height: int | None) -> bool:
    """Whether the centre of four corners lies in an image, or at most `SLACK` beside it; a side may be unknown."""
    x, y = sum(obb[0::2]) / 4, sum(obb[1::2]) / 4
    inside = min(x, y) >= -SLACK
    return inside and (width is None or x <= width + SLACK) and (height is None or y <= height + SLACK)


def signed_area(obb: Sequence[float]) -> float:
    """Area of four corners in pixels squared, above 0 where they run clockwise as one looks at the image.

    Where edges cross, what lies on one side of the crossing cancels what lies on the other.
    """
    xs, ys = obb[0::2], obb[1::2]
    return sum(xs[i - 1] * ys[i] - xs[i] * ys[i - 1] for i in range(4)) / 2  # the shoelace formula, with y down


def in_turn(corners: Sequence[float]) -> list[float]:
    """The x y of corners in any order, as they follow each other clockwise around their centre, the first one first."""
    points = list(zip(corners[0::2], corners[1::2], strict=True))
    cx, cy = (sum(values) / len(points) for values in zip(*points, strict=True))
    first = math.atan2(points[0][1] - cy, points[0][0] - cx)
    turns = {p: (math.atan2(p[1] - cy, p[0] - cx) - first) % math.tau for p in points}
    return [v for point in sorted(points, key=lambda p: turns[p]) for v in point]


def overlap(a: BBox, b: BBox) -> float:
    """Intersection over union of two upright boxes; 0 where one has no area."""
    w = min(a[2], b[2]) - max(a[0], b[0])
    h = min(a[3], b[3]) - max(a[1], b[1])
    shared = max(w, 0.0) * max(h, 0.0)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared
    return shared / union if union > 0 else 0.0
