"""Questions about a landscape in the manner of RSVQA, answered from what was drawn."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from rs_gpt4v_conversion.sample.landscape import Feature, Landscape

PRESENCE = ("Is there a {one}?", "Is a {one} present?", "Is there a {one} in the image?")
COUNT = (
    "How many {many} are there?",
    "What is the number of {many}?",
    "What is the amount of {many}?",
)
MORE, LESS = "Are there more {a} than {b}?", "Are there less {a} than {b}?"
EQUAL = "Is the number of {a} equal to the number of {b}?"
AREA = "What is the area covered by {many}?"
RURAL_URBAN = "Is it a rural or an urban area"  # RSVQA's own has no question mark either
NEXT_TO_ROAD = "How many residential buildings are next to a  road?"  # two blanks, as in RSVQA

KINDS = ("building", "residential building", "commercial building", "road", "water area", "forest")
AREA_KINDS = ("building", "residential building", "commercial building", "water area")
"""Not roads: they cross, so their areas do not add up."""

ATTEMPTS = 10
"""Tries a question: chance repeats itself, and there are few questions of some types."""


@dataclass(frozen=True, slots=True)
class Question:
    """A question with its type and its only right answer."""

    type: str
    text: str
    answer: str


def ask(
    landscape: Landscape,
    types: tuple[str, ...],
    count: int,
    metres: float,
    rng: np.random.Generator,
) -> list[Question]:
    """Ask different questions about a landscape, of each type in turn.

    Args:
        landscape: What was drawn.
        types: Some of presence, count, comp, area, rural_urban; the last has one question only,
            which is asked first.
        count: Number of questions, if there are as many.
        metres: Side of a pixel.
        rng: Source of chance.
    """
    questions = []
    if "rural_urban" in types:
        answer = "urban" if landscape.urban else "rural"
        questions.append(Question("rural_urban", RURAL_URBAN, answer))
    turns = [t for t in types if t != "rural_urban"]
    asked = {q.text for q in questions}
    for turn in range(ATTEMPTS * count):
        if len(questions) == count:
            break
        question = ASKERS[turns[turn % len(turns)]](landscape.features, metres, rng)
        if question.text not in asked:
            asked.add(question.text)
            questions.append(question)
    return questions


def next_to_road(landscape: Landscape) -> Question:
    """The question with a double space."""
    near = [f for f in landscape.features if f.kind == "residential building" and f.next_to_road]
    return Question("count", NEXT_TO_ROAD, str(len(near)))


def _counts(features: tuple[Feature, ...]) -> Counter[str]:
    counts = Counter(f.kind for f in features)
    counts["building"] = sum(n for kind, n in counts.items() if kind.endswith(" building"))
    return counts


def _kind(rng: np.random.Generator) -> str:
    return KINDS[int(rng.integers(len(KINDS)))]


def _presence(features: tuple[Feature, ...], metres: float, rng: np.random.Generator) -> Question:
    kind, form = _kind(rng), PRESENCE[int(rng.integers(len(PRESENCE)))]
    return Question("presence", form.format(one=kind), _yes(_counts(features)[kind] > 0))


def _count(features: tuple[Feature, ...], metres: float, rng: np.random.Generator) -> Question:
    kind, form = _kind(rng), COUNT[int(rng.integers(len(COUNT)))]
    return Question("count", form.format(many=f"{kind}s"), str(_counts(features)[kind]))


def _comp(features: tuple[Feature, ...], metres: float, rng: np.random.Generator) -> Question:
    counts = _counts(features)
    a, b = (KINDS[int(i)] for i in rng.permutation(len(KINDS))[:2])
    more, less = counts[a] > counts[b], counts[a] < counts[b]
    results = {MORE: more, LESS: less, EQUAL: not (more or less)}
    form = list(results)[int(rng.integers(len(results)))]
    return Question("comp", form.format(a=f"{a}s", b=f"{b}s"), _yes(results[form]))


def _area(features: tuple[Feature, ...], metres: float, rng: np.random.Generator) -> Question:
    kind = AREA_KINDS[int(rng.integers(len(AREA_KINDS)))]
    pixels = sum(f.pixels for f in features if f.kind.endswith(kind))
    return Question("area", AREA.format(many=f"{kind}s"), f"{round(pixels * metres**2)}m2")


def _yes(holds: bool) -> str:
    return "yes" if holds else "no"


ASKERS: dict[str, Callable[[tuple[Feature, ...], float, np.random.Generator], Question]] = {
    "presence": _presence,
    "count": _count,
    "comp": _comp,
    "area": _area,
}
"""By type."""
