"""`rs-gpt4v gpt4v poll`: how far the batches are."""

import argparse

from rs_gpt4v_conversion.cli import say
from rs_gpt4v_conversion.gpt4v.commands._numbers import at_least
from rs_gpt4v_conversion.gpt4v.commands._opening import exported, requests_argument, sources_argument
from rs_gpt4v_conversion.gpt4v.commands._server import chosen, server_arguments

NAME = "poll"
HELP = "show how far the batches are, or wait for them"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Give the command its arguments."""
    sources_argument(parser)
    requests_argument(parser)
    server_arguments(parser)
    parser.add_argument("--wait", action="store_true", help="until all have ended")
    parser.add_argument(
        "--interval", type=at_least(0.01), default=30.0, metavar="S",
        help="seconds between the first two looks; later ones are up to ten times as far apart (30)",
    )  # fmt: skip


def run(parsed: argparse.Namespace) -> int:
    """Ask, and show the batches; 1 where one came to nothing."""
    from rs_gpt4v_conversion.gpt4v.commands._batches import show
    from rs_gpt4v_conversion.gpt4v.live.batches import vendor, watch
    from rs_gpt4v_conversion.gpt4v.live.client import sdk_is_there, server

    _, _, workspace = exported(parsed.sources, parsed.requests)
    sdk_is_there()
    asked = server(parsed.base_url, parsed.key_env)
    with vendor(asked, say) as opened_vendor:
        parts, interval = chosen(workspace, parsed.stage), parsed.interval if parsed.wait else None
        rows = watch(opened_vendor, workspace, parts, interval)
    return show(rows, as_json=parsed.json)
