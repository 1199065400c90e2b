"""From marked objects to questions: right answers, balanced, hard, and nothing invented."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rs_gpt4v_conversion.census import Census
from rs_gpt4v_conversion.geometry import cell, clockwise, corners, envelope, in_cell
from rs_gpt4v_conversion.records import Annotation, Comparison, ImageRef, Note, Object, Pair, Presence, Scene
from rs_gpt4v_conversion.scenes import MOST_BOXES, MOST_ROTATED, ask, ask_all, sight
from rs_gpt4v_conversion.templates import GROUNDING
from rs_gpt4v_conversion.templates.boxes import FORMS, parse_bboxes, parse_obbs
from rs_gpt4v_conversion.templates.words import plural, with_article
from rs_gpt4v_conversion.wording import word
from shared import shared

WIDTH, HEIGHT = 300, 240
CATEGORIES = ("airplane", "ship", "storage tank", "bridge", "harbor", "vehicle")


def thing(category: str, x: float = 10, y: float = 10, side: float = 20, *, ignore: bool = False) -> Object:
    obb = corners(x + side / 2, y + side / 2, side, side, 0.0)
    return Object(category=category, bbox=envelope(obb), obb=obb, ignore=ignore)


def scene(*objects: Object, number: int = 1, **more: object) -> Scene:
    image = ImageRef(
        image_id=str(number), source_id=f"{number}.jpg", path=None, image_path="", width=WIDTH, height=HEIGHT,  # type: ignore[arg-type]
    )  # fmt: skip
    return Scene(split="train", image=image, objects=objects, searched=CATEGORIES, **more)  # type: ignore[arg-type]


def asked(given_scene: Scene, *others: Scene) -> tuple[dict[str, list[Pair]], list[Note]]:
    """Pairs about one scene of several, by category, as adapted, and the notes."""
    census = Census()
    for each in (given_scene, *others):
        census.see(sight(each))
    census.settle()
    return worded(ask(given_scene, census))


def worded(items: Iterable[Annotation | Note]) -> tuple[dict[str, list[Pair]], list[Note]]:
    pairs: dict[str, list[Pair]] = {}
    notes = []
    for item in items:
        if isinstance(item, Note):
            notes.append(item)
            continue
        for fact in item.facts:
            pair = word(fact, item, f"s/train/{item.task}/{item.image.image_id}")
            pairs.setdefault(pair.category, []).append(pair)
    return pairs, notes


def answers(pairs: list[Pair]) -> list[str]:
    return [p.answer for p in pairs]


places = st.tuples(
    st.sampled_from(CATEGORIES), st.integers(0, 270), st.integers(0, 210), st.integers(2, 30), st.booleans()
)


@settings(max_examples=200)
@given(st.lists(places, max_size=12), st.sampled_from(["hbb", "obb"]), st.integers(0, 10**6))
def test_every_answer_is_true_of_the_objects(drawn: list, form: str, number: int) -> None:
    objects = tuple(thing(c, x, y, s, ignore=i and n % 3 == 0) for n, (c, x, y, s, i) in enumerate(drawn))
    turned = tuple(replace(o, category=CATEGORIES[-1 - CATEGORIES.index(o.category)]) for o in objects)
    pairs, _ = asked(scene(*objects, number=number, boxes=form), scene(*turned, number=number + 1), scene(number=-1))
    judged = Counter(o.category for o in objects if not o.ignore)
    ignored = {o.category for o in objects if o.ignore}
    for pair in pairs.get("presence", ()):
        (category,) = (c for c in CATEGORIES if with_article(c) in pair.question)
        assert (pair.answer == "yes") == (judged[category] > 0)
        assert pair.answer == "yes" or category not in ignored
    for pair in pairs.get("count", ()):
        (category,) = (c for c in CATEGORIES if f" {plural(c)} " in pair.question)
        assert int(pair.answer) == judged[category] > 0
        assert category not in ignored
    for pair in pairs.get("comp", ()):
        a, b = pair.question.split("more ")[1].split(" in this")[0].split("?")[0].split(" than ")
        counts = {plural(c): judged[c] for c in CATEGORIES}
        assert (pair.answer == "yes") == (counts[a] > counts[b])
        assert counts[a] != counts[b]
    for pair in pairs.get("grounding", ()):
        read = (parse_obbs if form == "obb" else parse_bboxes)(pair.answer, WIDTH, HEIGHT)
        assert len(read) == len(pair.objects) > 0
        for box, i in zip(read, pair.objects, strict=True):
            truth = objects[i].obb if form == "obb" else objects[i].bbox
            assert truth is not None
            assert box == pytest.approx(truth, abs=0.16)
            assert not objects[i].ignore


def test_grounding_names_all_of_a_category_or_the_one_that_is_meant() -> None:
    pairs, _ = asked(scene(thing("ship", 10, 10), thing("ship", 250, 200), thing("bridge", 130, 100)))
    by_objects = {p.objects: p.question for p in pairs["grounding"]}
    assert set(by_objects) == {(0, 1), (0,), (1,), (2,)}
    assert "the bridge" in by_objects[(2,)]
    assert "the ship in the top left part of the image" in by_objects[(0,)]
    assert "the ship in the bottom right part of the image" in by_objects[(1,)]


def test_two_of_a_category_in_one_ninth_are_not_told_apart() -> None:
    pairs, _ = asked(scene(thing("ship", 10, 10), thing("ship", 40, 10), thing("ship", 250, 200)))
    assert {p.objects for p in pairs["grounding"]} == {(0, 1, 2), (2,)}


def test_positions_are_asked_of_single_objects_within_one_ninth() -> None:
    pairs, _ = asked(scene(thing("ship", 10, 10), thing("bridge", 85, 10, 30), thing("harbor", 140, 200)))
    assert {(p.objects, p.answer) for p in pairs["position"]} == {((0,), "top left"), ((2,), "bottom")}


def test_absent_categories_are_drawn_by_how_often_they_occur_beside_those_present() -> None:
    usual = [scene(thing("ship"), thing("harbor", 50), number=n) for n in range(40)]
    usual += [scene(thing("airplane"), thing("vehicle", 50), number=100 + n) for n in range(40)]
    lone = [scene(thing("ship"), number=200 + n) for n in range(40)]  # a harbor would be expected here
    other = [scene(thing("bridge"), number=300 + n) for n in range(40)]
    noes: Counter[str] = Counter()
    for item in ask_all([*usual, *lone, *other]):
        if isinstance(item, Annotation):
            for fact in item.facts:
                if fact == Presence(category="harbor", present=False):
                    noes[item.image.image_id[0]] += 1
    assert noes.total() == 40, "as many as there are images with a harbor"
    assert noes["2"] > 30
    assert noes.total() > noes["2"], "images without company are asked as well, only seldom"


@settings(max_examples=30)
@given(
    st.lists(
        st.tuples(st.sampled_from(["train", "test"]), st.lists(st.sampled_from(CATEGORIES), max_size=9)), max_size=40
    )
)
def test_every_question_is_answered_yes_as_often_as_no(images: list[tuple[str, list[str]]]) -> None:
    scenes = [
        replace(scene(*(thing(c, 10.0 + 25 * i) for i, c in enumerate(categories)), number=n), split=split)
        for n, (split, categories) in enumerate(images)
    ]
    said: Counter[tuple[str, ...]] = Counter()
    for item in ask_all(scenes):
        for fact in item.facts if isinstance(item, Annotation) else ():
            if isinstance(fact, Presence):
                said[item.split, fact.category, "yes" if fact.present else "no"] += 1
            elif isinstance(fact, Comparison):
                a, b = sorted((fact.more, fact.than))
                counts = Counter(o.category for o in item.objects)
                said[item.split, f"{a}/{b}", "yes" if counts[a] > counts[b] else "no"] += 1
    for split, question, _ in list(said):
        assert said[split, question, "yes"] == said[split, question, "no"]
    for split in ("train", "test"):
        for category in CATEGORIES:
            there = sum(category in categories for of, categories in images if of == split)
            absent = sum(category not in categories for of, categories in images if of == split)
            assert said[split, category, "yes"] == min(there, absent)


@pytest.mark.parametrize("images", [2, 6, 200])
def test_a_comparison_as_it_is_worded_is_answered_yes_as_often_as_no(images: int) -> None:
    few, many = (thing("ship"),), (thing("ship"), thing("ship", 40), thing("ship", 80))
    bridges = (thing("bridge", 120), thing("bridge", 160))
    scenes = [scene(*(few if n % 2 else many), *bridges, number=n) for n in range(images)]
    pairs, _ = worded(ask_all(scenes))
    assert len(pairs["comp"]) == images
    said = Counter(("more ships than" in p.question, p.answer) for p in pairs["comp"])
    assert len(said) == 2
    assert set(said.values()) == {images // 2}


def test_not_every_comparison_begins_with_the_same_of_its_categories() -> None:
    both = [(a, b) for a in CATEGORIES for b in CATEGORIES if a < b]
    scenes = [
        scene(thing(x), thing(y, 40), thing(y, 80), number=n)
        for n, (x, y) in enumerate([*both, *((b, a) for a, b in both)])
    ]
    facts = [f for item in ask_all(scenes) if isinstance(item, Annotation) for f in item.facts]
    orders = {(f.more, f.than) for f in facts if isinstance(f, Comparison)}
    assert len(orders) == len(both)
    assert 0 < sum(more < than for more, than in orders) < len(both)


def test_what_every_image_has_or_none_is_not_asked() -> None:
    pairs, _ = worded(ask_all([scene(thing("ship"), number=n) for n in range(9)]))
    assert "presence" not in pairs


def test_a_mark_that_could_not_be_used_makes_its_category_uncertain() -> None:
    other = scene(thing("harbor"), number=2)
    pairs, _ = asked(scene(thing("ship"), thing("bridge", 60), uncertain=("ship", "harbor")), other)
    assert all("ship" not in p.question for p in pairs["count"])
    assert all("ship" not in p.question for p in pairs["position"])
    assert all("ship" not in p.question for p in pairs["grounding"])
    assert all("harbor" not in p.question for p in pairs["presence"])


def test_a_region_of_no_known_category_makes_all_numbers_uncertain() -> None:
    marked = scene(thing("ship"), thing("ship", 60), thing("crowd", 100, ignore=True))
    pairs, _ = asked(marked, scene(thing("bridge"), number=2))
    assert set(pairs) == {"presence", "grounding"}
    assert [p.objects for p in pairs["grounding"]] == [(0, 1)], "all that are judged, and none as the only one"
    assert answers(pairs["presence"]) == ["yes"]


def test_a_crowded_category_is_counted_and_not_grounded() -> None:
    many = [thing("ship", 4.0 * n, 10, 3) for n in range(MOST_BOXES + 1)]
    pairs, notes = asked(scene(*many))
    assert answers(pairs["count"]) == [str(MOST_BOXES + 1)]
    assert all(len(p.objects) == 1 for p in pairs.get("grounding", ()))
    assert [n.count for n in notes if f"more than {MOST_BOXES} boxes" in n.reason] == [1]


def test_an_answer_of_rotated_boxes_that_is_too_long_is_noted_and_the_questions_stay_the_same() -> None:
    many = [thing("ship", 4.0 * n, 10, 3) for n in range(MOST_ROTATED + 1)]
    (rotated, said), (upright, nothing) = (asked(scene(*many, boxes=form)) for form in ("obb", "hbb"))
    assert [p.objects for p in rotated["grounding"]] == [p.objects for p in upright["grounding"]]
    assert [n.count for n in said if "longer than 2,048 tokens" in n.reason] == [1]
    assert nothing == []


@pytest.mark.parametrize(("form", "numbers", "most"), [("hbb", 4, MOST_BOXES), ("obb", 8, MOST_ROTATED)])
def test_the_longest_answer_fits_into_the_tokens_of_llava(form: str, numbers: int, most: int) -> None:
    pytest.importorskip("torch")
    from rs_gpt4v_builder import LlavaCollator, load_tokenizer

    encode = LlavaCollator(load_tokenizer(shared("tokenizer", "tokenizer.model")), max_length=10**6).encode
    answer = ", ".join(["[" + ", ".join(["0.123"] * numbers) + "]"] * most)
    for template in GROUNDING:
        question = template.ask(category="expressway service area", box=FORMS[form])  # type: ignore[index]
        turns = [{"from": "human", "value": f"<image>\n{question}"}, {"from": "gpt", "value": answer}]
        assert len(encode(turns)[0]) - 1 + 576 <= 2048


def test_an_image_listed_twice_is_counted_once() -> None:
    census = Census()
    for each in (scene(thing("ship")), scene(thing("ship")), scene(number=2), scene(number=3)):
        census.see(sight(each))
    census.settle()
    asked_of = [o.answer for n in (1, 2, 3) for o in census.asked(sight(scene(*[thing("ship")] * (n == 1), number=n)))]
    assert sorted(asked_of) == [False, True]


def test_an_image_without_objects_is_noted() -> None:
    pairs, notes = asked(scene())
    assert not pairs
    assert [n.reason for n in notes] == ["image without anything to ask about"]


def test_rotated_boxes_are_asked_for_only_where_all_of_a_category_have_one() -> None:
    bare = Object(category="ship", bbox=(100, 100, 120, 120))
    pairs, notes = asked(scene(thing("ship"), bare, thing("bridge", 60), boxes="obb"))
    assert {p.objects for p in pairs["grounding"]} >= {(2,)}
    assert (0, 1) not in {p.objects for p in pairs["grounding"]}
    assert all("[x1, y1, x2, y2, x3, y3, x4, y4]" in p.question for p in pairs["grounding"])
    assert [n.count for n in notes if "no box of the form asked for" in n.reason] == [1]


@pytest.mark.parametrize("form", ["hbb", "obb"])
def test_a_category_with_a_box_too_small_for_its_text_is_counted_and_not_grounded(form: str) -> None:
    marked = scene(thing("ship", 9001, 9001, 1), thing("ship", 500, 500, 400), thing("bridge", 60, 60, 90), boxes=form)
    pairs, notes = asked(replace(marked, image=replace(marked.image, width=20_000, height=20_000)))
    assert sorted(answers(pairs["count"])) == ["1", "2"]
    assert [p.objects for p in pairs["grounding"]] == [(2,)]
    assert [n.count for n in notes if "its text has no area" in n.reason] == [1]


@pytest.mark.parametrize(
    ("one", "many"),
    [("ship", "ships"), ("person", "people"), ("bus", "buses"), ("aircraft", "aircraft"), ("factory", "factories"),
     ("storage tank", "storage tanks"), ("railway", "railways"), ("box", "boxes")],
)  # fmt: skip
def test_plurals(one: str, many: str) -> None:
    assert plural(one) == many


numbers = st.floats(-500, 1500, allow_nan=False)


@given(st.floats(1, 300), st.floats(1, 300), st.floats(-7, 7), numbers, numbers, st.booleans())
def test_corners_become_clockwise_and_keep_the_first(
    w: float, h: float, turn: float, x: float, y: float, back: bool
) -> None:
    obb = corners(x, y, w, h, turn)
    turned = (*obb[0:2], *obb[6:8], *obb[4:6], *obb[2:4]) if back else obb
    assert clockwise(turned) == pytest.approx(obb)


@given(st.integers(0, 280), st.integers(0, 220), st.integers(1, 20))
def test_the_ninths_share_a_box_out(x: int, y: int, side: int) -> None:
    box = (float(x), float(y), float(x + side), float(y + side))
    shares = {(r, c): in_cell(box, r, c, WIDTH, HEIGHT) for r in range(3) for c in range(3)}
    assert sum(shares.values()) == pytest.approx(1)
    row, column = cell(box, WIDTH, HEIGHT)
    assert shares[row, column] >= max(shares.values()) - 1e-9


def test_what_is_offered_has_its_true_answer() -> None:
    census = Census()
    seen = []
    for number, (ships, bridges) in enumerate(((1, 2), (2, 1), (0, 1), (3, 0))):
        objects = [thing("ship", 30.0 * n) for n in range(ships)] + [
            thing("bridge", 30.0 * n, 90) for n in range(bridges)
        ]
        seen.append(sight(scene(*objects, number=number)))
    for each in seen:
        census.see(each)
    census.settle()
    offers = [(offer, dict(each.counts)) for each in seen for offer in census.asked(each)]
    assert {(offer.question[0], offer.answer) for offer, _ in offers} == {
        ("presence", True), ("presence", False), ("comparison", True), ("comparison", False),
    }  # fmt: skip
    for offer, counts in offers:
        kind, _, *categories = offer.question
        first, second = counts.get(categories[0], 0), counts.get(categories[-1], 0)
        assert offer.answer == (first > 0 if kind == "presence" else first > second)


def test_a_comparison_names_its_objects_in_their_order_whichever_category_comes_first() -> None:
    given = scene(thing("bridge"), thing("ship", 60), thing("bridge", 120))
    about = Annotation(task="vqa", split="train", image=given.image, facts=(), objects=given.objects)
    for more, than in (("ship", "bridge"), ("bridge", "ship")):
        assert word(Comparison(more=more, than=than), about, "s/train/vqa/1").objects == (0, 1, 2)
