"""Gates that look at files: the manifest's list, the schema, the index, mini."""

from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from rs_gpt4v_conversion.files import sha256
from rs_gpt4v_conversion.gates._gate import GateResult
from rs_gpt4v_conversion.index import Ranges
from rs_gpt4v_conversion.manifest import release_files
from rs_gpt4v_conversion.release import ReleaseFolder

UNREADABLE = (OSError, pa.ArrowException, ValueError, KeyError, IndexError)
"""What a broken or strange Parquet file raises when it is read."""


def manifest_gate(release: ReleaseFolder) -> GateResult:
    """Every listed file is there with its size and digest, and no other file is."""
    result = GateResult(name="manifest")
    listed: dict[str, Any] = {s.path: (s.bytes, s.sha256) for s in release.shards}
    listed.update({name: (file.get("bytes"), file.get("sha256")) for name, file in release.files.items()})
    for name, (size, digest) in listed.items():
        path = release.path / name
        if not path.is_file():
            result.add(name, "is listed and not there")
        elif path.stat().st_size != size:
            result.add(name, f"has {path.stat().st_size} bytes, {size} are listed")
        elif sha256(path) != digest:
            result.add(name, "has another digest than listed")
    for name in release_files(release.path):
        if name not in listed:
            result.add(name, "is there and not listed")
    return result


def schema_gate(release: ReleaseFolder, schema: pa.Schema) -> GateResult:
    """Every shard is Parquet, has the contract's columns, and as many rows as listed."""
    result = GateResult(name="schema")
    rows = {s.path: s.rows for s in release.shards}
    for name in (*rows, *release.mini):
        try:
            with pq.ParquetFile(release.path / name) as file:
                found, count = file.schema_arrow, file.metadata.num_rows
        except UNREADABLE as error:
            result.add(name, f"cannot be read: {error}")
            continue
        if not found.equals(schema, check_metadata=False):
            result.add(name, "has other columns than the contract")
        elif count != rows.get(name, count):
            result.add(name, f"has {count} rows, {rows[name]} are listed")
    return result


def index_gate(release: ReleaseFolder, ranges: Ranges) -> GateResult:
    """index.parquet lists the rows of data/ in order, and each byte range is that row's image."""
    result = GateResult(name="index")
    try:
        lines = iter(pq.read_table(release.path / "index.parquet").to_pylist())
    except UNREADABLE as error:
        result.add("index.parquet", f"cannot be read: {error}")
        return result
    for shard in release.shards:
        try:
            _index_of(release, shard.path, ranges, lines, result)
        except UNREADABLE as error:
            result.add(shard.path, f"cannot be read: {error}")
    for line in lines:
        result.add(str(line.get("id")), "is listed and in no shard")
    return result


def _index_of(release: ReleaseFolder, shard: str, ranges: Ranges, lines: Any, result: GateResult) -> None:
    places = ranges(str(release.path / shard))
    with pq.ParquetFile(release.path / shard) as file:
        for group in range(file.num_row_groups):
            ids = file.read_row_group(group, columns=["id"])["id"].to_pylist()
            for row, (record, place) in enumerate(zip(ids, places[group], strict=True)):
                line: dict[str, Any] = next(lines, {})
                said = tuple(line.get(k) for k in ("id", "shard", "row_group", "row", "image_offset", "image_length"))
                if said != (record, shard, group, row, *(place or (None, None))):
                    result.add(record, f"index.parquet says {said}")


def mini_gate(release: ReleaseFolder, seen: dict[str, tuple[str, str]]) -> GateResult:
    """Every row of mini/ is a copy of a row of data/.

    Args:
        release: The folder.
        seen: (image_sha256, conversations' digest) of every row of data/ that mini/ names.
    """
    result = GateResult(name="mini")
    for shard in release.mini:
        try:
            for row in release.rows(shard, ("id", "image_sha256", "conversations")):
                if seen.get(row["id"]) != mini_key(row):
                    result.add(row["id"], f"{shard} differs from data/")
        except UNREADABLE as error:
            result.add(shard, f"cannot be read: {error}")
    return result


def mini_key(row: dict[str, Any]) -> tuple[str, str]:
    """What must agree between a row and its copy."""
    return row["image_sha256"], "\n".join(t["value"] for t in row["conversations"])
