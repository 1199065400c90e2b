"""Turn what a source says into questions and answers, and merge what it says twice."""

from collections.abc import Iterator
from dataclasses import dataclass

from rs_gpt4v_conversion.records import Annotation, Draft, Pair, Reject
from rs_gpt4v_conversion.sources import Source
from rs_gpt4v_conversion.verify import pair_flaw
from rs_gpt4v_conversion.wording import word

GENERATOR = "annotation"


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapted:
    """What became of one annotation. read + merged = facts, kept + rejected = read, in pairs."""

    draft: Draft | None  # None where no pair was kept
    rejects: tuple[Reject, ...]
    read: int  # pairs, after merging
    questions: int  # different questions among them
    merged: int  # exact repeats of a pair of the same image


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
    facts = tuple(dict.fromkeys(annotation.facts))
    pairs, rejects, questions = [], [], set()
    for number, fact in enumerate(facts):
        pair = word(fact, annotation, record)
        questions.add(pair.question)
        flaw = pair_flaw(pair)
        if flaw:
            rejects.append(
                Reject(
                    id=f"{record}#{number}", task=annotation.task, source=name,
                    split=annotation.split, stage="verify", reason=flaw, detail=pair.answer[:200],
                )
            )  # fmt: skip
        else:
            pairs.append(pair)
    draft = _draft(annotation, source, name, record, pairs) if pairs else None
    return Adapted(
        draft=draft, rejects=tuple(rejects), read=len(facts), questions=len(questions),
        merged=len(annotation.facts) - len(facts),
    )  # fmt: skip


def _draft(annotation: Annotation, source: Source, name: str, record: str, pairs: list[Pair]) -> Draft:
    return Draft(
        id=record,
        task=annotation.task,
        split=annotation.split,
        source=name,
        modality=source.modality,
        license=source.license,
        image=annotation.image,
        pairs=tuple(_numbered(pairs)),
        objects=annotation.objects,
    )


def _numbered(pairs: list[Pair]) -> Iterator[Pair]:
    """Give every pair a dialogue of its own: what annotations say of an image does not depend on order."""
    for number, pair in enumerate(pairs):
        yield Pair(
            question=pair.question, answer=pair.answer, category=pair.category, dialogue=number,
            template=pair.template, generator=GENERATOR, objects=pair.objects,
        )  # fmt: skip
