"""The endpoints: a call becomes a reply; nothing here knows of sockets."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from rs_gpt4v_conversion.gpt4v.stub.asking import ENDPOINTS, BadRequestError, Endpoint, read_ask
from rs_gpt4v_conversion.gpt4v.stub.batches import Batches
from rs_gpt4v_conversion.gpt4v.stub.completing import CREATED, complete, error
from rs_gpt4v_conversion.gpt4v.stub.counting import Counters
from rs_gpt4v_conversion.gpt4v.stub.faults import ANSWER, NO_FAULTS, TRANSPORT, Fault, Faults, share_of
from rs_gpt4v_conversion.gpt4v.stub.files import Files, StoredFile
from rs_gpt4v_conversion.gpt4v.stub.rate import RateLimit


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How a stub behaves."""

    seed: int = 0
    latency: float = 0.05  # seconds that a model's answer takes
    faults: Faults = NO_FAULTS
    batch_seconds: float = 2.0  # from a batch's creation to its end
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    long: float = 3600.0  # seconds that the fault `timeout` takes
    pause: float = 0.002  # seconds between two bytes of the fault `slow`
    retry_after: float = 1.0  # seconds that the fault `rate_limit_after` asks for
    most_lines: int = 50_000  # of a batch
    most_bytes: int = 200_000_000  # of a batch's input file
    most_upload: int = 512_000_000  # bytes of any file
    models: tuple[str, ...] = ("gpt-4o-2024-11-20",)  # that are listed; any other is answered as well


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request over HTTP."""

    method: str
    path: str  # without the query
    query: dict[str, str]
    authorization: str = field(repr=False)  # the header, never kept
    content_type: str
    body: bytes = b""
    upload: Path | None = None  # the body, where it is a form


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What goes back, and in what manner."""

    status: int
    body: bytes | StoredFile
    headers: dict[str, str] = field(default_factory=dict)
    wait: float = 0.0  # seconds before it is sent
    manner: Literal["whole", "slow", "cut"] = "whole"

    @property
    def size(self) -> int:
        """Bytes of the body."""
        return self.body.size if isinstance(self.body, StoredFile) else len(self.body)


