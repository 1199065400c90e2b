"""Files that get their name when they are complete."""

import contextlib
import errno
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from rs_gpt4v_conversion.errors import UsageError

TEMPORARY = ".tmp"


@contextlib.contextmanager
def completed(path: Path, *, synced: bool = True) -> Iterator[Path]:
    """Give the path of a temporary file beside `path`; move it there when the block ends well, else remove it.

    The data is on disk before the name is: whatever happens, a file with its final name is whole.

    Args:
        path: The file.
        synced: Wait for the disk. Without it a lost machine may leave a file with its name and not its data, a killed
            process may not: for many small files, where the caller waits for the disk once (`os.sync`).
    """
    temporary = path.with_name(f"{path.name}.{os.getpid()}{TEMPORARY}")
    try:
        yield temporary
        if synced:
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
        temporary.replace(path)
        if synced:
            sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Bring a folder's names to the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a whole file, or nothing."""
    with completed(path) as temporary:
        temporary.write_bytes(content)


def sha256(path: Path) -> str:
    """Digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def disk_trouble(error: OSError, folder: Path) -> UsageError | None:
    """What a person can mend about a failed write into `folder`, or None for another kind of error."""
    if error.errno == errno.ENOSPC:
        return UsageError(
            f"{folder}: the disk is full; nothing is lost: free some space and run the same command "
            "again, which goes on from here"
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.EDQUOT):
        return UsageError(f"{folder}: cannot be written: {os.strerror(error.errno)}")
    return None
