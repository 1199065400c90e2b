"""The texts of a release: every column but the image's bytes, row by row, in memory that does not grow with it.

Parquet is made to be read by column and in order. A row in random order costs 60 µs there even when its row group is
decoded already, so the rows of a shard are written once into the cache as Python's own serialized dicts, one behind the
other in an Arrow file, and mapped into memory: 3 to 8 µs a row.
"""

import logging
import marshal
from collections import OrderedDict
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple, Protocol

import pyarrow as pa

from rs_gpt4v_builder.errors import ReleaseError
from rs_gpt4v_builder.release.arrow import binary, integers, list_lengths, valid
from rs_gpt4v_builder.release.cachedir import alone, completed
from rs_gpt4v_builder.release.parquet import IMAGE_LEAF, leaves, read_footer, read_group
from rs_gpt4v_builder.release.store import Store
from rs_gpt4v_builder.text.dialogues import whole_bound

log = logging.getLogger(__name__)

Row = dict[str, Any]

TRAINING = ("id", "image", "conversations", "pairs")
"""Columns that a training step needs. They come first in a row and are serialized apart from the others, so that
whoever wants no more does not pay for the rest."""

MAPPED = 256
"""Most shards whose texts are mapped at a time: each holds a file open."""


class Texts(Protocol):
    """The texts of a release's shards. May be asked from several threads."""

    def row(self, shard: str, group: int, row: int) -> Row:
        """Return all columns of one row, a new dict.

        Its `image` is None where the image is null, else a tuple of its path alone.

        Args:
            shard: Path of the shard in the release.
            group: Row group.
            row: Row within it.
        """

    def rows(
        self, shards: Sequence[str], groups: Sequence[int], rows: Sequence[int], *, rest: bool = True
    ) -> list[Row]:
        """Return many rows; see `row`. Without `rest` only their `TRAINING` columns."""

    def bounds(self, shards: Sequence[str], groups: Sequence[int], rows: Sequence[int]) -> list[int]:
        """Return `dialogues.whole_bound` of many rows."""


class CachedTexts:
    """Texts of a local release: each shard's are put into the cache as a whole when they are first asked for."""

    def __init__(self, store: Store, cache: Path) -> None:
        self._store, self._cache, self._lock = store, cache, Lock()
        self._shards: OrderedDict[str, list[Group]] = OrderedDict()

    def row(self, shard: str, group: int, row: int) -> Row:
        """Return one row; see `Texts.row`."""
        return self.rows([shard], [group], [row])[0]

    def rows(
        self, shards: Sequence[str], groups: Sequence[int], rows: Sequence[int], *, rest: bool = True
    ) -> list[Row]:
        """Return many rows; see `Texts.rows`."""
        return take_rows(self._groups(shards, groups), rows, rest=rest)

    def bounds(self, shards: Sequence[str], groups: Sequence[int], rows: Sequence[int]) -> list[int]:
        """Return a bound of many rows; see `Texts.bounds`."""
        return [group.bounds[row] for group, row in zip(self._groups(shards, groups), rows, strict=True)]

    def join(
        self,
        shards: Sequence[str],
        groups: Sequence[int],
        rows: Sequence[int],
        images: Sequence[bytes | None],
        *,
        rest: bool = True,
    ) -> tuple[list[Row], list[int]]:
        """Return many rows with their images, and `dialogues.whole_bound` of each; see `Texts.rows`.

        All in one go, as what is looked up or unpacked twice is a good part of what a row costs.
        """
        loads, opened = marshal.loads, self._shards.get
        found, bounds = [], []
        for shard, number, row, data in zip(shards, groups, rows, images, strict=True):
            group = (opened(shard) or self._open(shard))[number]
            ends, texts, rest_ends, others, bound = group
            name, path, turns, pairs = loads(texts[ends[row] : ends[row + 1]])
            image = None if path is None else {"bytes": data, "path": path[0]}
            one = {"id": name, "image": image, "conversations": turns, "pairs": pairs}
            if rest:
                one.update(loads(others[rest_ends[row] : rest_ends[row + 1]]))
            found.append(one)
            bounds.append(bound[row])
        return found, bounds

    def _groups(self, shards: Sequence[str], groups: Sequence[int]) -> "list[Group]":
        opened = {shard: self._shards.get(shard) or self._open(shard) for shard in set(shards)}
        return [opened[shard][group] for shard, group in zip(shards, groups, strict=True)]

    def _open(self, shard: str) -> "list[Group]":
        path = self._cache / "texts" / (shard.replace("/", "--").removesuffix(".parquet") + ".arrow")
        with self._lock:
            if shard not in self._shards:
                if not path.exists():
                    with alone(path):
                        if not path.exists():
                            self._write(shard, path)
                self._shards[shard] = MappedTexts(path).groups
                if len(self._shards) > MAPPED:
                    self._shards.popitem(last=False)
            return self._shards[shard]

    def _write(self, shard: str, path: Path) -> None:
        log.debug("%s: the texts of %s go into the cache %s", self._store.where, shard, self._cache)
        metadata = read_footer(self._store, shard)
        with completed(path) as file, pa.ipc.new_file(file, SCHEMA) as writer:
            for group in range(metadata.num_row_groups):
                rows = read_texts(self._store, shard, metadata, group)
                writer.write_batch(pack(rows))


