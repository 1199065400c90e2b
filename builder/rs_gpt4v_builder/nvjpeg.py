"""Decoding JPEGs on the GPU by torchvision and nvJPEG: on request only.

torchvision has nvJPEG repeat the colour of a subsampled JPEG where libjpeg interpolates it, which moves pixels by up to
28 levels after the resize; there are reports of models that answer worse for it. torchvision cannot even be imported
beside a torch for the CPU, so it is imported when it is first asked for.
"""

import logging
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import torch

from .decode import JPEG, decode
from .resize import Canvas

_log = logging.getLogger(__name__)


def decode_on(files: Sequence[bytes], device: torch.device) -> list[torch.Tensor]:
    """Decode image files on the GPU; on the CPU those that nvJPEG does not take, and all where it is not there.

    Args:
        files: Contents of image files of any format.
        device: Of CUDA.

    Returns:
        (3, H, W) uint8 a file, on the device, in any layout.

    Raises:
        OSError, SyntaxError, ValueError, DecompressionBombError: Pillow cannot decode a file either.
    """
    found = dict.fromkeys(range(len(files))) if _torchvision() is None else _decode(files, device)
    return [on_cpu(files[n]).to(device) if picture is None else picture for n, picture in sorted(found.items())]


def on_cpu(file: bytes) -> torch.Tensor:
    """Decode an image file on the CPU: (3, H, W) uint8, channels last in memory.

    Raises:
        OSError, SyntaxError, ValueError, DecompressionBombError: It cannot be decoded.
    """
    canvas = Canvas(pad=False)
    decode(file, canvas.place)
    height, width = canvas.words.shape
    return torch.from_numpy(canvas.words.view(np.uint8).reshape(height, width, 4)).permute(2, 0, 1)[:3]


def _decode(files: Sequence[bytes], device: torch.device) -> dict[int, torch.Tensor | None]:
    """Decode what nvJPEG takes, in one call if it takes all; None for the others."""
    found: dict[int, torch.Tensor | None] = dict.fromkeys(range(len(files)))
    numbers = [n for n, file in enumerate(files) if file[:3] == JPEG]
    try:
        found |= zip(numbers, _call([files[n] for n in numbers], device), strict=True)
    except RuntimeError:
        for n in numbers:
            try:
                (found[n],) = _call([files[n]], device)
            except RuntimeError:
                continue
    return found


def _call(files: Sequence[bytes], device: torch.device) -> list[torch.Tensor]:
    if not files:
        return []
    io = _torchvision()
    encoded = [torch.frombuffer(bytearray(file), dtype=torch.uint8) for file in files]
    decoded: list[torch.Tensor] = io.decode_jpeg(encoded, mode=io.ImageReadMode.RGB, device=device)
    return decoded


@cache
def _torchvision() -> Any:
    """The module torchvision.io, or None where it cannot be imported, which is said once in the log."""
    try:
        from torchvision import io
    except (ImportError, RuntimeError, OSError) as error:  # the latter two where it was built for another torch
        _log.warning("torchvision cannot be imported (%s), so nvJPEG is not used and the CPU decodes", error)
        return None
    return io
