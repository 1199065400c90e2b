"""Reading into a ledger what is new in request indexes and answer files.

What a line becomes must not depend on when it was read: a ledger that took files in piece by piece and one that is made
of all of them hold the same. Files are read in the order of their numbers, and each line's place is its id, so only a
line that comes late (a run's file grew after a later file was read) can undo what was said before; then `Stale` is
raised, and the ledger is made again.
"""

import hashlib
import json
import sqlite3
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from pydantic import BaseModel, TypeAdapter

from rs_gpt4v_conversion.files import sha256
from rs_gpt4v_conversion.gpt4v.answers.answer_files import (
    MOST_BYTES,
    AnswerFile,
    Documents,
    Item,
    Lines,
    answer_files,
    has_lines,
)
from rs_gpt4v_conversion.gpt4v.answers.judging import ANNOTATIONS_CHANGED, Judge, Unfit, read_answer, read_foreign
from rs_gpt4v_conversion.gpt4v.answers.ledger_tables import OFFSET_BITS
from rs_gpt4v_conversion.gpt4v.answers.mapping import NO_MAP, AnswerMap, Meant, as_map, read_map
from rs_gpt4v_conversion.gpt4v.answers.replies import read_reply, unreadable
from rs_gpt4v_conversion.gpt4v.listing import listing_digest
from rs_gpt4v_conversion.gpt4v.records import STAGES, Facts, Outcome, Reply, Stage
from rs_gpt4v_conversion.gpt4v.workspace import Part, Workspace, read_index
from rs_gpt4v_conversion.progress import Progress
from rs_gpt4v_conversion.records import BoxForm

COMMIT_LINES = 50_000
"""Lines after which what was read is kept, whatever happens then."""

BATCH_LINES = 500
"""Lines that are looked up and written together."""

_BATCH_BYTES = 4 << 20

_PART_BITS = _LINE_BITS = 24
_REQUESTS_AT_ONCE = 10_000

FACTS: TypeAdapter[Facts] = TypeAdapter(Facts)
"""How annotations are kept in a ledger: as JSON, from which the same values come back."""


class Stale(Exception):
    """What was read before does not hold any more; the ledger must be made again."""


@dataclass(slots=True)
class _Asked:
    """A request, as far as its answers matter."""

    id: int
    stage: Stage
    record: str
    boxes: BoxForm
    width: int
    height: int
    listing: str
    replies: int
    answer: int | None
    last: int
    formed: int
    reason: str


@dataclass(slots=True)
class _Rows:
    """Rows that are not written yet."""

    answers: list[tuple[Any, ...]] = field(default_factory=list)
    foreign: list[tuple[Any, ...]] = field(default_factory=list)
    accepted: set[tuple[str, str]] = field(default_factory=set)  # stage and record of foreign answers
    # by stage and check: claims, judged, findings
    verdicts: dict[tuple[str, str], list[int]] = field(default_factory=lambda: defaultdict(lambda: [0, 0, 0]))

    def count(self, stage: Stage, name: str, claims: int, judged: int, findings: int) -> None:
        """Add what a check says of an answer."""
        sums = self.verdicts[stage, name]
        sums[0] += claims
        sums[1] += judged
        sums[2] += findings


