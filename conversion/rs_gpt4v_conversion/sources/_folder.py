"""A source's folder: lists and opens its annotation files, and remembers what they held."""

import hashlib
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from rs_gpt4v_conversion.errors import SourceError


class Folder:
    """The root of a source on the user's disk.

    Attributes:
        root: The folder.
        digests: SHA-256 of every annotation file read so far, by its path from the root.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.digests: dict[str, str] = {}

    def read(self, path: Path) -> bytes:
        """Read an annotation file whole.

        Raises:
            SourceError: There is no such file, or it cannot be read.
        """
        with self.open(path) as file:
            return file.read()

    def text(self, path: Path, expected: str) -> str:
        """Read a text file whole; a mark of its byte order is passed over.

        Args:
            path: The file.
            expected: What it should be, for the message.

        Raises:
            SourceError: There is no such file, it cannot be read, or it is not UTF-8.
        """
        try:
            return self.read(path).decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise not_utf8(path, error.start, expected) from None

    @contextmanager
    def open(self, path: Path) -> Iterator[BinaryIO]:
        """Open an annotation file to read it from its beginning on, in whatever portions.

        Its digest is that of the whole file: what is not read within the `with` is read at its end. After an error
        there is none.

        Raises:
            SourceError: There is no such file, or it cannot be read.
        """
        expected = "the source's annotation file"
        try:
            raw = path.open("rb", buffering=0)
        except FileNotFoundError:
            raise SourceError(path, "no such file", expected, do="check `root`") from None
        except IsADirectoryError:
            raise SourceError(path, "a folder", expected) from None
        except PermissionError:
            raise SourceError(path, "a file that may not be read", expected) from None
        with _Digested(raw) as file:
            yield file  # type: ignore[misc]  # typing has no name for raw streams; all that is called is there
            while file.read(_REST):
                pass
            digest = file.digest.hexdigest()
        inside = path.is_relative_to(self.root)
        self.digests[path.relative_to(self.root).as_posix() if inside else path.name] = digest

    def size(self, path: Path) -> tuple[int, int] | None:
        """Width and height in pixels from an image's header, or None where the image is not there or is none."""
        from rs_gpt4v_conversion.images.decoding import read_header

        header = read_header(path)
        return None if header is None else header.size

    def samples(self, path: Path) -> tuple[int, int] | None:
        """Bands and bits a band from a TIFF's header, or None where the file is not there or is none."""
        from rs_gpt4v_conversion.images import tiff

        try:
            with path.open("rb") as file:
                directory = tiff.read_tags(file)
        except OSError:
            return None
        return None if directory is None else tiff.bands(directory)

    def images(self, *names: str) -> Path:
        """The first of the folders that exists, or the first name: annotations alone can be planned."""
        return next((self.root / n for n in names if (self.root / n).is_dir()), self.root / names[0])


def files_by_stem(where: Path, suffix: str) -> dict[str, Path]:
    """The files of a folder with an ending, by their names without it, in order; none where there is no such folder.

    Hidden ones are passed over: systems leave a `._a.xml` beside an `a.xml`.
    """
    return {path.stem: path for path in sorted(where.glob(f"*{suffix}")) if not path.name.startswith(".")}


def not_utf8(path: Path, position: int, expected: str) -> SourceError:
    """The error for a byte that is not UTF-8."""
    return SourceError(path, f"byte {position}, which is not UTF-8", expected, do="fetch it again")


_REST = 1 << 20
"""Bytes at a time of what nobody asked for."""


class _Digested(io.RawIOBase):
    """A file that is read in order, digested on the way."""

    def __init__(self, raw: io.FileIO) -> None:
        self.raw, self.digest = raw, hashlib.sha256()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        count = self.raw.readinto(buffer) or 0
        self.digest.update(memoryview(buffer)[:count])
        return count

    def readall(self) -> bytes:
        content = self.raw.readall()
        self.digest.update(content)
        return content

    def close(self) -> None:
        self.raw.close()
        super().close()
