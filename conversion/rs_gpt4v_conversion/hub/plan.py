"""What a push would do: which files the repository lacks, which are stale, on which commit; and what forbids it."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rs_gpt4v_conversion.errors import UsageError
from rs_gpt4v_conversion.hub.access import BRANCH, Hub, HubError, RemoteFile
from rs_gpt4v_conversion.manifest import NAME
from rs_gpt4v_conversion.release import ReleaseFolder

DATASET = "rs-gpt4v"
"""The name that a manifest states."""

LOADED = ("data/", "mini/")
"""Folders whose files `datasets` loads by pattern: a file too many in them is a row too many."""

_NUMBERS = re.compile(r"v?(\d+)\.(\d+)\.(\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseFile:
    """A file of a release, as its manifest lists it."""

    path: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a push would do."""

    repo: str
    version: str
    tag: str
    tagged: bool  # the tag is there, on the commit
    creates: bool  # the repository is not there
    private: bool
    replaces: str  # version of the release that the branch holds; empty where there is none
    parent: str  # the commit that the branch is at; empty where there is no repository
    commit: str  # the commit that holds this very release already; else empty
    new: tuple[ReleaseFile, ...]  # not in the repository, or with other content
    unchanged: tuple[ReleaseFile, ...]
    stale: tuple[RemoteFile, ...]  # of the repository's release and not of this one: deleted
    kept: tuple[RemoteFile, ...]  # of no release: somebody's own
    there: frozenset[str]  # digests of new files whose content the server has already


def release_files(release: ReleaseFolder) -> dict[str, ReleaseFile]:
    """Every file of a release by path, the manifest among them.

    Raises:
        UsageError: The manifest lists a file without bytes or sha256.
    """
    content = (release.path / NAME).read_bytes()
    return {
        **listed_files(release.manifest, str(release.path / NAME)),
        NAME: ReleaseFile(path=NAME, bytes=len(content), sha256=hashlib.sha256(content).hexdigest()),
    }


def listed_files(manifest: Mapping[str, Any], where: str) -> dict[str, ReleaseFile]:
    """Files that a manifest lists, by path.

    Raises:
        UsageError: It lists one without path, bytes or sha256, or none.
    """
    files, shards = manifest.get("files"), manifest.get("shards")
    if not isinstance(files, dict) or not isinstance(shards, list):
        raise UsageError(f"{where}: lacks shards or files, expected the manifest of a release")
    entries = [*(s for s in shards), *({"path": name, **entry} for name, entry in files.items())]
    found = {}
    for entry in entries:
        kinds = {"path": str, "bytes": int, "sha256": str}
        if not isinstance(entry, dict) or not all(type(entry.get(key)) is kind for key, kind in kinds.items()):
            raise UsageError(f"{where}: lists a file without path, bytes or sha256")
        found[entry["path"]] = ReleaseFile(**{key: entry[key] for key in kinds})
    return found


def make_plan(release: ReleaseFolder, hub: Hub, *, tag: str = "", private: bool = False) -> Plan:
    """Compare a release with its repository. Nothing is written anywhere.

    Args:
        release: The release; its files are trusted to be as the manifest says.
        hub: The repository.
        tag: The tag, where it is not to be `v<version>`.
        private: Nobody else is to see the repository.

    Raises:
        HubError: The version is there with other content, or is not higher than what is there; the repository is of
            something else, or public and asked to be private.
    """
    version = str(release.manifest["version"])
    if numbers(version) is None:
        raise HubError(f"{release.path / NAME}: version is {version!r}, expected three numbers such as 1.0.0")
    tag = tag or f"v{version}"
    files = release_files(release)
    if release.manifest.get("name") != DATASET:
        raise HubError(f"{release.path / NAME}: is of {release.manifest.get('name')!r}, expected {DATASET!r}")
    head = hub.head()
    if head is None:
        return Plan(
            repo=hub.repo, version=version, tag=tag, tagged=False, creates=True, private=private, replaces="",
            parent="", commit="", new=tuple(files.values()), unchanged=(), stale=(), kept=(),
            there=frozenset(),
        )  # fmt: skip
    if private and not head.private:
        raise HubError(f"{hub.repo}: is public; leave --private out, or make it private in its settings first")
    remote, tags = hub.files(head.commit), hub.tags()
    old = _manifest(hub, head.commit) if NAME in remote else {}
    commit = _holding(files, release.path, hub, remote, head.commit, tags.get(tag))
    if not commit:
        _check_repository(hub.repo, release.manifest, remote, old)
        _check_version(hub.repo, version, tag, tags, old)
    unchanged = tuple(f for f in files.values() if commit or same(f, remote.get(f.path), release.path))
    there = {f.path for f in unchanged}
    new = tuple(f for f in files.values() if f.path not in there)
    foreign = [] if commit else [r for r in remote.values() if r.path not in files and not _hidden(r.path)]
    listed = listed_files(old, f"{hub.repo}/{NAME}") if old else {}
    stale = tuple(r for r in foreign if r.path in listed or r.path.startswith(LOADED))
    return Plan(
        repo=hub.repo, version=version, tag=tag, tagged=bool(commit) and tags.get(tag) == commit, creates=False,
        private=head.private, replaces=str(old.get("version", "")), parent=head.commit, commit=commit,
        new=new, unchanged=unchanged, stale=stale,
        kept=tuple(r for r in foreign if r not in stale),
        there=frozenset(hub.present((f.sha256, f.bytes) for f in new) if new else ()),
    )  # fmt: skip


