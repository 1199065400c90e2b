"""Pixels become smaller, and bytes: PNG, which loses nothing, or JPEG where the source is one."""

import io

import numpy as np
from PIL import Image

from rs_gpt4v_conversion.images.decoding import ImageFlaw

PNG_MODES = {"1", "L", "LA", "P", "RGB", "RGBA", "I;16"}
"""Pixel formats that PNG holds as they are."""

QUALITY = 95
"""Of a JPEG that is made from a JPEG."""

LANCZOS = Image.Resampling.LANCZOS


def png(image: Image.Image, kind: str) -> bytes:
    """Encode as PNG.

    Args:
        image: The pixels.
        kind: The source's format, for the flaw.

    Raises:
        ImageFlaw: PNG does not hold such pixels.
    """
    if image.mode == "I;16B":
        image = image.convert("I;16")
    if image.mode not in PNG_MODES:
        raise ImageFlaw(f"{kind} whose pixels PNG cannot hold", image.mode)
    out = io.BytesIO()
    # Only what is needed to show the pixels: no profile, no resolution, nothing that depends on the encoder's mood
    bare = image.copy()
    bare.info = {k: v for k, v in image.info.items() if k == "transparency"}
    bare.save(out, "PNG")
    return out.getvalue()


def jpeg(image: Image.Image) -> tuple[bytes, str]:
    """Encode as JPEG of high quality and full colour resolution.

    Args:
        image: Grey or RGB.

    Returns:
        The bytes, and how they were made, in words.
    """
    out = io.BytesIO()
    bare = image.copy()
    bare.info = {}
    bare.save(out, "JPEG", quality=QUALITY, subsampling=0)
    colours = ", 4:4:4" if image.mode == "RGB" else ""
    return out.getvalue(), f"JPEG quality {QUALITY}{colours} (Pillow)"


def reduced_size(size: tuple[int, int], max_side: int | None) -> tuple[tuple[int, int], float]:
    """The size of an image none of whose sides is longer than `max_side`, and the factor that leads there.

    The factor is exact for the longer side; the other one is rounded to whole pixels, so that a place near its end
    lies up to half a pixel off. Images are never enlarged.
    """
    longest = max(size)
    if max_side is None or longest <= max_side:
        return size, 1.0
    scale = max_side / longest
    return (max(1, round(size[0] * scale)), max(1, round(size[1] * scale))), scale


def reduced(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Reduce by Lanczos; a JPEG that is not decoded yet is decoded at twice the size that is wanted, or more.

    Palettes and bits become colours and greys; grey stays grey, and 16 bits stay 16.
    """
    drafted = image.draft(None, (2 * size[0], 2 * size[1]))
    box = None if drafted is None else drafted[1]
    image.load()
    if image.mode.startswith("I;16"):
        grey = Image.fromarray(np.asarray(image).astype(np.float32)).resize(size, LANCZOS)
        return Image.fromarray(np.rint(np.asarray(grey).clip(0, 65535)).astype(np.uint16))
    if "transparency" in image.info:
        image = image.convert("RGBA")
    if image.mode in ("1", "P"):
        image = image.convert("L" if image.mode == "1" else "RGB")
    if image.mode not in PNG_MODES:
        raise ImageFlaw("image whose pixels cannot be reduced", image.mode)
    return image.resize(size, LANCZOS, box=box, reducing_gap=3.0)
