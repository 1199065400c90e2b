"""One line of an answer file, whatever vendor wrote it, becomes a `Reply`.

Read are the output and error files of OpenAI's batches and both merged, those of Azure, of `vllm run-batch` and of
GLM, which say the same with small differences, with bodies of /v1/chat/completions or /v1/responses; and such a body
alone, without an envelope, down to the first form of vision answers (2023: `finish_reason` null, `finish_details`).

A line has one outcome, the first of these that holds; `Reply` says those marked *, the ledger the others:

    * bad_json        the line is no JSON object
      unknown_id      its id is of no request, and no map names it
    * expired         the batch ended before its turn came
    * content_filter  the vendor's filter took the question or the answer
    * http_error      status 400 or more, or an error object
    * refused         the model declined, in the field for that or in words
    * truncated       the answer was cut at a limit of tokens
    * bad_json        there is no answer, or (ledger) it is no JSON
      schema_error    the answer does not fit its stage's form
      duplicate       an earlier answer to the same request was accepted
      ok

Words count as a refusal only where the answer does not begin as JSON does.
"""

import re
from typing import Any

from pydantic_core import from_json

from rs_gpt4v_conversion.gpt4v.records import Outcome, Reply, Usage

MOST_DETAIL = 300
"""Characters that are kept of a message or a name: a vendor's may be of any length."""

_EXPIRED = frozenset({"batch_expired"})
FILTERED = frozenset({
    "content_filter", "content_policy_violation", "moderation_blocked", "ResponsibleAIPolicyViolation",
    "responsible_ai_policy_violation", "data_inspection_failed", "sensitive", "1301",
})  # fmt: skip
"""Codes by which vendors say that their filter took the question or the answer."""
_CUT = frozenset({"length", "max_tokens", "max_output_tokens", "model_length"})
_FAILED = frozenset({"failed", "cancelled", "network_error", "error"})

_DECLINED = re.compile(
    r"[\s\"'“‘]*(?:(?:i(?:['’]m| am) )?(?:very |so )?(?:sorry|afraid)\b[,.]? (?:but )?(?:i|we|as)\b"
    r"|(?:unfortunately, )?(?:i|we)(?: cannot| can not| can['’]t|(?:['’]m| am) (?:unable|not able) to|"
    r" (?:won['’]t|will not))(?: be able to)? (?:assist|help|provide|comply|fulfill|process|view|see|analy[sz]e|"
    r"identify|describe|answer|generate|create|continue|do that)"
    r"|as an? (?:ai|artificial|large language)\b)",
    re.IGNORECASE,
)
_FENCE = re.compile(r"```[A-Za-z0-9_-]*\s*(.*\S)\s*```", re.DOTALL)


def read_reply(line: bytes) -> Reply:
    """Read one line (or one element of a JSON array); no input makes it raise.

    `custom_id` is the line's, else the id that its vendor gave it (`request_id`, `id`), by which a map may name it.
    """
    try:
        value = from_json(line, cache_strings="keys")  # texts are all different: half the time
    except ValueError as error:
        # a line has but one line: its number is known from the file
        return unreadable(f"no JSON: {str(error).replace(' at line 1 column', ' at column')}")
    if not isinstance(value, dict):
        return unreadable(f"{_kind(value)}, expected an object")
    response = value.get("response")
    if isinstance(response, dict):
        body, status = response.get("body"), response.get("status_code")
        if body is None and ("choices" in response or "output" in response):
            body = response  # the body itself where others have an envelope
    elif "custom_id" in value and "choices" not in value and "output" not in value:
        body, status = value.get("body"), value.get("status_code")
    else:
        body, status = value, None
    return _reply(value, body, status)


def unreadable(found: str) -> Reply:
    """The reply of a line that is no JSON object."""
    detail = f"the line is {found}"[:MOST_DETAIL]
    return Reply(custom_id="", outcome=Outcome.BAD_JSON, detail=detail, readable=False)


def unfenced(text: str) -> str:
    """An answer without the code fence around it, if it has one, and without the words before and after that."""
    if "```" not in text or text.lstrip()[:1] in ("{", "["):  # a fence within JSON is a part of it
        return text
    match = _FENCE.search(text)
    return match[1] if match else text


def declined(text: str) -> str:
    """The words by which an answer that is no JSON declines, or nothing."""
    if text.lstrip()[:1] in ("{", "[", "`"):
        return ""
    match = _DECLINED.match(text)
    return " ".join(text.split())[:80] if match else ""


def _reply(line: dict[str, Any], body: Any, status: Any) -> Reply:
    fields = body if isinstance(body, dict) else {}
    custom_id = _identity(line, fields)
    finish, text, refusal = _answer(fields)
    outcome, detail = _outcome(_error(line, body), status, finish, text, refusal, fields)
    fingerprint = fields.get("system_fingerprint")
    return Reply(
        custom_id=custom_id, outcome=outcome, detail=detail, text=text, model=_short(fields.get("model")),
        fingerprint=fingerprint if isinstance(fingerprint, str) else "", finish=finish,
        usage=_usage(fields.get("usage")),
    )  # fmt: skip


def _identity(line: dict[str, Any], body: dict[str, Any]) -> str:
    for value in (line.get("custom_id"), line.get("request_id"), body.get("request_id"), line.get("id")):
        if isinstance(value, str) and value:
            return value
        if type(value) is int:
            return str(value)
    return ""


