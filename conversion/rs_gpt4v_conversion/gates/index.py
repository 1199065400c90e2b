"""index.parquet lists the rows of data/ in order, and each byte range is that row's image."""

import struct
from collections.abc import Collection, Iterator
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.compute as pc

from rs_gpt4v_conversion.errors import UsageError
from rs_gpt4v_conversion.gates._gate import Findings, GateResult, name_of
from rs_gpt4v_conversion.index import DIALOGUES, SCHEMA, Ranges, dialogue_count, pair_words
from rs_gpt4v_conversion.release import UNREADABLE, ReleaseFolder, Where

Place = tuple[int, int] | None
"""Offset and length of an image's bytes in its file."""

PAGE_ERRORS = (*UNREADABLE, struct.error, TypeError, RecursionError, OverflowError)
"""What walking the page headers of a broken shard raises."""


class Index:
    """Holds the index against the rows.

    Args:
        release: The folder.
        ranges: Finds the images of a shard.
        unreadable: Paths of shards that another gate has found broken; grows while rows are read.
        images: Read each byte range and hold it against the row's image; else only against `ranges`.
    """

    # and `image` where ranges are read: the images gate asks for it then
    columns: ClassVar[tuple[str, ...]] = ("id", "conversations", "pairs")

    def __init__(
        self, release: ReleaseFolder, ranges: Ranges, unreadable: Collection[str], *, images: bool = True
    ) -> None:
        self.release, self.ranges, self.unreadable, self.images = release, ranges, unreadable, images
        self.findings = Findings("index")
        self.entries = {s.path: s for s in release.shards}
        self.shard = ""  # the one that rows come from now
        self.lines: dict[tuple[int, int], dict[str, Any]] = {}  # its lines that no row has claimed yet
        self.places: list[list[Place]] = []
        self.table = self._table()

    def _table(self) -> pa.Table | None:
        try:
            table = self.release.index([n for n in SCHEMA.names if n != DIALOGUES], optional=[DIALOGUES])
        except UsageError as error:
            self.findings.add("index.parquet", str(error))
            return None
        expected = pa.schema([field for field in SCHEMA if field.name in table.column_names])
        table = table.select(expected.names)
        if table.schema.remove_metadata() != expected:
            self.findings.add("index.parquet", "has other columns than an index")
            return None
        self._check_order(table)
        return table

    def _check_order(self, table: pa.Table) -> None:
        rank = {path: number for number, path in enumerate(self.entries)}
        last = (-1, -1, -1)
        for line in _lines(table.select(["id", "shard", "row_group", "row"])):
            if line["shard"] not in rank:
                self.findings.add(line["id"] or "index.parquet", f"is placed in {line['shard']}, no shard of data/")
                continue
            here = (rank[line["shard"]], line["row_group"], line["row"])
            if None in here or here <= last:
                self.findings.add(line["id"] or "index.parquet", "is not in the order of the shards and their rows")
                return  # every later line would be said again
            last = here

    def row(self, row: dict[str, Any], where: Where) -> None:
        """Look at one row."""
        if self.table is None:
            return
        if where.shard != self.shard:
            self._finish()
            self._begin(where.shard)
        flaw = self._flaw(self.lines.pop((where.group, where.row), None), row, where)
        if flaw:
            self.findings.add(name_of(row, where), flaw)

    def _begin(self, shard: str) -> None:
        self.shard = shard
        mine = self.table.filter(pc.equal(self.table["shard"], shard)) if self.table is not None else None
        self.lines = {} if mine is None else {(line["row_group"], line["row"]): line for line in _lines(mine)}
        try:
            self.places = self.ranges(str(self.release.path / shard))
            counts = self.release.group_rows(shard)
            if [len(group) for group in self.places] != counts:
                raise ValueError("its pages hold another number of images than it has rows")
        except PAGE_ERRORS as error:
            self.places = []
            self.findings.add(shard, f"its images are no byte ranges: {error}")

    def _flaw(self, line: dict[str, Any] | None, row: dict[str, Any], where: Where) -> str:
        if line is None:
            return "is not in index.parquet"
        said, is_so = line["id"], row["id"]
        if said != is_so:
            return f"index.parquet has {said} in its place"
        for column, value in self._expected(row, where).items():
            if line[column] != value:
                return f"{column} is {line[column]} in index.parquet, expected {value}"
        return self._bytes_flaw(line, row, where) if self.images and self.places else ""

    def _expected(self, row: dict[str, Any], where: Where) -> dict[str, Any]:
        entry = self.entries[where.shard]
        turns = [{"value": (turn or {}).get("value") or ""} for turn in row["conversations"] or ()]
        expected: dict[str, Any] = {"task": entry.task, "source": entry.source, "split": entry.split}
        if len(turns) % 2 == 0:  # else the conversations gate has something to say
            words = pair_words(turns)
            expected.update(pairs=len(words), words=words)
        if self.table is not None and DIALOGUES in self.table.column_names:
            expected[DIALOGUES] = dialogue_count([pair or {"dialogue": None} for pair in row["pairs"] or ()])
        if self.places:
            place = self.places[where.group][where.row]
            expected["image_offset"], expected["image_length"] = place or (None, None)
        return expected

    def _bytes_flaw(self, line: dict[str, Any], row: dict[str, Any], where: Where) -> str:
        """Read the range, which agrees with the page headers by now, as a reader of the release does."""
        image = (row["image"] or {}).get("bytes")
        if line["image_offset"] is None:
            return "" if image is None else "has an image and no byte range"
        with (self.release.path / where.shard).open("rb") as file:
            file.seek(line["image_offset"])
            data = file.read(line["image_length"])
        return "" if data == image else f"bytes {line['image_offset']} and on are not the row's image"

    def _finish(self) -> None:
        """Say which lines of the shard no row has claimed."""
        if self.shard not in self.unreadable:
            for line in self.lines.values():
                self.findings.add(line["id"] or "index.parquet", f"is listed in {self.shard} and not there")
        self.lines = {}

    def results(self) -> list[GateResult]:
        """What was found."""
        self._finish()
        return [self.findings.result()]


def _lines(table: pa.Table) -> Iterator[dict[str, Any]]:
    for batch in table.to_batches(max_chunksize=4096):
        yield from batch.to_pylist()
