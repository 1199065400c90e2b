"""Column chunks of a Parquet file through a `Store`.

Only the bytes of the wanted columns are read, by the calling thread, and pyarrow gets them complete: none of its
threads ever waits for a network or runs Python, which is what aborts an interpreter that ends in the middle of a read.
"""

import io
from collections.abc import Collection, Iterable
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from rs_gpt4v_builder.errors import ReleaseError
from rs_gpt4v_builder.release.store import Store

TAIL = 1 << 16
"""Bytes read at a file's end at first; a longer footer takes a second read."""

FOOTER, GROUP = 24 << 10, 8 << 10
"""Bytes that the footer of a shard with one row group of 32 MB may take, and those of each more."""

JOIN = 1 << 16
"""Two wanted ranges with at most so many bytes between them are read as one."""

IMAGE_LEAF = "image.bytes"
"""Parquet path of the column that holds the image bytes."""


def read_footer(store: Store, path: str, size: int | None = None, groups: int | None = None) -> Any:
    """Read a file's metadata.

    Args:
        store: The release.
        path: A Parquet file of it.
        size: The file's size in bytes, where it is known.
        groups: The number of its row groups, where it is known.

    Returns:
        A `pyarrow.parquet.FileMetaData`.

    Raises:
        ReleaseError: The file is not Parquet.
    """
    size = store.size(path) if size is None else size
    tail = store.read(path, footer_start(store, size, groups), size)
    if tail[-4:] != b"PAR1":
        raise ReleaseError(f"{store.where}: {path} is no Parquet file; fetch the release again")
    length = int.from_bytes(tail[-8:-4], "little") + 8
    if length > len(tail):
        tail = store.read(path, max(0, size - length), size)
    try:
        return pq.read_metadata(pa.BufferReader(tail))
    except (pa.ArrowException, OSError) as error:
        raise ReleaseError(f"{store.where}: {path} has a damaged footer ({error})") from error


def footer_start(store: Store, size: int, groups: int | None = None) -> int:
    """First byte of what is read at first to find the footer of a file; see `read_footer`."""
    # over a network a tail is no larger than a footer with so many row groups is likely to be
    more = size >> 25 if groups is None else groups - 1
    return max(0, size - (FOOTER + GROUP * more if store.remote else TAIL))


def leaves(metadata: Any) -> list[str]:
    """Paths of the leaf columns, such as `pairs.list.element.category`, in the file's order."""
    return [metadata.schema.column(i).path for i in range(metadata.num_columns)]


def read_group(store: Store, path: str, metadata: Any, group: int, columns: Collection[str]) -> pa.Table:
    """Read some leaf columns of one row group.

    Args:
        store: The release.
        path: A Parquet file of it.
        metadata: What `read_footer` gave.
        group: Number of the row group.
        columns: Paths of leaf columns.

    Raises:
        ReleaseError: The bytes are not what the footer says.
    """
    chunks = [metadata.row_group(group).column(i) for i, leaf in enumerate(leaves(metadata)) if leaf in columns]
    ranges = joined(map(chunk_range, chunks))
    pieces = {start: data for (start, _), data in zip(ranges, store.read_many(path, ranges), strict=True)}
    try:
        file = pq.ParquetFile(_Pieces(pieces), metadata=metadata, pre_buffer=False)
        return file.read_row_group(group, columns=list(columns), use_threads=False)
    except (pa.ArrowException, OSError) as error:
        raise ReleaseError(f"{store.where}: row group {group} of {path} is damaged ({error})") from error


def chunk_range(chunk: Any) -> tuple[int, int]:
    """First byte of a column chunk, and the one behind its last."""
    start = chunk.data_page_offset
    if chunk.has_dictionary_page and chunk.dictionary_page_offset:
        start = min(start, chunk.dictionary_page_offset)
    return start, start + chunk.total_compressed_size


def joined(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Join ranges that nearly touch."""
    found: list[tuple[int, int]] = []
    for start, end in sorted(ranges):
        if found and start - found[-1][1] <= JOIN:
            found[-1] = found[-1][0], max(end, found[-1][1])
        else:
            found.append((start, end))
    return found


class _Pieces(io.RawIOBase):
    """A file of which only some ranges are there: all that pyarrow asks for."""

    def __init__(self, pieces: dict[int, bytes]) -> None:
        super().__init__()
        self._pieces, self._at = pieces, 0
        self._end = max((start + len(data) for start, data in pieces.items()), default=0)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + (0, self._at, self._end)[whence]
        return self._at

    def read(self, size: int = -1) -> bytes:
        for start, data in self._pieces.items():
            if start <= self._at < start + len(data):
                found = data[self._at - start :] if size < 0 else data[self._at - start : self._at - start + size]
                self._at += len(found)
                return found
        return b""
