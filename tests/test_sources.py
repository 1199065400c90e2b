"""One suite that every source passes, and each source's own traps."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

import rs_gpt4v
from rs_gpt4v_conversion.adapt import adapt
from rs_gpt4v_conversion.config import load_config
from rs_gpt4v_conversion.errors import SourceError, UsageError
from rs_gpt4v_conversion.gates.boxes import box_flaw
from rs_gpt4v_conversion.reading import Tally, read_source
from rs_gpt4v_conversion.records import Annotation, Flaw, Note, Scene
from rs_gpt4v_conversion.sample import SOURCES
from rs_gpt4v_conversion.scenes import ask_all
from rs_gpt4v_conversion.sources import Folder, known_sources

ROOTS = {kind: root for kind, (root, _) in SOURCES.items()}
KINDS = sorted(known_sources())
Item = Annotation | Scene | Flaw | Note


def read(kind: str, root: Path) -> list[Item]:
    return list(known_sources()[kind].read(Folder(root), {}))


def asked(kind: str, root: Path) -> list[Annotation]:
    """Everything that is asked, also about scenes."""
    items = read(kind, root)
    questions = ask_all([item for item in items if isinstance(item, Scene)])
    return [item for item in (*items, *questions) if isinstance(item, Annotation)]


def files_read(kind: str, root: Path) -> list[Path]:
    """The annotation files that the reader opens."""
    folder = Folder(root)
    list(known_sources()[kind].read(folder, {}))
    return [root / name for name in folder.digests]


@pytest.fixture
def copy(sample: Path, tmp_path: Path) -> Callable[[str], Path]:
    """A copy of a source's annotation files that a test may break."""

    def make(kind: str) -> Path:
        root = tmp_path / ROOTS[kind]
        ignored = shutil.ignore_patterns("*.jpg", "*.JPG", "*.tif", "*.png", "*.bmp")
        shutil.copytree(sample / ROOTS[kind], root, ignore=ignored)
        return root

    return make


@pytest.mark.parametrize("kind", KINDS)
def test_every_source_has_a_sample(kind: str) -> None:
    assert kind in ROOTS, f"draw a sample of {kind} and name its folder in sample/__init__.py"


@pytest.mark.parametrize("kind", KINDS)
def test_the_facts_agree_with_the_contract(kind: str) -> None:
    source = known_sources()[kind]
    assert source.kind == kind
    assert set(source.tasks) <= set(rs_gpt4v.TASKS)
    assert set(source.splits) <= set(rs_gpt4v.SPLITS)
    assert source.modality in rs_gpt4v.MODALITIES
    assert source.citation.startswith("@")
    assert source.layout
    assert source.license


@pytest.mark.parametrize("kind", KINDS)
def test_reading_twice_gives_the_same(kind: str, sample: Path) -> None:
    assert read(kind, sample / ROOTS[kind]) == read(kind, sample / ROOTS[kind])


@pytest.mark.parametrize("kind", KINDS)
def test_hidden_files_change_nothing(kind: str, sample: Path, tmp_path: Path) -> None:
    """macOS leaves a `._a.xml` beside an `a.xml`."""
    root = tmp_path / ROOTS[kind]
    shutil.copytree(sample / ROOTS[kind], root)
    before = read(kind, root)
    for path in sorted(root.rglob("*.*")):
        if path.is_file():
            path.with_name(f"._{path.name}").write_bytes(b"\0\5\x16\7")
    assert read(kind, root) == before


@pytest.mark.parametrize("kind", KINDS)
def test_annotations_are_of_the_stated_tasks_and_splits_and_their_images_exist(kind: str, sample: Path) -> None:
    source = known_sources()[kind]
    found = asked(kind, sample / ROOTS[kind])
    assert found
    assert {item.task for item in found} == (set(source.tasks) if not source.imported else {"conversation"})
    for item in found:
        assert item.split in source.splits
        assert item.image.path.is_file()
        assert item.facts
    ids = [(item.task, item.image.image_id) for item in found]
    assert len(ids) == len(set(ids)) or source.shares_images, "an image in two splits"


@pytest.mark.parametrize("kind", KINDS)
def test_marked_objects_lie_in_their_images(kind: str, sample: Path) -> None:
    for item in read(kind, sample / ROOTS[kind]):
        if isinstance(item, Scene):
            with Image.open(item.image.path) as image:
                size = image.size
            for thing in item.objects:
                assert thing.category in item.searched or thing.ignore
                assert thing.bbox is not None
                assert not box_flaw(list(thing.bbox), list(thing.obb or ()), *size)
                assert thing.number >= 0


@pytest.mark.parametrize("kind", KINDS)
def test_pairs_have_categories_of_the_contract_and_objects_that_exist(kind: str, sample: Path) -> None:
    source = known_sources()[kind]
    for item in asked(kind, sample / ROOTS[kind]):
        made = adapt(item, source, kind)
        assert made.read + made.merged == len(item.facts)
        kept = made.draft.pairs if made.draft else ()
        assert len(kept) + len(made.rejects) == made.read
        for pair in kept:
            assert pair.category in rs_gpt4v.CATEGORIES[item.task]
            assert set(pair.objects) <= set(range(len(item.objects)))


