"""Boxes: the one form that all sources' conventions become, and how boxes relate.

Pixels of the image, origin at its top left corner, x to the right and y down; a positive angle turns clockwise as one
looks at the image.
"""

import math

from rs_gpt4v_conversion.records import BBox, Obb


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


def clip(box: BBox, width: int, height: int) -> BBox | None:
    """The part of a box that lies inside an image, or None where that has no area."""
    x1, y1 = max(box[0], 0.0), max(box[1], 0.0)
    x2, y2 = min(box[2], float(width)), min(box[3], float(height))
    return (x1, y1, x2, y2) if x1 < x2 and y1 < y2 else None
