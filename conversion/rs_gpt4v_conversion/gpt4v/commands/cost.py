"""`rs-gpt4v gpt4v cost`: what requests will cost, and what answers did."""

import argparse
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rs_gpt4v_conversion.cli import give, say
from rs_gpt4v_conversion.gpt4v.commands._opening import answered, exported, requests_argument, sources_argument
from rs_gpt4v_conversion.gpt4v.workspace import Workspace
from rs_gpt4v_conversion.tables import table

if TYPE_CHECKING:
    from rs_gpt4v_conversion.gpt4v.asking.costs import Cost
    from rs_gpt4v_conversion.gpt4v.records import Request

NAME = "cost"
HELP = "what requests without an answer will cost, and what the answers did"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Give the command its arguments."""
    sources_argument(parser)
    requests_argument(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")


def run(parsed: argparse.Namespace) -> int:
    """Estimate, add up, and print both."""
    from rs_gpt4v_conversion.gpt4v.asking.costs import as_json, billed, expected, load_table

    config, generation, workspace = exported(parsed.sources, parsed.requests)
    prices = load_table(generation.prices)
    with answered(config, generation, workspace) as ledger:
        before = expected(_requests(workspace, set(ledger.pending())), prices)
        after = billed(ledger.usage(), prices)
    if parsed.json:
        give(json.dumps({"pending": as_json(before), "answered": as_json(after)}, indent=2))
        return 0
    _show("requests without an accepted answer (estimated)", before, "requests")
    _show("answers (as vendors counted)", after, "answers")
    unknown = sorted({c.model for c in (*before, *after) if c.price is None})
    if unknown:
        say(f"no price is known of {', '.join(unknown)}: name a table of your own as `prices` of [gpt4v]")
    return 0


def _requests(workspace: Workspace, pending: set[str]) -> "Iterator[Request]":
    """The requests of these ids, each once."""
    from rs_gpt4v_conversion.gpt4v.workspace import read_index

    for part in workspace.parts():
        for request in read_index(part.index):
            if request.custom_id in pending:
                pending.discard(request.custom_id)
                yield request


def _show(title: str, costs: "list[Cost]", unit: str) -> None:
    from rs_gpt4v_conversion.gpt4v.asking.costs import as_rows

    if not costs:
        give(f"{title}: none")
        return
    head, rows = as_rows(costs, unit)
    give(title)
    for line in table(head, rows, left=2, last=1):
        give(f"  {line.rstrip()}")
    known = [c for c in costs if c.price is not None]
    if known:
        live, batch = sum(c.live or 0 for c in known), sum(c.batch or 0 for c in known)
        give(f"  in all {live:,.2f} $ by live calls, {batch:,.2f} $ by batches")
