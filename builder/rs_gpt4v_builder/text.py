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
from typing import Any, Protocol

import pyarrow as pa

from .arrow import binary, list_lengths, valid
from .cachedir import alone, completed
from .errors import ReleaseError
from .parquet import IMAGE_LEAF, leaves, read_footer, read_group
from .store import Store

log = logging.getLogger(__name__)

Row = dict[str, Any]

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

    def rows(self, shards: Sequence[str], groups: Sequence[int], rows: Sequence[int]) -> list[Row]:
        """Return many rows; see `row`."""


class CachedTexts:
    """Texts of a local release: each shard's are put into the cache as a whole when they are first asked for."""

    def __init__(self, store: Store, cache: Path) -> None:
        self._store, self._cache, self._lock = store, cache, Lock()
        self._shards: OrderedDict[str, MappedTexts] = OrderedDict()

    def row(self, shard: str, group: int, row: int) -> Row:
        """Return one row; see `Texts.row`."""
        return self.rows([shard], [group], [row])[0]

    def rows(self, shards: Sequence[str], groups: Sequence[int], rows: Sequence[int]) -> list[Row]:
        """Return many rows; see `Texts.row`."""
        opened = {shard: (self._shards.get(shard) or self._open(shard)).groups for shard in set(shards)}
        loads, found = marshal.loads, []
        for shard, group, row in zip(shards, groups, rows, strict=True):
            ends, data = opened[shard][group]
            found.append(loads(data[ends[row] : ends[row + 1]]))
        return found

    def _open(self, shard: str) -> "MappedTexts":
        path = self._cache / "texts" / (shard.replace("/", "--").removesuffix(".parquet") + ".arrow")
        with self._lock:
            if shard not in self._shards:
                if not path.exists():
                    with alone(path):
                        if not path.exists():
                            self._write(shard, path)
                self._shards[shard] = MappedTexts(path)
                if len(self._shards) > MAPPED:
                    self._shards.popitem(last=False)
            return self._shards[shard]

    def _write(self, shard: str, path: Path) -> None:
        log.debug("%s: the texts of %s go into the cache %s", self._store.where, shard, self._cache)
        metadata = read_footer(self._store, shard)
        with completed(path) as file, pa.ipc.new_file(file, SCHEMA) as writer:
            for group in range(metadata.num_row_groups):
                rows = read_texts(self._store, shard, metadata, group)
                writer.write_batch(pa.record_batch([pack(rows)], schema=SCHEMA))


SCHEMA = pa.schema([("row", pa.large_binary())])


def read_texts(store: Store, shard: str, metadata: Any, group: int) -> list[Row]:
    """Read the texts of one row group; see `Texts.row` for their form."""
    wanted = [leaf for leaf in leaves(metadata) if leaf != IMAGE_LEAF]
    table = read_group(store, shard, metadata, group, wanted)
    columns = {name: to_python(table[name].combine_chunks()) for name in table.column_names}
    if "image" not in columns:
        raise ReleaseError(f"{store.where}: {shard} has no column image.path, so it is no shard of this dataset")
    columns["image"] = [image and (image["path"],) for image in columns["image"]]
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def pack(rows: list[Row]) -> pa.Array:
    """Serialize rows."""
    return binary([marshal.dumps(row) for row in rows])


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
        plain: list[Any] = array.to_pylist()
        return plain
    if there is None:
        return list(values)
    return [value if is_there else None for value, is_there in zip(values, there.tolist(), strict=True)]


class MappedTexts:
    """The texts of one shard, or of one row group of it, mapped into memory or in it.

    Attributes:
        bytes: All of them, serialized.
    """

    def __init__(self, source: Path | pa.Buffer) -> None:
        try:
            self._file = pa.memory_map(str(source)) if isinstance(source, Path) else pa.BufferReader(source)
            reader = pa.ipc.open_file(self._file)
            batches = [reader.get_batch(i).column(0) for i in range(reader.num_record_batches)]
        except (pa.ArrowException, OSError) as error:
            raise ReleaseError(f"{source} is damaged ({error}): delete it, it will be made again") from error
        # of each row group: where its rows end, and the rows
        self.groups = [(memoryview(b.buffers()[1]).cast("q"), memoryview(b.buffers()[2])) for b in batches]
        self.bytes = sum(len(data) for _, data in self.groups)
