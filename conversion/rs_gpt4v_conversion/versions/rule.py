"""What the number of a version must say: a patch changes texts, a minor number rows, a major number columns or splits.

A number says at least what changed: nobody is misled by one that says more.
"""

from typing import Literal

from rs_gpt4v_conversion.config import VERSION
from rs_gpt4v_conversion.errors import UsageError
from rs_gpt4v_conversion.tables import counted
from rs_gpt4v_conversion.versions.diff import Diff

Bump = Literal["none", "patch", "minor", "major"]

_PLACES: tuple[Bump, ...] = ("major", "minor", "patch")
IMAGE_COLUMNS = ("image", "image_sha256")
"""A row whose image is another one, is there again or is no longer there counts as removed and added."""


def required_bump(diff: Diff) -> Bump:
    """The least that must be raised: `major`, `minor` or `patch`, or `none` where no row, column or split differs."""
    if diff.schema or diff.splits or diff.moved.count:
        return "major"
    if diff.added.count or diff.removed.count or any(name in diff.by_column for name in IMAGE_COLUMNS):
        return "minor"
    return "patch" if diff.changed.count else "none"


def check_version(old: str, new: str, diff: Diff) -> str | None:
    """Hold a version number against what changed.

    Args:
        old: Number of the earlier release.
        new: Number of the later one.
        diff: What differs between them.

    Returns:
        A sentence that says why the number is wrong and which would do, or None where it is right.

    Raises:
        UsageError: One of them is no number of a version.
    """
    before, after = _numbers(old), _numbers(new)
    required = required_bump(diff)
    least = _next(before, "patch" if required == "none" else required)
    if after <= before:
        found = "is the number of the earlier release" if after == before else f"is lower than the earlier {old}"
        return f"version {new} {found}, expected {least} or higher"
    if required == "none" or _raised(before, after) >= _weight(required):
        return None
    return f"version {new} after {old} says too little: {_reason(diff, required)}, expected {least} or higher"


def _numbers(version: str) -> tuple[int, int, int]:
    found = VERSION.fullmatch(version)
    if found is None:
        raise UsageError(f"version is {version!r}, expected three numbers such as 1.0.0")
    return int(found[1]), int(found[2]), int(found[3])


def _weight(bump: Bump) -> int:
    return len(_PLACES) - _PLACES.index(bump)


def _raised(before: tuple[int, int, int], after: tuple[int, int, int]) -> int:
    """Weight of the first number that differs."""
    first = next(place for place, b, a in zip(_PLACES, before, after, strict=True) if a != b)
    return _weight(first)


def _next(before: tuple[int, int, int], bump: Bump) -> str:
    major, minor, patch = before
    following = {"major": (major + 1, 0, 0), "minor": (major, minor + 1, 0), "patch": (major, minor, patch + 1)}
    return ".".join(map(str, following[bump]))


def _reason(diff: Diff, required: Bump) -> str:
    if required == "minor":
        return _rows_reason(diff)
    if diff.schema:
        names = [*diff.schema.added, *diff.schema.removed, *diff.schema.changed]
        return f"the columns changed ({', '.join(names)})"
    if diff.moved.count:
        return f"{counted(diff.moved.count, 'row')} moved to another split"
    splits = [f"{source} {split}" for source, split in (*diff.splits.added, *diff.splits.removed)]
    return f"the splits changed ({', '.join(splits)})"


def _rows_reason(diff: Diff) -> str:
    if diff.added.count or diff.removed.count:
        return f"{counted(diff.added.count, 'row')} came and {diff.removed.count:,} went"
    images = max(diff.by_column.get(name, 0) for name in IMAGE_COLUMNS)
    return f"the image of {counted(images, 'row')} changed"
