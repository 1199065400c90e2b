"""Sources with a text file an image: NWPU VHR-10 and DOTA."""

import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from items import Item, notes, read, scenes
from rs_gpt4v_conversion.config import load_config
from rs_gpt4v_conversion.errors import SourceError, UsageError
from rs_gpt4v_conversion.geometry import corners, envelope
from rs_gpt4v_conversion.records import Flaw, Object, Scene
from rs_gpt4v_conversion.sample import SOURCES
from rs_gpt4v_conversion.sources import known_sources
from rs_gpt4v_conversion.sources.dota import CATEGORIES as DOTA_CATEGORIES
from rs_gpt4v_conversion.sources.dota import label_folders
from rs_gpt4v_conversion.sources.nwpu_vhr10 import CATEGORIES
from shared import shared

HEAD = "imagesource:GoogleEarth\ngsd:0.25\n"
BOX = "10 10 60 12 58 40 8 38"


@pytest.fixture
def root(sample: Path, tmp_path: Path) -> Callable[[str], Path]:
    """A copy of a source that a test may change."""

    def make(kind: str) -> Path:
        return Path(shutil.copytree(sample / SOURCES[kind][0], tmp_path / kind))

    return make


def vhr10(folder: Path, text: str | bytes) -> list[Item]:
    """Read one text file of NWPU VHR-10."""
    path = folder / "ground truth" / "001.txt"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read("nwpu_vhr10", folder)


@pytest.mark.parametrize(
    "line",
    ["(10,20),(60,70),3", "( 10, 20),( 60,70 ) , 3 ", "(10 ,20) ,(60, 70),3\t", "10,20,60,70,3", "(10,20),(60,70),3.0"],
)
def test_vhr10_brackets_and_blanks_do_not_matter(tmp_path: Path, line: str) -> None:
    [scene] = scenes(vhr10(tmp_path, f"\r\n  \r\n{line}\r\n\r\n"))
    assert [(o.category, o.bbox) for o in scene.objects] == [("storage tank", (10, 20, 60, 70))]
    assert scene.uncertain == ()


def test_dota_a_rotated_box_of_numbers_beyond_any_image_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "train/labelTxt").mkdir(parents=True)
    far = "-1e39 10 1e39 10 1e39 12 -1e39 12"
    (tmp_path / "train/labelTxt/P0001.txt").write_text(f"{HEAD}{far} ship 0\n{BOX} plane 0\n")
    items = read("dota", tmp_path)
    assert notes(items)["box with a number beyond any image, left out"] == 1
    assert [(o.category, s.uncertain) for s in scenes(items) for o in s.objects] == [("plane", ("ship",))]


@given(st.lists(st.tuples(*[st.integers(1, 400)] * 2, *[st.integers(401, 900)] * 2, st.integers(1, 10)), min_size=1))
@settings(max_examples=30)
def test_vhr10_boxes_come_back(tmp_path_factory: pytest.TempPathFactory, boxes: list[tuple[int, ...]]) -> None:
    text = "\n".join("({},{}),({},{}),{}".format(*box) for box in boxes)
    [scene] = scenes(vhr10(tmp_path_factory.mktemp("vhr10"), text))
    assert [(*(o.bbox or ()), CATEGORIES.index(o.category) + 1) for o in scene.objects] == boxes


