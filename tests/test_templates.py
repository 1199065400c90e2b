"""Wording and the text of boxes."""

import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rs_gpt4v_conversion.records import Object
from rs_gpt4v_conversion.templates import CAPTION, GROUNDING, TEMPLATES, VQA, choose
from rs_gpt4v_conversion.templates.boxes import (
    bbox_text,
    box_text,
    has_area,
    obb_text,
    parse_bboxes,
    parse_obbs,
    reading_order,
)

GOLDEN = json.loads((Path(__file__).parent / "golden" / "templates.json").read_text())


def test_wording_never_changes_under_an_id() -> None:
    assert {t.id: t.text for t in TEMPLATES.values()} == GOLDEN
    assert [t.origin for t in (*CAPTION, *VQA)] == ["paper", "paper"]
    assert {t.origin for t in GROUNDING} == {"ours"}


def test_braces_in_a_question_stay() -> None:
    assert VQA[0].ask(question="{x} or {0}?").startswith("{x} or {0}?\n")


def test_the_choice_depends_on_the_record_alone_and_uses_every_wording() -> None:
    ids = [f"s/train/grounding/{i}" for i in range(300)]
    chosen = [choose(GROUNDING, i, "grounding").id for i in ids]
    assert chosen == [choose(GROUNDING, i, "grounding").id for i in ids]
    assert min(chosen.count(t.id) for t in GROUNDING) > 60
    first = int.from_bytes(hashlib.sha256(b"grounding\0" + ids[0].encode()).digest()[:8], "big")
    assert chosen[0] == GROUNDING[first % 3].id


sizes = st.integers(1, 20_000)


@given(sizes, sizes, st.data())
def test_the_text_of_a_box_gives_it_back_to_half_a_unit_of_the_last_digit(w: int, h: int, data: st.DataObject) -> None:
    x1 = data.draw(st.floats(0, w, exclude_max=True))
    x2 = data.draw(st.floats(x1, w, exclude_min=True))
    y1 = data.draw(st.floats(0, h, exclude_max=True))
    y2 = data.draw(st.floats(y1, h, exclude_min=True))
    box = (x1, y1, x2, y2)
    (back,) = parse_bboxes(f"It is at {bbox_text(box, w, h)}.", w, h)
    for value, again, side in zip(box, back, (w, h, w, h), strict=True):
        assert abs(value - again) <= side * 0.0005000001


def test_boxes_in_a_text_come_in_its_order_and_other_brackets_are_passed_over() -> None:
    text = "[0.1, 0.2, 0.3, 0.4], [a, b, c, d] and [1, 2] then [0.500,0.5,1,1]"
    assert parse_bboxes(text, 10, 10) == [(1.0, 2.0, 3.0, 4.0), (5.0, 5.0, 10.0, 10.0)]


@pytest.mark.parametrize("box", [(0, 0, 0, 5), (-1, 0, 5, 5), (0, 0, 11, 5), (5, 5, 4, 6)])
def test_a_box_that_is_none_is_refused(box: tuple[float, float, float, float]) -> None:
    with pytest.raises(ValueError, match="does not lie in an image of 10x10"):
        bbox_text(box, 10, 10)


def test_reading_order_is_down_then_right() -> None:
    boxes = [(5, 5, 6, 6), (0, 5, 1, 6), (9, 0, 10, 1)]
    objects = [Object(category="car", bbox=b) for b in boxes] + [Object(category="car", bbox=None)]
    assert reading_order(enumerate(objects)) == [2, 1, 0]


@given(sizes, sizes, st.lists(st.floats(-0.5, 1.5), min_size=8, max_size=8))
def test_the_text_of_a_rotated_box_gives_it_back_wherever_its_corners_are(w: int, h: int, shares: list[float]) -> None:
    obb = tuple(s * (h if i % 2 else w) for i, s in enumerate(shares))
    (back,) = parse_obbs(f"At {obb_text(obb, w, h)}, [0.1, 0.2, 0.3, 0.4]", w, h)
    for i, (value, again) in enumerate(zip(obb, back, strict=True)):
        assert abs(value - again) <= (h if i % 2 else w) * 0.0005000001
    assert "-0.000" not in obb_text(obb, w, h)
    assert parse_bboxes(obb_text(obb, w, h), w, h) == []


def test_an_object_without_a_box_of_the_form_asked_for_is_an_error() -> None:
    with pytest.raises(ValueError, match="a car without a box of the form obb"):
        box_text(Object(category="car", bbox=(1, 1, 2, 2)), "obb", 10, 10)


@given(sizes, sizes, st.data())
def test_the_text_of_a_box_has_an_area_where_the_box_that_it_gives_back_has_one(
    w: int, h: int, data: st.DataObject
) -> None:
    x1 = data.draw(st.floats(0, w, exclude_max=True))
    y1 = data.draw(st.floats(0, h, exclude_max=True))
    box = (x1, y1, data.draw(st.floats(x1, w, exclude_min=True)), data.draw(st.floats(y1, h, exclude_min=True)))
    text = bbox_text(box, w, h)
    (back,) = parse_bboxes(text, w, h)
    assert has_area(text) == (back[0] < back[2] and back[1] < back[3])
    if box[2] - x1 > w * 0.0010001 and box[3] - y1 > h * 0.0010001:
        assert has_area(text)


@pytest.mark.parametrize(
    ("text", "area"),
    [("no box", True), ("[0.100, 0.100, 0.101, 0.101]", True), ("[0.1, 0.1, 0.1, 0.2]", False),
     ("[0.1, 0.1, 0.2, 0.2], [0.5, 0.5, 0.5, 0.6]", False), ("[0.1, 0.1, 0.2, 0.1, 0.2, 0.2, 0.1, 0.2]", True),
     ("[0.1, 0.1, 0.2, 0.2, 0.3, 0.3, 0.2, 0.2]", False), ("[0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]", False)],
)  # fmt: skip
def test_a_text_without_area_is_known(text: str, area: bool) -> None:
    assert has_area(text) == area
