"""Request files as they are written: split by number and bytes, and there only when they are whole."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import BinaryIO

from rs_gpt4v_conversion.files import completed
from rs_gpt4v_conversion.gpt4v.records import Request, Stage
from rs_gpt4v_conversion.gpt4v.workspace import Part, Workspace, index_line

MOST_REQUESTS = 50_000
MOST_BYTES = 200_000_000
"""What OpenAI's batch interface takes in one file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one request file may hold."""

    requests: int = MOST_REQUESTS
    bytes: int = MOST_BYTES  # with line ends


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A request file that was written."""

    part: Part
    requests: int
    bytes: int


def next_number(workspace: Workspace, stage: Stage) -> int:
    """The number of a stage's next request file.

    One that was left unfinished is written anew, but never one that was submitted: answers to it may come yet.
    """
    taken = [part.number for part in workspace.parts() if part.stage == stage]
    submitted = [int(p.name.split(".")[0].split("-")[1]) for p in workspace.folder.glob(f"{stage}-*.batch.json")]
    return 1 + max([0, *taken, *submitted])


class PartWriter:
    """Writes requests into as few files as the limits allow, in the order in which they come.

    A context: at its end the last file is completed, or given up where the block fails. A file gets its name when it
    and its index are on the disk, the index before the requests, so that files with their names are always whole and
    what a killed export left is a beginning of what an undisturbed one writes.

    Args:
        workspace: The folder, which must be there.
        stage: Of all requests.
        limits: Of a file. A single request must fit: see `fits`.
        complete: Called with every file that is complete.
    """

    def __init__(self, workspace: Workspace, stage: Stage, limits: Limits, complete: Callable[[Written], None]) -> None:
        self.workspace, self.stage, self.limits, self.complete = workspace, stage, limits, complete
        self.number = next_number(workspace, stage)
        self.open: _Open | None = None

    def __enter__(self) -> "PartWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._finish()
        elif self.open is not None:
            self.open.files.__exit__(kind, error, trace)

    def fits(self, line: bytes) -> bool:
        """Whether a file can hold the line at all."""
        return len(line) <= self.limits.bytes

    def add(self, request: Request, line: bytes) -> None:
        """Write a request, into the next file where this one is full."""
        full = self.open is not None and (
            self.open.requests == self.limits.requests or self.open.bytes + len(line) > self.limits.bytes
        )
        if full:
            self._finish()
        if self.open is None:
            self.open = _begin(self.workspace.part(self.stage, self.number))
        self.open.lines.write(line)
        self.open.index.write(index_line(request).encode())
        self.open.requests += 1
        self.open.bytes += len(line)

    def _finish(self) -> None:
        if self.open is None:
            return
        done, self.open = self.open, None
        done.files.close()
        self.number += 1
        self.complete(Written(part=done.part, requests=done.requests, bytes=done.bytes))


@dataclass(slots=True, kw_only=True)
class _Open:
    part: Part
    files: ExitStack
    lines: BinaryIO
    index: BinaryIO
    requests: int = 0
    bytes: int = 0


def _begin(part: Part) -> _Open:
    with ExitStack() as files:
        path = files.enter_context(completed(part.path))
        index_path = files.enter_context(completed(part.index))  # left first, so that its name comes first
        lines = files.enter_context(path.open("wb"))
        index = files.enter_context(index_path.open("wb"))
        return _Open(part=part, files=files.pop_all(), lines=lines, index=index)
