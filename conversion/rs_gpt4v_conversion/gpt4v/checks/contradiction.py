"""Whether the turns of a conversation, or the items of a set of questions, agree on a number."""

from collections import defaultdict

from rs_gpt4v_conversion.gpt4v.checks._check import Case, Check, Notes
from rs_gpt4v_conversion.gpt4v.checks.count_mismatch import too_few, too_many
from rs_gpt4v_conversion.gpt4v.checks.counting import Claim


def check(case: Case, notes: Notes) -> None:
    """Compare all numbers that are said of one thing in different turns."""
    said: dict[str, list[Claim]] = defaultdict(list)
    for claim in (*case.claims, *case.other_claims()):
        if claim.number is not None:
            said[claim.concept].append(claim)
    for claims in said.values():
        if len({claim.piece.turn for claim in claims}) < 2:
            continue
        exact = [claim for claim in claims if claim.bound == "exact"]
        for claim in claims:
            others = [other for other in exact if other.piece.turn < claim.piece.turn]
            later = [other for other in exact if other.piece.turn > claim.piece.turn and claim.bound == "least"]
            if not others and not later:
                notes.leave()
                continue
            against = next((other for other in (*others, *later) if _disagree(claim, other)), None)
            notes.judge(_fault(claim, against) if against else "")


def _disagree(claim: Claim, exact: Claim) -> bool:
    said, there = claim.number or 0, exact.number or 0
    rough = claim.rough or exact.rough
    return too_many(said, there, rough) or (claim.bound == "exact" and too_few(said, there, rough))


def _fault(claim: Claim, against: Claim) -> str:
    return f"{claim.piece.where}: {claim.words!r}, {against.piece.where}: {against.words!r}"


CHECK = Check(
    name="contradiction",
    stages=("conversation", "reasoning"),
    severity="error",
    says="No two turns say different numbers of the same thing.",
    judge=check,
)
