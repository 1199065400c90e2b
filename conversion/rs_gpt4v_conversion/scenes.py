"""From marked objects to questions: what a detection dataset knows of an image, asked in several ways.

    presence     up to three categories that are there and as many that are not, so that yes and no are balanced; the
                 absent ones are drawn by how often they occur beside those that are there, so that they are hard
    count        each category that is there
    comparison   of two categories that are there in different numbers; the order decides between yes and no
    position     the ninth of the image, where an object is the only one of its category and lies in one ninth
    grounding    all objects of a category; single objects that a category, or a category and a ninth, names alone

Nothing is invented: only categories that the source looked for in an image are asked about. An object to ignore makes
its own category uncertain, and one of no known category (a crowd, a region nobody judged) makes all of them uncertain:
then neither numbers nor absence are asked. All choices go by hashes of ids.
"""

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from rs_gpt4v_conversion.geometry import cell, in_cell
from rs_gpt4v_conversion.records import (
    Annotation,
    BBox,
    Comparison,
    Count,
    Fact,
    Grounding,
    Note,
    Position,
    Presence,
    Referring,
    Scene,
)
from rs_gpt4v_conversion.wording import counted, position_name

PRESENT = 3
"""Categories of an image that are asked for with the answer yes, and as many with no."""

COMPARED = 2
"""Comparisons in one image."""

REFERRED = 3
"""Objects of one image that are asked for as the one in a ninth."""

MOST_BOXES = 50
"""Boxes in one answer: more do not fit into LLaVA's 2,048 tokens."""

WITHIN = 0.7
"""Share of an object's box that must lie in a ninth for the object to be in that part of the image."""


@dataclass(slots=True)
class Neighbours:
    """How often categories occur in the same image, over a whole source."""

    images: Counter[str] = field(default_factory=Counter)  # by category
    pairs: Counter[tuple[str, str]] = field(default_factory=Counter)  # of different categories, both ways

    def see(self, scene: Scene) -> None:
        """Count one image."""
        present = sorted({o.category for o in scene.objects if not o.ignore})
        self.images.update(present)
        self.pairs.update((a, b) for a in present for b in present if a != b)

    def closeness(self, absent: str, present: Iterable[str]) -> float:
        """How much one would expect a category beside those that are there: the mean share of their images with it.

        Never 0, so that a category without company is asked for as well, only seldom.
        """
        shares = [self.pairs[c, absent] / self.images[c] for c in present if self.images[c]]
        return (sum(shares) / len(shares) if shares else 0.0) + 0.01


def ask(scene: Scene, neighbours: Neighbours) -> Iterator[Annotation | Note]:
    """Ask about one scene.

    Args:
        scene: As read, or a tile of it.
        neighbours: Of the whole source.

    Yields:
        The questions with short answers, then those with boxes; a task without a question gives nothing, and an image
        without any a note.
    """
    about = _About(scene, neighbours)
    tasks: tuple[tuple[str, tuple[Fact, ...]], ...] = (("vqa", about.short()), ("grounding", about.boxed()))
    for task, facts in tasks:
        if facts:
            yield Annotation(
                task=task, split=scene.split, image=scene.image, facts=facts, objects=scene.objects,
                boxes=scene.boxes,
            )  # fmt: skip
    if not any(facts for _, facts in tasks):
        yield Note(reason="image without anything to ask about")
    if about.crowded:
        yield Note(reason=f"category with more than {MOST_BOXES} boxes in an image: counted, not grounded",
                   count=about.crowded)  # fmt: skip


