"""`rs-gpt4v`: a command a stage. Data goes to stdout, everything for people to stderr.

Exit codes: 0 done, 1 a check or gate does not hold, 2 the user's mistake (one sentence, no traceback), 130 interrupted.
Heavy imports stay inside the commands that need them: `--help` answers at once.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rs_gpt4v_conversion.errors import ConversionError, GateError, UsageError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code."""
    parsed = _parsed(arguments)
    command: Callable[[argparse.Namespace], int] = parsed.command
    try:
        return command(parsed)
    except ConversionError as error:
        say(f"rs-gpt4v: {error}")
        return 1 if isinstance(error, GateError) else 2
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0  # whoever read our output has enough of it
    except KeyboardInterrupt:
        say("rs-gpt4v: interrupted; run the same command again, finished work is kept")
        return 130


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parse; an optional last argument may also come after options, which argparse alone does not take."""
    parser = _parser()
    parsed, rest = parser.parse_known_args(arguments)
    late = getattr(parsed, "late", None)
    if rest and late is not None and not any(word.startswith("-") for word in rest):
        if isinstance(getattr(parsed, late), list):
            setattr(parsed, late, [*getattr(parsed, late), *map(Path, rest)])
            rest = []
        elif getattr(parsed, late) is None and len(rest) == 1:
            setattr(parsed, late, Path(rest[0]))
            rest = []
    if rest:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    return parsed


def say(text: str) -> None:
    """A line for people."""
    sys.stderr.write(text + "\n")


def give(text: str) -> None:
    """Data for programs."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _give_json(value: Any) -> None:
    give(json.dumps(value, indent=2, ensure_ascii=False))


def _sample(parsed: argparse.Namespace) -> int:
    from rs_gpt4v_conversion.sample import draw_sample

    try:
        drawn = draw_sample(parsed.folder, images=parsed.images, seed=parsed.seed)
    except (FileExistsError, NotADirectoryError, PermissionError, ValueError) as error:
        raise UsageError(str(error)) from None
    say(f"drew {parsed.images} images of each source; next: rs-gpt4v plan {drawn.sources_toml}")
    give(str(drawn.sources_toml))
    return 0


def _plan(parsed: argparse.Namespace) -> int:
    if parsed.list_sources:
        return _list_sources(as_json=parsed.json)
    if parsed.sources is None:
        raise UsageError("plan needs a SOURCES.toml, or --list-sources")
    from rs_gpt4v_conversion.build import plan
    from rs_gpt4v_conversion.config import load_config
    from rs_gpt4v_conversion.paper import as_json, as_text

    config = load_config(parsed.sources)
    lines, tally = plan(config)
    if parsed.json:
        _give_json(as_json(lines, tally))
    else:
        give(as_text(lines, tally, config))
    return 0


def _list_sources(*, as_json: bool) -> int:
    from rs_gpt4v_conversion.sources import known_sources

    known = known_sources().values()
    if as_json:
        _give_json(
            [
                {
                    "kind": s.kind, "title": s.title, "tasks": s.tasks, "layout": s.layout,
                    "splits": s.splits, "license": s.license, "redistribute": s.redistribute,
                    "options": {o.name: o.help for o in s.options}, "homepage": s.homepage,
                }
                for s in known
            ]
        )  # fmt: skip
        return 0
    for s in known:
        counts = " ".join(f"{split}={_known(n)}/{_known(units)}" for split, (n, units) in s.splits.items())
        passed_on = "images may be passed on" if s.redistribute else "images may not be passed on"
        give(f"{s.kind}  {', '.join(s.tasks)}  {'; '.join(s.layout)}  {counts}  {s.license}; {passed_on}")
    return 0


def _known(count: int | None) -> str:
    return "?" if count is None else str(count)


