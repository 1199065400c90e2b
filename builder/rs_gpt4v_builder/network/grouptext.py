"""The texts of a remote release, row group by row group.

A row group's texts lie before and behind its images, some hundred bytes a row. Where exactly, the shard's footer says;
but they fill what the images leave, and where those are the index says: so both are asked for at once. The rows that
are wanted first are made one by one from the decoded columns. All rows of a row group together take a hundred times as
long as one, so that is done when there is time for it: they then lie in the cache as those of a local release do, or in
memory where the cache cannot be written.
"""

import logging
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from threading import Event, Lock
from typing import Any

import pyarrow as pa

from rs_gpt4v_builder.errors import ReleaseError
from rs_gpt4v_builder.network.blocks import Around
from rs_gpt4v_builder.network.remote import NEVER, RemoteStore
from rs_gpt4v_builder.network.shelf import Shelf
from rs_gpt4v_builder.release.cachedir import completed
from rs_gpt4v_builder.release.parquet import footer_start, joined, read_footer
from rs_gpt4v_builder.release.store import Store
from rs_gpt4v_builder.release.texts import (
    SCHEMA,
    TRAINING,
    Group,
    MappedTexts,
    Row,
    only_row,
    pack,
    read_text_table,
    take_rows,
    text_rows,
)
from rs_gpt4v_builder.text.dialogues import whole_bound

log = logging.getLogger(__name__)

BYTES, FOOTERS = 128 << 20, 64
"""Texts that are mapped or in memory, in bytes; footers of shards in memory."""

LEAST = 1 << 19
"""What a row group counts for at least: each mapped one holds a file open."""

FEW = 64
"""Rows that are made one by one of a row group, before all of it is."""

GUESSED = 1 << 18
"""Bytes around the images of a row group up to which all of them are fetched without knowing which are its texts."""


class GroupTexts:
    """Texts of a remote release; see `texts.Texts`.

    Args:
        store: The release.
        sizes: Bytes of each shard.
        cache: The folder of this release in the cache.
    """

    def __init__(self, store: RemoteStore, sizes: Mapping[str, int], cache: Path) -> None:
        self._store, self._sizes, self._folder, self._said = store, sizes, cache / "texts", False
        self._lock = Lock()
        self._footers: Shelf[str, Any] = Shelf(FOOTERS, lambda _: 1)
        self._groups: Shelf[tuple[str, int], MappedTexts | _Columns] = Shelf(BYTES, lambda t: max(LEAST, t.bytes))

    def row(self, shard: str, group: int, row: int) -> Row:
        """Return one row; see `texts.Texts.row`."""
        return self.rows([shard], [group], [row])[0]

    def rows(
        self, shards: Sequence[str], groups: Sequence[int], rows: Sequence[int], *, rest: bool = True
    ) -> list[Row]:
        """Return many rows; see `texts.Texts.rows`."""
        found = self._at_hand(shards, groups)
        whole = [group for group in found if isinstance(group, Group)]
        if len(whole) == len(found):
            return take_rows(whole, rows, rest=rest)
        return [
            take_rows([group], [row], rest=rest)[0] if isinstance(group, Group) else group.row(row, rest=rest)
            for group, row in zip(found, rows, strict=True)
        ]

    def bounds(self, shards: Sequence[str], groups: Sequence[int], rows: Sequence[int]) -> list[int]:
        """Return a bound of many rows; see `texts.Texts.bounds`."""
        return [
            group.bounds[row] if isinstance(group, Group) else group.bound(row)
            for group, row in zip(self._at_hand(shards, groups), rows, strict=True)
        ]

    def _at_hand(self, shards: Sequence[str], groups: Sequence[int]) -> "list[Group | _Columns]":
        keys = list(zip(shards, groups, strict=True))
        loaded: dict[tuple[str, int], Group | _Columns] = {}
        for key in set(keys):
            texts = self._groups.get(key, partial(self._load, *key, None, NEVER))
            if isinstance(texts, _Columns) and texts.made >= FEW:
                texts = self.make(*key) or texts
            loaded[key] = texts if isinstance(texts, _Columns) else texts.groups[0]
        return [loaded[key] for key in keys]

    def holds(self, shard: str, group: int) -> bool:
        """Whether the texts of a row group are in memory."""
        return self._groups.peek((shard, group)) is not None

    def load(self, shard: str, group: int, around: Around | None = None, stop: Event = NEVER) -> bool:
        """Fetch the texts of a row group where they are not there.

        Args:
            shard: Path of the shard in the release.
            group: Row group.
            around: What the index says of where they lie.
            stop: Ends that.

        Returns:
            Whether they are still to be made rows, by `make`.

        Raises:
            ReleaseError: They cannot be read.
            StoppedError: `stop` was set.
        """
        texts = self._groups.get((shard, group), lambda: self._load(shard, group, around, stop))
        return isinstance(texts, _Columns)

    def make(self, shard: str, group: int) -> MappedTexts | None:
        """Make the rows of a row group and keep them; None where another thread is at it, or they are not there."""
        key = shard, group
        columns = self._groups.peek(key)
        if not isinstance(columns, _Columns) or not columns.claim():
            return None
        sink = pa.BufferOutputStream()
        with pa.ipc.new_file(sink, SCHEMA) as writer:
            writer.write_batch(pack(text_rows(columns.table)))
        made = self._keep(self._path(shard, group), sink.getvalue())
        self._groups.put(key, made)
        return made

    def footer(self, shard: str, stop: Event = NEVER) -> Any:
        """Return a shard's metadata; see `load`."""
        return self._footer(shard, self._store.until(stop))

    def _footer(self, shard: str, store: Store) -> Any:
        return self._footers.get(shard, lambda: read_footer(store, shard, self._sizes[shard]))

    def _path(self, shard: str, group: int) -> Path:
        return self._folder / shard.replace("/", "--").removesuffix(".parquet") / f"{group}.arrow"

    def _load(self, shard: str, group: int, around: Around | None, stop: Event) -> "MappedTexts | _Columns":
        path = self._path(shard, group)
        if path.exists():
            return MappedTexts(path)
        store: Store = self._store.until(stop)
        if around is None or around.bytes > GUESSED or self._footers.peek(shard) is not None:
            return _Columns(read_text_table(store, shard, self._footer(shard, store), group))
        if self._footers.coming(shard):
            fetched = _Fetched.read_ranges(store, shard, [around.before, around.behind])
            return _Columns(read_text_table(fetched, shard, self._footer(shard, store), group))
        size = self._sizes[shard]
        tail = footer_start(store, size, around.groups), size
        pieces: Store = store

        def read_all() -> Any:
            nonlocal pieces
            pieces = _Fetched.read_ranges(store, shard, [around.before, around.behind, tail])
            return read_footer(pieces, shard, size, around.groups)

        footer = self._footers.get(shard, read_all)  # another thread may have come first; then there are no pieces
        return _Columns(read_text_table(pieces, shard, footer, group))

    def _keep(self, path: Path, data: pa.Buffer) -> MappedTexts:
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


