"""Blocks of images on the disk, so that a second epoch needs no network."""

import logging
import time
from bisect import bisect_right
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

from rs_gpt4v_builder.errors import ReleaseError
from rs_gpt4v_builder.network.blocks import Span
from rs_gpt4v_builder.release.cachedir import completed
from rs_gpt4v_builder.release.store import LocalStore

log = logging.getLogger(__name__)

ABANDONED = 3600.0
"""Seconds after which a file that never got its name is taken for one whose process was killed."""

BACK = 8
"""How many files that begin before a range are looked at: blocks of several sizes may lie in one folder."""


class BlockCache:
    """Whole blocks of one release, a file each. Several processes may use one folder.

    Args:
        folder: Of this release.
        limit: Bytes up to which blocks are added; None is no limit. None is ever removed.

    Attributes:
        limit: As given.
    """

    def __init__(self, folder: Path, limit: int | None) -> None:
        self.limit, self._folder, self._lock = limit, folder, Lock()
        self._files = LocalStore(folder)
        self._shelves: dict[str, _Shelf] = {}
        self._used, self._open = _used(folder), True

    def find(self, span: Span) -> "CachedBlock | None":
        """Return a block that holds all images of a span, None where there is none."""
        name = _folder(span.shard.path)
        with self._lock:
            shelf = self._shelves.setdefault(name, _Shelf())
            found = shelf.find(span.start, span.end)
            if found is None and shelf.look(self._folder / name):
                found = shelf.find(span.start, span.end)
        return found and CachedBlock(self._files, f"{name}/{found[0]}-{found[1]}.images", found[0])

    def put(self, span: Span, data: bytes) -> None:
        """Keep a block, if there is room; where there is none, say so once and go on without."""
        with self._lock:
            if not self._open:
                return
            if self.limit is not None and self._used + len(data) > self.limit:
                self._stop(f"its limit of {self.limit:,} bytes is reached")
                return
            self._used += len(data)
        try:
            with completed(self._folder / _folder(span.shard.path) / f"{span.start}-{span.end}.images") as file:
                file.write(data)
        except ReleaseError as error:
            with self._lock:
                self._stop(str(error.__cause__ or error))

    def _stop(self, reason: str) -> None:
        if self._open:
            log.warning("the cache of images %s takes no more (%s): the rest comes over the network",
                        self._folder, reason)  # fmt: skip
        self._open = False


@dataclass(frozen=True, slots=True)
class CachedBlock:
    """A block on the disk."""

    files: LocalStore
    name: str
    start: int  # its first byte in the shard

    def read(self, start: int, end: int) -> bytes:
        """Read bytes `start` to `end` of the shard."""
        return self.files.read(self.name, start - self.start, end - self.start)


@dataclass(slots=True)
class _Shelf:
    """The blocks of one shard that are known to be there."""

    ranges: list[tuple[int, int]] = field(default_factory=list)
    changed: int = -1

    def find(self, start: int, end: int) -> tuple[int, int] | None:
        at = bisect_right(self.ranges, (start, 1 << 62))
        return next((r for r in reversed(self.ranges[max(0, at - BACK) : at]) if r[1] >= end), None)

    def look(self, folder: Path) -> bool:
        """Look what is there, if it has changed since."""
        try:
            changed = folder.stat().st_mtime_ns
        except OSError:
            return False
        if changed == self.changed:
            return False
        names = [path.stem.split("-") for path in folder.glob("*.images")]
        self.changed, self.ranges = changed, sorted((int(start), int(end)) for start, end in names)
        return True


def _folder(shard: str) -> str:
    return shard.replace("/", "--").removesuffix(".parquet")


def _used(folder: Path) -> int:
    """Bytes that are there. What killed processes left half done is removed."""
    used = 0
    for path in folder.glob("*/*"):
        size, changed = path.stat().st_size, path.stat().st_mtime
        if path.name.startswith(".") and time.time() - changed > ABANDONED:
            path.unlink(missing_ok=True)
        else:
            used += size
    return used
