"""XML annotation files, the same bytes on every system."""

from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import escape

Node = tuple[str, str | int | float | Sequence["Node"]]
"""A tag, and its text or the elements in it."""


def write_xml(path: Path, root: Node, *, declared: bool = False) -> None:
    """Write an XML file with a tab a level, as the annotation tools do.

    Args:
        path: The file; its folder is made.
        root: The outermost element.
        declared: Begin with an XML declaration.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    head = '<?xml version="1.0" encoding="utf-8"?>\n' if declared else ""
    path.write_bytes((head + _text(root, 0)).encode())


def write_list(path: Path, lines: Sequence[str]) -> None:
    """Write a text file of one record a line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes("".join(f"{line}\n" for line in lines).encode())


def size_of(width: int, height: int, depth: int = 3) -> Node:
    """VOC's element for the size of an image."""
    return ("size", [("width", width), ("height", height), ("depth", depth)])


def bndbox(x1: int, y1: int, x2: int, y2: int) -> Node:
    """VOC's element for an upright box."""
    return ("bndbox", [("xmin", x1), ("ymin", y1), ("xmax", x2), ("ymax", y2)])


def _text(node: Node, depth: int) -> str:
    tag, content = node
    tabs = "\t" * depth
    if isinstance(content, str | int | float):
        return f"{tabs}<{tag}>{escape(str(content))}</{tag}>\n"
    inner = "".join(_text(child, depth + 1) for child in content)
    return f"{tabs}<{tag}>\n{inner}{tabs}</{tag}>\n"
