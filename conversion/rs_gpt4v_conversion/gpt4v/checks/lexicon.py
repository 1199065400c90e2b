"""What words of a text mean which category: synonyms, plurals, kinds of kinds.

A text says `boat` where a source marks ships, or `vehicles` where it marks cars and other vehicles. So words and
categories are both mapped to *concepts*, each of which is a kind of at most one wider concept. A category that is not
in the table is a concept of its own, named as it is.

The longest phrase counts: `tennis court` is no `court`, `aircraft carrier` no `aircraft`, `helicopter pad` no
`helicopter`. Words that mean too much alone (`court`, `field`, `track`, `tank`, `port`, `pool`) are in no phrase of one
word.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from functools import lru_cache

from rs_gpt4v_conversion.gpt4v.checks.text import ENDS, is_word, tokens
from rs_gpt4v_conversion.templates.words import plural

_TABLE = """
aircraft
airplane < aircraft: plane, aeroplane, airliner, jet
other airplane < airplane
boeing 737 < airplane
boeing 747 < airplane
boeing 777 < airplane
boeing 787 < airplane
airbus a220 < airplane
airbus a321 < airplane
airbus a330 < airplane
airbus a350 < airplane
comac c919 < airplane
comac arj21 < airplane
helicopter < aircraft: chopper
helipad: helicopter pad, helicopter landing pad
airport: airfield
ship: vessel
other ship < ship
boat < ship
motorboat < boat: motor boat, speedboat, speed boat
fishing boat < boat: fishing vessel
sailboat < boat: sailing boat, sailing vessel
yacht < boat
tugboat < boat: tug boat, tug
passenger ship < ship
cruise ship < passenger ship: cruise liner
ferry < ship
merchant ship < ship
cargo ship < ship: cargo vessel, freighter
dry cargo ship < cargo ship: bulk carrier
liquid cargo ship < cargo ship: oil tanker
container ship < cargo ship: container vessel
engineering ship < ship
medical ship < ship: hospital ship
car carrier < ship
warship < ship: naval vessel, naval ship
warcraft < ship
aircraft carrier < ship
submarine < ship
hovercraft < ship
harbor: harbour, marina
container crane: gantry crane
bridge
overpass: flyover
dam
vehicle: motor vehicle
large vehicle < vehicle
small vehicle < vehicle
other vehicle < vehicle
car < vehicle: automobile, sedan
small car < car
truck < vehicle: lorry
cargo truck < truck
dump truck < truck
truck tractor < truck
bus < vehicle
van < vehicle
trailer < vehicle
tractor < vehicle
excavator < vehicle
bicycle: bike
person: pedestrian
storage tank: oil tank, fuel tank, oil storage tank, fuel storage tank, storage silo
chimney: smokestack
windmill: wind turbine, wind mill
baseball field: baseball diamond, baseball court
basketball court
tennis court
football field: soccer field, soccer ball field, soccer pitch, football pitch
ground track field: running track, athletics track, athletic track, track and field stadium
golf field: golf course
stadium
swimming pool
roundabout: traffic circle
intersection
crossroad < intersection: crossroads
t junction < intersection
parking lot: car park
train station: railway station, rail station
expressway service area: service area, highway service area
expressway toll station: toll station, toll plaza, toll gate
"""
"""`concept < wider concept: synonyms`; plurals are formed."""

_NOTHING = (
    "bus stop", "bus station", "ship channel", "bus lane", "car wash", "truck stop", "car dealership",
    "vehicle track", "boat ramp", "boat house", "bike lane", "bicycle lane", "plane tree", "aircraft hangar",
    "airplane hangar", "ship lift", "vehicle lane", "jet bridge", "boarding bridge", "land bridge", "jet ski",
)  # fmt: skip
"""Phrases that begin with a word of the table and mean something else."""

PRINCIPAL = {"aircraft": "airplane", "vehicle": "large vehicle", "intersection": "crossroad"}
"""A source that marks all of these has marked all of the wider concept: of its other kinds few are ever meant."""

LOOKALIKES: dict[str, tuple[str, ...]] = {
    "airport": ("aircraft", "helipad"),
    "harbor": ("ship", "container crane"),
    "parking lot": ("vehicle",),
    "stadium": ("ground track field", "football field", "baseball field"),
    "ground track field": ("stadium", "football field"),
    "football field": ("ground track field", "stadium"),
    "bridge": ("overpass", "dam"),
    "overpass": ("bridge", "intersection"),
    "dam": ("bridge",),
    "intersection": ("roundabout", "overpass"),
    "crossroad": ("t junction", "roundabout", "overpass"),
    "t junction": ("crossroad",),
    "roundabout": ("intersection",),
    "expressway service area": ("expressway toll station", "parking lot"),
    "train station": (),
}
"""Where one of the second is marked, no more is said of the first than that: annotators draw the line elsewhere, or one
follows from the other, as an airport does from parked airplanes."""


@dataclass(frozen=True, slots=True)
class Phrase:
    """Words that mean a concept."""

    words: tuple[str, ...]
    concept: str  # empty where they mean none
    one: bool  # they may be a singular
    many: bool  # they may be a plural


@dataclass(frozen=True, slots=True)
class Phrases:
    """All phrases that begin with a word."""

    alone: Phrase | None  # the word itself
    longer: Mapping[str, tuple[Phrase, ...]]  # by their second words, the longest first

    def at(self, words: Sequence[str], place: int) -> Phrase | None:
        """The longest one that stands at a place of a text."""
        if self.longer and place + 1 < len(words) and words[place + 1] in self.longer:
            for phrase in self.longer[words[place + 1]]:
                size = len(phrase.words)
                if size == 2 or tuple(words[place : place + size]) == phrase.words:
                    return phrase
        return self.alone


def _read_table() -> tuple[dict[str, str], dict[str, str]]:
    concepts: dict[str, str] = {}
    wider: dict[str, str] = {}
    for line in filter(None, _TABLE.split("\n")):
        head, _, synonyms = line.partition(":")
        concept, _, kind_of = (part.strip() for part in head.partition("<"))
        for name in (concept, *filter(None, (s.strip() for s in synonyms.split(",")))):
            concepts.setdefault(name, concept)
        if kind_of:
            wider[concept] = kind_of
    return concepts, wider


_CONCEPTS, _WIDER = _read_table()
"""Every name of the table in the singular with its concept, and concepts with those that they are a kind of."""


class Lexicon:
    """The table, and the categories of some sources that are not in it."""

    def __init__(self, categories: Sequence[str]) -> None:
        # the table comes first: what is spelled alike is of its concept
        self._concepts = _CONCEPTS | {category: category for category in categories if category not in _CONCEPTS}
        self.first: dict[str, Phrases] = _by_first_word(self._phrases())
        self.stops = ENDS.union(self.first)  # where a reader of a text stops: a phrase may begin, or a sentence ends
        self._lines: dict[str, tuple[str, ...]] = {}

    def concept(self, category: str) -> str:
        """The concept of a source's category."""
        return self._concepts.get(category, category)

    def concepts(self, categories: Sequence[str]) -> frozenset[str]:
        """Those of some categories."""
        return frozenset([self._concepts.get(category, category) for category in categories])

    def named(self, text: str) -> str | None:
        """The concept of a text that is a name and nothing else, in the singular or the plural: `Small vehicles`."""
        words = _of_name(text)
        if not words or words[0] not in self.first:
            return None
        phrase = self.first[words[0]].at(words, 0)
        return phrase.concept or None if phrase and len(phrase.words) == len(words) else None

    def line(self, concept: str) -> tuple[str, ...]:
        """The concept and all that it is a kind of, the widest last."""
        line = self._lines.get(concept)
        if line is None:
            found = [concept]
            while (wider := _WIDER.get(found[-1])) is not None:
                found.append(wider)
            line = self._lines[concept] = tuple(found)
        return line

    def _phrases(self) -> list[Phrase]:
        found: dict[tuple[str, ...], Phrase] = {}
        for name, concept in [*((n, "") for n in _NOTHING), *self._concepts.items()]:
            one, many = tuple(tokens(name)), tuple(tokens(plural(name)))
            for words in (one, many):
                for spelled in _spellings(words):
                    phrase = Phrase(spelled, concept, words == one, words == many or name == "crossroads")
                    found.setdefault(spelled, phrase)
        return [phrase for words, phrase in found.items() if any(map(is_word, words))]  # no category of marks alone


