"""What the checks of generated answers cost: CPU time by stage, and of a mix in which every stage has as many answers.

Answers are put together from sentences in the style of a model's: each answer has its own numbers, categories and
order of sentences, and one in ten says something wrong. Beside each stage is the time in which the same answers are
parsed and validated, as import does before it. Medians of the rounds, in which the stages take turns.

    python benchmarks/gpt4v_checks.py [--answers 300] [--rounds 7]
"""

import argparse
import random
import statistics
import time
from collections.abc import Callable
from typing import Any

from pydantic import BaseModel

from rs_gpt4v_conversion.geometry import corners
from rs_gpt4v_conversion.gpt4v.checks import judge
from rs_gpt4v_conversion.gpt4v.records import STAGES, Facts, Stage
from rs_gpt4v_conversion.gpt4v.schemas import ANSWERS
from rs_gpt4v_conversion.records import Object
from rs_gpt4v_conversion.sources._dior import SEARCHED
from rs_gpt4v_conversion.templates.words import plural

SIDE = 800
"""Of an image, pixels."""

NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")

SENTENCES = (
    "A wide road runs from the top left to the bottom right and is lined by trees on both sides.",
    "The buildings are mostly low, with grey and red roofs, and stand close together in regular blocks.",
    "Long shadows fall to the left of the taller buildings, which suggests that the sun is low.",
    "The open ground between the road and the water is covered by grass with some bare patches.",
    "A narrow path leads from the parking area to the shore and ends at a small wooden jetty.",
    "The water in the lower part is dark and calm, with a lighter band of shallows near the shore.",
    "Several fields of different greens fill the upper right, divided by straight hedges.",
    "At the edge of the built-up area lies a large flat roof with rows of vents on top of it.",
)


def make_facts(rng: random.Random) -> Facts:
    """Fifteen objects of four of DIOR's categories, with both kinds of boxes."""
    categories = rng.sample(SEARCHED, 4)
    objects = []
    for i in range(15):
        x, y = rng.uniform(60, SIDE - 60), rng.uniform(60, SIDE - 60)
        obb = corners(x, y, 80, 30, rng.uniform(0, 3))
        objects.append(Object(category=categories[i % 4], bbox=(x - 40, y - 40, x + 40, y + 40), obb=obb))
    return Facts(record="dior/train/00001", width=SIDE, height=SIDE, objects=tuple(objects), searched=SEARCHED, gsd=0.5)


class Writer:
    """Writes answers about one image."""

    def __init__(self, rng: random.Random, facts: Facts) -> None:
        self.rng, self.facts = rng, facts
        self.counts = {c: sum(o.category == c for o in facts.objects) for c in {o.category for o in facts.objects}}
        self.categories = sorted(self.counts)

    def count(self, category: str) -> str:
        """A sentence with a number, wrong once in ten times."""
        number = self.counts[category] + (self.rng.random() < 0.1)
        return f"There are {NUMBERS[number]} {plural(category)} in the image."

    def prose(self, sentences: int) -> str:
        """Sentences about the image, one of them with a number."""
        chosen = self.rng.sample(SENTENCES, sentences - 1)
        chosen.insert(self.rng.randrange(sentences), self.count(self.rng.choice(self.categories)))
        return " ".join(chosen)

    def turns(self) -> list[dict[str, Any]]:
        """Seven turns: a scene, two counts, a presence and three of prose."""
        one, other = self.rng.sample(self.categories, 2)
        absent = self.rng.choice([c for c in SEARCHED if c not in self.counts])
        pairs = [
            ("What can you see in this image?", self.prose(3)),
            (f"How many {plural(one)} are there in the image?", self.count(one)),
            (f"Where do the {plural(other)} lie?", f"Most of the {plural(other)} lie near the road. " + self.prose(2)),
            (f"Is there a {absent} in the image?", f"No, there is no {absent} in the image."),
            ("What does the area around them look like?", self.rng.choice(SENTENCES)),
            (f"How do they compare with the {plural(one)}?", f"Each {one} is larger and casts a longer shadow."),
            ("What would change if the road were closed?", "Traffic would have to take the narrow path instead."),
        ]
        return [{"question": q, "answer": a, "objects": [1, 2]} for q, a in pairs]

    def answer(self, stage: Stage) -> dict[str, Any]:
        """An answer in the form of a stage."""
        return {
            "local": self.local,
            "global": self.whole,
            "detail": lambda: {"description": self.prose(7)},
            "conversation": lambda: {"turns": self.turns()},
            "reasoning": self.reasoning,
            "planning": self.planning,
        }[stage]()

    def local(self) -> dict[str, Any]:
        """All objects with their rotated boxes."""
        objects = [
            {
                "number": i + 1, "category": item.category, "box": self.box(item), "color": "grey",
                "state": None, "description": f"A {item.category} beside the road, with a short shadow on its left.",
                "relations": [{"to": (i + 1) % 15 + 1, "relation": "to the left of"}],
            }
            for i, item in enumerate(self.facts.objects)
        ]  # fmt: skip
        return {"objects": objects}

    def box(self, item: Object) -> list[float]:
        """An object's rotated box with three places; one in ten is drawn anew, up to 16 pixels away."""
        moved = self.rng.uniform(-16, 16) if self.rng.random() < 0.1 else 0.0
        return [round((v + moved) / SIDE, 3) for v in item.obb or ()]

    def whole(self) -> dict[str, Any]:
        """A scene of four regions."""
        regions = [
            {"region": region, "content": self.rng.choice(SENTENCES)}
            for region in ("top left", "center", "right", "bottom")
        ]
        counts = [{"category": c, "count": n} for c, n in self.counts.items()]
        return {
            "scene": "the edge of a town at the water", "layout": self.rng.choice(SENTENCES), "regions": regions,
            "counts": counts, "summary": self.prose(3),
        }  # fmt: skip

    def reasoning(self) -> dict[str, Any]:
        """One question of each kind."""
        kinds = ("hypothetical", "purpose", "inference")
        ask = "What does the position of the buildings say about the use of the area?"
        return {"items": [{"kind": k, "question": ask, "answer": self.prose(3), "objects": [3]} for k in kinds]}

    def planning(self) -> dict[str, Any]:
        """Five steps."""
        steps = [
            {
                "action": "Drive along the road to the edge of the built-up area and leave the car there.",
                "needs": f"the {self.rng.choice(self.categories)} beside the road",
                "objects": [n],
            }
            for n in range(1, 6)
        ]
        return {"goal": "Reach the shore on foot.", "steps": steps, "constraints": ["The path may be flooded."]}


