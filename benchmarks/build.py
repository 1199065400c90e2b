"""What a build costs beside a plain script that does the least that could be right, in the same run.

The plain script reads, hashes and fully decodes each file once and writes the same columns and Parquet settings with as
many workers. Prints CPU seconds (all processes), their ratio, wall seconds and the peak of PSS over all processes.

    python benchmarks/build.py [--images 10000] [--workers 2] [--rounds 3] [--folder DIR]
"""

import argparse
import io
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import psutil
from PIL import Image


def draw(folder: Path, images: int) -> Path:
    """RSICD's layout with `images` JPEGs of about 75 KB; kept between runs."""
    root = folder / f"rsicd-{images}"
    toml = folder / f"sources-{images}.toml"
    if toml.exists():
        return toml
    rng = np.random.default_rng(0)
    bases = [_jpeg(rng) for _ in range(64)]
    (root / "RSICD_images").mkdir(parents=True, exist_ok=True)
    records = []
    for i in range(images):
        name = f"field_{i}.jpg"
        base = bases[i % len(bases)]
        comment = b"\xff\xfe\x00\x0a" + f"{i:08d}".encode()  # unique bytes, the same pixels
        (root / "RSICD_images" / name).write_bytes(base[:2] + comment + base[2:])
        sentences = [{"raw": f"field number {i} seen for the {k}th time ."} for k in range(5)]
        records.append({"filename": name, "split": "train", "sentences": sentences})
    (root / "dataset_rsicd.json").write_text(json.dumps({"dataset": "rsicd", "images": records}))
    toml.write_text(f'version = "1.0.0"\ndate = "2026-01-01"\n[[source]]\nkind = "rsicd"\nroot = "{root.name}"\n')
    return toml


def _jpeg(rng: np.random.Generator) -> bytes:
    coarse = Image.fromarray(rng.integers(0, 255, (40, 40, 3), dtype=np.uint8)).resize(
        (512, 512), Image.Resampling.BICUBIC
    )
    grain = rng.normal(0, 10, (512, 512, 3))
    pixels = np.clip(np.asarray(coarse) + grain, 0, 255).astype(np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=81)
    return out.getvalue()


PLAIN = """
import hashlib, io, json, multiprocessing, sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
import pyarrow as pa, pyarrow.parquet as pq
from PIL import Image

def write(job):
    part, names, folder, out, schema, settings = job
    schema = pa.ipc.read_schema(pa.py_buffer(schema))
    with pq.ParquetWriter(Path(out) / f"{part}.parquet", schema, **settings) as writer:
        for start in range(0, len(names), 200):
            rows = []
            for name, sentences in names[start : start + 200]:
                data = (Path(folder) / name).read_bytes()
                digest = hashlib.sha256(data).hexdigest()
                image = Image.open(io.BytesIO(data))
                image.load()
                rows.append({
                    "id": name, "image": {"bytes": data, "path": name}, "width": image.width, "height": image.height,
                    "conversations": [t for s in sentences for t in (
                        {"from": "human", "value": "Provide a one-sentence caption for this remote sensing image."},
                        {"from": "gpt", "value": s["raw"]})],
                    "pairs": [{"category": "caption", "dialogue": i, "template": "t", "generator": "a", "review": "u",
                               "objects": []} for i, _ in enumerate(sentences)],
                    "image_sha256": digest, "source_sha256": digest, "task": "captioning", "source": "rsicd",
                    "objects": [], "window": [], "bounds": [],
                })
            writer.write_table(pa.Table.from_pylist(rows, schema=schema))

if __name__ == "__main__":
    root, out, workers, schema, settings = sys.argv[1:6]
    images = json.loads((Path(root) / "dataset_rsicd.json").read_text())["images"]
    names = [(i["filename"], i["sentences"]) for i in images]
    schema, settings, size = bytes.fromhex(schema), json.loads(settings), 1250
    folder = str(Path(root) / "RSICD_images")
    jobs = [(p, names[p : p + size], folder, out, schema, settings) for p in range(0, len(names), size)]
    with ProcessPoolExecutor(int(workers), multiprocessing.get_context("spawn")) as pool:
        list(pool.map(write, jobs))
"""


def measure(command: list[str]) -> tuple[float, float, float]:
    """CPU seconds with children, wall seconds, peak PSS in MB over all processes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begun = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    peak = [0.0]
    watcher = threading.Thread(target=_watch, args=(process, peak))
    watcher.start()
    if process.wait():
        sys.exit(f"{command[:3]} failed")
    watcher.join()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return cpu, time.perf_counter() - begun, peak[0]


def _watch(process: "subprocess.Popen[bytes]", peak: list[float]) -> None:
    while process.poll() is None:
        total = 0
        try:
            top = psutil.Process(process.pid)
            for each in (top, *top.children(recursive=True)):
                total += each.memory_full_info().pss
        except psutil.Error:
            continue
        peak[0] = max(peak[0], total / 1e6)
        time.sleep(0.2)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "rs-gpt4v-bench")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    toml = draw(options.folder, options.images)
    import rs_gpt4v
    from rs_gpt4v_conversion.images.pixels import shared_pixels
    from rs_gpt4v_conversion.shards import parquet_settings

    schema = rs_gpt4v.arrow_schema()
    plain = options.folder / "plain.py"
    plain.write_text(PLAIN)
    root, out = options.folder / f"rsicd-{options.images}", options.folder / "out"
    commands = {
        "plain": [sys.executable, str(plain), str(root), str(out), str(options.workers),
                  schema.serialize().to_pybytes().hex(), json.dumps(parquet_settings(schema))],
        "build": [sys.executable, "-m", "rs_gpt4v_conversion", "build", str(toml), str(out),
                  "--workers", str(options.workers)],
    }  # fmt: skip
    found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in commands}
    for _ in range(options.rounds):
        for name, command in commands.items():
            shutil.rmtree(out, ignore_errors=True)
            out.mkdir()
            found[name].append(measure(command))
    print(f"{options.images:,} images, {options.workers} workers, {os.cpu_count()} cores, ", end="")
    print(f"Python {sys.version.split()[0]}, median of {options.rounds}")
    for name, runs in found.items():
        cpu, wall, pss = (statistics.median(r[i] for r in runs) for i in range(3))
        print(f"{name:6} CPU {cpu:6.1f} s  wall {wall:6.1f} s  peak PSS {pss:5.0f} MB")
    ratios = [b[0] / p[0] for b, p in zip(found["build"], found["plain"], strict=True)]
    print(f"build / plain, CPU: {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")
    shutil.rmtree(out)
    files = sorted((root / "RSICD_images").iterdir())
    begun = time.process_time()
    shared_pixels({path: frozenset({"a", "b"}) for path in files}, 1, lambda _: None)
    print(f"comparing the pixels of all of them: CPU {time.process_time() - begun:.1f} s")


if __name__ == "__main__":
    main()
