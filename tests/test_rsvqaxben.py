"""RSVQAxBEN in both of its layouts."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from rs_gpt4v_conversion.build import plan
from rs_gpt4v_conversion.config import load_config
from rs_gpt4v_conversion.errors import SourceError
from rs_gpt4v_conversion.records import Annotation, Flaw, Note, Stretch
from rs_gpt4v_conversion.sources import Folder, known_sources
from shared import shared

ROOT = "RSVQAxBEN"
NAMES = {s: f"S2A_MSIL2A_20990101T00000{i}_1_2" for i, s in enumerate(("train", "val", "test"))}


def read(root: Path, **options: str) -> list[Any]:
    return list(known_sources()["rsvqaxben"].read(Folder(root), options))


def reasons(items: list[Any]) -> Counter[str]:
    return Counter(f.reason for f in items if isinstance(f, Flaw))


def annotations(items: list[Any]) -> dict[str, Annotation]:
    return {a.image.image_id: a for a in items if isinstance(a, Annotation)}


def question(split: str, **changes: Any) -> dict[str, Any]:
    return {
        "type": "presence", "question": "Are there some pastures?", "answer": "no", "S2_name": NAMES[split], **changes,
    }  # fmt: skip


def write(root: Path, **more: dict[str, Any]) -> Path:
    for i, split in enumerate(NAMES):
        content = {str(10 * i): question(split), **more.get(split, {})}
        (root / f"RSVQAxBEN_QA_{split}.json").write_text(json.dumps(content))
    return root


def write_official(root: Path) -> Path:
    for i, split in enumerate(NAMES):
        parts: dict[str, list[dict[str, Any]]] = {"questions": [], "answers": [], "images": []}
        for j, name in enumerate(NAMES.values()):
            lc = {"type": "LC", "question": "What classes are in the scene?", "img_id": j, "answers_ids": [j]}
            for part, record in (
                ("questions", lc),
                ("answers", {"question_id": j, "answer": "pastures, water bodies and mixed forest"}),
                ("images", {"original_name": name}),
            ):
                parts[part].append({"id": j, "active": i == j, **(record if i == j else {})})
        for part, records in parts.items():
            (root / f"RSVQAxBEN_split_{split}_{part}.json").write_text(json.dumps({part: records}))
    return root


def test_a_patch_is_its_three_bands_stretched(sample: Path) -> None:
    for item in annotations(read(sample / ROOT)).values():
        image = item.image
        assert image.stretch is not None
        assert (image.stretch.bands, image.stretch.low, image.stretch.high) == (("B04", "B03", "B02"), 0, 3000)
        assert [p.name for p in image.stretch.files] == [f"{image.image_id}_{b}.tif" for b in ("B04", "B03", "B02")]
        assert image.path == image.stretch.files[0]
        assert image.gsd == 10.0
        assert image.origin == f"bigearthnet/{image.image_id}"
        for path in image.stretch.files:
            with Image.open(path) as band:
                assert band.mode == "I;16"
                assert band.size == (120, 120)
                assert 255 < np.asarray(band).max() < 20_000


def test_the_sample_holds_the_traps_of_the_real_files(sample: Path) -> None:
    items = read(sample / ROOT)
    found = annotations(items)
    assert any("T95032_" in name for name in found)  # a digit too few
    facts = [f for a in found.values() for f in a.facts]
    assert {f.category for f in facts} == {"presence", "land_cover"}
    assert any(", " in f.answer and " and " in f.answer for f in facts)
    ids = list(json.loads((sample / ROOT / "RSVQAxBEN_QA_train.json").read_text()))
    assert ids != sorted(ids, key=int)
    assert not reasons(items)
    assert len(items) == len(found)


def test_real_rows_are_read_whole() -> None:
    root = shared("realdata", "rsvqaxben")
    items = read(root)
    raw = [
        (record["S2_name"], record["question"], record["answer"], {"LC": "land_cover"}.get(record["type"], "presence"))
        for path in sorted(root.glob("*.json"))
        for record in json.loads(path.read_text()).values()
    ]
    made = [(n, f.question, f.answer, f.category) for n, a in annotations(items).items() for f in a.facts]
    assert sorted(made) == sorted(raw)
    assert len(made) == 30
    assert all(a.image.origin == f"bigearthnet/{n}" for n, a in annotations(items).items())


def test_wrong_records_are_rejects(tmp_path: Path) -> None:
    wrong = {
        "1": question("train", type="count"),
        "2": question("train", question=None),
        "3": question("train", answer=""),
        "4": question("train", answer=["no"]),
        "5": question("train", S2_name="../../etc/passwd"),
        "6": question("train", S2_name=None),
        "x7": question("train"),
        "9" * 5000: question("train"),
        "8": question("train", S2_name=NAMES["test"]),
        "9": question("train", answer=3),
    }
    items = read(write(tmp_path, train=wrong))
    assert reasons(items) == {
        "unknown question type": 1, "question is no text": 1, "question without answer": 1, "answer is no text": 1,
        "image name leaves its folder": 1, "image without a name": 1, "question without a whole id": 2,
        "image of another split": 1,
    }  # fmt: skip
    assert Note(reason="answer that is a number, made text") in items
    assert [len(a.facts) for a in annotations(items).values()] == [1, 1, 2]


def test_a_question_id_that_is_there_twice_is_a_reject(tmp_path: Path) -> None:
    write(tmp_path)
    record = json.dumps(question("train"))
    (tmp_path / "RSVQAxBEN_QA_train.json").write_text(f'{{"7": {record}, "07": {record}, "7": {record}}}')
    assert reasons(read(tmp_path)) == {"question id listed twice": 2}


def test_a_split_under_the_name_of_another_is_refused(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "RSVQAxBEN_QA_train.json").write_bytes((tmp_path / "RSVQAxBEN_QA_test.json").read_bytes())
    message = r"RSVQAxBEN_QA_train\.json: found questions about no image but those of RSVQAxBEN_QA_test\.json"
    with pytest.raises(SourceError, match=message):
        read(tmp_path)


def test_a_split_that_is_not_there_is_a_note(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "RSVQAxBEN_QA_val.json").unlink()
    assert Note(reason="no file of the official split 'val' in the folder") in read(tmp_path)


def test_what_is_no_object_is_refused(tmp_path: Path) -> None:
    write(tmp_path, val={"15": [1]})
    with pytest.raises(SourceError, match=r"RSVQAxBEN_QA_val\.json, question 15: found a list, expected an object"):
        read(tmp_path)


@pytest.mark.parametrize("where", ["BigEarthNet-v1.0", "BigEarthNet-S2", "."])
def test_patches_may_lie_in_a_folder_of_their_own(tmp_path: Path, where: str) -> None:
    (write(tmp_path) / where).mkdir(exist_ok=True)
    for name, item in annotations(read(tmp_path)).items():
        assert item.image.path == tmp_path / where / name / f"{name}_B04.tif"


def test_patches_may_lie_elsewhere(tmp_path: Path) -> None:
    root = tmp_path / "ben"
    root.mkdir()
    write(root)
    (tmp_path / "patches").mkdir()
    toml = tmp_path / "s.toml"
    toml.write_text(
        'version = "1.0.0"\ndate = 2026-01-01\n[[source]]\nkind = "rsvqaxben"\nroot = "ben"\npatches = "patches"\n'
    )
    (spec,) = load_config(toml).sources
    items = list(spec.source.read(Folder(spec.root), spec.options))
    assert {a.image.path.parent.parent for a in annotations(items).values()} == {tmp_path / "patches"}


def test_the_published_layout_is_read(tmp_path: Path) -> None:
    items = read(write_official(tmp_path))
    assert sorted(annotations(items)) == ["0", "1", "2"]
    for (name, split), item in zip(
        ((NAMES[s], {"val": "validation"}.get(s, s)) for s in reversed(NAMES)), annotations(items).values(), strict=True
    ):
        assert (item.image.origin, item.split, item.image.gsd) == (f"bigearthnet/{name}", split, 10.0)
        assert item.image.path == tmp_path / "Images" / f"{item.image.image_id}.tif"
        assert item.image.stretch is None
        assert [(f.category, f.answer) for f in item.facts] == [
            ("land_cover", "pastures, water bodies and mixed forest")
        ]


def test_the_published_layout_goes_before_the_repackaged_one(tmp_path: Path) -> None:
    items = read(write_official(write(tmp_path)))
    assert sorted(annotations(items)) == ["0", "1", "2"]
    assert Note(reason="RSVQAxBEN_QA file, not read because the published files are there", count=3) in items


def write_tiff(path: Path, bands: int, bits: int) -> None:
    """A TIFF without pixels: header, one directory of three tags."""
    tags = [(256, 3, 1, 120), (258, 3, 1, bits), (277, 3, 1, bands)]
    body = b"".join(
        tag.to_bytes(2, "little") + kind.to_bytes(2, "little") + n.to_bytes(4, "little") + v.to_bytes(4, "little")
        for tag, kind, n, v in tags
    )
    path.write_bytes(b"II*\0" + (8).to_bytes(4, "little") + len(tags).to_bytes(2, "little") + body + bytes(4))


@pytest.mark.parametrize(
    ("bands", "bits", "places"),
    [(3, 8, None), (3, 16, (0, 1, 2)), (12, 16, (3, 2, 1)), (13, 16, (3, 2, 1)), (5, 16, None), (1, 16, None)],
)
def test_published_images_are_stretched_only_where_their_header_says_that_they_must(
    tmp_path: Path, bands: int, bits: int, places: tuple[int, ...] | None
) -> None:
    write_official(tmp_path)
    (tmp_path / "Images").mkdir()
    write_tiff(tmp_path / "Images" / "2.tif", bands, bits)
    expected = Stretch(bands=("B04", "B03", "B02"), low=0, high=3000, places=places) if places else None
    assert {a.image.stretch for a in annotations(read(tmp_path)).values()} == {expected}


def test_an_rgb_image_needs_no_stretch(tmp_path: Path) -> None:
    write_official(tmp_path)
    (tmp_path / "Images").mkdir()
    Image.new("RGB", (120, 120)).save(tmp_path / "Images" / "2.tif")
    (tmp_path / "Images" / "1.tif").write_bytes(b"II*\0")
    assert {a.image.stretch for a in annotations(read(tmp_path)).values()} == {None}
    assert Folder(tmp_path).samples(tmp_path / "Images" / "2.tif") == (3, 8)
    assert Folder(tmp_path).samples(tmp_path / "Images" / "1.tif") is None
    assert Folder(tmp_path).samples(tmp_path / "Images" / "0.tif") is None


def test_a_folder_without_splits_is_told_what_is_needed(tmp_path: Path) -> None:
    (tmp_path / "LRBENquestions.json").write_text('{"questions": []}')
    message = r"found none of them, expected RSVQAxBEN_split_<split>_questions\.json .* or RSVQAxBEN_QA_<split>\.json"
    with pytest.raises(SourceError, match=message):
        read(tmp_path)


def test_the_plan_counts_every_pair(small: Callable[..., Path], sample: Path) -> None:
    lines, tally = plan(load_config(small("rsvqaxben")))
    raw = [len(json.loads(p.read_text())) for p in (sample / ROOT).glob("*.json")]
    assert sum(x.read_pairs + x.merged for x in lines) == sum(raw)
    assert not tally.rejects