def timed(work: Callable[[], object]) -> float:
    """CPU seconds of a call."""
    start = time.process_time()
    work()
    return time.process_time() - start


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--answers", type=int, default=300, help="of each stage")
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    rng = random.Random(0)
    facts = [make_facts(rng) for _ in range(args.answers)]
    raw = {stage: [ANSWERS[stage].model_validate(Writer(rng, f).answer(stage)) for f in facts] for stage in STAGES}
    lines = {stage: [answer.model_dump_json() for answer in raw[stage]] for stage in STAGES}

    def check(stage: Stage, answers: list[BaseModel]) -> None:
        for answer, known in zip(answers, facts, strict=True):
            judge(stage, answer, known, boxes="obb", width=SIDE, height=SIDE)

    def validate(stage: Stage) -> None:
        for line in lines[stage]:
            ANSWERS[stage].model_validate_json(line)

    found = sum(
        bool(verdict.findings)
        for stage in STAGES
        for answer, known in zip(raw[stage], facts, strict=True)
        for verdict in judge(stage, answer, known, boxes="obb", width=SIDE, height=SIDE).values()
    )
    checked: dict[Stage, list[float]] = {stage: [] for stage in STAGES}
    validated: dict[Stage, list[float]] = {stage: [] for stage in STAGES}
    for _ in range(args.rounds):
        for stage in STAGES:
            checked[stage].append(timed(lambda stage=stage: check(stage, list(raw[stage]))) / args.answers)
            validated[stage].append(timed(lambda stage=stage: validate(stage)) / args.answers)
    print(f"{args.answers} answers of each stage, {found} verdicts with findings; microseconds of CPU time an answer")
    print("| stage | bytes of JSON | checks | fastest round | validation | checks, answers/s |")
    print("|---|---|---|---|---|---|")
    for stage in STAGES:
        size = statistics.mean(len(line) for line in lines[stage])
        _row(stage, size, checked[stage], validated[stage])
    everything = statistics.mean(len(line) for lists in lines.values() for line in lists)
    mixed = [statistics.mean(times) for times in zip(*checked.values(), strict=True)]
    _row("mix", everything, mixed, [statistics.mean(times) for times in zip(*validated.values(), strict=True)])


def _row(name: str, size: float, checks: list[float], validation: list[float]) -> None:
    middle, least, beside = statistics.median(checks) * 1e6, min(checks) * 1e6, statistics.median(validation) * 1e6
    print(
        f"| {name} | {size:,.0f} | {middle:.0f} | {least:.0f} | {beside:.0f} "
        f"| {1e6 / middle:,.0f} ({1e6 / least:,.0f}) |"
    )


if __name__ == "__main__":
    main()
