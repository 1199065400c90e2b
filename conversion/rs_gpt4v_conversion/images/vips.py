"""libvips: windows of images that are too large for memory, and TIFFs whose bands Pillow does not know.

It decodes a PNG or JPEG once, when the first window is asked for: into memory where that takes less than 100 MB (or
what VIPS_DISC_THRESHOLD says), else into a file in TMPDIR without a name, which the system removes when the image is
closed or its process ends, however it ends. Of a tiled TIFF it decodes the parts that a window touches.

It is an extra of the installation, imported when the first image needs it.
"""

import logging
import os
import tempfile
from errno import ENOSPC
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rs_gpt4v_conversion.errors import UsageError
from rs_gpt4v_conversion.images.decoding import ImageFlaw, deep
from rs_gpt4v_conversion.records import Window


def require(why: str) -> Any:
    """The module pyvips.

    Args:
        why: What needs it, for the sentence that says that it is not installed.

    Raises:
        UsageError: It is not installed.
    """
    try:
        import pyvips
    except (ImportError, OSError):  # OSError: the Python part is there, and the library is not
        raise UsageError(f'{why}, which takes pyvips: pip install "rs-gpt4v[large]"') from None
    logging.getLogger("pyvips").setLevel(logging.ERROR)  # it warns of odd metadata
    pyvips.cache_set_max(0)  # what is not referred to any more is closed, and its temporary file with it
    return pyvips


def opened(source: Path | bytes, why: str) -> Any:
    """An image of which windows can be read in any order.

    Raises:
        ImageFlaw: It is no image, holds several pictures, or its start does not decode.
        UsageError: pyvips is not installed, or there is no room for the decoded image.
    """
    pyvips = require(why)
    try:
        if isinstance(source, bytes):
            image = pyvips.Image.new_from_buffer(source, "", fail_on="error")
        else:
            image = pyvips.Image.new_from_file(str(source), access="random", fail_on="error")
        pages = image.get("n-pages") if "n-pages" in image.get_fields() else 1
        if pages == 1:
            image.crop(0, 0, 1, 1).write_to_memory()  # decodes a PNG or JPEG as a whole
    except pyvips.Error as error:
        raise _flaw(error) from None
    if pages != 1:
        raise ImageFlaw("image has several pictures", f"{pages}")
    return image


def pixels(image: Any, window: Window) -> NDArray[Any]:
    """The pixels of a window: rows, columns, bands.

    Raises:
        ImageFlaw: They do not decode.
        UsageError: There is no room for the decoded image.
    """
    pyvips = require("")
    try:
        part = image.crop(*window)
        content = part.write_to_memory()
    except pyvips.Error as error:
        raise _flaw(error) from None
    dtype = _DTYPES.get(part.format)
    if dtype is None:
        raise ImageFlaw("pixels are not numbers", str(part.format))
    return np.frombuffer(content, dtype).reshape(part.height, part.width, part.bands)


def thumbnail(path: Path, size: tuple[int, int], why: str) -> NDArray[Any]:
    """The pixels of an image file of 8 bits a band reduced by Lanczos: rows, columns, bands.

    Raises:
        ImageFlaw: It does not decode, or has more bits.
        UsageError: pyvips is not installed.
    """
    pyvips = require(why)
    try:
        header = pyvips.Image.new_from_file(str(path))
        if header.format != "uchar":
            raise deep(header.bands, 8 * np.dtype(_DTYPES.get(header.format, np.complex128)).itemsize)
        made = pyvips.Image.thumbnail(str(path), size[0], height=size[1], size="force", no_rotate=True, fail_on="error")
    except pyvips.Error as error:
        raise _flaw(error) from None
    return pixels(made, (0, 0, *size))


_DTYPES = {
    "uchar": np.uint8, "char": np.int8, "ushort": np.uint16, "short": np.int16, "uint": np.uint32, "int": np.int32,
    "float": np.float32, "double": np.float64,
}  # fmt: skip


def _flaw(error: Exception) -> Exception:
    lines = [line.strip() for line in str(error).splitlines()]
    said = next((line for line in lines[1:] if line), lines[0] if lines else "")  # the first is pyvips' own
    if os.strerror(ENOSPC) in str(error):
        folder = tempfile.gettempdir()
        return UsageError(f"{folder}: no room for a large image while it is cut; set TMPDIR to a folder with more")
    if any(words in said for words in ("premature end", "truncated", "Read error")):
        return ImageFlaw("image is truncated", said)
    if "not a known file format" in said or "is not in a known format" in said:
        return ImageFlaw("not an image", said)
    return ImageFlaw("image does not decode", said)
