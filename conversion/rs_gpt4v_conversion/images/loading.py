"""The way of an image: as it is where a release holds it so, else cut, reduced or converted.

JPEG and PNG pass through untouched: a browser and Pillow read them, and their digest proves where they come from. TIFF
and BMP become PNG, which loses nothing. An EXIF orientation other than 1 is taken out without re-encoding, because
boxes are on raw pixels. Every image of a release is decoded once, so that a truncated one is found here and not in a
training run.

Only where a row does not show the whole file as it is are pixels encoded anew: a window of it (a tile), a reduced
image, or bands of a sensor stretched to eight bits. They become PNG, or JPEG of high quality where the file is a JPEG,
and `rendering` says what was done to them.
"""

import hashlib
from dataclasses import dataclass, replace
from typing import Literal

from rs_gpt4v_conversion.images import rasters
from rs_gpt4v_conversion.images.decoding import (
    JPEGS,
    decode,
    deep,
    guarded,
    has_ends,
    is_large,
    read_bytes,
    read_header,
)
from rs_gpt4v_conversion.images.encoding import jpeg, png, reduced, reduced_size
from rs_gpt4v_conversion.images.orientation import upright
from rs_gpt4v_conversion.images.rasters import Picture, check_size
from rs_gpt4v_conversion.images.stretching import stretched
from rs_gpt4v_conversion.records import ImageRef

BYTES_A_PIXEL = {".jpg": 1.5, ".jpeg": 1.5}
"""Of an encoded picture by the suffix of its file, hardly ever more; 3 of others: PNG in the worst case."""


Proof = Literal["decoded", "ends"]
"""How an image that passes through is proved to be whole: see `load_image`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseImage:
    """An image as a row holds it."""

    data: bytes  # JPEG or PNG
    suffix: str  # .jpg or .png
    width: int  # pixels
    height: int
    image_sha256: str  # of `data`
    source_sha256: str  # of the source's file; of the bytes of all files one after the other where there are several
    # of this image against the file's, or against the window cut from it: exact for the longer side, the other one is
    # rounded to whole pixels
    scale: float = 1.0
    crs: str = ""  # `EPSG:<code>` where the file is georeferenced
    bounds: tuple[float, ...] = ()  # left bottom right top in units of `crs`, of what the image shows
    rendering: str = ""  # how the pixels were made where they are not the file's own


def load_image(ref: ImageRef, *, proof: Proof = "decoded") -> ReleaseImage:
    """Read, check and, where needed, cut, reduce or convert an image.

    Args:
        ref: The image.
        proof: `decoded` decodes every image. `ends` is many times cheaper and gives the same bytes: a JPEG that ends
            with its end marker and a PNG whose chunks have their checksums pass undecoded, and what has not is decoded
            after all. So a file that was cut off is found either way, but not a JPEG whose end is there and whose
            middle is broken. What does not pass through as it is, is decoded in any case.

    Raises:
        ImageFlaw: A file is missing, empty, no image, truncated, too large, of a kind that a release does not take,
            or not of the size that the annotations state.
        UsageError: pyvips is needed and not installed, or TMPDIR is full.
    """
    if ref.stretch is not None:
        return _finished(stretched(ref.path, ref.stretch, ref.window), ref)
    if ref.window is not None:
        return _finished(rasters.cut(ref.path, ref.window, ref.whole), ref)
    header = read_header(ref.path) if ref.max_side else None
    if header is not None and is_large(header.size) and reduced_size(header.size, ref.max_side)[1] != 1:
        size, _ = reduced_size(header.size, ref.max_side)
        return _finished(rasters.shrunk(ref.path, size), ref)
    return _of_file(read_bytes(ref.path), ref, proof)


def convert(source: bytes) -> ReleaseImage:
    """Check the bytes of an image file and convert them where a release does not hold them as they are.

    Raises:
        ImageFlaw: See `load_image`.
    """
    return _of_file(source, None, "decoded")


def expected_bytes(ref: ImageRef, on_disk: int) -> int:
    """About how many bytes an image will have in a row; rather too many, so that no shard becomes too large.

    Args:
        ref: The image.
        on_disk: Size of its files, bytes.
    """
    if ref.width is None or ref.height is None:
        return on_disk
    size, scale = reduced_size((ref.width, ref.height), ref.max_side)
    anew = ref.window is not None or ref.stretch is not None or scale != 1
    each = BYTES_A_PIXEL.get(ref.path.suffix.lower(), 3.0)
    return int(size[0] * size[1] * each) if anew else on_disk


def needs_vips(ref: ImageRef) -> bool:
    """Whether libvips will be asked for an image; of its file no more than the header is read."""
    if ref.stretch is not None:
        return not ref.stretch.files
    if ref.window is None and ref.max_side is None:
        return False
    header = None if ref.whole else read_header(ref.path)
    size = ref.whole or (None if header is None else header.size)
    return size is not None and is_large(size) and (ref.window is not None or max(size) > (ref.max_side or 0))


def _of_file(source: bytes, ref: ImageRef | None, proof: Proof) -> ReleaseImage:
    found = rasters.picture(source)
    with guarded(source):
        if ref is not None and reduced_size(found.size, ref.max_side)[1] != 1:
            return _finished(found, ref)
        if ref is not None:
            check_size(found.size, (ref.width, ref.height))
        if found.kind not in (*JPEGS, "PNG"):
            found.image.load()
            return _made(found, png(found.image, found.kind), ".png")
        if proof == "decoded" or not has_ends(source, found.kind):
            decode(found.image)
        data = upright(source, found.image)
        made = _made(found, data, ".png" if found.kind == "PNG" else ".jpg", same=data is source)
        return replace(made, width=found.size[0], height=found.size[1])


def _finished(found: Picture, ref: ImageRef) -> ReleaseImage:
    """Reduce a picture if it is too large, and encode it."""
    check_size(found.size, (ref.width, ref.height))
    if found.bits > 8:
        raise deep(len(found.image.getbands()), found.bits)
    size, scale = reduced_size(found.size, ref.max_side)
    image, steps = found.image, list(found.steps)
    if scale != 1:
        steps.append(f"reduced by Lanczos to {size[0]}x{size[1]}")
        if image.size != size:
            image = reduced(image, size)
    if found.kind in JPEGS:
        data, how = jpeg(image)
        steps.append(how)
    else:
        data = png(image, found.kind)
    found = replace(found, image=image, steps=tuple(steps))
    return replace(_made(found, data, ".jpg" if found.kind in JPEGS else ".png"), scale=scale)


def _made(found: Picture, data: bytes, suffix: str, *, same: bool = False) -> ReleaseImage:
    """The encoded picture with all that is known of it; `same`: its bytes are the file's."""
    ground = found.ground
    x, y, width, height = found.window or (0, 0, *found.size)
    return ReleaseImage(
        data=data,
        suffix=suffix,
        width=found.image.width,
        height=found.image.height,
        image_sha256=found.digest if same else hashlib.sha256(data).hexdigest(),
        source_sha256=found.digest,
        crs="" if ground is None else ground.crs,
        bounds=() if ground is None else ground.bounds(x, y, width, height),
        rendering="; ".join(found.steps),
    )
