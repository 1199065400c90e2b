"""The texts of one shard in the cache, put there row group by row group as they are first asked for.

Beside the file of the texts stands a table of where each row group's lie in it. Whoever makes a row group ready holds
the shard's lock, puts the texts behind what is there and then notes in the table where; so processes share the work,
and an epoch in random order begins when the few row groups of its first samples are ready, however many there are.
"""

import mmap
import os
from collections.abc import Callable
from pathlib import Path
from struct import Struct
from typing import NamedTuple

import pyarrow as pa

from rs_gpt4v_builder.errors import ReleaseError
from rs_gpt4v_builder.release.cachedir import alone, append, completed, unwritable

ALIGNED = 64
"""Arrow files begin at multiples of so many bytes, as Arrow wants its buffers."""

_ENTRY, _MARK = Struct("<qqq"), 0x5EA1ED
"""First byte of a row group's texts, the byte behind the last, and a check of both: an entry counts if it is whole."""


class _Span(NamedTuple):
    start: int
    stop: int


class TextFile:
    """An open file of texts.

    Args:
        path: The file, whose name ends with `.arrow`; need not be there.
        count: Row groups of the shard, asked for where something has to be made.

    Attributes:
        path: As given.
        maps: How many times it was mapped into memory: once more when it had grown, or was another.
    """

    def __init__(self, path: Path, count: Callable[[], int]) -> None:
        self.path, self._table, self._count = path, path.with_suffix(".table"), count
        self._memory: pa.Buffer | None = None
        self._inode, self.maps = -1, 0

    def get(self, group: int, make: Callable[[], pa.Buffer]) -> pa.Buffer:
        """Return the texts of a row group, mapped into memory.

        Args:
            group: Its number.
            make: Makes them, an Arrow file, where they are not there.

        Raises:
            ReleaseError: They cannot be made or written, or the file is damaged.
        """
        span = self._find(group) or self._make(group, make)
        memory = self._memory
        # somebody may have removed it, and another process begun a new one
        if memory is None or memory.size < span.stop or self.path.stat().st_ino != self._inode:
            memory = self._memory = self._map()
        if memory.size < span.stop:
            raise ReleaseError(f"{self.path} is damaged (it was cut): delete it, it will be made again")
        return memory.slice(span.start, span.stop - span.start)

    def _find(self, group: int) -> _Span | None:
        if not self.path.exists():  # the table is of no use alone
            return None
        try:
            with self._table.open("rb") as table:
                table.seek(group * _ENTRY.size)
                entry = table.read(_ENTRY.size)
        except FileNotFoundError:
            return None
        if len(entry) < _ENTRY.size:
            return None
        start, stop, check = _ENTRY.unpack(entry)
        return _Span(start, stop) if check == start ^ stop ^ _MARK else None

    def _make(self, group: int, make: Callable[[], pa.Buffer]) -> _Span:
        with alone(self.path):
            found = self._find(group)
            if found is None:
                if not (self.path.exists() and self._table.exists()):
                    with completed(self._table) as file:
                        file.write(bytes(_ENTRY.size * self._count()))
                data = make()
                start = append(self.path, memoryview(data), ALIGNED)
                found = _Span(start, start + data.size)
                self._note(group, found)
        return found

    def _note(self, group: int, span: _Span) -> None:
        try:
            with self._table.open("r+b") as table:
                table.seek(group * _ENTRY.size)
                table.write(_ENTRY.pack(*span, span.start ^ span.stop ^ _MARK))
        except OSError as error:
            raise unwritable(self._table, error) from error

    def _map(self) -> pa.Buffer:
        try:
            with self.path.open("rb") as file:
                self._inode, self.maps = os.fstat(file.fileno()).st_ino, self.maps + 1
                return pa.py_buffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        except (OSError, ValueError) as error:  # an empty file cannot be mapped
            raise ReleaseError(f"{self.path} is damaged ({error}): delete it, it will be made again") from error
