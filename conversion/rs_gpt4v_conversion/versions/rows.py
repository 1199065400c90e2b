"""Rows of two releases side by side: a digest of every column, in a database on the disk, joined by id.

Neither order nor number of rows matters: memory holds the database's cache (32 MB) and a few rows, the disk some 250
bytes a row of either side until the comparison is done.
"""

import hashlib
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

Side = Literal["old", "new"]

SPLIT = "split"
"""A column that no row has: the split that its file's path states."""

DIGEST = 8
"""Bytes of a digest: two different values of one row's column have the same by a chance of 1 in 2**64."""

_LACKING = "NOT EXISTS (SELECT 1 FROM {1} WHERE {1}.id = {0}.id)"


@dataclass(frozen=True, slots=True)
class Part:
    """Task, source and split: what a shard's path states."""

    task: str
    source: str
    split: str


@dataclass(frozen=True, slots=True)
class Changed:
    """A row that both releases have, with different values."""

    id: str
    part: Part  # in the new release
    was: Part
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Moved:
    """A row of the old release and the row of the new one that shows the same image in another split."""

    old: str
    new: str
    part: Part
    was: Part


class RowTables:
    """The rows of two releases; a context manager.

    Args:
        folder: An existing folder for the database.
        columns: What to compare, apart from the id; `split` in front is the path's.
    """

    def __init__(self, folder: Path, columns: Sequence[str]) -> None:
        self.columns = (SPLIT, *columns)
        self._parts: list[Part] = []
        self._numbers: dict[Part, int] = {}
        self._base = sqlite3.connect(folder / "rows.sqlite")
        # a comparison that was cut short begins anew, so nothing of it need survive
        for pragma in ("journal_mode = OFF", "synchronous = OFF", "cache_size = -32768"):
            self._base.execute(f"PRAGMA {pragma}")
        for side in ("old", "new"):
            self._base.execute(
                f"CREATE TABLE {side} (id TEXT PRIMARY KEY, part INTEGER, place BLOB, digests BLOB) WITHOUT ROWID"
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._base.close()

    def add(self, side: Side, part: Part, rows: Iterable[dict[str, Any]]) -> None:
        """Enter rows of one part.

        Raises:
            KeyError: An id was entered before, or is null.
        """
        number = self._number(part)
        split = _digest(part.split)
        try:
            self._base.executemany(
                f"INSERT INTO {side} VALUES (?, ?, ?, ?)",
                ((row["id"], number, _place(row), split + self._digests(row)) for row in rows),
            )
        except sqlite3.IntegrityError as error:
            raise KeyError(f"{part.task}, {part.source}, {part.split}: an id is there twice, or none") from error

    def only_in(self, side: Side) -> Iterator[tuple[str, Part]]:
        """Rows whose id the other release does not have, in the order of their ids."""
        other = "new" if side == "old" else "old"
        query = f"SELECT id, part FROM {side} WHERE {_LACKING.format(side, other)} ORDER BY id"
        for record, part in self._base.execute(query):
            yield record, self._parts[part]

    def changed(self) -> Iterator[Changed]:
        """Rows that both have, with different values, in the order of their ids."""
        query = """
            SELECT id, old.part, new.part, old.digests, new.digests FROM old JOIN new USING (id)
            WHERE old.digests <> new.digests ORDER BY id
        """
        for record, was, part, before, after in self._base.execute(query):
            differ = tuple(
                name
                for at, name in zip(range(0, len(before), DIGEST), self.columns, strict=True)
                if before[at : at + DIGEST] != after[at : at + DIGEST]
            )
            yield Changed(record, self._parts[part], self._parts[was], differ)

    def moved(self) -> Iterator[Moved]:
        """Rows whose image and task went on in another split, one for one, in the order of their old ids.

        The same number may name different images in two splits of a source: the image's digest must be the same, too.
        """
        query = f"""
            WITH gone AS (
                SELECT id, part, place, row_number() OVER (PARTITION BY place ORDER BY id) AS n
                FROM old WHERE {_LACKING.format("old", "new")}
            ), come AS (
                SELECT id, part, place, row_number() OVER (PARTITION BY place ORDER BY id) AS n
                FROM new WHERE {_LACKING.format("new", "old")}
            )
            SELECT gone.id, come.id, gone.part, come.part FROM gone JOIN come USING (place, n) ORDER BY gone.id
        """
        for old, new, was, part in self._base.execute(query):
            moved = Moved(old, new, self._parts[part], self._parts[was])
            if moved.part.split != moved.was.split:
                yield moved

    def _number(self, part: Part) -> int:
        if part not in self._numbers:
            self._numbers[part] = len(self._parts)
            self._parts.append(part)
        return self._numbers[part]

    def _digests(self, row: dict[str, Any]) -> bytes:
        return b"".join(_digest(row.get(name)) for name in self.columns[1:])


def _digest(value: Any) -> bytes:
    # repr tells None from "None", and shows every digit of a number
    return hashlib.blake2b(repr(value).encode(errors="surrogatepass"), digest_size=DIGEST).digest()


def _place(row: dict[str, Any]) -> bytes:
    """Digest of what stays when a row moves to another split: its id without the split, and its image."""
    parts = str(row["id"]).split("/")
    return _digest([parts[0], *parts[2:], row.get("image_sha256")])
