"""NWPU-Captions, FloodNet-VQA, RSIVQA: their traps, and the paper's figures on their official files."""

import json
import re
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rs_gpt4v_conversion.build import plan
from rs_gpt4v_conversion.cli import main
from rs_gpt4v_conversion.config import load_config
from rs_gpt4v_conversion.errors import SourceError
from rs_gpt4v_conversion.paper import Line
from rs_gpt4v_conversion.reading import Tally
from rs_gpt4v_conversion.records import Annotation, Caption, Flaw, Note, Question
from rs_gpt4v_conversion.sample import SOURCES
from rs_gpt4v_conversion.sources import Folder, known_sources
from rs_gpt4v_conversion.sources._images import Images
from rs_gpt4v_conversion.sources._lines import load_lines
from rs_gpt4v_conversion.sources.rsivqa import COLLECTIONS, HRRSD, UCM, _parse
from shared import shared

Item = Annotation | Flaw | Note


def read(kind: str, root: Path, **options: str) -> list[Item]:
    return list(known_sources()[kind].read(Folder(root), options))  # type: ignore[arg-type]


def annotations(items: list[Item]) -> list[Annotation]:
    return [item for item in items if isinstance(item, Annotation)]


def reasons(items: list[Item]) -> Counter[str]:
    return Counter(item.reason for item in items if isinstance(item, Flaw))


def notes(items: list[Item]) -> dict[str, int]:
    return {item.reason: item.count for item in items if isinstance(item, Note)}


def planned(toml: Path, *tables: str) -> tuple[dict[tuple[str, str], Line], Tally]:
    head = 'version = "1.0.0"\ndate = "2026-01-01"\n'
    toml.write_text(head + "".join(f"[[source]]\n{table}\n" for table in tables))
    lines, tally = plan(load_config(toml))
    return {(line.source, line.split): line for line in lines}, tally


@pytest.fixture
def copy(sample: Path, tmp_path: Path) -> Callable[[str], Path]:
    """A copy of a source that a test may break."""

    def make(kind: str) -> Path:
        root = tmp_path / SOURCES[kind][0]
        shutil.copytree(sample / SOURCES[kind][0], root)
        return root

    return make


