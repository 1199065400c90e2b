"""Which objects of an image a question lists, and in what order: what number k of an answer means."""

import hashlib
from collections import defaultdict
from itertools import chain, zip_longest

from rs_gpt4v_conversion.geometry import envelope
from rs_gpt4v_conversion.gpt4v.records import Facts
from rs_gpt4v_conversion.records import BBox, Object

MOST_LISTED = 40
"""Objects that a question lists one by one; of the others it gives numbers by category and part of the image."""


def listed(facts: Facts) -> tuple[int, ...]:
    """Positions in `facts.objects` of the objects that a question lists, in the order of their numbers 1, 2, ...

    Objects to ignore and those without a box are never listed. Where there are too many, each category gets its turn
    with its largest object that is left, so that a rare one is always there.
    """
    boxes = {i: box for i, item in enumerate(facts.objects) if not item.ignore and (box := extent(item)) is not None}
    if len(boxes) <= MOST_LISTED:
        return tuple(boxes)
    by_category: dict[str, list[int]] = defaultdict(list)
    for i in sorted(boxes, key=lambda i: (-_area(boxes[i]), i)):
        by_category[facts.objects[i].category].append(i)
    in_turn = chain.from_iterable(zip_longest(*(by_category[c] for c in sorted(by_category))))
    return tuple(sorted([i for i in in_turn if i is not None][:MOST_LISTED]))


def listing_digest(facts: Facts) -> str:
    """Tells this list from another one: 16 hex digits of the categories and boxes that the numbers 1, 2, ... stand for.

    Numbers in an answer mean the objects that its question listed. Where the annotations changed since, they may mean
    others.
    """
    objects = [facts.objects[i] for i in listed(facts)]
    items = [(o.category, *(box and tuple(map(float, box)) for box in (o.bbox, o.obb))) for o in objects]
    return hashlib.sha256(repr(items).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def extent(item: Object) -> BBox | None:
    """The upright box of an object, pixels; that around its rotated one where it has no other."""
    if item.bbox is None and item.obb is not None:
        return envelope(item.obb)
    return item.bbox


def _area(box: BBox) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])
