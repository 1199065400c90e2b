"""What a release is made of: rows, images and pairs by task, source and split; modalities and licences."""

from collections import defaultdict
from dataclasses import dataclass, field

from rs_gpt4v_conversion.stats._counting import Distinct, Frequencies, union
from rs_gpt4v_conversion.stats._reading import Batch


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One task of one source in one split."""

    task: str
    source: str
    split: str
    rows: int
    images: int  # different ones, by the digest of their bytes
    pairs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceParts:
    """One source in all tasks and splits."""

    source: str
    rows: int
    images: int  # different ones: an image in two tasks counts once
    pairs: int
    modalities: dict[str, int]  # rows of each
    licenses: dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Composition:
    """The whole release."""

    rows: int
    images: int  # different ones: an image in two sources counts once
    pairs: int
    parts: tuple[Part, ...]
    sources: tuple[SourceParts, ...]


@dataclass(slots=True)
class _Count:
    rows: int = 0
    pairs: int = 0
    images: Distinct = field(default_factory=Distinct)


class CompositionCounter:
    """Counts rows, images and pairs."""

    def __init__(self) -> None:
        self.parts: dict[tuple[str, str, str], _Count] = defaultdict(_Count)
        self.modalities: dict[str, Frequencies] = defaultdict(Frequencies)
        self.licenses: dict[str, Frequencies] = defaultdict(Frequencies)

    def add(self, batch: Batch) -> None:
        """Count some rows."""
        shard = batch.shard
        count = self.parts[shard.task, shard.source, shard.split]
        count.rows += batch.rows
        count.pairs += int(batch.pairs.sum())
        count.images.add([image for image in batch.images if image is not None])
        for kind, values in ((self.modalities, batch.modality), (self.licenses, batch.license)):
            for found in values.value_counts().to_pylist():
                kind[shard.source].add(found["values"], found["counts"])

    def result(self, splits: tuple[str, ...]) -> Composition:
        """What was counted.

        Args:
            splits: Their order.
        """
        order = {split: n for n, split in enumerate(splits)}
        parts = sorted(self.parts, key=lambda p: (p[0], p[1], order.get(p[2], len(order)), p[2]))
        counts = self.parts.values()
        return Composition(
            rows=sum(c.rows for c in counts),
            images=union([c.images for c in counts]),
            pairs=sum(c.pairs for c in counts),
            parts=tuple(self._part(part) for part in parts),
            sources=tuple(self._source(source) for source in sorted({p[1] for p in parts})),
        )

    def _part(self, part: tuple[str, str, str]) -> Part:
        task, source, split = part
        count = self.parts[part]
        return Part(
            task=task, source=source, split=split, rows=count.rows, images=len(count.images), pairs=count.pairs,
        )  # fmt: skip

    def _source(self, source: str) -> SourceParts:
        counts = [c for part, c in self.parts.items() if part[1] == source]
        return SourceParts(
            source=source,
            rows=sum(c.rows for c in counts),
            images=union([c.images for c in counts]),
            pairs=sum(c.pairs for c in counts),
            modalities=dict(self.modalities[source].top(20)),
            licenses=dict(self.licenses[source].top(20)),
        )
