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


def line(name: str, runs: list[dict[str, Any]]) -> list[str]:
    """A line of the table, medians."""

    def median(key: str) -> float:
        return statistics.median(run[key] for run in runs)

    order = runs[0]["seen"]
    return [
        READERS[name].title, f"{median('first_s'):.2f}", f"{median('started_s'):.2f}", f"{median('first_mb'):.1f}",
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
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in options.only.split(",")}
    with serving(options.folder, LATENCY, RATE) as url:
        for _ in range(options.rounds):
            for name, runs in found.items():
                try:
                    reader = READERS[name]
                    print(reader.title, file=sys.stderr)
                    runs.append(
                        case.run(where, reader.environment, "fetching:epoch", reader=name, url=f"{url}/{root.name}")
                    )
                except case.CaseError as error:
                    print(f"\n{READERS[name].title}: {error}", file=sys.stderr)
    head = ["", "first batch, s", "with the process's start, s", "moved till then, MB", "samples/s",
            "an epoch moves, MB", "requests", "CPU ms a sample",
            f"distinct of {CHUNKS} chunks in {WINDOW}", "near neighbours"]  # fmt: skip
    size = sum(path.stat().st_size for path in (root / "files" / "images").iterdir()) / 1e6
    print(
        f"\n{SAMPLES:,} samples of {size:.0f} MB, {LATENCY * 1e3:.0f} ms, {RATE / 1e6:.0f} MB/s, two workers, ", end=""
    )
    print(f"median of {options.rounds}\n")
    print(table(head, [line(name, runs) for name, runs in found.items() if runs]))
    if options.json:
        options.json.write_text(json.dumps(found))


if __name__ == "__main__":
    main()