def _build(parsed: argparse.Namespace) -> int:
    from rs_gpt4v_conversion.build import build
    from rs_gpt4v_conversion.config import load_config
    from rs_gpt4v_conversion.paper import as_text

    if parsed.workers < 1:
        raise UsageError(f"--workers is {parsed.workers}, expected at least 1")
    config = load_config(parsed.sources)
    skip = parsed.missing_images == "skip"
    built = build(config, parsed.out, workers=parsed.workers, skip_missing=skip)
    shards = built.manifest["shards"]
    rows, pairs = sum(s["rows"] for s in shards), sum(s["qa_pairs"] for s in shards)
    if built.already:
        say(f"{parsed.out} holds this release already, whole: {rows:,} rows, {pairs:,} pairs")
    else:
        say(as_text(built.lines, built.tally, config))
        missing = sum(x.missing_images for x in built.lines)
        if missing:
            say(f"left out  {missing:,} images that are not in their folders")
        for gate in built.gates:
            if gate.count:
                say(f"{gate.severity}     {gate.name}: {gate.count:,}, for example {', '.join(gate.ids[:3])}")
        say(f"made {rows:,} rows, {pairs:,} pairs, {len(shards)} shards; next: rs-gpt4v check {parsed.out}")
    give(str(parsed.out))
    return 0


def _check(parsed: argparse.Namespace) -> int:
    from rs_gpt4v_conversion.gates import as_json, as_text, check

    results = check(parsed.release)
    if parsed.json:
        _give_json(as_json(results))
    say(as_text(results))
    return int(any(r.count and r.severity == "error" for r in results))


def _diff(parsed: argparse.Namespace) -> int:
    from rs_gpt4v_conversion.versions import ReleaseAt, as_json, as_text, compare, entry

    diff = compare(ReleaseAt(parsed.old), ReleaseAt(parsed.new))
    if parsed.json:
        _give_json(as_json(diff))
    elif parsed.changelog:
        give(entry(diff).rstrip("\n"))
    else:
        give(as_text(diff))
    return 0


def _export(parsed: argparse.Namespace) -> int:
    from rs_gpt4v_conversion.export.llava import export_llava
    from rs_gpt4v_conversion.tables import counted

    made = export_llava(parsed.release, parsed.out, images=not parsed.no_images)
    for path, count in made.files.items():
        say(f"wrote {path}: {counted(count, 'record' if path == 'train.json' else 'question')}")
    if not parsed.no_images:
        say(f"wrote {counted(made.images, 'image')}")
    if made.missing_images:
        say(f"note: {made.missing_images:,} images are not in the release, which may not carry them")
    if made.misnamed_images:
        say(
            f"note: {made.misnamed_images:,} images are not in the format that their name says, "
            "because that could not hold their pixels"
        )
    give(str(parsed.out))
    return 0


def _look(parsed: argparse.Namespace) -> int:
    from rs_gpt4v_conversion.look import pick, write_page
    from rs_gpt4v_conversion.release import ReleaseFolder

    release = ReleaseFolder(parsed.release)
    ids = parsed.ids or pick(release, 12)
    write_page(release, ids, parsed.out)
    say(f"drew {len(ids)} rows; open {parsed.out} in a browser")
    give(str(parsed.out))
    return 0


