"""`gpt4v run`: against the stub, and against a server that says what the test wants."""

import errno
import io
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from request_folder import (
    KEY,
    Say,
    add_part,
    answer_lines,
    body_of,
    command_process,
    completion,
    error,
    paid_ids,
    scripted,
    sources_toml,
)
from rs_gpt4v_conversion.cli import main
from rs_gpt4v_conversion.errors import UsageError
from rs_gpt4v_conversion.gpt4v.live import policy, running
from rs_gpt4v_conversion.gpt4v.live.client import REMOVED, server
from rs_gpt4v_conversion.gpt4v.live.journal import Journal, close_torn_lines, error_line, response_line
from rs_gpt4v_conversion.gpt4v.live.locking import asking
from rs_gpt4v_conversion.gpt4v.live.paid import final, paid_answers
from rs_gpt4v_conversion.gpt4v.live.plan import Known, Place, places, read, written
from rs_gpt4v_conversion.gpt4v.live.rate import Pace
from rs_gpt4v_conversion.gpt4v.live.running import Options, Tally, ask
from rs_gpt4v_conversion.gpt4v.stub.api import Settings
from rs_gpt4v_conversion.gpt4v.stub.faults import Fault, Faults
from rs_gpt4v_conversion.gpt4v.stub.server import StubServer
from rs_gpt4v_conversion.gpt4v.workspace import Workspace, read_index
from rs_gpt4v_conversion.progress import Progress

