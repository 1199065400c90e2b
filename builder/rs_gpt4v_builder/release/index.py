"""Where every row of a release lies: `index.parquet`, as arrays that are mapped into memory.

A row's number is its line: its place in the release's order, shard after shard. So the rows of a shard are neighbours,
and those of a config and split are a few ranges of lines.
"""

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from struct import Struct
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from rs_gpt4v_builder.errors import ReleaseError
from rs_gpt4v_builder.release.arrow import list_lengths, list_values, numbers
from rs_gpt4v_builder.release.cachedir import alone, completed
from rs_gpt4v_builder.release.parquet import IMAGE_LEAF, leaves, read_footer
from rs_gpt4v_builder.release.store import LocalStore, Store

log = logging.getLogger(__name__)

NULL, UNKNOWN = -1, -2
"""In `offset`: the row has no image; the image is no byte range of the file, so its row group has to be read."""

LINE = np.dtype(
    [
        ("offset", "<i8"),  # of the image's bytes in the shard, or NULL, or UNKNOWN
        ("length", "<i8"),  # of the image, bytes
        ("group", "<i4"),  # row group
        ("row", "<i4"),  # within the row group
        ("pairs", "<i4"),  # questions with their answers; UNKNOWN where the index does not say
        ("dialogues", "<i4"),  # independent dialogues among them; UNKNOWN where the index does not say
        ("words", "<i4"),  # of all pairs; UNKNOWN where the index does not say
        ("unused", "<i4"),
    ]
)
"""One row of the index, 40 bytes."""

_LINE = Struct("<qqiiiiixxxx")

Lines = npt.NDArray[np.void]

FILE = "index.parquet"
_WANTED = ("shard", "row_group", "row", "image_offset", "image_length", "pairs", "dialogues", "words")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """One Parquet file of a release and its lines."""

    path: str  # in the release
    bytes: int
    start: int  # its first line
    stop: int  # the line behind its last

    @property
    def rows(self) -> int:
        """Number of rows."""
        return self.stop - self.start


class Line(NamedTuple):
    """One row of the index, as plain numbers; see `LINE`."""

    offset: int
    length: int
    group: int
    row: int
    pairs: int
    dialogues: int
    words: int


class Index:
    """All rows of some shards.

    Attributes:
        shards: In the order of their lines.
        lines: (rows,) of `LINE`, mapped into memory.
    """

    def __init__(self, shards: tuple[Shard, ...], lines: Lines) -> None:
        self.shards, self.lines = shards, lines
        self._bytes = lines.view(np.uint8).data
        self._plain = lines.view(np.ndarray)  # every step costs less than with a `memmap`

    def line(self, number: int) -> Line:
        """Return one line; a tenth of what indexing the array costs."""
        return Line._make(_LINE.unpack_from(self._bytes, number * LINE.itemsize))

    def take(self, numbers: npt.NDArray[np.int64]) -> Lines:
        """Return some lines, a copy, (n,) of `LINE`."""
        found: Lines = self._plain[numbers]
        return found


def load_index(store: Store, sizes: Mapping[str, int], rows: Mapping[str, int], cache: Path, *, listed: bool) -> Index:
    """Map the index of some shards into memory; make it at first, in bounded memory.

    Args:
        store: The release.
        sizes: Bytes of each shard, by path, in the order of the lines.
        rows: Rows of each shard, by path, where they are known.
        cache: Where the arrays are kept.
        listed: Whether `index.parquet` is there and lists these shards; else (a copy without it, or the rows of mini/,
            which it leaves out) the lines are made from the page headers.

    Raises:
        ReleaseError: A shard cannot be read, or the index speaks of other rows than there are.
    """
    name = "index" if listed else "pages-" + hashlib.sha256("\n".join(sizes).encode()).hexdigest()[:16]
    table, arrays = cache / f"{name}.json", cache / f"{name}.lines"
    if not (table.exists() and arrays.exists()):
        with alone(table):
            if not (table.exists() and arrays.exists()):
                _make(store, sizes, rows, (table, arrays), listed)
    shards = tuple(Shard(**line) for line in json.loads(table.read_text()))
    total = shards[-1].stop if shards else 0
    if arrays.stat().st_size != total * LINE.itemsize:
        raise ReleaseError(f"{arrays} is damaged: delete it, it will be made again")
    lines = np.memmap(arrays, LINE, "r", shape=(total,)) if total else np.empty(0, LINE)
    return Index(shards, lines)


def _make(
    store: Store, sizes: Mapping[str, int], rows: Mapping[str, int], files: tuple[Path, Path], listed: bool
) -> None:
    """Write the two files of an index; the table comes last."""
    table, arrays = files
    with completed(arrays) as file:
        found = _from_file(store, sizes) if listed else _from_shards(store, sizes)
        counts: dict[str, int] = {}
        for path, lines in found:
            if path in counts and path != next(reversed(counts)):
                raise ReleaseError(f"{store.where}: {FILE} does not keep the rows of {path} together; remove it")
            counts[path] = counts.get(path, 0) + len(lines)
            file.write(lines.tobytes())
    counts |= {path: 0 for path in sizes if path not in counts}
    for path, count in counts.items():
        if rows.get(path, count) != count:
            found_rows = f"{FILE} has {count} rows of {path}, the manifest {rows[path]}"
            raise ReleaseError(f"{store.where}: {found_rows}; fetch the release again, or remove the index")
    ends = np.cumsum(list(counts.values())).tolist()
    shards = [
        Shard(path=path, bytes=sizes[path], start=end - counts[path], stop=end)
        for path, end in zip(counts, ends, strict=True)
    ]
    with completed(table) as file:
        file.write(json.dumps([asdict(shard) for shard in shards]).encode())