def edit(path: Path, change: Callable[[Any], object]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


# --- files as they lie


def test_images_are_found_by_name_by_another_case_and_without_extension(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    for folder, names in ((first, ("1.JPG", "2.tif")), (second, ("1.jpg", "P3.PNG", "P4.txt"))):
        folder.mkdir()
        for name in names:
            (folder / name).touch()
    images = Images(tmp_path / "not there", first, second)
    assert images.path("1.JPG") == first / "1.JPG"
    assert images.path("1.jpg") == second / "1.jpg"
    assert images.path("2.TIF") == first / "2.tif"
    assert images.path("P3", ".png") == second / "P3.PNG"
    assert images.path("P3", ".jpg") == second / "P3.PNG"
    assert images.path("P4", ".png") == first / "P4.png"  # no text file is an image
    assert images.path("P3") == first / "P3"  # the name has its extension, or there is none
    assert Images(tmp_path / "x", tmp_path / "y").path("1.jpg") == tmp_path / "x" / "1.jpg"
    assert Images(first / "1.JPG").path("1") == first / "1.JPG" / "1"  # a file is no folder


def test_lines_are_numbered_whatever_ends_them(tmp_path: Path) -> None:
    path = tmp_path / "lines.txt"
    path.write_bytes("\ufeffa \r\n\r\n b\n\n\u2028c".encode())
    assert load_lines(Folder(tmp_path), path) == [(1, "a"), (3, "b"), (5, "c")]
    path.write_bytes(b"caf\xe9")
    with pytest.raises(SourceError, match=r"lines\.txt: found byte 3, which is not UTF-8"):
        load_lines(Folder(tmp_path), path)


@pytest.mark.parametrize("kind", ["rsicd", "ucm_captions", "sydney_captions", "rsitmd", "nwpu_captions"])
def test_images_of_caption_sets_are_found_in_another_case(copy: Callable[[str], Path], kind: str) -> None:
    root = copy(kind)
    before = annotations(read(kind, root))
    for path in {item.image.path for item in before if item.image.path.exists()}:
        path.rename(path.with_suffix(path.suffix.upper()))
    after = annotations(read(kind, root))
    assert {item.image.path.suffix for item in after if item.image.path.exists()} <= {".JPG", ".TIF"}
    assert sum(item.image.path.exists() for item in after) == sum(item.image.path.suffix.isupper() for item in after)
    assert any(item.image.path.exists() for item in after)
    assert [item.image.image_path for item in after] == [item.image.image_path for item in before]


def test_images_without_captions_are_a_note_and_a_file_without_images_is_refused(copy: Callable[[str], Path]) -> None:
    root = copy("rsicd")
    path = root / "dataset_rsicd.json"
    edit(path, lambda content: content["images"][0].update(sentences=[]))
    assert notes(read("rsicd", root)) == {"image without a caption, left out": 1}
    edit(path, lambda content: content.update(images=[]))
    with pytest.raises(SourceError, match=r"dataset_rsicd\.json, images: found no image, expected a list of images"):
        read("rsicd", root)


# --- NWPU-Captions

NWPU_FILE = "dataset_nwpu.json"


def first(content: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    return next(iter(content.values()))[0]


def test_the_folder_of_a_class_is_the_one_that_is_there(copy: Callable[[str], Path]) -> None:
    root = copy("nwpu_captions")
    before = annotations(read("nwpu_captions", root))
    blank = [a for a in before if " " in a.image.path.parent.name]
    assert blank
    for item in blank:
        folder = item.image.path.parent
        assert item.image.path.is_file()
        assert item.image.image_path == f"NWPU-RESISC45/{folder.name.replace(' ', '_')}/{item.image.source_id}"
        folder.rename(folder.with_name(folder.name.replace(" ", "-").title()))
    (root / "NWPU_images").rename(root / "NWPU-RESISC45")
    after = annotations(read("nwpu_captions", root))
    assert all(item.image.path.is_file() for item in after)
    assert [a.image.image_path for a in after] == [a.image.image_path for a in before]
    (root / "NWPU-RESISC45" / blank[0].image.source_id.rsplit("_", 1)[0]).mkdir()  # spelt as in the file: that one
    changed = next(a for a in annotations(read("nwpu_captions", root)) if a.image.source_id == blank[0].image.source_id)
    assert not changed.image.path.exists()


def test_captions_are_kept_as_they_are_written_but_for_blanks_at_their_ends(copy: Callable[[str], Path]) -> None:
    root = copy("nwpu_captions")
    texts = [f.text for a in annotations(read("nwpu_captions", root)) for f in a.facts if isinstance(f, Caption)]
    assert any("\u00a0" in text for text in texts)
    assert any("  " in text for text in texts)
    assert "." in texts  # rejected later, where blank captions are counted
    assert len(texts) == 5 * 8
    edit(root / NWPU_FILE, lambda c: first(c).update(raw=" caf\u0065\u0301 .\n", raw_5="Sixth ."))
    image = annotations(read("nwpu_captions", root))[0]
    assert image.facts[0] == Caption(text="caf\u0065\u0301 .")
    assert image.facts[-1] == Caption(text="Sixth .")


def test_captions_and_names_that_are_none_are_counted(copy: Callable[[str], Path]) -> None:
    root = copy("nwpu_captions")
    edit(root / NWPU_FILE, lambda c: first(c).update(raw=None))
    edit(root / NWPU_FILE, lambda c: first(c).pop("raw_4"))
    edit(root / NWPU_FILE, lambda c: c.setdefault("zoo", [first(c) | {"split": "test"}]))
    edit(root / NWPU_FILE, lambda c: c.setdefault("../up", [first(c) | {"filename": "up_1.jpg"}]))
    edit(root / NWPU_FILE, lambda c: c.setdefault("zzz", [first(c) | {"filename": "/etc/passwd"}]))
    items = read("nwpu_captions", root)
    assert reasons(items) == {
        "caption is no text": 2, "image listed twice": 5, "image name leaves its folder": 10,
    }  # fmt: skip
    assert {f.record for f in items if isinstance(f, Flaw) and f.reason == "image listed twice"} == {
        f"zoo[0].raw{n}" for n in ("", "_1", "_2", "_3", "_4")
    }
    assert sum(len(a.facts) for a in annotations(items)) == 5 * 8 - 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.update(dataset="rsicd"), 'dataset: found a string "rsicd", expected a list'),
        (
            lambda c: first(c).update(split="valid"),
            r"\[0\]\.split: found 'valid', expected one of",
        ),
        (lambda c: first(c).pop("filename"), r"\[0\]\.filename: found nothing, expected a string"),
        (lambda c: [first(c).pop(k) for k in list(first(c)) if k.startswith("raw")], "expected captions raw to raw_4"),
        (lambda c: c.clear(), "found no class"),
    ],
)
def test_files_that_are_not_nwpus_are_refused(copy: Callable[[str], Path], change: Any, message: str) -> None:
    root = copy("nwpu_captions")
    edit(root / NWPU_FILE, change)
    with pytest.raises(SourceError, match=f"{NWPU_FILE}, .*{message}|{NWPU_FILE}: {message}"):
        read("nwpu_captions", root)


