"""An image in any form -> pixels as CLIP ViT-L/14-336 wants them.

The same steps as in LLaVA-1.5 (`expand2square` in llava/mm_utils.py, then `CLIPImageProcessor` of
transformers): RGB, a square with the mean colour at the sides, 336 x 336 by a bicubic filter; `clip.normalise` does
the rest. `decode` and `resize` hold the steps.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch

from rs_gpt4v_builder.errors import OptionError, RowError
from rs_gpt4v_builder.pixels.clip import SIZE, Pixels, normalise
from rs_gpt4v_builder.pixels.decode import DAMAGED, decode, open_image, source_of, to_rgb
from rs_gpt4v_builder.pixels.resize import Canvas, resize_exact, resize_fast

ASPECTS = ("pad", "crop")
RESIZES = ("fast", "exact")


def preprocess(
    image: Any, *, aspect: str = "pad", resize: str = "fast", row: str = "", out: Pixels | None = None
) -> Pixels:
    """Make the pixels of one image.

    Args:
        image: A dict of `bytes` and `path` (an `Image(decode=False)` column), the bytes of a file,
            or a PIL image (what `datasets` gives by default).
        aspect: `pad` fills the shorter sides up to a square, `crop` cuts the longer ones.
        resize: `exact` gives what PIL gives, `fast` at most one level off on less than 1 % of the values.
        row: The row's id for messages.
        out: (3, 336, 336) uint8 to write to.

    Returns:
        (3, 336, 336) uint8, red, green, blue, in 0..255.

    Raises:
        RowError: There is no image, or it cannot be decoded.
        OptionError: `aspect` or `resize` is not known.
    """
    if aspect not in ASPECTS:
        raise OptionError.unknown("aspect", aspect, ASPECTS)
    if resize not in RESIZES:
        raise OptionError.unknown("resize", resize, RESIZES)
    if out is None:
        out = np.empty((3, SIZE, SIZE), np.uint8)
    pad = aspect == "pad"
    with _naming(row):
        source = source_of(image, row)
        if resize == "exact":
            resize_exact(to_rgb(open_image(source)), out, pad=pad)
        else:
            canvas = Canvas(pad=pad)
            decode(source, canvas.place)
            resize_fast(canvas.words, out)
    return out


def picture(image: Any, *, row: str = "") -> torch.Tensor:
    """Decode an image and leave it as large as it is.

    Args:
        image: As in `preprocess`.
        row: The row's id for messages.

    Returns:
        (3, H, W) uint8, of which the channels are last in memory.

    Raises:
        RowError: There is no image, or it cannot be decoded.
    """
    canvas = Canvas(pad=False)
    with _naming(row):
        decode(source_of(image, row), canvas.place)
    return torch.from_numpy(canvas.words.view(np.uint8).reshape(*canvas.words.shape, 4)).permute(2, 0, 1)[:3]


@contextmanager
def _naming(row: str) -> Iterator[None]:
    """Say of what cannot be decoded to which row it belongs."""
    try:
        yield
    except RowError:
        raise
    except DAMAGED as error:
        raise RowError.of(
            row,
            f"an image that cannot be decoded ({error})",
            "a whole image file that PIL reads",
            "fetch the file again or leave the row out",
        ) from error


class Imager(Protocol):
    """Makes the images of a batch of those of its rows. May be called from several threads."""

    def one(self, image: Any, row: str) -> Any:
        """Make what there is to make of one image, which is not None.

        Raises:
            RowError: There is no image, or it cannot be decoded.
        """

    def stack(self, made: Sequence[Any]) -> Any:
        """Put together what `one` made of the images of a batch; None for a row without image."""


@dataclass(frozen=True)
class CpuImager:
    """Makes pixels on the CPU.

    Attributes:
        aspect: As in `preprocess`.
        resize: As in `preprocess`.
        pixels: `float32` normalises, `uint8` leaves 0..255.
    """

    aspect: str
    resize: str
    pixels: str

    def one(self, image: Any, row: str) -> Pixels:
        """Make the pixels of one image, see `preprocess`."""
        return preprocess(image, aspect=self.aspect, resize=self.resize, row=row)

    def stack(self, made: Sequence[Pixels | None]) -> torch.Tensor:
        """Put the images of a batch together, zeros where there is none: (N, 3, 336, 336)."""
        batch = self.memory(len(made))
        for place, pixels in zip(batch.numpy(), made, strict=True):
            if pixels is None:
                place[:] = 0
            elif self.pixels == "uint8":
                place[:] = pixels
            else:
                normalise(pixels, out=place)
        return batch

    def memory(self, count: int) -> torch.Tensor:
        """Take memory for a batch, (count, 3, 336, 336)."""
        return torch.empty((count, 3, SIZE, SIZE), dtype=getattr(torch, self.pixels))
