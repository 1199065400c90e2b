"""`rs-gpt4v gpt4v import`: answers that were fetched elsewhere."""

import argparse
import json
from pathlib import Path

from rs_gpt4v_conversion.cli import give, say
from rs_gpt4v_conversion.gpt4v.commands._opening import opened, sources_argument

NAME = "import"
HELP = "read answer files of any vendor, say what became of each line, and keep the answers"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Give the command its arguments."""
    parser.epilog = "No key, no SDK and no network is needed. Files that are there already are not copied again."
    sources_argument(parser)
    parser.add_argument(
        "files", type=Path, nargs="*", metavar="FILES",
        help="JSON lines, JSON documents or arrays of them (`responses` of [gpt4v])",
    )  # fmt: skip
    parser.set_defaults(late="files")
    parser.add_argument(
        "--requests", type=Path, metavar="DIR",
        help="the folder of requests and answers (`requests` of [gpt4v], or `requests` beside SOURCES.toml)",
    )  # fmt: skip
    parser.add_argument(
        "--map", type=Path, metavar="CSV",
        help="says what lines with ids of someone else are answers to: columns line or id, record, stage",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")


def run(parsed: argparse.Namespace) -> int:
    """Import, and give what became of the lines; lines that became no answer are no failure."""
    from rs_gpt4v_conversion.gpt4v.answers.import_report import as_json, as_text, report, unused
    from rs_gpt4v_conversion.gpt4v.answers.importing import annotated, expand, fitting, store
    from rs_gpt4v_conversion.gpt4v.answers.ledger import Ledger
    from rs_gpt4v_conversion.progress import Progress

    config, generation, workspace = opened(parsed.sources, parsed.requests)
    files = parsed.files or expand(generation, parsed.sources)
    rows = fitting(files, parsed.map)
    progress = Progress("reading answers", 0, "lines")
    with Ledger(workspace, generation) as ledger, ledger.writing():
        stored = store(workspace, files, rows)
        for file in stored:
            if not file.new:
                say(f"{file.source}: was imported already, as {file.path.name}; not copied again")
        ledger.update(annotated(config), progress)
        progress.close()
        result, idle = report(ledger, stored), unused(ledger, stored)
    if idle:
        first = f"line {idle[0].line}" if idle[0].line is not None else f"id {idle[0].id!r}"
        say(f"the map: {len(idle):,} of its rows name no line that is someone else's; the first of them names {first}")
    give(json.dumps(as_json(result), indent=2, ensure_ascii=False) if parsed.json else as_text(result))
    return 0
