"""What became of the lines of some answer files, for people and for programs."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from rs_gpt4v_conversion.gpt4v.answers.answer_files import MAP
from rs_gpt4v_conversion.gpt4v.answers.importing import Stored
from rs_gpt4v_conversion.gpt4v.answers.ledger import ACCEPTED, SUPERSEDED, Ledger
from rs_gpt4v_conversion.gpt4v.answers.ledger_tables import OFFSET_BITS
from rs_gpt4v_conversion.gpt4v.answers.mapping import Row, read_map
from rs_gpt4v_conversion.gpt4v.records import STAGES, Outcome, Stage
from rs_gpt4v_conversion.tables import counted, table

MOST_REJECTS = 100
"""That are listed one by one."""

_MOST_WIDTH = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Reject:
    """A line that became no answer."""

    file: str  # in the folder of answers
    line: int
    custom_id: str
    record: str
    stage: str
    outcome: str  # or the check that holds it back
    detail: str


@dataclass(slots=True)
class Report:
    """What became of the lines of one import's files."""

    files: list[dict[str, Any]] = field(default_factory=list)
    classes: Counter[str] = field(default_factory=Counter)
    accepted: int = 0
    held: Counter[str] = field(default_factory=Counter)  # by the check that holds an answer back
    findings: Counter[str] = field(default_factory=Counter)  # of all checks, whether they hold back or not
    coverage: dict[str, Counter[str]] = field(default_factory=dict)
    unjudged: int = 0  # well-formed answers about images that are in no source
    answered: Counter[Stage] = field(default_factory=Counter)  # requests that these files answer
    foreign: Counter[Stage] = field(default_factory=Counter)  # answers to questions that were not ours
    examples: dict[str, Reject] = field(default_factory=dict)  # by outcome or check
    rejected: list[Reject] = field(default_factory=list)
    pending: list[tuple[Stage, str, int]] = field(default_factory=list)  # of all requests

    @property
    def lines(self) -> int:
        """Lines that are not blank."""
        return self.classes.total()


def report(ledger: Ledger, files: Iterable[Stored]) -> Report:
    """Ask a ledger about files that it has read."""
    result = Report()
    seen: set[int] = set()
    for file in files:
        name = file.path.relative_to(ledger.workspace.folder).as_posix()
        (place,) = ledger.connection.execute("SELECT place FROM files WHERE name = ?", (name,)).fetchone()
        span = (place << OFFSET_BITS, (place + 1 << OFFSET_BITS) - 1)
        (lines,) = ledger.connection.execute(f"SELECT count(*) FROM answers WHERE {_IN}", span).fetchone()
        result.files.append({"file": str(file.source), "stored": name, "new": file.new, "lines": lines})
        if place not in seen:  # one that was named twice
            seen.add(place)
            _classes(ledger, result, span)
            _checks(ledger, result, place)
            _rejects(ledger, result, span, file.path.name)
    result.pending = [row for row in ledger.status() if row[1] not in (ACCEPTED, SUPERSEDED)]
    return result


_IN = "id BETWEEN ?1 AND ?2"


def _classes(ledger: Ledger, result: Report, span: tuple[int, int]) -> None:
    for outcome, held, count in ledger.connection.execute(
        f"SELECT outcome, held, count(*) FROM answers WHERE {_IN} GROUP BY outcome, held", span
    ):
        result.classes[outcome] += count
        if held is not None:
            result.held[held] += count
        elif outcome == Outcome.OK:
            result.accepted += count
    result.answered.update(dict(ledger.connection.execute(
        "SELECT r.stage, count(*) FROM answers a JOIN requests r ON r.id = a.request "
        "WHERE a.id BETWEEN ?1 AND ?2 AND a.outcome = 'ok' AND a.held IS NULL GROUP BY r.stage", span
    )))  # fmt: skip
    result.foreign.update(dict(ledger.connection.execute(
        "SELECT stage, count(*) FROM foreign_answers WHERE answer BETWEEN ?1 AND ?2 AND accepted GROUP BY stage", span
    )))  # fmt: skip


def _checks(ledger: Ledger, result: Report, place: int) -> None:
    for name, claims, judged, findings in ledger.connection.execute(
        "SELECT name, sum(claims), sum(judged), sum(findings) FROM verdicts WHERE place = ? GROUP BY name", (place,)
    ):
        if name:
            result.findings[name] += findings
            result.coverage.setdefault(name, Counter()).update(claims=claims, judged=judged)
        else:
            result.unjudged += claims


def _rejects(ledger: Ledger, result: Report, span: tuple[int, int], file: str) -> None:
    rest = MOST_REJECTS - len(result.rejected)
    result.rejected += _select(ledger, file, f"{_REJECTED} ORDER BY a.id LIMIT ?3", (*span, rest))
    first = "SELECT min(id) FROM answers WHERE id BETWEEN ?1 AND ?2 GROUP BY coalesce(held, outcome)"
    for reject in _select(ledger, file, f"{_REJECTED} AND a.id IN ({first}) ORDER BY a.id", span):
        result.examples.setdefault(reject.outcome, reject)


_REJECTED = """
SELECT a.line, coalesce(r.custom_id, a.custom_id, ''), coalesce(r.record, f.record, ''),
    coalesce(r.stage, f.stage, ''), coalesce(a.held, a.outcome), a.detail, a.held, a.findings
FROM answers a LEFT JOIN requests r ON r.id = a.request LEFT JOIN foreign_answers f ON f.answer = a.id
WHERE a.id BETWEEN ?1 AND ?2 AND (a.outcome != 'ok' OR a.held IS NOT NULL)
"""


