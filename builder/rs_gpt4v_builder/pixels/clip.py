"""What CLIP ViT-L/14-336 takes: size, colours of the padding, and how values are normalised.

Normalising is value/255, minus mean, by standard deviation, in float32 and rounded after each step, as transformers'
image processor does it. Channels come first: red, green, blue.
"""

import numpy as np
import numpy.typing as npt

SIZE = 336
"""Width and height in pixels."""

MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
"""Of red, green, blue in 0..1: openai/clip-vit-large-patch14-336, preprocessor_config.json."""

BACKGROUND = (122, 116, 104)
"""Colour of the padding: the mean times 255, rounded down."""

Pixels = npt.NDArray[np.uint8]
Normalised = npt.NDArray[np.float32]


def normalise(pixels: Pixels, out: Normalised | None = None) -> Normalised:
    """Normalise pixels as CLIP's image processor does, to the bit.

    Args:
        pixels: (3, H, W) uint8.
        out: (3, H, W) float32 to write to.

    Returns:
        (3, H, W) float32: value/255, minus mean, by standard deviation.
    """
    if out is None:
        out = np.empty(pixels.shape, np.float32)
    for values, place, mean, std in zip(pixels, out, _MEAN, _STD, strict=True):
        # passes over one channel, which stays in the cache, take half the time of a look-up in a table
        place[:] = values
        place /= _FULL
        place -= mean
        place /= std
    return out


_FULL = np.float32(255)
_MEAN = np.array(MEAN, np.float32)
_STD = np.array(STD, np.float32)
