"""Whether yes and no, as answers to questions of what is there, agree with the annotations."""

from rs_gpt4v_conversion.gpt4v.checks._check import Case, Check, Notes
from rs_gpt4v_conversion.gpt4v.checks.mentions import Mention
from rs_gpt4v_conversion.gpt4v.checks.text import is_word, word_set

_ASKING = word_set(
    "is are there any a an can do you we i see does this the image scene picture photo show contain include have has "
    "in some at all visible present find spot observe depict feature"
)
"""A question of presence has no words before the noun but these."""

_FIRST = word_set("is are can do does")
_DEFINITE = word_set("the this in")

_REST = word_set("in the this image scene picture photo photograph view frame visible present here at all shown there")
"""Nor after it, if it is about the whole image."""

_YES = word_set("yes yeah indeed")
_NO = word_set("no nope")


def check(case: Case, notes: Notes) -> None:
    """Hold the first word of an answer to each such question against the annotations."""
    asked = [m for m in case.mentions if m.piece.kind == "question" and _asks(m)]
    answers = {p.turn: p.tokens for p in case.pieces if p.kind == "statement"} if asked else {}
    for mention in asked:
        said = answers.get(mention.piece.turn) or ["."]
        if said[0] in _YES or said[0] in _NO:
            _judge(case, mention, said[0] in _YES, notes)


def _asks(mention: Mention) -> bool:
    words = mention.piece.tokens
    if mention.start == mention.begin or words[mention.begin] not in _FIRST:
        return False
    lead, end = words[mention.begin : mention.start], mention.finish
    return _ASKING.issuperset(lead) and lead[-1] not in _DEFINITE and end < len(words) and "?" in words[end]


def _judge(case: Case, mention: Mention, yes: bool, notes: Notes) -> None:
    words = mention.piece.tokens
    end = mention.finish
    whole = _REST.issuperset(w for w in words[mention.end : end] if is_word(w))
    low, high = case.known.bounds(mention.concept)
    wrong = high == 0 if yes else low > 0 and whole
    if wrong:
        known = f"{low}" if low == high else f"{low} or more"
        said = f"{'yes' if yes else 'no'} to {mention.piece.quote(0, end)!r}"
        notes.judge(f"{mention.piece.where}: {said}, annotated {mention.concept}: {known}")
    elif low > 0 if yes else high == 0:
        notes.judge()
    else:
        notes.leave()


CHECK = Check(
    name="presence_mismatch",
    stages=("conversation", "reasoning"),
    severity="error",
    says="Yes and no to questions of what is there agree with the annotations.",
    judge=check,
)
