"""Where on the ground an image lies, from the tags of a GeoTIFF (OGC GeoTIFF 1.1, clauses 7 and 8).

Only what a row can say truly is taken: a grid with an EPSG code, and an image whose rows run east and whose columns run
south. A grid that the file defines itself, a turned image, and tags that are broken give nothing, not even a part:
bounds without their grid mean nothing.
"""

import math
from dataclasses import dataclass

from rs_gpt4v_conversion.images.tiff import Directory, numbers

PIXEL_SCALE, TIEPOINT, TRANSFORMATION, GEO_KEYS = 33550, 33922, 34264, 34735
MODEL_TYPE, RASTER_TYPE, GEOGRAPHIC, PROJECTED = 1024, 1025, 2048, 3072
POINT = 2  # of RASTER_TYPE: coordinates are of a pixel's middle, not of its corner
GRIDS = {1: PROJECTED, 2: GEOGRAPHIC}  # by MODEL_TYPE
FARTHEST = 1e12  # units of a grid: farther than any place on earth in any unit
USER_DEFINED = 32767  # codes from here on are no EPSG codes


@dataclass(frozen=True, slots=True, kw_only=True)
class Georeference:
    """Where a north-up image lies."""

    crs: str  # `EPSG:<code>`
    left: float  # of the upper left corner of the upper left pixel, in units of the grid
    top: float
    dx: float  # units of the grid a pixel, above 0
    dy: float

    def bounds(self, x: int, y: int, width: int, height: int) -> tuple[float, float, float, float]:
        """Left, bottom, right and top of a window in pixels."""
        left, top = self.left + self.dx * x, self.top - self.dy * y
        return (left, top - self.dy * height, left + self.dx * width, top)


def georeference(directory: Directory | None) -> Georeference | None:
    """The georeference of a TIFF, None where it has none that a row can hold."""
    if directory is None:
        return None
    keys = _keys(directory)
    place = _place(directory)
    code = keys.get(GRIDS.get(keys.get(MODEL_TYPE, 0), 0), 0)
    if place is None or not 0 < code < USER_DEFINED:
        return None
    left, top, dx, dy = place
    if keys.get(RASTER_TYPE) == POINT:
        left, top = left - dx * 0.5, top + dy * 0.5
    if not all(abs(v) < FARTHEST for v in (left, top, dx, dy)) or dx <= 0 or dy <= 0:  # nor what is no number
        return None
    return Georeference(crs=f"EPSG:{code}", left=left, top=top, dx=dx, dy=dy)


def _keys(directory: Directory) -> dict[int, int]:
    """The short values of the key directory: groups of four (key, place, count, value) behind a head of four."""
    values = [int(v) for v in numbers(directory, GEO_KEYS) if math.isfinite(v)]
    groups = [values[i : i + 4] for i in range(4, len(values) - 3, 4)]
    return {key: value for key, place, count, value in groups if (place, count) == (0, 1)}


def _place(directory: Directory) -> tuple[float, float, float, float] | None:
    """Left, top, and the size of a pixel, of a north-up image."""
    scale, tie = numbers(directory, PIXEL_SCALE), numbers(directory, TIEPOINT)
    if len(scale) >= 2 and len(tie) >= 6:
        dx, dy = scale[0], abs(scale[1])
        return tie[3] - tie[0] * dx, tie[4] + tie[1] * dy, dx, dy
    m = numbers(directory, TRANSFORMATION)  # 4 x 4, row by row
    if len(m) != 16 or m[1] != 0 or m[4] != 0:
        return None
    return m[3], m[7], m[0], -m[5]
