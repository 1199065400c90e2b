"""Batches: validated, answered and finished by the time that has passed when a client looks."""

import json
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from rs_gpt4v_conversion.gpt4v.stub.asking import ENDPOINTS, BadRequestError, Endpoint
from rs_gpt4v_conversion.gpt4v.stub.counting import Counters
from rs_gpt4v_conversion.gpt4v.stub.faults import WHOLE_BATCH, Faults
from rs_gpt4v_conversion.gpt4v.stub.files import Files, StoredFile
from rs_gpt4v_conversion.gpt4v.stub.lines import CANCELLED, EXPIRED, AnswerLine, answer_line, as_text, problems, undone

VALIDATED, ANSWERED = 0.1, 0.9
"""Shares of a batch's time after which it is validated and answered; the rest goes into writing its files."""

WINDOW = 24 * 3600
_SHOWN = 100  # problems that a failed batch lists


@dataclass(kw_only=True)
class _Batch:
    id: str
    created: float  # seconds since 1970
    endpoint: Endpoint
    input: StoredFile
    metadata: dict[str, str] | None
    attempt: int  # of the same input file's content, from 1
    lock: threading.Lock = field(default_factory=threading.Lock)
    cancelled: float | None = None  # seconds since 1970
    validated: bool = False
    errors: list[dict[str, Any]] = field(default_factory=list)
    places: list[int] = field(default_factory=list)  # of the lines in the input file
    model: str | None = None
    done: list[AnswerLine] = field(default_factory=list)  # without their texts
    output: StoredFile | None = None
    rejects: StoredFile | None = None
    ended: str | None = None  # the final status


