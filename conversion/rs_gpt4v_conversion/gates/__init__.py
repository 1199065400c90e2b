"""Quality gates: what a release promises, proved on the finished folder, also on a stranger's copy.

A gate about rows is a class in rows.py, one about files a function in files.py; both are listed in `run_gates` below.
Each result has a severity: an error fails `check`, a warning is said.
"""

from collections.abc import Callable, Collection
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rs_gpt4v_conversion.gates._gate import GateResult, RowGate
from rs_gpt4v_conversion.gates.files import (
    UNREADABLE,
    index_gate,
    manifest_gate,
    mini_gate,
    mini_key,
    schema_gate,
)
from rs_gpt4v_conversion.gates.rows import Boxes, Conversations, Ids, Images, Splits
from rs_gpt4v_conversion.release import ReleaseFolder

__all__ = ["GateResult", "as_json", "as_text", "check", "run_gates"]


def check(path: Path, *, known_overlap: Collection[str] = ()) -> list[GateResult]:
    """Run every gate on a finished release.

    Args:
        path: The release folder.
        known_overlap: Sources whose official splits are known to share images.

    Raises:
        UsageError: The folder is no release.
    """
    from rs_gpt4v_conversion.progress import Progress

    release = ReleaseFolder(path)
    progress = Progress("checking", sum(s.rows for s in release.shards), "rows")
    results = run_gates(release, known_overlap=known_overlap, on_row=progress.advance)
    progress.close()
    return results


def run_gates(
    release: ReleaseFolder,
    *,
    images: bool = True,
    known_overlap: Collection[str] = (),
    on_row: Callable[[], None] | None = None,
) -> list[GateResult]:
    """Run the gates in one pass over the rows.

    Args:
        release: The folder; one without a manifest yet is not held against one.
        images: Decode and hash every image; the build has just done so and leaves it out.
        known_overlap: See `check`.
        on_row: Called for each row of data/.
    """
    import rs_gpt4v  # `datasets` with it

    gates: list[RowGate] = [Ids(), Conversations(rs_gpt4v.CATEGORIES), Boxes(), Splits(known_overlap)]
    if images:
        gates.append(Images())
    results = [manifest_gate(release)] if release.manifest else []
    results.append(schema_gate(release, rs_gpt4v.arrow_schema()))
    broken = set(results[-1].ids)
    copies = _copied(release)
    seen: dict[str, tuple[str, str]] = {}
    columns = sorted({c for gate in gates for c in gate.columns})
    for shard in release.shards:
        if shard.path in broken:
            continue  # said already, and there is nothing to look at
        try:
            for row in release.rows(shard.path, columns):
                for gate in gates:
                    gate.row(row, shard.path)
                if row["id"] in copies:
                    seen[row["id"]] = mini_key(row)
                if on_row is not None:
                    on_row()
        except UNREADABLE as error:
            results.append(GateResult(name="readable", count=1, ids=[shard.path], detail=str(error)))
    for gate in gates:
        results.extend(gate.results())
    return [*results, index_gate(release, rs_gpt4v.image_ranges), mini_gate(release, seen)]


def _copied(release: ReleaseFolder) -> set[str]:
    """Ids of the rows of mini/; a file of it that cannot be read is the schema gate's finding."""
    ids: set[str] = set()
    for shard in release.mini:
        try:
            ids.update(row["id"] for row in release.rows(shard, ("id",)))
        except UNREADABLE:
            continue
    return ids


def as_json(results: list[GateResult]) -> dict[str, Any]:
    """What `check --json` prints and quality.json holds."""
    failed = any(r.count and r.severity == "error" for r in results)
    return {"ok": not failed, "gates": [asdict(r) for r in results]}


def as_text(results: list[GateResult]) -> str:
    """A line a gate, for people."""
    width = max(len(r.name) for r in results)
    lines = []
    for r in results:
        word = "ok" if not r.count else "FAILS" if r.severity == "error" else "warns"
        line = f"{r.name:<{width}}  {word}"
        if r.count:
            line += f"  {r.count:,}: {', '.join(r.ids[:3])}{' ...' if r.count > 3 else ''}  ({r.detail})"
        lines.append(line)
    return "\n".join(lines)
