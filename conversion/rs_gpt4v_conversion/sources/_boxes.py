"""Boxes as sources give them: checked and brought into the image, each repair counted by a few words."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rs_gpt4v_conversion.geometry import SLACK, centre_inside, clip, clockwise, envelope, signed_area
from rs_gpt4v_conversion.records import BBox, Note, Obb

FARTHEST = 1e7
"""Pixels: no corner of a box is farther from its image's. A release's numbers of 32 bits cannot hold the largest."""


@dataclass(frozen=True, slots=True)
class Placed:
    """What became of a box: the boxes of an object, or none, and what was done."""

    bbox: BBox | None  # within the image; None: the object is left out
    obb: Obb | None
    notes: tuple[Note, ...] = ()


def upright(values: Sequence[float], width: int | None, height: int | None) -> Placed:
    """An upright box from x1 y1 x2 y2.

    Swapped corners are put in order, what lies outside the image is cut off, and a box without area, outside the
    image, or that is not of finite numbers is left out; each with a note.

    Args:
        values: Pixels, in any order of the corners.
        width: Of the image, None where not known: then only the left and the top end it.
        height: Likewise.
    """
    if flaw := _number_flaw(values):
        return left_out(flaw)
    notes = []
    x1, y1, x2, y2 = values
    if x2 < x1 or y2 < y1:
        notes.append(Note(reason="box with its corners swapped, put in order"))
        x1, x2, y1, y2 = min(x1, x2), max(x1, x2), min(y1, y2), max(y1, y2)
    bbox, cut = _inside((x1, y1, x2, y2), width, height)
    if bbox is None:
        return left_out("box without area, or outside its image, left out")
    if cut:
        notes.append(Note(reason="box that leaves its image, cut off at the edge"))
    return Placed(bbox, None, tuple(notes))


def rotated(values: Sequence[float], width: int | None, height: int | None) -> Placed:
    """A rotated box from the x y of four corners, and the upright one around it.

    The corners are kept as they are, also outside the image, in clockwise order from the first one; the upright box is
    the part of their envelope that lies in the image. A box without area, outside the image, or that is not of finite
    numbers is left out with a note; one whose centre is outside keeps its upright part alone, with a note.

    Args:
        values: x y of the four corners, pixels, in turn around the box either way.
        width: Of the image, None where not known.
        height: Likewise.
    """
    if flaw := _number_flaw(values):
        return left_out(flaw)
    a, b, c, d, e, f, g, h = map(float, values)
    obb = clockwise((a, b, c, d, e, f, g, h))
    bbox, _ = _inside(envelope(obb), width, height)
    if bbox is None or signed_area(obb) <= 0:
        return left_out("box without area, or outside its image, left out")
    if not centre_inside(obb, width, height):
        return Placed(
            bbox, None, (Note(reason="rotated box whose centre is outside its image: only its upright part"),)
        )
    notes = () if obb[2:4] == (c, d) else (Note(reason="corners that ran anticlockwise, put in clockwise order"),)
    return Placed(bbox, obb, notes)


def _number_flaw(values: Sequence[float]) -> str:
    if not all(math.isfinite(v) for v in values):
        return "box that is not of finite numbers, left out"
    return "" if max(map(abs, values)) <= FARTHEST else "box with a number beyond any image, left out"


def _inside(box: BBox, width: int | None, height: int | None) -> tuple[BBox | None, bool]:
    """The part of a box in the image, and whether a part worth mentioning was cut off."""
    far = int(max(box[2], box[3], 0)) + 1
    right, bottom = far if width is None else width, far if height is None else height
    cut = box[0] < -SLACK or box[1] < -SLACK or box[2] > right + SLACK or box[3] > bottom + SLACK
    return clip(box, right, bottom), cut


def with_corners(flat: Placed, turned: Placed) -> Placed:
    """An object whose upright and rotated boxes were drawn apart; one without an upright box has neither.

    Args:
        flat: Its upright box.
        turned: Its rotated box; where that cannot be used, nothing is said of it.
    """
    if flat.bbox is None or turned.obb is None:
        return flat
    return Placed(flat.bbox, turned.obb, flat.notes + turned.notes)


def left_out(reason: str) -> Placed:
    """No box, and why."""
    return Placed(None, None, (Note(reason=reason),))
