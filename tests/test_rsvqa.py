"""RSVQA: odd files, files of another split, and the real size in the real layout."""

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from benchmarks.reading import PARTS, SPLITS, measure, write_rsvqa_hr
from items import notes
from rs_gpt4v_conversion.build import plan
from rs_gpt4v_conversion.config import load_config
from rs_gpt4v_conversion.errors import SourceError
from rs_gpt4v_conversion.records import Annotation, Flaw, Note
from rs_gpt4v_conversion.sources import Folder, known_sources
from rs_gpt4v_conversion.sources._rsvqa import Numbers
from shared import shared

OURS = {"train": "train", "val": "validation", "test": "test", "test_phili": "phili"}
Item = Annotation | Flaw | Note


def read(root: Path) -> list[Any]:
    return list(known_sources()["rsvqa_lr"].read(Folder(root), {}))


class Draft:
    """Files of RSVQA-LR under way: three splits with two images and four questions each, and their placeholders."""

    def __init__(self) -> None:
        self.files: dict[str, dict[str, list[dict[str, Any]]]] = {}
        for s, split in enumerate(("train", "val", "test")):
            parts = self.files[split] = {part: [] for part in PARTS}
            for image in range(6):
                mine = image // 2 == s
                parts["images"].append({"id": image, "res_x": "10m", "questions_ids": [2 * image, 2 * image + 1]})
                for number in (2 * image, 2 * image + 1):
                    question = f"Is object {number} there?"
                    parts["questions"].append(
                        {"id": number, "img_id": image, "type": "presence", "question": question,
                         "answers_ids": [number]}
                    )  # fmt: skip
                    parts["answers"].append({"id": number, "question_id": number, "answer": "yes"})
                for part in PARTS:
                    for record in parts[part][-2 if part != "images" else -1 :]:
                        record["active"] = mine
                        if not mine:
                            for key in record.keys() - {"id", "active"}:
                                del record[key]

    def active(self, split: str, part: str) -> list[dict[str, Any]]:
        return [record for record in self.files[split][part] if record["active"]]

    def write(self, root: Path) -> Path:
        for split, parts in self.files.items():
            for part, records in parts.items():
                (root / f"LR_split_{split}_{part}.json").write_text(json.dumps({part: records}))
        return root


@pytest.fixture
def draft() -> Draft:
    return Draft()


def facts(items: list[Any]) -> dict[tuple[str, str], list[tuple[str, str]]]:
    return {
        (a.split, a.image.image_id): [(f.question, f.answer) for f in a.facts]
        for a in items
        if isinstance(a, Annotation)
    }


def flaws(items: list[Any]) -> Counter[tuple[str, str]]:
    return Counter((f.split, f.reason) for f in items if isinstance(f, Flaw))


def test_a_sound_source_has_no_flaws_and_no_notes(draft: Draft, tmp_path: Path) -> None:
    items = read(draft.write(tmp_path))
    assert len(facts(items)) == len(items) == 6
    assert facts(items)["validation", "2"] == [("Is object 4 there?", "yes"), ("Is object 5 there?", "yes")]
    assert {a.image.gsd for a in items} == {10.0}


@pytest.mark.parametrize("other", ["val", "test"])
def test_questions_or_answers_of_another_split_are_refused(draft: Draft, tmp_path: Path, other: str) -> None:
    own = draft.files["train"]["answers"]
    draft.files["train"]["answers"] = draft.files[other]["answers"]
    with pytest.raises(SourceError) as found:
        read(draft.write(tmp_path))
    assert str(found.value) == (
        f"{tmp_path / 'LR_split_train_answers.json'}: found answers to none of the 4 active questions of "
        "LR_split_train_questions.json, expected one to each; is one of the two another split's file?"
    )
    draft.files["train"].update(answers=own, questions=draft.files[other]["questions"])
    message = rf"train_questions\.json: found questions about no image but those of LR_split_{other}_questions\.json"
    with pytest.raises(SourceError, match=message):
        read(draft.write(tmp_path))


@pytest.mark.parametrize(("split", "other"), [("train", "test"), ("test", "train"), ("val", "train")])
def test_a_split_under_the_name_of_another_is_refused(draft: Draft, tmp_path: Path, split: str, other: str) -> None:
    draft.files[split] = draft.files[other]
    first, last = sorted((split, other), key=["train", "val", "test"].index)
    message = (
        rf"LR_split_{first}_questions\.json: found questions about no image but those of "
        rf"LR_split_{last}_questions\.json, expected other images; is one of the two another split's file"
    )
    with pytest.raises(SourceError, match=message):
        read(draft.write(tmp_path))


def test_a_file_without_an_active_question_is_refused(draft: Draft, tmp_path: Path) -> None:
    for record in draft.active("val", "questions"):
        record["active"] = False
    with pytest.raises(SourceError, match=r"LR_split_val_questions\.json: found no active question"):
        read(draft.write(tmp_path))


