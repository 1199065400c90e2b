"""Statistics as a page with plots: one HTML file that needs nothing outside it and no script."""

from collections.abc import Callable, Iterable, Sequence
from html import escape
from itertools import groupby
from pathlib import Path

from rs_gpt4v_conversion.naming import SPLITS
from rs_gpt4v_conversion.pages import filled, save
from rs_gpt4v_conversion.stats import _plots as plots
from rs_gpt4v_conversion.stats._gather import Stats
from rs_gpt4v_conversion.stats._text import by_source, five_numbers, number, percent, reached
from rs_gpt4v_conversion.stats.answers import Answers, Blind, Presence
from rs_gpt4v_conversion.stats.box_text import BoxText
from rs_gpt4v_conversion.stats.composition import SourceParts
from rs_gpt4v_conversion.stats.lengths import Lengths
from rs_gpt4v_conversion.stats.objects import Category, SourceObjects

ROWS = 12
"""Lines of a source's table that are shown at once; the rest unfolds."""

ANSWERS = 7
"""Answers of a category that have a colour of their own."""

SIZES = {"small": "k1", "medium": "k0", "large": "k2", "not measured": "rest"}
"""Colours of the classes of size."""

DASH = "–"


def write_page(stats: Stats, out: Path) -> None:
    """Write the page.

    Args:
        stats: As counted.
        out: The page's file.

    Raises:
        UsageError: The page cannot be written.
    """
    c = stats.composition
    parts = {
        "title": escape(f"RS-GPT4V {stats.version}".strip()),
        "count": f"{c.rows:,} rows, {c.images:,} images, {c.pairs:,} pairs of {len(c.sources)} sources",
        "composition": _composition(stats),
        "lengths": _lengths(stats.lengths),
        "answers": _answers(stats),
        "presence": _presence(stats.answers.presence),
        "objects": _objects(stats.objects),
        "box_text": _box_text(stats.box_text),
    }
    save(filled("stats.html", parts), out)


def _composition(stats: Stats) -> str:
    c = stats.composition
    tasks = {task: f"k{n % plots.COLOURS}" for n, task in enumerate(sorted({p.task for p in c.parts}))}
    splits = {split: f"k{n}" for n, split in enumerate(SPLITS) if any(p.split == split for p in c.parts)}
    most = max((s.pairs for s in c.sources), default=1)
    body = [_source(s, stats, tasks, splits, most) for s in c.sources]
    head = [*_heads("source", "modality", "licence"), *_heads("rows", "images", "pairs", of=_count), _drawn("")]
    head += _heads("pairs by task", "pairs by split")
    every = _table(
        [*_heads("task", "source", "split"), *_heads("rows", "images", "pairs", of=_count)],
        [[*map(_text, (p.task, p.source, p.split)), *map(_whole, (p.rows, p.images, p.pairs))] for p in c.parts],
    )
    unfolded = f"<details><summary>Every task, source and split</summary>{every}</details>"
    return _legend(tasks) + _legend(splits) + _table(head, body) + unfolded


def _source(s: SourceParts, stats: Stats, tasks: dict[str, str], splits: dict[str, str], most: int) -> list[str]:
    mine = [p for p in stats.composition.parts if p.source == s.source]
    by_task = [(name, sum(p.pairs for p in mine if p.task == name), kind) for name, kind in tasks.items()]
    by_split = [(name, sum(p.pairs for p in mine if p.split == name), kind) for name, kind in splits.items()]
    return [
        *map(_text, (s.source, ", ".join(s.modalities), ", ".join(s.licenses))),
        *map(_whole, (s.rows, s.images, s.pairs)),
        _drawn(plots.stack([("", s.pairs, "k0")], width=120, whole=most)),
        _drawn(plots.stack(by_task, width=190)),
        _drawn(plots.stack(by_split, width=190)),
    ]


