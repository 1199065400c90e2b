"""The ledger: what became of every request and every line of an answer, looked up by programs.

It is a cache of plain files (see workspace.py) and may be deleted at any time. `update` brings it to what the files
say: it reads only what is new, and all of it again where a file was changed, the rules or the annotations are others,
or the ledger is damaged. One process at a time may do so; any number may read meanwhile.
"""

import contextlib
import fcntl
import hashlib
import json
import sqlite3
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from rs_gpt4v_conversion.config import Generation
from rs_gpt4v_conversion.errors import UsageError
from rs_gpt4v_conversion.gpt4v.answers.answer_files import read_item
from rs_gpt4v_conversion.gpt4v.answers.intake import FACTS, Intake, Stale
from rs_gpt4v_conversion.gpt4v.answers.judging import Checks, Judge, Unfit, load_checks, read_answer, read_foreign
from rs_gpt4v_conversion.gpt4v.answers.ledger_tables import OFFSET_BITS, clear, open_tables, remove_tables
from rs_gpt4v_conversion.gpt4v.answers.replies import read_reply
from rs_gpt4v_conversion.gpt4v.records import STAGES, Accepted, Facts, Rejected, Stage, Usage, Used
from rs_gpt4v_conversion.gpt4v.workspace import Workspace
from rs_gpt4v_conversion.progress import Progress

PATIENCE = 10.0
"""Seconds that an update waits for another process to end its own."""

ACCEPTED, UNANSWERED, SUPERSEDED = "accepted", "unanswered", "superseded"
"""What a request can be beside the reasons that its last answer gives."""

_OPEN_FILES = 32
_IDS_AT_ONCE = 10_000


class BusyError(UsageError):
    """Another process is updating the ledger."""


