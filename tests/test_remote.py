"""A release over a network: the same rows as from the disk, through whatever a server does."""

import logging
import pickle
import threading
import time
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from http_server import Server, serving
from rs_gpt4v_builder.errors import ReleaseError
from rs_gpt4v_builder.network import remote, retry, web
from rs_gpt4v_builder.network.remote import RemoteStore
from rs_gpt4v_builder.network.retry import StoppedError

CONTENT = bytes(range(256)) * 40


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No waiting between tries."""
    monkeypatch.setattr(retry, "FIRST_WAIT", 0.001)


@pytest.fixture
def server(tmp_path: Path, quick: None) -> Iterator[Server]:
    """A server of one file."""
    folder = tmp_path / "served"
    folder.mkdir()
    (folder / "a file.bin").write_bytes(CONTENT)
    with serving(folder) as running:
        yield running


def read(server: Server, start: int = 10, end: int | None = 1010, **options: Any) -> bytes:
    return RemoteStore(server.url).read("a file.bin", start, end, **options)


@pytest.mark.parametrize(("start", "end"), [(0, None), (0, 1), (10, 1010), (10_000, None), (0, len(CONTENT))])
def test_bytes_are_those_of_the_file(server: Server, start: int, end: int | None) -> None:
    assert read(server, start, end) == CONTENT[start:end]
    assert server.sent == len(CONTENT[start:end])


def test_connections_are_used_again_from_several_threads(server: Server) -> None:
    store, found = RemoteStore(server.url), []
    server.latency = 0.01

    def work() -> None:
        found.extend(store.read("a file.bin", n, n + 100) == CONTENT[n : n + 100] for n in range(20))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 80
    assert len(server.requests) == 80
    assert server.connections == 4


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("status", {"status": 500}), ("status", {"status": 503}), ("status", {"status": 429}),
        ("status", {"status": 408}), ("cut", {}), ("cut", {"after": 0}), ("short", {}), ("wrong", {}),
    ],
)  # fmt: skip
def test_what_passes_is_tried_again(server: Server, kind: str, options: dict[str, Any]) -> None:
    server.fail(kind, times=3, **options)
    assert read(server) == CONTENT[10:1010]
    assert len(server.requests) == 4


def test_a_server_that_sends_nothing_more_is_asked_again(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "READ", 0.1)
    server.fail("stall", after=50)
    assert read(server) == CONTENT[10:1010]


class Clock(Event):
    """Takes note of the waits."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.waits.append(timeout or 0)
        return False


def test_retry_after_is_kept_to(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    server.fail("status", status=429, headers={"Retry-After": "77"})
    server.fail("status", status=503, headers={"Retry-After": formatdate(time.time() + 100, usegmt=True)})
    server.fail("status", status=503, headers={"Retry-After": "soon"})
    clock = Clock()
    with caplog.at_level(logging.INFO):
        assert read(server, stop=clock) == CONTENT[10:1010]
    assert clock.waits[0] == 77
    assert 90 < clock.waits[1] <= 100
    assert clock.waits[2] < 1
    assert "HTTP 429 Too Many Requests; trying again in 77.0 s" in caplog.text


def test_a_wait_that_is_too_long_is_an_error_at_once(server: Server) -> None:
    server.fail("status", status=429, headers={"Retry-After": "3600"})
    with pytest.raises(ReleaseError, match=r"tried 1 times.*HTTP 429.*asks to wait 3600 s"):
        read(server)


def test_waits_grow_and_are_never_the_same() -> None:
    clock = Clock()

    def fails() -> bytes:
        raise retry.PassingFaultError("HTTP 500")

    for _ in range(2):
        with pytest.raises(ReleaseError, match="tried 8 times"):
            retry.persistently("it", fails, clock)
    waits = clock.waits
    assert len(waits) == 14
    for number, (first, second) in enumerate(zip(waits[:7], waits[7:], strict=True)):
        most = min(30, 0.5 * 2**number)
        assert most / 2 <= first <= most
        assert first != second


def test_in_the_end_the_error_says_what_was_tried(server: Server) -> None:
    server.fail("status", times=99)
    with pytest.raises(ReleaseError, match=r"/a%20file\.bin cannot be read: tried 8 times, .* HTTP 500 .*go on later"):
        read(server)
    assert len(server.requests) == 8
    server.close()
    with pytest.raises(ReleaseError, match=r"tried 8 times, the last answer was no answer \(.*[Rr]efused"):
        read(server)


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (401, "hf auth login"),
        (403, "may not be read"),
        (404, "is not there"),
        (416, "is shorter"),
        (418, "check the URL"),
    ],
)
def test_what_does_not_pass_is_an_error_at_once(server: Server, status: int, said: str) -> None:
    server.fail("status", status=status)
    with pytest.raises(ReleaseError, match=said):
        read(server)
    assert len(server.requests) == 1


