"""Sources of expressions for boxes: DIOR-RSVG, RSVG, RSVG-HR."""

import itertools
import json
import pickle
import random
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rs_gpt4v_conversion.build import build, plan
from rs_gpt4v_conversion.config import load_config
from rs_gpt4v_conversion.errors import SourceError, UsageError
from rs_gpt4v_conversion.gates import check
from rs_gpt4v_conversion.records import Annotation, Flaw, Note, Referring, Region
from rs_gpt4v_conversion.sample.expressions import expressions
from rs_gpt4v_conversion.sample.rsvg import saved
from rs_gpt4v_conversion.sources import Folder, known_sources
from rs_gpt4v_conversion.sources._dior import CATEGORIES, SEARCHED
from rs_gpt4v_conversion.sources._pth import MAGIC, load_pth
from rs_gpt4v_conversion.sources.rsvg_hr import AMBIGUOUS, BAD_LINE, parse
from shared import shared

Box = tuple[float, float, float, float]


def read(kind: str, root: Path, **options: str) -> tuple[list[Annotation], list[Flaw], Counter[str]]:
    items = list(known_sources()[kind].read(Folder(root), options))
    notes: Counter[str] = Counter()
    for item in items:
        if isinstance(item, Note):
            notes[item.reason] += item.count
    return [i for i in items if isinstance(i, Annotation)], [i for i in items if isinstance(i, Flaw)], notes


def refused(kind: str, root: Path, match: str, **options: str) -> None:
    with pytest.raises(SourceError, match=match):
        read(kind, root, **options)


# DIOR-RSVG


def xml_object(box: Sequence[object] = (10, 20, 60, 80), expression: str = "A ship", name: str = "ship") -> str:
    sides = "".join(f"<{s}>{v}</{s}>" for s, v in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=False))
    return (
        f"<object><name>{name}</name><pose>Unspecified</pose><bndbox>{sides}</bndbox>"
        f"<description>{escape(expression)}</description></object>"
    )


def xml_file(root: Path, image: int, *objects: str, head: str | None = None) -> Path:
    folder = root / "Annotations"
    folder.mkdir(exist_ok=True)
    path = folder / f"{image:05d}.xml"
    size = "<size><width>800</width><height>800</height><depth>3</depth></size>"
    first = f"<filename>{image:05d}.jpg</filename>{size}" if head is None else head
    path.write_text(f"<annotation>{first}{''.join(objects)}</annotation>")
    return path


def lists(root: Path, **numbers: Sequence[int]) -> None:
    for name, of_split in numbers.items():
        (root / f"{name}.txt").write_text("".join(f"{n}\n" for n in of_split))


@pytest.fixture
def three(tmp_path: Path) -> Path:
    """Three images with 2, 3 and 1 expressions."""
    for image, letters in ((7, "ab"), (11725, "cde"), (11726, "f")):
        xml_file(tmp_path, image, *(xml_object((i, 5, 50 + i, 60), c) for i, c in enumerate(letters)))
    return tmp_path


def texts(items: list[Annotation], task: str = "grounding") -> dict[tuple[str, str], list[str]]:
    return {
        (a.split, a.image.image_id): [f.expression if isinstance(f, Referring) else f.text for f in a.facts]
        for a in items
        if a.task == task
    }


def test_by_default_the_split_is_by_image_along_diors_parts(three: Path) -> None:
    items, flaws, notes = read("dior_rsvg", three)
    expected = {("train", "00007"): ["a", "b"], ("train", "11725"): ["c", "d", "e"], ("test", "11726"): ["f"]}
    assert texts(items) == expected
    assert texts(items, "region_captioning") == expected
    assert not flaws
    assert not notes
    assert {(a.image.image_id, a.image.image_path, a.image.origin, a.image.width) for a in items} == {
        ("00007", "DIOR-RSVG/JPEGImages-trainval/00007.jpg", "dior/00007", 800),
        ("11725", "DIOR-RSVG/JPEGImages-trainval/11725.jpg", "dior/11725", 800),
        ("11726", "DIOR-RSVG/JPEGImages-test/11726.jpg", "dior/11726", 800),
    }


def test_both_tasks_speak_of_the_same_objects(three: Path) -> None:
    for a in read("dior_rsvg", three)[0]:
        kinds = {"grounding": Referring, "region_captioning": Region}
        assert all(isinstance(f, kinds[a.task]) for f in a.facts)
        assert [o.bbox for o in a.objects] == [(float(f.item), 5, 50 + f.item, 60) for f in a.facts]
        assert {o.category for o in a.objects} == {"ship"}


