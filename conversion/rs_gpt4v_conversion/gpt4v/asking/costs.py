"""What requests will cost and what answers did: tokens by stage and model, and prices from a table with dates."""

import datetime
import importlib.resources
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, get_args

import yaml

from rs_gpt4v_conversion.errors import UsageError
from rs_gpt4v_conversion.gpt4v.asking.tokens import GPT_4O, ImageRule, Rule
from rs_gpt4v_conversion.gpt4v.records import Request, Stage, Usage, Used

MILLION = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """What a model costs: US dollars a million tokens."""

    date: str  # ISO 8601, when it was seen
    asked: float
    cached: float  # of what is asked, the part that the vendor still had
    answered: float
    batch_factor: float  # price of a batch against that of live calls

    def of(self, usage: Usage) -> float:
        """Dollars for live calls."""
        asked = (usage.prompt - usage.cached) * self.asked + usage.cached * self.cached
        return (asked + usage.completion * self.answered) / MILLION


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """An entry of the table."""

    name: str
    image: ImageRule
    price: Price | None

    def means(self, model: str) -> bool:
        """Whether it is for a model: of its name, or of one that goes on with a hyphen and a digit."""
        rest = model.removeprefix(self.name)
        return model == self.name or (rest != model and rest[0] == "-" and rest[1:2].isdigit())


@dataclass(frozen=True, slots=True)
class Table:
    """What is known of models' prices and of how they count images; what comes first counts."""

    models: tuple[Model, ...]

    def price(self, model: str) -> Price | None:
        """What a model costs, None where nobody knows."""
        return next((m.price for m in self.models if m.price is not None and m.means(model)), None)

    def image_rule(self, model: str) -> ImageRule:
        """How a model counts images; an unknown one is taken to count like gpt-4o."""
        return next((m.image for m in self.models if m.means(model)), GPT_4O)


def load_table(own: Path | None = None) -> Table:
    """Read the table that comes with the program, and before it the user's own.

    Raises:
        UsageError: The user's table cannot be read, or says something unknown.
    """
    packaged = importlib.resources.files("rs_gpt4v_conversion.gpt4v.asking") / "prices.yaml"
    models = _models(packaged.read_text(encoding="utf-8"), "prices.yaml")
    if own is not None:
        try:
            text = own.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"{own}: cannot be read: {error}; expected a table of prices (YAML)") from None
        models = (*_models(text, str(own)), *models)
    return Table(models)


def _models(text: str, where: str) -> tuple[Model, ...]:
    try:
        table = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UsageError(f"{where}: not YAML: {' '.join(str(error).split())}") from None
    entries = table.get("models") if isinstance(table, dict) else None
    if not isinstance(entries, list):
        raise UsageError(f"{where}: no list `models`, expected one of entries with model, date, in, out and image")
    models = [_model(entry, f"{where}, entry {number}") for number, entry in enumerate(entries, 1)]
    return tuple(sorted(models, key=lambda m: -len(m.name)))  # the longest name that fits is the nearest


_MODEL_KEYS = ("model", "date", "in", "cached_in", "out", "batch_factor", "image")


def _model(entry: Any, where: str) -> Model:
    if not isinstance(entry, dict) or not isinstance(entry.get("model"), str) or not entry["model"]:
        raise UsageError(f"{where}: found {entry!r}, expected a table with the name of a model as `model`")
    where = f"{where} ({entry['model']})"
    _known(entry, _MODEL_KEYS, where)
    date = entry.get("date")
    if not isinstance(date, datetime.date):
        raise UsageError(f"{where}: date is {date!r}, expected the day when it was seen, such as 2026-03-31")
    if ("in" in entry) != ("out" in entry):
        raise UsageError(f"{where}: `in` and `out` go together: a price needs both")
    price = None
    if "in" in entry:
        asked = _amount(entry, "in", where)
        price = Price(
            date=date.isoformat(),
            asked=asked,
            cached=_amount(entry, "cached_in", where, asked),
            answered=_amount(entry, "out", where),
            batch_factor=_amount(entry, "batch_factor", where, 1.0),
        )
    return Model(name=entry["model"], image=_image(entry.get("image"), where), price=price)