class Intake:
    """One reading of what is new, inside the caller's hold on the ledger.

    Args:
        connection: The ledger.
        workspace: Where the files lie.
        judge: What answers are held against.
        progress: Told of every line.
    """

    def __init__(
        self, connection: sqlite3.Connection, workspace: Workspace, judge: Judge, progress: Progress | None = None
    ) -> None:
        self.connection, self.workspace, self.judge, self.progress = connection, workspace, judge, progress
        self.place = 0  # of the file that is being read
        self.map: AnswerMap = NO_MAP
        row = connection.execute("SELECT EXISTS (SELECT 1 FROM facts)").fetchone()
        self.has_facts = bool(row[0]) and judge.checks is not None

    def run(self) -> None:
        """Read all that is new.

        Raises:
            Stale: A file that was read is not there, or is another one in the part that was read.
            UsageError: An index or a map is not what it should be.
        """
        files, stored = answer_files(self.workspace), self._stored()
        parts = self.workspace.parts()
        places: dict[str, int | None] = {self._name(file.path): file.order for file in files}
        places |= dict.fromkeys(self._name(part.index) for part in parts)
        if any(name not in places or places[name] != known.place for name, known in stored.items()):
            raise Stale
        for part in parts:
            self._index(part, stored.get(self._name(part.index)))
        for file in files:
            self._file(file, stored.get(self._name(file.path)))

    def _name(self, path: Path) -> str:
        return path.relative_to(self.workspace.folder).as_posix()

    def _stored(self) -> dict[str, "_Stored"]:
        rows = self.connection.execute(
            "SELECT name, place, bytes, lines, sha256, size, mtime, appendable, map FROM files"
        )
        return {row[0]: _Stored(*row[1:]) for row in rows}

    # requests

    def _index(self, part: Part, stored: "_Stored | None") -> None:
        status = part.index.stat()
        if stored is not None:
            if (stored.size, stored.mtime) == (status.st_size, status.st_mtime_ns):
                return
            if stored.size != status.st_size or stored.sha256 != sha256(part.index):
                raise Stale
            self._touched(part.index, status.st_size, status.st_mtime_ns)
            return
        begin = (STAGES.index(part.stage) << _PART_BITS | part.number) << _LINE_BITS
        self.connection.execute("BEGIN IMMEDIATE")
        rows: list[tuple[Any, ...]] = []
        count = 0
        for count, request in enumerate(read_index(part.index), 1):
            rows.append((
                begin + count, request.custom_id, request.stage, request.record, request.prompt, request.boxes,
                request.width, request.height, request.listing, begin + count, request.round,
            ))  # fmt: skip
            if len(rows) == _REQUESTS_AT_ONCE:
                self._add_requests(rows)
                rows = []
        self._add_requests(rows)
        if self.connection.execute(_STRANGER_KNOWN).fetchone()[0]:
            raise Stale  # its answer came before it
        self.connection.execute(
            "INSERT INTO files VALUES (?, NULL, ?, ?, ?, ?, ?, 0, '')",
            (self._name(part.index), status.st_size, count, sha256(part.index), status.st_size, status.st_mtime_ns),
        )
        self.connection.execute("COMMIT")

    def _add_requests(self, rows: list[tuple[Any, ...]]) -> None:
        # a request that is exported again keeps its id and counts as exported now
        self.connection.executemany(
            "INSERT INTO requests VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0, NULL, 0, 0, 'unanswered') "
            "ON CONFLICT (custom_id) DO UPDATE SET exported = excluded.exported, superseded = 0, "
            "round = max(round, excluded.round)",
            rows,
        )
        self.connection.executemany(
            "UPDATE requests SET superseded = 1 WHERE record = ? AND stage = ? AND exported < ?",
            ((row[3], row[2], row[9]) for row in rows),
        )

    # answer files

    def _file(self, file: AnswerFile, stored: "_Stored | None") -> None:
        status = file.path.stat()
        mapped = sha256(file.map) if file.map.exists() else ""
        if stored is not None:
            if mapped != stored.map:
                raise Stale
            if (stored.size, stored.mtime) == (status.st_size, status.st_mtime_ns):
                return
        self.place = file.order
        self.map = as_map(read_map(file.map)) if mapped else NO_MAP
        with file.path.open("rb") as handle:
            reader = self._reader(file, handle, stored, status.st_size)
            if reader is None:
                self._touched(file.path, status.st_size, status.st_mtime_ns)
                return
            for whole in self._taken(reader):
                # no file has -1 bytes, so that one that was read in part is looked at again
                row = (
                    self._name(file.path), file.order, reader.offset, reader.number, reader.digest.hexdigest(),
                    status.st_size if whole else -1, status.st_mtime_ns, reader.ended and not mapped, mapped,
                )  # fmt: skip
                self.connection.execute("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)

    def _reader(
        self, file: AnswerFile, handle: BinaryIO, stored: "_Stored | None", size: int
    ) -> Lines | Documents | None:
        """What reads the part of a file that is new, None where there is none."""
        lines = file.growing or has_lines(file.path)
        if stored is None:
            if not lines:
                return Documents(file.path)
            return Lines(handle, offset=0, number=0, digest=hashlib.sha256(), growing=file.growing)
        digest = _digest(handle, stored.bytes)
        if digest.hexdigest() != stored.sha256:
            raise Stale
        if size == stored.bytes:
            return None
        if not (stored.appendable and lines):
            raise Stale
        return Lines(
            handle, offset=stored.bytes, number=stored.lines, digest=digest, growing=file.growing
        )  # fmt: skip

    def _taken(self, reader: Lines | Documents) -> Iterator[bool]:
        """Take items; yields where the caller should write down how far the file was read, and whether to its end."""
        self.connection.execute("BEGIN IMMEDIATE")
        count = 0
        for batch in _batches(reader):
            self._take(batch)
            count += len(batch)
            if count >= COMMIT_LINES and isinstance(reader, Lines):
                yield False
                self.connection.execute("COMMIT")
                self.connection.execute("BEGIN IMMEDIATE")
                count = 0
        yield True
        self.connection.execute("COMMIT")

    def _touched(self, path: Path, size: int, mtime: int) -> None:
        self.connection.execute("UPDATE files SET size = ?, mtime = ? WHERE name = ?", (size, mtime, self._name(path)))

    # lines

    def _take(self, items: list[Item]) -> None:
        """Take lines, in the caller's transaction."""
        replies = [_read(item) for item in items]
        known = self._known({reply.custom_id for reply in replies if reply.custom_id})
        rows = _Rows()
        for item, reply in zip(items, replies, strict=True):
            self._line(item, reply, known.get(reply.custom_id), rows)
        self._write(rows, known.values())
        if self.progress:
            self.progress.advance(len(items))

    def _line(self, item: Item, reply: Reply, known: _Asked | None, rows: "_Rows") -> None:
        place = self.place << OFFSET_BITS | item.offset
        if known is not None:
            row = self._own(place, known, reply, rows)
        elif (meant := self.map.meant(item.number, reply.custom_id)) is not None:
            row = self._foreign(place, meant, reply, rows)
        elif reply.readable:
            named = f"the id {reply.custom_id!r} is of no request" if reply.custom_id else "the line has no id"
            row = _Row(Outcome.UNKNOWN_ID, named)
        else:
            row = _Row(reply.outcome, reply.detail)
        usage = reply.usage
        rows.answers.append((
            place, item.length, item.number, known.id if known else None, None if known else reply.custom_id or None,
            row.outcome, row.detail, row.held or None, row.findings, reply.model,
            usage.prompt, usage.cached, usage.completion,
        ))  # fmt: skip

    def _known(self, custom_ids: Collection[str]) -> dict[str, _Asked]:
        """The requests among some ids: one question to sqlite for all of them."""
        rows = self.connection.execute(
            "SELECT custom_id, id, stage, record, boxes, width, height, listing, replies, answer, last, formed, reason "
            f"FROM requests WHERE custom_id IN ({','.join('?' * len(custom_ids))})", tuple(custom_ids)
        )  # fmt: skip
        return {row[0]: _Asked(*row[1:]) for row in rows}

    def _own(self, place: int, known: _Asked, reply: Reply, rows: "_Rows") -> "_Row":
        row = self._judged_own(place, known, reply, rows)
        known.replies += 1
        if row.outcome is Outcome.OK and not row.held:
            if known.formed > place:
                raise Stale  # well-formed answers behind this one would be duplicates
            known.answer, known.reason = place, ""
            known.last = known.formed = place
        elif row.outcome is not Outcome.DUPLICATE:
            if row.outcome is Outcome.OK:
                known.formed = max(known.formed, place)
            if known.answer is None and place > known.last:
                known.last, known.reason = place, row.held or row.outcome
        return row

    def _judged_own(self, place: int, known: _Asked, reply: Reply, rows: "_Rows") -> "_Row":
        if reply.outcome is not Outcome.OK:
            return _Row(reply.outcome, reply.detail)
        try:
            answer = read_answer(known.stage, reply.text)
        except Unfit as error:
            return _Row(error.outcome, error.detail)
        if known.answer is not None and known.answer < place:
            return _Row(Outcome.DUPLICATE, "an earlier answer to this request was accepted")
        return self._judged(known.stage, known.record, answer, known, rows)

    def _foreign(self, place: int, meant: Meant, reply: Reply, rows: "_Rows") -> "_Row":
        row = self._judged_foreign(meant, reply, rows)
        accepted = row.outcome is Outcome.OK and not row.held
        if accepted:
            rows.accepted.add((meant.stage, meant.record))
        rows.foreign.append((place, meant.stage, meant.record, meant.prompt, meant.form, accepted))
        return row

    def _judged_foreign(self, meant: Meant, reply: Reply, rows: "_Rows") -> "_Row":
        if reply.outcome is not Outcome.OK:
            return _Row(reply.outcome, reply.detail)
        try:
            answer = read_foreign(meant.stage, reply.text, meant.form)
        except Unfit as error:
            return _Row(error.outcome, error.detail)
        if self._has_foreign(meant, rows):
            return _Row(Outcome.DUPLICATE, "an earlier answer of this stage about this record was accepted")
        return self._judged(meant.stage, meant.record, answer, None, rows)

    def _has_foreign(self, meant: Meant, rows: "_Rows") -> bool:
        if (meant.stage, meant.record) in rows.accepted:
            return True
        row = self.connection.execute(
            "SELECT EXISTS (SELECT 1 FROM foreign_answers WHERE record = ? AND stage = ? AND accepted)",
            (meant.record, meant.stage),
        ).fetchone()
        return bool(row[0])

    def _judged(self, stage: Stage, record: str, answer: BaseModel, asked: _Asked | None, rows: "_Rows") -> "_Row":
        if not self.has_facts:
            return _Row(Outcome.OK)
        found = self.connection.execute("SELECT value FROM facts WHERE record = ?", (record,)).fetchone()
        if found is None:
            rows.count(stage, "", 1, 0, 0)
            return _Row(Outcome.OK)
        facts = FACTS.validate_json(found[0])
        if asked is not None and asked.listing not in ("", listing_digest(facts)):
            rows.count(stage, ANNOTATIONS_CHANGED, 1, 1, 1)
            finding = [[ANNOTATIONS_CHANGED, "its question listed other objects than the annotations have now"]]
            return _Row(Outcome.OK, "", ANNOTATIONS_CHANGED, json.dumps(finding))
        boxes: BoxForm = asked.boxes if asked else "obb"
        width, height = (asked.width, asked.height) if asked else (facts.width or 0, facts.height or 0)
        judgement = self.judge.judge(stage, answer, facts, boxes=boxes, width=width, height=height)
        for name, claims, judged, findings in judgement.coverage:
            rows.count(stage, name, claims, judged, findings)
        text = json.dumps([[f.check, f.detail] for f in judgement.findings], ensure_ascii=False)
        return _Row(Outcome.OK, "", judgement.held, text if judgement.findings else None)

    def _write(self, rows: "_Rows", known: Iterable[_Asked]) -> None:
        write = self.connection.executemany
        write("INSERT INTO answers VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows.answers)
        write("INSERT INTO foreign_answers VALUES (?, ?, ?, ?, ?, ?)", rows.foreign)
        write(
            "UPDATE requests SET replies = ?, answer = ?, last = ?, formed = ?, reason = ? WHERE id = ?",
            ((k.replies, k.answer, k.last, k.formed, k.reason, k.id) for k in known),
        )
        write(
            "INSERT INTO verdicts VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
            "claims = claims + excluded.claims, judged = judged + excluded.judged, "
            "findings = findings + excluded.findings",
            ((self.place, *key, *sums) for key, sums in rows.verdicts.items()),
        )


_STRANGER_KNOWN = """
SELECT EXISTS (
    SELECT 1 FROM answers a JOIN requests r ON r.custom_id = a.custom_id WHERE a.custom_id IS NOT NULL
)
"""


@dataclass(frozen=True, slots=True)
class _Row:
    """What became of one line."""

    outcome: Outcome
    detail: str = ""
    held: str = ""
    findings: str | None = None


@dataclass(frozen=True, slots=True)
class _Stored:
    """What a ledger knows of a file."""

    place: int | None
    bytes: int
    lines: int
    sha256: str
    size: int
    mtime: int
    appendable: int
    map: str


def _batches(items: Iterable[Item]) -> Iterator[list[Item]]:
    batch: list[Item] = []
    size = 0
    for item in items:
        batch.append(item)
        size += len(item.raw)
        if len(batch) == BATCH_LINES or size >= _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _read(item: Item) -> Reply:
    if item.raw:
        return read_reply(item.raw)
    return unreadable(f"{item.length:,} bytes long, expected at most {MOST_BYTES:,}")


def _digest(file: BinaryIO, length: int) -> "hashlib._Hash":
    """sha256 of the first bytes of a file."""
    digest = hashlib.sha256()
    while length and (part := file.read(min(length, 1 << 20))):
        digest.update(part)
        length -= len(part)
    return digest
