"""An image in any form -> pixels as CLIP ViT-L/14-336 wants them.

The same steps as in LLaVA-1.5 (`expand2square` in llava/mm_utils.py, then `CLIPImageProcessor` of
transformers): RGB, a square with the mean colour at the sides, 336 x 336 by PIL's bicubic filter,
value/255, minus mean, by standard deviation. What normalising makes of a value depends on nothing
but the value and its channel, so it is read from a table of 3 x 256, which gives the same bits.

An EXIF orientation is ignored, as in the original: boxes are on raw pixels. (A release holds no
rotated image.)
"""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from .errors import OptionError, RowError

SIZE = 336
"""Width and height in pixels."""

MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
"""Of red, green, blue in 0..1: openai/clip-vit-large-patch14-336, preprocessor_config.json."""

BACKGROUND = (122, 116, 104)
"""Colour of the padding: the mean times 255, rounded down."""

ASPECTS = ("pad", "crop")

FILL_IN = (
    "the release holds no bytes for it, because its source may not be redistributed: "
    "fill `image` in from your own copy of the source, where `source_id` is its name "
    "(a coming version has the command `rs-gpt4v fill` for that)"
)
"""What to do about a null image."""

Pixels = npt.NDArray[np.uint8]
Normalised = npt.NDArray[np.float32]

# PIL's ways to refuse a file
_DAMAGED = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)
_SIXTEEN_BITS = ("I;16", "I;16L", "I;16B", "I;16N", "I")


def preprocess(image: Any, *, aspect: str = "pad", row: str = "") -> Pixels:
    """Make the pixels of one image.

    Args:
        image: A dict of `bytes` and `path` (an `Image(decode=False)` column), the bytes of a file,
            or a PIL image (what `datasets` gives by default).
        aspect: `pad` fills the shorter sides up to a square, `crop` cuts the longer ones.
        row: The row's id for messages.

    Returns:
        (3, 336, 336) uint8, red, green, blue, in 0..255.

    Raises:
        RowError: There is no image, or it cannot be decoded.
        OptionError: `aspect` is not known.
    """
    if aspect not in ASPECTS:
        raise OptionError.unknown("aspect", aspect, ASPECTS)
    try:
        picture = to_rgb(_open(image, row))
        square = _pad(picture) if aspect == "pad" else picture
        small = _center(_resize(square))
    except RowError:
        raise
    except _DAMAGED as error:
        raise RowError.of(
            row,
            f"an image that cannot be decoded ({error})",
            "a whole image file that PIL reads",
            "fetch the file again or leave the row out",
        ) from error
    return np.ascontiguousarray(np.asarray(small).transpose(2, 0, 1))


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert an image to RGB, 8 bits a channel.

    One band (SAR, infrared) becomes three equal ones; transparency is dropped. Of 16 bits the upper
    eight are taken: PIL's own conversion of one 16-bit band would saturate all above 255 to white,
    while it takes the upper eight of a 16-bit colour image. Mode `I` is how older releases of PIL
    open a 16-bit PNG.

    Raises:
        ValueError: The mode has no range that could be mapped to 0..255 (`F`).
    """
    if image.mode in _SIXTEEN_BITS:
        values = np.asarray(image).astype(np.int64)
        return Image.fromarray((values.clip(0, 65535) // 256).astype(np.uint8)).convert("RGB")
    if image.mode == "F":
        raise ValueError("its pixels are floats, of which nobody knows the range")
    if image.mode == "P" and isinstance(image.info.get("transparency"), bytes):
        # the same colours as by the direct way, but without PIL's warning
        image = image.convert("RGBA")
    return image.convert("RGB")


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
    for channel in range(3):
        # any other mode than the default one writes to `out` without a copy between
        np.take(_TABLE[channel], pixels[channel], out=out[channel], mode="clip")
    return out


def _table() -> Normalised:
    """(3, 256) float32: normalised value by channel and level, rounded where the original rounds."""
    unit = (np.arange(256) * (1 / 255)).astype(np.float32)
    mean = np.array(MEAN, np.float32)[:, None]
    std = np.array(STD, np.float32)[:, None]
    table: Normalised = (unit - mean) / std
    return table


_TABLE = _table()


def _open(image: Any, row: str) -> Image.Image:
    if isinstance(image, Image.Image):
        return image
    if isinstance(image, Mapping):
        data, path = image.get("bytes"), image.get("path")
        if data is None and path is not None and Path(path).is_file():
            data = Path(path).read_bytes()
        image = data
    if isinstance(image, bytes | bytearray | memoryview):
        return Image.open(io.BytesIO(image))
    raise RowError.of(
        row,
        "a null image" if image is None else f"an image of type {type(image).__name__}",
        "a dict of bytes and path, bytes, or a PIL image",
        FILL_IN,
    )


def _pad(image: Image.Image) -> Image.Image:
    width, height = image.size
    if width == height:
        return image
    side = max(width, height)
    square = Image.new("RGB", (side, side), BACKGROUND)
    square.paste(image, ((side - width) // 2, (side - height) // 2))
    return square


def _resize(image: Image.Image) -> Image.Image:
    """Scale the shorter side to `SIZE`, the other one in proportion, rounded down."""
    width, height = image.size
    short, long = sorted((width, height))
    scaled = SIZE * long // short
    size = (SIZE, scaled) if width <= height else (scaled, SIZE)
    return image if size == image.size else image.resize(size, Image.Resampling.BICUBIC)


def _center(image: Image.Image) -> Image.Image:
    left, top = (image.width - SIZE) // 2, (image.height - SIZE) // 2
    return image.crop((left, top, left + SIZE, top + SIZE))