@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_folder_is_refused_by_name(kind: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=str(tmp_path)):
        read(kind, tmp_path)


@pytest.mark.parametrize("kind", KINDS)
def test_a_truncated_file_is_refused(kind: str, copy: Callable[[str], Path]) -> None:
    root = copy(kind)
    for path in files_read(kind, root):
        content = path.read_bytes()
        if path.suffix == ".json":
            path.write_bytes(content[:-30])
            expected = "line .* found .*, expected complete JSON; fetch it again"
            with pytest.raises(SourceError, match=f"{path.name}, {expected}"):
                read(kind, root)
        elif path.suffix == ".xml":
            path.write_bytes(content[:-5])
            with pytest.raises(SourceError, match=f"{path.name}, line .* expected XML; fetch it again"):
                read(kind, root)
        path.write_bytes(content)


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_in_another_encoding_is_refused(kind: str, copy: Callable[[str], Path]) -> None:
    root = copy(kind)
    path = files_read(kind, root)[0]
    path.write_bytes(b'{"images": "caf\xe9"}')
    with pytest.raises(SourceError, match=path.name):
        read(kind, root)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("content", ["[]", "{}", '{"images": 3, "questions": 3, "answers": 3}'])
def test_a_file_of_another_kind_is_refused(kind: str, content: str, copy: Callable[[str], Path]) -> None:
    root = copy(kind)
    for path in files_read(kind, root):
        path.write_text(content)
    with pytest.raises(SourceError, match="expected"):
        read(kind, root)


