"""Accepted answers become annotations, which the build takes like those of any reader.

    detail        one question, by a wording of our own or the paper's, answered by the description
    conversation  its turns, one dialogue; each question of the reasoning stage is a dialogue of its own
    planning      one question, which states the goal, answered by the steps and the constraints

`template` of these pairs names the prompt and its version: it is what made them. An answer that came and is no good is
a flaw of one pair, with the reason; one that never came is nothing.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Protocol

from rs_gpt4v_conversion.gpt4v.listing import listed
from rs_gpt4v_conversion.gpt4v.records import STAGES, TASKS, Accepted, Answers, Rejected, Stage, Subject
from rs_gpt4v_conversion.reading import Generated
from rs_gpt4v_conversion.records import Annotation, Flaw, Turn
from rs_gpt4v_conversion.templates import DETAIL, PLANNING, Template, choose


class Judged(Answers, Protocol):
    """Where it is also known why an answer was not accepted."""

    def rejected(self, stage: Stage, record: str) -> Rejected | None:
        """What became of the last answer where none was accepted; None where none came."""
        ...


_BEHIND: tuple[Stage, ...] = tuple(stage for stage in STAGES if stage not in TASKS)


def compiled(subjects: Iterable[Subject], answers: Judged, books: Generated) -> Iterator[Annotation | Flaw]:
    """What a model said about the images of a source.

    Args:
        subjects: The images.
        answers: Where their answers are.
        books: Counts the answers that are used and those that are not.

    Yields:
        For each image an annotation a task of which there is an answer, and a flaw for each unfit answer.
    """
    for subject in subjects:
        turns: dict[str, list[Turn]] = {}
        for stage, (task, _) in TASKS.items():
            accepted = answers.accepted(stage, subject.record)
            if accepted is not None:
                books.used[stage, accepted.prompt, accepted.model] += 1
                turns.setdefault(task, []).extend(_turns(accepted, subject))
            elif (rejected := answers.rejected(stage, subject.record)) is not None:
                books.unfit[stage, rejected.reason] += 1
                yield Flaw(
                    task=task, split=subject.split, image_id=subject.image.image_id, record=stage,
                    reason=rejected.reason, detail=rejected.detail, stage="gpt4v",
                )  # fmt: skip
        for stage in _BEHIND if turns else ():
            if (shaped := answers.accepted(stage, subject.record)) is not None:
                books.behind[stage, shaped.prompt, shaped.model] += 1
        for task, said in turns.items():
            yield Annotation(
                task=task, split=subject.split, image=subject.image, facts=tuple(said),
                objects=subject.facts.objects, modality=subject.facts.modality, license=subject.license,
            )  # fmt: skip


def _turns(accepted: Accepted, subject: Subject) -> Iterator[Turn]:
    content, stage = accepted.content, accepted.stage
    if stage == "detail":
        templates = DETAIL if subject.split == "train" else DETAIL[:1]
        yield _turn(accepted, subject, _pick(templates, subject).ask(), content["description"], [])
    elif stage == "conversation":
        for turn in content["turns"]:
            yield _turn(accepted, subject, turn["question"], turn["answer"], turn["objects"])
    elif stage == "reasoning":
        for number, item in enumerate(content["items"], 1):
            yield _turn(accepted, subject, item["question"], item["answer"], item["objects"], dialogue=number)
    elif stage == "planning":
        objects = [number for step in content["steps"] for number in step["objects"]]
        question = _pick(PLANNING, subject).ask(goal=_sentence(content["goal"]))
        yield _turn(accepted, subject, question, plan_text(content), objects)


def _turn(
    accepted: Accepted, subject: Subject, question: str, answer: str, numbers: list[int], dialogue: int = 0
) -> Turn:
    places = listed(subject.facts)
    _, category = TASKS[accepted.stage]
    return Turn(
        question=question, answer=answer, category=category, dialogue=dialogue, template=accepted.prompt,
        generator=accepted.model or "unknown",
        # a number beyond the list is a finding of the checks; where these are off it leads nowhere
        items=tuple(dict.fromkeys(places[n - 1] for n in numbers if n <= len(places))),
    )  # fmt: skip


def plan_text(content: dict[str, Any]) -> str:
    """A plan in words: a numbered line a step with what it needs, then the constraints."""
    lines = [
        f"{number}. {step['action'].strip().rstrip('.')} (needs {step['needs'].strip().rstrip('.')})."
        for number, step in enumerate(content["steps"], 1)
    ]
    constraints = "; ".join(c.strip().rstrip(".") for c in content["constraints"])
    return "\n".join([*lines, f"Constraints: {constraints}."])


def _sentence(text: str) -> str:
    text = text.strip()
    return text if text.endswith((".", "?", "!")) else f"{text}."


def _pick(templates: tuple[Template, ...], subject: Subject) -> Template:
    return choose(templates, subject.record, templates[0].id)
