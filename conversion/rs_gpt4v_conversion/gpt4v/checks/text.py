"""English prose as checks see it: words in lower case, sentences, numbers, and the texts of an answer."""

import re
from collections.abc import Iterator, Sequence
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

_BETWEEN = "\0"
"""Stands between texts that are taken apart at once: no token crosses it."""

_MARKS = b".,;:!?()[]%/"
_PARTED = b"abcdefghijklmnopqrstuvwxyz \n\0" + _MARKS
_INNER = b"0123456789-'"
"""Characters that join words and numbers to others, or do not."""

_IN_NUMBERS = re.compile(r"[.,](?<=[0-9].)[0-9]")

ENDS = frozenset(".!?")
"""Marks that end a sentence."""

Kind = Literal["statement", "question", "plan", "label"]
"""What a text does: it says something of the image, asks, tells what to do, or is a word or two in a field."""


class Piece:
    """One text of an answer."""

    __slots__ = ("imagined", "kind", "text", "tokens", "turn", "where", "whole")

    def __init__(
        self,
        text: str,
        kind: Kind,
        where: str,
        turn: int = -1,
        whole: bool = True,
        imagined: bool = False,
        words: Sequence[str] | None = None,
    ) -> None:
        """Take a text apart.

        Args:
            text: As the answer has it.
            kind: What it does.
            where: In the answer, for people.
            turn: From 0, of a question and its answer.
            whole: It speaks of the whole image, unless it says otherwise.
            imagined: It speaks of what is not there.
            words: Its tokens, where they are known.
        """
        self.text, self.kind, self.where, self.turn = text, kind, where, turn
        self.whole, self.imagined = whole, imagined
        self.tokens: Sequence[str] = tokens(text) if words is None else words

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


def tokens_of(texts: Sequence[str]) -> list[list[str]]:
    """The tokens of each of some texts, in one go: blanks part most of what an answer says."""
    joined = _BETWEEN.join(texts)
    if joined.count(_BETWEEN) != len(texts) - 1:  # no text at all, or one that has this character
        return [tokens(text) for text in texts]
    joined = joined.lower()
    spaced = _spaced(joined)
    if spaced is None:
        return [TOKEN.findall(text) for text in joined.split(_BETWEEN)]
    return [text.split() for text in spaced.split(_BETWEEN)]


def _spaced(text: str) -> str | None:
    """A text with blanks between all tokens; None where that takes more than blanks around marks."""
    if not text.isascii():
        return None
    inner = text.encode().translate(None, _PARTED)
    if inner:
        if inner.translate(None, _INNER) or not (_is_within_words("-", text) and _is_within_words("'", text)):
            return None
        if inner.translate(None, b"-'") and _IN_NUMBERS.search(text):
            return None
    for mark in _SPACED:
        if mark in text:
            text = text.replace(mark, f" {mark} ")
    return text


def _is_within_words(mark: str, text: str) -> bool:
    """Whether a mark stands between two letters or digits wherever it is in a text."""
    at = text.find(mark)
    while at >= 0:
        if not (text[at - 1 : at].isalnum() and text[at + 1 : at + 2].isalnum()):
            return False
        at = text.find(mark, at + 1)
    return True


_SPACED = (_MARKS + b"-").decode()


def marks_of(texts: Sequence[str]) -> str:
    """All characters of some texts but the letters of English and blanks, in their order."""
    return "".join(texts).encode(errors="surrogatepass").translate(None, _COMMON).decode(errors="surrogatepass")


_COMMON = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ "


def is_word(token: str) -> bool:
    """Whether a token is a word or a number, and not a mark."""
    return token[0].isalnum()


def sentence(words: Sequence[str], at: int) -> tuple[int, int]:
    """Where the sentence of token `at` begins and ends; the mark at its end is the token at the second place."""
    begin = end = at
    while begin > 0 and words[begin - 1] not in ENDS:
        begin -= 1
    while end < len(words) and words[end] not in ENDS:
        end += 1
    return begin, end


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
    return token in NUMBER_WORDS or (token[0].isdecimal() and _digits(token) is not None)


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
            rows = list(texts(answer))
            words = tokens_of([row[0] for row in rows])
            return tuple([Piece(*row, tokens) for row, tokens in zip(rows, words, strict=True)])
    raise TypeError(f"{type(answer).__name__} is no answer of a stage")


_Row = tuple[str, Kind, str, int, bool, bool]
"""What a piece is made from but for its tokens."""


def _local(answer: LocalAnswer) -> Iterator[_Row]:
    for item in answer.objects:
        where = f"object {item.number}"
        if item.color is not None:
            yield item.color, "label", where, -1, False, False
        if item.state is not None:
            yield item.state, "label", where, -1, False, False
        yield item.description, "statement", where, -1, False, False
        for relation in item.relations:
            yield relation.relation, "label", where, -1, False, False


def _global(answer: GlobalAnswer) -> Iterator[_Row]:
    yield answer.scene, "label", "scene", -1, True, False
    yield answer.layout, "statement", "layout", -1, True, False
    for region in answer.regions:
        yield region.content, "statement", region.region, -1, False, False
    yield answer.summary, "statement", "summary", -1, True, False


def _detail(answer: DetailAnswer) -> Iterator[_Row]:
    yield answer.description, "statement", "description", -1, True, False


def _conversation(answer: ConversationAnswer) -> Iterator[_Row]:
    for i, turn in enumerate(answer.turns):
        where = f"turn {i + 1}"
        yield turn.question, "question", where, i, True, False
        yield turn.answer, "statement", where, i, True, False


def _reasoning(answer: ReasoningAnswer) -> Iterator[_Row]:
    for i, item in enumerate(answer.items):
        where = f"item {i + 1}"
        yield item.question, "question", where, i, True, False
        yield item.answer, "statement", where, i, True, item.kind == "hypothetical"


def _planning(answer: PlanningAnswer) -> Iterator[_Row]:
    yield answer.goal, "plan", "goal", -1, False, False
    for i, step in enumerate(answer.steps, 1):
        where = f"step {i}"
        yield step.action, "plan", where, -1, False, False
        yield step.needs, "statement", where, -1, False, False
    for text in answer.constraints:
        yield text, "plan", "constraints", -1, False, False


_TEXTS = {
    LocalAnswer: _local, GlobalAnswer: _global, DetailAnswer: _detail, ConversationAnswer: _conversation,
    ReasoningAnswer: _reasoning, PlanningAnswer: _planning,
}  # fmt: skip
