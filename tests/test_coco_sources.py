"""Sources with annotations in COCO's form: what the form allows, and what SSDD, HRSID and SARDet-100K make of it."""

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from items import Item, notes, read, scenes
from rs_gpt4v_conversion.config import load_config
from rs_gpt4v_conversion.errors import SourceError, UsageError
from rs_gpt4v_conversion.geometry import clockwise, corners, envelope
from rs_gpt4v_conversion.records import Flaw
from rs_gpt4v_conversion.sample import SOURCES
from rs_gpt4v_conversion.sources import Folder
from rs_gpt4v_conversion.sources._coco import CocoForm, read_coco
from shared import shared

FORM = CocoForm(
    collection="ssdd", split="train", images=Path("images"), image_path="images",
    words={"ship": "ship", "storage tank": "storage tank"}, quads=True,
)  # fmt: skip

SMALL: dict[str, Any] = {
    "images": [
        {"id": 2**40, "file_name": "a.jpg", "width": 100, "height": 80},
        {"id": 0, "file_name": "b.jpg", "width": 60, "height": 60},
    ],
    "categories": [{"id": 0, "name": "ship"}, {"id": 7, "name": "Storage_Tank"}],
    "annotations": [
        {"id": 1, "image_id": 2**40, "category_id": 0, "bbox": [10, 20, 30, 15]},
        {"id": 2, "image_id": 0, "category_id": 7, "bbox": [1.5, 2.5, 9.0, 8.0], "iscrowd": 0, "segmentation": []},
    ],
}


def coco(folder: Path, content: Any, form: CocoForm = FORM, seen: dict[str, str] | None = None) -> list[Item]:
    path = folder / "a.json"
    path.write_text(json.dumps(content))
    return list(read_coco(Folder(folder), path, form, {} if seen is None else seen))


