"""Uploaded files and those that batches make, in a folder that the server removes when it ends."""

import mmap
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rs_gpt4v_conversion.gpt4v.stub.asking import BadRequestError

_BOUNDARY = re.compile(r'multipart/form-data;.*\bboundary="?([^";]+)"?', re.IGNORECASE)
_NAME = re.compile(rb'[; ]name="([^"]*)"')
_FILENAME = re.compile(rb'filename="([^"]*)"')


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """A file, as a part of one on the disk."""

    id: str
    name: str
    purpose: str
    created: int  # seconds since 1970
    path: Path
    start: int = 0  # its first byte
    size: int  # bytes

    def lines(self) -> Iterator[tuple[int, bytes]]:
        """The place of each line in the file on the disk, and the line."""
        with self.path.open("rb") as file:
            file.seek(self.start)
            at, end = self.start, self.start + self.size
            while at < end:
                line = file.readline(end - at)
                yield at, line
                at += len(line)

    def described(self) -> dict[str, Any]:
        """The object of the API."""
        return {
            "id": self.id, "object": "file", "bytes": self.size, "created_at": self.created, "filename": self.name,
            "purpose": self.purpose, "status": "processed", "expires_at": None, "status_details": None,
        }  # fmt: skip


class Files:
    """All files of a server.

    Args:
        folder: Where they lie.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._lock = folder, threading.Lock()
        self._files: dict[str, StoredFile] = {}
        self._made = 0

    def new_path(self) -> Path:
        """Where the next file may be written."""
        with self._lock:
            self._made += 1
            return self._folder / f"{self._made:06d}"

    def add(self, path: Path, *, name: str, purpose: str, start: int = 0, size: int | None = None) -> StoredFile:
        """Keep a file that was written to a path of `new_path`."""
        file = StoredFile(
            id=f"file-{path.name}", name=name, purpose=purpose, created=int(time.time()), path=path, start=start,
            size=path.stat().st_size - start if size is None else size,
        )  # fmt: skip
        with self._lock:
            self._files[file.id] = file
        return file

    def get(self, file_id: str) -> StoredFile:
        """A file by its id.

        Raises:
            BadRequestError: There is none (404).
        """
        with self._lock:
            file = self._files.get(file_id)
        if file is None:
            raise BadRequestError(f"No such File object: {file_id}", "id", status=404)
        return file

    def remove(self, file_id: str) -> None:
        """Forget a file.

        Raises:
            BadRequestError: There is none (404).
        """
        self.get(file_id)
        with self._lock:
            del self._files[file_id]  # a batch that reads it keeps its own reference

    def all(self) -> list[StoredFile]:
        """Newest first."""
        with self._lock:
            return list(reversed(self._files.values()))

    def upload(self, content_type: str, path: Path) -> StoredFile:
        """Keep the file of a form.

        Args:
            content_type: Header of the request.
            path: Its body, of `new_path`.

        Raises:
            BadRequestError: The body is no form with the fields `file` and `purpose`.
        """
        match = _BOUNDARY.match(content_type)
        if match is None or path.stat().st_size == 0:
            raise BadRequestError("Expected a body of multipart/form-data.", "file")
        fields: dict[bytes, tuple[str, int, int]] = {}
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as body:
            for head, start, end in _parts(body, b"--" + match[1].encode()):
                name, filename = _NAME.search(head), _FILENAME.search(head)
                if name is not None:
                    fields[name[1]] = (filename[1].decode("utf-8", "replace") if filename else "", start, end)
            for wanted in ("file", "purpose"):
                if wanted.encode() not in fields:
                    raise BadRequestError(f"Missing required parameter: '{wanted}'.", wanted)
            _, start, end = fields[b"purpose"]
            purpose = body[start:end].decode("utf-8", "replace")
        name_, start, end = fields[b"file"]
        return self.add(path, name=name_ or "upload", purpose=purpose, start=start, size=end - start)


def _parts(body: mmap.mmap, boundary: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Header, first byte and end of each part of a form."""
    at = body.find(boundary)
    while at >= 0:
        head = body.find(b"\r\n\r\n", at)
        end = body.find(b"\r\n" + boundary, head)
        if head < 0 or end < 0:
            return
        yield body[at:head], head + 4, end
        at = end + 2
