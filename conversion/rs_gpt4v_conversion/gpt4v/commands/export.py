"""`rs-gpt4v gpt4v export`: request files."""

import argparse
import json
import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any, get_args

from rs_gpt4v_conversion.cli import give, say
from rs_gpt4v_conversion.config import Config, Generation, Structured
from rs_gpt4v_conversion.errors import UsageError
from rs_gpt4v_conversion.gpt4v.commands._numbers import whole_at_least
from rs_gpt4v_conversion.gpt4v.commands._opening import answered, opened, requests_argument, sources_argument
from rs_gpt4v_conversion.gpt4v.records import NEEDS, STAGES
from rs_gpt4v_conversion.gpt4v.workspace import Workspace
from rs_gpt4v_conversion.tables import counted

if TYPE_CHECKING:
    from rs_gpt4v_conversion.gpt4v.asking.exporting import Chosen, Exported
    from rs_gpt4v_conversion.gpt4v.asking.parts import Limits

NAME = "export"
HELP = "write request files in the OpenAI batch form, for a vendor or for a server of your own"
ORDER = (
    "Stages build on each other: `local` first (of images with boxes), then `global`, then the other four in any "
    "order. A stage asks only about images that have an accepted answer of the one before it."
)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Give the command its arguments."""
    parser.epilog = ORDER
    sources_argument(parser)
    requests_argument(parser)
    parser.add_argument("--stage", choices=STAGES, required=True, help="what is asked")
    parser.add_argument("--source", metavar="NAME", help="images of this source only")
    parser.add_argument("--split", metavar="S", help="images of this split only")
    parser.add_argument("--limit", type=whole_at_least(1), metavar="N", help="at most N images, the same in all stages")
    parser.add_argument("--pending", action="store_true", help="once more what has no accepted answer")
    parser.add_argument("--reason", metavar="R", help="with --pending: only what failed for this reason, see status")
    parser.add_argument("--model", metavar="M", help="who is asked (`model` of [gpt4v])")
    parser.add_argument("--boxes", choices=("obb", "hbb"), help="boxes rotated, where all are, or upright (obb)")
    parser.add_argument(
        "--structured", choices=get_args(Structured), help="how the form of the answer is told (json_schema)"
    )
    parser.add_argument(
        "--max-requests", type=whole_at_least(1), metavar="N", help="requests in a file at most (50,000)"
    )
    parser.add_argument(
        "--max-bytes", type=whole_at_least(1), metavar="N", help="bytes of a file at most (200,000,000)"
    )
    parser.add_argument("--workers", type=whole_at_least(1), default=os.cpu_count() or 1, metavar="N", help="processes")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")


def run(parsed: argparse.Namespace) -> int:
    """Export, say what was done, and give the paths."""
    from rs_gpt4v_conversion.gpt4v.asking.exporting import Chosen
    from rs_gpt4v_conversion.gpt4v.asking.parts import MOST_BYTES, MOST_REQUESTS, Limits

    _check(parsed)
    config, generation, workspace = opened(parsed.sources, parsed.requests)
    changes = {key: getattr(parsed, key) for key in ("model", "boxes", "structured") if getattr(parsed, key)}
    generation = replace(generation, **changes)
    chosen = Chosen(limit=parsed.limit, split=parsed.split, source=parsed.source)
    limits = Limits(requests=parsed.max_requests or MOST_REQUESTS, bytes=parsed.max_bytes or MOST_BYTES)
    exported = _export(parsed, config, generation, workspace, chosen, limits)
    _say(exported, parsed, workspace)
    if parsed.json:
        give(json.dumps(_as_json(exported), indent=2, ensure_ascii=False))
    else:
        for written in exported.files:
            give(str(written.part.path))
    return 0


def _check(parsed: argparse.Namespace) -> None:
    if parsed.reason and not parsed.pending:
        raise UsageError("--reason goes with --pending, which repeats requests")
    if parsed.reason:
        _known_reason(parsed.reason)
    if parsed.pending:
        for key in ("model", "boxes", "structured"):
            if getattr(parsed, key):
                raise UsageError(f"--pending repeats requests as they are: --{key} goes with a new export")


def _known_reason(reason: str) -> None:
    from rs_gpt4v_conversion.gpt4v.answers.judging import ANNOTATIONS_CHANGED
    from rs_gpt4v_conversion.gpt4v.answers.ledger import UNANSWERED
    from rs_gpt4v_conversion.gpt4v.checks import CHECKS
    from rs_gpt4v_conversion.gpt4v.records import Outcome

    # the other classes are of lines, and no request is pending for them
    of_lines = (Outcome.OK, Outcome.UNKNOWN_ID, Outcome.DUPLICATE)
    known = (UNANSWERED, *(outcome for outcome in Outcome if outcome not in of_lines), ANNOTATIONS_CHANGED, *CHECKS)
    if reason not in known:
        raise UsageError(f"--reason is {reason!r}, expected one of {', '.join(known)}")


def _export(
    parsed: argparse.Namespace, config: Config, generation: Generation, workspace: Workspace, chosen: "Chosen",
    limits: "Limits",
) -> "Exported":  # fmt: skip
    from rs_gpt4v_conversion.gpt4v.asking.costs import load_table
    from rs_gpt4v_conversion.gpt4v.asking.exporting import Asking, export, repeat
    from rs_gpt4v_conversion.gpt4v.asking.subjects import chosen_sources, subjects
    from rs_gpt4v_conversion.gpt4v.prompts import render

    specs = chosen_sources(config)
    asking = Asking(
        specs=specs,
        generation=generation,
        rule=load_table(generation.prices).image_rule(generation.model),
        subjects=subjects,
        render=render,
        answers=None,
    )
    if NEEDS[parsed.stage] is None and not parsed.pending:
        return export(workspace, parsed.stage, asking, chosen=chosen, limits=limits, workers=parsed.workers)
    with answered(config, generation, workspace) as ledger:
        if parsed.pending:
            return repeat(
                workspace, parsed.stage, ledger, rounds=generation.rounds, reason=parsed.reason, chosen=chosen,
                limits=limits,
            )  # fmt: skip
        asking = replace(asking, answers=ledger)
        return export(workspace, parsed.stage, asking, chosen=chosen, limits=limits, workers=parsed.workers)


def _say(exported: "Exported", parsed: argparse.Namespace, workspace: Workspace) -> None:
    if exported.already:
        say(f"exported before: {counted(exported.already, 'request')}")
    for reason, count in exported.left_out.most_common():
        example = exported.examples.get(reason)
        say(f"left out  {count:,}: {reason}{f', for example {example}' if example else ''}")
    if exported.changed:
        say(
            f"note: {exported.changed:,} of the images were asked about before, and the question is another one now "
            "(annotations, earlier answers, prompt, model or parameters changed)"
        )
    if not exported.files:
        if parsed.pending and not any(part.stage == exported.stage for part in workspace.parts()):
            say(f"no request of stage {exported.stage} was exported yet; --pending only repeats them")
            return
        say(f"nothing to {'repeat' if parsed.pending else 'export'} in stage {exported.stage}")
        return
    say(
        f"wrote {counted(len(exported.files), 'file')}: {counted(exported.requests, 'request')}, "
        f"{exported.bytes:,} bytes, about {exported.tokens:,} tokens and {exported.answer_tokens:,} of answers; "
        f"what they cost: rs-gpt4v gpt4v cost {parsed.sources} {workspace.folder}"
    )


def _as_json(exported: "Exported") -> dict[str, Any]:
    return {
        "stage": exported.stage,
        "files": [
            {"path": str(w.part.path), "index": str(w.part.index), "requests": w.requests, "bytes": w.bytes}
            for w in exported.files
        ],
        "requests": exported.requests, "bytes": exported.bytes, "tokens": exported.tokens,
        "answer_tokens": exported.answer_tokens, "already": exported.already, "changed": exported.changed,
        "left_out": [
            {"reason": reason, "count": count, "example": exported.examples.get(reason)}
            for reason, count in exported.left_out.most_common()
        ],
    }  # fmt: skip