def test_images_may_lie_in_diors_own_folders(three: Path) -> None:
    for name in ("JPEGImages-trainval", "JPEGImages-test"):
        (three / name).mkdir()
    paths = {a.image.path.relative_to(three).as_posix() for a in read("dior_rsvg", three)[0]}
    assert paths == {
        "JPEGImages-trainval/00007.jpg", "JPEGImages-trainval/11725.jpg", "JPEGImages-test/11726.jpg",
    }  # fmt: skip


def test_objects_are_read_by_the_names_of_their_elements(tmp_path: Path) -> None:
    xml_file(
        tmp_path, 1,
        "<object><description>A dam</description><truncated>0</truncated><bndbox><ymax>80</ymax><xmin>10</xmin>"
        "<xmax>60</xmax><note>7</note><ymin>20</ymin></bndbox><name>dam</name></object>",
    )  # fmt: skip
    item = read("dior_rsvg", tmp_path)[0][0]
    assert (item.objects[0].bbox, item.objects[0].category) == ((10, 20, 60, 80), "dam")
    assert item.facts == (Referring(expression="A dam", item=0),)


def test_what_cannot_be_used_is_a_rejected_pair_in_both_tasks(tmp_path: Path) -> None:
    xml_file(
        tmp_path, 9,
        xml_object((10, 20, 10, 80), "no width"),
        xml_object((10, 20, 60), "three numbers"),
        xml_object((10, 20, "sixty", 80), "no number"),
        xml_object((10, 20, 60, 80), "  "),
        xml_object((900, 20, 960, 80), "outside"),
        xml_object((1, 2, 3, 4), "sound"),
    )  # fmt: skip
    items, flaws, notes = read("dior_rsvg", tmp_path)
    for task in ("grounding", "region_captioning"):
        assert [(f.record, f.reason) for f in flaws if f.task == task] == [
            ("object 0", "box without area, or outside its image"),
            ("object 1", "box that is not of four numbers"),
            ("object 2", "box that is not of four numbers"),
            ("object 3", "object without an expression"),
            ("object 4", "box without area, or outside its image"),
        ]
    assert not notes
    assert [(o.bbox, o.number) for o in items[0].objects] == [((10, 20, 60, 80), 3), ((1, 2, 3, 4), 5)]
    assert items[0].facts == (Referring(expression="sound", item=1),)
    assert items[1].facts == (Region(text="sound", item=1),)


def test_what_is_repaired_is_noted(tmp_path: Path) -> None:
    xml_file(tmp_path, 1, xml_object((60, 20, 10, 80)), xml_object((700, 20, 802, 80)))
    xml_file(tmp_path, 2, xml_object(name="Helipad-large"), xml_object(name=""), head="")
    items, flaws, notes = read("dior_rsvg", tmp_path)
    assert not flaws
    assert notes == {
        "box with its corners swapped, put in order": 1,
        "box that leaves its image, cut off at the edge": 1,
        "category that is none of DIOR's, kept by its own name": 2,
        "file without the image's size, taken as DIOR's 800x800": 1,
    }
    assert [o.bbox for o in items[0].objects] == [(10, 20, 60, 80), (700, 20, 800, 80)]
    assert [o.category for o in items[2].objects] == ["helipad large", "object"]
    assert (items[2].image.width, items[2].image.height) == (800, 800)


def test_a_file_that_names_another_image_rejects_its_pairs(tmp_path: Path) -> None:
    xml_file(tmp_path, 1, xml_object())
    path = xml_file(tmp_path, 2, xml_object())
    path.write_text(path.read_text().replace("00002.jpg", "00003.jpg"))
    items, flaws, _ = read("dior_rsvg", tmp_path)
    assert {a.image.image_id for a in items} == {"00001"}
    assert [(f.image_id, f.reason) for f in flaws] == [("00002", "annotation file that names another image")] * 2


@pytest.mark.parametrize("name", ["23464", "0", "abc", "²", "00001a"])
def test_a_file_that_is_not_of_dior_is_refused(name: str, three: Path) -> None:
    shutil.copy(three / "Annotations" / "00007.xml", three / "Annotations" / f"{name}.xml")
    refused("dior_rsvg", three, rf"{name}\.xml: found the name '{name}', expected an id of DIOR, from 00001 to 23463")


