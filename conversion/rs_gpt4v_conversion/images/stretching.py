"""Bands of a sensor become the red, green and blue of a picture (records.Stretch)."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rs_gpt4v_conversion.images import rasters, tiff
from rs_gpt4v_conversion.images.decoding import ImageFlaw, guarded, open_image, read_bytes
from rs_gpt4v_conversion.images.georeference import georeference
from rs_gpt4v_conversion.images.rasters import Picture
from rs_gpt4v_conversion.images.vips import pixels
from rs_gpt4v_conversion.records import Stretch, Window


def stretched(path: Path, stretch: Stretch, window: Window | None) -> Picture:
    """A picture of three bands.

    A value v becomes 255 * (v - low) / (high - low), cut off at 0 and 255 and rounded, halves upwards; what is not a
    number becomes 0. The digest of several files is that of their bytes one after the other; where they lie is what
    the first one says.

    Args:
        path: The file with all bands, where the stretch names no files.
        stretch: Which bands, and what becomes of their values.
        window: The part to take, None: all.

    Raises:
        ImageFlaw: A file cannot be read, or the bands do not make a picture.
    """
    if not stretch.low < stretch.high:
        raise ImageFlaw("a stretch that ends where it begins", f"{stretch.low} to {stretch.high}")
    found = _of_files(stretch.files, window) if stretch.files else _of_places(path, stretch.places, window)
    bands, whole = found
    rgb = np.stack([_eight_bit(band, stretch.low, stretch.high) for band in bands], axis=2)
    image = Image.fromarray(rgb)
    step = f"bands {' '.join(stretch.bands)}, {stretch.low:g} to {stretch.high:g} as 0 to 255"
    return Picture(
        image=image, size=image.size, kind="TIFF", digest=whole.digest, window=window, ground=whole.ground,
        steps=(step,),
    )  # fmt: skip


def _eight_bit(band: NDArray[Any], low: float, high: float) -> NDArray[np.uint8]:
    values = (band.astype(np.float64) - low) * 255 / (high - low)
    return np.nan_to_num(np.floor(values + 0.5), nan=0.0).clip(0, 255).astype(np.uint8)


def _of_places(path: Path, places: tuple[int, ...], window: Window | None) -> tuple[list[NDArray[Any]], Picture]:
    found = rasters.raw(path)
    count = found.image.bands
    if len(places) != 3 or not all(0 <= p < count for p in places):
        raise ImageFlaw("bands that the image does not have", f"{list(places)} of {count}")
    if window is not None:
        rasters.check_window(window, found.whole.size)
    values = pixels(found.image, window or (0, 0, *found.whole.size))
    return [values[:, :, p] for p in places], found.whole


def _of_files(files: tuple[Path, ...], window: Window | None) -> tuple[list[NDArray[Any]], Picture]:
    if len(files) != 3:
        raise ImageFlaw("bands that the image does not have", f"{len(files)} files instead of 3")
    digest = hashlib.sha256()
    bands = []
    for path in files:
        source = read_bytes(path)
        digest.update(source)
        bands.append(_band(source, path))
    shapes = {band.shape for band in bands}
    if len(shapes) > 1:
        sizes = ", ".join(f"{b.shape[1]}x{b.shape[0]}" for b in bands)
        raise ImageFlaw("bands of different sizes", sizes)
    height, width = bands[0].shape
    if window is not None:
        rasters.check_window(window, (width, height))
        x, y, width, height = window
        bands = [band[y : y + height, x : x + width] for band in bands]
    with files[0].open("rb") as file:
        ground = georeference(tiff.read_tags(file))
    whole = Picture(
        image=Image.new("L", (1, 1)), size=(width, height), kind="TIFF", digest=digest.hexdigest(), ground=ground
    )
    return bands, whole


def _band(source: bytes, path: Path) -> NDArray[Any]:
    """The numbers of a file with a single band."""
    with guarded(source):
        if source[:4] in tiff.STARTS:
            source = tiff.retag(source, {tiff.ORIENTATION: (1,)})
        image = open_image(source)
        found = np.asarray(image)
    if found.ndim != 2 or found.dtype.kind not in "uif" or image.mode == "P":
        raise ImageFlaw("a band's file that does not hold one band", f"{path.name}: {image.mode}")
    return found
