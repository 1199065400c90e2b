"""What it costs to plan RSVQA-HR at its real size, and how the ways to read JSON compare on its largest file.

Draws the source in its real layout (three files a split, each with a placeholder for every item of the other splits)
at 10, 50 and 100 % of its size, runs `rs-gpt4v plan` on each in a process of its own, and prints CPU seconds, wall
seconds and the peak of resident memory. Then does the same for each way to read the questions of train: those of
ijson and msgspec are left out where these are not installed.

    python benchmarks/reading.py [--shares 0.1 0.5 1] [--rounds 3] [--folder DIR]
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from importlib.util import find_spec
from itertools import accumulate
from pathlib import Path
from typing import TextIO

SPLITS = {
    "train": (6251, 625_340), "val": (1028, 102_843), "test": (2226, 222_684), "test_phili": (1056, 105_647),
}  # fmt: skip
"""Images and questions of the real files. Images of val and of the second test at 100 questions each."""

PARTS = ("questions", "answers", "images")
KINDS = ("building", "residential building", "commercial building", "road", "water area", "forest", "park", "parking")
SIZES = ("", "small ", "large ", "square ", "rectangular ", "circular ", "medium ")
PLACES = ("", " next to a road", " on the left of a park", " at the top of a water area", " on the right of a forest")


def texts() -> list[tuple[str, str]]:
    """Type and text of every question that is asked, about as many as the real ones have."""
    things = [f"{size}{kind}" for kind in KINDS for size in SIZES]
    placed = [f"{thing}{place}" for thing in things for place in PLACES]
    found = [("presence", f"Is a {thing} present in the image?") for thing in placed]
    found += [("count", f"What is the number of {thing}s?") for thing in placed]
    found += [("area", f"What is the area covered by {thing}s?") for thing in things]
    found += [("comp", f"Are there more {a}s than {b}s?") for a in things for b in things if a != b]
    return found


def write_rsvqa_hr(root: Path, share: float = 1.0) -> dict[str, tuple[int, int]]:
    """Write the annotation files of RSVQA-HR, as large as the real ones.

    No image has a question twice. The images of the splits take turns, as those of the real cities do.

    Args:
        root: The source's folder.
        share: Of the images and questions of each split.

    Returns:
        Images and questions by split.
    """
    root.mkdir(parents=True, exist_ok=True)
    counts = {split: (round(images * share), round(asked * share)) for split, (images, asked) in SPLITS.items()}
    with ExitStack() as stack:
        files = {
            (split, part): stack.enter_context(_List(root / f"USGS_split_{split}_{part}.json", part))
            for split in SPLITS
            for part in PARTS
        }
        for image, (split, numbers, records) in enumerate(_images(counts)):
            for part in PARTS:
                ids = [image] if part == "images" else numbers
                hidden = [f'{{"id": {n}, "active": false}}' for n in ids]
                for other in SPLITS:
                    files[other, part].add(records[part] if other == split else hidden)
    return counts


class _List:
    """A file that is being written: an object with one list."""

    def __init__(self, path: Path, key: str) -> None:
        self.path, self.key, self.begun = path, key, False

    def __enter__(self) -> "_List":
        self.file: TextIO = self.path.open("w")
        self.file.write(f'{{"{self.key}": [')
        return self

    def __exit__(self, *_: object) -> None:
        self.file.write("]}")
        self.file.close()

    def add(self, records: list[str]) -> None:
        if records:
            self.file.write((", " if self.begun else "") + ", ".join(records))
            self.begun = True


def _images(counts: dict[str, tuple[int, int]]) -> Iterator[tuple[str, list[int], dict[str, list[str]]]]:
    """Split, question ids and records of each image, in the order of their ids."""
    ends = list(accumulate(images for images, _ in counts.values()))
    turns = sorted(range(ends[-1]), key=lambda i: (i * 7919) % ends[-1])  # any fixed mixture of the splits
    left = {split: list(_shares(*count)) for split, count in counts.items()}
    asked, first = texts(), 0
    for image, turn in enumerate(turns):
        split = next(s for s, end in zip(counts, ends, strict=True) if turn < end)
        numbers = list(range(first, first + left[split].pop()))
        first += len(numbers)
        yield split, numbers, _records(image, numbers, asked)


def _shares(images: int, questions: int) -> Iterator[int]:
    """Questions of each image, which differ by one at most."""
    for i in range(images):
        yield questions * (i + 1) // images - questions * i // images


def _records(image: int, numbers: list[int], asked: list[tuple[str, str]]) -> dict[str, list[str]]:
    questions, answers = [], []
    for n in numbers:
        kind, text = asked[(image * 3571 + (n - numbers[0]) * 37) % len(asked)]
        answer = {"count": f"{n * 31 % 40}", "area": f"{n * 7919 % 90_000}m2"}.get(kind, "yes" if n % 3 else "no")
        added = 1_555_013_907.5 + n / 1024
        questions.append(
            f'{{"id": {n}, "date_added": {added}, "img_id": {image}, "people_id": 0, "type": "{kind}", '
            f'"question": "{text}", "answers_ids": [{n}], "active": true}}'
        )
        answers.append(
            f'{{"id": {n}, "date_added": {added}, "question_id": {n}, "people_id": 0, "answer": "{answer}", '
            f'"active": true}}'
        )
    listed = (
        f'{{"id": {image}, "date_added": 1555013907.5, "original_name": "{image}_3584-3072.tif", '
        f'"sensor": "ULTRACAM_EAGLE_FALCON", "upperleft_map_x": -8238628.104, "upperleft_map_y": 4970774.068, '
        f'"res_x": ".1524m", "res_y": ".1524m", "people_id": 0, "type": "RGB", "questions_ids": {numbers}, '
        f'"active": true}}'
    )
    return {"questions": questions, "answers": answers, "images": [listed]}


def source(folder: Path, share: float) -> Path:
    """The SOURCES.toml of a source of this size, drawn where it is not there yet."""
    toml = folder / f"hr-{share}.toml"
    if not toml.exists():
        write_rsvqa_hr(folder / f"hr-{share}", share)
        toml.write_text(f'version = "1.0.0"\ndate = "2026-01-01"\n[[source]]\nkind = "rsvqa_hr"\nroot = "hr-{share}"\n')
    return toml


PARSERS = {
    "json.loads": """
