"""What an export of requests costs beside the plain way and beside copying the same bytes, in the same run.

*export* is `exporting.export` over generated JPEGs of about 75 KB: it reads and hashes each, sees that it has its end,
fills in the prompt of stage local with twenty objects, writes its line and its index line, and waits for the disk at
the end of each file. *plain* reads each file and writes `json.dumps` of a body with other text, without proof, id and
index; *copy* writes the bytes of the export's request files once more, and nothing else. Prints CPU seconds (all
processes), wall seconds, MB a second and the peak of memory (PSS over all processes), and what was written.

    python benchmarks/gpt4v_export.py [--images 2000] [--workers 1 2] [--rounds 1] [--folder DIR]
"""

import argparse
import json
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
from build import _jpeg

from rs_gpt4v_conversion.config import Generation, SourceSpec
from rs_gpt4v_conversion.gpt4v.asking.exporting import Asking, export
from rs_gpt4v_conversion.gpt4v.asking.parts import MOST_BYTES, MOST_REQUESTS, Limits
from rs_gpt4v_conversion.gpt4v.asking.tokens import GPT_4O
from rs_gpt4v_conversion.gpt4v.prompts import render
from rs_gpt4v_conversion.gpt4v.records import Facts, Subject
from rs_gpt4v_conversion.gpt4v.workspace import Workspace, read_index
from rs_gpt4v_conversion.records import ImageRef, Object
from rs_gpt4v_conversion.sources import known_sources

FIGURES = 300
"""Distinct pictures; the files differ by a comment, so that each has bytes of its own."""

OBJECTS = tuple(Object(category="ship", bbox=(5.0 * i, 5.0 * i, 5.0 * i + 40, 5.0 * i + 30)) for i in range(20))


def draw(folder: Path, images: int) -> Path:
    """`images` JPEGs of about 75 KB; kept between runs."""
    root = folder / f"images-{images}"
    if (root / "done").exists():
        return root
    root.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    bases = [_jpeg(rng) for _ in range(min(images, FIGURES))]
    for i in range(images):
        base = bases[i % len(bases)]
        (root / f"{i}.jpg").write_bytes(base[:2] + b"\xff\xfe\x00\x0a" + f"{i:08d}".encode() + base[2:])
    (root / "done").touch()
    return root


def subjects(spec: SourceSpec, notes: Counter[str]) -> Iterator[Subject]:
    for i in range(sum(1 for _ in spec.root.glob("*.jpg"))):
        path = spec.root / f"{i}.jpg"
        yield Subject(
            source=spec.name, split="train", license="none",
            image=ImageRef(image_id=str(i), source_id=path.name, path=path, image_path=path.name),
            facts=Facts(record=f"{spec.name}/train/{i}", width=512, height=512, objects=OBJECTS),
        )  # fmt: skip


def run_export(root: Path, out: Path, workers: int) -> None:
    spec = SourceSpec(
        name="sea", source=known_sources()["rsicd"], root=root, options={}, limit=None, max_side=None, reject_limit=0.5
    )
    asking = Asking(
        specs=(spec,), generation=Generation(requests=out), rule=GPT_4O, subjects=subjects, render=render, answers=None
    )
    export(Workspace(out), "local", asking, limits=Limits(), workers=workers)


PLAIN = """
import base64, json, os, sys
from pathlib import Path
root, out, most = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
out.mkdir()
part = size = 0
file = None
for i in range(sum(1 for _ in root.glob("*.jpg"))):
    data = base64.b64encode((root / f"{i}.jpg").read_bytes()).decode()
    body = {"model": "m", "messages": [{"role": "system", "content": "x" * 2000}, {"role": "user", "content": [
        {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64," + data}},
        {"type": "text", "text": "y" * 1000}]}]}
    line = json.dumps({"custom_id": f"r{i}", "method": "POST", "url": "/v1/chat/completions", "body": body}) + "\\n"
    if file is None or size + len(line) > most:
        if file is not None:
            file.flush(); os.fsync(file.fileno()); file.close()
        part, size = part + 1, 0
        file = open(out / f"{part}.jsonl", "w")
    file.write(line)
    size += len(line)
file.flush(); os.fsync(file.fileno()); file.close()
"""

COPY = """
import os, sys
from pathlib import Path
out = Path(sys.argv[2])
out.mkdir()
for path in sorted(Path(sys.argv[1]).glob("local-?????.jsonl")):
    with path.open("rb") as source, (out / path.name).open("wb") as target:
        while block := source.read(1 << 20):
            target.write(block)
        target.flush()
        os.fsync(target.fileno())
"""


def measure(command: list[str]) -> tuple[float, float, float]:
    """CPU seconds, wall seconds and peak PSS in MB of a command and its children."""
    before, begun, peak = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic(), 0.0
    process = subprocess.Popen(command)

    def watch() -> None:
        nonlocal peak
        top = psutil.Process(process.pid)
        while process.poll() is None:
            total = 0
            try:
                for one in (top, *top.children(recursive=True)):
                    total += one.memory_full_info().pss
            except psutil.Error:
                continue
            peak = max(peak, total / 1e6)
            time.sleep(0.1)

    watcher = threading.Thread(target=watch)
    watcher.start()
    process.wait()
    watcher.join()
    if process.returncode:
        raise SystemExit(f"{command[:3]} failed")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return cpu, time.monotonic() - begun, peak


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--work", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.work:
        root, out, workers = given.work
        run_export(Path(root), Path(out), int(workers))
        return
    folder = given.folder or Path(tempfile.gettempdir()) / "rs-gpt4v-bench-export"
    root = draw(folder, given.images)
    requests = folder / "requests"
    ways = {f"export, {n} process{'es' * (n > 1)}": n for n in given.workers}
    found: dict[str, list[tuple[float, float, float]]] = {}
    for _ in range(given.rounds):
        for name, workers in ways.items():
            shutil.rmtree(requests, ignore_errors=True)
            command = [sys.executable, __file__, "--work", str(root), str(requests), str(workers)]
            found.setdefault(name, []).append(measure(command))
        for name, program, source in (("plain", PLAIN, root), ("copy", COPY, requests)):
            command = [sys.executable, "-c", program, str(source), str(folder / "other"), str(MOST_BYTES)]
            found.setdefault(name, []).append(measure(command))
            shutil.rmtree(folder / "other")
    parts = Workspace(requests).parts()
    sizes, counts = [p.path.stat().st_size for p in parts], [sum(1 for _ in read_index(p.index)) for p in parts]
    for name, runs in found.items():
        cpu, wall, peak = (statistics.median(r[k] for r in runs) for k in range(3))
        print(
            f"{name:24} CPU {cpu:7.1f} s  wall {wall:7.1f} s  {sum(sizes) / 1e6 / wall:6.0f} MB/s  peak {peak:6.0f} MB"
        )
    print(json.dumps({
        "images": given.images, "mean_image_bytes": sum(p.stat().st_size for p in root.glob("*.jpg")) // given.images,
        "files": len(parts), "bytes": sum(sizes), "largest": max(sizes), "most_requests": max(counts),
        "requests": sum(counts), "within_limits": max(sizes) <= MOST_BYTES and max(counts) <= MOST_REQUESTS,
    }))  # fmt: skip
    shutil.rmtree(requests)


if __name__ == "__main__":
    main()
