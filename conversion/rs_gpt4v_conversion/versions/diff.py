"""What differs between two releases: rows by id and column, columns, splits, and the bytes of shards.

A shard that both have under the same task, source and split with the same digest holds the same rows: it is not read.
Of the others every column is read, a row group at a time, and of the image only whether it is there: `image_sha256`
stands for its bytes. See rows.py for what that takes in memory and on the disk.
"""

import itertools
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rs_gpt4v_conversion.naming import SPLITS
from rs_gpt4v_conversion.progress import Progress
from rs_gpt4v_conversion.release import ShardEntry
from rs_gpt4v_conversion.versions.columns import NO_CHANGE, SchemaChange, columns_of, merged, schema_change
from rs_gpt4v_conversion.versions.opened import ReleaseAt
from rs_gpt4v_conversion.versions.rows import SPLIT, Part, RowTables, Side

if TYPE_CHECKING:
    import rs_gpt4v

SHOWN = 100
"""So many ids of each kind are kept, the first by their order as text."""

_IMAGE = "image"
_IMAGE_THERE = "image.path"
"""The leaf that is read of an image: null where the image is null as a whole."""

_AT_ONCE = 64  # rows as Python values


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """A release in short."""

    version: str
    date: str
    rows: int
    qa_pairs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ids:
    """Rows, counted, and the ids of the first."""

    count: int
    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MovedRows:
    """Rows of the same image and task that lie in another split; where the id changed, also added and removed."""

    count: int
    ids: tuple[tuple[str, str], ...]  # old, new
    ways: Mapping[tuple[str, str, str, str], int]  # rows by task, source, old and new split
    renamed: Mapping[tuple[str, str, str, str], int]  # those among `ways` whose id changed


@dataclass(frozen=True, slots=True, kw_only=True)
class PartChange:
    """A task's split of a source in both releases."""

    task: str
    source: str
    split: str
    old_rows: int
    new_rows: int
    old_pairs: int
    new_pairs: int
    added: int  # rows; what moved in from another split under a new id is among them
    removed: int
    changed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitChange:
    """Splits of the sources that both releases have: (source, split)."""

    added: tuple[tuple[str, str], ...]
    removed: tuple[tuple[str, str], ...]

    def __bool__(self) -> bool:
        return bool(self.added or self.removed)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardChange:
    """Shards of data/ and their bytes. Those with a digest that the old release has, under any name, are the same."""

    same: int
    same_bytes: int
    new: int
    new_bytes: int
    gone: int
    gone_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Diff:
    """What differs between two releases."""

    old: Version
    new: Version
    added: Ids
    removed: Ids
    changed: Ids  # rows with one id and different values in columns that both releases have
    by_column: Mapping[str, int]  # changed rows by column; `split` is the one that the file's path states
    moved: MovedRows
    schema: SchemaChange
    splits: SplitChange
    parts: tuple[PartChange, ...]
    shards: ShardChange

    def __bool__(self) -> bool:
        return bool(self.added.count or self.removed.count or self.changed.count or self.schema or self.splits)


@dataclass(slots=True)
class _Listed:
    """Rows of one kind as they are met."""

    shown: int
    count: int = 0
    ids: list[str] = field(default_factory=list)
    parts: Counter[Part] = field(default_factory=Counter)

    def add(self, record: str, part: Part) -> None:
        self.count += 1
        self.parts[part] += 1
        if len(self.ids) < self.shown:
            self.ids.append(record)

    def all(self, rows: Iterable[tuple[str, Part]]) -> "_Listed":
        for record, part in rows:
            self.add(record, part)
        return self

    @property
    def total(self) -> Ids:
        return Ids(count=self.count, ids=tuple(self.ids))


@dataclass(frozen=True, slots=True)
class _Unshared:
    """The shards of a release that the other one does not have."""

    release: ReleaseAt
    shards: "list[tuple[ShardEntry, rs_gpt4v.ShardFile]]"
    columns: dict[str, str]  # types

    @property
    def rows(self) -> int:
        return sum(entry.rows for entry, _ in self.shards)


def compare(old: ReleaseAt, new: ReleaseAt, *, shown: int = SHOWN) -> Diff:
    """Compare two releases.

    Args:
        old: The earlier one.
        new: The later one.
        shown: How many ids of each kind to keep.

    Raises:
        UsageError: A release cannot be read, or is broken.
    """
    sides: dict[Side, _Unshared] = {"old": _unshared(old, new), "new": _unshared(new, old)}
    before, after = sides["old"].columns, sides["new"].columns
    common = [name for name in before if name in after and name != "id"]
    progress = Progress("comparing", sum(side.rows for side in sides.values()), "rows")
    with tempfile.TemporaryDirectory(prefix="rs-gpt4v-diff-") as folder, RowTables(Path(folder), common) as tables:
        for name, side in sides.items():
            for entry, shard in side.shards:
                _enter(tables, name, side.release, entry, shard, common, progress.advance)
        progress.close()
        schema = schema_change(before, after) if before and after else NO_CHANGE  # without a row there is no column
        return _diff(old, new, tables, schema, shown)


def _unshared(release: ReleaseAt, other: ReleaseAt) -> _Unshared:
    shared = {_content(entry) for entry in other.shards}
    shards = [(entry, release.shard(entry)) for entry in release.shards if _content(entry) not in shared]
    stating = shards or [(entry, release.shard(entry)) for entry in release.shards[:1]]
    found = []
    for entry, shard in stating:
        with release.read(entry.path):
            found.append((entry.path, columns_of(shard.metadata)))
    return _Unshared(release, shards, merged(found, release.address))


