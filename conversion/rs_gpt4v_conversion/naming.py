"""Names, their order and their hashes: what is chosen and what lies beside what, decided by ids alone."""

import hashlib
import re

SPLITS = ("train", "validation", "test", "phili")
"""The contract's splits, repeated so that counting need not import it (tested to be equal)."""

_NUMBER = re.compile(r"(\d+)")


def natural(text: str) -> tuple[tuple[str | int, ...], str]:
    """Sort key under which airport_2 comes before airport_10.

    Text and numbers alternate, beginning with text, so that keys compare position by position; the text itself breaks
    ties such as 7 and 07.
    """
    parts = _NUMBER.split(text)
    return tuple(int(p) if i % 2 else p for i, p in enumerate(parts)), text


def shard_split(path: str) -> str:
    """The split of a shard, by its path in a release: `.../<split>-00000-of-00001.parquet`."""
    return path.rsplit("/", 1)[-1].split("-")[0]


def shard_part(path: str) -> tuple[str, str, str]:
    """Task, source and split of a shard of data/, by its path in a release."""
    _, task, source, _ = path.split("/")
    return task, source, shard_split(path)


def hash64(text: str, purpose: str) -> int:
    """A number from 0 to 2**64 - 1 that depends on the text and the purpose alone."""
    return int.from_bytes(hashlib.sha256(f"{purpose}\0{text}".encode()).digest()[:8], "big")


def hash_share(purpose: str, *words: str) -> float:
    """A number above 0 and up to 1 that depends on the purpose and the words alone."""
    return (hash64("\0".join(words), purpose) + 1) / 2**64
