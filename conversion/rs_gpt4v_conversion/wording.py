"""A fact becomes a question and its answer: the one place where facts meet templates."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rs_gpt4v_conversion.geometry import cell
from rs_gpt4v_conversion.records import (
    Annotation,
    BBox,
    Caption,
    Comparison,
    Count,
    Fact,
    Grounding,
    Object,
    Pair,
    Position,
    Presence,
    Question,
    Referring,
    Region,
    Scene,
    Turn,
)
from rs_gpt4v_conversion.templates import (
    CAPTION,
    CELLS,
    COMPARISON,
    COUNT,
    GROUNDING,
    POSITION,
    PRESENCE,
    REFERRING,
    REGION,
    VQA,
    Template,
    choose,
)
from rs_gpt4v_conversion.templates.boxes import FORMS, box_text, reading_order
from rs_gpt4v_conversion.templates.words import plural, with_article


@dataclass(frozen=True, slots=True)
class Image:
    """What the wording of a fact needs to know besides the fact."""

    record: str  # the row's id, which decides which wording is used
    annotation: Annotation

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels, see `size_or_extent`."""
        return size_or_extent(self.annotation)

    def pick(self, templates: tuple[Template, ...], fact: object) -> Template:
        """A wording by the hash of the row and the fact."""
        return choose(templates, f"{self.record}#{fact}", templates[0].id)

    def box(self, item: int) -> str:
        """The text of an object's box."""
        return box_text(self.annotation.objects[item], self.annotation.boxes, *self.size)

    @property
    def form(self) -> str:
        """How a question names the form of boxes."""
        return FORMS[self.annotation.boxes]


def size_or_extent(about: Annotation | Scene) -> tuple[int, int]:
    """Width and height of an image in pixels.

    Where neither the annotation nor the image is at hand to say so, the extent of the objects stands in: the pairs of
    such a row can be counted, and it never gets into a release, because its image is missing.
    """
    width, height = about.image.width, about.image.height
    if width is not None and height is not None:
        return width, height
    boxes = [o.bbox for o in about.objects if o.bbox is not None]
    return int(max((b[2] for b in boxes), default=0)) + 1, int(max((b[3] for b in boxes), default=0)) + 1


def word(fact: Fact, annotation: Annotation, record: str) -> Pair:
    """Make the pair of a fact; its dialogue is 0.

    Args:
        fact: One of the annotation's.
        annotation: Where the objects are that it speaks of.
        record: The row's id.
    """
    return _WORDING[type(fact)](fact, Image(record, annotation))


def counted(objects: tuple[Object, ...], category: str) -> list[int]:
    """Positions of the objects of a category that may be judged."""
    return [i for i, o in enumerate(objects) if o.category == category and not o.ignore]


def position_name(box: BBox, width: int, height: int) -> str:
    """The name of the ninth of the image in which the centre of a box lies."""
    row, column = cell(box, width, height)
    return CELLS[row][column]


def _pair(template: Template, question: str, answer: str, category: str, objects: tuple[int, ...] = ()) -> Pair:
    return Pair(
        question=question, answer=answer, category=category, dialogue=0, template=template.id, objects=objects,
    )  # fmt: skip


def _caption(fact: Caption, image: Image) -> Pair:
    template = choose(CAPTION, image.record, "caption")
    return _pair(template, template.ask(), fact.text, "caption")


def _question(fact: Question, image: Image) -> Pair:
    template = choose(VQA, image.record, "vqa")
    return _pair(template, template.ask(question=fact.question), fact.answer, fact.category)


def _presence(fact: Presence, image: Image) -> Pair:
    template = image.pick(PRESENCE, fact.category)
    objects = tuple(counted(image.annotation.objects, fact.category))
    question = template.ask(a_category=with_article(fact.category))
    return _pair(template, question, "yes" if fact.present else "no", "presence", objects)


def _count(fact: Count, image: Image) -> Pair:
    template = image.pick(COUNT, fact.category)
    objects = tuple(counted(image.annotation.objects, fact.category))
    return _pair(template, template.ask(categories=plural(fact.category)), str(len(objects)), "count", objects)


def _comparison(fact: Comparison, image: Image) -> Pair:
    template = image.pick(COMPARISON, f"{fact.more}/{fact.than}")
    more, than = (counted(image.annotation.objects, c) for c in (fact.more, fact.than))
    answer = "yes" if len(more) > len(than) else "no"
    question = template.ask(more=plural(fact.more), than=plural(fact.than))
    return _pair(template, question, answer, "comp", tuple(sorted((*more, *than))))


def _position(fact: Position, image: Image) -> Pair:
    item = image.annotation.objects[fact.item]
    template = image.pick(POSITION, item.category)
    if item.bbox is None:
        raise ValueError(f"{image.record}: object {fact.item} has no upright box")
    answer = position_name(item.bbox, *image.size)
    return _pair(template, template.ask(category=item.category), answer, "position", (fact.item,))


def _grounding(fact: Grounding, image: Image) -> Pair:
    template = image.pick(GROUNDING, fact.category)
    objects = image.annotation.objects
    chosen = reading_order((i, objects[i]) for i in counted(objects, fact.category))
    answer = ", ".join(image.box(i) for i in chosen)
    question = template.ask(category=fact.category, box=image.form)
    return _pair(template, question, answer, "grounding", tuple(chosen))


def _referring(fact: Referring, image: Image) -> Pair:
    template = image.pick(REFERRING, f"{fact.item} {fact.expression}")
    question = template.ask(expression=fact.expression, box=image.form)
    return _pair(template, question, image.box(fact.item), "grounding", (fact.item,))


def _region(fact: Region, image: Image) -> Pair:
    template = image.pick(REGION, f"{fact.item} {fact.text}")
    return _pair(template, template.ask(box=image.box(fact.item)), fact.text, "region", (fact.item,))


def _turn(fact: Turn, image: Image) -> Pair:
    return Pair(
        question=fact.question, answer=fact.answer, category=fact.category, dialogue=0, template=fact.template,
        generator=fact.generator, review=fact.review, objects=fact.items,
    )  # fmt: skip


_WORDING: dict[type, Callable[[Any, Image], Pair]] = {
    Caption: _caption,
    Question: _question,
    Presence: _presence,
    Count: _count,
    Comparison: _comparison,
    Position: _position,
    Grounding: _grounding,
    Referring: _referring,
    Region: _region,
    Turn: _turn,
}