def test_hidden_files_are_not_counted(three: Path) -> None:
    (three / "Annotations" / "._00007.xml").write_bytes(b"\0\5\x16\7")
    assert len(read("dior_rsvg", three)[0]) == 6


def test_annotations_without_any_expression_are_refused(three: Path) -> None:
    for path in (three / "Annotations").iterdir():
        path.write_text(path.read_text().replace("<description>", "<!--").replace("</description>", "-->"))
    refused("dior_rsvg", three, "found no <description> in any of 3 files, expected an expression for each object")


def test_the_authors_split_is_by_expression(three: Path) -> None:
    lists(three, train=[0, 3], val=[1, 5], test=[2, 4])
    items, flaws, _ = read("dior_rsvg", three, split="official")
    assert texts(items) == {
        ("train", "00007"): ["a"], ("validation", "00007"): ["b"],
        ("test", "11725"): ["c", "e"], ("train", "11725"): ["d"],
        ("validation", "11726"): ["f"],
    }  # fmt: skip
    assert not flaws
    assert all(len(a.objects) == {"00007": 2, "11725": 3, "11726": 1}[a.image.image_id] for a in items)


@given(sizes=st.lists(st.integers(0, 4), min_size=1, max_size=8), chance=st.randoms())
def test_in_the_authors_split_every_expression_is_in_the_split_of_its_number(
    sizes: list[int], chance: random.Random, tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("rsvg")
    number = itertools.count()
    for image, size in enumerate(sizes, 1):
        objects = [xml_object((i, 5, 50 + i, 60), str(next(number))) for i in range(size)]
        xml_file(root, image * 7, *objects)
    if not sum(sizes):
        return
    where = {n: chance.choice(("train", "val", "test")) for n in range(sum(sizes))}
    lists(root, **{s: [n for n in where if where[n] == s] for s in ("train", "val", "test")})
    items, flaws, _ = read("dior_rsvg", root, split="official")
    assert not flaws
    found = [(int(t), split) for (split, _), said in texts(items).items() for t in said]
    ours = {"train": "train", "val": "validation", "test": "test"}
    assert sorted(found) == [(n, ours[where[n]]) for n in sorted(where)]


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda r: (r / "Annotations" / "00007.xml").unlink(), "found 4 objects in 2 files and 6 numbers up to 5"),
        (lambda r: xml_file(r, 8, xml_object()), "found 7 objects in 4 files and 6 numbers up to 5 in the lists"),
        (lambda r: lists(r, val=[1, 6]), "found 6 objects in 3 files and 6 numbers up to 6 in the lists"),
        (lambda r: lists(r, val=[1]), "found 6 objects in 3 files and 5 numbers up to 4 in the lists"),
        (lambda r: lists(r, val=[1, 4, 5]), "found 4 a second time, expected each number in one list, once"),
        (lambda r: (r / "val.txt").write_text("1\n5\n00007\nx"), "val.txt, line 4: found 'x', expected the number"),
        (
            lambda r: (r / "val.txt").write_bytes(b"\xff\xfe1"),
            r"val.txt: found byte 0, which is not UTF-8, expected numbers",
        ),
        (lambda r: (r / "val.txt").write_text("1" * 5000), "val.txt, line 1: found .*, expected the number"),
        (lambda r: (r / "val.txt").unlink(), r"val\.txt: found no such file"),
        (lambda r: lists(r, train=[], val=[], test=[]), "found empty lists"),
    ],
)
def test_lists_that_do_not_fit_the_files_are_refused(change: Callable[[Path], object], match: str, three: Path) -> None:
    lists(three, train=[0, 3], val=[1, 5], test=[2, 4])
    change(three)
    refused("dior_rsvg", three, match, split="official")


def test_the_lists_are_not_needed_for_the_split_by_image(three: Path) -> None:
    lists(three, train=[99])
    assert len(read("dior_rsvg", three)[0]) == 6


def test_diors_categories_are_20_in_plain_words() -> None:
    assert len(SEARCHED) == len(set(CATEGORIES.values())) == 20
    assert all(w == w.lower() and set(w) <= set("abcdefghijklmnopqrstuvwxyz ") for w in SEARCHED)
    assert {k: CATEGORIES[k] for k in ("Expressway-Service-area", "groundtrackfield", "windmill")} == {
        "Expressway-Service-area": "expressway service area", "groundtrackfield": "ground track field",
        "windmill": "windmill",
    }  # fmt: skip


