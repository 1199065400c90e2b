"""Whether texts speak of the question's form, of coordinates, or of the model itself, instead of the image."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from rs_gpt4v_conversion.gpt4v.checks._check import Case, Check, Notes
from rs_gpt4v_conversion.gpt4v.checks.text import word_set


@dataclass(frozen=True, slots=True)
class _Leak:
    """Something that is looked for where one of its words is in the answer at all."""

    says: str
    words: frozenset[str]
    pattern: re.Pattern[str]


def _leak(says: str, words: str, *patterns: str) -> _Leak:
    return _Leak(says, word_set(words), re.compile("|".join(patterns)))


_KNOW = r"(?:determin|identif|confirm|discern|ascertain|specif|verif)"
_SPEAK = r"(?:provid|assist|help|tell|say|see\b|view|count|give\b)"
"""Of a ship or a driver too, so that it takes the model as speaker, or nobody."""

_SPEAKER = r"\b(?:i|we|you|one|image|picture)(?:['’]m| am| are| is|['’]re)?"

_LEAKS = (
    _leak(
        "the annotations",
        "annotation annotations annotated annotators bbox bboxes",
        r"\bannotat(?:ed|ions?|ors)\b",
        r"\bbbox(?:es)?\b",
    ),
    _leak("boxes", "box boxes", r"\b(?:bounding|rotated|oriented|upright) box(?:es)?\b"),
    _leak(
        "numbers of the list",
        "object objects item items",
        r"\b(?:objects?|items?)\s+(?:numbers?\s+|no\.?\s+)?#?\d+\b",
        r"\bobjects? numbers?\b",
    ),
    _leak(
        "the list",
        "listed list",
        r"\b(?:as|are|is|were|objects?) listed\b",
        r"\blisted (?:above|below|objects?|in)\b",
        r"\b(?:provided|given|object) list\b",
        r"\bin the list\b",
    ),
    _leak("the notes", "notes seen", r"\b(?:the|these|your) notes\b", r"\bseen:"),
    _leak("captions", "caption captions", r"\bcaptions?\b"),
    _leak(
        "the question",
        "provided given prompt instructions instruction",
        r"\bthe (?:provided|given) (?:image|information|data|list|description|context|text|details)",
        r"\b(?:provided|given) (?:by the user|in the (?:prompt|question|input))\b",
        r"\b(?:the|this|your) prompt\b",
        r"\binstructions? (?:say|state|ask|above)",
    ),
    _leak(
        "the form",
        "json schema gsd hbb obb truth",
        r"\b(?:json|schema|gsd|hbb|obb)\b",
        r"\bground[- ]truth\b",
    ),
    _leak(
        "the model",
        "ai model assistant",
        r"\bas an? (?:ai|assistant|language model|large language)\b",
        r"\b(?:an ai|ai (?:assistant|model|language)|language model)\b",
    ),
    _leak(
        "placeholders",
        "lorem insert todo xxx placeholder tbd",
        r"\blorem ipsum\b",
        r"\binsert (?:text|answer|object|description)\b",
        r"\b(?:todo|tbd|xxx|placeholder)\b",
    ),
    _leak("an excuse", "sorry apologize apologise", r"\b(?:sorry|apologi[sz]e)\b"),
    _leak(
        "a refusal",
        "cannot can't can’t unable couldn't couldn’t",
        rf"\b(?:cannot|can['’]t|couldn['’]t) (?:be )?(?:\w+ly )?{_KNOW}",
        rf"\b(?:cannot|can['’]t|couldn['’]t) be (?:\w+ly )?{_SPEAK}",
        rf"{_SPEAKER} (?:cannot|can['’]t|couldn['’]t) (?:\w+ly )?{_SPEAK}",
        rf"\bunable to {_KNOW}",
        rf"(?:{_SPEAKER} |(?:^|\. ))unable to {_SPEAK}",
    ),
    _leak(
        "a refusal",
        "not",
        rf"\b(?:can|could) not (?:be )?(?:\w+ly )?{_KNOW}",
        rf"\b(?:can|could) not be (?:\w+ly )?{_SPEAK}",
        rf"{_SPEAKER} (?:can|could) not (?:\w+ly )?{_SPEAK}",
    ),
    _leak(
        "a hedge",
        "exact precise difficult hard impossible possible unclear clear challenging",
        r"\bno (?:exact|precise) (?:count|number)\b",
        r"\b(?:exact|precise) (?:count|number)[^.]{0,40}\b(?:not|cannot|can't|difficult|hard|unclear|impossible)\b",
        rf"\b(?:difficult|hard|impossible|not possible|challenging) to (?:\w+ly )?(?:{_KNOW}|{_SPEAK})",
        r"\b(?:it is|it's) (?:unclear|not clear)\b",
        r"\bnot clear from\b",
    ),
    _leak("a hedge", "without", r"\bwithout (?:more|additional|further|any) (?:information|context|details|data)\b"),
)
"""What is looked for word by word: `words` holds at least one word of everything that the patterns find."""

_ALL_WORDS = frozenset().union(*[leak.words for leak in _LEAKS])

_MARKS = re.compile(r"[\[({}<`*#\\_\"\d]")
"""At least one of these is in everything that `_FORMS` finds."""

_FORMS = (
    ("coordinates", re.compile(r"[\[(]\s*-?\d*\.?\d+\s*,\s*-?\d*\.?\d|\b[xy]\s?\d\b\s*,|\(x\s?,\s?y\)")),
    (
        "coordinates",
        re.compile(
            r"(?<![\d.,])0\.\d{2,}\b"
            r"(?!\s?(?:m|cm|km|meters?|metres?|kilometers?|kilometres?|miles?|hectares?|ha|%|percent|square)\b)"
        ),
    ),
    ("JSON", re.compile(r"[{}]|\"\w+\"\s*:|```")),
    ("markup", re.compile(r"<[a-z/][a-z_ /]*>|\*\*|^#+ |\\n|\b[a-z]+_[a-z_]+\b")),
    ("placeholders", re.compile(r"\[[a-z][a-z _]*\]")),
)


def _of_the_list(token: str, listed: int) -> bool:
    """Whether a word is a number of the list; a very long number is none, and Python would not read it."""
    return token.isdecimal() and len(token) <= len(str(listed)) and int(token) <= listed


def check(case: Case, notes: Notes) -> None:
    """Look for all of it in all texts."""
    for mention in case.mentions if case.has_digits else ():
        number = mention.piece.tokens[mention.end : mention.end + 1]
        if mention.one and number and _of_the_list(number[0], len(case.listed)):
            quote = mention.piece.quote(mention.start, mention.end + 1)
            notes.hold(f"{mention.piece.where}: {quote!r} (numbers of the list)")
    said = case.vocabulary & _ALL_WORDS
    leaks = [leak for leak in _LEAKS if not leak.words.isdisjoint(said)] if said else []
    if not leaks and not _MARKS.search(case.marks):
        notes.pass_all(len(case.pieces))
        return
    for piece in case.pieces:
        found = next(_found(piece.text.lower(), leaks), None)
        notes.judge(f"{piece.where}: {found[1]!r} ({found[0]})" if found else "")


def _found(text: str, leaks: list[_Leak]) -> Iterator[tuple[str, str]]:
    for leak in leaks:
        if match := leak.pattern.search(text):
            yield leak.says, match.group()
    for says, pattern in _FORMS if _MARKS.search(text) else ():
        if match := pattern.search(text):
            yield says, match.group()


CHECK = Check(
    name="leaked_prompt",
    stages=("local", "global", "detail", "conversation", "reasoning", "planning"),
    severity="error",
    says="No text speaks of annotations, numbers of objects, coordinates, the question's form or the model, refuses, "
    "or says that something cannot be told.",
    judge=check,
)
