"""What checks make of words: tokens, numbers, sentences, the lexicon, and what annotations say of a concept."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rs_gpt4v_conversion.gpt4v.checks.known import Known
from rs_gpt4v_conversion.gpt4v.checks.lexicon import LOOKALIKES, PRINCIPAL, lexicon, lexicon_of
from rs_gpt4v_conversion.gpt4v.checks.mentions import find_mentions
from rs_gpt4v_conversion.gpt4v.checks.text import Piece, marks_of, number_before, sentence, tokens, tokens_of
from rs_gpt4v_conversion.gpt4v.records import Facts
from rs_gpt4v_conversion.records import Object
from rs_gpt4v_conversion.sources import dota, fair1m, hit_uav, hrrsd, hrsc2016, msar, nwpu_vhr10, sardet_100k, ssdd
from rs_gpt4v_conversion.sources._dior import SEARCHED as DIOR
from rs_gpt4v_conversion.templates.words import plural

SOURCES = {
    "dior": DIOR,
    "dota": tuple(name.replace("-", " ") for names in dota.CATEGORIES.values() for name in names),
    "fair1m": tuple(fair1m.CATEGORIES.values()),
    "hit_uav": hit_uav.SEARCHED,
    "hrrsd": tuple(hrrsd.CATEGORIES.values()),
    "hrsc2016": hrsc2016.FINE,
    "msar": tuple(msar.CATEGORIES.values()),
    "nwpu_vhr10": nwpu_vhr10.CATEGORIES,
    "sardet_100k": tuple(sardet_100k.WORDS.values()),
    "ssdd": tuple(ssdd.WORDS.values()),
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Don't count 1,200 ships.", ["don't", "count", "1,200", "ships", "."]),
        ("A T-junction - and 3.5 % more!", ["a", "t", "-", "junction", "- ", "and", "3.5", "%", "more", "!"]),
        ("The airbus A220s’ café…", ["the", "airbus", "a220s", "café"]),
        ("x_y, (z)", ["x", "y", ",", "(", "z", ")"]),
        ("", []),
    ],
)
def test_tokens(text: str, expected: list[str]) -> None:
    assert tokens(text) == expected


PIECES = st.text(alphabet=st.sampled_from("abK19 .,;!?()-'’–_\"%\n\t\0éİΣ٣"), max_size=12)


@given(st.lists(st.one_of(PIECES, st.text(max_size=12))))
def test_texts_taken_apart_at_once_have_the_tokens_of_each(texts: list[str]) -> None:
    assert tokens_of(texts) == [tokens(text) for text in texts]


@pytest.mark.parametrize(
    "text",
    [
        "Three well-known ships, (2 of 10) lie near the pier's end; why?",
        "It costs 1,200 and 3.5 - or 'more', at 5, and 6.",
        "a-b-c -d e- 'f' g''h i'j-k -",
        'A snake_case word, a "quoted" one, an em dash – and a curly pier’s.',
    ],
)
def test_blanks_part_no_other_tokens(text: str) -> None:
    for end in range(len(text) + 1):
        assert tokens_of([text[:end], text[end:]]) == [tokens(text[:end]), tokens(text[end:])]


def test_marks() -> None:
    assert marks_of(["A ship, 3 m.", "é\ud800\n"]) == ",3.é\ud800\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("three", 3),
        ("3", 3),
        ("1,200", 1200),
        ("12,345,678", 12345678),
        ("twenty-one", 21),
        ("twenty one", 21),
        ("one hundred and twenty", 120),
        ("two thousand three hundred", 2300),
        ("2 hundred", 200),
        ("a dozen", 12),
        ("two dozen", 24),
        ("two to three", None),
        ("two or three", None),
        ("3-5", None),
        ("three four", None),
        ("12,34", ""),
        ("3.5", ""),
        ("3rd", ""),
        ("99999999999999", ""),
        ("٣", ""),
        ("many", ""),
    ],
)
def test_numbers(text: str, expected: int | str | None) -> None:
    words = tokens(text)
    found = number_before(words, len(words))
    assert (found[0] if found else "") == expected


WORDS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"
)
TENS = "twenty thirty forty fifty sixty seventy eighty ninety"


def spelled(number: int) -> str:
    """A number below a million in words."""
    ones = [*WORDS.split(), "eighteen", "nineteen"]
    if number >= 1000:
        return f"{spelled(number // 1000)} thousand" + (f" {spelled(number % 1000)}" if number % 1000 else "")
    if number >= 100:
        return f"{ones[number // 100]} hundred" + (f" and {spelled(number % 100)}" if number % 100 else "")
    if number >= 20:
        return TENS.split()[number // 10 - 2] + (f"-{ones[number % 10]}" if number % 10 else "")
    return ones[number]


@given(st.integers(1, 999_999))
def test_a_number_is_the_same_in_words_and_in_digits(number: int) -> None:
    for text in (spelled(number), f"{number:,}", str(number)):
        words = tokens(f"there are {text} ships")
        assert number_before(words, len(words) - 1) == (number, 2)


def test_sentences() -> None:
    words = tokens("A pier. Two ships! Why?")
    assert [sentence(words, i) for i in (0, 3, 6)] == [(0, 2), (3, 5), (6, 7)]


def mentioned(text: str, categories: tuple[str, ...] = ()) -> list[str]:
    piece = Piece(text, "statement", "description")
    return [mention.concept for mention in find_mentions([piece], lexicon(categories))]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("tennis courts and a court", ["tennis court"]),
        ("a ground track field, a ground-track field", ["ground track field", "ground track field"]),
        ("an aircraft carrier with aircraft", ["aircraft carrier", "aircraft"]),
        ("a helicopter on a helicopter pad", ["helicopter", "helipad"]),
        ("an expressway service area and a service area", ["expressway service area", "expressway service area"]),
        ("harbor and Harbour and harbors", ["harbor", "harbor", "harbor"]),
        ("a bus at the bus stop", ["bus"]),
        ("ferries, lorries, buses and people", ["ferry", "truck", "bus", "person"]),
        ("it ships goods to the ship", ["ship", "ship"]),  # a noun after it is far; only a particle makes a verb
        ("they ship goods that bridge the gap", []),
        ("the harbor area, a ship-like roof, a non-vehicle", []),
        ("a football pitch by a railway station", ["football field", "train station"]),
        ("oil tanks and a tank", ["storage tank"]),
        ("a crossroads and two crossroads", ["crossroad", "crossroad"]),
    ],
)
def test_the_longest_phrase_counts(text: str, expected: list[str]) -> None:
    assert mentioned(text) == expected


@pytest.mark.parametrize("source", SOURCES)
def test_every_category_of_a_source_is_read_in_both_numbers(source: str) -> None:
    categories = SOURCES[source]
    words = lexicon(categories)
    for category in categories:
        for text in (category, plural(category), category.upper()):
            assert words.named(text) == words.concept(category), text
            assert mentioned(f"Here: {text}.", categories) == [words.concept(category)], text


def test_only_categories_that_the_table_does_not_have_make_another_lexicon() -> None:
    assert lexicon_of(("ship",), {"ship", "small car", "bus"}) is lexicon_of(("ship",), {"van"})
    other = lexicon_of(("ship",), {"solar panel"})
    assert other is not lexicon_of(("ship",), set())
    assert other.named("solar panels") == "solar panel"


def test_categories_of_users_are_concepts_of_their_own() -> None:
    assert mentioned("two solar panels and a solar panel", ("solar panel",)) == ["solar panel", "solar panel"]
    assert mentioned("two solar panels") == []
    assert mentioned("- ?", ("?", "-")) == []


def test_the_tables_name_concepts_that_are_there() -> None:
    words = lexicon(())
    for name in (*LOOKALIKES, *(other for others in LOOKALIKES.values() for other in others), *PRINCIPAL.values()):
        assert words.named(name) == name


def known(searched: tuple[str, ...], marked: dict[str, int], **more) -> Known:
    objects = tuple(Object(category=c, bbox=(0, 0, 9, 9)) for c, count in marked.items() for _ in range(count))
    facts = Facts(record="a/train/1", searched=searched, **{"objects": objects, **more})
    return Known(facts, lexicon(tuple(sorted({*searched, *marked}))))


@pytest.mark.parametrize(
    ("concept", "expected"),
    [
        ("car", (3, 3)),
        ("vehicle", (5, 5)),  # cars and others are all
        ("truck", (0, 5)),  # some of the others may be
        ("bicycle", (0, 0)),
        ("ship", (0, None)),
    ],
)
def test_bounds(concept: str, expected: tuple[int, int | None]) -> None:
    assert known(hit_uav.SEARCHED, {"car": 3, "other vehicle": 2}).bounds(concept) == expected


def test_bounds_of_what_is_in_doubt() -> None:
    doubted = known(hit_uav.SEARCHED, {"car": 3, "other vehicle": 2}, uncertain=("car",))
    assert doubted.bounds("car") == (1, None)
    assert doubted.bounds("vehicle") == (3, None)  # two others, and a car at least
    assert doubted.bounds("other vehicle") == (2, 2)
    crowd = (Object(category="crowd", bbox=(0, 0, 9, 9), ignore=True), Object(category="car", bbox=(0, 0, 9, 9)))
    assert known(hit_uav.SEARCHED, {}, objects=crowd).bounds("person") == (0, None)
    assert known(hit_uav.SEARCHED, {}, objects=crowd).bounds("car") == (1, None)


def test_what_looks_alike_leaves_the_most_open() -> None:
    assert known(DIOR, {"overpass": 1}).bounds("bridge") == (0, None)
    assert known(DIOR, {"ship": 1}).bounds("bridge") == (0, 0)
    assert known(DIOR, {"airplane": 1}).bounds("airport") == (0, None)
