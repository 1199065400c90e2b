"""Rows of a release as columns: some thousand rows at a time, without their images, checked where they come in."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from rs_gpt4v_conversion.errors import UsageError
from rs_gpt4v_conversion.naming import hash64
from rs_gpt4v_conversion.release import UNREADABLE, ReleaseFolder, ShardEntry

ROWS = 2_000
"""Rows that are taken together; a row group is never divided."""

COLUMNS = ("conversations", "pairs", "modality", "objects", "width", "height", "image_sha256", "license")


@dataclass(frozen=True, slots=True)
class Objects:
    """Objects of some rows, in their order."""

    row: NDArray[np.int64]  # which of the rows each belongs to
    category: pa.StringArray
    bbox: NDArray[np.float64]  # (n, 4), pixels; NaN where there is none
    obb: NDArray[np.float64]  # (n, 8)
    difficult: NDArray[np.bool_]
    ignore: NDArray[np.bool_]
    size: NDArray[np.float64]  # (n, 2), width and height of the image, 0 where not known

    def __len__(self) -> int:
        return len(self.row)

    def where(self, mask: NDArray[np.bool_]) -> "Objects":
        """Those for which the mask holds."""
        return Objects(
            self.row[mask], self.category.filter(pa.array(mask)), self.bbox[mask], self.obb[mask],
            self.difficult[mask], self.ignore[mask], self.size[mask],
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Batch:
    """Some rows of one shard."""

    shard: ShardEntry
    rows: int
    images: list[int | None]  # a number that tells images apart, a row; None where the row does not say
    modality: pa.StringArray
    license: pa.StringArray
    pairs: NDArray[np.int64]  # a row
    questions: pa.StringArray  # of all rows' pairs; the first of a row begins with the image tag
    answers: pa.StringArray
    categories: pa.StringArray
    templates: pa.StringArray
    objects: Objects


def batches(release: ReleaseFolder) -> Iterator[Batch]:
    """All rows of data/.

    Raises:
        UsageError: A shard cannot be read, or its columns are not a release's.
    """
    for shard in release.shards:
        yield from _shard(release.path / shard.path, shard)


def _shard(path: Path, shard: ShardEntry) -> Iterator[Batch]:
    start = 0
    for table in _tables(path):
        try:
            batch = _batch(table, shard)
        except (pa.ArrowException, ValueError, TypeError, KeyError) as error:
            said = str(error).splitlines()[0].strip("'")
            raise UsageError(
                f"{path}: from row {start} on: {said}; `rs-gpt4v check` says what else is broken"
            ) from None
        yield batch
        start += batch.rows


def _tables(path: Path) -> Iterator[pa.Table]:
    """The columns that are looked at, some row groups together; pictures are not read."""
    try:
        with pq.ParquetFile(path) as file:
            lacking = sorted(set(COLUMNS) - set(file.schema_arrow.names))
            if lacking:
                raise UsageError(f"{path}: has no column {', '.join(lacking)}, expected a shard of a release")
            groups: list[int] = []
            rows = 0
            for group in range(file.num_row_groups):
                groups.append(group)
                rows += file.metadata.row_group(group).num_rows
                if rows >= ROWS or group == file.num_row_groups - 1:
                    yield file.read_row_groups(groups, columns=list(COLUMNS))
                    groups, rows = [], 0
    except UNREADABLE as error:
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UsageError(f"{path}: cannot be read ({said}); `rs-gpt4v check` says what else is broken") from None


def _batch(table: pa.Table, shard: ShardEntry) -> Batch:
    """Take a table apart; what is raised says what is wrong with it."""
    turns, of_turns = _items(table, "conversations")
    pairs, of_pairs = _items(table, "pairs")
    odd = np.flatnonzero(of_turns != 2 * of_pairs)
    if len(odd):
        n = int(odd[0])
        raise ValueError(f"row {n} has {of_turns[n]} turns for {of_pairs[n]} pairs, expected a question and an answer")
    texts = _texts(pc.struct_field(turns, "value"))
    heads, tails = pa.array(np.arange(0, len(texts), 2)), pa.array(np.arange(1, len(texts), 2))
    return Batch(
        shard=shard,
        rows=len(table),
        images=[hash64(digest, "image") if digest else None for digest in _column(table, "image_sha256").to_pylist()],
        modality=_texts(_column(table, "modality")),
        license=_texts(_column(table, "license")),
        pairs=of_pairs,
        questions=texts.take(heads),
        answers=texts.take(tails),
        categories=_texts(pc.struct_field(pairs, "category")),
        templates=_texts(pc.struct_field(pairs, "template")),
        objects=_objects(table),
    )


def _objects(table: pa.Table) -> Objects:
    items, of_items = _items(table, "objects")
    row = np.repeat(np.arange(len(table)), of_items)
    sides = [_numbers(_column(table, name)) for name in ("width", "height")]
    return Objects(
        row=row,
        category=_texts(pc.struct_field(items, "category")),
        bbox=_boxes(pc.struct_field(items, "bbox"), 4),
        obb=_boxes(pc.struct_field(items, "obb"), 8),
        difficult=_flags(pc.struct_field(items, "difficult")),
        ignore=_flags(pc.struct_field(items, "ignore")),
        size=np.nan_to_num(np.stack(sides, axis=1))[row],
    )


def _column(table: pa.Table, name: str) -> pa.Array:
    return table[name].combine_chunks()


def _items(table: pa.Table, name: str) -> tuple[pa.Array, NDArray[np.int64]]:
    """The items of a column of lists in one array, and how many each row has."""
    column = _column(table, name)
    lengths = _counts(column)
    return pc.list_flatten(column), lengths


def _counts(lists: pa.Array) -> NDArray[np.int64]:
    counts: NDArray[np.int64] = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
    return counts.astype(np.int64)


def _texts(array: pa.Array) -> pa.StringArray:
    return pc.fill_null(array.cast(pa.string()), "")


def _numbers(array: pa.Array) -> NDArray[np.float64]:
    numbers: NDArray[np.float64] = array.cast(pa.float64()).to_numpy(zero_copy_only=False)
    return numbers


def _flags(array: pa.Array) -> NDArray[np.bool_]:
    flags: NDArray[np.bool_] = pc.fill_null(array.cast(pa.bool_()), False).to_numpy(zero_copy_only=False)
    return flags


def _boxes(lists: pa.Array, numbers: int) -> NDArray[np.float64]:
    """Boxes of so many numbers, one an object; NaN where an object has none, or one of another length."""
    whole = _counts(lists) == numbers
    boxes = np.full((len(lists), numbers), np.nan)
    boxes[whole] = _numbers(pc.list_flatten(lists.filter(pa.array(whole)))).reshape(-1, numbers)
    return boxes
