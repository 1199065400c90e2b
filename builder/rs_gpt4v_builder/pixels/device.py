"""What is done with pixels where the model is: normalising in one step, and resizing as PIL does.

All of it runs on any device of torch, so it is tested on the CPU; it is meant for a GPU.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch

from rs_gpt4v_builder.pixels.clip import BACKGROUND, MEAN, SIZE, STD
from rs_gpt4v_builder.pixels.resize import scaled

Weights = npt.NDArray[np.float64]

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

    TF32, which many training scripts allow for products in float32, would be off by several levels. It is a setting of
    the whole process, which must not be touched beside a training step; so each product is one of three of parts of
    the weights that have 8 bits, as levels have, which no such setting rounds.

    Args:
        pictures: N of (3, H, W) uint8, in any layout, at least one, on one device.
        aspect: `pad` or `crop`.
        dtype: To calculate in, float32 or float64.

    Returns:
        (N, 3, SIZE, SIZE) uint8.
    """
    out = torch.empty((len(pictures), 3, SIZE, SIZE), dtype=torch.uint8, device=pictures[0].device)
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
    rows = _levels(sum((picture @ part.T for part in across.inside), background * across.outside))
    return _levels(sum((part @ rows for part in down.inside), background * down.outside[:, None]))


def _levels(values: torch.Tensor) -> torch.Tensor:
    return values.add_(0.5).floor_().clamp_(0, 255)


@dataclass(frozen=True, slots=True)
class _Weights:
    """What each of `SIZE` results takes from the pixels of a picture, and from the padding around it in sum.

    Attributes:
        inside: (SIZE, n) floats each, whose sum are the weights.
        outside: (SIZE,) floats.
    """

    inside: tuple[torch.Tensor, ...]
    outside: torch.Tensor


@lru_cache(maxsize=256)
def _weights(size: int, canvas: int, target: int, dtype: torch.dtype, device: torch.device) -> _Weights:
    """Weights for a picture of `size` in the middle of a `canvas`, scaled to `target`, of which the middle is taken."""
    all_weights = bicubic_weights(canvas, target)
    first, left = (target - SIZE) // 2, (canvas - size) // 2
    taken = all_weights[first : first + SIZE]
    inside = taken[:, left : left + size]
    outside = taken.sum(axis=1) - inside.sum(axis=1)
    parts = eight_bits(inside) if dtype == torch.float32 else (np.ascontiguousarray(inside),)
    return _Weights(
        tuple(torch.from_numpy(part).to(device, dtype) for part in parts), torch.from_numpy(outside).to(device, dtype)
    )


def eight_bits(weights: Weights) -> tuple[Weights, Weights, Weights]:
    """Split weights of 22 bits into three parts that have 8 significant bits, and so are exact in TF32 and bfloat16.

    Args:
        weights: (m, n) float64, multiples of 2 to the power of -22.

    Returns:
        (m, n) float64 each, whose sum are the weights.
    """
    high = np.rint(weights * 2.0**6) / 2.0**6
    middle = np.rint((weights - high) * 2.0**14) / 2.0**14
    return high, middle, weights - high - middle


def bicubic_weights(size: int, target: int) -> Weights:
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
    fixed: Weights = np.trunc(weights * _FIXED + np.copysign(0.5, weights)) / _FIXED
    return fixed


@lru_cache(maxsize=16)
def _normalisers(device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """What to add and to multiply by: (1, 3, 1, 1) float32 each."""
    mean, std = np.array(MEAN), np.array(STD)
    bias, scale = (
        torch.from_numpy(part).float().view(1, 3, 1, 1).to(device) for part in (-mean / std, 1 / (255 * std))
    )
    return bias, scale
