import hashlib
import json
import math
import re
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from rs_gpt4v_conversion.sample import SOURCES, draw_sample
from rs_gpt4v_conversion.sample.captions import CAPTIONS, SENTENCES
from rs_gpt4v_conversion.sample.landscape import Feature, Landscape
from rs_gpt4v_conversion.sample.layout import chance, splits_by_position
from rs_gpt4v_conversion.sample.questions import ask
from rs_gpt4v_conversion.sample.scene import THEMES, draw

FOLDERS = {kind: root for kind, (root, _) in SOURCES.items()}
CAPTION_FILES = {
    "RSICD": ("dataset_rsicd.json", "RSICD_images", "rsicd"),
    "UCM_captions": ("dataset.json", "imgs", "UCM"),
    "Sydney_captions": ("dataset.json", "imgs", "Sydney"),
    "RSITMD": ("dataset_RSITMD.json", "images", "rsitmd"),
}
RSVQA = {
    "RSVQA_LR": ("LR", ("train", "val", "test"), "Images_LR"),
    "RSVQA_HR": ("USGS", ("train", "val", "test", "test_phili"), "Data"),
}
IMAGES = 8


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sample") / "new" / "folder"
    draw_sample(folder, images=IMAGES, seed=3)
    return folder


@pytest.fixture(scope="module")
def smallest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("smallest")  # exists and is empty
    draw_sample(folder, images=4, seed=3)
    return folder


def load(path: Path) -> Any:
    return json.loads(path.read_bytes())


