"""From a source's image file to the bytes in a release.

JPEG and PNG pass through untouched: a browser and Pillow read them, and their digest proves where they come from. TIFF
and BMP become PNG, which loses nothing. An EXIF orientation other than 1 is taken out without re-encoding, because
boxes are on raw pixels and readers such as `datasets` turn the picture by it. Every image is decoded once, so that a
truncated one is found here and not in a training run.
"""

import hashlib
import io
import re
import struct
import warnings
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from PIL import (  # the plugins register their formats
    BmpImagePlugin,  # noqa: F401
    ExifTags,
    Image,
    JpegImagePlugin,  # noqa: F401
    PngImagePlugin,  # noqa: F401
    TiffImagePlugin,  # noqa: F401
    UnidentifiedImageError,
)

FORMATS = ("JPEG", "PNG", "TIFF", "BMP")
"""Formats that are read at all, each by a plugin imported above: Pillow knows no others until it is told to."""

PNG_MODES = {"1", "L", "LA", "P", "RGB", "RGBA", "I;16"}
"""Pixel formats that PNG holds as they are."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseImage:
    """An image as a row holds it."""

    data: bytes  # JPEG or PNG
    suffix: str  # .jpg or .png
    width: int  # pixels
    height: int
    image_sha256: str  # of `data`
    source_sha256: str  # of the source's file
    scale: float = 1.0  # of this image against the file's, or against the window cut from it
    crs: str = ""  # `EPSG:<code>` where the file is georeferenced
    bounds: tuple[float, ...] = ()  # left bottom right top in units of `crs`
    rendering: str = ""  # how the pixels were made where they are not the file's own


def load_image(path: Path) -> ReleaseImage:
    """Read, check and, where needed, convert one image file.

    Raises:
        ImageFlaw: The file is missing, empty, no image, truncated, too large, or of a kind a release does not take.
    """
    try:
        source = path.read_bytes()
    except FileNotFoundError:
        raise ImageFlaw("image missing", path.name) from None
    except OSError as error:
        raise ImageFlaw("image cannot be read", f"{path.name}: {error.strerror}") from None
    if not source:
        raise ImageFlaw("image is empty", path.name)
    return convert(source)


def convert(source: bytes) -> ReleaseImage:
    """Check the bytes of an image file and convert them where a release does not hold them as they are.

    Raises:
        ImageFlaw: See `load_image`.
    """
    digest = hashlib.sha256(source).hexdigest()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of odd metadata, which is passed on as it is
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            data, suffix, size = _open(source)
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            raise ImageFlaw("decompression bomb", str(error)) from None
        except UnidentifiedImageError:
            raise ImageFlaw("not an image", f"{len(source)} bytes, {source[:8]!r}") from None
        except DECODE_ERRORS as error:
            reason = "image is truncated" if "truncated" in str(error) else "image does not decode"
            raise ImageFlaw(reason, str(error)) from None
    same = data is source
    return ReleaseImage(
        data=data,
        suffix=suffix,
        width=size[0],
        height=size[1],
        image_sha256=digest if same else hashlib.sha256(data).hexdigest(),
        source_sha256=digest,
    )


def _open(source: bytes) -> tuple[bytes, str, tuple[int, int]]:
    image = Image.open(io.BytesIO(source), formats=FORMATS)
    size = image.size
    if image.format in (
        "JPEG",
        "MPO",
    ):  # MPO: a JPEG with further pictures behind it, as cameras write it
        if image.mode not in ("L", "RGB"):
            raise ImageFlaw("JPEG is neither grey nor RGB", image.mode)
        decode(image)
        return _upright(source, image, _strip_jpeg), ".jpg", size
    frames = getattr(image, "n_frames", 1)
    if frames != 1:
        raise ImageFlaw("image has several pictures", f"{frames} in a {image.format}")
    decode(image)
    if image.format == "PNG":
        return _upright(source, image, _strip_png), ".png", size
    return (
        _png(image),
        ".png",
        image.size,
    )  # Pillow turns a TIFF by its orientation tag: its size is the decoded one


def decode(image: Image.Image) -> None:
    """Decode an opened image to prove that it is whole.

    A JPEG is decoded at an eighth of its size: truncation shows in the entropy coding, which is read in full either
    way, and the rest of the work is saved.
    """
    if image.format in ("JPEG", "MPO"):
        image.draft("L", (1, 1))
    image.load()


def _png(image: Image.Image) -> bytes:
    if image.mode == "I;16B":
        image = image.convert("I;16")
    if image.mode not in PNG_MODES:
        raise ImageFlaw(f"{image.format} whose pixels PNG cannot hold", image.mode)
    out = io.BytesIO()
    # Only what is needed to show the pixels: no profile, no resolution, nothing that depends on the encoder's mood
    bare = image.copy()
    bare.info = {k: v for k, v in image.info.items() if k == "transparency"}
    bare.save(out, "PNG")
    return out.getvalue()


_CARRIERS = ("exif", "xmp", "XML:com.adobe.xmp", "Raw profile type exif")


def _upright(source: bytes, image: Image.Image, strip: Callable[[bytes], bytes]) -> bytes:
    if not any(key in image.info for key in _CARRIERS):
        return source
    if image.getexif().get(ExifTags.Base.Orientation, 1) == 1:
        return source
    stripped = strip(source)
    again = Image.open(io.BytesIO(stripped), formats=FORMATS)
    again.load()
    if again.getexif().get(ExifTags.Base.Orientation, 1) not in (0, 1):
        raise ImageFlaw("orientation cannot be taken out", str(image.format))
    return stripped


def _strip_jpeg(source: bytes) -> bytes:
    """Leave out the APP1 segments with EXIF or XMP (JPEG, ITU-T T.81 annex B; EXIF 2.32 section 4.5.4)."""
    kept, at = [source[:2]], 2
    while at + 4 <= len(source) and source[at] == 0xFF and source[at + 1] != 0xDA:
        if source[at + 1] == 0xFF:  # fill byte
            at += 1
            continue
        end = at + 2 + int.from_bytes(source[at + 2 : at + 4], "big")
        body = source[at + 4 : end]
        if source[at + 1] != 0xE1 or not body.startswith((b"Exif\0", b"http://ns.adobe.com/x")):
            kept.append(source[at:end])
        at = end
    return b"".join([*kept, source[at:]])


def _strip_png(source: bytes) -> bytes:
    """Leave out the chunks with EXIF or XMP (PNG, third edition, section 11)."""
    text = re.compile(rb"(XML:com\.adobe\.xmp|Raw profile type (exif|APP1|xmp))\0")
    kept, at = [source[:8]], 8
    while at + 12 <= len(source):
        end = at + 12 + int.from_bytes(source[at : at + 4], "big")
        kind = source[at + 4 : at + 8]
        if kind != b"eXIf" and not (kind in (b"tEXt", b"zTXt", b"iTXt") and text.match(source, at + 8)):
            kept.append(source[at:end])
        at = end
    return b"".join(kept)
