"""What is done with pixels where the model is: normalising in one step, and resizing as PIL does.

All of it runs on any device of torch, so it is tested on the CPU; it is meant for a GPU.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch

from .clip import BACKGROUND, MEAN, SIZE, STD
from .resize import scaled

_FIXED = 1 << 22
"""PIL rounds its weights for 8-bit images to so many parts of 1."""


def normalise(
    pixels: torch.Tensor, dtype: torch.dtype = torch.float32, out: torch.Tensor | None = None
) -> torch.Tensor:
    """Normalise pixels in one step, without a copy in float32 between where the device is a GPU.

    Args:
        pixels: (B, 3, H, W) uint8, in any layout.
        dtype: Of the result; it is rounded to it once.
        out: (B, 3, H, W) to write to, in place of new memory.

    Returns:
        (B, 3, H, W): (value - 255 mean) / (255 deviation), within 3e-7 of `clip.normalise` in float32.
    """
    if out is None:
        out = torch.empty(pixels.shape, dtype=dtype, device=pixels.device)
    bias, scale = _normalisers(pixels.device)
    return torch.addcmul(bias, pixels, scale, out=out)


def resize(
    pictures: Sequence[torch.Tensor], *, aspect: str = "pad", dtype: torch.dtype = torch.float32
) -> torch.Tensor:
    """Resize whole pictures as PIL's bicubic filter does, each by two dense products.

    PIL's weights, horizontally first, rounded half up and clipped to 0..255 after either product, as it does: in
    float64 that gives PIL's values, in float32 one level more or less on one value in ten thousand. Many more
    operations than the filter needs, which is nothing to a GPU and too much for a CPU.

    Args:
        pictures: N of (3, H, W) uint8, in any layout, at least one, on one device.
        aspect: `pad` or `crop`.
        dtype: To calculate in, float32 or float64.

    Returns:
        (N, 3, SIZE, SIZE) uint8.
    """
    out = torch.empty((len(pictures), 3, SIZE, SIZE), dtype=torch.uint8, device=pictures[0].device)
    with _whole_float32():
        for place, picture in zip(out, pictures, strict=True):
            place.copy_(_resize(picture.to(dtype), pad=aspect == "pad"))
    return out


def _resize(picture: torch.Tensor, *, pad: bool) -> torch.Tensor:
    """Resize one picture: (3, H, W) of floats -> (3, SIZE, SIZE) of floats that are whole numbers."""
    height, width = picture.shape[1:]
    canvas = (max(height, width),) * 2 if pad else (height, width)
    target = scaled(*canvas)
    across, down = (
        _weights(size, whole, goal, picture.dtype, picture.device)
        for size, whole, goal in zip((width, height), canvas[::-1], target[::-1], strict=True)
    )
    background = torch.tensor(BACKGROUND, dtype=picture.dtype, device=picture.device)[:, None, None]
    rows = _levels(picture @ across.inside.T + background * across.outside)
    return _levels(down.inside @ rows + background * down.outside[:, None])


def _levels(values: torch.Tensor) -> torch.Tensor:
    return values.add_(0.5).floor_().clamp_(0, 255)


@dataclass(frozen=True, slots=True)
class _Weights:
    """What each of `SIZE` results takes from the pixels of a picture, and from the padding around it in sum.

    Attributes:
        inside: (SIZE, n) floats.
        outside: (SIZE,) floats.
    """

    inside: torch.Tensor
    outside: torch.Tensor


@lru_cache(maxsize=256)
def _weights(size: int, canvas: int, target: int, dtype: torch.dtype, device: torch.device) -> _Weights:
    """Weights for a picture of `size` in the middle of a `canvas`, scaled to `target`, of which the middle is taken."""
    all_weights = bicubic_weights(canvas, target)
    first, left = (target - SIZE) // 2, (canvas - size) // 2
    taken = all_weights[first : first + SIZE]
    inside = taken[:, left : left + size]
    outside = taken.sum(axis=1) - inside.sum(axis=1)
    return _Weights(*(torch.from_numpy(part).to(device, dtype) for part in (np.ascontiguousarray(inside), outside)))


def bicubic_weights(size: int, target: int) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Weights of PIL's bicubic filter (a = -0.5, widened when it reduces), rounded to 22 bits as for 8-bit images.

    Returns:
        (target, size) float64: each row has the weights of one result, which sum to 1.
    """
    scale = size / target
    wide = max(scale, 1.0)
    centers = (np.arange(target) + 0.5) * scale
    first = np.maximum((centers - 2 * wide + 0.5).astype(int), 0)
    last = np.minimum((centers + 2 * wide + 0.5).astype(int), size)
    pixels = np.arange(size)
    x = np.abs((pixels + 0.5 - centers[:, None]) / wide)
    near, far = ((1.5 * x - 2.5) * x) * x + 1, ((-0.5 * x + 2.5) * x - 4) * x + 2
    weights = np.where(x < 1, near, np.where(x < 2, far, 0.0))
    weights[(pixels < first[:, None]) | (pixels >= last[:, None])] = 0
    weights /= weights.sum(axis=1, keepdims=True)
    fixed: np.ndarray[tuple[int, int], np.dtype[np.float64]] = np.trunc(weights * _FIXED + np.copysign(0.5, weights))
    return fixed / _FIXED


@lru_cache(maxsize=16)
def _normalisers(device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """What to add and to multiply by: (1, 3, 1, 1) float32 each."""
    mean, std = np.array(MEAN), np.array(STD)
    bias, scale = (
        torch.from_numpy(part).float().view(1, 3, 1, 1).to(device) for part in (-mean / std, 1 / (255 * std))
    )
    return bias, scale


@contextmanager
def _whole_float32() -> Iterator[None]:
    """Products in whole float32: TF32, which many training scripts allow, is off by several levels."""
    backends: tuple[Any, ...] = torch.backends.cuda, torch.backends.mkldnn
    flags = [backend.matmul for backend in backends if hasattr(getattr(backend, "matmul", None), "fp32_precision")]
    before = [flag.fp32_precision for flag in flags]
    try:
        precision = torch.get_float32_matmul_precision()
    except RuntimeError:  # it was set by the newer names alone, and then the older function only sets
        precision = "highest"
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(precision)
        for flag, value in zip(flags, before, strict=True):
            flag.fp32_precision = value