def test_the_real_lists_are_each_number_once() -> None:
    root = shared("realdata", "dior_rsvg", "DIOR_RSVG")
    found = [[int(n) for n in (root / f"{s}.txt").read_text().split()] for s in ("train", "val", "test")]
    assert [len(n) for n in found] == [26991, 3829, 7500]
    assert all(n == sorted(set(n)) for n in found)
    assert sorted(itertools.chain(*found)) == list(range(38320))


COUNTS = {"train": (9466, 19643, 11725), "test": (7936, 18677, 23463)}
"""Images, expressions and last id of the paper's two splits."""

OFFICIAL = {"train": 26991, "val": 3829, "test": 7500}


def of_real_size(root: Path, share: int) -> None:
    """A folder in the real layout with one in `share` of the real numbers of images and expressions."""
    first = 1
    for images, total, last in COUNTS.values():
        few, all_of_them = images // share, total // share
        step = (last - first) // images
        for i in range(few):
            count = all_of_them // few + (i < all_of_them % few)
            image = first + i * step if i < few - 1 else last  # up to the very edge of the part
            xml_file(root, image, *(xml_object((j, 5, 50 + j, 60), f"ship {j}") for j in range(count)))
        first = last + 1
    numbers = list(range(sum(total // share for _, total, _ in COUNTS.values())))
    random.Random(0).shuffle(numbers)
    train, val = OFFICIAL["train"] // share, OFFICIAL["val"] // share
    parts = {"train": numbers[:train], "val": numbers[train : train + val], "test": numbers[train + val :]}
    lists(root, **{name: sorted(part) for name, part in parts.items()})


def planned(root: Path, more: str = "") -> dict[tuple[str, str], tuple[int, int, int | None, int | None]]:
    toml = root / "sources.toml"
    toml.write_text(f'version = "1.0.0"\ndate = 2026-01-01\n[[source]]\nkind = "dior_rsvg"\nroot = "."\n{more}')
    lines, tally = plan(load_config(toml))
    assert not tally.rejects
    assert not tally.notes
    return {(x.task, x.split): (x.read_images, x.read_pairs, x.paper_images, x.paper_qa_pairs) for x in lines}


def counted(root: Path, share: int) -> None:
    found = planned(root)
    assert len(found) == 4
    for (task, split), (images, pairs, paper_images, paper_pairs) in found.items():
        assert (images, pairs) == (COUNTS[split][0] // share, COUNTS[split][1] // share)
        known = (task, split) != ("region_captioning", "test")
        assert (paper_images, paper_pairs) == (COUNTS[split][:2] if known else (None, None))
    official = planned(root, 'split = "official"\n')
    total = sum(pairs // share for _, pairs, _ in COUNTS.values())
    train, val = OFFICIAL["train"] // share, OFFICIAL["val"] // share
    for task in ("grounding", "region_captioning"):
        pairs = [official[task, split][1] for split in ("train", "validation", "test")]
        assert pairs == [train, val, total - train - val]
        assert sum(official[task, s][0] for s in ("train", "validation", "test")) > sum(
            images // share for images, _, _ in COUNTS.values()
        )
    assert {figures[2:] for figures in official.values()} == {(None, None)}, "the paper did not split like this"


def test_a_tenth_of_the_real_size_is_counted_as_the_paper_counts(tmp_path: Path) -> None:
    of_real_size(tmp_path, 10)
    counted(tmp_path, 10)


@pytest.mark.long
def test_the_real_size_is_counted_as_the_paper_counts(tmp_path: Path) -> None:
    of_real_size(tmp_path, 1)
    assert len(list((tmp_path / "Annotations").iterdir())) == 17402
    counted(tmp_path, 1)
    shutil.rmtree(tmp_path / "Annotations")  # pytest would keep it for three sessions


def test_a_release_of_the_authors_split_says_that_it_shares_images(small: Callable[..., Path], tmp_path: Path) -> None:
    """It passes its own `check`, which finds in the manifest that it knows."""
    config = load_config(small("dior_rsvg", more='split = "official"\nname = "rsvg_by_expression"'))
    [spec] = config.sources
    assert spec.source.shares_images
    assert "split by expression" in spec.source.caveat
    out = tmp_path / "rs-gpt4v"
    build(config, out, workers=1, skip_missing=False)
    assert json.loads((out / "manifest.json").read_text())["sources"]["rsvg_by_expression"]["shares_images"] is True
    found = {r.name: r.severity for r in check(out) if r.count}
    assert found == {"splits known to share images": "warning"}


def test_the_split_by_image_shares_none(small: Callable[..., Path]) -> None:
    [spec] = load_config(small("dior_rsvg")).sources
    assert not spec.source.shares_images
    assert "split by image" in spec.source.caveat
    assert known_sources()["dior_rsvg"].splits == {"train": COUNTS["train"][:2], "test": COUNTS["test"][:2]}


@pytest.mark.parametrize("value", ['"expression"', "1"])
def test_another_split_is_refused(value: str, small: Callable[..., Path]) -> None:
    with pytest.raises(UsageError, match=r"split is .*, expected"):
        load_config(small("dior_rsvg", more=f"split = {value}"))


# RSVG

RECORDS: list[Any] = [
    ("a.jpg", [10, 20.5, 60, 80], "find a lake", ["DT"], 1),
    ("b.jpg", (1, 2, 3, 4), "find a road"),
    ("a.jpg", [10, 20.5, 60, 80], "find the only lake"),
    ("a.jpg", [90, 20, 30, 80], "find a bridge"),
    ("a.jpg", [10, 20.5, 60, 80], "find a lake", ["DT"], 1),
]


def legacy(value: object) -> bytes:
    """As torch before 1.6 writes plain values: pickles on end."""
    parts = (MAGIC, 1001, {"little_endian": True}, value, [])
    return b"".join(pickle.dumps(part, protocol=2) for part in parts)


@pytest.mark.parametrize("form", [saved, legacy, pickle.dumps, lambda v: json.dumps(v).encode()])
def test_rsvg_in_every_form_of_its_list(form: Callable[[object], bytes], tmp_path: Path) -> None:
    content = form(RECORDS)
    ending = "json" if content.startswith(b"[") else "pth"
    (tmp_path / f"rsvg_val.{ending}").write_bytes(content)
    items, flaws, notes = read("rsvg", tmp_path)
    assert not flaws
    assert notes == {
        "box with its corners swapped, put in order": 1,
        "no file of the official split 'train' in the folder": 1,
        "no file of the official split 'test' in the folder": 1,
    }
    assert [(a.split, a.image.source_id, a.image.origin) for a in items] == [
        ("validation", "a.jpg", "rsvg/a"), ("validation", "b.jpg", "rsvg/b"),
    ]  # fmt: skip
    assert [o.bbox for o in items[0].objects] == [(10, 20.5, 60, 80), (30, 20, 90, 80)]
    assert {o.category for a in items for o in a.objects} == {"object"}
    assert items[0].facts == (
        Referring(expression="find a lake", item=0), Referring(expression="find the only lake", item=0),
        Referring(expression="find a bridge", item=1), Referring(expression="find a lake", item=0),
    )  # fmt: skip


def test_torch_opens_the_samples_files_and_ours_opens_torchs(sample: Path, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    for path in sorted((sample / "RSVG").glob("*.pth")):
        value = torch.load(path, weights_only=True)
        assert value
        assert value == load_pth(Folder(path.parent), path)
    for zipped in (True, False):
        torch.save(RECORDS, tmp_path / "x.pth", _use_new_zipfile_serialization=zipped)
        assert load_pth(Folder(tmp_path), tmp_path / "x.pth") == RECORDS
    torch.save([torch.zeros(3)], tmp_path / "x.pth")
    with pytest.raises(SourceError, match=r"expected lists, text and numbers as torch\.save writes them, nothing else"):
        load_pth(Folder(tmp_path), tmp_path / "x.pth")


class Runs:
    """A pickle of this calls a function."""

    called = False

    def __reduce__(self) -> tuple[Any, ...]:
        return run, ()


def run() -> list[Any]:
    Runs.called = True
    return RECORDS


@pytest.mark.parametrize("form", [saved, legacy, pickle.dumps])
def test_what_a_pickle_names_is_not_run(form: Callable[[object], bytes], tmp_path: Path) -> None:
    (tmp_path / "rsvg_test.pth").write_bytes(form(Runs()))
    refused("rsvg", tmp_path, r"rsvg_test\.pth: found test_expressions\.run, expected lists, text and numbers")
    assert not Runs.called


@given(data=st.data())
def test_a_damaged_pickle_is_refused_or_read(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    root = tmp_path_factory.mktemp("pth")
    content = bytearray(data.draw(st.sampled_from([saved(RECORDS), legacy(RECORDS), pickle.dumps(RECORDS)])))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(content)))
    (root / "rsvg_test.pth").write_bytes(content[:cut] if data.draw(st.booleans()) else content)
    try:
        read("rsvg", root)
    except SourceError as error:
        assert "rsvg_test.pth" in str(error)


def test_records_of_rsvg_that_are_none_are_rejected_pairs(tmp_path: Path) -> None:
    bad: list[Any] = [
        "text", ["a.jpg"], ["a.jpg", [1, 2, 3], "x"], ["a.jpg", [1, 2, 3, "4"], "x"], ["a.jpg", [1, 2, 3, True], "x"],
        ["a.jpg", [1, 2, 3, 10**400], "x"], [7, [1, 2, 3, 4], "x"], ["a.jpg", [1, 2, 3, 4], None],
        ["a.jpg", [1, 2, 3, float("nan")], "x"],
    ]  # fmt: skip
    others: list[Any] = [["../a.jpg", [1, 2, 3, 4], "x"], ["a.jpg", [1, 2, 1, 4], "x"], ["a.jpg", [1, 2, 3, 4], " "]]
    (tmp_path / "rsvg_test.pth").write_bytes(saved([*bad, *others, ["a.jpg", [1, 2, 3, 4], "a lake"]]))
    items, flaws, _ = read("rsvg", tmp_path)
    assert [len(a.facts) for a in items] == [1]
    form = "record that is not a list of image name, box of four numbers and expression"
    assert Counter(f.reason for f in flaws) == {
        form: len(bad), "image name leaves its folder": 1, "box without area, or outside its image": 1,
        "box without an expression": 1,
    }  # fmt: skip
    (tmp_path / "rsvg_test.pth").write_bytes(saved(bad))
    refused("rsvg", tmp_path, r"rsvg_test\.pth: found none in 9 records, expected of each expression a list of")
    (tmp_path / "rsvg_test.pth").write_bytes(saved([]))
    refused("rsvg", tmp_path, "found an empty list")
    (tmp_path / "rsvg_test.pth").write_bytes(saved({"images": 3}))
    refused("rsvg", tmp_path, "found a dict, expected a list")


def test_an_expression_for_a_box_that_its_text_cannot_say_is_a_rejected_pair(tmp_path: Path) -> None:
    root = tmp_path / "RSVG"
    root.mkdir()
    dot, box = ["a.jpg", [10.0, 10, 10.3, 40], "find a thin pole"], ["a.jpg", [10, 10, 40, 40], "find a pool"]
    (root / "rsvg_train.json").write_text(json.dumps([dot, box]))
    toml = tmp_path / "sources.toml"
    toml.write_text('version = "1.0.0"\ndate = "2026-11-23"\n[[source]]\nkind = "rsvg"\nroot = "RSVG"\n')
    _, tally = plan(load_config(toml))
    count = tally.counts["grounding", "rsvg", "train"]
    assert (count.read_pairs, count.qa_pairs) == (2, 1)
    assert [(r.stage, r.reason) for r in tally.rejects] == [("verify", "box so small that its text has no area")]


def test_the_size_of_an_image_is_its_headers_where_it_is_there(sample: Path, tmp_path: Path) -> None:
    from PIL import Image

    (tmp_path / "images").mkdir()
    Image.new("RGB", (500, 400)).save(tmp_path / "images" / "a.jpg")
    records = [["a.jpg", [10, 20, 900, 950], "a lake"], ["b.jpg", [10, 20, 900, 1950], "a lake"]]
    (tmp_path / "rsvg_test.json").write_text(json.dumps(records))
    items, _, notes = read("rsvg", tmp_path)
    assert [(a.image.width, a.image.height, a.objects[0].bbox) for a in items] == [
        (500, 400, (10, 20, 500, 400)), (1024, 1024, (10, 20, 900, 1024)),
    ]  # fmt: skip
    assert notes["box that leaves its image, cut off at the edge"] == 2


# RSVG-HR


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("a.jpg,1.5,2,3.25,4.0,a lake", ("a.jpg", (1.5, 2, 3.25, 4), "a lake", False)),
        ("a.jpg,1,2,3,4,a lake, a road, 7 trees", ("a.jpg", (1, 2, 3, 4), "a lake, a road, 7 trees", False)),
        ("a.jpg, 1, 2, 3, 4, a lake", ("a.jpg", (1, 2, 3, 4), "a lake", False)),
        ("a.jpg,170.0,774.0,216,00,803.21,a lake", ("a.jpg", (170, 774, 216, 803.21), "a lake", True)),
        ("a.jpg,170,5,774.0,216.0,803.21,a lake", ("a.jpg", (170.5, 774, 216, 803.21), "a lake", True)),
        ("a.jpg,1,5,2,5,3,5,4,5,a lake", ("a.jpg", (1.5, 2.5, 3.5, 4.5), "a lake", True)),
        ("a.jpg,1.0,2.0,3,5,4,5,a lake", ("a.jpg", (1, 2, 3.5, 4.5), "a lake", True)),
        ("a.jpg,170,774,216,00,803,a lake", AMBIGUOUS),
        ("a.jpg,1.0,2.0,3.0,4,5,a lake", ("a.jpg", (1, 2, 3, 4.5), "a lake", True)),
        ("a.jpg,1.0,2.0,3.0,4.0,5,a lake", BAD_LINE),
        ("a.jpg,1,2,3,4,5,6,7,8,9,a lake", BAD_LINE),
        ("a.jpg,1,2,3,a lake", BAD_LINE),
        ("a.jpg,1,2,3,4", BAD_LINE),
        (",1,2,3,4,a lake", BAD_LINE),
        ("a.jpg,1,2,3,nan,a lake", BAD_LINE),
        ("a.jpg,1,2,3,٤,a lake", BAD_LINE),
        ("a.jpg,1,2,3,4,", ("a.jpg", (1, 2, 3, 4), "", False)),
        ("{}", BAD_LINE),
    ],
)
def test_lines_of_rsvg_hr(line: str, found: object) -> None:
    assert parse(line) == found


NUMBERS = st.floats(0, 1024).map(lambda v: round(v, 2))
WORDS = st.text("abc ,", min_size=1, max_size=20).map(lambda t: f"a {t}".strip())


@given(st.tuples(NUMBERS, NUMBERS, NUMBERS, NUMBERS), WORDS)
def test_a_line_is_read_as_it_was_written(box: Box, words: str) -> None:
    assert parse(",".join(["a.jpg", *map(str, box), words])) == ("a.jpg", box, words, False)


@given(st.tuples(NUMBERS, NUMBERS, NUMBERS, NUMBERS), st.integers(0, 3), WORDS)
def test_one_decimal_comma_among_numbers_with_points_is_put_right(box: Box, at: int, words: str) -> None:
    fields = [f"{v:.2f}" for v in box]
    fields[at] = fields[at].replace(".", ",")
    assert parse(",".join(["a.jpg", *fields, words])) == ("a.jpg", box, words, True)


@given(st.text(max_size=60))
def test_any_line_is_read_or_rejected(line: str) -> None:
    found = parse(line)
    assert found in (BAD_LINE, AMBIGUOUS) or len(found) == 4


@pytest.mark.parametrize("place", [".", "RSVG-HR", "Annotations", "RSVG-HR/Annotations"])
def test_rsvg_hr_with_windows_lines_blank_ones_and_a_mark_at_its_head(place: str, tmp_path: Path) -> None:
    (tmp_path / place).mkdir(parents=True, exist_ok=True)
    path = tmp_path / place / "rsvg_hr_train.txt"
    path.write_bytes(
        b"\xef\xbb\xbfa.jpg,1,2,3,4,find a lake, \r\n\r\nb.jpg,5,6,1,9,find a road\r\na.jpg,1,2,3,4,find a pond\r\n"
        b"a.jpg,10,20,30,00,40,x\r\n../c.jpg,1,2,3,4,x\r\nd.jpg,1,2,1,4,x\r\nd.jpg,1,2,3,4,\r\nfind a lake\r\n  \r\n"
    )
    items, flaws, notes = read("rsvg_hr", tmp_path)
    assert [(a.split, a.image.image_id, a.image.image_path) for a in items] == [
        ("train", "a", "RSVG-HR/images/a.jpg"), ("train", "b", "RSVG-HR/images/b.jpg"),
    ]  # fmt: skip
    assert items[0].facts == (
        Referring(expression="find a lake,", item=0), Referring(expression="find a pond", item=0),
    )  # fmt: skip
    assert [o.bbox for a in items for o in a.objects] == [(1, 2, 3, 4), (1, 6, 5, 9)]
    assert [(f.image_id, f.record, f.reason) for f in flaws] == [
        ("a", "rsvg_hr_train:5", AMBIGUOUS), ("rsvg_hr_train:6", "rsvg_hr_train:6", "image name leaves its folder"),
        ("find a lake", "rsvg_hr_train:9", BAD_LINE),
        ("d", "rsvg_hr_train:7", "box without area, or outside its image"),
        ("d", "rsvg_hr_train:8", "box without an expression"),
    ]  # fmt: skip
    assert notes["no file of the official split 'test' in the folder"] == 1
    assert notes["box with its corners swapped, put in order"] == 1


def test_rsvg_hr_without_any_line_of_its_form_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rsvg_hr_test.txt"
    for content, found in (
        (b"", "an empty file"),
        (b"[\n]\n", "none in 2 lines"),
        (b"a\xff,1", "byte 1, which is not"),
    ):
        path.write_bytes(content)
        refused("rsvg_hr", tmp_path, rf"rsvg_hr_test\.txt: found {found}.*, expected lines of name,x1,y1,x2,y2")


def test_images_of_rsvg_hr_may_lie_beside_its_lists(sample: Path, tmp_path: Path) -> None:
    for path in (sample / "RSVG-HR").rglob("*.*"):
        shutil.copy(path, tmp_path)
    items, _, _ = read("rsvg_hr", tmp_path)
    assert items
    assert all(a.image.path.parent == tmp_path and a.image.path.is_file() for a in items)


def test_the_real_rsvg_hr_is_read_whole() -> None:
    items, flaws, notes = read("rsvg_hr", shared("realdata", "rsvg"))
    assert not flaws
    assert notes == {
        "number with a decimal comma, read with a point": 1,
        "box with its corners swapped, put in order": 1,
        "box that leaves its image, cut off at the edge": 5,
    }
    by_split = {s: [a for a in items if a.split == s] for s in ("train", "test")}
    counts = {s: (len(found), sum(len(a.facts) for a in found)) for s, found in by_split.items()}
    assert counts == {"train": (1381, 2151), "test": (371, 499)} == known_sources()["rsvg_hr"].splits
    train, test = ({a.image.image_id for a in found} for found in by_split.values())
    assert len(train & test) == 46
    commas = [a for a in items if a.image.image_id == "663789_3997340_512_32611_sport_swimming" and a.split == "train"]
    assert (170.0, 774.0, 216.0, 803.21) in [o.bbox for o in commas[0].objects]


# the samples


@pytest.mark.parametrize(
    ("kind", "reasons"),
    [
        (
            "dior_rsvg",
            {
                "box without area, or outside its image", "object without an expression",
                "box that leaves its image, cut off at the edge",
            },
        ),
        ("rsvg", set()),
        (
            "rsvg_hr",
            {
                "number with a decimal comma, read with a point", "box with its corners swapped, put in order",
                "box that leaves its image, cut off at the edge",
            },
        ),
    ],
)  # fmt: skip
def test_a_sample_has_the_flaws_of_its_source(kind: str, reasons: set[str], sample: Path) -> None:
    from rs_gpt4v_conversion.sample import SOURCES

    items, flaws, notes = read(kind, sample / SOURCES[kind][0])
    assert {*notes, *(f.reason for f in flaws)} == reasons
    assert len(flaws) < 0.2 * sum(len(a.facts) for a in items)
    if kind == "rsvg_hr":
        assert any("," in f.expression for a in items for f in a.facts if isinstance(f, Referring))
        train, test = ({a.image.image_id for a in items if a.split == s} for s in ("train", "test"))
        assert len(train & test) == 1


def test_the_samples_authors_split_puts_images_into_several_splits(sample: Path) -> None:
    items, _, _ = read("dior_rsvg", sample / "DIOR_RSVG", split="official")
    assert {a.split for a in items} == {"train", "validation", "test"}
    places = Counter(a.image.image_id for a in items if a.task == "grounding")
    assert max(places.values()) > 1


BOXES = st.tuples(st.integers(0, 700), st.integers(0, 700), st.integers(5, 100), st.integers(5, 100)).map(
    lambda b: (float(b[0]), float(b[1]), float(b[0] + b[2]), float(b[1] + b[3]))
)


@given(st.lists(st.tuples(st.sampled_from(["ship", "airplane"]), BOXES), max_size=7, unique_by=lambda t: t[1]))
def test_an_expression_of_the_sample_means_one_object(things: list[tuple[str, Box]]) -> None:
    said = expressions([w for w, _ in things], [b for _, b in things], 800, 800)
    assert len(said) == len(set(said)) == len(things)
    for (word, _), text in zip(things, said, strict=True):
        assert word in text