def test_captions_of_another_source_are_refused(copy: Callable[[str], Path], sample: Path) -> None:
    root = copy("nwpu_captions")
    shutil.copy(sample / "RSICD" / "dataset_rsicd.json", root / NWPU_FILE)
    with pytest.raises(SourceError, match=r"images\[0\]: found the keys filename.*is it another dataset's file\?"):
        read("nwpu_captions", root)
    with pytest.raises(SourceError, match="found the keys"):
        shutil.copy(sample / "NWPU-Captions" / NWPU_FILE, root / "dataset_rsicd.json")
        read("rsicd", root)


CLASSES, A_CLASS = 45, 700
REPEATS = 106  # captions of train that repeat one of their image: what 5 x 25,200 exceeds the paper's figure by


def official_form() -> dict[str, list[dict[str, Any]]]:
    """A file with the official numbers of classes, images, splits and repeats."""
    content: dict[str, list[dict[str, Any]]] = {}
    count = 0
    for number in range(CLASSES):
        name = f"class_{number:02d}"
        for i in range(1, A_CLASS + 1):
            split = "train" if i <= 560 else "val" if i <= 630 else "test"
            texts = [f"{name} seen {i} times by {who} ." for who in "abcde"]
            if split == "train" and count < REPEATS:
                texts[1] = texts[0]
                count += 1
            keys = ("raw", "raw_1", "raw_2", "raw_3", "raw_4")
            record = {"filename": f"{name}_{i:03d}.jpg", "split": split, **dict(zip(keys, texts, strict=True))}
            content.setdefault(name, []).append(record)
    return content


def test_the_papers_figures_of_nwpu(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "elsewhere.json").write_text(json.dumps(official_form()))
    table = 'kind = "nwpu_captions"\nroot = "here"\nannotations = "elsewhere.json"'
    found, tally = planned(tmp_path / "s.toml", table)
    train, validation, test = (found["nwpu_captions", split] for split in ("train", "validation", "test"))
    assert (train.read_images, train.read_pairs, train.merged) == (25200, 125894, 106)
    assert (train.paper_images, train.paper_qa_pairs) == (25200, 125894)
    assert (validation.read_images, validation.read_pairs) == (3150, 15750)
    assert (test.read_images, test.read_questions, test.read_pairs) == (3150, 3150, 15750)
    assert (test.paper_images, test.paper_qa_pairs) == (3150, 1093)  # the paper's slip
    assert "1,093 repeats RSICD's" in known_sources()["nwpu_captions"].paper["captioning", "test"].note
    assert not tally.rejects


# --- FloodNet-VQA

TRAIN = Path("Questions") / "Training Question.json"


