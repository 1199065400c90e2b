"""The texts of a release: every column but the image's bytes, row by row, in memory that does not grow with it.

Parquet is made to be read by column and in order. A row in random order costs 60 µs there even when its row group is
decoded already, so the rows of a row group are written once into the cache, as Python's own serialized values one
behind the other in an Arrow file, and mapped into memory: 2.5 to 4 µs a row.
"""

import logging
import marshal
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, repeat
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple, Protocol

import pyarrow as pa

from rs_gpt4v_builder.errors import ReleaseError
from rs_gpt4v_builder.release.arrow import binary, integers, list_lengths, list_values, valid
from rs_gpt4v_builder.release.parquet import IMAGE_LEAF, leaves, read_footer, read_group
from rs_gpt4v_builder.release.store import Store
from rs_gpt4v_builder.release.textfile import TextFile
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
    """Texts of a local release: each row group's are put into the cache when they are first asked for."""

    def __init__(self, store: Store, cache: Path) -> None:
        self._store, self._folder, self._lock = store, cache / "texts", Lock()
        self._shards: dict[str, dict[int, Group]] = {}  # in the order in which they were opened
        self._files: dict[str, TextFile] = {}
        self._footers: dict[str, Any] = {}

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
        loads, opened = marshal.loads, self._shards
        found, bounds = [], []
        for shard, number, row, data in zip(shards, groups, rows, images, strict=True):
            try:
                group = opened[shard][number]
            except KeyError:
                group = None
            ends, texts, bound, others = group or self._load(shard, number)
            name, path, turns, pairs = loads(texts[ends[row] : ends[row + 1]])
            image = None if path is None else {"bytes": data, "path": path[0]}
            if rest:
                one = others.shared.copy()
                one["id"], one["image"], one["conversations"], one["pairs"] = name, image, turns, pairs
                one.update(others.read(row))
            else:
                one = {"id": name, "image": image, "conversations": turns, "pairs": pairs}
            found.append(one)
            bounds.append(bound[row])
        return found, bounds

    def _groups(self, shards: Sequence[str], groups: Sequence[int]) -> "list[Group]":
        opened: dict[str, dict[int, Group]] = {shard: self._shards.get(shard, {}) for shard in set(shards)}
        return [
            opened[shard].get(number) or self._load(shard, number) for shard, number in zip(shards, groups, strict=True)
        ]

    def _load(self, shard: str, number: int) -> "Group":
        """Map a row group's texts into memory, and make them ready where they are not."""
        with self._lock:
            if shard not in self._shards:
                path = self._folder / (shard.replace("/", "--").removesuffix(".parquet") + ".arrow")
                self._files[shard] = TextFile(path, lambda: self._footer(shard).num_row_groups)
                self._shards[shard] = {}
                if len(self._shards) > MAPPED:
                    other = next(iter(self._shards))
                    del self._shards[other], self._files[other]
                    self._footers.pop(other, None)
            file, groups = self._files[shard], self._shards[shard]
            if number not in groups:
                before = file.maps
                groups[number] = self._open(shard, file, number)
                if before != file.maps:  # no group refers to what was mapped before, so that it can go
                    groups.update({other: self._open(shard, file, other) for other in groups if other != number})
            return groups[number]

    def _open(self, shard: str, file: TextFile, number: int) -> "Group":
        return MappedTexts(file.get(number, lambda: self._made(shard, number)), file.path).groups[0]

    def _made(self, shard: str, number: int) -> pa.Buffer:
        log.debug("%s: the texts of row group %d of %s go into the cache", self._store.where, number, shard)
        sink = pa.BufferOutputStream()
        with pa.ipc.new_file(sink, SCHEMA) as writer:
            writer.write_batch(pack(text_rows(read_text_table(self._store, shard, self._footer(shard), number))))
        return sink.getvalue()

    def _footer(self, shard: str) -> Any:
        if shard not in self._footers:
            self._footers[shard] = read_footer(self._store, shard)
        return self._footers[shard]


SCHEMA = pa.schema(
    [
        ("training", pa.large_binary()),  # the columns TRAINING of each row
        ("rest", pa.large_binary()),  # its other columns, but those that are the same in the whole row group
        ("bound", pa.int32()),  # its `whole_bound`
        ("shared", pa.large_binary()),  # in the first row: those, and the names of the others
    ]
)


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


def only_row(table: pa.Table) -> Row:
    """Make the row of a table of one row, with the columns that the table has."""
    row: Row = {name: next(python_values(table[name])) for name in table.column_names}
    row["image"] = row["image"] and (row["image"]["path"],)
    return row


class TextRows(NamedTuple):
    """The rows of a row group, made one by one as they are asked for.

    All of them at once are some ten thousand lists and dicts, through which Python's garbage collector would go again
    and again: three quarters of the time it takes.
    """

    training: Iterator[tuple[Any, ...]]  # the columns TRAINING of each
    rest: Iterator[tuple[Any, ...]]  # its other columns, in the order of `names`
    names: tuple[str, ...]
    shared: Row  # all columns in their order, with what is the same in all rows; the others are None


def text_rows(table: pa.Table) -> TextRows:
    """Make the rows of a table that `read_text_table` gave."""
    columns: dict[str, Iterable[Any]] = {name: python_values(table[name]) for name in table.column_names}
    columns["image"] = (image and (image["path"],) for image in columns["image"])
    training = [columns.pop(name) for name in TRAINING]
    shared: Row = dict.fromkeys((*TRAINING, *columns))
    for name in list(columns):
        if _is_plain(table[name].type):
            columns[name] = values = list(columns[name])
            if values and _all_alike(values):
                shared[name] = values[0]
                del columns[name]
    rest = zip(*columns.values(), strict=True) if columns else repeat((), len(table))
    return TextRows(zip(*training, strict=True), rest, tuple(columns), shared)