def _spellings(words: tuple[str, ...]) -> list[tuple[str, ...]]:
    """With blanks, and with a hyphen after the first word: `ground-track field`."""
    if len(words) < 2 or "-" in words:
        return [words]
    return [words, (words[0], "-", *words[1:])]


def _by_first_word(phrases: Sequence[Phrase]) -> dict[str, Phrases]:
    alone = {phrase.words[0]: phrase for phrase in phrases if len(phrase.words) == 1}
    longer: dict[str, dict[str, list[Phrase]]] = defaultdict(lambda: defaultdict(list))
    for phrase in sorted(phrases, key=lambda phrase: -len(phrase.words)):
        if len(phrase.words) > 1:
            longer[phrase.words[0]][phrase.words[1]].append(phrase)
    return {
        word: Phrases(alone.get(word), {second: tuple(some) for second, some in longer.get(word, {}).items()})
        for word in {**alone, **longer}
    }


@lru_cache(maxsize=4096)
def _of_name(text: str) -> tuple[str, ...]:
    """Its tokens: the same few names come again and again."""
    return tuple(tokens(text))


@lru_cache(maxsize=256)
def lexicon(categories: tuple[str, ...]) -> Lexicon:
    """The lexicon of texts about images whose source has these categories."""
    return Lexicon(categories)


def lexicon_of(searched: tuple[str, ...], others: Set[str]) -> Lexicon:
    """The lexicon of texts about an image.

    Args:
        searched: Categories of its source, the same for many images.
        others: Those of the image that may not be among them. Where the table has them, they make no other lexicon.
    """
    own = [category for category in others if category not in _CONCEPTS and category not in searched]
    return lexicon((*searched, *sorted(own)) if own else searched)
