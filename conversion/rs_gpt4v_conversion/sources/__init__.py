"""The known sources: one module each, found by name.

A module of this package whose name has no leading underscore is a source and ends in `SOURCE = Source(...)`. What
several sources share is in modules with a leading underscore. docs/adding-a-source.md walks through a new one.
"""

import importlib
import pkgutil
from functools import cache

from rs_gpt4v_conversion.sources._folder import Folder
from rs_gpt4v_conversion.sources._source import (
    BOXES,
    TILING,
    Option,
    Options,
    PaperFigure,
    Read,
    Source,
    box_form,
    option_path,
)

__all__ = [
    "BOXES", "TILING", "Folder", "Option", "Options", "PaperFigure", "Read", "Source", "box_form", "known_sources",
    "option_path",
]  # fmt: skip


@cache
def known_sources() -> dict[str, Source]:
    """All sources by kind, in alphabetical order."""
    kinds = sorted(m.name for m in pkgutil.iter_modules(__path__) if not m.name.startswith("_"))
    return {kind: importlib.import_module(f"{__name__}.{kind}").SOURCE for kind in kinds}
