"""Decoding JPEGs on the GPU by torchvision and nvJPEG: on request only.

torchvision has nvJPEG repeat the colour of a subsampled JPEG where libjpeg interpolates it, which moves pixels by up to
28 levels after the resize; there are reports of models that answer worse for it. torchvision cannot even be imported
beside a torch for the CPU, so it is imported when it is first asked for.
"""

import logging
from collections.abc import Sequence
from functools import cache
from typing import Any

import torch

from rs_gpt4v_builder.pixels.decode import JPEG

_log = logging.getLogger(__name__)


def decode_on(files: Sequence[bytes], device: torch.device) -> list[torch.Tensor | None]:
    """Decode JPEGs on the GPU.

    Args:
        files: Contents of image files of any format.
        device: Of CUDA.

    Returns:
        (3, H, W) uint8 a file, on the device; None for what nvJPEG does not take, so for all where it is not there.
    """
    found = dict.fromkeys(range(len(files))) if _torchvision() is None else _decode(files, device)
    return [picture for _, picture in sorted(found.items())]


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
        _log.warning("torchvision cannot be imported (%s), so the CPU decodes in place of nvJPEG", error)
        return None
    return io
