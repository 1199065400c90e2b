"""Annotation files in JSON: read once, checked where they enter, with errors that name file, record and finding."""

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rs_gpt4v_conversion.errors import SourceError
from rs_gpt4v_conversion.sources._folder import Folder

UTF8 = "JSON in UTF-8"
LONGEST_SIDE = 1_000_000
"""Pixels: no side of an image is longer."""

NESTED, DIGITS = "JSON nested without end", "a number of thousands of digits"


def load_object(folder: Folder, path: Path) -> dict[str, Any]:
    """Read a JSON file whose top level is an object.

    Raises:
        SourceError: The file is missing, not UTF-8, cut off, not JSON, or holds something else.
    """
    value = load_json(folder, path)
    if not isinstance(value, dict):
        raise SourceError(path, describe(value), "a JSON object", do="is it another dataset's file?")
    return value


def load_json(folder: Folder, path: Path) -> Any:
    """Read a JSON file.

    Raises:
        SourceError: The file is missing, not UTF-8, cut off or not JSON.
    """
    return _parsed(folder.text(path, UTF8), path)


def load_list(folder: Folder, path: Path) -> list[dict[str, Any]]:
    """Read a list of objects: one JSON list, or JSON lines, whichever the file holds; a blank line is none.

    Raises:
        SourceError: The file is missing, not UTF-8, cut off, not JSON, empty, or an element is no object.
    """
    text = folder.text(path, UTF8)
    first = text.lstrip().split("\n", 1)[0]
    if first[:1] == "[":
        values = _parsed(text, path)
    elif first.strip() == "{":  # indented: one object, and no line of it is JSON
        found = describe(_parsed(text, path))
        raise SourceError(path, found, "a list of objects", do="is it another dataset's file?")
    else:
        lines = enumerate(text.split("\n"), 1)  # not splitlines: a text may hold other line ends
        values = [_parsed(line, path, number) for number, line in lines if line.strip()]
    if not values:
        raise SourceError(path, "no record", "a list of objects")
    return records({"": values}, "", path)


def _parsed(text: str, path: Path, line: int = 1) -> Any:
    """The value of a JSON text that begins in a line of its file."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        found = "a file that ends too early" if is_cut(error.msg, error.pos, text) else error.msg
        where = f"line {line + error.lineno - 1} column {error.colno}"
        raise SourceError(path, found, "complete JSON", record=where, do="fetch it again") from None
    except ValueError:  # Python reads no number of more digits than a few thousand
        raise SourceError(path, DIGITS, "the source's annotations") from None
    except RecursionError:
        raise SourceError(path, NESTED, "the source's annotations") from None


def records(value: dict[str, Any], key: str, path: Path) -> list[dict[str, Any]]:
    """The list of objects under `key`.

    Raises:
        SourceError: The key is missing, its value is no list, or an element is no object.
    """
    if key not in value:
        raise another_kind(path, value, key)
    if not isinstance(value[key], list):
        raise SourceError(path, describe(value[key]), "a list", record=key)
    for i, item in enumerate(value[key]):
        if not isinstance(item, dict):
            raise SourceError(path, describe(item), "an object", record=f"{key}[{i}]")
    found: list[dict[str, Any]] = value[key]
    return found


def typed(record: dict[str, Any], key: str, kind: type | tuple[type, ...], path: Path, where: str) -> Any:
    """The value under `key`, of one of the stated types (a bool is no number).

    Raises:
        SourceError: The key is missing or of another type.
    """
    value = record.get(key)
    kinds = kind if isinstance(kind, tuple) else (kind,)
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        names = " or ".join(_NAMES[k] for k in kinds)
        found = describe(value) if key in record else "nothing"
        raise SourceError(path, found, names, record=f"{where}.{key}")
    return value


def floats(values: object, count: int) -> list[float] | None:
    """So many numbers of a list or tuple as floats, None where it is anything else (a bool is no number).

    A number that is too large for a float is infinite, as one with a point is that is too large where JSON is read.
    """
    if not isinstance(values, list | tuple) or len(values) != count:
        return None
    if not all(isinstance(v, int | float) and not isinstance(v, bool) for v in values):
        return None
    return [_float(v) for v in values]


def _float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def side(image: dict[str, Any], key: str, path: Path, where: str) -> int:
    """Width or height of an image as the file states it, pixels.

    Raises:
        SourceError: It is missing, no whole number, or no image has such a side.
    """
    value: int = typed(image, key, int, path, where)
    if not 1 <= value <= LONGEST_SIDE:
        raise SourceError(path, describe(value), "the image's side in pixels", record=f"{where}.{key}")
    return value


def is_cut(message: str, position: int, text: str) -> bool:
    """Whether a message of the decoder, about a position of the text, comes from the text's end."""
    return message != "Extra data" and (position >= len(text.rstrip()) - 1 or message.startswith("Unterminated"))


def another_kind(path: Path, keys: Iterable[str], key: str) -> SourceError:
    """The error for an object without the list that was expected."""
    found = "the keys " + (", ".join(sorted(keys)[:6]) or "none")
    return SourceError(path, found, f"a list {key!r}", do="is it another dataset's file?")


_NAMES: dict[type, str] = {
    str: "a string",
    int: "an integer",
    float: "a number",
    list: "a list",
    dict: "an object",
    bool: "true or false",
}


def describe(value: object) -> str:
    """A JSON value in a few words, for messages."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    kind = "null" if value is None else _NAMES.get(type(value), type(value).__name__)
    return kind if isinstance(value, list | dict) or value is None else f"{kind} {text[:60]}"
