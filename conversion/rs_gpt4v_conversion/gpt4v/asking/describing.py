"""The text that stands for an image's annotations in a question, and its inverse.

First a line for each object that is listed (listing.py decides which, and its number), six fields and sometimes a
seventh between ` | `:

    3 | ship | small, 24 x 8 m | top left | [0.512, 0.104, 0.561, 0.110, ...] | left of 2 (harbor); inside 1 (harbor)
    4 | ship | very small | center | [...] | - | too small to describe; called "a ship by the pier"

    number      of the object in the list, from 1
    category
    size        by the share of the image's area: `very small` below 0.1 %, `small` below 1 %, `medium` below 10 %, else
                `large`; where the metres of a pixel are known, the longer and the shorter side of the object's box
    part        of the image, one of nine, in which the centre of the upright box lies
    box         shares of width and height, three decimals: four corners x y, clockwise, for a rotated box; x1 y1 x2 y2
                of an upright one. `-` in questions whose answers are prose: what is not told cannot leak
    neighbours  `<relation> <number> (<category>)` of the nearest two of the list, `; ` between them, or `-`; which
                relations there are, neighbours.py says
    remarks     `too small to describe` (neither side reaches 8 pixels of the image that is sent), `hard to make out`
                (the annotators' own flag), `at the edge` of the image, which may hide a part of it, `called "..."`
                (what the source says of it)

An object line may be followed by one that begins with `   seen: `: what the accepted local answer says of it, colour,
state, relations that the line does not have, and description.

Then lines that say what holds for the whole image, each only where there is something to say. `at least` stands before
the number of a category of which a mark could not be used; a source that does not mark every object gives no numbers:

    Not listed: car 12 top left, 30 center; ship 2 bottom
    Numbers: ship 3, car at least 47
    Absent for certain: airplane, storage tank
    Complete: every ship and car is counted; things of kinds that are not named here may be there.
"""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

from rs_gpt4v_conversion.geometry import SLACK, clip, envelope, signed_area
from rs_gpt4v_conversion.gpt4v.asking.neighbours import Neighbour, neighbours
from rs_gpt4v_conversion.gpt4v.listing import extent, listed
from rs_gpt4v_conversion.gpt4v.records import Facts
from rs_gpt4v_conversion.records import BBox, BoxForm, Object
from rs_gpt4v_conversion.templates.boxes import bbox_text, obb_text
from rs_gpt4v_conversion.wording import position_name

LEAST_PIXELS = 8
"""Pixels of the image that is sent which the longer side of an object's box must reach to have its colour asked."""

SIZES = ((0.001, "very small"), (0.01, "small"), (0.1, "medium"))
"""Size classes by the share of the image's area below which they end."""

TOO_SMALL, DIFFICULT, CUT = "too small to describe", "hard to make out", "at the edge"
_NO_FIELD = "-"
_SEEN = "   seen: "


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """A neighbour as a line names it."""

    relation: str
    number: int
    category: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One object of the list as the text says it."""

    number: int
    category: str
    size: str
    part: str
    box: tuple[float, ...] = ()  # four or eight shares of width and height; empty where the text has none
    neighbours: tuple[Named, ...] = ()
    remarks: str = ""

    @property
    def too_small(self) -> bool:
        """Whether nothing is asked of it."""
        return self.remarks.startswith(TOO_SMALL)


_NEIGHBOUR = re.compile(r"(.+?) (\d+) \((.+?)\)(?:; |$)")


def read_lines(text: str) -> list[Line]:
    """The objects of a question's text: the inverse of `Described.objects`."""
    lines = []
    for row in text.splitlines():
        parts = row.split(" | ")
        if len(parts) in (6, 7) and parts[0].isdecimal():
            number, category, size, part, box, neighbours = parts[:6]
            lines.append(
                Line(
                    number=int(number), category=category, size=size, part=part,
                    box=() if box == _NO_FIELD else tuple(float(v) for v in box.strip("[]").split(",")),
                    neighbours=tuple(
                        Named(relation=m[1], number=int(m[2]), category=m[3])
                        for m in _NEIGHBOUR.finditer("" if neighbours == _NO_FIELD else neighbours)
                    ),
                    remarks=parts[6] if len(parts) == 7 else "",
                )
            )  # fmt: skip
    return lines


