"""A plan and its outcome, for people and for programs."""

from collections.abc import Iterable, Sequence
from typing import Any

from rs_gpt4v_conversion.hub.access import BRANCH, RemoteFile
from rs_gpt4v_conversion.hub.plan import Plan, ReleaseFile
from rs_gpt4v_conversion.hub.verify import Verified
from rs_gpt4v_conversion.tables import counted

SHOWN = 10
"""Problems that are shown to people; a program gets all."""


def plan_text(plan: Plan) -> str:
    """What a push would do, every file with its bytes."""
    lines = [f"RS-GPT4V {plan.version} to the dataset repository {plan.repo}"]
    if plan.commit:
        tag = f"tag         {plan.tag}{' is there' if plan.tagged else ' would be made'}"
        return "\n".join([*lines, f"commit      {plan.commit[:7]} holds this release already, whole", tag])
    seen = "private" if plan.private else "public"
    lines.append(f"repository  {'would be made' if plan.creates else 'is there'}, {seen}")
    lines += _section("new", plan.new)
    lines += _section("unchanged", plan.unchanged, listed=False)
    lines += _section("stale", plan.stale)
    if plan.kept:
        lines += _section("kept", plan.kept)
    there = _bytes(f for f in plan.new if f.sha256 in plan.there)
    known = f"; {there:,} bytes are on the server already" if there else ""
    lines.append(f"upload      at most {_bytes(plan.new) - there:,} bytes{known}")
    parent = f" on {plan.parent[:7]}" if plan.parent else ""
    lines.append(
        f"commit      one on {BRANCH}{parent}: {counted(len(plan.new), 'file')} written, "
        f"{counted(len(plan.stale), 'file')} deleted"
    )
    lines.append(f"tag         {plan.tag}")
    return "\n".join(lines)


def _section(name: str, files: Sequence[ReleaseFile | RemoteFile], *, listed: bool = True) -> list[str]:
    if not files:
        return [f"{name:<10}  nothing"]
    lines = [f"{name:<10}  {counted(len(files), 'file')}, {_bytes(files):,} bytes"]
    width = max(len(f"{f.bytes:,}") for f in files)
    ordered = sorted(files, key=lambda f: f.path) if listed else []
    return lines + [f"            {f.bytes:>{width},}  {f.path}" for f in ordered]


def _bytes(files: Iterable[ReleaseFile | RemoteFile]) -> int:
    return sum(f.bytes for f in files)


def plan_json(plan: Plan) -> dict[str, Any]:
    """A plan for programs."""
    parts: dict[str, Sequence[ReleaseFile | RemoteFile]] = {
        "new": plan.new, "unchanged": plan.unchanged, "stale": plan.stale, "kept": plan.kept,
    }  # fmt: skip
    there = _bytes(f for f in plan.new if f.sha256 in plan.there)
    return {
        "repo": plan.repo, "version": plan.version, "tag": plan.tag, "tagged": plan.tagged, "creates": plan.creates,
        "private": plan.private,
        "replaces": plan.replaces or None, "parent": plan.parent or None, "commit": plan.commit or None,
        **{
            name: {"count": len(files), "bytes": _bytes(files),
                   "files": [{"path": f.path, "bytes": f.bytes} for f in sorted(files, key=lambda f: f.path)]}
            for name, files in parts.items()
        },
        "there_already": there, "upload": _bytes(plan.new) - there,
    }  # fmt: skip


def verified_text(verified: Verified) -> str:
    """What a verification found."""
    where = f"{verified.repo} at {verified.revision} ({verified.commit[:7]})"
    if not verified.problems:
        return f"{where}: {counted(verified.files, 'file')}, {verified.bytes:,} bytes, all as the manifest says"
    lines = [f"{where}: {counted(len(verified.problems), 'file')} not as the manifest says"]
    lines += [f"  {p.path}: found {p.found}, expected {p.expected}" for p in verified.problems[:SHOWN]]
    if len(verified.problems) > SHOWN:
        lines.append(f"  and {len(verified.problems) - SHOWN:,} more")
    return "\n".join(lines)


def verified_json(verified: Verified) -> dict[str, Any]:
    """A verification for programs."""
    return {
        "ok": not verified.problems, "repo": verified.repo, "revision": verified.revision, "commit": verified.commit,
        "version": verified.version, "files": verified.files, "bytes": verified.bytes,
        "problems": [{"path": p.path, "found": p.found, "expected": p.expected} for p in verified.problems],
    }  # fmt: skip
