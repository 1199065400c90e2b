"""Statistics of a release."""

import json
import math
import re
import xml.etree.ElementTree as ET
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tiny_release
from pages import Page
from rs_gpt4v_conversion.cli import main
from rs_gpt4v_conversion.errors import UsageError
from rs_gpt4v_conversion.geometry import corners
from rs_gpt4v_conversion.index import pair_words
from rs_gpt4v_conversion.records import BBox
from rs_gpt4v_conversion.release import ReleaseFolder
from rs_gpt4v_conversion.stats import Stats, _counting, _reading, as_json, as_text, gather, write_page
from rs_gpt4v_conversion.stats._counting import Distinct, Frequencies, Histogram
from rs_gpt4v_conversion.stats._text import LONGEST, _shown, percent
from rs_gpt4v_conversion.stats.answers import Answer
from rs_gpt4v_conversion.stats.box_text import (
    box_ious,
    least_iou,
    polygon_ious,
    read_back,
    rotated_survival,
    upright_survival,
)
from rs_gpt4v_conversion.stats.lengths import words
from rs_gpt4v_conversion.stats.objects import SizeBin, Sizes, box_areas
from rs_gpt4v_conversion.templates import PRESENCE
from rs_gpt4v_conversion.templates.boxes import bbox_text, obb_text, parse_bboxes, parse_obbs
from rs_gpt4v_conversion.templates.words import with_article
from shared import shared
from tiny_release import Row, draw, picture, row, thing

GOLDEN = Path(__file__).with_name("golden") / "stats.txt"
SHORT = "\nAnswer the question using a single word or phrase."


def asked(number: int, category: str, answer: str) -> tuple[str, str, str]:
    """A question of our own wording after a category of objects."""
    return "presence", PRESENCE[number].ask(a_category=with_article(category)), answer


def item(category: str, bbox: list[float], obb: list[float] | None = None, **flags: bool) -> dict[str, Any]:
    return {"category": category, "bbox": bbox, "obb": obb or [], "difficult": False, "ignore": False, **flags}


def made() -> list[Row]:
    """Thirteen rows of three sources, with what is to be told apart."""
    rows = [
        row("captioning", "alpha", "train", 1, picture(1), [("caption", "Say it.", "A field.")]),
        row("captioning", "alpha", "train", 2, picture(2), [("caption", "Say it.", f"Field {n}.") for n in range(3)]),
        row("captioning", "alpha", "test", 3, picture(3), [("caption", "Say it.", "A wide  green\nfield of rice.")]),
    ]
    things = [
        thing("hut", 0, 0, 10, 10), item("hut", [20, 20, 22, 30]), item("tree", [30, 30, 40, 38], difficult=True),
        item("tree", [1, 1, 2, 2], ignore=True), item("sea", [0, 0, 48, 40]), item("sea", []),
    ]  # fmt: skip
    for task, category, text in (("grounding", "grounding", "here"), ("region_captioning", "region", "a hut")):
        boxes = row(task, "beta", "train", 31, picture(31), [(category, "Where?", text)])
        rows.append(boxes | {"objects": things})
    rows.append(row("region_captioning", "beta", "train", 32, picture(32), [("region", "What?", "a tree")]))
    rows[-1]["objects"] = [item("tree", [4, 4, 44, 36])]
    yes = [asked(n % 3, "hut", answer) for n, answer in enumerate(("yes", "yes", "Yes ", "no"))]
    sea = [asked(0, "salty sea", "no"), ("presence", f"Is there an oddity?{SHORT}", "no")]
    rows.append(row("vqa", "beta", "train", 31, picture(31), [*yes, *sea, ("count", "How many?", "2")]))
    rows[-1]["objects"] = things
    for n, pair in enumerate((*yes, *sea)):
        ours = next((t.id for t in PRESENCE if t.ask(a_category=with_article("hut")) == pair[1]), PRESENCE[0].id)
        rows[-1]["pairs"][n]["template"] = ours if n < 5 else "vqa/1"
    rows.append(row("vqa", "beta", "test", 33, picture(33), [("count", "How many?", "3"), ("count", "How many?", "2")]))
    rows.append(row("vqa", "beta", "test", 34, picture(34), [("presence", "Is it?", "no")]))
    rows += [row("vqa", "gamma", "phili", n, picture(40), [("area", "How much?", f"{n % 3}m2")]) for n in range(4)]
    for r in rows[-4:]:
        r.update(modality="sar", license="open")
    rows[-1]["license"] = "closed"
    return rows


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_release.write(tmp_path_factory.mktemp("made") / "rs-gpt4v", made(), mini=[])


