"""The objects of a release: how many of each category, how large, and where in the image.

The objects of an image count once in a source, however many tasks ask about it. Sizes are those of the rotated box
where an object has one, else of the upright one; objects to ignore are counted and not measured.
"""

from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from rs_gpt4v_conversion.stats._counting import Histogram, Summary
from rs_gpt4v_conversion.stats._reading import Objects

SMALL, MEDIUM = 32, 96
"""Sides of a square of as much area, in pixels, from which on an object is no longer small, or medium (COCO)."""

EDGES = tuple(round(2 ** (k / 2), 1) for k in range(2, 25))
"""Of the bins in which sizes are drawn, in pixels: 2 to 4,096 in half octaves; the first and the last are open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """Measured objects by COCO's classes of size: below 32 x 32 pixels of area, below 96 x 96, and the rest."""

    small: int
    medium: int
    large: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Category:
    """One category of objects in one source."""

    category: str
    objects: int  # with those to ignore
    ignored: int
    sizes: Sizes
    size: Summary | None  # square root of the area, pixels, to a tenth


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeBin:
    """Measured objects from one size up to another."""

    start: float  # square root of the area, pixels
    end: float | None
    objects: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceObjects:
    """All objects of one source."""

    source: str
    images: int  # with objects
    objects: int
    ignored: int  # not to be judged; they are not measured
    difficult: int
    rotated: int  # with four corners
    boxless: int  # without a box that has an area
    per_image: Summary | None  # of the images that have any
    sizes: Sizes
    size: Summary | None  # square root of the area, pixels, to a tenth
    histogram: tuple[SizeBin, ...]
    ninths: tuple[tuple[int, int, int], ...]  # measured objects by the ninth of the image their centre lies in, by row
    categories: tuple[Category, ...]


@dataclass(slots=True)
class _CategoryCount:
    objects: int = 0
    ignored: int = 0
    classes: NDArray[np.int64] = field(default_factory=lambda: np.zeros(3, np.int64))
    size: Histogram = field(default_factory=lambda: Histogram(0.1))


@dataclass(slots=True)
class _Count:
    difficult: int = 0
    rotated: int = 0
    boxless: int = 0
    per_image: Histogram = field(default_factory=Histogram)
    ninths: NDArray[np.int64] = field(default_factory=lambda: np.zeros(9, np.int64))
    categories: dict[str, _CategoryCount] = field(default_factory=lambda: defaultdict(_CategoryCount))


class ObjectCounter:
    """Counts and measures objects."""

    def __init__(self) -> None:
        self.counts: dict[str, _Count] = defaultdict(_Count)

    def add(self, source: str, objects: Objects) -> None:
        """Count the objects of some images, none of which was counted before."""
        if not len(objects):
            return
        count = self.counts[source]
        area = areas(objects)
        count.difficult += int(objects.difficult.sum())
        count.rotated += int(np.isfinite(objects.obb).all(axis=1).sum())
        count.boxless += int((area <= 0).sum())
        count.per_image.add(np.unique(objects.row, return_counts=True)[1])
        measured = ~objects.ignore & (area > 0)
        count.ninths += ninths(objects.where(measured))
        _by_category(count.categories, objects, area, measured)

    def result(self) -> tuple[SourceObjects, ...]:
        """What was counted, by source; one without objects is left out."""
        return tuple(_source(source, count) for source, count in sorted(self.counts.items()))


def _by_category(
    counts: dict[str, _CategoryCount], objects: Objects, area: NDArray[np.float64], measured: NDArray[np.bool_]
) -> None:
    encoded = pc.dictionary_encode(objects.category)
    codes = encoded.indices.to_numpy(zero_copy_only=False)
    for code, category in enumerate(encoded.dictionary.to_pylist()):
        mine = codes == code
        of_these = area[mine & measured]
        count = counts[category]
        count.objects += int(mine.sum())
        count.ignored += int((mine & objects.ignore).sum())
        count.classes += np.bincount(size_class(of_these), minlength=3)
        count.size.add(np.rint(np.sqrt(of_these) * 10).astype(np.int64))