def changed(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    content = copy.deepcopy(SMALL)
    change(content)
    return content


def test_any_number_may_be_an_id_and_names_become_words(tmp_path: Path) -> None:
    one, two = scenes(coco(tmp_path, SMALL))
    assert (one.image.image_id, one.image.origin, one.image.width, one.image.height) == ("a", "ssdd/a", 100, 80)
    assert [(o.category, o.bbox, o.number) for o in one.objects] == [("ship", (10, 20, 40, 35), 0)]
    assert [(o.category, o.bbox) for o in two.objects] == [("storage tank", (1.5, 2.5, 10.5, 10.5))]
    assert one.searched == two.searched == ("ship", "storage tank")


@given(
    x=st.floats(0, 90), y=st.floats(0, 70), w=st.floats(1, 10), h=st.floats(1, 10), angle=st.floats(0.1, 1.4),
)  # fmt: skip
@settings(max_examples=50)
def test_boxes_inside_their_image_are_kept_as_they_are(
    tmp_path_factory: pytest.TempPathFactory, x: float, y: float, w: float, h: float, angle: float
) -> None:
    quad = corners(x + 5, y + 5, w, h / 2, angle)
    content = changed(lambda c: c["annotations"][0].update(bbox=[x, y, w, h], segmentation=[list(quad)]))
    [thing] = scenes(coco(tmp_path_factory.mktemp("coco"), content))[0].objects
    assert thing.bbox == (x, y, x + w, y + h)
    assert thing.obb == clockwise(quad)


@pytest.mark.parametrize(
    ("segmentation", "obb"),
    [
        ([[10, 25, 30, 20, 40, 30, 20, 35]], (10, 25, 30, 20, 40, 30, 20, 35)),
        ([[20, 35, 40, 30, 30, 20, 10, 25]], (20, 35, 10, 25, 30, 20, 40, 30)),  # the other way, from the same corner
        ([[10, 20, 10, 35, 40, 35, 40, 20]], None),  # the upright box again
        ([[10, 20, 30, 20, 40, 30, 20, 35, 12, 30]], None),
        ([[10, 25, 30, 20, 40, 30, 20, 35]] * 2, None),
        ([[10, 25, 30, 20, 40, 30, 20, "35"]], None),
        ([[10, 10, 20, 20, 30, 30, 40, 40]], None),
        ({"counts": "x", "size": [80, 100]}, None),
        ([], None),
        (None, None),
    ],
)
def test_a_polygon_of_four_points_is_a_rotated_box(tmp_path: Path, segmentation: Any, obb: Any) -> None:
    content = changed(lambda c: c["annotations"][0].update(segmentation=segmentation))
    [thing] = scenes(coco(tmp_path, content))[0].objects
    assert (thing.bbox, thing.obb) == ((10, 20, 40, 35), obb)


@pytest.mark.parametrize(
    ("box", "note"),
    [
        ([0, 0, 0, 0], "box without area, or outside its image, left out"),
        ([10, 20, 0, 5], "box without area, or outside its image, left out"),
        ([10, 20, -5, 5], "box of negative width or height, left out"),
        ([200, 20, 5, 5], "box without area, or outside its image, left out"),
        ([1e400, 0, 5, 5], "box that is not of finite numbers, left out"),
        ([10**400, 0, 5, 5], "box that is not of finite numbers, left out"),
        ([0, 0, 1e38, 5], "box with a number beyond any image, left out"),
        ([float("nan"), 0, 5, 5], "box that is not of finite numbers, left out"),
    ],
)
def test_a_box_that_cannot_be_is_left_out_and_its_category_uncertain(tmp_path: Path, box: Any, note: str) -> None:
    items = coco(tmp_path, changed(lambda c: c["annotations"][0].update(bbox=box)))
    assert notes(items) == {note: 1}
    assert scenes(items)[0].objects == ()
    assert scenes(items)[0].uncertain == ("ship",)


@pytest.mark.parametrize("key", ["iscrowd", "ignore"])
def test_regions_are_to_be_ignored(tmp_path: Path, key: str) -> None:
    [thing] = scenes(coco(tmp_path, changed(lambda c: c["annotations"][0].update({key: 1}))))[0].objects
    assert thing.ignore


def test_boxes_of_images_that_are_not_listed_are_counted(tmp_path: Path) -> None:
    items = coco(tmp_path, changed(lambda c: [a.update(image_id=5) for a in c["annotations"]]))
    assert notes(items) == {"box of an image that the file does not list": 2}
    assert [s.objects for s in scenes(items)] == [(), ()]


def test_images_listed_twice_are_rejected_and_names_of_one_stem_are_not(tmp_path: Path) -> None:
    content = changed(lambda c: c["images"][1].update(file_name="a.png"))
    assert [s.image.image_id for s in scenes(coco(tmp_path, content))] == ["a", "a.png"]
    seen: dict[str, str] = {}
    assert len(scenes(coco(tmp_path, SMALL, seen=seen))) == 2
    again = coco(tmp_path, SMALL, seen=seen)
    assert [(f.image_id, f.reason) for f in again if isinstance(f, Flaw)] == [
        ("a", "image listed twice"),
        ("b", "image listed twice"),
    ]
    assert not scenes(again)


def test_an_image_without_objects_that_is_listed_twice_is_noted(tmp_path: Path) -> None:
    bare = changed(lambda c: c.update(annotations=[]))
    seen: dict[str, str] = {}
    assert len(scenes(coco(tmp_path, bare, seen=seen))) == 2
    assert notes(coco(tmp_path, bare, seen=seen)) == {"image listed twice (without objects to ask about)": 2}


@pytest.mark.parametrize("name", ["../a.jpg", "", None, 7, "\ud800.jpg"])
def test_an_image_without_a_proper_name_is_rejected(tmp_path: Path, name: Any) -> None:
    items = coco(tmp_path, changed(lambda c: c["images"][0].update(file_name=name)))
    assert [(f.task, f.image_id) for f in items if isinstance(f, Flaw)] == [("grounding", "images[0]")]
    assert len(scenes(items)) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c["images"][1].update(id=2**40), r"images\[1\]\.id: found 1099511627776 for the second time"),
        (lambda c: c["images"][0].update(id="a"), r"images\[0\]\.id: found a string"),
        (lambda c: c["images"][0].update(width=0), r"images\[0\]\.width: found an integer 0"),
        (lambda c: c["images"][0].update(width=10**400), r"images\[0\]\.width: found"),
        (lambda c: c["images"][0].pop("height"), r"images\[0\]\.height: found nothing"),
        (lambda c: c["images"].clear(), "images: found no image"),
        (lambda c: c["categories"].clear(), "categories: found no category"),
        (lambda c: c["categories"][1].update(id=0), r"categories\[1\]\.id: found 0 for the second time"),
        (lambda c: c["categories"][0].update(name="cat"), r"categories\[0\]\.name: found 'cat', expected one of ship"),
        (lambda c: c["annotations"][1].update(category_id=3), r"annotations\[1\]\.category_id: found an integer 3"),
        (lambda c: c["annotations"][1].update(bbox=[1, 2, 3]), r"annotations\[1\]\.bbox: found a list"),
        (lambda c: c["annotations"][1].update(bbox=[1, 2, 3, True]), r"annotations\[1\]\.bbox: found a list"),
        (lambda c: c["annotations"][1].pop("image_id"), r"annotations\[1\]\.image_id: found nothing"),
        (lambda c: c["annotations"].append(3), r"annotations\[2\]: found an integer 3"),
        (lambda c: c.pop("annotations"), "expected a list 'annotations'"),
    ],
)
def test_what_is_of_another_form_is_refused_by_record(tmp_path: Path, change: Any, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        coco(tmp_path, changed(change))


def test_a_number_of_thousands_of_digits_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"images": [' + "9" * 5000 + "]}")
    with pytest.raises(SourceError, match="a number of thousands of digits"):
        list(read_coco(Folder(tmp_path), tmp_path / "a.json", FORM, {}))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["id", "bbox", "name"]), inner),
    max_leaves=5,
)


