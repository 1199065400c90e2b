"""Files of `torch.save` that hold plain lists: read without torch, and without running anything that is in them.

A pickle can call any function that it names. This reader lets it name none, so it can make lists, tuples, dictionaries,
text and numbers, and nothing else.
"""

import io
import pickle
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

from rs_gpt4v_conversion.errors import SourceError
from rs_gpt4v_conversion.sources._folder import Folder

MAGIC = 0x1950A86A20F9469CFC6C
"""The first value in a file of torch before 1.6, which is several pickles on end; later ones are zip files."""

MOST = 1 << 28
"""Bytes of a pickle in a zip file at most: it says itself how large it is."""

_BROKEN = (
    pickle.UnpicklingError, EOFError, ValueError, IndexError, KeyError, TypeError, AttributeError, ImportError,
    OverflowError, MemoryError, RecursionError, struct.error,
    zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError,
)  # fmt: skip
"""What damaged pickles and zip files raise."""


class _Named(Exception):
    """The pickle names something that is no plain value."""


class _Plain(pickle.Unpickler):
    """Makes plain values only."""

    def find_class(self, module: str, name: str) -> Any:
        raise _Named(f"{module}.{name}")

    def persistent_load(self, pid: Any) -> Any:
        raise _Named("a tensor")


def load_pth(folder: Folder, path: Path) -> Any:
    """Read a file that `torch.save` or `pickle.dump` wrote.

    Raises:
        SourceError: The file is missing, damaged, or holds anything but plain values.
    """
    content = folder.read(path)
    expected = "lists, text and numbers as torch.save writes them"
    try:
        return _value(content)
    except _Named as error:
        raise SourceError(path, str(error), f"{expected}, nothing else") from None
    except _BROKEN:
        raise SourceError(path, "no pickle, or one that is cut off", expected, do="fetch it again") from None


def _value(content: bytes) -> Any:
    if content.startswith(b"PK"):
        content = _zipped(content)
    stream = io.BytesIO(content)
    value = _Plain(stream).load()
    if value == MAGIC:
        for _ in ("version", "system", "value"):
            value = _Plain(stream).load()
    return value


def _zipped(content: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        (info,) = [i for i in archive.infolist() if i.filename.rsplit("/", 1)[-1] == "data.pkl"]
        if info.file_size > MOST:
            raise ValueError("too large")
        return archive.read(info)
