import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rs_gpt4v_conversion.config import load_config
from rs_gpt4v_conversion.errors import UsageError
from rs_gpt4v_conversion.gpt4v.asking.describing import Named, asks_local
from rs_gpt4v_conversion.gpt4v.asking.subjects import chosen_sources, subjects
from rs_gpt4v_conversion.gpt4v.checks import CHECKS, judge
from rs_gpt4v_conversion.gpt4v.prompts import Rendered, render
from rs_gpt4v_conversion.gpt4v.records import STAGES, Facts, Finding, Stage
from rs_gpt4v_conversion.gpt4v.schemas import ANSWERS, json_schema
from rs_gpt4v_conversion.gpt4v.stub import __main__ as program
from rs_gpt4v_conversion.gpt4v.stub.answering import answer
from rs_gpt4v_conversion.gpt4v.stub.api import Settings
from rs_gpt4v_conversion.gpt4v.stub.asking import ENDPOINTS, BadRequestError, read_ask
from rs_gpt4v_conversion.gpt4v.stub.batches import Batches
from rs_gpt4v_conversion.gpt4v.stub.counting import Counters, body_digest
from rs_gpt4v_conversion.gpt4v.stub.faults import Fault, Faults, parse_faults
from rs_gpt4v_conversion.gpt4v.stub.files import Files
from rs_gpt4v_conversion.gpt4v.stub.lines import answer_file
from rs_gpt4v_conversion.gpt4v.stub.noting import read_notes
from rs_gpt4v_conversion.gpt4v.stub.phrases import beside
from rs_gpt4v_conversion.gpt4v.stub.rate import RateLimit
from rs_gpt4v_conversion.gpt4v.stub.server import StubServer
from rs_gpt4v_conversion.records import BoxForm, Object
from rs_gpt4v_conversion.sample import draw_sample

CHAT, RESPONSES = ENDPOINTS
IMAGE = "data:image/jpeg;base64,/9j/4AAQSkZJRg=="
KEY = "sk-of-nobody"

HARBOR = Facts(
    record="made/train/1", width=800, height=600, captions=(),
    objects=(
        Object(category="harbor", bbox=(40, 180, 160, 430)),
        Object(category="ship", bbox=(150, 260, 190, 330)),
        Object(category="ship", bbox=(600, 300, 660, 330)),
    ),
    searched=("harbor", "ship", "airplane", "storage tank"),
)  # fmt: skip
TOWN = Facts(
    record="made/train/2",
    captions=(
        "Many buildings are near a playground .",
        "two playgrounds lie in the north of the image",
        "A dense town .",
    ),
)


def chat(stage: Stage, facts: Facts = HARBOR, *, boxes: BoxForm = "hbb", **more: Any) -> dict[str, Any]:
    """A body as an export makes it; earlier answers are the stub's own."""
    return bodies(facts, boxes, STAGES[: STAGES.index(stage) + 1])[stage] | more


def bodies(facts: Facts, boxes: BoxForm = "hbb", stages: tuple[Stage, ...] = STAGES) -> dict[Stage, dict[str, Any]]:
    """The bodies of all stages that an image is asked about."""
    width, height = facts.width or 512, facts.height or 512
    found: dict[Stage, dict[str, Any]] = {}
    earlier: dict[str, Any] = {}
    for stage in stages:
        if stage == "local" and not asks_local(facts, width, height):
            continue
        rendered = render(stage, facts, boxes=boxes, width=width, height=height, **earlier)
        found[stage] = body_of(stage, rendered)
        if stage in ("local", "global"):
            earlier["local" if stage == "local" else "scene"] = json.loads(answer(read_ask(CHAT, found[stage])))
    return found


def body_of(stage: Stage, rendered: Rendered) -> dict[str, Any]:
    return {
        "model": "gpt-4o-2024-11-20",
        "messages": [
            {"role": "system", "content": rendered.system},
            {
                "role": "user",
                "content": [
                    {"type": "image_url", "image_url": {"url": IMAGE, "detail": "high"}},
                    {"type": "text", "text": rendered.user},
                ],
            },
        ],
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": stage, "strict": True, "schema": json_schema(stage)},
        },
    }


def as_response(body: dict[str, Any]) -> dict[str, Any]:
    """The same question for /v1/responses."""
    system, user = body["messages"]
    form = body["response_format"]["json_schema"]
    return {
        "model": body["model"],
        "instructions": system["content"],
        "input": [
            {
                "role": "user",
                "content": [
                    {"type": "input_image", "image_url": IMAGE, "detail": "high"},
                    {"type": "input_text", "text": user["content"][1]["text"]},
                ],
            }
        ],
        "text": {"format": {"type": "json_schema", **form}},
    }


def numbered(n: int) -> dict[str, Any]:
    """A small request, different for each number."""
    return {"model": "m", "messages": [{"role": "user", "content": f"Describe image {n}."}]}


def request_file(path: Path, count: int) -> Path:
    """A file of different requests for details."""
    body = chat("detail")
    with path.open("w") as file:
        for n in range(count):
            line = {"custom_id": f"detail-{n:04d}", "method": "POST", "url": CHAT, "body": {**body, "seed": n}}
            file.write(json.dumps(line) + "\n")
    return path


