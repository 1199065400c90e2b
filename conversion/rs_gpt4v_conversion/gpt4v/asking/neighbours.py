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

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rs_gpt4v_conversion.records import BBox, Obb

MOST = 2
"""Neighbours of one object that are named."""

WITHIN = 0.95
OVERLAPPING = 0.05

Floats = npt.NDArray[np.float64]
Pair = tuple[int, int]


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
    if len(boxes) < 2:
        return [[] for _ in boxes]
    upright = np.array([box for box, _ in boxes], dtype=np.float64).reshape(-1, 2, 2)  # object, corner, axis
    measured = _measured(upright) if all(obb is None for _, obb in boxes) else _measured_turned(boxes)
    middles = (upright[:, 0] + upright[:, 1]) / 2
    x, y = middles.T
    apart = (x[:, None] - x) ** 2 + (y[:, None] - y) ** 2
    nearest = np.lexsort((apart, measured.gaps), axis=1)[:, : min(MOST, len(boxes) - 1)]
    gaps = measured.gaps[np.arange(len(boxes))[:, None], nearest].ravel().tolist()
    pairs = [(i, j) for i, others in enumerate(nearest.tolist()) for j in others]
    shared = measured.shared([pair for pair, gap in zip(pairs, gaps, strict=True) if gap == 0])
    areas, centres = measured.areas, middles.tolist()
    longer = (upright[:, 1] - upright[:, 0]).max(axis=1).tolist()
    found: list[list[Neighbour]] = [[] for _ in boxes]
    for (i, j), gap in zip(pairs, gaps, strict=True):
        relation = _sharing(areas[i], areas[j], shared[i, j]) if gap == 0 else ""
        if not relation:
            near = "next to, " if gap <= min(longer[i], longer[j]) / 2 else ""
            relation = near + _direction(centres[i], centres[j])
        found[i].append(Neighbour(relation, j))
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class _Measured:
    """What is measured between the objects of a list."""

    gaps: Floats  # pixels, each object to each; exact for the nearest `MOST` of a row, not above the truth for others
    areas: list[float]  # pixels squared
    shared: Callable[[Sequence[Pair]], dict[Pair, float]]  # area that the two objects of each pair share


def _measured(boxes: Floats) -> _Measured:
    """Of upright boxes: object, corner, axis."""
    beside = _beside(boxes[:, 0].T, boxes[:, 1].T)
    gaps = _least_gaps(beside)
    one, two = np.nonzero(_close(gaps, gaps) & ((beside[0] > 0) != (beside[1] > 0)))
    axes = (beside[0, one, two] > 0).astype(np.intp)  # along which the boxes face each other
    facing = zip(gaps[one, two].tolist(), boxes[one, :, axes].tolist(), boxes[two, :, axes].tolist(), strict=True)
    gaps[one, two] = [_facing(gap, *a, *b) for gap, a, b in facing]
    rows = boxes.reshape(-1, 4).tolist()

    def shared(pairs: Sequence[Pair]) -> dict[Pair, float]:
        return {(i, j): _intersection(rows[i], rows[j]) for i, j in pairs}

    return _Measured(gaps=gaps, areas=np.prod(boxes[:, 1] - boxes[:, 0], axis=1).tolist(), shared=shared)


def _measured_turned(boxes: Sequence[tuple[BBox, Obb | None]]) -> _Measured:
    """Of boxes of which some are rotated."""
    import shapely  # 0.1 s that questions without such objects need not wait for

    corners = np.array([_corners(box) if obb is None else obb for box, obb in boxes], dtype=np.float64)
    corners = corners.reshape(-1, 4, 2)
    shapes = shapely.polygons(corners)
    crossed = ~shapely.is_valid(shapes)
    if crossed.any():
        shapes[crossed] = shapely.convex_hull(shapes[crossed])
    gaps = _least_gaps(_beside(corners.min(axis=1).T, corners.max(axis=1).T))
    # from the first corner to the first one, the second to the second, ...: none is nearer than the boxes
    most = np.sqrt(((corners[:, None] - corners[None, :]) ** 2).sum(axis=3).min(axis=2))
    np.fill_diagonal(most, np.inf)
    close = _close(gaps, most)
    one, two = np.nonzero(np.triu(close | close.T))
    gaps[one, two] = gaps[two, one] = shapely.distance(shapes[one], shapes[two])

    def shared(pairs: Sequence[Pair]) -> dict[Pair, float]:
        a, b = [i for i, _ in pairs], [j for _, j in pairs]
        areas = shapely.area(shapely.intersection(shapes[a], shapes[b])).tolist()
        return dict(zip(pairs, areas, strict=True))

    return _Measured(gaps=gaps, areas=shapely.area(shapes).tolist(), shared=shared)


def _beside(low: Floats, high: Floats) -> Floats:
    """How far upright boxes lie beside each other: axis, object, object; 0 where they do not.

    Args:
        low: Smaller coordinates, by axis and object.
        high: Larger ones.
    """
    after = low[:, :, None] - high[:, None, :]
    return np.maximum(np.maximum(after, after.transpose(0, 2, 1)), 0.0)


def _least_gaps(beside: Floats) -> Floats:
    """Gaps of upright boxes; infinite from an object to itself."""
    gaps: Floats = np.sqrt(beside[0] ** 2 + beside[1] ** 2)
    np.fill_diagonal(gaps, np.inf)
    return gaps


def _close(least: Floats, most: Floats) -> npt.NDArray[np.bool_]:
    """Which objects may be among the nearest `MOST` of each row, if their gaps lie between these."""
    last = min(MOST, len(most) - 1) - 1
    return least <= np.partition(most, last, axis=1)[:, last : last + 1] * (1 + 1e-9)


def _facing(gap: float, a1: float, a2: float, b1: float, b2: float) -> float:
    """The gap of two upright boxes that face each other, from corner to side as shapely measures any two boxes.

    That may differ from `gap` in the last digit. Rounded alike, boxes have the same neighbours whether they are given
    as upright or by four corners.

    Args:
        gap: Across which they face each other.
        a1: Where the side of the one begins.
        a2: Where it ends.
        b1: Likewise of the other.
        b2: Likewise.
    """
    gaps = [gap] if a1 in (b1, b2) or a2 in (b1, b2) else []  # from corner to corner
    if b1 < a1 < b2 or b1 < a2 < b2:
        gaps.append(_to_side(gap, b2 - b1))
    if a1 < b1 < a2 or a1 < b2 < a2:
        gaps.append(_to_side(gap, a2 - a1))
    return min(gaps)


def _to_side(gap: float, side: float) -> float:
    return gap * side / (side * side) * side


def _intersection(a: Sequence[float], b: Sequence[float]) -> float:
    """The area that two upright boxes share, which touch at least; x1 y1 x2 y2 of each."""
    return (min(a[2], b[2]) - max(a[0], b[0])) * (min(a[3], b[3]) - max(a[1], b[1]))


def _sharing(mine: float, other: float, shared: float) -> str:
    """The relation of an object to another one of which it covers a part, or an empty string."""
    smaller = min(mine, other)
    if shared >= WITHIN * smaller > 0:
        return "inside" if mine < other else "containing" if mine > other else "overlapping"
    return "overlapping" if shared >= OVERLAPPING * smaller > 0 else ""


def _direction(a: Sequence[float], b: Sequence[float]) -> str:
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