def _outcome(
    error: dict[str, Any], status: Any, finish: str, text: str, refusal: str, body: dict[str, Any]
) -> tuple[Outcome, str]:
    if failure := _failure(error, status, finish):
        return failure
    refusal = refusal or declined(text)
    if refusal:
        return Outcome.REFUSED, refusal[:MOST_DETAIL]
    if finish in _CUT:
        return Outcome.TRUNCATED, f"cut at a limit of tokens ({finish})"
    if not text or text.isspace():
        return Outcome.BAD_JSON, _nothing(body)
    return Outcome.OK, ""


def _failure(error: dict[str, Any], status: Any, finish: str) -> tuple[Outcome, str] | None:
    """What kept the model from answering, if anything did."""
    message = ""
    if error:
        said, message = codes(error), _message(error)
        if said & _EXPIRED:
            return Outcome.EXPIRED, message
        if said & FILTERED:
            return Outcome.CONTENT_FILTER, message
    if finish in FILTERED:
        return Outcome.CONTENT_FILTER, message or f"ended by {finish}"
    if type(status) is int and status >= 400:
        return Outcome.HTTP_ERROR, ": ".join(filter(None, (f"status {status}", message)))[:MOST_DETAIL]
    if error or finish in _FAILED:
        return Outcome.HTTP_ERROR, message or f"ended by {finish}"
    return None


def _error(line: dict[str, Any], body: Any) -> dict[str, Any]:
    """The error object, wherever a vendor puts it; empty where there is none."""
    found: tuple[Any, ...] = (line.get("error"), body)  # a body that is a string is a proxy's page
    if isinstance(body, dict):
        found = (found[0], body.get("error"), body if body.get("object") == "error" else None)
    for error in found:
        if isinstance(error, dict) and error:
            return error
        if isinstance(error, str) and error:
            return {"message": error}
    return {}


def codes(error: dict[str, Any]) -> set[str]:
    """All that names the kind of an error object: Azure says in `innererror` what it was."""
    codes = {str(error[k]) for k in ("code", "type") if isinstance(error.get(k), str | int)}
    inner = error.get("innererror") or error.get("inner_error")
    if isinstance(inner, dict) and isinstance(inner.get("code"), str):
        codes.add(inner["code"])
    return codes


def _message(error: dict[str, Any]) -> str:
    parts = [str(error[k]) for k in ("code", "message") if isinstance(error.get(k), str | int) and error[k] != ""]
    return " ".join(": ".join(parts).split())[:MOST_DETAIL] or ("an error without a message" if error else "")


def _answer(body: dict[str, Any]) -> tuple[str, str, str]:
    """How the answer ended, its text and its refusal."""
    choices = body.get("choices")
    if isinstance(choices, list) and choices and isinstance(choices[0], dict):
        return _choice(choices[0])
    output = body.get("output")
    if isinstance(output, list):
        return _output(body, output)
    return "", "", ""


def _choice(choice: dict[str, Any]) -> tuple[str, str, str]:
    finish = choice.get("finish_reason")
    if not isinstance(finish, str):
        details = choice.get("finish_details")  # before finish_reason was filled in for images
        finish = details.get("type") if isinstance(details, dict) else None
    message = choice.get("message")
    if not isinstance(message, dict):
        return _short(finish), "", ""
    text, refusal = _parts(message.get("content"))
    said = message.get("refusal")
    return _short(finish), text, said if isinstance(said, str) and said else refusal


def _output(body: dict[str, Any], output: list[Any]) -> tuple[str, str, str]:
    status, details = body.get("status"), body.get("incomplete_details")
    finish = details.get("reason") if isinstance(details, dict) else status
    if status == "incomplete" and not isinstance(finish, str):
        finish = "max_output_tokens"
    texts, refusals = [], []
    for item in output:
        if isinstance(item, dict) and item.get("type", "message") == "message":
            text, refusal = _parts(item.get("content"))
            texts.append(text)
            refusals.append(refusal)
    return _short(finish), "".join(texts), "".join(refusals)


def _parts(content: Any) -> tuple[str, str]:
    """Text and refusal of a message: a string, or a list of parts."""
    if isinstance(content, str):
        return content, ""
    if not isinstance(content, list):
        return "", ""
    parts = [part for part in content if isinstance(part, dict)]
    texts = [part["text"] for part in parts if isinstance(part.get("text"), str)]
    refusals = [part["refusal"] for part in parts if isinstance(part.get("refusal"), str)]
    return "".join(texts), "".join(refusals)


def _usage(usage: Any) -> Usage:
    if not isinstance(usage, dict):
        return _NONE
    responses = "input_tokens" in usage
    details = usage.get("input_tokens_details" if responses else "prompt_tokens_details")
    return Usage(
        prompt=_tokens(usage.get("input_tokens" if responses else "prompt_tokens")),
        cached=_tokens(details.get("cached_tokens")) if isinstance(details, dict) else 0,
        completion=_tokens(usage.get("output_tokens" if responses else "completion_tokens")),
    )


_NONE = Usage()


def _tokens(value: Any) -> int:
    # more than any model reads: a sum of a million of them still fits the 64 bits of a ledger
    return value if type(value) is int and 0 <= value < 2**40 else 0


def _nothing(body: dict[str, Any]) -> str:
    if not body:
        return "no answer: the line has neither a body nor an error"
    if "messages" in body:
        return "no answer: this is a request"
    for key in ("choices", "output"):
        if key in body:
            return f"no answer: {key} is empty" if body[key] in ([], None) else f"no answer: {key} holds no text"
    return "no answer: the body has neither choices nor output"


def _kind(value: Any) -> str:
    kinds = {type(None): "null", bool: "a truth value", list: "an array", str: "a string"}
    return kinds.get(type(value), "a number")


def _short(value: Any) -> str:
    return value[:MOST_DETAIL] if isinstance(value, str) else ""