def test_a_server_that_ignores_ranges_is_told_from_one_that_does_not(server: Server) -> None:
    server.fail("whole", times=3)
    assert read(server, 0, None) == CONTENT
    assert read(server, 0, len(CONTENT)) == CONTENT
    with pytest.raises(ReleaseError, match="ignores Range and sends whole files"):
        read(server)
    assert server.requests[-1].sent < len(CONTENT) or len(CONTENT) < 1 << 17


def test_another_size_than_the_manifests_is_an_error(server: Server) -> None:
    store = RemoteStore(server.url)
    store.learn({"a file.bin": len(CONTENT) + 1})
    for start, end in ((0, 5), (0, None)):
        with pytest.raises(ReleaseError, match=r"has 10,240 bytes, .* manifest says 10,241.*open it anew"):
            store.read("a file.bin", start, end)
    assert len(server.requests) == 2
    assert store.size("a file.bin") == len(CONTENT) + 1
    with pytest.raises(ReleaseError, match="does not list b"):
        store.size("b")
    with pytest.raises(ReleaseError, match="lists no files"):
        store.paths("data")


def test_a_signed_url_signs_every_file_and_no_message(server: Server) -> None:
    store = RemoteStore(f"{server.url}/?signature=secret&a=b")
    assert store.read("a file.bin", 1, 3) == CONTENT[1:3]
    assert server.requests[0].query == "signature=secret&a=b"
    with pytest.raises(ReleaseError, match=r"nothing.* is not there") as found:
        store.read("nothing")
    assert "secret" not in str(found.value)
    assert store.where == f"{server.url}/?…"
    assert pickle.loads(pickle.dumps(store)).read("a file.bin", 1, 3) == CONTENT[1:3]


def test_a_user_in_the_url_is_sent_and_not_said(server: Server) -> None:
    server.token = "Basic bWU6c2VjcmV0"
    store = RemoteStore(server.url.replace("//", "//me:secret@"))
    assert store.read("a file.bin", 1, 3) == CONTENT[1:3]
    with pytest.raises(ReleaseError, match="may not be read"):
        read(server)
    with pytest.raises(ReleaseError, match="is not there") as found:
        store.read("nothing")
    assert "secret" not in str(found.value)


def test_a_redirect_is_followed_and_remembered_until_it_is_over(server: Server) -> None:
    with serving(server.folder) as elsewhere:
        server.moved, server.token = elsewhere.url, "Basic bWU6c2VjcmV0"
        store = RemoteStore(server.url.replace("//", "//me:secret@"))
        for n in range(3):
            assert store.read("a file.bin", n, n + 5) == CONTENT[n : n + 5]
        assert len(server.requests) == 1
        assert [request.query for request in elsewhere.requests] == ["signature=secret"] * 3
        assert not any("Authorization" in request.headers for request in elsewhere.requests)
        elsewhere.fail("status", status=403)
        assert store.read("a file.bin", 7, 9) == CONTENT[7:9]
        assert len(server.requests) == 2
        server.moved = server.url  # in a circle
        with pytest.raises(ReleaseError, match="redirected more than 5 times"):
            RemoteStore(server.url.replace("//", "//me:secret@")).read("a file.bin")


