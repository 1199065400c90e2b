"""Every shard has as many rows and question-answer pairs as the manifest lists."""

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any, ClassVar

from rs_gpt4v_conversion.gates._gate import Findings, GateResult
from rs_gpt4v_conversion.release import ShardEntry, Where


class Counts:
    """Counts rows and pairs.

    Args:
        shards: As listed.
        unreadable: Paths of shards that another gate has found broken; grows while rows are read.
    """

    columns: ClassVar[tuple[str, ...]] = ("pairs",)

    def __init__(self, shards: Sequence[ShardEntry], unreadable: Collection[str]) -> None:
        self.shards, self.unreadable = shards, unreadable
        self.rows: Counter[str] = Counter()
        self.pairs: Counter[str] = Counter()

    def row(self, row: dict[str, Any], where: Where) -> None:
        """Count one row."""
        self.rows[where.shard] += 1
        self.pairs[where.shard] += len(row["pairs"] or ())

    def results(self) -> list[GateResult]:
        """Shards whose counts differ from those listed."""
        findings = Findings("counts")
        for shard in self.shards:
            found, listed = (self.rows[shard.path], self.pairs[shard.path]), (shard.rows, shard.qa_pairs)
            if found != listed and shard.path not in self.unreadable:
                findings.add(
                    shard.path,
                    f"has {found[0]} rows and {found[1]} pairs, {listed[0]} rows and {listed[1]} pairs are listed",
                )
        return [findings.result()]
