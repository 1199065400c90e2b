"""What a user of one version of `datasets` does with a release: the checks that run inside each environment.

Needs `datasets` and what it brings along, no pytest and no installed project. The expected rows come from `run.py`,
which read the shards with pyarrow alone. One JSON line a check on stdout: its name, whether it holds, why not.
"""

import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import datasets
import PIL.Image
from canonical import canonical

from http_server import serving
from rs_gpt4v import RSGPT4V

SCRIPT = Path(__file__).parents[2] / "rs_gpt4v.py"
RELEASE_OF_DATASETS = tuple(int(part) for part in datasets.__version__.split(".")[:2])
DECODED = 2  # rows of each split whose picture is decoded too
CACHE = tempfile.mkdtemp()

Row = dict[str, Any]
Splits = dict[str, Any]


class Work:
    """What `run.py` prepared: a release, the digest of every config's splits, three builds of one small release."""

    def __init__(self, path: str) -> None:
        content = json.loads(Path(path).read_text())
        self.release: str = content["release"]
        self.expected: dict[str, dict[str, str]] = content["expected"]
        self.builds: list[str] = content["builds"]
        self.counts: list[dict[str, int]] = content["counts"]


class NotHere(Exception):
    """A check that this version of `datasets` has nothing to say to."""


def same(config: str, found: Splits, work: Work) -> None:
    expected = work.expected[config]
    if sorted(found) != sorted(expected):
        raise AssertionError(f"{config} has the splits {sorted(found)}, expected {sorted(expected)}")
    for split, rows in found.items():
        undecoded = rows.cast_column("image", datasets.Image(decode=False))
        if canonical(undecoded) != expected[split]:
            raise AssertionError(f"{config}, {split}: the rows are others than pyarrow reads")
        for raw, row in zip(first(undecoded), first(rows), strict=True):
            same_picture(raw, row)


def first(rows: Iterable[Row]) -> list[Row]:
    """The first rows; none is asked for behind them."""
    return [row for _, row in zip(range(DECODED), rows, strict=False)]


def same_picture(raw: Row, row: Row) -> None:
    picture = PIL.Image.open(io.BytesIO(raw["image"]["bytes"]))
    if (picture.size, picture.tobytes()) != (row["image"].size, row["image"].tobytes()):
        raise AssertionError(f"{row['id']}: the picture is another")


def configs(work: Work) -> None:
    found = datasets.get_dataset_config_names(work.release)
    if sorted(found) != sorted(work.expected):
        raise AssertionError(f"configs {sorted(found)}, expected {sorted(work.expected)}")


def plain_map(work: Work) -> None:
    for config in work.expected:
        same(config, datasets.load_dataset(work.release, config, cache_dir=CACHE), work)


def plain_stream(work: Work) -> None:
    for config in work.expected:
        same(config, datasets.load_dataset(work.release, config, streaming=True), work)


def import_map(work: Work) -> None:
    for config in work.expected:
        builder = RSGPT4V.open(work.release, config, cache_dir=CACHE)
        builder.download_and_prepare()
        same(config, builder.as_dataset(), work)


def import_stream(work: Work) -> None:
    for config in work.expected:
        same(config, RSGPT4V.open(work.release, config, cache_dir=CACHE).as_streaming_dataset(), work)


def over_http(work: Work) -> None:
    with serving(Path(work.release)) as server:
        same("all", RSGPT4V.open(server.url, cache_dir=CACHE).as_streaming_dataset(), work)
        builder = RSGPT4V.open(server.url, "mini", cache_dir=CACHE)
        builder.download_and_prepare()
        same("mini", builder.as_dataset(), work)
        before, size = server.sent, sum(p.stat().st_size for p in Path(work.release).glob("mini/*.parquet"))
        texts = RSGPT4V.open(server.url, "mini", columns=["id", "conversations"], cache_dir=CACHE)
        rows = [row for part in texts.as_streaming_dataset().values() for row in part]
        if set(rows[0]) != {"id", "conversations"} or server.sent - before > size / 2:
            raise AssertionError(f"two columns of {len(rows)} rows took {server.sent - before} of {size} bytes")


HUB = """
import datasets, sys
from loading import Work, same
from rs_gpt4v import RSGPT4V
datasets.logging.set_verbosity_error()
builder = RSGPT4V.open("hf://datasets/ns/rs-gpt4v", "mini", cache_dir=sys.argv[2])
same("mini", builder.as_streaming_dataset(), Work(sys.argv[1]))
"""


