"""The folder where a reader keeps what it made of a release, so that it need not make it again.

It holds texts and tables of where things lie, never images (those only on request, see `remote`), under a name made
from the release's digest: a release that was made again has another one. It may be deleted at any time.
"""

import contextlib
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO

log = logging.getLogger(__name__)


def cache_root() -> Path:
    """Folder of all caches: `$RS_GPT4V_CACHE`, else `rs-gpt4v` in the user's cache folder."""
    named = os.environ.get("RS_GPT4V_CACHE")
    if named:
        return Path(named)
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "rs-gpt4v"


def open_cache(digest: str, root: str | Path | None = None) -> Path:
    """Make the folder for one release and this version of Python.

    Args:
        digest: Of the release's manifest.
        root: Another folder than `cache_root()`.
    """
    # the texts are stored with `marshal`, whose form is that of one version of Python
    version = f"py{sys.version_info[0]}{sys.version_info[1]}"
    folder = (Path(root) if root else cache_root()) / f"{digest[:24]}-{version}"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextlib.contextmanager
def completed(path: Path) -> Iterator[IO[bytes]]:
    """Open a file that gets its name when it is complete.

    Raises:
        OSError: The disk is full or cannot be written; nothing is left under the name.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}-", delete=False) as file:
        temporary = Path(file.name)
        try:
            yield file
            file.flush()
        except BaseException:
            temporary.unlink()
            raise
    temporary.replace(path)


@contextlib.contextmanager
def alone(path: Path) -> Iterator[None]:
    """Wait until no other process of this machine is at work on `path`, where the system has such locks."""
    try:
        import fcntl
    except ImportError:  # Windows: two processes may do the same work; each puts a whole file in place
        yield
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with Path(f"{path}.lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