@given(
    place=st.sampled_from(
        [(k,) for k in SMALL] + [(k, i, f) for k, rows in SMALL.items() for i, row in enumerate(rows) for f in row]
    ),
    value=JSON,
)
@settings(max_examples=60)
def test_no_value_anywhere_gives_a_traceback(
    tmp_path_factory: pytest.TempPathFactory, place: tuple[Any, ...], value: Any
) -> None:
    content: Any = copy.deepcopy(SMALL)
    *way, last = place
    inner = content
    for step in way:
        inner = inner[step]
    inner[last] = value
    try:
        items = coco(tmp_path_factory.mktemp("fuzz"), content)
    except SourceError:
        return
    assert items


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


@pytest.fixture
def root(sample: Path, tmp_path: Path) -> Callable[[str], Path]:
    """A copy of a source that a test may change."""

    def make(kind: str) -> Path:
        return Path(shutil.copytree(sample / SOURCES[kind][0], tmp_path / kind))

    return make


def test_ssdd_gives_the_same_upright_boxes_from_xml_and_json(root: Callable[[str], Path]) -> None:
    folder = root("ssdd")
    rotated = read("ssdd", folder, boxes="obb")
    assert notes(rotated)["corners that ran anticlockwise, put in clockwise order"] > 0
    whole = read("ssdd", folder, annotations=str(folder / "SSDD.json"))
    shutil.rmtree(folder / "BBox_RBox_PSeg_SSDD/voc_style/Annotations_train")
    shutil.rmtree(folder / "BBox_RBox_PSeg_SSDD/voc_style/Annotations_test")
    upright = read("ssdd", folder)

    def boxes(items: list[Item]) -> dict[tuple[str, str], list[Any]]:
        return {(s.split, s.image.image_id): [o.bbox for o in s.objects] for s in scenes(items)}

    assert boxes(rotated) == boxes(upright) == boxes(whole)
    assert {s.boxes for s in scenes(rotated)} == {"obb"}
    assert all(o.obb is not None for s in scenes(rotated) for o in s.objects)
    assert all(o.obb is None for s in scenes(upright) for o in s.objects)
    assert all(s.image.path.is_file() for s in [*scenes(rotated), *scenes(upright)])


