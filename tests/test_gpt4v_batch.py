"""`gpt4v submit`, `poll` and `fetch`, against the stub."""

import itertools
import json
import os
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from request_folder import KEY, Say, add_part, answer_lines, completion, error, paid_ids, scripted, sources_toml
from rs_gpt4v_conversion.cli import main
from rs_gpt4v_conversion.errors import UsageError
from rs_gpt4v_conversion.files import sha256
from rs_gpt4v_conversion.gpt4v.live import batches, calls, policy
from rs_gpt4v_conversion.gpt4v.live.client import REMOVED
from rs_gpt4v_conversion.gpt4v.live.state import State, load, save
from rs_gpt4v_conversion.gpt4v.stub.api import Settings
from rs_gpt4v_conversion.gpt4v.stub.faults import Fault, Faults
from rs_gpt4v_conversion.gpt4v.stub.server import StubServer
from rs_gpt4v_conversion.gpt4v.workspace import Workspace

MADE = "POST /v1/batches"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No key but what a test sets, and short pauses."""
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(policy, "FIRST", 0.01)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    folder = Workspace(tmp_path / "requests")
    folder.folder.mkdir()
    sources_toml(tmp_path)
    return folder


Command = Callable[..., tuple[int, Any]]


@pytest.fixture
def command(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> Command:
    """command(stub, name, ...) -> its exit code and what it printed as JSON; `command.said` is what it said."""

    def run(url: str, name: str, *more: str) -> tuple[int, Any]:
        toml = str(workspace.folder.parent / "sources.toml")
        capsys.readouterr()
        code = main(["gpt4v", name, toml, "--base-url", url, "--json", *more])
        out, run.said = capsys.readouterr()  # type: ignore[attr-defined]
        return code, json.loads(out) if out else None

    return run


def stub(seconds: float = 0.0, **options: Any) -> StubServer:
    return StubServer(Settings(latency=0.0, batch_seconds=seconds, **options))


def content_of(server: StubServer, name: str) -> bytes:
    """A file of the server, asked for without our code."""
    request = urllib.request.Request(f"{server.url}/files/{name}/content", headers={"Authorization": "Bearer x"})
    with urllib.request.urlopen(request) as response:
        content: bytes = response.read()
    return content


def test_batches_bring_every_answer_once(workspace: Workspace, command: Command) -> None:
    ids = add_part(workspace, 40) + add_part(workspace, 10, number=2, first=40) + add_part(workspace, 5, stage="local")
    with stub(seconds=0.6) as server:
        code, shown = command(server.url, "submit")
        assert code == 0 and [b["file"] for b in shown["batches"]] == [
            "local-00001.jsonl", "global-00001.jsonl", "global-00002.jsonl",
        ]  # fmt: skip
        assert command(server.url, "fetch")[1]["files"] == []  # nothing has ended
        code, shown = command(server.url, "poll", "--wait", "--interval", "0.1")
        assert code == 0 and {b["status"] for b in shown["batches"]} == {"completed"}
        code, shown = command(server.url, "fetch")
        assert code == 0 and [Path(f).name for f in shown["files"]] == [
            "000001-local-00001.output.jsonl", "000002-global-00001.output.jsonl", "000003-global-00002.output.jsonl",
        ]  # fmt: skip
        for part in workspace.parts():
            state = load(part)
            assert state is not None and state.batch is not None
            file = state.files["output"]
            assert (workspace.answers / file["name"]).read_bytes() == content_of(server, file["id"])
            assert state.batch["metadata"] == {"file": part.path.name, "sha256": sha256(part.path)}
            assert content_of(server, state.batch["input_file_id"]) == part.path.read_bytes()
        before = sorted(p.name for p in workspace.folder.rglob("*"))
        for name in ("submit", "poll", "fetch"):
            assert command(server.url, name)[0] == 0
        assert sorted(p.name for p in workspace.folder.rglob("*")) == before
        assert server.counters.calls[MADE] == 3
    assert paid_ids(workspace) == dict.fromkeys(ids, 1)


def test_a_limit_of_batches_is_kept(workspace: Workspace, command: Command) -> None:
    for number in (1, 2, 3):
        add_part(workspace, 2, number=number, first=10 * number)
    with stub() as server:
        for expected in (2, 3, 3):
            _, shown = command(server.url, "submit", "--limit-batches", "2")
            assert len(shown["batches"]) == expected == server.counters.calls[MADE]


class Killed(BaseException):
    """Stands for SIGKILL: nothing catches it."""


@pytest.fixture
def killing(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Make the process die after the n-th step: a call of the server, or a note of its state."""
    left = [1 << 30]

    def step() -> None:
        left[0] -= 1
        if left[0] == 0:
            raise Killed

    def wrapped(function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **options: Any) -> Any:
            result = function(*arguments, **options)
            step()
            return result

        return run

    for name in ("call", "save", "hide_in_file", "_download"):
        monkeypatch.setattr(batches, name, wrapped(getattr(batches, name)))
    yield left


