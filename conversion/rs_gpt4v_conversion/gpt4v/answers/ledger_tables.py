"""The tables of a ledger: what was made of request and answer files, in sqlite."""

import sqlite3
from pathlib import Path

FORMAT = 3
"""Of the tables; a ledger of another one is made again."""

OFFSET_BITS = 40
"""An answer's id is its place: that of its file, shifted by so many bits, plus the offset of its first byte."""

_TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE facts (record TEXT PRIMARY KEY, value BLOB NOT NULL);
CREATE TABLE files (
    name TEXT PRIMARY KEY,       -- relative to the folder of requests
    place INTEGER,               -- of an answer file, among all; NULL for an index
    bytes INTEGER NOT NULL,      -- read so far
    lines INTEGER NOT NULL,      -- read so far
    sha256 TEXT NOT NULL,        -- of the bytes read so far
    size INTEGER NOT NULL,       -- of the file when it was read; -1 where that is not done
    mtime INTEGER NOT NULL,      -- nanoseconds
    appendable INTEGER NOT NULL, -- whether more lines may follow the bytes read so far
    map TEXT NOT NULL            -- sha256 of the map beside it, or nothing
);
CREATE TABLE requests (
    id INTEGER PRIMARY KEY,      -- where it was exported first: stage, part and line
    custom_id TEXT NOT NULL UNIQUE,
    stage TEXT NOT NULL,
    record TEXT NOT NULL,
    prompt TEXT NOT NULL,
    boxes TEXT NOT NULL,
    width INTEGER NOT NULL,
    height INTEGER NOT NULL,
    listing TEXT NOT NULL,       -- what the numbers in its answers mean; empty where that is not known
    exported INTEGER NOT NULL,   -- where it was exported last, as `id`
    round INTEGER NOT NULL,      -- the highest
    replies INTEGER NOT NULL,    -- lines that are about it
    superseded INTEGER NOT NULL, -- whether another request of its stage and record was exported later
    answer INTEGER,              -- the accepted one
    last INTEGER NOT NULL,       -- of its answers; the accepted one, once there is one
    formed INTEGER NOT NULL,     -- the last of its answers that was well formed
    reason TEXT NOT NULL         -- why there is no accepted answer: outcome of the last one, check, or `unanswered`
);
CREATE INDEX requests_by_record ON requests (record, stage);
CREATE TABLE answers (
    id INTEGER PRIMARY KEY,
    length INTEGER NOT NULL,     -- bytes of its line
    line INTEGER NOT NULL,
    request INTEGER,
    custom_id TEXT,              -- where it is of no request
    outcome TEXT NOT NULL,
    detail TEXT NOT NULL,
    held TEXT,                   -- the check that holds back an answer that is ok
    findings TEXT,               -- JSON: [[check, detail], ...]
    model TEXT NOT NULL,
    prompt_tokens INTEGER NOT NULL,
    cached_tokens INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL
);
CREATE INDEX answers_of_strangers ON answers (custom_id) WHERE custom_id IS NOT NULL;
CREATE TABLE foreign_answers (
    answer INTEGER PRIMARY KEY,
    stage TEXT NOT NULL,
    record TEXT NOT NULL,
    prompt TEXT NOT NULL,
    form TEXT NOT NULL,
    accepted INTEGER NOT NULL
);
CREATE INDEX foreign_answers_by_record ON foreign_answers (record, stage);
CREATE TABLE verdicts (
    place INTEGER NOT NULL,      -- of the answer file
    stage TEXT NOT NULL,
    name TEXT NOT NULL,          -- of the check; empty: answers whose image has no annotations here
    claims INTEGER NOT NULL,
    judged INTEGER NOT NULL,
    findings INTEGER NOT NULL,
    PRIMARY KEY (place, stage, name)
) WITHOUT ROWID;
"""

_MADE_OF_FILES = ("files", "requests", "answers", "foreign_answers", "verdicts")
_ALL = ("meta", "facts", *_MADE_OF_FILES)


def open_tables(path: Path) -> sqlite3.Connection:
    """Open a ledger, with its tables.

    Raises:
        sqlite3.DatabaseError: The file is no ledger, or damaged.
    """
    # no implicit transactions: those who write say where one begins
    connection = sqlite3.connect(path, timeout=30, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode = WAL")  # readers go on while one writes
        connection.execute("PRAGMA synchronous = NORMAL")  # a lost commit is read again from the files
        connection.execute("PRAGMA cache_size = -65536")  # KiB: the ids of a million requests
        if connection.execute("PRAGMA user_version").fetchone()[0] != FORMAT:
            _create(connection)
    except sqlite3.DatabaseError:
        connection.close()
        raise
    return connection


def remove_tables(path: Path) -> None:
    """Remove a ledger's files."""
    for ending in ("", "-wal", "-shm"):
        path.with_name(path.name + ending).unlink(missing_ok=True)


def clear(connection: sqlite3.Connection) -> None:
    """Forget all that was made of request and answer files; in the caller's transaction."""
    for table in _MADE_OF_FILES:
        connection.execute(f"DELETE FROM {table}")


def _create(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    if connection.execute("PRAGMA user_version").fetchone()[0] != FORMAT:  # else another process was quicker
        for table in _ALL:
            connection.execute(f"DROP TABLE IF EXISTS {table}")
        for statement in _TABLES.split(";\n"):
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {FORMAT}")
    connection.execute("COMMIT")