def _source(source: str, count: _Count) -> SourceObjects:
    size = Histogram(0.1)
    for category in count.categories.values():
        size.merge(category.size)
    categories = sorted(count.categories.items(), key=lambda c: (-c[1].objects, c[0]))
    grid = count.ninths.tolist()
    return SourceObjects(
        source=source,
        images=count.per_image.total,
        objects=count.per_image.sum,
        ignored=sum(c.ignored for c in count.categories.values()),
        difficult=count.difficult,
        rotated=count.rotated,
        boxless=count.boxless,
        per_image=count.per_image.summary(),
        sizes=_sizes(np.sum([c.classes for c in count.categories.values()], axis=0)),
        size=size.summary(),
        histogram=_bins(size),
        ninths=tuple((grid[r], grid[r + 1], grid[r + 2]) for r in (0, 3, 6)),
        categories=tuple(
            Category(
                category=name, objects=c.objects, ignored=c.ignored, sizes=_sizes(c.classes), size=c.size.summary(),
            )
            for name, c in categories
        ),
    )  # fmt: skip


def _sizes(classes: NDArray[np.int64]) -> Sizes:
    small, medium, large = classes.tolist()
    return Sizes(small=small, medium=medium, large=large)


def _bins(size: Histogram) -> tuple[SizeBin, ...]:
    places = np.digitize(np.arange(len(size.counts)), np.rint(np.array(EDGES) / size.scale))
    counts = np.bincount(places, weights=size.counts, minlength=len(EDGES) + 1).astype(int).tolist()
    starts, ends = (0.0, *EDGES), (*EDGES, None)
    return tuple(SizeBin(start=s, end=e, objects=n) for s, e, n in zip(starts, ends, counts, strict=True))


def areas(objects: Objects) -> NDArray[np.float64]:
    """Area of each object in pixels squared: of its rotated box, else of its upright one; 0 where it has neither."""
    rotated = polygon_areas(objects.obb)
    return np.where(rotated > 0, rotated, box_areas(objects.bbox))


def box_areas(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Areas of upright boxes, (n, 4); 0 where there is no box or its corners are swapped."""
    with np.errstate(invalid="ignore"):
        sides = np.nan_to_num(np.clip(boxes[:, 2:] - boxes[:, :2], 0, None), posinf=0)
    area: NDArray[np.float64] = sides[:, 0] * sides[:, 1]
    return area


def polygon_areas(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    """Areas of four corners each, (n, 8); 0 where there are none."""
    xs, ys = corners[:, 0::2], corners[:, 1::2]
    with np.errstate(invalid="ignore"):
        twice = (np.roll(xs, 1, axis=1) * ys - xs * np.roll(ys, 1, axis=1)).sum(axis=1)
    area: NDArray[np.float64] = np.nan_to_num(np.abs(twice) / 2, posinf=0)
    return area


def size_class(area: NDArray[np.float64]) -> NDArray[np.int64]:
    """0 for small, 1 for medium, 2 for large."""
    return np.digitize(area, (SMALL**2, MEDIUM**2)).astype(np.int64)


def ninths(objects: Objects) -> NDArray[np.int64]:
    """How many objects have their centre in each ninth of the image, row by row; of an unknown size, in none."""
    upright = np.isfinite(objects.bbox).all(axis=1, keepdims=True)
    corners = np.where(upright, np.tile(objects.bbox, 2), objects.obb).reshape(-1, 4, 2)
    sized = (objects.size > 0).all(axis=1)
    centre = corners[sized].mean(axis=1) * 3 / objects.size[sized]
    column, row = np.clip(np.nan_to_num(centre), 0, 2).astype(np.int64).T
    return np.bincount(3 * row + column, minlength=9)