def test_a_kill_at_any_step_makes_no_second_batch_and_no_second_file(
    tmp_path_factory: pytest.TempPathFactory, killing: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    steps = 0
    for kill_at in itertools.count(1):
        folder = tmp_path_factory.mktemp("kill")
        workspace, toml = Workspace(folder / "requests"), str(sources_toml(folder))
        ids = add_part(workspace, 6)
        with stub(faults=Faults({Fault.CONTENT_FILTER_400: 0.3})) as server:
            killing[0] = kill_at
            died = False
            for _ in range(2):
                try:
                    for name in ("submit", "poll", "fetch"):
                        main(["gpt4v", name, toml, "--base-url", server.url])
                except Killed:
                    died = True
            assert server.counters.calls[MADE] == 1
            for part in workspace.parts():
                state = load(part)
                assert state is not None and state.batch is not None
                for kind, name in state.outputs().items():
                    found = list(workspace.answers.glob(f"*-{part.path.stem}.{kind}.jsonl"))
                    assert [path.read_bytes() for path in found] == [content_of(server, name)]
        assert sorted(json.loads(line)["custom_id"] for line in answer_lines(workspace)) == sorted(ids)
        assert not list(folder.rglob("*.tmp"))
        if not died:
            break
        steps = kill_at
    capsys.readouterr()
    assert steps > 12  # so many moments were tried


def test_a_batch_whose_making_was_not_answered_is_found(workspace: Workspace, command: Command) -> None:
    """Each call's first answer is cut off, also that to the call that made the batch."""
    add_part(workspace, 5)
    with stub(faults=Faults({Fault.CUT: 1.0}, attempts=1)) as server:
        assert command(server.url, "submit")[0] == 0
        assert server.counters.calls[MADE] == 1
        assert command(server.url, "fetch")[0] == 0
    assert len(paid_ids(workspace)) == 5


def test_batches_of_a_lost_folder_are_taken_over(workspace: Workspace, command: Command) -> None:
    add_part(workspace, 5)
    with stub() as server:
        command(server.url, "submit")
        workspace.part("global", 1).batch.unlink()
        command(server.url, "submit")
        assert "is in batch batch_000001 already" in command.said  # type: ignore[attr-defined]
        assert server.counters.calls[MADE] == 1


def test_a_failed_batch_is_explained_and_made_again(workspace: Workspace, command: Command) -> None:
    add_part(workspace, 5)
    with stub(faults=Faults({Fault.FAILED: 1.0}, attempts=1)) as server:
        command(server.url, "submit")
        for name in ("poll", "fetch"):
            code, shown = command(server.url, name)
            assert code == 1 and shown["batches"][0]["status"] == "failed"
            assert "internal_error: The batch failed in validation" in shown["batches"][0]["errors"][0]
            assert "global-00001.jsonl: failed: internal_error" in command.said  # type: ignore[attr-defined]
        assert command(server.url, "submit")[0] == 0
        assert command(server.url, "fetch")[0] == 0
        assert server.counters.calls[MADE] == 2
    state = load(workspace.part("global", 1))
    assert state is not None and [b["status"] for b in state.earlier] == ["failed"]
    assert len(paid_ids(workspace)) == 5


def test_an_expired_batch_gives_what_it_has_and_run_asks_the_rest(workspace: Workspace, command: Command) -> None:
    ids = add_part(workspace, 40)
    with stub(faults=Faults({Fault.EXPIRED: 0.4}, seed=2)) as server:
        command(server.url, "submit")
        code, shown = command(server.url, "fetch")
        assert code == 0 and shown["batches"][0]["status"] == "expired" and len(shown["files"]) == 2
        paid = len(paid_ids(workspace))
        assert 0 < paid < 40
        command(server.url, "submit")  # which would pay for the others again
        assert server.counters.calls[MADE] == 1
        assert command(server.url, "run")[1]["answered"] == 40 - paid
    assert paid_ids(workspace) == dict.fromkeys(ids, 1)


def test_a_cancelled_batch_gives_what_it_has(workspace: Workspace, command: Command) -> None:
    add_part(workspace, 40)
    with stub(seconds=1.0) as server:
        command(server.url, "submit")
        time.sleep(0.5)
        request = urllib.request.Request(
            f"{server.url}/batches/batch_000001/cancel", method="POST", headers={"Authorization": "Bearer x"}
        )
        urllib.request.urlopen(request).close()
        _, shown = command(server.url, "poll", "--wait", "--interval", "0.1")
        assert shown["batches"][0]["status"] == "cancelled"
        command(server.url, "fetch")
        assert 0 < len(paid_ids(workspace)) < len(answer_lines(workspace)) == 40


def test_run_leaves_alone_what_is_in_a_batch_and_submit_what_was_answered(
    workspace: Workspace, command: Command
) -> None:
    ids = add_part(workspace, 5)
    add_part(workspace, 5, number=2, round=2)  # the same, exported again
    add_part(workspace, 6, number=3, first=5)
    with stub(seconds=30.0) as server:
        command(server.url, "submit", "--limit-batches", "1")
        _, shown = command(server.url, "run", "--limit", "2")
        assert shown["answered"] == 2 and not set(ids) & set(paid_ids(workspace))
        assert "not asked: 5 requests whose answers are on their way" in command.said  # type: ignore[attr-defined]
        command(server.url, "submit")
        assert "global-00003.jsonl: not submitted: 2 of its 6 requests need no answer" in command.said  # type: ignore[attr-defined]
        assert not workspace.part("global", 3).batch.exists()
        assert command(server.url, "run")[1]["answered"] == 4
        assert not set(ids) & set(paid_ids(workspace))


def test_an_upload_that_the_vendor_removed_is_made_again(
    workspace: Workspace, command: Command, killing: list[int]
) -> None:
    add_part(workspace, 5)
    part = workspace.part("global", 1)
    with stub() as server:
        killing[0] = 3  # after the upload is noted
        with pytest.raises(Killed):
            command(server.url, "submit")
        state = load(part)
        assert state is not None and state.upload is not None and state.batch is None
        assert command(server.url, "poll")[1]["batches"][0]["status"] == "uploaded"
        urllib.request.urlopen(
            urllib.request.Request(
                f"{server.url}/files/{state.upload['id']}", method="DELETE", headers={"Authorization": "Bearer x"}
            )
        ).close()
        assert command(server.url, "submit")[0] == 0
        assert command(server.url, "fetch")[0] == 0
    assert len(paid_ids(workspace)) == 5


def test_all_calls_survive_faults_of_the_network(workspace: Workspace, command: Command) -> None:
    for number in range(1, 6):
        add_part(workspace, 4, number=number, first=10 * number)
    faults = Faults({Fault.RATE_LIMIT_AFTER: 0.1, Fault.SERVER_ERROR: 0.2, Fault.CUT: 0.2, Fault.SLOW: 0.1}, attempts=4)
    with stub(seconds=0.5, faults=faults, retry_after=0.02, pause=0.0) as server:
        assert command(server.url, "submit")[0] == 0
        assert command(server.url, "poll", "--wait", "--interval", "0.05")[0] == 0
        assert command(server.url, "fetch")[0] == 0
        assert len(server._server.api._batches.all()) == 5
    assert len(paid_ids(workspace)) == 20


def test_what_the_server_refuses_is_one_sentence(workspace: Workspace, command: Command) -> None:
    add_part(workspace, 2)
    for status, code, said in (
        (401, "invalid_api_key", "does not take the key"),
        (404, "unknown_url", "has no batches; `rs-gpt4v gpt4v run` asks one request after the other"),
        (400, "billing_hard_limit_reached", "failed: status 400 (billing_hard_limit_reached): No."),
    ):
        with scripted(lambda number, path, s=status, c=code: (s, {}, error(c))) as fake:  # type: ignore[misc]
            assert command(fake.url, "submit") == (2, None)
        assert said in command.said and "Traceback" not in command.said  # type: ignore[attr-defined]


def test_a_changed_request_file_and_another_server_are_refused(workspace: Workspace, command: Command) -> None:
    add_part(workspace, 2)
    part = workspace.part("global", 1)
    with stub(seconds=30.0) as server:
        save(part, State(sha256="0" * 64, url=server.url))
        assert command(server.url, "submit")[0] == 2
        assert "not the file that was submitted" in command.said  # type: ignore[attr-defined]
        part.batch.unlink()
        command(server.url, "submit")
        with stub() as other:
            assert command(other.url, "poll")[0] == 2
        assert f"give --base-url {server.url}" in command.said  # type: ignore[attr-defined]
        part.batch.write_text("{}")
        assert command(server.url, "poll")[0] == 2
        assert "not what `rs-gpt4v gpt4v submit` writes" in command.said  # type: ignore[attr-defined]


def test_the_key_is_in_no_file_and_no_message(
    workspace: Workspace, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server writes the key into everything that it says."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setattr(calls, "RETRIES", 0)
    add_part(workspace, 2)
    made: dict[str, Any] = {
        "id": "batch_1", "object": "batch", "endpoint": "/v1/chat/completions", "completion_window": "24h",
        "status": "completed", "input_file_id": "file-1", "created_at": 1, "completed_at": 61,
        "output_file_id": "file-2", "metadata": {"note": f"from {KEY}"},
        "request_counts": {"total": 2, "completed": 2, "failed": 0},
    }  # fmt: skip

    def answer(number: int, path: str) -> Say:
        if path.endswith("/content"):
            return 200, {}, completion(f"Bearer {KEY}").replace(b"\n", b" ") + b"\n" + b"{}\n"
        if path.startswith("/v1/files"):
            return 200, {}, json.dumps({"id": "file-1", "object": "file", "filename": KEY, "bytes": 1}).encode()
        if "?" in path:
            return 200, {}, json.dumps({"object": "list", "data": [], "has_more": False}).encode()
        return 200, {}, json.dumps(made).encode()

    with scripted(answer) as fake:
        for name in ("submit", "poll", "fetch"):
            assert command(fake.url, name)[0] == 0
            assert KEY not in command.said  # type: ignore[attr-defined]
        assert set(fake.keys) == {f"Bearer {KEY}"}
    assert "the server wrote the key into 1 line" in command.said  # type: ignore[attr-defined]
    written = {p: p.read_bytes() for p in workspace.folder.parent.rglob("*") if p.is_file()}
    assert not [path for path, content in written.items() if KEY.encode() in content]
    assert REMOVED.encode() in written[workspace.answers / "000001-global-00001.output.jsonl"]
    with (
        scripted(lambda number, path: (400, {}, error("odd", f"Bearer {KEY}"))) as fake,
        pytest.raises(UsageError) as e,
    ):
        calls.call(batches.Server(url=fake.url, key=KEY), "x", lambda: _listed(fake.url))
    assert KEY not in str(e.value) and REMOVED in str(e.value)


def _listed(url: str) -> Any:
    import openai

    with openai.OpenAI(api_key=KEY, base_url=url, max_retries=0) as client:
        return client.batches.list()


def test_a_full_disk_is_one_sentence(workspace: Workspace, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    add_part(workspace, 2)
    with stub() as server:
        command(server.url, "submit")

        def full(*_: Any) -> None:
            raise OSError(28, os.strerror(28))

        with monkeypatch.context() as patch:
            patch.setattr(batches, "hide_in_file", full)
            assert command(server.url, "fetch")[0] == 2
        assert "the disk is full; nothing is lost" in command.said  # type: ignore[attr-defined]
        assert command(server.url, "fetch")[0] == 0
    assert len(paid_ids(workspace)) == 2


def test_the_table_is_for_people(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    add_part(workspace, 3)
    toml = str(workspace.folder.parent / "sources.toml")
    with stub() as server:
        assert main(["gpt4v", "poll", toml, "--base-url", server.url]) == 0
        assert capsys.readouterr().err == "no batches; `rs-gpt4v gpt4v submit` makes them\n"
        main(["gpt4v", "submit", toml, "--base-url", server.url])
        capsys.readouterr()
        assert main(["gpt4v", "fetch", toml, "--base-url", server.url]) == 0
    out, said = capsys.readouterr()
    assert out == f"{workspace.answers}/000001-global-00001.output.jsonl\n"
    assert said.splitlines() == [
        "file                batch         status     answered  failed  of  elapsed",
        "global-00001.jsonl  batch_000001  completed         3       0   3  0:00:00",
        f"next: rs-gpt4v gpt4v status {toml} {workspace.folder}",
    ]
