"""What a gate is: it sees every row once, and then says which of them break its promise."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol

from rs_gpt4v_conversion.release import Where

Severity = Literal["error", "warning"]
SHOWN = 100
"""Ids that a result holds; its count is of all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GateResult:
    """What a gate found. A gate holds where count is 0."""

    name: str
    severity: Severity = "error"
    count: int = 0
    ids: tuple[str, ...] = ()  # of rows, or paths of files; the first 100
    detail: str = ""  # about the first one


class Findings:
    """Gathers what a gate finds."""

    def __init__(self, name: str, severity: Severity = "error") -> None:
        self.name: str = name
        self.severity: Severity = severity
        self.count = 0
        self.ids: list[str] = []
        self.detail = ""

    def add(self, where: str, detail: str) -> None:
        """Count one row (its id) or file (its path) that breaks the promise."""
        if self.count == 0:
            self.detail = detail
        self.count += 1
        if len(self.ids) < SHOWN:
            self.ids.append(where)

    def result(self) -> GateResult:
        """What was found so far."""
        return GateResult(
            name=self.name, severity=self.severity, count=self.count, ids=tuple(self.ids), detail=self.detail
        )


class RowGate(Protocol):
    """A gate that looks at rows one by one.

    Its memory for a row is small. The rows have the contract's types, but any value, also within lists, may be null.
    """

    columns: ClassVar[tuple[str, ...]]

    def row(self, row: dict[str, Any], where: Where) -> None:
        """Look at one row of data/."""

    def results(self) -> list[GateResult]:
        """What was found, after the last row."""


def name_of(row: dict[str, Any], where: Where) -> str:
    """A row's id, or its place where it has none."""
    return row["id"] or str(where)