def client_of(server: StubServer, retries: int = 0, timeout: float = 20) -> openai.OpenAI:
    return openai.OpenAI(base_url=server.url, api_key=KEY, max_retries=retries, timeout=timeout)


def call(
    server: StubServer, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
) -> tuple[int, bytes]:
    """Status and body of a reply, without the SDK; bytes and iterators are sent as they are."""
    url = urlsplit(server.url + path)
    connection = http.client.HTTPConnection(url.netloc, timeout=20)
    try:
        data = json.dumps(body) if isinstance(body, dict | list) else body
        connection.request(method, url.path, data, {"authorization": f"Bearer {KEY}"} if headers is None else headers)
        reply = connection.getresponse()
        return reply.status, reply.read()
    finally:
        connection.close()


def quick(faults: dict[Fault, float] | None = None, **more: Any) -> Settings:
    attempts = more.pop("attempts", None)
    return Settings(latency=0, faults=Faults(faults or {}, attempts=attempts), batch_seconds=0, **more)


# --- live -----------------------------------------------------------------------------------------------------------


def test_a_chat_completion_fits_the_schema_and_says_what_it_cost() -> None:
    body = chat("conversation")
    with StubServer(quick()) as server, client_of(server) as client:
        done = client.chat.completions.create(**body)
    text = done.choices[0].message.content
    assert text is not None
    turns = ANSWERS["conversation"].model_validate_json(text).model_dump()["turns"]
    assert turns[0] == {"question": "How many ships are there?", "answer": "There are two ships.", "objects": [2, 3]}
    assert done.model == "gpt-4o-2024-11-20-stub"
    assert done.choices[0].finish_reason == "stop"
    words = sum(len(p) for p in (body["messages"][0]["content"], body["messages"][1]["content"][1]["text"]))
    assert done.usage is not None
    assert done.usage.prompt_tokens == words // 4 + 255
    assert done.usage.completion_tokens == len(text) // 4
    assert done.usage.total_tokens == done.usage.prompt_tokens + done.usage.completion_tokens


def test_a_response_has_the_same_words_by_way_of_items() -> None:
    body = as_response(chat("global"))
    with StubServer(quick()) as server, client_of(server) as client:
        done = client.responses.create(**body)
        again = client.responses.create(model="m", input="Describe the scene.")
    assert done.status == "completed"
    ANSWERS["global"].model_validate_json(done.output_text)
    assert done.usage is not None
    assert done.usage.output_tokens == len(done.output_text) // 4
    assert again.output_text.endswith(".")


def test_models_are_listed_and_any_is_answered() -> None:
    with StubServer(quick(models=("a", "b"))) as server, client_of(server) as client:
        assert [m.id for m in client.models.list()] == ["a", "b"]
        assert client.models.retrieve("c").id == "c"
        assert client.chat.completions.create(**{**numbered(1), "model": "other"}).model == "other-stub"


def test_the_same_body_gets_the_same_answer_and_others_get_others() -> None:
    asked = [chat("detail", seed=n) for n in range(8)]
    with StubServer(quick()) as one, StubServer(quick(seed=9)) as other:
        first = [call(one, "POST", "/chat/completions", b)[1] for b in asked]
        second = [call(other, "POST", "/chat/completions", b)[1] for b in asked]
    assert first == second
    assert len({json.loads(b)["choices"][0]["message"]["content"] for b in first}) > 3


@pytest.mark.parametrize("headers", [{}, {"authorization": ""}, {"authorization": KEY}, {"authorization": "Bearer "}])
def test_without_a_bearer_there_is_401_and_no_key_in_it(headers: dict[str, str]) -> None:
    with StubServer(quick()) as server:
        status, reply = call(server, "GET", "/models", headers=headers)
    assert status == 401
    assert json.loads(reply)["error"]["code"] == "invalid_api_key"
    assert KEY.encode() not in reply


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"model": None}, "model"),
        ({"messages": []}, "messages"),
        ({"messages": "words"}, "messages"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": [{"type": "sound"}]}]}, "messages[0].content[0]"),
        ({"stream": True}, "stream"),
        ({"max_completion_tokens": 0}, "max_completion_tokens"),
    ],
)
def test_a_body_that_the_api_would_not_take_is_400_and_says_where(change: dict[str, Any], param: str) -> None:
    with StubServer(quick()) as server:
        status, reply = call(server, "POST", "/chat/completions", {**numbered(1), **change})
    assert status == 400
    assert json.loads(reply)["error"]["param"] == param


def test_no_json_an_unknown_address_a_wrong_method_and_a_body_too_large() -> None:
    with StubServer(quick(most_upload=1000)) as server:
        for method, path, body, status in (
            ("POST", "/chat/completions", b"{", 400),
            ("POST", "/chat/completions", [], 400),
            ("GET", "/nothing", None, 404),
            ("DELETE", "/models", None, 405),
            ("POST", "/files", b"x" * 1001, 413),
            ("POST", "/files", iter([b"x"]), 411),
        ):
            assert call(server, method, path, body)[0] == status


