"""A web server for tests: a folder by byte ranges, as slow and as faulty as a test wants it, counting what it sends.

It needs the standard library only, so that it also runs in the environments of `make test-compat`. With `hub=True` it
answers the few requests by which `huggingface_hub` reads a dataset repository, whatever the repository's name.
"""

import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"
"""What every branch of the Hub's repository points to."""


@dataclass
class Fault:
    """What goes wrong with some requests.

    Attributes:
        kind: `status`, `cut` (in mid-body), `short` (a whole answer with fewer bytes), `stall` (no more bytes),
            `whole` (Range ignored), `wrong` (bytes from another place).
        times: How many requests it meets.
        path: Only those whose path holds this.
        skip: How many of these it spares at first.
    """

    kind: str
    times: int = 1
    path: str = ""
    status: int = 500
    headers: dict[str, str] = field(default_factory=dict)
    after: int = 100
    skip: int = 0


@dataclass
class Request:
    path: str
    query: str
    start: int
    end: int
    headers: dict[str, str]
    at: float
    sent: int = 0
    connection: int = 0


class Server:
    """Serves a folder; `url` is where.

    Attributes:
        hub: Whether it is a Hub, too.
        ranges: Whether it knows byte ranges.
        latency: Seconds before each answer.
        bandwidth: Bytes a second of all answers together; None is no limit.
        moved: Base URL that requests are redirected to, or None.
        token: What `Authorization` has to be, or None.
        headers: Sent with each file.
    """

    def __init__(
        self,
        folder: Path,
        *,
        hub: bool = False,
        ranges: bool = True,
        latency: float = 0.0,
        bandwidth: float | None = None,
    ) -> None:
        self.folder, self.hub, self.ranges = folder, hub, ranges
        self.latency, self.bandwidth = latency, bandwidth
        self.moved: str | None = None
        self.token: str | None = None
        self.headers: dict[str, str] = {}
        self.faults: list[Fault] = []
        self.requests: list[Request] = []
        self.connections = 0
        self.free = 0.0  # when the line is free again
        self.lock = threading.Lock()
        self.stopped = threading.Event()
        server = self

        class Handler(_Handler):
            owner = server

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
        self.stopped.set()
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()

    def fail(self, kind: str, **options: Any) -> None:
        self.faults.append(Fault(kind, **options))

    def next_fault(self, path: str) -> Fault | None:
        with self.lock:
            for fault in self.faults:
                if fault.times <= 0 or fault.path not in path:
                    continue
                if fault.skip > 0:
                    fault.skip -= 1
                else:
                    fault.times -= 1
                    return fault
        return None

    def entry(self, path: str) -> dict[str, object]:
        """A file as the Hub's API lists it."""
        return {"type": "file", "path": path, "size": (self.folder / path).stat().st_size, "oid": "0" * 40}

    def headers_of(self, file: Path) -> dict[str, str]:
        """What is said about a file."""
        headers = dict(self.headers)
        if self.ranges:
            headers["Accept-Ranges"] = "bytes"
        if self.hub:
            headers |= {"ETag": f'"{file.stat().st_mtime_ns}"', "X-Repo-Commit": COMMIT}
        return headers

    @property
    def paths(self) -> list[str]:
        """What was asked for, in order."""
        return [request.path for request in self.requests]

    @property
    def sent(self) -> int:
        """Bytes of all bodies."""
        return sum(request.sent for request in self.requests)

    def forget(self) -> None:
        self.requests.clear()
        self.connections = 0

    def pace(self, count: int) -> None:
        """Wait as long as `count` bytes take on the line that all answers share."""
        if self.bandwidth:
            with self.lock:
                self.free = max(self.free, time.monotonic()) + count / self.bandwidth
                until = self.free
            time.sleep(max(0.0, until - time.monotonic()))


class _Handler(BaseHTTPRequestHandler):
    owner: Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def setup(self) -> None:
        super().setup()
        with self.owner.lock:
            self.owner.connections += 1
            self.number = self.owner.connections

    def log_message(self, *_: Any) -> None:
        """Nothing on stderr."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        asked = parse_qs(body.decode())["paths"]
        self._json([self.owner.entry(path) for path in asked if (self.owner.folder / path).is_file()])

    def do_GET(self) -> None:
        owner, parts = self.owner, urlsplit(self.path)
        path = unquote(parts.path)
        inside = re.sub(r"^/datasets/[^/]+/[^/]+/resolve/[^/]+", "", path) if owner.hub else path
        file = owner.folder / inside.lstrip("/")
        size = file.stat().st_size if file.is_file() else 0
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        start, end = (int(asked[1]), int(asked[2] or size - 1) + 1) if asked else (0, size)
        seen = Request(path, parts.query, start, end, dict(self.headers), time.monotonic(), connection=self.number)
        owner.requests.append(seen)
        time.sleep(owner.latency)
        fault = owner.next_fault(path)
        if owner.token is not None and self.headers.get("Authorization") != owner.token:
            self._plain(401)
        elif fault and fault.kind == "status":
            self._plain(fault.status, fault.headers)
        elif owner.hub and path.startswith("/api/"):
            self._api(path)
        elif owner.moved is not None:
            self._plain(302, {"Location": f"{owner.moved}{parts.path}?signature=secret"})
        elif not file.is_file():
            self._plain(404)
        else:
            self._send(file, size, start, min(end, size), asked is not None, seen, fault)

    def _api(self, path: str) -> None:
        """What the Hub says about a repository, or which files it has."""
        if "/tree/" in path:
            folder = self.owner.folder
            names = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
            self._json([self.owner.entry(name) for name in names])
            return
        about = {"id": "ns/rs", "sha": COMMIT, "private": False, "disabled": False, "downloads": 0, "likes": 0}
        self._json({**about, "tags": [], "siblings": []})

    def _json(self, content: object) -> None:
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _plain(self, status: int, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _send(self, file: Path, size: int, start: int, end: int, ranged: bool, seen: Request, fault: Any) -> None:
        kind = fault.kind if fault else ""
        if kind == "whole" or not self.owner.ranges:
            start, end, ranged = 0, size, False
        if kind == "short":
            end = max(start, end - 1)
        with file.open("rb") as content:
            content.seek(start + (1 if kind == "wrong" else 0))
            data = content.read(end - start)
        self.send_response(206 if ranged else 200)
        for name, value in self.owner.headers_of(file).items():
            self.send_header(name, value)
        if ranged:
            first = start + 1 if kind == "wrong" else start
            self.send_header("Content-Range", f"bytes {first}-{end - 1}/{size}")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command == "HEAD":
            return
        stop = min(len(data), fault.after) if kind in ("cut", "stall") else len(data)
        for at in range(0, stop, 1 << 16):
            piece = data[at : min(stop, at + (1 << 16))]
            self.owner.pace(len(piece))
            seen.sent += len(piece)  # before it goes out, as whoever has received it may look here at once
            self.wfile.write(piece)
        if kind == "stall":
            self.owner.stopped.wait(60)
        if kind in ("cut", "stall"):
            self.close_connection = True


@contextmanager
def serving(folder: Path, **options: Any) -> Iterator[Server]:
    """Serve a folder until the end of the block."""
    server = Server(folder, **options)
    try:
        yield server
    finally:
        server.close()