class _About:
    """What can be asked about one scene."""

    def __init__(self, scene: Scene, neighbours: Neighbours) -> None:
        self.scene, self.neighbours = scene, neighbours
        self.key = f"{scene.split}/{scene.image.image_id}"
        known = set(scene.searched)
        self.present = [c for c in scene.searched if counted(scene.objects, c)]
        ignored = {o.category for o in scene.objects if o.ignore} | set(scene.uncertain)
        self.blurred = bool(ignored - known)  # something of no known category is there that nobody judged
        self.certain = [c for c in scene.searched if c not in ignored and not self.blurred]
        self.ignored = ignored
        self.crowded = 0

    def short(self) -> tuple[Fact, ...]:
        """Questions with a word or a number for an answer."""
        return (*self._presence(), *self._counts(), *self._comparisons(), *self._positions())

    def boxed(self) -> tuple[Fact, ...]:
        """Questions with boxes for an answer."""
        return (*self._categories(), *self._referred())

    def _presence(self) -> Iterator[Presence]:
        absent = [c for c in self.certain if c not in self.present]
        count = min(PRESENT, len(self.present), len(absent))
        for category in sorted(self.present, key=lambda c: self._hash("yes", c))[:count]:
            yield Presence(category=category, present=True)
        # a weighted draw without replacement: u ** (1 / w), the largest first (Efraimidis and Spirakis 2006)
        weight = {c: self.neighbours.closeness(c, self.present) for c in absent}
        for category in sorted(absent, key=lambda c: math.log(self._hash("no", c)) / weight[c], reverse=True)[:count]:
            yield Presence(category=category, present=False)

    def _counts(self) -> Iterator[Count]:
        for category in self.present:
            if category in self.certain:
                yield Count(category=category)

    def _comparisons(self) -> Iterator[Comparison]:
        sizes = {c: len(counted(self.scene.objects, c)) for c in self.present if c in self.certain}
        pairs = [(a, b) for a in sizes for b in sizes if sizes[a] > sizes[b]]
        for a, b in sorted(pairs, key=lambda p: self._hash("compare", *p))[:COMPARED]:
            yes = self._hash("order", a, b) < 0.5
            yield Comparison(more=a if yes else b, than=b if yes else a)

    def _positions(self) -> Iterator[Position]:
        for category in self.present:
            items = counted(self.scene.objects, category)
            box = self.scene.objects[items[0]].bbox
            if len(items) == 1 and category in self.certain and box is not None and self._in_one_cell(box):
                yield Position(item=items[0])

    def _categories(self) -> Iterator[Grounding | Referring]:
        for category in self.present:
            items = counted(self.scene.objects, category)
            if category in self.ignored or not all(self._has_box(i) for i in items):
                continue
            if len(items) > MOST_BOXES:
                self.crowded += 1
            elif len(items) == 1 and category in self.certain:
                yield Referring(expression=f"the {category}", item=items[0])
            else:
                yield Grounding(category=category)

    def _referred(self) -> list[Referring]:
        """Objects of a category with several, each alone in its ninth."""
        found: list[Referring] = []
        for category in self.present:
            items = counted(self.scene.objects, category)
            if len(items) > 1 and category in self.certain:
                found.extend(self._alone(category, items))
        return sorted(found, key=lambda r: self._hash("referred", r.expression))[:REFERRED]

    def _alone(self, category: str, items: Sequence[int]) -> Iterator[Referring]:
        size = self._size()
        boxes = {i: box for i in items if (box := self.scene.objects[i].bbox) is not None}
        if size is None or len(boxes) < len(items):
            return
        for i, box in boxes.items():
            row, column = cell(box, *size)
            others = (in_cell(other, row, column, *size) for j, other in boxes.items() if j != i)
            if self._in_one_cell(box) and self._has_box(i) and not any(others):
                where = position_name(box, *size)
                yield Referring(expression=f"the {category} in the {where} part of the image", item=i)

    def _in_one_cell(self, box: BBox) -> bool:
        size = self._size()
        return size is not None and in_cell(box, *cell(box, *size), *size) >= WITHIN

    def _size(self) -> tuple[int, int] | None:
        width, height = self.scene.image.width, self.scene.image.height
        return None if width is None or height is None else (width, height)

    def _has_box(self, item: int) -> bool:
        found = self.scene.objects[item]
        return (found.obb if self.scene.boxes == "obb" else found.bbox) is not None

    def _hash(self, purpose: str, *words: str) -> float:
        """A number above 0 and up to 1 that depends on the image and the words alone."""
        text = "\0".join((purpose, self.key, *words))
        return (int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") + 1) / 2**64
