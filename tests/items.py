"""What readers yield, as tests look at it."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rs_gpt4v_conversion.records import Flaw, Note, Scene
from rs_gpt4v_conversion.sources import Folder, known_sources

Item = Scene | Flaw | Note
"""Of sources that mark objects."""


def read(kind: str, root: Path, **options: str) -> list[Item]:
    return [i for i in known_sources()[kind].read(Folder(root), options) if isinstance(i, Scene | Flaw | Note)]


def scenes(items: Iterable[Item]) -> list[Scene]:
    return [item for item in items if isinstance(item, Scene)]


def notes(items: Iterable[Any]) -> Counter[str]:
    """How often each thing was noted."""
    found: Counter[str] = Counter()
    for item in items:
        if isinstance(item, Note):
            found[item.reason] += item.count
    return found