@pytest.mark.parametrize("line", ["(10,20),(60,", "(10,20),(60,70)", "a,b,c,d,e", "(10,20),(60,70),3,4"])
def test_vhr10_a_line_that_is_no_box_makes_all_categories_uncertain(tmp_path: Path, line: str) -> None:
    items = vhr10(tmp_path, f"(10,20),(60,70),3\n{line}\n")
    assert notes(items)["line that is no box, left out"] == 1
    assert set(scenes(items)[0].uncertain) == set(CATEGORIES)
    assert len(scenes(items)[0].objects) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "found no box, expected a line such as"),
        ("{}", "found no box, expected a line such as"),
        ("(1,2),(3,4),0", "line 1: found category 0, expected 1 to 10"),
        ("(1,2),(3,4),11", "line 1: found category 11, expected 1 to 10"),
        ("(1,2),(3,4),1.5", "line 1: found category 1.5, expected 1 to 10"),
        ("(1,2),(3,4),nan", "line 1: found category nan, expected 1 to 10"),
        (b"\xff\xfe", "byte 0, which is not UTF-8"),
    ],
)
def test_vhr10_other_files_are_refused(tmp_path: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(SourceError, match=f"001.txt.*{message}"):
        vhr10(tmp_path, text)


def test_vhr10_positive_and_negative_images_of_one_name_are_two(sample: Path) -> None:
    found = {s.image.image_id: s for s in scenes(read("nwpu_vhr10", sample / SOURCES["nwpu_vhr10"][0]))}
    positive, negative = found["positive_001"], found["negative_001"]
    assert positive.image.path != negative.image.path
    assert positive.image.path.name == negative.image.path.name == "001.jpg"
    assert positive.image.origin != negative.image.origin
    assert positive.objects
    assert not negative.objects
    assert negative.searched == positive.searched == CATEGORIES
    for scene in found.values():
        with Image.open(scene.image.path) as image:
            assert (scene.image.width, scene.image.height) == image.size


def test_vhr10_is_read_without_its_images(root: Callable[[str], Path]) -> None:
    folder = root("nwpu_vhr10")
    before = read("nwpu_vhr10", folder)
    texts = folder / "NWPU VHR-10 dataset/ground truth"
    (texts / "002.txt").unlink()
    assert notes(read("nwpu_vhr10", folder))["image without a file of its boxes"] == 1
    shutil.rmtree(folder / "NWPU VHR-10 dataset/positive image set")
    shutil.rmtree(folder / "NWPU VHR-10 dataset/negative image set")
    items = read("nwpu_vhr10", folder)
    assert notes(items)["no images in the folder 'negative image set'"] == 1
    assert len(scenes(items)) == len(list(texts.glob("*.txt")))
    assert {s.image.width for s in scenes(items)} == {None}
    boxes = {s.image.image_id: [o.bbox for o in s.objects] for s in scenes(before)}
    assert all([o.bbox for o in s.objects] == boxes[s.image.image_id] for s in scenes(items))


def test_vhr10_in_cocos_form(root: Callable[[str], Path]) -> None:
    folder = root("nwpu_vhr10")
    content = {
        "images": [{"id": 0, "file_name": "001.jpg", "width": 500, "height": 400}],
        "categories": [{"id": 3, "name": "storage_tank"}, {"id": 4, "name": "baseball_diamond"}],
        "annotations": [{"id": 0, "image_id": 0, "category_id": 3, "bbox": [1.0, 2.0, 9.0, 8.0]}],
    }
    path = folder / "NWPU VHR-10 dataset/annotations.json"
    path.write_text(json.dumps(content))
    texts = read("nwpu_vhr10", folder)
    shutil.rmtree(folder / "NWPU VHR-10 dataset/ground truth")
    items = read("nwpu_vhr10", folder)
    assert texts != items, "the original text files come first"
    positive, *negative = scenes(items)
    assert (positive.image.image_id, positive.searched) == ("positive_001", ("storage tank", "baseball diamond"))
    assert [(o.category, o.bbox) for o in positive.objects] == [("storage tank", (1, 2, 10, 10))]
    assert [s.image.image_id for s in negative] == ["negative_001", "negative_002"]
    assert positive.image.path.is_file()
    moved = path.rename(folder / "elsewhere.json")
    assert read("nwpu_vhr10", folder, annotations=str(moved)) == items


def test_the_real_conversion_of_vhr10() -> None:
    items = read("nwpu_vhr10", shared("realdata", "nwpu_vhr10", "annotations.json").parent)
    counts = Counter(o.category for s in scenes(items) for o in s.objects)
    assert len(scenes(items)) == 650
    assert sum(counts.values()) == 3921
    assert [counts[c] for c in ("ship", "harbor", "vehicle")] == [298, 239, 604]
    assert set(counts) == set(CATEGORIES)


def labelled(
    folder: Path, text: str | bytes, name: str = "labelTxt/P0001.txt", size: tuple[int, int] | None = None
) -> Path:
    """Write one file of DOTA's labels, and its image where a size is given."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    if size:
        (folder / "images").mkdir(exist_ok=True)
        Image.new("RGB", size).save(folder / "images" / f"{path.stem}.png")
    return folder


def dota(folder: Path, text: str | bytes, size: tuple[int, int] | None = None) -> tuple[Scene, Counter[str]]:
    items = read("dota", labelled(folder, text, size=size))
    [scene] = scenes(items)
    return scene, notes(items)


@pytest.mark.parametrize(
    ("end", "difficult"), [("", False), (" 0", False), (" 1", True), (" 2", True), (" 1 more words", True)]
)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("head", ["", HEAD, "acquisition dates:2011-01-01\n" + HEAD, "\ufeff" + HEAD])
def test_dota_lines_of_nine_words_or_more_are_objects(
    tmp_path: Path, end: str, difficult: bool, newline: str, head: str
) -> None:
    scene, found = dota(tmp_path, f"{head}{BOX} large-vehicle{end}\n".replace("\n", newline))
    [thing] = scene.objects
    assert (thing.category, thing.difficult) == ("large vehicle", difficult)
    assert thing.obb == (10, 10, 60, 12, 58, 40, 8, 38)
    assert thing.bbox == (8, 10, 60, 40)
    assert scene.image.gsd == (0.25 if head else None)
    assert scene.uncertain == ()
    assert not found


@given(
    cx=st.floats(20, 80), cy=st.floats(20, 80), w=st.floats(2, 20), h=st.floats(2, 20), angle=st.floats(-3.1, 3.1),
)  # fmt: skip
@settings(max_examples=50)
def test_dota_corners_come_back_from_the_first_one_on(
    tmp_path_factory: pytest.TempPathFactory, cx: float, cy: float, w: float, h: float, angle: float
) -> None:
    obb = corners(cx, cy, w, h, angle)
    text = " ".join(map(repr, obb)) + " ship 0"
    scene, _ = dota(tmp_path_factory.mktemp("dota"), text, size=(100, 100))
    assert [(o.obb, o.bbox) for o in scene.objects] == [(obb, envelope(obb))]


@pytest.mark.parametrize(
    ("gsd", "metres"),
    [("0.5", 0.5), ("None", None), ("null", None), ("", None), ("nan", None), ("inf", None), ("-1", None), ("0", None)],
)
def test_dota_metres_per_pixel(tmp_path: Path, gsd: str, metres: float | None) -> None:
    scene, found = dota(tmp_path, f"imagesource:GoogleEarth\ngsd:{gsd}\n{BOX} plane 0\n")
    assert scene.image.gsd == metres
    assert not found


@pytest.mark.parametrize("text", ["", "\n", HEAD, HEAD.replace("\n", "\r\n")])
def test_dota_files_without_objects_are_images_without_objects(tmp_path: Path, text: str) -> None:
    scene, found = dota(tmp_path, text)
    assert scene.objects == scene.uncertain == ()
    assert len(scene.searched) == 15
    assert not found


@pytest.mark.parametrize(
    ("text", "lost"),
    [
        (f"10 10 60 12\n{BOX} plane 0\n", False),
        (f"drawn by hand\n{BOX} plane 0", False),
        (f"{BOX} plane 0\n{BOX}\n", True),  # its category is missing
        (f"{BOX} plane 0\n10 10 60 1", True),  # the file is cut off
        (f"{BOX} plane 0\nthe end", False),
    ],
)
def test_dota_short_lines_are_passed_over(tmp_path: Path, text: str, lost: bool) -> None:
    scene, found = dota(tmp_path, HEAD + text)
    assert [o.category for o in scene.objects] == ["plane"]
    assert scene.uncertain == (tuple(sorted(scene.searched)) if lost else ())
    assert found == {"line of fewer than nine words, passed over": 1}


def test_dota_objects_at_and_beyond_the_edge(tmp_path: Path) -> None:
    lines = (
        "-10 20 30 20 30 40 -10 40 ship 0", "-50 20 20 20 20 40 -50 40 plane 0", "300 20 340 20 340 40 300 40 harbor 0",
        "1 1 1 1 1 1 1 1 bridge 0", "a 1 9 1 9 9 1 9 roundabout 0", "8 1 9 1 9 9 8 9 helicopter yes",
    )  # fmt: skip
    scene, found = dota(tmp_path, "\n".join(lines), size=(100, 100))
    assert [(o.category, o.bbox, o.obb is None, o.number) for o in scene.objects] == [
        ("ship", (0, 20, 30, 40), False, 0), ("plane", (0, 20, 20, 40), True, 1),
        ("helicopter", (8, 1, 9, 9), False, 5),
    ]  # fmt: skip
    assert scene.uncertain == ("bridge", "harbor", "roundabout")
    assert found == {
        "rotated box whose centre is outside its image: only its upright part": 1,
        "box without area, or outside its image, left out": 2,
        "object whose corners are no numbers, left out": 1,
        "object whose flag of difficulty is not 0, 1 or 2: taken as 0": 1,
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "found neither a head nor an object, expected DOTA's labels"),
        ("one two three", "found neither a head nor an object"),
        (f"{HEAD}{BOX} cat 0", "line 3: found 'cat', expected one of DOTA's categories"),
        (f"{BOX} airport 0", "line 1: found 'airport', which began with version 2.0, expected labels of version 1.0"),
        (b"gsd:\xff", "byte 4, which is not UTF-8"),
    ],
)
def test_dota_other_files_are_refused(tmp_path: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(SourceError, match=f"P0001.txt.*{message}"):
        dota(tmp_path, text)


@given(st.text(alphabet="0123456789.-e \n:plangsd", max_size=120) | st.text(max_size=60))
def test_no_text_gives_a_traceback(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    for use in (dota, vhr10):
        try:
            assert use(tmp_path_factory.mktemp("fuzz"), text.encode(errors="replace"))
        except SourceError:
            continue


def test_dota_searches_the_categories_of_the_version(tmp_path: Path) -> None:
    assert [len(names) for names in DOTA_CATEGORIES.values()] == [15, 1, 2]
    for version, count in (("1.0", 15), ("1.5", 16), ("2.0", 18)):
        folder = labelled(tmp_path / version, f"{BOX} ship 0", f"train/labelTxt-v{version}/P0001.txt")
        [scene] = scenes(read("dota", folder, annotation_version=version))
        assert len(scene.searched) == len(set(scene.searched)) == count


@pytest.mark.parametrize("version", ["1.0", "1.5", "2.0"])
@pytest.mark.parametrize("split", ["train", "val"])
def test_dota_finds_every_folder_of_a_version(tmp_path: Path, version: str, split: str) -> None:
    ours = {"train": "train", "val": "validation"}[split]
    for number, place in enumerate(label_folders(split, version)):
        folder = labelled(tmp_path / str(number), f"{BOX} ship 0", f"{split}/{place}/P0001.txt")
        items = read("dota", folder, annotation_version=version)
        assert [(s.split, s.image.origin) for s in scenes(items)] == [(ours, "dota/P0001")]
        assert len(notes(items)) == 1, "the other split is not there"


def test_dota_never_takes_upright_labels(tmp_path: Path) -> None:
    for place in ("labelTxt-v1.5/DOTA-v1.5_train_hbb", "labelTxt-v1.5/Train_Task2_gt/trainset_reclabelTxt"):
        labelled(tmp_path, f"{BOX} plane 0", f"train/{place}/P0001.txt")
    with pytest.raises(SourceError, match=r"found no labels of version 1\.5"):
        read("dota", tmp_path, annotation_version="1.5")
    labelled(tmp_path, f"{BOX} ship 0", "train/labelTxt-v1.5/P0001.txt")
    [scene] = scenes(read("dota", tmp_path, annotation_version="1.5"))
    assert [o.category for o in scene.objects] == ["ship"]


@pytest.mark.parametrize(("last", "told"), [("1 1 5 1 5 5 1 5", True), (BOX, False)])
def test_dota_says_where_all_boxes_are_upright(tmp_path: Path, last: str, told: bool) -> None:
    lines = [f"{i} 1 {i + 4} 1 {i + 4} 5 {i} 5 ship 0" for i in range(30)]
    _, found = dota(tmp_path, "\n".join([*lines, f"{last} ship 0"]))
    assert (len(found) == 1) == told


def test_dota_never_mixes_versions(tmp_path: Path) -> None:
    labelled(tmp_path, f"{BOX} ship 0", "train/labelTxt/P0001.txt")
    with pytest.raises(SourceError, match=r"train: found labels of version 1\.0, expected labels of version 2\.0"):
        read("dota", tmp_path, annotation_version="2.0")
    labelled(tmp_path, f"{BOX} ship 0", "train/labelTxt-v1.5/P0001.txt")
    assert len(scenes(read("dota", tmp_path))) == 1
    labelled(tmp_path, f"{BOX} ship 0", "train/labelTxt-v1.0/labelTxt/P0001.txt")
    with pytest.raises(SourceError, match=r"labelTxt-v1\.0/labelTxt and labelTxt, expected one folder"):
        read("dota", tmp_path)
    assert len(scenes(read("dota", tmp_path, annotation_version="1.5"))) == 1


def test_dota_root_that_is_a_split(tmp_path: Path) -> None:
    labelled(tmp_path, f"{BOX} ship 0")
    assert [s.split for s in scenes(read("dota", tmp_path))] == ["train"]
    assert [s.split for s in scenes(read("dota", tmp_path, split="validation"))] == ["validation"]
    (tmp_path / "val").mkdir()
    with pytest.raises(SourceError, match=r"found folders of splits.*; leave `split` out"):
        read("dota", tmp_path, split="validation")


def test_dota_images_and_labels_without_each_other(root: Callable[[str], Path]) -> None:
    folder = root("dota")
    before = scenes(read("dota", folder))
    (folder / "train/images/P0001.png").unlink()
    (folder / "train/labelTxt/P0002.txt").unlink()
    (folder / "test/images").mkdir(parents=True)
    items = read("dota", folder)
    alone = next(s for s in scenes(items) if s.image.image_id == "P0001")
    assert (alone.image.width, alone.image.path.name) == (None, "P0001.png")
    assert len(scenes(items)) == len(before) - 1
    found = notes(items)
    assert found["image without a file of labels"] == 1
    assert found["folder of the official split 'test', whose labels are not published: not read"] == 1
    (folder / "val/images/P0003.png").unlink()
    shutil.rmtree(folder / "val/labelTxt-v1.0")
    shutil.rmtree(folder / "val/labelTxt-v1.5")
    assert notes(read("dota", folder))["no labels of the official split 'val' in the folder"] == 1


@pytest.mark.parametrize("place", ["images", "images/images", "images/part1", "images/part2/images"])
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif"])
def test_dota_finds_images_where_archives_put_them(tmp_path: Path, place: str, suffix: str) -> None:
    labelled(tmp_path, f"{BOX} ship 0")
    (tmp_path / place).mkdir(parents=True)
    Image.new("L", (70, 50)).save(tmp_path / place / f"P0001{suffix}")
    [scene] = scenes(read("dota", tmp_path))
    assert (scene.image.source_id, scene.image.width, scene.image.height) == (f"P0001{suffix}", 70, 50)


def test_dota_one_image_in_two_splits_is_rejected(root: Callable[[str], Path]) -> None:
    folder = root("dota")
    shutil.copy(folder / "train/labelTxt/P0002.txt", folder / "val/labelTxt-v1.0/labelTxt")
    items = read("dota", folder)
    flaws = [i for i in items if isinstance(i, Flaw)]
    assert flaws
    assert {(f.split, f.image_id, f.reason) for f in flaws} == {("validation", "P0002", "image listed twice")}


def test_dota_sample_has_one_image_of_several_tiles_and_the_same_objects_in_both_versions(sample: Path) -> None:
    first, *others = scenes(read("dota", sample / "DOTA"))
    tile = known_sources()["dota"].tile
    assert min(first.image.width or 0, first.image.height or 0) > tile
    assert all(max(s.image.width or 0, s.image.height or 0) < tile for s in others)

    def objects(version: str) -> list[tuple[Object, ...]]:
        return [s.objects for s in scenes(read("dota", sample / "DOTA", annotation_version=version))]

    assert objects("1.0") == objects("1.5")
    assert any(o.obb and min(o.obb) < 0 for s in others for o in s.objects), "one lies partly outside"
    assert {o.difficult for s in others for o in s.objects} == {True, False}


def test_dota_options_are_checked(tmp_path: Path) -> None:
    toml = tmp_path / "s.toml"
    toml.write_text(
        'version = "1.0.0"\ndate = 2026-01-01\n[[source]]\nkind = "dota"\nroot = "."\nannotation_version = "1.1"\n'
    )
    with pytest.raises(UsageError, match=r"annotation_version is '1\.1', expected one of 1\.0, 1\.5, 2\.0"):
        load_config(toml)


def test_real_labels_of_dota() -> None:
    items = read("dota", shared("realdata", "dota", "example"))
    counts = {s.image.image_id: len(s.objects) for s in scenes(items)}
    assert counts == {
        "P0706": 536, "P0770": 22, "P1088": 34, "P1234": 144, "P1888": 64, "P2598": 26, "P2709": 158,
    }  # fmt: skip
    assert not notes(items)
    bus = next(s for s in scenes(items) if s.image.image_id == "P1888")
    assert (bus.image.width, bus.image.height, round(bus.image.gsd or 0, 4)) == (712, 557, 0.2662)


def test_real_tiles_and_other_layouts_of_dota() -> None:
    tiles = scenes(read("dota", shared("realdata", "dota", "split_tiles")))
    assert [(s.image.image_id, s.image.gsd) for s in tiles] == [
        ("P0004__1__0___0", None), ("P0004__1__0___1024", None),
    ]  # fmt: skip
    assert (tiles[1].objects, tiles[1].uncertain) == ((), ()), "an empty file"
    for version in DOTA_CATEGORIES:
        items = read("dota", shared("realdata", "dota", "mock_torchgeo"), annotation_version=version)
        assert [len(s.objects) for s in scenes(items)] == [0, 2]
