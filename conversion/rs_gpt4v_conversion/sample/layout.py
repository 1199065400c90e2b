"""What all sources of the sample have in common: chance, splits, JSON files."""

import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np


def chance(seed: int, stream: str, number: int) -> np.random.Generator:
    """A generator of its own for one image of one source.

    So another image, or another source, never changes what this one looks like.

    Args:
        seed: The sample's seed.
        stream: Name of the source, and of the purpose where it has several.
        number: The image's position in its source.
    """
    return np.random.default_rng([seed, zlib.crc32(stream.encode()), number])


def splits_by_position(images: int, shares: dict[str, float]) -> list[str]:
    """The split of each image, in order.

    Args:
        images: Number of images, at least one a split.
        shares: Share of each split; the first one takes what rounding leaves.
    """
    first, *others = shares
    counts = {name: max(1, round(images * shares[name])) for name in others}
    counts = {first: images - sum(counts.values()), **counts}
    return [name for name, count in counts.items() for _ in range(count)]


def write_json(path: Path, content: dict[str, Any], *, indent: str | None = None) -> None:
    """Write a JSON file, the same bytes on every system."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(json.dumps(content, indent=indent).encode())
