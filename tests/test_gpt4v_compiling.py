"""Accepted answers become rows of three tasks, unfit ones rejects, and both are in the books."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from rs_gpt4v_conversion.config import SourceSpec, load_config
from rs_gpt4v_conversion.gpt4v.answers.compiling import compiled, plan_text
from rs_gpt4v_conversion.gpt4v.records import Accepted, Facts, Rejected, Stage, Subject
from rs_gpt4v_conversion.reading import Generated, Tally, enter
from rs_gpt4v_conversion.records import Annotation, Flaw, ImageRef, Object

OBJECTS = (
    Object(category="ship", bbox=(0, 0, 10, 10), ignore=True),
    Object(category="ship", bbox=(20, 20, 40, 40)),
    Object(category="harbor", bbox=(50, 0, 90, 60)),
)


def subject(image_id: str = "7", split: str = "train", **more: Any) -> Subject:
    record = f"dior/{split}/{image_id}"
    image = ImageRef(image_id=image_id, source_id=f"{image_id}.jpg", path=Path("7.jpg"), image_path="DIOR/7.jpg")
    facts = Facts(record=record, width=100, height=100, objects=OBJECTS, **more)
    return Subject(source="dior", split=split, image=image, license="not stated", facts=facts)


def answer(stage: Stage, record: str = "dior/train/7", **content: Any) -> Accepted:
    return Accepted(stage=stage, record=record, prompt=f"gpt4v-{stage}/1", model="gpt-4o-2024-11-20", content=content)


class Answered:
    """The ledger's part that is asked here."""

    def __init__(self, *accepted: Accepted, unfit: dict[tuple[str, str], Rejected] | None = None) -> None:
        self.by_stage = {(a.stage, a.record): a for a in accepted}
        self.bad = unfit or {}

    def accepted(self, stage: Stage, record: str) -> Accepted | None:
        return self.by_stage.get((stage, record))

    def rejected(self, stage: Stage, record: str) -> Rejected | None:
        return self.bad.get((stage, record))


CONVERSATION = answer(
    "conversation",
    turns=[
        {"question": "What is moored here?", "answer": "A ship beside a harbor.", "objects": [1, 2]},
        {"question": "Where is it?", "answer": "In the top left part.", "objects": [1]},
    ],
)
REASONING = answer(
    "reasoning",
    items=[
        {"kind": "purpose", "question": "What is the harbor for?", "answer": "It shelters ships.", "objects": [2]},
        {"kind": "inference", "question": "Is the port busy?", "answer": "Hardly: one ship is there.", "objects": []},
    ],
)
DETAIL = answer("detail", description="A harbor with one ship. The water is calm.")
PLANNING = answer(
    "planning",
    goal="Unload the ship",
    steps=[
        {"action": "Bring the ship alongside.", "needs": "the harbor", "objects": [2]},
        {"action": "Move cargo ashore", "needs": "the ship", "objects": [1, 2]},
    ],
    constraints=["The basin is narrow.", "one berth is free"],
)


def drafts(answers: Answered, *subjects: Subject, spec: SourceSpec) -> tuple[list[Any], Tally]:
    tally = Tally()
    return list(enter(compiled(subjects, answers, tally.generated), spec, tally)), tally


def dior(sample: Path) -> SourceSpec:
    return next(s for s in load_config(sample / "sources.toml").sources if s.name == "dior")


def test_an_image_gets_a_row_of_every_task_that_was_answered(sample: Path) -> None:
    made, tally = drafts(Answered(CONVERSATION, REASONING, DETAIL, PLANNING), subject(), spec=dior(sample))
    by_task = {d.task: d for d in made}
    assert [d.id for d in made] == [
        "dior/train/detailed_description/7", "dior/train/conversation/7", "dior/train/task_planning/7",
    ]  # fmt: skip
    conversation = by_task["conversation"].pairs
    assert [(p.category, p.dialogue) for p in conversation] == [
        ("conv", 0),
        ("conv", 0),
        ("complex", 1),
        ("complex", 2),
    ]
    # numbers of the list skip the object to ignore
    assert [p.objects for p in conversation] == [(1, 2), (1,), (2,), ()]
    assert {p.generator for d in made for p in d.pairs} == {"gpt-4o-2024-11-20"}
    assert [p.template for p in conversation] == ["gpt4v-conversation/1"] * 2 + ["gpt4v-reasoning/1"] * 2
    assert by_task["task_planning"].pairs[0].objects == (2, 1)
    assert "Unload the ship." in by_task["task_planning"].pairs[0].question
    assert {(p[0], c.read_pairs, c.qa_pairs) for p, c in tally.counts.items()} == {
        ("detailed_description", 1, 1), ("conversation", 4, 4), ("task_planning", 1, 1),
    }  # fmt: skip


def test_a_plan_in_words() -> None:
    assert plan_text(PLANNING.content) == (
        "1. Bring the ship alongside (needs the harbor).\n"
        "2. Move cargo ashore (needs the ship).\n"
        "Constraints: The basin is narrow; one berth is free."
    )


def test_the_test_split_has_the_papers_question_and_train_has_several(sample: Path) -> None:
    subjects = [subject(str(i + 100 * (split == "test")), split) for split in ("train", "test") for i in range(30)]
    answers = Answered(*(replace(DETAIL, record=s.record) for s in subjects))
    made, _ = drafts(answers, *subjects, spec=dior(sample))
    asked = {split: {d.pairs[0].question for d in made if d.split == split} for split in ("train", "test")}
    assert asked["test"] == {"What are the key elements in this picture?"}
    assert len(asked["train"]) > 3


def test_an_unfit_answer_is_one_reject_and_none_where_nothing_came(sample: Path) -> None:
    bad = {("detail", "dior/train/7"): Rejected(reason="refused", detail="I cannot help with that.")}
    made, tally = drafts(Answered(CONVERSATION, unfit=bad), subject(), subject("8"), spec=dior(sample))
    assert [d.task for d in made] == ["conversation"]
    (reject,) = tally.rejects
    assert (reject.id, reject.stage, reject.reason) == ("dior/train/detailed_description/7#detail", "gpt4v", "refused")
    assert tally.generated.unfit == {("detail", "refused"): 1}
    assert tally.generated.used == {("conversation", "gpt4v-conversation/1", "gpt-4o-2024-11-20"): 1}
    assert tally.generated.unfit_share == 0.5
    count = tally.part("detailed_description", "dior", "train")
    assert (count.read_pairs, count.qa_pairs) == (1, 0)


def test_one_image_in_two_splits_is_rejected_in_the_second(sample: Path) -> None:
    answers = Answered(DETAIL, replace(DETAIL, record="dior/test/7"))
    made, tally = drafts(answers, subject(), subject(split="test"), spec=dior(sample))
    assert [d.split for d in made] == ["train"]
    assert [r.reason for r in tally.rejects] == ["image is also in the train split of this source"]


def test_an_infrared_subject_keeps_its_modality() -> None:
    item = next(compiled([subject(modality="infrared")], Answered(DETAIL), Generated()))
    assert isinstance(item, Annotation) and item.modality == "infrared" and not isinstance(item, Flaw)
