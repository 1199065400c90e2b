"""What it costs to read, validate and class answers of a model, checks off, on one core.

Draws requests (an index a 50,000) of all six stages and their answers in another order, about 1.5 KB a line, of which 4
in 100 are refused, cut, filtered, expired, failed, of no request or no JSON. Prints CPU seconds, lines a second of CPU
and the peak of memory (RSS) of a process that brings a ledger to these files: first the indexes, then the answers, then
nothing new, and at last some look-ups.

    python benchmarks/gpt4v_import.py [--lines 100000] [--folder DIR] [--profile]
"""

import argparse
import contextlib
import cProfile
import json
import pstats
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import cast

from rs_gpt4v_conversion.config import Generation
from rs_gpt4v_conversion.gpt4v.answers.ledger import Ledger
from rs_gpt4v_conversion.gpt4v.records import STAGES, Request, Stage
from rs_gpt4v_conversion.gpt4v.workspace import Workspace, index_line
from rs_gpt4v_conversion.progress import Progress

PART = 50_000
TEXT = (
    "harbor pier basin ship crane road field river bank bridge house roof tree shadow water grey green bright long "
    "narrow wide northern small large row of with beside along between behind several two three a the and lies stands"
)
WORDS = TEXT.split()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=100_000)
    parser.add_argument("--folder", type=Path, help="where to draw the files (a temporary folder)")
    parser.add_argument("--profile", action="store_true", help="show where the time goes")
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    parsed = parser.parse_args()
    if parsed.measure:
        measure(parsed.folder, parsed.profile)
        return
    with tempfile.TemporaryDirectory(dir=parsed.folder) as name:
        folder = Path(name)
        draw(folder, parsed.lines)
        size = sum(path.stat().st_size for path in (folder / "later").iterdir())
        print(f"{parsed.lines:,} answers, {size / 1e6:,.0f} MB, {size / parsed.lines:,.0f} bytes a line", flush=True)
        more = ["--profile"] if parsed.profile else []
        subprocess.run([sys.executable, __file__, "--measure", "--folder", name, *more], check=True)


def measure(folder: Path, profile: bool) -> None:
    """In a process of its own, so that memory is that of the reading alone."""
    profiler = cProfile.Profile()
    if profile:
        profiler.enable()
    with Ledger(Workspace(folder), Generation(requests=folder), load=lambda: None) as ledger:
        lines = Lines()
        with timed("indexes", lines):
            ledger.update()
        (folder / "later").rename(folder / "answers")
        with timed("answers", lines):
            ledger.update(progress=cast(Progress, lines))
        with timed("nothing new"):
            ledger.update()
        with timed("status"):
            status = ledger.status()
        with timed("outcomes"):
            outcomes = ledger.outcomes()
        with timed("usage"):
            ledger.usage()
        records = [f"rsicd/train/image_{k}" for k in range(5000)]
        with timed(f"{len(records):,} answers looked up"):
            found = sum(ledger.accepted("detail", record) is not None for record in records)
    if profile:
        profiler.disable()
        pstats.Stats(profiler).sort_stats("tottime").print_stats(25)
    sums = Counter[str]()
    for counts in outcomes.values():
        sums.update(counts)
    print(", ".join(f"{name} {count:,}" for name, count in sorted(sums.items())))
    print(f"accepted {sum(count for _, reason, count in status if reason == 'accepted'):,}, found {found:,}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak RSS {peak:,.0f} MB, ledger {(folder / 'ledger.sqlite').stat().st_size / 1e6:,.0f} MB")


class Lines:
    done = 0

    def advance(self, count: int) -> None:
        self.done += count


@contextlib.contextmanager
def timed(what: str, lines: Lines | None = None) -> Iterator[None]:
    cpu, wall = time.process_time(), time.monotonic()
    yield
    cpu, wall = time.process_time() - cpu, time.monotonic() - wall
    rate = f", {lines.done:,} lines, {lines.done / cpu:,.0f} a second of CPU" if lines and lines.done else ""
    print(f"{what:24} {cpu:6.2f} s CPU {wall:6.2f} s wall{rate}", flush=True)


