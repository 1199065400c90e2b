"""Whether an answer says anything that its question does not."""

from collections.abc import Sequence

from rs_gpt4v_conversion.gpt4v.checks._check import Case, Check, Notes
from rs_gpt4v_conversion.gpt4v.checks.text import is_word, word_set

_OPEN = word_set("what where how why who when describe explain tell list identify name")
"""First words of questions whose answer is not among their own words, as it is after `is` or `which`."""

_FORM = word_set(
    "a an the this that these those of in on at by to from with and is are was were be been do does did "
    "can could you me it its their there they what where how why who when which describe explain tell "
    "list identify name please image scene picture photo"
)
"""Words that carry no content here."""

_FEW = 6
"""Tokens: what has more says something."""

_EMPTY = frozenset({
    "", "n a", "na", "nan", "null", "nil", "unknown", "undefined", "not applicable", "not available", "tbd", "todo",
    "string", "text", "answer", "description", "placeholder", "lorem ipsum",
})  # fmt: skip

_EMPTY_FIRST = frozenset(text.partition(" ")[0] for text in _EMPTY)
"""One of these is in every such text, unless that is of marks alone."""


def check(case: Case, notes: Notes) -> None:
    """Look at each text for content, and at each answer for more than its question."""
    questions = {p.turn: p.tokens for p in case.pieces if p.kind == "question"}
    doubted = not case.vocabulary.isdisjoint(_EMPTY_FIRST)
    for piece in case.pieces:
        words = piece.tokens
        if len(words) <= _FEW and (doubted or not words or not is_word(words[0])) and _is_empty(words):
            notes.judge(f"{piece.where}: {piece.text[:40]!r} says nothing")
        elif questions and piece.kind == "statement" and piece.turn in questions:
            repeats = _repeats(words, questions[piece.turn])
            notes.judge(f"{piece.where}: {piece.text[:80]!r} repeats its question" if repeats else "")


def _is_empty(words: Sequence[str]) -> bool:
    return " ".join(word for word in words if is_word(word)) in _EMPTY


def _repeats(answer: Sequence[str], question: Sequence[str]) -> bool:
    for word in answer:
        if word not in _FORM and word not in question and is_word(word):
            return False
    if question and question[0] in _OPEN and "or" not in question:
        return True
    return [word for word in answer if is_word(word)] == [word for word in question if is_word(word)]


CHECK = Check(
    name="repeats_question",
    stages=("local", "global", "detail", "conversation", "reasoning", "planning"),
    severity="error",
    says="Every text says something, and an answer says more than its question.",
    judge=check,
)
