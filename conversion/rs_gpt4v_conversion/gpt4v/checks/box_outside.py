"""Whether the boxes of an answer are boxes that lie in the image."""

from collections.abc import Sequence

import shapely

from rs_gpt4v_conversion.gpt4v.checks._check import Case, Check, Notes
from rs_gpt4v_conversion.gpt4v.checks.shapes import is_convex, is_shape, polygons
from rs_gpt4v_conversion.gpt4v.schemas import LocalAnswer

SLACK = 0.01
"""Share of the image's side by which a box may leave it: numbers are rounded, corners of rotated boxes stick out."""


def check(case: Case, notes: Notes) -> None:
    """Look at the box of each object of a local answer."""
    if not isinstance(case.answer, LocalAnswer):
        return
    boxes = [item.box for item in case.answer.objects]
    turned = [i for i, box in enumerate(boxes) if len(box) == 8 and is_shape(box) and not is_convex(box)]
    sound = shapely.is_valid(polygons([boxes[i] for i in turned])) if turned else ()
    crossed = {i for i, simple in zip(turned, sound, strict=True) if not simple}
    for i, item in enumerate(case.answer.objects):
        fault = "edges that cross, or no area" if i in crossed else _fault(item.box, 4 if case.boxes == "hbb" else 8)
        notes.judge(f"object {item.number}: {[round(v, 4) for v in item.box]}, {fault}" if fault else "")


def _fault(box: Sequence[float], most: int) -> str:
    if len(box) not in (4, most):
        return f"{len(box)} numbers, expected {most}"
    if not is_shape(box) or min(box) < -SLACK or max(box) > 1 + SLACK:
        return "outside the image"
    if len(box) == 4 and not (box[0] < box[2] and box[1] < box[3]):
        return "corners not in order, or no area"
    return ""


CHECK = Check(
    name="box_outside",
    stages=("local",),
    severity="error",
    says="Boxes have the numbers that were asked for, enclose an area without crossing edges, and lie in the image.",
    judge=check,
)
