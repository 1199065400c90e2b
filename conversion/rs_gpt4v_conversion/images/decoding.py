"""Opening image files: which formats are read at all, and what a file may not be."""

import io
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from PIL import (  # the plugins register their formats
    BmpImagePlugin,  # noqa: F401
    Image,
    ImageFile,
    JpegImagePlugin,  # noqa: F401
    PngImagePlugin,  # noqa: F401
    TiffImagePlugin,  # noqa: F401
    UnidentifiedImageError,
)

from rs_gpt4v_conversion.images import tiff

FORMATS = ("JPEG", "PNG", "TIFF", "BMP")
"""Formats that are read at all, each by a plugin imported above: Pillow knows no others until it is told to."""

JPEGS = ("JPEG", "MPO")
"""MPO: a JPEG with further pictures behind it, as cameras write it."""

MOST_PIXELS = 89_478_485
"""Pixels that Pillow decodes without a warning; larger images are cut and reduced by libvips.

The size alone decides, not what is installed: the same file gives the same bytes everywhere.
"""

# What Pillow's decoders raise on broken files (fuzzed in the tests)
DECODE_ERRORS = (
    OSError, SyntaxError, ValueError, EOFError, OverflowError, IndexError, struct.error, zlib.error,
)  # fmt: skip


class ImageFlaw(Exception):
    """An image file that cannot go into a release: all pairs about it are rejected.

    Args:
        reason: A few words, the same for all files with this flaw.
        detail: What was found in this one.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason, self.detail = reason, detail


def deep(bands: int, bits: int) -> ImageFlaw:
    """The flaw of bands that are no colours of a picture."""
    return ImageFlaw("bands of more than 8 bits: name the three to show and their range", f"{bands} of {bits} bits")


@contextmanager
def guarded(source: bytes) -> Iterator[None]:
    """Turn what Pillow raises while it opens or decodes `source` into an `ImageFlaw`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of odd metadata, which is passed on as it is
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            yield
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            raise ImageFlaw("decompression bomb", str(error)) from None
        except UnidentifiedImageError:
            raise ImageFlaw("not an image", f"{len(source)} bytes, {source[:8]!r}") from None
        except DECODE_ERRORS as error:
            reason = "image is truncated" if "truncated" in str(error) else "image does not decode"
            raise ImageFlaw(reason, str(error)) from None


def read_bytes(path: Path) -> bytes:
    """The content of an image file.

    Raises:
        ImageFlaw: It is missing, empty or cannot be read.
    """
    try:
        source = path.read_bytes()
    except FileNotFoundError:
        raise ImageFlaw("image missing", path.name) from None
    except OSError as error:
        raise ImageFlaw("image cannot be read", f"{path.name}: {error.strerror}") from None
    if not source:
        raise ImageFlaw("image is empty", path.name)
    return source


def open_image(source: bytes) -> ImageFile.ImageFile:
    """Open the bytes of an image file without decoding its pixels.

    Raises:
        ImageFlaw: It holds several pictures, or is a JPEG that a browser does not show.
    """
    image = Image.open(io.BytesIO(source), formats=FORMATS)
    if image.format in JPEGS:
        if image.mode not in ("L", "RGB"):
            raise ImageFlaw("JPEG is neither grey nor RGB", image.mode)
        return image
    frames = getattr(image, "n_frames", 1)
    if frames != 1:
        raise ImageFlaw("image has several pictures", f"{frames} in a {image.format}")
    return image


def decode(image: Image.Image) -> None:
    """Decode an opened image to prove that it is whole.

    A JPEG is decoded at an eighth of its size: truncation shows in the entropy coding, which is read in full either
    way, and the rest of the work is saved.
    """
    if image.format in JPEGS:
        image.draft("L", (1, 1))
    image.load()


def has_ends(source: bytes, kind: str) -> bool:
    """Whether a file that could be opened was written to its end, by what its format says without decoding it.

    A JPEG has to end with its marker EOI (ITU-T T.81, annex B); what lies between is not looked at. A PNG has to be an
    unbroken chain of chunks to IEND, each with the right checksum (PNG, third edition, section 5), and none but IEND
    behind the pixels, because Pillow reads others only with them. Of other formats, and where anything stands behind
    the end, the answer is no, which does not mean that the file is broken.

    Args:
        source: The file.
        kind: Its format in Pillow's words.
    """
    if kind == "JPEG":
        return source.endswith(b"\xff\xd9")
    return kind == "PNG" and _chunks_hold(source)


def _chunks_hold(source: bytes) -> bool:
    at, view, name = 8, memoryview(source), b""
    while at + 12 <= len(source):
        end = at + 8 + int.from_bytes(view[at : at + 4], "big")
        before, name = name, source[at + 4 : at + 8]
        if before == b"IDAT" and name not in (b"IDAT", b"IEND"):
            return False
        if int.from_bytes(view[end : end + 4], "big") != zlib.crc32(view[at + 4 : end]):
            return False
        at = end + 4
        if name == b"IEND":
            break
    return name == b"IEND" and at == len(source)


@dataclass(frozen=True, slots=True)
class Header:
    """What an image file says of itself at its beginning."""

    kind: str  # its format in Pillow's words
    size: tuple[int, int]  # width and height as stored, pixels


def is_large(size: tuple[int, int]) -> bool:
    """Whether an image is cut and reduced by libvips."""
    return size[0] * size[1] > MOST_PIXELS


def read_header(path: Path) -> Header | None:
    """The header of an image file, None where it is missing or is none.

    `Image.open` refuses large images before it says how large they are, and TIFFs whose bands it does not know.
    """
    try:
        with path.open("rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd metadata
            directory = tiff.read_tags(file)
            if directory is not None:
                size = tiff.size(directory)
                return None if size is None else Header("TIFF", size)
            return _header(file, path)
    except (*DECODE_ERRORS, TypeError, KeyError):
        return None


def _header(file: BinaryIO, path: Path) -> Header | None:
    file.seek(0)
    head = file.read(16)
    for name in FORMATS:
        factory, accept = Image.OPEN[name]
        if accept is None or accept(head):
            file.seek(0)
            image = factory(file, str(path))
            return Header(str(image.format), image.size)
    return None
