"""What a question of each stage is made of, in tokens, and what it costs to ask about so many images of that kind.

    python benchmarks/gpt4v_tokens.py SOURCES.toml REQUESTS [--source NAME] [--images N]

Reads the request files that `rs-gpt4v gpt4v export` wrote: means over the requests of each stage, as estimated before
anything is sent (gpt4v/tokens.py), prices of prices.yaml or of the user's own table. Of `--images` all are asked about
in each stage; where not all images have an object to ask about one by one, that of stage local is less.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rs_gpt4v_conversion.config import Generation, load_config
from rs_gpt4v_conversion.gpt4v.asking.costs import Price, load_table
from rs_gpt4v_conversion.gpt4v.asking.tokens import image_tokens, text_tokens
from rs_gpt4v_conversion.gpt4v.records import STAGES, Request, Usage
from rs_gpt4v_conversion.gpt4v.workspace import Workspace, read_index

HEAD = ("stage", "requests", "system", "notes", "form and frame", "image", "asked", "answer", "live $", "batch $")


def requests(workspace: Workspace, stage: str, source: str | None) -> Iterator[tuple[Request, dict[str, Any]]]:
    for part in workspace.parts():
        if part.stage == stage:
            with part.path.open("rb") as file:
                for request, line in zip(read_index(part.index), file, strict=True):
                    if request.round == 1 and source in (None, request.record.split("/")[0]):
                        yield request, json.loads(line)["body"]


def means(workspace: Workspace, generation: Generation, stage: str, source: str | None) -> tuple[int, dict[str, float]]:
    """How many requests of a stage there are, and their mean tokens by part."""
    table = load_table(generation.prices)
    sums = dict.fromkeys(("system", "notes", "image", "asked", "answer"), 0)
    count = 0
    for request, body in requests(workspace, stage, source):
        system, user = body["messages"]
        rule = table.image_rule(request.model)
        count += 1
        sums["system"] += text_tokens(system["content"])
        sums["notes"] += text_tokens(next(part["text"] for part in user["content"] if part["type"] == "text"))
        sums["image"] += image_tokens(rule, request.width, request.height, generation.detail)
        sums["asked"] += request.tokens
        sums["answer"] += request.answer_tokens
    return count, {key: value / max(1, count) for key, value in sums.items()}


def cost(mean: dict[str, float], images: int, price: Price) -> tuple[float, float]:
    live = price.of(Usage(prompt=round(mean["asked"] * images), completion=round(mean["answer"] * images)))
    return live, live * price.batch_factor


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("sources", type=Path, metavar="SOURCES.toml")
    parser.add_argument("requests", type=Path, metavar="REQUESTS")
    parser.add_argument("--source", metavar="NAME", help="requests about images of this source only")
    parser.add_argument("--images", type=int, default=1000, metavar="N", help="price of asking about N images (1000)")
    parsed = parser.parse_args()
    generation = load_config(parsed.sources).gpt4v or Generation(requests=parsed.requests)
    price = load_table(generation.prices).price(generation.model)
    print(f"| {' | '.join(HEAD)} |\n|---|{'--:|' * (len(HEAD) - 1)}")
    totals = [0.0, 0.0]
    for stage in STAGES:
        count, mean = means(Workspace(parsed.requests), generation, stage, parsed.source)
        if not count:
            continue
        frame = mean["asked"] - mean["system"] - mean["notes"] - mean["image"]
        dollars = cost(mean, parsed.images, price) if price else (0.0, 0.0)
        totals = [total + more for total, more in zip(totals, dollars, strict=True)]
        tokens = (mean["system"], mean["notes"], frame, mean["image"], mean["asked"], mean["answer"])
        cells = [stage, str(count), *(f"{value:,.0f}" for value in tokens), *(f"{value:,.2f}" for value in dollars)]
        print(f"| {' | '.join(cells)} |")
    if price:
        print(f"\n{parsed.images:,} images: {totals[0]:,.2f} $ live, {totals[1]:,.2f} $ by batches ", end="")
        print(f"({generation.model}, price of {price.date})")


if __name__ == "__main__":
    main()