class _Columns:
    """The texts of a row group as decoded columns.

    Attributes:
        table: All columns but the images' bytes.
        made: How many rows were made of it.
        bytes: That it takes.
    """

    def __init__(self, table: pa.Table) -> None:
        self.table, self.made, self.bytes = table, 0, table.nbytes
        self._training = table.select(list(TRAINING))
        self._bounds: dict[int, int] = {}
        self._claimed = Lock()

    def row(self, number: int, *, rest: bool) -> Row:
        """Make one row; see `texts.take_rows`."""
        row = only_row((self.table if rest else self._training).slice(number, 1))
        self._bounds[number] = whole_bound(row)
        self.made += 1
        return row

    def bound(self, number: int) -> int:
        """Return a row's `whole_bound`."""
        if number not in self._bounds:
            self.row(number, rest=False)
        return self._bounds[number]

    def claim(self) -> bool:
        """Whether the caller is the first to ask, and so the one who makes all rows."""
        return self._claimed.acquire(blocking=False)


class _Fetched:
    """A store some ranges of whose one file that is read are there already."""

    remote = True

    def __init__(self, store: Store, pieces: Mapping[tuple[int, int], bytes]) -> None:
        self.where, self.size, self.paths = store.where, store.size, store.paths
        self._store, self._pieces = store, pieces

    @classmethod
    def read_ranges(cls, store: Store, path: str, ranges: Sequence[tuple[int, int]]) -> "_Fetched":
        """Read ranges of a file, all at the same time."""
        apart = joined(ranges)
        return cls(store, dict(zip(apart, store.read_many(path, apart), strict=True)))

    def read(self, path: str, start: int = 0, end: int | None = None) -> bytes:
        """Read bytes `start` to `end`; see `Store.read`."""
        found = None if end is None else self._find(start, end)
        return self._store.read(path, start, end) if found is None else found

    def read_many(self, path: str, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """Read several ranges; see `Store.read_many`."""
        found = [self._find(start, end) for start, end in ranges]
        if None in found:
            return self._store.read_many(path, ranges)
        return [data for data in found if data is not None]

    def _find(self, start: int, end: int) -> bytes | None:
        for (first, last), data in self._pieces.items():
            if first <= start and end <= last:
                return data[start - first : end - first]
        return None