ROOT = Path(__file__).resolve().parents[1]
COUNTED = Known(paid={})


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests say what is in the environment."""
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    folder = Workspace(tmp_path / "requests")
    folder.answers.mkdir(parents=True)
    return folder


def ask_all(workspace: Workspace, url: str, known: Known | None = None, **options: Any) -> Tally:
    """Ask whatever has no answer; the tally."""
    tally, known = Tally(total=0), known or Known(paid=paid_answers(workspace))
    ask(server(url, None), Options(**options), workspace, workspace.parts(), known, tally, limit=None, say=print)
    return tally


def always(status: int, body: bytes, headers: dict[str, str] | None = None) -> Callable[[int, str], Say]:
    return lambda number, path: (status, headers or {}, body)


def first(count: int, say: Say) -> Callable[[int, str], Say]:
    """The first requests get this, the others an answer."""
    return lambda number, path: say if number < count else (200, {}, completion())


# what is asked


def test_a_body_is_sent_byte_for_byte_to_where_its_line_says(workspace: Workspace) -> None:
    add_part(workspace, 3)
    sent = [json.loads(line)["body"] for line in workspace.part("global", 1).path.read_text().splitlines()]
    with scripted(always(200, completion())) as fake:
        ask_all(workspace, fake.url, concurrency=1)
    assert fake.bodies == [json.dumps(body, ensure_ascii=False).encode() for body in sent]
    assert fake.paths == ["/v1/chat/completions"] * 3


@given(st.dictionaries(st.text(), st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3), max_leaves=8,
), max_size=4), st.sampled_from([None, 1, "\t"]), st.booleans())  # fmt: skip
def test_values_are_cut_from_a_line_as_they_are_written(value: dict[str, Any], indent: Any, ascii_only: bool) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    cut = written(text) if value else {}
    assert {name: json.loads(part) for name, part in cut.items()} == value
    assert all(part in text for part in cut.values())


@pytest.mark.parametrize("line", ["", "[]", "{", '{"a"}', '{"a": }', '{"a": 1', '{"a": 1 "b": 2}', "null"])
def test_a_line_that_is_no_object_is_an_error(line: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        written(line)


def test_a_request_file_that_was_changed_is_named(workspace: Workspace) -> None:
    add_part(workspace, 3)
    path = workspace.part("global", 1).path
    path.write_bytes(path.read_bytes().replace(b"Image 1", b"Image one"))
    with scripted(always(200, completion())) as fake, pytest.raises(UsageError, match=r"global-00001.jsonl, byte \d+"):
        ask_all(workspace, fake.url)


def test_what_has_answers_or_waits_in_a_batch_is_not_asked(workspace: Workspace) -> None:
    ids = add_part(workspace, 4)
    again = add_part(workspace, 2, number=2, round=2)  # the first two once more
    assert again == ids[:2]
    known = Known(paid={ids[0]: 1, ids[1]: 2, ids[2]: 1}, pending=set(ids))
    found = [(p.request.custom_id, p.path.name) for p in places(workspace.parts(), known)]
    assert found == [(ids[3], "global-00001.jsonl"), (ids[0], "global-00002.jsonl")]
    assert not list(places(workspace.parts(), Known(paid={}, on_the_way=set(ids))))
    assert [p.request.custom_id for p in places(workspace.parts(), Known(paid={}, pending={ids[1]}))] == [ids[1]]


# what is kept


def test_an_answer_is_kept_as_it_came(workspace: Workspace) -> None:
    (name,) = add_part(workspace, 1)
    body = completion('{"n": 1.10, "t": "\\u00e9 \u20ac"}').replace(b'"created": 1,', b'"created": 1.0e0,')
    with scripted(always(200, body, {"x-request-id": "req-7"})) as fake:
        ask_all(workspace, fake.url)
    (line,) = answer_lines(workspace)
    assert body.replace(b"\n", b" ") in line  # only the ends of lines are gone
    entry = json.loads(line)
    assert entry["custom_id"] == name and entry["error"] is None and entry["id"]
    assert entry["response"] == {"status_code": 200, "request_id": "req-7", "body": json.loads(body)}


def test_lines_are_whole_whatever_the_body() -> None:
    for body in (b"<html>\r\n\xff</html>", b"", b'{"a": "\n"}', completion("\u2028\x85")):
        line = response_line("global-1", 502, None, body)
        assert line.count(b"\n") == 1 and line.endswith(b"\n")
        assert json.loads(line)["response"]["status_code"] == 502
    assert json.loads(error_line("global-1", "timeout", "a\nb"))["response"] is None


def test_only_answers_count_as_paid() -> None:
    ok, text = completion(), b'"choices": []'
    assert final(response_line("a", 200, None, ok)) == "a"
    for code in ("content_filter", "ResponsibleAIPolicyViolation", "data_inspection_failed"):
        assert final(response_line("a", 400, None, error(code))) == "a", code
    for line in (
        response_line("a", 400, None, error("invalid_image")),
        response_line("a", 500, None, b"<html>"),
        response_line("a", 200, None, b"<html>"),
        response_line("a", 200, None, error("overloaded")),
        error_line("a", "timeout", ""),
        b'{"custom_id": "a", "response": {"status_code": 200, "body": {' + text,
        b'{"custom_id": "a", "response": null, "error": {"code": "batch_expired"}}\n',
        b"[1]\n",
    ):
        assert final(line) is None


def test_a_torn_line_is_closed_and_its_request_asked_again(workspace: Workspace) -> None:
    ids = add_part(workspace, 3)
    torn = workspace.answers / "000001-run-global.jsonl"
    whole = response_line(ids[0], 200, None, completion())
    torn.write_bytes(whole + response_line(ids[1], 200, None, completion())[:70])
    with scripted(always(200, completion())) as fake:
        tally = ask_all(workspace, fake.url)
    assert tally.answered == len(fake.bodies) == 2
    assert paid_ids(workspace) == dict.fromkeys(ids, 1)
    assert torn.read_bytes().startswith(whole)
    assert close_torn_lines(workspace) == 0


def test_a_run_goes_on_in_the_last_file_and_begins_another_after_others(workspace: Workspace) -> None:
    for number, name in enumerate(("000001-run-global", "000001-run-global", "000003-run-global"), 1):
        if number == 3:
            (workspace.answers / "000002-from-elsewhere.jsonl").write_bytes(b"{}\n")
        journal = Journal(workspace)
        journal.append("global", b"{}\n")
        journal.close()
        assert sorted(p.stem for p in workspace.answers.iterdir())[-1] == name


def test_answers_do_not_depend_on_when_the_ledger_was_made(workspace: Workspace) -> None:
    """Whatever a ledger says is pending, an answer in a file is not asked for again."""
    ids = add_part(workspace, 5)
    with scripted(always(200, completion())) as fake:
        ask_all(workspace, fake.url)
        paid = paid_answers(workspace)
        ask_all(workspace, fake.url, Known(paid=paid, pending=set(ids)))
    assert len(fake.bodies) == 5


# failures


@pytest.mark.parametrize(
    ("say", "kind"),
    [
        ((429, {"retry-after-ms": "20"}, error("rate_limit_exceeded")), "429"),
        ((429, {}, error("rate_limit_exceeded")), "429"),
        ((500, {}, b"<html>oops"), "500"),
        ((503, {"retry-after": "0"}, b""), "503"),
        ((408, {}, b""), "408"),
        ((409, {}, b""), "409"),
        ((400, {"x-should-retry": "true"}, error("odd")), "400"),
        ((200, {}, b"<html>Log in to the wireless network"), "no JSON"),
        ((200, {}, error("overloaded")), "error"),
    ],
)
def test_what_may_pass_is_asked_again(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, say: Say, kind: str
) -> None:
    monkeypatch.setattr(policy, "FIRST", 0.01)
    ids = add_part(workspace, 4)
    with scripted(first(2, say)) as fake:
        tally = ask_all(workspace, fake.url, concurrency=2)
    assert (tally.answered, tally.failed, tally.repeated) == (4, {}, {kind: 2})
    assert paid_ids(workspace) == dict.fromkeys(ids, 1) and len(answer_lines(workspace)) == 4


@pytest.mark.parametrize("headers", [{}, {"x-should-retry": "false"}])
def test_what_does_not_pass_is_kept_and_asked_in_the_next_run(workspace: Workspace, headers: dict[str, str]) -> None:
    status = 500 if headers else 400
    add_part(workspace, 4)
    with scripted(first(2, (status, headers, error("invalid_image")))) as fake:
        tally = ask_all(workspace, fake.url, concurrency=1)
        assert (tally.answered, tally.failed, len(fake.bodies)) == (2, {str(status): 2}, 4)
        assert json.loads(answer_lines(workspace)[0])["response"]["body"]["error"]["code"] == "invalid_image"
        assert ask_all(workspace, fake.url).answered == 2


def test_after_the_last_repeat_a_failure_is_kept(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy, "FIRST", 0.01)
    add_part(workspace, 3)
    with scripted(always(503, b"")) as fake:
        tally = ask_all(workspace, fake.url, retries=2)
    assert len(fake.bodies) == 9 and tally.failed == {"503": 3} and tally.repeated == {"503": 6}
    assert [json.loads(line)["response"]["status_code"] for line in answer_lines(workspace)] == [503] * 3
    assert not paid_ids(workspace)


def test_no_answer_in_time_and_no_server_are_failures_too(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policy, "FIRST", 0.01)
    add_part(workspace, 2)

    def slow(number: int, path: str) -> Say:
        time.sleep(0.5)
        return 200, {}, completion()

    with scripted(slow) as fake:
        assert ask_all(workspace, fake.url, retries=1, timeout=0.1).failed == {"timeout": 2}
    assert ask_all(workspace, "http://127.0.0.1:9/v1", retries=1).failed == {"connection": 2}
    codes = [json.loads(line)["error"]["code"] for line in answer_lines(workspace)]
    assert codes == ["timeout"] * 2 + ["connection_error"] * 2


def test_a_server_that_answers_nothing_ends_the_run(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    add_part(workspace, 200)
    with scripted(always(400, error("unsupported_parameter", "max_completion_tokens is not known"))) as fake:
        with pytest.raises(
            UsageError, match=r"20 requests failed one after the other, the last with status 400.*known"
        ):
            ask_all(workspace, fake.url, concurrency=4)
        assert len(fake.bodies) < 40


def test_bad_requests_do_not_end_a_run_that_gets_answers(workspace: Workspace) -> None:
    add_part(workspace, 60)
    with scripted(lambda number, path: (400, {}, error("x")) if number else (200, {}, completion())) as fake:
        assert ask_all(workspace, fake.url, concurrency=1).failed == {"400": 59}


@pytest.mark.parametrize(
    ("status", "code", "match"),
    [
        (401, "invalid_api_key", "does not take the key"),
        (403, "unsupported_country", "may this key use this model"),
        (404, "model_not_found", "are the model of .gpt4v. and --base-url right"),
        (429, "insufficient_quota", "no quota left"),
    ],
)
def test_what_all_would_meet_ends_the_run_at_once(workspace: Workspace, status: int, code: str, match: str) -> None:
    add_part(workspace, 50)
    with scripted(always(status, error(code))) as fake:
        with pytest.raises(UsageError, match=match):
            ask_all(workspace, fake.url, concurrency=4)
        assert len(fake.bodies) <= 8
    assert not answer_lines(workspace)


def test_a_server_that_asks_for_a_pause_gets_it_from_all(workspace: Workspace) -> None:
    add_part(workspace, 40)
    with scripted(first(1, (429, {"retry-after": "1.2"}, error("rate_limit_exceeded")))) as fake:
        ask_all(workspace, fake.url, concurrency=4)
    gaps = [b - a for a, b in zip(sorted(fake.times), sorted(fake.times)[1:], strict=False)]
    assert max(gaps) > 1.0  # nobody sent anything


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after": "7200"}, 7200.0),
        ({"retry-after": "0.25"}, 0.25),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "inf"}, None),
        ({}, None),
    ],
)
def test_any_form_of_a_pause_is_read(headers: dict[str, str], seconds: float | None) -> None:
    assert policy.refused(429, headers, b"", "").wait == seconds


def test_a_pause_until_a_date_is_read() -> None:
    date = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 90))
    wait = policy.refused(503, {"retry-after": date}, b"", "").wait
    assert wait is not None and 85 < wait <= 90


def test_pauses_double_up_to_a_bound_and_are_spread() -> None:
    for attempt, bound in ((1, 1.0), (2, 2.0), (3, 4.0), (50, policy.LONGEST)):
        drawn = [policy.pause(attempt, None) for _ in range(300)]
        assert 0 <= min(drawn) < 0.1 * bound and 0.9 * bound < max(drawn) <= bound


FAULTS = {
    Fault.RATE_LIMIT: 0.05, Fault.RATE_LIMIT_AFTER: 0.05, Fault.SERVER_ERROR: 0.1, Fault.TIMEOUT: 0.03,
    Fault.SLOW: 0.02, Fault.CUT: 0.05, Fault.REFUSE: 0.05, Fault.TRUNCATED: 0.05, Fault.CONTENT_FILTER_400: 0.05,
    Fault.BAD_JSON: 0.05,
}  # fmt: skip


def test_all_faults_of_the_stub_are_survived(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy, "FIRST", 0.02)
    ids = add_part(workspace, 150) + add_part(workspace, 50, stage="local")
    settings = Settings(latency=0.01, faults=Faults(FAULTS, seed=3), retry_after=0.05, long=30.0, pause=0.0001)
    with StubServer(settings) as stub:
        tally = ask_all(workspace, stub.url, concurrency=16, timeout=1.0, retries=12)
    assert tally.answered == 200 and not tally.failed and tally.left == 0
    assert paid_ids(workspace) == dict.fromkeys(ids, 1)
    assert set(tally.repeated) == {"429", "500", "503", "timeout", "connection"}


# rate and concurrency


def test_a_pace_is_even_and_makes_up_little() -> None:
    pace, now, begun = Pace(600, 0.0), 0.0, []
    while now < 30:
        now += pace.wait(now) + 0.003  # sleepers wake up late
        pace.take(1, now)
        begun.append(now)
    assert len(begun) == pytest.approx(300, rel=0.02)
    now += 10  # idle
    burst = 0
    while pace.wait(now) == 0:
        pace.take(1, now)
        burst += 1
    assert burst <= 2


def rate(times: list[float]) -> float:
    """A minute."""
    return 60 * (len(times) - 1) / (max(times) - min(times))


@pytest.mark.parametrize(
    "limit",
    [
        {"rpm": 1200.0},
        pytest.param({"tpm": 1_200_000.0}, marks=pytest.mark.long),
        pytest.param({"rpm": 1200.0, "tpm": 9_000_000.0}, marks=pytest.mark.long),
    ],
)
def test_the_rate_is_held_from_the_first_request_on(workspace: Workspace, limit: dict[str, float]) -> None:
    add_part(workspace, 70, tokens=900, answer_tokens=100)
    with StubServer(Settings(latency=0.2)) as stub:
        ask_all(workspace, stub.url, concurrency=64, **limit)
        times = sorted(stub.counters.times)
    assert rate(times) == pytest.approx(1200, rel=0.05)
    assert sum(t < times[0] + 0.5 for t in times) <= 14  # no burst at the start


def test_the_concurrency_is_kept_full(workspace: Workspace) -> None:
    add_part(workspace, 240)
    latency, concurrency = 0.4, 24
    with StubServer(Settings(latency=latency)) as stub:
        tally = ask_all(workspace, stub.url, concurrency=concurrency)
        assert stub.counters.peak == concurrency
    in_flight = 240 * latency / tally.seconds  # on average, by Little's law
    assert in_flight > 0.8 * concurrency


# ends before the end


def test_a_full_disk_ends_the_run_and_loses_nothing(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk becomes full in mid-line; the bytes that were set aside take in what is in flight."""
    ids, room = add_part(workspace, 60), [9000]
    real = os.write

    def write(file: int, data: bytes) -> int:
        free = room[0] if (workspace.answers / ".reserve").exists() else 1 << 30
        if free == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        done = real(file, data[:free])
        room[0] -= min(done, room[0])
        return done

    monkeypatch.setattr(running.Journal.__init__, "__kwdefaults__", {"reserve": 0, "write": write})
    with scripted(always(200, completion())) as fake:
        with pytest.raises(UsageError, match="the disk is full; nothing is lost"):
            ask_all(workspace, fake.url, concurrency=8)
        asked = len(fake.bodies)
        assert 0 < asked < 60 and sum(paid_ids(workspace).values()) == asked == len(answer_lines(workspace))
        room[0] = 1 << 30
        ask_all(workspace, fake.url, concurrency=8)
        assert len(fake.bodies) == 60
    assert paid_ids(workspace) == dict.fromkeys(ids, 1)
    assert not (workspace.answers / ".reserve").exists()


