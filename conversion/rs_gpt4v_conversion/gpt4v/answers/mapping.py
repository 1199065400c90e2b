"""A map: what an import says about lines whose ids are not ours, so that they become answers too.

    file,line,record,stage,form,prompt                     id,record,stage
    old.jsonl,3,rsicd/train/airport_1,detail,text,         image_003,rsicd/train/airport_3,detail

A CSV file in UTF-8 with a header. `record` and `stage` say what the answer is of, and `line` (from 1; of documents,
their number) or `id` (the line's `custom_id`, else the id its vendor gave it) which line is meant. `file` is needed
only where several files are imported. `form` is `json` (the stage's own form, and the default) or `text`: then the
answer is the description of stage detail, or the questions and answers of stage conversation or reasoning, written as

    Question:          or     Q: ...
    ...                       A: ...
    ===
    Answer:
    ...

`prompt` names the question that was asked; an answer keeps it as `foreign/<prompt>`. It is the map's name if empty.
"""

import csv
import io
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

from rs_gpt4v_conversion.errors import UsageError
from rs_gpt4v_conversion.gpt4v.records import STAGES, Stage

Form = Literal["json", "text"]

TEXT_STAGES: tuple[Stage, ...] = ("detail", "conversation", "reasoning")
"""Stages whose answers can be plain text."""

COLUMNS = ("file", "line", "id", "record", "stage", "form", "prompt")

_RECORD = re.compile(r"[^/\s]+/[^/\s]+/\S.*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Meant:
    """What one foreign line is an answer to."""

    record: str
    stage: Stage
    form: Form
    prompt: str  # `foreign/<name>`


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of a map."""

    file: str  # empty: any
    line: int | None  # one of line and id is given
    id: str
    meant: Meant


@dataclass(frozen=True, slots=True)
class AnswerMap:
    """What is meant by the lines of one file."""

    by_line: dict[int, Meant] = field(default_factory=dict)
    by_id: dict[str, Meant] = field(default_factory=dict)

    def meant(self, line: int, custom_id: str) -> Meant | None:
        """What a line is an answer to, if the map names it."""
        return self.by_line.get(line) or (self.by_id.get(custom_id) if custom_id else None)


NO_MAP = AnswerMap()


def read_map(path: Path) -> list[Row]:
    """Read a map.

    Raises:
        UsageError: It is no such map; names file, row (from 1, the header is none), column, found and expected.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: byte {error.start} is not UTF-8, expected a CSV file") from None
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}, expected a map (a CSV file with a header)") from None
    reader = csv.DictReader(io.StringIO(text, newline=""), restkey="")
    try:
        header = reader.fieldnames or []
        _check_header(path, header)
        rows = [_row(path, number, row, path.stem) for number, row in enumerate(reader, 1)]
    except csv.Error as error:
        raise UsageError(f"{path}, line {reader.line_num}: not CSV: {error}") from None
    _check_once(path, rows)
    return rows


def of_file(rows: Iterable[Row], name: str) -> list[Row]:
    """The rows about one answer file, by the name under which it is imported."""
    return [row for row in rows if row.file in ("", name)]


def as_map(rows: Iterable[Row]) -> AnswerMap:
    """Rows about one file, to be looked up."""
    result = AnswerMap()
    for row in rows:
        if row.line is not None:
            result.by_line[row.line] = row.meant
        else:
            result.by_id[row.id] = row.meant
    return result


