"""A slow HTTP server: files by byte range, every answer late, all answers together no faster than a line allows.

Boto3 takes it for S3 (`s3://<first folder>/...` at its address), since reading needs no more than GET and HEAD. It runs
in a process of its own and says on /count how many requests it had and how many bytes it sent.
"""

import argparse
import contextlib
import json
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from feed.case import ROOT

PIECE = 1 << 16


class Line:
    """A line that all answers share.

    Args:
        rate: Bytes a second.
    """

    def __init__(self, rate: float) -> None:
        self.rate, self.free, self.lock = rate, 0.0, threading.Lock()

    def wait(self, size: int) -> None:
        """Return when so many bytes have gone through."""
        with self.lock:
            self.free = max(self.free, time.perf_counter()) + size / self.rate
            until = self.free
        time.sleep(max(0.0, until - time.perf_counter()))


class Count:
    """What was asked for and sent."""

    def __init__(self) -> None:
        self.requests = self.bytes = 0
        self.lock = threading.Lock()

    def add(self, requests: int, size: int) -> None:
        """Count."""
        with self.lock:
            self.requests += requests
            self.bytes += size


class Handler(BaseHTTPRequestHandler):
    """Answers GET and HEAD for the files of a folder."""

    protocol_version = "HTTP/1.1"
    folder: Path
    latency: float
    line: Line
    count = Count()

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def _answer(self, *, body: bool) -> None:
        name = self.path.partition("?")[0].lstrip("/")
        if name == "count":
            self._send(json.dumps(vars(self.count) | {"lock": None}).encode())
            return
        time.sleep(self.latency)
        path = self.folder / name
        if not path.is_file():
            self.count.add(1, 0)
            self.send_response(404)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        size = path.stat().st_size
        start, stop = _range(self.headers.get("Range"), size)
        self.send_response(206 if "Range" in self.headers else 200)
        if "Range" in self.headers:
            self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{size}")
        for key, value in (
            ("Content-Length", str(stop - start)),
            ("Accept-Ranges", "bytes"),
            ("ETag", f'"{size}"'),
            ("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT"),
        ):
            self.send_header(key, value)
        if path.name == "index.json":
            # mosaicml-streaming has read it before its workers fork, which would then share the connection
            self.send_header("Connection", "close")
        self.end_headers()
        self.count.add(1, 0)
        if body:
            with contextlib.suppress(ConnectionError):
                self._send_file(path, start, stop)

    def _send_file(self, path: Path, start: int, stop: int) -> None:
        with path.open("rb") as file:
            file.seek(start)
            while start < stop:
                piece = file.read(min(PIECE, stop - start))
                self.line.wait(len(piece))
                self.wfile.write(piece)
                self.count.add(0, len(piece))
                start += len(piece)

    def _send(self, data: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


class Server(ThreadingHTTPServer):
    """Takes as many connections at a time as servers do; the class that it is made of takes five."""

    daemon_threads = True
    request_queue_size = 128


def _range(header: str | None, size: int) -> tuple[int, int]:
    """First byte and the one behind the last of a `Range` header with one range."""
    if not header:
        return 0, size
    first, _, last = header.removeprefix("bytes=").partition("-")
    if not first:
        return max(0, size - int(last)), size
    return int(first), min(size, int(last) + 1) if last else size


def count(url: str) -> dict[str, int]:
    """Requests and bytes of the server at a URL so far."""
    base = "/".join(url.split("/", 3)[:3])
    with urllib.request.urlopen(f"{base}/count") as answer:
        return json.load(answer)


@contextlib.contextmanager
def serving(folder: Path, latency: float, rate: float) -> Iterator[str]:
    """Serve a folder; gives the URL."""
    command = [sys.executable, "-m", "feed.server", str(folder), str(latency), str(rate)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT / "benchmarks") as process:
        try:
            assert process.stdout
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


def main() -> None:
    """Serve until ended."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("latency", type=float)
    parser.add_argument("rate", type=float)
    options = parser.parse_args()
    Handler.folder, Handler.latency, Handler.line = options.folder, options.latency, Line(options.rate)
    server = Server(("127.0.0.1", 0), Handler)
    print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