SCHEMA = pa.schema(
    [
        ("training", pa.large_binary()),  # the columns TRAINING of each row
        ("rest", pa.large_binary()),  # its other columns
        ("bound", pa.int32()),  # its `whole_bound`
    ]
)


def read_texts(store: Store, shard: str, metadata: Any, group: int) -> list[Row]:
    """Read the texts of one row group; see `Texts.row` for their form."""
    return text_rows(read_text_table(store, shard, metadata, group))


def read_text_table(store: Store, shard: str, metadata: Any, group: int) -> pa.Table:
    """Read all columns of one row group but the images' bytes.

    Raises:
        ReleaseError: The shard is none of this dataset, or it cannot be read.
    """
    wanted = [leaf for leaf in leaves(metadata) if leaf != IMAGE_LEAF]
    table = read_group(store, shard, metadata, group, wanted)
    if "image" not in table.column_names:
        raise ReleaseError(f"{store.where}: {shard} has no column image.path, so it is no shard of this dataset")
    return table


def text_rows(table: pa.Table) -> list[Row]:
    """Make the rows of a table that `read_text_table` gave."""
    columns = {name: to_python(table[name].combine_chunks()) for name in table.column_names}
    columns["image"] = [image and (image["path"],) for image in columns["image"]]
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def pack(rows: list[Row]) -> pa.RecordBatch:
    """Serialize the rows of one row group."""
    first = [marshal.dumps(tuple(row[name] for name in TRAINING)) for row in rows]
    rest = [marshal.dumps({name: value for name, value in row.items() if name not in TRAINING}) for row in rows]
    bounds = integers([whole_bound(row) for row in rows])
    return pa.record_batch([binary(first), binary(rest), bounds], schema=SCHEMA)


class Group(NamedTuple):
    """Serialized texts of one row group, as views of mapped memory."""

    ends: memoryview  # of the columns TRAINING of each row
    data: memoryview
    rest_ends: memoryview  # of its other columns
    rest: memoryview
    bounds: memoryview  # its `whole_bound`


def take_rows(groups: Sequence[Group], rows: Sequence[int], *, rest: bool) -> list[Row]:
    """Read rows.

    Args:
        groups: Row group of each row.
        rows: Row within it.
        rest: Whether all columns are wanted, not only TRAINING.
    """
    loads = marshal.loads
    found = []
    for (ends, data, rest_ends, others, _), row in zip(groups, rows, strict=True):
        one = dict(zip(TRAINING, loads(data[ends[row] : ends[row + 1]]), strict=True))
        if rest:
            one.update(loads(others[rest_ends[row] : rest_ends[row + 1]]))
        found.append(one)
    return found


def to_python(array: pa.Array) -> list[Any]:
    """Do what `array.to_pylist()` does, several times faster for lists of structs."""
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], array.type)
    there = valid(array)
    if pa.types.is_struct(array.type):
        names = [field.name for field in array.type]
        parts = [to_python(part) for part in array.flatten()]
        values: Any = (dict(zip(names, items, strict=True)) for items in zip(*parts, strict=True))
    elif pa.types.is_list(array.type) or pa.types.is_large_list(array.type):
        flat, first = to_python(array.flatten()), 0
        lengths = list_lengths(array).tolist()
        ends = [first := first + length for length in lengths]
        values = (flat[start:end] for start, end in pairwise([0, *ends]))
    else:
        return _plain(array)
    if there is None:
        return list(values)
    return [value if is_there else None for value, is_there in zip(values, there.tolist(), strict=True)]


def _plain(array: pa.Array) -> list[Any]:
    """Values of an array of strings or numbers. What recurs is one object, which is serialized once a row."""
    if pa.types.is_string(array.type) and len(array) > 1:
        coded = array.dictionary_encode()
        if 2 * len(coded.dictionary) <= len(array):
            words = [*coded.dictionary.to_pylist(), None]
            return [words[code] for code in coded.indices.fill_null(len(words) - 1).to_pylist()]
    plain: list[Any] = array.to_pylist()
    return plain


class MappedTexts:
    """The texts of one shard, or of one row group of it, mapped into memory or in it.

    Attributes:
        bytes: All of them, serialized.
    """

    def __init__(self, source: Path | pa.Buffer) -> None:
        try:
            self._file = pa.memory_map(str(source)) if isinstance(source, Path) else pa.BufferReader(source)
            reader = pa.ipc.open_file(self._file)
            batches = [reader.get_batch(i) for i in range(reader.num_record_batches)]
        except (pa.ArrowException, OSError) as error:
            raise ReleaseError(f"{source} is damaged ({error}): delete it, it will be made again") from error
        self.groups = [
            Group(
                *_binary(batch.column(0)), *_binary(batch.column(1)), memoryview(batch.column(2).buffers()[1]).cast("i")
            )
            for batch in batches
        ]
        self.bytes = sum(len(group.data) + len(group.rest) for group in self.groups)


def _binary(column: pa.Array) -> tuple[memoryview, memoryview]:
    """Where the values of a column end, and the values."""
    _, ends, data = column.buffers()
    return memoryview(ends).cast("q"), memoryview(data)
