"""What it saves to put all questions of an image behind one image: tokens, collating, a training step.

A row shaped like RSVQA's: one image of 512 x 512, 100 short questions, answers of a word. *Separate* is a sample for
each question, in batches of ten; *packed* is `packing="shared-image"`, at 2,048 tokens a sequence and without a limit.
The step is forward and backward of a small random Llama with SDPA on the CPU, all the samples of the row in each case;
its losses must agree. Ids are folded into a vocabulary of 1,024, so that the last layer's share is as small as in a
large model. Prints medians of the rounds, in which the three take turns.

    python benchmarks/packing.py --tokenizer FILE [--questions 100] [--rounds 3] [--no-step]

Without `--tokenizer` a stand-in is used, whose texts have several times as many tokens as LLaMA's.
"""

import argparse
import io
import os
import statistics
import sys
import time
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from rs_gpt4v_builder import LlavaCollator, load_tokenizer
from rs_gpt4v_builder.text.conversation import IGNORE
from rs_gpt4v_builder.text.tokenizer import byte_tokenizer

FORMAT = "\nAnswer the question using a single word or phrase."
"""What a release adds to such a question."""

THINGS = ("building", "residential building", "road", "water area", "forest", "farmland", "small square building")
Row = dict[str, Any]
Batch = dict[str, torch.Tensor]
NO_LIMIT = 10**9


def questions(count: int) -> list[tuple[str, str]]:
    """Questions of RSVQA's four kinds, and their answers."""
    found = [("Is it a rural or an urban area", "rural")]
    for number, (one, other) in enumerate((a, b) for a, b in product(THINGS, THINGS) if a != b):
        found.append((f"Is a {one} present next to a {other}?", "yes"))
        found.append((f"What is the number of {one}s on the left of a {other}?", str(number)))
        found.append((f"Are there more {one}s than {other}s?", "no"))
        found.append((f"What is the area covered by {one}s?", f"{number * 17}m2"))
    if count > len(found):
        raise SystemExit(f"--questions {count}: there are {len(found)}")
    return found[:count]


def rows_of(count: int, ending: str) -> tuple[Row, list[Row]]:
    """The row of all questions, and a row for each."""
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).resize((512, 512), Image.Resampling.BICUBIC).save(file, "JPEG", quality=90)
    image = {"bytes": file.getvalue(), "path": "0.jpg"}
    asked = [(f"{question}{ending}", answer) for question, answer in questions(count)]
    return _row(image, asked), [_row(image, [pair]) for pair in asked]


def _row(image: dict[str, Any], asked: list[tuple[str, str]]) -> Row:
    turns = []
    for number, (question, answer) in enumerate(asked):
        turns.append({"from": "human", "value": question if number else f"<image>\n{question}"})
        turns.append({"from": "gpt", "value": answer})
    pairs = [{"category": "", "dialogue": number} for number in range(len(asked))]
    return {"id": "row", "image": image, "conversations": turns, "pairs": pairs}


def batches(rows: list[Row], size: int, collate: Callable[[list[Row]], Batch]) -> list[Batch]:
    return [collate(rows[start : start + size]) for start in range(0, len(rows), size)]


def tokens(made: list[Batch]) -> tuple[int, int, int]:
    """Sequences, tokens without padding, and the longest sequence."""
    lengths = [(batch["input_ids"] != 32001).sum(1) for batch in made]
    return sum(map(len, lengths)), int(sum(map(torch.sum, lengths))), int(max(map(torch.max, lengths)))


def model() -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=1024,
        hidden_size=256,
        intermediate_size=688,
        num_hidden_layers=2,
        num_attention_heads=4,
        attn_implementation="sdpa",
    )
    return LlamaForCausalLM(config)


def step(llama: Any, made: list[Batch]) -> float:
    """Gradients of the mean over all answers' tokens of the batches; returns that mean."""
    llama.zero_grad()
    learnt = sum(int((batch["labels"][:, 1:] != IGNORE).sum()) for batch in made)
    total = 0.0
    for batch in made:
        names = batch.keys() & {"attention_mask", "position_ids"}
        out = llama(batch["input_ids"] % 1024, **{name: batch[name] for name in names})
        targets = torch.where(batch["labels"] < 0, batch["labels"], batch["labels"] % 1024)[:, 1:]
        logits = out.logits[:, :-1]
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="sum") / learnt
        loss.backward()
        total += loss.item()
    return total


def timed(work: Callable[[], Any]) -> tuple[Any, float, float]:
    """What it returns, CPU seconds and wall seconds."""
    cpu, wall = time.process_time(), time.perf_counter()
    found = work()
    return found, time.process_time() - cpu, time.perf_counter() - wall


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--tokenizer", type=Path)
    parser.add_argument("--questions", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--no-step", action="store_true", help="only tokens and collating, which need no transformers")
    options = parser.parse_args()
    tokenizer = load_tokenizer(options.tokenizer) if options.tokenizer else byte_tokenizer()
    print(f"{os.cpu_count()} cores, Python {sys.version.split()[0]}, torch {torch.__version__}")
    for ending, text in (("", "questions alone"), (FORMAT, "with the line on the answer's form")):
        measure(tokenizer, *rows_of(options.questions, ending), text, options)


def measure(tokenizer: Any, row: Row, separate: list[Row], text: str, options: argparse.Namespace) -> None:
    packing: dict[str, Any] = {"packing": "shared-image", "attention": "sdpa"}
    ways = {
        "separate": (separate, LlavaCollator(tokenizer, form="hf")),
        "packed, 2,048": ([row], LlavaCollator(tokenizer, form="hf", **packing)),
        "packed, no limit": ([row], LlavaCollator(tokenizer, form="hf", max_length=NO_LIMIT, **packing)),
    }
    llama = None if options.no_step else model()
    runs: dict[str, list[list[float]]] = {name: [] for name in ways}
    made: dict[str, list[Batch]] = {}
    losses: dict[str, float] = {}
    for _ in range(options.rounds):
        for name, (rows, collate) in ways.items():
            made[name], *times = timed(lambda rows=rows, collate=collate: batches(rows, 10, collate))
            if llama is not None:
                losses[name], *more = timed(lambda name=name: step(llama, made[name]))
                times += more
            runs[name].append(times)
    base = tokens(made["separate"])[1]
    print(f"{options.questions} questions, {text}:")
    for name in ways:
        count, all_tokens, longest = tokens(made[name])
        medians = [statistics.median(times) for times in zip(*runs[name], strict=True)]
        cells = [f"{name:17}", f"{count:3} sequences", f"{all_tokens:6,} tokens", f"{base / all_tokens:5.1f} x"]
        cells += [f"longest {longest:5,}", f"collate CPU {medians[0]:6.3f} s wall {medians[1]:6.3f} s"]
        if llama is not None:
            cells += [f"step CPU {medians[2]:6.2f} s wall {medians[3]:6.2f} s", f"loss {losses[name]:.6f}"]
        print("  ".join(cells), flush=True)


if __name__ == "__main__":
    main()