def digests(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def captions(sample: Path, source: str) -> list[dict[str, Any]]:
    images: list[dict[str, Any]] = load(sample / source / CAPTION_FILES[source][0])["images"]
    return images


def test_summary_and_sources_toml_name_every_source(tmp_path):
    summary = draw_sample(tmp_path / "s", images=4)

    config = tomllib.loads(summary.sources_toml.read_text())
    assert summary.folder == tmp_path / "s"
    assert summary.images == dict.fromkeys(FOLDERS, 4)
    assert (config["version"], config["date"]) == ("0.1.0", "2026-01-01")
    assert {s["kind"]: s["root"] for s in config["source"]} == FOLDERS
    assert sorted(p.name for p in summary.folder.iterdir()) == sorted(
        [*FOLDERS.values(), "sources.toml", "requests", "responses"]
    )


def test_same_arguments_give_the_same_bytes(smallest, tmp_path):
    draw_sample(tmp_path, images=4, seed=3)

    assert digests(tmp_path) == digests(smallest)


def test_another_seed_gives_other_pictures(smallest, tmp_path):
    draw_sample(tmp_path, images=4, seed=4)

    def pictures(folder):
        return {d for p, d in digests(folder).items() if p.endswith((".jpg", ".tif", ".png"))}

    assert not pictures(tmp_path) & pictures(smallest)


PICTURES = (".jpg", ".tif", ".png", ".bmp")


def pictures(folder: Path) -> dict[tuple[str, str, str], str]:
    """Digests by source, folder and name: some sources have a folder a split below that."""
    found = [(Path(path), digest) for path, digest in digests(folder).items()]
    return {(p.parts[0], p.parts[1], p.name): digest for p, digest in found if p.suffix.lower() in PICTURES}


def test_a_larger_sample_has_the_pictures_of_a_smaller_one(sample, smallest):
    small, large = pictures(smallest), pictures(sample)

    assert {source for source, _, _ in small} == set(FOLDERS.values())
    assert {key: large.get(key) for key in small} == small


def test_no_two_pictures_are_the_same(sample):
    found = [
        hashlib.sha256(np.asarray(Image.open(p)).tobytes()).hexdigest()
        for p in sample.rglob("*")
        if p.suffix.lower() in PICTURES
        and "normal_json" not in p.parts
        and not is_twin(p)
        and not p.stem.endswith(("_B02", "_B03"))
    ]

    assert len(found) == len(set(found)) == IMAGES * len(FOLDERS)


def is_twin(path: Path) -> bool:
    return path.suffix == ".png" and path.with_suffix(".tif").exists()


def test_nothing_overwrites_what_is_there(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")

    with pytest.raises(FileExistsError, match="is not empty, expected a new or an empty folder"):
        draw_sample(tmp_path)
    with pytest.raises(FileExistsError, match="is a file"):
        draw_sample(tmp_path / "mine.txt")
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"images": 3}, "images is 3, expected at least 4"),
        ({"seed": -1}, "seed is -1, expected"),
    ],
)
def test_arguments_out_of_range_are_refused_before_anything_is_written(tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        draw_sample(tmp_path / "new", **arguments)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("images", range(4, 40))
@pytest.mark.parametrize("shares", [(0.6, 0.2, 0.2), (0.8, 0.2), (0.6, 0.15, 0.15, 0.1)])
def test_every_split_has_an_image_and_the_first_most(images, shares):
    named = dict(zip("abcd", shares, strict=False))

    splits = splits_by_position(images, named)

    counts = Counter(splits)
    assert splits == sorted(splits)
    assert len(splits) == images
    assert set(counts) == set(named)
    assert counts["a"] == max(counts.values())


@pytest.mark.parametrize("source", CAPTION_FILES)
def test_caption_sources_have_karpathys_form(sample, source):
    name, images, dataset = CAPTION_FILES[source]
    content = load(sample / source / name)
    records = content["images"]

    assert content["dataset"] == dataset
    assert [r["imgid"] for r in records] == list(range(IMAGES))
    assert {r["filename"] for r in records} == {p.name for p in (sample / source / images).iterdir()}
    for record in records:
        assert len(record["sentences"]) == len(record["sentids"]) == CAPTIONS
        for sentence in record["sentences"]:
            assert set(sentence) == {"tokens", "raw", "imgid", "sentid"}
            assert sentence["imgid"] == record["imgid"]


@pytest.mark.parametrize("source", CAPTION_FILES)
@pytest.mark.parametrize("size", ["smallest", "sample"])
def test_caption_splits_follow_the_order(request, source, size):
    splits = [r["split"] for r in captions(request.getfixturevalue(size), source)]

    expected = {"train", "test"} if source == "RSITMD" else {"train", "val", "test"}
    assert set(splits) == expected
    assert splits == sorted(splits, key=["train", "val", "test"].index)


@pytest.mark.parametrize(
    ("source", "mode", "size", "compression"),
    [
        ("RSICD", "RGB", (224, 224), None),
        ("UCM_captions", "RGB", (256, 256), "raw"),
        ("Sydney_captions", "RGB", (500, 500), "packbits"),
        ("RSITMD", "RGB", (256, 256), "raw"),
    ],
)
def test_pictures_are_in_the_form_of_their_source(sample, source, mode, size, compression):
    paths = list((sample / source / CAPTION_FILES[source][1]).iterdir())
    odd = []
    for path in paths:
        with Image.open(path) as image:
            assert image.mode == mode
            assert image.info.get("compression") == compression
            odd += [image.size] if image.size != size else []

    assert odd == ([(256, 242)] if source == "UCM_captions" else [])


@pytest.mark.parametrize("size", ["smallest", "sample"])
def test_rsicd_has_its_flaws(request, size):
    folder = request.getfixturevalue(size)
    records = captions(folder, "RSICD")
    raws = [[s["raw"] for s in r["sentences"]] for r in records]
    flat = [raw for five in raws for raw in five]

    assert flat.count(" .") == 1
    assert sum("  " in raw for raw in flat) == 1
    assert any(len(set(five)) < CAPTIONS for five in raws)
    assert all(raw == raw.lower() and raw.endswith(" .") for raw in flat)
    assert "00017.jpg" in {r["filename"] for r in records}
    listed = [
        line for path in (folder / "RSICD" / "txtclasses_rsicd").iterdir() for line in path.read_text().splitlines()
    ]
    assert sorted(listed) == sorted(r["filename"] for r in records)
    with Image.open(folder / "RSICD" / "RSICD_images" / "00017.jpg") as image:
        assert image.getexif()[0x0112] == 1


@pytest.mark.parametrize("size", ["smallest", "sample"])
def test_ucm_has_its_flaws(request, size):
    folder = request.getfixturevalue(size)
    records = captions(folder, "UCM_captions")
    sentences = [s for r in records for s in r["sentences"]]

    assert all(r["filename"] == f"{r['imgid'] + 1}.tif" for r in records)
    assert any("" in s["tokens"] for s in sentences)
    words = [(t for t in s["tokens"] if t) for s in sentences]
    assert any(" ".join(tokens) != s["raw"].removesuffix(" .") for tokens, s in zip(words, sentences, strict=True))
    assert any(len({s["raw"] for s in r["sentences"]}) < CAPTIONS for r in records)
    text = (folder / "UCM_captions" / "dataset.json").read_text()
    assert text.startswith('{\n\t"images": [')


@pytest.mark.parametrize("size", ["smallest", "sample"])
def test_sydney_has_one_image_whose_sentence_ids_disagree(request, size):
    records = captions(request.getfixturevalue(size), "Sydney_captions")

    wrong = [r["imgid"] for r in records if r["sentids"] != [s["sentid"] for s in r["sentences"]]]
    assert wrong == [1]
    assert any("" in s["tokens"] for r in records for s in r["sentences"])


def test_rsitmd_has_one_blank_image_only_where_there_are_enough(sample, smallest):
    def blank(folder):
        return [r["imgid"] for r in captions(folder, "RSITMD") if not any(s["raw"] for s in r["sentences"])]

    assert blank(sample) == [2]
    assert blank(smallest) == []
    first = captions(sample, "RSITMD")[1]
    assert first["sentences"][1]["raw"].startswith(" ")
    assert re.fullmatch(r"[a-z]+_\d+\.tif", first["filename"])


@pytest.mark.parametrize("theme", THEMES)
def test_every_sentence_about_a_scene_can_be_said(theme):
    scene = draw(theme, 64, chance(0, "test", 1))

    assert theme in SENTENCES
    for sentence in SENTENCES[theme]:
        said = sentence.format_map(scene.words)
        assert said == said.lower()
        assert "{" not in said
    assert len({s.format_map(scene.words) for s in SENTENCES[theme]}) == len(SENTENCES[theme])
    assert np.asarray(scene.image).std() > 10


@pytest.mark.parametrize("source", RSVQA)
@pytest.mark.parametrize("size", ["smallest", "sample"])
def test_rsvqa_files_list_every_item_and_placeholders_for_other_splits(request, source, size):
    folder = request.getfixturevalue(size)
    prefix, splits, images = RSVQA[source]
    lists: dict[str, list[list[Any]]] = {"questions": [], "answers": [], "images": []}
    for split in splits:
        for part, found in lists.items():
            content = load(folder / source / f"{prefix}_split_{split}_{part}.json")
            found.append(content[part])
    for found in lists.values():
        assert len({len(records) for records in found}) == 1
        for versions in zip(*found, strict=True):  # one item in the files of all splits
            active = [v for v in versions if v["active"]]
            assert len(active) == 1
            rest = [v for v in versions if not v["active"]]
            assert rest == [{"id": active[0]["id"], "active": False}] * (len(splits) - 1)
        assert all(any(r["active"] for r in records) for records in found)
    assert len(lists["images"][0]) == len(list((folder / source / images).glob("*.tif")))


def active(folder: Path, source: str, part: str) -> list[dict[str, Any]]:
    prefix, splits, _ = RSVQA[source]
    return [
        record
        for split in splits
        for record in load(folder / source / f"{prefix}_split_{split}_{part}.json")[part]
        if record["active"]
    ]


@pytest.mark.parametrize("source", RSVQA)
def test_rsvqa_items_join_by_id(sample, source):
    questions = {q["id"]: q for q in active(sample, source, "questions")}
    answers = {a["id"]: a for a in active(sample, source, "answers")}
    images = {i["id"]: i for i in active(sample, source, "images")}

    for image in images.values():
        assert 7 <= len(image["questions_ids"]) <= 10
        assert all(questions[q]["img_id"] == image["id"] for q in image["questions_ids"])
        texts = [questions[q]["question"] for q in image["questions_ids"]]
        assert len(set(texts)) == len(texts)
    for question in questions.values():
        [answer] = question["answers_ids"]
        assert answers[answer]["question_id"] == question["id"]
        assert isinstance(answers[answer]["answer"], str)
    assert sum(len(i["questions_ids"]) for i in images.values()) == len(questions) == len(answers)


def test_rsvqa_types_and_answers_are_those_of_each_set(sample):
    forms = {
        "presence": "yes|no",
        "comp": "yes|no",
        "count": r"\d+",
        "area": r"\d+m2",
        "rural_urban": "rural|urban",
    }
    seen: dict[str, Counter[str]] = {}
    for source in RSVQA:
        answers = {a["question_id"]: a["answer"] for a in active(sample, source, "answers")}
        questions = active(sample, source, "questions")
        for question in questions:
            assert re.fullmatch(forms[question["type"]], answers[question["id"]])
        assert sum("  " in q["question"] for q in questions) == 1
        seen[source] = Counter(q["type"] for q in questions)
        assert {answers[q["id"]] for q in questions if q["type"] == "comp"} == {"yes", "no"}

    assert set(seen["RSVQA_LR"]) == {"presence", "count", "comp", "rural_urban"}
    assert set(seen["RSVQA_HR"]) == {"presence", "count", "comp", "area"}
    assert seen["RSVQA_LR"]["rural_urban"] == IMAGES
    rural = [q for q in active(sample, "RSVQA_LR", "questions") if q["type"] == "rural_urban"]
    assert {q["question"] for q in rural} == {"Is it a rural or an urban area"}


def test_questions_are_answered_from_what_was_drawn():
    house = Feature(kind="residential building", pixels=100.0)
    shop = Feature(kind="commercial building", pixels=50.0)
    landscape = Landscape(image=Image.new("RGB", (4, 4)), features=(house, house, shop), urban=False)

    asked = ask(landscape, ("presence", "count", "comp", "area"), 60, 2.0, chance(0, "questions", 0))

    answers = {q.text: q.answer for q in asked}
    expected = {
        "Is there a road?": "no",
        "Is a residential building present?": "yes",
        "How many buildings are there?": "3",
        "What is the number of residential buildings?": "2",
        "What is the amount of forests?": "0",
        "Are there more residential buildings than commercial buildings?": "yes",
        "Are there less residential buildings than commercial buildings?": "no",
        "Is the number of roads equal to the number of forests?": "yes",
        "What is the area covered by buildings?": "1000m2",
        "What is the area covered by residential buildings?": "800m2",
        "What is the area covered by water areas?": "0m2",
    }
    known = {text: answer for text, answer in answers.items() if text in expected}
    assert known.items() <= expected.items()
    assert len(known) >= 5
    assert Counter(q.type for q in asked)["area"] == 4  # there are no more


@pytest.mark.parametrize(("source", "size", "epsg"), [("RSVQA_LR", 256, 32631), ("RSVQA_HR", 512, 3857)])
def test_rsvqa_pictures_are_geotiffs(sample, source, size, epsg):
    for record in active(sample, source, "images"):
        path = sample / source / RSVQA[source][2] / f"{record['id']}.tif"
        with Image.open(path) as image:
            tags = dict(image.tag_v2)  # type: ignore[attr-defined]
            assert (image.size, image.mode) == ((size, size), "RGB")
            assert image.info["compression"] == "raw"
        keys = np.reshape(tags[34735], (-1, 4)).tolist()
        assert keys[0] == [1, 1, 0, len(keys) - 1]
        assert [3072, 0, 1, epsg] in keys
        names = [tags[34737][start : start + n] for _, tag, n, start in keys[1:] if tag == 34737]
        assert all(name.endswith("|") for name in names)
        assert "".join(names) == tags[34737]
        assert tags[33922][3:5] == (record["upperleft_map_x"], record["upperleft_map_y"])
        assert tags[33550][:2] == ((10, 10) if epsg == 32631 else pytest.approx((0.201, 0.201), 1e-2))


def test_rsvqa_hr_has_twins_and_one_black_area(sample):
    folder = sample / "RSVQA_HR" / "Data"
    black = []
    for path in sorted(folder.glob("*.tif")):
        pixels = np.asarray(Image.open(path))
        np.testing.assert_array_equal(pixels, np.asarray(Image.open(path.with_suffix(".png"))))
        black += [path.name] if (pixels[:, -50:] == 0).all() else []

    assert len(list(folder.iterdir())) == 2 * IMAGES
    assert black == ["1.tif"]


SPLITS = ("train", "val", "test")


def boxes(folder: Path, form: str, split: str) -> Any:
    return load(folder / "HIT-UAV" / form / "annotations" / f"{split}.json")


@pytest.mark.parametrize("size", ["smallest", "sample"])
def test_hit_uav_has_its_own_keys_and_running_ids(request, size):
    folder = request.getfixturevalue(size)
    images, ids = [], []
    for split in SPLITS:
        normal, rotated = boxes(folder, "normal_json", split), boxes(folder, "rotate_json", split)
        assert "annotation" in normal and "annotations" not in normal
        assert "annotations" in rotated and "annotation" not in rotated
        for content in (normal, rotated):
            assert [(c["id"], c["name"]) for c in content["categories"]] == [
                (0, "Person"), (1, "Car"), (2, "Bicycle"), (3, "OtherVehicle"), (4, "DontCare"),
            ]  # fmt: skip
            for image in content["images"]:
                assert re.fullmatch(r"[01]_\d+_\d+_[01]_\d{5}\.jpg", image["filename"])
        for image in rotated["images"]:
            parts = [image[key] for key in ("scenario", "altitude", "perspective", "weather")]
            assert image["filename"].split("_")[:4] == parts
        assert [i["filename"] for i in normal["images"]] == [i["filename"] for i in rotated["images"]]
        assert all(type(b["difficult"]) is bool for b in rotated["annotations"])
        images += [i["id"] for i in rotated["images"]]
        ids += [b["id"] for b in rotated["annotations"]]

    assert images == list(range(len(images)))
    assert ids == list(range(len(ids)))
    train = boxes(folder, "rotate_json", "train")
    with_boxes = {b["image_id"] for b in train["annotations"]}
    assert {i["id"] for i in train["images"]} - with_boxes == {1}


def test_hit_uav_boxes_of_both_forms_are_of_the_same_objects(sample):
    for split in SPLITS:
        normal = boxes(sample, "normal_json", split)["annotation"]
        rotated = boxes(sample, "rotate_json", split)["annotations"]
        for upright, turned in zip(normal, rotated, strict=True):
            assert upright["category_id"] == turned["category_id"]
            x, y, w, h = upright["bbox"]
            assert upright["segmentation"] == [[x, y, x + w, y, x + w, y + h, x, y + h]]
            assert upright["area"] == w * h
            outline = np.array(corners(turned["bbox"]))
            assert 0 <= turned["bbox"][4] < math.pi
            assert (np.floor(outline.min(axis=0)) == (x, y)).all()
            assert (np.ceil(outline.max(axis=0)) == (x + w, y + h)).all()


def test_hit_uav_boxes_lie_exactly_on_what_is_warm(sample):
    checked: Counter[int] = Counter()
    for split in SPLITS:
        content = boxes(sample, "rotate_json", split)
        for image in content["images"]:
            path = sample / "HIT-UAV" / "rotate_json" / split / image["filename"]
            twin = sample / "HIT-UAV" / "normal_json" / split / image["filename"]
            assert path.read_bytes() == twin.read_bytes()
            with Image.open(path) as opened:
                assert (opened.mode, opened.size) == ("L", (640, 512))
                pixels = np.asarray(opened, np.float32)
            everywhere = np.zeros(pixels.shape, bool)
            for box in (b for b in content["annotations"] if b["image_id"] == image["id"]):
                inside, around = filled(box["bbox"], -1), filled(box["bbox"], 3)
                assert pixels[inside].mean() > 160
                ring = filled(box["bbox"], 6) & ~around
                assert pixels[ring].mean() < 140
                everywhere |= around
                checked[box["category_id"]] += 1
            assert pixels[~everywhere].max() < 190  # nothing warm is without a box

    assert set(checked) == {0, 1, 2, 3, 4}


def corners(bbox: list[float]) -> list[tuple[float, float]]:
    cx, cy, w, h, theta = bbox
    c, s = math.cos(theta), math.sin(theta)
    sides = ((-w / 2, -h / 2), (w / 2, -h / 2), (w / 2, h / 2), (-w / 2, h / 2))
    return [(cx + x * c - y * s, cy + x * s + y * c) for x, y in sides]


def filled(bbox: list[float], wider: float) -> np.ndarray:
    cx, cy, w, h, theta = bbox
    mask = Image.new("1", (640, 512))
    ImageDraw.Draw(mask).polygon(corners([cx, cy, w + 2 * wider, h + 2 * wider, theta]), 1)
    return np.asarray(mask)
