"""How fast samples come: this project beside the readers and the preparations that others use, in one run.

Two measurements, on JPEGs of 800 x 800, 256 x 256 and 500 x 375 pixels, with two workers (processes or threads):

- *reading*: encoded bytes and text of all samples in shuffled order, the page cache warm, and the same cold;
- *batches*: 16 samples from bytes to ids, labels and pixels for LLaVA-1.5.

Every case runs in a process of its own, in its own environment, in rounds, so that all see the same machine. Prints
Markdown: samples a second of wall time and, in parentheses, CPU milliseconds a sample of all processes; medians.

    python benchmarks/feeding.py --tokenizer tokenizer.model [--environments FOLDER] [--llava CHECKOUT] [--rounds 3]
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from feed import case, environments
from feed.containers import containers
from feed.data import draw
from feed.environments import OURS, Environments
from feed.readers import READERS
from feed.tables import table

READING = {"800": 2048, "256": 8192, "500x375": 4096}
"""Samples of the sets that are only read: enough for an epoch to be long against its beginning and end."""
PICTURES = 512
BATCHES = {kind: 512 for kind in READING}


@dataclass(frozen=True)
class Case:
    """A line of a table.

    Attributes:
        title: In the table.
        environment: That it runs in.
        function: Of the package `feed`.
        arguments: Of the function, but the set.
        kinds: Of image; all unless stated.
    """

    title: str
    environment: str
    function: str
    arguments: dict[str, Any] = field(default_factory=dict)
    kinds: tuple[str, ...] = tuple(READING)


def reading(workers: int, cold: bool) -> list[Case]:
    """The cases of reading."""
    names = [name for name in READERS if workers or name != "loader"]  # which has one thread at least
    return [
        Case(READERS[name].title.replace(", DataLoader", "") if not workers else READERS[name].title,
             READERS[name].environment, "epochs:read", {"reader": name, "workers": workers, "cold": cold})
        for name in names
    ]  # fmt: skip


def batches(tokenizer: Path) -> list[Case]:
    """The cases of LLaVA batches."""
    made = [
        Case("original LazySupervisedDataset and collator", "orig", "epochs:original", {"tokenizer": str(tokenizer)}),
    ]
    for title, environment, backend, source in (
        ("LlavaProcessor, Pillow", "hfpil", "pil", "pil"),
        ("LlavaProcessor, torchvision", "tv", "torchvision", "pil"),
        ("LlavaProcessor, torchvision, images decoded by it", "tv", "torchvision", "tensor"),
    ):
        arguments = {"tokenizer": str(tokenizer), "backend": backend, "source": source}
        made.append(Case(title, environment, "epochs:processor", arguments))
    for name in ("webdataset", "datasets", "mds", "litdata", "rows", "loader"):
        for pixels in ("float32", "uint8"):
            reader = READERS[name]
            collator = "" if reader.environment == OURS else " + our collator"
            arguments = {"tokenizer": str(tokenizer), "reader": name, "pixels": pixels}
            title = f"{reader.title.split(', shuffle')[0]}{collator}, {pixels}"
            made.append(Case(title, reader.environment, "epochs:batches", arguments))
    return [*made, Case("ceiling: full decode and uint8 resize", OURS, "epochs:ceiling")]


class Results:
    """What the cases gave, round after round."""

    def __init__(self, where: Environments) -> None:
        self.where = where
        self.found: dict[tuple[str, str, str], list[dict[str, float]]] = defaultdict(list)
        self.failed: dict[tuple[str, str], str] = {}

    def run(self, group: str, one: Case, kind: str, root: Path) -> None:
        """Carry out a case once, unless it has failed before."""
        if (group, one.title) in self.failed:
            return
        try:
            result = case.run(self.where, one.environment, one.function, root=str(root), **one.arguments)
        except case.CaseError as error:
            self.failed[group, one.title] = str(error)
            print(f"{group}, {one.title}: {error}", file=sys.stderr)
            return
        self.found[group, one.title, kind].append(result)
        print(f"{group:18} {kind:8} {one.title:58} {result['rate']:9.0f} ({result['cpu_ms']:.3f})", file=sys.stderr)

    def cell(self, group: str, title: str, kind: str) -> str:
        """Samples a second and CPU milliseconds a sample, medians."""
        runs = self.found.get((group, title, kind))
        if not runs:
            return "-"
        rate, cpu = (statistics.median(run[key] for run in runs) for key in ("rate", "cpu_ms"))
        return f"{rate:,.0f} ({cpu:.3f})" if cpu < 0.1 else f"{rate:,.0f} ({cpu:.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokenizer", type=Path, help="LLaMA's tokenizer.model; without it there are no batches")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="cases whose title has this in it")
    parser.add_argument("--kinds", default=",".join(READING), help="of image, with commas between them")
    parser.add_argument("--groups", default="reading,alone,cold,batches")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "rs-gpt4v-feeding")
    parser.add_argument("--json", type=Path, help="where all results go")
    environments.add_options(parser)
    options = parser.parse_args()
    where = environments.find(options)
    groups = {
        "reading": (reading(2, cold=False), READING),
        "alone": (reading(0, cold=False), READING),
        "cold": (reading(2, cold=True), READING),
        "batches": (batches(options.tokenizer) if options.tokenizer else [], BATCHES),
    }
    kinds = options.kinds.split(",")
    groups = {
        name: (groups[name][0], {kind: groups[name][1][kind] for kind in kinds}) for name in options.groups.split(",")
    }
    roots = {(kind, count): draw_all(options.folder, kind, count, where)
             for _, counts in groups.values() for kind, count in counts.items()}  # fmt: skip
    results = Results(where)
    for _ in range(options.rounds):
        for name, (cases, counts) in groups.items():
            for one in cases:
                for kind, count in counts.items():
                    if options.only in one.title:
                        results.run(name, one, kind, roots[kind, count])
    for name, (cases, counts) in groups.items():
        lines = [[one.title, *(results.cell(name, one.title, kind) for kind in counts)] for one in cases]
        print(f"\n{name}, {os.cpu_count()} cores, median of {options.rounds}\n")
        print(table(["", *counts], lines))
    for (name, title), reason in results.failed.items():
        print(f"\n{name}, {title}: {reason}")
    if options.json:
        found = [{"group": g, "case": t, "kind": k, "runs": runs} for (g, t, k), runs in results.found.items()]
        options.json.write_text(json.dumps(found, indent=1))


def draw_all(folder: Path, kind: str, count: int, where: Environments) -> Path:
    """A set in every container whose environment is there."""
    root = draw(folder, kind, count, PICTURES)
    containers(root, where)
    return root


if __name__ == "__main__":
    main()
