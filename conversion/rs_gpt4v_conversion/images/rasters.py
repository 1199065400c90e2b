"""Pixels of image files, whole or in windows, in the numbers that a picture has.

Tiles of one image follow each other, so the image that was cut last stays open in its process, decoded, and its
digest known: an image of 600 tiles is read and decoded once.
"""

import hashlib
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from rs_gpt4v_conversion.images import tiff, vips
from rs_gpt4v_conversion.images.decoding import (
    JPEGS,
    ImageFlaw,
    deep,
    guarded,
    is_large,
    open_image,
    read_bytes,
    read_header,
)
from rs_gpt4v_conversion.images.georeference import Georeference, georeference
from rs_gpt4v_conversion.records import Window

LARGE = "an image of more than 89 million pixels is to be cut or reduced"
BANDS = "a TIFF has bands that Pillow does not read"


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """Pixels on their way into a release, and where they come from."""

    image: Image.Image  # perhaps not decoded yet
    size: tuple[int, int]  # of the file, or of the window cut from it, pixels
    kind: str  # the file's format in Pillow's words
    bits: int = 8  # of a band in the file, as far as that matters
    digest: str  # SHA-256 of the file
    window: Window | None = None
    ground: Georeference | None = None
    steps: tuple[str, ...] = ()  # what was done to the pixels, in words


def picture(source: bytes) -> Picture:
    """Open the bytes of an image file.

    A TIFF is taken as it is stored, whatever its orientation tag says, and of one with more than three bands the first
    three are taken: what the others are is not said in a way that can be trusted.

    Raises:
        ImageFlaw: It cannot be read, or not as a picture.
    """
    with guarded(source):
        digest = hashlib.sha256(source).hexdigest()
        tags = tiff.read_tags(io.BytesIO(source))
        if tags is None:
            file = open_image(source)
            # of 16-bit colours Pillow decodes the upper half
            bits = 16 if len(file.getbands()) > 1 and ";16" in repr(file.tile) else 8
            return Picture(image=file, size=file.size, kind=str(file.format), bits=bits, digest=digest)
        image, steps = _open_tiff(source, tags)
        return Picture(image=image, size=image.size, kind="TIFF", digest=digest, ground=georeference(tags), steps=steps)


def _open_tiff(source: bytes, tags: tiff.Directory) -> tuple[Image.Image, tuple[str, ...]]:
    bands, bits = tiff.bands(tags)
    if bands > 1 and bits > 8:
        raise deep(bands, bits)
    if bands <= 3 or bits != 8:
        return open_image(tiff.retag(source, {tiff.ORIENTATION: (1,)})), ()
    # no colour is to be divided by what may be no opacity
    source = tiff.retag(source, {tiff.ORIENTATION: (1,), tiff.EXTRA_SAMPLES: (tiff.PLAIN_OPACITY, 0)})
    image: Image.Image | None = None
    with suppress(UnidentifiedImageError):
        image = open_image(source)
    if image is not None and image.mode == "CMYK":
        return image, ()
    if image is not None and image.mode in ("RGB", "RGBA", "RGBX"):
        return image.convert("RGB"), (first_three(bands),)
    if tiff.in_planes(tags):  # of which Pillow takes the first one for a grey picture
        raise planes()
    found = vips.opened(source, BANDS)
    return _image(vips.pixels(found, (0, 0, found.width, found.height)), "TIFF", found.interpretation)


def planes() -> ImageFlaw:
    """The flaw of what libvips reads wrongly: of planes in strips, it has the first row of each strip right."""
    return ImageFlaw("TIFF whose bands are stored apart: store them by pixel (INTERLEAVE=PIXEL)")


def first_three(bands: int) -> str:
    """What is said of a picture that shows the first three bands."""
    return f"the first 3 of {bands} bands"


def _image(pixels: NDArray[Any], kind: str, interpretation: str) -> tuple[Image.Image, tuple[str, ...]]:
    """A picture of what libvips decoded."""
    bands = pixels.shape[2]
    if interpretation == "cmyk":
        raise ImageFlaw(
            "JPEG is neither grey nor RGB" if kind in JPEGS else f"{kind} whose pixels PNG cannot hold", "CMYK"
        )
    if pixels.dtype == np.uint16 and bands == 1:
        return Image.fromarray(pixels[:, :, 0]), ()
    if pixels.dtype != np.uint8 and bands > 1:
        raise deep(bands, 8 * pixels.dtype.itemsize)
    if pixels.dtype != np.uint8:
        raise ImageFlaw(f"{kind} whose pixels PNG cannot hold", f"{bands} of {pixels.dtype}")
    if bands > (3 if kind == "TIFF" else 4):
        return Image.fromarray(np.ascontiguousarray(pixels[:, :, :3])), (first_three(bands),)
    return Image.fromarray(pixels[:, :, 0] if bands == 1 else pixels), ()