def test_too_few_tokens_cut_the_answer() -> None:
    with StubServer(quick()) as server, client_of(server) as client:
        done = client.chat.completions.create(**chat("detail", max_completion_tokens=20))
        response = client.responses.create(**as_response(chat("detail")), max_output_tokens=20)
    assert done.choices[0].finish_reason == "length"
    assert len(done.choices[0].message.content or "") == 80
    assert response.status == "incomplete"
    assert response.incomplete_details is not None
    assert response.incomplete_details.reason == "max_output_tokens"


# --- faults ---------------------------------------------------------------------------------------------------------


def completed(fault: Fault, body: dict[str, Any] | None = None) -> Any:
    with StubServer(quick({fault: 1.0})) as server, client_of(server) as client:
        return client.chat.completions.create(**(body or chat("detail")))


def responded(fault: Fault) -> Any:
    with StubServer(quick({fault: 1.0})) as server, client_of(server) as client:
        return client.responses.create(**as_response(chat("detail")))


def test_rate_limits_with_and_without_a_time() -> None:
    with StubServer(quick({Fault.RATE_LIMIT: 1.0})) as server, client_of(server) as client:
        with pytest.raises(openai.RateLimitError) as limited:
            client.chat.completions.create(**numbered(1))
        assert not {"retry-after", "retry-after-ms"} & set(limited.value.response.headers)
        assert limited.value.code == "rate_limit_exceeded"
        assert not server.counters.answered
    said = Counter()
    with StubServer(quick({Fault.RATE_LIMIT_AFTER: 1.0}, retry_after=0.25)) as server, client_of(server) as client:
        for n in range(12):
            with pytest.raises(openai.RateLimitError) as limited:
                client.chat.completions.create(**numbered(n))
            headers = limited.value.response.headers
            said.update((k, headers[k]) for k in ("retry-after", "retry-after-ms") if k in headers)
    assert set(said) == {("retry-after", "0.25"), ("retry-after-ms", "250")}


def test_faults_of_the_first_attempts_only_are_overcome_by_retries() -> None:
    behaviour = quick({Fault.RATE_LIMIT_AFTER: 0.5, Fault.SERVER_ERROR: 0.5}, retry_after=0.01, attempts=2)
    with StubServer(behaviour) as server, client_of(server, retries=2) as client:
        client.chat.completions.create(**numbered(1))
        assert server.counters.seen[body_digest(numbered(1))] == 3
        assert server.counters.answered[body_digest(numbered(1))] == 1


def test_server_errors_are_500_or_503() -> None:
    found = set()
    with StubServer(quick({Fault.SERVER_ERROR: 1.0})) as server, client_of(server) as client:
        for n in range(12):
            with pytest.raises(openai.InternalServerError) as error:
                client.chat.completions.create(**numbered(n))
            found.add(error.value.status_code)
    assert found == {500, 503}


def test_a_timeout_ends_with_the_client_or_the_server() -> None:
    with StubServer(quick({Fault.TIMEOUT: 1.0})) as server:
        with client_of(server, timeout=0.3) as client, pytest.raises(openai.APITimeoutError):
            client.chat.completions.create(**numbered(1))
        begun = time.monotonic()
    assert time.monotonic() - begun < 5
    with StubServer(quick({Fault.TIMEOUT: 1.0}, long=0.3)) as server, client_of(server) as client:
        begun = time.monotonic()
        client.chat.completions.create(**numbered(1))
        assert time.monotonic() - begun >= 0.3


def test_a_slow_answer_comes_byte_by_byte_and_whole() -> None:
    with StubServer(quick({Fault.SLOW: 1.0}, pause=0.0001)) as server:
        with client_of(server) as client:
            assert client.chat.completions.create(**numbered(1)).choices[0].finish_reason == "stop"
        url, body = urlsplit(server.url), json.dumps(numbered(1)).encode()
        with socket.create_connection((url.hostname, url.port), timeout=20) as raw:
            head = f"POST /v1/chat/completions HTTP/1.1\r\nauthorization: Bearer {KEY}\r\nconnection: close\r\n"
            raw.sendall(head.encode() + b"content-length: %d\r\n\r\n" % len(body) + body)
            pieces = list(iter(lambda: raw.recv(1 << 16), b""))
    assert len(pieces) > 20


def test_a_cut_connection_is_billed_and_no_answer() -> None:
    with StubServer(quick({Fault.CUT: 1.0})) as server, client_of(server) as client:
        with pytest.raises(openai.APIConnectionError):
            client.chat.completions.create(**numbered(1))
        assert server.counters.answered[body_digest(numbered(1))] == 1


def test_refusals() -> None:
    message = completed(Fault.REFUSE).choices[0].message
    assert message.content is None
    assert "sorry" in message.refusal.lower()
    assert responded(Fault.REFUSE).output[0].content[0].type == "refusal"
    message = completed(Fault.REFUSE_TEXT).choices[0].message
    assert "sorry" in message.content.lower()
    assert message.refusal is None


def test_content_filters() -> None:
    assert completed(Fault.CONTENT_FILTER).choices[0].finish_reason == "content_filter"
    assert responded(Fault.CONTENT_FILTER).incomplete_details.reason == "content_filter"
    with pytest.raises(openai.BadRequestError) as error:
        completed(Fault.CONTENT_FILTER_400)
    assert error.value.code == "content_filter"
    assert error.value.body["innererror"]["code"] == "ResponsibleAIPolicyViolation"


