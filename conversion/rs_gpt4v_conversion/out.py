"""The folder that a build writes into: whose it is, and whether the build may go on in it."""

import fcntl
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rs_gpt4v_conversion.config import Config
from rs_gpt4v_conversion.errors import UsageError
from rs_gpt4v_conversion.files import TEMPORARY, disk_trouble, write_bytes
from rs_gpt4v_conversion.manifest import NAME

WORK = ".build"
"""Work in progress within the folder: receipts, the spool, a lock. Gone when the release is whole."""


@contextmanager
def opened(out: Path, config: Config) -> Iterator[Path]:
    """Make the folder ready and lock it; the block gets the path of the work folder.

    Raises:
        UsageError: The folder is something else, holds another version, is being built in, or may not be written.
    """
    if out.name == "rs_gpt4v":
        raise UsageError(
            f"{out}: a release folder may not be called rs_gpt4v: `datasets` would look for a loading script in it; "
            "call it rs-gpt4v"
        )
    if out.is_symlink() and not out.exists():
        raise UsageError(f"{out}: a link that leads nowhere, expected a folder or a new name")
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out}: is a file, expected a folder or a new name")
    work = out / WORK
    if out.exists() and any(out.iterdir()):
        _check_version(out, work, config)
    try:
        work.mkdir(parents=True, exist_ok=True)
        with (work / "lock").open("w") as lock:
            _lock(lock.fileno(), out)
            write_bytes(work / "build.json", json.dumps({"version": config.version}).encode())
            _sweep(out)
            yield work
    except OSError as error:
        raise disk_trouble(error, out) or error from None


def _check_version(out: Path, work: Path, config: Config) -> None:
    state = work / "build.json" if (work / "build.json").exists() else out / NAME
    lock_only = work.is_dir() and {p.name for p in out.iterdir()} == {WORK}
    if not state.exists() and not lock_only:
        raise UsageError(
            f"{out}: holds files and is no release, expected a new or empty folder, or one of version {config.version}"
        )
    if not state.exists():
        return
    try:
        version = json.loads(state.read_bytes())["version"]
    except (json.JSONDecodeError, KeyError, TypeError, UnicodeDecodeError):
        raise UsageError(f"{state}: does not say which version the folder holds; is it damaged?") from None
    if version != config.version:
        raise UsageError(
            f"{out}: holds version {version}, and {config.path} says {config.version}; give another folder"
        )


def _lock(handle: int, out: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the system lets go of it when this process ends
    except BlockingIOError:
        raise UsageError(f"{out}: another build is at work in this folder") from None


def _sweep(out: Path) -> None:
    """Remove what a killed build left half written."""
    for path in out.rglob(f"*{TEMPORARY}"):
        path.unlink(missing_ok=True)


def remove_stale(out: Path, shards: set[str]) -> None:
    """Remove shards that are not part of this release: of an earlier run on other input."""
    for folder in ("data", "mini"):
        for path in sorted((out / folder).rglob("*"), reverse=True):
            if path.is_file() and path.relative_to(out).as_posix() not in shards:
                path.unlink()
            elif path.is_dir() and not any(path.iterdir()):
                path.rmdir()


def close(out: Path) -> None:
    """The release is whole: remove the work folder."""
    shutil.rmtree(out / WORK, ignore_errors=True)
