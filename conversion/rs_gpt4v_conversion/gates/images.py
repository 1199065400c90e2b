"""Every image decodes whole, has the stated size, and is the one that its digest names; null ones are allowed."""

import hashlib
import io
import warnings
from typing import Any, ClassVar

from PIL import ExifTags, Image

from rs_gpt4v_conversion.gates._gate import Findings, GateResult, name_of
from rs_gpt4v_conversion.images.decoding import DECODE_ERRORS, decode
from rs_gpt4v_conversion.release import Where

FORMATS = ("JPEG", "PNG")
"""What a release holds: a browser and every reader know them."""

AS_STORED = (None, 0, 1)
"""EXIF orientations under which readers leave the picture, and with it the boxes, as it is."""


class Images:
    """Decodes every image."""

    columns: ClassVar[tuple[str, ...]] = ("id", "image", "width", "height", "image_sha256")

    def __init__(self) -> None:
        self.findings = Findings("images")

    def row(self, row: dict[str, Any], where: Where) -> None:
        """Look at one row."""
        if row["image"] is None:
            return
        flaw = image_flaw(row["image"]["bytes"], (row["width"], row["height"]), row["image_sha256"])
        if flaw:
            self.findings.add(name_of(row, where), flaw)

    def results(self) -> list[GateResult]:
        """What was found."""
        return [self.findings.result()]


def image_flaw(data: bytes | None, size: tuple[int | None, int | None], digest: str | None) -> str:
    """What is wrong with an image's bytes, or an empty string."""
    if data is None:
        return "an image without bytes"
    if hashlib.sha256(data).hexdigest() != digest:
        return "the digest is another image's"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of odd metadata and of size; neither is a flaw here
        try:
            image = Image.open(io.BytesIO(data), formats=FORMATS)
            found = image.size
            decode(image)
            turned = image.getexif().get(ExifTags.Base.Orientation)
        except (*DECODE_ERRORS, Image.DecompressionBombError) as error:
            return f"does not decode: {error}"
    if turned not in AS_STORED:
        return f"has the EXIF orientation {turned}: readers would turn it away from its boxes"
    return "" if found == size else f"is {found[0]}x{found[1]}, said to be {size[0]}x{size[1]}"