def test_floodnets_questions_by_type(sample: Path) -> None:
    items = read("floodnet_vqa", sample / "FloodNet")
    raw = json.loads((sample / "FloodNet" / TRAIN).read_text())
    expected = {
        "Condition_Recognition": "condition", "Yes_No": "yes_no", "Simple_Counting": "count",
        "Complex_Counting": "complex_count",
    }  # fmt: skip
    asked = {
        (a.image.source_id, f.question, f.answer, f.category)
        for a in annotations(items)
        for f in a.facts
        if isinstance(f, Question)
    }
    assert asked == {
        (r["Image_ID"], r["Question"], str(r["Ground_Truth"]), expected[r["Question_Type"]]) for r in raw.values()
    }
    answers = {answer for _, _, answer, _ in asked}
    assert {"Yes", "No", "flooded", "non flooded", "flooded,non flooded"} <= answers
    assert {type(r["Ground_Truth"]) for r in raw.values()} == {int, str}
    assert {a.split for a in annotations(items)} == {"train"}
    assert notes(items) == {f"question of the official split '{s}': no answers": 10 for s in ("valid", "test")}


def test_floodnets_files_by_either_name_and_without_their_folders(copy: Callable[[str], Path]) -> None:
    root = copy("floodnet_vqa")
    before = read("floodnet_vqa", root)
    for path in list((root / "Questions").iterdir()):
        path.rename(root / (path.name.replace("_", " ") if "_" in path.name else path.name.replace(" ", "_")))
    for path in list((root / "Images" / "Train_Image").iterdir()):
        path.rename(path.with_suffix(".jpg"))
    (root / "Images" / "Train_Image").rename(root / "Train_Image")
    after = read("floodnet_vqa", root)
    assert [a.facts for a in annotations(after)] == [a.facts for a in annotations(before)]
    assert [a.image.image_path for a in annotations(after)] == [a.image.image_path for a in annotations(before)]
    assert all(a.image.path.is_file() and a.image.path.suffix == ".jpg" for a in annotations(after))


def test_floodnets_running_number_is_no_order(copy: Callable[[str], Path]) -> None:
    root = copy("floodnet_vqa")
    before = {a.image.image_id: set(a.facts) for a in annotations(read("floodnet_vqa", root))}
    content = json.loads((root / TRAIN).read_text())
    (root / TRAIN).write_text(json.dumps({str(7 * int(k)): v for k, v in reversed(content.items())}))
    assert {a.image.image_id: set(a.facts) for a in annotations(read("floodnet_vqa", root))} == before


def test_floodnets_flaws_are_counted(copy: Callable[[str], Path]) -> None:
    root = copy("floodnet_vqa")
    changes: dict[str, dict[str, Any]] = {
        "0": {"Ground_Truth": None}, "1": {"Ground_Truth": True}, "2": {"Ground_Truth": [3]},
        "3": {"Question": None}, "4": {"Question_Type": "Colour"}, "5": {"Question_Type": ["Yes_No"]},
        "6": {"Image_ID": "../1.JPG"}, "7": {"Image_ID": None}, "8": {"Question_Type": "Road_Condition_Recognition"},
    }  # fmt: skip
    edit(root / TRAIN, lambda c: [c[key].update(change) for key, change in changes.items()])
    items = read("floodnet_vqa", root)
    assert reasons(items) == {
        "question without answer": 1, "answer is no text": 2, "question is no text": 1, "unknown question type": 2,
        "image name leaves its folder": 1, "image without a name": 1,
    }  # fmt: skip
    assert sum(len(a.facts) for a in annotations(items)) == 20 - 8
    raw = json.loads((root / TRAIN).read_text())["8"]
    facts = {f for a in annotations(items) if a.image.source_id == raw["Image_ID"] for f in a.facts}
    assert Question(question=raw["Question"], answer=raw["Ground_Truth"], category="condition") in facts


