"""How well boxes survive as text: written with some decimals and read back, what is left of a box.

A box is written as templates/boxes.py writes it, as shares of the image's sides. What reads back is compared with the
box itself; its intersection over union (IoU) is the best that any model can reach that answers with this text.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from rs_gpt4v_conversion.stats._reading import Objects
from rs_gpt4v_conversion.stats.objects import box_areas, polygon_areas, size_class
from rs_gpt4v_conversion.templates.boxes import DECIMALS

LLAVA = 2
"""Decimals of LLaVA's boxes, for comparison."""

LIMITS = (0.5, 0.7)
"""IoU from which on a box counts as found."""

Form = Literal["hbb", "obb"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Survival:
    """Boxes, and how many of them their own text still means."""

    boxes: int
    iou_50: int  # with an IoU of at least 0.5
    iou_70: int  # with an IoU of at least 0.7


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxText:
    """Boxes of one form of one source, written with so many decimals; those to ignore are left out."""

    source: str
    form: Form  # hbb: x1 y1 x2 y2, obb: four corners
    decimals: int
    all: Survival
    small: Survival  # of less than 32 x 32 pixels
    medium: Survival  # of less than 96 x 96 pixels
    large: Survival


@dataclass(slots=True)
class _Count:
    boxes: NDArray[np.int64] = field(default_factory=lambda: np.zeros(3, np.int64))  # by class of size
    reached: NDArray[np.int64] = field(default_factory=lambda: np.zeros((len(LIMITS), 3), np.int64))


class BoxTextCounter:
    """Writes boxes, reads them back and compares."""

    def __init__(self) -> None:
        self.counts: dict[tuple[str, Form, int], _Count] = defaultdict(_Count)

    def add(self, source: str, objects: Objects) -> None:
        """Try the boxes of some images, none of which was tried before."""
        usable = ~objects.ignore & (objects.size > 0).all(axis=1)
        forms: tuple[tuple[Form, NDArray[np.float64], NDArray[np.float64]], ...] = (
            ("hbb", objects.bbox, box_areas(objects.bbox)),
            ("obb", objects.obb, polygon_areas(objects.obb)),
        )
        for form, boxes, area in forms:
            mine = usable & (area > 0)
            if mine.any():
                self._add(source, form, boxes[mine], size_class(area[mine]), objects.size[mine])

    def _add(
        self, source: str, form: Form, boxes: NDArray[np.float64], sizes: NDArray[np.int64], image: NDArray[np.float64]
    ) -> None:
        for decimals in (LLAVA, DECIMALS):
            count = self.counts[source, form, decimals]
            count.boxes += np.bincount(sizes, minlength=3)
            iou = (upright_survival if form == "hbb" else rotated_survival)(boxes, image, decimals)
            for reached, limit in zip(count.reached, LIMITS, strict=True):
                reached += np.bincount(sizes[iou >= limit], minlength=3)

    def result(self) -> tuple[BoxText, ...]:
        """What was found, by source and form."""
        found = []
        for (source, form, decimals), count in sorted(self.counts.items()):
            small, medium, large = (
                Survival(boxes=int(n), iou_50=int(a), iou_70=int(b))
                for n, a, b in zip(count.boxes, *count.reached, strict=True)
            )
            total = Survival(boxes=int(count.boxes.sum()), iou_50=int(count.reached[0].sum()),
                             iou_70=int(count.reached[1].sum()))  # fmt: skip
            found.append(
                BoxText(
                    source=source, form=form, decimals=decimals, all=total, small=small, medium=medium, large=large,
                )
            )  # fmt: skip
        return tuple(found)


def upright_survival(boxes: NDArray[np.float64], image: NDArray[np.float64], decimals: int) -> NDArray[np.float64]:
    """IoU of upright boxes with what their texts mean.

    Args:
        boxes: (n, 4), pixels, with areas.
        image: (n, 2), width and height of each box's image.
        decimals: Digits after the point.
    """
    return box_ious(boxes, read_back(boxes, image, decimals))


def rotated_survival(corners: NDArray[np.float64], image: NDArray[np.float64], decimals: int) -> NDArray[np.float64]:
    """IoU of rotated boxes with what their texts mean; 1 where it surely reaches the highest of `LIMITS`.

    Args:
        corners: (n, 8), pixels, with areas.
        image: (n, 2), width and height of each box's image.
        decimals: Digits after the point.
    """
    back = read_back(corners, image, decimals)
    iou = np.ones(len(corners))
    doubtful = least_iou(corners, back) < max(LIMITS)
    iou[doubtful] = polygon_ious(corners[doubtful], back[doubtful])
    return iou


def least_iou(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """What the IoU of four corners with the same corners moved a little cannot fall below: quick to know.

    Where no corner moves by more than d, both shapes differ only within d of the outline: by its length times d at
    most inside, and by that and a disc's area outside. That is so for shapes without reflex corners; for others nothing
    is promised.
    """
    points = a.reshape(-1, 4, 2)
    sides = np.roll(points, -1, axis=1) - points
    after = np.roll(sides, -1, axis=1)
    turns = sides[:, :, 0] * after[:, :, 1] - sides[:, :, 1] * after[:, :, 0]
    convex = (turns >= 0).all(axis=1) | (turns <= 0).all(axis=1)
    d = np.hypot(*np.moveaxis(points - b.reshape(-1, 4, 2), 2, 0)).max(axis=1)
    band = np.hypot(sides[:, :, 0], sides[:, :, 1]).sum(axis=1) * d
    area = polygon_areas(a)
    return np.where(convex, (area - band) / (area + band + np.pi * d**2), 0.0)


def read_back(boxes: NDArray[np.float64], image: NDArray[np.float64], decimals: int) -> NDArray[np.float64]:
    """The boxes that their texts mean.

    Args:
        boxes: (n, 4) or (n, 8), pixels.
        image: (n, 2), width and height of each box's image.
        decimals: Digits after the point.
    """
    sides = np.tile(image, boxes.shape[1] // 2)
    return np.round(boxes / sides, decimals) * sides


def box_ious(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Intersection over union of upright boxes, pair by pair; `a` have areas."""
    common = np.concatenate([np.maximum(a[:, :2], b[:, :2]), np.minimum(a[:, 2:], b[:, 2:])], axis=1)
    both = box_areas(common)
    return both / (box_areas(a) + box_areas(b) - both)


def polygon_ious(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Intersection over union of four corners each, pair by pair; `a` have areas.

    Corners whose edges cross, as those of a thin box may once they are rounded, stand for their convex hull.
    """
    import shapely

    first, second = (_hull_where_crossed(shapely.polygons(corners.reshape(-1, 4, 2))) for corners in (a, b))
    both = shapely.area(shapely.intersection(first, second))
    iou: NDArray[np.float64] = both / (shapely.area(first) + shapely.area(second) - both)
    return iou


def _hull_where_crossed(polygons: NDArray[np.object_]) -> NDArray[np.object_]:
    import shapely

    crossed = ~shapely.is_valid(polygons)
    polygons[crossed] = shapely.convex_hull(polygons[crossed])
    return polygons