_NEEDED: dict[Rule, tuple[str, ...]] = {
    "tiles": ("base", "tile"), "patches": ("side", "most", "factor"), "pixels": ("side", "most"), "constant": ("base",),
}  # fmt: skip


def _image(rule: Any, where: str) -> ImageRule:
    if rule is None:
        return GPT_4O
    if not isinstance(rule, dict) or rule.get("rule") not in get_args(Rule):
        found = rule.get("rule") if isinstance(rule, dict) else rule
        raise UsageError(f"{where}: image.rule is {found!r}, expected one of {', '.join(get_args(Rule))}")
    kind: Rule = rule["rule"]
    _known(rule, ("rule", *_NEEDED[kind]), f"{where}, image")
    values = {key: _amount(rule, key, f"{where}, image") for key in _NEEDED[kind]}
    for key in ("side", "most"):
        if key in values and values[key] < 1:
            raise UsageError(f"{where}, image: {key} is {rule[key]!r}, expected at least 1")
    whole = {f.name for f in fields(ImageRule) if f.type is int}
    return ImageRule(rule=kind, **{k: int(v) if k in whole else v for k, v in values.items()})  # type: ignore[arg-type]


def _amount(table: dict[str, Any], key: str, where: str, default: float | None = None) -> float:
    value = table.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
        found = "missing" if value is None else repr(value)
        raise UsageError(f"{where}: {key} is {found}, expected a number of at least 0")
    return float(value)


def _known(table: dict[str, Any], keys: tuple[str, ...], where: str) -> None:
    for key in table:
        if key not in keys:
            raise UsageError(f"{where}: unknown key {key!r}; known: {', '.join(keys)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Requests or answers of one stage and one model."""

    stage: Stage
    model: str
    count: int
    usage: Usage  # tokens, counted or estimated
    price: Price | None  # None: not known

    @property
    def live(self) -> float | None:
        """Dollars for live calls."""
        return None if self.price is None else self.price.of(self.usage)

    @property
    def batch(self) -> float | None:
        """Dollars for batches."""
        return None if self.price is None else self.price.of(self.usage) * self.price.batch_factor


def expected(requests: Iterable[Request], table: Table) -> list[Cost]:
    """What requests will cost, by stage and model in the order of their first appearance: an estimate."""
    sums: dict[tuple[Stage, str], tuple[int, Usage]] = {}
    for request in requests:
        count, usage = sums.get((request.stage, request.model), (0, Usage()))
        more = Usage(prompt=usage.prompt + request.tokens, completion=usage.completion + request.answer_tokens)
        sums[request.stage, request.model] = (count + 1, more)
    return [
        Cost(stage=stage, model=model, count=count, usage=usage, price=table.price(model))
        for (stage, model), (count, usage) in sums.items()
    ]


def billed(used: Iterable[Used], table: Table) -> list[Cost]:
    """What answers cost; of those without any token, which are errors, nothing is told."""
    return [
        Cost(stage=u.stage, model=u.model, count=u.lines, usage=u.usage, price=table.price(u.model))
        for u in used
        if u.usage.prompt or u.usage.completion
    ]


def as_json(costs: Iterable[Cost]) -> list[dict[str, Any]]:
    """For programs; dollars are null where no price is known."""
    return [
        {
            "stage": c.stage, "model": c.model, "count": c.count, "tokens": c.usage.prompt, "cached": c.usage.cached,
            "answer_tokens": c.usage.completion, "live": c.live, "batch": c.batch,
            "date": None if c.price is None else c.price.date,
        }
        for c in costs
    ]  # fmt: skip


def as_rows(costs: Iterable[Cost], unit: str) -> tuple[list[str], list[list[str]]]:
    """Head and rows of a table for people."""
    head = ["stage", "model", unit, "tokens", "cached", "answer tokens", "live $", "batch $", "price of"]
    rows = [
        [
            c.stage, c.model, f"{c.count:,}", f"{c.usage.prompt:,}", f"{c.usage.cached:,}", f"{c.usage.completion:,}",
            _dollars(c.live), _dollars(c.batch), "no price known" if c.price is None else c.price.date,
        ]
        for c in costs
    ]  # fmt: skip
    return head, rows


def _dollars(amount: float | None) -> str:
    return "?" if amount is None else f"{amount:,.2f}" if amount >= 1 else f"{amount:.4f}"
