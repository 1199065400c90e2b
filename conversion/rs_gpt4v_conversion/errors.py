"""What can go wrong, and whose matter it is.

    ConversionError           base of what a person can mend; the command line prints its sentence and no traceback
    ├── UsageError            the user's mistake: wrong folder, file, key or option (exit code 2)
    │   └── SourceError       a source's folder or annotation file is not what it should be
    └── GateError             the data breaks a promise: too large a share of rejects (exit code 1)

A single bad record is no error but a `Reject` (records.py). Anything else is a bug and keeps its traceback.
"""

from pathlib import Path


class ConversionError(Exception):
    """Base: says in one sentence what was found, where, what was expected, and what to do."""


class UsageError(ConversionError):
    """The user's mistake."""


class SourceError(UsageError):
    """A source's folder or annotation file is not what its reader expects.

    Args:
        path: The file or folder.
        found: What is there.
        expected: What the reader expects.
        record: The record in the file, where one is at fault.
        do: What the user can do about it.
    """

    def __init__(self, path: Path, found: str, expected: str, *, record: str = "", do: str = "") -> None:
        where = f"{path}, {record}" if record else f"{path}"
        super().__init__(f"{where}: found {found}, expected {expected}{'; ' + do if do else ''}")
        self.path, self.found, self.expected, self.record = path, found, expected, record


class GateError(ConversionError):
    """The data breaks a promise of the project."""
