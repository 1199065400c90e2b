"""Checks of consistency: what an answer says, held against the annotations of its image and against itself.

A check is a module of this package, named after what it finds, with a `CHECK`; it is added to `CHECKS` below. It says
how many claims of an answer fall under it and how many of them it could judge: where a source marks only some of what
is in its images, silence is no proof. Every rule prefers to leave a claim unjudged to a wrong finding. No text of an
answer makes a check fail.
"""

from collections.abc import Mapping

from pydantic import BaseModel

from rs_gpt4v_conversion.gpt4v.checks import (
    below_resolution,
    box_mismatch,
    box_outside,
    compass,
    contradiction,
    count_mismatch,
    language,
    leaked_prompt,
    presence_mismatch,
    repeats_question,
    turn_shape,
    unknown_number,
    unsupported_category,
)
from rs_gpt4v_conversion.gpt4v.checks._check import Case, Check, Notes, Severity, Verdict
from rs_gpt4v_conversion.gpt4v.records import STAGES, Facts, Stage
from rs_gpt4v_conversion.records import BoxForm

__all__ = ["CHECKS", "Check", "Severity", "Verdict", "judge"]

_ALL = (
    box_outside.CHECK,
    box_mismatch.CHECK,
    unknown_number.CHECK,
    count_mismatch.CHECK,
    unsupported_category.CHECK,
    contradiction.CHECK,
    presence_mismatch.CHECK,
    repeats_question.CHECK,
    language.CHECK,
    leaked_prompt.CHECK,
    compass.CHECK,
    below_resolution.CHECK,
    turn_shape.CHECK,
)

CHECKS: dict[str, Check] = {check.name: check for check in _ALL}
"""All checks by name, in the order in which they are shown."""

_OF_STAGE = {stage: tuple(check for check in _ALL if stage in check.stages) for stage in STAGES}


def judge(
    stage: Stage,
    answer: BaseModel,
    facts: Facts,
    *,
    boxes: BoxForm,
    width: int,
    height: int,
    severities: Mapping[str, str] | None = None,
) -> dict[str, Verdict]:
    """Run all checks of a stage on one answer.

    Args:
        stage: What was asked.
        answer: What came back, in the stage's form (schemas.py).
        facts: The annotations of the image.
        boxes: The form of boxes that was asked for.
        width: Of the image that was sent, pixels.
        height: Of the image that was sent, pixels.
        severities: `off`, `warn` or `error` by names of checks: those that are `off` are not run.

    Returns:
        Verdicts by the names of checks, in the order of `CHECKS`.

    Raises:
        TypeError: The answer is of no stage's form.
    """
    case = Case(stage, answer, facts, boxes, width, height)
    verdicts = {}
    for check in _OF_STAGE[stage]:
        if not severities or severities.get(check.name) != "off":
            notes = Notes(check.name)
            check.judge(case, notes)
            verdicts[check.name] = notes.verdict()
    return verdicts
