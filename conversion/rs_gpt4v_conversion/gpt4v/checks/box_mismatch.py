"""Whether an answer gives an object of the list the box and the category that it has there."""

from rs_gpt4v_conversion.gpt4v.checks._check import Case, Check, Notes
from rs_gpt4v_conversion.gpt4v.checks.shapes import annotated, is_shape, overlaps
from rs_gpt4v_conversion.gpt4v.schemas import LocalAnswer, LocalObject
from rs_gpt4v_conversion.records import Object

LEAST = 0.5
"""Intersection over union from which two boxes are of one object."""

ROUNDED = 0.005
"""Share of the image's side: boxes no number of which differs by more are the same, as those of tiny objects overlap
little once their numbers are rounded to two places."""


def check(case: Case, notes: Notes) -> None:
    """Compare the boxes and categories of a local answer with those of the listed objects."""
    if not isinstance(case.answer, LocalAnswer):
        return
    known = [
        (item, case.facts.objects[case.listed[item.number - 1]])
        for item in case.answer.objects
        if item.number <= len(case.listed)
    ]
    _boxes(case, known, notes)
    for item, real in known:
        _category(case, item, real, notes)


def _boxes(case: Case, known: list[tuple[LocalObject, Object]], notes: Notes) -> None:
    width, height = case.facts.width, case.facts.height
    apart = []
    for item, real in known:
        box = annotated(real, len(item.box), width, height) if width and height and is_shape(item.box) else None
        if box is None:
            notes.leave()
        elif len(box) == len(item.box) and max(map(_distance, item.box, box)) <= ROUNDED:
            notes.judge()
        else:
            apart.append((item, box))
    shares = overlaps([item.box for item, _ in apart], [box for _, box in apart]) if apart else []
    for (item, _), share in zip(apart, shares, strict=True):
        fault = f"object {item.number}: its box overlaps the annotated one by {share:.2f}"
        notes.judge("" if share >= LEAST else fault)


def _distance(a: float, b: float) -> float:
    return abs(a - b)


def _category(case: Case, item: LocalObject, real: Object, notes: Notes) -> None:
    if item.category == real.category:
        notes.judge()
        return
    said = case.lexicon.named(item.category)
    concept = case.lexicon.concept(real.category)
    if said is None:
        if item.category.lower() == real.category.lower():
            notes.judge()
        else:
            notes.leave()
        return
    related = said in case.lexicon.line(concept) or concept in case.lexicon.line(said)
    notes.judge("" if related else f"object {item.number}: {item.category!r}, annotated: {real.category!r}")


CHECK = Check(
    name="box_mismatch",
    stages=("local",),
    severity="error",
    says=f"The box of an object overlaps the annotated one by {LEAST} or more, and its category is the annotated one, "
    "a kind of it, or what it is a kind of.",
    judge=check,
)
