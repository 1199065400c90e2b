"""Images that are too large for a row are cut into tiles, as DOTA's own tools cut them.

    tile      side of the tiles in pixels; 0 leaves images whole
    overlap   pixels that neighbouring tiles share
    keep      share of an object's area that must lie in a tile for it to be judged there

The last tile of a row or column is moved inwards rather than padded, and an image that is no larger than a tile stays
whole. Each tile is a scene of its own, also one without objects, in the split of its image. An object is in a tile

    fully     where at least `keep` of its area is: its upright box is cut off at the edge; its rotated one is kept as
              the source drew it and may stick out, because cut corners are no longer a rotated box
    in doubt  where less is: it stays as an object to ignore, so that neither numbers nor absence of its category are
              asked there
    not       where nothing is, or less of it than a tenth of a pixel

and `iof` says which share. Shares are of the area that the whole image shows of the object (of its rotated box, if it
has one), so that what the edge of the image cuts off is held against no tile. An object whose upright box is no larger
than `overlap` either way lies in at least one tile as a whole, and is judged there; a larger one may be judged in none.
`number` is the object's place in the list of the whole image: one object in two tiles has one number.

An image whose size is not known, because its file is not at hand and its annotations do not say, stays whole, so that
`plan` counts one image; a build counts it as missing.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any

from rs_gpt4v_conversion.errors import UsageError
from rs_gpt4v_conversion.geometry import centre_inside, clip, envelope, moved
from rs_gpt4v_conversion.records import BBox, ImageRef, Obb, Object, Scene, Window
from rs_gpt4v_conversion.sources import Options, Source

OVERLAP = 200
KEEP = 0.7

SLIVER = 0.1
"""Pixels: of an object that is in doubt no less is seen, in width and in height."""


def tiles(scene: Scene, source: Source, options: Options) -> Iterator[Scene]:
    """Cut a scene into tiles, where its source does that and its image is larger than one.

    Raises:
        UsageError: The options do not go together.
    """
    grid = _grid(source, options)
    width, height = scene.image.width, scene.image.height
    if grid is None or width is None or height is None or max(width, height) <= grid.tile:
        yield scene
        return
    whole = (0, 0, width, height)
    inside: dict[Window, list[Object]] = {w: [] for w in windows(width, height, grid.tile, grid.overlap)}
    uncertain = set(scene.uncertain)
    for position, item in enumerate(scene.objects):
        placed = _Placed(item, position, whole)
        if placed.area == 0:
            uncertain.add(item.category)
        for window in touched(placed.box, width, height, grid.tile, grid.overlap):
            part = placed.within(window, grid.keep)
            if part is not None:
                inside[window].append(part)
    for window, objects in inside.items():
        image = _image(scene.image, window, (width, height))
        yield replace(scene, image=image, objects=tuple(objects), uncertain=tuple(sorted(uncertain)))


def windows(width: int, height: int, tile: int, overlap: int) -> Iterator[Window]:
    """The windows x y w h that cover an image, row by row.

    Args:
        width: Of the image, pixels.
        height: Likewise.
        tile: Side of a window; an image that is smaller one way has windows of its own size that way.
        overlap: Pixels that neighbours share at least.
    """
    return touched((0, 0, width, height), width, height, tile, overlap)


def touched(box: BBox, width: int, height: int, tile: int, overlap: int) -> Iterator[Window]:
    """Those of the windows that have something of a box in them."""
    w, h = min(tile, width), min(tile, height)
    columns = [x for x in _starts(width, tile, overlap) if x < box[2] and box[0] < x + w]
    for y in _starts(height, tile, overlap):
        if y < box[3] and box[1] < y + h:
            yield from ((x, y, w, h) for x in columns)


def _starts(size: int, tile: int, overlap: int) -> list[int]:
    if size <= tile:
        return [0]
    return [*range(0, size - tile, tile - overlap), size - tile]


@dataclass(frozen=True, slots=True)
class _Grid:
    tile: int
    overlap: int
    keep: float


def _grid(source: Source, options: Options) -> _Grid | None:
    tile = int(options.get("tile", source.tile))
    if tile == 0:
        return None
    overlap, keep = int(options.get("overlap", OVERLAP)), float(options.get("keep", KEEP))
    if overlap >= tile:
        raise UsageError(
            f"{source.kind}: overlap is {overlap} and tile is {tile} pixels, expected an overlap below the tile's side"
        )
    if keep > 1:
        raise UsageError(f"{source.kind}: keep is {keep:g}, expected a share from 0 to 1")
    return _Grid(tile, overlap, keep)


def _image(image: ImageRef, window: Window, whole: tuple[int, int]) -> ImageRef:
    x, y, width, height = window
    path = PurePosixPath(image.image_path)
    return replace(
        image,
        image_id=f"{image.image_id}__{x}_{y}",
        image_path=str(path.with_name(f"{path.stem}__{x}_{y}{path.suffix}")) if path.name else "",
        width=width,
        height=height,
        parent=image.image_id,
        window=window,
        whole=whole,
    )


class _Placed:
    """An object of a whole image on its way into tiles.

    Args:
        item: The object.
        position: In the list of the whole image.
        image: The whole image as a window.
    """

    def __init__(self, item: Object, position: int, image: Window) -> None:
        self.item = item if item.number >= 0 else replace(item, number=position)
        self.box = item.bbox or (envelope(item.obb) if item.obb else (0.0, 0.0, 0.0, 0.0))
        self.shape = None if item.obb is None else _inside(_polygon(item.obb), image)
        self.area = self._area_in(image)  # what the whole image shows of it, pixels squared

    def within(self, window: Window, keep: float) -> Object | None:
        """The object as a tile shows it, None where the tile does not."""
        x, y, width, height = window
        part = clip(moved(self.box, -x, -y), width, height)
        area = self._area_in(window)
        if part is None or area == 0:
            return None
        share = min(1.0, area / self.area)
        if share < keep and min(part[2] - part[0], part[3] - part[1]) < SLIVER:
            return None
        obb = None if self.item.obb is None else moved(self.item.obb, -x, -y)
        if obb is not None and not centre_inside(obb, width, height):
            obb = None
        return replace(self.item, bbox=part, obb=obb, ignore=self.item.ignore or share < keep, iof=share)

    def _area_in(self, window: Window) -> float:
        if self.shape is not None:
            return float(_inside(self.shape, window).area)
        x, y, width, height = window
        part = clip(moved(self.box, -x, -y), width, height)
        return 0.0 if part is None else (part[2] - part[0]) * (part[3] - part[1])


def _polygon(obb: Obb) -> Any:
    import shapely  # 0.1 s that sources without rotated boxes need not wait for

    shape = shapely.Polygon(list(zip(obb[0::2], obb[1::2], strict=True)))
    return shape if shape.is_valid else shape.convex_hull  # corners in a wrong turn: edges that cross


def _inside(shape: Any, window: Window) -> Any:
    """The part of a shape that lies in a window."""
    import shapely

    x, y, width, height = window
    left, top, right, bottom = shape.bounds or (0, 0, 0, 0)  # none of an empty shape
    if x <= left and y <= top and right <= x + width and bottom <= y + height:
        return shape
    return shape.intersection(shapely.box(x, y, x + width, y + height))
