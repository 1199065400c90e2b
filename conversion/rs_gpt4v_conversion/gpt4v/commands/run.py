"""`rs-gpt4v gpt4v run`: ask a server, one request after the other."""

import argparse
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rs_gpt4v_conversion.cli import give, say
from rs_gpt4v_conversion.errors import UsageError
from rs_gpt4v_conversion.gpt4v.commands._numbers import at_least, whole_at_least
from rs_gpt4v_conversion.gpt4v.commands._opening import exported, requests_argument, sources_argument
from rs_gpt4v_conversion.gpt4v.commands._server import chosen, server_arguments
from rs_gpt4v_conversion.tables import counted

if TYPE_CHECKING:
    from rs_gpt4v_conversion.gpt4v.live.running import Tally
    from rs_gpt4v_conversion.gpt4v.workspace import Part

NAME = "run"
HELP = "ask a server what has no accepted answer yet; go on after any interruption without paying twice"

MOST = 1000
"""Connections that the SDK opens at most."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Give the command its arguments."""
    sources_argument(parser)
    requests_argument(parser)
    server_arguments(parser)
    parser.add_argument(
        "--concurrency", type=whole_at_least(1), default=16, metavar="N", help="requests in flight (16)"
    )
    parser.add_argument("--rpm", type=at_least(0.1), metavar="N", help="requests a minute at most (no limit)")
    parser.add_argument(
        "--tpm", type=at_least(1), metavar="N", help="tokens a minute at most, of questions and answers (no limit)"
    )
    parser.add_argument("--limit", type=whole_at_least(1), metavar="N", help="at most N requests")
    parser.add_argument("--timeout", type=at_least(0.1), default=300.0, metavar="S", help="seconds for an answer (300)")
    parser.add_argument(
        "--retries", type=whole_at_least(0), default=6, metavar="N", help="repeats of a request that failed (6)"
    )


def run(parsed: argparse.Namespace) -> int:
    """Ask, and say what came; 1 where requests were given up, which the same command asks again."""
    from rs_gpt4v_conversion.gpt4v.commands._standing import classes, pending
    from rs_gpt4v_conversion.gpt4v.live.batches import on_the_way
    from rs_gpt4v_conversion.gpt4v.live.client import sdk_is_there, server
    from rs_gpt4v_conversion.gpt4v.live.locking import asking
    from rs_gpt4v_conversion.gpt4v.live.paid import paid_answers
    from rs_gpt4v_conversion.gpt4v.live.plan import Known
    from rs_gpt4v_conversion.gpt4v.live.running import Options, Tally, ask

    if parsed.concurrency > MOST:
        raise UsageError(f"--concurrency is {parsed.concurrency}, expected at most {MOST}")
    config, generation, workspace = exported(parsed.sources, parsed.requests)
    sdk_is_there()
    asked = server(parsed.base_url, parsed.key_env)
    options = Options(
        concurrency=parsed.concurrency, rpm=parsed.rpm, tpm=parsed.tpm, retries=parsed.retries, timeout=parsed.timeout
    )
    tally = Tally(total=0)
    with asking(workspace):
        parts = chosen(workspace, parsed.stage)
        batched = frozenset(on_the_way(parts))
        if batched:
            say(f"not asked: {counted(len(batched), 'request')} whose answers are on their way in batches")
        known = Known(
            paid=paid_answers(workspace),
            pending=pending(config, generation, workspace, parsed.stage),
            on_the_way=batched,
        )
        ended = False
        try:
            ask(asked, options, workspace, parts, known, tally, limit=parsed.limit, say=say)
            ended = True
        finally:
            if ended or tally.total:
                _say(tally, parts)
        rows = classes(workspace, generation)
    if parsed.json:
        give(json.dumps(_as_json(tally, rows), indent=2, ensure_ascii=False))
    return int(bool(tally.failed))


def _say(tally: "Tally", parts: "Sequence[Part]") -> None:
    if not parts:
        say("no request files of that stage; `rs-gpt4v gpt4v export` writes them")
        return
    if not tally.total:
        say(
            "nothing to ask: what was exported has its answers (one that does not fit is asked again after "
            "`rs-gpt4v gpt4v export --pending`)"
        )
        return
    tokens = f"{tally.prompt:,} tokens asked, {tally.completion:,} answered"
    rate = f"{tally.answered / tally.seconds * 60:,.0f} a minute" if tally.seconds else ""
    say(f"answered {tally.answered:,} of {counted(tally.total, 'request')}, {rate}; {tokens}")
    for kind, count in sorted(tally.repeated.items()):
        say(f"asked again after {kind}: {counted(count, 'time')}")
    for kind, count in sorted(tally.failed.items()):
        say(f"given up after {kind}: {counted(count, 'request')}; the same command asks them again")
    if tally.left:
        say(f"not asked: {counted(tally.left, 'request')}; the same command goes on with them")
    if tally.hidden:
        say(
            f"note: the server wrote the key into {counted(tally.hidden, 'answer')}; it was taken out before they were "
            "kept"
        )


def _as_json(tally: "Tally", rows: Sequence[tuple[str, str, int]]) -> dict[str, object]:
    return {
        "total": tally.total, "answered": tally.answered, "left": tally.left, "failed": dict(tally.failed),
        "repeated": dict(tally.repeated), "hidden_keys": tally.hidden, "seconds": round(tally.seconds, 3),
        "tokens": {"prompt": tally.prompt, "completion": tally.completion},
        "classes": [{"stage": stage, "is": what, "count": count} for stage, what, count in rows],
    }  # fmt: skip
