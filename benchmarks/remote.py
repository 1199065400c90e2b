"""Reading from a server: how soon the first sample is there, how many bytes an epoch moves, how well it is mixed.

6,000 samples in 12 chunks (150 MB) on a local server that answers 30 ms late and sends 60 MB a second over all
connections. Nothing is in a reader's cache. webdataset and `datasets` read over HTTP; mosaicml-streaming and litdata,
which cannot, take the same server for S3. Prints Markdown.

    python benchmarks/remote.py [--environments FOLDER] [--rounds 3]
"""

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from feed import case, environments
from feed.containers import containers
from feed.data import CHUNKS, draw
from feed.mixing import WINDOW, distinct_chunks, near_neighbours
from feed.readers import READERS
from feed.server import serving
from feed.tables import table

SAMPLES = 6_000
LATENCY, RATE = 0.030, 60e6
MORE = 0.300
"""Seconds by which the server answers later in the runs that tell how many round trips come one after the other until
the first batch: so many times this is how much later it is there."""


def line(name: str, runs: list[dict[str, Any]], late: list[dict[str, Any]]) -> list[str]:
    """A line of the table, medians."""

    def median(key: str, of: list[dict[str, Any]] = runs) -> float:
        return statistics.median(run[key] for run in of)

    order = runs[0]["seen"]
    trips = f"{(median('first_s', late) - median('first_s')) / MORE:.1f}" if late else ""
    return [
        READERS[name].title, f"{median('first_s'):.2f}", f"{median('started_s'):.2f}", trips,
        f"{median('first_cpu_s'):.2f}", f"{median('first_mb'):.1f}",
        f"{median('rate'):,.0f}", f"{median('mb'):.0f}", f"{median('requests'):.0f}", f"{median('cpu_ms'):.2f}",
        f"{distinct_chunks(order):.1f}", f"{near_neighbours(order):.2f}",
    ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default=",".join(name for name, reader in READERS.items() if reader.remote))
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "rs-gpt4v-feeding")
    parser.add_argument("--json", type=Path, help="where all results go")
    environments.add_options(parser)
    options = parser.parse_args()
    where = environments.find(options)
    root = draw(options.folder, "256", SAMPLES, 512)
    containers(root, where)
    names = options.only.split(",")
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    late: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    with serving(options.folder, LATENCY, RATE) as near, serving(options.folder, LATENCY + MORE, RATE) as far:
        for _ in range(options.rounds):
            for name in names:
                reader = READERS[name]
                print(reader.title, file=sys.stderr)
                for url, runs in ((near, found[name]), (far, late[name])):
                    given = {"reader": name, "url": f"{url}/{root.name}", "whole": url == near}
                    try:
                        runs.append(case.run(where, reader.environment, "fetching:epoch", **given))
                    except case.CaseError as error:
                        print(f"\n{reader.title}: {error}", file=sys.stderr)
    head = ["", "first batch, s", "with the process's start, s", "round trips", "CPU s", "moved till then, MB",
            "samples/s", "an epoch moves, MB", "requests", "CPU ms a sample",
            f"distinct of {CHUNKS} chunks in {WINDOW}", "near neighbours"]  # fmt: skip
    size = sum(path.stat().st_size for path in (root / "files" / "images").iterdir()) / 1e6
    print(
        f"\n{SAMPLES:,} samples of {size:.0f} MB, {LATENCY * 1e3:.0f} ms, {RATE / 1e6:.0f} MB/s, two workers, ", end=""
    )
    print(f"median of {options.rounds}\n")
    print(table(head, [line(name, runs, late[name]) for name, runs in found.items() if runs]))
    if options.json:
        options.json.write_text(json.dumps({"found": found, "late": late}))


if __name__ == "__main__":
    main()
