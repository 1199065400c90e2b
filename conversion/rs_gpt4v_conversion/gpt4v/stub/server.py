"""The stub over HTTP/1.1: connections, and the manner in which replies are sent."""

import contextlib
import json
import re
import select
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from rs_gpt4v_conversion.gpt4v.stub.api import Api, Call, Reply, Settings
from rs_gpt4v_conversion.gpt4v.stub.asking import ENDPOINTS
from rs_gpt4v_conversion.gpt4v.stub.completing import error
from rs_gpt4v_conversion.gpt4v.stub.counting import Counters
from rs_gpt4v_conversion.gpt4v.stub.files import StoredFile

_CHUNK = 1 << 16
_PATIENCE = 2.0  # seconds without a byte after which a refused body is given up
_LOOK = 0.2  # seconds after which a long wait looks whether the client is still there


class StubServer:
    """A server that answers as OpenAI's would, without a model; a context manager.

    Args:
        settings: How it behaves.
        host: Where it listens.
        port: 0 takes a free one.
        verbose: Whether each call gets a line on stderr: method, path and status, never a header or a body.

    Raises:
        OSError: It cannot listen there.

    Attributes:
        url: What clients take as base URL, with `/v1`.
        settings: As given.
    """

    def __init__(
        self, settings: Settings | None = None, *, host: str = "127.0.0.1", port: int = 0, verbose: bool = False
    ) -> None:
        self.settings = settings or Settings()
        self._server = _Server((host, port), verbose)
        self._folder = tempfile.TemporaryDirectory(prefix="gpt4v-stub-")
        self._server.api = Api(self.settings, Path(self._folder.name))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="gpt4v-stub")
        name = f"[{host}]" if ":" in host else host
        self.url = f"http://{name}:{self._server.server_address[1]}/v1"

    @property
    def counters(self) -> Counters:
        """What was asked and answered so far."""
        return self._server.api.counters

    def start(self) -> None:
        """Serve in a thread."""
        self._thread.start()

    def close(self) -> None:
        """Stop serving: close all connections, wait for their threads, and remove uploaded files."""
        self._server.shutdown()
        self._thread.join()
        self._server.hang_up()
        self._server.server_close()
        self._folder.cleanup()

    def __enter__(self) -> "StubServer":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = False  # so that they are waited for
    request_queue_size = 512  # clients open many connections at once
    api: Api

    def __init__(self, address: tuple[str, int], verbose: bool) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.verbose, self.stopped = verbose, threading.Event()
        self._connections: set[socket.socket] = set()
        self._lock = threading.Lock()
        super().__init__(address, _Handler)

    @contextlib.contextmanager
    def connected(self, connection: socket.socket) -> Iterator[None]:
        with self._lock:
            self._connections.add(connection)
        if self.stopped.is_set():
            _shut(connection)
        try:
            yield
        finally:
            with self._lock:
                self._connections.discard(connection)

    def hang_up(self) -> None:
        """Wake the threads that wait for a client or for the time of an answer."""
        self.stopped.set()
        with self._lock:
            for connection in self._connections:
                _shut(connection)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients may go away at any moment; anything else is a bug and shows its traceback."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


def _shut(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):  # it may be closed already
        connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def handle(self) -> None:
        with self.server.connected(self.connection):
            super().handle()

    def do_GET(self) -> None:  # the base class asks for this name
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_DELETE(self) -> None:
        self._serve()

    def _serve(self) -> None:
        length = self._length()
        if length is None:
            return
        url = urlsplit(self.path)
        content_type = self.headers.get("content-type", "")
        upload = self._spool(length) if content_type.startswith("multipart/form-data") else None
        call = Call(
            method=self.command, path=url.path.rstrip("/"), query=dict(parse_qsl(url.query)),
            authorization=self.headers.get("authorization", ""), content_type=content_type,
            body=b"" if upload is not None else self.rfile.read(length), upload=upload,
        )  # fmt: skip
        live = call.path in ENDPOINTS
        with self.server.api.counters.in_flight() if live else contextlib.nullcontext():
            self._reply(self.server.api.handle(call))

    def _length(self) -> int | None:
        """Bytes of the body; None after an error was sent instead."""
        text = self.headers.get("content-length", "0")
        if "transfer-encoding" in self.headers or not re.fullmatch(r"\d{1,15}", text):
            self._refuse(411, "A body needs its Content-Length.")
            return None
        if int(text) > self.server.api.settings.most_upload:
            self._refuse(413, f"The body has {text} bytes, at most {self.server.api.settings.most_upload} may be.")
            return None
        return int(text)

    def _refuse(self, status: int, message: str) -> None:
        self.close_connection = True  # the body is still on its way
        self._reply(Reply(status=status, body=json.dumps(error(message)).encode()))
        with contextlib.suppress(OSError):
            # a client that still sends when the connection is closed does not see the reply
            self.connection.shutdown(socket.SHUT_WR)
            self.connection.settimeout(_PATIENCE)
            while not self.server.stopped.is_set() and self.rfile.read1(_CHUNK):
                pass

    def _spool(self, length: int) -> Path:
        path = self.server.api.files.new_path()
        with path.open("wb") as file:
            while length > 0 and (chunk := self.rfile.read(min(_CHUNK, length))):
                file.write(chunk)
                length -= len(chunk)
        return path

    def _reply(self, reply: Reply) -> None:
        if not self._wait(reply.wait):
            self.close_connection = True
            return
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(reply.size))
        if self.close_connection:
            self.send_header("connection", "close")
        self.end_headers()
        self.server.api.counters.reply(reply.status, self._send(reply))

    def _send(self, reply: Reply) -> int:
        """Send the body; the number of bytes."""
        size = reply.size // 2 if reply.manner == "cut" else reply.size
        for chunk in _chunks(reply.body, size):
            if reply.manner != "slow":
                self.wfile.write(chunk)
                continue
            for i in range(len(chunk)):
                self.wfile.write(chunk[i : i + 1])
                if self.server.stopped.wait(self.server.api.settings.pause):
                    self.close_connection = True
                    return size
        if reply.manner == "cut":
            self.close_connection = True
        return size

    def _wait(self, seconds: float) -> bool:
        """Let time go by; whether the server still runs and the client is still there."""
        while seconds > _LOOK:
            if self.server.stopped.wait(_LOOK) or self._gone():
                return False
            seconds -= _LOOK
        return not (self.server.stopped.wait(seconds) if seconds > 0 else self.server.stopped.is_set())

    def _gone(self) -> bool:
        readable, _, _ = select.select([self.connection], [], [], 0)
        return bool(readable) and self.connection.recv(1, socket.MSG_PEEK) == b""

    def log_message(self, format: str, *arguments: Any) -> None:  # the base class's parameter names
        pass

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        if self.server.verbose:
            sys.stderr.write(f"{self.command} {urlsplit(self.path).path} {code}\n")


def _chunks(body: bytes | StoredFile, size: int) -> Iterator[bytes]:
    if isinstance(body, bytes):
        yield body[:size]
        return
    with body.path.open("rb") as file:
        file.seek(body.start)
        while size > 0 and (chunk := file.read(min(_CHUNK, size))):
            yield chunk
            size -= len(chunk)
