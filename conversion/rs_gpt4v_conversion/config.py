"""SOURCES.toml: what the user says should be compiled."""

import datetime
import difflib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from rs_gpt4v_conversion.errors import UsageError
from rs_gpt4v_conversion.records import BoxForm
from rs_gpt4v_conversion.sources import Option, Options, Source, known_sources

MODEL = "gpt-4o-2024-11-20"
"""Who is asked unless the user names another: the model of the paper can no longer be called."""

ROUNDS = 3
"""Times that one request is exported at most."""

UNFIT_ANSWERS = 0.5
"""Share of answers that may be unfit before a build stops."""

Structured = Literal["json_schema", "json_object", "none"]
"""How a server is told the form of an answer: by a schema that it enforces, or by words with its JSON mode or none."""

Detail = Literal["low", "high", "auto"]
"""How closely a vendor's model looks at an image, where it knows the difference."""

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
    source: Source  # as the options make it
    root: Path
    options: Options
    limit: int | None  # at most so many images, chosen by hash of the id
    max_side: int | None  # images are reduced so that no side is longer, pixels
    reject_limit: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """The [gpt4v] table, checked: who is asked about what, and where requests and answers lie."""

    requests: Path  # the folder of requests and answers, see gpt4v/workspace.py
    responses: tuple[Path, ...] = ()  # answer files that other programs fetched, imported before answers are used
    model: str = MODEL
    sources: tuple[str, ...] | None = None  # names of those that are asked about, None: all with objects or captions
    boxes: BoxForm = "obb"  # how boxes are written in questions, where objects have both forms
    structured: Structured = "json_schema"
    detail: Detail = "high"
    rounds: int = ROUNDS  # times that one request is exported at most
    reject_limit: float = UNFIT_ANSWERS  # share of answers that may be unfit before a build stops
    prices: Path | None = None  # the user's own table
    parameters: Mapping[str, Any] = field(default_factory=dict)  # of every request's body, beside model and messages
    severities: Mapping[str, str] = field(default_factory=dict)  # of checks, `off`, `warn` or `error`, by their names


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """A SOURCES.toml, checked."""

    path: Path
    version: str  # of the release
    date: str  # of its publication, ISO 8601; nothing else in a release knows the time
    sources: tuple[SourceSpec, ...]
    leakage: str = "drop"  # what becomes of rows of train whose image another source tests on: `drop` or `report`
    gpt4v: Generation | None = None  # None: no model's answers are compiled


def load_config(path: Path) -> Config:
    """Read and check a SOURCES.toml.

    Raises:
        UsageError: It cannot be read, is no TOML, or says something unknown.
    """
    table = _parse(path)
    _known(table, ("version", "date", "leakage", "source", "gpt4v"), f"{path}")
    version = _string(table, "version", f"{path}")
    if not VERSION.fullmatch(version):
        raise UsageError(f"{path}: version is {version!r}, expected three numbers such as 1.0.0")
    leakage = table.get("leakage", "drop")
    if leakage not in ("drop", "report"):
        raise UsageError(f"{path}: leakage is {leakage!r}, expected 'drop' or 'report'")
    entries = table.get("source")
    if not isinstance(entries, list) or not entries:
        raise UsageError(f"{path}: no [[source]] table, expected at least one")
    specs = tuple(_spec(entry, path, i) for i, entry in enumerate(entries, 1))
    names = [spec.name for spec in specs]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"{path}: two sources are called {name!r}; give one of them another `name`")
    return Config(
        path=path, version=version, date=_date(table, path), sources=specs, leakage=leakage,
        gpt4v=_generation(table, names, path),
    )  # fmt: skip


def _generation(table: dict[str, Any], sources: list[str], path: Path) -> Generation | None:
    entry, where = table.get("gpt4v"), f"{path}, [gpt4v]"
    if entry is None:
        return None
    if not isinstance(entry, dict):
        raise UsageError(f"{where}: expected a table")
    _known(
        entry,
        ("requests", "responses", "model", "sources", "boxes", "structured", "detail", "rounds", "reject_limit",
         "prices", "parameters", "checks"),
        where,
    )  # fmt: skip
    named = _strings(entry, "sources", where) if "sources" in entry else None
    for name in named or ():
        if name not in sources:
            raise UsageError(f"{where}: sources names {name!r}{_near(name, sources)}")
    boxes = _choice(entry, "boxes", "obb", get_args(BoxForm), where)
    structured = _choice(entry, "structured", "json_schema", get_args(Structured), where)
    detail = _choice(entry, "detail", "high", get_args(Detail), where)
    parameters, checks = _table(entry, "parameters", where), _table(entry, "checks", where)
    _check_parameters(parameters, where)
    for name, severity in checks.items():
        if severity not in ("off", "warn", "error"):
            raise UsageError(f"{where}: checks.{name} is {severity!r}, expected 'off', 'warn' or 'error'")
    prices = entry.get("prices")
    return Generation(
        requests=path.parent / _string(entry, "requests", where, default="requests"),
        responses=tuple(path.parent / pattern for pattern in _strings(entry, "responses", where)),
        model=_string(entry, "model", where, default=MODEL),
        sources=named,
        boxes=boxes,
        structured=structured,
        detail=detail,
        rounds=_whole(entry, "rounds", "a number of at least 1", where) or ROUNDS,
        reject_limit=_share(entry, UNFIT_ANSWERS, where),
        prices=None if prices is None else path.parent / _string(entry, "prices", where),
        parameters=parameters,
        severities=checks,
    )


def _check_parameters(parameters: dict[str, Any], where: str) -> None:
    """Refuse what would make a request another one than its answer is read as."""
    for key in ("model", "messages", "response_format"):
        if key in parameters:
            raise UsageError(f"{where}: parameters may not set {key!r}, which every request has already")
    if parameters.get("stream", False) is not False:
        raise UsageError(
            f"{where}: parameters.stream may not be set: an answer is read whole, and batches take no stream"
        )
    if parameters.get("n", 1) != 1:
        raise UsageError(
            f"{where}: parameters.n is {parameters['n']!r}, expected 1: only one answer of a request is read"
        )


def _choice(table: dict[str, Any], key: str, default: str, choices: tuple[str, ...], where: str) -> Any:
    value = table.get(key, default)
    if value not in choices:
        *most, last = (repr(choice) for choice in choices)
        raise UsageError(f"{where}: {key} is {value!r}, expected {', '.join(most)} or {last}")
    return value


def _strings(table: dict[str, Any], key: str, where: str) -> tuple[str, ...]:
    value = table.get(key, [])
    if not isinstance(value, list) or not all(isinstance(v, str) and v for v in value):
        raise UsageError(f"{where}: {key} is {value!r}, expected a list of strings")
    return tuple(value)


def _table(table: dict[str, Any], key: str, where: str) -> dict[str, Any]:
    value = table.get(key, {})
    if not isinstance(value, dict):
        raise UsageError(f"{where}: {key} is {value!r}, expected a table")
    return value


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
        source=source.with_options(options),
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