class Batches:
    """All batches of a server.

    Args:
        files: Where their files are.
        counters: Where requests and answers are counted.
        faults: What goes wrong.
        seed: Of the order of answers.
        seconds: From a batch's creation to its end.
        most_lines: Of an input file.
        most_bytes: Likewise.
        clock: Seconds since 1970.
    """

    def __init__(
        self, files: Files, counters: Counters, faults: Faults, *, seed: int, seconds: float, most_lines: int,
        most_bytes: int, clock: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        self._files, self._counters, self._faults, self._seed = files, counters, faults, seed
        self._seconds, self._most_lines, self._most_bytes = seconds, most_lines, most_bytes
        self._clock = clock
        self._batches: dict[str, _Batch] = {}
        self._lock = threading.Lock()

    def create(self, body: Any) -> dict[str, Any]:
        """Begin a batch.

        Raises:
            BadRequestError: The body is not what the API takes.
        """
        if not isinstance(body, dict):
            raise BadRequestError("Expected a JSON object.")
        endpoint = next((e for e in ENDPOINTS if e == body.get("endpoint")), None)
        if endpoint is None:
            raise BadRequestError(f"Invalid 'endpoint': expected {' or '.join(ENDPOINTS)}.", "endpoint")
        if body.get("completion_window") != "24h":
            raise BadRequestError("Invalid 'completion_window': expected '24h'.", "completion_window")
        if not isinstance(body.get("input_file_id"), str):
            raise BadRequestError("Missing required parameter: 'input_file_id'.", "input_file_id")
        file = self._files.get(body["input_file_id"])
        if file.purpose != "batch":
            raise BadRequestError("The file's purpose must be 'batch'.", "input_file_id")
        metadata = _metadata(body.get("metadata"))
        with self._lock:
            batch = _Batch(
                id=f"batch_{len(self._batches) + 1:06d}", created=self._clock(), endpoint=endpoint, input=file,
                metadata=metadata, attempt=self._counters.attempt(f"batch of {file.id}"),
            )  # fmt: skip
            self._batches[batch.id] = batch
        return self.described(batch.id)

    def cancel(self, batch_id: str) -> dict[str, Any]:
        """Cancel a batch.

        Raises:
            BadRequestError: There is none (404), or it has ended (409).
        """
        status = self.described(batch_id)["status"]
        if status not in ("validating", "in_progress", "finalizing"):
            raise BadRequestError(f"Cannot cancel a batch with status '{status}'.", status=409)
        self._batch(batch_id).cancelled = self._clock()
        return self.described(batch_id)

    def all(self) -> list[dict[str, Any]]:
        """The objects of all batches, newest first."""
        with self._lock:
            ids = list(reversed(self._batches))
        return [self.described(i) for i in ids]

    def described(self, batch_id: str) -> dict[str, Any]:
        """The object of the API, as things stand now.

        Raises:
            BadRequestError: There is none (404).
        """
        batch = self._batch(batch_id)
        with batch.lock:
            status = self._advance(batch, self._clock())
            return self._object(batch, status)

    def _batch(self, batch_id: str) -> _Batch:
        with self._lock:
            batch = self._batches.get(batch_id)
        if batch is None:
            raise BadRequestError(f"No batch found with id '{batch_id}'.", "batch_id", status=404)
        return batch

    def _passed(self, batch: _Batch, now: float) -> float:
        """Share of its time that has passed."""
        return (now - batch.created) / self._seconds if self._seconds > 0 else 1.0

    def _advance(self, batch: _Batch, now: float) -> str:
        """Do what is due by now; the status."""
        if batch.ended is not None:
            return batch.ended
        passed = self._passed(batch, now)
        if passed >= VALIDATED and not batch.validated:
            self._validate(batch)
        if batch.errors:
            batch.ended = "failed"
        elif batch.cancelled is not None:
            # a tenth of the time goes by between the wish and its fulfilment
            if now - batch.cancelled < 0.1 * self._seconds:
                return "cancelling"
            batch.ended = self._answer(batch, self._passed(batch, batch.cancelled))
        elif passed >= 1:
            batch.ended = self._answer(batch, 1.0)
        else:
            return "validating" if passed < VALIDATED else "in_progress" if passed < ANSWERED else "finalizing"
        return batch.ended

    def _validate(self, batch: _Batch) -> None:
        batch.validated = True
        file = batch.input
        if self._faults.drawn(WHOLE_BATCH, file.name, batch.attempt) is not None:
            _fail(batch, "internal_error", "The batch failed in validation, as it was asked to.")
            return
        if file.size > self._most_bytes:
            _fail(batch, "file_too_large", f"The input file has {file.size} bytes, at most {self._most_bytes} may be.")
            return
        ids: set[str] = set()
        for number, (place, raw) in enumerate(file.lines(), 1):
            if not raw.strip():
                continue
            batch.places.append(place)
            self._validate_line(batch, raw, number, ids)
            if len(batch.errors) == _SHOWN:
                return
        if len(batch.places) > self._most_lines:
            count = f"The input file has {len(batch.places)} requests"
            _fail(batch, "too_many_requests", f"{count}, at most {self._most_lines} may be.")
        if not batch.places:
            _fail(batch, "empty_file", "The input file is empty.")

    def _validate_line(self, batch: _Batch, raw: bytes, number: int, ids: set[str]) -> None:
        try:
            line = json.loads(raw)
        except ValueError:
            _fail(batch, "invalid_json_line", "This line is not parseable as valid JSON.", number)
            return
        found = list(problems(line, batch.endpoint))
        for code, message, param in found:
            _fail(batch, code, message, number, param)
        if found:
            return
        if line["custom_id"] in ids:
            _fail(batch, "duplicate_custom_id", "The custom_id of this line was used before.", number, "custom_id")
        ids.add(line["custom_id"])
        model = line["body"].get("model")
        if batch.model is not None and model != batch.model:
            _fail(batch, "mismatched_model", "All requests of a batch must name the same model.", number, "body.model")
        batch.model = model if batch.model is None else batch.model

    def _answer(self, batch: _Batch, passed: float) -> str:
        """Write the files of a batch of which a share of the time went by; its final status."""
        share = min(1.0, max(0.0, (passed - VALIDATED) / (ANSWERED - VALIDATED)))
        order = list(batch.places)
        random.Random(f"{self._seed}/{batch.id}").shuffle(order)
        within = round(share * len(order))
        good, bad = self._files.new_path(), self._files.new_path()
        with (
            batch.input.path.open("rb") as file,
            good.open("w", encoding="utf-8") as output,
            bad.open("w", encoding="utf-8") as rejects,
        ):
            for i, place in enumerate(order):
                file.seek(place)
                done = self._answer_line(batch, json.loads(file.readline()), i < within)
                (output if done.ok else rejects).write(as_text(done))
                batch.done.append(done.without_line())
        if any(done.ok for done in batch.done):
            batch.output = self._files.add(good, name=f"{batch.id}_output.jsonl", purpose="batch_output")
        if not all(done.ok for done in batch.done):
            batch.rejects = self._files.add(bad, name=f"{batch.id}_error.jsonl", purpose="batch_output")
        if batch.cancelled is not None:
            return "cancelled"
        return "expired" if any(done.why == EXPIRED for done in batch.done) else "completed"

    def _answer_line(self, batch: _Batch, line: dict[str, Any], within: bool) -> AnswerLine:
        if not within:
            return undone(line, CANCELLED)
        done = answer_line(batch.endpoint, line, self._faults, self._counters.see(line["custom_id"]))
        if done.ok:
            self._counters.bill(line["custom_id"])
        return done

    def _object(self, batch: _Batch, status: str) -> dict[str, Any]:
        created, total = int(batch.created), len(batch.places) if not batch.errors else 0
        begun = batch.created + VALIDATED * self._seconds
        written = batch.created + ANSWERED * self._seconds
        over = batch.created + self._seconds
        passed = self._passed(batch, self._clock())
        answered = min(1.0, max(0.0, (passed - VALIDATED) / (ANSWERED - VALIDATED)))
        in_time = batch.cancelled is None and not batch.errors
        if batch.ended is None:
            completed, failed = int(answered * total), 0
        else:
            completed = sum(done.ok for done in batch.done)
            failed = len(batch.done) - completed
        return {
            "id": batch.id, "object": "batch", "endpoint": batch.endpoint, "completion_window": "24h",
            "status": status, "input_file_id": batch.input.id, "model": batch.model,
            "output_file_id": batch.output and batch.output.id,
            "error_file_id": batch.rejects and batch.rejects.id,
            "errors": {"object": "list", "data": batch.errors} if batch.errors else None,
            "created_at": created,
            "in_progress_at": int(begun) if passed >= VALIDATED and not batch.errors else None,
            "expires_at": created + WINDOW,
            "finalizing_at": int(written) if in_time and passed >= ANSWERED else None,
            "completed_at": int(over) if status == "completed" else None,
            "failed_at": int(begun) if status == "failed" else None,
            "expired_at": int(over) if status == "expired" else None,
            "cancelling_at": None if batch.cancelled is None else int(batch.cancelled),
            "cancelled_at": int(batch.cancelled) if batch.cancelled is not None and status == "cancelled" else None,
            "request_counts": {"total": total, "completed": completed, "failed": failed},
            "usage": _usage(batch.done),
            "metadata": batch.metadata,
        }  # fmt: skip


def _usage(done: list[AnswerLine]) -> dict[str, Any]:
    prompt, completion = sum(d.prompt_tokens for d in done), sum(d.completion_tokens for d in done)
    return {
        "input_tokens": prompt, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": completion,
        "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": prompt + completion,
    }  # fmt: skip


def _fail(batch: _Batch, code: str, message: str, line: int | None = None, param: str | None = None) -> None:
    batch.errors.append({"code": code, "message": message, "line": line, "param": param})


def _metadata(value: Any) -> dict[str, str] | None:
    """At most 16 pairs of at most 64 and 512 characters, as the API has it."""
    if value is None:
        return None
    fits = (
        isinstance(value, dict)
        and len(value) <= 16
        and all(isinstance(v, str) and len(k) <= 64 and len(v) <= 512 for k, v in value.items())
    )
    if not fits:
        raise BadRequestError(
            "Invalid 'metadata': expected at most 16 pairs, keys of at most 64 and values of at most 512 characters.",
            "metadata",
        )
    metadata: dict[str, str] = value
    return metadata
