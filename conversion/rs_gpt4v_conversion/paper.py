"""The paper's composition (arXiv 2406.12479) beside what was read and kept."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass

from rs_gpt4v_conversion.config import SourceSpec
from rs_gpt4v_conversion.reading import Tally
from rs_gpt4v_conversion.tables import table


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


def composition(tally: Tally, specs: Iterable[SourceSpec], splits: tuple[str, ...]) -> list[Line]:
    """The table, in the order of tasks, sources and official splits."""
    sources = {spec.name: spec.source for spec in specs}
    order = {split: i for i, split in enumerate(splits)}
    lines = []
    for part in sorted(tally.counts, key=lambda p: (p[0], p[1], order.get(p[2], len(order)))):
        task, name, split = part
        figure = sources[name].paper.get((task, split))
        count = tally.counts[part]
        lines.append(
            Line(
                task=task, source=name, split=split, read_images=count.read_images,
                read_questions=count.read_questions, read_pairs=count.read_pairs,
                images=count.images, qa_pairs=count.qa_pairs, merged=count.merged,
                paper_images=figure.images if figure else None,
                paper_qa_pairs=figure.qa_pairs if figure else None,
                missing_images=count.missing_images,
            )
        )  # fmt: skip
    return lines


def reject_lines(tally: Tally) -> list[dict[str, str | int]]:
    """Rejects by source, stage and reason, for JSON."""
    return [
        {"source": source, "stage": stage, "reason": reason, "count": count}
        for (source, stage, reason), count in sorted(tally.reasons().items())
    ]


def as_json(lines: list[Line], tally: Tally) -> dict[str, object]:
    """What `plan --json` prints."""
    return {
        "rows": [asdict(line) for line in lines],
        "rejects": reject_lines(tally),
        "notes": [
            {"source": source, "note": reason, "count": count}
            for (source, reason), count in sorted(tally.notes.items())
        ],
    }


def as_text(lines: list[Line], tally: Tally) -> str:
    """The table for people, with rejects and notes below it."""
    head = (
        "task",
        "source",
        "split",
        "images",
        "pairs",
        "merged",
        "kept img",
        "kept QA",
        "paper img",
        "paper QA",
    )
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
    text.extend(f"rejected  {r['source']}: {r['count']:,} in {r['stage']}: {r['reason']}" for r in reject_lines(tally))
    text.extend(f"note      {source}: {n:,} x {reason}" for (source, reason), n in sorted(tally.notes.items()))
    return "\n".join(text)


def by_question(line: Line) -> bool:
    """Whether the paper counts questions here: the captions of a test image are one question's references."""
    return line.paper_qa_pairs is not None and line.task == "captioning" and line.split != "train"


def _paper_qa(line: Line) -> str:
    if line.paper_qa_pairs is None:
        return "-"
    return f"{line.paper_qa_pairs:,}{'*' if by_question(line) else ''}"