def _all_alike(values: list[Any]) -> bool:
    """Whether values of one column are one, to the bit: not so two zeros of different signs, or no numbers."""
    first = values[0]
    if isinstance(first, float) and (first == 0 or first != first):
        return False
    return values.count(first) == len(values)


def pack(rows: TextRows) -> pa.RecordBatch:
    """Serialize the rows of one row group."""
    first, bounds = [], []
    for row in rows.training:
        first.append(marshal.dumps(row))
        _, _, turns, pairs = row
        bounds.append(whole_bound({"conversations": turns, "pairs": pairs}))
    rest = list(map(marshal.dumps, rows.rest))
    shared = [marshal.dumps((rows.shared, rows.names)), *[b""] * (len(first) - 1)] if first else []
    return pa.record_batch([binary(first), binary(rest), integers(bounds), binary(shared)], schema=SCHEMA)


class Others(NamedTuple):
    """The columns of a row group beside TRAINING."""

    ends: memoryview
    data: memoryview
    shared: Row  # all columns of a row in their order, with what is the same in all rows
    names: tuple[str, ...]  # of those that are not

    def read(self, row: int) -> Iterable[tuple[str, Any]]:
        """Return names and values of the columns in which a row is its own."""
        return zip(self.names, marshal.loads(self.data[self.ends[row] : self.ends[row + 1]]), strict=True)


class Group(NamedTuple):
    """Serialized texts of one row group, as views of mapped memory."""

    ends: memoryview  # of the columns TRAINING of each row
    data: memoryview
    bounds: memoryview  # its `whole_bound`
    others: Others


def take_rows(groups: Sequence[Group], rows: Sequence[int], *, rest: bool) -> list[Row]:
    """Read rows.

    Args:
        groups: Row group of each row.
        rows: Row within it.
        rest: Whether all columns are wanted, not only TRAINING.
    """
    loads = marshal.loads
    found = []
    for (ends, data, _, others), row in zip(groups, rows, strict=True):
        one = others.shared.copy() if rest else {}
        one.update(zip(TRAINING, loads(data[ends[row] : ends[row + 1]]), strict=True))
        if rest:
            one.update(others.read(row))
        found.append(one)
    return found


def python_values(array: pa.Array | pa.ChunkedArray) -> Iterator[Any]:
    """Give what `array.to_pylist()` does, one by one and several times faster for lists of structs."""
    array = _whole(array)
    there = valid(array)
    if pa.types.is_struct(array.type):
        names = [field.name for field in array.type]
        parts = [python_values(part) for part in array.flatten()]
        values: Iterator[Any] = (dict(zip(names, items, strict=True)) for items in zip(*parts, strict=True))
    elif not _is_plain(array.type):
        flat = python_values(list_values(array))
        values = (list(islice(flat, length)) for length in list_lengths(array).tolist())
    else:
        return iter(_plain(array))
    if there is None:
        return values
    return (value if is_there else None for value, is_there in zip(values, there.tolist(), strict=True))


def _whole(array: pa.Array | pa.ChunkedArray) -> pa.Array:
    """The one array of a column."""
    if not isinstance(array, pa.ChunkedArray):
        return array
    return pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], array.type)


def _is_plain(kind: pa.DataType) -> bool:
    """Whether values are strings or numbers."""
    return not (pa.types.is_struct(kind) or pa.types.is_list(kind) or pa.types.is_large_list(kind))


def _plain(array: pa.Array) -> list[Any]:
    """Values of an array of strings or numbers. A string that recurs is one object, which is serialized once a row.

    Arrow's own dictionaries would be no help: they import pyarrow.compute, for which a first row should not wait.
    """
    plain: list[Any] = array.to_pylist()
    if not pa.types.is_string(array.type):
        return plain
    same: dict[str, str] = {}
    return [same.setdefault(value, value) for value in plain]


class MappedTexts:
    """Texts of some row groups, mapped into memory or in it.

    Args:
        source: An Arrow file.
        path: Where it lies, for messages.

    Attributes:
        bytes: All of them, serialized.
    """

    def __init__(self, source: Path | pa.Buffer, path: Path | None = None) -> None:
        try:
            self._file = pa.memory_map(str(source)) if isinstance(source, Path) else pa.BufferReader(source)
            reader = pa.ipc.open_file(self._file)
            self.groups = [_group(reader.get_batch(i)) for i in range(reader.num_record_batches)]
        except (pa.ArrowException, OSError, ValueError, EOFError, TypeError) as error:
            raise ReleaseError(f"{path or source} is damaged ({error}): delete it, it will be made again") from error
        self.bytes = sum(len(group.data) + len(group.others.data) for group in self.groups)


def _group(batch: pa.RecordBatch) -> Group:
    bounds = memoryview(batch.column(2).buffers()[1]).cast("i")
    shared, names = marshal.loads(batch.column(3)[0].as_buffer()) if len(batch) else ({}, ())
    return Group(*_binary(batch.column(0)), bounds, Others(*_binary(batch.column(1)), shared, names))


def _binary(column: pa.Array) -> tuple[memoryview, memoryview]:
    """Where the values of a column end, and the values."""
    _, ends, data = column.buffers()
    return memoryview(ends).cast("q"), memoryview(data)
