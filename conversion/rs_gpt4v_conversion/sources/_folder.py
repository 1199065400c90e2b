"""A source's folder: opens its annotation files and remembers what they held."""

import hashlib
from pathlib import Path

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
        expected = "the source's annotation file"
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            raise SourceError(path, "no such file", expected, do="check `root`") from None
        except IsADirectoryError:
            raise SourceError(path, "a folder", expected) from None
        except PermissionError:
            raise SourceError(path, "a file that may not be read", expected) from None
        inside = path.is_relative_to(self.root)
        name = path.relative_to(self.root).as_posix() if inside else path.name
        self.digests[name] = hashlib.sha256(content).hexdigest()
        return content

    def size(self, path: Path) -> tuple[int, int] | None:
        """Width and height in pixels from an image's header, or None where the image is not there or is none."""
        from rs_gpt4v_conversion.decoding import read_header

        header = read_header(path)
        return None if header is None else header.size

    def images(self, *names: str) -> Path:
        """The first of the folders that exists, or the first name: annotations alone can be planned."""
        return next((self.root / n for n in names if (self.root / n).is_dir()), self.root / names[0])
