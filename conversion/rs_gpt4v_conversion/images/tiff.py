"""What a TIFF's tags say, of any TIFF, also of those whose pixels Pillow cannot read (TIFF 6.0, section 2; BigTIFF)."""

import struct
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import BinaryIO

from PIL import TiffImagePlugin

Directory = TiffImagePlugin.ImageFileDirectory_v2

WIDTH, LENGTH, BITS, ORIENTATION, SAMPLES, PLANES, EXTRA_SAMPLES = 256, 257, 258, 274, 277, 284, 338
MULTIPLIED, PLAIN_OPACITY = 1, 2  # of EXTRA_SAMPLES
SHORT = 3  # a field type
MOST_SAMPLES = 1000  # more are no image's
BIG = 43  # the version number of BigTIFF
STARTS = (b"II\x2a\0", b"MM\0\x2a", b"II\x2b\0", b"MM\0\x2b")

# What Pillow raises on broken directories (fuzzed in the tests)
TAG_ERRORS = (
    OSError, SyntaxError, ValueError, EOFError, OverflowError, IndexError, KeyError, TypeError, struct.error,
    ZeroDivisionError, AttributeError, MemoryError,
)  # fmt: skip


def read_tags(file: BinaryIO) -> Directory | None:
    """The tags of a file's first picture; None where it is no TIFF, or its directory is broken."""
    head = file.read(8)
    if head[:4] not in STARTS:
        return None
    if BIG in head[2:4]:
        head += file.read(8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of broken tags, which are left out
        try:
            directory = Directory(head)
            file.seek(directory.next)
            directory.load(file)
        except TAG_ERRORS:
            return None
    return directory


def numbers(directory: Directory, tag: int) -> tuple[float, ...]:
    """The values of a tag; none where it is not there, or does not hold numbers."""
    try:
        value = directory.get(tag, ())
        values = value if isinstance(value, tuple) else (value,)
        return tuple(float(v) for v in values)
    except TAG_ERRORS:
        return ()


def whole(directory: Directory, tag: int, default: int) -> int:
    """The largest value of a tag that holds whole numbers."""
    values = [v for v in numbers(directory, tag) if v == v and abs(v) < 2**53]
    return int(max(values, default=default))


def size(directory: Directory) -> tuple[int, int] | None:
    """Width and height in pixels, whatever the orientation tag says."""
    width, height = whole(directory, WIDTH, 0), whole(directory, LENGTH, 0)
    return (width, height) if width > 0 and height > 0 else None


def bands(directory: Directory) -> tuple[int, int]:
    """Number of bands, and bits of the widest one."""
    return whole(directory, SAMPLES, 1), whole(directory, BITS, 1)


def in_planes(directory: Directory) -> bool:
    """Whether the bands lie one after the other, and not pixel by pixel."""
    return whole(directory, PLANES, 1) == 2 and whole(directory, SAMPLES, 1) > 1


def has_multiplied_colours(directory: Directory) -> bool:
    """Whether a fourth band is said to be an opacity by which the others were multiplied."""
    return numbers(directory, EXTRA_SAMPLES)[:1] == (MULTIPLIED,)


def retag(source: bytes, values: Mapping[int, tuple[int, ...]]) -> bytes:
    """Overwrite short numbers in the first directory of a TIFF.

    Args:
        source: The file.
        values: What each tag shall be, the last value again for all that follow; a tag that is not there is not added.

    Raises:
        struct.error: The directory is broken.
    """
    form = _BIG if BIG in source[2:4] else _CLASSIC
    order = "<" if source[:2] == b"II" else ">"
    (at,) = struct.unpack_from(order + form.offset, source, form.start)
    (entries,) = struct.unpack_from(order + form.count, source, at)
    first = at + struct.calcsize(order + form.count)
    end = min(first + entries * form.entry, len(source) - form.entry + 1)
    changed = bytearray()
    for place in range(first, end, form.entry):
        tag, kind, number = struct.unpack_from(f"{order}HH{form.offset}", source, place)
        if tag in values and kind == SHORT and 0 < number <= MOST_SAMPLES:
            changed = changed or bytearray(source)
            content = place + form.inline
            if 2 * number > form.entry - form.inline:  # the values stand elsewhere
                (content,) = struct.unpack_from(order + form.offset, source, content)
            wanted = [values[tag][min(i, len(values[tag]) - 1)] for i in range(number)]
            struct.pack_into(f"{order}{number}H", changed, content, *wanted)
    return bytes(changed) or source


@dataclass(frozen=True, slots=True)
class _Form:
    """How the first directory and its entries are laid out."""

    start: int  # where the place of the directory stands, bytes
    offset: str  # struct formats: of a place or a number of values
    count: str  # of the number of entries
    entry: int  # bytes
    inline: int  # where in an entry its values stand if they fit


_CLASSIC = _Form(start=4, offset="I", count="H", entry=12, inline=8)
_BIG = _Form(start=8, offset="Q", count="Q", entry=20, inline=12)
