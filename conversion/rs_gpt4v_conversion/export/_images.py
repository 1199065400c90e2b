"""The images of an export: each under the path by which the paper's files name it, in the format that the path says."""

import hashlib
import io
import warnings
from pathlib import Path, PurePosixPath

from PIL import Image, UnidentifiedImageError

from rs_gpt4v_conversion.errors import UsageError
from rs_gpt4v_conversion.files import completed
from rs_gpt4v_conversion.images.decoding import DECODE_ERRORS, FORMATS
from rs_gpt4v_conversion.images.encoding import PNG_MODES

_FORMATS = {
    ".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".tif": "TIFF", ".tiff": "TIFF", ".bmp": "BMP",
}  # fmt: skip

_MODES = {
    "PNG": PNG_MODES,
    "TIFF": PNG_MODES,
    "BMP": {"1", "L", "P", "RGB", "RGBA"},
}
"""Pixel formats that a format holds as they are."""

_OURS = (".json", ".jsonl", ".tmp")
"""Endings of the files of an export that are no images."""


class ImageFiles:
    """Writes images below a folder, each path once.

    Attributes:
        written: Images that are there now.
        missing: Paths of which the release holds no bytes.
        misnamed: Images whose format is not what their name says, because writing it would change pixels.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.written = self.misnamed = 0
        self._seen: dict[str, tuple[bytes, str]] = {}  # by path: half a digest, the first row's id
        self._missing: set[str] = set()

    @property
    def missing(self) -> int:
        """Paths of which no row holds bytes."""
        return len(self._missing - self._seen.keys())

    def add(self, row: str, path: str, data: bytes | None) -> None:
        """Write the image of a row, if none of this path was written.

        Args:
            row: The row's id.
            path: Where it belongs, from the folder; checked by `image_path`.
            data: Its bytes, None where the release may not carry them.

        Raises:
            UsageError: Another row has another image under this path, or it cannot be written there.
        """
        if data is None:
            self._missing.add(path)
            return
        digest = hashlib.sha256(data).digest()[:16]
        if path in self._seen:
            other, first = self._seen[path]
            if other != digest:
                raise UsageError(
                    f"{path} is the image_path of {first} and of {row}, whose images differ; give the images of one "
                    "source another folder, so that an export has room for both"
                )
            return
        self._seen[path] = digest, row
        self._write(row, path, data)

    def _write(self, row: str, path: str, data: bytes) -> None:
        target = self.folder / path
        content, as_named = in_format(data, PurePosixPath(path).suffix.lower())
        self.misnamed += not as_named
        self.written += 1
        if content is data and target.is_file() and target.stat().st_size == len(data):
            return  # of a run before this one, which was interrupted
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with completed(target, synced=False) as temporary:
                temporary.write_bytes(content)
        except (FileExistsError, IsADirectoryError, NotADirectoryError):
            raise UsageError(
                f"{path}: the image_path of {row} is a folder for one image and a file for another"
            ) from None


def image_path(path: object, row: str) -> str:
    """The path of a row's image, where it stays inside the export.

    Args:
        path: The row's `image_path`.
        row: The row's id.

    Raises:
        UsageError: It leads out of the folder or to a place where the export has files of its own.
    """
    expected = f"row {row}: image_path is {path!r}, expected"
    if not isinstance(path, str) or not path.strip("/."):
        raise UsageError(f"{expected} the relative path of an image")
    parts = path.split("/")
    if "\\" in path or "\0" in path or ":" in parts[0] or any(p in ("", ".", "..") for p in parts):
        raise UsageError(f"{expected} a relative path that stays inside the folder")
    if any(p.lower().endswith(_OURS) for p in parts) or path.lower() in ("test", "validation"):
        raise UsageError(f"{expected} an image; *.json, *.jsonl, test and validation are the export's own")
    if max(len(p.encode()) for p in parts) > 200 or len(path.encode()) > 1000:
        raise UsageError(f"{expected} names of at most 200 bytes, and 1,000 in all")
    return path


def in_format(data: bytes, suffix: str) -> tuple[bytes, bool]:
    """The bytes of an image in the format that a suffix says, and whether they are in it.

    JPEG and PNG that are named so pass through. Other formats are written again where they hold the same pixels. A PNG
    that is called JPEG stays a PNG, since no JPEG has its pixels: who reads it goes by its content anyway. So does
    what does not decode.

    Args:
        data: JPEG or PNG.
        suffix: In lower case, with its point.
    """
    wanted = _FORMATS.get(suffix)
    if wanted is None:
        return data, True
    found = "JPEG" if data[:2] == b"\xff\xd8" else "PNG" if data[:4] == b"\x89PNG" else ""
    if found == wanted:
        return data, True
    if wanted == "JPEG":
        return data, False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                image.load()
                return _encoded(image, wanted, data)
        except (UnidentifiedImageError, Image.DecompressionBombError, *DECODE_ERRORS):
            return data, False


def _encoded(image: Image.Image, wanted: str, data: bytes) -> tuple[bytes, bool]:
    if image.mode not in _MODES[wanted]:
        return data, False
    bare = image.copy()
    bare.info = {}  # no resolution, no profile: the pixels alone
    out = io.BytesIO()
    bare.save(out, wanted)
    return out.getvalue(), True
