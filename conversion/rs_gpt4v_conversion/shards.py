"""Shards: planned from the rows' ids, each written by a pure function of its plan.

`write_shard` may run in any process on any machine in any order: the same plan gives the same bytes. The plan carries
the Arrow schema, so that a worker need not import the contract (and `datasets` with it).
"""

import hashlib
import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from rs_gpt4v_conversion.cuts import ROW_GROUP, SHARD, cut
from rs_gpt4v_conversion.files import completed, sha256
from rs_gpt4v_conversion.images import load_image
from rs_gpt4v_conversion.images.decoding import ImageFlaw
from rs_gpt4v_conversion.images.rasters import kept_open
from rs_gpt4v_conversion.naming import hash64, shard_split
from rs_gpt4v_conversion.records import Draft, Reject
from rs_gpt4v_conversion.rows import row
from rs_gpt4v_conversion.spool import Spool, Spooled, read_drafts

MINI_ROWS = 256
"""About so many rows of every task are copied into the config `mini`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardPlan:
    """All that it takes to write one shard."""

    path: str  # in the release
    spool: Path
    places: tuple[tuple[int, int], ...]  # (offset, length) of the drafts in the spool, in order
    rows: int
    size: int  # about that of its images, bytes
    digest: str  # of what goes in: an unchanged plan need not be written again
    schema: bytes  # the serialized Arrow schema


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """A written shard."""

    path: str
    rows: int
    qa_pairs: int
    bytes: int
    sha256: str
    rejects: tuple[Reject, ...]  # pairs whose image did not make it

    @property
    def split(self) -> str:
        """The split that the path states."""
        return shard_split(self.path)


def plan_shards(spool: Spool, schema: pa.Schema) -> list[ShardPlan]:
    """Plan the shards of data/ and mini/."""
    plans = []
    mini: dict[str, list[Spooled]] = defaultdict(list)
    parts = list(spool.ordered())
    parts_of_task: dict[str, int] = defaultdict(int)
    for (task, _, _), _ in parts:
        parts_of_task[task] += 1
    for (task, source, split), rows in parts:
        pieces = list(cut(((r.image_id, r.size, r) for r in rows), SHARD))
        for number, piece in enumerate(pieces):
            name = f"data/{task}/{source}/{split}-{number:05d}-of-{len(pieces):05d}.parquet"
            plans.append(_plan(name, piece, spool, schema))
        mini[split].extend(_sample(rows, math.ceil(MINI_ROWS / parts_of_task[task])))
    for split, rows in mini.items():
        plans.append(_plan(f"mini/{split}-00000-of-00001.parquet", rows, spool, schema))
    return plans


def _sample(rows: list[Spooled], count: int) -> list[Spooled]:
    """The rows whose ids' hashes are the smallest, in the order of all rows: a stable sample."""
    chosen = {r.row_id for r in sorted(rows, key=lambda r: hash64(r.row_id, "mini"))[:count]}
    return [r for r in rows if r.row_id in chosen]


def _plan(path: str, rows: list[Spooled], spool: Spool, schema: pa.Schema) -> ShardPlan:
    digest = hashlib.sha256(schema.serialize().to_pybytes())
    for r in rows:
        digest.update(r.digest.encode())
    return ShardPlan(
        path=path,
        spool=spool.path,
        places=tuple((r.offset, r.length) for r in rows),
        rows=len(rows),
        size=sum(r.size for r in rows),
        digest=digest.hexdigest(),
        schema=schema.serialize().to_pybytes(),
    )


def write_shard(plan: ShardPlan, folder: Path) -> Shard:
    """Write one shard into a release folder.

    Rows whose image is unfit are left out and their pairs rejected; a shard of which nothing is left is not written
    (rows = 0).

    Raises:
        OSError: The disk is full or cannot be written; nothing is left under the shard's name.
    """
    schema = pa.ipc.read_schema(pa.py_buffer(plan.schema))
    path = folder / plan.path
    path.parent.mkdir(parents=True, exist_ok=True)
    rejects: list[Reject] = []
    rows = qa_pairs = 0
    with completed(path) as temporary, kept_open():
        with pq.ParquetWriter(temporary, schema, **parquet_settings(schema)) as writer:
            for group in cut(_sized(_rows(plan, rejects)), ROW_GROUP):
                writer.write_table(pa.Table.from_pylist(group, schema=schema))
                rows += len(group)
                qa_pairs += sum(len(r["pairs"]) for r in group)
        size, digest = temporary.stat().st_size, sha256(temporary)
    if rows == 0:
        path.unlink()
    return Shard(
        path=plan.path, rows=rows, qa_pairs=qa_pairs, bytes=size, sha256=digest,
        rejects=tuple(rejects),
    )  # fmt: skip


def _rows(plan: ShardPlan, rejects: list[Reject]) -> Iterator[tuple[Draft, dict[str, Any]]]:
    for draft in read_drafts(plan.spool, plan.places):
        try:
            image = load_image(draft.image)
        except ImageFlaw as flaw:
            rejects.extend(_rejects(draft, flaw))
        else:
            yield draft, row(draft, image)


def _sized(
    rows: Iterator[tuple[Draft, dict[str, Any]]],
) -> Iterator[tuple[str, int, dict[str, Any]]]:
    for draft, made in rows:
        yield draft.image.image_id, len(made["image"]["bytes"]), made


def _rejects(draft: Draft, flaw: ImageFlaw) -> Iterator[Reject]:
    for number in range(len(draft.pairs)):
        yield Reject(
            id=f"{draft.id}#{number}", task=draft.task, source=draft.source, split=draft.split,
            stage="image", reason=flaw.reason, detail=flaw.detail,
        )  # fmt: skip


def parquet_settings(schema: pa.Schema) -> dict[str, Any]:
    """Settings of the Parquet writer.

    Image bytes are uncompressed and PLAIN: every image is a byte range of its file, and the Hub's storage finds again
    what did not change. No content-defined chunking: measured, it makes second uploads of such files larger. Text is
    zstd with dictionaries. Small write batches, because a page ends only between two of them and a page should not hold
    many megabytes.
    """
    text = [leaf for leaf in leaves(schema) if leaf != "image.bytes"]
    return {
        "compression": {leaf: "none" if leaf == "image.bytes" else "zstd" for leaf in leaves(schema)},
        "use_dictionary": text,
        "column_encoding": {"image.bytes": "PLAIN"},
        "write_statistics": text,
        "write_page_index": True,
        "write_batch_size": 16,
        "version": "2.6",
        "data_page_version": "1.0",
    }


def leaves(schema: pa.Schema) -> list[str]:
    """Parquet paths of a schema's leaf columns, such as `pairs.list.element.category`."""
    found: list[str] = []

    def walk(kind: pa.DataType, path: str) -> None:
        if pa.types.is_struct(kind):
            for field in kind:
                walk(field.type, f"{path}.{field.name}")
        elif pa.types.is_list(kind):
            walk(kind.value_type, f"{path}.list.element")
        else:
            found.append(path)

    for field in schema:
        walk(field.type, field.name)
    return found