def _lengths(lengths: Sequence[Lengths]) -> str:
    if not lengths:
        return _nothing("The release has no rows.")
    most = max(s.max for x in lengths for s in (x.questions, x.answers, x.pairs_per_row) if s is not None)
    names = _heads("min", "median", "mean", "p95", "max", of=_count)
    head = [*_heads("task", "source", ""), _drawn(plots.scale(width=260, most=most)), *names]
    body = []
    for x in lengths:
        for name, summary in (("questions", x.questions), ("answers", x.answers), ("pairs of a row", x.pairs_per_row)):
            whose = (x.task, x.source) if name == "questions" else ("", "")
            drawn = "" if summary is None else plots.span(summary, width=260, most=most)
            body.append([*map(_text, (*whose, name)), _drawn(drawn), *map(_count, five_numbers(summary))])
    return _table(head, body, [n % 3 == 0 for n in range(len(body))])


def _answers(stats: Stats) -> str:
    found = []
    for source, of_it in groupby(stats.answers.categories, key=lambda a: a.source):
        body, starts = [], []
        for _, of_category in groupby(of_it, key=lambda a: a.category):
            splits = list(of_category)
            colours = _colours(splits)
            body += [_answer(a, colours) for a in splits]
            starts += [n == 0 for n in range(len(splits))]
        blind = [b for b in stats.answers.blind if b.source == source]
        body += [_blind(b) for b in blind]
        starts += [n == 0 for n in range(len(blind))]
        head = [*_heads("category", "split"), *_heads("pairs", "answers", of=_count), *_heads("the most frequent")]
        found.append(_part(source, _table([*head, *_heads("yes", "blind", of=_count)], body, starts)))
    return "".join(found) or _nothing("The release has no rows of visual question answering.")


def _colours(splits: Sequence[Answers]) -> dict[str, str]:
    """A colour for each answer that is drawn, the same in all splits of a category."""
    order = dict.fromkeys(("yes", "no")) if any(a.yes + a.no for a in splits) else {}
    order |= dict.fromkeys(x.answer for a in splits for x in a.top[:ANSWERS])
    return {answer: f"k{n % plots.COLOURS}" for n, answer in enumerate(order)}


def _answer(a: Answers, colours: dict[str, str]) -> list[str]:
    top = a.top[:ANSWERS]
    parts = [(x.answer or "nothing", x.count, colours[x.answer]) for x in top]
    parts.append(("others", a.pairs - sum(x.count for x in top), "rest"))
    told = a.yes + a.no
    return [
        *map(_text, (a.category, a.split)),
        _whole(a.pairs),
        _count(f"{'≥ ' if a.missed else ''}{a.distinct:,}"),
        _drawn(plots.stack(parts, width=420)),
        _count(percent(a.yes / told) if told else DASH),
        _count(percent(a.blind)),
    ]


def _blind(b: Blind) -> list[str]:
    empty = _text("")
    return [_text("all"), _text(b.split), _whole(b.pairs), empty, empty, empty, _count(percent(b.accuracy))]


def _presence(presence: Sequence[Presence]) -> str:
    found = []
    for source, of_it in by_source(presence):
        head = [_text("object"), *_heads("yes", of=_count), _drawn(""), *_heads("no", "blind", of=_count)]
        yes, no, right = (sum(n) for n in zip(*((p.yes, p.no, max(p.yes, p.no)) for p in of_it), strict=True))
        body = [_asked("all", yes, no, right), *(_asked(p.object, p.yes, p.no, max(p.yes, p.no)) for p in of_it)]
        found.append(_part(source, _folded(head, body)))
    return f'<div class="parts">{"".join(found)}</div>' if found else _nothing("No question of this kind is in it.")


def _asked(name: str, yes: int, no: int, right: int) -> list[str]:
    drawn = plots.stack([("yes", yes, "k0"), ("no", no, "rest")], width=200)
    return [_text(name), _whole(yes), _drawn(drawn), _whole(no), _count(percent(right / (yes + no)))]


def _objects(objects: Sequence[SourceObjects]) -> str:
    if not objects:
        return _nothing("No row has objects.")
    return _legend(SIZES) + "".join(_source_objects(o) for o in objects)


