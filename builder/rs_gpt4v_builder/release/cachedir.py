"""The folder where a reader keeps what it made of a release, so that it need not make it again.

It holds texts and tables of where things lie, never images (those only on request, see `network.blockcache`), under a
name made from the release's digest: a release that was made again has another one. It may be deleted at any time.
"""

import atexit
import contextlib
import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO

from rs_gpt4v_builder.errors import ReleaseError

log = logging.getLogger(__name__)

FORM = 2
"""Version of the form in which things are kept: one more whenever it changes."""

VARIABLE = "RS_GPT4V_CACHE"
"""Environment variable that names the folder of all caches."""


def cache_root() -> Path:
    """Folder of all caches: `$RS_GPT4V_CACHE`, else `rs-gpt4v` in the user's cache folder."""
    named = os.environ.get(VARIABLE)
    if named:
        return Path(named)
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "rs-gpt4v"


def open_cache(digest: str, root: str | Path | None = None) -> Path:
    """Make the folder for one release and this version of Python.

    Where it cannot be made (a home folder that is read-only), a temporary one serves this process.

    Args:
        digest: Of the release's manifest.
        root: Another folder than `cache_root()`.
    """
    # the texts are stored with `marshal`, whose form is that of one version of Python
    name = f"{digest[:24]}-{FORM}-py{sys.version_info[0]}{sys.version_info[1]}"
    place = (Path(root) if root else cache_root()).expanduser().absolute()  # the working folder may change
    folder = place / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        folder = _temporary(name)
        reason = error.strerror or error
        log.warning("the cache %s cannot be written (%s): texts go into %s for now; name a folder with %s",
                    place, reason, folder, VARIABLE)  # fmt: skip
    return folder


@cache
def _temporary(name: str) -> Path:
    """A folder for this process."""
    folder = tempfile.mkdtemp(prefix="rs-gpt4v-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    made = Path(folder) / name
    made.mkdir()
    return made


@contextlib.contextmanager
def completed(path: Path) -> Iterator[IO[bytes]]:
    """Open a file that gets its name when it is complete.

    Raises:
        ReleaseError: The disk is full or cannot be written; nothing is left under the name.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}-", delete=False) as file:
            temporary = Path(file.name)
            yield file
        temporary.replace(path)
    except BaseException as error:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise unwritable(path, error) from error
        raise


def append(path: Path, data: memoryview, aligned: int) -> int:
    """Put data behind what a file holds; whoever does is `alone`.

    Args:
        path: The file; it is made where it is not there.
        data: Bytes.
        aligned: Zeros come before the data, so that it begins at a multiple of so many bytes.

    Returns:
        Where the data begins.

    Raises:
        ReleaseError: The disk is full or cannot be written; the file is as it was.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab", buffering=0) as file:
            before = file.seek(0, os.SEEK_END)
            start = -(-before // aligned) * aligned
            try:
                for piece in (memoryview(bytes(start - before)), data):
                    rest = piece
                    while rest:  # a write is cut at 2 GB, and where the disk gets full
                        rest = rest[file.write(rest) :]
            except BaseException:
                file.truncate(before)
                if not before:
                    path.unlink()
                raise
    except OSError as error:
        raise unwritable(path, error) from error
    return start


def unwritable(path: Path, error: OSError) -> ReleaseError:
    """The error of a file of the cache that cannot be written."""
    found = f"{path} cannot be written ({error.strerror or error})"
    return ReleaseError(f"{found}: make room, or name another folder with {VARIABLE}")


@contextlib.contextmanager
def alone(path: Path) -> Iterator[None]:
    """Wait until no other process of this machine is at work on `path`, and no other thread that asks here.

    Raises:
        ReleaseError: The folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = Path(f"{path}.lock").open("wb")  # noqa: SIM115 - an error of the caller's is no error of the lock
    except OSError as error:
        raise unwritable(path, error) from error
    with lock:
        _lock(lock.fileno())
        yield


if sys.platform == "win32":
    import msvcrt

    def _lock(file: int) -> None:
        while True:
            with contextlib.suppress(OSError):  # after ten seconds
                msvcrt.locking(file, msvcrt.LK_LOCK, 1)
                return

else:
    import fcntl

    def _lock(file: int) -> None:
        fcntl.flock(file, fcntl.LOCK_EX)
