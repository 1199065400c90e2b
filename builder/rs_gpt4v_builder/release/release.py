"""A release as a random-access store: any row of any config and split, in any order, without a copy of the data."""

import hashlib
import io
import json
import operator
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast, overload

import numpy as np
import numpy.typing as npt
from PIL import Image

from rs_gpt4v_builder.errors import OptionError, ReleaseError, RowError
from rs_gpt4v_builder.release.cachedir import open_cache
from rs_gpt4v_builder.release.groups import GroupImages
from rs_gpt4v_builder.release.index import NULL, UNKNOWN, Index, Lines, Shard, load_index
from rs_gpt4v_builder.release.store import LocalStore, Store, open_store
from rs_gpt4v_builder.release.texts import TRAINING, CachedTexts, Row, Texts
from rs_gpt4v_builder.text.dialogues import read_text

if TYPE_CHECKING:
    from rs_gpt4v_builder.network.access import Network
    from rs_gpt4v_builder.network.remote import RemoteStore

MANIFEST = "manifest.json"


class Release:
    """A release folder, local or remote.

    Args:
        where: The folder, or its URL (`hf://datasets/…`, `https://…`, whatever `fsspec` knows).
        cache: Folder for what a reader makes of a release (its texts in a form made for random access, a few hundred
            bytes a row, and where each row lies); None is `$RS_GPT4V_CACHE`, else the user's cache folder.
        cache_images: For a remote release: whether images that were read stay on this machine's disk, so that they come
            over the network once; or the folder for them.
        cache_bytes: Bytes of images up to which that is done; None is no limit.

    Attributes:
        version: Of the release; empty where a copy has lost its manifest.
        digest: SHA-256 of its manifest, by which caches know it.

    Raises:
        ReleaseError: There is no release.
    """

    def __init__(
        self,
        where: str | Path,
        *,
        cache: str | Path | None = None,
        cache_images: bool | str | Path = False,
        cache_bytes: int | None = None,
    ) -> None:
        # a worker opens it anew, maybe from another folder
        where = str(where).removeprefix("file://")
        self.where = where if "://" in where else _absolute(where)
        self._cache_root = cache = None if cache is None else _absolute(cache)
        self._cache_images = cache_images if isinstance(cache_images, bool) else _absolute(cache_images)
        self._cache_bytes = cache_bytes
        self._store = open_store(self.where)
        self._manifest, self.digest = _open_manifest(self._store, cache)
        self.version: str = self._manifest.get("version", "")
        self._cache = open_cache(self.digest, cache)
        self._images = GroupImages(self._store)

    def __reduce__(self) -> tuple[Any, tuple[str, dict[str, Any]]]:
        options = {
            "cache": self._cache_root,
            "cache_images": self._cache_images,
            "cache_bytes": self._cache_bytes,
        }
        return _reopen, (self.where, options)  # a worker of a data loader opens it anew

    def __repr__(self) -> str:
        return f"Release({self._store.where!r}, version {self.version})"

    @cached_property
    def configs(self) -> tuple[str, ...]:
        """Names of the configs: `all`, `mini`, the tasks and the sources."""
        parts = [path.split("/") for path in self._data]
        mini = ("mini",) if self._mini else ()
        return tuple(dict.fromkeys(("all", *mini, *(p[1] for p in parts), *(p[2] for p in parts))))

    def splits(self, config: str = "all") -> tuple[str, ...]:
        """Names of the splits of a config."""
        return tuple(dict.fromkeys(_split(path) for path in self._paths(config)))

    def rows(
        self, config: str = "all", split: str = "train", *, columns: Sequence[str] | None = None, decode: bool = False
    ) -> "Rows":
        """Return the rows of one config and split.

        Args:
            config: `all`, `mini`, a task or a source.
            split: One of `splits(config)`.
            columns: Names of columns; None is all of them. Rows of `id`, `image`, `conversations` and `pairs`, which is
                what a training step needs, are read faster than whole ones.
            decode: Whether `image` is a `PIL.Image.Image`; else it is a dict of `bytes` (as the release has them) and
                `path`.

        Raises:
            OptionError: The release has no such config or split; the message lists them.
        """
        paths = {path for path in self._paths(config) if _split(path) == split}
        if not paths:
            raise OptionError.unknown("split", split, self.splits(config))
        index = self._mini_index if config == "mini" else self._index
        shards = [shard for shard in index.shards if shard.path in paths]
        return Rows(self, config, split, columns=columns, decode=decode, place=_Place(index, tuple(shards)))

    @cached_property
    def texts(self) -> Texts:
        """The texts of its rows."""
        return self._cached_texts if self.network is None else self.network.texts

    @cached_property
    def _cached_texts(self) -> CachedTexts:
        return CachedTexts(self._store, self._cache)

    @cached_property
    def network(self) -> "Network | None":
        """What a remote release has beside its files; None for a local one."""
        if isinstance(self._store, LocalStore):
            return None
        from rs_gpt4v_builder.network.access import Network, open_images

        images = open_images(self._cache_images, self._cache_bytes, self._cache, self.digest)
        return Network(self._store, self._data | self._mini, self._cache, images)

    @property
    def store(self) -> Store:
        """Its files."""
        return self._store

    def image(self, index: Index, shard: Shard, number: int) -> bytes | None:
        """Return the image of one line of an index."""
        line = index.line(number)
        if self.network is not None:
            return self.network.image(index, number, line)
        return self._image(shard.path, line.offset, line.length, line.group, line.row)

    def fetch(
        self, places: "Places", *, rest: bool = True, images: bool = True, warm: bool = False
    ) -> tuple[list[Row], list[int]]:
        """Read many rows of a local release, in the order given, and their `dialogues.whole_bound`; the shortest way.

        Args:
            places: Where they lie.
            rest: Whether all columns are wanted, not only `texts.TRAINING`.
            images: Whether the images are wanted, too; else their `bytes` are None.
            warm: Whether the images are likely to be in memory; see `LocalStore.copies`.
        """
        # images come first: rows that are still in the processor's cache are quick to go through again
        found = self._fetch_images(places, warm) if images else [None] * len(places.rows)
        return self._cached_texts.join(places.shards, places.groups, places.rows, found, rest=rest)

    def _fetch_images(self, places: "Places", warm: bool) -> list[bytes | None]:
        _, shards, offsets, lengths, groups, rows = places
        if warm and isinstance(self._store, LocalStore) and UNKNOWN not in offsets:
            return self._store.copies(shards, offsets, lengths)
        return list(map(self._image, shards, offsets, lengths, groups, rows))

    def ahead(self, places: "Places") -> None:
        """Say that the images of these rows will be fetched soon, where the store can make use of it."""
        tell = getattr(self._store, "ahead", None)
        if tell is None:
            return
        for shard, offset, length in zip(places.shards, places.offsets, places.lengths, strict=True):
            if offset >= 0:
                tell(shard, offset, offset + length)

    def _image(self, shard: str, offset: int, length: int, group: int, row: int) -> bytes | None:
        if offset >= 0:
            return self._store.read(shard, offset, offset + length)
        return None if offset == NULL else self._images.image(shard, group, row)

    @cached_property
    def _data(self) -> dict[str, int]:
        """Bytes of the shards of data/, by path."""
        if "shards" in self._manifest:
            return {shard["path"]: shard["bytes"] for shard in self._manifest["shards"]}
        return {path: self._store.size(path) for path in self._store.paths("data") if path.endswith(".parquet")}

    @cached_property
    def _mini(self) -> dict[str, int]:
        if "files" in self._manifest:
            files = self._manifest["files"]
            return {path: files[path]["bytes"] for path in files if path.startswith("mini/")}
        return {path: self._store.size(path) for path in self._store.paths("mini") if path.endswith(".parquet")}

    @cached_property
    def _index(self) -> Index:
        rows = {shard["path"]: shard["rows"] for shard in self._manifest.get("shards", ())}
        listed = "index.parquet" in (self._manifest["files"] if "files" in self._manifest else self._store.paths(""))
        # a copy may have lost it, whatever its manifest says
        if listed and isinstance(self._store, LocalStore):
            listed = (Path(self.where) / "index.parquet").is_file()
        return load_index(self._store, self._data, rows, self._cache, listed=listed)

    @cached_property
    def _mini_index(self) -> Index:
        return load_index(self._store, self._mini, {}, self._cache, listed=False)

    def _paths(self, config: str) -> list[str]:
        if config not in self.configs:
            raise OptionError.unknown("config", config, self.configs)
        if config == "mini":
            return list(self._mini)
        return [path for path in self._data if config == "all" or config in path.split("/")[1:3]]


