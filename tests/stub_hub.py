"""A Hub for tests, on 127.0.0.1: dataset repositories with commits, branches and tags, as faulty as a test wants it.

It needs the standard library only and answers what `huggingface_hub` and `datasets` ask of the real one, for uploads by
Git LFS and, with `xet=True`, by Xet into a local store. Commits and refs are in memory, contents in a folder.

`python tests/stub_hub.py FOLDER [--xet]` prints its address, for HF_ENDPOINT, and serves until it is stopped; the token
that may write is `hf_writer`.
"""

import argparse
import base64
import hashlib
import json
import re
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, unquote, urlsplit

REGULAR = 10 << 20  # bytes from which on every file is a large one
PAGE = 50  # entries of a page of the tree
ATTRIBUTES = b"*.parquet filter=lfs diff=lfs merge=lfs -text\n"


@dataclass
class Fault:
    """What goes wrong with some requests.

    Attributes:
        kind: `status`; `cut` (before anything is done); `lost` (done, and the answer cut); `slow` (seconds in `wait`);
            `flip` (an upload is stored with one bit another).
        path: A pattern that the request's path holds.
        method: Of the requests, or all.
        times: How many requests it meets.
        skip: How many of these it spares at first.
    """

    kind: str
    path: str = ""
    method: str = ""
    times: int = 1
    skip: int = 0
    status: int = 500
    headers: dict[str, str] = field(default_factory=dict)
    wait: float = 0.0


@dataclass(frozen=True)
class Blob:
    """A file in a commit. One with a `sha256` is a large one."""

    size: int
    sha1: str
    sha256: str = ""


@dataclass
class Repository:
    private: bool
    commits: dict[str, dict[str, Blob]] = field(default_factory=dict)
    messages: dict[str, str] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)

    def at(self, revision: str) -> str | None:
        """The commit of a branch, a tag or a commit."""
        commit = self.branches.get(revision) or self.tags.get(revision) or revision
        return commit if commit in self.commits else None


class RefusedError(Exception):
    def __init__(self, status: int, message: str, code: str = "") -> None:
        super().__init__(message)
        self.status, self.message, self.code = status, message, code


