"""One at a time: two that ask at once would pay twice."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from rs_gpt4v_conversion.errors import UsageError
from rs_gpt4v_conversion.files import TEMPORARY, disk_trouble
from rs_gpt4v_conversion.gpt4v.workspace import Workspace


@contextmanager
def asking(workspace: Workspace) -> Iterator[None]:
    """Be the only one that sends what is paid for, for as long as the block takes.

    Raises:
        UsageError: There is no such folder, it may not be written, or another process is at it.
    """
    with _opened(workspace, ".asking.lock") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the system lets go of it when this process ends
        except BlockingIOError:
            raise UsageError(
                f"{workspace.folder}: another run or submit is at work here; two at once would pay twice"
            ) from None
        yield


@contextmanager
def batching(workspace: Workspace) -> Iterator[None]:
    """Be the only one that changes what is noted of batches; waits for another, which does not take long.

    Raises:
        UsageError: There is no such folder, it may not be written, or the disk is full.
    """
    with _opened(workspace, ".batches.lock") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for ours in ("*.batch.json", "answers/*.output.jsonl", "answers/*.error.jsonl"):
            for path in workspace.folder.glob(f"{ours}.*{TEMPORARY}"):
                path.unlink(missing_ok=True)  # what a killed process left half written
        try:
            yield
        except OSError as error:
            raise disk_trouble(error, workspace.folder) or error from None


def _opened(workspace: Workspace, name: str) -> TextIO:
    if not workspace.folder.is_dir():
        raise UsageError(f"{workspace.folder}: no such folder; `rs-gpt4v gpt4v export` makes it")
    try:
        workspace.answers.mkdir(exist_ok=True)
        return (workspace.folder / name).open("a")
    except OSError as error:
        raise disk_trouble(error, workspace.folder) or error from None