def test_floodnets_files_of_other_splits_are_refused(copy: Callable[[str], Path]) -> None:
    root = copy("floodnet_vqa")
    train, valid = root / TRAIN, root / "Questions" / "Valid Question.json"
    kept = train.read_bytes()
    shutil.copy(valid, train)
    with pytest.raises(SourceError, match=r"Training Question\.json: found no Ground_Truth .* of another split\?"):
        read("floodnet_vqa", root)
    train.write_bytes(kept)
    shutil.copy(train, valid)
    with pytest.raises(SourceError, match=r"Valid Question\.json, question 0: found an answer.*the training file\?"):
        read("floodnet_vqa", root)
    valid.unlink()
    assert "no file of the official split 'valid' in the folder" in notes(read("floodnet_vqa", root))
    train.unlink()
    with pytest.raises(SourceError, match=r"Questions/Training Question\.json: found no such file"):
        read("floodnet_vqa", root)


@pytest.mark.parametrize("content", ['{"0": 3}', '{"0": {"Image_ID": "1.JPG"}}', "{}"])
def test_files_that_are_not_floodnets_are_refused(copy: Callable[[str], Path], content: str) -> None:
    root = copy("floodnet_vqa")
    (root / TRAIN).write_text(content)
    with pytest.raises(SourceError, match=r"Training Question\.json.* is it another dataset's file\?"):
        read("floodnet_vqa", root)


def test_the_papers_figures_of_floodnet(tmp_path: Path) -> None:
    root = shared("realdata", "floodnet_vqa")
    found, tally = planned(tmp_path / "s.toml", f'kind = "floodnet_vqa"\nroot = "{root}"')
    line = found["floodnet_vqa", "train"]
    assert (line.read_images, line.read_pairs, line.merged) == (1448, 4511, 0)  # no image has a question twice
    assert (line.images, line.qa_pairs) == (line.paper_images, line.paper_qa_pairs) == (1448, 4511)
    assert len(found) == 1
    assert tally.notes == {
        ("floodnet_vqa", "question of the official split 'valid': no answers"): 1415,
        ("floodnet_vqa", "no file of the official split 'test' in the folder"): 1,
    }
    facts = [f for a in annotations(read("floodnet_vqa", root)) for f in a.facts if isinstance(f, Question)]
    assert Counter(f.category for f in facts) == {"condition": 2315, "yes_no": 867, "complex_count": 693, "count": 636}
    assert sum(f.answer == "flooded,non flooded" for f in facts) == 8


# --- RSIVQA

LIST = Path("OPT2017") / "ImageSets" / "Main" / "train.txt"
LINES = Path("HRRSD") / "opt_val_vqa.txt"


def test_the_papers_part_is_hrrsds_training_list(sample: Path) -> None:
    root = sample / "RSIVQA"
    items = read("rsivqa", root)
    listed = (root / LIST).read_text().split()
    assert [a.image.image_id for a in annotations(items)] == [f"hrrsd_{name}" for name in listed]
    assert [a.image.origin for a in annotations(items)] == [f"hrrsd/{name}" for name in listed]
    assert [a.image.source_id for a in annotations(items)] == [f"{name}.jpg" for name in listed]
    inside = [line for line in (root / LINES).read_text().splitlines() if line[:5] in listed]
    assert reasons(items) == {"repeats a line of the same image": 1}
    assert sum(len(a.facts) for a in annotations(items)) == len(inside) - 1
    total = len((root / LINES).read_text().splitlines())
    assert notes(items) == {
        "line of an image that is not in HRRSD's training list": total - len(inside),
        "question file of a collection that is not in the paper's part": 6,
    }


def test_all_collections(sample: Path) -> None:
    root = sample / "RSIVQA"
    items = read("rsivqa", root, subset="all")
    assert {a.image.origin.split("/")[0] for a in annotations(items)} == {c.name for c in COLLECTIONS}
    assert all(a.image.path.is_file() and a.split == "train" for a in annotations(items))
    ids = [a.image.image_id for a in annotations(items)]
    assert len(ids) == len(set(ids)) == 8
    assert {"sydney_1", "ucm_1", "dota_P0000", "dota_P0003"} <= set(ids)
    assert reasons(items) == {"repeats a line of the same image": 1, "question has lost its noun": 2}
    assert not notes(items)
    total = sum(len(path.read_text().splitlines()) for c in COLLECTIONS for path in map(root.joinpath, c.files))
    assert sum(len(a.facts) for a in annotations(items)) + 3 == total
    (ucm,) = (a for a in annotations(items) if a.image.image_id == "ucm_1")  # one image of two files
    assert [f.category for f in ucm.facts if isinstance(f, Question)] == ["theme", "theme", "presence", "count"]
    assert ucm.image.image_path == "RSIVQA/UCM/1.tif"
    (dota,) = (a for a in annotations(items) if a.image.image_id == "dota_P0000")
    assert dota.image.path.name == "P0000.png"
    for item in annotations(items):
        for fact in item.facts:
            assert isinstance(fact, Question)
            assert fact.question.endswith("?")
            assert fact.question == fact.question.strip()
            assert fact.answer == fact.answer.strip()


