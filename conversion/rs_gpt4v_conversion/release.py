"""A release folder, as those read it who check it, look at it or compare it. Nothing in it is trusted to be whole."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from rs_gpt4v_conversion.errors import UsageError
from rs_gpt4v_conversion.manifest import NAME


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardEntry:
    """A shard as the manifest lists it."""

    path: str  # in the release: data/<task>/<source>/<split>-00000-of-00001.parquet
    rows: int
    qa_pairs: int
    bytes: int
    sha256: str

    @property
    def split(self) -> str:
        """The split that the file's name states."""
        return self.path.rsplit("/", 1)[-1].split("-")[0]


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
        self.shards = list(shards) if shards is not None else _entries(self.manifest, path)
        self.files: dict[str, dict[str, Any]] = self.manifest.get("files", {})

    @property
    def mini(self) -> list[str]:
        """Paths of the shards of `mini`, which the manifest lists as files."""
        if self.manifest:
            return sorted(name for name in self.files if name.startswith("mini/"))
        return sorted(p.relative_to(self.path).as_posix() for p in self.path.glob("mini/*.parquet"))

    def rows(self, shard: str, columns: Sequence[str] | None = None) -> Iterator[dict[str, Any]]:
        """Rows of one shard, a row group in memory at a time.

        Raises:
            pa.ArrowException: The file is no Parquet, or lacks a column.
            OSError: It cannot be read.
        """
        with pq.ParquetFile(self.path / shard) as file:
            for group in range(file.num_row_groups):
                table = file.read_row_group(group, columns=list(columns) if columns else None)
                for batch in table.to_batches(max_chunksize=64):
                    yield from batch.to_pylist()

    def index(self) -> pa.Table:
        """The lines of index.parquet.

        Raises:
            UsageError: It is not there or cannot be read.
        """
        path = self.path / "index.parquet"
        try:
            return pq.read_table(path)
        except (OSError, pa.ArrowException) as error:
            raise UsageError(f"{path}: cannot be read: {error}") from None

    def find(self, ids: Iterable[str]) -> dict[str, dict[str, Any]]:
        """Rows by id; ids that the index does not know are left out. Reads only the row groups they lie in."""
        index = self.index()
        wanted = index.filter(pc.is_in(index["id"], value_set=pa.array(list(ids), pa.string())))
        places: dict[tuple[str, int], list[tuple[int, str]]] = {}
        for line in wanted.to_pylist():
            places.setdefault((line["shard"], line["row_group"]), []).append((line["row"], line["id"]))
        found = {}
        for (shard, group), rows in places.items():
            with pq.ParquetFile(self.path / shard) as file:
                table = file.read_row_group(group)
            for row, record in rows:
                found[record] = table.slice(row, 1).to_pylist()[0]
        return found


def _manifest(folder: Path) -> dict[str, Any]:
    path = folder / NAME
    try:
        manifest = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        raise UsageError(f"{folder}: holds no {NAME}, expected a release folder") from None
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise UsageError(f"{path}: is no JSON, expected the manifest of a release") from None
    if not isinstance(manifest, dict) or not {"version", "date", "shards", "files"} <= set(manifest):
        raise UsageError(f"{path}: lacks version, date, shards or files, expected the manifest of a release")
    return manifest


def _entries(manifest: dict[str, Any], folder: Path) -> list[ShardEntry]:
    try:
        return [
            ShardEntry(**{name: shard[name] for name in ("path", "rows", "qa_pairs", "bytes", "sha256")})
            for shard in manifest["shards"]
        ]
    except (KeyError, TypeError):
        raise UsageError(f"{folder / NAME}: a shard lacks path, rows, qa_pairs, bytes or sha256") from None