def draw(folder: Path, count: int) -> None:
    """Requests in `folder`, their answers in `folder/later`."""
    rng = random.Random(0)
    contents = {stage: [content(stage, rng) for _ in range(200)] for stage in STAGES}
    (folder / "later").mkdir()
    number = 0
    for stage in STAGES:
        share = count // len(STAGES) + (stage == "local") * (count % len(STAGES))
        for part, first in enumerate(range(0, share, PART), 1):
            number += 1
            ids = [f"{stage}-{rng.getrandbits(128):032x}" for _ in range(first, min(first + PART, share))]
            file = Workspace(folder).part(stage, part)
            file.path.touch()
            with file.index.open("w", encoding="utf-8") as index:
                for k, custom_id in enumerate(ids, first):
                    index.write(index_line(request(custom_id, stage, k)))
            rng.shuffle(ids)
            with (folder / "later" / f"{number:06d}-{file.path.stem}.output.jsonl").open("w", encoding="utf-8") as out:
                for custom_id in ids:
                    out.write(line(custom_id, rng.choice(contents[stage]), rng) + "\n")


def request(custom_id: str, stage: Stage, k: int) -> Request:
    return Request(
        custom_id=custom_id, record=f"rsicd/train/image_{k}", stage=stage, prompt=f"{stage}/1", boxes="obb",
        model="gpt-4o-2024-11-20", image_sha256="0" * 64, width=512, height=512, round=1, bytes=104_000, tokens=1400,
        answer_tokens=300,
    )  # fmt: skip


def line(custom_id: str, text: str, rng: random.Random) -> str:
    finish, refusal, error, status, chance = "stop", None, None, 200, rng.random()
    if chance < 0.005:
        text, refusal = "", "I'm sorry, I can't help with that."
    elif chance < 0.015:
        text, finish = text[: len(text) // 2], "length"
    elif chance < 0.02:
        finish = "content_filter"
    elif chance < 0.025:
        return json.dumps({"id": "batch_req_1", "custom_id": custom_id, "response": None,
                           "error": {"code": "batch_expired", "message": "not executed in time"}})  # fmt: skip
    elif chance < 0.03:
        status, error = 500, {"message": "The server had an error", "type": "server_error"}
    elif chance < 0.035:
        custom_id = f"someone-elses-{rng.getrandbits(64)}"
    elif chance < 0.04:
        text = text.replace('"', "'")
    body = {
        "id": f"chatcmpl-{rng.getrandbits(96):024x}", "object": "chat.completion", "created": 1725913404,
        "model": "gpt-4o-2024-11-20",
        "choices": [{
            "index": 0, "message": {"role": "assistant", "content": text or None, "refusal": refusal},
            "logprobs": None, "finish_reason": finish,
        }],
        "usage": {
            "prompt_tokens": 1400, "completion_tokens": 300, "total_tokens": 1700,
            "prompt_tokens_details": {"cached_tokens": 1024, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
        },
        "system_fingerprint": "fp_483d39d857",
    }  # fmt: skip
    response = {"status_code": status, "request_id": f"{rng.getrandbits(128):032x}", "body": body}
    if error:
        response["body"] = {"error": error}
    return json.dumps({"id": f"batch_req_{rng.getrandbits(96):024x}", "custom_id": custom_id, "response": response,
                       "error": None})  # fmt: skip


def content(stage: Stage, rng: random.Random) -> str:
    """An answer of a stage, such that a line has about 1.5 KB."""

    def words(count: int) -> str:
        return " ".join(rng.choice(WORDS) for _ in range(count)).capitalize() + "."

    def pair(length: int) -> dict[str, object]:
        return {"question": words(9), "answer": words(length), "objects": [1, 2]}

    answers: dict[Stage, object] = {
        "local": {"objects": [
            {"number": k, "category": "ship", "box": [0.1, 0.1, 0.2, 0.1, 0.2, 0.2, 0.1, 0.2], "color": "white",
             "state": None, "description": words(6), "relations": [{"to": 1, "relation": words(2)}]}
            for k in range(1, 4)
        ]},
        "global": {
            "scene": "a harbor", "layout": words(30),
            "regions": [{"region": region, "content": words(9)} for region in ("top left", "center", "bottom right")],
            "counts": [{"category": "ship", "count": 3}], "summary": words(24),
        },
        "detail": {"description": words(120)},
        "conversation": {"turns": [pair(6) for _ in range(6)]},
        "reasoning": {"items": [{"kind": k, **pair(22)} for k in ("hypothetical", "purpose", "inference")]},
        "planning": {
            "goal": words(8), "steps": [{"action": words(9), "needs": words(4), "objects": [1]} for _ in range(5)],
            "constraints": [words(8), words(8)],
        },
    }  # fmt: skip
    return json.dumps(answers[stage])


if __name__ == "__main__":
    main()
