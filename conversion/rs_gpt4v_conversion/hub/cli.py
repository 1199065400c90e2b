"""`rs-gpt4v push` and `rs-gpt4v verify`. Nothing heavy is imported before one of them runs."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any


def add_commands(commands: Any) -> None:
    """Give `rs-gpt4v` its commands about the Hub."""
    push = commands.add_parser("push", help="a release as a new version on the Hub: one commit and a tag")
    push.add_argument("release", type=Path, metavar="RELEASE")
    push.add_argument("repo", metavar="REPO", help="owner/name of the dataset repository; made where it is not there")
    push.add_argument("--tag", default="", metavar="TAG", help="the tag (v and the release's version)")
    push.add_argument("--private", action="store_true", help="a repository that is made is for its owners only")
    push.add_argument("--dry-run", action="store_true", help="say what would happen, and write nothing")
    push.add_argument("--json", action="store_true", help="one JSON object on stdout")
    push.set_defaults(command=_push)

    verify = commands.add_parser("verify", help="the checksums of a release on the Hub against its manifest")
    verify.add_argument("repo", metavar="REPO", help="owner/name of the dataset repository")
    verify.add_argument("--revision", default="main", metavar="TAG", help="a tag, branch or commit (main)")
    verify.add_argument("--content", action="store_true", help="fetch and hash every file, whatever the server says")
    verify.add_argument("--json", action="store_true", help="one JSON object on stdout")
    verify.set_defaults(command=_verify)


def _push(parsed: argparse.Namespace) -> int:
    from rs_gpt4v_conversion.hub import text
    from rs_gpt4v_conversion.hub.access import Hub
    from rs_gpt4v_conversion.hub.number import check_number
    from rs_gpt4v_conversion.hub.plan import make_plan
    from rs_gpt4v_conversion.hub.push import push
    from rs_gpt4v_conversion.hub.validate import validate
    from rs_gpt4v_conversion.release import ReleaseFolder

    release, hub = ReleaseFolder(parsed.release), Hub(parsed.repo, say=_say)
    plan = make_plan(release, hub, tag=parsed.tag, private=parsed.private)
    loaded = None
    if not plan.commit:  # what is published was validated before
        check_number(plan, parsed.release)
        loaded = validate(parsed.release)
        _say(f"validated: the gates, the card, {loaded.streamed} configs streamed, {loaded.mapped} loaded whole")
    if parsed.dry_run:
        if parsed.json:
            _give({"dry_run": True, **text.plan_json(plan)})
        else:
            _write(text.plan_text(plan))
        _say("dry run: nothing was written")
        return 0
    verified = push(release, hub, plan)
    if parsed.json:
        said = {"dry_run": False, **text.plan_json(plan)}
        _give({**said, "commit": verified.commit, "verified": text.verified_json(verified)})
    if verified.problems:
        _say(f"{plan.repo} does not hold this release as it is here; the tag {plan.tag} was not made")
    elif plan.commit:
        _say(f"{plan.repo} held this release already, whole{'' if plan.tagged else f'; made the tag {plan.tag}'}")
    else:
        _say(f"pushed RS-GPT4V {plan.version} to {plan.repo} as {verified.commit[:7]}, tag {plan.tag}")
    _say(text.verified_text(verified))
    return int(bool(verified.problems))


def _verify(parsed: argparse.Namespace) -> int:
    from rs_gpt4v_conversion.hub import text
    from rs_gpt4v_conversion.hub.access import Hub
    from rs_gpt4v_conversion.hub.verify import verify
    from rs_gpt4v_conversion.progress import Progress

    progress = Progress("verifying", 0, "bytes")
    hub = Hub(parsed.repo, say=_say)
    verified = verify(hub, parsed.revision, content=parsed.content, on_progress=progress.advance)
    progress.close()
    if parsed.json:
        _give(text.verified_json(verified))
    _say(text.verified_text(verified))
    return int(bool(verified.problems))


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")


def _give(value: dict[str, Any]) -> None:
    _write(json.dumps(value, indent=2, ensure_ascii=False))


def _write(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
