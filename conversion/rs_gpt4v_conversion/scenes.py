"""From marked objects to questions: what a detection dataset knows of an image, asked in several ways.

    presence     whether a category is there, and
    comparison   whether there are more of one than of another: yes and no balanced for every category, see census.py
    count        each category that is there
    position     the ninth of the image, where an object is the only one of its category and lies in one ninth
    grounding    all objects of a category; single objects that a category, or a category and a ninth, names alone

Nothing is invented: only categories that the source looked for in an image are asked about. An object to ignore makes
its own category uncertain, and one of no known category (a crowd, a region nobody judged) makes all of them uncertain:
then neither numbers nor absence are asked, and no object is named as the only one. Boxes are still asked for beside a
region to ignore of no known category: as in scoring detections, what lies in it is left out of the question.

A box is asked for only where its text is one. A category is left out of grounding, and counted in a note, where one of
its objects has no box of the form that was chosen (so `boxes = "obb"` asks the same as "hbb" about images whose objects
all have rotated ones), and where one is so small in so large an image that its text has no area: no model could learn a
box from that.

All choices go by hashes of ids.
"""

from collections import Counter
from collections.abc import Iterator, Sequence

from rs_gpt4v_conversion.census import Census, Sight
from rs_gpt4v_conversion.geometry import cell, in_cell
from rs_gpt4v_conversion.naming import hash_share
from rs_gpt4v_conversion.records import (
    Annotation,
    BBox,
    Comparison,
    Count,
    Fact,
    Grounding,
    Note,
    Object,
    Position,
    Presence,
    Referring,
    Scene,
)
from rs_gpt4v_conversion.templates.boxes import box_text, has_area
from rs_gpt4v_conversion.wording import counted, position_name, size_or_extent

REFERRED = 3
"""Objects of one image that are asked for as the one in a ninth."""

MOST_BOXES = 48
"""Boxes in one answer that fit into LLaVA's 2,048 tokens: an image takes 576 of them and a box 28 (tested)."""

MOST_ROTATED = 24
"""Rotated boxes that fit, at 56 tokens each. The questions are to be the same in both forms, so more are asked for, and
noted: a loader cuts such an answer, which goes from top to bottom, where its tokens end."""

CROWDED = f"category with more than {MOST_BOXES} boxes in an image: counted, not grounded"
NO_BOX = "category with an object that has no box of the form asked for, in an image: counted, not grounded"
LONG = f"category with more than {MOST_ROTATED} rotated boxes in an image: an answer longer than 2,048 tokens"
TOO_SMALL = "category with a box so small that its text has no area, in an image: counted, not grounded"

WITHIN = 0.7
"""Share of an object's box that must lie in a ninth for the object to be in that part of the image."""


def sight(scene: Scene) -> Sight:
    """What a scene tells of its categories."""
    doubted = _doubted(scene)
    blurred = bool(doubted - set(scene.searched))  # something of no known category is there that nobody judged
    counts = ((category, len(counted(scene.objects, category))) for category in scene.searched)
    return Sight(
        key=f"{scene.split}/{scene.image.image_id}",
        split=scene.split,
        counts=tuple((category, count) for category, count in counts if count),
        certain=frozenset() if blurred else frozenset(scene.searched) - doubted,
    )


def _doubted(scene: Scene) -> set[str]:
    """Categories of which something in the image was not, or cannot be, judged."""
    return {o.category for o in scene.objects if o.ignore} | set(scene.uncertain)


def ask_all(scenes: Sequence[Scene]) -> Iterator[Annotation | Note]:
    """Ask about all scenes of a source that is held in memory; a build goes through the source twice instead."""
    census = Census()
    for scene in scenes:
        census.see(sight(scene))
    census.settle()
    for scene in scenes:
        yield from ask(scene, census)


