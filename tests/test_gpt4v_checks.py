"""The checks of a model's answers: for each, answers it must hold something against and answers it must let pass."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from rs_gpt4v_conversion.geometry import corners
from rs_gpt4v_conversion.gpt4v.checks import CHECKS, Verdict, judge
from rs_gpt4v_conversion.gpt4v.records import STAGES, Facts, Stage
from rs_gpt4v_conversion.gpt4v.schemas import (
    Amount,
    ConversationAnswer,
    ConversationTurn,
    DetailAnswer,
    GlobalAnswer,
    LocalAnswer,
    LocalObject,
    PlanningAnswer,
    ReasoningAnswer,
    ReasoningItem,
    Region,
    Relation,
    Step,
)
from rs_gpt4v_conversion.records import Object
from rs_gpt4v_conversion.sources import dota, hit_uav, hrrsd
from rs_gpt4v_conversion.sources._dior import SEARCHED as DIOR
from shared import shared

HIT_UAV = hit_uav.SEARCHED
DOTA = tuple(name.replace("-", " ") for name in dota.CATEGORIES["1.0"])
HRRSD = tuple(hrrsd.CATEGORIES.values())

HARBOR = (("ship", 5), ("harbor", 2), ("storage tank", 14), ("bridge", 1))
"""What the annotations of most examples mark."""


def facts(
    marked: Sequence[tuple[str, int]] = HARBOR, searched: Sequence[str] = DIOR, uncertain: Sequence[str] = (), **more
) -> Facts:
    objects = tuple(
        Object(category=category, bbox=(100.0 * i, 10.0, 100.0 * i + 40, 50.0))
        for category, count in marked
        for i in range(count)
    )
    values = {"width": 800, "height": 800, "objects": objects, **more}
    return Facts(record="dior/train/00001", searched=tuple(searched), uncertain=tuple(uncertain), **values)


def verdicts(stage: Stage, answer: BaseModel, known: Facts | None = None, **more) -> dict[str, Verdict]:
    return judge(stage, answer, known or facts(), **{"boxes": "hbb", "width": 800, "height": 800, **more})


def detail(text: str, known: Facts | None = None) -> dict[str, Verdict]:
    return verdicts("detail", DetailAnswer(description=text), known)


def conversation(*turns: tuple[str, str], known: Facts | None = None) -> dict[str, Verdict]:
    return verdicts("conversation", talk(*turns), known)


def talk(*turns: tuple[str, str]) -> ConversationAnswer:
    """A conversation of these turns, filled up to five with ones that nothing can be held against."""
    filling = [
        ("What is the water like?", "The water is dark and calm."),
        ("How does it look near the shore?", "It is slightly brighter there."),
        ("What lies along the shore?", "A narrow strip of sand and grass."),
        ("Is it wide?", "No, the strip is narrow."),
        ("What else is near the sand?", "A few low trees with long shadows."),
    ]
    return ConversationAnswer(
        turns=[ConversationTurn(question=q, answer=a, objects=[]) for q, a in [*turns, *filling][: max(5, len(turns))]]
    )


def found(verdict: Verdict) -> list[str]:
    return [finding.detail for finding in verdict.findings]


def state(verdict: Verdict) -> tuple[int, int, int]:
    return verdict.claims, verdict.judged, len(verdict.findings)


# count_mismatch

WRONG_NUMBERS = {
    "There are three ships.": "description: 'three ships', annotated ship: 5",
    "THERE ARE THREE SHIPS.": "description: 'THREE SHIPS', annotated ship: 5",
    "The image shows 3 ships and one bridge.": "description: '3 ships', annotated ship: 5",
    "The image shows five ships, two bridges and a pier.": "description: 'two bridges', annotated bridge: 1",
    "A total of 1,200 ships can be seen.": "description: '1,200 ships', annotated ship: 5",
    "There are twenty-one ships in this scene.": "description: 'twenty-one ships', annotated ship: 5",
    "There are exactly four ships visible in the image.": "description: 'four ships', annotated ship: 5",
    "There are no ships in the image.": "description: 'no ships', annotated ship: 5",
    "No bridges are visible.": "description: 'No bridges', annotated bridge: 1",
    "Six ships lie at the dock.": "description: 'Six ships', annotated ship: 5",
    "Six white ships lie in the top left corner.": "description: 'Six white ships', annotated ship: 5",
    "There is only one ship.": "description: 'one ship', annotated ship: 5",
    "A single ship.": None,  # of how many is not said
    "Several bridges cross the river.": "description: 'Several bridges', annotated bridge: 1",
    "The river has a number of bridges.": "description: 'number of bridges', annotated bridge: 1",
    "A dozen ships lie at anchor.": "description: 'dozen ships', annotated ship: 5",
    "There are about three ships.": "description: 'three ships', annotated ship: 5",
    "There are twenty storage tanks.": "description: 'twenty storage tanks', annotated storage tank: 14",
    "There are ten fuel tanks in the image.": "description: 'ten fuel tanks', annotated storage tank: 14",
    "More than six ships are moored here.": "description: 'six ships', annotated ship: 5",
}


@pytest.mark.parametrize("text", WRONG_NUMBERS)
def test_a_wrong_number_is_held_against_an_answer(text: str) -> None:
    expected = WRONG_NUMBERS[text]
    assert found(detail(text)["count_mismatch"]) == ([expected] if expected else [])


@pytest.mark.parametrize(
    "text",
    [
        "There are five ships in the image.",
        "There are 5 vessels, a bridge and fourteen storage tanks.",
        "There are sixteen storage tanks.",  # within a fifth
        "There are about six ships.",
        "Three ships lie at the dock.",  # two more may lie elsewhere
        "There are three ships moored along the pier.",
        "Two white ships and one red ship are moored.",
        "In the top left corner there are three ships.",
        "The top left shows a pier. There are three ships.",
        "There are two large ships.",
        "One of the ships is larger than the others.",
        "The first two ships are moored.",
        "There is one ship at the end of the pier, and another in open water.",
        "There are three ships, and two more in open water.",
        "There are no other ships.",
        "There are no ships at the upper pier.",
        "At least three ships are visible.",
        "Fewer than twenty ships are visible.",
        "A four-lane bridge crosses the river.",
        "A four lane bridge crosses the river.",
        "The ship is 20 metres long, and a 20 metre ship is large.",
        "The river is 300 metres wide, and about 40 % of the ships move.",
        "Two rows of ships lie at the pier.",
        "In 2015 ships were rare here.",
        "Terminal 2 ships oil.",
        "Between the 3rd ship and the pier is a gap.",
        "If there were nine ships, the harbor would be full.",
        "Are there nine ships?",
        "The harbor may hold nine ships.",
        "Berths for eight ships line the basin.",
        "Several ships and many storage tanks.",
        "Three courts lie side by side.",
        "There are several harbors, three harbors to be exact.",  # sources mark a harbor pier by pier
    ],
)
def test_a_right_or_a_partial_number_is_not(text: str) -> None:
    assert found(detail(text)["count_mismatch"]) == []


def test_what_nobody_counted_cannot_be_judged() -> None:
    nine = "There are nine ships."
    assert state(detail(nine)["count_mismatch"]) == (1, 1, 1)
    assert state(detail(nine, facts(searched=("bridge",)))["count_mismatch"]) == (1, 0, 0)
    assert state(detail(nine, facts(uncertain=("ship",)))["count_mismatch"]) == (1, 0, 0)
    assert state(detail(nine, facts(uncertain=("crowd",)))["count_mismatch"]) == (1, 0, 0)  # it may hide anything
    assert state(detail("There are two to three ships.")["count_mismatch"]) == (1, 0, 0)
    assert state(detail("The sky is clear.")["count_mismatch"]) == (0, 0, 0)


def test_objects_to_ignore_make_a_number_uncertain() -> None:
    ignored = Object(category="don't care", bbox=(0, 0, 9, 9), ignore=True)
    car = Object(category="car", bbox=(0, 0, 9, 9))
    text = "There are three cars."
    for objects, expected in (((car,), (1, 1, 1)), ((car, ignored), (1, 0, 0))):
        known = facts(searched=HIT_UAV, objects=objects)
        assert state(detail(text, known)["count_mismatch"]) == expected


@pytest.mark.parametrize(
    ("text", "searched", "marked", "expected"),
    [
        ("There are three trucks.", DIOR, [("vehicle", 5)], (1, 0, 0)),  # some vehicles are no trucks
        ("There are six trucks.", DIOR, [("vehicle", 5)], (1, 1, 1)),
        ("There are five vehicles.", HIT_UAV, [("car", 3), ("other vehicle", 2)], (1, 1, 0)),
        ("There are three vehicles.", HIT_UAV, [("car", 3), ("other vehicle", 2)], (1, 1, 1)),
        ("There are four people and three cars.", HIT_UAV, [("car", 3), ("person", 4)], (2, 2, 0)),
        ("There are four pedestrians.", HIT_UAV, [("person", 3)], (1, 1, 1)),
        ("There are five vehicles.", DOTA, [("small vehicle", 3), ("large vehicle", 2)], (1, 1, 0)),
        ("There are five small vehicles.", DOTA, [("small vehicle", 3), ("large vehicle", 2)], (1, 1, 1)),
        ("There are three aircraft.", DOTA, [("plane", 2), ("helicopter", 1)], (1, 1, 0)),
        ("There are three planes.", DOTA, [("plane", 2), ("helicopter", 1)], (1, 1, 1)),
        ("There are two soccer fields.", DOTA, [("soccer ball field", 1)], (1, 1, 1)),
        ("There are two baseball diamonds.", DIOR, [("baseball field", 2)], (1, 1, 0)),
        ("There are two bridges.", DIOR, [("bridge", 1), ("overpass", 1)], (1, 0, 0)),  # one may be the overpass
        ("There are two crossroads.", HRRSD, [("crossroad", 1)], (1, 1, 1)),
        ("There are two T-junctions.", HRRSD, [("t junction", 2)], (1, 1, 0)),
        ("There are two wind turbines.", DIOR, [("windmill", 3)], (1, 1, 1)),
    ],
)
def test_kinds_of_kinds_are_counted_together(
    text: str, searched: Sequence[str], marked: Sequence[tuple[str, int]], expected: tuple[int, int, int]
) -> None:
    assert state(detail(text, facts(marked, searched))["count_mismatch"]) == expected


def test_the_answer_to_how_many_is_a_count_even_without_the_noun() -> None:
    question = "How many ships are visible in the image?"
    for answer in ("Three.", "3", "There are three of them.", "There are three ships moored along the pier."):
        verdict = conversation((question, answer))["count_mismatch"]
        assert len(found(verdict)) == 1, answer
        assert state(verdict)[:2] == (1, 1)
    for answer in ("Five.", "I can see 5 in the image.", "There are five ships moored along the pier."):
        assert state(conversation((question, answer))["count_mismatch"]) == (1, 1, 0), answer
    for question in ("How many ships did you see?", "How many ships are depicted?"):
        assert len(found(conversation((question, "There are three ships at the pier."))["count_mismatch"])) == 1
    partial = conversation(("How many ships are at the left pier?", "There are three ships."))["count_mismatch"]
    assert found(partial) == []
    assert found(conversation(("Is a ship at the left pier?", "There are no ships."))["count_mismatch"]) == []
    assert found(conversation(("How many of them are white?", "Two ships."))["count_mismatch"]) == []


def scene(*counts: tuple[str, int], content: str = "A pier.", summary: str = "A port.") -> GlobalAnswer:
    return GlobalAnswer(
        scene="a port", layout="Water lies on the left, land on the right.", summary=summary,
        regions=[Region(region="top left", content=content)], counts=[Amount(category=c, count=n) for c, n in counts],
    )  # fmt: skip


def test_the_list_of_counts_is_held_against_the_annotations() -> None:
    right = verdicts("global", scene(("ship", 5), ("Storage tanks", 15), ("airplane", 0), ("tree", 9)))
    assert state(right["count_mismatch"]) == (4, 3, 0)
    wrong = verdicts("global", scene(("ships", 4), ("airplane", 1)))
    assert found(wrong["count_mismatch"]) == [
        "counts: 4 ships, annotated ship: 5", "counts: 1 airplane, annotated airplane: 0",
    ]  # fmt: skip


def test_a_region_holds_no_more_than_the_image() -> None:
    assert found(verdicts("global", scene(content="There are three ships."))["count_mismatch"]) == []
    verdict = verdicts("global", scene(content="There are six ships."))["count_mismatch"]
    assert found(verdict) == ["top left: 'six ships', annotated ship: 5"]


# unsupported_category


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("A stadium lies beside the river.", "stadium"),
        ("The image shows a large TENNIS COURT next to the river.", "TENNIS COURT"),
        ("Two golf courses surround the lake.", "golf courses"),
        ("There is a ground-track field.", "ground-track field"),
        ("Airplanes are parked on the apron.", "Airplanes"),
        ("An expressway service area lies on the right.", "expressway service area"),
        ("Several trucks wait at the gate.", "trucks"),
    ],
)
def test_what_was_looked_for_and_not_found_is_not_there(text: str, said: str) -> None:
    category = {"Airplanes": "airplane", "golf courses": "golf field", "trucks": "truck"}.get(said)
    expected = category or said.lower().replace("-", " ")
    verdict = detail(text)["unsupported_category"]
    assert found(verdict) == [f"description: {said!r}, annotated {expected}: 0"]


@pytest.mark.parametrize(
    "text",
    [
        "There are no airplanes, stadiums or tennis courts.",
        "The image shows neither an airplane nor a stadium.",
        "If an airplane were here, the runway would be needed.",
        "An airplane could land here.",
        "The road is wide enough for a vehicle.",
        "The slip allows vehicles to reach the water.",
        "Unlike a stadium, the building has a roof.",
        "A ship-shaped building lies on the right.",
        "A jet-black roof.",
        "The court, the field and the track are empty.",
        "The pier bridges the gap to the island, and steps bridge the rest.",
        "An airplane-shaped shadow.",
        "The bay harbors many buildings.",
        "The roof looks like a tennis court.",
        "The airport terminal is large.",
        "A harbour lies on the right.",  # the other spelling of what is there
        "A boat and a vessel are moored.",
        "Is there a stadium?",
        "The tanks look like chimneys.",
        "A car park and a bus stop lie behind.",
        "The ship has a red deck and a white bridge at its lower end.",
    ],
)
def test_words_that_claim_nothing_pass(text: str) -> None:
    known = facts((("ship", 5), ("harbor", 2), ("parking lot", 1)), (*DIOR, "parking lot"))
    assert found(detail(text, known)["unsupported_category"]) == []


def test_coverage_of_mentions() -> None:
    text = "A ship lies at a pier. A crane stands beside a swimming pool. A stadium is near."
    assert state(detail(text)["unsupported_category"]) == (3, 2, 1)  # pools were not looked for
    assert state(detail(text, facts(searched=()))["unsupported_category"]) == (3, 1, 0)
    assert state(detail(text, facts(uncertain=("stadium",)))["unsupported_category"]) == (3, 1, 0)


@pytest.mark.parametrize(
    ("text", "marked"),
    [
        ("The image shows an airport.", [("airplane", 3)]),  # what the airplanes stand on, marked or not
        ("The image shows a harbor.", [("ship", 3)]),
        ("A bridge crosses the expressway.", [("overpass", 1)]),
        ("A stadium with a running track.", [("ground track field", 1)]),
    ],
)
def test_places_that_follow_from_what_is_there_are_left_open(text: str, marked: Sequence[tuple[str, int]]) -> None:
    verdict = detail(text, facts(marked))["unsupported_category"]
    assert found(verdict) == []
    assert len(found(detail(text, facts([("vehicle", 1)]))["unsupported_category"])) >= 1


def test_questions_plans_and_imagined_things_claim_nothing() -> None:
    assert found(conversation(("Is the stadium large?", "It is wide."))["unsupported_category"]) == []
    items = [
        ReasoningItem(kind="hypothetical", question="What if it rained?", answer="A stadium fills up.", objects=[]),
        ReasoningItem(kind="purpose", question="What is the pier for?", answer="Ships unload here.", objects=[]),
        ReasoningItem(kind="inference", question="Is it busy?", answer="A stadium is near.", objects=[]),
    ]
    assert found(verdicts("reasoning", ReasoningAnswer(items=items))["unsupported_category"]) == [
        "item 3: 'stadium', annotated stadium: 0"
    ]
    plan = planning(Step(action="Send a helicopter to the stadium.", needs="the bridge", objects=[]))
    assert found(verdicts("planning", plan)["unsupported_category"]) == []
    plan = planning(Step(action="Cross the river.", needs="The dam on the left.", objects=[]))
    assert found(verdicts("planning", plan, facts([("ship", 1)]))["unsupported_category"]) == [
        "step 1: 'dam', annotated dam: 0"
    ]


def planning(*steps: Step) -> PlanningAnswer:
    filling = [Step(action="Moor at the pier.", needs="the pier on the left", objects=[])] * 2
    return PlanningAnswer(goal="Unload a ship.", steps=[*steps, *filling], constraints=["The water is shallow."])


# contradiction


@pytest.mark.parametrize(
    ("first", "later", "contradicts"),
    [
        ("There are three ships in the image.", "There are four ships in the image.", True),
        ("There are three ships in the image.", "The four ships have white decks.", True),
        ("The three ships have white decks.", "There are two ships.", True),
        ("There are no ships.", "Two ships are moored at the pier.", True),
        ("There are three buildings.", "There are five buildings.", True),
        ("There are three ships in the image.", "There are three ships.", False),
        ("There are three ships in the image.", "Two of the ships are white.", False),
        ("There are three ships in the image.", "Two white ships are moored.", False),
        ("There are three ships in the image.", "There are four bridges.", False),
        ("There are forty ships.", "There are about forty-four ships.", False),
        ("There are three buildings.", "There are two buildings on the left.", False),
        ("There are three boats.", "There are five ships.", False),  # a boat is one kind of ship
        ("Two ships are white.", "Three ships are moored.", False),
    ],
)
def test_turns_that_contradict_one_another(first: str, later: str, contradicts: bool) -> None:
    turns = (("What can you see in the image?", first), ("What else is there?", later))
    verdict = conversation(*turns, known=facts((), ()))["contradiction"]
    assert bool(verdict.findings) is contradicts


def test_a_contradiction_names_both_turns() -> None:
    turns = (("How many tanks are there?", "There are six oil tanks."), ("Are they full?", "All seven oil tanks are."))
    verdict = conversation(*turns, known=facts((), ()))["contradiction"]
    assert found(verdict) == ["turn 2: 'seven oil tanks', turn 1: 'six oil tanks'"]


def test_one_question_about_a_part_contradicts_nothing() -> None:
    turns = (("How many ships are there?", "Five ships."), ("How many ships are at the left pier?", "Two ships."))
    assert found(conversation(*turns)["contradiction"]) == []


# presence_mismatch


@pytest.mark.parametrize(
    ("question", "answer", "expected"),
    [
        ("Are there any ships in the image?", "No, there are none.", (1, 1, 1)),
        ("Is there an airplane?", "Yes, there is one on the apron.", (1, 1, 1)),
        ("Can you see any tennis courts?", "Yes.", (1, 1, 1)),
        ("Does the image show a bridge?", "No.", (1, 1, 1)),
        ("Are any airplanes visible?", "No, none are.", (1, 1, 0)),
        ("Is there a harbor in the image?", "Yes, on the left.", (1, 1, 0)),
        ("Are there any ships near the bridge?", "No.", (1, 0, 0)),
        ("Is there a red ship?", "No, all are white.", (0, 0, 0)),
        ("Is there a truck?", "No.", (1, 1, 0)),
        ("Is there a swimming pool?", "Yes.", (1, 0, 0)),
        ("Is the ship moored?", "No, it moves.", (0, 0, 0)),
        ("Is there more than one ship?", "No.", (0, 0, 0)),
        ("Are there any ships?", "Several lie at the pier.", (0, 0, 0)),
        ("Are there any harbors?", "No.", (1, 1, 1)),
    ],
)
def test_yes_and_no(question: str, answer: str, expected: tuple[int, int, int]) -> None:
    assert state(conversation((question, answer))["presence_mismatch"]) == expected


def test_presence_names_question_and_annotation() -> None:
    verdict = conversation(("Is there an airplane?", "Yes."))["presence_mismatch"]
    assert found(verdict) == ["turn 1: yes to 'Is there an airplane', annotated airplane: 0"]


# repeats_question


@pytest.mark.parametrize(
    ("question", "answer", "repeats"),
    [
        ("What color are the ships?", "The color of the ships.", True),
        ("What color are the ships?", "What color are the ships?", True),
        ("Is the pier long?", "Is the pier long?", True),
        ("Describe the pier at the left.", "The pier at the left.", True),
        ("What color are the ships?", "N/A", True),
        ("What color are the ships?", "...", True),
        ("What color are the ships?", "unknown", True),
        ("What color are the ships?", "White.", False),
        ("Is it rural or urban?", "Urban.", False),
        ("What is larger, the ship or the pier?", "The pier.", False),
        ("Is the pier long?", "The pier is long.", False),
        ("Which objects are larger, ships or tanks?", "Tanks.", False),
        ("How many ships are there?", "None.", False),
        ("How many ships are there?", "5", False),
    ],
)
def test_answers_that_say_nothing(question: str, answer: str, repeats: bool) -> None:
    verdict = conversation((question, answer))["repeats_question"]
    assert [f.detail.startswith("turn 1") for f in verdict.findings] == ([True] if repeats else [])


# language


@pytest.mark.parametrize(
    "text",
    [
        "Das Bild zeigt einen Hafen mit mehreren Schiffen und einer Brücke.",
        "L'image montre un port avec plusieurs navires et un pont sur la rivière.",
        "La imagen muestra un puerto con varios barcos y un puente sobre el río.",
        "图像显示了一个港口和几艘船。",
        "На изображении показан порт с кораблями.",
        "港",
        "qwe asd zxc rty fgh vbn uio jkl nml poi lkj mnb vcx zaq wsx",
        "A port 港口和几艘船在图像中可见，还有一座桥。",
    ],
)
def test_other_languages(text: str) -> None:
    assert len(found(detail(text)["language"])) == 1


@pytest.mark.parametrize(
    "text",
    [
        "White ships.",
        "many green trees surround a large white building",
        "Parked airplanes, storage tanks, long runways, green lawns.",
        "The façade of the café is white – a naïve touch.",
        "A ship named Le Havre lies beside El Mar de la Plata at the pier.",
        "3 × 4 °C",
    ],
)
def test_english_and_what_is_too_short_to_tell(text: str) -> None:
    assert found(detail(text)["language"]) == []


# leaked_prompt


@pytest.mark.parametrize(
    "text",
    [
        "According to the annotations, a ship lies at the pier.",
        "The bounding box of the ship is small.",
        "Object 3 lies beside the pier.",
        "The ship (object #12) is white.",
        "The listed objects are all white.",
        "As an AI language model, I see a pier.",
        "The provided image shows a pier.",
        "The caption says that the pier is long.",
        '{"description": "A pier."}',
        "The ship lies at [0.12, 0.40, 0.3, 0.5].",
        "The ship lies at (x1, y1).",
        "The pier begins at 0.512 of the width.",
        "The ship lies at (120, 340).",
        "<description> of the pier",
        "[insert description here]",
        "The pier is made of **concrete**.",
        "The kind of ship cannot be determined.",
        "I'm sorry, the image is too small.",
        "I cannot provide an exact count of the ships.",
        "It is difficult to tell whether the ship moves.",
        "The exact number of ships is not clear.",
        "We are unable to identify the ships.",
        "Unable to see the ships.",
        "The ships can not be counted.",
        "You cannot clearly see the pier.",
        "It is impossible to say without more information.",
        "The ground truth shows a ship.",
        "small_vehicle near the pier",
        "Ship 2 is larger than the others.",
        "According to the notes, a ship is moored.",
    ],
)
def test_leaks_and_refusals(text: str) -> None:
    assert len(found(detail(text)["leaked_prompt"])) == 1


@pytest.mark.parametrize(
    "text",
    [
        "The ships cannot pass under the bridge.",
        "Cars can not reach the island.",
        "Drivers cannot see past the bend, and the pier cannot provide shelter.",
        "Ships would be unable to count on the breakwater.",
        "A truck could not be given way to.",
        "A ship listing to one side lies at the pier.",
        "Several objects lie on the pier, 12 of them white.",
        "The pier is 0.15 m high and 0.25 km long.",
        "The area covers about 1,200 square metres (a tenth of the image).",
        "The lake is clear and the exact opposite of the river.",
        "Given the shadows, it is afternoon.",
        "The boxes on the deck are containers.",
        "A truck is provided with a crane.",
        "It is possible to see the ground through the trees.",
        "The object in the middle is a tank.",
        "A road to the harbor, 2 lanes wide.",
        "The ships 2 to 3 lengths apart, and the bridge 90 metres long.",
        "The 2 ships, 3 cars and 4 tanks.",
        "The container ship carries a long list of goods.",
    ],
)
def test_prose_that_only_looks_like_a_leak(text: str) -> None:
    assert found(detail(text)["leaked_prompt"]) == []


def test_what_leaked_is_quoted() -> None:
    verdict = detail("The ship lies at [0.12, 0.40].")["leaked_prompt"]
    assert found(verdict) == ["description: '[0.12, 0.4' (coordinates)"]


# compass


def test_points_of_the_compass() -> None:
    for text in (
        "The north shore.",
        "Ships lie in the SOUTHEASTERN corner.",
        "A west-facing slope.",
        "It runs eastward.",
        "The NE corner is water.",
    ):
        assert len(found(detail(text)["compass"])) == 1, text
    for text in ("The upper shore.", "A nest and yeast.", "Northampton.", "The least part.", "Ne plus ultra."):
        assert found(detail(text)["compass"]) == [], text
    assert found(detail("The north shore.")["compass"]) == ["description: 'The north shore.'"]
    named = facts(captions=("a ship of the North line at a pier .",))
    assert found(detail("A ship of the North line, south of a pier.", named)["compass"]) == [
        "description: 'North line, south of a'"
    ]


# below_resolution


def test_attributes_of_objects_too_small() -> None:
    known = facts(objects=(Object(category="car", bbox=(0, 0, 9, 5)), Object(category="car", bbox=(50, 50, 70, 60))))
    answer = local(item(1, [0, 0, 0.01, 0.01], color="white"), item(2, [0.06, 0.06, 0.09, 0.08], color="white"))
    assert state(verdicts("local", answer, known)["below_resolution"]) == (2, 2, 0)
    reduced = verdicts("local", answer, known, width=400, height=400)["below_resolution"]
    assert found(reduced) == ["object 1: colour or state of 4.5 pixels"]
    plain = local(item(1, [0, 0, 0.01, 0.01], color=None, state=None))
    assert state(verdicts("local", plain, known, width=400, height=400)["below_resolution"]) == (0, 0, 0)


@pytest.mark.parametrize(
    ("text", "gsd", "expected"),
    [
        ("Several cars drive on the road.", 10.0, (1, 1, 1)),
        ("Several cars drive on the road.", 0.5, (1, 1, 0)),
        ("Several cars drive on the road.", None, (1, 0, 0)),
        ("A white car is parked here.", 1.5, (1, 1, 1)),
        ("Two people walk along the pier.", 1.0, (1, 1, 1)),
        ("The road is wide enough for cars.", 10.0, (0, 0, 0)),
        ("No people are visible.", 10.0, (0, 0, 0)),
        ("The driver looks out.", 0.3, (1, 1, 1)),
    ],
)
def test_prose_about_what_a_pixel_does_not_show(text: str, gsd: float | None, expected: tuple[int, int, int]) -> None:
    assert state(detail(text, facts(gsd=gsd))["below_resolution"]) == expected


def test_what_the_source_marks_can_be_seen() -> None:
    text = "Several people walk here."
    assert found(detail(text, facts([("person", 4)], HIT_UAV, gsd=1.0))["below_resolution"]) == []
    reduced = judge(
        "detail", DetailAnswer(description="Several cars are parked here."), facts(gsd=0.5), boxes="hbb",
        width=160, height=160,
    )  # fmt: skip
    assert found(reduced["below_resolution"]) == ["description: 'Several cars', a pixel is 2.5 m"]


# box_outside, box_mismatch, unknown_number


def local(*items: LocalObject) -> LocalAnswer:
    return LocalAnswer(objects=list(items))


def item(number: int, box: Sequence[float], category: str = "car", **more) -> LocalObject:
    values = {"color": "white", "state": None, "description": "It is parked.", "relations": [], **more}
    return LocalObject(number=number, category=category, box=list(box), **values)


@pytest.mark.parametrize(
    ("box", "fault"),
    [
        ([0.1, 0.1, 0.2, 0.2], ""),
        ([-0.005, 0, 1.005, 1], ""),
        ([0.1, 0.1, 1.2, 0.2], "outside the image"),
        ([10, 10, 20, 20], "outside the image"),
        ([0.2, 0.1, 0.1, 0.2], "corners not in order, or no area"),
        ([0.1, 0.1, 0.1, 0.2], "corners not in order, or no area"),
        ([0.1, 0.1, 0.2, 0.1, 0.2, 0.2, 0.1, 0.2], ""),
        ([0.1, 0.1, 0.2, 0.2, 0.2, 0.1, 0.1, 0.2], "edges that cross, or no area"),
        ([0.1] * 8, "edges that cross, or no area"),
        ([0.1, 0.1, 0.2, 0.2, 0.3], "5 numbers, expected 8"),
        ([0.1, 0.1, 1e308, 0.2, 0.3, 0.3, 0.1, 0.2], "outside the image"),
    ],
)
def test_boxes_lie_in_the_image(box: Sequence[float], fault: str) -> None:
    verdict = verdicts("local", local(item(1, box)), boxes="obb")["box_outside"]
    assert [detail.rpartition(", ")[2] for detail in found(verdict)] == ([fault.rpartition(", ")[2]] if fault else [])
    assert state(verdict)[:2] == (1, 1)


def test_a_box_may_stick_out_where_the_annotated_one_does() -> None:
    ship = Object(category="ship", bbox=(80, 10, 108, 30))
    facts = Facts(record="dior/train/00001", width=100, height=100, objects=(ship,))
    for box, right in (([0.8, 0.1, 1.08, 0.3], True), ([0.8, 0.1, 1.12, 0.3], False), ([0.7, 0.1, 1.08, 0.3], False)):
        verdict = judge("local", local(item(1, box)), facts, boxes="hbb", width=100, height=100)["box_outside"]
        assert bool(verdict.findings) is not right


def test_eight_numbers_where_four_were_asked_for() -> None:
    box = [0.1, 0.1, 0.2, 0.1, 0.2, 0.2, 0.1, 0.2]
    verdict = verdicts("local", local(item(7, box)), boxes="hbb")["box_outside"]
    assert found(verdict) == [f"object 7: {box}, 8 numbers, expected 4"]


def test_a_box_is_that_of_its_object() -> None:
    known = facts([("ship", 2)])  # 0.0125 high and 0.05 wide at the left edge, and 0.125 further right
    right = local(item(1, [0, 0.0125, 0.05, 0.0625], "ship"), item(2, [0.125, 0.0125, 0.17, 0.06], "vessel"))
    assert state(verdicts("local", right, known)["box_mismatch"]) == (4, 4, 0)
    swapped = local(item(2, [0, 0.0125, 0.05, 0.0625], "ship"), item(1, [0.125, 0.0125, 0.175, 0.0625], "airplane"))
    assert found(verdicts("local", swapped, known)["box_mismatch"]) == [
        "object 2: its box overlaps the annotated one by 0.00",
        "object 1: its box overlaps the annotated one by 0.00",
        "object 1: 'airplane', annotated: 'ship'",
    ]


def test_a_rotated_box_is_compared_as_a_polygon() -> None:
    shape = corners(400, 400, 200, 20, 0.7)
    known = facts(objects=(Object(category="ship", bbox=None, obb=shape),))
    shares = [v / 800 for v in shape]
    started_elsewhere = shares[2:] + shares[:2]
    for box in (shares, started_elsewhere):
        verdict = verdicts("local", local(item(1, box, "ship")), known, boxes="obb")["box_mismatch"]
        assert state(verdict) == (2, 2, 0)
    across = [v / 800 for v in corners(400, 400, 200, 20, 0.7 + 1.57)]
    verdict = verdicts("local", local(item(1, across, "ship")), known, boxes="obb")["box_mismatch"]
    assert found(verdict) == ["object 1: its box overlaps the annotated one by 0.05"]


def test_a_tiny_box_may_be_rounded() -> None:
    known = facts(objects=(Object(category="car", bbox=(402, 402, 407, 407)),))
    verdict = verdicts("local", local(item(1, [0.5, 0.5, 0.51, 0.51])), known)["box_mismatch"]
    assert state(verdict) == (2, 2, 0)


def test_without_a_stated_size_boxes_are_not_compared() -> None:
    known = facts([("ship", 1)], width=None, height=None)
    assert state(verdicts("local", local(item(1, [0.5, 0.5, 0.6, 0.6], "ship")), known)["box_mismatch"]) == (2, 1, 0)


def test_categories_of_a_kind_agree() -> None:
    known = facts([("vehicle", 1)])
    box = [0, 0.0125, 0.05, 0.0625]
    for category, expected in (("car", (2, 2, 0)), ("Vehicles", (2, 2, 0)), ("ship", (2, 2, 1)), ("thing", (2, 1, 0))):
        assert state(verdicts("local", local(item(1, box, category)), known)["box_mismatch"]) == expected


def test_numbers_are_those_of_the_list() -> None:
    known = facts([("ship", 2)])
    box = [0, 0.0125, 0.05, 0.0625]
    answer = local(
        item(1, box, relations=[Relation(to=1, relation="beside"), Relation(to=9, relation="left of")]), item(1, box)
    )
    assert found(verdicts("local", answer, known)["unknown_number"]) == [
        "relation of object 1: object 9, the list has 2",
        "object 1 is related to itself",
        "object 1 is described twice",
    ]
    turns = ConversationAnswer(turns=[ConversationTurn(question="Why?", answer="It is.", objects=[2, 3])] * 5)
    assert len(found(verdicts("conversation", turns, known)["unknown_number"])) == 5
    plan = planning(Step(action="Moor.", needs="the pier", objects=[3]))
    assert found(verdicts("planning", plan, known)["unknown_number"]) == ["step 1: object 3, the list has 2"]


# turn_shape


def test_later_turns_refer_to_earlier_ones() -> None:
    assert found(verdicts("conversation", talk())["turn_shape"]) == []
    apart = ("Where is the sand?", "Left."), ("Which roof is red?", "None."), ("Who sails?", "Nobody."), (
        "Where is grass?", "Right."), ("What grows?", "Trees.")  # fmt: skip
    assert found(conversation(*apart)["turn_shape"]) == ["no later question refers to an earlier turn"]
    noun = (("What lies left?", "A long jetty."), *apart[1:4], ("Where does the jetty end?", "Right."))
    assert found(conversation(*noun)["turn_shape"]) == []


def test_reasoning_has_all_kinds_and_steps_need_something() -> None:
    same = ReasoningItem(kind="purpose", question="What for?", answer="To unload ships.", objects=[])
    other = ReasoningItem(kind="inference", question="Is it busy?", answer="Yes, many ships lie here.", objects=[])
    assert found(verdicts("reasoning", ReasoningAnswer(items=[same, same, other]))["turn_shape"]) == [
        "no question of kind hypothetical"
    ]
    plan = planning(Step(action="Moor.", needs="None", objects=[]), Step(action="Wait.", needs="None", objects=[1]))
    assert found(verdicts("planning", plan)["turn_shape"]) == [
        "step 1: 'None' names no object and no part of the image"
    ]


# all of them


def test_every_check_says_what_it_is() -> None:
    for name, check in CHECKS.items():
        assert check.name == name
        assert set(check.stages) <= set(STAGES)
        assert check.severity in ("error", "warn")
        assert check.says[0].isupper() and check.says.endswith(".")


def test_checks_of_a_stage_are_those_that_apply_and_are_on() -> None:
    everything = detail("A pier.")
    assert list(everything) == [name for name, check in CHECKS.items() if "detail" in check.stages]
    some = judge(
        "detail", DetailAnswer(description="The north pier."), facts(), boxes="hbb", width=8, height=8,
        severities={"compass": "off", "language": "warn"},
    )  # fmt: skip
    assert everything.keys() - some.keys() == {"compass"}


def test_an_answer_of_no_stage_is_refused() -> None:
    with pytest.raises(TypeError, match="Region is no answer of a stage"):
        verdicts("detail", Region(region="top", content="A pier."))


GOOD = {
    "local": local(
        item(1, [0, 0.0125, 0.05, 0.0625], "ship", state="moored", relations=[Relation(to=2, relation="left of")])
    ),
    "global": scene(("ship", 5), ("harbor", 2), content="Three ships.", summary="A port with five ships."),
    "detail": DetailAnswer(
        description="Long concrete piers reach into dark water. Five ships are moored along them, the largest at the "
        "end of the left pier. Fourteen white storage tanks stand in two rows on land, linked by narrow roads. A "
        "bridge spans the river in the bottom right, and its shadow falls on the water. Trees line both banks."
    ),
    "conversation": talk(
        ("What kind of place is this?", "It is a small port with two piers."),
        ("How many ships can you see?", "There are five ships, all of them moored."),
        ("Are they of one size?", "No, the one at the end of the pier is twice as long as the others."),
        ("Is there an airport nearby?", "No, there is no airport in the image."),
        ("What stands behind the piers?", "Behind them stand fourteen storage tanks with white roofs."),
    ),
    "reasoning": ReasoningAnswer(
        items=[
            ReasoningItem(
                kind="hypothetical", question="What would happen if the bridge were closed?",
                answer="Trucks would have to go around the river, which would take longer.", objects=[],
            ),
            ReasoningItem(
                kind="purpose", question="Why do the storage tanks stand close to the piers?",
                answer="Fuel can be pumped from a ship into the tanks over a short distance.", objects=[1],
            ),
            ReasoningItem(
                kind="inference", question="Is the port in use?",
                answer="Yes, the five ships and the worn piers suggest that it is.", objects=[1],
            ),
        ]
    ),
    "planning": PlanningAnswer(
        goal="Refuel a ship at the left pier.",
        steps=[
            Step(action="Moor the ship at the free end of the pier.", needs="The left pier.", objects=[1]),
            Step(action="Lay a hose from the nearest tank.", needs="The storage tanks on land.", objects=[]),
        ],
        constraints=["The water near the shore may be too shallow for a large ship."],
    ),
}  # fmt: skip
"""Answers of a careful model, in its style: the annotations agree with all of it."""


@pytest.mark.parametrize("stage", STAGES)
def test_nothing_is_held_against_a_good_answer(stage: Stage) -> None:
    found_in = verdicts(stage, GOOD[stage], facts(gsd=0.3))
    assert {name: found(verdict) for name, verdict in found_in.items() if verdict.findings} == {}
    for verdict in found_in.values():
        assert verdict.claims >= verdict.judged


WORDS = (
    "three 3 1,200 two-to - twenty hundred and a dozen of no ships ship tennis court harbour 's ? ! . , ( [ 0.5 there "
    "are is many how if { } object 3 north İ ß ² ٣ 9999999999999 one single pair bridge don't"
)
TEXTS = st.one_of(
    st.text(min_size=1, max_size=80),
    st.lists(
        st.sampled_from(WORDS.split()),
        min_size=1,
        max_size=25,
    ).map(" ".join),
).filter(lambda text: bool(text.strip()))

NUMBERS = st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.floats(0, 1))


@settings(max_examples=150, deadline=None)
@given(st.lists(TEXTS, min_size=12, max_size=12), st.lists(NUMBERS, min_size=4, max_size=8), st.integers(1, 9))
def test_no_text_and_no_box_makes_a_check_fail(texts: list[str], box: list[float], number: int) -> None:
    known = facts(gsd=0.5, captions=(texts[0],), expressions=((0, texts[1]),))
    turns = [ConversationTurn(question=texts[i], answer=texts[i + 1], objects=[number]) for i in range(0, 10, 2)]
    items = [ReasoningItem(kind="purpose", question=t.question, answer=t.answer, objects=[number]) for t in turns[:3]]
    relations = [Relation(to=number, relation=texts[2])]
    one = LocalObject(
        number=number, category=texts[0], box=box, color=texts[1], state=None, description=texts[3], relations=relations
    )
    answers: dict[Stage, BaseModel] = {
        "local": LocalAnswer(objects=[one, one]),
        "global": scene((texts[0], number), content=texts[4], summary=texts[5]),
        "detail": DetailAnswer(description=texts[6] + texts[7]),
        "conversation": ConversationAnswer(turns=turns),
        "reasoning": ReasoningAnswer(items=items),
        "planning": planning(Step(action=texts[8], needs=texts[9], objects=[number])),
    }
    for stage, answer in answers.items():
        for verdict in verdicts(stage, answer, known, boxes="obb").values():
            assert 0 <= verdict.judged <= verdict.claims


def test_captions_that_people_wrote_are_rarely_held_against() -> None:
    """RSICD's captions of its test split: English, about the image, of no known north."""
    lines = shared("realdata", "rsicd", "precomp", "test_caps.txt").read_text().split("\n")
    captions = [line for line in lines if line.strip()]
    held = {"language": 0, "leaked_prompt": 0, "compass": 0}
    for caption in captions:
        verdict = detail(caption, facts((), ()))
        for name in held:
            held[name] += bool(verdict[name].findings)
    shares = {name: count / len(captions) for name, count in held.items()}
    assert shares["language"] < 0.001
    assert shares["leaked_prompt"] < 0.001
    assert shares["compass"] < 0.01