def test_ssdd_takes_the_envelope_where_there_is_no_upright_box(root: Callable[[str], Path]) -> None:
    folder = root("ssdd")
    (folder / "BBox_RBox_PSeg_SSDD").rename(folder / "RBox_SSDD")
    for path in (folder / "RBox_SSDD/voc_style").glob("Annotations_*/*.xml"):
        text = path.read_text()
        path.write_text("".join(line for line in text.splitlines(keepends=True) if "bndbox><xmin>" not in line))
    found = scenes(read("ssdd", folder))
    assert found
    for scene in found:
        for thing in scene.objects:
            assert thing.obb is not None
            assert thing.bbox == envelope(thing.obb)


def test_ssdd_keeps_upright_boxes_alone_and_refuses_other_objects(root: Callable[[str], Path]) -> None:
    folder = root("ssdd")
    path = folder / "BBox_RBox_PSeg_SSDD/voc_style/Annotations_train/000002.xml"
    text = path.read_text()
    path.write_text(text.replace("rotated_bndbox>", "turned>", 2))
    first, second = scenes(read("ssdd", folder))[0].objects[:2]
    assert (first.obb is None, second.obb is None) == (True, False)
    path.write_text(text.replace("bndbox>", "none>", 4))
    items = read("ssdd", folder)
    [uncertain] = [s for s in scenes(items) if s.uncertain]
    assert (uncertain.image.image_id, uncertain.uncertain) == ("000002", ("ship",))
    assert notes(items)["object without a box, left out"] == 1
    path.write_text(text.replace(">ship<", ">plane<", 1))
    with pytest.raises(SourceError, match=r"000002\.xml, object 1, name: found 'plane', expected ship"):
        read("ssdd", folder)


def test_ssdd_says_what_is_missing(root: Callable[[str], Path]) -> None:
    folder = root("ssdd")
    voc = folder / "BBox_RBox_PSeg_SSDD/voc_style"
    (voc / "Annotations_train/000002.xml").unlink()
    shutil.rmtree(voc / "Annotations_test")
    found = notes(read("ssdd", folder))
    assert found["image without a file of its boxes"] == 1
    assert found["no annotations of the official split 'test' in the folder"] == 1
    shutil.copy(voc / "Annotations_train/000003.xml", voc / "JPEGImages_train")
    (voc / "Annotations_test").mkdir()
    shutil.copy(voc / "Annotations_train/000003.xml", voc / "Annotations_test")
    flaws = [i for i in read("ssdd", folder) if isinstance(i, Flaw)]
    assert [(f.split, f.image_id, f.reason) for f in flaws] == [("test", "000003", "image listed twice")]


def test_hrsid_reads_both_splits_and_leaves_out_what_has_no_area(sample: Path) -> None:
    items = read("hrsid", sample / "HRSID")
    found = scenes(items)
    assert {s.split for s in found} == {"train", "test"}
    crops = {split: {s.image.image_id[:5] for s in found if s.split == split} for split in ("train", "test")}
    assert crops["train"] & crops["test"], "crops of one scene are in both official splits"
    assert notes(items) == {"box without area, or outside its image, left out": 1}
    assert sum(o.ignore for s in found for o in s.objects) == 1
    assert all(o.obb is None for s in found for o in s.objects)


