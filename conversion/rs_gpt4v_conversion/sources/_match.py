"""Find the same objects in two lists of boxes that were drawn apart."""

from collections.abc import Sequence

from rs_gpt4v_conversion.geometry import overlap
from rs_gpt4v_conversion.records import BBox


def match(left: Sequence[tuple[str, BBox]], right: Sequence[tuple[str, BBox]], least: float) -> dict[int, int]:
    """Pairs of positions in two lists whose boxes are of the same object: the right one's by the left one's.

    Of one category, whatever their order: the two boxes that overlap most are a pair, then those that overlap most of
    the others. Where two overlap alike their numbers decide, so that the lists' order never does.

    Args:
        left: Category and box of each.
        right: Likewise.
        least: Overlap from which two boxes may be of one object, above 0.
    """
    candidates = [
        (-share, a, b, i, j)
        for i, (category, a) in enumerate(left)
        for j, (other, b) in enumerate(right)
        if category == other and (share := overlap(a, b)) >= least
    ]
    pairs: dict[int, int] = {}
    taken: set[int] = set()
    for *_, i, j in sorted(candidates):
        if i not in pairs and j not in taken:
            pairs[i] = j
            taken.add(j)
    return pairs
