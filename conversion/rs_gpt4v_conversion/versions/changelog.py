"""CHANGELOG.md of a release: an entry a version, the newest first, in the manner of keepachangelog.com."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rs_gpt4v_conversion.files import write_bytes
from rs_gpt4v_conversion.manifest import NAME, dump
from rs_gpt4v_conversion.release import parse_manifest
from rs_gpt4v_conversion.tables import counted
from rs_gpt4v_conversion.versions.diff import Diff, PartChange, compare
from rs_gpt4v_conversion.versions.opened import ReleaseAt

FILE = "CHANGELOG.md"
HEAD = "# Changelog"


def entry(diff: Diff) -> str:
    """The entry of the later release, in Markdown. It depends on the rows, columns and splits alone, not on files."""
    old, new = diff.old, diff.new
    lines = [
        f"## {new.version} - {new.date}",
        "",
        f"{new.rows:,} rows, {new.qa_pairs:,} pairs; {old.version} had {old.rows:,} rows, {old.qa_pairs:,} pairs.",
    ]
    for title, said in (
        ("Added", _added(diff)), ("Changed", _changed(diff)), ("Moved", _moved(diff)), ("Removed", _removed(diff)),
    ):  # fmt: skip
        points = [f"- {point}" for point in said]
        if points:
            lines += ["", f"### {title}", "", *points]
    if not diff:
        lines += ["", "No row, column or split differs."]
    return "\n".join(lines) + "\n"


def changelog(newest: str, earlier: str) -> str:
    """A whole changelog.

    Args:
        newest: The entry of this release; an entry of the same version in `earlier` gives way to it.
        earlier: The changelog of the release before it, or an empty text.
    """
    heading = newest.split(" - ", 1)[0]
    body = earlier.removeprefix(HEAD).strip()
    if body.startswith(f"{heading} "):
        body = "".join(body.partition("\n## ")[1:]).strip()
    return f"{HEAD}\n\n{newest}" + (f"\n{body}\n" if body else "")


def write_changelog(folder: Path, old: ReleaseAt, diff: Diff | None = None) -> None:
    """Put the entry of a release, made from what differs from an earlier one, over the entries of that.

    The manifest is written after it and lists it. Done again it gives the same bytes; where it was killed between the
    two files, the manifest does not fit until it is.

    Args:
        folder: The later release, whole.
        old: The earlier one.
        diff: Between them, where it is at hand.

    Raises:
        UsageError: A release cannot be read.
    """
    if diff is None:
        diff = compare(old, ReleaseAt(str(folder)))
    content = changelog(entry(diff), old.text(FILE)).encode()
    manifest: dict[str, Any] = parse_manifest((folder / NAME).read_bytes(), str(folder / NAME))
    listed = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    manifest["files"] = dict(sorted({**manifest["files"], FILE: listed}.items()))
    write_bytes(folder / FILE, content)
    write_bytes(folder / NAME, dump(manifest))


def _added(diff: Diff) -> Iterator[str]:
    yield from (f"column `{name}`: {kind}" for name, kind in diff.schema.added.items())
    before = {part.source for part in diff.parts if part.old_rows}
    for part in diff.parts:
        come = part.added - _renamed(diff, part, 3)
        if come:
            new = "" if part.source in before else " (a new source)"
            yield f"{_name(part)}: {counted(come, 'row')}{new}"


def _changed(diff: Diff) -> Iterator[str]:
    yield from (f"column `{name}`: {old} became {new}" for name, (old, new) in diff.schema.changed.items())
    for part in diff.parts:
        if part.changed:
            yield f"{_name(part)}: {counted(part.changed, 'row')}"
    if diff.by_column:
        columns = ", ".join(f"`{name}` {count:,}" for name, count in diff.by_column.items())
        yield f"changed rows by column: {columns}"


def _moved(diff: Diff) -> Iterator[str]:
    for (task, source, was, split), count in diff.moved.ways.items():
        yield f"{task}, {source}: {counted(count, 'row')} from {was} to {split}"


def _removed(diff: Diff) -> Iterator[str]:
    yield from (f"column `{name}`: {kind}" for name, kind in diff.schema.removed.items())
    after = {part.source for part in diff.parts if part.new_rows}
    for part in diff.parts:
        gone = part.removed - _renamed(diff, part, 2)
        if gone:
            last = "" if part.source in after else " (the source is no longer there)"
            yield f"{_name(part)}: {counted(gone, 'row')}{last}"


def _renamed(diff: Diff, part: PartChange, at: int) -> int:
    """Rows that moved under a new id: out of the part (`at` 2) or into it (3)."""
    return sum(
        count
        for way, count in diff.moved.renamed.items()
        if (way[0], way[1], way[at]) == (part.task, part.source, part.split)
    )


def _name(part: PartChange) -> str:
    return f"{part.task}, {part.source}, {part.split}"
