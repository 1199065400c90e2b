"""Where the files of a release lie, read by byte range.

Everything above this module names a file by its path in the release and asks for bytes of it; whether they come from a
disk or over a network is decided here, once, by `open_store`.
"""

import contextlib
import mmap
import os
from collections import OrderedDict
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Protocol

from rs_gpt4v_builder.errors import ReleaseError

if TYPE_CHECKING:
    from rs_gpt4v_builder.network.remote import RemoteStore

OPEN_FILES = 128
"""Most files that a local store holds open at a time."""

MAPPED = 1 << 29
"""Bytes of files that a local store maps into memory at most. What a process has read of them counts as its own memory
until the system wants it back; files beyond that are read."""

SMALL = 1 << 17
"""Bytes up to which a copy out of mapped memory pays: a longer one holds up other threads, and a read costs no more."""


KEPT = 8 << 20
"""Bytes of an array whose release lets the allocator keep twice as much."""


class Store(Protocol):
    """The files of one release. Its methods may be called from several threads."""

    where: str
    """The release, as the user named it; for messages."""
    remote: bool
    """Whether a read costs a round trip, so that few large reads are better than many small ones."""

    def read(self, path: str, start: int = 0, end: int | None = None) -> bytes:
        """Read bytes `start` to `end` (exclusive; None is the file's end) of a file.

        Raises:
            ReleaseError: There is no such file, it is shorter than that, or it cannot be read.
        """

    def read_many(self, path: str, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """Read several ranges of a file, (start, end) each; see `read`."""

    def size(self, path: str) -> int:
        """Return a file's size in bytes.

        Raises:
            ReleaseError: There is no such file.
        """

    def paths(self, folder: str) -> list[str]:
        """List the files below a folder, by path in the release, in alphabetical order."""


def open_store(where: str | Path) -> "LocalStore | RemoteStore":
    """Open a release's files.

    Args:
        where: A folder, or the URL of one (`hf://datasets/…`, `https://…`, whatever `fsspec` knows).
    """
    if "://" in str(where):
        from rs_gpt4v_builder.network.remote import RemoteStore

        return RemoteStore(str(where))
    return LocalStore(where)


class LocalStore:
    """A release in a folder. Can be pickled; files are opened anew in each process."""

    remote = False

    def __init__(self, folder: str | Path) -> None:
        _keep_freed_memory()
        self.where = str(folder)
        self._folder = Path(folder).resolve()
        self._lock = Lock()
        self._open: OrderedDict[str, _File] = OrderedDict()

    def __reduce__(self) -> tuple[type["LocalStore"], tuple[str]]:
        return LocalStore, (str(self._folder),)

    def read(self, path: str, start: int = 0, end: int | None = None) -> bytes:
        """Read bytes `start` to `end`; see `Store.read`."""
        file = self._file(path)
        count = (file.size if end is None else end) - start
        try:
            data = os.pread(file.number, count, start)
            while 0 < len(data) < count:  # a read is cut at 2 GB, and by a signal
                more = os.pread(file.number, count - len(data), start + len(data))
                if not more:
                    break
                data += more
        except OSError as error:
            raise ReleaseError(f"{self.where}: {path} cannot be read ({error.strerror or error})") from error
        if len(data) != count:
            found = f"{self.where}: {path} ends at byte {start + len(data):,}, before byte {start + count:,}"
            raise ReleaseError(f"{found}; the file was cut or changed: fetch the release again")
        return data

    def read_many(self, path: str, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """Read several ranges of a file; see `Store.read_many`."""
        return [self.read(path, start, end) for start, end in ranges]

    def copies(self, paths: Sequence[str], starts: Sequence[int], lengths: Sequence[int]) -> list[bytes | None]:
        """Read small ranges that are in memory already, at half the cost of `read`: copied out of mapped files.

        Bytes that are not in memory are fetched from the disk while all threads of the process wait. A file that is
        cut while it is mapped ends the process with SIGBUS, where `read` raises: files of a release do not change.

        Args:
            paths: File of each range.
            starts: First byte of each; below 0 stands for no range, which gives None.
            lengths: Bytes of each.

        Raises:
            ReleaseError: As in `Store.read`.
        """
        maps = {path: self._map(path) for path in set(paths)}
        mapped = {path: memory for path, memory in maps.items() if memory is not None}
        if lengths and len(mapped) == len(maps) and min(starts) >= 0 and max(lengths) <= SMALL:
            # what is usual, without a question for each range
            copied: list[bytes | None] = [
                mapped[path][start : start + length] for path, start, length in zip(paths, starts, lengths, strict=True)
            ]
            if list(map(len, copied)) == list(lengths):  # type: ignore[arg-type]
                return copied
        found: list[bytes | None] = []
        for path, start, length in zip(paths, starts, lengths, strict=True):
            if start < 0:
                found.append(None)
                continue
            memory = maps[path]
            data = memory[start : start + length] if memory is not None and length <= SMALL else b""
            # a slice ends where the file does: it is `read` that says so
            found.append(data if len(data) == length else self.read(path, start, start + length))
        return found

    def ahead(self, path: str, start: int, end: int) -> None:
        """Tell the system that these bytes will be read soon."""
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(self._file(path).number, start, end - start, os.POSIX_FADV_WILLNEED)

    def size(self, path: str) -> int:
        """Return a file's size in bytes."""
        return self._file(path).size

    def changed(self, path: str) -> int:
        """Return when a file was last changed, in ns since the epoch."""
        return (self._folder / path).stat().st_mtime_ns

    def paths(self, folder: str) -> list[str]:
        """List the files below a folder."""
        found = (p.relative_to(self._folder).as_posix() for p in (self._folder / folder).rglob("*") if p.is_file())
        return sorted(found)

    def _file(self, path: str) -> "_File":
        file = self._open.get(path)
        if file is not None:
            return file
        with self._lock:
            file = self._open.get(path)
            if file is None:
                file = self._open[path] = _File(self._folder / path, self.where)
                if len(self._open) > OPEN_FILES:
                    self._open.popitem(last=False)  # closed when the last thread that reads from it lets go
        return file

    def _map(self, path: str) -> mmap.mmap | None:
        """A file as memory; None where that would be too much, or cannot be."""
        file = self._file(path)
        if file.memory is None and file.size:
            with self._lock:
                mapped = sum(other.size for other in self._open.values() if other.memory is not None)
                if file.memory is None and mapped + file.size <= MAPPED:
                    file.map()
        return file.memory


@cache
def _keep_freed_memory() -> None:
    """Have the allocator of glibc keep some MB of freed memory, as it does by itself once a large array was freed.

    In a process that has not freed one, memory of a few images goes back to the system each time and comes anew, page
    by page and filled with zeros: seven times the cost of the copy. The array is not touched, so it costs nothing.
    """
    bytes(KEPT)


class _File:
    """An open file, closed when nobody holds it any more."""

    def __init__(self, path: Path, where: str) -> None:
        self.number = -1
        self.memory: mmap.mmap | None = None
        try:
            self.number = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
            self.size = os.fstat(self.number).st_size
        except OSError as error:
            raise ReleaseError(f"{where}: {path} cannot be opened ({error.strerror or error})") from error

    def map(self) -> None:
        """Map it into memory, if the system can."""
        with contextlib.suppress(OSError):  # some file systems cannot
            self.memory = mmap.mmap(self.number, self.size, access=mmap.ACCESS_READ)

    def __del__(self) -> None:
        if self.number >= 0:
            os.close(self.number)
