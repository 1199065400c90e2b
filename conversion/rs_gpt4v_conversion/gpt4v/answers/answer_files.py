"""The files in <requests>/answers: which are there, and the lines of one.

A file holds JSON lines, or JSON documents (pretty-printed too), or arrays of them. Bytes are never decoded here.
"""

import hashlib
import mmap
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pydantic_core import from_json

from rs_gpt4v_conversion.errors import UsageError
from rs_gpt4v_conversion.files import TEMPORARY
from rs_gpt4v_conversion.gpt4v.records import STAGES
from rs_gpt4v_conversion.gpt4v.workspace import Workspace

MAP = ".map.csv"
"""Ending of what an import said about the foreign lines of the file beside it."""

MOST_BYTES = 32 << 20
"""Of a line. No model's answer comes near it; without a bound, a file without line ends would be read whole."""

SAME_NUMBER = 8
"""Files that may have one number: two programs that add one at the same moment may take the same."""

_NAME = re.compile(r"(\d{6,})-(.+)")
_GROWING = re.compile(rf"\d{{6,}}-run-({'|'.join(STAGES)})\.jsonl")
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerFile:
    """One answer file."""

    path: Path
    order: int  # place among all: by number, then by name; the same for ever, as later files have higher numbers

    @property
    def map(self) -> Path:
        """Where the map of its foreign lines lies, if it has one."""
        return self.path.with_name(self.path.name + MAP)

    @property
    def growing(self) -> bool:
        """Whether a run writes it: a last line without its end is still being written."""
        return _GROWING.fullmatch(self.path.name) is not None

    @property
    def name(self) -> str:
        """Its name when it was imported."""
        match = _NAME.fullmatch(self.path.name)
        return match[2] if match else self.path.name


@dataclass(frozen=True, slots=True)
class Item:
    """A line, or a document that stands for one."""

    number: int  # of the line in its file, or of the document, from 1
    offset: int  # of its first byte
    length: int  # bytes
    raw: bytes  # empty where it is longer than `MOST_BYTES`


def answer_files(workspace: Workspace) -> list[AnswerFile]:
    """The answer files that are there, in the order in which they are read.

    Raises:
        UsageError: Too many have one number.
    """
    numbered: dict[int, list[Path]] = {}
    for path in sorted(workspace.answers.iterdir()) if workspace.answers.is_dir() else ():
        match = _NAME.fullmatch(path.name)
        if match and not path.name.endswith((TEMPORARY, MAP)) and path.is_file():
            numbered.setdefault(int(match[1]), []).append(path)
    for number, paths in numbered.items():
        if len(paths) > SAME_NUMBER:
            raise UsageError(
                f"{workspace.answers}: found {len(paths)} files with the number {number:06d}, expected one; give them "
                "numbers that are still free, in the order in which they should be read"
            )
    return [
        AnswerFile(path=path, order=number * SAME_NUMBER + place)
        for number, paths in sorted(numbered.items())
        for place, path in enumerate(paths)
    ]


def next_answer_file(workspace: Workspace, name: str) -> Path:
    """The path for a new answer file: the next number, and a name."""
    files = answer_files(workspace)
    number = files[-1].order // SAME_NUMBER + 1 if files else 1
    return workspace.answers / f"{number:06d}-{name}"


def has_lines(path: Path) -> bool:
    """Whether a file is one of JSON lines, not of documents or arrays.

    A damaged first line does not make it a document: only one that goes on in the second line as no JSON object begins.
    """
    with path.open("rb") as file:
        first = _not_blank(file, skip_bom=True)
        if not first.startswith((b"{", b"[")):
            return True
        second = _not_blank(file)
    try:
        from_json(first)
    except ValueError:
        return first.startswith(b"{") and (not second or second.startswith(b"{"))
    return first.startswith(b"{")


