"""An image in any form -> its pixels, each one 32-bit word of red, green, blue and a byte without meaning.

Words are quicker than three bytes at every step after: a strip of padding is one value written many times, the resize
need not spread the bytes out first, and a channel of the result is a shift away.

A JPEG is decoded by simplejpeg where it is installed (the extra `fast`), which gives the same values as Pillow in less
time; everything else, and a JPEG that simplejpeg does not take, by Pillow. An EXIF orientation is ignored, as in the
original code of LLaVA: boxes are on raw pixels. (A release holds no rotated image.)
"""

import io
import logging
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from rs_gpt4v_builder.errors import RowError

FILL_IN = (
    "the release holds no bytes for it, because its source may not be redistributed: "
    "fill `image` in from your own copy of the source, where `source_id` is its name "
    "(a coming version has the command `rs-gpt4v fill` for that)"
)
"""What to do about a null image."""

DAMAGED = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)
"""PIL's ways to refuse a file."""

Words = npt.NDArray[np.uint32]
Place = Callable[[int, int], Words]
"""(height, width) -> (height, width) uint32, where the pixels of an image of that size are to be written."""

WORD = np.dtype("<u4")
"""The type of a pixel: little-endian on any machine, so red is its lowest byte."""

JPEG = b"\xff\xd8\xff"
"""How every JPEG begins."""

_SIXTEEN_BITS = ("I;16", "I;16L", "I;16B", "I;16N", "I")
_JPEG_COLOURS = ("YCbCr", "Gray", "RGB")  # Adobe's CMYK is inverted or not: Pillow knows

_log = logging.getLogger(__name__)


def source_of(image: Any, row: str) -> Image.Image | bytes | bytearray | memoryview:
    """Find what to decode: a PIL image, or the bytes of a file.

    Args:
        image: A dict of `bytes` and `path` (an `Image(decode=False)` column), the bytes of a file, or a PIL image (what
            `datasets` gives by default).
        row: The row's id for messages.

    Raises:
        RowError: There is no image.
        OSError: The file at `path` cannot be read.
    """
    if isinstance(image, Mapping):
        data, path = image.get("bytes"), image.get("path")
        if data is None and path is not None and Path(path).is_file():
            data = Path(path).read_bytes()
        image = data
    if isinstance(image, Image.Image | bytes | bytearray | memoryview):
        return image
    expected = "a dict of bytes and path, bytes, or a PIL image"
    if image is None:
        raise RowError.of(row, "a null image", expected, FILL_IN)
    raise RowError.of(row, f"an image of type {type(image).__name__}", expected, "give it as one of them")


def decode(source: Image.Image | bytes | bytearray | memoryview, place: Place) -> None:
    """Write the pixels of an image to where `place` says.

    Args:
        source: A PIL image, or the bytes of a file.
        place: Called with the image's height and width.

    Raises:
        OSError, SyntaxError, ValueError, DecompressionBombError: It cannot be decoded.
    """
    if not isinstance(source, Image.Image) and bytes(source[:3]) == JPEG and _decode_jpeg(source, place):
        return
    image = to_rgb(open_image(source))
    words = np.frombuffer(image.tobytes("raw", "RGBX"), WORD)
    place(image.height, image.width)[:] = words.reshape(image.height, image.width)


def open_image(source: Image.Image | bytes | bytearray | memoryview) -> Image.Image:
    """Open the bytes of a file with PIL; a PIL image is given back as it is."""
    if isinstance(source, Image.Image):
        return source
    try:
        return Image.open(io.BytesIO(source))
    except UnidentifiedImageError as error:  # whose text names an object in memory
        raise UnidentifiedImageError(f"its {len(source):,} bytes are of no format that PIL knows") from error


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


def _decode_jpeg(data: bytes | bytearray | memoryview, place: Place) -> bool:
    """Decode a JPEG with simplejpeg; False where Pillow has to do it, or to say what is wrong."""
    simplejpeg = _simplejpeg()
    if simplejpeg is None:
        return False
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(data)
        if colours not in _JPEG_COLOURS or height * width > (Image.MAX_IMAGE_PIXELS or height * width):
            return False
        words = place(height, width)
        whole = words if words.flags.c_contiguous else np.empty((height, width), WORD)
        simplejpeg.decode_jpeg(data, "RGBX", buffer=whole)
    except ValueError:  # also where there is only a warning, such as bytes too many
        return False
    if whole is not words:
        words[:] = whole
    return True


@cache
def _simplejpeg() -> Any:
    """The module simplejpeg, or None where it is not installed, which is said once in the log."""
    try:
        import simplejpeg
    except ImportError:
        _log.warning("simplejpeg is not installed, so Pillow decodes the JPEGs, slower: pip install 'rs-gpt4v[fast]'")
        return None
    return simplejpeg