@pytest.mark.parametrize(
    ("text", "question", "answer", "category"),
    [
        ("00001: how many ships are in this picture?4", "how many ships are in this picture?", "4", "count"),
        ("00001: does this picture contain ship ?yes ", "does this picture contain ship?", "yes", "presence"),
        ("00001:What is the theme of this picture?beach", "What is the theme of this picture?", "beach", "theme"),
        ("00001:What is the location of the pond in this picture?center",
         "What is the location of the pond in this picture?", "center", "position"),
        ("00001:Is it a ship? Or a boat?ship: large", "Is it a ship? Or a boat?", "ship: large", "other"),
        ("00001:how many ships in the picture?", "how many ships in the picture?", "", "count"),
    ],
)  # fmt: skip
def test_a_line_of_rsivqa(text: str, question: str, answer: str, category: str) -> None:
    line = _parse(text, "f.txt", 3, HRRSD)
    assert line.question == Question(question=question, answer=answer, category=category)
    assert (line.image, line.flaw, line.where) == ("00001", "", "f.txt line 3")


@pytest.mark.parametrize(
    ("text", "flaw"),
    [
        ("1.tif:How many  in the picture?zero", "question has lost its noun"),
        ("1.tif:How many in the picture?zero", "question has lost its noun"),
        ("1.tif:What is the location of the  in this picture?i cannot see it", "question has lost its noun"),
        ("1.tif:how many ships", "line is not <image>:<question>?<answer>"),
        ("1.tif:?yes", "line is not <image>:<question>?<answer>"),
        ("1.tif is it a ship?yes", "line is not <image>:<question>?<answer>"),
        ("../1.tif: is it a ship?yes", "image name leaves its folder"),
        (" : is it a ship?yes", "image without a name"),
        ("P0001: is it a ship?yes", "image name is not of this collection"),
        ("\u0661.tif: is it a ship?yes", "image name is not of this collection"),
    ],
)
def test_a_flawed_line_of_rsivqa(text: str, flaw: str) -> None:
    line = _parse(text, "f.txt", 1, UCM)
    assert (line.flaw, line.question) == (flaw, None)


words = st.text(st.characters(exclude_characters=":?", exclude_categories=("Cs", "Cc")), min_size=1).filter(str.strip)


@given(number=st.integers(0, 99999), question=words, answer=words, blank=st.sampled_from(["", " "]))
def test_a_line_says_what_was_written_into_it(number: int, question: str, answer: str, blank: str) -> None:
    question = f"Do you see {question.strip()}"  # no form of a question without its noun
    line = _parse(f"{number:05d}:{blank}{question}?{answer}", "f.txt", 1, HRRSD)
    assert line.image == f"{number:05d}"
    assert line.question == Question(question=f"{question.strip()}?", answer=answer.strip(), category="other")


def test_rsivqa_with_other_line_ends_and_blank_lines_is_the_same(copy: Callable[[str], Path]) -> None:
    root = copy("rsivqa")
    before = [a.facts for a in annotations(read("rsivqa", root))]
    for path in (root / LINES, root / LIST):
        path.write_bytes(b"\xef\xbb\xbf\r\n" + path.read_bytes().replace(b"\n", b" \r\n\r\n"))
    (root / LIST).write_text((root / LIST).read_text(encoding="utf-8-sig").replace("00001", "00001.jpg"))
    assert [a.facts for a in annotations(read("rsivqa", root))] == before


