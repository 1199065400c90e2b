"""A folder behind HTTP for the tests: ranges of bytes, a slow line, faults on request, and a count of what was sent.

It needs the standard library only, so that it also runs in the environments of `make test-compat`. With `hub=True` it
answers the few requests by which `huggingface_hub` reads a dataset repository, whatever the repository's name.
"""

import json
import re
import threading
import time
import urllib.parse
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType

CHUNK = 1 << 16
COMMIT = "0123456789abcdef0123456789abcdef01234567"


class RangeServer:
    """Serves a folder on a free port of this machine while its context lasts.

    Attributes:
        url: Of the folder.
        sent: Bytes of all bodies so far.
        paths: Of all requests so far.
        faults: What the next requests for Parquet files get instead of an answer: a status, or `cut` (half the body).
    """

    def __init__(
        self, folder: Path, *, delay: float = 0, rate: float = 0, ranges: bool = True, hub: bool = False
    ) -> None:
        self.folder, self.delay, self.rate, self.ranges, self.hub = folder, delay, rate, ranges, hub
        self.sent = 0
        self.paths: list[str] = []
        self.faults: deque[int | str] = deque()
        self.lock = threading.Lock()
        handler = type("Handler", (_Handler,), {"of": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> "RangeServer":
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None):
        self._server.shutdown()
        self._server.server_close()

    def entry(self, path: str) -> dict[str, object]:
        """A file as the Hub's API lists it."""
        return {"type": "file", "path": path, "size": (self.folder / path).stat().st_size, "oid": "0" * 40}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    of: RangeServer

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        asked = urllib.parse.parse_qs(body.decode())["paths"]
        self._json([self.of.entry(p) for p in asked if (self.of.folder / p).is_file()])

    def do_GET(self) -> None:
        path = urllib.parse.unquote(urllib.parse.urlsplit(self.path).path)
        with self.of.lock:
            self.of.paths.append(path)
        time.sleep(self.of.delay)
        if self.of.hub and "/tree/" in path:
            names = sorted(p.relative_to(self.of.folder).as_posix() for p in self.of.folder.rglob("*") if p.is_file())
            self._json([self.of.entry(name) for name in names])
            return
        if self.of.hub and path.startswith("/api/"):
            about = {"id": "ns/rs", "sha": COMMIT, "private": False, "disabled": False, "downloads": 0, "likes": 0}
            self._json({**about, "tags": [], "siblings": []})
            return
        if self.of.hub:
            path = re.sub(r"^/datasets/[^/]+/[^/]+/resolve/[^/]+", "", path)
        self._file(self.of.folder / path.lstrip("/"))

    def _json(self, content: object) -> None:
        self._answer(200, json.dumps(content).encode(), {"Content-Type": "application/json"})

    def _file(self, path: Path) -> None:
        fault = None
        with self.of.lock:
            if path.suffix == ".parquet" and self.of.faults:
                fault = self.of.faults.popleft()
        if isinstance(fault, int) or not path.is_file():
            self._answer(fault if isinstance(fault, int) else 404, b"", {})
            return
        size = path.stat().st_size
        start, stop, status = 0, size, 200
        wanted = re.match(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if wanted and self.of.ranges:
            start, status = int(wanted[1]), 206
            stop = min(int(wanted[2]) + 1, size) if wanted[2] else size
        with path.open("rb") as file:
            file.seek(start)
            body = file.read(stop - start)
        headers = {"ETag": f'"{path.stat().st_mtime_ns}"', "X-Repo-Commit": COMMIT}
        if self.of.ranges:
            headers |= {"Accept-Ranges": "bytes", "Content-Range": f"bytes {start}-{stop - 1}/{size}"}
        self._answer(status, body, headers, cut=fault == "cut")

    def _answer(self, status: int, body: bytes, headers: dict[str, str], *, cut: bool = False) -> None:
        self.send_response(status)
        for name, value in headers.items():
            if status == 206 or name != "Content-Range":
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        if cut:
            body = body[: len(body) // 2]
            self.close_connection = True
        for at in range(0, len(body), CHUNK):
            part = body[at : at + CHUNK]
            try:
                self.wfile.write(part)
            except OSError:  # the reader has left
                self.close_connection = True
                return
            with self.of.lock:
                self.of.sent += len(part)
            if self.of.rate:
                time.sleep(len(part) / self.of.rate)
