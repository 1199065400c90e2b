"""A release folder, as those read it who check it, look at it or compare it. Nothing in it is trusted to be whole."""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from rs_gpt4v_conversion.errors import UsageError
from rs_gpt4v_conversion.manifest import NAME
from rs_gpt4v_conversion.naming import shard_part

UNREADABLE = (OSError, pa.ArrowException, ValueError, KeyError, IndexError)
"""What reading a broken or strange Parquet file raises; a string that is no UTF-8 is a ValueError."""

_SHARD = re.compile(r"data/(?P<task>\w[^/]*)/(?P<source>\w[^/]*)/(?P<split>\w+)-\d{5}-of-\d{5}\.parquet")


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardEntry:
    """A shard as the manifest lists it."""

    path: str  # in the release: data/<task>/<source>/<split>-00000-of-00001.parquet
    rows: int
    qa_pairs: int
    bytes: int
    sha256: str

    @property
    def task(self) -> str:
        """The task that the path states."""
        return shard_part(self.path)[0]

    @property
    def source(self) -> str:
        """The source that the path states."""
        return shard_part(self.path)[1]

    @property
    def split(self) -> str:
        """The split that the file's name states."""
        return shard_part(self.path)[2]


@dataclass(frozen=True, slots=True)
class Where:
    """Where a row lies in a release."""

    shard: str  # path in the release
    group: int  # row group
    row: int  # within the row group

    def __str__(self) -> str:
        return f"{self.shard}, row group {self.group}, row {self.row}"


