"""The pixels of an image -> 336 x 336, on the CPU.

Two ways: `exact` is PIL's bicubic filter, with which LLaVA-1.5 was trained; `fast` is torch's, the same filter with
weights of 16 bits for PIL's 22, which on photographs differs from it by one level on less than 1 % of the values (on
noise by two levels on one value in ten thousand) and takes a quarter of the time. Both pad to a square before they
resize, so that the filter sees the padding at the edge as it did in training.
"""

import numpy as np
import torch
from PIL import Image

from rs_gpt4v_builder.pixels.clip import BACKGROUND, SIZE, Pixels
from rs_gpt4v_builder.pixels.decode import WORD, Words

_BACKGROUND_WORD = int.from_bytes(bytes(BACKGROUND), "little")


class Canvas:
    """Where an image is decoded to: an array of its size, or a square with the mean colour at the sides.

    Args:
        pad: Whether to make a square.

    Attributes:
        words: (H, W) uint32, set by `place`.
    """

    def __init__(self, *, pad: bool) -> None:
        self.pad = pad
        self.words: Words = np.empty((0, 0), WORD)

    def place(self, height: int, width: int) -> Words:
        """Make the canvas for an image of this size; return its part that belongs to the image.

        Returns:
            (height, width) uint32, not yet filled.
        """
        if not self.pad:
            self.words = np.empty((height, width), WORD)
            return self.words
        side = max(height, width)
        self.words = np.empty((side, side), WORD)
        top, left = (side - height) // 2, (side - width) // 2
        self.words[:top] = self.words[top + height :] = _BACKGROUND_WORD
        self.words[:, :left] = self.words[:, left + width :] = _BACKGROUND_WORD
        return self.words[top : top + height, left : left + width]


def resize_fast(words: Words, out: Pixels) -> None:
    """Scale the shorter side to `SIZE` and take the middle of the longer one.

    Nothing in it is worked on by several threads of torch: threads of the caller do not get into each other's way.

    Args:
        words: (H, W) uint32.
        out: (3, SIZE, SIZE) uint8 to write to.
    """
    height, width = scaled(*words.shape)
    if words.shape != (height, width):
        # with the channels last for torch also where there is one image: else it takes the strides for planar
        image = torch.from_numpy(words.view(np.uint8).reshape(1, *words.shape, 4)).permute(0, 3, 1, 2)
        small = torch.nn.functional.interpolate(image, (height, width), mode="bicubic", antialias=True)
        words = small.permute(0, 2, 3, 1).contiguous().numpy().view(WORD)[0, :, :, 0]
    top, left = (height - SIZE) // 2, (width - SIZE) // 2
    words = words[top : top + SIZE, left : left + SIZE]
    shifted = np.empty((SIZE, SIZE), WORD)
    for channel, place in enumerate(out):
        np.right_shift(words, 8 * channel, out=shifted)
        np.copyto(place, shifted, casting="unsafe")  # the lowest byte of each


def resize_exact(image: Image.Image, out: Pixels, *, pad: bool) -> None:
    """Do with PIL what LLaVA's `expand2square` and transformers' `CLIPImageProcessor` do.

    Args:
        image: Of mode RGB.
        out: (3, SIZE, SIZE) uint8 to write to.
        pad: Whether to make a square first.
    """
    if pad and image.width != image.height:
        side = max(image.size)
        square = Image.new("RGB", (side, side), BACKGROUND)
        square.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
        image = square
    height, width = scaled(image.height, image.width)
    # in two calls, as newer releases of PIL turn the order round for a tall image, which moves values by up to 31
    # levels; with a size that stays a call changes nothing
    for size in ((width, image.height), (width, height)):
        if image.size != size:
            image = image.resize(size, Image.Resampling.BICUBIC)
    left, top = (width - SIZE) // 2, (height - SIZE) // 2
    out[:] = np.asarray(image.crop((left, top, left + SIZE, top + SIZE))).transpose(2, 0, 1)


def scaled(height: int, width: int) -> tuple[int, int]:
    """Height and width with the shorter one scaled to `SIZE`, the other one in proportion, rounded down."""
    longer = SIZE * max(height, width) // min(height, width)
    return (longer, SIZE) if width <= height else (SIZE, longer)
