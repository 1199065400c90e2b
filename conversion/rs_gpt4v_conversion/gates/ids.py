"""Ids are unique and agree with their row's columns and their shard's path."""

from collections.abc import Collection
from typing import Any, ClassVar

from rs_gpt4v_conversion.gates._gate import Findings, GateResult, name_of
from rs_gpt4v_conversion.release import ShardEntry, Where


class Ids:
    """`<source>/<split>/<task>/<image id>`.

    Args:
        shards: As listed: their paths say source, split and task.
        splits: The contract's splits.
    """

    columns: ClassVar[tuple[str, ...]] = ("id", "task", "source")

    def __init__(self, shards: Collection[ShardEntry], splits: Collection[str]) -> None:
        self.parts = {s.path: (s.source, s.split, s.task) for s in shards}
        self.splits = splits
        self.seen: set[str] = set()
        self.findings = Findings("ids")

    def row(self, row: dict[str, Any], where: Where) -> None:
        """Look at one row."""
        flaw = self._flaw(row, where)
        if flaw:
            self.findings.add(name_of(row, where), flaw)
        self.seen.add(row["id"])

    def _flaw(self, row: dict[str, Any], where: Where) -> str:
        source, split, task = self.parts[where.shard]
        start = f"{source}/{split}/{task}/"
        if not row["id"]:
            return "a row without an id"
        if row["id"] in self.seen:
            return "the id stands in two rows"
        if not row["id"].startswith(start) or row["id"] == start:
            return f"lies in {where.shard}, where ids are {start}<image id>"
        if (row["task"], row["source"]) != (task, source):
            return f"lies in {where.shard} and says task {row['task']}, source {row['source']}"
        return "" if split in self.splits else f"{split} is no split of the contract: {', '.join(self.splits)}"

    def results(self) -> list[GateResult]:
        """What was found."""
        return [self.findings.result()]