def test_every_line_is_a_fact_or_a_flaw(copy: Callable[[str], Path]) -> None:
    root = copy("rsivqa")
    lines = (root / LINES).read_text().splitlines()
    extra = ["00001: does this pic", "no colon", "00001: how many  in the picture?2", "00003: cut", "a/b: is it?no"]
    (root / LINES).write_text("\n".join([*lines, *extra]))
    items = read("rsivqa", root)
    left_out = notes(items)["line of an image that is not in HRRSD's training list"]
    kept = sum(len(a.facts) for a in annotations(items))
    assert kept + sum(reasons(items).values()) + left_out == len(lines) + len(extra)
    assert reasons(items) == {
        "repeats a line of the same image": 1, "line is not <image>:<question>?<answer>": 2,
        "question has lost its noun": 1,
    }  # fmt: skip
    assert "question file without a line break at its end: it may be cut off" in notes(items)


def test_hrrsds_list_is_found_or_named_or_asked_for(copy: Callable[[str], Path], tmp_path: Path) -> None:
    root = copy("rsivqa")
    before = [a.facts for a in annotations(read("rsivqa", root))]
    shutil.move(root / "OPT2017", root / "HRRSD" / "OPT2017")
    inside = annotations(read("rsivqa", root))
    assert [a.facts for a in inside] == before
    assert all(a.image.path.is_file() for a in inside)
    shutil.move(root / "HRRSD" / "OPT2017", tmp_path / "OPT2017")
    with pytest.raises(SourceError, match=r"train\.txt: found no such file, .* `hrrsd_train`, or .* subset = \"all\""):
        read("rsivqa", root)
    named = annotations(read("rsivqa", root, hrrsd_train=str(tmp_path / LIST)))
    assert [a.facts for a in named] == before
    assert all(a.image.path.is_file() for a in named)  # beside the list
    assert annotations(read("rsivqa", root, subset="all"))  # needs no list
    with pytest.raises(SourceError, match=r"gone\.txt: found no such file"):
        read("rsivqa", root, hrrsd_train="gone.txt")


def test_lists_that_are_not_hrrsds_training_list_are_refused(copy: Callable[[str], Path]) -> None:
    root = copy("rsivqa")
    test = (root / LIST).with_name("test.txt")
    with pytest.raises(SourceError, match=r"test\.txt: found the list of test, expected HRRSD"):
        read("rsivqa", root, hrrsd_train=str(test))
    both = (root / LIST).with_name("trainval.txt")
    both.write_bytes((root / LIST).read_bytes() + test.read_bytes())
    with pytest.raises(SourceError, match=r"trainval\.txt: found image 00003, which test\.txt lists too"):
        read("rsivqa", root, hrrsd_train=str(both))
    (root / LIST).write_text("00001\n00002  1\n")
    with pytest.raises(SourceError, match=r"train\.txt, line 2: found '00002  1', expected an id of five digits"):
        read("rsivqa", root)
    (root / LIST).write_text("\n")
    with pytest.raises(SourceError, match=r"train\.txt: found no line"):
        read("rsivqa", root)
    (root / LIST).write_text("00001\n20000\n")
    assert notes(read("rsivqa", root))["image of HRRSD's training list without a line"] == 1


def test_a_question_file_of_another_collection_is_refused(copy: Callable[[str], Path]) -> None:
    root = copy("rsivqa")
    kept = (root / LINES).read_bytes()
    shutil.copy(root / "DOTA" / "dota_train_vqa2.txt", root / LINES)
    with pytest.raises(SourceError, match=r"opt_val_vqa\.txt, line 1: found 'P0000: .*images such as 00001"):
        read("rsivqa", root)
    (root / LINES).write_text("\n")
    with pytest.raises(SourceError, match=r"opt_val_vqa\.txt: found no line"):
        read("rsivqa", root)
    (root / LINES).write_bytes(kept)
    (root / "AID" / "rsicd_vqa.txt").unlink()
    assert notes(read("rsivqa", root, subset="all")) == {"no question file AID/rsicd_vqa.txt in the folder": 1}
    for path in root.glob("*/*.txt"):
        path.unlink()
    with pytest.raises(SourceError, match="found none of them, expected question files such as"):
        read("rsivqa", root, subset="all")


