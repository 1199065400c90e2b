"""Whether texts are English, by their letters and their small words.

Of a text's letters at most a fifth may be of another script than the Latin. In a text of at least six words and marks,
small words of other languages (of seven that are written in Latin letters) may not outnumber the English ones, and in
one of at least fifteen, one in fifteen must be an English small word. Shorter texts pass if their letters do.
"""

import unicodedata
from collections.abc import Sequence

from rs_gpt4v_conversion.gpt4v.checks._check import Case, Check, Notes
from rs_gpt4v_conversion.gpt4v.checks.text import word_set

OTHER_LETTERS = 0.2
FEWEST_WORDS = 6
MANY_WORDS = 15
SMALL_WORDS = 15
"""One word in so many must be a small one."""

_ENGLISH = word_set(
    "the of and a to in is are on with for there at by from this that it as be or an which some many near "
    "next two three its their surrounded between several one around have has can was were not no yes they "
    "these those beside into"
)
_OTHERS = word_set(
    "der das und ist mit von den dem ein eine einer auf für nicht sind im zu des wird auch sich neben zwei "
    "le les des et est une dans du au sur pour avec qui sont il elle ce cette deux près "
    "el los las y es una del con por para que en al se hay dos cerca "
    "il di che è un sono nel della alla gli per tra due "
    "o os um uma do da dos das com em não há são "
    "het een van op met zijn voor naar twee "
    "det och är som på av till två"
) - _ENGLISH - word_set("on a an is in me he do am as was so per as at or se al im")  # fmt: skip


def check(case: Case, notes: Notes) -> None:
    """Look at each text that is more than a label."""
    ascii_alone = case.marks.isascii()
    # without one word of another language, only a long text can lack small words enough
    fewest = MANY_WORDS if case.vocabulary.isdisjoint(_OTHERS) else FEWEST_WORDS
    long = short = 0
    for piece in case.pieces:
        size = len(piece.tokens)
        if (size >= fewest and _is_foreign(piece.tokens)) or not (ascii_alone or _is_latin(piece.text)):
            notes.judge(f"{piece.where}: not English, {piece.text[:60]!r}")
        elif size >= FEWEST_WORDS:
            long += 1
        else:
            short += 1
    notes.pass_all(long)
    notes.leave_all(short)


def _is_latin(text: str) -> bool:
    letters = [c for c in text if c.isalpha()]
    other = sum(1 for c in letters if not c.isascii() and not unicodedata.name(c, "").startswith("LATIN"))
    return other <= OTHER_LETTERS * len(letters)


def _is_foreign(words: Sequence[str]) -> bool:
    english = sum(map(_ENGLISH.__contains__, words))
    if english * SMALL_WORDS >= len(words) and english * 4 >= len(words):
        return False  # plainly English
    other = sum(map(_OTHERS.__contains__, words))
    return (other >= 2 and other > english) or (len(words) >= MANY_WORDS and english * SMALL_WORDS < len(words))


CHECK = Check(
    name="language",
    stages=("local", "global", "detail", "conversation", "reasoning", "planning"),
    severity="error",
    says="Texts are English, by their letters and their small words; short ones by their letters alone.",
    judge=check,
)
