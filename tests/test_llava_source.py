"""The source `llava`: dialogues stay whole, boxes become objects, what cannot be used is rejected with a reason."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import rs_gpt4v
from rs_gpt4v_conversion.adapt import Adapted, adapt
from rs_gpt4v_conversion.config import load_config
from rs_gpt4v_conversion.errors import SourceError, UsageError
from rs_gpt4v_conversion.export._records import row_facts, test_lines, train_records
from rs_gpt4v_conversion.gates.boxes import box_flaw
from rs_gpt4v_conversion.geometry import in_turn, overlap
from rs_gpt4v_conversion.reading import Tally, read_source
from rs_gpt4v_conversion.records import DEPENDENT, Annotation, Caption, Fact, Flaw, ImageRef, Note, Referring, Turn
from rs_gpt4v_conversion.sample import SOURCES
from rs_gpt4v_conversion.sidecar import lines_file, rows_file
from rs_gpt4v_conversion.sources import Folder, known_sources
from rs_gpt4v_conversion.sources._grid import BoxFlaw, convert
from rs_gpt4v_conversion.sources._llava import CATEGORIES, category_of, plain, task_tag
from shared import shared

test_lines.__test__ = False  # type: ignore[attr-defined]  # lines of test files, no test
SOURCE = known_sources()["llava"]
Item = Annotation | Flaw | Note
SIZE = (200, 100)


def human(text: str) -> dict[str, str]:
    return {"from": "human", "value": text}


def gpt(text: str) -> dict[str, str]:
    return {"from": "gpt", "value": text}


def record(*texts: str, image: Any = "a.png", **more: Any) -> dict[str, Any]:
    return {"id": "v1", "image": image, "conversations": [(human, gpt)[i % 2](t) for i, t in enumerate(texts)], **more}


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., list[Item]]:
    """Read records under some options; the image a.png is there."""

    def run(records: list[Any], *, as_lines: bool = False, **options: str) -> list[Item]:
        Image.new("RGB", SIZE).save(tmp_path / "a.png")
        path = tmp_path / ("train.jsonl" if as_lines else "train.json")
        path.write_text("\n".join(map(json.dumps, records)) if as_lines else json.dumps(records))
        return list(SOURCE.read(Folder(tmp_path), {"annotations": str(path), "task": "conversation", **options}))

    return run


def turns(items: list[Item]) -> list[Turn]:
    return [f for i in items if isinstance(i, Annotation) for f in i.facts if isinstance(f, Turn)]


def reasons(items: list[Item]) -> list[str]:
    return [item.reason for item in items if isinstance(item, Flaw)]


def notes(items: list[Item]) -> dict[str, int]:
    return {item.reason: item.count for item in items if isinstance(item, Note)}


def adapted(facts: tuple[Fact, ...], task: str = "conversation") -> Adapted:
    image = ImageRef(image_id="i", source_id="i.png", path=Path("i.png"), image_path="i.png")
    return adapt(Annotation(task=task, split="train", image=image, facts=facts), SOURCE, "llava")


def turn(dialogue: int, question: str, answer: str = "Yes.") -> Turn:
    return Turn(question=question, answer=answer, category="conv", dialogue=dialogue, template="t/1", generator="m")


# dialogues


def test_turns_of_one_number_are_one_dialogue_and_keep_what_they_came_with() -> None:
    made = adapted((turn(7, "A?"), turn(7, "B?"), turn(3, "C?")))
    assert made.draft is not None
    assert [(p.question, p.dialogue, p.template, p.generator) for p in made.draft.pairs] == [
        ("A?", 0, "t/1", "m"), ("B?", 0, "t/1", "m"), ("C?", 1, "t/1", "m"),
    ]  # fmt: skip


def test_only_whole_dialogues_are_merged() -> None:
    made = adapted((turn(0, "A?"), turn(0, "A?"), turn(1, "A?"), turn(2, "A?"), turn(2, "A?"), turn(3, "B?")))
    assert made.draft is not None
    assert [(p.question, p.dialogue) for p in made.draft.pairs] == [("A?", 0), ("A?", 0), ("A?", 1), ("B?", 2)]
    assert (made.read, made.merged, made.questions) == (4, 2, 2)


def test_what_follows_a_rejected_turn_is_rejected_and_other_dialogues_are_not() -> None:
    made = adapted((turn(0, "A?"), turn(0, "B?", " "), turn(0, "C?"), turn(1, "D?", "\0"), turn(2, "E?")))
    assert made.draft is not None
    assert [(p.question, p.dialogue) for p in made.draft.pairs] == [("A?", 0), ("E?", 1)]
    assert [(r.id.split("#")[1], r.reason) for r in made.rejects] == [
        ("1", "blank answer"), ("2", DEPENDENT), ("3", "text holds a zero byte"),
    ]  # fmt: skip
    assert made.read == 5


def test_facts_without_a_dialogue_are_merged_as_before() -> None:
    made = adapted((Caption(text="A hut."), Caption(text="Two."), Caption(text="A hut.")), "captioning")
    assert made.draft is not None
    assert [(p.answer, p.dialogue, p.generator) for p in made.draft.pairs] == [
        ("A hut.", 0, "annotation"), ("Two.", 1, "annotation"),
    ]  # fmt: skip
    assert made.merged == 1


@given(st.lists(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(["x", "y", " "])), min_size=1, max_size=3)))
def test_no_pair_is_lost_and_dialogues_count_from_zero(talks: list[list[tuple[str, str]]]) -> None:
    facts = tuple(turn(n, q, a) for n, talk in enumerate(talks) for q, a in talk)
    made = adapted(facts)
    pairs = made.draft.pairs if made.draft else ()
    assert len(facts) == made.read + made.merged
    assert made.read == len(pairs) + len(made.rejects)
    numbers = [p.dialogue for p in pairs]
    assert sorted(set(numbers)) == list(range(len(set(numbers))))
    assert numbers == sorted(numbers)
    sound = {tuple(talk) for talk in talks if all(a != " " for _, a in talk)}
    kept = [tuple((p.question, p.answer) for p in pairs if p.dialogue == n) for n in set(numbers)]
    assert sound <= set(kept)


# LLaVA's own form


def test_records_of_an_image_become_one_row_of_dialogues(read: Callable[..., list[Item]]) -> None:
    items = read(
        [record("<image>\nA?", "1", "B?", "2"), record("<image>\nC?", "3"), record("C?\n<image>", "4", image="x/b.jpg")]
    )
    one, other = (i for i in items if isinstance(i, Annotation))
    assert [(t.question, t.answer, t.dialogue) for t in one.facts if isinstance(t, Turn)] == [
        ("A?", "1", 0), ("B?", "2", 0), ("C?", "3", 1),
    ]  # fmt: skip
    assert (one.image.image_id, one.image.image_path) == ("a", "a.png")
    assert (other.image.image_id, other.image.source_id, other.image.image_path) == ("x/b", "b.jpg", "x/b.jpg")
    assert {(t.category, t.template, t.generator) for t in turns(items)} == {("conv", "imported/1", "unknown")}
    assert notes(items) == {"image tag within the first question, put at its head": 1}


def test_images_that_differ_in_their_suffix_have_different_ids(read: Callable[..., list[Item]]) -> None:
    items = read([record("<image>\nA?", "1", image=f"a.{suffix}") for suffix in ("png", "jpg")])
    assert [i.image.image_id for i in items if isinstance(i, Annotation)] == ["a.png", "a.jpg"]


BAD = {
    "conversation that begins with the answer": ({"conversations": [gpt("1"), human("<image>\nA?")]}, 1),
    "turns are not human and gpt in turn": (
        {"conversations": [human("<image>\nA?"), human("B?"), gpt("1"), gpt("2")]}, 2,
    ),
    "several image tags": (record("<image>\n<image>\nA?", "1", "B?", "2"), 2),
    "image tag after the first question": (record("A?", "1", "<image> B?", "2"), 2),
    "turn is no text": ({"conversations": [human("<image>\nA?"), {"from": "gpt", "value": 3}]}, 1),
    "record without a conversation": ({"conversations": []}, 1),
    "record with several images": (record("<image>\nA?", "1", image=["a.png", "b.png"]), 1),
    "image without a name": (record("A?", "1", "B?", "2", image=None), 2),
    "image path leaves its folder": (record("<image>\nA?", "1", image="../a.png"), 1),
    "question without answer": (record("<image>\nA?"), 1),
    "record of another form": ({"image": "a.png", "text": "A?", "answer": "1"}, 1),
}  # fmt: skip


@pytest.mark.parametrize("reason", BAD)
def test_records_that_are_none_are_rejected_pair_by_pair(reason: str, read: Callable[..., list[Item]]) -> None:
    bad, count = BAD[reason]
    items = read([record("<image>\nGood?", "Yes."), {"image": "a.png", **bad}])
    assert reasons(items) == [reason] * count
    assert [t.question for t in turns(items)] == ["Good?"]
    assert len({f.record for f in items if isinstance(f, Flaw)}) == count


def test_paths_that_are_absolute_or_odd_are_rejected(read: Callable[..., list[Item]]) -> None:
    for path in ("/etc/a.png", "a\\b.png", "a//b.png", "./a.png", "a\0.png", " "):
        items = read([record("<image>\nA?", "1"), record("<image>\nA?", "1", image=path)])
        assert len(reasons(items)) == 1, path
    items = read([record("<image>\nA?", "1"), record("<image>\nA?", "1", image="\ud800.png")])
    assert reasons(items) == ["image name is not Unicode"]


def test_a_question_without_an_answer_is_rejected_alone(read: Callable[..., list[Item]]) -> None:
    items = read([record("<image>\nA?", "1", "B?")])
    assert [t.question for t in turns(items)] == ["A?"]
    assert [(f.record, f.reason) for f in items if isinstance(f, Flaw)] == [("record 1.1", "question without answer")]


def test_the_sample_has_each_flaw_and_is_built(sample: Path) -> None:
    root = sample / SOURCES["llava"][0]
    items = list(SOURCE.read(Folder(root), {}))
    assert sorted(reasons(items)) == [
        "conversation that begins with the answer", "question without answer", "several image tags",
    ]  # fmt: skip
    assert set(notes(items)) == {
        "`task` is not stated: taken as conversation",
        "conversation without an image tag, taken to be about its image",
        "image tag within the first question, put at its head",
    }
    rejects = [r.reason for i in items if isinstance(i, Annotation) for r in adapt(i, SOURCE, "llava").rejects]
    assert rejects == ["blank answer"]


@pytest.mark.parametrize("content", ["[3]", '[{"a": 1}]', "3", "null", '{"a": 1}\n{"a"', "{\n}", "", "[" * 99999])
def test_files_that_are_none_are_refused_by_name(content: str, tmp_path: Path) -> None:
    (tmp_path / "train.json").write_text(content)
    with pytest.raises(SourceError, match=r"train\.json.*found .*, expected"):
        list(SOURCE.read(Folder(tmp_path), {}))


def test_json_lines_may_be_called_json_and_hold_any_line_end(tmp_path: Path) -> None:
    text = json.dumps(record("<image>\nA?", "1\u2028\x85"), ensure_ascii=False)
    (tmp_path / "train.json").write_bytes(f"\ufeff{text}\r\n\r\n{text}\n".encode())
    assert [t.answer for t in turns(list(SOURCE.read(Folder(tmp_path), {})))] == ["1"] * 2
    (tmp_path / "train.json").write_text(f"{text}\n{text[:-9]}")
    with pytest.raises(SourceError, match=r"line 2 column .* ends too early"):
        list(SOURCE.read(Folder(tmp_path), {}))


# questions in lines


def test_lines_become_dialogues_of_their_own(read: Callable[..., list[Item]]) -> None:
    line = {"question_id": 0, "image": "a.png", "text": "A?\nIn one word.", "answer": "1", "category": "count"}
    items = read(
        [line, {**line, "category": "no such"}, {**line, "answer": 3}, {**line, "answer": 0.5}],
        as_lines=True,
        task="vqa",
        split="test",
    )
    assert [(t.question, t.category, t.dialogue) for t in turns(items)] == [
        ("A?\nIn one word.", "count", 0), ("A?\nIn one word.", "other", 1), ("A?\nIn one word.", "count", 2),
    ]  # fmt: skip
    assert reasons(items) == ["answer is no text"]
    captions = read([{**line, "answer": ["a .", "b ."], "category": "caption"}], task="captioning")
    assert [(t.answer, t.category, t.dialogue) for t in turns(captions)] == [
        ("a .", "caption", 0),
        ("b .", "caption", 1),
    ]
    assert notes(items)["answer that is a number, taken as text"] == 1


def test_a_test_file_is_not_taken_for_train_in_silence(read: Callable[..., list[Item]]) -> None:
    line = {"question_id": 0, "image": "a.png", "text": "A?", "answer": "b", "category": "count"}
    said = "`split` is not stated, of a file in the form of a test: taken as train"
    assert said in notes(read([line], as_lines=True, task="vqa"))
    assert said not in notes(read([line], as_lines=True, task="vqa", split="test"))
    assert said not in notes(read([record("A?", "b")], task="vqa"))


@pytest.mark.parametrize(
    ("text", "rotated", "notes"),
    [
        ("{<90><40><110.5><60>|<20>}", True, []),  # half a pixel beside the image
        ("{<96><40><120><60>|<20>}", False, ["rotated box whose centre is outside its image: only its upright part"]),
    ],
)
def test_a_rotated_box_keeps_its_corners_by_the_rule_of_all_sources(text: str, rotated: bool, notes: list[str]) -> None:
    found = convert(text, SIZE, "obb")
    assert [n.reason for n in found.notes] == notes
    assert [item.obb is not None for item in found.objects] == [rotated]
    assert found.objects[0].bbox is not None


def test_the_contracts_categories_are_these() -> None:
    assert CATEGORIES == rs_gpt4v.CATEGORIES
    assert category_of("conv_complex", "conversation") == "conv"
    assert category_of("complex", "conversation") == "complex"
    assert category_of("object quantity", "vqa") == "count"
    assert category_of("", "grounding") == "grounding"


# boxes in text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("at {<10><20><30><40>}.", "at [0.100, 0.200, 0.300, 0.400]."),
        ("{<10><20><30><40>|<0>}", "[0.100, 0.200, 0.300, 0.400]"),
        ("{<10><20><30><40>}{<50><60><70><80>}", "[0.100, 0.200, 0.300, 0.400], [0.500, 0.600, 0.700, 0.800]"),
        ("{<10><20><30><40>}<delim>{<1><2><3><4>}", "[0.100, 0.200, 0.300, 0.400], [0.010, 0.020, 0.030, 0.040]"),
        ("<box>[[10, 20, 30, 40]]</box>", "[0.100, 0.200, 0.300, 0.400]"),
        ("<box>[[1, 2, 3, 4], [5, 6, 7, 8]]</box>", "[0.010, 0.020, 0.030, 0.040], [0.050, 0.060, 0.070, 0.080]"),
        ("<rbox>{<20><30><20><20>|<0>}</rbox>", "[0.100, 0.200, 0.300, 0.400]"),
        ("<rbox>({<20><30><20><20>|<0>})</rbox>", "[0.100, 0.200, 0.300, 0.400]"),
        (
            "<rbox>({<20><30><20><20>|<0>}, {<50><50><20><40>|<0>})</rbox>",
            "[0.100, 0.200, 0.300, 0.400], [0.400, 0.300, 0.600, 0.700]",
        ),
        ("{<10.5><20><30><40>}", "[0.105, 0.200, 0.300, 0.400]"),
        ("[0.1, 0.2, 0.3, 0.4] and {x} and <b>", "[0.1, 0.2, 0.3, 0.4] and {x} and <b>"),
        ("{<90><20><131><40>}", "[0.900, 0.200, 1.000, 0.400]"),
        ("{<-31><20><30><40>}", "[0.000, 0.200, 0.300, 0.400]"),
    ],
)
def test_boxes_on_the_grid_are_written_in_the_form_of_a_release(text: str, said: str) -> None:
    found = convert(text, SIZE, "hbb")
    assert found.text == said
    assert len(found.objects) == said.count("[0.") - text.count("[0.")
    cut = [n.reason for n in found.notes]
    assert cut == (["box that leaves its image, cut off at the edge"] if "-31" in text or "131" in text else [])


BAD_BOXES = {
    "{<10><20><30>}": "lacks a number",
    "{<10><20><30>|<90>}": "lacks a number",
    "{<1><2><3><4><5>}": "lacks a number",
    "{<1><2><3><4>|<5><6>}": "lacks a number",
    "{<981><20><30><40>}": "far off the grid",
    "{<10><20><30><-60>}": "far off the grid",
    "{<10><20><10><40>}": "without area",
    "{<10><20><30><20>|<45>}": "without area",
    "{<101><20><110><40>}": "without area",
    "{<1><2>x<3><4>}": "not of numbers",
    "{<" + "1" * 9999 + "x>}": "not of numbers",
    "<box>[[]]</box>": "not of numbers",
    f"{{<{'9' * 400}><1><2><3>}}": "far off",
    f"{{<1><2><30><40>|<{'9' * 400}>}}": "far off",
}


@pytest.mark.parametrize("text", BAD_BOXES, ids=lambda t: t[:24])
def test_boxes_that_cannot_be_used(text: str, read: Callable[..., list[Item]]) -> None:
    with pytest.raises(BoxFlaw, match=BAD_BOXES[text]):
        convert(text, SIZE, "hbb")
    items = read([record("<image>\nWhere?", "{<1><2><3><4>}", "And?", text, "And?", "Gone.")], task="grounding")
    assert [t.answer for t in turns(items)] == ["[0.010, 0.020, 0.030, 0.040]"]
    assert reasons(items)[1:] == ["follows a rejected turn"]
    assert BAD_BOXES[text] in reasons(items)[0]


def test_four_numbers_are_no_box_where_others_have_an_angle(read: Callable[..., list[Item]]) -> None:
    def line(box: str) -> dict[str, str]:
        return {
            "image": "a.png",
            "question": f" [identify] [x_0.5] <image> \\n what is <box>[[{box}]]</box>",
            "annotation": "a ship",
        }

    items = read([line("10, 20, 30, 40, 90"), line("10, 20, 30, 90")], task="region_captioning")
    assert reasons(items) == ["box that lacks a number, or has one too many"]
    assert len(turns(read([line("10, 20, 30, 90")], task="region_captioning"))) == 1


@settings(max_examples=60)
@given(
    st.floats(20, 80), st.floats(20, 80), st.floats(2, 18), st.floats(2, 18), st.integers(-180, 180),
    st.sampled_from(["corner", "centre", "list"]),
)  # fmt: skip
def test_a_turned_box_is_where_its_text_says(x: float, y: float, w: float, h: float, turned: int, form: str) -> None:
    cx, cy, w, h = (round(v, 2) for v in (x, y, w, h))
    x1, y1, x2, y2 = cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2
    text = {
        "corner": f"{{<{x1:.6f}><{y1:.6f}><{x2:.6f}><{y2:.6f}>|<{turned}>}}",
        "list": f"<box>[[{x1:.6f}, {y1:.6f}, {x2:.6f}, {y2:.6f}, {turned}]]</box>",
        "centre": f"<rbox>{{<{cx}><{cy}><{w}><{h}>|<{turned}>}}</rbox>",
    }[form]
    (item,) = convert(text, (1000, 1000), "hbb").objects
    assert item.obb is not None
    assert item.bbox is not None
    a = math.radians(turned)
    # the head of the box: half a length along its own axis from the centre, clockwise as one looks at the image
    head = (10 * cx + 5 * w * math.cos(a), 10 * cy + 5 * w * math.sin(a))
    corners = [(item.obb[i], item.obb[i + 1]) for i in range(0, 8, 2)]
    middles = [((p[0] + q[0]) / 2, (p[1] + q[1]) / 2) for p, q in zip(corners, corners[1:] + corners[:1], strict=True)]
    assert min(math.dist(head, m) for m in middles) < 0.01
    assert not box_flaw(list(item.bbox), list(item.obb), 1000, 1000)


def test_objects_are_in_pixels_and_pairs_point_to_them(read: Callable[..., list[Item]]) -> None:
    items = read([
        record("<image>\n[refer] where is <p>the ship</p>?", "<p>The ship</p> {<10><20><30><40>|<90>}"),
        record("[identify] what is {<10><20><30><40>|<90>} <image>", "a ship"),
    ], task="grounding")  # fmt: skip
    (annotation,) = (i for i in items if isinstance(i, Annotation))
    assert (annotation.image.width, annotation.image.height) == SIZE
    (item,) = annotation.objects
    # 40 pixels by 20 about (40, 30), turned by a right angle
    assert item.bbox == pytest.approx((30, 10, 50, 50))
    assert item.category == "object"
    asked = turns(items)
    assert [(t.question, t.answer, t.items) for t in asked] == [
        ("where is the ship?", "The ship [0.150, 0.100, 0.250, 0.500]", (0,)),
        ("what is [0.150, 0.100, 0.250, 0.500]", "a ship", (0,)),
    ]  # fmt: skip
    rotated = turns(read([record("<image>\nWhere?", "{<10><20><30><40>|<90>}")], task="grounding", boxes="obb"))
    assert rotated[0].answer.count(",") == 7


def test_an_image_that_is_not_there_keeps_its_boxes_on_the_grid(read: Callable[..., list[Item]]) -> None:
    items = read([record("<image>\nWhere?", "{<10><20><30><40>}", image="none.png")], task="grounding")
    (annotation,) = (i for i in items if isinstance(i, Annotation))
    assert annotation.image.width is None
    assert annotation.objects[0].bbox == (10, 20, 30, 40)
    assert turns(items)[0].answer == "[0.100, 0.200, 0.300, 0.400]"


def test_style_llava_leaves_text_alone_and_is_told_by_the_file(read: Callable[..., list[Item]]) -> None:
    said = [record("<image>\n[vqa] What is <p>this</p>?", "A [hut]")]
    assert turns(read(said))[0].question == "[vqa] What is <p>this</p>?"
    assert turns(read(said, style="vrsbench"))[0].question == "What is this?"
    boxed = [record("<image>\n[refer] where?", "{<10><20><30><40>}")]
    assert turns(read(boxed))[0].question == "where?"
    assert turns(read(boxed, style="llava"))[0].answer == "{<10><20><30><40>}"


def test_only_records_with_the_stated_tag(read: Callable[..., list[Item]]) -> None:
    said = [record("<image>\n[refer] where?", "{<10><20><30><40>}"), record("[vqa] What? <image>", "A hut"),
            record("<image>\nWhy?", "Rain")]  # fmt: skip
    for tag, question in (("refer", "where?"), ("vqa", "What?"), ("none", "Why?")):
        items = read(said, tag=tag)
        assert [t.question for t in turns(items)] == [question]
        assert notes(items)["record with another tag than the stated one, left out"] == 2
    assert task_tag(" [identify] [hr_rgb_0.5] <image> \\n describe") == "identify"
    assert plain("[0.1, 0.2] is no tag") == "[0.1, 0.2] is no tag"


# VRSBench's test files


EVAL = {
    "image_id": "a.png", "question": "The long ship at the pier", "ground_truth": "{<10><20><30><40>}",
    "dataset": "RSBench", "question_id": 3, "type": "ref", "unique": True, "obj_ids": [1], "size_group": "small",
    "obj_corner": [0.3, 0.4, 0.1, 0.2, 0.3, 0.2, 0.1, 0.4], "obj_cls": "Ship",
}  # fmt: skip


def test_vrsbench_rows_have_their_class_and_corners_put_in_order(read: Callable[..., list[Item]]) -> None:
    items = read([EVAL], task="grounding", split="test")
    (annotation,) = (i for i in items if isinstance(i, Annotation))
    (item,) = annotation.objects
    assert (item.category, item.bbox) == ("ship", (20, 20, 60, 40))
    assert item.obb == pytest.approx((60, 40, 20, 40, 20, 20, 60, 20))
    assert annotation.facts == (Referring(expression="The long ship at the pier", item=0),)
    assert annotation.split == "test"
    for corners in ([0.8, 0.8, 0.9, 0.8, 0.9, 0.9, 0.8, 0.9], [1], None, "x", [math.nan] * 8, [10**400] * 8, [0.1] * 8):
        items = read([{**EVAL, "obj_corner": corners}], task="grounding")
        (annotation,) = (i for i in items if isinstance(i, Annotation))
        assert annotation.objects[0].obb is None
        assert ("corners that are not those of their box, left out" in notes(items)) == (corners is not None)
    items = read([{**EVAL, "obj_corner": None}], task="grounding", boxes="obb")
    assert turns(items)[0].answer == "[0.100, 0.200, 0.300, 0.400]", "without corners the box is written as it is"


def test_vrsbench_questions_keep_their_words_and_get_our_categories(read: Callable[..., list[Item]]) -> None:
    line = {"image_id": "a.png", "question": "How many ships?", "ground_truth": 3, "type": "object quantity"}
    items = read([line, {**line, "type": "image", "ground_truth": "Yes"}, {**line, "ground_truth": None}], task="vqa")
    assert [(t.question, t.answer, t.category) for t in turns(items)] == [
        ("How many ships?", "3", "count"), ("How many ships?", "Yes", "other"),
    ]  # fmt: skip
    assert reasons(items) == ["answer is no text"]


# EarthDial's results


def test_what_a_model_said_is_never_the_answer(read: Callable[..., list[Item]], tmp_path: Path) -> None:
    ask = " [caption] [hr_rgb_0.5] <image> \\n Could you?"
    captions = {"question": ask, "answer": "MODEL", **{f"caption{n}": f"c{n} ." for n in range(11)}}
    (tmp_path / "names.txt").write_text("a.png\r\nb.png\n")
    names = str(tmp_path / "names.txt")
    items = read([captions, captions], task="captioning", names=names)
    assert {t.question for t in turns(items)} == {"Could you?"}
    assert [t.answer for t in turns(items)] == [f"c{n} ." for n in range(11)] * 2
    assert [i.image.image_id for i in items if isinstance(i, Annotation)] == ["a", "b"]
    found = {
        "question": "<image>\nWhere is <p>it</p>?",
        "answer": "MODEL",
        "gt_bbox": [[10, 20, 30, 40, 0]],
        "image": "a.png",
    }
    items = read([found, {**found, "gt_bbox": [10, 20, 30, 40, 0]}, {**found, "gt_bbox": []}], task="grounding")
    assert [t.answer for t in turns(items)] == ["[0.100, 0.200, 0.300, 0.400]"] * 2
    assert reasons(items) == ["answer is no text"]
    assert "MODEL" not in repr(items)


def test_records_that_name_no_image_need_names(read: Callable[..., list[Item]], tmp_path: Path) -> None:
    line = {"question": "<image> \\n What?", "answer": "MODEL", "annotation": "a ship"}
    with pytest.raises(SourceError, match=r"found records without an image, expected the key `image` .* `names`"):
        read([line], task="region_captioning")
    (tmp_path / "names.txt").write_text("a.png\nb.png\n")
    with pytest.raises(SourceError, match=r"names\.txt: found 2 names, expected 1"):
        read([line], task="region_captioning", names=str(tmp_path / "names.txt"))
    (tmp_path / "names.txt").write_bytes(b"\xff")
    with pytest.raises(SourceError, match=r"names\.txt: found byte 0"):
        read([line], task="region_captioning", names=str(tmp_path / "names.txt"))


# sidecars


SAID = st.tuples(st.sampled_from(["Say it.", "Describe."]), st.sampled_from(["a .", "b .", "c d ."]))


@settings(max_examples=60)
@given(
    talks=st.lists(st.lists(SAID, min_size=1, max_size=3), min_size=1, max_size=4),
    task=st.sampled_from(["captioning", "conversation"]),
    split=st.sampled_from(["train", "test"]),
)
def test_what_is_exported_is_restored(
    talks: list[list[tuple[str, str]]], task: str, split: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    category = CATEGORIES[task][-1]
    said = [(n, q, a) for n, talk in enumerate(talks) for q, a in talk]
    row = {
        **dict.fromkeys(("modality", "parent", "crs", "rendering", "image_sha256", "source_sha256", "source_id"), "s"),
        "id": f"x/{split}/{task}/7", "task": task, "source": "x", "width": 5, "height": 4, "gsd": 0.25, "window": [],
        "image_path": "p/7.tif", "scale": 1.0, "bounds": [], "license": "free",
        "objects": [{"category": "hut", "bbox": [0.1, 1, 2, 3], "obb": [], "difficult": True, "ignore": False,
                     "number": 4, "iof": 0.5}],
        "pairs": [{"category": category, "dialogue": n, "template": f"t/{n}", "generator": "m", "review": "accepted",
                   "objects": [0]} for n, _, _ in said],
        "conversations": [t for i, (_, q, a) in enumerate(said) for t in (human(q if i else f"<image>\n{q}"), gpt(a))],
    }  # fmt: skip
    folder = tmp_path_factory.mktemp("restored")
    path = folder / ("train.json" if split == "train" else "X.jsonl")
    made = list(train_records(row) if split == "train" else test_lines(row))
    path.write_text("\n".join(json.dumps(item.content) for item in made))
    lines_file(path).write_text("\n".join(json.dumps(item.sidecar) for item in made))
    rows_file(path).write_text(json.dumps(row_facts(row)))
    (annotation,) = (i for i in SOURCE.read(Folder(folder), {"annotations": str(path)}) if isinstance(i, Annotation))
    expected = said
    if task == "captioning" and split == "test":  # the references of one question, none twice
        seen: set[str] = set()
        alone = [n for n, talk in enumerate(talks) if len(talk) == 1]
        expected = []
        for n, q, a in said:
            if n not in alone or a not in seen:
                expected.append((n, q, a))
            seen |= {a} if n in alone else set()
    assert [(t.dialogue, t.question, t.answer) for t in annotation.facts if isinstance(t, Turn)] == expected
    assert {(t.generator, t.review, t.items, t.template) for t in annotation.facts if isinstance(t, Turn)} == {
        ("m", "accepted", (0,), f"t/{n}") for n, _, _ in expected
    }
    assert (annotation.split, annotation.task, annotation.license) == (split, task, "free")
    assert (annotation.image.image_id, annotation.image.path, annotation.image.gsd) == ("x/7", folder / "p/7.tif", 0.25)
    assert annotation.objects[0].number == 4


@pytest.fixture
def exported(release: Path, tmp_path: Path) -> Path:
    from rs_gpt4v_conversion.export.llava import export_llava

    export_llava(release, tmp_path / "out", images=False)
    return tmp_path / "out"


def restored(root: Path, **options: str) -> list[Item]:
    return list(SOURCE.read(Folder(root), options))


def test_task_and_split_choose_among_exported_rows(exported: Path) -> None:
    every = restored(exported)
    assert {i.task for i in every if isinstance(i, Annotation)} == {
        "captioning", "vqa", "grounding", "region_captioning", "detailed_description", "conversation", "task_planning",
    }  # fmt: skip
    vqa = restored(exported, task="vqa")
    assert {i.task for i in vqa if isinstance(i, Annotation)} == {"vqa"}
    assert (
        len(turns(every)) == len(turns(vqa)) + notes(vqa)["pair of another task or split than the stated one, left out"]
    )
    assert not turns(restored(exported, split="test"))


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    first, *rest = path.read_text().splitlines()
    content = json.loads(first)
    change(content)
    path.write_text("\n".join([json.dumps(content), *rest]))


DAMAGE: dict[str, tuple[str, Callable[[dict[str, Any]], object]]] = {
    "found 1 answers, expected 0": ("hit_uav.sidecar", lambda c: c.update(pairs=[])),
    "expected a string": ("hit_uav.sidecar", lambda c: c.update(row=3)),
    "expected a pair's facts": ("hit_uav.sidecar", lambda c: c.update(pairs=[3])),
    "found nothing, expected an integer": ("hit_uav.sidecar", lambda c: c["pairs"][0].pop("dialogue")),
    "expected a category of grounding and objects": ("hit_uav.sidecar", lambda c: c["pairs"][0].update(objects=[99])),
    "'conv', objects": ("hit_uav.sidecar", lambda c: c["pairs"][0].update(category="conv")),
    "expected a line of each row": ("hit_uav.sidecar", lambda c: c.update(row="a/test/vqa/9")),
    "none or 4 numbers": ("hit_uav.rows.sidecar", lambda c: c["objects"][0].update(bbox=[1])),
    "beyond all measure": ("hit_uav.rows.sidecar", lambda c: c["objects"][0].update(bbox=[1, 2, 3, 10**400])),
    "an object's facts": ("hit_uav.rows.sidecar", lambda c: c.update(objects=[3])),
    "found the keys": ("hit_uav", lambda c: c.pop("answer")),
    "image path leaves its folder": ("hit_uav", lambda c: c.update(image="../x.jpg")),
    "as in this row's other records": ("hit_uav", lambda c: c.update(image="x.jpg")),
    "answer is no text": ("hit_uav", lambda c: c.update(answer=None)),
}


@pytest.mark.parametrize("said", DAMAGE)
def test_files_that_do_not_fit_their_sidecars_are_refused(said: str, exported: Path) -> None:
    name, change = DAMAGE[said]
    edit(exported / "test" / f"{name}.jsonl", change)
    with pytest.raises(SourceError, match=said):
        restored(exported, annotations=str(exported / "test" / "hit_uav.jsonl"))


def test_a_file_that_lost_lines_is_refused(exported: Path) -> None:
    path = exported / "test" / "hit_uav.jsonl"
    path.write_text("\n".join(path.read_text().splitlines()[:-1]))
    with pytest.raises(SourceError, match=r"hit_uav\.sidecar\.jsonl: found .* lines, expected .* as in hit_uav\.jsonl"):
        restored(exported, annotations=str(path))


# SOURCES.toml


def toml(folder: Path, more: str) -> Path:
    path = folder / "s.toml"
    path.write_text(f'version = "1.0.0"\ndate = 2026-01-01\n[[source]]\nkind = "llava"\nroot = "."\n{more}\n')
    return path


def test_facts_about_an_import_are_stated(tmp_path: Path) -> None:
    (tmp_path / "train.json").write_text(json.dumps([record("<image>\nA?", "1")]))
    stated = 'name = "mine"\nlicense = "CC0-1.0"\nmodality = "sar"\ntitle = "Mine"\ngenerator = "gpt-4v"\ntask = "vqa"'
    (spec,) = load_config(toml(tmp_path, stated)).sources
    assert (spec.source.license, spec.source.modality, spec.source.title) == ("CC0-1.0", "sar", "Mine")
    assert spec.source.redistribute is False
    (free,) = load_config(toml(tmp_path, 'redistribute = "yes"')).sources
    assert free.source.redistribute is True
    (draft,) = read_source(spec, Tally())
    assert (draft.id, draft.license, draft.modality) == ("mine/train/vqa/a", "CC0-1.0", "sar")
    assert draft.pairs[0].generator == "gpt-4v"
    assert known_sources()["llava"].license == "not stated"
    with pytest.raises(UsageError, match="modality is 'xray', expected one of optical, sar, infrared"):
        load_config(toml(tmp_path, 'modality = "xray"'))
    with pytest.raises(UsageError, match="task is 'talk', expected one of captioning"):
        load_config(toml(tmp_path, 'task = "talk"'))


# real files


def test_geochats_region_questions(tmp_path: Path) -> None:
    path = shared("realdata", "llava_style", "geochat", "rs_region_captioning_GeoChat.jsonl")
    with pytest.raises(SourceError, match="records without an image"):
        list(SOURCE.read(Folder(tmp_path), {"annotations": str(path), "task": "region_captioning"}))
    (tmp_path / "names.txt").write_text("".join(f"{n}.png\n" for n in range(2797)))
    options = {"annotations": str(path), "task": "region_captioning", "names": str(tmp_path / "names.txt")}
    items = list(SOURCE.read(Folder(tmp_path), options))
    assert len(turns(items)) == 2625
    counts = {reason: reasons(items).count(reason) for reason in set(reasons(items))}
    assert counts == {
        "box that lacks a number, or has one too many": 153,
        "box without area, or outside its image": 19,
    }
    assert all(t.question.startswith("describe this object in [0.") for t in turns(items))
    answers = {json.loads(line)["answer"] for line in path.read_text().splitlines()}
    truth = {json.loads(line)["annotation"].strip() for line in path.read_text().splitlines()}
    assert {t.answer for t in turns(items)} <= truth
    assert answers - truth, "what the model said is another thing"


def test_nwpus_references(tmp_path: Path) -> None:
    path = shared("realdata", "nwpu_captions", "test_references_from_earthdial.jsonl")
    (tmp_path / "names.txt").write_text("".join(f"{n}.jpg\n" for n in range(3150)))
    options = {"annotations": str(path), "task": "captioning", "split": "test", "names": str(tmp_path / "names.txt")}
    items = list(SOURCE.read(Folder(tmp_path), options))
    assert len(turns(items)) == 3150 * 5
    assert {t.question for t in turns(items)} == {"Could you please provide the caption for the input image?"}


@pytest.mark.parametrize("name", [
    "llava/qa90_questions.jsonl", "llava/qa90_gpt4_answer.jsonl", "llava/coco2014_val_gpt4_qa_30x3.jsonl",
    "llava/caps_boxes_coco2014_val_80.jsonl", "earthdial/Stage3_MS_SAR_finetunning.json", "vrsbench/rs_instruction.txt",
])  # fmt: skip
def test_files_of_other_forms_are_refused_with_a_sentence(name: str, tmp_path: Path) -> None:
    path = shared("realdata", "llava_style", *name.split("/"))
    with pytest.raises(SourceError, match=f"{path.name}.*: found .*, expected"):
        list(SOURCE.read(Folder(tmp_path), {"annotations": str(path)}))


# geometry


def test_corners_in_any_order_are_put_in_turn() -> None:
    square = [0.0, 0, 10, 0, 10, 10, 0, 10]
    crossed = [10.0, 10, 0, 0, 10, 0, 0, 10]
    assert in_turn(square) == square
    assert in_turn(crossed) == [10, 10, 0, 10, 0, 0, 10, 0]
    assert overlap((0, 0, 10, 10), (5, 0, 15, 10)) == pytest.approx(1 / 3)
    assert overlap((0, 0, 1, 1), (2, 2, 3, 3)) == 0