class Api:
    """The endpoints of one server.

    Args:
        settings: How it behaves.
        folder: For uploaded files.
    """

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.settings = settings
        self.counters = Counters()
        self.files = Files(folder)
        self._batches = Batches(
            self.files, self.counters, settings.faults, seed=settings.seed, seconds=settings.batch_seconds,
            most_lines=settings.most_lines, most_bytes=settings.most_bytes,
        )  # fmt: skip
        self._limit = RateLimit(settings.requests_per_minute, settings.tokens_per_minute)
        self._routes: list[tuple[str, re.Pattern[str], Callable[[Call, str], Reply]]] = [
            (method, re.compile(path.replace("*", "([^/]+)")), function)
            for method, path, function in (
                ("GET", "/v1/models", self._models),
                ("GET", "/v1/models/*", self._model),
                ("POST", "/v1/files", self._upload),
                ("GET", "/v1/files", self._list_files),
                ("GET", "/v1/files/*", self._file),
                ("DELETE", "/v1/files/*", self._delete),
                ("GET", "/v1/files/*/content", self._content),
                ("POST", "/v1/batches", self._create),
                ("GET", "/v1/batches", self._list_batches),
                ("GET", "/v1/batches/*", self._batch),
                ("POST", "/v1/batches/*/cancel", self._cancel),
            )
        ]

    def handle(self, call: Call) -> Reply:
        """Answer a call."""
        self.counters.call(f"{call.method} {_without_ids(call.path)}", _size(call))
        try:
            if not re.fullmatch(r"Bearer \S+", call.authorization):
                raise BadRequestError("You didn't provide an API key.", code="invalid_api_key", status=401)
            endpoint = next((e for e in ENDPOINTS if e == call.path), None)
            if endpoint is not None and call.method == "POST":
                return self._complete(call, endpoint)
            return self._route(call)
        except BadRequestError as problem:
            return _json(problem.status, error(problem.message, param=problem.param, code=problem.code))

    def _complete(self, call: Call, endpoint: Endpoint) -> Reply:
        ask = read_ask(endpoint, _parsed(call))
        attempt = self.counters.see(ask.digest)
        fault = self.settings.faults.drawn(ANSWER | TRANSPORT, ask.digest, attempt)
        early = self._early(fault, ask.digest, attempt)
        if early is not None:
            return early
        completed = complete(ask, fault)
        wait = self._limit.admit(completed.prompt_tokens + completed.completion_tokens)
        if wait > 0:
            return _limited({"retry-after-ms": str(int(wait * 1000) + 1)})
        if completed.status == 200:
            self.counters.bill(ask.digest)
        reply = _json(completed.status, completed.body)
        return self._spoilt(replace(reply, wait=self.settings.latency), fault)

    def _route(self, call: Call) -> Reply:
        known = [(method, match, function) for method, path, function in self._routes
                 if (match := path.fullmatch(call.path))]  # fmt: skip
        if not known:
            raise BadRequestError(f"Unknown request URL: {call.method} {call.path}.", code="unknown_url", status=404)
        for method, match, function in known:
            if method == call.method:
                key = f"{call.method} {call.path}"
                attempt = self.counters.attempt(key)
                fault = self.settings.faults.drawn(TRANSPORT, key, attempt)
                early = self._early(fault, key, attempt)
                return early or self._spoilt(function(call, match[1] if match.groups() else ""), fault)
        raise BadRequestError(f"{call.path} does not take {call.method}.", code="method_not_allowed", status=405)

    def _early(self, fault: Fault | None, key: str, attempt: int) -> Reply | None:
        """What a fault makes of a call before anything is done."""
        either = share_of("either", self.settings.seed, key, attempt) < 0.5
        if fault is Fault.RATE_LIMIT:
            return _limited({})
        if fault is Fault.RATE_LIMIT_AFTER:
            seconds = self.settings.retry_after
            return _limited({"retry-after": f"{seconds:g}"} if either else {"retry-after-ms": f"{1000 * seconds:g}"})
        if fault is Fault.SERVER_ERROR:
            return _json(500 if either else 503, error("The server had an error.", kind="server_error"))
        return None

    def _spoilt(self, reply: Reply, fault: Fault | None) -> Reply:
        """What a fault makes of a reply on its way."""
        if fault is Fault.TIMEOUT:
            return replace(reply, wait=self.settings.long)
        if fault is Fault.SLOW:
            return replace(reply, manner="slow")
        return replace(reply, manner="cut") if fault is Fault.CUT else reply

    def _models(self, call: Call, _: str) -> Reply:
        return _json(200, {"object": "list", "data": [_model(name) for name in self.settings.models]})

    def _model(self, call: Call, name: str) -> Reply:
        return _json(200, _model(name))

    def _upload(self, call: Call, _: str) -> Reply:
        if call.upload is None:
            raise BadRequestError("Expected a body of multipart/form-data.", "file")
        return _json(200, self.files.upload(call.content_type, call.upload).described())

    def _list_files(self, call: Call, _: str) -> Reply:
        return _json(200, _page([file.described() for file in self.files.all()], call.query, 10_000))

    def _file(self, call: Call, file_id: str) -> Reply:
        return _json(200, self.files.get(file_id).described())

    def _delete(self, call: Call, file_id: str) -> Reply:
        self.files.remove(file_id)
        return _json(200, {"id": file_id, "object": "file", "deleted": True})

    def _content(self, call: Call, file_id: str) -> Reply:
        headers = {"content-type": "application/octet-stream"}
        return Reply(status=200, body=self.files.get(file_id), headers=headers)

    def _create(self, call: Call, _: str) -> Reply:
        return _json(200, self._batches.create(_parsed(call)))

    def _list_batches(self, call: Call, _: str) -> Reply:
        return _json(200, _page(self._batches.all(), call.query, 20))

    def _batch(self, call: Call, batch_id: str) -> Reply:
        return _json(200, self._batches.described(batch_id))

    def _cancel(self, call: Call, batch_id: str) -> Reply:
        return _json(200, self._batches.cancel(batch_id))


def _json(status: int, value: Any, headers: dict[str, str] | None = None) -> Reply:
    body = json.dumps(value, ensure_ascii=False).encode()
    return Reply(status=status, body=body, headers={"content-type": "application/json", **(headers or {})})


def _limited(headers: dict[str, str]) -> Reply:
    return _json(429, error("Rate limit reached.", kind="requests", code="rate_limit_exceeded"), headers)


def _parsed(call: Call) -> Any:
    try:
        return json.loads(call.body)
    except ValueError:
        raise BadRequestError("The body of the request is not valid JSON.") from None


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": CREATED, "owned_by": "stub"}


def _page(items: Sequence[dict[str, Any]], query: dict[str, str], default: int) -> dict[str, Any]:
    """A page of a list, after the item that the query names."""
    try:
        limit = int(query.get("limit", default))
    except ValueError:
        limit = 0
    if limit < 1:
        raise BadRequestError("Invalid 'limit': expected a whole number of at least 1.", "limit")
    ids = [item["id"] for item in items]
    after = query.get("after")
    if after is not None and after not in ids:
        raise BadRequestError(f"Invalid 'after': nothing with the id '{after}'.", "after")
    start = 0 if after is None else ids.index(after) + 1
    page = items[start : start + limit]
    return {
        "object": "list", "data": page, "first_id": page[0]["id"] if page else None,
        "last_id": page[-1]["id"] if page else None, "has_more": start + limit < len(items),
    }  # fmt: skip


def _without_ids(path: str) -> str:
    return re.sub(r"^(/v1/(?:files|batches|models)/)[^/]+", r"\1*", path)


def _size(call: Call) -> int:
    return len(call.body) if call.upload is None else call.upload.stat().st_size
