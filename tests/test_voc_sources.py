"""Detection sources with one XML file an image: DIOR, HRRSD, MSAR, HRSC2016, FAIR1M."""

import math
import random
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import items
from rs_gpt4v_conversion.adapt import adapt
from rs_gpt4v_conversion.config import load_config
from rs_gpt4v_conversion.errors import SourceError, UsageError
from rs_gpt4v_conversion.geometry import corners, envelope, overlap
from rs_gpt4v_conversion.reading import Tally, read_source
from rs_gpt4v_conversion.records import Annotation, BBox, Count, Flaw, Note, Presence, Referring, Scene
from rs_gpt4v_conversion.sample import SOURCES
from rs_gpt4v_conversion.sample.dior import FAR, HEIGHT, NO_AREA, SPILL
from rs_gpt4v_conversion.sample.fair1m import LARGE_SIZE
from rs_gpt4v_conversion.sample.field import draw_field
from rs_gpt4v_conversion.sample.layout import chance
from rs_gpt4v_conversion.scenes import ask_all
from rs_gpt4v_conversion.sources import Folder, known_sources
from rs_gpt4v_conversion.sources._dior import CATEGORIES as DIOR_CATEGORIES
from rs_gpt4v_conversion.sources._match import match
from rs_gpt4v_conversion.sources.hrsc2016 import FINE, _placed
from shared import shared

KINDS = ("dior", "fair1m", "hrrsd", "hrsc2016", "msar")
UPRIGHT, ROTATED = "Annotations/Horizontal Bounding Boxes", "Annotations/Oriented Bounding Boxes"


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The five samples; tests must not change them."""
    folder = tmp_path_factory.mktemp("drawn")
    for kind in KINDS:
        root, write = SOURCES[kind]
        write(folder / root, 8, 5)
    return folder


@pytest.fixture
def copy(drawn: Path, tmp_path: Path) -> Callable[[str], Path]:
    """A copy of a sample's annotation files that a test may break."""

    def make(kind: str) -> Path:
        root = tmp_path / SOURCES[kind][0]
        shutil.copytree(drawn / root.name, root, ignore=shutil.ignore_patterns("*.jpg", "*.tif", "*.bmp"))
        return root

    return make


def read(kind: str, root: Path, **options: str) -> list[Scene | Note | Flaw]:
    return list(known_sources()[kind].read(Folder(root), options))


def scenes(kind: str, root: Path, **options: str) -> dict[str, Scene]:
    return {i.image.image_id: i for i in read(kind, root, **options) if isinstance(i, Scene)}


def notes(kind: str, root: Path, **options: str) -> Counter[str]:
    return items.notes(read(kind, root, **options))


def asked(scene: Scene) -> list[Annotation]:
    return [a for a in ask_all([scene]) if isinstance(a, Annotation)]


def edit(path: Path, change: Callable[[ET.Element], object]) -> None:
    root = ET.fromstring(path.read_bytes())
    change(root)
    path.write_bytes(ET.tostring(root))


def put(root: ET.Element, path: str, text: str) -> None:
    found = root.find(path)
    assert found is not None, path
    found.text = text


def drop(root: ET.Element, parent: str, child: str) -> None:
    above = root.find(parent)
    assert above is not None
    below = above.find(child)
    assert below is not None
    above.remove(below)


def voc(path: Path, *objects: str, size: str = "<width>800</width><height>800</height>") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"<annotation><size>{size}</size>{''.join(objects)}</annotation>")


def upright_box(name: str, x1: object, y1: object, x2: object, y2: object, more: str = "") -> str:
    box = f"<xmin>{x1}</xmin><ymin>{y1}</ymin><xmax>{x2}</xmax><ymax>{y2}</ymax>"
    return f"<object><name>{name}</name>{more}<bndbox>{box}</bndbox></object>"


def rotated_box(name: str, *values: float, difficult: int = 0) -> str:
    tags = [f"{a}_{c}" for c in ("left_top", "right_top", "right_bottom", "left_bottom") for a in "xy"]
    box = "".join(f"<{t}>{v}</{t}>" for t, v in zip(tags, values, strict=True))
    return f"<object><name>{name}</name><difficult>{difficult}</difficult><robndbox>{box}</robndbox></object>"


def square(x: float, y: float, side: float) -> tuple[float, ...]:
    return (x, y, x + side, y, x + side, y + side, x, y + side)


def lists(where: Path, **ids: str) -> None:
    where.mkdir(parents=True, exist_ok=True)
    for name, text in ids.items():
        (where / f"{name}.txt").write_text(text)


# --- all five ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_the_sample_is_read_without_rejects(kind: str, drawn: Path, tmp_path: Path) -> None:
    toml = tmp_path / "s.toml"
    more = '\nboxes = "obb"' if kind in ("dior", "fair1m", "hrsc2016") else ""
    root = drawn / SOURCES[kind][0]
    toml.write_text(f'version = "1.0.0"\ndate = "2026-01-01"\n[[source]]\nkind = "{kind}"\nroot = "{root}"{more}\n')
    (spec,) = load_config(toml).sources
    tally = Tally()
    drafts = list(read_source(spec, tally))
    assert {d.task for d in drafts} == {"vqa", "grounding"}
    assert not tally.rejects
    assert tally.inputs[kind]


@pytest.mark.parametrize("kind", KINDS)
def test_origins_are_names_in_the_collection(kind: str, drawn: Path) -> None:
    for name, scene in scenes(kind, drawn / SOURCES[kind][0]).items():
        assert scene.image.origin == f"{kind}/{name}"
        assert scene.image.path.is_file()
        with Image.open(scene.image.path) as image:
            assert image.size == (scene.image.width, scene.image.height)


TEXTS = st.sampled_from(["", " ", "nan", "-inf", "1e999", "1e308", "-7", "0", "3,4", ",", "x", "<>", "Ω\n", "99999999"])


