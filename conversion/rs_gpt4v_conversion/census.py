"""Which yes-or-no questions a source is asked, so that the question alone does not give the answer away.

Were every image asked about what is in it, `person` would nearly always be there and `train station` nearly never, and
who never looks would be right most of the time. So a whole source is gone through before the first question is made,
and for every question of a split, such as whether there is a ship, as many images are asked where the answer is yes as
where it is no. Of those where the answer is yes, hashes of ids choose; of the others, those come first where one would
expect the category, because it often occurs beside what is there: these are the hard ones.
"""

import math
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import combinations

from rs_gpt4v_conversion.naming import hash_share

Question = tuple[str, ...]
"""(`presence`, split, category), or (`comparison`, split, category, category): are there more of the first?"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What is known of the categories of one image."""

    key: str  # names the image within the source
    split: str
    counts: tuple[tuple[str, int], ...]  # of the categories that are there
    certain: frozenset[str]  # categories of which nothing is left open: if they are not there, they are absent

    @property
    def present(self) -> tuple[str, ...]:
        """Categories that are there."""
        return tuple(category for category, _ in self.counts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A question that one image could be asked."""

    question: Question
    answer: bool
    rank: float  # those of the highest rank are asked


class Census:
    """Sees all images of a source, then says which of them are asked."""

    def __init__(self) -> None:
        self._sights: list[Sight] = []
        self._seen: set[str] = set()  # their keys
        self._images: Counter[str] = Counter()  # by category
        self._together: Counter[tuple[str, str]] = Counter()  # images with two categories, both ways
        self._least: dict[tuple[Question, bool], float] = {}  # rank of the last one that is asked

    def see(self, sight: Sight) -> None:
        """Enter an image; one that is listed twice is kept once, and so counts once."""
        if sight.key in self._seen:
            return
        self._seen.add(sight.key)
        self._sights.append(sight)
        self._images.update(sight.present)
        for a, b in combinations(sight.present, 2):
            self._together[a, b] += 1
            self._together[b, a] += 1

    def settle(self) -> None:
        """All images are entered: decide who is asked."""
        ranks: dict[tuple[Question, bool], array[float]] = defaultdict(lambda: array("d"))
        for sight in self._sights:
            for offer in self._offers(sight):
                ranks[offer.question, offer.answer].append(offer.rank)
        self._sights, self._seen = [], set()
        for question in {q for q, _ in ranks}:
            yes, no = (sorted(ranks[question, answer], reverse=True) for answer in (True, False))
            count = min(len(yes), len(no))
            if count:
                self._least[question, True], self._least[question, False] = yes[count - 1], no[count - 1]

    def asked(self, sight: Sight) -> Iterator[Offer]:
        """The questions that an image is asked; it must have been entered."""
        for offer in self._offers(sight):
            least = self._least.get((offer.question, offer.answer))
            if least is not None and offer.rank >= least:
                yield offer

    def _offers(self, sight: Sight) -> Iterator[Offer]:
        for category in sight.present:
            rank = hash_share("yes", sight.key, category)
            yield Offer(question=("presence", sight.split, category), answer=True, rank=rank)
        for category in sorted(sight.certain - set(sight.present)):
            # a weighted draw without replacement: u ** (1 / w), the largest first (Efraimidis and Spirakis 2006)
            rank = math.log(hash_share("no", sight.key, category)) / self._closeness(category, sight.present)
            yield Offer(question=("presence", sight.split, category), answer=False, rank=rank)
        sure = sorted((c, n) for c, n in sight.counts if c in sight.certain)
        for (a, n), (b, m) in combinations(sure, 2):
            if n != m:
                rank = hash_share("more", sight.key, a, b)
                yield Offer(question=("comparison", sight.split, a, b), answer=n > m, rank=rank)

    def _closeness(self, absent: str, present: Iterable[str]) -> float:
        """How much one would expect a category beside those that are there: the mean share of their images with it.

        Never 0, so that an image without company is asked as well, only seldom.
        """
        shares = [self._together[c, absent] / self._images[c] for c in present if self._images[c]]
        return (sum(shares) / len(shares) if shares else 0.0) + 0.01
