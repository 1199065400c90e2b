"""A release over a network."""

import logging
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import Any

import fsspec

from .errors import ReleaseError
from .parquet import read_footer
from .store import Store
from .text import Row, read_texts

log = logging.getLogger(__name__)


class RemoteStore:
    """A release at a URL that `fsspec` knows."""

    remote = True

    def __init__(self, where: str) -> None:
        self.where = where.rstrip("/")
        self._system, self._root = fsspec.core.url_to_fs(self.where)

    def read(self, path: str, start: int = 0, end: int | None = None) -> bytes:
        """Read bytes `start` to `end`; see `Store.read`."""
        try:
            data: bytes = self._system.cat_file(f"{self._root}/{path}", start=start or None, end=end)
        except OSError as error:
            raise ReleaseError(f"{self.where}/{path} cannot be read ({error})") from error
        return data

    def size(self, path: str) -> int:
        """Return a file's size in bytes."""
        return int(self._system.size(f"{self._root}/{path}"))

    def paths(self, folder: str) -> list[str]:
        """List the files below a folder."""
        found = self._system.find(f"{self._root}/{folder}".rstrip("/"))
        return sorted(path.removeprefix(f"{self._root}/") for path in found)


class GroupTexts:
    """Texts of a remote release, row group by row group; the last ones that were asked for are kept."""

    def __init__(self, store: Store, sizes: Mapping[str, int], cache: Path) -> None:
        self._store, self._sizes, self._lock = store, sizes, Lock()
        self._footers: dict[str, Any] = {}
        self._groups: OrderedDict[tuple[str, int], list[Row]] = OrderedDict()

    def row(self, shard: str, group: int, row: int) -> Row:
        """Return one row; see `Texts.row`."""
        with self._lock:
            if (shard, group) not in self._groups:
                if shard not in self._footers:
                    self._footers[shard] = read_footer(self._store, shard, self._sizes[shard])
                self._groups[shard, group] = read_texts(self._store, shard, self._footers[shard], group)
            return dict(self._groups[shard, group][row])

    def rows(self, shards: Sequence[str], groups: Sequence[int], rows: Sequence[int]) -> list[Row]:
        """Return many rows; see `Texts.row`."""
        return [self.row(*place) for place in zip(shards, groups, rows, strict=True)]
