"""Lines of a request file become lines of a batch's output and error files."""

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rs_gpt4v_conversion.errors import UsageError
from rs_gpt4v_conversion.gpt4v.stub.asking import ENDPOINTS, BadRequestError, Endpoint, read_ask
from rs_gpt4v_conversion.gpt4v.stub.completing import complete, refused
from rs_gpt4v_conversion.gpt4v.stub.counting import body_digest
from rs_gpt4v_conversion.gpt4v.stub.faults import LINE, NO_FAULTS, Fault, Faults


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerLine:
    """What became of one line of a request file."""

    line: dict[str, Any]
    custom_id: str
    status: int  # of HTTP; 0 where the request was never made
    times: int = 1  # it stands in its file
    why: tuple[str, str] | None = None  # code and message, where the request was never made
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def without_line(self) -> "AnswerLine":
        """What is needed for sums."""
        return replace(self, line={})

    @property
    def ok(self) -> bool:
        """Whether it belongs into the output file; else into the error file."""
        return self.status == 200


EXPIRED = ("batch_expired", "This request could not be executed before the completion window expired.")
CANCELLED = ("batch_cancelled", "This request was not executed, since the batch was cancelled.")


def answer_line(endpoint: Endpoint, line: dict[str, Any], faults: Faults, attempt: int) -> AnswerLine:
    """Answer one line.

    Args:
        endpoint: Of the batch.
        line: As the request file has it, validated.
        faults: What may go wrong.
        attempt: How often this custom id arrived, from 1.
    """
    custom_id, body = line["custom_id"], line["body"]
    fault = faults.drawn(LINE, custom_id, attempt)
    if fault is Fault.EXPIRED:
        return undone(line, EXPIRED)
    try:
        completed = complete(read_ask(endpoint, body), fault)
    except BadRequestError as problem:
        completed = refused(problem)
    response = {"status_code": completed.status, "request_id": _hash(line, "request"), "body": completed.body}
    return AnswerLine(
        line={"id": f"batch_req_{_hash(line, 'line')}", "custom_id": custom_id, "response": response, "error": None},
        custom_id=custom_id,
        status=completed.status,
        times=2 if fault is Fault.DUPLICATE else 1,
        prompt_tokens=completed.prompt_tokens,
        completion_tokens=completed.completion_tokens,
    )


def undone(line: dict[str, Any], why: tuple[str, str]) -> AnswerLine:
    """The line of a request that was never made."""
    code, message = why
    return AnswerLine(
        line={
            "id": f"batch_req_{_hash(line, 'line')}", "custom_id": line["custom_id"], "response": None,
            "error": {"code": code, "message": message},
        },
        custom_id=line["custom_id"], status=0, why=why,
    )  # fmt: skip


def answer_file(
    requests: Path,
    out: Path,
    *,
    errors: Path | None = None,
    faults: Faults = NO_FAULTS,
    seed: int = 0,
    attempt: int = 1,
    keep: Callable[[str], bool] = lambda custom_id: True,
) -> int:
    """Answer a whole request file without a server, as a batch would: in another order, a line an answer.

    The same arguments give the same bytes.

    Args:
        requests: Lines of the OpenAI batch form.
        out: Where the output file goes.
        errors: Where lines without an answer go; None: into the output file, as some programs do.
        faults: What goes wrong.
        seed: Of the order.
        attempt: Which faults are met depends on it.
        keep: Which custom ids are answered at all.

    Returns:
        Number of lines written.

    Raises:
        UsageError: A line is no request of the batch form.
        OSError: A file cannot be read or written.
    """
    places = []
    with requests.open("rb") as file:
        at = 0
        for raw in file:
            if raw.strip():
                places.append(at)
            at += len(raw)
    random.Random(f"{seed}/{requests.name}").shuffle(places)
    written = 0
    with requests.open("rb") as file, out.open("w", encoding="utf-8") as good:
        bad = good if errors is None else errors.open("w", encoding="utf-8")
        try:
            for place in places:
                file.seek(place)
                line = _request(file.readline(), requests, place)
                if not keep(line["custom_id"]):
                    continue
                done = answer_line(line["url"], line, faults, attempt)
                (good if done.ok else bad).write(as_text(done))
                written += done.times
        finally:
            bad.close()
    return written


def as_text(done: AnswerLine) -> str:
    """Its lines in the file, with line ends."""
    return (json.dumps(done.line, ensure_ascii=False) + "\n") * done.times


def problems(line: Any, endpoint: str | None) -> Iterator[tuple[str, str, str | None]]:
    """Code, message and parameter of what is wrong with a parsed line of a request file.

    Args:
        line: Any JSON value.
        endpoint: That all lines must have; None: any known one.
    """
    if not isinstance(line, dict):
        yield "invalid_json_line", "This line is no JSON object.", None
        return
    custom_id, body = line.get("custom_id"), line.get("body")
    if not isinstance(custom_id, str) or not custom_id:
        yield "missing_required_parameter", "Missing required parameter: 'custom_id'.", "custom_id"
    if line.get("method") != "POST":
        yield "invalid_method", "The method of a request must be POST.", "method"
    if line.get("url") not in (ENDPOINTS if endpoint is None else (endpoint,)):
        wanted = endpoint or " or ".join(ENDPOINTS)
        yield "invalid_url", f"The url of a request must be that of the batch, {wanted}.", "url"
    if not isinstance(body, dict):
        yield "missing_required_parameter", "Missing required parameter: 'body'.", "body"


def _request(raw: bytes, path: Path, place: int) -> dict[str, Any]:
    try:
        line = json.loads(raw)
    except ValueError:
        line = None
    for _, message, _ in problems(line, None):
        raise UsageError(f"{path}, the line at byte {place}: {message} `rs-gpt4v gpt4v export` writes such files")
    request: dict[str, Any] = line
    return request


def _hash(line: dict[str, Any], purpose: str) -> str:
    return body_digest({"line": line["custom_id"], "purpose": purpose})[:24]