records = json.loads(folder.read(path))["questions"]
for r in records:
    if r.get("active"):
        count += len(r["question"])
""",
    "raw_decode": """
from rs_gpt4v_conversion.sources._stream import iter_records
for _, r in iter_records(folder, path, "questions"):
    if r.get("active"):
        count += len(r["question"])
""",
    "ijson": """
import ijson.backends.yajl2_c as ijson
with folder.open(path) as file:
    for r in ijson.items(file, "questions.item", use_float=True, buf_size=1 << 18):
        if r.get("active"):
            count += len(r["question"])
""",
    "msgspec": """
import msgspec
class Record(msgspec.Struct, gc=False):
    id: Any = None
    img_id: Any = None
    type: Any = None
    question: Any = None
    active: Any = None
class Content(msgspec.Struct):
    questions: list[Record]
records = msgspec.json.decode(folder.read(path), type=Content).questions
for r in records:
    if r.active:
        count += len(r.question)
""",
}
"""Ways to go through the active questions of a file and digest it; `raw_decode` over a window is what a build does."""

BEGIN = """
import json, sys
from pathlib import Path
from typing import Any
from rs_gpt4v_conversion.sources import Folder
path, count = Path(sys.argv[1]), 0
folder = Folder(path.parent)
"""


def measure(command: list[str]) -> tuple[float, float, float, str]:
    """CPU seconds, wall seconds, peak of resident memory in MB, and what a command printed."""
    wrapped = [sys.executable, "-c", _WRAPPER, *command]
    begun = time.perf_counter()
    done = subprocess.run(wrapped, check=True, capture_output=True, text=True)
    wall = time.perf_counter() - begun
    cpu, peak = map(float, done.stderr.rsplit("\n", 2)[-2].split())
    return cpu, wall, peak, done.stdout


_WRAPPER = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:]).returncode
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(f"{used.ru_utime + used.ru_stime} {used.ru_maxrss / 1e3}", file=sys.stderr)
sys.exit(code)
"""
"""Runs one command in a process that has no other child: the kernel keeps the peak of all children together."""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--shares", type=float, nargs="+", default=[0.1, 0.5, 1.0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "rs-gpt4v-bench")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    print(f"{os.cpu_count()} cores, Python {sys.version.split()[0]}")
    for share in options.shares:
        toml = source(options.folder, share)
        command = [sys.executable, "-m", "rs_gpt4v_conversion", "plan", str(toml), "--json"]
        print(f"plan at {share:4.0%}  {_median(command, options.rounds)}", flush=True)
    path = options.folder / f"hr-{options.shares[-1]}" / "USGS_split_train_questions.json"
    print(f"{path.name}, {path.stat().st_size / 1e6:,.0f} MB:")
    for name, code in PARSERS.items():
        if name in ("ijson", "msgspec") and find_spec(name) is None:
            print(f"{name:12}  not installed")
            continue
        command = [sys.executable, "-c", f"{BEGIN}{code}print(count)", str(path)]
        print(f"{name:12}  {_median(command, options.rounds)}", flush=True)


def _median(command: list[str], rounds: int) -> str:
    runs = [measure(command) for _ in range(rounds)]
    cpu, wall, peak = (statistics.median(run[i] for run in runs) for i in range(3))
    return f"CPU {cpu:6.2f} s  wall {wall:6.2f} s  peak RSS {peak:5.0f} MB"


if __name__ == "__main__":
    main()
