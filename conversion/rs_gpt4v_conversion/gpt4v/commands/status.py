"""`rs-gpt4v gpt4v status`: what became of the requests."""

import argparse
import json
from typing import TYPE_CHECKING, Any

from rs_gpt4v_conversion.cli import give, say
from rs_gpt4v_conversion.gpt4v.commands._opening import bring, exported, requests_argument, sources_argument

if TYPE_CHECKING:
    from rs_gpt4v_conversion.gpt4v.answers.ledger import Ledger

NAME = "status"
HELP = "say how many requests have an answer, and why the others have none"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Give the command its arguments."""
    sources_argument(parser)
    requests_argument(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")


def run(parsed: argparse.Namespace) -> int:
    """Read what is new, and say how it stands."""
    from rs_gpt4v_conversion.gpt4v.answers.ledger import BusyError, Ledger

    config, generation, workspace = exported(parsed.sources, parsed.requests)
    with Ledger(workspace, generation) as ledger:
        try:
            bring(ledger, config, generation, anew=False)
        except BusyError as error:
            say(f"note: {error}; this is what it has read so far")
        status = _status(ledger)
    give(json.dumps(status, indent=2) if parsed.json else _text(status))
    return 0


def _status(ledger: "Ledger") -> dict[str, Any]:
    """By stage: requests whose place no other took, answered ones, pending ones by reason, and all by round.

    And the lines of answer files by stage and what became of them.
    """
    from rs_gpt4v_conversion.gpt4v.answers.ledger import ACCEPTED, SUPERSEDED

    stages: dict[str, dict[str, Any]] = {}
    for stage, rounds in ledger.rounds_by_stage().items():
        stages[stage] = {"requests": 0, ACCEPTED: 0, "pending": {}, SUPERSEDED: 0, "rounds": rounds}
    for stage, reason, count in ledger.status():
        said = stages[stage]
        if reason != SUPERSEDED:
            said["requests"] += count
        if reason in (ACCEPTED, SUPERSEDED):
            said[reason] = count
        else:
            said["pending"][reason] = count
    return {"stages": stages, "foreign": ledger.foreign(), "lines": ledger.outcomes()}


def _text(status: dict[str, Any]) -> str:
    from rs_gpt4v_conversion.tables import table

    rows = []
    for stage, said in status["stages"].items():
        pending = said["pending"]
        rows.append((
            stage, f"{said['requests']:,}", f"{said['accepted']:,}", f"{sum(pending.values()):,}",
            ", ".join(f"{count:,} {reason}" for reason, count in pending.items()) or "-",
            ", ".join(f"{count:,} in round {number}" for number, count in said["rounds"].items()),
        ))  # fmt: skip
    head = ("stage", "requests", "accepted", "pending", "why", "exported")
    lines = table(head, rows, left=1, last=2) if rows else ["no requests"]
    for stage, said in status["stages"].items():
        if said["superseded"]:
            lines.append(f"{stage}: {said['superseded']:,} more, whose images were asked about again since")
    if status["foreign"]:
        counts = ", ".join(f"{stage} {count:,}" for stage, count in status["foreign"].items())
        lines.append(f"answers to questions that were not ours: {counts}")
    return "\n".join(line.rstrip() for line in lines)
