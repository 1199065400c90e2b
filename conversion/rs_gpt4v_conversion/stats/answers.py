"""How far one gets in visual question answering without looking: the most frequent answers."""

import re
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from rs_gpt4v_conversion.rows import TAG
from rs_gpt4v_conversion.stats._counting import Frequencies
from rs_gpt4v_conversion.stats._reading import Batch
from rs_gpt4v_conversion.templates import TEMPLATES

TASK = "vqa"

TOP = 10
"""Answers of a category that are listed."""

LONGEST = 100
"""Characters of an answer that are looked at."""

FIELD = "{a_category}"

PRESENCE = {
    t.id: re.compile(re.escape(t.text).replace(re.escape(FIELD), "an? (?P<object>.+)"), re.DOTALL)
    for t in TEMPLATES.values()
    if FIELD in t.text
}
"""Our own questions after a category of objects, read back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer."""

    answer: str
    count: int
    share: float  # of the pairs


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """The answers to one category of question in one split of one source.

    An answer is taken in lower case, without blanks at its ends. With more than 50,000 different ones the rarest are
    forgotten: then `distinct` and the counts are too low, no count by more than `missed`.
    """

    source: str
    category: str
    split: str
    pairs: int
    distinct: int
    missed: int  # 0: all counts are exact
    top: tuple[Answer, ...]  # the most frequent ones
    yes: int
    no: int
    majority: float  # accuracy of always giving the most frequent answer of this very split
    blind_answer: str  # the most frequent answer in train, or of this split where the source has no train
    blind: float  # accuracy of always giving that


@dataclass(frozen=True, slots=True, kw_only=True)
class Blind:
    """One split of one source: the accuracy of giving the `blind_answer` of each category."""

    source: str
    split: str
    pairs: int
    accuracy: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Presence:
    """Questions whether objects of a category are there, of one source in all splits.

    Only questions of our own wording, which can be read back.
    """

    source: str
    object: str
    yes: int
    no: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerStats:
    """All of visual question answering."""

    categories: tuple[Answers, ...]
    blind: tuple[Blind, ...]
    presence: tuple[Presence, ...]


class AnswerCounter:
    """Counts answers to visual questions."""

    def __init__(self) -> None:
        self.answers: dict[tuple[str, str, str], Frequencies] = defaultdict(Frequencies)
        self.presence: dict[str, Frequencies] = defaultdict(Frequencies)

    def add(self, batch: Batch) -> None:
        """Count some rows."""
        if batch.shard.task != TASK:
            return
        answers = pc.utf8_slice_codeunits(pc.utf8_trim_whitespace(batch.answers), 0, LONGEST)
        answers = pc.utf8_lower(answers)
        source, split = batch.shard.source, batch.shard.split
        for found in _groups(category=batch.categories, answer=answers):
            self.answers[source, found["category"], split].add(found["answer"], found["n"])
        asked = pc.is_in(batch.templates, value_set=pa.array(list(PRESENCE), pa.string()))
        columns = {"template": batch.templates, "question": batch.questions, "answer": answers}
        for found in _groups(**{name: column.filter(asked) for name, column in columns.items()}):
            known = PRESENCE[found["template"]].fullmatch(found["question"].removeprefix(TAG))
            if known and found["answer"] in ("yes", "no"):
                self.presence[source].add(f"{found['answer']} {known['object']}", found["n"])

    def result(self, splits: tuple[str, ...]) -> AnswerStats:
        """What was counted.

        Args:
            splits: Their order.
        """
        order = {split: n for n, split in enumerate(splits)}
        keys = sorted(self.answers, key=lambda k: (k[0], k[1], order.get(k[2], len(order)), k[2]))
        categories = tuple(self._category(*key) for key in keys)
        return AnswerStats(categories=categories, blind=_blind(categories, order), presence=self._presence())

    def _category(self, source: str, category: str, split: str) -> Answers:
        counted = self.answers[source, category, split]
        train = self.answers.get((source, category, "train"), counted)
        blind = train.top(1)[0][0]
        top = counted.top(TOP)
        return Answers(
            source=source, category=category, split=split, pairs=counted.total, distinct=len(counted.counts),
            missed=counted.missed,
            top=tuple(Answer(answer=a, count=n, share=_share(n, counted.total)) for a, n in top),
            yes=counted.counts.get("yes", 0), no=counted.counts.get("no", 0),
            majority=_share(top[0][1], counted.total), blind_answer=blind,
            blind=_share(counted.counts.get(blind, 0), counted.total),
        )  # fmt: skip

    def _presence(self) -> tuple[Presence, ...]:
        found = []
        for source, counted in sorted(self.presence.items()):
            for name in sorted({text.split(" ", 1)[1] for text in counted.counts}):
                yes, no = (counted.counts.get(f"{answer} {name}", 0) for answer in ("yes", "no"))
                found.append(Presence(source=source, object=name, yes=yes, no=no))
        return tuple(sorted(found, key=lambda p: (p.source, -(p.yes + p.no), p.object)))


def _blind(categories: tuple[Answers, ...], order: dict[str, int]) -> tuple[Blind, ...]:
    right: dict[tuple[str, str], int] = defaultdict(int)
    pairs: dict[tuple[str, str], int] = defaultdict(int)
    for c in categories:
        right[c.source, c.split] += round(c.blind * c.pairs)
        pairs[c.source, c.split] += c.pairs
    return tuple(
        Blind(source=source, split=split, pairs=n, accuracy=_share(right[source, split], n))
        for (source, split), n in sorted(pairs.items(), key=lambda p: (p[0][0], order.get(p[0][1], len(order))))
    )


def _groups(**columns: pa.Array) -> list[dict[str, Any]]:
    """How often each combination of values occurs, as `n`."""
    counted = pa.table(columns).group_by(list(columns)).aggregate([([], "count_all")])
    found: list[dict[str, Any]] = counted.rename_columns([*columns, "n"]).to_pylist()
    return found


def _share(part: float, whole: int) -> float:
    return round(part / whole, 6) if whole else 0.0
