"""The texts of a remote release, row group by row group.

A row group's texts lie before and behind its images: two ranges, some hundred bytes a row. They are kept in the cache
as those of a local release are, and in memory where the cache cannot be written.
"""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Event, Lock
from typing import Any

import pyarrow as pa

from rs_gpt4v_builder.errors import ReleaseError
from rs_gpt4v_builder.network.remote import NEVER, RemoteStore
from rs_gpt4v_builder.network.shelf import Shelf
from rs_gpt4v_builder.release.cachedir import completed
from rs_gpt4v_builder.release.parquet import read_footer
from rs_gpt4v_builder.release.texts import SCHEMA, Group, MappedTexts, Row, pack, read_text_table, take_rows, text_rows

log = logging.getLogger(__name__)

BYTES, FOOTERS = 128 << 20, 64
"""Texts that are mapped or in memory, serialized, in bytes; footers of shards in memory."""

LEAST = 1 << 19
"""What a row group counts for at least: each mapped one holds a file open."""


class GroupTexts:
    """Texts of a remote release; see `texts.Texts`.

    Args:
        store: The release.
        sizes: Bytes of each shard.
        cache: The folder of this release in the cache.
    """

    def __init__(self, store: RemoteStore, sizes: Mapping[str, int], cache: Path) -> None:
        self._store, self._sizes, self._folder, self._said = store, sizes, cache / "texts", False
        self._lock, self._turn = Lock(), Lock()
        self._footers: Shelf[str, Any] = Shelf(FOOTERS, lambda _: 1)
        self._groups: Shelf[tuple[str, int], MappedTexts] = Shelf(BYTES, lambda texts: max(LEAST, texts.bytes))

    def row(self, shard: str, group: int, row: int) -> Row:
        """Return one row; see `texts.Texts.row`."""
        return self.rows([shard], [group], [row])[0]

    def rows(
        self, shards: Sequence[str], groups: Sequence[int], rows: Sequence[int], *, rest: bool = True
    ) -> list[Row]:
        """Return many rows; see `texts.Texts.rows`."""
        return take_rows(self._loaded(shards, groups), rows, rest=rest)

    def bounds(self, shards: Sequence[str], groups: Sequence[int], rows: Sequence[int]) -> list[int]:
        """Return a bound of many rows; see `texts.Texts.bounds`."""
        return [group.bounds[row] for group, row in zip(self._loaded(shards, groups), rows, strict=True)]

    def _loaded(self, shards: Sequence[str], groups: Sequence[int]) -> list[Group]:
        keys = list(zip(shards, groups, strict=True))
        loaded = {key: self.load(*key).groups[0] for key in set(keys)}
        return [loaded[key] for key in keys]

    def load(self, shard: str, group: int, stop: Event = NEVER) -> MappedTexts:
        """Fetch the texts of a row group where they are not there.

        Raises:
            ReleaseError: They cannot be read.
            StoppedError: `stop` was set.
        """
        return self._groups.get((shard, group), lambda: self._load(shard, group, stop))

    def footer(self, shard: str, stop: Event = NEVER) -> Any:
        """Return a shard's metadata; see `load`."""
        store = self._store.until(stop)
        return self._footers.get(shard, lambda: read_footer(store, shard, self._sizes[shard]))

    def _load(self, shard: str, group: int, stop: Event) -> MappedTexts:
        path = self._folder / shard.replace("/", "--").removesuffix(".parquet") / f"{group}.arrow"
        if path.exists():
            return MappedTexts(path)
        table = read_text_table(self._store.until(stop), shard, self.footer(shard, stop), group)
        sink = pa.BufferOutputStream()
        # one after the other, as they hold Python's lock: so the texts that are needed first are there first
        with self._turn, pa.ipc.new_file(sink, SCHEMA) as writer:
            writer.write_batch(pack(text_rows(table)))
        data = sink.getvalue()
        try:
            with completed(path) as file:
                file.write(data)
        except ReleaseError as error:
            with self._lock:
                said, self._said = self._said, True
            if not said:
                log.warning("texts are kept in memory only: %s", error)
            return MappedTexts(data)
        return MappedTexts(path)
