"""Boxes as text, and back.

`[x1, y1, x2, y2]` as shares of the image's width and height, three decimals: with LLaVA's two, seven of a hundred boxes
of DIOR cannot reach an IoU of 0.5 with their own text.
"""

import re
from collections.abc import Iterable

from rs_gpt4v_conversion.records import BBox, Object

DECIMALS = 3

_BOX = re.compile(r"\[\s*([^\[\],]+?)\s*,\s*([^\[\],]+?)\s*,\s*([^\[\],]+?)\s*,\s*([^\[\],]+?)\s*\]")


def bbox_text(box: BBox, width: int, height: int, *, decimals: int = DECIMALS) -> str:
    """Write a box as text.

    Args:
        box: x1 y1 x2 y2 in pixels, inside the image.
        width: Of the image, pixels.
        height: Of the image, pixels.
        decimals: Digits after the point.

    Raises:
        ValueError: The box leaves the image or has no area.
    """
    x1, y1, x2, y2 = box
    if not (0 <= x1 < x2 <= width and 0 <= y1 < y2 <= height):
        raise ValueError(f"box {box} does not lie in an image of {width}x{height}")
    shares = (x1 / width, y1 / height, x2 / width, y2 / height)
    return "[" + ", ".join(f"{share:.{decimals}f}" for share in shares) + "]"


def parse_bboxes(text: str, width: int, height: int) -> list[BBox]:
    """Read all boxes in a text, in its order: the inverse of `bbox_text` to half a unit of the last digit.

    Args:
        text: An answer; what stands between the boxes is passed over.
        width: Of the image, pixels.
        height: Of the image, pixels.

    Returns:
        x1 y1 x2 y2 in pixels. A group whose four parts are no numbers is passed over.
    """
    boxes = []
    for parts in _BOX.findall(text):
        try:
            x1, y1, x2, y2 = map(float, parts)
        except ValueError:
            continue
        boxes.append((x1 * width, y1 * height, x2 * width, y2 * height))
    return boxes


def reading_order(objects: Iterable[tuple[int, Object]]) -> list[int]:
    """Positions of objects from top to bottom, then from left to right, by their boxes' first corners.

    Args:
        objects: (position, object); those without a box are left out.
    """
    corners = [(o.bbox[1], o.bbox[0], position) for position, o in objects if o.bbox is not None]
    return [position for _, _, position in sorted(corners)]
