"""Whether numbers in an answer agree with the annotations."""

from rs_gpt4v_conversion.gpt4v.checks._check import Case, Check, Notes
from rs_gpt4v_conversion.gpt4v.checks.counting import Claim
from rs_gpt4v_conversion.gpt4v.schemas import GlobalAnswer

EXACT_TO = 10
"""Up to here a number must be right; above, it may be off by `TOLERANCE` of what is there."""

TOLERANCE = 0.2

MARKED_IN_PARTS = frozenset(("harbor",))
"""Concepts of which sources mark the parts (a harbor pier by pier): only none of it is held against them."""


def check(case: Case, notes: Notes) -> None:
    """Hold all numbers against the least and the most that there can be."""
    for claim in case.claims:
        if claim.number is None or not _countable(claim.concept, claim.number):
            notes.leave()
        else:
            _judge(notes, claim, claim.number, *case.known.bounds(claim.concept))
    if isinstance(case.answer, GlobalAnswer):
        _listed_counts(case, case.answer, notes)


def _judge(notes: Notes, claim: Claim, number: int, low: int, high: int | None) -> None:
    exact = claim.bound == "exact"
    fault = too_many(number, high, claim.rough) or (exact and too_few(number, low, claim.rough))
    decided = fault or (high is not None and (not exact or low == high))
    if not decided:
        notes.leave()
        return
    notes.judge(
        f"{claim.piece.where}: {claim.words!r}, annotated {claim.concept}: {_known(low, high)}" if fault else ""
    )


def _listed_counts(case: Case, answer: GlobalAnswer, notes: Notes) -> None:
    for amount in answer.counts:
        concept = case.lexicon.named(amount.category)
        if concept is None or not _countable(concept, amount.count):
            notes.leave()
            continue
        low, high = case.known.bounds(concept)
        fault = too_many(amount.count, high, False) or too_few(amount.count, low, False)
        if not fault and low != high:
            notes.leave()
            continue
        said = f"counts: {amount.count} {amount.category}, annotated {concept}: {_known(low, high)}"
        notes.judge(said if fault else "")


def _countable(concept: str, number: int) -> bool:
    return number == 0 or concept not in MARKED_IN_PARTS


def _known(low: int, high: int | None) -> str:
    if high is None:
        return f"at least {low}"
    return f"{low}" if low == high else f"{low} to {high}"


def too_many(said: int, most: int | None, rough: bool) -> bool:
    """Whether a number is more than there can be."""
    return most is not None and said > most + _slack(most, rough)


def too_few(said: int, least: int, rough: bool) -> bool:
    """Whether a number is less than there must be."""
    return said < least - _slack(least, rough)


def _slack(there: int, rough: bool) -> float:
    if there > EXACT_TO:
        return TOLERANCE * there
    return max(1.0, TOLERANCE * there) if rough and there > 1 else 0.0


CHECK = Check(
    name="count_mismatch",
    stages=("local", "global", "detail", "conversation", "reasoning", "planning"),
    severity="error",
    says="Numbers of a category agree with the annotations: exact up to ten, within a fifth above; a number of a part "
    "of them is not more than all.",
    judge=check,
)