def test_answers_that_find_no_room_at_all_are_counted(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    def write(file: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    add_part(workspace, 5)
    monkeypatch.setattr(running.Journal.__init__, "__kwdefaults__", {"reserve": 0, "write": write})
    with scripted(always(200, completion())) as fake, pytest.raises(UsageError, match="1 answers that came last could"):
        ask_all(workspace, fake.url, concurrency=1)


def test_a_full_disk_is_found_before_anything_is_paid_for(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    add_part(workspace, 5)
    monkeypatch.setattr("rs_gpt4v_conversion.gpt4v.live.journal.os.fsync", full)
    with scripted(always(200, completion())) as fake, pytest.raises(UsageError, match="the disk is full"):
        ask_all(workspace, fake.url)
    assert not fake.bodies


def interrupt_after(stub: StubServer, count: int, times: int = 1) -> threading.Thread:
    """Send this process the signal of Ctrl-C when so many requests have arrived."""

    def wait() -> None:
        while len(stub.counters.times) < count:
            time.sleep(0.01)
        for _ in range(times):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.1)

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def test_an_interrupt_keeps_what_is_in_flight(workspace: Workspace) -> None:
    add_part(workspace, 100)
    with StubServer(Settings(latency=0.5)) as stub:
        thread = interrupt_after(stub, 8)
        with pytest.raises(KeyboardInterrupt):
            ask_all(workspace, stub.url, concurrency=8)
        thread.join()
        assert sum(paid_ids(workspace).values()) == len(stub.counters.times) == 8


def test_a_second_interrupt_does_not_wait(workspace: Workspace) -> None:
    add_part(workspace, 100)
    with StubServer(Settings(latency=20)) as stub:
        thread, begun = interrupt_after(stub, 8, times=2), time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            ask_all(workspace, stub.url, concurrency=8)
        thread.join()
        assert time.monotonic() - begun < 5


def start(folder: Path, url: str, *more: str, **environment: str) -> "subprocess.Popen[str]":
    """`gpt4v run` in a process of its own."""
    arguments = [sys.executable, "-m", "rs_gpt4v_conversion", "gpt4v", "run", str(folder / "sources.toml")]
    paths = os.pathsep.join(str(ROOT / part) for part in (".", "builder", "conversion"))
    return subprocess.Popen(
        [*arguments, "--base-url", url, *more], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": paths, **environment},
    )  # fmt: skip


def killed(workspace: Workspace, kills: int, requests: int, concurrency: int, seed: int) -> tuple[int, int]:
    """Run, kill at random moments, run to the end; every request has one answer, and few were paid for twice.

    Returns:
        How many answers were paid for twice, and how many may have been: those in flight at a kill.
    """
    chance, folder = random.Random(seed), workspace.folder.parent
    ids, toml = add_part(workspace, requests), str(sources_toml(folder))
    in_flight = 0
    with StubServer(Settings(latency=0.05, faults=Faults({Fault.SERVER_ERROR: 0.05}))) as stub:
        counters = stub.counters
        command = ("gpt4v", "run", toml, "--base-url", stub.url, "--concurrency", str(concurrency))
        for number in range(kills):
            before, process = len(counters.times), command_process(*command)
            while number % 8 and len(counters.times) == before and process.is_alive():
                time.sleep(0.002)  # each eighth kill may come at any moment of the start
            time.sleep(chance.uniform(0, 0.3))
            process.kill()
            process.join()
            in_flight += min(concurrency, len(counters.times) - before)
        last = command_process(*command)
        last.join(timeout=240)
        assert last.exitcode == 0
        extra = sum(counters.answered.values()) - requests
    assert paid_ids(workspace) == dict.fromkeys(ids, 1)
    assert all(json.loads(line) for line in answer_lines(workspace))
    assert 0 <= extra <= in_flight <= kills * concurrency
    assert in_flight > 0, "no kill met a request in flight"
    return extra, in_flight


def test_kills_cost_no_more_than_what_is_in_flight(workspace: Workspace) -> None:
    killed(workspace, kills=8, requests=300, concurrency=8, seed=1)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_a_hundred_kills_cost_no_more_than_what_is_in_flight(workspace: Workspace) -> None:
    killed(workspace, kills=100, requests=4000, concurrency=8, seed=2)


def test_two_runs_do_not_pay_twice(workspace: Workspace) -> None:
    with asking(workspace), pytest.raises(UsageError, match="another run or submit is at work here"), asking(workspace):
        pass
    with asking(workspace):
        pass


# the key


def everything(folder: Path) -> bytes:
    return b"\0".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


@pytest.mark.parametrize("status", [200, 400, 401, 429, 500])
def test_the_key_is_in_no_file_and_no_message(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], status: int
) -> None:
    monkeypatch.setattr(policy, "FIRST", 0.01)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    add_part(workspace, 3)
    toml = sources_toml(workspace.folder.parent)
    echo = f"you sent Bearer {KEY}"
    body = completion(echo) if status == 200 else error("odd", echo)
    with scripted(always(status, body, {"x-request-id": "req-1"})) as fake:
        code = main(["gpt4v", "run", str(toml), "--base-url", fake.url, "--retries", "1", "--json"])
    out, said = capfd.readouterr()
    assert code == {200: 0, 401: 2}.get(status, 1)
    assert set(fake.keys) == {f"Bearer {KEY}"}
    assert KEY not in out + said and KEY.encode() not in everything(workspace.folder.parent)
    if status == 401:
        assert REMOVED in said
    else:
        assert REMOVED.encode() in everything(workspace.answers)
        assert "the server wrote the key into" in said


def test_the_key_is_not_in_what_a_crash_or_a_debug_log_shows(workspace: Workspace) -> None:
    add_part(workspace, 2)
    sources_toml(workspace.folder.parent)
    with scripted(always(500, b"")) as fake:
        process = start(
            workspace.folder.parent, fake.url, "--retries", "0", "--key-env", "MY_KEY", OPENAI_LOG="debug", MY_KEY=KEY
        )
        out, said = process.communicate(timeout=60)
    assert "HTTP" in said  # the log was on
    assert set(fake.keys) == {f"Bearer {KEY}"} and KEY not in out + said
    assert KEY.encode() not in everything(workspace.folder.parent) and KEY not in repr(server(fake.url, None))


@pytest.mark.parametrize(
    ("environment", "arguments", "match"),
    [
        ({}, (None, None), "OPENAI_API_KEY is empty; it should hold the key to https://api.openai.com/v1"),
        ({}, ("http://localhost:1/v1", "OTHER"), "OTHER is empty"),
        ({"OPENAI_API_KEY": "two words of it"}, (None, None), "holds no key"),
        ({"OPENAI_API_KEY": "sk-0123\n456789"}, (None, None), "holds no key"),
        ({"OPENAI_API_KEY": "sk-schl\u00fcssel"}, (None, None), "holds no key"),
        ({"OPENAI_API_KEY": KEY}, ("ftp://x/v1", None), "no address of a server"),
        ({"OPENAI_API_KEY": KEY}, ("localhost:8000", None), "no address of a server"),
        ({"OPENAI_API_KEY": KEY}, (f"https://u:{KEY}@x/v1", None), "holds a name, a password or a query"),
        ({"OPENAI_API_KEY": KEY}, (f"https://x/v1?key={KEY}", None), "holds a name, a password or a query"),
    ],
)
def test_what_is_wrong_with_address_and_key_is_said(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], arguments: tuple[Any, Any], match: str
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match=match) as caught:
        server(*arguments)
    assert not any(value in str(caught.value) for value in environment.values())


