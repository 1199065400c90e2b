"""What a check is, what it sees and what it says."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from pydantic import BaseModel

from rs_gpt4v_conversion.gpt4v.checks.counting import (
    Claim,
    answered_counts,
    asked_counts,
    find_claims,
    narrowed,
    other_things,
    turns_of_parts,
)
from rs_gpt4v_conversion.gpt4v.checks.known import Known
from rs_gpt4v_conversion.gpt4v.checks.lexicon import Lexicon, lexicon_of
from rs_gpt4v_conversion.gpt4v.checks.mentions import Mention, asserted, find_mentions
from rs_gpt4v_conversion.gpt4v.checks.text import NUMBER_WORDS, Piece, marks_of, pieces
from rs_gpt4v_conversion.gpt4v.listing import listed
from rs_gpt4v_conversion.gpt4v.records import Facts, Finding, Stage
from rs_gpt4v_conversion.records import BoxForm

Severity = Literal["error", "warn"]
"""An error keeps an answer out of the release; a warning is counted and said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What one check says of one answer."""

    findings: tuple[Finding, ...] = ()
    claims: int = 0  # that the answer makes and that fall under the check
    judged: int = 0  # of them, those that the annotations or the rule could decide


_DIGIT = re.compile(r"\d")


class Case:
    """An answer and all that it is held against; what several checks need is worked out once."""

    def __init__(self, stage: Stage, answer: BaseModel, facts: Facts, boxes: BoxForm, width: int, height: int) -> None:
        """Read an answer.

        Args:
            stage: What was asked.
            answer: What came back.
            facts: The annotations of the image.
            boxes: The form of boxes that was asked for.
            width: Of the image that was sent, pixels.
            height: Of the image that was sent, pixels.

        Raises:
            TypeError: The answer is of no stage's form.
        """
        self.stage, self.answer, self.facts, self.boxes = stage, answer, facts, boxes
        self.width, self.height = width, height
        self.pieces: tuple[Piece, ...] = pieces(answer)
        self.vocabulary: frozenset[str] = frozenset().union(*[piece.tokens for piece in self.pieces])
        self.marks = marks_of([piece.text for piece in self.pieces])
        self.has_digits = _DIGIT.search(self.marks) is not None
        self.lexicon: Lexicon = lexicon_of(facts.searched, {o.category for o in facts.objects}.union(facts.uncertain))
        self.known = Known(facts, self.lexicon)
        self.mentions: list[Mention] = find_mentions(self.pieces, self.lexicon)
        self.asserted = [mention for mention in self.mentions if asserted(mention)]
        self.claims: list[Claim] = find_claims(self.mentions, self.has_digits)
        self._listed: tuple[int, ...] | None = None
        self._parts: frozenset[int] = frozenset()
        if questions := [piece for piece in self.pieces if piece.kind == "question"]:
            asked = asked_counts(self.mentions)
            self._parts = turns_of_parts(questions, asked)
            self.claims = narrowed(answered_counts(self.pieces, asked, self.claims), self._parts)

    def other_claims(self) -> list[Claim]:
        """What numbers the texts say of other things: `three buildings`."""
        if not self.has_digits and self.vocabulary.isdisjoint(NUMBER_WORDS):
            return []
        things = other_things(self.pieces, self.lexicon, self.has_digits)
        return narrowed(find_claims(things, self.has_digits), self._parts)

    @property
    def listed(self) -> tuple[int, ...]:
        """Positions in the facts' objects of numbers 1, 2, ... of the question's list."""
        if self._listed is None:
            self._listed = listed(self.facts)
        return self._listed

    @property
    def scale(self) -> float | None:
        """Pixels of the sent image to one of the annotated image; None where the annotations state no size."""
        return self.width / self.facts.width if self.facts.width else None


@lru_cache(maxsize=4096)
def _nothing_found(claims: int, judged: int) -> Verdict:
    return Verdict(claims=claims, judged=judged)


class Notes:
    """Collects what a check finds."""

    __slots__ = ("check", "claims", "findings", "judged")

    def __init__(self, check: str) -> None:
        self.check = check
        self.findings: list[Finding] = []
        self.claims = 0
        self.judged = 0

    def hold(self, detail: str) -> None:
        """Enter a finding: what the answer says, and what is known."""
        self.findings.append(Finding(check=self.check, detail=detail))

    def judge(self, fault: str = "") -> None:
        """Enter a claim that could be decided, and what is wrong with it."""
        self.claims += 1
        self.judged += 1
        if fault:
            self.hold(fault)

    def pass_all(self, claims: int) -> None:
        """Enter claims that could all be decided, with nothing wrong."""
        self.claims += claims
        self.judged += claims

    def leave(self) -> None:
        """Enter a claim that could not be decided."""
        self.claims += 1

    def leave_all(self, claims: int) -> None:
        """Enter claims that could not be decided."""
        self.claims += claims

    def verdict(self) -> Verdict:
        """All of it."""
        if not self.findings:
            return _nothing_found(self.claims, self.judged)
        return Verdict(findings=tuple(self.findings), claims=self.claims, judged=self.judged)


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that an answer is checked for."""

    name: str
    stages: tuple[Stage, ...]
    severity: Severity  # unless the user says otherwise
    says: str  # a sentence for people: what holds where nothing is found
    judge: Callable[[Case, Notes], None]
