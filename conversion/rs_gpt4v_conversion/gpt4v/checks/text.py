"""English prose as checks see it: words in lower case, sentences, numbers, and the texts of an answer."""

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Literal

from pydantic import BaseModel

from rs_gpt4v_conversion.gpt4v.schemas import (
    ConversationAnswer,
    DetailAnswer,
    GlobalAnswer,
    LocalAnswer,
    PlanningAnswer,
    ReasoningAnswer,
)

TOKEN = re.compile(
    r"[a-z]++(?![\w'’])"  # most words, quickly
    r"|[^\W_]+(?:['’][^\W_]+|(?<=\d)[.,]\d+)*"  # all words and numbers: `don't`, `1,200`, `a220`
    r"|[.!?]|-(?:(?<=[^\W_]-)(?=[^\W_])|\s)|[–—,;:()\[\]%/]"
)
"""Words in lower case, numbers, ends of sentences and other marks; a hyphen is `-` within a word, else `- `."""

_ENDS = frozenset(".!?")

Kind = Literal["statement", "question", "plan", "label"]
"""What a text does: it says something of the image, asks, tells what to do, or is a word or two in a field."""


class Piece:
    """One text of an answer."""

    __slots__ = ("imagined", "kind", "text", "tokens", "turn", "where", "whole")

    def __init__(
        self, text: str, kind: Kind, where: str, turn: int = -1, whole: bool = True, imagined: bool = False
    ) -> None:
        """Take a text apart.

        Args:
            text: As the answer has it.
            kind: What it does.
            where: In the answer, for people.
            turn: From 0, of a question and its answer.
            whole: It speaks of the whole image, unless it says otherwise.
            imagined: It speaks of what is not there.
        """
        self.text, self.kind, self.where, self.turn = text, kind, where, turn
        self.whole, self.imagined = whole, imagined
        self.tokens: Sequence[str] = _label_tokens(text) if kind == "label" else tokens(text)

    def quote(self, start: int, end: int) -> str:
        """Tokens `start` to `end` as they are written."""
        lower = self.text.lower()
        text = self.text if len(lower) == len(self.text) else lower  # a few letters are longer in lower case
        spans = [m.span() for m in TOKEN.finditer(lower)][start:end]
        return " ".join(text[spans[0][0] : spans[-1][1]].split()) if spans else ""


def word_set(words: str) -> frozenset[str]:
    """The words of a string with blanks between them."""
    return frozenset(words.split())


def tokens(text: str) -> list[str]:
    """Words, numbers and marks of a text, in lower case and in their order."""
    return TOKEN.findall(text.lower())


@lru_cache(maxsize=4096)
def _label_tokens(text: str) -> Sequence[str]:
    """Those of a label: the same few come again and again."""
    return tokens(text)


def is_word(token: str) -> bool:
    """Whether a token is a word or a number, and not a mark."""
    return token[0].isalnum()


def sentence_ends(words: Sequence[str]) -> list[int]:
    """Where the marks are that end the sentences of a text; the last is its length."""
    ends = [i for i, word in enumerate(words) if word in _ENDS]
    ends.append(len(words))
    return ends


def sentence(words: Sequence[str], at: int) -> tuple[int, int]:
    """Where the sentence of token `at` begins and ends; the mark at its end is the token at the second place."""
    return within(sentence_ends(words), at)


def within(ends: Sequence[int], at: int) -> tuple[int, int]:
    """The same, of a text whose ends are known."""
    place = bisect_left(ends, at)
    return (ends[place - 1] + 1 if place else 0), ends[place]


_ONES = {
    "zero": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9,
    "ten": 10, "eleven": 11, "twelve": 12, "thirteen": 13, "fourteen": 14, "fifteen": 15, "sixteen": 16,
    "seventeen": 17, "eighteen": 18, "nineteen": 19,
}  # fmt: skip
_TENS = {
    "twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90,
}  # fmt: skip
_VALUES = {**_ONES, **_TENS}
_TIMES = {"dozen": 12, "hundred": 100, "thousand": 1000}
_LONGEST = 12
"""Characters of a number in digits: what is longer counts nothing."""

NUMBER_WORDS = frozenset(_VALUES) | frozenset(_TIMES)


def is_number(token: str) -> bool:
    """Whether a token is a whole number or a part of one: `twelve`, `1,200`, `dozen`."""
    return token in NUMBER_WORDS or _digits(token) is not None


