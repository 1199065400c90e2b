"""Whether an answer gives an object of the list the box and the category that it has there."""

from collections.abc import Sequence

from rs_gpt4v_conversion.gpt4v.checks._check import Case, Check, Notes
from rs_gpt4v_conversion.gpt4v.checks.shapes import annotated_box, corners, is_place, overlaps
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
    listed, objects = case.listed, case.facts.objects
    known = [(item, objects[listed[item.number - 1]]) for item in case.answer.objects if item.number <= len(listed)]
    _boxes(case, known, notes)
    same = sum(item.category == real.category for item, real in known)
    notes.pass_all(same)
    if same < len(known):
        for item, real in known:
            if item.category != real.category:
                _category(case, item, real, notes)


def _boxes(case: Case, known: list[tuple[LocalObject, Object]], notes: Notes) -> None:
    width, height = case.facts.width, case.facts.height
    if not width or not height:
        notes.leave_all(len(known))
        return
    sides = (width, height) * 4
    apart: list[tuple[LocalObject, Sequence[float], Sequence[float]]] = []
    for item, annotated in known:
        box: Sequence[float] = item.box
        real = annotated_box(annotated, len(box))
        if real is None or not is_place(box):
            notes.leave()
            continue
        if len(real) != len(box):
            box, real = corners(box), corners(real)
        for said, pixels, side in zip(box, real, sides, strict=False):
            if not abs(said - pixels / side) <= ROUNDED:
                apart.append((item, corners(box), [v / side for v, side in zip(corners(real), sides, strict=True)]))
                break
        else:
            notes.pass_all(1)
    if apart:
        _apart(apart, notes)


def _apart(boxes: list[tuple[LocalObject, Sequence[float], Sequence[float]]], notes: Notes) -> None:
    for (item, _, _), share in zip(boxes, overlaps([(said, real) for _, said, real in boxes]), strict=True):
        fault = f"object {item.number}: its box overlaps the annotated one by {share:.2f}"
        notes.judge("" if share >= LEAST else fault)


def _category(case: Case, item: LocalObject, real: Object, notes: Notes) -> None:
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
