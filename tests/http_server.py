"""A web server for tests: a folder by byte ranges, as slow and as faulty as a test wants it, counting what it sends."""

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit


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
        latency: Seconds before each answer.
        bandwidth: Bytes a second of all answers together; None is no limit.
        moved: Base URL that requests are redirected to, or None.
        token: What `Authorization` has to be, or None.
        headers: Sent with each file.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.latency, self.bandwidth = folder, 0.0, None
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

    def do_GET(self) -> None:
        owner, parts = self.owner, urlsplit(self.path)
        path = unquote(parts.path)
        file = owner.folder / path.lstrip("/")
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
        elif owner.moved is not None:
            self._plain(302, {"Location": f"{owner.moved}{parts.path}?signature=secret"})
        elif not file.is_file():
            self._plain(404)
        else:
            self._send(file, size, start, min(end, size), asked is not None, seen, fault)

    def _plain(self, status: int, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _send(self, file: Path, size: int, start: int, end: int, ranged: bool, seen: Request, fault: Any) -> None:
        kind = fault.kind if fault else ""
        if kind == "whole":
            start, end, ranged = 0, size, False
        if kind == "short":
            end = max(start, end - 1)
        with file.open("rb") as content:
            content.seek(start + (1 if kind == "wrong" else 0))
            data = content.read(end - start)
        self.send_response(206 if ranged else 200)
        for name, value in self.owner.headers.items():
            self.send_header(name, value)
        if ranged:
            first = start + 1 if kind == "wrong" else start
            self.send_header("Content-Range", f"bytes {first}-{end - 1}/{size}")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
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
def serving(folder: Path) -> Iterator[Server]:
    """Serve a folder until the end of the block."""
    server = Server(folder)
    try:
        yield server
    finally:
        server.close()
