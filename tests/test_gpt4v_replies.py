"""Lines of answer files: each vendor's form is read, each outcome is told, and no bytes make the reader raise."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rs_gpt4v_conversion.gpt4v.answers import replies
from rs_gpt4v_conversion.gpt4v.answers.replies import declined, read_reply, unfenced
from rs_gpt4v_conversion.gpt4v.records import Outcome, Reply, Usage


def read(value: Any) -> Reply:
    return read_reply(json.dumps(value).encode())


def chat(content: Any = '{"description": "A harbor."}', finish: Any = "stop", **message: Any) -> dict[str, Any]:
    """A body of /v1/chat/completions."""
    choice = {"index": 0, "message": {"role": "assistant", "content": content, **message}, "finish_reason": finish}
    return {
        "id": "chatcmpl-1", "object": "chat.completion", "model": "gpt-4o-2024-11-20", "choices": [choice],
        "usage": {
            "prompt_tokens": 900, "completion_tokens": 60, "total_tokens": 960,
            "prompt_tokens_details": {"cached_tokens": 128},
        },
        "system_fingerprint": "fp_1",
    }  # fmt: skip


def responses(*parts: dict[str, Any], status: str = "completed", **more: Any) -> dict[str, Any]:
    """A body of /v1/responses."""
    return {
        "id": "resp_1", "object": "response", "status": status, "model": "gpt-4o-2024-11-20",
        "output": [
            {"type": "reasoning", "id": "rs_1", "summary": []},
            {"type": "message", "id": "msg_1", "role": "assistant", "content": list(parts)},
        ],
        "usage": {
            "input_tokens": 900, "input_tokens_details": {"cached_tokens": 128}, "output_tokens": 60,
            "total_tokens": 960,
        },
        **more,
    }  # fmt: skip


def batch(body: Any, status: int = 200, error: Any = None) -> dict[str, Any]:
    """A line of an output file of a batch."""
    response = {"status_code": status, "request_id": "req_1", "body": body}
    return {"id": "batch_req_1", "custom_id": "detail-1", "response": response, "error": error}


def said(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": []}


FILTERED = {
    "error": {
        "code": "content_filter", "message": "The response was filtered", "param": "prompt", "status": 400,
        "innererror": {
            "code": "ResponsibleAIPolicyViolation",
            "content_filter_result": {"violence": {"filtered": True, "severity": "medium"}},
        },
    }
}  # fmt: skip
INNER = {"error": {"code": None, "message": "x", "innererror": FILTERED["error"]["innererror"]}}
EXPIRED = {
    "code": "batch_expired",
    "message": "This request could not be executed before the completion window expired.",
}

LINES: dict[str, tuple[Any, Outcome, str]] = {
    "batch": (batch(chat()), Outcome.OK, ""),
    "batch of responses": (batch(responses(said('{"a":'), said(" 1}"))), Outcome.OK, ""),
    "completion alone": (chat(), Outcome.OK, ""),
    "response alone": (responses(said("{}")), Outcome.OK, ""),
    "parts": (batch(chat([{"type": "text", "text": "{}"}, {"type": "image"}])), Outcome.OK, ""),
    "azure, filters passed": (
        batch({**chat(), "prompt_filter_results": [{"content_filter_results": {"hate": {"filtered": False}}}]}),
        Outcome.OK, "",
    ),
    "vllm": ({"id": "vllm-1", **{k: v for k, v in batch(chat()).items() if k != "id"}}, Outcome.OK, ""),
    "vllm failure": (
        batch(None, 400, {"object": "error", "message": "too long", "type": "BadRequestError", "code": 400}),
        Outcome.HTTP_ERROR, "status 400: 400: too long",
    ),
    "vllm failure, error as body": (
        batch({"object": "error", "message": "too long", "code": 400}, 400), Outcome.HTTP_ERROR, "too long",
    ),
    "glm": (
        {"response": {"status_code": 200, "body": {**chat(), "request_id": "detail-1"}}, "custom_id": "detail-1"},
        Outcome.OK, "",
    ),
    "glm, filtered": (batch(chat("", "sensitive")), Outcome.CONTENT_FILTER, "sensitive"),
    "glm, code": (batch({"error": {"code": "1301", "message": "x"}}, 400), Outcome.CONTENT_FILTER, "1301"),
    "expired": ({"custom_id": "detail-1", "response": None, "error": EXPIRED}, Outcome.EXPIRED, "batch_expired"),
    "expired before status": (batch(None, 500, EXPIRED), Outcome.EXPIRED, "batch_expired"),
    "azure, filtered": (batch(FILTERED, 400), Outcome.CONTENT_FILTER, "content_filter: The response was filtered"),
    "azure, innererror alone": (batch(INNER, 400), Outcome.CONTENT_FILTER, "x"),
    "finish content_filter": (batch(chat("", "content_filter")), Outcome.CONTENT_FILTER, "content_filter"),
    "responses, filtered": (
        batch(responses(status="incomplete", incomplete_details={"reason": "content_filter"})),
        Outcome.CONTENT_FILTER, "content_filter",
    ),
    "status 500": (batch({"error": {"message": "boom", "type": "server_error"}}, 500), Outcome.HTTP_ERROR, "500: boom"),
    "status 502, a page": (batch("<html>bad gateway</html>", 502), Outcome.HTTP_ERROR, "bad gateway"),
    "status 429 with an answer": (batch(chat(), 429), Outcome.HTTP_ERROR, "status 429"),
    "error in 200": (batch({"error": {"message": "overloaded"}}), Outcome.HTTP_ERROR, "overloaded"),
    "error alone": ({"error": {"message": "no key", "code": "invalid_api_key"}}, Outcome.HTTP_ERROR, "no key"),
    "no response": (
        {"custom_id": "detail-1", "response": None, "error": {"code": "batch_cancelled", "message": "x"}},
        Outcome.HTTP_ERROR, "batch_cancelled",
    ),
    "responses, failed": (
        batch(responses(status="failed", error={"code": "server_error", "message": "x"})),
        Outcome.HTTP_ERROR, "server_error",
    ),
    "refusal": (batch(chat(None, refusal="I can't do that.")), Outcome.REFUSED, "I can't do that."),
    "refusal part": (
        batch(responses({"type": "refusal", "refusal": "I won't."})), Outcome.REFUSED, "I won't.",
    ),
    "refusal in words": (
        batch(chat("I’m sorry, but I can't assist with that request.")), Outcome.REFUSED, "I’m sorry",
    ),
    "refused before truncated": (batch(chat("I'm sorry, but I", "length")), Outcome.REFUSED, "sorry"),
    "truncated": (batch(chat('{"description": "A har', "length")), Outcome.TRUNCATED, "length"),
    "responses, truncated": (
        batch(responses(said('{"d'), status="incomplete", incomplete_details={"reason": "max_output_tokens"})),
        Outcome.TRUNCATED, "max_output_tokens",
    ),
    "2023, truncated": (
        {"choices": [{"message": {"content": "A har"}, "finish_details": {"type": "max_tokens"}}]},
        Outcome.TRUNCATED, "max_tokens",
    ),
    "no choices": (batch({**chat(), "choices": []}), Outcome.BAD_JSON, "choices is empty"),
    "no text": (batch(chat("  \n")), Outcome.BAD_JSON, "holds no text"),
    "a tool call": (batch(chat(None, "tool_calls", tool_calls=[{"id": "x"}])), Outcome.BAD_JSON, "holds no text"),
    "no body": ({"custom_id": "detail-1", "response": {"status_code": 200}}, Outcome.BAD_JSON, "neither a body"),
    "a request": (
        {"custom_id": "detail-1", "method": "POST", "url": "/v1/chat/completions", "body": {"messages": []}},
        Outcome.BAD_JSON, "this is a request",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LINES)
def test_each_form_has_its_outcome(name: str) -> None:
    line, outcome, detail = LINES[name]
    reply = read(line)
    assert (reply.outcome, reply.readable) == (outcome, True)
    assert detail in reply.detail
    assert reply.detail or outcome is Outcome.OK
    if "custom_id" in line:
        assert reply.custom_id == "detail-1"


FAULTS = ["expired", "content_filter", "http_error", "refused", "truncated", "bad_json"]
"""As classes, in the order in which they count."""


@given(st.sets(st.sampled_from(FAULTS)), st.booleans())
def test_of_several_faults_the_first_counts(faults: set[str], in_words: bool) -> None:
    text = "" if "bad_json" in faults else "{"
    refusal = None
    if "refused" in faults and in_words and text:
        text = "I'm sorry, but I can't help with that."
    elif "refused" in faults:
        refusal = "I can't."
    body = chat(text, "length" if "truncated" in faults else "stop", refusal=refusal)
    line = batch(body, 500 if "http_error" in faults else 200)
    if "content_filter" in faults:
        body["error"] = FILTERED["error"]
    if "expired" in faults:
        line["error"] = EXPIRED
    expected = next((fault for fault in FAULTS if fault in faults), "ok")
    assert read(line).outcome == expected


def test_the_order_is_told_alike_everywhere() -> None:
    page = (Path(__file__).parents[1] / "docs" / "answers.md").read_text()
    told = re.findall(r"^\| `(\w+)` \| ", page.split("What becomes of a line")[1], re.MULTILINE)[:11]
    in_code = re.findall(r"^    [* ] (\w+)(?:  |$)", replies.__doc__ or "", re.MULTILINE)
    assert told == in_code == ["bad_json", "unknown_id", *FAULTS, "schema_error", "duplicate", "ok"]
    assert set(told) == set(Outcome)


def test_what_the_vendor_counted_is_kept() -> None:
    for line in (batch(chat()), batch(responses(said('{"description": "A harbor."}')))):
        reply = read(line)
        assert reply.usage == Usage(prompt=900, cached=128, completion=60)
        assert reply.model == "gpt-4o-2024-11-20"
        assert reply.text == '{"description": "A harbor."}'
    assert read(batch(chat())).fingerprint == "fp_1"
    assert read(batch({**chat(), "usage": {"prompt_tokens": -1, "completion_tokens": True}})).usage == Usage()
    # what is refused or cut is paid too
    assert read(batch(chat("{", "length"))).usage.completion == 60


def test_the_id_is_the_best_there_is() -> None:
    assert read(chat()).custom_id == "chatcmpl-1"
    assert read({**chat(), "request_id": "image_003"}).custom_id == "image_003"
    assert read({"custom_id": 7, "response": {"body": chat()}}).custom_id == "7"
    assert read({"choices": []}).custom_id == ""


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (b"", "column 0"),
        (b'{"custom_id": "a", "resp', "no JSON"),
        (b'{"custom_id": "\xff"}', "column 16"),
        (b'{"a": "\\ud800"}', "hex escape"),
        (b"[" * 100_000, "recursion"),
        (b"[1]", "an array, expected an object"),
        (b"null", "null"),
        (b'"text"', "a string"),
        (b"1e999", "a number"),
    ],
)
def test_a_line_that_is_no_object_says_where(line: bytes, found: str) -> None:
    reply = read_reply(line)
    assert (reply.outcome, reply.readable, reply.custom_id) == (Outcome.BAD_JSON, False, "")
    assert found in reply.detail


@pytest.mark.parametrize(
    ("text", "bare"),
    [
        ('```json\n{"a": 1}\n```', '{"a": 1}'),
        ('\n```\n{"a": 1}```\n', '{"a": 1}'),
        ('```JSON\r\n{"a": "```"}\r\n```', '{"a": "```"}'),
        ('{"a": "```x```"}', '{"a": "```x```"}'),
        ("```json", "```json"),
        ('```json {"a": 1}```', '{"a": 1}'),
        ('Here is the answer:\n\n```json\n{"a": 1}\n```', '{"a": 1}'),
        ('```\n{"a": 1}\n```\nThe ships are white.', '{"a": 1}'),
        (' {"a": "```x```"}', ' {"a": "```x```"}'),
        ("Three ``` and no more", "Three ``` and no more"),
    ],
)
def test_a_fence_around_an_answer_is_taken_off(text: str, bare: str) -> None:
    assert unfenced(text) == bare


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't help with that.", "I cannot assist with identifying people.", "As an AI model, I",
        "I am unable to view images.", "Unfortunately, I can't provide that.", "I’m very sorry, I cannot",
    ],
)  # fmt: skip
def test_words_of_refusal(text: str) -> None:
    assert declined(text)
    assert not declined(json.dumps({"answer": text}))


@pytest.mark.parametrize(
    "text",
    [
        "I can see three ships at the pier.", "The sorry state of the pier shows its age.", "As an airport, it has",
        "I cannot rule out that the field lies fallow.", "Unable to load, the ship waits.",
    ],
)  # fmt: skip
def test_words_that_refuse_nothing(text: str) -> None:
    assert not declined(text)


KEYS = st.sampled_from([
    "custom_id", "id", "request_id", "response", "status_code", "body", "error", "code", "message", "innererror",
    "choices", "content", "refusal", "finish_reason", "finish_details", "type", "text", "output", "status", "usage",
    "incomplete_details", "reason", "prompt_tokens", "prompt_tokens_details", "cached_tokens", "input_tokens", "object",
    "model",
])  # fmt: skip
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text()
    | st.sampled_from([400, 200, 10**400, "stop", "length", "failed", "error", "incomplete", "content_filter"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=6),
    max_leaves=20,
)  # fmt: skip


@given(VALUES)
def test_no_json_makes_it_raise(value: Any) -> None:
    reply = read(value)
    assert reply.readable is isinstance(value, dict)
    assert bool(reply.text.strip()) or reply.outcome is not Outcome.OK
    assert len(reply.detail) <= 400


@given(st.binary())
def test_no_bytes_make_it_raise(line: bytes) -> None:
    assert read_reply(line).outcome in Outcome
