"""Conversations in LLaVA's form about drawn pictures: every answer is about what was drawn.

A picture has one record of several turns, which depend on each other, and the first one a second record. Each flaw that
such files are known for is in one record of its own.
"""

import json
from collections import Counter
from pathlib import Path
from typing import Any

from rs_gpt4v_conversion.sample.field import Field, draw_field
from rs_gpt4v_conversion.sample.layout import chance
from rs_gpt4v_conversion.templates.words import plural
from rs_gpt4v_conversion.wording import position_name

SIZE = 336  # pixels
KINDS = (
    ("ship", "bridge"),
    ("airplane", "large vehicle", "storage tank"),
    ("small vehicle", "tennis court"),
    ("storage tank", "large vehicle"),
)
"""What is in the pictures, in turn."""

NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven")
ID = "drawn/v1"
"""The id of every record: such files do not keep ids apart."""


def write_llava(root: Path, images: int, seed: int) -> None:
    """Write a train.json and its pictures."""
    (root / "imgs").mkdir(parents=True, exist_ok=True)
    records: list[dict[str, Any]] = []
    for number in range(images):
        field = draw_field(chance(seed, "llava", number), SIZE, SIZE, KINDS[number % len(KINDS)])
        name = f"imgs/{number:04d}.jpg"
        field.image.save(root / name, quality=90)
        texts = _texts(field)
        texts[0] = (f"<image>\n{texts[0]}", f"{texts[0]}\n<image>", texts[0])[number % 3]  # at head or end, missing
        records.append(_record(name, texts))
    records[1:1] = _flawed("imgs/0000.jpg", "imgs/0001.jpg")
    (root / "train.json").write_bytes(json.dumps(records).encode())


def _record(image: str, texts: list[str], *, first: int = 0) -> dict[str, Any]:
    turns = [{"from": ("human", "gpt")[(i + first) % 2], "value": text} for i, text in enumerate(texts)]
    return {"id": ID, "image": image, "conversations": turns}


def _flawed(one: str, other: str) -> list[dict[str, Any]]:
    """A second dialogue about a picture, whose last question nobody answered, and records that are none."""
    second = ["<image>\nIs this a photograph from above?", "Yes, it was taken from straight above.", "How high?"]
    return [
        _record(one, second),
        _record(one, ["A drawn picture.", "<image>\nWhat is this?"], first=1),
        _record(other, ["<image>\n<image>\nWhat do both pictures show?", "The same place."]),
        _record(other, ["<image>\nWhat is the weather like?", " "]),
    ]


def _texts(field: Field) -> list[str]:
    """Five questions and their answers in turn; after the first they speak of `them`."""
    counts = Counter(item.kind for item in field.objects)
    kind, count = next(iter(counts.items()))
    many = plural(kind)
    absent = next(k for kinds in KINDS for k in kinds if k not in counts)
    largest = max((item for item in field.objects if item.kind == kind), key=lambda item: item.w * item.h)
    part = position_name(largest.bbox, SIZE, SIZE)
    shown = " and ".join(f"{NUMBERS[n]} {k if n == 1 else plural(k)}" for k, n in counts.items())
    return [
        "What does this image show?", f"From above, {shown}.",
        f"How many {many} did you find?", f"{NUMBERS[count].capitalize()}.",
        "Where is the largest of them?", "In the center." if part == "center" else f"In the {part} part of the image.",
        f"Do you see {plural(absent)} beside them?", f"No, there are no {plural(absent)} in this image.",
        f"How many {many} would stay if one of them left?", f"{NUMBERS[count - 1].capitalize()} would stay.",
    ]  # fmt: skip