def test_a_read_that_nobody_wants_any_more_ends(server: Server) -> None:
    stop = Event()
    server.fail("status", times=99, headers={"Retry-After": "30"})
    timer = threading.Timer(0.05, stop.set)
    timer.start()
    with pytest.raises(StoppedError):
        read(server, stop=stop)
    with pytest.raises(StoppedError):
        read(server, stop=stop)
    timer.join()


def test_all_reads_end_when_the_process_does(server: Server) -> None:
    store, stop, ended = RemoteStore(server.url), Event(), []
    server.fail("stall", after=50)

    def work() -> None:
        with pytest.raises(StoppedError):
            store.read("a file.bin", 0, 5000, stop)
        ended.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    while not server.requests or server.requests[0].sent < 50:
        time.sleep(0.01)
    stop.set()
    store.abort()
    thread.join(5)
    assert ended == [True]


def test_any_file_system_of_fsspec(quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    import fsspec

    memory = fsspec.filesystem("memory")
    memory.pipe("/set/a file.bin", CONTENT)
    store = RemoteStore("memory://set/")
    assert store.read("a file.bin") == CONTENT
    assert store.read("a file.bin", 5, 50) == CONTENT[5:50]
    assert store.read("a file.bin", 5) == CONTENT[5:]
    assert store.paths("") == ["a file.bin"]
    with pytest.raises(ReleaseError, match=r"memory://set/b is not there"):
        store.read("b")
    with pytest.raises(ReleaseError, match=r"tried 8 times.*a short body"):
        store.read("a file.bin", 0, len(CONTENT) + 1)
    errors: list[Exception] = [OSError("cut"), TimeoutError(), PermissionError("no key")]
    real = type(memory).cat_file

    def flaky(self: Any, *args: Any, **options: Any) -> bytes:
        if errors:
            raise errors.pop(0)
        found: bytes = real(self, *args, **options)
        return found

    monkeypatch.setattr(type(memory), "cat_file", flaky)
    with pytest.raises(ReleaseError, match=r"may not be read \(no key\)"):
        store.read("a file.bin")
    assert not errors
    memory.rm("/set", recursive=True)


def test_a_file_system_that_runs_on_a_loop_can_be_stopped(server: Server) -> None:
    store = remote._System(server.url)
    assert store._is_async
    assert store.get("a file.bin", 5, 50, None, Event()) == CONTENT[5:50]
    server.fail("stall", after=50)
    stop = Event()
    threading.Timer(0.05, stop.set).start()
    with pytest.raises(StoppedError):
        store.get("a file.bin", 0, 5000, None, stop)


def test_the_hub_is_a_web_server(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub
    from huggingface_hub import constants

    asked: list[dict[str, Any]] = []

    def url(repo: str, path: str, **options: Any) -> str:
        asked.append({"repo": repo, "path": path, **options})
        return f"{server.url}/a%20file.bin"

    monkeypatch.setattr(huggingface_hub, "hf_hub_url", url)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_IMPLICIT_TOKEN", False)
    server.token = "Bearer hf_secret"
    store = RemoteStore("hf://datasets/me/rs-gpt4v@v1.0/sub/folder")
    assert store.read("data/x.parquet", 5, 50) == CONTENT[5:50]
    expected = {"repo_type": "dataset", "revision": "v1.0", "subfolder": "sub/folder"}
    assert asked == [{"repo": "me/rs-gpt4v", "path": "data/x.parquet", **expected}]
    server.headers = {"X-Repo-Commit": "0123abc"}
    store.read("a")
    store.read("b")
    assert [call["revision"] for call in asked] == ["v1.0", "v1.0", "0123abc"], "a branch may move on"
    del asked[1:]
    RemoteStore("hf://datasets/me/rs-gpt4v@refs/pr/7").read("a")
    RemoteStore("hf://datasets/me/rs-gpt4v@refs%2Fpr%2F8/").read("a")
    RemoteStore("hf://datasets/me/rs-gpt4v").read("a")
    assert [call["revision"] for call in asked[1:]] == ["refs/pr/7", "refs/pr/8", "main"]
    for wrong in ("hf://me/rs-gpt4v", "hf://datasets/rs-gpt4v", "hf://spaces/me/x"):
        with pytest.raises(ReleaseError, match="names no dataset"):
            RemoteStore(wrong)
