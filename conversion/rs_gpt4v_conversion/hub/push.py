"""A release becomes a version on the Hub: contents first, then one commit, then the server's checksums, then the tag.

Until the commit nothing of the new version can be seen, and after it all of it. Each step finds out what is done
already, so a push that was killed is finished by running it again.
"""

import contextlib
import io
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from huggingface_hub import CommitOperationAdd, CommitOperationDelete

from rs_gpt4v_conversion.errors import GateError
from rs_gpt4v_conversion.hub.access import Hub, HubError, MovedError
from rs_gpt4v_conversion.hub.plan import Plan, ReleaseFile, holds, make_plan, release_files
from rs_gpt4v_conversion.hub.verify import Verified, verify_pushed
from rs_gpt4v_conversion.progress import Progress
from rs_gpt4v_conversion.release import ReleaseFolder

GROUP_FILES, GROUP_BYTES = 50, 256 << 20
"""Files that are sent at once: the client sends some of them side by side."""


def push(release: ReleaseFolder, hub: Hub, plan: Plan) -> Verified:
    """Do what a plan says.

    Args:
        release: The release, validated.
        hub: The repository.
        plan: Made of both.

    Returns:
        What the server says of the files, held against the release. Where they differ, the commit has no tag.

    Raises:
        HubError: The Hub refuses, or the branch moved; the branch is as it was, or holds this release.
        GateError: A file changed since the release was made.
    """
    if plan.creates:
        hub.create(private=plan.private)
        plan = make_plan(release, hub, tag=plan.tag)
    files = release_files(release)
    commit = plan.commit
    if not commit:
        additions = _upload(release.path, hub, plan)
        deletions = [CommitOperationDelete(path_in_repo=f.path, is_folder=False) for f in plan.stale]
        try:
            commit = hub.commit([*additions, *deletions], message(plan), plan.parent)
        except MovedError:
            commit = _after_a_move(release.path, files, hub, plan)
    verified = verify_pushed(files, release.path, hub, version=plan.version, tag=plan.tag, commit=commit)
    if not verified.problems and not plan.tagged:
        hub.tag(plan.tag, commit)
    return verified


def message(plan: Plan) -> str:
    """The commit's message."""
    return f"RS-GPT4V {plan.version}"


def _after_a_move(folder: Path, files: dict[str, ReleaseFile], hub: Hub, plan: Plan) -> str:
    """The branch moved: by this very commit, whose answer was lost, or by somebody else."""
    head = hub.head()
    if head is not None and holds(files, folder, hub.files(head.commit)):
        return head.commit
    now = "gone" if head is None else f"at {head.commit[:7]}"
    raise HubError(
        f"{plan.repo}: somebody else changed the branch during this push (it was at {plan.parent[:7]} and is {now}); "
        "nothing of this push can be seen there: look at what they did, then run the same command again"
    )


def _upload(folder: Path, hub: Hub, plan: Plan) -> list[CommitOperationAdd]:
    """Send the contents that the server lacks; what was sent before is found there."""
    there = sum(f.bytes for f in plan.new if f.sha256 in plan.there)
    progress = Progress("uploading", sum(f.bytes for f in plan.new) - there, "bytes")
    progress.note = f"{there:,} bytes were there already" if there else ""
    lock = threading.Lock()  # the client sends files from several threads

    def advance(count: int) -> None:
        with lock:
            progress.advance(count)

    additions: list[CommitOperationAdd] = []
    for group in _groups(plan.new):
        sent = [_Addition.of(folder / f.path, f.path, advance, counts=f.sha256 not in plan.there) for f in group]
        hub.upload(sent)
        for file, addition in zip(group, sent, strict=True):
            addition.finish()
            if addition.upload_info.sha256.hex() != file.sha256:
                raise GateError(
                    f"{folder / file.path}: is not the file that the manifest lists, it changed during the push; "
                    "nothing was published: build the release again"
                )
        additions += sent
    progress.close()
    return additions


def _groups(files: Sequence[ReleaseFile]) -> Iterator[list[ReleaseFile]]:
    group: list[ReleaseFile] = []
    for file in files:
        if group and (len(group) == GROUP_FILES or sum(f.bytes for f in group) + file.bytes > GROUP_BYTES):
            yield group
            group = []
        group.append(file)
    if group:
        yield group


class _Addition(CommitOperationAdd):
    """A file to be added, which says how much of it was sent. Through Xet only whole files are said."""

    said = 0
    advance: Callable[[int], None]
    counts: bool

    @classmethod
    def of(cls, path: Path, name: str, advance: Callable[[int], None], *, counts: bool) -> "_Addition":
        made = cls(path_in_repo=name, path_or_fileobj=path)
        made.advance, made.counts = advance, counts
        return made

    def reach(self, position: int) -> None:
        """So much was sent; less than before where the client begins again."""
        if self.counts and position > self.said:
            self.advance(position - self.said)
            self.said = position

    def finish(self) -> None:
        self.reach(self.upload_info.size)

    @contextlib.contextmanager
    def as_file(self, with_tqdm: bool = False) -> Iterator[BinaryIO]:
        """The file; `with_tqdm` is how the client asks for one whose reading is shown."""
        raw = _Watched(str(self.path_or_fileobj), self.reach if with_tqdm else None)
        with io.BufferedReader(raw, 1 << 20) as file:
            yield file


class _Watched(io.FileIO):
    """A file that says how far it was read."""

    def __init__(self, path: str, reach: Callable[[int], None] | None) -> None:
        super().__init__(path, "rb")
        self.reach = reach

    def readinto(self, buffer: bytearray | memoryview, /) -> int | None:  # type: ignore[override]
        count = super().readinto(buffer)
        if self.reach is not None:
            self.reach(self.tell())
        return count