def _from_file(store: Store, sizes: Mapping[str, int]) -> Iterator[tuple[str, Lines]]:
    """Lines of `index.parquet`, row group by row group."""
    data = store.read(FILE)
    try:
        opened = pq.ParquetFile(pa.BufferReader(data), read_dictionary=["shard"])
    except pa.ArrowException as error:
        raise ReleaseError(f"{store.where}: {FILE} is damaged ({error}): fetch it again, or remove it") from error
    with opened as file:
        columns = [name for name in _WANTED if name in file.schema_arrow.names]
        for group in range(file.num_row_groups):
            table = file.read_row_group(group, columns=columns, use_threads=False)
            for path, part in _by_shard(table, sizes, store.where):
                yield path, _lines(part)


def _by_shard(table: pa.Table, sizes: Mapping[str, int], where: str) -> Iterator[tuple[str, pa.Table]]:
    begin = 0
    for chunk in table["shard"].chunks:
        codes, names = numbers(chunk.indices), chunk.dictionary.to_pylist()
        edges = [0, *(np.flatnonzero(np.diff(codes)) + 1).tolist(), len(codes)]
        for start, stop in pairwise(edges):
            if start == stop:
                continue
            path = names[codes[start]]
            if path not in sizes:
                found = f"{FILE} speaks of {path}, which the manifest does not list"
                raise ReleaseError(f"{where}: {found}; remove the index")
            yield path, table.slice(begin + start, stop - start)
        begin += len(codes)


def _lines(table: pa.Table) -> Lines:
    lines = np.zeros(len(table), LINE)
    columns = {name: pa.concat_arrays(table[name].chunks) for name in table.column_names if name != "shard"}
    lines["group"], lines["row"] = numbers(columns["row_group"]), numbers(columns["row"])
    lines["offset"] = numbers(columns["image_offset"], NULL)
    lines["length"] = numbers(columns["image_length"])
    lines["pairs"] = numbers(columns["pairs"])
    lines["dialogues"] = numbers(columns["dialogues"]) if "dialogues" in columns else UNKNOWN
    words = columns["words"]
    sums = np.concatenate(([0], np.cumsum(numbers(list_values(words)))))
    ends = np.cumsum(list_lengths(words))
    lines["words"] = np.diff(sums[np.concatenate(([0], ends))])
    return lines


def _from_shards(store: Store, sizes: Mapping[str, int]) -> Iterator[tuple[str, Lines]]:
    """Lines made from the shards themselves, without their texts and without an image."""
    for path, size in sizes.items():
        metadata = read_footer(store, path, size)
        groups = [metadata.row_group(g).num_rows for g in range(metadata.num_row_groups)]
        lines = np.zeros(sum(groups), LINE)
        lines["group"] = np.repeat(np.arange(len(groups)), groups)
        lines["row"] = np.concatenate([np.arange(count) for count in groups]) if groups else []
        for name in ("pairs", "dialogues", "words"):
            lines[name] = UNKNOWN
        ranges = _ranges(store, path, metadata)
        lines["offset"] = UNKNOWN if ranges is None else [NULL if r is None else r[0] for r in ranges]
        lines["length"] = 0 if ranges is None else [0 if r is None else r[1] for r in ranges]
        yield path, lines


def _ranges(store: Store, path: str, metadata: Any) -> Sequence[tuple[int, int] | None] | None:
    """Byte range of every image of a shard, None where they have none."""
    if IMAGE_LEAF not in leaves(metadata):
        raise ReleaseError(f"{store.where}: {path} has no column {IMAGE_LEAF}, so it is no shard of this dataset")
    leaf = leaves(metadata).index(IMAGE_LEAF)
    chunks = [metadata.row_group(g).column(leaf) for g in range(metadata.num_row_groups)]
    odd = next((c for c in chunks if c.compression != "UNCOMPRESSED" or c.has_dictionary_page), None)
    if odd is not None:
        kind = "dictionary-encoded" if odd.compression == "UNCOMPRESSED" else f"compressed ({odd.compression})"
        log.warning("%s: the images of %s are %s, so they are read by whole row groups, which is slower",
                    store.where, path, kind)  # fmt: skip
        return None
    if not isinstance(store, LocalStore):
        log.warning("%s has no %s, so images of %s are read by whole row groups", store.where, FILE, path)
        return None
    from rs_gpt4v import image_ranges

    log.info("%s: no index of %s, its images are found from the page headers", store.where, path)
    return [place for group in image_ranges(str(Path(store.where) / path)) for place in group]