@pytest.fixture(scope="module")
def fragile(drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Annotation files that are broken and mended again by one property test."""
    folder = tmp_path_factory.mktemp("fragile") / "sources"
    shutil.copytree(drawn, folder, ignore=shutil.ignore_patterns("*.jpg", "*.tif", "*.bmp"))
    return folder


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=40)
@given(data=st.data())
def test_odd_text_anywhere_is_a_note_or_one_sentence_and_never_a_traceback(
    kind: str, fragile: Path, data: st.DataObject
) -> None:
    root = fragile / SOURCES[kind][0]
    path = data.draw(st.sampled_from(sorted(root.rglob("*.xml"))))
    before = path.read_bytes()
    tree = ET.fromstring(before)
    elements = list(tree.iter())
    chosen = elements[data.draw(st.integers(0, len(elements) - 1))]
    if data.draw(st.booleans()):
        chosen.text = data.draw(TEXTS)
    else:
        chosen.clear()
    path.write_bytes(ET.tostring(tree))
    try:
        for item in read(kind, root):
            if isinstance(item, Scene):
                for annotation in asked(item):
                    adapt(annotation, known_sources()[kind], kind)
    except SourceError as error:
        assert "expected" in str(error)
    finally:
        path.write_bytes(before)


@pytest.mark.parametrize("kind", KINDS)
def test_another_root_element_is_refused(kind: str, copy: Callable[[str], Path]) -> None:
    root = copy(kind)
    path = next(iter(sorted(root.rglob("*.xml"))))
    path.write_text("<GEDCOM/>")
    with pytest.raises(SourceError, match=rf"{path.name}: found <GEDCOM>, expected <\w+>"):
        read(kind, root)


@pytest.mark.parametrize("kind", ["dior", "fair1m", "hrrsd", "msar"])
def test_one_strange_category_blurs_its_image_and_only_strange_ones_are_refused(
    kind: str, copy: Callable[[str], Path]
) -> None:
    root = copy(kind)
    files = [p for p in sorted(root.rglob("*.xml")) if ET.parse(p).find(".//object") is not None]
    if kind == "dior":
        shutil.rmtree(root / ROTATED)
        files = [p for p in files if UPRIGHT in p.as_posix()]
    tag = ".//possibleresult/name" if kind == "fair1m" else "object/name"
    edit(files[0], lambda r: put(r, tag, "Zeppelin"))
    assert notes(kind, root)["object of a category that the dataset does not have, left out"] == 1
    (blurred,) = [s for s in scenes(kind, root).values() if s.uncertain == ("unknown",)]
    assert not asked(blurred), "numbers and absence are uncertain, and with them which are all of a category"

    def rename(tree: ET.Element) -> None:
        for found in tree.iter("name"):
            found.text = "Zeppelin"

    for path in files:
        edit(path, rename)
    with pytest.raises(SourceError, match=rf"{files[0].name}.*found 'Zeppelin', expected one of .*another dataset"):
        read(kind, root)


# --- official lists ---------------------------------------------------------------------------------------------------


def hrrsd_files(root: Path, *ids: str) -> None:
    for name in ids:
        voc(root / "Annotations" / f"{name}.xml", upright_box("ship", 1, 2, 30, 40))


def test_an_image_in_two_lists_stays_in_the_later_split(tmp_path: Path) -> None:
    hrrsd_files(tmp_path, "00001", "00002", "00003", "00004")
    lists(tmp_path / "ImageSets/Main", train="00001\n00002\n00001\n00004\n", val="00002\n00003\n", test="00003\n")
    found = scenes("hrrsd", tmp_path)
    assert [(n, s.split) for n, s in found.items()] == [
        ("00001", "train"), ("00004", "train"), ("00002", "validation"), ("00003", "test"),
    ]  # fmt: skip
    assert notes("hrrsd", tmp_path) == {
        "image in two official lists, kept in the later split": 2,
        "image twice in an official list, counted once": 1,
    }


def test_what_a_list_and_the_files_do_not_share_is_counted(tmp_path: Path) -> None:
    hrrsd_files(tmp_path, "00001", "00002", "00003")
    (tmp_path / "Annotations" / "._00001.xml").write_bytes(b"\0\5\26\7")  # as macOS leaves it
    lists(tmp_path / "ImageSets/Main", train="00001\n00008\n", val="\ufeff00009\r\n\r\n")
    assert notes("hrrsd", tmp_path) == {
        "no file of the official split 'test' in the folder": 1,
        "image of the official lists without an annotation file, left out": 2,
        "annotation file of an image in no official list, left out": 2,
    }
    assert list(scenes("hrrsd", tmp_path)) == ["00001"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"00001 -1\n", r"train.txt, line 1: found '00001 -1', expected an id of digits; .* single category"),
        (b"00001\n../x\n", r"train.txt, line 2: found '../x', expected an id"),
        ("٣\n".encode(), r"train.txt, line 1: found '٣', expected an id"),
        (b"caf\xe9\n", r"train.txt: found byte 3, which is not UTF-8, expected one id a line"),
        (b"77777\n", r"Annotations: found an annotation file of none of the 1 images"),
    ],
)
def test_lists_of_something_else_are_refused(tmp_path: Path, text: bytes, message: str) -> None:
    hrrsd_files(tmp_path, "00001")
    lists(tmp_path / "ImageSets/Main")
    (tmp_path / "ImageSets/Main/train.txt").write_bytes(text)
    with pytest.raises(SourceError, match=message):
        read("hrrsd", tmp_path)


# --- VOC files --------------------------------------------------------------------------------------------------------


def test_voc_boxes_that_cannot_be_used_make_their_category_uncertain(tmp_path: Path) -> None:
    voc(
        tmp_path / "Annotations/1.xml",
        upright_box("ship", 30, 40, 10, 20),
        upright_box("bridge", 5, 5, 5, 9),
        upright_box("aircraft", "x", 5, 9, 9),
        upright_box("ship", 700, 700, 900, 790, "<difficult>1</difficult>"),
    )
    (scene,) = scenes("msar", tmp_path).values()
    assert [(o.category, o.bbox, o.difficult, o.number) for o in scene.objects] == [
        ("ship", (10, 20, 30, 40), False, 0), ("ship", (700, 700, 800, 790), True, 3),
    ]  # fmt: skip
    assert scene.uncertain == ("aircraft", "bridge")
    assert notes("msar", tmp_path) == {
        "box with its corners swapped, put in order": 1,
        "box without area, or outside its image, left out": 1,
        "box that is not of finite numbers, left out": 1,
        "box that leaves its image, cut off at the edge": 1,
    }


def test_a_voc_object_without_a_box_is_refused(tmp_path: Path) -> None:
    voc(tmp_path / "Annotations/1.xml", "<object><name>ship</name><polygon/></object>")
    with pytest.raises(SourceError, match=r"1\.xml, object\[0\]: found <name>, <polygon>, expected <bndbox>"):
        read("msar", tmp_path)


@pytest.mark.parametrize("size", ["", "<width>0</width><height>0</height>", "<width>a</width><height>9</height>"])
def test_a_size_that_is_not_stated_comes_from_the_image(tmp_path: Path, size: str) -> None:
    voc(tmp_path / "Annotations/1.xml", upright_box("ship", 1, 2, 30, 40), size=size)
    (scene,) = scenes("msar", tmp_path).values()
    assert (scene.image.width, scene.image.height) == (None, None)
    assert notes("msar", tmp_path) == {"annotation file without the image's size, and no image that has one": 1}
    (tmp_path / "JPEGImages").mkdir()
    Image.new("L", (60, 50)).save(tmp_path / "JPEGImages/1.jpg")
    (scene,) = scenes("msar", tmp_path).values()
    assert (scene.image.width, scene.image.height) == (60, 50)
    assert notes("msar", tmp_path) == {"annotation file without the image's size, taken from the image": 1}


@pytest.mark.parametrize(
    ("stated", "other"),
    [("1.jpg", 0), ("1", 0), (r"D:\data\1.png", 0), ("a/b/1.jpg", 0), ("", 0), ("2.jpg", 1), ("11", 1)],
)
def test_a_file_that_names_another_image_is_noted(tmp_path: Path, stated: str, other: int) -> None:
    voc(tmp_path / "Annotations/1.xml", f"<filename>{stated}</filename>", upright_box("ship", 1, 2, 30, 40))
    assert notes("msar", tmp_path)["annotation file that names another image; its own name counts"] == other
    assert list(scenes("msar", tmp_path)) == ["1"]


# --- matching ---------------------------------------------------------------------------------------------------------


def boxes(least: int = 0, most: int = 12) -> st.SearchStrategy[list[tuple[str, BBox]]]:
    side = st.integers(1, 4)  # small, so that many overlap alike
    place = st.integers(0, 6)
    one = st.builds(lambda c, x, y, w, h: (c, (x, y, x + w, y + h)), st.sampled_from("ab"), place, place, side, side)
    return st.lists(one, min_size=least, max_size=most)


def values(left: list, right: list, pairs: dict[int, int]) -> list:
    return sorted((left[i], right[j]) for i, j in pairs.items())


@given(boxes(), boxes(), st.randoms(use_true_random=False))
def test_the_order_of_boxes_never_decides_what_belongs_together(left: list, right: list, rng: random.Random) -> None:
    before = values(left, right, match(left, right, 0.1))
    shuffled, mixed = rng.sample(left, len(left)), rng.sample(right, len(right))
    assert values(shuffled, mixed, match(shuffled, mixed, 0.1)) == before


@given(boxes(1), st.randoms(use_true_random=False))
def test_a_copy_matches_wholly(left: list, rng: random.Random) -> None:
    right = rng.sample(left, len(left))
    pairs = match(left, right, 1.0)
    assert len(pairs) == len(left)
    assert all(left[i] == right[j] for i, j in pairs.items())


@given(boxes(), boxes())
def test_a_match_is_one_to_one_of_one_category_and_leaves_no_pair_over(left: list, right: list) -> None:
    pairs = match(left, right, 0.3)
    assert len(set(pairs.values())) == len(pairs)
    for i, j in pairs.items():
        assert left[i][0] == right[j][0]
        assert overlap(left[i][1], right[j][1]) >= 0.3
    free = [(i, j) for i in range(len(left)) if i not in pairs for j in set(range(len(right))) - set(pairs.values())]
    assert not any(left[i][0] == right[j][0] and overlap(left[i][1], right[j][1]) >= 0.3 for i, j in free)


def test_overlap_is_intersection_over_union() -> None:
    assert overlap((0, 0, 10, 10), (5, 0, 15, 10)) == pytest.approx(1 / 3)
    assert overlap((0, 0, 10, 10), (10, 0, 20, 10)) == 0
    assert overlap((3, 3, 3, 9), (3, 3, 3, 9)) == 0, "without area"


def test_of_two_that_overlap_alike_their_numbers_decide() -> None:
    early, late, between = ("a", (0, 0, 10, 10)), ("a", (4, 0, 14, 10)), ("a", (2, 0, 12, 10))
    assert match([early, late], [between], 0.1) == {0: 0}
    assert match([late, early], [between], 0.1) == {1: 0}


def test_the_best_overlap_goes_first() -> None:
    # the first box in the list overlaps the only other one less than the second box does
    assert match([("a", (0, 0, 10, 10)), ("a", (2, 0, 12, 10))], [("a", (3, 0, 13, 10))], 0.1) == {1: 0}


# --- DIOR -------------------------------------------------------------------------------------------------------------


def dior(root: Path, name: str, flat: list[str] | None, turned: list[str] | None) -> None:
    if flat is not None:
        voc(root / UPRIGHT / f"{name}.xml", *flat)
    if turned is not None:
        voc(root / ROTATED / f"{name}.xml", *turned)


def test_dior_joins_both_kinds_of_boxes_by_place(tmp_path: Path) -> None:
    flat = [upright_box("ship", 10, 10, 50, 50), upright_box("vehicle", 12, 10, 50, 50),
            upright_box("ship", 100, 100, 140, 140)]  # fmt: skip
    turned = [rotated_box("ship", *square(98, 101, 40)), rotated_box("vehicle", *square(11, 11, 40)),
              rotated_box("ship", *square(9, 12, 40), difficult=1)]  # fmt: skip
    dior(tmp_path, "00001", flat, turned)
    lists(tmp_path / "ImageSets/Main", train="00001", val="", test="")
    (scene,) = scenes("dior", tmp_path).values()
    assert [(o.category, o.bbox, o.obb, o.difficult, o.number) for o in scene.objects] == [
        ("ship", (10, 10, 50, 50), square(9, 12, 40), True, 0),
        ("vehicle", (12, 10, 50, 50), square(11, 11, 40), False, 1),
        ("ship", (100, 100, 140, 140), square(98, 101, 40), False, 2),
    ]
    assert not scene.uncertain
    assert not notes("dior", tmp_path)


def test_dior_keeps_boxes_without_a_counterpart_and_does_not_count_them(tmp_path: Path) -> None:
    flat = [upright_box("ship", 10, 10, 50, 50), upright_box("airplane", 200, 200, 260, 260)]
    turned = [rotated_box("ship", *square(300, 300, 40)), rotated_box("airplane", *square(200, 200, 60))]
    dior(tmp_path, "00001", flat, turned)
    lists(tmp_path / "ImageSets/Main", train="00001")
    (scene,) = scenes("dior", tmp_path).values()
    assert [(o.category, o.bbox, o.obb) for o in scene.objects] == [
        ("ship", (10, 10, 50, 50), None),
        ("airplane", (200, 200, 260, 260), square(200, 200, 60)),
        ("ship", (300, 300, 340, 340), square(300, 300, 40)),
    ]
    assert scene.uncertain == ("ship",)
    found = notes("dior", tmp_path)
    assert found["upright box without a rotated one of its category and place"] == 1
    assert found["rotated box without an upright one of its category and place"] == 1
    questions = {str(f) for a in asked(scene) for f in a.facts}
    assert not any("ship" in q and "Count" in q for q in questions)
    assert any("airplane" in q and "Count" in q for q in questions)


@pytest.mark.parametrize("more", ["flat", "turned"])
def test_dior_does_not_count_where_one_kind_has_more(tmp_path: Path, more: str) -> None:
    flat, turned = [upright_box("ship", 10, 10, 50, 50)], [rotated_box("ship", *square(10, 10, 40))]
    flat += [upright_box("ship", 100, 100, 150, 150)] if more == "flat" else []
    turned += [rotated_box("ship", *square(100, 100, 50))] if more == "turned" else []
    dior(tmp_path, "00001", flat, turned)
    lists(tmp_path / "ImageSets/Main", train="00001")
    (scene,) = scenes("dior", tmp_path).values()
    assert len(scene.objects) == 2
    assert scene.uncertain == ("ship",)


def test_dior_boxes_of_one_thing_may_differ_much(tmp_path: Path) -> None:
    # a slanted bridge: its upright box was drawn around the middle, a seventh of the rotated one's
    dior(
        tmp_path, "00001", [upright_box("bridge", 130, 130, 170, 170)], [rotated_box("bridge", *square(100, 100, 100))]
    )
    lists(tmp_path / "ImageSets/Main", train="00001")
    (scene,) = scenes("dior", tmp_path).values()
    assert [(o.bbox, o.obb) for o in scene.objects] == [((130, 130, 170, 170), square(100, 100, 100))]


def test_dior_rotated_boxes_that_cannot_be_used_leave_the_upright_one(tmp_path: Path) -> None:
    line = (10, 10, 30, 30, 50, 50, 30, 30)
    dior(tmp_path, "00001", [upright_box("ship", 10, 10, 50, 50)], [rotated_box("ship", *line)])
    lists(tmp_path / "ImageSets/Main", train="00001", val="", test="")
    (scene,) = scenes("dior", tmp_path).values()
    assert [(o.bbox, o.obb) for o in scene.objects] == [((10, 10, 50, 50), None)]
    assert notes("dior", tmp_path) == {"rotated box that cannot be used: the upright one stays": 1}


@pytest.mark.parametrize(("x", "obb"), [(760, True), (761, True), (790, False), (-40, True), (-70, False)])
def test_rotated_boxes_have_their_centre_in_the_image(tmp_path: Path, x: float, obb: bool) -> None:
    dior(tmp_path, "00001", None, [rotated_box("ship", *square(x, 10, 80))])
    lists(tmp_path / "ImageSets/Main", train="00001", val="", test="")
    (scene,) = scenes("dior", tmp_path).values()
    (thing,) = scene.objects
    assert (thing.obb is not None) == obb
    assert thing.bbox == (max(x, 0), 10, min(x + 80, 800), 90)
    said = notes("dior", tmp_path)
    assert said["rotated box whose centre is outside its image: only its upright part"] == (not obb)


def test_dior_does_with_either_kind(copy: Callable[[str], Path]) -> None:
    root = copy("dior")
    both = scenes("dior", root)
    shutil.move(root / ROTATED, root / "elsewhere")
    flat = scenes("dior", root)
    assert flat.keys() == both.keys()
    assert all(o.obb is None and o.bbox is not None for s in flat.values() for o in s.objects)
    said = notes("dior", root)
    assert said["no folder Annotations/Oriented Bounding Boxes with files"] == 1
    assert not any("only" in reason for reason in said), "said once, not of each image"
    with pytest.raises(SourceError, match=r"Oriented Bounding Boxes: found no file, expected DIOR-R's files"):
        read("dior", root, boxes="obb")
    shutil.move(root / "elsewhere", root / ROTATED)
    shutil.rmtree(root / UPRIGHT)
    turned = scenes("dior", root, boxes="obb")
    for scene in turned.values():
        assert scene.boxes == "obb"
        for thing in scene.objects:
            assert thing.obb is not None
            x1, y1, x2, y2 = envelope(thing.obb)
            assert thing.bbox == (max(x1, 0), max(y1, 0), min(x2, 800), min(y2, 800))


def test_dior_says_which_images_have_one_file_of_two(copy: Callable[[str], Path]) -> None:
    root = copy("dior")
    (root / ROTATED / "00001.xml").unlink()
    assert notes("dior", root)["image with a file of the Horizontal Bounding Boxes only"] == 1
    assert not any(o.obb for o in scenes("dior", root)["00001"].objects)


def test_dior_files_of_the_other_kind_are_refused(copy: Callable[[str], Path]) -> None:
    root = copy("dior")
    shutil.copy(root / UPRIGHT / "00001.xml", root / ROTATED / "00001.xml")
    with pytest.raises(SourceError, match=r"Oriented.*00001\.xml, object\[0\]: found .*<bndbox>, expected <robndbox>"):
        read("dior", root)


def test_dior_sample_has_the_traps_and_the_reader_says_so(drawn: Path) -> None:
    root = drawn / "DIOR"
    found = notes("dior", root)
    assert found["file that states another size than the images' 800x800, which counts"] == 1
    assert found["box without area, or outside its image, left out"] == 1
    assert found["box that leaves its image, cut off at the edge"] == 1
    texts = {p: p.read_text() for p in root.rglob("*.xml")}
    assert sum(f"<height>{HEIGHT}</height>" in t for t in texts.values()) == 1
    assert sum(f"<xmax>{SPILL}</xmax>" in t for t in texts.values()) == 1
    assert sum("<depth>1</depth>" in t for t in texts.values()) == 1
    all_scenes = scenes("dior", root)
    assert {(s.image.width, s.image.height) for s in all_scenes.values()} == {(800, 800)}
    spilt = all_scenes[f"{FAR + 1:05d}"]
    assert any(o.obb and max(o.obb[0::2]) > 801 and o.bbox and o.bbox[2] == 800 for o in spilt.objects)
    assert len(all_scenes[f"{NO_AREA + 1:05d}"].uncertain) == 1
    joined = [o for s in all_scenes.values() for o in s.objects if o.obb and o.bbox]
    outside = [o for o in joined if envelope(o.obb)[2] - o.bbox[2] > 1]
    assert len(joined) > 20
    assert outside, "upright boxes do not always enclose the rotated ones"


def test_dior_images_lie_where_their_ids_say(drawn: Path) -> None:
    for name, scene in scenes("dior", drawn / "DIOR").items():
        part = "test" if scene.split == "test" else "trainval"
        assert scene.image.path.parent.name == f"JPEGImages-{part}"
        assert scene.image.image_path == f"DIOR/JPEGImages-{part}/{name}.jpg"
        assert (int(name) > 11725) == (part == "test")


def test_dior_knows_all_twenty_categories_in_any_spelling(tmp_path: Path) -> None:
    ours = set(DIOR_CATEGORIES.values())
    assert len(ours) == 20
    spellings = [*DIOR_CATEGORIES, *ours, "GOLF_FIELD"]
    dior(tmp_path, "00001", [upright_box(n, 1, 1, 9, 9) for n in spellings], None)
    lists(tmp_path / "ImageSets/Main", train="00001")
    (scene,) = scenes("dior", tmp_path).values()
    assert [o.category for o in scene.objects] == [*DIOR_CATEGORIES.values(), *ours, "golf field"]
    assert set(scene.searched) == ours
    assert not scene.uncertain


def real_boxes(path: Path, box: str) -> list[tuple[str, BBox]]:
    """Category and upright box of each object, whatever the kind of its box."""
    found = []
    for item in ET.parse(path).iter("object"):
        numbers = [float(e.text or "") for e in item.find(box) or ()]
        found.append((item.findtext("name", ""), (min(numbers[0::2]), min(numbers[1::2]), max(numbers[0::2]),
                                                  max(numbers[1::2]))))  # fmt: skip
    return found


def real_pairs(root: Path) -> list[tuple[list[tuple[str, BBox]], list[tuple[str, BBox]]]]:
    """The upright and the rotated boxes of each image that has both files."""
    files = [(p, root / ROTATED / p.name) for p in sorted((root / UPRIGHT).glob("*.xml"))]
    return [(real_boxes(p, "bndbox"), real_boxes(q, "robndbox")) for p, q in files if q.exists()]


def test_dior_real_files_are_joined_almost_wholly() -> None:
    root = shared("realdata", "dior")
    found, said = scenes("dior", root), notes("dior", root)
    assert len(found) + said["image of the official lists without an annotation file, left out"] == 5862 + 5863 + 11738
    marked = sum(len(flat) for flat, _ in real_pairs(root))
    alone = said["upright box without a rotated one of its category and place"]
    assert alone == said["rotated box without an upright one of its category and place"], "as many of either kind"
    objects = [o for s in found.values() for o in s.objects]
    assert len(objects) == marked + alone - said["box without area, or outside its image, left out"]
    assert sum(o.obb is not None for o in objects) >= 0.99 * marked


def test_dior_real_lists_agree_in_order_in_some_files_only() -> None:
    pairs = real_pairs(shared("realdata", "dior"))
    same = [all(a[0] == b[0] and overlap(a[1], b[1]) > 0.1 for a, b in zip(*p, strict=True)) for p in pairs]
    assert 0.2 * len(pairs) < sum(same) < 0.8 * len(pairs)


# --- HRRSD ------------------------------------------------------------------------------------------------------------


def test_hrrsd_root_may_be_the_inner_folder(drawn: Path) -> None:
    outer, inner = (scenes("hrrsd", drawn / "HRRSD" / part) for part in (".", "OPT2017"))
    assert [(s.objects, s.split, s.image.image_path) for s in outer.values()] == [
        (s.objects, s.split, s.image.image_path) for s in inner.values()
    ]


def test_hrrsd_looks_for_nothing_that_is_not_marked(drawn: Path) -> None:
    found = scenes("hrrsd", drawn / "HRRSD")
    for scene in found.values():
        assert set(scene.searched) == {o.category for o in scene.objects}
        assert not any(isinstance(f, Presence) and not f.present for a in asked(scene) for f in a.facts)
    assert {len(s.searched) for s in found.values()} == {1, 2}


def test_hrrsd_a_mark_that_cannot_be_used_leaves_other_categories_alone(tmp_path: Path) -> None:
    hrrsd_files(tmp_path, "00001")
    marks = upright_box("bridge", 4, 4, 4, 9), upright_box("ship", 1, 2, 30, 40)
    voc(tmp_path / "Annotations" / "00001.xml", *marks)
    lists(tmp_path / "ImageSets/Main", train="00001")
    (scene,) = scenes("hrrsd", tmp_path).values()
    assert (scene.searched, scene.uncertain) == (("ship", "bridge"), ("bridge",))
    assert [f for a in asked(scene) for f in a.facts if isinstance(f, Count)] == [Count(category="ship")]


def test_hrrsd_sample_marks_a_part_of_what_it_shows() -> None:
    field = draw_field(chance(5, "hrrsd", 0), 480, 400, ("storage tank", "small vehicle", "storage tank"))
    assert {o.kind for o in field.objects} > {"storage tank"}


def test_hrrsd_real_files() -> None:
    root = shared("realdata", "hrrsd")
    found = scenes("hrrsd", root)
    assert Counter(s.split for s in found.values()) == {"train": 1, "validation": 4, "test": 8}
    files = list((root / "OPT2017" / "Annotations").glob("*.xml"))
    assert sum(len(s.objects) for s in found.values()) == sum(p.read_text().count("<bndbox>") for p in files) == 53
    missing = notes("hrrsd", root)["image of the official lists without an annotation file, left out"]
    assert missing + len(found) == 5401 + 5417 + 10943


# --- MSAR -------------------------------------------------------------------------------------------------------------


def test_msar_has_one_split_one_name_for_tanks_and_empty_images(drawn: Path) -> None:
    root = drawn / "MSAR-1.0"
    found = scenes("msar", root)
    assert {s.split for s in found.values()} == {"train"}
    spelt = {e.text for p in root.rglob("*.xml") for e in ET.parse(p).iter("name")}
    assert spelt >= {"oil tank", "oiltank", "tank"}
    assert {o.category for s in found.values() for o in s.objects} == {"aircraft", "bridge", "oil tank", "ship"}
    (empty,) = [s for s in found.values() if not s.objects]
    assert not asked(empty)
    assert known_sources()["msar"].modality == "sar"
    inner = scenes("msar", root / "MSAR-1.0 dataset")
    assert [s.objects for s in inner.values()] == [s.objects for s in found.values()]


def test_msar_does_not_take_an_image_without_a_file_for_an_empty_one(copy: Callable[[str], Path], drawn: Path) -> None:
    root = copy("msar")
    base = root / "MSAR-1.0 dataset"
    shutil.copytree(drawn / "MSAR-1.0" / base.name / "JPEGImages", base / "JPEGImages", dirs_exist_ok=True)
    (base / "Annotations" / "01.xml").unlink()
    assert notes("msar", root) == {"image without an annotation file, left out": 1}
    assert "01" not in scenes("msar", root)


# --- HRSC2016 ---------------------------------------------------------------------------------------------------------


def ship(cx: float, cy: float, w: float, h: float, angle: float, bow: tuple[float, float] | None, code: str = "01",
         box: tuple[float, ...] = (1, 1, 90, 90)) -> str:  # fmt: skip
    parts = dict(zip(("box_xmin", "box_ymin", "box_xmax", "box_ymax"), box, strict=True))
    parts |= {"mbox_cx": cx, "mbox_cy": cy, "mbox_w": w, "mbox_h": h, "mbox_ang": angle}
    parts |= {"header_x": bow[0], "header_y": bow[1]} if bow else {}
    inner = "".join(f"<{k}>{v}</{k}>" for k, v in parts.items())
    return f"<HRSC_Object><Class_ID>1000000{code}</Class_ID><difficult>0</difficult>{inner}</HRSC_Object>"


def hrsc(path: Path, *ships: str, size: tuple[int, int] = (400, 300)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    head = f"<Img_SizeWidth>{size[0]}</Img_SizeWidth><Img_SizeHeight>{size[1]}</Img_SizeHeight>"
    path.write_text(f"<HRSC_Image>{head}<HRSC_Objects>{''.join(ships)}</HRSC_Objects></HRSC_Image>")


def one_ship(tmp_path: Path, text: str) -> tuple[Scene, Counter[str]]:
    hrsc(tmp_path / "FullDataSet/Annotations/100000001.xml", text)
    lists(tmp_path / "ImageSets", train="100000001\n", val="", test="")
    (scene,) = scenes("hrsc2016", tmp_path).values()
    return scene, notes("hrsc2016", tmp_path)


def test_hrsc_turns_are_clockwise_radians_and_the_first_corner_is_left_of_the_bow(tmp_path: Path) -> None:
    # a quarter turn clockwise: the box points down, and so does the bow; its left is in the east of the image
    scene, said = one_ship(tmp_path, ship(100, 50, 80, 20, math.pi / 2, (100, 90)))
    assert scene.objects[0].obb == pytest.approx((110, 90, 90, 90, 90, 10, 110, 10))
    assert not said
    scene, _ = one_ship(tmp_path, ship(100, 50, 80, 20, math.pi / 2, (101, 12)))
    assert scene.objects[0].obb == pytest.approx((90, 10, 110, 10, 110, 90, 90, 90))
    scene, _ = one_ship(tmp_path, ship(100, 60, 80, 20, math.pi / 6, (134, 80)))
    a, b = scene.objects[0].obb[:2], scene.objects[0].obb[2:4]
    assert (a[0] > b[0], a[1] < b[1]) == (True, True), "to the lower right, so left of the bow is up and right"


@given(
    st.floats(-math.pi, math.pi), st.floats(30, 90), st.floats(0.1, 0.9), st.booleans(), st.booleans(),
    st.floats(-0.3, 0.3), st.floats(-0.2, 0.2),
)  # fmt: skip
def test_hrsc_bow_decides_the_first_corner_whatever_the_turn(
    turn: float, length: float, share: float, ahead: bool, lengthwise: bool, along: float, across: float
) -> None:
    """The mark may be off by some of the ship's length and width."""
    width = length * share
    heading = turn if lengthwise else turn - math.pi / 2
    heading += 0 if ahead else math.pi
    reach, side = length * (0.5 + along), width * across
    bow = (
        200 + reach * math.cos(heading) - side * math.sin(heading),
        200 + reach * math.sin(heading) + side * math.cos(heading),
    )
    w, h = (length, width) if lengthwise else (width, length)
    item = ET.fromstring(ship(200, 200, w, h, turn, bow))
    placed = _placed(item, (400, 400))
    assert placed.obb is not None
    left = (200 + length / 2 * math.cos(heading) + width / 2 * math.sin(heading),
            200 + length / 2 * math.sin(heading) - width / 2 * math.cos(heading))  # fmt: skip
    assert placed.obb[:2] == pytest.approx(left, abs=1e-6)
    same = {(round(x, 4), round(y, 4)) for x, y in zip(placed.obb[0::2], placed.obb[1::2], strict=True)}
    plain = corners(200, 200, w, h, turn)
    assert all(min(math.dist(p, q) for q in zip(plain[0::2], plain[1::2], strict=True)) < 1e-3 for p in same)


@pytest.mark.parametrize("bow", [None, (0, 0)])
def test_hrsc_ships_without_a_mark_are_noted(tmp_path: Path, bow: tuple[float, float] | None) -> None:
    scene, said = one_ship(tmp_path, ship(100, 50, 80, 20, 0, bow))
    assert scene.objects[0].obb == pytest.approx((60, 40, 140, 40, 140, 60, 60, 60))
    assert said == {"ship without a mark at its bow: corners from the top left before the turn": 1}


def test_hrsc_upright_box_is_the_annotators_own(tmp_path: Path) -> None:
    scene, said = one_ship(tmp_path, ship(100, 50, 80, 20, 0, (140, 50), box=(62, 41, 139, 59)))
    assert scene.objects[0].bbox == (62, 41, 139, 59)
    assert not said
    scene, said = one_ship(tmp_path, ship(100, 50, 80, 20, 0, (140, 50), box=(5, 5, 5, 5)))
    assert scene.objects[0].bbox == (60, 40, 140, 60)
    assert said == {"ship without a usable upright box: the one around the rotated box": 1}


@pytest.mark.parametrize("text", [ship(900, 900, 80, 20, 0, None), ship(50, 50, 0, 20, 0, None),
                                  ship(50, 50, -80, 20, 0, None), ship(50, 50, 80, 20, math.nan, None)])  # fmt: skip
def test_hrsc_boxes_that_cannot_be_used_are_left_out(tmp_path: Path, text: str) -> None:
    scene, said = one_ship(tmp_path, text)
    assert not scene.objects
    assert scene.uncertain == ("ship",)
    assert sum(said.values()) == 1


def test_hrsc_sample_ships_point_where_they_were_drawn(drawn: Path) -> None:
    root = drawn / "HRSC2016"
    found = scenes("hrsc2016", root)
    seen = 0
    for number, scene in enumerate(scenes("hrsc2016", root)[n] for n in sorted(found)):
        size = scene.image.width or 0, scene.image.height or 0
        field = draw_field(chance(5, "hrsc2016", number), *size, ("ship",), most=0 if number == 1 else 5)
        for thing, truth in zip(scene.objects, field.objects, strict=True):
            if (number, thing.number) == (0, 0):  # without a mark
                continue
            assert thing.obb == pytest.approx(truth.obb, abs=0.01)
            seen += 1
    assert seen > 8
    assert sum(o.difficult for s in found.values() for o in s.objects) == 1
    assert {s.image.gsd for s in found.values()} == {1.07}
    assert any(not s.objects for s in found.values())
    assert {s.image.path.suffix for s in found.values()} == {".bmp"}


@pytest.mark.parametrize(("stated", "gsd"), [("0.53", 0.53), ("0", None), ("-1", None), ("", None), ("nan", None)])
def test_hrsc_resolution_is_taken_where_it_is_one(copy: Callable[[str], Path], stated: str, gsd: float | None) -> None:
    root = copy("hrsc2016")
    edit(root / "FullDataSet/Annotations/100000001.xml", lambda r: put(r, "Img_Resolution", stated))
    assert scenes("hrsc2016", root)["100000001"].image.gsd == gsd


def test_hrsc_lists_or_folders_are_the_splits(tmp_path: Path) -> None:
    text = ship(100, 50, 80, 20, 0, (140, 50))
    for folder, names in {"Train": ("1", "2", "4"), "Test": ("3", "4")}.items():
        for name in names:
            hrsc(tmp_path / folder / "Annotations" / f"{name}.xml", text)
    found = scenes("hrsc2016", tmp_path)
    assert {n: s.split for n, s in found.items()} == {"1": "train", "2": "train", "3": "test", "4": "test"}
    assert found["4"].image.path == tmp_path / "Test" / "AllImages" / "4.bmp"
    assert notes("hrsc2016", tmp_path) == {"no official lists in the folder: Train and Test are the splits": 1}
    lists(tmp_path / "ImageSets", trainval="1\n2\n", test="3\n")
    found = scenes("hrsc2016", tmp_path)
    assert {n: s.split for n, s in found.items()} == {"1": "train", "2": "train", "3": "test"}
    lists(tmp_path / "ImageSets", train="1\n", val="2\n")
    assert {n: s.split for n, s in scenes("hrsc2016", tmp_path).items()}["2"] == "validation"
    shutil.rmtree(tmp_path / "Test")
    shutil.rmtree(tmp_path / "ImageSets")
    assert notes("hrsc2016", tmp_path)["no files in the folder 'Test'"] == 1


def test_hrsc_full_set_needs_its_lists(copy: Callable[[str], Path]) -> None:
    root = copy("hrsc2016")
    shutil.move(root / "ImageSets", root / "FullDataSet" / "ImageSets")
    assert {s.split for s in scenes("hrsc2016", root).values()} == {"train", "validation", "test"}
    shutil.rmtree(root / "FullDataSet" / "ImageSets")
    with pytest.raises(SourceError, match=r"ImageSets: found none of them, expected trainval.txt, test.txt"):
        read("hrsc2016", root)


def test_hrsc_all_classes_are_ships_unless_kinds_are_wanted(tmp_path: Path) -> None:
    codes = ("18", "25", "05", "03", "22", "77")
    at = iter(range(20, 300, 40))
    text = "".join(
        ship(100, y, 80, 20, 0, (140, y), c, (60, y - 10, 140, y + 10)) for y, c in zip(at, codes, strict=False)
    )
    scene, said = one_ship(tmp_path, text)
    assert [o.category for o in scene.objects] == ["ship"] * 6
    assert scene.searched == ("ship",)
    assert said["class code that HRSC2016 does not have: a ship of no known kind"] == 1
    (fine,) = scenes("hrsc2016", tmp_path, classes="fine").values()
    assert [(o.category, o.ignore) for o in fine.objects] == [
        ("container ship", False), ("container ship", False), ("nimitz-class aircraft carrier", False),
        ("warcraft", True), ("hovercraft", False), ("ship", True),
    ]  # fmt: skip
    assert fine.searched == (*FINE, "ship", "warcraft"), "as one of the objects to ignore: never asked about"
    assert set(fine.uncertain) == set(FINE), "the ship of no kind may be of any"


def test_hrsc_a_warcraft_of_no_kind_leaves_the_merchant_ships_alone(tmp_path: Path) -> None:
    one_ship(tmp_path, ship(100, 50, 80, 20, 0, (140, 50), "28") + ship(100, 150, 80, 20, 0, (140, 150), "18"))
    (fine,) = scenes("hrsc2016", tmp_path, classes="fine").values()
    assert "perry-class frigate" in fine.uncertain
    assert "container ship" not in fine.uncertain
    facts = [f for a in asked(fine) for f in a.facts]
    assert Count(category="container ship") in facts
    assert Referring(expression="the container ship", item=1) in facts


def test_hrsc_options_are_checked(tmp_path: Path) -> None:
    toml = tmp_path / "s.toml"
    toml.write_text(
        'version = "1.0.0"\ndate = "2026-01-01"\n[[source]]\nkind = "hrsc2016"\nroot = "."\nclasses = "all"\n'
    )
    with pytest.raises(UsageError, match="classes is 'all', expected one of ship, fine"):
        load_config(toml)


# --- FAIR1M -----------------------------------------------------------------------------------------------------------

POINTS = ("10,10", "60,10", "60,40", "10,40", "10,10")


def fair1m(path: Path, *names: str, points: tuple[str, ...] = POINTS, coordinate: str = "pixel") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    results = "".join(f"<possibleresult>{n}</possibleresult>" for n in names)
    inner = "".join(f"<point>{p}</point>" for p in points)
    thing = f"<object><coordinate>{coordinate}</coordinate>{results}<points>{inner}</points></object>"
    size = "<size><width>100</width><height>100</height></size>"
    path.write_text(f"<annotation>{size}<objects>{thing}</objects></annotation>")


def test_fair1m_numbers_begin_again_in_every_part(drawn: Path) -> None:
    found = scenes("fair1m", drawn / "FAIR1M")
    assert {n: s.split for n, s in found.items() if n.endswith("_0")} == {
        "part1_0": "train", "part2_0": "train", "validation_0": "validation",
    }  # fmt: skip
    assert found["part2_0"].image.path == drawn / "FAIR1M" / "train/part2/images/0.tif"
    assert found["part2_0"].image.source_id == "part2/0.tif"
    assert (found["part1_0"].image.width, found["part1_0"].image.height) == LARGE_SIZE
    assert notes("fair1m", drawn / "FAIR1M") == {
        "corners that ran anticlockwise, put in clockwise order": 1,
        "object of several possible kinds, the most probable counts": 1,
        "image of the official test split, which has no labels, left out": 1,
    }
    assert {len(s.searched) for s in found.values()} == {37}


@pytest.mark.parametrize(
    ("points", "obb"),
    [
        (POINTS, (10, 10, 60, 10, 60, 40, 10, 40)),
        (POINTS[:4], (10, 10, 60, 10, 60, 40, 10, 40)),
        ((*POINTS[:4], "11,10"), None),
        (POINTS[:3], None),
        (("a,b", *POINTS[1:4], "a,b"), None),
        (("10", *POINTS[1:4]), None),
        ((), None),
    ],
)
def test_fair1m_boxes_are_four_points_and_the_first_again(
    tmp_path: Path, points: tuple[str, ...], obb: tuple[float, ...] | None
) -> None:
    fair1m(tmp_path / "validation/labelXml/7.xml", "<name>Warship</name>", points=points)
    (scene,) = scenes("fair1m", tmp_path).values()
    assert [o.obb for o in scene.objects] == ([obb] if obb else [])
    assert scene.uncertain == (() if obb else ("warship",))
    said = notes("fair1m", tmp_path)
    assert said.pop("no labels of the official part 'train/part1' in the folder") == 1
    assert said.pop("no labels of the official part 'train/part2' in the folder") == 1
    assert sum(said.values()) == (0 if obb else 1)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["<name>Bus</name>"], "bus"),
        (["<name>Bus</name><probability>0.3</probability>", "<name>Van</name><probability>0.6</probability>"], "van"),
        (["<name>Bus</name>", "<name>Van</name>"], "bus"),
        (["<name>BOEING 737</name>"], "boeing 737"),
        (["<name>Other_Airplane</name>"], "other airplane"),
    ],
)
def test_fair1m_takes_the_most_probable_kind(tmp_path: Path, names: list[str], expected: str) -> None:
    fair1m(tmp_path / "train/part1/labelXmls/7.xml", *names)
    (scene,) = scenes("fair1m", tmp_path).values()
    assert [o.category for o in scene.objects] == [expected]
    several = notes("fair1m", tmp_path)["object of several possible kinds, the most probable counts"]
    assert several == (len(names) > 1)