@pytest.fixture(scope="module")
def stats(folder: Path) -> Stats:
    return gather(ReleaseFolder(folder))


def test_composition(stats: Stats) -> None:
    c = stats.composition
    assert (c.rows, c.images, c.pairs) == (13, 8, 22)
    parts = [(p.task, p.source, p.split, p.rows, p.images, p.pairs) for p in c.parts]
    assert parts == [
        ("captioning", "alpha", "train", 2, 2, 4), ("captioning", "alpha", "test", 1, 1, 1),
        ("grounding", "beta", "train", 1, 1, 1), ("region_captioning", "beta", "train", 2, 2, 2),
        ("vqa", "beta", "train", 1, 1, 7), ("vqa", "beta", "test", 2, 2, 3), ("vqa", "gamma", "phili", 4, 1, 4),
    ]  # fmt: skip
    sources = [(s.source, s.rows, s.images, s.pairs, s.modalities, s.licenses) for s in c.sources]
    assert sources == [
        ("alpha", 3, 3, 5, {"optical": 3}, {"made for the tests": 3}),
        ("beta", 6, 4, 13, {"optical": 6}, {"made for the tests": 6}),
        ("gamma", 4, 1, 4, {"sar": 4}, {"open": 3, "closed": 1}),
    ]


def test_an_image_of_two_sources_counts_once_in_the_release(tmp_path: Path) -> None:
    rows = [row("captioning", s, "train", 1, picture(1), [("caption", "Say.", "It.")]) for s in ("alpha", "beta")]
    c = gather(ReleaseFolder(tiny_release.write(tmp_path, rows, mini=[]))).composition
    assert (c.images, [s.images for s in c.sources]) == (1, [1, 1])


def test_lengths(stats: Stats) -> None:
    found = {(x.task, x.source): x for x in stats.lengths}
    captions = found["captioning", "alpha"]
    assert captions.questions is not None and captions.answers is not None and captions.pairs_per_row is not None
    q, a, pairs = captions.questions, captions.answers, captions.pairs_per_row
    assert (q.count, q.min, q.median, q.mean, q.p95, q.max) == (5, 2, 2, 2, 2, 2), "without the image tag"
    assert (a.count, a.min, a.p5, a.median, a.mean, a.p95, a.max) == (5, 2, 2, 2, 2.8, 6, 6)
    assert (pairs.count, pairs.min, pairs.median, pairs.mean, pairs.max) == (3, 1, 1, 1.6667, 3)


def test_answers_in_lower_case_and_without_blanks(stats: Stats) -> None:
    found = {(a.source, a.category, a.split): a for a in stats.answers.categories}
    train = found["beta", "presence", "train"]
    assert (train.pairs, train.distinct, train.missed, train.yes, train.no) == (6, 2, 0, 3, 3)
    assert train.top == (Answer(answer="no", count=3, share=0.5), Answer(answer="yes", count=3, share=0.5))
    assert (train.majority, train.blind_answer, train.blind) == (0.5, "no", 0.5)


def test_blind_answers_are_those_of_train_where_there_is_one(stats: Stats) -> None:
    found = {(a.source, a.category, a.split): a for a in stats.answers.categories}
    count = found["beta", "count", "test"]
    assert (count.majority, count.blind_answer, count.blind) == (0.5, "2", 0.5)
    area = found["gamma", "area", "phili"]
    assert (area.top[0], area.blind_answer, area.blind) == (Answer(answer="0m2", count=2, share=0.5), "0m2", 0.5)
    blind = [(b.source, b.split, b.pairs, b.accuracy) for b in stats.answers.blind]
    assert blind == [
        ("beta", "train", 7, round(4 / 7, 6)), ("beta", "test", 3, round(2 / 3, 6)), ("gamma", "phili", 4, 0.5),
    ]  # fmt: skip


def test_presence_by_object_reads_our_own_wording_back(stats: Stats) -> None:
    found = [(p.source, p.object, p.yes, p.no) for p in stats.answers.presence]
    assert found == [("beta", "hut", 3, 1), ("beta", "salty sea", 0, 1)]


