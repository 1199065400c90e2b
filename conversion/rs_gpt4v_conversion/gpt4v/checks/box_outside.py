"""Whether the boxes of an answer are boxes that lie in the image."""

from collections.abc import Sequence

from rs_gpt4v_conversion.gpt4v.checks._check import Case, Check, Notes
from rs_gpt4v_conversion.gpt4v.checks.shapes import annotated_box, is_simple
from rs_gpt4v_conversion.gpt4v.schemas import LocalAnswer, LocalObject

SLACK = 0.01
"""Share of the image's side by which a box may leave it, or differ from an annotated one that does: numbers are
rounded."""


def check(case: Case, notes: Notes) -> None:
    """Look at the box of each object of a local answer."""
    if not isinstance(case.answer, LocalAnswer):
        return
    most = 4 if case.boxes == "hbb" else 8
    for item in case.answer.objects:
        fault = _fault(item.box, most)
        if fault and not _lies_inside(item.box) and _repeats(case, item):
            fault = ""
        notes.judge(f"object {item.number}: {[round(v, 4) for v in item.box]}, {fault}" if fault else "")


def _repeats(case: Case, item: LocalObject) -> bool:
    """Whether a box is the annotated one of its number: the corners of some stick out of the image."""
    width, height = case.facts.width, case.facts.height
    if item.number > len(case.listed) or not width or not height:
        return False
    real = annotated_box(case.facts.objects[case.listed[item.number - 1]], len(item.box))
    if real is None or len(real) != len(item.box):
        return False
    sides = (width, height) * (len(real) // 2)
    return all(abs(said - v / side) <= SLACK for said, v, side in zip(item.box, real, sides, strict=True))


def _lies_inside(box: Sequence[float]) -> bool:
    return min(box) >= -SLACK and max(box) <= 1 + SLACK


def _fault(box: Sequence[float], most: int) -> str:
    if len(box) not in (4, most):
        return f"{len(box)} numbers, expected {most}"
    if not _lies_inside(box):
        return "outside the image"
    if len(box) == 4:
        return "" if box[0] < box[2] and box[1] < box[3] else "corners not in order, or no area"
    return "" if is_simple(box) else "edges that cross, or no area"


CHECK = Check(
    name="box_outside",
    stages=("local",),
    severity="error",
    says="Boxes have the numbers that were asked for, enclose an area without crossing edges, and lie in the image, "
    "unless they repeat an annotated one that sticks out of it.",
    judge=check,
)