def test_spoilt_answers() -> None:
    sound = completed(Fault.FENCED).choices[0].message.content
    assert sound.startswith("```json\n")
    assert sound.endswith("\n```")
    ANSWERS["detail"].model_validate_json(sound[8:-4])
    choice = completed(Fault.TRUNCATED).choices[0]
    assert choice.finish_reason == "length"
    for fault in (Fault.TRUNCATED, Fault.BAD_JSON):
        with pytest.raises(json.JSONDecodeError):
            json.loads(completed(fault).choices[0].message.content)
    for stage in STAGES:
        lacking = completed(Fault.SCHEMA_ERROR, chat(stage)).choices[0].message.content
        with pytest.raises(ValueError, match="Field required"):
            ANSWERS[stage].model_validate_json(lacking)


def test_an_http_error_is_400() -> None:
    with pytest.raises(openai.BadRequestError) as error:
        completed(Fault.HTTP_ERROR)
    assert error.value.code == "invalid_image_format"


def found_in(stage: Stage, facts: Facts, text: str, boxes: BoxForm = "hbb") -> list[Finding]:
    """What the checks of severity error hold against an answer."""
    width, height = facts.width or 512, facts.height or 512
    verdicts = judge(stage, ANSWERS[stage].model_validate_json(text), facts, boxes=boxes, width=width, height=height)
    return [f for name, verdict in verdicts.items() if CHECKS[name].severity == "error" for f in verdict.findings]


@pytest.mark.parametrize("stage", STAGES)
def test_an_inconsistent_answer_is_well_formed_and_found_out(stage: Stage) -> None:
    body = chat(stage)
    wrong = completed(Fault.INCONSISTENT, body).choices[0].message.content
    assert found_in(stage, HARBOR, wrong)
    assert not found_in(stage, HARBOR, answer(read_ask(CHAT, body)))


def test_faults_meet_their_share_and_the_same_requests_again() -> None:
    faults = Faults({Fault.REFUSE: 0.2, Fault.CUT: 0.1}, seed=3)
    among = frozenset({Fault.REFUSE, Fault.CUT})
    drawn = [faults.drawn(among, str(n), 1) for n in range(4000)]
    counts = Counter(drawn)
    assert counts[Fault.REFUSE] == pytest.approx(800, abs=100)
    assert counts[Fault.CUT] == pytest.approx(400, abs=80)
    assert drawn == [faults.drawn(among, str(n), 1) for n in range(4000)]
    assert drawn != [faults.drawn(among, str(n), 2) for n in range(4000)]
    assert drawn != [Faults(faults.shares, seed=4).drawn(among, str(n), 1) for n in range(4000)]
    assert {faults.drawn(frozenset({Fault.CUT}), str(n), 1) for n in range(4000)} == {None, Fault.CUT}


@pytest.mark.parametrize(
    ("texts", "says"),
    [
        (["nothing:0.1"], "expected NAME:SHARE"),
        (["refuse"], "expected NAME:SHARE"),
        (["refuse:much"], "expected NAME:SHARE"),
        (["refuse:nan"], "the share of the fault refuse is nan"),
        (["refuse:1.5"], "the share of the fault refuse is 1.5"),
        (["refuse:0.1", "refuse:0.1"], "given twice"),
        (["refuse:0.6", "cut:0.6"], "sum to 1.2"),
    ],
)
def test_wrong_faults_are_the_users_mistake(texts: list[str], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        parse_faults(texts, 0)


# --- the server's own limit -----------------------------------------------------------------------------------------


@given(
    st.lists(st.tuples(st.floats(0, 3), st.integers(1, 500)), min_size=1, max_size=200),
    st.floats(30, 3000),
    st.floats(1000, 100_000),
)
def test_never_more_than_the_limit_and_one_second_at_once(
    calls: list[tuple[float, int]], per_minute: float, tokens: float
) -> None:
    now = 0.0
    limit = RateLimit(per_minute, tokens, clock=lambda: now)
    let_in = spent = 0
    for gap, size in calls:
        now += gap
        wait = limit.admit(size)
        if wait == 0:
            let_in, spent = let_in + 1, spent + size
        assert let_in <= max(1.0, per_minute / 60) + now * per_minute / 60 + 1e-6
        # what is larger than a second's tokens is let in by a full bucket and paid off afterwards
        assert spent <= max(1.0, tokens / 60) + now * tokens / 60 + 500


def test_a_request_is_let_in_after_the_time_that_was_said() -> None:
    now = 0.0
    limit = RateLimit(60, 6000, clock=lambda: now)
    assert limit.admit(150) == 0
    assert limit.admit(10) == pytest.approx(1.0)
    now = 1.0
    assert limit.admit(70) == pytest.approx(0.2)
    now = 1.3
    assert limit.admit(70) == 0


def test_too_many_requests_are_429_and_come_through_when_they_wait() -> None:
    with StubServer(quick(requests_per_minute=1200)) as server:
        with client_of(server) as client, pytest.raises(openai.RateLimitError):
            for n in range(100):
                client.chat.completions.create(**numbered(n))
        with client_of(server, retries=100) as client, ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda n: client.chat.completions.create(**numbered(n)), range(100, 130)))
        assert server.counters.statuses[429] > 1
        assert all(server.counters.answered[body_digest(numbered(n))] == 1 for n in range(100, 130))