def map_text(rows: Iterable[Row]) -> str:
    """Rows about one file as a map beside it; `read_map` gives the same rows again but for their `file`."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["line", "id", "record", "stage", "form", "prompt"])
    for row in rows:
        meant = row.meant
        line = "" if row.line is None else row.line
        writer.writerow([line, row.id, meant.record, meant.stage, meant.form, meant.prompt])
    return out.getvalue()


def plain_answer(stage: Stage, text: str) -> dict[str, Any]:
    """A plain text as an answer of stage detail, conversation or reasoning, to be validated by its model.

    Raises:
        ValueError: Its questions and answers cannot be told apart; says why.
    """
    if stage == "detail":
        return {"description": text}
    pairs = [{"question": question, "answer": answer, "objects": []} for question, answer in _blocks(text)]
    return {"turns": pairs} if stage == "conversation" else {"items": pairs}


def _check_header(path: Path, header: Iterable[str]) -> None:
    names = list(header)
    for name in names:
        if name not in COLUMNS:
            raise UsageError(f"{path}: found column {name!r}, expected some of {', '.join(COLUMNS)}")
        if names.count(name) > 1:
            raise UsageError(f"{path}: found column {name!r} twice, expected it once")
    for name in ("record", "stage"):
        if name not in names:
            raise UsageError(f"{path}: found no column {name!r}, expected it; a map begins with a header")
    if "line" not in names and "id" not in names:
        raise UsageError(f"{path}: found neither column 'line' nor 'id', expected one of them")


def _row(path: Path, number: int, row: dict[str, Any], name: str) -> Row:
    where = f"{path}, row {number}"
    if "" in row:
        raise UsageError(f"{where}: found {len(row[''])} values more than the header has columns")
    values = {column: (row.get(column) or "").strip() for column in COLUMNS}
    stage, form = values["stage"], values["form"] or "json"
    if stage not in STAGES:
        raise UsageError(f"{where}, column stage: found {stage!r}, expected one of {', '.join(STAGES)}")
    if form not in ("json", "text"):
        raise UsageError(f"{where}, column form: found {form!r}, expected json or text")
    if form == "text" and stage not in TEXT_STAGES:
        raise UsageError(f"{where}, column form: found text for stage {stage}, expected json; text is understood of "
                         f"{', '.join(TEXT_STAGES)}")  # fmt: skip
    if not _RECORD.fullmatch(values["record"]):
        raise UsageError(f"{where}, column record: found {values['record']!r}, expected <source>/<split>/<image id>")
    prompt = values["prompt"] or name
    meant = Meant(
        record=values["record"], stage=cast(Stage, stage), form=cast(Form, form),
        prompt=prompt if prompt.startswith("foreign/") else f"foreign/{prompt}",
    )  # fmt: skip
    line = _line(where, values["line"])
    if (line is None) == (not values["id"]):
        found = "neither line nor id" if line is None else "line and id"
        raise UsageError(f"{where}, columns line and id: found {found}, expected one of them")
    return Row(file=values["file"], line=line, id=values["id"], meant=meant)


def _line(where: str, value: str) -> int | None:
    if not value:
        return None
    if not re.fullmatch(r"[1-9][0-9]{0,17}", value):
        raise UsageError(f"{where}, column line: found {value!r}, expected a number from 1")
    return int(value)


def _check_once(path: Path, rows: list[Row]) -> None:
    seen: dict[tuple[str, int | None, str], int] = {}
    for number, row in enumerate(rows, 1):
        key = (row.file, row.line, row.id)
        if key in seen:
            what = f"line {row.line}" if row.line is not None else f"id {row.id!r}"
            raise UsageError(f"{path}, row {number}: found {what} again, expected it once; row {seen[key]} has it too")
        seen[key] = number


_LABEL = re.compile(
    r"^[ \t]*(?:[-*#]+[ \t]*|\d{1,3}[.)][ \t]*)?(?:\*\*)?(question|answer|q|a)[ \t]*\d{0,3}(?:\*\*)?[ \t]*:"
    r"(?:\*\*)?[ \t]*",
    re.IGNORECASE | re.MULTILINE,
)
_RULE = re.compile(r"^[ \t]*={3,}[ \t]*$", re.MULTILINE)


def _blocks(text: str) -> Iterator[tuple[str, str]]:
    """Questions and their answers."""
    labels = list(_LABEL.finditer(text))
    if not labels:
        raise ValueError("found no line that begins with Question: or Q:, expected questions and answers in turn")
    if before := _RULE.sub("", text[: labels[0].start()]).strip():
        raise ValueError(f"found {before[:60]!r} before the first question, expected nothing")
    ends = [label.start() for label in labels[1:]] + [len(text)]
    question: str | None = None
    for label, end in zip(labels, ends, strict=True):
        words = _RULE.sub("", text[label.end() : end]).strip()
        asks = label[1].lower().startswith("q")
        if asks == (question is not None):
            raise ValueError(f"found {'a question' if asks else 'an answer'} {words[:60]!r}, expected "
                             f"{'the answer to the question before it' if asks else 'a question first'}")  # fmt: skip
        if asks:
            question = words
        else:
            yield cast(str, question), words
            question = None
    if question is not None:
        raise ValueError(f"found no answer to the last question {question[:60]!r}")