def test_a_checkout_of_rsivqas_repository_is_a_root(copy: Callable[[str], Path]) -> None:
    root = copy("rsivqa")
    assert annotations(read("rsivqa", root.parent)) == annotations(read("rsivqa", root))


def test_keys_of_rsivqa(copy: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = copy("rsivqa")
    head = 'version = "1.0.0"\ndate = "2026-01-01"\n[[source]]\nkind = "rsivqa"\n'
    shutil.copy(root / LIST, tmp_path / "list.txt")
    (root / LIST).unlink()
    toml = tmp_path / "s.toml"
    toml.write_text(f'{head}root = "{root.name}"\nhrrsd_train = "list.txt"\n')
    assert main(["plan", str(toml), "--json"]) == 0
    rows = {(r["source"], r["split"]): r for r in json.loads(capsys.readouterr().out)["rows"]}
    assert rows["rsivqa", "train"]["read_images"] == 2
    toml.write_text(f'{head}root = "{root.name}"\nsubset = "some"\n')
    assert main(["plan", str(toml)]) == 2
    assert re.search("subset is 'some', expected one of paper, all", capsys.readouterr().err)


def test_the_papers_figures_of_rsivqa(tmp_path: Path) -> None:
    root, listed = shared("realdata", "rsivqa"), shared("realdata", "hrrsd") / LIST
    found, tally = planned(tmp_path / "s.toml", f'kind = "rsivqa"\nroot = "{root}"\nhrrsd_train = "{listed}"')
    line = found["rsivqa", "train"]
    assert len(found) == 1
    assert (line.read_images, line.read_pairs) == (line.paper_images, line.paper_qa_pairs) == (5401, 19218)
    assert (line.images, line.qa_pairs, line.merged) == (5401, 19215, 0)
    assert tally.reasons() == {("rsivqa", "read", "repeats a line of the same image"): 3}
    assert tally.notes["rsivqa", "line of an image that is not in HRRSD's training list"] == 78834 - 19218


def test_all_lines_of_rsivqa() -> None:
    items = read("rsivqa", shared("realdata", "rsivqa"), subset="all")
    assert len(annotations(items)) == 37263
    assert reasons(items) == {"repeats a line of the same image": 9, "question has lost its noun": 163 + 131}
    facts = [f for a in annotations(items) for f in a.facts if isinstance(f, Question)]
    assert len(facts) + 9 + 163 + 131 == 111693
    assert not notes(items)
    categories = Counter(f.category for f in facts)
    assert set(categories) == {"count", "presence", "theme", "position"}
    assert categories["theme"] == 10921 + 613 + 2100 + 559
    assert categories["position"] == 559 - 131
    assert categories["presence"] == 8250 + 2686 + 52556 + 1118 - 6


# --- the folders of RSIVQA, the splits of FloodNet


def test_rsivqa_finds_hrrsd_beside_its_folder(copy: Callable[[str], Path], tmp_path: Path) -> None:
    root = copy("rsivqa")
    before = annotations(read("rsivqa", root))
    home = tmp_path / "home"
    home.mkdir()
    shutil.move(root, home / "RSIVQA")
    shutil.move(home / "RSIVQA" / "OPT2017", home / "OPT2017")
    after = annotations(read("rsivqa", home))
    assert [item.facts for item in after] == [item.facts for item in before]
    assert all(item.image.path.is_relative_to(home / "OPT2017") for item in after)
    assert any(item.image.path.exists() for item in after)


def test_floodnet_refuses_a_split_under_the_name_of_another(copy: Callable[[str], Path]) -> None:
    folder = copy("floodnet_vqa") / "Questions"
    shutil.copy(folder / "Valid Question.json", folder / "Test_Question.json")
    with pytest.raises(SourceError, match=r"found questions about the images of Valid Question\.json"):
        read("floodnet_vqa", folder.parent)
