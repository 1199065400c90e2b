"""An EXIF orientation other than 1 is taken out of a file without re-encoding it.

Boxes are on raw pixels, and readers such as `datasets` turn the picture by the orientation.
"""

import io
import re
from collections.abc import Callable

from PIL import ExifTags, Image

from rs_gpt4v_conversion.images.decoding import FORMATS, ImageFlaw

_CARRIERS = ("exif", "xmp", "XML:com.adobe.xmp", "Raw profile type exif")


def upright(source: bytes, image: Image.Image) -> bytes:
    """The bytes of a JPEG or PNG that every reader shows as it is stored.

    Args:
        source: The file.
        image: The same, decoded.
    """
    if not any(key in image.info for key in _CARRIERS):
        return source
    if image.getexif().get(ExifTags.Base.Orientation, 1) == 1:
        return source
    strip: Callable[[bytes], bytes] = _strip_png if image.format == "PNG" else _strip_jpeg
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
