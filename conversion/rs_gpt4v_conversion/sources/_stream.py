"""Annotation files in JSON that are too large to hold: one record at a time, digested as they are read.

The standard library's decoder works on a window of text that moves through the file, so memory depends on the longest
record and not on the file. benchmarks/README.md has what it was compared with.
"""

import codecs
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from rs_gpt4v_conversion.errors import SourceError
from rs_gpt4v_conversion.sources._folder import Folder, not_utf8
from rs_gpt4v_conversion.sources._json import DIGITS, NESTED, UTF8, another_kind, describe, is_cut

BLOCK = 1 << 18
"""Bytes read at a time, as long as no record is longer."""

LONGEST = 1 << 26
"""Characters of the longest record. A file that has a longer one is not of records, and is not to fill the memory."""

MARGIN = 16
"""An error so near to the end of the window may come from its end: no literal or escape is longer."""

SPACE = " \t\n\r"

ENDS = tuple(f",]}}{SPACE}")
"""What follows a value. A number without one of these behind it may go on behind the window."""

COMMA = re.compile(f"[{SPACE}]*,[{SPACE}]*")


def iter_records(folder: Folder, path: Path, key: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of the list under `key` of the object that a file holds, with their positions.

    Raises:
        SourceError: The file is missing, not UTF-8, cut off, not JSON, or holds something else. What is wrong behind a
            record is found when the record was given already.
    """
    keys: list[str] = []
    with folder.open(path) as file:
        window = _Window(path, file)
        for name in window.members():
            keys.append(name)
            if name != key:
                window.value()
            elif keys.count(key) > 1:
                raise SourceError(path, f"a second list {key!r}", "one")
            else:
                yield from window.records(key)
        window.finish()
    if key not in keys:
        raise another_kind(path, keys, key)


def iter_members(folder: Folder, path: Path) -> Iterator[tuple[str, Any]]:
    """The members of the object that a file holds: each one's name and value.

    Raises:
        SourceError: As `iter_records` does.
    """
    with folder.open(path) as file:
        window = _Window(path, file)
        for name in window.members():
            window.record = repr(name)
            yield name, window.value()
        window.finish()


class _Window:
    """A part of a file's text that moves forward through it.

    Attributes:
        record: What is being read, for messages.
    """

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self.path, self.record = path, ""
        self._file = file
        self._decode = codecs.getincrementaldecoder("utf-8-sig")()
        self._scan = json.JSONDecoder().raw_decode
        self._text, self._at, self._ended = "", 0, False
        self._bytes = 0  # of the file that were read
        self._line, self._column = 1, 1  # of the window's first character

    def members(self) -> Iterator[str]:
        """The names of an object's members; whoever asks for the next one has read the value."""
        if self.peek() not in ("{", ""):
            found = describe(self._outermost())
            raise SourceError(self.path, found, "a JSON object", do="is it another dataset's file?")
        self._take("{")
        more = self.peek() != "}"
        while more:
            if self.peek() != '"':
                raise self._broken("Expecting property name enclosed in double quotes", self._at)
            name: str = self.value()
            self._take(":")
            self.peek()
            yield name
            more = self._comma()
        self._take("}")

    def records(self, key: str) -> Iterator[tuple[int, dict[str, Any]]]:
        """The elements of a list, which must be objects, with their positions."""
        if self.peek() != "[":
            raise SourceError(self.path, describe(self.value()), "a list", record=key)
        self._at += 1
        number, more = 0, self.peek() != "]"
        while more:
            try:
                value, end = self._scan(self._text, self._at)
                following = COMMA.match(self._text, end)
            except (ValueError, RecursionError):
                following = None
            if following and following.end() < len(self._text):  # the way of nearly all records
                self._at = following.end()
            else:  # at the end of the window or of the list, or broken
                self.record = f"{key}[{number}]"
                value, more = self.value(), self._comma()
            if type(value) is not dict:
                raise SourceError(self.path, describe(value), "an object", record=f"{key}[{number}]")
            yield number, value
            number += 1
        self._take("]")

    def value(self) -> Any:
        """The value that begins here."""
        while True:
            try:
                value, end = self._scan(self._text, self._at)
            except json.JSONDecodeError as error:
                near = error.pos >= len(self._text) - MARGIN or error.msg.startswith("Unterminated")
                if self._ended or not near:
                    raise self._broken(error.msg, error.pos) from None
            except ValueError:  # Python reads no number of more digits than a few thousand
                raise self._wrong(DIGITS) from None
            except RecursionError:
                raise self._wrong(NESTED) from None
            else:
                if self._ended or self._text[end : end + 1] in ENDS or len(self._text) - end > MARGIN:
                    self._at = end
                    return value
            self._fill()

    def peek(self) -> str:
        """The next character that is no space, or an empty string at the end of the file."""
        while True:
            text, at = self._text, self._at
            while at < len(text) and text[at] in SPACE:
                at += 1
            self._at = at
            if at < len(text):
                return text[at]
            if self._ended:
                return ""
            self._fill()

    def finish(self) -> None:
        """Make sure that nothing follows."""
        if self.peek():
            raise self._broken("Extra data", self._at)

    def _take(self, character: str) -> None:
        if self.peek() != character:
            raise self._broken(f"Expecting {character!r} delimiter", self._at)
        self._at += 1

    def _comma(self) -> bool:
        """Whether a comma follows; then it is passed over, with the space behind it."""
        if self.peek() != ",":
            return False
        self._at += 1
        self.peek()
        return True

    def _outermost(self) -> Any:
        """What stands in the place of an object: of a list that may be long nothing but that it is one."""
        return [] if self.peek() == "[" else self.value()

    def _fill(self) -> None:
        """Forget what was read and read on: as much again as is left, so that a long record is not scanned often."""
        rest = self._text[self._at :]
        if len(rest) > LONGEST:
            raise self._wrong(f"a record of more than {LONGEST:,} characters")
        lines = self._text.count("\n", 0, self._at)
        self._line += lines
        self._column = self._at - self._text.rfind("\n", 0, self._at) if lines else self._column + self._at
        content = self._file.read(max(BLOCK, len(rest)))
        kept = len(self._decode.getstate()[0])
        try:
            more = self._decode.decode(content, final=not content)
        except UnicodeDecodeError as error:
            raise not_utf8(self.path, self._bytes - kept + error.start, UTF8) from None
        self._bytes += len(content)
        self._ended = not content
        self._text, self._at = rest + more, 0

    def _broken(self, message: str, position: int) -> SourceError:
        """The error for text that is no JSON at a position of the window."""
        lines = self._text.count("\n", 0, position)
        column = position - self._text.rfind("\n", 0, position) if lines else self._column + position
        where = f"line {self._line + lines} column {column}" + (f", {self.record}" if self.record else "")
        found = "a file that ends too early" if self._ended and is_cut(message, position, self._text) else message
        return SourceError(self.path, found, "complete JSON", record=where, do="fetch it again")

    def _wrong(self, found: str) -> SourceError:
        return SourceError(self.path, found, "the source's annotations", record=self.record)
