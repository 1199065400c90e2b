"""How objects lie to those nearest to them, in words of the image.

Nearest is by the gap between the boxes, rotated ones where there are any, then by the distance of the centres. A
relation is between the same boxes:

    inside, containing      95 % of the smaller one's area is shared
    overlapping             5 % of it is, or the centres are the same point
    left of, right of,      else the direction from centre to centre of the upright boxes, where one axis has more than
    above, below            twice the other's distance
    above left of, ...      else
    next to, <direction>    where the gap is at most half the longer side of the smaller object
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rs_gpt4v_conversion.records import BBox, Obb

MOST = 2
"""Neighbours of one object that are named."""

WITHIN = 0.95
OVERLAPPING = 0.05

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Neighbour:
    """Another object, and how the one in question lies to it."""

    relation: str
    other: int  # position in the list


def neighbours(boxes: Sequence[tuple[BBox, Obb | None]]) -> list[list[Neighbour]]:
    """The nearest ones of every object, at most `MOST`, the nearest first.

    Args:
        boxes: Upright box of each object, and its rotated one where it has one, pixels.
    """
    import shapely  # 0.1 s that questions without objects need not wait for

    if len(boxes) < 2:
        return [[] for _ in boxes]
    upright = np.array([box for box, _ in boxes], dtype=np.float64)
    corners = np.array([_corners(box) if obb is None else obb for box, obb in boxes], dtype=np.float64)
    shapes = shapely.polygons(corners.reshape(-1, 4, 2))
    shapes = np.where(shapely.is_valid(shapes), shapes, shapely.convex_hull(shapes))
    centres = (upright[:, :2] + upright[:, 2:]) / 2
    gaps = np.full((len(boxes), len(boxes)), np.inf)
    one, two = np.triu_indices(len(boxes), 1)
    gaps[one, two] = gaps[two, one] = shapely.distance(shapes[one], shapes[two])
    apart = ((centres[:, None] - centres[None, :]) ** 2).sum(axis=2)
    nearest = np.lexsort((apart, gaps), axis=1)[:, : min(MOST, len(boxes) - 1)]
    a, b = np.repeat(np.arange(len(boxes)), nearest.shape[1]), nearest.reshape(-1)
    areas = shapely.area(shapes)
    shared = shapely.area(shapely.intersection(shapes[a], shapes[b]))
    longer = (upright[:, 2:] - upright[:, :2]).max(axis=1)
    found: list[list[Neighbour]] = [[] for _ in boxes]
    for i, j, common, gap in zip(a.tolist(), b.tolist(), shared.tolist(), gaps[a, b].tolist(), strict=True):
        relation = _sharing(areas[i], areas[j], common)
        if not relation:
            near = "next to, " if gap <= min(longer[i], longer[j]) / 2 else ""
            relation = near + _direction(centres[i], centres[j])
        found[i].append(Neighbour(relation, j))
    return found


def _sharing(mine: float, other: float, shared: float) -> str:
    """The relation of an object to another one of which it covers a part, or an empty string."""
    smaller = min(mine, other)
    if shared >= WITHIN * smaller > 0:
        return "inside" if mine < other else "containing" if mine > other else "overlapping"
    return "overlapping" if shared >= OVERLAPPING * smaller > 0 else ""


def _direction(a: Floats, b: Floats) -> str:
    """Where the first point lies as seen from the second, x and y of each."""
    dx, dy = a[0] - b[0], a[1] - b[1]
    if dx == dy == 0:
        return "overlapping"
    across, down = "left of" if dx < 0 else "right of", "above" if dy < 0 else "below"
    if abs(dx) > 2 * abs(dy):
        return across
    return down if abs(dy) > 2 * abs(dx) else f"{down} {across}"


def _corners(box: BBox) -> Obb:
    x1, y1, x2, y2 = box
    return (x1, y1, x2, y1, x2, y2, x1, y2)