def _stats(parsed: argparse.Namespace) -> int:
    from rs_gpt4v_conversion.progress import Progress
    from rs_gpt4v_conversion.release import ReleaseFolder
    from rs_gpt4v_conversion.stats import as_json, as_text, gather, write_page

    release = ReleaseFolder(parsed.release)
    progress = Progress("counting", sum(s.rows for s in release.shards), "rows")
    stats = gather(release, progress.advance)
    progress.close()
    if parsed.out is not None:
        write_page(stats, parsed.out)
        say(f"wrote {parsed.out}; open it in a browser")
    if parsed.json:
        _give_json(as_json(stats))
    else:
        give(as_text(stats))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rs-gpt4v",
        description="Make, check and look at releases of RS-GPT4V, an instruction dataset for remote sensing.",
    )
    parser.add_argument("--version", action="version", version=f"rs-gpt4v {version('rs-gpt4v')}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    sample = commands.add_parser("sample", help="draw example sources in their real layouts")
    sample.add_argument("folder", type=Path, metavar="DIR", help="a new folder")
    sample.add_argument("--images", type=int, default=12, metavar="N", help="images a source (12)")
    sample.add_argument("--seed", type=int, default=0, metavar="S", help="another seed, other images (0)")
    sample.set_defaults(command=_sample)

    plan = commands.add_parser("plan", help="count images and pairs beside the paper's, without any image")
    plan.add_argument("sources", type=Path, nargs="?", metavar="SOURCES.toml")
    plan.add_argument("--list-sources", action="store_true", help="print the known sources, one a line")
    plan.add_argument("--json", action="store_true", help="one JSON object on stdout")
    plan.set_defaults(command=_plan)

    build = commands.add_parser("build", help="make a release folder, or finish an interrupted one")
    build.add_argument("sources", type=Path, metavar="SOURCES.toml")
    build.add_argument("out", type=Path, metavar="OUT", help="a new folder; call it rs-gpt4v")
    cores = os.cpu_count() or 1
    build.add_argument("--workers", type=int, default=cores, metavar="N", help="processes (one a core)")
    build.add_argument("--executor", choices=("local",), default="local", help="where the work is done")
    build.add_argument(
        "--missing-images", choices=("error", "skip"), default="error",
        help="what to do about rows whose image file is not there (error)",
    )  # fmt: skip
    build.set_defaults(command=_build)

    check = commands.add_parser("check", help="every quality gate on a finished release")
    check.add_argument("release", type=Path, metavar="RELEASE")
    check.add_argument("--json", action="store_true", help="one JSON object on stdout")
    check.set_defaults(command=_check)

    diff = commands.add_parser("diff", help="rows added, removed and changed between two releases")
    diff.add_argument("old", metavar="OLD", help="a release folder or its address, hf://datasets/<name>@<revision>")
    diff.add_argument("new", metavar="NEW", help="the later one")
    forms = diff.add_mutually_exclusive_group()
    forms.add_argument("--json", action="store_true", help="one JSON object on stdout")
    forms.add_argument("--changelog", action="store_true", help="the entry of NEW for CHANGELOG.md")
    diff.set_defaults(command=_diff)

    export = commands.add_parser("export", help="a release in the files that other programs read")
    export.add_argument("form", choices=("llava",), help="llava: train.json, test/*.jsonl and images, as the paper")
    export.add_argument("release", type=Path, metavar="RELEASE")
    export.add_argument("out", type=Path, metavar="OUT", help="a new folder")
    export.add_argument("--no-images", action="store_true", help="text files only")
    export.set_defaults(command=_export)
    stats = commands.add_parser("stats", help="composition, lengths, answers one can guess, sizes of boxes")
    stats.add_argument("release", type=Path, metavar="RELEASE")
    stats.add_argument("--json", action="store_true", help="one JSON object on stdout")
    stats.add_argument("--out", type=Path, metavar="PAGE.html", help="also as a page with plots")
    stats.set_defaults(command=_stats)

    look = commands.add_parser("look", help="an HTML page of rows: picture, boxes, conversation")
    look.add_argument("release", type=Path, metavar="RELEASE")
    look.add_argument("ids", nargs="*", metavar="ID", help="ids of rows (a dozen of all kinds)")
    look.add_argument("--out", type=Path, required=True, metavar="PAGE.html")
    look.set_defaults(command=_look)

    from rs_gpt4v_conversion.hub.cli import add_commands as add_hub_commands

    add_hub_commands(commands)

    from rs_gpt4v_conversion.gpt4v.cli import add_commands

    add_commands(commands.add_parser("gpt4v", help="ask a model about images, and import what it or another answered"))
    return parser


if __name__ == "__main__":
    sys.exit(main())
