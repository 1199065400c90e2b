"""The paper's composition (arXiv 2406.12479) beside what was read and kept, every difference in words."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from rs_gpt4v_conversion.config import Config, SourceSpec
from rs_gpt4v_conversion.naming import SPLITS
from rs_gpt4v_conversion.overlaps import sentence
from rs_gpt4v_conversion.reading import Count, Tally
from rs_gpt4v_conversion.released import OF_A_TASK, PAPER, own_file
from rs_gpt4v_conversion.sources import PaperFigure, known_sources
from rs_gpt4v_conversion.tables import counted, table

TOTALS = {"train": PaperFigure(images=91937, qa_pairs=991206), "test": PaperFigure(images=15999, qa_pairs=258419)}
"""The paper's sums over its lines, by split."""

CORRECTED = {"test": " (260,476 with the 3,150 questions of NWPU-Captions that its own test file has)"}
"""What corrects a sum, where one of its lines is known to be wrong."""

GPT4V = {
    ("detailed_description", "train"): PaperFigure(images=9466, qa_pairs=9466),
    ("conversation", "train"): PaperFigure(images=9465, qa_pairs=62066),
    ("detailed_description", "test"): PaperFigure(images=613, qa_pairs=613),
    ("conversation", "test"): PaperFigure(images=613, qa_pairs=3987),
}
"""The paper's lines that GPT-4V wrote about images of DIOR-RSVG. Of train only the sum of the two is certain."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of the composition table."""

    task: str
    source: str
    split: str
    read_images: int
    read_questions: int
    read_pairs: int
    images: int
    qa_pairs: int
    merged: int
    paper_images: int | None
    paper_qa_pairs: int | None
    missing_images: int
    difference: str = ""  # from the paper's figure, in words; empty where the paper has none


def composition(tally: Tally, specs: Iterable[SourceSpec]) -> list[Line]:
    """The table, in the order of tasks, sources and official splits."""
    sources = {spec.name: spec for spec in specs}
    order = {split: i for i, split in enumerate(SPLITS)}
    reasons: dict[tuple[str, str, str], Counter[str]] = {}
    for reject in tally.rejects:
        reasons.setdefault((reject.task, reject.source, reject.split), Counter())[reject.reason] += 1
    lines = []
    for part in sorted(tally.counts, key=lambda p: (p[0], p[1], order.get(p[2], len(order)))):
        task, name, split = part
        figure = _figure(sources[name], task, split)
        count = tally.counts[part]
        lines.append(
            Line(
                task=task, source=name, split=split, read_images=count.read_images,
                read_questions=count.read_questions, read_pairs=count.read_pairs,
                images=count.images, qa_pairs=count.qa_pairs, merged=count.merged,
                paper_images=figure.images if figure else None,
                paper_qa_pairs=figure.qa_pairs if figure else None,
                missing_images=count.missing_images,
                difference=_difference(count, figure, part, sources[name], reasons.get(part, Counter())),
            )
        )  # fmt: skip
    return lines


def _figure(spec: SourceSpec, task: str, split: str) -> PaperFigure | None:
    """The paper's line of a part: its source's, or that of the paper's own file where that was imported.

    What a model wrote is set beside the paper's own such texts where it is about the same images.
    """
    if not spec.source.imported:
        by_gpt4v = GPT4V.get((task, split)) if spec.source.kind == "dior_rsvg" else None
        return by_gpt4v or spec.source.paper.get((task, split))
    name = own_file([str(spec.options.get("annotations", ""))], task)
    if name == OF_A_TASK.get(task):
        return GPT4V.get((task, split))
    kinds = [kind for (kind, *part), file in PAPER.items() if file == name and part == [task, split]]
    return known_sources()[kinds[0]].paper.get((task, split)) if kinds else None


def _difference(
    count: Count, figure: PaperFigure | None, part: tuple[str, str, str], spec: SourceSpec, reasons: Counter[str]
) -> str:
    """What was read and kept against the paper's figure, with the reasons; empty where it has none."""
    if figure is None:
        return ""
    task, _, split = part
    questions = task == "captioning" and split != "train"
    units, read = ("questions", count.read_questions) if questions else ("pairs", count.read_pairs)
    if (count.read_images, read) == (figure.images, figure.qa_pairs):
        text = f"read as in the paper ({count.read_images:,} images, {read:,} {units})"
    else:
        text = (
            f"read {count.read_images:,} images, {read:,} {units}; the paper has {figure.images:,}, {figure.qa_pairs:,}"
        )
        text += f": {_why(count, spec, part, figure)}"
    images, pairs = count.read_images - count.images, count.read_pairs - count.qa_pairs
    if pairs:
        causes = [f"{reason} ({n:,})" for reason, n in reasons.most_common()]
        if count.missing_pairs:
            causes.append(f"image not at hand ({count.missing_pairs:,})")
        fewer = f"{counted(images, 'image')} and {counted(pairs, 'pair')}" if images else counted(pairs, "pair")
        text += f"; kept {fewer} fewer: {', '.join(causes)}"
    return text


