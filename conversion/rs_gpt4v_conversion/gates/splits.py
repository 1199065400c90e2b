"""One image is in one split only, as far as a release promises it.

An error is an image in two splits of one source, and one of train that another source tests on, where the release says
that such rows were left out. A warning is an image in two splits of a source whose official splits are known to share
images, in train and validation or in validation and test of two sources (their authors split them without regard to
each other), or in train and test where the release says that this is only reported.
"""

from collections.abc import Collection
from typing import Any, ClassVar

from rs_gpt4v_conversion.gates._gate import Findings, GateResult, name_of
from rs_gpt4v_conversion.naming import shard_split
from rs_gpt4v_conversion.overlaps import TESTS
from rs_gpt4v_conversion.release import Where

Place = tuple[str, str, str]
"""Source, split, and the id of the first row there."""


class Splits:
    """Compares the digests of all rows.

    Args:
        known_overlap: Sources whose official splits are known to share images.
        leakage: `drop` where the release promises that nobody trains on another source's test images.
    """

    columns: ClassVar[tuple[str, ...]] = ("id", "source", "image_sha256", "source_sha256")

    def __init__(self, known_overlap: Collection[str], leakage: str) -> None:
        self.known, self.leakage = known_overlap, leakage
        # by half a digest: nearly always one place, since rows of one source and split share it
        self.seen: dict[str, tuple[Place, ...]] = {}
        self.error = Findings("splits")
        self.warning = Findings("splits known to share images", "warning")

    def row(self, row: dict[str, Any], where: Where) -> None:
        """Look at one row."""
        name, source = name_of(row, where), row["source"] or ""
        split = shard_split(where.shard)
        others = [
            place
            for digest in {row["image_sha256"], row["source_sha256"]} - {None, ""}
            for place in self._enter(digest[:32], (source, split, name))
            if place[1] != split
        ]
        for place in others:
            if self._broken(source, split, place):
                self.error.add(name, f"its image is also that of {place[2]}")
                return
        if others:
            self.warning.add(name, f"its image is also that of {others[0][2]}")

    def _broken(self, source: str, split: str, other: Place) -> bool:
        """Whether two places of an image break a promise."""
        if other[0] == source:
            return source not in self.known
        splits = {split, other[1]}
        return self.leakage == "drop" and "train" in splits and bool(splits & set(TESTS))

    def _enter(self, digest: str, here: Place) -> tuple[Place, ...]:
        """All places of a digest, this one among them."""
        places = self.seen.get(digest, ())
        if all(place[:2] != here[:2] for place in places):
            places = self.seen[digest] = (*places, here)
        return places

    def results(self) -> list[GateResult]:
        """What was found."""
        return [self.error.result(), self.warning.result()]