def same(file: ReleaseFile, remote: RemoteFile | None, folder: Path) -> bool:
    """Whether the repository has the file with this content; one that is in git itself has git's digest only."""
    if remote is None or remote.bytes != file.bytes:
        return False
    if remote.sha256:
        return remote.sha256 == file.sha256
    return (folder / file.path).is_file() and remote.blob == git_blob(folder / file.path)


def git_blob(path: Path) -> str:
    """The id that git gives a file's content."""
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def holds(files: Mapping[str, ReleaseFile], folder: Path, remote: Mapping[str, RemoteFile]) -> bool:
    """Whether a commit holds this very release: all of its files, and none beside them that would be loaded."""
    return all(same(f, remote.get(f.path), folder) for f in files.values()) and not any(
        path.startswith(LOADED) and path not in files for path in remote
    )


def _holding(
    files: Mapping[str, ReleaseFile], folder: Path, hub: Hub, remote: Mapping[str, RemoteFile], head: str,
    tagged: str | None,
) -> str:  # fmt: skip
    """The commit that holds this very release: the tagged one, or the branch's where the tag is still free."""
    if tagged not in (None, head):
        return str(tagged) if holds(files, folder, hub.files(str(tagged))) else ""
    return head if holds(files, folder, remote) else ""


def _hidden(path: str) -> bool:
    """Files such as .gitattributes are the Hub's."""
    return any(part.startswith(".") for part in path.split("/"))


def _manifest(hub: Hub, commit: str) -> dict[str, Any]:
    manifest = hub.json_object(NAME, commit)
    if manifest is None:
        raise HubError(f"{hub.repo}: its {NAME} is no manifest of a release; mend or delete it on the Hub first")
    return manifest


def _check_repository(
    repo: str, manifest: Mapping[str, Any], remote: Mapping[str, RemoteFile], old: Mapping[str, Any]
) -> None:
    """Refuse a repository of something else."""
    if not old:
        others = sorted(path for path in remote if not _hidden(path) and path != "README.md")
        if others:
            raise HubError(
                f"{repo}: holds {others[0]} and no release, expected an empty repository or one of {DATASET}; "
                "give another name"
            )
        return
    if old.get("name") != DATASET:
        raise HubError(f"{repo}: holds {old.get('name')!r}, expected {DATASET!r}; give another repository")
    ours, theirs = numbers(str(manifest.get("contract"))), numbers(str(old.get("contract")))
    if ours and theirs and theirs > ours:
        raise HubError(
            f"{repo}: was made with contract {old['contract']}, this release with the older {manifest['contract']}; "
            "update rs-gpt4v and build again"
        )


def _check_version(repo: str, version: str, tag: str, tags: Mapping[str, str], old: Mapping[str, Any]) -> None:
    """Refuse a version that is there or is not higher. Whether the number fits what changed is not asked here."""
    if tag in tags:
        raise HubError(
            f"{repo}: has the tag {tag} already, with other files, and a version never changes; "
            "build with a higher version"
        )
    known = {name: numbers(name) for name in tags} | {
        f"{BRANCH} ({old.get('version')})": numbers(str(old.get("version")))
    }
    newest = max(((found, name) for name, found in known.items() if found), default=None)
    ours = numbers(version)
    if newest and ours and ours <= newest[0]:
        there = "is there already, with other files" if ours == newest[0] else f"is lower than {newest[1]}"
        raise HubError(f"{repo}: version {version} {there}; build with a version higher than {newest[1]}")


def numbers(text: str) -> tuple[int, ...] | None:
    """The three numbers of a version or of its tag, or None."""
    match = _NUMBERS.fullmatch(text)
    return tuple(int(n) for n in match.groups()) if match else None
