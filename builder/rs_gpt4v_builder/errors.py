"""What can go wrong between a row and a batch, and whose matter it is.

    BuilderError(ValueError)
    ├── TokenizerError   the tokenizer file is missing or is not LLaMA's kind
    ├── OptionError      an argument has a value that is not known
    ├── ReleaseError     a release is not where it should be, or its files are not what they should be
    └── RowError         one row cannot be trained on as it is

Each says in one sentence what was found, what was expected and what to do. All of them can be made
from that sentence alone: a `DataLoader` makes a worker's exception anew in the main process in just
that way, and would turn any other kind into a `RuntimeError`.
"""

from collections.abc import Iterable


class BuilderError(ValueError):
    """Base of what a user can mend."""


class TokenizerError(BuilderError):
    """A tokenizer file is missing, damaged or of another kind than LLaMA's."""


class OptionError(BuilderError):
    """An argument has a value that is not known."""

    @classmethod
    def unknown(cls, name: str, found: object, known: Iterable[object]) -> "OptionError":
        """Describe a value that is not among the known ones."""
        return cls(f"{name}={found!r} is not known: use one of {', '.join(map(repr, known))}")


class ReleaseError(BuilderError):
    """A release cannot be read: it, a config or a file of it is missing, damaged or out of reach."""


class RowError(BuilderError):
    """A row cannot be trained on as it is.

    Attributes:
        row: The row's id, or an empty string where there is none.
    """

    def __init__(self, message: str, *, row: str = "") -> None:
        super().__init__(message)
        self.row = row

    @classmethod
    def of(cls, row: str, found: str, expected: str, do: str) -> "RowError":
        """Describe a fault.

        Args:
            row: The row's id, or an empty string.
            found: What is in the row.
            expected: What should be there.
            do: What the user can do about it.
        """
        name = f"row {row!r}" if row else "a row without id"
        return cls(f"{name}: found {found}, expected {expected}; {do}", row=row)
