"""A folder of requests for tests that ask a server, and a server that says what a test wants it to say."""

import base64
import hashlib
import json
import multiprocessing
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from rs_gpt4v_conversion.gpt4v.live.paid import final
from rs_gpt4v_conversion.gpt4v.records import Request, Stage
from rs_gpt4v_conversion.gpt4v.workspace import Workspace, index_line

IMAGE = base64.b64encode(bytes(range(256)) * 8).decode()
KEY = "sk-test-0123456789abcdefghijklmnop"


def body_of(number: int, stage: Stage = "global") -> dict[str, Any]:
    """A request's body as an export writes it, small."""
    return {
        "model": "gpt-4o-2024-11-20",
        "messages": [
            {"role": "system", "content": "You look at images from above. Ein Größenvergleich: \u00bd \U0001f6f0"},
            {
                "role": "user",
                "content": [
                    {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{IMAGE}", "detail": "low"}},
                    {"type": "text", "text": f"Image {number}: describe the scene."},
                ],
            },
        ],
        "response_format": {"type": "json_schema", "json_schema": {"name": stage, "strict": True, "schema": {}}},
        "max_completion_tokens": 1024,
    }  # fmt: skip


def add_part(
    workspace: Workspace, count: int, *, stage: Stage = "global", number: int = 1, first: int = 0, round: int = 1,
    tokens: int = 900, answer_tokens: int = 100,
) -> list[str]:  # fmt: skip
    """Write a request file and its index; returns the ids."""
    part = workspace.part(stage, number)
    part.path.parent.mkdir(parents=True, exist_ok=True)
    ids = []
    with part.path.open("w", encoding="utf-8") as lines, part.index.open("w", encoding="utf-8") as index:
        for i in range(first, first + count):
            body = body_of(i, stage)
            name = f"{stage}-{hashlib.sha256(json.dumps(body).encode()).hexdigest()[:32]}"
            entry = {"custom_id": name, "method": "POST", "url": "/v1/chat/completions", "body": body}
            line = json.dumps(entry, ensure_ascii=False) + "\n"
            lines.write(line)
            index.write(
                index_line(
                    Request(
                        custom_id=name, record=f"toy/train/{i}.jpg", stage=stage, prompt=f"{stage}/1", boxes="obb",
                        model="gpt-4o-2024-11-20", image_sha256="0" * 64, width=64, height=64, round=round,
                        bytes=len(line.encode()), tokens=tokens, answer_tokens=answer_tokens,
                    )
                )
            )  # fmt: skip
            ids.append(name)
    return ids


def sources_toml(folder: Path) -> Path:
    """A SOURCES.toml beside the folder `requests`, with a source of one image."""
    (folder / "toy" / "RSICD_images").mkdir(parents=True, exist_ok=True)
    image = {"filename": "0.jpg", "split": "train", "sentences": [{"raw": "two planes ."}]}
    (folder / "toy" / "dataset_rsicd.json").write_text(json.dumps({"dataset": "rsicd", "images": [image]}))
    path = folder / "sources.toml"
    path.write_text(
        'version = "1.0.0"\ndate = "2026-01-01"\n[[source]]\nkind = "rsicd"\nname = "toy"\nroot = "toy"\n[gpt4v]\n'
    )
    return path


def answer_lines(workspace: Workspace) -> list[bytes]:
    """All lines of all answer files."""
    return [line for path in sorted(workspace.answers.glob("*.jsonl")) for line in path.read_bytes().splitlines(True)]


def paid_ids(workspace: Workspace) -> Counter[str]:
    """How often each request was answered."""
    return Counter(name for line in answer_lines(workspace) if (name := final(line)) is not None)


def _command(arguments: list[str]) -> None:
    from rs_gpt4v_conversion.cli import main

    sys.exit(main(arguments))


def command_process(*arguments: str) -> multiprocessing.process.BaseProcess:
    """`rs-gpt4v` in a process that can be killed, and that has imported everything already."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["openai", "rs_gpt4v_conversion.gpt4v.live.running", "rs_gpt4v_conversion.gpt4v.answers.ledger"]
    )
    process = context.Process(target=_command, args=(list(arguments),))
    process.start()
    return process


Say = tuple[int, dict[str, str], bytes]


class Scripted:
    """A server whose every answer is made by a function.

    Attributes:
        url: Where it is.
        bodies: What came, in order.
        times: When.
        paths: To where.
    """

    def __init__(self, answer: Callable[[int, str], Say]) -> None:
        self.bodies: list[bytes] = []
        self.times: list[float] = []
        self.paths: list[str] = []
        self.keys: list[str] = []
        lock = threading.Lock()
        scripted = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: Any) -> None:
                """Nothing on stderr."""

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                with lock:
                    number = len(scripted.bodies)
                    scripted.bodies.append(body)
                    scripted.times.append(time.monotonic())
                    scripted.paths.append(self.path)
                    scripted.keys.append(self.headers["Authorization"])
                status, headers, content = answer(number, self.path)
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(content))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            def do_GET(self) -> None:
                self.do_POST()

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.http.server_port}/v1"


@contextmanager
def scripted(answer: Callable[[int, str], Say]) -> Iterator[Scripted]:
    """Serve until the end of the block."""
    server = Scripted(answer)
    thread = threading.Thread(target=server.http.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.http.shutdown()
        thread.join()
        server.http.server_close()


def completion(text: str = "{}") -> bytes:
    """A chat completion, printed as OpenAI's live API prints it."""
    body = {
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "gpt-4o-2024-11-20",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
    }  # fmt: skip
    return json.dumps(body, indent=2).encode()


def error(code: str, message: str = "No.") -> bytes:
    """An error's body."""
    return json.dumps({"error": {"message": message, "type": code, "param": None, "code": code}}).encode()
