"""Human and gpt in turn, one image tag at the head, one pair for every two turns, known categories."""

from collections.abc import Mapping
from typing import Any, ClassVar

from rs_gpt4v_conversion.gates._gate import Findings, GateResult, name_of
from rs_gpt4v_conversion.release import Where
from rs_gpt4v_conversion.rows import TAG


class Conversations:
    """Holds conversations and pairs against the contract.

    Args:
        categories: The contract's categories by task.
    """

    columns: ClassVar[tuple[str, ...]] = ("id", "task", "conversations", "pairs", "objects")

    def __init__(self, categories: Mapping[str, tuple[str, ...]]) -> None:
        self.categories = categories
        self.findings = Findings("conversations")

    def row(self, row: dict[str, Any], where: Where) -> None:
        """Look at one row."""
        turns = [turn or {} for turn in row["conversations"] or ()]
        pairs = [pair or {} for pair in row["pairs"] or ()]
        known = self.categories.get(row["task"], ())
        flaw = turns_flaw(turns, len(pairs)) or pairs_flaw(pairs, known, len(row["objects"] or ()))
        if flaw:
            self.findings.add(name_of(row, where), flaw)

    def results(self) -> list[GateResult]:
        """What was found."""
        return [self.findings.result()]


def turns_flaw(turns: list[dict[str, Any]], pairs: int) -> str:
    """What is wrong with a row's turns, or an empty string."""
    if not turns or [t.get("from") for t in turns] != ["human", "gpt"] * (len(turns) // 2):
        return "turns are not human and gpt in turn"
    if len(turns) != 2 * pairs:
        return f"{len(turns)} turns for {pairs} pairs"
    texts = [t.get("value") or "" for t in turns]
    if not texts[0].startswith(TAG) or sum(t.count(TAG.strip()) for t in texts) != 1:
        return "the image tag is not at the head of the first question alone"
    if not all(t.removeprefix(TAG).strip() for t in texts):
        return "a turn is blank"
    return ""


def pairs_flaw(pairs: list[dict[str, Any]], categories: tuple[str, ...], objects: int) -> str:
    """What is wrong with a row's pairs, or an empty string.

    Args:
        pairs: Of the row.
        categories: That the row's task knows.
        objects: How many the row has.
    """
    last = -1
    for pair in pairs:
        category, dialogue = pair.get("category"), pair.get("dialogue")
        if category not in categories:
            return f"{category!r} is no category of the task, which has {', '.join(categories) or 'none'}"
        if dialogue is None or dialogue < 0 or dialogue - last not in (0, 1):
            return "dialogue numbers do not count from 0 without a gap"
        last = dialogue
        if any(i is None or not 0 <= i < objects for i in pair.get("objects") or ()):
            return f"a pair speaks of an object that is not among the row's {objects}"
    return ""
