"""Pages for people: one HTML file each, with everything it needs in it."""

import importlib.resources
from pathlib import Path

from rs_gpt4v_conversion.errors import UsageError
from rs_gpt4v_conversion.files import disk_trouble, write_bytes


def frame(name: str) -> str:
    """A page with placeholders, and with the style that all pages share.

    Args:
        name: Of its file in this package.
    """
    folder = importlib.resources.files("rs_gpt4v_conversion")
    style = (folder / "page.css").read_text(encoding="utf-8").rstrip()
    return (folder / name).read_text(encoding="utf-8").replace("{{ style }}", style)


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
