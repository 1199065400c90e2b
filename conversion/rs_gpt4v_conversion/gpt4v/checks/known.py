"""What the annotations of an image say of a concept: how many there are, at least and at most."""

from collections import Counter
from collections.abc import Iterable

from rs_gpt4v_conversion.gpt4v.checks.lexicon import LOOKALIKES, PRINCIPAL, Lexicon
from rs_gpt4v_conversion.gpt4v.records import Facts


class Known:
    """How many objects of a concept an image has, as far as its annotations tell.

    A category is counted where the source marks all of it in this image and nothing of it is in doubt. A concept is
    then known where it is such a category, or where categories cover it: `vehicle` is covered by `other vehicle`, as
    that is what no other kind is. Of a narrower concept (`truck` where all vehicles are marked) only the most is known.
    """

    def __init__(self, facts: Facts, lexicon: Lexicon) -> None:
        self._lexicon = lexicon
        self._bounds: dict[str, tuple[int, int | None]] = {}
        ignored = {o.category for o in facts.objects if o.ignore}
        doubted = ignored.union(facts.uncertain)
        searched = set(facts.searched)
        certain = searched - doubted if doubted <= searched else set()  # else a mark may be of any category
        self._open = {wider for c in doubted for wider in lexicon.line(lexicon.concept(c))}  # of a kind in doubt
        self._certain = {lexicon.concept(c) for c in certain} - self._open
        self._marked: Counter[str] = Counter()  # of a concept and all its kinds
        self._sure: Counter[str] = Counter()  # the same of certain ones, and one of each that is in doubt
        for category, count in Counter(o.category for o in facts.objects if not o.ignore).items():
            concept = lexicon.concept(category)
            for wider in lexicon.line(concept):
                self._marked[wider] += count
                self._sure[wider] += count if concept in self._certain else 1

    def bounds(self, concept: str) -> tuple[int, int | None]:
        """The least and the most that there can be of a concept; the most is None where nobody knows."""
        if concept not in self._bounds:
            self._bounds[concept] = (self._sure[concept], self._most(concept))
        return self._bounds[concept]

    def _most(self, concept: str) -> int | None:
        if any(self._marked[other] for other in LOOKALIKES.get(concept, ())):
            return None
        for wider in self._lexicon.line(concept):
            if self._is_covered(wider):
                return self._marked[wider]
        return None

    def _is_covered(self, concept: str) -> bool:
        names: Iterable[str] = (concept, f"other {concept}", PRINCIPAL.get(concept, concept))
        return concept not in self._open and not self._certain.isdisjoint(names)
