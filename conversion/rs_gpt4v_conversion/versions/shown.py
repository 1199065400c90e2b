"""A diff for people and for programs."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from rs_gpt4v_conversion.tables import counted, table
from rs_gpt4v_conversion.versions.changelog import entry
from rs_gpt4v_conversion.versions.diff import Diff
from rs_gpt4v_conversion.versions.rule import check_version, required_bump

FEW = 3
"""Ids of each kind in the text for people."""


def as_json(diff: Diff) -> dict[str, Any]:
    """The diff as JSON values."""
    return {
        "old": asdict(diff.old),
        "new": asdict(diff.new),
        "added": _ids(diff.added.count, diff.added.ids),
        "removed": _ids(diff.removed.count, diff.removed.ids),
        "changed": {**_ids(diff.changed.count, diff.changed.ids), "by_column": dict(diff.by_column)},
        "moved": {
            "count": diff.moved.count,
            "ids": [{"old": old, "new": new} for old, new in diff.moved.ids],
            "ways": [
                {"task": task, "source": source, "from": was, "to": split, "rows": count}
                for (task, source, was, split), count in diff.moved.ways.items()
            ],
        },
        "schema": {
            "added": dict(diff.schema.added),
            "removed": dict(diff.schema.removed),
            "changed": {name: {"old": old, "new": new} for name, (old, new) in diff.schema.changed.items()},
        },
        "splits": {
            "added": [{"source": source, "split": split} for source, split in diff.splits.added],
            "removed": [{"source": source, "split": split} for source, split in diff.splits.removed],
        },
        "parts": [asdict(part) for part in diff.parts],
        "shards": asdict(diff.shards),
        "version": {"required": required_bump(diff), "problem": _problem(diff)},
        "changelog": entry(diff),
    }


def as_text(diff: Diff) -> str:
    """The diff as lines for people."""
    old, new = diff.old, diff.new
    head = [
        ["old", old.version, old.date, f"{old.rows:,} rows", f"{old.qa_pairs:,} pairs"],
        ["new", new.version, new.date, f"{new.rows:,} rows", f"{new.qa_pairs:,} pairs"],
    ]
    lines = [*table(head[0], head[1:], left=3), "", *_rows(diff)]
    parts = [
        [
            p.task, p.source, p.split, f"{p.old_rows:,}", f"{p.new_rows:,}", f"{p.old_pairs:,}", f"{p.new_pairs:,}",
            f"{p.added:,}", f"{p.removed:,}", f"{p.changed:,}",
        ]
        for p in diff.parts
        if p.added or p.removed or p.changed or p.old_pairs != p.new_pairs
    ]  # fmt: skip
    if parts:
        names = ["task", "source", "split", "rows, old", "new", "pairs, old", "new", "added", "removed", "changed"]
        lines += ["", *table(names, parts, left=3)]
    shards = diff.shards
    lines += [
        "",
        f"shards   {shards.same:,} the same ({shards.same_bytes:,} bytes), {shards.new:,} new ({shards.new_bytes:,} "
        f"bytes), {shards.gone:,} gone ({shards.gone_bytes:,} bytes)",
        f"version  {_verdict(diff)}",
    ]
    return "\n".join(lines)


def _ids(count: int, ids: tuple[str, ...]) -> dict[str, Any]:
    return {"count": count, "ids": list(ids)}


def _rows(diff: Diff) -> Iterator[str]:
    for name, rows in (("added", diff.added), ("removed", diff.removed), ("changed", diff.changed)):
        yield f"{name:<8} {counted(rows.count, 'row')}{_few(rows.count, rows.ids)}"
    moved = [old if old == new else f"{old} -> {new}" for old, new in diff.moved.ids]
    yield f"moved    {counted(diff.moved.count, 'row')}{_few(diff.moved.count, tuple(moved))}"
    if diff.by_column:
        columns = ", ".join(f"{name} {count:,}" for name, count in diff.by_column.items())
        yield f"columns with other values: {columns}"
    for said, columns_there in (("new column", diff.schema.added), ("column gone", diff.schema.removed)):
        for column, kind in columns_there.items():
            yield f"{said}: {column}, {kind}"
    for column, (was, kind) in diff.schema.changed.items():
        yield f"column of another type: {column}, {was} became {kind}"
    for said, splits in (("new split", diff.splits.added), ("split gone", diff.splits.removed)):
        for source, split in splits:
            yield f"{said}: {source}, {split}"


def _few(count: int, ids: tuple[str, ...]) -> str:
    if not ids:
        return ""
    return f": {', '.join(ids[:FEW])}{', ...' if count > FEW else ''}"


def _problem(diff: Diff) -> str | None:
    """What is wrong with the number; two copies of one release are not taken for two versions."""
    if not diff and diff.old.version == diff.new.version:
        return None
    return check_version(diff.old.version, diff.new.version, diff)


def _verdict(diff: Diff) -> str:
    if not diff and diff.old.version == diff.new.version:
        return "the same rows under the same number"
    required = required_bump(diff)
    asked = "no number needs to say a change" if required == "none" else f"the changes ask for a {required} number"
    return f"{asked}; {_problem(diff) or f'{diff.old.version} to {diff.new.version} is right'}"
