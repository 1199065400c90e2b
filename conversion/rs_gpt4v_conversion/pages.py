"""Pages for people: one HTML file each, with everything it needs in it."""

import importlib.resources
import re
from collections.abc import Mapping
from pathlib import Path

from rs_gpt4v_conversion.errors import UsageError
from rs_gpt4v_conversion.files import disk_trouble, write_bytes

_PLACEHOLDER = re.compile(r"\{\{ (\w+) \}\}")


def filled(name: str, parts: Mapping[str, str]) -> str:
    """A page with its placeholders filled in, and with the style that all pages share.

    All of them in one go: what a release says is never taken for a placeholder.

    Args:
        name: Of the page's file in this package.
        parts: HTML by placeholder.
    """
    folder = importlib.resources.files("rs_gpt4v_conversion")
    style = (folder / "page.css").read_text(encoding="utf-8").rstrip()
    values = {**parts, "style": style}
    return _PLACEHOLDER.sub(lambda found: values[found[1]], (folder / name).read_text(encoding="utf-8"))


def save(page: str, out: Path) -> None:
    """Write a page.

    Raises:
        UsageError: It cannot be written.
    """
    try:
        write_bytes(out, page.encode())
    except OSError as error:
        trouble = disk_trouble(error, out.parent)
        if trouble is None and isinstance(error, FileNotFoundError | NotADirectoryError):
            trouble = UsageError(f"{out.parent}: is no folder to write a page into")
        if trouble is None and isinstance(error, IsADirectoryError):
            trouble = UsageError(f"{out}: is a folder, expected the name of the page's file")
        raise trouble or error from None
