"""Annotation files with one record a line."""

import re
from pathlib import Path

from rs_gpt4v_conversion.sources._folder import Folder

_BREAK = re.compile(r"\r\n|\n|\r")


def load_lines(folder: Folder, path: Path, expected: str = "text in UTF-8") -> list[tuple[int, str]]:
    """The lines of a text file that are not blank, without blanks at their ends, each with its number from 1.

    Args:
        folder: The source's folder.
        path: The file.
        expected: What it should be, for the message.

    Raises:
        SourceError: The file is missing or not UTF-8.
    """
    text = folder.text(path, expected)
    lines = ((number, line.strip()) for number, line in enumerate(_BREAK.split(text), 1))
    return [(number, line) for number, line in lines if line]