def test_hrsid_reads_another_file_only_when_its_split_is_known(root: Callable[[str], Path], tmp_path: Path) -> None:
    folder = root("hrsid")
    path = folder / "inshore.json"
    shutil.copy(folder / "HRSID_JPG/annotations/test2017.json", path)
    with pytest.raises(SourceError, match=r"inshore\.json: found a name that does not say.*; say it with `split`"):
        read("hrsid", folder, annotations=str(path))
    assert {s.split for s in scenes(read("hrsid", folder, annotations=str(path), split="test"))} == {"test"}
    path.rename(folder / "inshore_test.json")
    named = read("hrsid", folder, annotations=str(folder / "inshore_test.json"))
    assert {s.split for s in scenes(named)} == {"test"}
    assert all(s.image.path.is_file() for s in scenes(named))
    with pytest.raises(SourceError, match="found `split` without `annotations`"):
        read("hrsid", folder, split="test")
    toml = tmp_path / "s.toml"
    toml.write_text('version = "1.0.0"\ndate = 2026-01-01\n[[source]]\nkind = "hrsid"\nroot = "hrsid"\nsplit = "val"\n')
    with pytest.raises(UsageError, match="split is 'val', expected one of train, test"):
        load_config(toml)


def test_hrsid_and_sardet_say_which_split_is_missing(root: Callable[[str], Path]) -> None:
    folder = root("hrsid")
    (folder / "HRSID_JPG/annotations/test2017.json").unlink()
    assert notes(read("hrsid", folder))["no file of the official split 'test2017' in the folder"] == 1
    folder = root("sardet_100k")
    (folder / "Annotations/val.json").unlink()
    assert notes(read("sardet_100k", folder))["no file of the official split 'val' in the folder"] == 1


def test_an_image_of_train_is_not_taken_again_into_test(root: Callable[[str], Path]) -> None:
    folder = root("hrsid") / "HRSID_JPG/annotations"
    shutil.copy(folder / "train2017.json", folder / "test2017.json")
    items = read("hrsid", folder.parents[1])
    assert {s.split for s in scenes(items)} == {"train"}
    assert {(f.split, f.reason) for f in items if isinstance(f, Flaw)} == {("test", "image listed twice")}


def test_sardet_says_nothing_of_categories_that_its_sets_did_not_look_for(sample: Path) -> None:
    items = read("sardet_100k", sample / "SARDet_100K")
    for scene in scenes(items):
        assert set(scene.searched) == {o.category for o in scene.objects} | set(scene.uncertain)
    words = {o.category for s in scenes(items) for o in s.objects}
    assert {"aircraft", "storage tank"} <= words
    assert "tank" not in words
    assert notes(items) == {
        "box of negative width or height, left out": 1, "box of an image that the file does not list": 1,
    }  # fmt: skip


def count(items: list[Item]) -> dict[str, tuple[int, int]]:
    found = scenes(items)
    return {
        split: (sum(s.split == split for s in found), sum(len(s.objects) for s in found if s.split == split))
        for split in sorted({s.split for s in found})
    }


def test_the_real_file_of_ssdd_has_the_official_split() -> None:
    path = shared("realdata", "ssdd", "SSDD.json")
    items = read("ssdd", path.parent, annotations=str(path))
    assert count(items) == {"test": (232, 546), "train": (928, 2040)}
    assert len({(s.image.width, s.image.height) for s in scenes(items)}) == 805
    assert not [i for i in items if isinstance(i, Flaw)]


def test_the_real_files_of_hrsid_are_read() -> None:
    folder = shared("realdata", "hrsid")
    inshore = read("hrsid", folder, annotations=str(folder / "modified/inshore/inshore_test_part.json"))
    assert count(inshore) == {"test": (111, 764)}
    assert notes(inshore) == {"box without area, or outside its image, left out": 1}
    offshore = read("hrsid", folder, annotations=str(folder / "modified/offshore/offshore_train_first300.json"))
    assert count(offshore) == {"train": (300, 506)}
    assert all(o.obb is None for s in scenes(offshore) for o in s.objects)