def test_objects_count_once_an_image(stats: Stats) -> None:
    (o,) = stats.objects
    assert (o.source, o.images, o.objects, o.ignored, o.difficult, o.rotated, o.boxless) == ("beta", 2, 7, 1, 1, 1, 1)
    assert o.per_image is not None and o.size is not None
    assert (o.per_image.min, o.per_image.median, o.per_image.max) == (1, 1, 6)
    # 10 x 10, 2 x 10, 10 x 8, 48 x 40, 40 x 32
    assert o.sizes == Sizes(small=3, medium=2, large=0)
    assert (o.size.count, o.size.min, o.size.median, o.size.max) == (5, 4.5, 10.0, 43.8)
    assert o.size.mean == pytest.approx((10 + 4.5 + 8.9 + 43.8 + 35.8) / 5, abs=0.005)
    assert o.ninths == ((1, 0, 0), (0, 3, 0), (0, 0, 1))
    assert [b for b in o.histogram if b.objects] == [
        SizeBin(start=4.0, end=5.7, objects=1), SizeBin(start=8.0, end=11.3, objects=2),
        SizeBin(start=32.0, end=45.3, objects=2),
    ]  # fmt: skip
    categories = [(c.category, c.objects, c.ignored, c.sizes) for c in o.categories]
    assert categories == [
        ("tree", 3, 1, Sizes(small=1, medium=1, large=0)), ("hut", 2, 0, Sizes(small=2, medium=0, large=0)),
        ("sea", 2, 0, Sizes(small=0, medium=1, large=0)),
    ]  # fmt: skip


def test_the_size_is_that_of_the_rotated_box(tmp_path: Path) -> None:
    rows = [row("grounding", "beta", "train", 1, picture(1), [("grounding", "Where?", "here")])]
    rows[0].update(width=1000, height=1000)
    rows[0]["objects"] = [item("ship", [0, 0, 200, 200], list(corners(100, 100, 200, 32, math.pi / 4)))]
    (o,) = gather(ReleaseFolder(tiny_release.write(tmp_path, rows, mini=[]))).objects
    assert o.size is not None
    assert (o.size.median, o.sizes) == (80.0, Sizes(small=0, medium=1, large=0))


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        ("", "nothing"),
        ("a\nb", "a b"),
        ("x" * LONGEST, "x" * LONGEST),
        ("y" * (LONGEST + 1), "y" * (LONGEST - 3) + "..."),
    ],
)
def test_a_long_answer_does_not_widen_the_table(answer: str, shown: str) -> None:
    assert _shown(answer) == shown


def test_boxes_as_text(stats: Stats) -> None:
    found = {(b.form, b.decimals): b.all for b in stats.box_text}
    assert {key: b.boxes for key, b in found.items()} == {("hbb", 2): 5, ("hbb", 3): 5, ("obb", 2): 1, ("obb", 3): 1}
    assert {(b.iou_50, b.iou_70) for b in found.values()} == {(5, 5), (1, 1)}


def test_small_boxes_in_large_images_do_not_survive_two_decimals(tmp_path: Path) -> None:
    rows = [row("grounding", "beta", "train", 1, picture(1), [("grounding", "Where?", "here")])]
    rows[0].update(width=1000, height=1000)
    # 14 to 16 and 104 to 134 become 10 to 20 and 100 to 130
    rows[0]["objects"] = [item("car", [14, 104, 16, 134]), item("field", [100, 100, 500, 500])]
    found = gather(ReleaseFolder(tiny_release.write(tmp_path, rows, mini=[]))).box_text
    two, three = found
    assert (two.decimals, two.small.boxes, two.small.iou_50, two.large.iou_70, two.all.iou_50) == (2, 1, 0, 1, 1)
    assert (three.decimals, three.small.iou_50, three.all.iou_70, three.medium.boxes) == (3, 1, 2, 0)


def test_text_is_the_golden_one(stats: Stats) -> None:
    text = as_text(stats) + "\n"
    if not GOLDEN.exists():
        GOLDEN.write_text(text)
        pytest.fail(f"{GOLDEN} was made: read it, and commit it")
    assert text == GOLDEN.read_text()


