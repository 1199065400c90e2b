"""Digests of decoded pixels: the same picture under another name, in another file format or with other metadata.

Only images of equal size can be equal, so headers are read first, and of all images only those are decoded whose size
occurs in two sources.
"""

import hashlib
import io
import warnings
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from PIL import Image

from rs_gpt4v_conversion.images.decoding import DECODE_ERRORS, FORMATS, read_header
from rs_gpt4v_conversion.workers import apart

BATCH = 64
"""Images that a worker takes at a time."""

FEW = 512
"""So few images are looked at sooner than a worker is started."""

Size = tuple[int, int]
T = TypeVar("T")


def shared_pixels(
    files: Mapping[Path, frozenset[str]], workers: int, on_progress: Callable[[int], None]
) -> dict[Path, str]:
    """Digests of all images that could be shared between sources.

    Args:
        files: Image files, each with the names of the sources that use it.
        workers: Processes.
        on_progress: Called with the number of files that were looked at since the last call.

    Returns:
        Digest by file. Files whose size occurs in one source only, or that do not decode, have none: the latter are
        rejected when they are written.
    """
    sizes = _over(sizes_of, list(files), workers, on_progress)
    sources: dict[Size, set[str]] = defaultdict(set)
    for path, size in sizes.items():
        if size is not None:
            sources[size] |= files[path]
    candidates = [path for path, size in sizes.items() if size is not None and len(sources[size]) > 1]
    digests = _over(digests_of, candidates, workers, lambda _: None)
    return {path: digest for path, digest in digests.items() if digest is not None}


def _over(
    function: Callable[[Sequence[Path]], list[T]],
    paths: list[Path],
    workers: int,
    on_progress: Callable[[int], None],
) -> dict[Path, T]:
    batches = [tuple(paths[i : i + BATCH]) for i in range(0, len(paths), BATCH)]
    found: dict[Path, T] = {}
    for batch, results in apart(function, batches, 1 if len(paths) < FEW else workers):
        found.update(zip(batch, results, strict=True))
        on_progress(len(batch))
    return found


def sizes_of(paths: Sequence[Path]) -> list[Size | None]:
    """Width and height of images from their headers; None for what is no image."""
    return [_quietly(_size, path) for path in paths]


def digests_of(paths: Sequence[Path]) -> list[str | None]:
    """Digests of the decoded pixels of images as RGB: a grey image equals one of three equal bands."""
    return [_quietly(_digest, path) for path in paths]


def _quietly(look: Callable[[Path], T | None], path: Path) -> T | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return look(path)
        except (*DECODE_ERRORS, Image.DecompressionBombError):
            return None


def _size(path: Path) -> Size | None:
    header = read_header(path)
    return None if header is None else header.size


def _digest(path: Path) -> str:
    # the raw pixels: an orientation that a reader would apply is not part of them
    with Image.open(io.BytesIO(path.read_bytes()), formats=FORMATS) as image:
        digest = hashlib.sha256(f"{image.width} {image.height} ".encode())
        digest.update(image.convert("RGB").tobytes())
        return digest.hexdigest()