# --- files and batches ----------------------------------------------------------------------------------------------


def submit(client: openai.OpenAI, path: Path, **more: Any) -> Any:
    file = client.files.create(file=path, purpose="batch")
    return client.batches.create(input_file_id=file.id, endpoint=CHAT, completion_window="24h", **more)


def lines_of(client: openai.OpenAI, file_id: str | None) -> list[dict[str, Any]]:
    assert file_id is not None
    return [json.loads(line) for line in client.files.content(file_id).text.splitlines()]


def test_files_come_back_byte_by_byte(tmp_path: Path) -> None:
    content = os.urandom(300_000) + b"\r\n--\r\n\r\n"
    path = tmp_path / "some.jsonl"
    path.write_bytes(content)
    with StubServer(quick()) as server, client_of(server) as client:
        file = client.files.create(file=path, purpose="batch")
        assert (file.filename, file.bytes, file.purpose) == ("some.jsonl", len(content), "batch")
        assert client.files.retrieve(file.id).bytes == len(content)
        assert client.files.content(file.id).content == content
        assert [f.id for f in client.files.list()] == [file.id]
        assert client.files.delete(file.id).deleted
        for gone in (client.files.retrieve, client.files.content, client.files.delete):
            with pytest.raises(openai.NotFoundError):
                gone(file.id)
        assert call(server, "POST", "/files", {})[0] == 400
        form = {"authorization": f"Bearer {KEY}", "content-type": "multipart/form-data; boundary=x"}
        other = b'--x\r\nContent-Disposition: form-data; name="other"\r\n\r\n1\r\n--x--\r\n'
        for body in (b"", b"x", b"--x", other):
            assert call(server, "POST", "/files", body, form)[0] == 400


