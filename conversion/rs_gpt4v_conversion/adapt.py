"""Turn what a source says into questions and answers, and merge what it says twice."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import groupby

from rs_gpt4v_conversion.records import DEPENDENT, Annotation, Draft, Fact, Pair, Reject, Turn
from rs_gpt4v_conversion.sources import Source
from rs_gpt4v_conversion.verify import pair_flaw
from rs_gpt4v_conversion.wording import word

Dialogue = tuple[Fact, ...]
"""Facts that depend on each other in their order; all but turns of one dialogue stand alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapted:
    """What became of one annotation. read + merged = facts, kept + rejected = read, in pairs."""

    draft: Draft | None  # None where no pair was kept
    rejects: tuple[Reject, ...]
    read: int  # pairs, after merging
    questions: int  # different questions among them
    merged: int  # exact repeats of a pair of the same image, or of a whole dialogue


def row_id(source: str, split: str, task: str, image_id: str) -> str:
    """The id of a row: the same in every version of a release."""
    return f"{source}/{split}/{task}/{image_id}"


def adapt(annotation: Annotation, source: Source, name: str) -> Adapted:
    """Make the row of one annotation, without its image.

    Args:
        annotation: As read.
        source: Facts about the source.
        name: The source's name in ids and paths.
    """
    record = row_id(name, annotation.split, annotation.task, annotation.image.image_id)
    pairs: list[Pair] = []
    rejects: list[Reject] = []
    questions: set[str] = set()
    read = dialogues = 0
    for dialogue in _merged(annotation.facts):
        worded = [word(fact, annotation, record) for fact in dialogue]
        questions.update(pair.question for pair in worded)
        kept = _sound(worded)
        pairs.extend(replace(pair, dialogue=dialogues) for pair in worded[:kept])
        dialogues += kept > 0
        for number in range(kept, len(worded)):
            reason = pair_flaw(worded[number]) or DEPENDENT
            rejects.append(
                Reject(
                    id=f"{record}#{read + number}", task=annotation.task, source=name, split=annotation.split,
                    stage="verify", reason=reason, detail=worded[number].answer[:200],
                )
            )  # fmt: skip
        read += len(worded)
    draft = _draft(annotation, source, name, record, pairs) if pairs else None
    return Adapted(
        draft=draft, rejects=tuple(rejects), read=read, questions=len(questions),
        merged=len(annotation.facts) - read,
    )  # fmt: skip


def _merged(facts: Iterable[Fact]) -> list[Dialogue]:
    """The different dialogues, in the order of their first appearance.

    A dialogue is merged with one of the very same turns only: half of one is not what the other says, and a question
    that comes twice in one dialogue stays.
    """
    numbered = enumerate(facts)
    groups = groupby(numbered, key=lambda n: (n[1].dialogue, -1) if isinstance(n[1], Turn) else (0, n[0]))
    dialogues = (tuple(fact for _, fact in group) for _, group in groups)
    found = {tuple(replace(f, dialogue=0) if isinstance(f, Turn) else f for f in d): d for d in dialogues}
    return list(found.values())


def _sound(pairs: list[Pair]) -> int:
    """How many turns of a dialogue are kept: those before the first that is unfit."""
    return next((number for number, pair in enumerate(pairs) if pair_flaw(pair)), len(pairs))


def _draft(annotation: Annotation, source: Source, name: str, record: str, pairs: list[Pair]) -> Draft:
    return Draft(
        id=record,
        task=annotation.task,
        split=annotation.split,
        source=name,
        modality=annotation.modality or source.modality,
        license=annotation.license or source.license,
        image=annotation.image,
        pairs=tuple(pairs),
        objects=annotation.objects,
    )
