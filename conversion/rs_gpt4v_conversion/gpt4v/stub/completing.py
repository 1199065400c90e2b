"""A request becomes the body of an answer, as the endpoint writes it, with whatever fault it meets."""

import json
from dataclasses import dataclass
from typing import Any

from rs_gpt4v_conversion.gpt4v.stub.answering import answer
from rs_gpt4v_conversion.gpt4v.stub.asking import Ask, BadRequestError
from rs_gpt4v_conversion.gpt4v.stub.faults import Fault

CREATED = 1735689600
"""The time that answers carry, always the same, so that the same body gets the same bytes."""

REGRETS = (
    "I'm sorry, but I can't assist with that request.",
    "I'm sorry, I cannot help with identifying the content of this image.",
    "Sorry, but I am unable to provide a description of this image.",
)

_PROSE = (
    "Here is what I can see: the picture was taken from above and shows several things of interest. "
    "Let me know if you need it in another form."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    """What the server gives back for one request."""

    status: int  # of HTTP; 200 is billed
    body: dict[str, Any]
    prompt_tokens: int = 0
    completion_tokens: int = 0


def complete(ask: Ask, fault: Fault | None) -> Completed:
    """The answer to a request; the same for the same request and fault."""
    if fault is Fault.CONTENT_FILTER_400:
        return Completed(status=400, body=_AZURE)
    if fault is Fault.HTTP_ERROR:
        return Completed(status=400, body=error("The image could not be read.", code="invalid_image_format"))
    words = _words(ask, fault)
    return _chat(ask, words) if ask.endpoint == "/v1/chat/completions" else _response(ask, words)


def error(
    message: str, *, kind: str = "invalid_request_error", param: str | None = None, code: str | None = None
) -> dict[str, Any]:
    """The body of an error."""
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def refused(problem: BadRequestError) -> Completed:
    """The answer to a body that the API does not take."""
    return Completed(status=problem.status, body=error(problem.message, param=problem.param, code=problem.code))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Words:
    text: str | None
    refusal: str | None = None
    finish: str = "stop"

    @property
    def tokens(self) -> int:
        return len(self.text or self.refusal or "") // 4


def _words(ask: Ask, fault: Fault | None) -> _Words:
    regret = REGRETS[int(ask.digest[:4], 16) % len(REGRETS)]
    if fault is Fault.REFUSE:
        return _Words(text=None, refusal=regret)
    if fault is Fault.REFUSE_TEXT:
        return _Words(text=regret)
    if fault is Fault.CONTENT_FILTER:
        return _Words(text="", finish="content_filter")
    if fault is Fault.BAD_JSON:
        return _Words(text=_PROSE)
    text = answer(ask, wrong=fault is Fault.INCONSISTENT)
    if fault is Fault.FENCED:
        return _Words(text=f"```json\n{text}\n```")
    if fault is Fault.SCHEMA_ERROR:
        text = _lacking(text)
    most = len(text) if ask.most_tokens is None else 4 * ask.most_tokens
    if fault is Fault.TRUNCATED:
        most = min(most, len(text) * 2 // 3)
    return _Words(text=text) if len(text) <= most else _Words(text=text[:most], finish="length")


def _lacking(text: str) -> str:
    """A JSON object without its last field, in the first of its list where it has one."""
    try:
        value = json.loads(text)
    except ValueError:
        return text  # an answer in prose has no fields
    holder = next((v[0] for v in value.values() if isinstance(v, list) and v and isinstance(v[0], dict)), value)
    holder.pop(list(holder)[-1])
    return json.dumps(value, ensure_ascii=False)


def _chat(ask: Ask, words: _Words) -> Completed:
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": words.text, "refusal": words.refusal, "annotations": []},
        "logprobs": None,
        "finish_reason": words.finish,
    }
    body = {
        "id": f"chatcmpl-{ask.digest}",
        "object": "chat.completion",
        "created": CREATED,
        "model": f"{ask.model}-stub",
        "choices": [choice],
        "usage": {
            "prompt_tokens": ask.tokens,
            "completion_tokens": words.tokens,
            "total_tokens": ask.tokens + words.tokens,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {
                "reasoning_tokens": 0, "audio_tokens": 0, "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0,
            },
        },
        "service_tier": "default",
        "system_fingerprint": "fp_stub",
    }  # fmt: skip
    return Completed(status=200, body=body, prompt_tokens=ask.tokens, completion_tokens=words.tokens)


_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}


def _response(ask: Ask, words: _Words) -> Completed:
    reason = _INCOMPLETE.get(words.finish)
    status = "completed" if reason is None else "incomplete"
    if words.refusal is not None:
        content: list[dict[str, Any]] = [{"type": "refusal", "refusal": words.refusal}]
    else:
        content = [{"type": "output_text", "text": words.text, "annotations": [], "logprobs": []}]
    message = {
        "type": "message", "id": f"msg_{ask.digest}", "status": status, "role": "assistant", "content": content,
    }  # fmt: skip
    body = {
        "id": f"resp_{ask.digest}",
        "object": "response",
        "created_at": CREATED,
        "status": status,
        "error": None,
        "incomplete_details": None if reason is None else {"reason": reason},
        "instructions": None,
        "max_output_tokens": ask.most_tokens,
        "metadata": {},
        "model": f"{ask.model}-stub",
        "output": [message],
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "usage": {
            "input_tokens": ask.tokens,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": words.tokens,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": ask.tokens + words.tokens,
        },
    }
    return Completed(status=200, body=body, prompt_tokens=ask.tokens, completion_tokens=words.tokens)


def _verdict(filtered: bool, severity: str) -> dict[str, Any]:
    return {"filtered": filtered, "severity": severity}


_AZURE: dict[str, Any] = {
    "error": {
        "message": "The prompt was filtered by the content management policy. Change it and try again.",
        "type": None,
        "param": "prompt",
        "code": "content_filter",
        "status": 400,
        "innererror": {
            "code": "ResponsibleAIPolicyViolation",
            "content_filter_result": {
                "hate": _verdict(False, "safe"),
                "self_harm": _verdict(False, "safe"),
                "sexual": _verdict(False, "safe"),
                "violence": _verdict(True, "medium"),
            },
        },
    }
}
"""What Azure OpenAI answers to a prompt that its filter stops."""