def test_a_server_on_this_machine_needs_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    assert server("http://127.0.0.1:8000/v1/", None).url == "http://127.0.0.1:8000/v1"
    monkeypatch.setenv("OPENAI_BASE_URL", "http://localhost:8000/v1")
    assert server(None, None).url == "http://localhost:8000/v1"
    assert server(None, None).hide("none") == "none"


# the command


def test_the_command_asks_and_says_what_came(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    add_part(workspace, 5)
    add_part(workspace, 5, stage="local")
    toml = str(sources_toml(workspace.folder.parent))
    with StubServer(Settings(latency=0)) as stub:
        command = ["gpt4v", "run", toml, "--base-url", stub.url, "--json"]
        assert main([*command, "--stage", "local", "--limit", "2"]) == 0
        done = json.loads(capsys.readouterr().out)
        assert (done["total"], done["answered"], done["left"], done["failed"]) == (2, 2, 0, {})
        assert done["tokens"]["prompt"] > 0 and done["tokens"]["completion"] > 0
        assert main([*command, "--concurrency", "1"]) == 0  # answers in the order of the requests
        assert json.loads(capsys.readouterr().out)["answered"] == 8
        assert main(command) == 0
        assert "nothing to ask" in capsys.readouterr().err
    assert sorted(path.name for path in workspace.answers.iterdir()) == [
        "000001-run-local.jsonl", "000002-run-global.jsonl",
    ]  # fmt: skip


def test_progress_stays_on_one_line_and_shows_tokens_and_failures(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("COLUMNS", "100")
    progress = Progress("asking", 50, "requests", Terminal())
    progress.pause = 0.0
    progress.note = "1,234 tokens; failures: 429 3"
    progress.advance(10)
    progress.note = "x" * 200
    progress.advance(10)
    _, first_line, second_line = progress.stream.getvalue().split("\r")  # type: ignore[attr-defined]
    assert (
        first_line.startswith("asking: 10 of 50 requests, ") and "left; 1,234 tokens; failures: 429 3  " in first_line
    )
    assert len(first_line) == len(second_line) == 99


def test_the_command_says_that_the_sdk_is_missing(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "openai", None)
    toml = str(sources_toml(workspace.folder.parent))
    for command in ("run", "submit", "poll", "fetch"):
        assert main(["gpt4v", command, toml, "--base-url", "http://localhost:1/v1"]) == 2
        assert "pip install 'rs-gpt4v[gpt4v]'" in capsys.readouterr().err


def test_the_command_names_a_folder_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gpt4v", "run", str(sources_toml(tmp_path)), "--base-url", "http://localhost:1/v1"]) == 2
    assert "no such folder; `rs-gpt4v gpt4v export` makes it" in capsys.readouterr().err


def test_an_interrupted_command_ends_with_130(workspace: Workspace) -> None:
    add_part(workspace, 100)
    sources_toml(workspace.folder.parent)
    with StubServer(Settings(latency=0.3)) as stub:
        process = start(workspace.folder.parent, stub.url, "--concurrency", "4")
        while len(stub.counters.times) < 4:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
        assert process.returncode == 130, said
        assert sum(paid_ids(workspace).values()) == sum(stub.counters.answered.values())
    assert "the same command goes on with them" in said and "Traceback" not in said


def test_reading_takes_no_more_memory_than_a_line(workspace: Workspace) -> None:
    """Bodies are read where they lie: a place holds none."""
    add_part(workspace, 3)
    part = workspace.part("global", 1)
    found = list(places([part], COUNTED))
    assert [place.request for place in found] == list(read_index(part.index))
    assert [read(place) for place in reversed(found)] == [
        ("/v1/chat/completions", json.dumps(body_of(i), ensure_ascii=False).encode()) for i in (2, 1, 0)
    ]
    assert isinstance(found[0], Place)
