"""Images that several sources share, and the test images among them that another source would train on.

Found by name and provenance (two sources that draw on one collection name a picture alike: `ImageRef.origin`), and in
a build also by the decoded pixels. A row of train whose image is in the test split of another source leaks; it is left
out unless the user only wants to be told.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import combinations

from rs_gpt4v_conversion.tables import counted

TESTS = ("test", "phili")
"""Splits that nobody may train on."""

Part = tuple[str, str]
"""(source, split)"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Appearance:
    """A row under way, as far as sharing goes."""

    task: str
    source: str
    split: str
    row_id: str
    pairs: int
    origin: str  # of its image, empty where not known
    key: str  # equal for equal pictures


@dataclass(frozen=True, slots=True, kw_only=True)
class Leak:
    """A row of train whose image another source tests on."""

    row: Appearance
    test: Part


@dataclass(frozen=True, slots=True, order=True)
class Shared:
    """Images that two sources have in common."""

    source: str
    split: str
    other: str
    other_split: str
    found_by: str  # `name` or `pixels`
    images: int


@dataclass(slots=True)
class Overlaps:
    """What was found so far."""

    shared: list[Shared] = field(default_factory=list)
    leaks: dict[str, Leak] = field(default_factory=dict)  # by row id


def find(appearances: Iterable[Appearance], found_by: str, found: Overlaps) -> None:
    """Look for shared images and enter them.

    Args:
        appearances: Rows of all sources whose key is known.
        found_by: What the keys are made of; images that their origin gives away already are not counted again.
        found: Grows.
    """
    rows = list(appearances)
    places: dict[str, dict[Part, str]] = defaultdict(dict)
    for row in rows:
        places[row.key][row.source, row.split] = row.origin
    common = {key: dict(sorted(parts.items())) for key, parts in places.items() if len({s for s, _ in parts}) > 1}
    counts: Counter[tuple[Part, Part]] = Counter()
    for parts in common.values():
        for a, b in combinations(parts, 2):
            known = found_by != "name" and parts[a] and parts[a] == parts[b]
            if a[0] != b[0] and not known:
                counts[a, b] += 1
    found.shared.extend(Shared(*a, *b, found_by, n) for (a, b), n in sorted(counts.items()))
    for row in rows:
        if row.split == "train" and row.row_id not in found.leaks:
            tests = [p for p in common.get(row.key, ()) if p[0] != row.source and p[1] in TESTS]
            if tests:
                found.leaks[row.row_id] = Leak(row=row, test=tests[0])


def sentence(shared: Shared, *, dropped: bool) -> str:
    """What is shared, and what was done about it."""
    by = "name and provenance" if shared.found_by == "name" else "decoded pixels"
    text = (
        f"{counted(shared.images, 'image')} of {shared.source} ({shared.split}) "
        f"{'is' if shared.images == 1 else 'are'} also in {shared.other} "
        f"({shared.other_split}), by {by}"
    )
    for source, split, test in (
        (shared.source, shared.split, shared.other_split),
        (shared.other, shared.other_split, shared.split),
    ):
        if split == "train" and test in TESTS:
            return f"{text}: {'left out of' if dropped else 'kept in'} the train split of {source}"
    return text