def _absolute(path: str | Path) -> str:
    return str(Path(path).expanduser().absolute())


def _reopen(where: str, options: dict[str, Any]) -> Release:
    return Release(where, **options)


def _open_manifest(store: "LocalStore | RemoteStore", cache: str | Path | None) -> tuple[dict[str, Any], str]:
    if isinstance(store, LocalStore):
        return _read_manifest(store)
    from rs_gpt4v_builder.network.access import meet, root_of

    return meet(store, root_of(cache), lambda: _read_manifest(store))


def _read_manifest(store: Store) -> tuple[dict[str, Any], str]:
    """The manifest of a release and its digest; of a local copy without one, a digest of its files."""
    if isinstance(store, LocalStore) and MANIFEST not in store.paths(""):
        names = [path for path in store.paths("") if path.endswith(".parquet")]
        if not names:
            raise ReleaseError(f"{store.where} is no release of RS-GPT4V: it holds no {MANIFEST} and no Parquet files")
        state = json.dumps([(name, store.size(name), store.changed(name)) for name in names])
        return {}, hashlib.sha256(state.encode()).hexdigest()
    data = store.read(MANIFEST)
    try:
        manifest = json.loads(data)
    except ValueError as error:
        raise ReleaseError(f"{store.where}: {MANIFEST} is no JSON ({error}); fetch the release again") from error
    if not isinstance(manifest, dict) or "shards" not in manifest or "files" not in manifest:
        raise ReleaseError(f"{store.where}: {MANIFEST} lists no shards, so this is no release of RS-GPT4V")
    return manifest, hashlib.sha256(data).hexdigest()


