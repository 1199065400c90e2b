"""Blocks of images on the disk, so that a second epoch needs no network."""

import logging
import os
from pathlib import Path
from threading import Lock

from .blocks import Span
from .cachedir import completed
from .errors import ReleaseError
from .store import LocalStore

log = logging.getLogger(__name__)


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
        self._used, self._open = self._count(), True

    def holds(self, span: Span) -> bool:
        """Whether a block is there."""
        return (self._folder / _name(span)).exists()

    def read(self, span: Span, start: int, end: int) -> bytes:
        """Read bytes `start` to `end` of the shard out of a block that is there."""
        return self._files.read(_name(span), start - span.start, end - span.start)

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
            with completed(self._folder / _name(span)) as file:
                file.write(data)
        except ReleaseError as error:
            with self._lock:
                self._stop(str(error.__cause__ or error))

    def _stop(self, reason: str) -> None:
        if self._open:
            log.warning("the cache of images %s takes no more (%s): the rest comes over the network", self._folder, reason)
        self._open = False

    def _count(self) -> int:
        """Bytes that are there. What a killed process left half done is removed."""
        used = 0
        for folder, _, names in os.walk(self._folder):
            for name in names:
                path = Path(folder) / name
                used += path.stat().st_size
        return used


def _name(span: Span) -> str:
    return f"{span.shard.path.replace('/', '--').removesuffix('.parquet')}/{span.start}-{span.end}.images"
