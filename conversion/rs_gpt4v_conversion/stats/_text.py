"""Statistics for people, as plain text: a section a topic."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from rs_gpt4v_conversion.stats._counting import Summary
from rs_gpt4v_conversion.stats._gather import Stats
from rs_gpt4v_conversion.stats.answers import Answers, Presence
from rs_gpt4v_conversion.stats.box_text import BoxText, Survival
from rs_gpt4v_conversion.stats.composition import SourceParts
from rs_gpt4v_conversion.stats.lengths import Lengths
from rs_gpt4v_conversion.stats.objects import Category, Sizes, SourceObjects
from rs_gpt4v_conversion.tables import table

ANSWERS = 4
"""Most frequent answers of a category that are shown."""

LONGEST = 40
"""Characters of an answer that are shown."""

OBJECTS = 12
"""Categories of objects of a source that are shown."""


def as_text(stats: Stats) -> str:
    """All that was counted, for people; the JSON has more."""
    sections = (_composition(stats), _lengths(stats), _answers(stats), _presence(stats), _objects(stats),
                _categories(stats), _box_text(stats))  # fmt: skip
    return "\n\n".join("\n".join(line.rstrip() for line in lines) for section in sections if (lines := list(section)))


def _composition(stats: Stats) -> Iterator[str]:
    c = stats.composition
    yield f"RS-GPT4V {stats.version} of {stats.date}: {c.rows:,} rows, {c.images:,} images, {c.pairs:,} pairs"
    yield ""
    head = ("task", "source", "split", "rows", "images", "pairs")
    body = [(p.task, p.source, p.split, f"{p.rows:,}", f"{p.images:,}", f"{p.pairs:,}") for p in c.parts]
    yield from table(head, body, left=3)
    yield ""
    head = ("source", "modality", "licence", "rows", "images", "pairs")
    yield from table(head, [_source(s) for s in c.sources], left=3)


def _source(s: SourceParts) -> tuple[str, ...]:
    return (
        s.source, ", ".join(s.modalities), ", ".join(s.licenses), f"{s.rows:,}", f"{s.images:,}", f"{s.pairs:,}",
    )  # fmt: skip


def _lengths(stats: Stats) -> Iterator[str]:
    if not stats.lengths:
        return
    yield "Lengths: words of questions and of answers, pairs of a row; p95: 95 of 100 are no longer"
    yield ""
    head = ("task", "source", "of", "min", "median", "mean", "p95", "max")
    body = [(x.task, x.source, kind, *five_numbers(summary)) for x in stats.lengths for kind, summary in _kinds(x)]
    yield from table(head, body, left=3)


def _kinds(x: Lengths) -> tuple[tuple[str, Summary | None], ...]:
    return (("questions", x.questions), ("answers", x.answers), ("pairs of a row", x.pairs_per_row))


def five_numbers(s: Summary | None) -> tuple[str, ...]:
    """Least, median, mean, 95th percentile and most, or dashes."""
    if s is None:
        return ("-",) * 5
    return (number(s.min), number(s.median), f"{s.mean:,.1f}", number(s.p95), number(s.max))


def _answers(stats: Stats) -> Iterator[str]:
    if not stats.answers.categories:
        return
    yield "Answers to visual questions; blind: right if one always gives train's most frequent answer of the category"
    yield ""
    head = ("source", "category", "split", "pairs", "answers", "yes", "blind", "most frequent")
    body = [_answer(a) for a in stats.answers.categories]
    body += [(b.source, "all", b.split, f"{b.pairs:,}", "", "", percent(b.accuracy), "") for b in stats.answers.blind]
    body.sort(key=lambda line: line[0])
    yield from table(head, body, left=3, last=1)


def _answer(a: Answers) -> tuple[str, ...]:
    top = ", ".join(f"{_shown(x.answer)} {percent(x.share)}" for x in a.top[:ANSWERS])
    told = a.yes + a.no
    more = "at least " if a.missed else ""
    return (
        a.source, a.category, a.split, f"{a.pairs:,}", f"{more}{a.distinct:,}",
        percent(a.yes / told) if told else "-", percent(a.blind), top,
    )  # fmt: skip


def _shown(answer: str) -> str:
    """An answer in a line of a table: no line ends, and of a long one its beginning."""
    text = " ".join(answer.split()) or "nothing"
    return text if len(text) <= LONGEST else text[: LONGEST - 3].rstrip() + "..."


def _presence(stats: Stats) -> Iterator[str]:
    if not stats.answers.presence:
        return
    yield "Is it there? Answers by category of object; blind: right if one always gives each one's more frequent answer"
    yield ""
    head = ("source", "object", "yes", "no", "share of yes", "blind")
    body: list[tuple[str, ...]] = []
    for source, found in by_source(stats.answers.presence):
        body += [_presence_line(source, p.object, [p]) for p in found[:OBJECTS]]
        if len(found) > OBJECTS:
            body.append(_presence_line(source, f"{len(found) - OBJECTS} others", found[OBJECTS:]))
        body.append(_presence_line(source, "all", found))
    yield from table(head, body, left=2)


def _presence_line(source: str, name: str, found: Sequence[Presence]) -> tuple[str, ...]:
    yes, no, right = (sum(n) for n in zip(*((p.yes, p.no, max(p.yes, p.no)) for p in found), strict=True))
    return (source, name, f"{yes:,}", f"{no:,}", percent(yes / (yes + no)), percent(right / (yes + no)))


def _objects(stats: Stats) -> Iterator[str]:
    if not stats.objects:
        return
    yield "Objects, each image's once a source; size: square root of the area, pixels; small: below 32, large: from 96"
    yield ""
    head = ("source", "images", "objects", "an image", "rotated", "difficult", "ignored", "no box", "small", "medium",
            "large", "size p5", "median", "p95")  # fmt: skip
    yield from table(head, [_object_line(o) for o in stats.objects], left=1)


def _object_line(o: SourceObjects) -> tuple[str, ...]:
    size = ("-",) * 3 if o.size is None else (number(o.size.p5), number(o.size.median), number(o.size.p95))
    an_image = f"{o.objects / o.images:.1f}" if o.images else "-"
    return (
        o.source, f"{o.images:,}", f"{o.objects:,}", an_image, percent(o.rotated / o.objects),
        percent(o.difficult / o.objects), percent(o.ignored / o.objects), f"{o.boxless:,}", *_sizes(o.sizes), *size,
    )  # fmt: skip


def _sizes(s: Sizes) -> tuple[str, ...]:
    measured = s.small + s.medium + s.large
    return tuple(percent(n / measured) if measured else "-" for n in (s.small, s.medium, s.large))


def _categories(stats: Stats) -> Iterator[str]:
    if not stats.objects:
        return
    yield "Objects by category"
    yield ""
    head = ("source", "category", "objects", "ignored", "small", "medium", "large", "median size")
    body: list[tuple[str, ...]] = []
    for source in stats.objects:
        body += [_category(source.source, c) for c in source.categories[:OBJECTS]]
        rest = source.categories[OBJECTS:]
        if rest:
            objects, ignored = sum(c.objects for c in rest), sum(c.ignored for c in rest)
            body.append((source.source, f"{len(rest)} others", f"{objects:,}", f"{ignored:,}", "", "", "", ""))
    yield from table(head, body, left=2)


def _category(source: str, c: Category) -> tuple[str, ...]:
    median = "-" if c.size is None else number(c.size.median)
    return (source, c.category or "no category", f"{c.objects:,}", f"{c.ignored:,}", *_sizes(c.sizes), median)


def _box_text(stats: Stats) -> Iterator[str]:
    if not stats.box_text:
        return
    yield "Boxes as text, read back: share that reaches an IoU of 0.5 and of 0.7 with the box itself"
    yield ""
    head = ("source", "form", "decimals", "boxes", "IoU 0.5", "IoU 0.7", "0.5 small", "0.5 medium", "0.5 large")
    yield from table(head, [_survival(b) for b in stats.box_text], left=2)


def _survival(b: BoxText) -> tuple[str, ...]:
    by_size = (reached(s) for s in (b.small, b.medium, b.large))
    return (
        b.source, b.form, str(b.decimals), f"{b.all.boxes:,}", reached(b.all), percent(b.all.iou_70 / b.all.boxes),
        *by_size,
    )  # fmt: skip


def reached(s: Survival) -> str:
    """Share of boxes with an IoU of at least 0.5, or a dash."""
    return percent(s.iou_50 / s.boxes) if s.boxes else "-"


def by_source(found: Iterable[Presence]) -> list[tuple[str, list[Presence]]]:
    """Presence by source."""
    return [(source, list(of_it)) for source, of_it in groupby(found, key=lambda p: p.source)]


def number(value: float) -> str:
    """A number with at most one decimal."""
    return f"{value:,.0f}" if value == int(value) else f"{value:,.1f}"


def percent(share: float) -> str:
    """A share as a percentage; what is neither none nor all is not called so."""
    if share in (0, 1):
        return f"{100 * share:.0f}%"
    for decimals in (0, 1, 2):
        text = f"{100 * share:.{decimals}f}"
        if float(text) not in (0, 100):
            return f"{text}%"
    return "<0.01%" if share < 0.5 else ">99.99%"
