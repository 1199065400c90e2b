"""Annotation files in XML: parsed once, checked where they enter, with errors that name file, record and finding."""

import math
import xml.etree.ElementTree as ET
from pathlib import Path
from xml.etree.ElementTree import Element

from rs_gpt4v_conversion.errors import SourceError
from rs_gpt4v_conversion.sources._folder import Folder
from rs_gpt4v_conversion.sources._json import LONGEST_SIDE


def load_xml(folder: Folder, path: Path, root: str) -> Element:
    """Read an XML file.

    Args:
        folder: The source's folder.
        path: The file.
        root: The name that its outermost element must have.

    Raises:
        SourceError: The file is missing, is no XML, or is another kind of file.
    """
    content = folder.read(path)
    try:
        found = ET.fromstring(content)
    except ET.ParseError as error:
        line, column = error.position
        where = f"line {line} column {column}"
        raise SourceError(path, str(error).split(":")[0], "XML", record=where, do="fetch it again") from None
    except (ValueError, LookupError) as error:  # an encoding that it names and does not have
        raise SourceError(path, str(error), "XML", do="fetch it again") from None
    if found.tag != root:
        raise SourceError(path, f"<{found.tag}>", f"<{root}>", do="is it another dataset's file?")
    return found


def text(element: Element, path: str) -> str:
    """Text at a path below an element without blanks at its ends, empty where there is none."""
    return (element.findtext(path) or "").strip()


def number(element: Element, path: str) -> float | None:
    """The finite number at a path below an element, or None where there is none."""
    try:
        value = float(text(element, path))
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def size(element: Element, file: Path, path: str = "size") -> tuple[int, int]:
    """Width and height of the image as a VOC file states them, pixels.

    Raises:
        SourceError: They are missing, or no image has such sides.
    """
    sides = [number(element, f"{path}/{side}") for side in ("width", "height")]
    if any(side is None or not 1 <= side <= LONGEST_SIDE for side in sides):
        found = " x ".join(text(element, f"{path}/{side}") or "nothing" for side in ("width", "height"))
        raise SourceError(file, found, "the image's width and height in pixels", record=path)
    return int(sides[0] or 0), int(sides[1] or 0)
