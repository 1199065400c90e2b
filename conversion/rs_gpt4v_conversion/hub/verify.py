"""A repository's files against a manifest: the server's checksums, or where it has none of a kind the content."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from rs_gpt4v_conversion.files import sha256
from rs_gpt4v_conversion.hub.access import Hub, HubError, RemoteFile
from rs_gpt4v_conversion.hub.plan import LOADED, ReleaseFile, git_blob, listed_files
from rs_gpt4v_conversion.manifest import NAME


@dataclass(frozen=True, slots=True)
class Problem:
    """A file that is not as listed."""

    path: str
    found: str
    expected: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What a verification found. All is well where there is no problem."""

    repo: str
    revision: str
    commit: str
    version: str
    files: int
    bytes: int
    problems: tuple[Problem, ...]


def verify(
    hub: Hub, revision: str, *, content: bool = False, on_progress: Callable[[int], None] = lambda _: None
) -> Verified:
    """Hold a revision's files against the manifest in it.

    Args:
        hub: The repository.
        revision: A branch, a tag or a commit.
        content: Fetch and hash every file, also those whose checksum the server states.
        on_progress: Called with the bytes that were verified since the last call.

    Raises:
        HubError: There is no such revision, or no release in it.
    """
    commit = hub.resolve(revision)
    remote = hub.files(commit)
    if NAME not in remote:
        raise HubError(f"{hub.repo} at {revision}: holds no {NAME}, expected a release")
    manifest = hub.json_object(NAME, commit)
    if manifest is None:
        raise HubError(f"{hub.repo} at {revision}: its {NAME} is no JSON object, expected the manifest of a release")
    files = listed_files(manifest, f"{hub.repo}/{NAME}")

    def digest(file: RemoteFile) -> str:
        if file.sha256 and not content:
            return file.sha256
        with hub.fetched(file.path, commit) as path:
            return sha256(path)

    problems = []
    for listed in files.values():
        problems += _compare(listed, remote.get(listed.path), digest)
        on_progress(listed.bytes)
    problems += _extra(files, remote)
    return Verified(
        repo=hub.repo, revision=revision, commit=commit, version=str(manifest.get("version")), files=len(files),
        bytes=sum(f.bytes for f in files.values()), problems=tuple(problems),
    )  # fmt: skip


def verify_pushed(
    files: Mapping[str, ReleaseFile], folder: Path, hub: Hub, *, version: str, tag: str, commit: str
) -> Verified:
    """Hold what was pushed against the release that it was pushed from, by the server's checksums."""

    def digest(file: RemoteFile) -> str:
        listed = files[file.path]
        if file.sha256:
            return file.sha256
        return listed.sha256 if git_blob(folder / file.path) == file.blob else f"git blob {file.blob}"

    remote = hub.files(commit)
    problems = [p for f in files.values() for p in _compare(f, remote.get(f.path), digest)]
    problems += _extra(files, remote)
    return Verified(
        repo=hub.repo, revision=commit if problems else tag, commit=commit, version=version, files=len(files),
        bytes=sum(f.bytes for f in files.values()), problems=tuple(problems),
    )  # fmt: skip


def _compare(listed: ReleaseFile, remote: RemoteFile | None, digest: Callable[[RemoteFile], str]) -> list[Problem]:
    if remote is None:
        return [Problem(listed.path, "no such file", f"{listed.bytes:,} bytes")]
    if remote.bytes != listed.bytes:
        return [Problem(listed.path, f"{remote.bytes:,} bytes", f"{listed.bytes:,} bytes")]
    found = digest(remote)
    return [] if found == listed.sha256 else [Problem(listed.path, f"sha256 {found}", f"sha256 {listed.sha256}")]


def _extra(files: Mapping[str, ReleaseFile], remote: Mapping[str, RemoteFile]) -> list[Problem]:
    """Files that `datasets` would load and no manifest lists."""
    extra = sorted(path for path in remote if path.startswith(LOADED) and path not in files)
    return [Problem(path, "a file that is not listed", "no such file") for path in extra]