def test_an_image_that_two_splits_ask_about_stays_in_the_later_one(draft: Draft, tmp_path: Path) -> None:
    for record in draft.active("train", "questions")[:2]:
        record["img_id"] = 5  # of test
    items = read(draft.write(tmp_path))
    assert flaws(items) == {("train", "image of another split"): 2}
    assert ("train", "5") not in facts(items)
    assert len(facts(items)["test", "5"]) == 2
    (first, _) = (f for f in items if isinstance(f, Flaw))
    assert (first.image_id, first.record, first.detail) == (
        "5", "question 0", 'a string "LR_split_test_questions.json"',
    )  # fmt: skip


def test_an_image_that_two_splits_list_as_active_is_a_note(draft: Draft, tmp_path: Path) -> None:
    draft.files["train"]["images"][5] = dict(draft.files["test"]["images"][5])
    items = read(draft.write(tmp_path))
    assert notes(items) == {"image that two splits list as active": 1}
    assert len(facts(items)) == 6


def test_questions_about_images_that_are_not_active_are_kept(draft: Draft, tmp_path: Path) -> None:
    before = facts(read(draft.write(tmp_path)))
    for record in draft.active("train", "images"):
        record["active"] = False
    items = read(draft.write(tmp_path))
    assert facts(items) == before
    assert notes(items) == {"image that its split's file of images does not list as active": 2}
    assert [a.image.gsd for a in items if isinstance(a, Annotation) and a.split == "train"] == [None, None]


def test_inactive_rows_are_passed_over_whatever_they_hold(draft: Draft, tmp_path: Path) -> None:
    draft.files["train"]["questions"][0]["active"] = False
    draft.files["train"]["answers"][0]["active"] = False
    items = read(draft.write(tmp_path))
    assert facts(items)["train", "0"] == [("Is object 1 there?", "yes")]
    assert not flaws(items)
    assert not notes(items)


def test_a_record_that_does_not_say_whether_it_is_active_is(draft: Draft, tmp_path: Path) -> None:
    for part in PARTS:
        del draft.files["train"][part][0]["active"]
    items = read(draft.write(tmp_path))
    assert facts(items)["train", "0"] == [("Is object 0 there?", "yes"), ("Is object 1 there?", "yes")]
    assert not flaws(items)
    assert not notes(items)


def test_images_in_another_case_and_twins_of_missing_ones_are_found(draft: Draft, tmp_path: Path) -> None:
    names = ("0.TIF", "1.png", "2.tif", "2.png")
    (tmp_path / "Images_LR").mkdir()
    for name in names:
        (tmp_path / "Images_LR" / name).touch()
    found = {a.image.image_id: a.image for a in read(draft.write(tmp_path)) if isinstance(a, Annotation)}
    assert [found[i].path.name for i in "0123"] == ["0.TIF", "1.png", "2.tif", "3.tif"]
    assert found["0"].source_id == "0.tif"
    assert found["0"].image_path == "RSVQA_LR/Images_LR/0.tif"


def test_a_repeated_question_id_is_a_reject(draft: Draft, tmp_path: Path) -> None:
    draft.files["train"]["questions"].append({**draft.files["train"]["questions"][1], "question": "Another?"})
    items = read(draft.write(tmp_path))
    assert flaws(items) == {("train", "question id listed twice"): 1}
    assert facts(items)["train", "0"] == [("Is object 0 there?", "yes"), ("Is object 1 there?", "yes")]


@pytest.mark.parametrize("where", [0, -1])
@pytest.mark.parametrize("listed", [True, False])
def test_all_answers_of_a_question_are_pairs(draft: Draft, tmp_path: Path, where: int, listed: bool) -> None:
    """Also where the question does not say so, and where it comes late: then the questions are gone through again."""
    answers = draft.files["train"]["answers"]
    answers.insert(where if where >= 0 else len(answers), {"id": 99, "question_id": 2, "answer": "no", "active": True})
    if listed:
        draft.files["train"]["questions"][2]["answers_ids"].append(99)
    items = read(draft.write(tmp_path))
    assert sorted(facts(items)["train", "1"]) == [
        ("Is object 2 there?", "no"), ("Is object 2 there?", "yes"), ("Is object 3 there?", "yes"),
    ]  # fmt: skip
    assert not flaws(items)
    assert not notes(items)


def test_a_question_that_does_not_list_its_answers_gets_them_all(draft: Draft, tmp_path: Path) -> None:
    before = facts(read(draft.write(tmp_path)))
    for record in draft.active("train", "questions"):
        del record["answers_ids"]
    draft.files["train"]["answers"].reverse()
    assert facts(read(draft.write(tmp_path))) == before