class Lines:
    """JSON lines of a file, from the begin of one of them; blank ones only count.

    The last line may lack its end, but not in a `growing` file: there it is left for the next time.

    Args:
        file: The file, open.
        offset: Where to begin.
        number: Lines before that.
        digest: sha256 of the bytes before that; those that are read are added.
        growing: Whether the file is still being written.
    """

    def __init__(self, file: BinaryIO, *, offset: int, number: int, digest: "hashlib._Hash", growing: bool) -> None:
        self.file, self.offset, self.number, self.digest, self.growing = file, offset, number, digest, growing
        self.ended = True  # whether the last line had its end

    def __iter__(self) -> Iterator[Item]:
        """Each line; `offset`, `number` and `digest` are already those behind it."""
        self.file.seek(self.offset)
        while raw := self.file.readline(MOST_BYTES + 1):
            begin, length, ended = self.offset, len(raw), raw.endswith(b"\n")
            kept = length <= MOST_BYTES
            if not kept and not ended:
                length, ended = self._long(length)
            if self.growing and not ended:
                return
            if kept:
                self.digest.update(raw)
            else:
                self._digest_again(begin, length)
            self.offset, self.number, self.ended = begin + length, self.number + 1, ended
            mark = 3 if begin == 0 and raw.startswith(_BOM) else 0
            if not kept or not raw.isspace():
                yield Item(self.number, begin + mark, length - mark, (raw[mark:] if mark else raw) if kept else b"")

    def _long(self, length: int) -> tuple[int, bool]:
        """Go on to the end of a line; its length, and whether it has an end."""
        while part := self.file.readline(MOST_BYTES):
            length += len(part)
            if part.endswith(b"\n"):
                return length, True
        return length, False

    def _digest_again(self, begin: int, length: int) -> None:
        self.file.seek(begin)
        while length:
            part = self.file.read(min(length, MOST_BYTES))
            self.digest.update(part)
            length -= len(part)


class Documents:
    """JSON documents of a file, one after the other or as elements of arrays, found by their brackets.

    What lies between them and is no document is an item too, and so is one without its end: nothing is left out.
    Afterwards `offset`, `number` and `digest` are those of the whole file.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.offset, self.number, self.digest = path, 0, 0, hashlib.sha256()
        self.ended = False  # documents that are added later are another file

    def __iter__(self) -> Iterator[Item]:
        """Each document."""
        with self.path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            for begin, end in _documents(data):
                self.number += 1
                yield Item(self.number, begin, end - begin, data[begin:end] if end - begin <= MOST_BYTES else b"")
            self.digest.update(data)
            self.offset = len(data)


def read_item(file: BinaryIO, offset: int, length: int) -> bytes:
    """The bytes of an item, read again."""
    file.seek(offset)
    return file.read(length)


_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[\[\]{}"]', re.DOTALL)
_BETWEEN = b" \t\r\n,"


def _documents(data: mmap.mmap) -> Iterator[tuple[int, int]]:
    """Begin and end of each document."""
    outside = begin = 3 if data[:3] == _BOM else 0  # end of the last document, begin of the one that is open
    depth, base = 0, 0  # base: 1 inside an array whose elements are documents
    for match in _TOKEN.finditer(data):
        token, at = match[0][:1], match.start()
        if token == b'"':
            if len(match[0]) == 1:
                break  # a string without its end: all that follows is one item
        elif token in b"{[":
            if depth == base:
                yield from _gap(data, outside, at)
                begin = at
                outside = len(data)
            if depth == 0 and token == b"[":
                base, outside = 1, at + 1
            depth += 1
        else:
            depth -= 1
            if depth < base:  # the end of an array of documents, or a bracket too many, which is an item then
                yield from _gap(data, outside, at if base else at + 1)
                depth, base, outside = 0, 0, at + 1
            elif depth == base:
                yield begin, at + 1
                outside = at + 1
    if depth > base:
        yield begin, len(data)
    else:
        yield from _gap(data, outside, len(data))


def _gap(data: mmap.mmap, begin: int, end: int) -> Iterator[tuple[int, int]]:
    between = data[begin:end]
    text = between.strip(_BETWEEN)
    if text:
        start = begin + between.index(text)
        yield start, start + len(text)


def _not_blank(file: BinaryIO, *, skip_bom: bool = False) -> bytes:
    """The next line that is not blank, or its first part."""
    while line := file.readline(MOST_BYTES):
        text = line.removeprefix(_BOM) if skip_bom else line
        if text.strip():
            return text.strip()
    return b""
