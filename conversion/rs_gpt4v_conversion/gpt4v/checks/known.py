"""What the annotations of an image say of a concept: how many there are, at least and at most."""

from collections.abc import Iterable
from functools import lru_cache

from rs_gpt4v_conversion.gpt4v.checks.lexicon import LOOKALIKES, PRINCIPAL, Lexicon
from rs_gpt4v_conversion.gpt4v.records import Facts


@lru_cache(maxsize=256)
def _concepts(lexicon: Lexicon, categories: tuple[str, ...]) -> frozenset[str]:
    return lexicon.concepts(categories)


class Known:
    """How many objects of a concept an image has, as far as its annotations tell.

    A category is counted where the source marks all of it in this image and nothing of it is in doubt. A concept is
    then known where it is such a category, or where categories cover it: `vehicle` is covered by `other vehicle`, as
    that is what no other kind is. Of a narrower concept (`truck` where all vehicles are marked) only the most is known.
    """

    def __init__(self, facts: Facts, lexicon: Lexicon) -> None:
        self._lexicon = lexicon
        self._bounds: dict[str, tuple[int, int | None]] = {}
        doubted = {o.category for o in facts.objects if o.ignore}.union(facts.uncertain)
        self._open: frozenset[str] = frozenset()  # concepts of a kind in doubt
        self._certain = _concepts(lexicon, facts.searched)
        if doubted:
            # a mark of another category than those that were looked for may be of any of them
            certain = [c for c in facts.searched if c not in doubted] if doubted.issubset(facts.searched) else ()
            self._open = frozenset(wider for c in doubted for wider in lexicon.line(lexicon.concept(c)))
            self._certain = lexicon.concepts(certain) - self._open
        self._marked: dict[str, int] = {}  # of a concept and all its kinds
        self._sure: dict[str, int] = {}  # the same of certain ones, and one of each that is in doubt
        counts: dict[str, int] = {}
        for item in facts.objects:
            if not item.ignore:
                counts[item.category] = counts.get(item.category, 0) + 1
        for category, count in counts.items():
            concept = lexicon.concept(category)
            sure = count if concept in self._certain else 1
            for wider in lexicon.line(concept):
                self._marked[wider] = self._marked.get(wider, 0) + count
                self._sure[wider] = self._sure.get(wider, 0) + sure

    def bounds(self, concept: str) -> tuple[int, int | None]:
        """The least and the most that there can be of a concept; the most is None where nobody knows."""
        bounds = self._bounds.get(concept)
        if bounds is None:
            bounds = self._bounds[concept] = (self._sure.get(concept, 0), self._most(concept))
        return bounds

    def _most(self, concept: str) -> int | None:
        if any(other in self._marked for other in LOOKALIKES.get(concept, ())):
            return None
        for wider in self._lexicon.line(concept):
            if self._is_covered(wider):
                return self._marked.get(wider, 0)
        return None

    def _is_covered(self, concept: str) -> bool:
        names: Iterable[str] = (concept, f"other {concept}", PRINCIPAL.get(concept, concept))
        return concept not in self._open and not self._certain.isdisjoint(names)
