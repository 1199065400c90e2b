"""Georeference of a TIFF: the four tags of a north-up image (OGC GeoTIFF 1.1, clause 7)."""

from dataclasses import dataclass

from PIL import TiffImagePlugin

PIXEL_SCALE, TIEPOINT, GEO_KEYS, GEO_ASCII = 33550, 33922, 34735, 34737
SHORT, DOUBLE, ASCII = 3, 12, 2  # TIFF field types


@dataclass(frozen=True, slots=True, kw_only=True)
class Georeference:
    """Where a north-up image lies."""

    left: float  # of the upper left corner, in units of the grid
    top: float
    scale: float  # units of the grid a pixel
    epsg: int  # of a projected grid in metres
    name: str

    def tags(self) -> TiffImagePlugin.ImageFileDirectory_v2:
        """The tags, for Pillow's `tiffinfo`."""
        datum = "WGS 84|"
        names = f"{self.name}|{datum}"
        keys = (
            (1, 1, 0, 7),  # version of the directory, number of keys
            (1024, 0, 1, 1),  # a projected grid
            (1025, 0, 1, 1),  # pixels are areas
            (1026, GEO_ASCII, len(names) - len(datum), 0),
            (2049, GEO_ASCII, len(datum), len(names) - len(datum)),
            (2054, 0, 1, 9102),  # degrees
            (3072, 0, 1, self.epsg),
            (3076, 0, 1, 9001),  # metres
        )
        tags = TiffImagePlugin.ImageFileDirectory_v2()
        values = {
            PIXEL_SCALE: (DOUBLE, (self.scale, self.scale, 0.0)),
            TIEPOINT: (DOUBLE, (0.0, 0.0, 0.0, self.left, self.top, 0.0)),
            GEO_KEYS: (SHORT, tuple(v for key in keys for v in key)),
            GEO_ASCII: (ASCII, names),
        }
        for tag, (kind, value) in values.items():
            tags.tagtype[tag] = kind
            tags[tag] = value
        return tags
