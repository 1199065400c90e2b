"""What the words of all stages start from: the facts of a question, and choices by its hash."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from rs_gpt4v_conversion.gpt4v.asking.describing import Line
from rs_gpt4v_conversion.gpt4v.stub.faults import share_of
from rs_gpt4v_conversion.gpt4v.stub.noting import Notes, sentences
from rs_gpt4v_conversion.gpt4v.stub.phrases import T, amount, beside, family, ground, one, place

_NAMED = 4  # categories that one sentence names

_UNFIT = re.compile(
    r"\b(north|south|east|west)\w*|\b(image|picture|photo|photograph|caption)s?\b|\b(may|might|could|maybe|perhaps|"
    r"possibly|probably|likely|seems?|appears?|looks? like)\b|[\[\]{}<>|]",
    re.IGNORECASE,
)
"""What our own prompts forbid; captions of people have it."""

_COUNTS = re.compile(
    r"\d|\b(one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|dozens?|single|pair)\b", re.IGNORECASE
)
_VERB = re.compile(
    r"\s+(is|are|was|were|has|have|lies?|stands?|in|on|at|with|near|next|beside|around|surrounded|and|by|which|that|"
    r"where|who|there|between|along|through|can)\b.*",
    re.IGNORECASE,
)

_NO_NOUN = frozenset(
    {
        "in", "on", "at", "next", "near", "beside", "there", "here", "it", "this", "that", "these", "those",
        "with", "we", "you", "some",
    }
)  # fmt: skip
"""First words of captions that begin with no thing."""

_NOTHING = "Open land with few marks lies below, seen from straight above."


@dataclass(frozen=True)
class View:
    """One image as an answer speaks of it."""

    notes: Notes
    key: str  # hash of the request

    def pick(self, *options: T) -> T:
        """One of the options, the same at each call with them."""
        return options[int(share_of(self.key, *options) * len(options))]

    def ordered(self, items: Sequence[T]) -> list[T]:
        """The items in an order that the hash decides."""
        return sorted(items, key=lambda item: share_of(self.key, "order", item))

    @cached_property
    def categories(self) -> list[str]:
        """The most frequent one first."""
        numbers = self.notes.numbers or Counter(line.category for line in self.notes.lines)
        return sorted(numbers, key=lambda c: (-numbers[c], c))

    @cached_property
    def captions(self) -> list[str]:
        """Those of the source that fit, in whole sentences; at most one of them names a number."""
        found: dict[str, None] = {}
        counted = False
        for caption in self.ordered(self.notes.captions):
            for sentence in sentences(re.sub(r"\s+([.,!?;])", r"\1", " ".join(caption.split()))):
                counts = _COUNTS.search(sentence) is not None
                if _UNFIT.search(sentence) or (counts and counted):
                    continue
                counted = counted or counts
                text = sentence.rstrip(" .!?,;")
                found[f"{text[:1].upper()}{text[1:]}."] = None
        return list(found)

    @cached_property
    def told(self) -> list[str]:
        """Sentences on the scene that were given: of an earlier answer, or of captions. There is at least one."""
        return list(self.notes.sentences) or self.captions or [_NOTHING]

    @property
    def scene(self) -> str:
        """The kind of place, a few words: `stretch of water with several ships`."""
        if self.notes.scene:
            return self.notes.scene
        if self.categories:
            first = self.categories[0]
            return f"{ground(first).removeprefix('a ')} with {self.amounts([first])[0]}"
        if self.captions:
            words = _VERB.sub("", self.captions[0].rstrip(".")).split()
            if 2 <= len(words) <= 6 and words[0].lower() not in _NO_NOUN:
                return f"{words[0].lower()} {' '.join(words[1:])}"
        return "open land from above"

    def amounts(self, categories: Sequence[str]) -> list[str]:
        """How many there are of some categories: `three ships`, `several cars`."""
        return [amount(c, self.notes.numbers.get(c, 1), c in self.notes.exact) for c in categories[:_NAMED]]

    def spoken(self, line: Line) -> str:
        """An object with its place: `a ship at the top left`."""
        return f"{one(line.category)} {place(line.part)}"

    def neighbour(self, line: Line) -> str:
        """What is next to an object: `to the left of a harbor`; empty where nothing is."""
        if not line.neighbours:
            return ""
        near = line.neighbours[0]
        other = f"another {near.category}" if near.category == line.category else one(near.category)
        if near.category == line.category and near.category.startswith("other "):
            other = f"the next {near.category.removeprefix('other ')}"
        return f"{beside(near)} {other}"

    def pronoun(self, line: Line) -> str:
        """How a later question speaks of an object: `it`."""
        return f"that {line.category}" if family(line.category) == "person" else "it"

    def verb(self, category: str) -> str:
        """What one thing of a category does: it lies or stands."""
        return "stands" if family(category) in ("flying", "rolling", "person") else "lies"
