"""What a gate is: it sees every row once, and then says which of them break its promise."""

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Protocol

Severity = Literal["error", "warning"]
SHOWN = 100
"""Ids that a result holds; its count is of all."""


@dataclass(slots=True, kw_only=True)
class GateResult:
    """What a gate found. A gate holds where count is 0."""

    name: str
    severity: Severity = "error"
    count: int = 0
    ids: list[str] = field(default_factory=list)  # of rows, or paths of files; the first 100
    detail: str = ""  # about the first one

    def add(self, where: str, detail: str = "") -> None:
        """Count one row or file that breaks the promise."""
        self.count += 1
        if len(self.ids) < SHOWN:
            self.ids.append(where)
        if not self.detail:
            self.detail = detail


class RowGate(Protocol):
    """A gate that looks at rows one by one. Its memory for a row is small."""

    columns: ClassVar[tuple[str, ...]]

    def row(self, row: dict[str, Any], shard: str) -> None:
        """Look at one row of a shard of data/."""

    def results(self) -> list[GateResult]:
        """What was found, after the last row."""