class StubHub:
    """Serves at `url`.

    Attributes:
        tokens: Roles (`write`, `read`) by token; anybody may read what is not private.
        uploaded: Bytes of all bodies by which large files came.
        commits: How many commits clients made.
        before: Called with method and path before a request is answered, without the lock.
    """

    def __init__(self, folder: Path, *, xet: bool = False, tokens: Mapping[str, str] | None = None) -> None:
        self.folder, self.xet = folder, xet
        (folder / "objects").mkdir(parents=True, exist_ok=True)
        (folder / "cas").mkdir(exist_ok=True)
        self.tokens = dict({"hf_writer": "write"} if tokens is None else tokens)
        self.repositories: dict[str, Repository] = {}
        self.faults: list[Fault] = []
        self.requests: list[tuple[str, str]] = []
        self.uploaded = 0
        self.commits = 0
        self.before: Callable[[str, str], None] | None = None
        self.lock = threading.RLock()
        stub = self

        class Handler(_Handler):
            owner = stub

        class Listener(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, *_: Any) -> None:
                """A client that went away is no error here."""

        self.http = Listener(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        self.thread = threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self.thread.start()

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()

    def fail(self, kind: str, path: str = "", **options: Any) -> None:
        self.faults.append(Fault(kind, path, **options))

    def next_fault(self, method: str, path: str) -> Fault | None:
        with self.lock:
            for fault in self.faults:
                if fault.times <= 0 or fault.method not in ("", method) or not re.search(fault.path, path):
                    continue
                if fault.skip > 0:
                    fault.skip -= 1
                else:
                    fault.times -= 1
                    return fault
        return None

    # repositories

    def create(self, name: str, *, private: bool = False) -> Repository:
        with self.lock:
            repository = self.repositories[name] = Repository(private)
            self.add(name, {".gitattributes": ATTRIBUTES}, message="initial commit")
            return repository

    def add(self, name: str, files: Mapping[str, bytes | None], *, message: str = "somebody else") -> str:
        """Commit files as if by somebody else; None deletes one."""
        with self.lock:
            repository = self.repositories[name]
            head = repository.branches.get("main")
            content = dict(repository.commits[head]) if head else {}
            for path, data in files.items():
                if data is None:
                    del content[path]
                else:
                    content[path] = self.large(self.store(data), len(data)) if self.is_large(path, len(data)) else (
                        self.small(data)
                    )  # fmt: skip
            return self.record(repository, content, message)

    def record(self, repository: Repository, content: dict[str, Blob], message: str) -> str:
        head = repository.branches.get("main", "")
        commit = hashlib.sha1(f"{head} {len(repository.commits)} {sorted(content.items())}".encode()).hexdigest()
        repository.commits[commit] = content
        repository.messages[commit] = message
        repository.branches["main"] = commit
        return commit

    def is_large(self, path: str, size: int) -> bool:
        return path.endswith(".parquet") or size > REGULAR

    def small(self, data: bytes) -> Blob:
        sha1 = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
        (self.folder / "objects" / sha1).write_bytes(data)
        return Blob(len(data), sha1)

    def large(self, sha256: str, size: int) -> Blob:
        pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n".encode()
        return Blob(size, hashlib.sha1(b"blob %d\0" % len(pointer) + pointer).hexdigest(), sha256)

    def object(self, blob: Blob) -> Path:
        return self.folder / "objects" / (blob.sha256 or blob.sha1)

    def store(self, data: bytes, sha256: str = "") -> str:
        """Store a large content, under another digest than its own where that is asked for."""
        sha256 = sha256 or hashlib.sha256(data).hexdigest()
        path = self.folder / "objects" / sha256
        temporary = path.with_suffix(f".{threading.get_ident()}")
        temporary.write_bytes(data)
        temporary.replace(path)
        return sha256

    def has(self, sha256: str) -> bool:
        return (self.folder / "objects" / sha256).exists() or sha256 in self.xet_hashes()

    def xet_hashes(self) -> dict[str, str]:
        """What Xet calls the contents of its local store, by their SHA-256: read from the store's shard files."""
        found: dict[str, str] = {}
        for path in (self.folder / "cas").rglob("*.mdb"):
            found.update(_xet_files(path.read_bytes()))
        return found

    def read(self, name: str, path: str, revision: str = "main") -> bytes:
        repository = self.repositories[name]
        return self.object(repository.commits[repository.at(revision) or ""][path]).read_bytes()

    def paths(self, name: str, revision: str = "main") -> set[str]:
        repository = self.repositories[name]
        return set(repository.commits[repository.at(revision) or ""])


def _xet_files(shard: bytes) -> Iterator[tuple[str, str]]:
    """SHA-256 and Xet's hash of every file that a shard of Xet's store describes."""
    at = 48
    while shard[at : at + 32] != b"\xff" * 32 and at + 48 <= len(shard):
        digest, flags, entries = shard[at : at + 32], *struct.unpack_from("<II", shard, at + 32)
        at += 48 + 48 * entries * (2 if flags & 1 << 31 else 1)
        if flags & 1 << 30:
            yield _hex(shard[at : at + 32]), _hex(digest)
            at += 48


def _hex(digest: bytes) -> str:
    """Four little-endian numbers of 8 bytes, as Xet writes digests."""
    return "".join(digest[i : i + 8][::-1].hex() for i in range(0, 32, 8))


class _Handler(BaseHTTPRequestHandler):
    owner: StubHub
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_: Any) -> None:
        """Nothing on stderr."""

    def do_GET(self) -> None:
        self.answer()

    do_HEAD = do_POST = do_PUT = do_DELETE = do_GET

    def answer(self) -> None:
        parts = urlsplit(self.path)
        path, self.query = unquote(parts.path), parse_qs(parts.query)
        owner = self.owner
        owner.requests.append((self.command, path))
        if owner.before is not None:
            owner.before(self.command, path)
        fault = owner.next_fault(self.command, path)
        self.kind = fault.kind if fault else ""
        if fault and fault.kind == "slow":
            time.sleep(fault.wait)
        if fault and fault.kind == "cut":
            self.close_connection = True
            return
        self.body = self.read_body()
        try:
            if fault and fault.kind == "status":
                self.send(fault.status, {"error": "as the test wants it"}, fault.headers)
                return
            self.route(path)
        except RefusedError as error:
            headers = {"X-Error-Message": error.message, **({"X-Error-Code": error.code} if error.code else {})}
            self.send(error.status, {"error": error.message}, headers)

    def read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            pieces = []
            while size := int(self.rfile.readline(), 16):
                pieces.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(pieces)
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def send(self, status: int, content: Any, headers: Mapping[str, str] | None = None) -> None:
        if self.kind == "lost":
            self.close_connection = True
            return
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        if "Content-Length" not in (headers or {}):
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def role(self) -> str:
        sent = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if sent and sent not in self.owner.tokens:
            raise RefusedError(401, "Invalid credentials in Authorization header")
        return self.owner.tokens.get(sent, "")

    def may_write(self) -> None:
        role = self.role()
        if not role:
            raise RefusedError(401, "Invalid username or password.")
        if role != "write":
            raise RefusedError(403, "You don't have the rights to write")

    def json(self) -> Any:
        return json.loads(self.body)

    ROUTES: ClassVar[list[tuple[str, str, str]]] = [
        ("GET", r"/api/whoami-v2", "whoami"),
        ("POST", r"/api/repos/create", "create"),
        ("POST", r"/api/validate-yaml", "validate"),
        ("GET", r"/api/datasets/([^/]+/[^/]+)(?:/revision/(.+))?", "info"),
        ("GET", r"/api/datasets/([^/]+/[^/]+)/tree/(.+)", "tree"),
        ("POST", r"/api/datasets/([^/]+/[^/]+)/paths-info/(.+)", "paths_info"),
        ("GET", r"/api/datasets/([^/]+/[^/]+)/refs", "refs"),
        ("POST", r"/api/datasets/([^/]+/[^/]+)/preupload/(.+)", "preupload"),
        ("POST", r"/datasets/([^/]+/[^/]+)\.git/info/lfs/objects/batch", "batch"),
        ("PUT", r"/objects/(\w+)", "upload"),
        ("POST", r"/objects/(\w+)/verify", "verify"),
        ("POST", r"/api/datasets/([^/]+/[^/]+)/commit/(.+)", "commit"),
        ("POST", r"/api/datasets/([^/]+/[^/]+)/tag/(.+)", "tag"),
        ("HEAD|GET", r"/datasets/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", "resolve"),
        ("GET", r"/api/datasets/([^/]+/[^/]+)/xet-(read|write)-token/(.+)", "xet_token"),
    ]

    def route(self, path: str) -> None:
        # the longer patterns first: a repository's own address is the beginning of all others
        for method, pattern, name in sorted(self.ROUTES, key=lambda r: -len(r[1])):
            match = re.fullmatch(pattern, path)
            if match and self.command in method.split("|"):
                getattr(self, name)(*match.groups())
                return
        raise RefusedError(404, f"nothing is at {path}")

    def repository(self, name: str) -> Repository:
        found = self.owner.repositories.get(name)
        if found is None or (found.private and not self.role()):
            raise RefusedError(404 if self.role() else 401, "Repository not found", "RepoNotFound")
        return found

    def content(self, name: str, revision: str) -> tuple[str, dict[str, Blob]]:
        repository = self.repository(name)
        with self.owner.lock:
            commit = repository.at(unquote(revision))
            if commit is None:
                raise RefusedError(404, f"no revision {revision}", "RevisionNotFound")
            return commit, repository.commits[commit]

    def whoami(self) -> None:
        if not self.role():
            raise RefusedError(401, "Invalid username or password.")
        self.send(200, {"type": "user", "name": "owner", "orgs": [], "auth": {"accessToken": {"role": self.role()}}})

    def create(self) -> None:
        self.may_write()
        asked = self.json()
        name = f"{asked['organization'] or 'owner'}/{asked['name']}"
        about = {"url": f"{self.owner.url}/datasets/{name}", "name": name}
        with self.owner.lock:
            if name in self.owner.repositories:
                self.send(409, {"error": "You already created this dataset repo", **about})
                return
            self.owner.create(name, private=asked.get("visibility") == "private" or asked.get("private") is True)
        self.send(200, about)

    def validate(self) -> None:
        wrong = not self.json()["content"].startswith("---\n")
        self.send(200, {"errors": [], "warnings": [{"message": "empty or missing yaml metadata"}] if wrong else []})

    def info(self, name: str, revision: str | None) -> None:
        commit, content = self.content(name, revision or "main")
        self.send(200, {
            "id": name, "sha": commit, "private": self.repository(name).private, "disabled": False, "downloads": 0,
            "likes": 0, "tags": [], "lastModified": "2026-01-01T00:00:00.000Z",
            "siblings": [{"rfilename": path} for path in sorted(content)],
        })  # fmt: skip

    def entry(self, path: str, blob: Blob) -> dict[str, Any]:
        about: dict[str, Any] = {"type": "file", "path": path, "size": blob.size, "oid": blob.sha1}
        if blob.sha256:
            about["lfs"] = {"oid": blob.sha256, "size": blob.size, "pointerSize": 134}
            if self.owner.xet and blob.sha256 in self.owner.xet_hashes():
                about["xetHash"] = self.owner.xet_hashes()[blob.sha256]
        return about

    def tree(self, name: str, place: str) -> None:
        revision, _, folder = place.partition("/")
        _, content = self.content(name, revision)
        folder = unquote(folder)
        if folder and not any(p.startswith(f"{folder}/") for p in content):
            raise RefusedError(404, f"{folder} does not exist", "EntryNotFound")
        inside = {p: b for p, b in content.items() if not folder or p.startswith(f"{folder}/")}
        entries = [self.entry(path, blob) for path, blob in inside.items()]
        parents = {"/".join(p.split("/")[:n]) for p in inside for n in range(1, p.count("/") + 1)}
        entries += [{"type": "directory", "path": p, "size": 0, "oid": "0" * 40} for p in parents if p != folder]
        if self.query.get("recursive", ["false"])[0].lower() != "true":
            depth = folder.count("/") + 1 if folder else 0
            entries = [e for e in entries if e["path"].count("/") == depth]
        entries.sort(key=lambda e: str(e["path"]))
        start = int(self.query.get("cursor", ["0"])[0])
        headers = {}
        if start + PAGE < len(entries):
            query = "&".join(f"{k}={v[0]}" for k, v in self.query.items() if k != "cursor")
            headers["Link"] = f'<{self.owner.url}{urlsplit(self.path).path}?{query}&cursor={start + PAGE}>; rel="next"'
        self.send(200, entries[start : start + PAGE], headers)

    def paths_info(self, name: str, revision: str) -> None:
        _, content = self.content(name, revision)
        try:
            paths = self.json()["paths"]
        except ValueError:
            paths = parse_qs(self.body.decode())["paths"]
        found = [self.entry(path, content[path]) for path in paths if path in content]
        folders = [p for p in paths if p not in content and any(c.startswith(f"{p}/") for c in content)]
        self.send(200, found + [{"type": "directory", "path": p, "size": 0, "oid": "0" * 40} for p in folders])

    def refs(self, name: str) -> None:
        repository = self.repository(name)

        def listed(kind: str, refs: dict[str, str]) -> list[dict[str, str]]:
            return [{"name": n, "ref": f"refs/{kind}/{n}", "targetCommit": c} for n, c in refs.items()]

        answer = {"branches": listed("heads", repository.branches), "tags": listed("tags", repository.tags)}
        self.send(200, {**answer, "converts": []})

    def preupload(self, name: str, revision: str) -> None:
        self.may_write()
        _, content = self.content(name, revision)
        answers = []
        for file in self.json()["files"]:
            large = self.owner.is_large(file["path"], file["size"])
            answer = {"path": file["path"], "uploadMode": "lfs" if large else "regular", "shouldIgnore": False}
            if blob := content.get(file["path"]):
                answer["oid"] = blob.sha256 or blob.sha1
            answers.append(answer)
        self.send(200, {"files": answers})

    def batch(self, name: str) -> None:
        self.may_write()
        self.repository(name)
        objects = []
        for wanted in self.json()["objects"]:
            sha256 = wanted["oid"]
            answer = {"oid": sha256, "size": wanted["size"]}
            if not self.owner.has(sha256):
                href = f"{self.owner.url}/objects/{sha256}"
                answer["actions"] = {"upload": {"href": href, "header": {}}, "verify": {"href": f"{href}/verify"}}
            objects.append(answer)
        self.send(200, {"transfer": "basic", "objects": objects})

    def upload(self, sha256: str) -> None:
        data = self.body
        with self.owner.lock:
            self.owner.uploaded += len(data)
        if self.kind == "flip":
            data = bytes([data[0] ^ 1]) + data[1:]
        elif hashlib.sha256(data).hexdigest() != sha256:
            raise RefusedError(400, "the content has another digest")
        self.owner.store(data, sha256)
        self.send(200, b"")

    def verify(self, sha256: str) -> None:
        self.may_write()
        path = self.owner.folder / "objects" / sha256
        if not path.exists() or path.stat().st_size != self.json()["size"]:
            raise RefusedError(404, "no such object")
        self.send(200, {})

    def commit(self, name: str, branch: str) -> None:
        self.may_write()
        operations = [json.loads(line) for line in self.body.splitlines()]
        owner, repository = self.owner, self.repository(name)
        with owner.lock:
            head = repository.branches[branch]
            header = operations[0]["value"]
            if header.get("parentCommit", head) != head:
                raise RefusedError(412, "A commit has happened since. Please refresh and try again.")
            content = dict(repository.commits[head])
            for operation in operations[1:]:
                self.apply(content, operation["key"], operation["value"])
            commit = owner.record(repository, content, header["summary"])
            owner.commits += 1
        self.send(
            200, {"success": True, "commitOid": commit, "commitUrl": f"{owner.url}/datasets/{name}/commit/{commit}"}
        )

    def apply(self, content: dict[str, Blob], kind: str, value: dict[str, Any]) -> None:
        path = value["path"]
        if kind == "file":
            content[path] = self.owner.small(base64.b64decode(value["content"]))
        elif kind == "lfsFile":
            if not self.owner.has(value["oid"]):
                raise RefusedError(400, f"the content of {path} is not there")
            content[path] = self.owner.large(self.digest(value["oid"]), value["size"])
        elif kind == "deletedFile" and path in content:
            del content[path]
        else:
            raise RefusedError(404, "A file with this name doesn't exist", "EntryNotFound")

    def digest(self, sha256: str) -> str:
        """The digest of what is stored: another one where an upload went wrong."""
        stored = self.owner.folder / "objects" / sha256
        if not stored.exists():
            return sha256  # in Xet's store
        actual = hashlib.sha256(stored.read_bytes()).hexdigest()
        if actual != sha256:
            self.owner.store(stored.read_bytes())
        return actual

    def tag(self, name: str, revision: str) -> None:
        self.may_write()
        repository, tag = self.repository(name), self.json()["tag"]
        commit, _ = self.content(name, revision)
        with self.owner.lock:
            if tag in repository.tags:
                raise RefusedError(409, "Tag reference exists already")
            repository.tags[tag] = commit
        self.send(200, {})

    def resolve(self, name: str, revision: str, path: str) -> None:
        commit, content = self.content(name, revision)
        blob = content.get(path)
        if blob is None:
            raise RefusedError(404, "Entry not found", "EntryNotFound")
        etag = f'"{blob.sha256 or blob.sha1}"'
        headers = {
            "X-Repo-Commit": commit,
            "ETag": etag,
            "Accept-Ranges": "bytes",
            "Content-Type": "application/octet-stream",
        }
        if blob.sha256:
            headers |= {"X-Linked-Etag": etag, "X-Linked-Size": str(blob.size)}
        xet = self.owner.xet_hashes().get(blob.sha256) if self.owner.xet else None
        if xet:
            link = f"{self.owner.url}/api/datasets/{name}/xet-read-token/{commit}"
            headers |= {"X-Xet-Hash": xet, "Link": f'<{link}>; rel="xet-auth"'}
        if self.command == "HEAD":
            self.send(200, b"", {**headers, "Content-Length": str(blob.size)})
            return
        stored = self.owner.object(blob)
        if not stored.exists():
            raise RefusedError(501, "the stub sends what lies in Xet's store by Xet only")
        data = stored.read_bytes()
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if asked is None:
            self.send(200, data, headers)
            return
        start, end = int(asked[1]), min(int(asked[2] or blob.size - 1), blob.size - 1)
        self.send(206, data[start : end + 1], {**headers, "Content-Range": f"bytes {start}-{end}/{blob.size}"})

    def xet_token(self, name: str, use: str, revision: str) -> None:
        if not self.owner.xet:
            raise RefusedError(404, "no Xet here")
        if use == "write":
            self.may_write()
        self.content(name, revision)
        url, token, expires = f"local://{self.owner.folder / 'cas'}", "cas-token", int(time.time()) + 3600
        headers = {"X-Xet-Cas-Url": url, "X-Xet-Access-Token": token, "X-Xet-Token-Expiration": str(expires)}
        self.send(200, {"casUrl": url, "accessToken": token, "exp": expires}, headers)


@contextmanager
def stub_hub(folder: Path, **options: Any) -> Iterator[StubHub]:
    """A Hub until the end of the block."""
    hub = StubHub(folder, **options)
    try:
        yield hub
    finally:
        hub.close()


def main() -> None:
    parser = argparse.ArgumentParser(description="A Hub on this machine, until it is stopped.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--xet", action="store_true", help="large files by Xet, into a store in the folder")
    parsed = parser.parse_args()
    with stub_hub(parsed.folder.resolve(), xet=parsed.xet) as hub:
        sys.stdout.write(f"{hub.url}\n")
        sys.stdout.flush()
        with suppress(KeyboardInterrupt):
            hub.thread.join()


if __name__ == "__main__":
    main()