def _source_objects(o: SourceObjects) -> str:
    an_image = "" if o.per_image is None else f"median {number(o.per_image.median)}, at most {number(o.per_image.max)}"
    size = "" if o.size is None else f"median {number(o.size.median)}, 95 of 100 up to {number(o.size.p95)} pixels"
    facts = {
        "objects": f"{o.objects:,} in {o.images:,} images",
        "in an image": an_image,
        "size": size,
        "rotated": percent(o.rotated / o.objects),
        "difficult": percent(o.difficult / o.objects),
        "to ignore": percent(o.ignored / o.objects),
        "without a box": f"{o.boxless:,}" if o.boxless else "",
    }
    shown = "".join(f"<dt>{name}</dt><dd>{fact}</dd>" for name, fact in facts.items() if fact)
    most = max(c.objects for c in o.categories)
    head = [_text("category"), *_heads("objects", of=_count), _drawn(""), *_heads("median size", of=_count)]
    return _part(
        o.source,
        f'<div class="sizes"><div>{plots.histogram(o.histogram)}'
        f'<div class="beside"><dl>{shown}</dl>{plots.grid(o.ninths)}</div></div>'
        f"<div>{_folded(head, [_category(c, most) for c in o.categories])}</div></div>",
    )


def _category(c: Category, most: int) -> list[str]:
    counts = (c.sizes.small, c.sizes.medium, c.sizes.large)
    unmeasured = c.objects - sum(counts)
    parts = [(name, count, kind) for (name, kind), count in zip(SIZES.items(), (*counts, unmeasured), strict=True)]
    drawn = plots.stack(parts, width=220, whole=most)
    median = DASH if c.size is None else number(c.size.median)
    return [_text(c.category or "no category"), _whole(c.objects), _drawn(drawn), _count(median)]


def _box_text(found: Sequence[BoxText]) -> str:
    if not found:
        return _nothing("No row has boxes.")
    head = [*_heads("source", "form"), *_heads("decimals", "boxes", of=_count), _drawn("")]
    head += _heads("IoU 0.5", "IoU 0.7", "small", "medium", "large", of=_count)
    body = []
    for b in found:
        shares = (b.all.iou_50 / b.all.boxes, b.all.iou_70 / b.all.boxes)
        drawn = plots.bars([("IoU 0.5", shares[0], "k0 pale"), ("IoU 0.7", shares[1], "k0")], width=240)
        numbers = (*map(percent, shares), *map(reached, (b.small, b.medium, b.large)))
        whose = (b.source, b.form) if b.decimals == found[0].decimals else ("", "")
        body.append([*map(_text, whose), *map(_whole, (b.decimals, b.all.boxes)), _drawn(drawn), *map(_count, numbers)])
    return _table(head, body, [n % 2 == 0 for n in range(len(body))])


def _part(name: str, content: str) -> str:
    return f'<section class="part"><h3>{escape(name)}</h3>{content}</section>'


def _nothing(text: str) -> str:
    return f'<p class="hint">{text}</p>'


def _legend(kinds: dict[str, str]) -> str:
    items = "".join(f"<li>{plots.swatch(kind)}{escape(name)}</li>" for name, kind in kinds.items())
    return f'<ul class="legend">{items}</ul>'


def _folded(head: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    """A table whose first lines are shown at once."""
    if len(body) <= ROWS + 2:
        return _table(head, body)
    rest = f"<details><summary>{len(body) - ROWS} more</summary>{_table(head, body[ROWS:])}</details>"
    return _table(head, body[:ROWS]) + rest


def _table(head: Iterable[str], body: Sequence[Iterable[str]], starts: Sequence[bool] | None = None) -> str:
    """A table of cells.

    Args:
        head: Names of the columns.
        body: Rows.
        starts: Of each row, whether a line is drawn above it; above all if not given.
    """
    lines = starts or [True] * len(body)
    kinds = {True: ' class="first"', False: ""}
    rows = "".join(f"<tr{kinds[first]}>{''.join(row)}</tr>" for row, first in zip(body, lines, strict=True))
    return f'<div class="wide"><table><thead><tr>{"".join(head)}</tr></thead><tbody>{rows}</tbody></table></div>'


def _text(text: str) -> str:
    return f"<td>{escape(text)}</td>"


def _count(text: str) -> str:
    return f'<td class="n">{escape(text)}</td>'


def _whole(count: int) -> str:
    return _count(f"{count:,}")


def _drawn(svg: str) -> str:
    return f"<td>{svg}</td>"


def _heads(*names: str, of: Callable[[str], str] = _text) -> list[str]:
    return [of(name) for name in names]
