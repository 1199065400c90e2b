"""Where a row group and a shard end.

A cut stands where a hash of a row's image id says so, between a least and a greatest size. So a changed, added or
removed row moves the cuts in its neighbourhood and none further on, and the same images are cut alike in every task:
the next version of a release is mostly bytes that the Hub already has.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from rs_gpt4v_conversion.naming import hash64

T = TypeVar("T")
MB = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """Least and greatest size of a piece, and how often a cut is offered in between."""

    least_bytes: int
    greatest_bytes: int
    least_rows: int  # enough rows make a piece whatever their bytes
    greatest_rows: int
    one_in: int  # of so many rows one may end a piece
    purpose: str


ROW_GROUP = Sizes(
    least_bytes=8 * MB, greatest_bytes=32 * MB, least_rows=500, greatest_rows=1000, one_in=64,
    purpose="row group",
)  # fmt: skip
"""At most 32 MB of image bytes and 1,000 rows: what a reader holds in memory at once."""

SHARD = Sizes(
    least_bytes=128 * MB, greatest_bytes=480 * MB, least_rows=50_000, greatest_rows=100_000,
    one_in=256, purpose="shard",
)  # fmt: skip
"""Files stay under 500 MB with their text."""


def cut(rows: Iterable[tuple[str, int, T]], sizes: Sizes) -> Iterator[list[T]]:
    """Divide rows into pieces.

    Args:
        rows: (image id, bytes, row) in order; the bytes of a single row may exceed the greatest size.
        sizes: Of the pieces.

    Yields:
        Pieces, none of them empty.
    """
    piece: list[T] = []
    total = 0
    for image_id, size, row in rows:
        if piece and (total + size > sizes.greatest_bytes or len(piece) >= sizes.greatest_rows):
            yield piece
            piece, total = [], 0
        piece.append(row)
        total += size
        enough = total >= sizes.least_bytes or len(piece) >= sizes.least_rows
        if enough and hash64(image_id, sizes.purpose) % sizes.one_in == 0:
            yield piece
            piece, total = [], 0
    if piece:
        yield piece
