"""Whether an answer gives an object of the list the box and the category that it has there."""

import numpy as np

from rs_gpt4v_conversion.gpt4v.checks._check import Case, Check, Notes
from rs_gpt4v_conversion.gpt4v.checks.shapes import annotated_box, are_places, corners, overlaps
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
    boxed = [(item, box) for item, real in known if (box := annotated_box(real, len(item.box))) is not None]
    if not width or not height or not boxed:
        notes.leave_all(len(known))
        return
    said, real = corners([item.box for item, _ in boxed]), corners([box for _, box in boxed])
    real /= np.array([width, height] * 4)
    placed = are_places(said)
    notes.leave_all(len(known) - int(placed.sum()))
    same = placed & (np.abs(said - real).max(axis=1) <= ROUNDED)
    notes.pass_all(int(same.sum()))
    apart = np.flatnonzero(placed & ~same)
    for i, share in zip(apart.tolist(), overlaps(said[apart], real[apart]) if len(apart) else (), strict=True):
        fault = f"object {boxed[i][0].number}: its box overlaps the annotated one by {share:.2f}"
        notes.judge("" if share >= LEAST else fault)


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