def _content(entry: ShardEntry) -> tuple[Part, str]:
    return _part(entry), entry.sha256


def _part(entry: ShardEntry) -> Part:
    return Part(entry.task, entry.source, entry.split)


def _enter(
    tables: RowTables, side: Side, release: ReleaseAt, entry: ShardEntry, shard: "rs_gpt4v.ShardFile",
    common: list[str], advance: Callable[[int], None],
) -> None:  # fmt: skip
    there = set(columns_of(shard.metadata))
    columns = ["id", *(_IMAGE_THERE if name == _IMAGE else name for name in common if name in there)]
    with release.read(entry.path):
        for rows in _rows(shard, columns):
            tables.add(side, _part(entry), rows)
            advance(len(rows))


def _rows(shard: "rs_gpt4v.ShardFile", columns: list[str]) -> Iterator[list[dict[str, Any]]]:
    for group in range(shard.groups):
        for batch in shard.table(group, columns).to_batches(max_chunksize=_AT_ONCE):
            yield batch.to_pylist()


def _diff(old: ReleaseAt, new: ReleaseAt, tables: RowTables, schema: SchemaChange, shown: int) -> Diff:
    added, removed = (_Listed(shown).all(tables.only_in(side)) for side in ("new", "old"))
    changed, columns = _Listed(shown), Counter[str]()
    ids: list[tuple[str, str]] = []
    ways, renamed = Counter[tuple[str, str, str, str]](), Counter[tuple[str, str, str, str]]()
    for row in tables.changed():
        changed.add(row.id, row.part)
        columns.update(row.columns)
        if SPLIT in row.columns:
            ways[row.part.task, row.part.source, row.was.split, row.part.split] += 1
            ids.append((row.id, row.id))
            del ids[shown:]
    for moved in tables.moved():
        renamed[moved.part.task, moved.part.source, moved.was.split, moved.part.split] += 1
        ids.append((moved.old, moved.new))
        del ids[shown:]
    ways += renamed
    return Diff(
        old=_version(old), new=_version(new), added=added.total, removed=removed.total, changed=changed.total,
        by_column={name: columns[name] for name in tables.columns if columns[name]},
        moved=MovedRows(count=ways.total(), ids=tuple(ids), ways=_sorted(ways), renamed=_sorted(renamed)),
        schema=schema, splits=_splits(old, new), parts=_parts(old, new, added.parts, removed.parts, changed.parts),
        shards=_shards(old, new),
    )  # fmt: skip


def _sorted(ways: Counter[tuple[str, str, str, str]]) -> dict[tuple[str, str, str, str], int]:
    return dict(sorted(ways.items()))


def _version(release: ReleaseAt) -> Version:
    return Version(
        version=release.version, date=release.date, rows=sum(s.rows for s in release.shards),
        qa_pairs=sum(s.qa_pairs for s in release.shards),
    )  # fmt: skip


def _splits(old: ReleaseAt, new: ReleaseAt) -> SplitChange:
    before, after = ({(s.source, s.split) for s in release.shards} for release in (old, new))
    both = {source for source, _ in before} & {source for source, _ in after}

    def of_both(splits: set[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
        return tuple(sorted((source, split) for source, split in splits if source in both))

    return SplitChange(added=of_both(after - before), removed=of_both(before - after))


def _parts(
    old: ReleaseAt, new: ReleaseAt, added: Counter[Part], removed: Counter[Part], changed: Counter[Part]
) -> tuple[PartChange, ...]:
    rows: dict[Side, Counter[Part]] = {"old": Counter(), "new": Counter()}
    pairs: dict[Side, Counter[Part]] = {"old": Counter(), "new": Counter()}
    sides: tuple[tuple[Side, ReleaseAt], ...] = (("old", old), ("new", new))
    for side, entry in itertools.chain.from_iterable(((s, e) for e in r.shards) for s, r in sides):
        rows[side][_part(entry)] += entry.rows
        pairs[side][_part(entry)] += entry.qa_pairs
    return tuple(
        PartChange(
            task=part.task, source=part.source, split=part.split,
            old_rows=rows["old"][part], new_rows=rows["new"][part],
            old_pairs=pairs["old"][part], new_pairs=pairs["new"][part],
            added=added[part], removed=removed[part], changed=changed[part],
        )
        for part in sorted(rows["old"].keys() | rows["new"].keys(), key=_order)
    )  # fmt: skip


def _order(part: Part) -> tuple[str, str, int, str]:
    known = SPLITS.index(part.split) if part.split in SPLITS else len(SPLITS)
    return part.task, part.source, known, part.split


def _shards(old: ReleaseAt, new: ReleaseAt) -> ShardChange:
    before, after = ({s.sha256 for s in release.shards} for release in (old, new))
    same = [s.bytes for s in new.shards if s.sha256 in before]
    come = [s.bytes for s in new.shards if s.sha256 not in before]
    gone = [s.bytes for s in old.shards if s.sha256 not in after]
    return ShardChange(
        same=len(same), same_bytes=sum(same), new=len(come), new_bytes=sum(come), gone=len(gone), gone_bytes=sum(gone)
    )