def cut(path: Path, window: Window, stated: tuple[int, int] | None) -> Picture:
    """The pixels of a window of an image file.

    Args:
        path: The file.
        window: In its pixels.
        stated: The size of the whole image as annotated, where that is known.

    Raises:
        ImageFlaw: The file cannot be read, is of another size, or the window is not inside it.
    """
    parent = _kept(path, _parent)
    check_size(parent.whole.size, stated or (None, None))
    check_window(window, parent.whole.size)
    image, steps = parent.cut(window)
    return replace(parent.whole, image=image, size=image.size, window=window, steps=steps)


def raw(path: Path) -> "Mapped":
    """An image file whose bands are wanted in the numbers that they have.

    Raises:
        ImageFlaw: It cannot be read.
    """
    return _kept(path, _mapped)


def shrunk(path: Path, size: tuple[int, int]) -> Picture:
    """A large image file, reduced to a size.

    Raises:
        ImageFlaw: It cannot be read.
    """
    whole = _described(path)
    image, steps = _image(vips.thumbnail(path, size, LARGE), whole.kind, "")
    return replace(whole, image=image, steps=steps)


def check_size(size: tuple[int, int], stated: tuple[int | None, int | None]) -> None:
    """Make sure that an image has the annotated size: boxes are in its pixels; one of another size is another image.

    Raises:
        ImageFlaw: It has another one.
    """
    if None not in stated and stated != size:
        found = f"{size[0]}x{size[1]} instead of {stated[0]}x{stated[1]}"
        raise ImageFlaw("image is not of the annotated size", found)


def check_window(window: Window, size: tuple[int, int]) -> None:
    """Make sure that a window lies in an image.

    Raises:
        ImageFlaw: It does not.
    """
    x, y, width, height = window
    if not (0 <= x < x + width <= size[0] and 0 <= y < y + height <= size[1]):
        raise ImageFlaw("window outside the image", f"{list(window)} in {size[0]}x{size[1]}")


@dataclass(frozen=True, slots=True)
class Decoded:
    """A file that Pillow has decoded as a whole."""

    whole: Picture

    def cut(self, window: Window) -> tuple[Image.Image, tuple[str, ...]]:
        """The picture in a window, and what was done to it."""
        x, y, width, height = window
        return self.whole.image.crop((x, y, x + width, y + height)), self.whole.steps


@dataclass(frozen=True, slots=True)
class Mapped:
    """A file that libvips decodes as far as it is asked to."""

    whole: Picture  # without pixels
    image: Any

    def cut(self, window: Window) -> tuple[Image.Image, tuple[str, ...]]:
        """The picture in a window, and what was done to it."""
        return _image(vips.pixels(self.image, window), self.whole.kind, self.image.interpretation)


@contextmanager
def kept_open() -> Iterator[None]:
    """While this lasts, the image that was cut last stays open; then it is closed."""
    try:
        yield
    finally:
        _opened.cache_clear()


T = TypeVar("T")


def _kept(path: Path, open_file: Callable[[Path], T]) -> T:
    """What `open_file` makes of a file, kept until another one is asked for."""
    try:
        state = path.stat()
        found = _opened(path, state.st_size, state.st_mtime_ns, open_file)
    except OSError:
        read_bytes(path)  # says what is wrong with a file that cannot be read
        raise
    if isinstance(found, ImageFlaw):
        raise ImageFlaw(found.reason, found.detail)
    kept: T = found
    return kept


@lru_cache(maxsize=1)
def _opened(path: Path, _size: int, _mtime_ns: int, open_file: Callable[[Path], Any]) -> Any:
    """What `open_file` makes of a file, or its flaw: a broken file is not tried again for every tile."""
    try:
        return open_file(path)
    except ImageFlaw as flaw:
        return flaw


def _parent(path: Path) -> Decoded | Mapped:
    header = read_header(path)
    if header is not None and is_large(header.size):
        return _mapped(path)
    source = read_bytes(path)
    whole = picture(source)
    with guarded(source):
        whole.image.load()
    return Decoded(whole)


def _mapped(path: Path) -> Mapped:
    whole = _described(path)
    return Mapped(whole, vips.opened(path, LARGE if is_large(whole.size) else BANDS))


def _described(path: Path) -> Picture:
    """What is known of a file without its pixels."""
    header = read_header(path)
    if header is None:
        read_bytes(path)  # says what is wrong with a file that cannot be read
        raise ImageFlaw("not an image", path.name)
    if header.kind == "BMP":
        raise ImageFlaw("decompression bomb", "a BMP, which libvips does not read")
    with path.open("rb") as file:
        tags = tiff.read_tags(file)
        if tags is not None and tiff.in_planes(tags):
            raise planes()
        if tags is not None and tiff.has_multiplied_colours(tags):
            raise ImageFlaw("TIFF whose colours are multiplied by opacity", path.name)
        file.seek(0)
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    blank = Image.new("L", (1, 1))
    return Picture(image=blank, size=header.size, kind=header.kind, digest=digest, ground=georeference(tags))
