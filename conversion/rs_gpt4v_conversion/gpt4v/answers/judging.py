"""Whether an answer fits its stage's form, and what the checks of consistency hold against it."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pydantic import BaseModel, ValidationError

from rs_gpt4v_conversion.errors import UsageError
from rs_gpt4v_conversion.gpt4v.answers.mapping import Form, plain_answer
from rs_gpt4v_conversion.gpt4v.answers.replies import MOST_DETAIL, unfenced
from rs_gpt4v_conversion.gpt4v.records import Facts, Finding, Outcome, Stage
from rs_gpt4v_conversion.gpt4v.schemas import ANSWERS, FOREIGN
from rs_gpt4v_conversion.records import BoxForm

if TYPE_CHECKING:
    from rs_gpt4v_conversion.gpt4v.checks import Verdict

_READING = 2
"""To be raised where this package begins to read or class lines in another way: then a ledger is made again."""


class Judging(Protocol):
    """The function of the package of checks that runs those of a stage."""

    def __call__(
        self, stage: Stage, answer: BaseModel, facts: Facts, *, boxes: BoxForm, width: int, height: int
    ) -> "Mapping[str, Verdict]":
        """The verdicts of an answer by names of checks."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Checks:
    """What answers are held against."""

    severities: Mapping[str, str]  # each check's own, `off`, `warn` or `error`, by name
    judge: Judging
    version: str  # another one where an answer may be judged otherwise than before


def load_checks() -> Checks:
    """The checks of this package; their version is a digest of their code."""
    from rs_gpt4v_conversion.gpt4v import checks  # only where something is judged: they bring numpy along

    digest = hashlib.sha256()
    for path in sorted(Path(checks.__path__[0]).glob("*.py")):
        digest.update(path.read_bytes())
    severities = {name: check.severity for name, check in checks.CHECKS.items()}
    return Checks(severities=severities, judge=checks.judge, version=digest.hexdigest())


def read_answer(stage: Stage, text: str) -> BaseModel:
    """An answer to one of our requests.

    Raises:
        Unfit: It is no JSON, or does not fit the stage's form.
    """
    return _validated(ANSWERS[stage], unfenced(text))


def read_foreign(stage: Stage, text: str, form: Form) -> BaseModel:
    """An answer to someone else's question.

    Raises:
        Unfit: It is no JSON where it should be, or does not fit the stage's form.
    """
    if form == "json":
        return _validated(FOREIGN[stage], unfenced(text))
    try:
        return FOREIGN[stage].model_validate(plain_answer(stage, text))
    except ValidationError as error:
        raise _unfit(error) from None
    except ValueError as error:
        raise Unfit(Outcome.SCHEMA_ERROR, str(error)[:MOST_DETAIL]) from None


ANNOTATIONS_CHANGED = "annotations_changed"
"""Why an answer is held back whose question listed other objects than the annotations do now."""


class Unfit(Exception):
    """An answer that cannot be used, with its outcome and what was found."""

    def __init__(self, outcome: Outcome, detail: str) -> None:
        super().__init__(detail)
        self.outcome, self.detail = outcome, detail


@dataclass(frozen=True, slots=True)
class Judgement:
    """What all checks say of one answer."""

    held: str  # the first check of severity error that holds something against it, or nothing
    findings: tuple[Finding, ...]
    coverage: Sequence[tuple[str, int, int, int]]  # check, claims, judged, findings


class Judge:
    """Calls the checks with the severities that the user chose.

    Args:
        checks: Those to call, None for none.
        severities: By names of checks, where they differ from the checks' own.

    Raises:
        UsageError: A severity is given for a check that there is not.
    """

    def __init__(self, checks: Checks | None, severities: Mapping[str, str]) -> None:
        self.checks = checks
        own = dict(checks.severities) if checks else {}
        for name in severities if checks else ():
            if name not in own:
                raise UsageError(f"[gpt4v.checks]: found {name!r}, expected a check. Known: {', '.join(sorted(own))}")
        self.severities = own | dict(severities)

    def rules(self) -> str:
        """Digest of all that decides what becomes of a line, but for annotations."""
        forms = [model.model_json_schema() for table in (ANSWERS, FOREIGN) for model in table.values()]
        checks = [self.checks.version, sorted(self.severities.items())] if self.checks else None
        text = json.dumps([_READING, forms, checks], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def judge(
        self, stage: Stage, answer: BaseModel, facts: Facts, *, boxes: BoxForm, width: int, height: int
    ) -> Judgement:
        """Hold an answer against the annotations of its image."""
        if self.checks is None:
            return _NOTHING
        held = ""
        findings: list[Finding] = []
        coverage: list[tuple[str, int, int, int]] = []
        for name, verdict in self.checks.judge(stage, answer, facts, boxes=boxes, width=width, height=height).items():
            severity = self.severities[name]
            if severity == "off":
                continue
            coverage.append((name, verdict.claims, verdict.judged, len(verdict.findings)))
            findings.extend(verdict.findings)
            if severity == "error" and verdict.findings and not held:
                held = name
        return Judgement(held, tuple(findings), coverage)


_NOTHING = Judgement("", (), ())


def _validated(model: type[BaseModel], text: str) -> BaseModel:
    try:
        return model.model_validate_json(text, strict=True)
    except ValidationError as error:
        raise _unfit(error) from None


def _unfit(error: ValidationError) -> Unfit:
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    if first["type"] == "json_invalid":
        return Unfit(Outcome.BAD_JSON, f"the answer is no JSON: {first['msg']}"[:MOST_DETAIL])
    place = ".".join(str(part) for part in first["loc"]) or "the answer"
    return Unfit(Outcome.SCHEMA_ERROR, f"{place}: {first['msg']}"[:MOST_DETAIL])
