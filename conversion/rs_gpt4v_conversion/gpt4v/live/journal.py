"""The answer files that `run` writes: whole lines, each kept as soon as it is there."""

import contextlib
import errno
import json
import os
import uuid
from collections.abc import Callable
from pathlib import Path

from rs_gpt4v_conversion.files import sync_folder
from rs_gpt4v_conversion.gpt4v.answers.answer_files import answer_files, next_answer_file
from rs_gpt4v_conversion.gpt4v.records import Stage
from rs_gpt4v_conversion.gpt4v.workspace import Workspace

RESERVE = ".reserve"


def close_torn_lines(workspace: Workspace) -> int:
    """End the last line of each file of `run` that a lost machine left without its end; returns how many."""
    torn = 0
    for answer_file in answer_files(workspace):
        if not answer_file.growing or answer_file.path.stat().st_size == 0:
            continue
        with answer_file.path.open("rb+") as file:
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                file.write(b"\n")
                torn += 1
    return torn


def response_line(custom_id: str, status: int, request_id: str | None, body: bytes) -> bytes:
    """A line of what the server answered. A body that is JSON stands in it as it came, but for ends of lines in it."""
    try:
        json.loads(body)
        # JSON has ends of lines between its words only, where a blank is the same
        text = body.strip().replace(b"\r", b" ").replace(b"\n", b" ")
        text.decode()
    except ValueError:
        text = json.dumps(body.decode(errors="replace")).encode()
    head = f'{{"id": "run_{uuid.uuid4().hex}", "custom_id": {json.dumps(custom_id)}, "response": '
    head += f'{{"status_code": {status}, "request_id": {json.dumps(request_id)}, "body": '
    return head.encode() + text + b'}, "error": null}\n'


def error_line(custom_id: str, code: str, message: str) -> bytes:
    """A line of a request that no server answered."""
    error = {"code": code, "message": message}
    entry = {"id": f"run_{uuid.uuid4().hex}", "custom_id": custom_id, "response": None, "error": error}
    return json.dumps(entry).encode() + b"\n"


class Journal:
    """Writes the answers of one run, a file a stage.

    Args:
        workspace: The folder.
        reserve: Bytes that are set aside, so that what is in flight when the disk becomes full has room.
        write: Writes to a file descriptor.

    Raises:
        OSError: There is no room for the reserve.
    """

    def __init__(
        self, workspace: Workspace, *, reserve: int = 0, write: Callable[[int, bytes], int] = os.write
    ) -> None:
        self.workspace, self.write = workspace, write
        self.files: dict[Stage, int] = {}
        self.unsynced: set[int] = set()
        self.reserve = workspace.answers / RESERVE
        self.full = False  # whether the reserve had to be used
        with self.reserve.open("wb") as file:
            file.write(bytes(reserve))
            file.flush()
            os.fsync(file.fileno())

    def append(self, stage: Stage, line: bytes) -> None:
        """Keep one line.

        Raises:
            OSError: It could not be written, and nothing of it is in the file.
        """
        file = self._file(stage)
        try:
            self._whole(file, line)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT) or self.full:
                raise
            self.full = True
            self.reserve.unlink(missing_ok=True)
            self._whole(file, line)
        self.unsynced.add(file)

    def sync(self) -> None:
        """Bring what was written to the disk."""
        files, self.unsynced = self.unsynced, set()
        for file in files:
            os.fsync(file)

    def close(self) -> None:
        """Bring all to the disk and let go of the files."""
        try:
            self.sync()
        finally:
            for file in self.files.values():
                os.close(file)
            self.files.clear()
            self.reserve.unlink(missing_ok=True)

    def _whole(self, file: int, line: bytes) -> None:
        begin, rest = os.fstat(file).st_size, line
        try:
            while rest:  # one turn, unless the disk is full
                rest = rest[self.write(file, rest) :]
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(file, begin)  # half a line of our own: no other line is in a file's end
            raise

    def _file(self, stage: Stage) -> int:
        if stage not in self.files:
            path = self._path(stage)
            self.files[stage] = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            sync_folder(path.parent)
        return self.files[stage]

    def _path(self, stage: Stage) -> Path:
        """The last answer file, if it is of a run of this stage, else a new one: files are read in their order."""
        name, files = f"run-{stage}.jsonl", answer_files(self.workspace)
        return files[-1].path if files and files[-1].name == name else next_answer_file(self.workspace, name)
