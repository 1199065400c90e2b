"""What a request asks: the body of a chat completion or of a response, read once."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from rs_gpt4v_conversion.gpt4v.records import STAGES, Stage
from rs_gpt4v_conversion.gpt4v.schemas import ANSWERS
from rs_gpt4v_conversion.gpt4v.stub.counting import body_digest

Endpoint = Literal["/v1/chat/completions", "/v1/responses"]

ENDPOINTS: tuple[Endpoint, ...] = ("/v1/chat/completions", "/v1/responses")

IMAGE_TOKENS = 255
"""Of any image, whatever its size."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A request for a model's answer."""

    endpoint: Endpoint
    digest: str  # of the body, see `body_digest`
    model: str
    system: str  # parts of text with a line end between
    user: str  # likewise
    images: int
    stage: Stage | None  # as the name of its JSON schema says, or the example of an answer in the prompt
    most_tokens: int | None  # of the answer

    @property
    def tokens(self) -> int:
        """Of text and images: a quarter of the characters, and a fixed number an image."""
        return (len(self.system) + len(self.user)) // 4 + IMAGE_TOKENS * self.images


class BadRequestError(Exception):
    """A body that the vendor's API would not take.

    Args:
        message: For a person.
        param: The part of the body that is wrong.
        code: Of the error, where the API has one.
        status: Of HTTP.
    """

    def __init__(self, message: str, param: str | None = None, code: str | None = None, status: int = 400) -> None:
        super().__init__(message)
        self.message, self.param, self.code, self.status = message, param, code, status


def read_ask(endpoint: Endpoint, body: Any) -> Ask:
    """Read a body.

    Raises:
        BadRequestError: It lacks something that the endpoint needs, or has another type there.
    """
    if not isinstance(body, dict):
        raise BadRequestError(f"The body is a JSON {type(body).__name__}, expected an object.")
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise BadRequestError("Missing required parameter: 'model'.", "model", "missing_required_parameter")
    if body.get("stream"):
        raise BadRequestError("This server does not stream.", "stream", "unsupported_parameter")
    chat = endpoint == "/v1/chat/completions"
    parts = list(_parts(_messages(body, "messages" if chat else "input"), chat))
    if not chat and isinstance(body.get("instructions"), str):
        parts.insert(0, ("system", body["instructions"]))
    system, user = ("\n".join(text for kind, text in parts if kind == name) for name in ("system", "user"))
    return Ask(
        endpoint=endpoint,
        digest=body_digest(body),
        model=model,
        system=system,
        user=user,
        images=sum(kind == "image" for kind, _ in parts),
        stage=_stage(body, chat) or _exemplified(system + user),
        most_tokens=_most_tokens(body, chat),
    )


def _messages(body: dict[str, Any], name: str) -> list[Any]:
    messages = body.get(name)
    if isinstance(messages, str) and name == "input":
        return [{"role": "user", "content": messages}]
    if not isinstance(messages, list) or not messages:
        raise BadRequestError(f"Missing required parameter: '{name}'.", name, "missing_required_parameter")
    return messages


def _parts(messages: list[Any], chat: bool) -> Iterator[tuple[str, str]]:
    """`system` or `user` and a part's text, or `image` and nothing."""
    kinds = {"text": "text", "image_url": "image"} if chat else {"input_text": "text", "input_image": "image"}
    name = "messages" if chat else "input"
    for i, message in enumerate(messages):
        content = message.get("content") if isinstance(message, dict) else None
        role = "user" if content is None or message.get("role") == "user" else "system"
        if isinstance(content, str):
            yield role, content
            continue
        if not isinstance(content, list):
            raise BadRequestError("Expected text or a list of parts.", f"{name}[{i}].content", "invalid_type")
        for j, part in enumerate(content):
            kind = kinds.get(part.get("type", "")) if isinstance(part, dict) else None
            if kind is None or (kind == "text" and not isinstance(part.get("text"), str)):
                raise BadRequestError("Unknown kind of part.", f"{name}[{i}].content[{j}]", "invalid_value")
            yield (role, part["text"]) if kind == "text" else ("image", "")


def _stage(body: dict[str, Any], chat: bool) -> Stage | None:
    form = body.get("response_format") if chat else (body.get("text") or {}).get("format")
    if not isinstance(form, dict) or form.get("type") != "json_schema":
        return None
    name = (form.get("json_schema") or {}).get("name") if chat else form.get("name")
    return next((stage for stage in STAGES if stage == name), None)


def _exemplified(prompt: str) -> Stage | None:
    """The stage whose answer begins as an example in the prompt does."""
    return next((s for s, model in ANSWERS.items() if f'{{"{next(iter(model.model_fields))}":' in prompt), None)


def _most_tokens(body: dict[str, Any], chat: bool) -> int | None:
    for name in ("max_completion_tokens", "max_tokens") if chat else ("max_output_tokens",):
        value = body.get(name)
        if value is None:
            continue
        if not isinstance(value, int) or value < 1:
            raise BadRequestError(f"Invalid '{name}': expected a whole number of at least 1.", name, "invalid_value")
        return value
    return None