def from_the_hub(work: Work) -> None:
    online = {"HF_HUB_OFFLINE": "0", "HF_DATASETS_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1"}
    with serving(Path(work.release), hub=True) as server:
        subprocess_ends_well(HUB, sys.argv[1], CACHE, HF_ENDPOINT=server.url, **online)


LEAVE = """
import sys
from rs_gpt4v import RSGPT4V
for row in RSGPT4V.open(sys.argv[1], cache_dir=sys.argv[2]).as_streaming_dataset(split="train"):
    break
"""


def leave_early(work: Work) -> None:
    with serving(Path(work.release), latency=0.02, bandwidth=2e6) as server:
        for _ in range(2):
            subprocess_ends_well(LEAVE, server.url, CACHE)


def subprocess_ends_well(code: str, *arguments: str, **environment: str) -> None:
    command = [sys.executable, "-c", code, *arguments]
    variables = {
        **os.environ,
        **environment,
        "PYTHONPATH": f"{os.environ['PYTHONPATH']}{os.pathsep}{Path(__file__).parent}",
    }
    done = subprocess.run(command, env=variables, capture_output=True, text=True)
    if done.returncode:
        raise AssertionError(f"exit code {done.returncode}: {done.stderr[-2000:]}")


def as_script(work: Work) -> None:
    for config in ("all", "mini"):
        same(config, load_script(config, work.release), work)
        same(config, load_script(config, work.release, streaming=True), work)
    with serving(Path(work.release)) as server:
        same("mini", load_script("mini", server.url, streaming=True), work)
    beside = Path(shutil.copytree(work.release, Path(tempfile.mkdtemp()) / "rs-gpt4v"))
    shutil.copy(SCRIPT, beside)  # without `data_dir`, a script reads the folder that it lies in
    same("all", load_script(None, None, script=beside / SCRIPT.name), work)


def load_script(config: str | None, folder: str | None, script: Path = SCRIPT, **options: Any) -> Splits:
    if RELEASE_OF_DATASETS >= (4, 0):
        raise NotHere("loading scripts ended with 3.6")
    if RELEASE_OF_DATASETS >= (2, 16):
        options["trust_remote_code"] = True
    return datasets.load_dataset(str(script), config, data_dir=folder, cache_dir=CACHE, **options)


def by_import(folder: str) -> Splits:
    builder = RSGPT4V.open(folder, cache_dir=CACHE)
    builder.download_and_prepare()
    return builder.as_dataset()


def made_again(work: Work) -> None:
    """A folder that was built again with other rows is not served from the cache, though its version is the same."""
    ways: dict[str, Callable[[str], Splits]] = {
        "load_dataset": lambda folder: datasets.load_dataset(folder, cache_dir=CACHE),
        "RSGPT4V.open": by_import,
    }
    if RELEASE_OF_DATASETS < (4, 0):
        ways["script"] = lambda folder: load_script("all", folder)
    for name, load in ways.items():
        folder = Path(tempfile.mkdtemp()) / "rs-gpt4v"
        steps = list(zip(work.builds, work.counts, strict=True))
        if name == "load_dataset" and RELEASE_OF_DATASETS < (2, 15):
            del steps[1]  # it caches by the folder's name, config and version: the last build has another version
        for build, expected in steps:
            shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(build, folder)
            found = {split: rows.num_rows for split, rows in load(str(folder)).items()}
            if found != expected:
                raise AssertionError(f"{name} gives {found}, expected {expected}")


CHECKS = {
    "configs": configs,
    "plain map": plain_map,
    "plain stream": plain_stream,
    "import map": import_map,
    "import stream": import_stream,
    "http": over_http,
    "hub": from_the_hub,
    "leave early": leave_early,
    "script": as_script,
    "made again": made_again,
}


def report(name: str, check: Callable[[Work], None], work: Work) -> dict[str, Any]:
    start = time.perf_counter()
    state, detail = "ok", ""
    try:
        with contextlib.redirect_stdout(sys.stderr):
            check(work)
    except NotHere as reason:
        state, detail = "-", str(reason)
    except Exception:
        state, detail = "FAILED", traceback.format_exc()
    return {"check": name, "state": state, "seconds": time.perf_counter() - start, "detail": detail}


def main() -> None:
    datasets.logging.set_verbosity_error()
    os.chdir(CACHE)
    work = Work(sys.argv[1])
    for name, check in CHECKS.items():
        print(json.dumps(report(name, check, work)), flush=True)
    shutil.rmtree(CACHE, ignore_errors=True)


if __name__ == "__main__":
    main()
