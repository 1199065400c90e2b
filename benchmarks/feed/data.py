"""Draws the samples: JPEGs with the size and the entropy of aerial images, and conversations as LLaVA has them."""

import io
import json
import random
import shutil
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

CHUNKS = 12
"""Files that every container has, if it has any."""

TAG = "<image>\n"


@dataclass(frozen=True)
class Kind:
    """A kind of image: pixels, JPEG quality, and the grain (standard deviation, levels) that gives it its size."""

    width: int
    height: int
    quality: int
    grain: float


KINDS = {
    "800": Kind(800, 800, 85, 6.6),  # 144 KB
    "256": Kind(256, 256, 90, 7.9),  # 24 KB
    "500x375": Kind(500, 375, 90, 7.0),  # 63 KB
    "tiny": Kind(48, 40, 75, 2.0),  # 1 KB: many rows on little disk
}


@dataclass(frozen=True)
class Sample:
    """A row of every container."""

    number: int
    image: bytes
    conversations: list[dict[str, str]]

    @property
    def id(self) -> str:
        """Eight digits: the place in the order in which the containers were written."""
        return f"{self.number:08d}"


def draw(folder: Path, kind: str, count: int, pictures: int) -> Path:
    """Write `count` samples as single files and a JSON list of records as LLaVA reads it; kept between runs.

    Args:
        folder: Of all data.
        kind: A key of `KINDS`.
        count: Number of samples.
        pictures: Number of different pictures. Beyond it a picture comes again with another comment in its JPEG: other
            bytes, the same pixels.

    Returns:
        The folder of this set, whose `files` holds what was written.
    """
    root = folder / f"{kind}-{count}"
    done = root / "files" / "data.json"
    if done.exists():
        return root
    shutil.rmtree(root, ignore_errors=True)
    (root / "files" / "images").mkdir(parents=True)
    with ProcessPoolExecutor() as pool:
        drawn = list(pool.map(_picture, [kind] * pictures, range(pictures), chunksize=8))
    rng = random.Random(0)
    records: list[dict[str, Any]] = []
    for number in range(count):
        name = f"{number:08d}.jpg"
        (root / "files" / "images" / name).write_bytes(_marked(drawn[number % pictures], number))
        records.append({"id": name[:-4], "image": name, "conversations": _conversation(rng)})
    done.write_text(json.dumps(records))
    return root


def samples(root: Path) -> Iterator[Sample]:
    """Samples of a set in their order, read from its single files."""
    for record in json.loads((root / "files" / "data.json").read_text()):
        image = (root / "files" / "images" / record["image"]).read_bytes()
        yield Sample(int(record["id"]), image, record["conversations"])


def chunks(root: Path) -> Iterator[list[Sample]]:
    """The samples of a set in `CHUNKS` parts of (nearly) equal counts."""
    count = len(json.loads((root / "files" / "data.json").read_text()))
    rest = samples(root)
    for part in range(CHUNKS):
        size = count * (part + 1) // CHUNKS - count * part // CHUNKS
        yield [next(rest) for _ in range(size)]


def _marked(jpeg: bytes, number: int) -> bytes:
    comment = f"{number:08d}".encode()
    return jpeg[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + jpeg[2:]


def _picture(kind: str, seed: int) -> bytes:
    """Relief at several scales, fields with straight borders, roofs, and grain."""
    of, rng = KINDS[kind], np.random.default_rng([seed, 7])
    shape = (of.height, of.width, 3)
    pixels = np.full(shape, rng.uniform(90, 130, 3), np.float32)
    for cells in (3, 9, 27):
        pixels += _relief(rng, of, cells) * (40 / cells**0.5)
    rows, columns = (np.sort(rng.integers(0, side, 7)) for side in (of.height, of.width))
    field_of = np.searchsorted(rows, np.arange(of.height))[:, None] * 8
    field_of = field_of + np.searchsorted(columns, np.arange(of.width))[None]
    pixels += rng.normal(0, 14, (64, 3)).astype(np.float32)[field_of]
    for _ in range(of.width * of.height // 5000):
        y, x = rng.integers(0, of.height), rng.integers(0, of.width)
        high, wide = rng.integers(2, 18, 2)
        pixels[y : y + high, x : x + wide] = rng.uniform(20, 235) + rng.normal(0, 12, 3)
    grain = rng.normal(0, of.grain * rng.uniform(0.75, 1.25), (*shape[:2], 1))
    pixels += grain.astype(np.float32)
    out = io.BytesIO()
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(out, "JPEG", quality=of.quality)
    return out.getvalue()


def _relief(rng: np.random.Generator, of: Kind, cells: int) -> np.ndarray:
    """A smooth random field, (height, width, 3) float32, whose channels go together for the most part."""
    shared = rng.standard_normal((cells, cells, 1))
    coarse = (shared + 0.3 * rng.standard_normal((cells, cells, 3))).astype(np.float32)
    size, how = (of.width, of.height), Image.Resampling.BICUBIC
    return np.stack([np.asarray(Image.fromarray(coarse[..., c]).resize(size, how)) for c in range(3)], -1)


_THINGS = ("runway", "storage tank", "harbour", "bridge", "sports field", "solar farm", "roundabout", "warehouse")
_LOOKS = ("grey", "long", "small", "bright", "circular", "half-built")
_PLACES = ("north of", "south of", "beside", "far from", "at the end of")
_SHORT = "\nAnswer the question using a single word or phrase."


def _conversation(rng: random.Random) -> list[dict[str, str]]:
    """Half are questions with one word as the answer; the rest descriptions, boxes and dialogues of 3 to 8 turns."""
    kind = rng.randrange(8)
    if kind < 4:
        question, answer = rng.choice(
            [("Is there a {}?", "yes"), ("Is a {} in the image?", "no"), ("How many of these are shown: {}?", "4")]
        )
        return _turns([(question.format(rng.choice(_THINGS)) + _SHORT, answer)])
    if kind == 4:
        return _turns([("Describe the scene.", " ".join(_sentence(rng) for _ in range(rng.randrange(3, 9))))])
    if kind == 5:
        return _turns([(f"Where is the {rng.choice(_LOOKS)} {rng.choice(_THINGS)}? Give its box.", _box(rng))])
    return _turns([(f"What is in {_box(rng)}?", _sentence(rng)) for _ in range(rng.randrange(3, 9))])


def _turns(pairs: list[tuple[str, str]]) -> list[dict[str, str]]:
    turns = [
        turn
        for question, answer in pairs
        for turn in ({"from": "human", "value": question}, {"from": "gpt", "value": answer})
    ]
    turns[0]["value"] = TAG + turns[0]["value"]
    return turns


def _sentence(rng: random.Random) -> str:
    one, other = rng.sample(_THINGS, 2)
    return f"There is a {rng.choice(_LOOKS)} {one} {rng.choice(_PLACES)} the {rng.choice(_LOOKS)} {other}."


def _box(rng: random.Random) -> str:
    x, y = rng.uniform(0, 0.7), rng.uniform(0, 0.7)
    return f"[{x:.3f}, {y:.3f}, {x + rng.uniform(0.02, 0.3):.3f}, {y + rng.uniform(0.02, 0.3):.3f}]"
