"""docs/sources.md: everything the project knows of its sources, made from the source modules and the drawn sample.

python -m rs_gpt4v_conversion.sources_page docs/sources.md
"""

import importlib
import inspect
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from rs_gpt4v_conversion.config import load_config
from rs_gpt4v_conversion.files import write_bytes
from rs_gpt4v_conversion.reading import Tally, read_source
from rs_gpt4v_conversion.records import Draft
from rs_gpt4v_conversion.sample import draw_sample
from rs_gpt4v_conversion.sources import Source, known_sources

IMAGES = 8
"""Images a source in the sample that the example rows come from."""

SHOWN = 3
"""Pairs of an example row."""

HEAD = """# Sources

Made from the source modules by `make docs`; a test holds it against them. *Units* are captions, questions, expressions
or marked objects, as the source counts them. Example rows are of the drawn sample: nothing here is copied from a
dataset. `rs-gpt4v plan --list-sources` prints the same facts, one source a line.
"""


def sources_page(sample: Path) -> str:
    """Make the page.

    Args:
        sample: The `sources.toml` of a drawn sample of `IMAGES` images a source.
    """
    examples = {}
    for spec in load_config(sample).sources:
        drafts: dict[str, Draft] = {}
        for draft in read_source(spec, Tally()):
            drafts.setdefault(draft.task, draft)
        examples[spec.source.kind] = drafts
    known = known_sources()
    parts = [HEAD, _table(known), *(_section(s, examples.get(kind, {})) for kind, s in known.items())]
    return "\n".join(parts)


def counts(source: Source) -> str:
    """Official images and units by split, in one line."""
    known = ((split, _number(images), _number(units)) for split, (images, units) in source.splits.items())
    return ", ".join(f"{split} {images} / {units}" for split, images, units in known) or "none"


def _number(count: int | None) -> str:
    return "?" if count is None else f"{count:,}"


def _table(known: dict[str, Source]) -> str:
    lines = [
        "| kind | source | modality | tasks | official images / units | licence | images may be passed on |",
        "|" + "---|" * 7,
    ]
    for kind, s in known.items():
        passed_on = "yes" if s.redistribute else "no"
        cells = (f"[`{kind}`](#{kind})", s.title, s.modality, ", ".join(s.tasks), counts(s), s.license, passed_on)
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _section(source: Source, examples: dict[str, Draft]) -> str:
    page = inspect.getdoc(importlib.import_module(f"rs_gpt4v_conversion.sources.{source.kind}")) or ""
    parts = [f"## {source.kind}\n", page + "\n"]
    parts.append(f"- Homepage: <{source.homepage}>")
    parts.append("- Layout: " + "; ".join(f"`{path}`" for path in source.layout))
    parts.append(f"- Official images / units: {counts(source)}")
    for (task, split), figure in source.paper.items():
        note = f" ({figure.note})" if figure.note else ""
        parts.append(f"- In the paper: {task}, {split}: {figure.images:,} images, {figure.qa_pairs:,} QA{note}")
    for option in source.options:
        choices = f": {', '.join(f'`{c}`' for c in option.choices)}" if option.choices else ""
        parts.append(f"- Option `{option.name}`: {option.help}{choices}")
    parts.append("")
    for task, draft in examples.items():
        parts.extend(_example(task, draft))
    parts.append(f"```bibtex\n{source.citation}\n```\n")
    return "\n".join(parts)


def _example(task: str, draft: Draft) -> Iterator[str]:
    yield f"An example row of {task}, `{draft.id}`:\n"
    yield "```text"
    for pair in draft.pairs[:SHOWN]:
        yield f"Q ({pair.category}, {pair.template}): {pair.question}"
        yield f"A: {pair.answer}"
    if len(draft.pairs) > SHOWN:
        yield f"... and {len(draft.pairs) - SHOWN} more pairs"
    yield "```\n"


def main() -> None:
    """Write the page to the path that the command line names."""
    with tempfile.TemporaryDirectory() as folder:
        sample = draw_sample(Path(folder) / "sources", images=IMAGES)
        write_bytes(Path(sys.argv[1]), sources_page(sample.sources_toml).encode())


if __name__ == "__main__":
    main()
