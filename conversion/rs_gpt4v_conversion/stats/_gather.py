"""One pass over a release."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from rs_gpt4v_conversion.naming import SPLITS
from rs_gpt4v_conversion.release import ReleaseFolder
from rs_gpt4v_conversion.stats._counting import Distinct
from rs_gpt4v_conversion.stats._reading import Batch, Objects, batches
from rs_gpt4v_conversion.stats.answers import AnswerCounter, AnswerStats
from rs_gpt4v_conversion.stats.box_text import BoxText, BoxTextCounter
from rs_gpt4v_conversion.stats.composition import Composition, CompositionCounter
from rs_gpt4v_conversion.stats.lengths import LengthCounter, Lengths
from rs_gpt4v_conversion.stats.objects import ObjectCounter, SourceObjects


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """All that is counted of a release."""

    version: str
    date: str
    composition: Composition
    lengths: tuple[Lengths, ...]
    answers: AnswerStats
    objects: tuple[SourceObjects, ...]
    box_text: tuple[BoxText, ...]


def gather(release: ReleaseFolder, on_progress: Callable[[int], None] | None = None) -> Stats:
    """Count all rows of data/.

    Args:
        release: The folder.
        on_progress: Called with the number of rows that were counted since the last call.

    Raises:
        UsageError: A shard cannot be read, or its columns are not a release's.
    """
    composition, lengths, answers = CompositionCounter(), LengthCounter(), AnswerCounter()
    objects, box_text = ObjectCounter(), BoxTextCounter()
    counted: dict[str, Distinct] = defaultdict(Distinct)
    for batch in batches(release):
        for counter in (composition, lengths, answers):
            counter.add(batch)
        source = batch.shard.source
        fresh = _of_new_images(batch, counted[source])
        objects.add(source, fresh)
        box_text.add(source, fresh)
        if on_progress is not None:
            on_progress(batch.rows)
    return Stats(
        version=str(release.manifest.get("version", "")),
        date=str(release.manifest.get("date", "")),
        composition=composition.result(SPLITS),
        lengths=lengths.result(),
        answers=answers.result(SPLITS),
        objects=objects.result(),
        box_text=box_text.result(),
    )


def as_json(stats: Stats) -> dict[str, Any]:
    """What `stats --json` prints: the fields of `Stats` and of the dataclasses in it, by their names."""
    return asdict(stats)


def _of_new_images(batch: Batch, counted: Distinct) -> Objects:
    """The objects of images whose objects this source has not counted yet, in a row of this or another task."""
    rows = np.unique(batch.objects.row).tolist()
    numbers = [batch.images[row] for row in rows]
    news = iter(counted.add([number for number in numbers if number is not None]))
    fresh = np.zeros(batch.rows, bool)
    for row, number in zip(rows, numbers, strict=True):
        fresh[row] = number is None or next(news)  # a row that does not name its image is one of its own
    return batch.objects.where(fresh[batch.objects.row])