def test_the_json_has_the_documented_keys(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stats", str(folder), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert list(said) == ["version", "date", "composition", "lengths", "answers", "objects", "box_text"]
    assert {"rows", "images", "pairs", "parts", "sources"} == set(said["composition"])
    assert {"task", "source", "questions", "answers", "pairs_per_row"} == set(said["lengths"][0])
    assert {"categories", "blind", "presence"} == set(said["answers"])
    assert {"source", "form", "decimals", "all", "small", "medium", "large"} == set(said["box_text"][0])
    assert said == json.loads(json.dumps(as_json(gather(ReleaseFolder(folder)))))
    maintaining = (Path(__file__).parents[1] / "docs" / "maintaining.md").read_text()
    for key in said:
        assert f"`{key}`" in maintaining, key


def test_the_command_prints_text_and_writes_a_page(
    release: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "stats.html"
    assert main(["stats", str(release), "--out", str(page)]) == 0
    said = capsys.readouterr()
    sources = {entry.source for entry in ReleaseFolder(release).shards}
    text = page.read_text()
    for source in sources:
        assert source in said.out
        assert f"<td>{source}</td>" in text
    assert str(page) in said.err
    assert sum(s.rows for s in ReleaseFolder(release).shards) == gather(ReleaseFolder(release)).composition.rows


def test_the_page_is_whole_and_needs_nothing_outside_it(stats: Stats, tmp_path: Path) -> None:
    write_page(stats, tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    page = Page(text)
    drawings = re.findall(r"<svg.*?</svg>", text, re.DOTALL)
    assert len(drawings) > 30
    for drawing in drawings:
        ET.fromstring(drawing)
    assert not re.search(r"https?://|url\(|@import|<script|{{", text)
    assert "default-src 'none'" in text
    targets = {str(a["href"]).removeprefix("#") for a in page.all("a")}
    assert targets == {str(s["id"]) for s in page.all("section") if "id" in s}
    for source in ("alpha", "beta", "gamma"):
        assert f"<td>{source}</td>" in text
    numbers = [float(n) for n in re.findall(r'(?:width|height|x|y|cx|x1|x2)="(-?[\d.]+)"', text)]
    assert min(numbers) >= 0
    write_page(stats, tmp_path / "again.html")
    assert (tmp_path / "again.html").read_text() == text


NASTY = "<script>alert(1)</script>\"'&{{ lengths }} #1 {0}"


def test_what_a_release_says_is_escaped(tmp_path: Path) -> None:
    record = row("vqa", "alpha", "train", 1, picture(1), [("count", "How?", NASTY), ("count", "How?", NASTY[:9])])
    record.update(objects=[thing(NASTY, 1, 1, 9, 9)], modality=NASTY, license=NASTY)
    record["pairs"][1]["category"] = NASTY
    folder = tiny_release.write(tmp_path / "rs-gpt4v", [record], mini=[])
    write_page(gather(ReleaseFolder(folder)), tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    page = Page(text)
    assert page.all("script") == []
    assert text.count("{{ lengths }}") >= 3
    for drawing in re.findall(r"<svg.*?</svg>", text, re.DOTALL):
        ET.fromstring(drawing)
    assert NASTY.lower() in as_text(gather(ReleaseFolder(folder)))


@pytest.mark.parametrize("tasks", [("captioning",), ("vqa",), ("grounding",), ()])
def test_a_release_may_lack_tasks_and_objects(tasks: tuple[str, ...], tmp_path: Path) -> None:
    rows = [r for r in draw() if r["task"] in tasks]
    (tmp_path / "rs-gpt4v").mkdir()
    found = gather(ReleaseFolder(tiny_release.write(tmp_path / "rs-gpt4v", rows, mini=[])))
    assert bool(found.answers.categories) == ("vqa" in tasks)
    assert bool(found.objects) == bool(found.box_text) == ("grounding" in tasks)
    text = as_text(found)
    assert ("Boxes as text" in text) == ("grounding" in tasks)
    assert ("Answers" in text) == ("vqa" in tasks)
    write_page(found, tmp_path / "page.html")
    Page((tmp_path / "page.html").read_text())


def test_neither_row_groups_nor_batches_matter(
    folder: Path, stats: Stats, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_reading, "ROWS", 1)
    assert gather(ReleaseFolder(folder)) == stats
    monkeypatch.setattr(tiny_release, "GROUP", 100)
    monkeypatch.setattr(_counting, "RECENT", 0)
    assert gather(ReleaseFolder(tiny_release.write(tmp_path, made(), mini=[]))) == stats


def test_images_are_not_read(folder: Path, stats: Stats, tmp_path: Path) -> None:
    copy = tiny_release.write(tmp_path, made(), mini=[])
    for shard in copy.glob("data/*/*/*.parquet"):
        pq.write_table(pq.read_table(shard).drop_columns(["image"]), shard)
    assert gather(ReleaseFolder(copy)) == stats


def test_progress_is_told_of_every_row(folder: Path) -> None:
    seen: list[int] = []
    gather(ReleaseFolder(folder), seen.append)
    assert sum(seen) == 13


ODD: tuple[tuple[str, Any], ...] = (
    ("objects", None), ("objects", [None]), ("width", None), ("height", 0), ("image", None), ("image_sha256", None),
    ("image_sha256", ""), ("modality", None), ("license", None),
    ("objects", [{"category": None, "bbox": None, "obb": None, "difficult": None, "ignore": None}]),
    ("objects", [item("a", [1.0], [1.0]), item("a", [9.0, 9.0, 1.0, 1.0], [2.0] * 8)]),
    ("objects", [item("a", [float("nan")] * 4, [float("inf")] * 8), item("a", [float("inf")] * 4)]),
    ("objects", [item("a", [0.0, 0.0, 9.0, 9.0], [0, 0, 9, 9, 9, 0, 0, 9])]),
)  # fmt: skip


@pytest.mark.parametrize(("column", "value"), ODD)
def test_a_row_that_breaks_the_contract_is_counted_as_far_as_it_goes(column: str, value: Any, tmp_path: Path) -> None:
    rows = draw()
    rows[7][column] = value
    folder = ReleaseFolder(tiny_release.write(tmp_path / "rs-gpt4v", rows, mini=[]))
    found = gather(folder)
    assert found.composition.rows == 11
    assert sum(o.objects for o in found.objects) == 4 + len(rows[7]["objects"] or ())
    assert as_text(found)
    write_page(found, tmp_path / "page.html")


@pytest.mark.parametrize("digest", [None, ""])
def test_rows_that_do_not_name_their_image_are_not_one_image(digest: str | None, tmp_path: Path) -> None:
    rows = draw()[7:10]
    for r in rows:
        r["image_sha256"] = digest
    found = gather(ReleaseFolder(tiny_release.write(tmp_path, rows, mini=[])))
    assert (found.composition.images, found.objects[0].images, found.objects[0].objects) == (0, 2, 4)


def broken(folder: Path, change: Any) -> Path:
    """A tiny release with one shard's table changed."""
    shard = tiny_release.write(folder) / tiny_release.BOXES
    pq.write_table(change(pq.read_table(shard)), shard)
    return folder


def replaced(name: str, column: pa.Array) -> Any:
    return lambda table: table.set_column(table.column_names.index(name), name, column)


MENDABLE: dict[str, tuple[Any, str]] = {
    "lacks": (lambda t: t.drop_columns(["pairs", "width"]), "has no column pairs, width, expected a shard"),
    "other type": (replaced("pairs", pa.array([1, 2, 3, 4])), "from row 0 on: "),
    "other struct": (replaced("objects", pa.array([[{"name": "hut"}]] * 4)), "from row 0 on: "),
    "text for numbers": (replaced("width", pa.array(["wide"] * 4)), "from row 0 on: "),
    "odd turns": (
        replaced("conversations", pa.array([[{"from": "human", "value": "Why?"}]] * 4)),
        "row 0 has 1 turns for 1 pairs, expected a question and an answer",
    ),
    "lists of bytes": (replaced("license", pa.array([b"\xff\xfe"] * 4)), "from row 0 on: "),
}


@pytest.mark.parametrize("name", MENDABLE)
def test_a_shard_of_other_columns_is_said_in_a_sentence(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change, sentence = MENDABLE[name]
    assert main(["stats", str(broken(tmp_path, change))]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    (line,) = said.err.splitlines()
    assert tiny_release.BOXES in line
    assert sentence in line


@pytest.mark.parametrize("content", [b"", b"PAR1", b"no parquet at all, but long enough to be one", None, "short"])
def test_a_shard_that_cannot_be_read_is_said_in_a_sentence(content: bytes | str | None, tmp_path: Path) -> None:
    shard = tiny_release.write(tmp_path) / tiny_release.CAPTIONS
    if content is None:
        shard.unlink()
    else:
        shard.write_bytes(content if isinstance(content, bytes) else shard.read_bytes()[:-40])
    with pytest.raises(UsageError, match=r"captioning/alpha/train-.*cannot be read \(.*rs-gpt4v check"):
        gather(ReleaseFolder(tmp_path))


def test_a_page_that_cannot_be_written_is_said(stats: Stats, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is no folder to write a page into"):
        write_page(stats, tmp_path / "none" / "page.html")


numbers = st.lists(st.integers(0, 300), min_size=1)


@given(numbers, numbers)
def test_a_histogram_knows_its_numbers(first: list[int], second: list[int]) -> None:
    both, one, other = Histogram(), Histogram(), Histogram()
    for chunk, part in ((first, one), (second, other)):
        both.add(np.array(chunk))
        part.add(np.array(chunk))
    one.merge(other)
    assert one.summary() == both.summary()
    s, n = both.summary(), np.array(first + second)
    assert s is not None
    assert (s.count, s.min, s.max, s.mean) == (len(n), n.min(), n.max(), round(float(n.mean()), 4))
    expected = np.percentile(n, [5, 25, 50, 75, 95], method="inverted_cdf").tolist()
    assert [s.p5, s.p25, s.median, s.p75, s.p95] == expected


def test_a_histogram_is_bounded() -> None:
    h = Histogram()
    h.add(np.array([3, 10**9]))
    s = h.summary()
    assert s is not None
    assert (s.max, s.p95, len(h.counts)) == (10**9, _counting.HIGHEST, _counting.HIGHEST + 1)
    assert Histogram().summary() is None


@given(st.lists(st.sampled_from("abcdefghijkl")))
def test_frequencies_are_exact_or_say_by_how_much_they_may_be_too_low(texts: list[str]) -> None:
    truth = Counter(texts)
    exact, few = Frequencies(), Frequencies(limit=6)
    for text in texts:
        exact.add(text)
        few.add(text)
    assert (exact.counts, exact.missed, exact.total) == (truth, 0, len(texts))
    assert few.total == len(texts)
    assert len(few.counts) <= 6
    for text, count in truth.items():
        assert count - few.missed <= few.counts.get(text, 0) <= count
    assert (few.missed == 0) or len(truth) > 6


def test_frequent_texts_outlast_many_rare_ones() -> None:
    few = Frequencies(limit=100)
    for n in range(5000):
        few.add(f"rare {n}")
        few.add("often")
    assert few.top(1)[0][0] == "often"
    assert few.top(1)[0][1] >= 5000 - few.missed > 0


@given(st.lists(st.lists(st.integers(0, 40) | st.integers(2**63, 2**64 - 1))), st.integers(0, 5))
def test_distinct_numbers(chunks: list[list[int]], recent: int) -> None:
    before, _counting.RECENT = _counting.RECENT, recent
    try:
        distinct, seen = Distinct(), set[int]()
        for chunk in chunks:
            expected = []
            for n in chunk:
                expected.append(n not in seen)
                seen.add(n)
            assert distinct.add(chunk) == expected
        assert len(distinct) == len(seen)
        assert distinct.array().tolist() == sorted(seen)
    finally:
        _counting.RECENT = before


@given(st.lists(st.tuples(st.text(), st.text()), min_size=1))
def test_words_are_counted_as_the_index_counts_them(pairs: list[tuple[str, str]]) -> None:
    texts = [t.replace("\ud800", "") for pair in pairs for t in pair]
    texts[0] = "<image>\n" + texts[0]
    found = words(pa.array(texts, pa.string()))
    assert (found[0::2] + found[1::2]).tolist() == pair_words([{"value": t} for t in texts])


sides = st.integers(10, 4000)


@given(sides, sides, st.sampled_from((2, 3)), st.data())
def test_boxes_read_back_as_their_text_says(w: int, h: int, decimals: int, data: st.DataObject) -> None:
    x1, y1 = data.draw(st.floats(0, w - 1)), data.draw(st.floats(0, h - 1))
    box: BBox = (x1, y1, data.draw(st.floats(x1 + 0.5, w)), data.draw(st.floats(y1 + 0.5, h)))
    size = np.array([[w, h]], float)
    back = read_back(np.array([box]), size, decimals)[0]
    (said,) = parse_bboxes(bbox_text(box, w, h, decimals=decimals), w, h)
    # where a share lies between two texts, to the last bit, numpy may take the other one
    assert np.abs(np.array(said) - back).max() <= 1.001 * max(w, h) * 10.0**-decimals
    shares = np.array(box) / (w, h, w, h) * 10**decimals
    if np.abs(shares % 1 - 0.5).min() > 1e-9:
        assert said == pytest.approx(back.tolist(), abs=1e-9)
    turned = corners((x1 + box[2]) / 2, (y1 + box[3]) / 2, box[2] - x1, box[3] - y1, data.draw(st.floats(0, 6)))
    back = read_back(np.array([turned]), size, decimals)[0]
    (corners_said,) = parse_obbs(obb_text(turned, w, h, decimals=decimals), w, h)
    shares = np.array(turned).reshape(4, 2) / (w, h) * 10**decimals
    if np.abs(shares % 1 - 0.5).min() > 1e-9:
        assert corners_said == pytest.approx(back.tolist(), abs=1e-9)


quads = st.tuples(*[st.floats(0, 100)] * 2, *[st.floats(2, 60)] * 2, st.floats(0, 6.3))


@given(quads, st.sampled_from((2, 3)), sides)
def test_the_quick_bound_never_exceeds_the_exact_overlap(quad: tuple[float, ...], decimals: int, side: int) -> None:
    obb = np.array([corners(*quad)])
    size = np.array([[side, side]], float)
    back = read_back(obb, size, decimals)
    exact = polygon_ious(obb, back)[0]
    assert least_iou(obb, back)[0] <= exact + 1e-9
    assert (rotated_survival(obb, size, decimals)[0] >= 0.7) == (exact >= 0.7)


@given(st.tuples(*[st.floats(0, 50)] * 2), st.tuples(*[st.floats(1, 40)] * 2), st.tuples(*[st.floats(-9, 9)] * 2))
def test_upright_boxes_overlap_the_same_as_polygons(
    at: tuple[float, float], size: tuple[float, float], moved: tuple[float, float]
) -> None:
    a = np.array([[*at, at[0] + size[0], at[1] + size[1]]])
    b = a + np.tile(moved, 2)
    four = [box[:, [0, 1, 2, 1, 2, 3, 0, 3]] for box in (a, b)]
    assert box_ious(a, b)[0] == pytest.approx(polygon_ious(*four)[0], abs=1e-9)
    width, height = (max(size[i] - abs(moved[i]), 0) for i in (0, 1))
    common = width * height
    assert box_ious(a, b)[0] == pytest.approx(common / (2 * size[0] * size[1] - common), abs=1e-9)


def test_corners_that_cross_once_they_are_rounded_stand_for_their_hull() -> None:
    obb = np.array([[0, 0, 10, 0, 10, 10, 0, 10]], float)
    crossed = np.array([[0, 0, 10, 10, 10, 0, 0, 10]], float)
    flat = np.array([[0, 0, 10, 0, 10, 0, 0, 0]], float)
    assert polygon_ious(obb, crossed)[0] == pytest.approx(1)
    assert polygon_ious(obb, flat)[0] == 0


def test_with_two_decimals_some_of_diors_boxes_do_not_reach_half_an_overlap() -> None:
    """The claim behind three decimals, on those of DIOR's files that are at hand (800 x 800 pixels)."""
    boxes = []
    for file in sorted(shared("realdata", "dior", "Annotations", "Horizontal Bounding Boxes").glob("*.xml")):
        for box in ET.parse(file).getroot().iter("bndbox"):
            boxes.append([float(box.findtext(k) or "nan") for k in ("xmin", "ymin", "xmax", "ymax")])
    real = np.array(boxes)[box_areas(np.array(boxes)) > 0]  # three have none
    size = np.full((len(real), 2), 800.0)
    two, three = (upright_survival(real, size, decimals) for decimals in (2, 3))
    assert len(real) > 700
    assert 0.05 < (two < 0.5).mean() < 0.08
    assert 0.3 < (two < 0.7).mean() < 0.4
    assert (three < 0.7).sum() == 0


@pytest.mark.parametrize(
    ("share", "said"),
    [(0, "0%"), (1, "100%"), (0.5, "50%"), (0.004, "0.4%"), (0.996, "99.6%"), (1e-7, "<0.01%"), (1 - 1e-7, ">99.99%")],
)
def test_what_is_neither_none_nor_all_is_not_called_so(share: float, said: str) -> None:
    assert percent(share) == said
