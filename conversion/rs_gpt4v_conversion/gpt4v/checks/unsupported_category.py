"""Whether an answer speaks of categories that the annotations know to be absent (after CHAIR, Rohrbach et al. 2018)."""

from rs_gpt4v_conversion.gpt4v.checks._check import Case, Check, Notes


def check(case: Case, notes: Notes) -> None:
    """Hold every mention in a plain statement against the categories that were looked for."""
    for mention in case.asserted:
        low, high = case.known.bounds(mention.concept)
        if high == 0:
            piece = mention.piece
            notes.judge(f"{piece.where}: {piece.quote(mention.start, mention.end)!r}, annotated {mention.concept}: 0")
        elif low > 0 or high is not None:
            notes.judge()
        else:
            notes.leave()


CHECK = Check(
    name="unsupported_category",
    stages=("local", "global", "detail", "conversation", "reasoning", "planning"),
    severity="error",
    says="No category is said to be there that the source looked for and did not find.",
    judge=check,
)