def _why(count: Count, spec: SourceSpec, part: tuple[str, str, str], figure: PaperFigure) -> str:
    task, _, split = part
    if (task, split) in GPT4V and not spec.source.imported:
        return "these are the answers at hand, to our own prompts"
    if spec.limit is not None:
        return f"SOURCES.toml limits the source to {spec.limit:,} images"
    official, _ = spec.source.splits.get(split, (None, 0))
    if count.read_images < figure.images:
        holds = f"; the official ones have {official:,} images" if official == figure.images else ""
        return f"the annotation files at hand are not complete{holds}"
    return figure.note or "the annotation files at hand are another version than the paper's"


@dataclass(frozen=True, slots=True, kw_only=True)
class PaperLine:
    """A line of the paper's table."""

    task: str
    kind: str
    title: str
    split: str
    figure: PaperFigure


def paper_lines() -> list[PaperLine]:
    """The paper's table."""
    lines = [
        PaperLine(task=task, kind=kind, title=source.title, split=split, figure=figure)
        for kind, source in known_sources().items()
        for (task, split), figure in source.paper.items()
    ]
    gpt4v = [
        PaperLine(task=task, kind="dior_rsvg", title="DIOR-RSVG, by GPT-4V", split=split, figure=figure)
        for (task, split), figure in GPT4V.items()
    ]
    return [*lines, *gpt4v]


def absent(specs: Iterable[SourceSpec], lines: Iterable[Line]) -> list[PaperLine]:
    """The paper's lines that have no line here."""
    sources = {spec.name: spec for spec in specs}
    kinds = {(line.task, sources[line.source].source.kind, line.split) for line in lines}
    figures = {(line.task, line.split, _figure(sources[line.source], line.task, line.split)) for line in lines}
    return [
        line
        for line in paper_lines()
        if (line.task, line.kind, line.split) not in kinds and (line.task, line.split, line.figure) not in figures
    ]


def reject_lines(tally: Tally) -> list[dict[str, str | int]]:
    """Rejects by source, stage and reason, for JSON."""
    return [
        {"source": source, "stage": stage, "reason": reason, "count": count}
        for (source, stage, reason), count in sorted(tally.reasons().items())
    ]


def note_lines(tally: Tally) -> list[dict[str, str | int]]:
    """Notes by source and reason, for JSON."""
    return [
        {"source": source, "note": reason, "count": count} for (source, reason), count in sorted(tally.notes.items())
    ]


def as_json(lines: list[Line], tally: Tally) -> dict[str, object]:
    """What `plan --json` prints."""
    return {
        "rows": [asdict(line) for line in lines],
        "rejects": reject_lines(tally),
        "shared": [asdict(shared) for shared in tally.shared],
        "notes": note_lines(tally),
    }


def as_text(lines: list[Line], tally: Tally, config: Config) -> str:
    """The table for people; below it what differs from the paper, rejects, shared images and notes."""
    head = ("task", "source", "split", "images", "pairs", "merged", "kept img", "kept QA", "paper img", "paper QA")
    body = [
        (
            x.task, x.source, x.split, f"{x.read_images:,}", f"{x.read_pairs:,}", f"{x.merged:,}",
            f"{x.images:,}", f"{x.qa_pairs:,}",
            "-" if x.paper_images is None else f"{x.paper_images:,}", _paper_qa(x),
        )
        for x in lines
    ]  # fmt: skip
    text = [
        *table(head, body, left=3),
        "",
        "images and pairs are as read, after merging exact repeats; kept ones are without rejects.",
    ]
    if any(by_question(x) for x in lines):
        text.append("* the paper counts an image's captions in a test split as one question: there "
                    "the number of questions is what agrees.")  # fmt: skip
    text.extend(f"paper     {x.task}, {x.source}, {x.split}: {x.difference}" for x in lines if x.difference)
    for line in absent(config.sources, lines):
        has = f"{line.figure.images:,} images, {line.figure.qa_pairs:,} pairs"
        text.append(f"paper     {line.task}, {line.title}, {line.split}: not here; the paper has {has}")
    text.extend(f"rejected  {r['source']}: {r['count']:,} in {r['stage']}: {r['reason']}" for r in reject_lines(tally))
    text.extend(f"shared    {sentence(s, dropped=config.leakage == 'drop')}" for s in tally.shared)
    text.extend(f"note      {source}: {n:,} x {reason}" for (source, reason), n in sorted(tally.notes.items()))
    return "\n".join(text)


def by_question(line: Line) -> bool:
    """Whether the paper counts questions here: the captions of a test image are one question's references."""
    return line.paper_qa_pairs is not None and line.task == "captioning" and line.split != "train"


def _paper_qa(line: Line) -> str:
    if line.paper_qa_pairs is None:
        return "-"
    return f"{line.paper_qa_pairs:,}{'*' if by_question(line) else ''}"
