"""Boxes as text, and back.

`[x1, y1, x2, y2]`, or for a rotated box the four corners `[x1, y1, x2, y2, x3, y3, x4, y4]`, as shares of the image's
width and height with three decimals: with LLaVA's two, seven of a hundred boxes of DIOR cannot reach an IoU of 0.5
with their own text. A corner of a rotated box may lie outside the image: its shares are then below 0 or above 1.
"""

import re
from collections.abc import Iterable, Sequence

from rs_gpt4v_conversion.records import BBox, BoxForm, Obb, Object

DECIMALS = 3

FORMS: dict[BoxForm, str] = {"hbb": "[x1, y1, x2, y2]", "obb": "[x1, y1, x2, y2, x3, y3, x4, y4]"}
"""How a question names the form of the boxes that it wants."""

_GROUP = re.compile(r"\[([^\[\]]*)\]")


def bbox_text(box: BBox, width: int, height: int, *, decimals: int = DECIMALS) -> str:
    """Write an upright box as text.

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
    return _text(box, width, height, decimals)


def obb_text(obb: Obb, width: int, height: int, *, decimals: int = DECIMALS) -> str:
    """Write a rotated box as text.

    Args:
        obb: x y of four corners in pixels, in the order they shall be written; they may lie outside the image.
        width: Of the image, pixels.
        height: Of the image, pixels.
        decimals: Digits after the point.
    """
    return _text(obb, width, height, decimals)


def box_text(item: Object, form: BoxForm, width: int, height: int) -> str:
    """Write the box of an object in one of the two forms.

    Raises:
        ValueError: The object has no box of that form, or one that cannot be written.
    """
    if form == "obb" and item.obb is not None:
        return obb_text(item.obb, width, height)
    if form == "hbb" and item.bbox is not None:
        return bbox_text(item.bbox, width, height)
    raise ValueError(f"a {item.category} without a box of the form {form}")


def _text(values: Sequence[float], width: int, height: int, decimals: int) -> str:
    form = f"z.{decimals}f"  # z: no negative zero
    shares = [format(value / (height if i % 2 else width), form) for i, value in enumerate(values)]
    return f"[{', '.join(shares)}]"


def has_area(text: str) -> bool:
    """Whether every box of a text has an area, upright or rotated, as far as its decimals tell.

    A thing of a few pixels in an image of many thousands has none: its text says where it is, but means no box.
    """
    groups = [_numbers(group, count, 1, 1) for group in _GROUP.findall(text) for count in (4, 8)]
    return all(map(_has_area, filter(None, groups)))


def _has_area(shares: Sequence[float]) -> bool:
    scale: int = 10**DECIMALS
    units = [round(share * scale) for share in shares]  # whole numbers: no area is exactly 0
    xs, ys = units[0::2], units[1::2]
    if len(units) == 4:
        return xs[0] < xs[1] and ys[0] < ys[1]
    return sum(xs[i - 1] * ys[i] - xs[i] * ys[i - 1] for i in range(4)) > 0  # and still clockwise


def parse_bboxes(text: str, width: int, height: int) -> list[BBox]:
    """Read all upright boxes in a text, in its order: the inverse of `bbox_text` to half a unit of the last digit.

    Args:
        text: An answer; what stands between the boxes is passed over.
        width: Of the image, pixels.
        height: Of the image, pixels.

    Returns:
        x1 y1 x2 y2 in pixels. A group that is not of four numbers is passed over.
    """
    groups = (_numbers(group, 4, width, height) for group in _GROUP.findall(text))
    return [(b[0], b[1], b[2], b[3]) for b in groups if b]


def parse_obbs(text: str, width: int, height: int) -> list[Obb]:
    """Read all rotated boxes in a text, in its order: the inverse of `obb_text` to half a unit of the last digit.

    Args:
        text: An answer; what stands between the boxes is passed over.
        width: Of the image, pixels.
        height: Of the image, pixels.

    Returns:
        x y of the four corners in pixels. A group that is not of eight numbers is passed over.
    """
    groups = (_numbers(group, 8, width, height) for group in _GROUP.findall(text))
    return [(b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]) for b in groups if b]


def _numbers(group: str, count: int, width: int, height: int) -> list[float]:
    parts = group.split(",")
    if len(parts) != count:
        return []
    try:
        shares = [float(part) for part in parts]
    except ValueError:
        return []
    return [share * (height if i % 2 else width) for i, share in enumerate(shares)]


def reading_order(objects: Iterable[tuple[int, Object]]) -> list[int]:
    """Positions of objects from top to bottom, then from left to right, by their boxes' first corners.

    Args:
        objects: (position, object); those without a box are left out.
    """
    corners = [(o.bbox[1], o.bbox[0], position) for position, o in objects if o.bbox is not None]
    return [position for _, _, position in sorted(corners)]
