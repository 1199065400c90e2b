"""A dataset repository on the Hub, by the real client: calls repeated while that helps, and refusals as sentences.

The token comes from the client, which takes it from the environment or from its own store; nothing here sees it.
`HF_ENDPOINT` is read by the client when it is imported.
"""

import contextlib
import json
import random
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
from huggingface_hub.errors import (
    EntryNotFoundError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils import build_hf_headers, disable_progress_bars, get_session, hf_raise_for_status

from rs_gpt4v_conversion.errors import UsageError

BRANCH = "main"
ATTEMPTS = 6
REPEATED = 3
"""Attempts of what the client itself repeats a few times."""

FIRST, LONGEST = 0.5, 300.0
"""Seconds: the longest pause before the first repeat, and the longest that a server may ask for."""

NETWORK: tuple[type[Exception], ...] = (HfHubHTTPError.__bases__[0], OSError)
"""What the client's HTTP library raises; which library that is differs between versions of the client."""

FAILURES: tuple[type[Exception], ...] = (*NETWORK, RuntimeError, ValueError)
"""Uploads also fail with the errors of the client's threads and of hf_xet."""

Answer = TypeVar("Answer")


class HubError(UsageError):
    """The Hub does not do what is asked; says what to do about it."""


class MovedError(Exception):
    """The branch is not where it was expected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """Where the branch is."""

    commit: str
    private: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteFile:
    """A file as the server lists it."""

    path: str
    bytes: int
    sha256: str  # of its content; empty for a file that is in git itself
    blob: str  # its id in git: of the content, or where there is a sha256 of the pointer to it


class Hub:
    """A dataset repository.

    Args:
        repo: `owner/name`.
        api: The client.
        say: Takes a line for people, such as why there is a pause.

    Raises:
        HubError: The name is none of a repository, or one that `datasets` would take for a loading script.
    """

    def __init__(self, repo: str, api: HfApi | None = None, say: Callable[[str], None] = lambda _: None) -> None:
        owner, _, name = repo.partition("/")
        if not owner or not name or "/" in name:
            raise HubError(f"{repo}: is no name of a repository, expected owner/name such as your-name/rs-gpt4v")
        if name == "rs_gpt4v":
            raise HubError(f"{repo}: `datasets` looks for a loading script in a repository of this name; use rs-gpt4v")
        self.repo, self.api, self.say = repo, api or HfApi(), say
        disable_progress_bars()

    def head(self) -> Head | None:
        """Where the branch is, or None where there is no such repository."""

        def ask() -> Head | None:
            try:
                info = self.api.repo_info(self.repo, repo_type="dataset", revision=BRANCH)
            except RepositoryNotFoundError as error:
                if error.response.status_code == 404:
                    return None
                raise
            return Head(commit=str(info.sha), private=bool(info.private))

        return self._tried(ask, "read")

    def tags(self) -> dict[str, str]:
        """Commits by tag."""
        refs = self._tried(lambda: self.api.list_repo_refs(self.repo, repo_type="dataset"), "read")
        return {ref.name: ref.target_commit for ref in refs.tags}

    def resolve(self, revision: str) -> str:
        """The commit that a branch or tag points to.

        Raises:
            HubError: There is no such revision.
        """
        info = self._tried(lambda: self.api.repo_info(self.repo, repo_type="dataset", revision=revision), "read")
        return str(info.sha)

    def files(self, revision: str) -> dict[str, RemoteFile]:
        """Files at a revision, by path."""

        def ask() -> dict[str, RemoteFile]:
            found = {}
            for entry in self.api.list_repo_tree(self.repo, repo_type="dataset", revision=revision, recursive=True):
                if isinstance(entry, RepoFile):  # folders are listed, too
                    sha256 = entry.lfs.sha256 if entry.lfs else ""
                    found[entry.path] = RemoteFile(
                        path=entry.path, bytes=entry.size, sha256=sha256, blob=str(entry.blob_id)
                    )
            return found

        return self._tried(ask, "read", attempts=REPEATED)

    @contextlib.contextmanager
    def fetched(self, path: str, revision: str) -> Iterator[Path]:
        """Fetch a file; it is gone after the block.

        Raises:
            HubError: It is not there, or cannot be fetched.
        """
        with tempfile.TemporaryDirectory(prefix="rs-gpt4v-") as folder:
            yield Path(
                self._tried(
                    lambda: self.api.hf_hub_download(
                        self.repo, path, repo_type="dataset", revision=revision, local_dir=folder
                    ),
                    "read",
                    attempts=REPEATED,
                )
            )

    def json_object(self, path: str, revision: str) -> dict[str, Any] | None:
        """The content of a JSON file; None where it is no JSON object.

        Raises:
            HubError: It is not there, or cannot be fetched.
        """
        with self.fetched(path, revision) as file:
            try:
                content = json.loads(file.read_bytes())
            except (json.JSONDecodeError, UnicodeDecodeError):
                return None
        return content if isinstance(content, dict) else None

    def create(self, *, private: bool) -> None:
        """Make the repository; one that came into being meanwhile is taken as it is."""
        self._tried(
            lambda: self.api.create_repo(self.repo, repo_type="dataset", private=private, exist_ok=True), "create"
        )

    def present(self, files: Iterable[tuple[str, int]]) -> set[str]:
        """Which contents the server's store of large files has already, for instance from a push that was killed.

        Args:
            files: SHA-256 and bytes of each.
        """
        found: set[str] = set()
        wanted = list(files)
        for start in range(0, len(wanted), 256):
            body = {
                "operation": "upload", "transfers": ["basic", "multipart"], "hash_algo": "sha256",
                "objects": [{"oid": sha256, "size": size} for sha256, size in wanted[start : start + 256]],
            }  # fmt: skip
            for entry in self._tried(partial(self._batch, body), "write to"):
                if "error" not in entry and not entry.get("actions"):
                    found.add(entry["oid"])
        return found

    def _batch(self, body: dict[str, Any]) -> list[dict[str, Any]]:
        """The Git LFS batch request, as its specification has it."""
        kind = "application/vnd.git-lfs+json"
        headers = {**build_hf_headers(token=self.api.token), "Accept": kind, "Content-Type": kind}
        answer = get_session().post(
            f"{self.api.endpoint}/datasets/{self.repo}.git/info/lfs/objects/batch", headers=headers, json=body
        )
        if answer.status_code in (404, 405, 410, 501):  # a server that takes large files by Xet alone
            return []
        hf_raise_for_status(answer)
        objects: list[dict[str, Any]] = answer.json()["objects"]
        return objects

    def upload(self, additions: Sequence[CommitOperationAdd]) -> None:
        """Send the contents of large files, without any of them becoming visible. What is there already is not sent."""
        self._tried(
            lambda: self.api.preupload_lfs_files(
                self.repo, additions=additions, repo_type="dataset", revision=BRANCH, free_memory=False
            ),
            "write to", attempts=REPEATED,
        )  # fmt: skip

    def commit(
        self, operations: Sequence[CommitOperationAdd | CommitOperationDelete], message: str, parent: str
    ) -> str:
        """Make one commit on `parent` and return its id.

        Raises:
            MovedError: The branch is elsewhere; perhaps by this very commit, whose answer was lost.
        """
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return str(
                    self.api.create_commit(
                        self.repo, operations, commit_message=message, repo_type="dataset", revision=BRANCH,
                        parent_commit=parent,
                    ).oid
                )  # fmt: skip
            except FAILURES as error:
                error = _root(error)
                conflict = _status(error) in (409, 412)
                if not conflict and not _again(error):
                    self._refuse(error, "write to")
                head = self.head()
                if head is None or head.commit != parent:
                    raise MovedError from None
                if _status(error) == 412 or attempt == ATTEMPTS:
                    self._refuse(error, "write to")
                self._wait(error, attempt)
        raise MovedError

    def tag(self, tag: str, commit: str) -> None:
        """Give a commit its tag.

        Raises:
            HubError: Another commit has it.
        """

        def ask() -> None:
            try:
                self.api.create_tag(self.repo, tag=tag, revision=commit, repo_type="dataset")
            except HfHubHTTPError as error:
                if _status(error) != 409 or self.tags().get(tag) != commit:
                    raise

        self._tried(ask, "write to")

    def _tried(self, ask: Callable[[], Answer], doing: str, attempts: int = ATTEMPTS) -> Answer:
        """Ask, and ask again after a pause where the network or the server failed."""
        for attempt in range(1, attempts):
            try:
                return ask()
            except FAILURES as error:
                error = _root(error)
                if not _again(error):
                    self._refuse(error, doing)
                self._wait(error, attempt)
        try:
            return ask()
        except FAILURES as error:
            self._refuse(_root(error), doing)

    def _wait(self, error: BaseException, attempt: int) -> None:
        asked = _asked_for(error)
        pause = random.uniform(0.5, 1.0) * FIRST * 2.0 ** (attempt - 1) if asked is None else min(asked, LONGEST)
        if pause >= 1:
            self.say(f"{self.api.endpoint}: {_said(error)}; trying again in {pause:.0f} s")
        time.sleep(pause)

    def _refuse(self, error: BaseException, doing: str) -> NoReturn:
        """Raise the sentence about an error that stays.

        Raises:
            HubError: Always, unless the error is about a file of this machine, or a bug in one of the client's threads.
        """
        bug = isinstance(error, RuntimeError) and error.__cause__ is not None  # a failure of the network is unwrapped
        if bug or (isinstance(error, OSError) and error.filename is not None):
            raise error
        raise HubError(self._sentence(error, doing)) from None

    def _sentence(self, error: BaseException, doing: str) -> str:
        status, said = _status(error), _said(error)
        owner = self.repo.split("/")[0]
        if status == 401:
            return (
                f"{self.repo}: the Hub takes no token or not this one ({said}); set HF_TOKEN, or run `hf auth login`, "
                f"with a token that may {doing} it"
            )
        if status == 403:
            return f"{self.repo}: the token may not {doing} it ({said}); use one with write permission for {owner}"
        if isinstance(error, RevisionNotFoundError):
            return f"{self.repo}: has no such branch or tag ({said})"
        if isinstance(error, RepositoryNotFoundError):
            return f"{self.repo}: no such dataset repository at {self.api.endpoint}, or one that this token may not see"
        if status in (409, 412):
            return f"{self.repo}: the Hub refuses ({said}); look at the repository, then run the same command again"
        if _again(error):
            return (
                f"{self.api.endpoint}: {said}, also after several attempts; what was sent is kept, and the branch "
                "is whole: run the same command again later"
            )
        return f"{self.repo}: the Hub refuses ({said})"


def _root(error: Exception) -> Exception:
    """The error of the network behind one of the client's threads, or of a file that could not be located."""
    cause = error.__cause__
    wrapped = isinstance(error, RuntimeError | LocalEntryNotFoundError)
    return _root(cause) if wrapped and isinstance(cause, NETWORK) else error


def _status(error: BaseException) -> int | None:
    response = error.response if isinstance(error, HfHubHTTPError) else None
    return None if response is None else int(response.status_code)


def _again(error: BaseException) -> bool:
    """Whether another attempt may help."""
    if isinstance(error, EntryNotFoundError | OfflineModeIsEnabled):
        return False
    status = _status(error)
    if status is not None:
        return status in (408, 425, 429) or status >= 500
    if isinstance(error, OSError) and error.filename is not None:
        return False
    return isinstance(error, NETWORK)


def _asked_for(error: BaseException) -> float | None:
    """Seconds that the server asks to wait, where it does."""
    response = error.response if isinstance(error, HfHubHTTPError) else None
    asked = "" if response is None else str(response.headers.get("Retry-After", ""))
    return float(asked) if asked.isdigit() else None


def _said(error: BaseException) -> str:
    """What the server or the network says, in one line."""
    status = _status(error)
    message = getattr(error, "server_message", None) if status is not None else str(error)
    text = " ".join(str(message or "").split()).rstrip(".")
    text = text if len(text) <= 300 else f"{text[:300]}..."
    if status is None:
        return text or type(error).__name__
    return f"status {status}: {text}" if text else f"status {status}"