def _split(path: str) -> str:
    return path.rsplit("/", 1)[1].split("-")[0]


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the rows of a config and split lie in an index."""

    index: Index
    shards: tuple[Shard, ...]

    @property
    def ends(self) -> list[int]:
        """Position behind the last row of each shard."""
        return list(accumulate(shard.rows for shard in self.shards))


class Places(NamedTuple):
    """Where some rows lie, in the order in which they are wanted."""

    positions: npt.NDArray[np.int64]  # in the `Rows`, (n,)
    shards: list[str]  # path of each one's shard
    offsets: list[int]  # its image, see `index.LINE`
    lengths: list[int]
    groups: list[int]  # its row group
    rows: list[int]  # its row there

    def part(self, start: int, stop: int) -> "Places":
        """Return those of rows `start` to below `stop`."""
        here = slice(start, stop)
        return Places(
            self.positions[here],
            self.shards[here],
            self.offsets[here],
            self.lengths[here],
            self.groups[here],
            self.rows[here],
        )


class Rows(Sequence[Row]):
    """Rows of a release, a sequence: `len`, `[i]`, `[a:b]`, `[[i, j, …]]`; a map-style dataset for torch.

    A row is a dict of all columns of the contract's FEATURES, made anew each time. A slice and a list of positions give
    a `Rows` again, which holds positions only. Can be pickled: a worker opens the release anew. May be read from
    several threads.
    """

    def __init__(
        self,
        release: Release,
        config: str,
        split: str,
        *,
        columns: Sequence[str] | None,
        decode: bool,
        place: _Place,
        chosen: range | npt.NDArray[np.int64] | None = None,
    ) -> None:
        self.release, self.config, self.split, self.decode = release, config, split, decode
        self.columns = None if columns is None else tuple(columns)
        self._images = columns is None or "image" in columns
        self._rest = columns is None or not set(columns) <= set(TRAINING)
        self._place, self._ends = place, place.ends
        total = self._ends[-1]
        self._chosen: range | npt.NDArray[np.int64] = range(total) if chosen is None else chosen

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return _again, (self.release, self.config, self.split, self.columns, self.decode, self._chosen)

    def __repr__(self) -> str:
        return f"Rows({len(self):,} of {self.config!r}, {self.split!r} in {self.release.store.where!r})"

    def __len__(self) -> int:
        return len(self._chosen)

    @overload
    def __getitem__(self, item: int) -> Row: ...
    @overload
    def __getitem__(self, item: slice | Sequence[int] | npt.NDArray[np.int64]) -> "Rows": ...
    def __getitem__(self, item: int | slice | Sequence[int] | npt.NDArray[np.int64]) -> "Row | Rows":
        """Return a row, or the rows of a slice or a list of positions.

        Raises:
            IndexError: A position is not among them.
            TypeError: These are no positions.
            ReleaseError: The row cannot be read.
        """
        if isinstance(item, slice):
            return self._view(self._chosen[item])
        if getattr(item, "ndim", hasattr(item, "__len__")):  # an array of no dimension is a number
            chosen = np.asarray(item)
            if chosen.dtype == bool:
                raise TypeError("a mask of booleans is no list of positions: use numpy.flatnonzero of it")
            if chosen.ndim != 1 or (chosen.size and chosen.dtype.kind not in "iu"):
                raise TypeError(f"rows are asked for by a position, a slice or a list of positions, not by {item!r}")
            positions = chosen.astype(np.int64)
            if positions.size and not (-len(self) <= positions.min() and positions.max() < len(self)):
                raise IndexError(f"positions {positions.min()} to {positions.max()} of {len(self)} rows")
            positions = np.where(positions < 0, positions + len(self), positions)
            return self._view(self._positions(positions))
        return self._row(int(self._chosen[operator.index(cast(int, item))]))

    def __iter__(self) -> Iterator[Row]:
        return (self._row(int(position)) for position in self._chosen)

    def __getitems__(self, positions: Sequence[int]) -> list[Row]:
        """Return several rows: what a `DataLoader` asks for."""
        wanted = np.asarray(positions, np.int64)
        return self.fetch(np.where(wanted < 0, wanted + len(self), wanted))

    def fetch(self, positions: npt.NDArray[np.int64], *, rest: bool = True) -> list[Row]:
        """Return several rows, faster than one by one.

        Args:
            positions: Of the rows, each from 0 to below `len`, (n,) int64.
            rest: Whether more columns than `texts.TRAINING` are wanted, which takes longer.

        Raises:
            IndexError: A position is not among them.
        """
        return self.read(self.places(positions), rest=rest)

    def places(self, positions: npt.NDArray[np.int64]) -> Places:
        """Find where several rows lie; see `fetch`."""
        shards, lines = self._places(self._positions(positions))
        numbers = [lines[name].tolist() for name in ("offset", "length", "group", "row")]
        return Places(positions, shards, *numbers)

    def read(self, places: Places, *, rest: bool = True, warm: bool = False) -> list[Row]:
        """Return the rows at some places; see `fetch`, and `Release.fetch` for `warm`."""
        return self.read_bounded(places, rest=rest, warm=warm)[0]

    def read_bounded(
        self, places: Places, *, rest: bool = True, warm: bool = False
    ) -> tuple[list[Row], list[int] | None]:
        """Return the rows at some places and what `bounds` gives, None where that would be work of its own."""
        if self.decode or self.release.network is not None:
            return [self[position] for position in places.positions], None
        rows, bounds = self.release.fetch(places, rest=rest and self._rest, images=self._images, warm=warm)
        return rows if self.columns in (None, TRAINING) else [self._cut(row) for row in rows], bounds

    def bounds(self, places: Places) -> list[int]:
        """Return `dialogues.whole_bound` of the rows at some places."""
        return self.release.texts.bounds(places.shards, places.groups, places.rows)

    def ahead(self, positions: npt.NDArray[np.int64]) -> None:
        """Say that these rows will be fetched soon, as in `fetch`."""
        self.release.ahead(self.places(positions))

    @property
    def layout(self) -> Index:
        """Where all rows of the release lie."""
        return self._place.index

    def numbers(self, positions: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Numbers of the lines of the index of some rows, both (n,) int64."""
        _, ends, moves = self._table
        places = self._positions(positions)
        found: npt.NDArray[np.int64] = places + moves[np.searchsorted(ends, places, side="right")]
        return found

    @property
    def lines(self) -> Lines:
        """Where the rows lie: an array of `index.LINE`, (rows,)."""
        if isinstance(self._chosen, range) and self._chosen.step == 1:
            parts = []
            start, stop = self._chosen.start, self._chosen.stop
            for shard, end in zip(self._place.shards, self._ends, strict=True):
                begin = end - shard.rows
                first, last = max(start, begin), min(stop, end)
                if first < last:
                    parts.append(self._place.index.lines[shard.start + first - begin : shard.start + last - begin])
            return parts[0] if len(parts) == 1 else np.concatenate([self._place.index.lines[:0], *parts])
        return self._places(np.asarray(self._chosen, np.int64))[1]

    def _positions(self, positions: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Positions in the config and split of positions in these rows."""
        # one step for both ends: as an unsigned number one below 0 is huge
        if positions.size and positions.view(np.uint64).max() >= len(self):
            raise IndexError(f"positions {positions.min()} to {positions.max()} of {len(self)} rows")
        if not isinstance(self._chosen, range):
            return self._chosen[positions]
        start, step = self._chosen.start, self._chosen.step
        return positions if (start, step) == (0, 1) else start + positions * step

    def _places(self, positions: npt.NDArray[np.int64]) -> tuple[list[str], Lines]:
        """Shards and lines of positions in the config and split."""
        names, ends, moves = self._table
        numbers = np.searchsorted(ends, positions, side="right")
        return [names[number] for number in numbers.tolist()], self.layout.take(positions + moves[numbers])

    @cached_property
    def _table(self) -> tuple[list[str], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Path, last position + 1, and distance from position to line of each shard."""
        ends = np.array(self._ends, np.int64)
        stops = np.array([shard.stop for shard in self._place.shards], np.int64)
        return [shard.path for shard in self._place.shards], ends, stops - ends

    @property
    def shards(self) -> tuple[tuple[Shard, int, int], ...]:
        """Shards that the rows lie in, with the first position of each and the one behind its last (unsliced rows)."""
        return tuple((s, e - s.rows, e) for s, e in zip(self._place.shards, self._ends, strict=True))

    def dialogues(self) -> npt.NDArray[np.int32]:
        """Count the independent dialogues of each row, (rows,) int32; reads the texts where the index lacks them."""
        counts = np.array(self.lines["dialogues"], np.int32)
        for position in np.flatnonzero(counts == UNKNOWN).tolist():
            counts[position] = _dialogues(self.text(position))
        return counts

    def words(self) -> npt.NDArray[np.int32]:
        """Count the words of each row, (rows,) int32: the lengths that LLaVA's sampler groups by."""
        counts = np.array(self.lines["words"], np.int32)
        for position in np.flatnonzero(counts == UNKNOWN).tolist():
            turns = self.text(position)["conversations"]
            counts[position] = sum(len(turn["value"].replace("<image>", "").split()) for turn in turns)
        return counts

    def text(self, position: int) -> Row:
        """Return a row without its image's bytes: `image` is None or a tuple of its path."""
        shard, number = self._find(int(self._chosen[position]))
        line = self.layout.line(number)
        return self.release.texts.row(shard.path, line.group, line.row)

    def _view(self, chosen: range | npt.NDArray[np.int64]) -> "Rows":
        return Rows(
            self.release, self.config, self.split, columns=self.columns, decode=self.decode, place=self._place,
            chosen=chosen,
        )  # fmt: skip

    def _find(self, position: int) -> tuple[Shard, int]:
        """The shard of a row, and the number of its line."""
        number = bisect_right(self._ends, position)
        shard = self._place.shards[number]
        return shard, shard.stop - (self._ends[number] - position)

    def _row(self, position: int) -> Row:
        shard, number = self._find(position)
        line = self.layout.line(number)
        row = self.release.texts.row(shard.path, line.group, line.row)
        if row["image"] is not None and self._images:
            data = self.release.image(self.layout, shard, number)
            if self.decode:
                row["image"] = None if data is None else _decoded(data, row["id"])
            else:
                row["image"] = {"bytes": data, "path": row["image"][0]}
        return self._cut(row)

    def _cut(self, row: Row) -> Row:
        """Leave the columns that are wanted."""
        if self.columns is None:
            return row
        try:
            return {name: row[name] for name in self.columns}
        except KeyError as error:
            raise OptionError.unknown("columns", error.args[0], row) from None


def _again(
    release: Release,
    config: str,
    split: str,
    columns: tuple[str, ...] | None,
    decode: bool,
    chosen: range | npt.NDArray[np.int64],
) -> Rows:
    return release.rows(config, split, columns=columns, decode=decode)._view(chosen)


def _dialogues(row: Row) -> int:
    try:
        return len(read_text(row).dialogues)
    except RowError:  # a matter of whoever encodes the row
        return 1


def _decoded(data: bytes, name: str) -> Image.Image:
    try:
        image = Image.open(io.BytesIO(data))
        image.load()
    except (OSError, SyntaxError, ValueError) as error:
        raise ReleaseError(f"row {name!r}: its image cannot be decoded ({error}); fetch the release again") from error
    return image
