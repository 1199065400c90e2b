"""Whether texts name points of the compass: the image does not say where north is."""

import re
from itertools import product

from rs_gpt4v_conversion.gpt4v.checks._check import Case, Check, Notes

_POINTS = ("north", "south", "east", "west", *(a + b for a, b in product(("north", "south"), ("east", "west"))))
WORDS = frozenset(
    p + ending for p, ending in product(_POINTS, ("", "ern", "erly", "ward", "wards", "bound", "ernmost"))
)
_SHORT = frozenset(("ne", "nw", "se", "sw"))
_CAPITALS = re.compile(r"\b[NS][EW]\b")


def check(case: Case, notes: Notes) -> None:
    """Find the words; one that captions or expressions of the image's source have as well is theirs to answer for."""
    if case.vocabulary.isdisjoint(WORDS | _SHORT):
        notes.judge()
        return
    source = " ".join((*case.facts.captions, *(text for _, text in case.facts.expressions))).lower().split()
    known = {word.strip(".,;:()'\"") for word in source}
    for piece in case.pieces:
        for match in _CAPITALS.finditer(piece.text):
            notes.judge("" if match[0].lower() in known else f"{piece.where}: {match[0]!r}")
        for i, word in enumerate(piece.tokens):
            if word in WORDS:
                notes.judge("" if word in known else f"{piece.where}: {piece.quote(max(i - 3, 0), i + 3)!r}")


CHECK = Check(
    name="compass",
    stages=("local", "global", "detail", "conversation", "reasoning", "planning"),
    severity="error",
    says="No text names a point of the compass, unless the source's own captions do.",
    judge=check,
)
