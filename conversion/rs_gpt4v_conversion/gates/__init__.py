"""Quality gates: what a release promises, proved on the finished folder, also on a stranger's copy.

A gate is a module of this package, named after what it proves. One about rows is a class with `columns`, `row` and
`results` (`RowGate` in _gate.py) and is listed in `_row_gates` below; one about files is a function called in
`run_gates`. Each result has a severity: an error fails `check`, a warning is said.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rs_gpt4v_conversion.gates._gate import Findings, GateResult, RowGate
from rs_gpt4v_conversion.gates.boxes import Boxes
from rs_gpt4v_conversion.gates.conversations import Conversations
from rs_gpt4v_conversion.gates.counts import Counts
from rs_gpt4v_conversion.gates.ids import Ids
from rs_gpt4v_conversion.gates.images import Images
from rs_gpt4v_conversion.gates.index import Index
from rs_gpt4v_conversion.gates.manifest import manifest_gate
from rs_gpt4v_conversion.gates.mini import Mini
from rs_gpt4v_conversion.gates.schema import schema_gate
from rs_gpt4v_conversion.gates.splits import Splits
from rs_gpt4v_conversion.progress import Progress
from rs_gpt4v_conversion.release import UNREADABLE, ReleaseFolder, Where

__all__ = ["GateResult", "as_json", "as_text", "check", "run_gates"]

SHOWN_AT_ONCE = 3
"""Ids under a gate that does not hold, in the text for people."""


def check(path: Path) -> list[GateResult]:
    """Run every gate on a finished release.

    Args:
        path: The release folder.

    Raises:
        UsageError: The folder is no release.
    """
    release = ReleaseFolder(path)
    progress = Progress("checking", sum(s.rows for s in release.shards), "rows")
    results = run_gates(
        release, known_overlap=release.known_overlap,
        leakage=str(release.manifest.get("leakage", "drop")), on_progress=progress.advance,
    )  # fmt: skip
    progress.close()
    return results


def run_gates(
    release: ReleaseFolder,
    *,
    images: bool = True,
    known_overlap: Collection[str] = (),
    leakage: str = "drop",
    on_progress: Callable[[int], None] | None = None,
) -> list[GateResult]:
    """Run the gates in one pass over the rows.

    Args:
        release: The folder; one without a manifest yet is not held against one.
        images: Read, decode and hash every image; the build has just done so and leaves it out.
        known_overlap: Sources whose official splits are known to share images.
        leakage: `drop` where no image of train may be one that another source tests on, `report` where it may.
        on_progress: Called with the number of rows of data/ that were looked at since the last call.
    """
    import rs_gpt4v  # `datasets` with it

    results = [manifest_gate(release)] if release.manifest else []
    schema = schema_gate(release, rs_gpt4v.arrow_schema())
    unreadable = _broken(release, schema)
    gates = _row_gates(release, unreadable, Splits(known_overlap, leakage), images=images)
    readable = _pass(release, gates, unreadable, on_progress)
    return [*results, schema, readable, *(result for gate in gates for result in gate.results())]


def _row_gates(release: ReleaseFolder, unreadable: Collection[str], splits: Splits, *, images: bool) -> list[RowGate]:
    """All gates about rows, in the order in which they are shown."""
    import rs_gpt4v

    gates: list[RowGate] = [
        Counts(release.shards, unreadable),
        Ids(release.shards, rs_gpt4v.SPLITS),
        Conversations(rs_gpt4v.CATEGORIES),
        Boxes(),
    ]
    if images:
        gates.append(Images())
    return [
        *gates,
        splits,
        Index(release, rs_gpt4v.image_ranges, unreadable, images=images),
        Mini(release, unreadable, images=images),
    ]


def _broken(release: ReleaseFolder, schema: GateResult) -> set[str]:
    """Paths of all shards that the schema gate named; beyond those that it lists, none is trusted."""
    if schema.count == len(schema.ids):
        return set(schema.ids)
    return {s.path for s in release.shards} | set(release.mini)


def _pass(
    release: ReleaseFolder, gates: Sequence[RowGate], unreadable: set[str], on_progress: Callable[[int], None] | None
) -> GateResult:
    """Show every row to every gate; a shard that cannot be read to its end is a finding."""
    findings = Findings("readable")
    columns = sorted({c for gate in gates for c in gate.columns})
    for shard in release.shards:
        if shard.path in unreadable:
            continue  # said already, and there is nothing to look at
        for where, row in _rows(release, shard.path, columns, findings, unreadable):
            for gate in gates:
                gate.row(row, where)
            if on_progress is not None:
                on_progress(1)
    return findings.result()


def _rows(
    release: ReleaseFolder, shard: str, columns: Sequence[str], findings: Findings, unreadable: set[str]
) -> Iterator[tuple[Where, dict[str, Any]]]:
    """Rows of a shard as far as they can be read; what a gate raises on one is a bug, and passes by here."""
    try:
        yield from release.located(shard, columns)
    except UNREADABLE as error:
        findings.add(shard, f"cannot be read to its end: {error}")
        unreadable.add(shard)


def as_json(results: Sequence[GateResult]) -> dict[str, Any]:
    """What `check --json` prints and quality.json holds."""
    failed = any(r.count and r.severity == "error" for r in results)
    return {"ok": not failed, "gates": [{**asdict(r), "ids": list(r.ids)} for r in results]}


def as_text(results: Sequence[GateResult]) -> str:
    """A line a gate, for people; under one that does not hold, what was found and where."""
    width = max((len(r.name) for r in results), default=0)
    lines = []
    for r in results:
        if not r.count:
            lines.append(f"{r.name:<{width}}  ok")
            continue
        lines.append(f"{r.name:<{width}}  {'FAILS' if r.severity == 'error' else 'warns'}  {r.count:,}: {r.detail}")
        lines.extend(f"{'':<{width}}         {i}" for i in r.ids[:SHOWN_AT_ONCE])
        if r.count > SHOWN_AT_ONCE:
            lines.append(f"{'':<{width}}         and {r.count - SHOWN_AT_ONCE:,} more")
    return "\n".join(lines)