def number_before(words: Sequence[str], end: int) -> tuple[int | None, int] | None:
    """The number whose last word is just before `end`, and where it begins.

    Returns:
        None where no number is there; a value of None where it is not one number (`two to three`, `3-5`).
    """
    start = end
    while start > 0:
        if is_number(words[start - 1]):
            start -= 1
        elif (
            words[start - 1] in ("-", "and", "to", "or", "–")
            and start < end
            and start > 1
            and is_number(words[start - 2])
        ):
            start -= 2
        else:
            break
    return (_value(words[start:end]), start) if start < end else None


def _value(words: Sequence[str]) -> int | None:
    total, current, last = 0, 0, ""
    for i, word in enumerate(words):
        if word in ("-", "and"):
            joins = (words[i - 1] in _TENS and words[i + 1] in _ONES) if word == "-" else words[i - 1] in _TIMES
            if not joins:
                return None
            continue
        if word in _TIMES:
            current = max(current, 1) * _TIMES[word]
            if word == "thousand":
                total, current = total + current, 0
        else:
            value = _VALUES.get(word, _digits(word))
            follows = not last or last in _TIMES or (last in _TENS and word in _ONES)
            if value is None or not follows:
                return None
            current += value
        last = word
    return total + current


def _digits(token: str) -> int | None:
    if not token[0].isdecimal() or not token.isascii() or len(token) > _LONGEST:
        return None
    if token.isdecimal():
        return int(token)
    groups = token.split(",")
    thousands = len(groups[0]) <= 3 and all(len(g) == 3 for g in groups[1:]) and token.replace(",", "").isdecimal()
    return int(token.replace(",", "")) if thousands else None


def pieces(answer: BaseModel) -> tuple[Piece, ...]:
    """All texts of an answer in their order.

    Raises:
        TypeError: It is no answer of a stage.
    """
    for form, texts in _TEXTS.items():
        if isinstance(answer, form):
            return tuple(texts(answer))
    raise TypeError(f"{type(answer).__name__} is no answer of a stage")


def _local(answer: LocalAnswer) -> Iterator[Piece]:
    for item in answer.objects:
        where = f"object {item.number}"
        for word in (item.color, item.state):
            if word is not None:
                yield Piece(text=word, kind="label", where=where, whole=False)
        yield Piece(text=item.description, kind="statement", where=where, whole=False)
        for relation in item.relations:
            yield Piece(text=relation.relation, kind="label", where=where, whole=False)


def _global(answer: GlobalAnswer) -> Iterator[Piece]:
    yield Piece(text=answer.scene, kind="label", where="scene")
    yield Piece(text=answer.layout, kind="statement", where="layout")
    for region in answer.regions:
        yield Piece(text=region.content, kind="statement", where=region.region, whole=False)
    yield Piece(text=answer.summary, kind="statement", where="summary")


def _detail(answer: DetailAnswer) -> Iterator[Piece]:
    yield Piece(text=answer.description, kind="statement", where="description")


def _conversation(answer: ConversationAnswer) -> Iterator[Piece]:
    for i, turn in enumerate(answer.turns):
        yield Piece(text=turn.question, kind="question", where=f"turn {i + 1}", turn=i)
        yield Piece(text=turn.answer, kind="statement", where=f"turn {i + 1}", turn=i)


def _reasoning(answer: ReasoningAnswer) -> Iterator[Piece]:
    for i, item in enumerate(answer.items):
        yield Piece(text=item.question, kind="question", where=f"item {i + 1}", turn=i)
        yield Piece(
            text=item.answer, kind="statement", where=f"item {i + 1}", turn=i, imagined=item.kind == "hypothetical"
        )


def _planning(answer: PlanningAnswer) -> Iterator[Piece]:
    yield Piece(text=answer.goal, kind="plan", where="goal", whole=False)
    for i, step in enumerate(answer.steps, 1):
        yield Piece(text=step.action, kind="plan", where=f"step {i}", whole=False)
        yield Piece(text=step.needs, kind="statement", where=f"step {i}", whole=False)
    for text in answer.constraints:
        yield Piece(text=text, kind="plan", where="constraints", whole=False)


_TEXTS = {
    LocalAnswer: _local, GlobalAnswer: _global, DetailAnswer: _detail, ConversationAnswer: _conversation,
    ReasoningAnswer: _reasoning, PlanningAnswer: _planning,
}  # fmt: skip