def edit(path: Path, change: Callable[[dict], object]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


CAPTIONS = {
    "rsicd": "dataset_rsicd.json", "ucm_captions": "dataset.json",
    "sydney_captions": "dataset.json", "rsitmd": "dataset_RSITMD.json",
}  # fmt: skip


@pytest.mark.parametrize("kind", CAPTIONS)
def test_captions_of_another_dataset_are_refused(kind: str, copy: Callable[[str], Path]) -> None:
    root = copy(kind)
    other = "UCM" if kind != "ucm_captions" else "rsicd"
    edit(root / CAPTIONS[kind], lambda c: c.update(dataset=other))
    with pytest.raises(SourceError, match=f"found the dataset '{other.lower()}'"):
        read(kind, root)


def test_wrong_types_in_captions_are_refused_or_counted(copy: Callable[[str], Path]) -> None:
    root = copy("rsicd")
    path = root / "dataset_rsicd.json"
    edit(path, lambda c: c["images"][0]["sentences"][1].update(raw=None))
    edit(path, lambda c: c["images"][1].update(filename="../../etc/passwd"))
    flaws = [item for item in read("rsicd", root) if isinstance(item, Flaw)]
    assert [f.reason for f in flaws] == ["caption is no text"] + ["image name leaves its folder"] * 5
    assert flaws[0].record == "images[0].sentences[1]"
    edit(path, lambda c: c["images"][2].update(split="validate"))
    with pytest.raises(SourceError, match=r"images\[2\]\.split: found 'validate', expected one of train, val, test"):
        read("rsicd", root)
    edit(path, lambda c: c["images"][2].update(split=7))
    with pytest.raises(SourceError, match=r"images\[2\]\.split: found an integer 7, expected a string"):
        read("rsicd", root)


def test_an_image_in_two_splits_stays_in_the_one_that_nobody_trains_on(
    small: Callable[..., Path], copy: Callable[[str], Path]
) -> None:
    root = copy("rsicd")
    path = root / "dataset_rsicd.json"
    test = next(i for i in json.loads(path.read_text())["images"] if i["split"] == "test")
    edit(path, lambda c: c["images"].insert(0, {**test, "split": "train"}))
    toml = small("rsicd")
    (spec,) = load_config(toml).sources
    tally = Tally()
    ids = [draft.id for draft in read_source(replace(spec, root=root), tally)]
    stem = Path(test["filename"]).stem
    assert [i for i in ids if i.endswith(f"/{stem}")] == [f"rsicd/test/captioning/{stem}"]
    assert {r.reason for r in tally.rejects if r.stage == "read"} == {"image is also in the test split of this source"}


def test_captions_may_lie_elsewhere(sample: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved.json"
    shutil.copy(sample / "RSICD" / "dataset_rsicd.json", moved)
    (tmp_path / "empty").mkdir()
    toml = tmp_path / "s.toml"
    toml.write_text(
        'version = "1.0.0"\ndate = 2026-01-01\n[[source]]\nkind = "rsicd"\nroot = "empty"\nannotations = "moved.json"\n'
    )
    (spec,) = load_config(toml).sources
    assert list(spec.source.read(Folder(spec.root), spec.options))


def test_only_the_text_and_not_the_tokens_are_used(sample: Path) -> None:
    texts = {f.text for a in asked("ucm_captions", sample / "UCM_captions") for f in a.facts}
    raw = json.loads((sample / "UCM_captions" / "dataset.json").read_text())
    assert texts == {s["raw"].strip() for image in raw["images"] for s in image["sentences"]}


def test_rsvqa_joins_by_id_and_passes_over_placeholders(copy: Callable[[str], Path]) -> None:
    root = copy("rsvqa_lr")
    before = asked("rsvqa_lr", root)
    for path in root.glob("*.json"):
        edit(path, lambda c: [v.reverse() for v in c.values()])
    after = asked("rsvqa_lr", root)

    def facts(items: list[Annotation]) -> dict[str, set]:
        return {a.image.image_id: set(a.facts) for a in items}

    assert facts(before) == facts(after)
    assert {a.image.gsd for a in before} == {10.0}


def test_rsvqa_flaws_are_counted(copy: Callable[[str], Path]) -> None:
    root = copy("rsvqa_lr")

    def active(content: dict) -> list[dict]:
        return [r for key in content for r in content[key] if r.get("active")]

    edit(root / "LR_split_train_answers.json", lambda c: active(c)[0].update(answer=""))
    edit(root / "LR_split_train_answers.json", lambda c: active(c)[1].update(active=False))
    edit(root / "LR_split_train_answers.json", lambda c: active(c)[1].update(answer=4))  # an integer is repaired
    edit(root / "LR_split_train_answers.json", lambda c: active(c)[2].update(answer=[4]))
    edit(root / "LR_split_train_questions.json", lambda c: active(c)[5].update(type="color"))
    edit(root / "LR_split_train_questions.json", lambda c: active(c)[6].update(question=None))
    items = read("rsvqa_lr", root)
    assert sorted(f.reason for f in items if isinstance(f, Flaw)) == [
        "answer is no text", "question is no text", "question without answer",
        "question without answer", "unknown question type",
    ]  # fmt: skip


def test_rsvqa_says_which_split_is_not_there_and_refuses_half_of_one(
    copy: Callable[[str], Path],
) -> None:
    root = copy("rsvqa_hr")
    for path in root.glob("USGS_split_test_phili_*"):
        path.unlink()
    assert Note(reason="no files of the official split 'test_phili' in the folder") in read("rsvqa_hr", root)
    (root / "USGS_split_val_answers.json").unlink()
    with pytest.raises(SourceError, match=r"USGS_split_val_answers\.json: found no such file"):
        read("rsvqa_hr", root)


def test_hit_uav_boxes_are_upright_envelopes_of_the_rotated_ones(sample: Path) -> None:
    for item in asked("hit_uav", sample / "HIT-UAV"):
        for thing in item.objects:
            assert thing.bbox is not None
            assert thing.obb is not None
            xs, ys = thing.obb[0::2], thing.obb[1::2]
            assert thing.bbox[0] == max(min(xs), 0)
            assert thing.bbox[3] == min(max(ys), 512)
            area = sum(xs[i - 1] * ys[i] - xs[i] * ys[i - 1] for i in range(4)) / 2
            assert area > 0, "clockwise as one looks at the image"


def test_hit_uav_never_asks_about_regions_to_ignore(copy: Callable[[str], Path]) -> None:
    root = copy("hit_uav")
    path = root / "rotate_json" / "annotations" / "train.json"
    edit(path, lambda c: c["annotations"][0].update(category_id=4))
    items = asked("hit_uav", root)
    assert any(o.ignore for a in items for o in a.objects)
    for item in items:
        made = adapt(item, known_sources()["hit_uav"], "hit_uav")
        assert made.draft is not None
        for pair in made.draft.pairs:
            assert "don't care" not in pair.question
            assert not any(item.objects[i].ignore for i in pair.objects)


def test_hit_uav_refuses_the_upright_file_and_odd_boxes(copy: Callable[[str], Path]) -> None:
    root = copy("hit_uav")
    path = root / "rotate_json" / "annotations" / "train.json"
    edit(path, lambda c: c["annotations"][0].update(bbox=[5, 5, 0, 3, 0.0]))
    edit(path, lambda c: c["annotations"][1].update(bbox=[-500, 5, 10, 3, 0.0]))
    notes = [n for n in read("hit_uav", root) if isinstance(n, Note) and "without area" in n.reason]
    assert sum(n.count for n in notes) == 2
    for odd in ([1, 2, 3, 4], [1, 2, 3, 4, None], [1, 2, 3, 4, True], [10**400, 2, 3, 4, 0.5], [1e999, 2, 3, 4, 0.5]):
        edit(path, lambda c, odd=odd: c["annotations"][0].update(bbox=odd))
        with pytest.raises(SourceError, match=r"annotations\[0\]\.bbox: found a list, expected centre x and y"):
            read("hit_uav", root)
    edit(path, lambda c: c["images"][0].update(width=10**400))
    with pytest.raises(SourceError, match=r"images\[0\]\.width: found an integer 1.*, expected the image's side"):
        read("hit_uav", root)
    shutil.copy(root / "normal_json" / "annotations" / "train.json", path)
    with pytest.raises(SourceError, match="the file of the upright boxes"):
        read("hit_uav", root)


def test_source_errors_are_usage_errors() -> None:
    assert issubclass(SourceError, UsageError)
