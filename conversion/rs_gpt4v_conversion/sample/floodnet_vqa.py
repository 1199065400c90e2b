"""FloodNet-VQA: a road between houses, dry, half under water, or flooded; only questions of train have answers."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from rs_gpt4v_conversion.sample import things
from rs_gpt4v_conversion.sample.canvas import UNITS, Canvas, Colour, varied
from rs_gpt4v_conversion.sample.layout import chance, splits_by_position, write_json

WIDTH, HEIGHT = 640, 480  # pixels; a tenth of what the drone's camera has
SHARES = {"Train": 0.6, "Valid": 0.2, "Test": 0.2}
FILES = {"Train": "Training Question.json", "Valid": "Valid Question.json", "Test": "Test_Question.json"}

FIRST = 10_001  # number of the first image
ROAD = 96.0  # units from the top
BANK = 16.0  # no house stands nearer to the edge of the water, units
MUD: Colour = (122, 108, 86, 226)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Flood:
    """A picture, and what questions are about."""

    image: Image.Image
    buildings: int
    flooded: int  # of them
    road: str  # flooded; non flooded; or both, with a comma


def write_floodnet_vqa(root: Path, images: int, seed: int) -> None:
    """Write FloodNet-VQA: answers that are numbers or text, and two splits without any."""
    asked: dict[str, list[list[dict[str, Any]]]] = {split: [] for split in SHARES}
    for number, split in enumerate(splits_by_position(images, SHARES)):
        flood = _draw(chance(seed, "floodnet_vqa", number), number % 3)
        name = f"{FIRST + number}.JPG"
        folder = root / "Images" / f"{split}_Image"
        folder.mkdir(parents=True, exist_ok=True)
        flood.image.save(folder / name, quality=85)
        asked[split].append(_questions(flood, name))
    for split, file in FILES.items():
        # As in the set, question by question and not image by image
        records = [record for same in zip(*asked[split], strict=True) for record in same]
        if split != "Train":
            for record in records:
                del record["Ground_Truth"]
        write_json(root / "Questions" / file, {str(i): record for i, record in enumerate(records)}, indent="    ")


def _questions(flood: _Flood, name: str) -> list[dict[str, Any]]:
    overall = "flooded" if "flooded" in flood.road.split(",") else "non flooded"
    whole = "Yes" if flood.road == "flooded" else "No"
    asked: tuple[tuple[str, str | int, str], ...] = (
        ("What condition is this place in?", overall, "Condition_Recognition"),
        ("What condition is the road in?", flood.road, "Condition_Recognition"),
        ("Is the whole road flooded?", whole, "Yes_No"),
        ("How many buildings does this image show?", flood.buildings, "Simple_Counting"),
        ("How many buildings stand in water?", flood.flooded, "Complex_Counting"),
    )
    return [
        {"Image_ID": name, "Question": text, "Ground_Truth": answer, "Question_Type": kind}
        for text, answer, kind in asked
    ]


def _draw(rng: np.random.Generator, kind: int) -> _Flood:
    """Draw a picture: half under water, dry, or flooded (kind 0, 1, 2)."""
    canvas = Canvas(WIDTH, varied(rng, (104, 118, 72)), rng)
    things.road(canvas, (-10, ROAD), (UNITS + 10, ROAD), 18)
    edge = (float(rng.uniform(90, 160)), UNITS + 40, -40.0)[kind]  # water lies to the right of it
    phase = float(rng.uniform(0, math.tau))
    shore = [(edge + 7 * math.sin(y / 24 + phase), float(y)) for y in range(-8, 264, 4)]
    canvas.polygon([*shore, (UNITS + 60, 270.0), (UNITS + 60, -10.0)], MUD)
    buildings = flooded = 0
    for y in (34.0, 158.0):
        for x in np.arange(22, UNITS - 12, 42):
            place = float(x) + float(rng.uniform(-5, 5))
            if rng.random() < 0.25 or abs(place - edge) < BANK:
                continue
            roof = varied(rng, things.ROOFS[str(rng.choice(list(things.ROOFS)))])
            things.house(canvas, place, y + float(rng.uniform(-6, 6)), 26, 19, float(rng.uniform(-0.2, 0.2)), roof)
            buildings += 1
            flooded += place > edge
    for y in (66.0, 122.0):
        things.wood(canvas, 9, (4, y - 5, UNITS - 4, y + 5), 6)
    image = canvas.finish().crop((0, 0, WIDTH, HEIGHT))
    road = ("flooded,non flooded", "non flooded", "flooded")[kind]
    return _Flood(image=image, buildings=buildings, flooded=flooded, road=road)
