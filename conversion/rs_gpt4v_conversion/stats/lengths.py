"""How long questions and answers are, and how many pairs a row has."""

from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from rs_gpt4v_conversion.rows import TAG
from rs_gpt4v_conversion.stats._counting import Histogram, Summary
from rs_gpt4v_conversion.stats._reading import Batch


@dataclass(frozen=True, slots=True, kw_only=True)
class Lengths:
    """Of one task of one source, all splits together; None where there is no pair."""

    task: str
    source: str
    questions: Summary | None  # words, between blanks, without the image tag
    answers: Summary | None
    pairs_per_row: Summary | None


@dataclass(slots=True)
class _Count:
    questions: Histogram = field(default_factory=Histogram)
    answers: Histogram = field(default_factory=Histogram)
    pairs: Histogram = field(default_factory=Histogram)


class LengthCounter:
    """Counts words."""

    def __init__(self) -> None:
        self.counts: dict[tuple[str, str], _Count] = defaultdict(_Count)

    def add(self, batch: Batch) -> None:
        """Count some rows."""
        count = self.counts[batch.shard.task, batch.shard.source]
        count.questions.add(words(batch.questions))
        count.answers.add(words(batch.answers))
        count.pairs.add(batch.pairs)

    def result(self) -> tuple[Lengths, ...]:
        """What was counted, by task and source."""
        return tuple(
            Lengths(
                task=task, source=source, questions=c.questions.summary(), answers=c.answers.summary(),
                pairs_per_row=c.pairs.summary(),
            )
            for (task, source), c in sorted(self.counts.items())
        )  # fmt: skip


def words(texts: pa.StringArray) -> NDArray[np.int64]:
    """Words of each text, as the index counts them: between blanks, without the image tag."""
    # most questions and short answers occur often; Python splits the different ones faster than Arrow does
    encoded = pc.dictionary_encode(texts)
    counts = [len(text.removeprefix(TAG).split()) for text in encoded.dictionary.to_pylist()]
    places: NDArray[np.int32] = encoded.indices.to_numpy(zero_copy_only=False)
    return np.array(counts, np.int64)[places]
