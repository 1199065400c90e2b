"""The page of rows."""

import base64
import re
from pathlib import Path
from typing import Any

import pytest

import tiny_release
from pages import Page
from rs_gpt4v_conversion.errors import UsageError
from rs_gpt4v_conversion.look import COLOURS, FIRST, pick, write_page
from rs_gpt4v_conversion.release import ReleaseFolder
from tiny_release import Row, draw, picture, row, thing


def page_of(tmp_path: Path, rows: list[Row], ids: list[str] | None = None) -> tuple[str, Page]:
    folder = tiny_release.write(tmp_path / "rs-gpt4v", rows, mini=[])
    write_page(ReleaseFolder(folder), ids or [r["id"] for r in rows], tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    return text, Page(text)


def test_every_row_is_shown_in_the_order_asked_for(tmp_path: Path) -> None:
    ids = [r["id"] for r in draw()][::-1]
    text, page = page_of(tmp_path, draw(), [*ids, ids[0]])
    assert re.findall(r"<code>([^<]+/[^<]+)</code>", text) == ids
    assert [a["id"] for a in page.all("article")] == [f"row-{n}" for n in range(len(ids))]
    assert [a["href"] for a in page.all("a")] != []
    assert {a["href"] for a in page.all("a")} == {f"#row-{n}" for n in range(len(ids))}


def test_nothing_outside_the_page_is_needed(tmp_path: Path) -> None:
    text, page = page_of(tmp_path, draw())
    for _, attrs in page.elements:
        for name in ("src", "href", "srcset", "xlink:href", "data", "action"):
            assert re.match(r"data:image/|#row-", attrs.get(name) or "#row-"), attrs
    assert not re.search(r"https?://|url\(|@import", text)
    assert "default-src 'none'" in text


def test_pictures_are_the_releases_own_bytes(tmp_path: Path) -> None:
    rows = [r for r in draw() if r["id"] in ("alpha/train/vqa/1", "beta/train/grounding/31")]
    _, page = page_of(tmp_path, rows)
    for img, drawn, kind in zip(page.all("img"), rows, ("jpeg", "png"), strict=True):
        head, data = str(img["src"]).split(",")
        assert head == f"data:image/{kind};base64"
        assert base64.b64decode(data) == drawn["image"]["bytes"]
        assert (img["width"], img["height"], img["class"]) == ("48", "40", "sharp")


def test_boxes_are_drawn_in_pixels_of_the_image_and_tied_to_answers(tmp_path: Path) -> None:
    rows = [r for r in draw() if r["id"] == "beta/train/grounding/31"]
    rows[0]["objects"][1]["obb"] = []
    rows[0]["objects"][1]["ignore"] = True
    text, page = page_of(tmp_path, rows)
    assert page.all("svg") == [{"viewbox": "0 0 48 40"}]
    assert [p["points"] for p in page.all("polygon")] == ["3.00,4.00 13.00,4.00 13.00,12.00 3.00,12.00"]
    assert [(c["cx"], c["cy"]) for c in page.all("circle")] == [("3.00", "4.00")], "the first corner"
    boxes = [(r["x"], r["y"], r["width"], r["height"], r["class"]) for r in page.all("rect")]
    assert boxes == [("3.00", "4.00", "10.00", "8.00", "bbox thin"), ("20.00", "20.00", "6.00", "5.00", "bbox")]
    objects = [(g["data-object"], g["class"]) for g in page.all("g")]
    assert objects == [("0", "object"), ("1", "object ignored")]
    assert [li["data-objects"] for li in page.all("li") if "data-objects" in li] == ["0"]
    assert re.findall(r'<li style="--c:(#\w+)">(\w+) <b>1</b>', text) == [(COLOURS[0], "hut"), (COLOURS[1], "tree")]


def test_large_objects_lie_under_small_ones(tmp_path: Path) -> None:
    rows = draw()[7:8]
    rows[0]["objects"] = [thing("tree", 5, 5, 2, 2), thing("field", 0, 0, 40, 30), thing("hut", 3, 3, 9, 9)]
    _, page = page_of(tmp_path, rows)
    assert [g["data-object"] for g in page.all("g")] == ["1", "2", "0"]


def test_a_category_has_one_colour_on_the_whole_page(tmp_path: Path) -> None:
    rows = draw()[7:9]
    rows[0]["objects"] = [thing(f"kind {n}", 1, 1, 3, 3) for n in range(40)]
    rows[1]["objects"] = [thing(f"kind {n}", 1, 1, 3, 3) for n in (39, 7, 12)]
    rows[0]["pairs"][0]["objects"] = rows[1]["pairs"][0]["objects"] = [0]
    text, _ = page_of(tmp_path, rows)
    colours: dict[str, set[str]] = {}
    for colour, category in re.findall(r'<li style="--c:([^"]+)">(kind \d+)', text):
        colours.setdefault(category, set()).add(colour)
    assert len(colours) == 40
    assert all(len(found) == 1 for found in colours.values())
    assert len(set.union(*colours.values())) == 40


def test_pairs_are_shown_with_all_that_is_known_of_them(tmp_path: Path) -> None:
    rows = draw()[3:4]
    rows[0]["pairs"][1]["dialogue"] = 0
    text, page = page_of(tmp_path, rows)
    shown, rest = text.split("<details>")
    assert shown.count('class="q"') == FIRST
    assert rest.count('class="q"') == 15 - FIRST
    assert f"{15 - FIRST} more pairs" in rest
    facts = (
        '<p class="facts"><b>count</b><span>dialogue 2</span><span>tiny/1</span>'
        "<span>annotation</span><span>unreviewed</span>"
    )
    assert facts in shown
    assert "How many huts are there in part 0?" in shown
    assert "&lt;image&gt;" not in text
    pairs = [li for li in page.all("li") if "data-objects" in li]
    assert [n for n, li in enumerate(pairs) if li.get("class") == "follows"] == [1]


def test_a_few_pairs_are_not_folded(tmp_path: Path) -> None:
    assert "<details" not in page_of(tmp_path, draw()[:1])[0]


def test_provenance_is_in_small_print(tmp_path: Path) -> None:
    rows = draw()[:2]
    rows[0].update(
        parent="P0001", window=[0, 824, 1024, 1024], crs="EPSG:32631", bounds=[1.0, 2.0, 3.0, 4.5],
        rendering="reduced by Lanczos to 48x40",
    )  # fmt: skip
    rows[1].update(gsd=None, source_sha256="ab" * 32)
    text, _ = page_of(tmp_path, rows)
    first, second = text.split("<article")[1:]
    for said in (
        "48 × 40 pixels, 0.5 m a pixel, optical", "alpha/1.jpg", "made for the tests", "EPSG:32631",
        "P0001, window 0 824 1024 1024", "reduced by Lanczos to 48x40",
        "[1.0, 2.0, 3.0, 4.5]", f"<code>{rows[0]['image_sha256'][:12]}…</code>",
        "the source's own bytes",
    ):  # fmt: skip
        assert said in first, said
    assert "48 × 40 pixels, optical" in second
    assert "cut from" not in second
    assert "rendered" not in second
    assert "<code>abababababab…</code> source file" in second


def test_an_image_that_the_release_does_not_carry_is_said_and_its_boxes_are_drawn(tmp_path: Path) -> None:
    text, page = page_of(tmp_path, draw()[-1:])
    assert "The release does not carry this image." in text
    assert page.all("img") == []
    assert len(page.all("polygon")) == 2


NASTY = "<script>alert(1)</script>\"'&{{ rows }}"


def test_text_is_escaped(tmp_path: Path) -> None:
    record = row("vqa", "alpha", "train", 1, picture(1), [("count", f"How?\n{NASTY}", NASTY)])
    record.update(id=f"alpha/train/vqa/{NASTY}", objects=[thing(NASTY, 1, 1, 9, 9)], modality=NASTY)
    for column in ("image_path", "source_id", "license", "parent", "crs", "image_sha256", "source_sha256"):
        record[column] = NASTY + column
    for key in ("category", "template", "generator", "review"):
        record["pairs"][0][key] = NASTY
    text, page = page_of(tmp_path, [record])
    assert "<script>alert" not in text
    assert len(page.all("script")) == 1
    assert len(page.all("article")) == 1
    assert "How?<br>&lt;script&gt;alert(1)" in text


ODD_BOXES: tuple[Any, ...] = (
    ([], []), (None, None), ([1.0], [1.0]), ([1.0, None, 3.0, 4.0], [None] * 8), ([9.0, 9.0, 1.0, 1.0], [2.0] * 7),
)  # fmt: skip


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("conversations", []), ("conversations", None), ("conversations", [None]),
        ("conversations", [{"from": "human", "value": None}]), ("pairs", []), ("pairs", None), ("pairs", [None]),
        ("objects", None), ("objects", [None]), ("width", None), ("width", 0), ("image", {"bytes": None, "path": None}),
        ("image_sha256", None), ("task", None), ("source", None), ("modality", None), ("window", None),
        ("bounds", None), ("license", None), ("image_path", None), ("source_id", None), ("gsd", float("nan")),
        *(("objects", [{"category": None, "bbox": box, "obb": obb}]) for box, obb in ODD_BOXES),
    ],
)  # fmt: skip
def test_a_row_that_breaks_the_contract_is_shown_as_far_as_it_goes(column: str, value: Any, tmp_path: Path) -> None:
    rows = draw()
    folder = tiny_release.write(tmp_path / "rs-gpt4v", rows, mini=[])
    rows[7][column] = value
    tiny_release.write_shard(folder / tiny_release.BOXES, rows[7:])
    write_page(ReleaseFolder(folder), [rows[7]["id"], rows[8]["id"]], tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    assert len(Page(text).all("article")) == 2


def test_unknown_ids_are_named_with_near_ones(tmp_path: Path) -> None:
    folder = ReleaseFolder(tiny_release.write(tmp_path / "rs-gpt4v"))
    page = tmp_path / "page.html"
    with pytest.raises(UsageError) as caught:
        write_page(folder, ["alpha/train/vqa/1", "beta/train/groundin/31", "gamma/x/vqa/22", "?"], page)
    assert str(caught.value).endswith(
        "no row has the id beta/train/groundin/31 (did you mean beta/train/grounding/31?), "
        "gamma/x/vqa/22 (did you mean alpha/test/vqa/22?), ?"
    )
    with pytest.raises(UsageError, match=r"\? and 2 more$"):
        write_page(folder, ["?", "?", "?", "?", "?"], page)
    assert not page.exists()


def test_a_page_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    folder = ReleaseFolder(tiny_release.write(tmp_path / "rs-gpt4v"))
    with pytest.raises(UsageError, match="is no folder to write a page into"):
        write_page(folder, ["alpha/train/vqa/1"], tmp_path / "none" / "page.html")
    with pytest.raises(UsageError, match="is a folder, expected the name of the page's file"):
        write_page(folder, ["alpha/train/vqa/1"], tmp_path)


def test_the_same_rows_give_the_same_page(tmp_path: Path) -> None:
    folder = ReleaseFolder(tiny_release.write(tmp_path / "rs-gpt4v"))
    for name in ("a.html", "b.html"):
        write_page(folder, pick(folder, 12), tmp_path / name)
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_the_choice_shows_every_part_and_is_stable(tmp_path: Path) -> None:
    folder = ReleaseFolder(tiny_release.write(tmp_path / "rs-gpt4v"))
    four = pick(folder, 4)
    assert four == pick(folder, 4) == sorted(four)
    assert {i.rsplit("/", 1)[0] for i in four} == {
        "alpha/train/captioning", "alpha/train/vqa", "alpha/test/vqa", "beta/train/grounding",
    }  # fmt: skip
    assert {i.split("/")[2] for i in pick(folder, 3)} == {"captioning", "vqa", "grounding"}
    assert sorted(pick(folder, 1000)) == sorted(r["id"] for r in draw())
    assert pick(folder, 0) == []


def test_the_choice_does_not_depend_on_the_order_of_the_rows(tmp_path: Path) -> None:
    straight = ReleaseFolder(tiny_release.write(tmp_path / "a"))
    turned = ReleaseFolder(tiny_release.write(tmp_path / "b", draw()[::-1], mini=[]))
    assert pick(straight, 4) == pick(turned, 4)


@pytest.mark.parametrize("number", [31, 32, 34])
def test_the_choice_prefers_rows_with_objects_where_boxes_are_asked_for(number: int, tmp_path: Path) -> None:
    rows = draw()
    for r in rows[7:]:
        if r["id"] != f"beta/train/grounding/{number}":
            r["objects"], r["pairs"][0]["objects"] = [], []
    folder = ReleaseFolder(tiny_release.write(tmp_path / "rs-gpt4v", rows))
    assert f"beta/train/grounding/{number}" in pick(folder, 4)
