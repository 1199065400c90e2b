"""What `rs-gpt4v diff` takes: two releases of made-up rows, a share of which differ, so that no shard is shared.

    python benchmarks/diff.py --rows 10000 40000

Rows have five questions each and no image: a comparison reads none. Prints the CPU time a row, the greatest
memory and the bytes of the database, for each number of rows in a process of its own.
"""

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROWS_OF_A_SHARD = 10_000
PAIRS = 5
EVERY = 100  # one row in so many differs


def row(number: int, *, changed: bool) -> dict[str, Any]:
    digest = hashlib.sha256(str(number).encode()).hexdigest()
    turns = []
    for pair in range(PAIRS):
        asked = f"How many buildings of kind {pair} are there in this image of scene {digest[:4]}?"
        turns.append({"from": "human", "value": asked if pair else f"<image>\n{asked}"})
        turns.append({"from": "gpt", "value": f"{digest[pair]}{' at least' if changed else ''}"})
    return {
        "id": f"made/train/vqa/scene_{number}", "image": None, "conversations": turns,
        "pairs": [
            {
                "category": "count", "dialogue": n, "template": "made/1", "generator": "annotation",
                "review": "unreviewed", "objects": [],
            }
            for n in range(PAIRS)
        ],
        "task": "vqa", "source": "made", "modality": "optical", "objects": [], "width": 512, "height": 512,
        "gsd": 0.5, "image_path": f"made/{number}.jpg", "parent": "", "window": [], "scale": 1.0, "crs": "",
        "bounds": [], "rendering": "", "image_sha256": digest, "source_sha256": digest,
        "source_id": f"{number}.jpg", "license": "none",
    }  # fmt: skip


def write(folder: Path, rows: int, *, changed: bool) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    import rs_gpt4v

    schema, shards = rs_gpt4v.arrow_schema(), []
    count = -(-rows // ROWS_OF_A_SHARD)
    for shard in range(count):
        path = f"data/vqa/made/train-{shard:05d}-of-{count:05d}.parquet"
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        numbers = range(shard * ROWS_OF_A_SHARD, min((shard + 1) * ROWS_OF_A_SHARD, rows))
        with pq.ParquetWriter(folder / path, schema, compression="zstd") as writer:
            for start in range(numbers.start, numbers.stop, 1_000):
                part = [row(n, changed=changed and n % EVERY == 0) for n in numbers if start <= n < start + 1_000]
                writer.write_table(pa.Table.from_pylist(part, schema=schema))
        content = (folder / path).read_bytes()
        shards.append(
            {
                "path": path, "rows": len(numbers), "qa_pairs": len(numbers) * PAIRS, "bytes": len(content),
                "sha256": hashlib.sha256(content).hexdigest(),
            }
        )  # fmt: skip
    version = "1.0.1" if changed else "1.0.0"
    manifest = {"version": version, "date": "2026-01-01", "shards": shards, "files": {}, "contract": rs_gpt4v.VERSION}
    (folder / "manifest.json").write_text(json.dumps(manifest))


def measured(old: str, new: str) -> dict[str, float]:
    import resource

    from rs_gpt4v_conversion.versions import ReleaseAt, compare, diff

    largest = 0
    close = diff.RowTables.__exit__

    def weighed(tables: Any, *error: object) -> None:
        nonlocal largest
        (size,) = tables._base.execute("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size")
        largest = size[0]
        close(tables, *error)

    diff.RowTables.__exit__ = weighed  # type: ignore[method-assign]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.process_time()
    found = compare(ReleaseAt(old), ReleaseAt(new))
    spent = time.process_time() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "changed": found.changed.count, "cpu_s": spent, "peak_mib": peak / 1024, "start_mib": before / 1024,
        "database": largest,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 40_000])
    parser.add_argument("--pair", nargs=2, help=argparse.SUPPRESS)
    parsed = parser.parse_args()
    if parsed.pair:
        print(json.dumps(measured(*parsed.pair)))
        return
    for rows in parsed.rows:
        with tempfile.TemporaryDirectory() as folder:
            for name, changed in (("old", False), ("new", True)):
                write(Path(folder) / name, rows, changed=changed)
            pair = [str(Path(folder) / name) for name in ("old", "new")]
            done = subprocess.run([sys.executable, __file__, "--pair", *pair], stdout=subprocess.PIPE, check=True)
        found = json.loads(done.stdout)
        assert found["changed"] == -(-rows // EVERY)
        print(
            f"{rows:,} rows a side, {found['changed']:,.0f} changed: {found['cpu_s'] / rows / 2 * 1e6:.0f} us of CPU a "
            f"row read, {found['peak_mib']:.0f} MiB at most ({found['start_mib']:.0f} at the start), "
            f"{found['database'] / rows / 2:.0f} bytes of database a row"
        )


if __name__ == "__main__":
    main()