def test_fair1m_refuses_other_coordinates_and_plain_voc(tmp_path: Path) -> None:
    path = tmp_path / "train/part1/labelXml/7.xml"
    fair1m(path, "<name>Bus</name>", coordinate="geodegree")
    with pytest.raises(SourceError, match=r"7\.xml, object\[0\]\.coordinate: found 'geodegree', expected 'pixel'"):
        read("fair1m", tmp_path)
    fair1m(path)
    with pytest.raises(SourceError, match=r"object\[0\]: found .*expected <possibleresult>"):
        read("fair1m", tmp_path)
    voc(path, upright_box("Bus", 1, 1, 5, 5))
    with pytest.raises(SourceError, match=r"7\.xml, annotation: found <size>, <object>, expected <objects>"):
        read("fair1m", tmp_path)


def test_fair1m_images_without_labels_are_counted(copy: Callable[[str], Path]) -> None:
    root = copy("fair1m")
    (root / "train/part2/labelXmls/1.xml").unlink()
    for number in (0, 1):
        (root / f"train/part2/images/{number}.tif").touch()
    assert notes("fair1m", root)["image without an annotation file, left out"] == 1
    assert "part2_1" not in scenes("fair1m", root)


def test_fair1m_mock_files() -> None:
    found = scenes("fair1m", shared("realdata", "fair1m", "mock_torchgeo"), boxes="obb")
    assert sorted(found) == [f"{part}_{n}" for part in ("part1", "part2", "validation") for n in (0, 3)]
    assert {o.category for s in found.values() for o in s.objects} == {"liquid cargo ship", "airbus a220"}
    for scene in found.values():
        assert scene.image.path.is_file()
        assert [o.obb for o in scene.objects] == [(0, 0, 1, 0, 1, 1, 0, 1)]


def test_tiles_and_boxes_are_options_of_fair1m(drawn: Path) -> None:
    source = known_sources()["fair1m"]
    assert source.tile == 0
    assert {o.name for o in source.options} == {"boxes", "tile", "overlap", "keep"}
