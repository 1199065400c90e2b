"""What readers promise: what a killed run loses, how well they shuffle, what resuming and opening cost.

6,000 samples in 12 chunks, two workers, batches of 16. A run is killed after 2,400 samples, its state saved, and
resumed in a new process; beside it an undisturbed run. Opening is measured with 100,000 rows. Prints Markdown.

    python benchmarks/guarantees.py [--environments FOLDER] [--rounds 3]
"""

import argparse
import json
import random
import shutil
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from feed import case, environments
from feed.containers import containers
from feed.data import CHUNKS, draw
from feed.environments import Environments
from feed.mixing import WINDOW, distinct_chunks, near_neighbours
from feed.readers import READERS
from feed.tables import table

SAMPLES, KILLED = 6_000, 2_400
MANY = 100_000


def resumed(name: str, root: Path, rounds: int, where: Environments) -> dict[str, Any]:
    """A reader's undisturbed, killed and resumed runs."""
    with tempfile.TemporaryDirectory() as folder:
        state = str(Path(folder, "state"))

        def run(**arguments: Any) -> dict[str, Any]:
            return case.run(where, READERS[name].environment, "resuming:run", reader=name, root=str(root), **arguments)

        def kill_and_resume(workers: int) -> dict[str, Any]:
            before = run(stop=KILLED, state=state, workers=workers)["seen"]
            after = [run(stop=None, state=state, workers=workers, cold=True) for _ in range(rounds)]
            return {"workers": workers, "before": before, "after": after[0]["seen"], "again": after}

        found = {"order": run(stop=None, state=None)["seen"]}
        found["start"] = [run(stop=16, state=None, cold=True) for _ in range(rounds)]
        if READERS[name].resumes:
            try:
                found |= kill_and_resume(2)
            except case.CaseError as error:
                found |= {"refused": str(error), **kill_and_resume(0)}
                found["order alone"] = run(stop=None, state=None, workers=0)
    return found


def line(name: str, found: dict[str, Any]) -> list[str]:
    """A line of the first table."""
    order = found["order"]
    mix = [f"{distinct_chunks(order):.1f}", f"{near_neighbours(order):.2f}"]
    start = _cost(found["start"])
    if "before" not in found:
        return [READERS[name].title, "no resume", "-", *mix, start, "-"]
    before, after = found["before"], found["after"]
    lost = SAMPLES - len({*before, *after})
    repeated = len(before) + len(after) - len({*before, *after})
    result = f"{lost} / {repeated}"
    if "refused" in found:
        order = found["order alone"]["seen"]
        result = f"state refused with workers; without {result}"
    same = "yes" if before + after == order else "no"
    return [READERS[name].title, result, same, *mix, start, _cost(found["again"])]


def _cost(runs: list[dict[str, Any]]) -> str:
    seconds, read = (statistics.median(run[key] for run in runs) for key in ("first_s", "first_mb"))
    return f"{seconds:.2f} s, {read:.0f} MB"


def opened(name: str, root: Path, rounds: int, where: Environments) -> list[str]:
    """A line of the second table: the first opening, the later ones, memory, what was left on the disk."""
    cache = root / (READERS[name].cache or "nothing")
    shutil.rmtree(cache, ignore_errors=True)
    before = _size(root)
    runs = [
        case.run(where, READERS[name].environment, "resuming:opening", reader=name, root=str(root))
        for _ in range(rounds + 1)
    ]
    left = _size(root) - before
    later, memory = (statistics.median(run[key] for run in runs[1:]) for key in ("seconds", "memory_mb"))
    return [READERS[name].title, f"{runs[0]['seconds']:.2f}", f"{later:.2f}", f"{memory:.0f}", f"{left:.0f}"]


def _size(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default=",".join(READERS), help="readers, with commas between them")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "rs-gpt4v-feeding")
    parser.add_argument("--json", type=Path, help="where all results go")
    environments.add_options(parser)
    options = parser.parse_args()
    where = environments.find(options)
    sets = [draw(options.folder, "256", SAMPLES, 512), draw(options.folder, "tiny", MANY, 512)]
    for root in sets:
        containers(root, where)
    permutation = random.Random(0).sample(range(SAMPLES), SAMPLES)
    mix = [f"{distinct_chunks(permutation):.1f}", f"{near_neighbours(permutation):.2f}"]
    lines, opens, kept = [["(a full permutation)", "-", "-", *mix, "-", "-"]], [], {}
    for name in options.only.split(","):
        try:
            print(READERS[name].title, file=sys.stderr)
            kept[name] = resumed(name, sets[0], options.rounds, where)
            lines.append(line(name, kept[name]))
            opens.append(opened(name, sets[1], options.rounds, where))
        except case.CaseError as error:
            print(f"\n{READERS[name].title}: {error}", file=sys.stderr)
    head = ["", "lost / repeated", "order equal", f"distinct of {CHUNKS} chunks in {WINDOW}", "near neighbours",
            "first batch, cold", "first batch after resume, cold"]  # fmt: skip
    print(f"\n{SAMPLES:,} samples, killed after {KILLED:,}, two workers, median of {options.rounds}\n")
    print(table(head, lines))
    print(f"\n{MANY:,} rows, no workers\n")
    print(table(["", "first opening, s", "later, s", "memory, MB", "left on disk, MB"], opens))
    if options.json:
        options.json.write_text(json.dumps({"resumed": kept, "opened": opens}))


if __name__ == "__main__":
    main()