def test_answers_without_a_question_are_a_note(draft: Draft, tmp_path: Path) -> None:
    for number in (77, "3", None):
        draft.files["val"]["answers"].append({"id": 70, "question_id": number, "answer": "no", "active": True})
    items = read(draft.write(tmp_path))
    assert notes(items) == {"answer without a question": 3}
    assert len(facts(items)) == 6


def test_integer_answers_are_made_text(draft: Draft, tmp_path: Path) -> None:
    draft.files["train"]["answers"][0]["answer"] = 4
    draft.files["train"]["answers"][1]["answer"] = True
    draft.files["train"]["answers"][2]["answer"] = 4.5
    items = read(draft.write(tmp_path))
    assert facts(items)["train", "0"] == [("Is object 0 there?", "4")]
    assert notes(items) == {"answer that is a number, made text": 1}
    assert flaws(items) == {("train", "answer is no text"): 2}


@pytest.mark.parametrize("value", [None, "3", 2.5, True, [1], {"a": 1}])
@pytest.mark.parametrize("key", ["id", "img_id", "type", "question"])
def test_a_bad_value_in_one_record_is_one_reject(draft: Draft, tmp_path: Path, key: str, value: Any) -> None:
    draft.files["train"]["questions"][3][key] = value
    items = read(draft.write(tmp_path))
    if key == "question" and isinstance(value, str):
        assert not flaws(items)
        return
    reasons = {
        "id": "question without a whole id", "img_id": "question without a whole img_id",
        "type": "unknown question type", "question": "question is no text",
    }  # fmt: skip
    assert flaws(items) == {("train", reasons[key]): 1}
    assert len(facts(items)["train", "1"]) == 1


@pytest.mark.parametrize("value", [None, "3", [1]])
def test_a_bad_id_of_an_image_is_a_note(draft: Draft, tmp_path: Path, value: Any) -> None:
    draft.active("train", "images")[0]["id"] = value
    assert notes(read(draft.write(tmp_path))) == {
        "entry of a file of images without a whole id, left out": 1,
        "image that its split's file of images does not list as active": 1,
    }


def test_a_set_of_ids_holds_what_a_set_holds() -> None:
    numbers, plain = Numbers(), set()
    for number in (5, 5, -1, 1023, 1024, 3000, 2**26 - 1, 2**26, 2**26 + 5, 10**30, -1, 5, 10**30, 0):
        assert numbers.add(number) == (number not in plain)
        plain.add(number)
    assert all(n in numbers for n in plain)
    assert not any(n in numbers for n in (1, 6, -2, 2**26 + 1, "5", None))


def test_real_files_are_whole() -> None:
    for kind, pairs in (("rsvqa_lr", 1200), ("rsvqa_hr", 1000)):
        items = list(known_sources()[kind].read(Folder(shared("realdata", kind)), {}))
        assert sum(len(a.facts) for a in items if isinstance(a, Annotation)) == pairs
        assert not flaws(items)
        assert all("no files of the official split" in reason for reason in notes(items))


def write_toml(folder: Path, share: float) -> tuple[Path, dict[str, tuple[int, int]]]:
    counts = write_rsvqa_hr(folder / "hr", share)
    toml = folder / "sources.toml"
    toml.write_text('version = "1.0.0"\ndate = "2026-01-01"\n[[source]]\nkind = "rsvqa_hr"\nroot = "hr"\n')
    return toml, counts


def test_a_fiftieth_of_rsvqa_hr_is_counted_exactly(tmp_path: Path) -> None:
    toml, counts = write_toml(tmp_path, 0.02)
    lines, tally = plan(load_config(toml))
    assert {x.split: (x.read_images, x.read_pairs) for x in lines} == {OURS[s]: n for s, n in counts.items()}
    assert all(x.read_pairs == x.qa_pairs for x in lines)
    assert not tally.rejects
    assert not tally.notes


@pytest.mark.long
def test_rsvqa_hr_at_its_real_size_plans_in_bounded_memory_and_time(tmp_path: Path) -> None:
    toml, counts = write_toml(tmp_path, 1.0)
    assert counts == SPLITS
    for split in SPLITS:
        for part, listed in (("questions", 1_056_514), ("answers", 1_056_514), ("images", 10_561)):
            path = tmp_path / "hr" / f"USGS_split_{split}_{part}.json"
            assert path.read_bytes().count(b'"active": ') == listed
    cpu, _, peak, out = measure([sys.executable, "-m", "rs_gpt4v_conversion", "plan", str(toml), "--json"])
    rows = {row["split"]: (row["read_images"], row["read_pairs"]) for row in json.loads(out)["rows"]}
    assert rows == {OURS[split]: count for split, count in SPLITS.items()}
    assert peak < 500  # MB
    assert cpu < 120  # seconds
