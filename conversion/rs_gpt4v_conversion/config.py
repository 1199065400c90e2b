"""SOURCES.toml: what the user says should be compiled."""

import datetime
import difflib
import re
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rs_gpt4v_conversion.errors import UsageError
from rs_gpt4v_conversion.sources import Option, Options, Source, known_sources

VERSION = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)")
NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")

KEYS = ("kind", "name", "root", "limit", "max_side", "reject_limit")
"""Keys of a [[source]] table that every source knows."""

RESERVED = {
    "all", "mini", "captioning", "vqa", "grounding", "region_captioning", "detailed_description",
    "conversation", "task_planning", "train", "validation", "test", "phili", "data", "default",
}  # fmt: skip
"""Names that a release uses for configs and splits: no source may have one (tested against the contract)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSpec:
    """One [[source]] table, checked."""

    name: str  # in ids, paths and configs
    source: Source
    root: Path
    options: Options
    limit: int | None  # at most so many images, chosen by hash of the id
    max_side: int | None  # images are reduced so that no side is longer, pixels
    reject_limit: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """A SOURCES.toml, checked."""

    path: Path
    version: str  # of the release
    date: str  # of its publication, ISO 8601; nothing else in a release knows the time
    sources: tuple[SourceSpec, ...]


def load_config(path: Path) -> Config:
    """Read and check a SOURCES.toml.

    Raises:
        UsageError: It cannot be read, is no TOML, or says something unknown.
    """
    table = _parse(path)
    _known(table, ("version", "date", "source"), f"{path}")
    version = _string(table, "version", f"{path}")
    if not VERSION.fullmatch(version):
        raise UsageError(f"{path}: version is {version!r}, expected three numbers such as 1.0.0")
    entries = table.get("source")
    if not isinstance(entries, list) or not entries:
        raise UsageError(f"{path}: no [[source]] table, expected at least one")
    specs = tuple(_spec(entry, path, i) for i, entry in enumerate(entries, 1))
    names = [spec.name for spec in specs]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"{path}: two sources are called {name!r}; give one of them another `name`")
    return Config(path=path, version=version, date=_date(table, path), sources=specs)


def _parse(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_bytes().decode())
    except FileNotFoundError:
        raise UsageError(f"{path}: no such file; `rs-gpt4v sample DIR` draws an example with one") from None
    except (IsADirectoryError, PermissionError) as error:
        raise UsageError(f"{path}: {error.strerror}, expected a TOML file") from None
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: byte {error.start} is not UTF-8, expected a TOML file") from None
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path}: not TOML: {error}") from None


def _spec(entry: Any, path: Path, number: int) -> SourceSpec:
    where = f"{path}, source {number}"
    if not isinstance(entry, dict):
        raise UsageError(f"{where}: expected a table")
    kind = _string(entry, "kind", where)
    known = known_sources()
    if kind not in known:
        raise UsageError(f"{where}: unknown kind {kind!r}{_near(kind, known)}")
    source = known[kind]
    where = f"{where} ({kind})"
    _known(entry, (*KEYS, *(o.name for o in source.options)), where)
    name = _string(entry, "name", where, default=kind)
    if not NAME.fullmatch(name) or name in RESERVED:
        raise UsageError(
            f"{where}: name {name!r} may not be used; expected lower-case letters, digits, - and _, "
            "and no name of a task, split or config"
        )
    root = path.parent / _string(entry, "root", where)
    if not root.is_dir():
        raise UsageError(f"{where}: root {root} is no folder; it is taken relative to {path.parent.resolve()}")
    options = _options(entry, source, root, path.parent, where)
    return SourceSpec(
        name=name,
        source=_stated(source, options),
        root=root,
        options=options,
        limit=_whole(entry, "limit", "a number of images of at least 1", where),
        max_side=_whole(entry, "max_side", "a number of pixels of at least 1", where),
        reject_limit=_share(entry, source.reject_limit, where),
    )


def _options(entry: dict[str, Any], source: Source, root: Path, base: Path, where: str) -> Options:
    options: dict[str, str | int | float] = {}
    for option in source.options:
        if option.name not in entry:
            continue
        value = _number(entry, option, where) if option.least is not None else _string(entry, option.name, where)
        if option.choices and value not in option.choices:
            expected = ", ".join(option.choices)
            raise UsageError(f"{where}: {option.name} is {value!r}, expected one of {expected}")
        if option.path:
            value = str(next((p for p in (root / str(value), base / str(value)) if p.exists()), root / str(value)))
        options[option.name] = value
    return options


def _stated(source: Source, options: Options) -> Source:
    """A source with the facts about it that the user states: of an import only they are known."""
    stated: dict[str, Any] = {o.name: options[o.name] for o in source.options if o.states and o.name in options}
    for name, value in stated.items():
        if isinstance(getattr(source, name), bool):
            stated[name] = value == "yes"
    return replace(source, **stated)


def _number(entry: dict[str, Any], option: Option, where: str) -> int | float:
    value = entry[option.name]
    kinds = int if isinstance(option.least, int) else int | float
    if isinstance(value, bool) or not isinstance(value, kinds) or option.least is None or value < option.least:
        kind = "a whole number" if kinds is int else "a number"
        raise UsageError(f"{where}: {option.name} is {value!r}, expected {kind} of at least {option.least}")
    number: int | float = value
    return number


def _whole(entry: dict[str, Any], key: str, expected: str, where: str) -> int | None:
    value = entry.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise UsageError(f"{where}: {key} is {value!r}, expected {expected}")
    return value


def _share(entry: dict[str, Any], default: float, where: str) -> float:
    share = entry.get("reject_limit", default)
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= 1:
        raise UsageError(f"{where}: reject_limit is {share!r}, expected a share from 0 to 1")
    return float(share)


def _date(table: dict[str, Any], path: Path) -> str:
    value = table.get("date")
    if isinstance(value, datetime.date) and not isinstance(value, datetime.datetime):
        return value.isoformat()
    try:
        return datetime.date.fromisoformat(str(value)).isoformat()
    except ValueError:
        raise UsageError(f"{path}: date is {value!r}, expected a day such as 2026-11-23") from None


def _string(table: dict[str, Any], key: str, where: str, default: str | None = None) -> str:
    value = table.get(key, default)
    if not isinstance(value, str) or not value:
        found = "missing" if value is None else f"{value!r}"
        raise UsageError(f"{where}: {key} is {found}, expected a string")
    return value


def _known(table: dict[str, Any], keys: tuple[str, ...], where: str) -> None:
    for key in table:
        if key not in keys:
            raise UsageError(f"{where}: unknown key {key!r}{_near(key, keys)}")


def _near(word: str, known: Any) -> str:
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return (f", did you mean {near[0]!r}?" if near else ";") + f" Known: {', '.join(known)}"
