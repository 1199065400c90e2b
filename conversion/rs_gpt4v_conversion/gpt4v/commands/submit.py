"""`rs-gpt4v gpt4v submit`: request files become batches."""

import argparse

from rs_gpt4v_conversion.cli import say
from rs_gpt4v_conversion.gpt4v.commands._numbers import whole_at_least
from rs_gpt4v_conversion.gpt4v.commands._opening import exported, requests_argument, sources_argument
from rs_gpt4v_conversion.gpt4v.commands._server import chosen, server_arguments

NAME = "submit"
HELP = "upload request files and make a batch of each, which the vendor answers within a day for half the price"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Give the command its arguments."""
    sources_argument(parser)
    requests_argument(parser)
    server_arguments(parser)
    parser.add_argument("--limit-batches", type=whole_at_least(1), metavar="N", help="at most N new batches")


def run(parsed: argparse.Namespace) -> int:
    """Submit, and show the batches."""
    from rs_gpt4v_conversion.gpt4v.commands._batches import show
    from rs_gpt4v_conversion.gpt4v.commands._standing import pending
    from rs_gpt4v_conversion.gpt4v.live.batches import submit, vendor
    from rs_gpt4v_conversion.gpt4v.live.client import sdk_is_there, server
    from rs_gpt4v_conversion.gpt4v.live.locking import asking, batching
    from rs_gpt4v_conversion.gpt4v.live.paid import paid_answers
    from rs_gpt4v_conversion.gpt4v.live.plan import Known
    from rs_gpt4v_conversion.gpt4v.live.state import load

    config, generation, workspace = exported(parsed.sources, parsed.requests)
    sdk_is_there()
    asked = server(parsed.base_url, parsed.key_env)
    with asking(workspace), batching(workspace), vendor(asked, say) as opened_vendor:
        parts = chosen(workspace, parsed.stage)
        known = Known(paid=paid_answers(workspace), pending=pending(config, generation, workspace, parsed.stage))
        made = submit(opened_vendor, parts, known, parsed.limit_batches)
        rows = [(part, state) for part in parts if (state := load(part)) is not None]
    command = f"rs-gpt4v gpt4v poll {parsed.sources} {workspace.folder} --wait"
    say(f"made {made} new batch{'' if made == 1 else 'es'}; next: {command}")
    show(rows, as_json=parsed.json)
    return 0
