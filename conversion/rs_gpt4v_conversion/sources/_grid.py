"""Boxes in the text of instruction datasets, on a grid of 100 over the image, in three conventions.

    {<12><30><25><41>}                      VRSBench: two corners
    {<12><30><25><41>|<35>}                 GeoChat: the corners of a box that is then turned about its centre, degrees
                                            clockwise in the image; several boxes follow each other without a gap
    <box>[[12, 30, 25, 41, 35]]</box>       EarthDial: likewise, with or without the angle
    <rbox>({<18><35><13><11>|<35>})</rbox>  FIT-RS: centre, sides and angle; with or without the parentheses, in which
                                            there may be several

They become objects in pixels, and in the text the form that a release has. Measured in GeoChat's own test file: one
record in twelve has a coordinate above 100 or below 0, at most by 31; those are cut off at the edge. A box that lacks
a number, which has no area, or which lies far off the grid (981 where 98.1 was meant) cannot be repaired. EarthDial's
copy of that file lost every negative coordinate with its place: of 2,797 boxes 153 have four numbers, the last of them
an angle (90 in 111), so in a file of angles four numbers are no box.
"""

import math
import re
from dataclasses import dataclass

from rs_gpt4v_conversion.geometry import corners
from rs_gpt4v_conversion.records import BoxForm, Note, Object
from rs_gpt4v_conversion.sources._boxes import Placed, rotated, upright
from rs_gpt4v_conversion.templates.boxes import box_text

GRID = 100.0

FAR = 50.0
"""So far off the grid a coordinate is no longer a box at the edge."""

UNKNOWN = "object"
"""The category of an object that a text speaks of without saying what it is."""

_BOX = re.compile(
    r"<rbox>(?P<centre>[\s(]*\{[^{}]*\}(?:[\s,]*\{[^{}]*\})*[\s)]*)</rbox>|\{(?P<corner>\s*<\s*-?\d[^{}]*)\}"
    r"|<box>\s*(?P<list>\[[^<>]*\])\s*</box>"
)

_NUMBERS = re.compile(r"[\s<>,|]*-?\d+(?:\.\d+)?(?:[\s<>,|]+-?\d+(?:\.\d+)?)*[\s<>,|]*")

_BETWEEN = re.compile(r"\]\s*(?:<delim>)?\s*(?=\[[-\d])")

_BRACES = re.compile(r"\{([^{}]*)\}")

_GROUP = re.compile(r"\[([^\[\]]*)\]")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Group:
    """The numbers of one box, as text."""

    numbers: str
    angle: bool  # the last of them is an angle
    centre: bool  # they begin with the centre, not with a corner


class BoxFlaw(Exception):
    """A box in a text that cannot be used: nor can the pair.

    Args:
        reason: A few words, the same for all boxes with this flaw.
        detail: What was found.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail = reason, detail


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A text without grid boxes, and what its boxes were."""

    text: str
    objects: tuple[Object, ...]
    notes: tuple[Note, ...]


def has_boxes(text: str) -> bool:
    """Whether a text has a box of any of the conventions."""
    return _BOX.search(text) is not None


def has_angles(text: str) -> bool:
    """Whether a text has a box of EarthDial's convention with an angle."""
    lists = (match["list"] for match in _BOX.finditer(text) if match["list"])
    return any(group.count(",") == 4 for numbers in lists for group in _GROUP.findall(numbers))


def convert(text: str, size: tuple[int, int], form: BoxForm, category: str = UNKNOWN, *, angles: bool = False) -> Found:
    """Write the boxes of a text in a release's form.

    Args:
        text: A question or an answer.
        size: Width and height of the image, pixels.
        form: How boxes are to be written; an upright box is written so in either.
        category: Of the objects.
        angles: Boxes of EarthDial's convention have angles in this file, so that one without lost a number.

    Raises:
        BoxFlaw: A box cannot be used.
    """
    objects: list[Object] = []
    notes: list[Note] = []

    def written(match: re.Match[str]) -> str:
        return ", ".join(one(group, match[0]) for group in _groups(match, angles=angles))

    def one(group: _Group, shown: str) -> str:
        placed = _placed(group, size, shown)
        notes.extend(placed.notes)
        item = Object(category=category, bbox=placed.bbox, obb=placed.obb)
        objects.append(item)
        return box_text(item, form if item.obb is not None else "hbb", *size)

    changed = _BOX.sub(written, text)
    if objects:
        changed = _BETWEEN.sub("], ", changed)
    return Found(text=changed, objects=tuple(objects), notes=tuple(notes))


def _groups(match: re.Match[str], *, angles: bool) -> list[_Group]:
    """The boxes of one match."""
    if match["list"] is not None:
        groups = _GROUP.findall(match["list"]) or [""]
        return [_Group(numbers=g, angle=angles or g.count(",") == 4, centre=False) for g in groups]
    if match["centre"] is not None:
        return [_Group(numbers=n, angle="|" in n, centre=True) for n in _BRACES.findall(match["centre"])]
    return [_Group(numbers=match["corner"], angle="|" in match["corner"], centre=False)]


def _placed(group: _Group, size: tuple[int, int], shown: str) -> Placed:
    if not _NUMBERS.fullmatch(group.numbers):
        raise BoxFlaw("box that is not of numbers", shown)
    values = [float(v) for v in re.findall(r"-?\d+(?:\.\d+)?", group.numbers)]
    if len(values) != 4 + group.angle:
        raise BoxFlaw("box that lacks a number, or has one too many", shown)
    if not all(-FAR <= v <= GRID + FAR for v in values[:4]) or not math.isfinite(values[-1]):
        raise BoxFlaw("box far off the grid of 100", shown)
    placed = _centre_form(values, size) if group.centre else _corner_form(values, size)
    if placed.bbox is None:
        raise BoxFlaw("box without area, or outside its image", shown)
    return placed


def _corner_form(values: list[float], size: tuple[int, int]) -> Placed:
    x1, y1, x2, y2 = _pixels(values[:4], size)
    if len(values) == 4:
        return upright((x1, y1, x2, y2), *size)
    return _turned((x1 + x2) / 2, (y1 + y2) / 2, abs(x2 - x1), abs(y2 - y1), values[4], size)


def _centre_form(values: list[float], size: tuple[int, int]) -> Placed:
    cx, cy, w, h = _pixels(values[:4], size)
    if len(values) == 4:
        return upright((cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2), *size)
    return _turned(cx, cy, abs(w), abs(h), values[4], size)


def _turned(cx: float, cy: float, w: float, h: float, angle: float, size: tuple[int, int]) -> Placed:
    return rotated(corners(cx, cy, w, h, math.radians(angle)), *size)


def _pixels(values: list[float], size: tuple[int, int]) -> tuple[float, float, float, float]:
    a, b, c, d = (v / GRID * size[i % 2] for i, v in enumerate(values))
    return a, b, c, d
