"""Annotation files with one record a line."""

import re
from pathlib import Path

from rs_gpt4v_conversion.errors import SourceError
from rs_gpt4v_conversion.sources._folder import Folder

_BREAK = re.compile(r"\r\n|\n|\r")


def load_lines(folder: Folder, path: Path) -> list[tuple[int, str]]:
    """The lines of a text file that are not blank, without blanks at their ends, each with its number from 1.

    Raises:
        SourceError: The file is missing or not UTF-8.
    """
    try:
        text = folder.read(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SourceError(
            path, f"byte {error.start}, which is not UTF-8", "text in UTF-8", do="fetch it again"
        ) from None
    lines = ((number, line.strip()) for number, line in enumerate(_BREAK.split(text), 1))
    return [(number, line) for number, line in lines if line]