def _select(ledger: Ledger, file: str, query: str, values: Sequence[int]) -> list[Reject]:
    rejects = []
    for line, custom_id, record, stage, outcome, detail, held, findings in ledger.connection.execute(query, values):
        said = [text for check, text in json.loads(findings) if check == held] if held else [detail]
        rejects.append(Reject(
            file=file, line=line, custom_id=custom_id, record=record, stage=stage, outcome=outcome,
            detail="; ".join(said),
        ))  # fmt: skip
    return rejects


def as_json(result: Report) -> dict[str, Any]:
    """For programs: every outcome has its count, 0 too."""
    return {
        "files": result.files,
        "lines": result.lines,
        "classes": {outcome.value: result.classes[outcome] for outcome in Outcome},
        "accepted": result.accepted,
        "held": dict(result.held),
        "findings": dict(result.findings),
        "coverage": {name: dict(counts) for name, counts in result.coverage.items()},
        "unjudged": result.unjudged,
        "answered": _by_stage(result.answered),
        "foreign": _by_stage(result.foreign),
        "pending": [{"stage": stage, "reason": reason, "requests": n} for stage, reason, n in result.pending],
        "rejected": [asdict(reject) for reject in result.rejected],
    }


def as_text(result: Report) -> str:
    """For people."""
    new = sum(file["new"] for file in result.files)
    lines = [f"{counted(len(result.files), 'file')}, {new:,} new; {counted(result.lines, 'line')}"]
    rows = [(file["stored"], f"{file['lines']:,}", "" if file["new"] else "was there already") for file in result.files]
    lines += table(("file", "lines", ""), rows, left=1, last=1)
    counts = [(outcome.value, result.classes[outcome]) for outcome in Outcome if result.classes[outcome]]
    lines += ["", *table(("class", "lines", "first of them"), [_counted(result, *count) for count in counts],
                         left=1, last=1)]  # fmt: skip
    if result.coverage:
        lines += ["", *_check_lines(result)]
    lines += ["", f"accepted: {counted(result.accepted, 'answer')}" + _stages(result.answered + result.foreign)]
    if result.foreign:
        lines.append(f"of them to questions that were not ours: {result.foreign.total():,}{_stages(result.foreign)}")
    if result.unjudged:
        lines.append(f"held against nothing, as their images are in no source: {counted(result.unjudged, 'answer')}")
    lines.append(pending_text(result.pending))
    return "\n".join(line.rstrip() for line in lines)


def pending_text(pending: Iterable[tuple[Stage, str, int]]) -> str:
    """Requests that wait, by stage and reason, in one line."""
    by_stage: dict[Stage, list[str]] = {}
    for stage, reason, count in pending:
        by_stage.setdefault(stage, []).append(f"{count:,} {reason}")
    return "pending: " + ("; ".join(f"{stage} {', '.join(said)}" for stage, said in by_stage.items()) or "none")


def _check_lines(result: Report) -> list[str]:
    rows = []
    for name, counts in sorted(result.coverage.items()):
        held = result.held[name]
        example = f"{_place(result.examples[name])}: {_cut(result.examples[name].detail)}" if held else ""
        numbers = (counts["claims"], counts["judged"], result.findings[name], held)
        rows.append((name, *(f"{number:,}" for number in numbers), example))
    return table(("check", "claims", "judged", "findings", "held back", "first of them"), rows, left=1, last=1)


def _counted(result: Report, outcome: str, count: int) -> tuple[str, str, str]:
    reject = result.examples.get(outcome)
    return outcome, f"{count:,}", f"{_place(reject)}: {_cut(reject.detail)}" if reject else ""


def _place(reject: Reject) -> str:
    of = ", ".join(filter(None, (reject.custom_id, reject.record)))
    return f"{reject.file} line {reject.line}" + (f" ({of})" if of else "")


def _cut(text: str) -> str:
    return text if len(text) <= _MOST_WIDTH else text[: _MOST_WIDTH - 3] + "..."


def unused(ledger: Ledger, files: Iterable[Stored]) -> list[Row]:
    """Rows of maps beside these files that name no line of theirs, or only lines that answer our own requests."""
    rows: list[Row] = []
    for path in dict.fromkeys(file.path for file in files):
        beside = path.with_name(path.name + MAP)
        if not beside.exists():
            continue
        named = ledger.connection.execute(
            "SELECT a.line, a.custom_id FROM foreign_answers f JOIN answers a ON a.id = f.answer "
            "JOIN files ON files.place = a.id >> ? WHERE files.name = ?",
            (OFFSET_BITS, path.relative_to(ledger.workspace.folder).as_posix()),
        ).fetchall()
        lines, ids = {line for line, _ in named}, {custom_id for _, custom_id in named}
        rows += [row for row in read_map(beside) if row.line not in lines and row.id not in ids]
    return rows


def _by_stage(counts: Counter[Stage]) -> dict[str, int]:
    return {stage: counts[stage] for stage in STAGES if counts[stage]}


def _stages(counts: Counter[Stage]) -> str:
    said = ", ".join(f"{stage} {count:,}" for stage, count in _by_stage(counts).items())
    return f" ({said})" if said else ""
