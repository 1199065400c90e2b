"""`rs-gpt4v gpt4v fetch`: the answers of batches that have ended."""

import argparse

from rs_gpt4v_conversion.cli import give, say
from rs_gpt4v_conversion.gpt4v.commands._opening import exported, requests_argument, sources_argument
from rs_gpt4v_conversion.gpt4v.commands._server import chosen, server_arguments

NAME = "fetch"
HELP = "download the answers of batches that have ended, each file once"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Give the command its arguments."""
    sources_argument(parser)
    requests_argument(parser)
    server_arguments(parser)


def run(parsed: argparse.Namespace) -> int:
    """Fetch, show the batches and give the new answer files; 1 where a batch came to nothing."""
    from rs_gpt4v_conversion.gpt4v.commands._batches import show
    from rs_gpt4v_conversion.gpt4v.live.batches import fetch, poll, vendor
    from rs_gpt4v_conversion.gpt4v.live.client import sdk_is_there, server
    from rs_gpt4v_conversion.gpt4v.live.locking import batching

    _, _, workspace = exported(parsed.sources, parsed.requests)
    sdk_is_there()
    asked = server(parsed.base_url, parsed.key_env)
    with batching(workspace), vendor(asked, say) as opened_vendor:
        rows = poll(opened_vendor, chosen(workspace, parsed.stage))
        files = [str(path) for path in fetch(opened_vendor, rows, workspace)]
    code = show(rows, as_json=parsed.json, hidden=opened_vendor.hidden, files=files)
    if files:
        say(f"next: rs-gpt4v gpt4v status {parsed.sources} {workspace.folder}")
    for path in () if parsed.json else files:
        give(path)
    return code