def quoted(text: str) -> str:
    """Words of others in quotes on one line: they cannot look like a part of the question."""
    return json.dumps(plain(text), ensure_ascii=False)


@lru_cache(maxsize=4096)  # categories come again and again
def plain(text: str) -> str:
    """Words of others on one line, without what separates fields."""
    whole = text.encode("utf-8", "replace").decode()  # a lone surrogate becomes a question mark
    return " ".join(whole.replace("|", "/").split())


def asks_local(facts: Facts, width: int, height: int) -> bool:
    """Whether there is an object whose attributes can be asked.

    Args:
        facts: Of the image.
        width: Of the image that is sent, pixels.
        height: Likewise.
    """
    described = Described(facts, "hbb", width, height)
    return described.asked > 0


class Described:
    """The parts of a question that come from annotations.

    Args:
        facts: Of the image. Its own width and height are what boxes are shares of; where it has none, those of the
            image that is sent.
        boxes: The form that is wanted; an object that has none of that form is given in the other.
        width: Of the image that is sent, pixels.
        height: Likewise.
    """

    def __init__(self, facts: Facts, boxes: BoxForm, width: int, height: int) -> None:
        self.facts, self.boxes, self.sent = facts, boxes, (width, height)
        self.size = (facts.width or width, facts.height or height)
        self.positions = listed(facts)
        self._extents = {i: box for i in self.positions if (box := extent(facts.objects[i])) is not None}
        self._small = self._too_small()
        self._called: dict[int, list[str]] = defaultdict(list)
        for i, text in facts.expressions:
            self._called[i].append(text)

    @property
    def form(self) -> BoxForm:
        """The form in which boxes are written: rotated if one of them is."""
        objects = self.facts.objects
        turned = self.boxes == "obb" and any(objects[i].obb is not None for i in self.positions)
        return "obb" if turned else "hbb"

    def objects(self, *, boxes: bool = True, local: dict[str, Any] | None = None) -> str:
        """The lines of the listed objects.

        Args:
            boxes: Whether they say where the objects are in numbers.
            local: An accepted local answer, whose words follow each line. What it says of numbers that are not in the
                list is passed over.
        """
        seen = {} if local is None else {item["number"]: item for item in local["objects"]}
        rows = []
        for number, i in enumerate(self.positions, 1):
            rows.append(self._line(number, i, boxes))
            if number in seen:
                rows.append(_SEEN + self._seen(number, seen[number]))
        return "\n".join(rows)

    def rest(self) -> str:
        """What holds for the whole image: numbers, absence, and how complete the list is."""
        lines = (self._unlisted(), self._numbers(), self._absent(), self._completeness())
        return "\n".join(line for line in lines if line)

    def absent(self) -> list[str]:
        """Categories that are known not to be there.

        Those for what is left over (`other vehicle`) are none: beside a car nobody knows what their absence means.
        """
        present = {o.category for o in self.facts.objects}
        return [c for c in self.facts.searched if c not in present and not c.startswith("other ")]

    @property
    def asked(self) -> int:
        """How many of the listed objects have attributes that can be asked."""
        return len(self.positions) - len(self._small)

    def too_small(self, i: int) -> bool:
        """Whether the image that is sent shows too little of an object to say anything of it."""
        return i in self._small

    def _too_small(self) -> frozenset[int]:
        (w, h), (sent_w, sent_h) = self.size, self.sent
        return frozenset(
            i
            for i, (x1, y1, x2, y2) in self._extents.items()
            if (x2 - x1) * sent_w / w < LEAST_PIXELS and (y2 - y1) * sent_h / h < LEAST_PIXELS
        )

    def _line(self, number: int, i: int, boxes: bool) -> str:
        item, box = self.facts.objects[i], self._extents[i]
        text = (
            f"{number} | {self._categories[number - 1]} | {self._size(item, box)} | {position_name(box, *self.size)} | "
            f"{self._box(item, i) if boxes else _NO_FIELD} | {self._neighbours(number) or _NO_FIELD}"
        )
        remarks = [
            *([TOO_SMALL] if i in self._small else []),
            *([DIFFICULT] if item.difficult else []),
            *([CUT] if self._is_cut(item, box) else []),
            *(f"called {quoted(text)}" for text in self._called.get(i, ())),
        ]
        return f"{text} | {'; '.join(remarks)}" if remarks else text

    def _is_cut(self, item: Object, box: BBox) -> bool:
        """Whether a part of the object may be outside the image."""
        x1, y1, x2, y2 = box if item.obb is None else envelope(item.obb)
        nearest = min(x1, y1, self.size[0] - x2, self.size[1] - y2)  # below 0 outside
        return item.iof < 1 or nearest <= SLACK

    def _size(self, item: Object, box: BBox) -> str:
        area = abs(signed_area(item.obb)) if item.obb is not None else (box[2] - box[0]) * (box[3] - box[1])
        share = area / (self.size[0] * self.size[1])
        name = next((name for below, name in SIZES if share < below), "large")
        if self.facts.gsd is None:
            return name
        long, short = (_metres(side * self.facts.gsd) for side in _sides(item, box))
        return f"{name}, {long} x {short} m"

    def _box(self, item: Object, i: int) -> str:
        if self.boxes == "obb" and item.obb is not None:
            return obb_text(item.obb, *self.size)
        box = clip(self._extents[i], *self.size)
        if box is None:
            raise ValueError(f"{self.facts.record}: object {i} lies outside its image of {self.size}")
        return bbox_text(box, *self.size)

    def _neighbours(self, number: int) -> str:
        named = [f"{n.relation} {n.other + 1} ({self._categories[n.other]})" for n in self._near[number - 1]]
        return "; ".join(named)

    @cached_property
    def _categories(self) -> list[str]:
        return [plain(self.facts.objects[i].category) for i in self.positions]

    @cached_property
    def _near(self) -> list[list[Neighbour]]:
        return neighbours([(self._extents[i], self.facts.objects[i].obb) for i in self.positions])

    def _seen(self, number: int, item: dict[str, Any]) -> str:
        """The words of a local answer about one object, without relations that its line has already."""
        attributes = [plain(item[key]) for key in ("color", "state") if item[key] is not None]
        line = self._neighbours(number)
        relations = (f"{plain(r['relation'])} {r['to']}" for r in item["relations"])
        return "; ".join([*attributes, *(r for r in relations if f"{r} (" not in line), plain(item["description"])])

    def _unlisted(self) -> str:
        chosen = set(self.positions)
        parts: dict[str, Counter[str]] = defaultdict(Counter)
        for i, item in enumerate(self.facts.objects):
            box = extent(item)
            if i not in chosen and not item.ignore:
                parts[item.category]["in unknown places" if box is None else position_name(box, *self.size)] += 1
        listing = (
            f"{plain(category)} " + ", ".join(f"{count} {part}" for part, count in counts.most_common())
            for category, counts in sorted(parts.items())
        )
        return "Not listed: " + "; ".join(listing) if parts else ""

    def _numbers(self) -> str:
        known = set(self.facts.searched)
        looked_for = known | set(self.facts.uncertain)  # of others nobody knows how many are marked
        counts = Counter(o.category for o in self.facts.objects if o.category in looked_for and not o.ignore)
        said = (f"{plain(c)} {'' if c in known else 'at least '}{n}" for c, n in counts.items())
        return "Numbers: " + ", ".join(said) if counts else ""

    def _absent(self) -> str:
        absent = self.absent()
        return "Absent for certain: " + ", ".join(map(plain, absent)) if absent else ""

    def _completeness(self) -> str:
        present = {o.category for o in self.facts.objects if not o.ignore}
        counted = [plain(c) for c in self.facts.searched if c in present]
        if counted:
            return f"Complete: every {_and(counted)} is counted; things of kinds that are not named here may be there."
        if self.facts.objects:
            return "Not complete: more objects may be there, of these kinds and of others."
        return ""


def _sides(item: Object, box: BBox) -> tuple[float, float]:
    """The longer and the shorter side of an object's box, pixels."""
    if item.obb is None:
        w, h = box[2] - box[0], box[3] - box[1]
    else:
        (ax, ay), (bx, by), (cx, cy), (dx, dy) = zip(item.obb[0::2], item.obb[1::2], strict=True)
        w = (_length(bx - ax, by - ay) + _length(cx - dx, cy - dy)) / 2
        h = (_length(cx - bx, cy - by) + _length(dx - ax, dy - ay)) / 2
    return max(w, h), min(w, h)


def _length(x: float, y: float) -> float:
    return float((x * x + y * y) ** 0.5)


def _metres(length: float) -> str:
    return f"{length:.0f}" if length >= 10 else f"{length:.1f}"


def _and(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