class Ledger:
    """The ledger of a folder of requests; a context manager.

    Args:
        workspace: The folder, which is made if it is not there.
        generation: Says which checks hold answers back.
        load: Gives what answers are held against, once something is read; None for nothing.
    """

    def __init__(
        self, workspace: Workspace, generation: Generation, *, load: Callable[[], Checks | None] = load_checks
    ) -> None:
        self.workspace, self.generation, self.load = workspace, generation, load
        self._connection: sqlite3.Connection | None = None
        self._depth = 0  # of nested holds on the right to write
        self._files: OrderedDict[int, BinaryIO] = OrderedDict()  # answer files by place

    def __enter__(self) -> Self:
        self.workspace.folder.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as stack:
            try:
                self._connection = open_tables(self.workspace.ledger)
            except sqlite3.DatabaseError as error:
                _damaged_or_raise(error, self.workspace)
                stack.enter_context(self.writing())
                self._remake()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    # what is new

    def update(self, facts: Iterable[Facts] | None = None, progress: Progress | None = None) -> None:
        """Read what is new in the folder; everything, where that is not enough.

        Args:
            facts: What the annotations say of all images, in an order that is always the same. None: what was given
                last; a ledger that was given none holds answers against nothing.
            progress: Told of every line.

        Raises:
            BusyError: Another process is doing so.
            UsageError: An index or a map is not what it should be, a severity is given
                for a check that there is not, or the ledger cannot be written.
        """
        judge = Judge(self.load(), self.generation.severities)
        with self.writing(), contextlib.closing(_Spooled()) as spooled:
            if facts is not None:
                spooled.take(facts)
            try:
                self._bring(judge, spooled, progress)
            except sqlite3.DatabaseError as error:
                _damaged_or_raise(error, self.workspace)
                self._remake()
                self._bring(judge, spooled, progress)

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the right to add answer files and to update; what has it may ask for it again.

        Raises:
            BusyError: Another process has it, and keeps it for longer than `PATIENCE`.
        """
        if self._depth:
            self._depth += 1
            try:
                yield
            finally:
                self._depth -= 1
            return
        with self.workspace.folder.joinpath("ledger.lock").open("ab") as lock:
            _lock(lock, self.workspace)  # freed when the file is closed, however this process ends
            self._depth = 1
            try:
                yield
            finally:
                self._depth = 0

    def _bring(self, judge: Judge, spooled: "_Spooled", progress: Progress | None) -> None:
        said = dict(self.connection.execute("SELECT key, value FROM meta"))
        others = spooled.digest is not None and spooled.digest != said.get("facts")
        if others or said.get("rules") != judge.rules():
            with self._transaction():
                clear(self.connection)
                if others:
                    self.connection.execute("DELETE FROM facts")
                    self.connection.executemany("INSERT INTO facts VALUES (?, ?)", spooled.rows())
                    self.connection.execute("INSERT OR REPLACE INTO meta VALUES ('facts', ?)", (spooled.digest,))
                self.connection.execute("INSERT OR REPLACE INTO meta VALUES ('rules', ?)", (judge.rules(),))
        while True:
            try:
                with self._rolled_back():
                    Intake(self.connection, self.workspace, judge, progress).run()
                return
            except Stale:
                with self._transaction():
                    clear(self.connection)

    def _remake(self) -> None:
        """Begin with an empty ledger."""
        self._close()
        remove_tables(self.workspace.ledger)
        self._connection = open_tables(self.workspace.ledger)

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._rolled_back():
            self.connection.execute("BEGIN IMMEDIATE")
            yield
            self.connection.execute("COMMIT")

    @contextlib.contextmanager
    def _rolled_back(self) -> Iterator[None]:
        """Undo an open transaction when the block ends by an error."""
        try:
            yield
        finally:
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")

    def _close(self) -> None:
        while self._files:
            self._files.popitem()[1].close()
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @property
    def connection(self) -> sqlite3.Connection:
        """The open ledger, to read from."""
        if self._connection is None:
            raise RuntimeError("a ledger is open only inside its `with` block")
        return self._connection

    # look-ups

    @property
    def has_facts(self) -> bool:
        """Whether it was ever given annotations to hold answers against."""
        row = self.connection.execute("SELECT EXISTS (SELECT 1 FROM meta WHERE key = 'facts')").fetchone()
        return bool(row[0])

    def accepted(self, stage: Stage, record: str) -> Accepted | None:
        """The accepted answer of a stage about a record, read again from its line.

        Of several requests the one that was exported last counts, of those that have such an answer; an answer to
        someone else's question only where there is no other.

        Raises:
            UsageError: The line is another one than it was when it was read.
        """
        row = self.connection.execute(_ACCEPTED, (record, stage)).fetchone()
        if row is None:
            row = self.connection.execute(_ACCEPTED_FOREIGN, (record, stage)).fetchone()
        if row is None:
            return None
        prompt, place, length, model, form = row
        offset = place & (1 << OFFSET_BITS) - 1
        text = read_reply(read_item(self._file(place >> OFFSET_BITS), offset, length)).text
        try:
            answer = read_foreign(stage, text, form) if form else read_answer(stage, text)
        except Unfit:
            raise UsageError(
                f"{self._path(place >> OFFSET_BITS)}, byte {offset}: found another line than was read before, expected "
                "a file that is only added to; `rs-gpt4v gpt4v status` reads it again"
            ) from None
        return Accepted(stage=stage, record=record, prompt=prompt, model=model, content=answer.model_dump())

    def rejected(self, stage: Stage, record: str) -> Rejected | None:
        """Why the last answer of a stage about a record cannot be used; None where one can, or none came.

        Of several requests the one that was exported last counts, of those with an answer.
        """
        if self.accepted(stage, record) is not None:
            return None
        row = self.connection.execute(_REJECTED, (record, stage)).fetchone()
        if row is None:
            row = self.connection.execute(_REJECTED_FOREIGN, (record, stage)).fetchone()
        if row is None:
            return None
        outcome, detail, held, findings = row
        if held is None:
            return Rejected(reason=outcome, detail=detail)
        return Rejected(reason=held, detail=next(said for check, said in json.loads(findings) if check == held))

    def pending(self, stage: Stage | None = None, reason: str | None = None) -> Iterator[str]:
        """Ids of requests without an accepted answer, in the order of their first export.

        A request whose place another one took (the same stage and record, exported later) is not pending.

        Args:
            stage: Only of this one.
            reason: Only those whose last answer has this outcome, was held back by the check of this name, or that
                have no answer (`unanswered`).
        """
        last = 0
        while rows := self.connection.execute(
            "SELECT id, custom_id FROM requests WHERE id > ?1 AND answer IS NULL AND NOT superseded "
            "AND (?2 IS NULL OR stage = ?2) AND (?3 IS NULL OR reason = ?3) ORDER BY id LIMIT ?4",
            (last, stage, reason, _IDS_AT_ONCE),
        ).fetchall():
            last = rows[-1][0]
            yield from (row[1] for row in rows)

    def replies(self, stage: Stage) -> dict[str, int]:
        """How many lines of answer files are about each request of a stage that has no accepted answer, if any are."""
        rows = self.connection.execute(
            "SELECT custom_id, replies FROM requests WHERE stage = ? AND answer IS NULL AND replies > 0", (stage,)
        )
        return dict(rows)

    # counts

    def status(self) -> list[tuple[Stage, str, int]]:
        """Requests by stage and what is with them: `accepted`, `superseded`, or the reason why they are pending."""
        rows = self.connection.execute(
            "SELECT stage, CASE WHEN superseded THEN ? WHEN answer IS NULL THEN reason ELSE ? END AS said, count(*) "
            "FROM requests GROUP BY stage, said", (SUPERSEDED, ACCEPTED)
        ).fetchall()  # fmt: skip
        return sorted(rows, key=lambda row: (STAGES.index(row[0]), row[1] != ACCEPTED, row[1]))

    def rounds_by_stage(self) -> dict[Stage, dict[int, int]]:
        """Requests by stage and the times that they were exported."""
        result: dict[Stage, dict[int, int]] = {}
        for stage, round_, count in self.connection.execute(
            "SELECT stage, round, count(*) FROM requests GROUP BY stage, round ORDER BY stage, round"
        ):
            result.setdefault(stage, {})[round_] = count
        return {stage: result[stage] for stage in STAGES if stage in result}

    def usage(self) -> list[Used]:
        """Tokens of all answers to our requests by stage and model, those that cannot be used too: they are paid."""
        rows = self.connection.execute(
            "SELECT r.stage, a.model, count(*), sum(a.prompt_tokens), sum(a.cached_tokens), sum(a.completion_tokens) "
            "FROM answers a JOIN requests r ON r.id = a.request GROUP BY r.stage, a.model"
        ).fetchall()
        return [
            Used(stage=stage, model=model, lines=lines, usage=Usage(prompt=p, cached=c, completion=n))
            for stage, model, lines, p, c, n in sorted(rows, key=lambda row: (STAGES.index(row[0]), row[1]))
        ]

    def outcomes(self) -> dict[str, dict[str, int]]:
        """Lines by stage and what became of them; under stage `` those that are of no request and of no map.

        `ok` are the accepted ones; those that a check holds back are under its name.
        """
        rows = self.connection.execute(
            "SELECT coalesce(r.stage, f.stage, '') AS of, coalesce(a.held, a.outcome) AS said, count(*) FROM answers a "
            "LEFT JOIN requests r ON r.id = a.request LEFT JOIN foreign_answers f ON f.answer = a.id "
            "GROUP BY of, said ORDER BY of, said"
        )
        result: dict[str, dict[str, int]] = {}
        for stage, said, count in rows:
            result.setdefault(stage, {})[said] = count
        return {stage: result[stage] for stage in (*STAGES, "") if stage in result}

    def foreign(self) -> dict[Stage, int]:
        """Accepted answers to questions that were not ours, by stage."""
        rows = dict(
            self.connection.execute("SELECT stage, count(*) FROM foreign_answers WHERE accepted GROUP BY stage")
        )
        return {stage: rows[stage] for stage in STAGES if stage in rows}

    def homeless(self) -> int:
        """Accepted answers about records that the annotations do not have.

        Of images that were taken out of a source, or of a mapped record that never was one. Meant for a ledger that was
        given annotations.
        """
        row = self.connection.execute(
            "SELECT (SELECT count(*) FROM requests WHERE answer IS NOT NULL AND record NOT IN "
            "(SELECT record FROM facts)) + "
            "(SELECT count(*) FROM foreign_answers WHERE accepted AND record NOT IN (SELECT record FROM facts))"
        ).fetchone()
        return int(row[0])

    def _file(self, place: int) -> BinaryIO:
        if place in self._files:
            self._files.move_to_end(place)
            return self._files[place]
        if len(self._files) == _OPEN_FILES:
            self._files.popitem(last=False)[1].close()
        self._files[place] = self._path(place).open("rb")
        return self._files[place]

    def _path(self, place: int) -> Path:
        row = self.connection.execute("SELECT name FROM files WHERE place = ?", (place,)).fetchone()
        return self.workspace.folder.joinpath(row[0])


_ACCEPTED = """
SELECT r.prompt, a.id, a.length, a.model, NULL FROM requests r JOIN answers a ON a.id = r.answer
WHERE r.record = ? AND r.stage = ? ORDER BY r.exported DESC LIMIT 1
"""
_ACCEPTED_FOREIGN = """
SELECT f.prompt, a.id, a.length, a.model, f.form FROM foreign_answers f JOIN answers a ON a.id = f.answer
WHERE f.record = ? AND f.stage = ? AND f.accepted ORDER BY f.answer LIMIT 1
"""

_REJECTED = """
SELECT a.outcome, a.detail, a.held, a.findings FROM requests r JOIN answers a ON a.id = r.last
WHERE r.record = ? AND r.stage = ? ORDER BY r.exported DESC LIMIT 1
"""
_REJECTED_FOREIGN = """
SELECT a.outcome, a.detail, a.held, a.findings FROM foreign_answers f JOIN answers a ON a.id = f.answer
WHERE f.record = ? AND f.stage = ? ORDER BY f.answer DESC LIMIT 1
"""


class _Spooled:
    """Annotations on disk, in a file without a name, until it is known whether they are others than before."""

    def __init__(self) -> None:
        self.connection = sqlite3.connect("", isolation_level=None)
        self.digest: str | None = None  # of all that was taken

    def take(self, facts: Iterable[Facts]) -> None:
        digest = hashlib.sha256()
        self.connection.execute("CREATE TABLE facts (record TEXT PRIMARY KEY, value BLOB NOT NULL)")
        self.connection.execute("BEGIN")
        for fact in facts:
            value = FACTS.dump_json(fact)
            digest.update(value)
            self.connection.execute("INSERT INTO facts VALUES (?, ?)", (fact.record, value))
        self.connection.execute("COMMIT")
        self.digest = digest.hexdigest()

    def rows(self) -> Iterator[tuple[str, bytes]]:
        yield from self.connection.execute("SELECT record, value FROM facts")

    def close(self) -> None:
        self.connection.close()


def _damaged_or_raise(error: sqlite3.DatabaseError, workspace: Workspace) -> None:
    """Return if the ledger's file is damaged, which making it again heals.

    Raises:
        UsageError: It cannot be read or written for a reason that a person can mend.
    """
    if isinstance(error, sqlite3.OperationalError):
        raise UsageError(
            f"{workspace.ledger}: {error}; expected a file that can be read and written on a disk with free space"
        ) from None
    if type(error) is not sqlite3.DatabaseError:
        raise error


def _lock(lock: BinaryIO, workspace: Workspace) -> None:
    end = time.monotonic() + PATIENCE
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= end:
                raise BusyError(
                    f"{workspace.folder}: another process is reading answers into its ledger; run the same command "
                    "again when that one has ended"
                ) from None
            time.sleep(0.05)