class Clock:
    """Time that a test moves."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


def uploaded(tmp_path: Path, count: int) -> tuple[Clock, Files, Batches, dict[str, Any]]:
    """A batch that takes 100 seconds, without a server."""
    clock, files = Clock(), Files(tmp_path)
    input_file = files.add(request_file(files.new_path(), count), name="detail-00001.jsonl", purpose="batch")
    batches = Batches(
        files, Counters(), Faults(), seed=0, seconds=100, most_lines=1000, most_bytes=10**8, clock=clock
    )  # fmt: skip
    body = {"input_file_id": input_file.id, "endpoint": CHAT, "completion_window": "24h", "metadata": {"a": "b"}}
    return clock, files, batches, batches.create(body)


def test_a_batch_goes_its_way_by_the_time_that_passes(tmp_path: Path) -> None:
    clock, files, batches, batch = uploaded(tmp_path, 40)
    assert (batch["status"], batch["request_counts"]["total"], batch["metadata"]) == ("validating", 0, {"a": "b"})
    begun, seen, counts = clock.now, [], []
    for seconds in range(0, 121, 5):
        clock.now = begun + seconds
        batch = batches.described(batch["id"])
        seen.append(batch["status"])
        counts.append(batch["request_counts"]["completed"])
        assert (batch["output_file_id"] is None) == (seconds < 100)
    assert seen == ["validating"] * 2 + ["in_progress"] * 16 + ["finalizing"] * 2 + ["completed"] * 5
    assert counts == sorted(counts)
    assert counts[10] == 20
    assert batch["created_at"] == begun
    assert [batch[f"{name}_at"] - begun for name in ("in_progress", "finalizing", "completed")] == [10, 90, 100]
    assert [batch[f"{name}_at"] for name in ("failed", "expired", "cancelling", "cancelled")] == [None] * 4
    assert len(list(files.get(batch["output_file_id"]).lines())) == 40


def test_a_cancelled_batch_keeps_what_was_done(tmp_path: Path) -> None:
    clock, files, batches, batch = uploaded(tmp_path, 40)
    clock.now += 50
    assert batches.cancel(batch["id"])["status"] == "cancelling"
    with pytest.raises(BadRequestError, match="cancelling"):
        batches.cancel(batch["id"])
    clock.now += 10
    batch = batches.described(batch["id"])
    assert (batch["status"], batch["request_counts"]) == ("cancelled", {"total": 40, "completed": 20, "failed": 20})
    rest = [json.loads(line) for _, line in files.get(batch["error_file_id"]).lines()]
    assert {line["error"]["code"] for line in rest} == {"batch_cancelled"}
    assert batch["completed_at"] is None


def test_a_batch_comes_back_shuffled(tmp_path: Path) -> None:
    path = request_file(tmp_path / "detail-00001.jsonl", 40)
    with StubServer(quick()) as server, client_of(server) as client:
        batch = submit(client, path, metadata={"part": "detail-00001"})
        assert batch.status == "completed"
        assert batch.metadata == {"part": "detail-00001"}
        assert (batch.request_counts.total, batch.request_counts.completed, batch.request_counts.failed) == (40, 40, 0)
        assert batch.error_file_id is None
        lines = lines_of(client, batch.output_file_id)
        ids = [line["custom_id"] for line in lines]
        assert sorted(ids) == [f"detail-{n:04d}" for n in range(40)]
        assert ids != sorted(ids)
        assert batch.usage.total_tokens == sum(x["response"]["body"]["usage"]["total_tokens"] for x in lines)
        assert server.counters.answered == dict.fromkeys(ids, 1)
        for line in lines:
            ANSWERS["detail"].model_validate_json(line["response"]["body"]["choices"][0]["message"]["content"])
        with pytest.raises(openai.ConflictError):
            client.batches.cancel(batch.id)


def test_a_batch_is_cancelled_over_http(tmp_path: Path) -> None:
    path = request_file(tmp_path / "detail-00001.jsonl", 3)
    with StubServer(Settings(batch_seconds=600)) as server, client_of(server) as client:
        batch = submit(client, path)
        assert batch.status == "validating"
        assert client.batches.cancel(batch.id).status == "cancelling"


def test_a_batch_of_responses(tmp_path: Path) -> None:
    line = {"custom_id": "a", "method": "POST", "url": RESPONSES, "body": as_response(chat("global"))}
    path = tmp_path / "r.jsonl"
    path.write_text(json.dumps(line))
    with StubServer(quick()) as server, client_of(server) as client:
        file = client.files.create(file=path, purpose="batch")
        batch = client.batches.create(input_file_id=file.id, endpoint=RESPONSES, completion_window="24h")
        (done,) = lines_of(client, batch.output_file_id)
    assert done["response"]["body"]["object"] == "response"


@pytest.mark.parametrize(
    ("text", "code", "line"),
    [
        ("{", "invalid_json_line", 1),
        ("[]", "invalid_json_line", 1),
        ('{"custom_id": "a", "method": "POST", "url": "/v1/chat/completions"}', "missing_required_parameter", 1),
        ('{"method": "POST", "url": "/v1/chat/completions", "body": {}}', "missing_required_parameter", 1),
        ('{"custom_id": "a", "method": "GET", "url": "/v1/chat/completions", "body": {}}', "invalid_method", 1),
        ('{"custom_id": "a", "method": "POST", "url": "/v1/responses", "body": {}}', "invalid_url", 1),
        ("{x}\n{x}", "duplicate_custom_id", 2),
        ("{x}\n{y}\n{z}", "too_many_requests", None),
        ("{x}\n{other}", "mismatched_model", 2),
        ("\n", "empty_file", None),
        ("{x}" + " " * 2000, "file_too_large", None),
    ],
)
def test_what_fails_in_validation(tmp_path: Path, text: str, code: str, line: int | None) -> None:
    for name in ("x", "y", "z", "other"):
        model = "n" if name == "other" else "m"
        one = {"custom_id": name, "method": "POST", "url": CHAT, "body": {**numbered(1), "model": model}}
        text = text.replace(f"{{{name}}}", json.dumps(one))
    path = tmp_path / "wrong.jsonl"
    path.write_text(text)
    with StubServer(quick(most_lines=2, most_bytes=1500)) as server, client_of(server) as client:
        batch = submit(client, path)
    assert batch.status == "failed"
    assert batch.errors is not None
    assert [(e.code, e.line) for e in batch.errors.data or ()][:1] == [(code, line)]
    assert batch.output_file_id is None
    assert not any(server.counters.answered.values())


def test_a_line_whose_body_is_wrong_is_an_error_of_that_line(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(json.dumps({"custom_id": "a", "method": "POST", "url": CHAT, "body": {"model": "m"}}))
    with StubServer(quick()) as server, client_of(server) as client:
        batch = submit(client, path)
        (line,) = lines_of(client, batch.error_file_id)
    assert (batch.status, batch.output_file_id) == ("completed", None)
    assert line["response"]["status_code"] == 400
    assert line["response"]["body"]["error"]["param"] == "messages"


def test_what_a_batch_may_not_be_created_with(tmp_path: Path) -> None:
    path = request_file(tmp_path / "x.jsonl", 1)
    with StubServer(quick()) as server, client_of(server) as client:
        file = client.files.create(file=path, purpose="batch")
        right: dict[str, Any] = {"input_file_id": file.id, "endpoint": CHAT, "completion_window": "24h"}
        for wrong in (
            {"endpoint": "/v1/embeddings"},
            {"completion_window": "1h"},
            {"input_file_id": client.files.create(file=path, purpose="user_data").id},
            {"metadata": {str(n): "x" for n in range(17)}},
            {"metadata": {"x" * 65: "x"}},
            {"metadata": {"x": "x" * 513}},
        ):
            with pytest.raises(openai.BadRequestError):
                client.batches.create(**{**right, **wrong})
        with pytest.raises(openai.NotFoundError):
            client.batches.create(**{**right, "input_file_id": "file-none"})
        with pytest.raises(openai.NotFoundError):
            client.batches.retrieve("batch_none")


def test_expired_failed_duplicate_and_wrong_lines(tmp_path: Path) -> None:
    path = request_file(tmp_path / "detail-00001.jsonl", 60)
    faults = {Fault.EXPIRED: 0.2, Fault.DUPLICATE: 0.2, Fault.HTTP_ERROR: 0.2}
    with StubServer(quick(faults)) as server, client_of(server) as client:
        batch = submit(client, path)
        good, bad = lines_of(client, batch.output_file_id), lines_of(client, batch.error_file_id)
    assert batch.status == "expired"
    assert batch.expired_at is not None
    times = Counter(line["custom_id"] for line in good)
    assert set(times.values()) == {1, 2}
    codes = Counter(x["error"]["code"] if x["error"] else x["response"]["status_code"] for x in bad)
    assert set(codes) == {"batch_expired", 400}
    assert set(times).isdisjoint(x["custom_id"] for x in bad)
    assert len(times) + len(bad) == 60
    assert batch.request_counts.completed == len(times)
    with StubServer(quick({Fault.FAILED: 1.0}, attempts=1)) as server, client_of(server) as client:
        failed = submit(client, path)
        again = client.batches.create(input_file_id=failed.input_file_id, endpoint=CHAT, completion_window="24h")
    assert (failed.status, again.status) == ("failed", "completed")


def test_lists_come_in_pages_newest_first(tmp_path: Path) -> None:
    path = request_file(tmp_path / "x.jsonl", 1)
    with StubServer(quick()) as server, client_of(server) as client:
        ids = [submit(client, path).id for _ in range(7)]
        page = client.batches.list(limit=3)
        assert (len(page.data), page.has_more) == (3, True)
        assert [b.id for b in client.batches.list(limit=3)] == ids[::-1]
        assert [b.id for b in client.batches.list(after=ids[2])] == ids[1::-1]
        with pytest.raises(openai.BadRequestError):
            client.batches.list(limit=0)
        with pytest.raises(openai.BadRequestError):
            client.batches.list(after="batch_none")


def test_transport_faults_meet_every_endpoint(tmp_path: Path) -> None:
    path = request_file(tmp_path / "x.jsonl", 20)
    faults = {Fault.CUT: 0.3, Fault.SERVER_ERROR: 0.4}
    with StubServer(quick(faults)) as server, client_of(server, retries=9) as client:
        batch = submit(client, path)
        client.batches.retrieve(batch.id)
        assert server.counters.calls["POST /v1/files"] >= 1
        assert set(server.counters.statuses) > {200}


# --- a whole file without a server ----------------------------------------------------------------------------------


def test_a_file_is_answered_without_a_server_and_always_the_same(tmp_path: Path) -> None:
    path = request_file(tmp_path / "detail-00001.jsonl", 30)
    faults = Faults({Fault.EXPIRED: 0.2, Fault.DUPLICATE: 0.2})
    out, errors, again, merged = (tmp_path / name for name in ("out", "errors", "again", "merged"))
    written = answer_file(path, out, errors=errors, faults=faults)
    good, bad = out.read_text().splitlines(), errors.read_text().splitlines()
    assert written == len(good) + len(bad) > 30
    assert {json.loads(line)["error"]["code"] for line in bad} == {"batch_expired"}
    answer_file(path, merged, faults=faults)
    assert sorted(merged.read_text().splitlines()) == sorted(good + bad)
    answer_file(path, again, faults=faults)
    assert again.read_bytes() == merged.read_bytes()
    assert answer_file(path, again, keep=lambda custom_id: custom_id.endswith("7")) == 3


def test_a_file_that_holds_no_requests_is_the_users_mistake(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    for text in ("{", "[]", '{"custom_id": "a", "method": "POST", "url": "/v1/embeddings", "body": {}}'):
        path.write_text(text)
        with pytest.raises(UsageError, match=r"x\.jsonl, the line at byte 0: .*gpt4v export"):
            answer_file(path, tmp_path / "out")


# --- words ----------------------------------------------------------------------------------------------------------


def test_a_local_answer_repeats_numbers_categories_and_boxes() -> None:
    objects = json.loads(answer(read_ask(CHAT, chat("local"))))["objects"]
    assert [(o["number"], o["category"], o["box"]) for o in objects] == [
        (1, "harbor", [0.05, 0.3, 0.2, 0.717]),
        (2, "ship", [0.188, 0.433, 0.237, 0.55]),
        (3, "ship", [0.75, 0.5, 0.825, 0.55]),
    ]
    assert objects[1]["relations"][0] == {"to": 1, "relation": "overlapping"}


def test_questions_are_read_back() -> None:
    notes = read_notes(chat("detail")["messages"][1]["content"][1]["text"])
    assert [line.category for line in notes.lines] == ["harbor", "ship", "ship"]
    assert (notes.numbers, notes.exact) == ({"harbor": 1, "ship": 2}, {"harbor", "ship"})
    assert notes.absent == ("airplane", "storage tank")
    assert notes.aspect == 800 / 600
    assert "ship" in notes.seen[2][-1]
    assert notes.sentences
    assert read_notes(chat("global", TOWN)["messages"][1]["content"][1]["text"]).captions == TOWN.captions


def test_numbers_of_categories_with_digits_and_of_parts() -> None:
    notes = read_notes("Numbers: boeing 737 2, car at least 47, storage tank 1")
    assert notes.numbers == {"boeing 737": 2, "car": 47, "storage tank": 1}
    assert notes.exact == {"boeing 737", "storage tank"}


def test_captions_feed_an_image_without_objects() -> None:
    scene = json.loads(answer(read_ask(CHAT, chat("global", TOWN))))
    text = json.dumps(scene)
    assert "Many buildings are near a playground." in text
    assert "north" not in text
    assert "image" not in text
    assert scene["counts"] == []
    assert "A dense town." in json.dumps(json.loads(answer(read_ask(CHAT, chat("detail", TOWN)))))


@pytest.mark.parametrize("stage", STAGES)
def test_the_stage_is_also_found_by_the_prompt(stage: Stage) -> None:
    body = chat(stage)
    del body["response_format"]
    ANSWERS[stage].model_validate_json(answer(read_ask(CHAT, body)))


@settings(max_examples=50)
@given(st.text(max_size=300))
def test_any_question_gets_an_answer_of_its_stage(user: str) -> None:
    for stage in STAGES[1:]:
        form = {"type": "json_schema", "json_schema": {"name": stage}}
        body = {"model": "m", "messages": [{"role": "user", "content": user}], "response_format": form}
        for wrong in (False, True):
            ANSWERS[stage].model_validate_json(answer(read_ask(CHAT, body), wrong=wrong))


def test_relations_in_sentences() -> None:
    relations = ("left of", "above right of", "below", "next to, left of", "inside", "containing", "overlapping")
    said = {r: beside(Named(relation=r, number=1, category="ship")) for r in relations}
    assert said == {
        "left of": "to the left of", "above right of": "above and to the right of", "below": "below",
        "next to, left of": "next to", "inside": "inside", "containing": "around", "overlapping": "across",
    }  # fmt: skip


def test_answers_about_a_drawn_sample_pass_the_checks(tmp_path: Path) -> None:
    drawn = draw_sample(tmp_path / "sample", images=4)
    found, images = Counter[str](), 0
    for spec in chosen_sources(replace(load_config(drawn.sources_toml), gpt4v=None)):  # all that have anything to tell
        for subject in subjects(spec, Counter()):
            images += 1
            for stage, body in bodies(subject.facts, "obb").items():
                for finding in found_in(stage, subject.facts, answer(read_ask(CHAT, body)), "obb"):
                    found[f"{stage}: {finding.check}, {subject.record}: {finding.detail}"] += 1
    assert images > 60
    assert not found


# --- the server as a program ----------------------------------------------------------------------------------------


def test_64_at_once_over_kept_connections_and_no_thread_is_left() -> None:
    before = threading.active_count()
    with StubServer(Settings(latency=0.05)) as server:
        with client_of(server) as client, ThreadPoolExecutor(64) as pool:
            list(pool.map(lambda n: client.chat.completions.create(**numbered(n)), range(192)))
        assert 1 < server.counters.peak <= 64
        assert len(server.counters.times) == 192
        assert set(server.counters.answered.values()) == {1}
        assert server.counters.received > 192 * 50
        assert server.counters.sent > 192 * 200
        with socket.create_connection((urlsplit(server.url).hostname, urlsplit(server.url).port)):
            pass  # one that says nothing
    assert threading.active_count() == before
    with pytest.raises(ConnectionRefusedError):
        call(server, "GET", "/models")


def test_the_peak_is_what_was_in_flight() -> None:
    with StubServer(Settings(latency=60)) as server, contextlib.ExitStack() as stack:
        url, body = urlsplit(server.url), json.dumps(numbered(1)).encode()
        for _ in range(64):
            raw = stack.enter_context(socket.create_connection((url.hostname, url.port), timeout=20))
            head = f"POST /v1/chat/completions HTTP/1.1\r\nauthorization: Bearer {KEY}\r\n"
            raw.sendall(head.encode() + b"content-length: %d\r\n\r\n" % len(body) + body)
        until = time.monotonic() + 30
        while server.counters.peak < 64 and time.monotonic() < until:
            time.sleep(0.01)
        assert server.counters.peak == 64


def test_closing_does_not_wait_for_clients() -> None:
    server = StubServer(Settings(latency=60))
    server.start()
    with ThreadPoolExecutor(4) as pool, client_of(server) as client:
        asked = [pool.submit(client.chat.completions.create, **numbered(n)) for n in range(4)]
        while server.counters.peak < 4:
            time.sleep(0.01)
        begun = time.monotonic()
        server.close()
        assert time.monotonic() - begun < 5
        for one in asked:
            assert isinstance(one.exception(), openai.APIConnectionError)


def started(*options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "rs_gpt4v_conversion.gpt4v.stub", *options]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)


def test_the_program_says_its_url_serves_and_ends_with_130() -> None:
    process = started("--verbose", "--latency", "0")
    assert process.stdout is not None
    try:
        url = process.stdout.readline().strip()
        assert url.startswith("http://127.0.0.1:")
        assert url.endswith("/v1")
        with openai.OpenAI(base_url=url, api_key=KEY) as client:
            client.chat.completions.create(**numbered(1))
    finally:
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert out == ""
    assert "POST /v1/chat/completions 200\n" in err
    assert "Traceback" not in err
    assert KEY not in err


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--fault", "nothing:1"], "expected NAME:SHARE"),
        (["--host", "256.0.0.1"], "cannot listen at 256.0.0.1"),
        (["--port", "99999"], "cannot listen at 127.0.0.1, port 99999"),
    ],
)
def test_mistakes_are_one_sentence_and_exit_code_2(
    options: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert program.main(options) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert says in err
    assert err.count("\n") == 1