class ReleaseFolder:
    """A release folder.

    Args:
        path: The folder.
        shards: Its data shards, where there is no manifest yet; else they come from the manifest.

    Raises:
        UsageError: The folder holds no manifest, or one that is none.
    """

    def __init__(self, path: Path, shards: Sequence[ShardEntry] | None = None) -> None:
        self.path = path
        self.manifest: dict[str, Any] = {} if shards is not None else _manifest(path)
        self.shards = list(shards) if shards is not None else shard_entries(self.manifest, str(path / NAME))
        self.files: dict[str, dict[str, Any]] = self.manifest.get("files", {})

    @property
    def mini(self) -> list[str]:
        """Paths of the shards of `mini`, which the manifest lists as files."""
        if self.manifest:
            return sorted(n for n in self.files if n.startswith("mini/") and n.endswith(".parquet"))
        return sorted(p.relative_to(self.path).as_posix() for p in self.path.glob("mini/*.parquet"))

    @property
    def known_overlap(self) -> set[str]:
        """Sources whose splits, as they were compiled, are known to share images; none where that is not said."""
        sources = self.manifest.get("sources")
        table = sources if isinstance(sources, dict) else {}
        return {name for name, facts in table.items() if isinstance(facts, dict) and facts.get("shares_images") is True}

    def rows(self, shard: str, columns: Sequence[str] | None = None) -> Iterator[dict[str, Any]]:
        """Rows of one shard, a row group in memory at a time.

        Raises:
            pa.ArrowException: The file is no Parquet.
            OSError: It cannot be read.
        """
        for _, row in self.located(shard, columns):
            yield row

    def located(self, shard: str, columns: Sequence[str] | None = None) -> Iterator[tuple[Where, dict[str, Any]]]:
        """Rows of one shard and where they lie; see `rows`."""
        with pq.ParquetFile(self.path / shard) as file:
            for group in range(file.num_row_groups):
                table = file.read_row_group(group, columns=None if columns is None else list(columns))
                number = 0
                for batch in table.to_batches(max_chunksize=64):
                    for row in batch.to_pylist():
                        yield Where(shard, group, number), row
                        number += 1

    def group_rows(self, shard: str) -> list[int]:
        """Rows of each row group of a shard."""
        with pq.ParquetFile(self.path / shard) as file:
            return [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]

    def index(self, columns: Sequence[str] | None = None, *, optional: Sequence[str] = ()) -> pa.Table:
        """The lines of index.parquet: all columns, or `columns` and those of `optional` that it has.

        Raises:
            UsageError: It is not there, cannot be read, or lacks one of the columns.
        """
        path = self.path / "index.parquet"
        try:
            with pq.ParquetFile(path) as file:
                there = set(file.schema_arrow.names)
                wanted = None if columns is None else [*columns, *(c for c in optional if c in there)]
                table = file.read(columns=wanted)
        except UNREADABLE as error:
            raise UsageError(f"{path}: cannot be read ({error}); `rs-gpt4v check` says what else is broken") from None
        lacking = sorted(set(columns or ()) - set(table.column_names))
        if lacking:
            raise UsageError(f"{path}: has no column {', '.join(lacking)}, expected the index of a release")
        return table

    def find(self, ids: Iterable[str], columns: Sequence[str] | None = None) -> dict[str, dict[str, Any]]:
        """Look rows up by id.

        Only the row groups that they lie in are read, and of these only `columns`.

        Returns:
            The rows by id, in the order of `ids`; ids that the index does not know are left out.

        Raises:
            UsageError: The index or a shard cannot be read, or the one does not fit the other.
        """
        asked = list(ids)
        index = self.index(("id", "shard", "row_group", "row"))
        wanted = index.filter(pc.is_in(index["id"], value_set=pa.array(asked, pa.string())))
        places: dict[tuple[str, int], list[tuple[int, str]]] = {}
        for line in wanted.to_pylist():
            places.setdefault((line["shard"], line["row_group"]), []).append((line["row"], line["id"]))
        found: dict[str, dict[str, Any]] = {}
        for (shard, group), rows in places.items():
            found.update(self._rows_of_group(shard, group, rows, columns))
        return {i: found[i] for i in asked if i in found}

    def _rows_of_group(
        self, shard: str, group: int, rows: list[tuple[int, str]], columns: Sequence[str] | None
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        """Rows of one row group, each as the index places it."""
        if all(shard != entry.path for entry in self.shards):
            raise UsageError(f"{self.path}: index.parquet places {rows[0][1]} in {shard}, which is no shard of data/")
        wanted = None if columns is None else list({"id", *columns})
        try:
            with pq.ParquetFile(self.path / shard) as file:
                table = file.read_row_group(group, columns=wanted)
            for number, record in rows:
                row: dict[str, Any] = table.slice(number, 1).to_pylist()[0]
                if row["id"] != record:
                    raise UsageError(
                        f"{self.path}: index.parquet places {record} where {row['id']} lies; it is of another build"
                    )
                yield record, row
        except UNREADABLE as error:
            raise UsageError(f"{self.path / shard}: cannot be read as the index says ({error})") from None


def _manifest(folder: Path) -> dict[str, Any]:
    path = folder / NAME
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise UsageError(f"{folder}: holds no {NAME}, expected a release folder") from None
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from None
    return parse_manifest(content, str(path))


def parse_manifest(content: bytes, path: str) -> dict[str, Any]:
    """Read a manifest.

    Args:
        content: The file.
        path: What to call it in an error.

    Raises:
        UsageError: It is no manifest of a release.
    """
    try:
        manifest = json.loads(content)
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise UsageError(f"{path}: is no JSON, expected the manifest of a release") from None
    if not isinstance(manifest, dict) or not {"version", "date", "shards", "files"} <= set(manifest):
        raise UsageError(f"{path}: lacks version, date, shards or files, expected the manifest of a release")
    files = manifest["files"]
    if not isinstance(files, dict) or not all(isinstance(f, dict) for f in files.values()):
        raise UsageError(f"{path}: `files` is not a table of files by path, each with bytes and sha256")
    for name in files:
        if name.startswith("/") or ".." in name.split("/"):
            raise UsageError(f"{path}: lists {name}, expected paths inside the release")
    return manifest


def shard_entries(manifest: dict[str, Any], path: str) -> list[ShardEntry]:
    """The shards that a manifest lists.

    Args:
        manifest: What `parse_manifest` returned.
        path: What to call it in an error.

    Raises:
        UsageError: An entry is none, or names a path that no shard has.
    """
    shards = manifest["shards"]
    if not isinstance(shards, list):
        raise UsageError(f"{path}: `shards` is not a list")
    return [_entry(shard, path) for shard in shards]


def _entry(shard: Any, manifest: str) -> ShardEntry:
    kinds = {"path": str, "rows": int, "qa_pairs": int, "bytes": int, "sha256": str}
    if not isinstance(shard, dict) or not all(type(shard.get(name)) is kind for name, kind in kinds.items()):
        raise UsageError(f"{manifest}: a shard lacks path, rows, qa_pairs, bytes or sha256, or has one of another kind")
    if not _SHARD.fullmatch(shard["path"]):
        expected = "data/<task>/<source>/<split>-00000-of-00001.parquet"
        raise UsageError(f"{manifest}: lists the shard {shard['path']}, expected {expected}")
    return ShardEntry(**{name: shard[name] for name in kinds})