def ask(scene: Scene, census: Census) -> Iterator[Annotation | Note]:
    """Ask about one scene.

    Args:
        scene: As read, or a tile of it.
        census: Of the whole source, settled.

    Yields:
        The questions with short answers, then those with boxes; a task without a question gives nothing, and an image
        without any a note.
    """
    about = _About(scene, census)
    tasks: tuple[tuple[str, tuple[Fact, ...]], ...] = (("vqa", about.short()), ("grounding", about.boxed()))
    for task, facts in tasks:
        if facts:
            yield Annotation(
                task=task, split=scene.split, image=scene.image, facts=facts, objects=scene.objects,
                boxes=scene.boxes,
            )  # fmt: skip
    if not any(facts for _, facts in tasks):
        yield Note(reason="image without anything to ask about")
    yield from (Note(reason=reason, count=count) for reason, count in about.notes.items())


class _About:
    """What can be asked about one scene."""

    def __init__(self, scene: Scene, census: Census) -> None:
        self.scene, self.census, self.sight = scene, census, sight(scene)
        self.present, self.certain = self.sight.present, self.sight.certain
        self.notes: Counter[str] = Counter()  # categories by what is odd about asking for them by boxes
        self._boxed = {c: items for c in self.present if (items := self._groundable(c))}

    def short(self) -> tuple[Fact, ...]:
        """Questions with a word or a number for an answer."""
        return (*self._balanced(), *self._counts(), *self._positions())

    def boxed(self) -> tuple[Fact, ...]:
        """Questions with boxes for an answer."""
        return (*self._categories(), *self._referred())

    def _balanced(self) -> Iterator[Presence | Comparison]:
        for offer in self.census.asked(self.sight):
            kind, _, *categories = offer.question
            if kind == "presence":
                yield Presence(category=categories[0], present=offer.answer)
            else:
                # one order for all images, so that a question as it is worded is as often right as wrong
                a, b = categories if hash_share("order", *categories) < 0.5 else reversed(categories)
                yield Comparison(more=a, than=b)

    def _counts(self) -> Iterator[Count]:
        for category in self.present:
            if category in self.certain:
                yield Count(category=category)

    def _positions(self) -> Iterator[Position]:
        for category in self.present:
            items = counted(self.scene.objects, category)
            box = self.scene.objects[items[0]].bbox
            if len(items) == 1 and category in self.certain and box is not None and self._in_one_cell(box):
                yield Position(item=items[0])

    def _categories(self) -> Iterator[Grounding | Referring]:
        for category, items in self._boxed.items():
            if len(items) > MOST_BOXES:
                self.notes[CROWDED] += 1
                continue
            if self.scene.boxes == "obb" and len(items) > MOST_ROTATED:
                self.notes[LONG] += 1
            if len(items) == 1 and category in self.certain:
                yield Referring(expression=f"the {category}", item=items[0])
            else:
                yield Grounding(category=category)

    def _referred(self) -> list[Referring]:
        """Objects of a category with several, each alone in its ninth."""
        found: list[Referring] = []
        for category, items in self._boxed.items():
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
            if self._in_one_cell(box) and not any(others):
                where = position_name(box, *size)
                yield Referring(expression=f"the {category} in the {where} part of the image", item=i)

    def _in_one_cell(self, box: BBox) -> bool:
        size = self._size()
        return size is not None and in_cell(box, *cell(box, *size), *size) >= WITHIN

    def _size(self) -> tuple[int, int] | None:
        width, height = self.scene.image.width, self.scene.image.height
        return None if width is None or height is None else (width, height)

    def _groundable(self, category: str) -> list[int]:
        """The objects of a category if none of its own is in doubt, and each has a box that its text can say."""
        items = counted(self.scene.objects, category)
        strange = set(self.scene.uncertain) - set(self.scene.searched)  # a mark that may be of any category
        if strange or category in _doubted(self.scene):
            return []
        flaws = {flaw for i in items if (flaw := self._box_flaw(self.scene.objects[i]))}
        self.notes.update(sorted(flaws)[:1])
        return [] if flaws else items

    def _box_flaw(self, item: Object) -> str:
        form = self.scene.boxes
        if (item.obb if form == "obb" else item.bbox) is None:
            return NO_BOX
        return "" if has_area(box_text(item, form, *size_or_extent(self.scene))) else TOO_SMALL

    def _hash(self, purpose: str, *words: str) -> float:
        """A number above 0 and up to 1 that depends on the image and the words alone."""
        return hash_share(purpose, self.sight.key, *words)
