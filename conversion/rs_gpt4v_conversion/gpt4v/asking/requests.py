"""One request in the OpenAI batch form: its body, its id and its line in a request file.

The id is `<stage>-` and 32 hex digits of the SHA-256 of the body in canonical form, in which the image's own SHA-256
stands for its bytes: the same question about the same image has the same id on every machine, and in every round.
A canonical form has its keys in order and no spaces, so that neither matters to the id.

A line is pure ASCII (other letters as JSON escapes): no reader can take a sign within it for the end of a line.
"""

import binascii
import hashlib
import json
import os
import re
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Protocol

from rs_gpt4v_conversion.config import Detail, Generation, Structured
from rs_gpt4v_conversion.errors import UsageError
from rs_gpt4v_conversion.gpt4v.asking.tokens import (
    A_MESSAGE,
    GPT_4O,
    ImageRule,
    image_tokens,
    schema_tokens,
    text_tokens,
)
from rs_gpt4v_conversion.gpt4v.listing import listed, listing_digest
from rs_gpt4v_conversion.gpt4v.records import STAGES, Facts, Request, Stage, Subject
from rs_gpt4v_conversion.gpt4v.schemas import json_schema
from rs_gpt4v_conversion.images import ReleaseImage
from rs_gpt4v_conversion.records import BoxForm

URL = "/v1/chat/completions"

LEAST_ROOM = 1024
"""Tokens that an answer may have at least: a short one that needs a little more is not cut off."""

ROOM = 4
"""Times the expected length that an answer may have."""

_MIMES = {".jpg": "image/jpeg", ".png": "image/png"}
_SECRET_NAMES = re.compile(
    r"(.*_)?(api_?key|authorization|headers?|password|secret|access_token|bearer)", re.IGNORECASE
)
_SECRET_VALUES = re.compile(r"(?i:bearer )|sk-[\w-]{16}")


class Rendered(Protocol):
    """The words of a question, as prompts/ render them."""

    @property
    def prompt(self) -> str:
        """`<id>/<version>`."""

    @property
    def system(self) -> str:
        """The system message."""

    @property
    def user(self) -> str:
        """The text that follows the image."""

    @property
    def answer_tokens(self) -> int:
        """Tokens that are expected of the answer."""


def custom_id(stage: Stage, canonical_body: str, image_sha256: str) -> str:
    """The id of a request, 32 hex digits behind its stage.

    Args:
        stage: Of the question.
        canonical_body: See `canonical`; without the image.
        image_sha256: Of the image's bytes, hex.
    """
    return f"{stage}-{hashlib.sha256(f'{canonical_body}{image_sha256}'.encode()).hexdigest()[:32]}"


def canonical(body: Mapping[str, Any]) -> str:
    """A body in the form from which its id is made."""
    return json.dumps(body, sort_keys=True, separators=(",", ":"))


def make_request(
    subject: Subject, stage: Stage, rendered: Rendered, image: ReleaseImage, generation: Generation, boxes: BoxForm,
    round: int, rule: ImageRule = GPT_4O,
) -> tuple[Request, bytes]:  # fmt: skip
    """Make a request.

    Args:
        subject: What is asked about.
        stage: Of the question.
        rendered: The question.
        image: As a release holds it.
        generation: Who is asked, and how.
        boxes: How the question writes boxes.
        round: 1 for a question that was not asked before.
        rule: How the model counts images.

    Returns:
        The request as an index describes it, and its line with the line end.
    """
    frame = _frame(
        stage, rendered.system, rendered.answer_tokens, generation.model, generation.detail, generation.structured,
        json.dumps(generation.parameters),
    )  # fmt: skip
    user = json.dumps(rendered.user)
    before, between, after = frame.canonical
    name = custom_id(stage, f"{before}{image.image_sha256}{between}{user}{after}", image.image_sha256)
    before, between, after = frame.body
    line = b"".join((
        f'{{"custom_id":"{name}","method":"POST","url":"{URL}","body":{before}'.encode(),
        f"data:{_MIMES[image.suffix]};base64,".encode(),
        binascii.b2a_base64(image.data, newline=False),
        f"{between}{user}{after}}}\n".encode(),
    ))  # fmt: skip
    tokens = (
        frame.system_tokens + text_tokens(rendered.user) + 2 * A_MESSAGE
        + (schema_tokens(_schema(stage)) if generation.structured == "json_schema" else 0)
        + image_tokens(rule, image.width, image.height, generation.detail)
    )  # fmt: skip
    request = Request(
        custom_id=name,
        record=subject.record,
        stage=stage,
        prompt=rendered.prompt,
        boxes=boxes,
        model=generation.model,
        image_sha256=image.image_sha256,
        width=image.width,
        height=image.height,
        round=round,
        bytes=len(line),
        tokens=tokens,
        answer_tokens=rendered.answer_tokens,
        scale=image.scale,
        listing=listing_digest(subject.facts),
    )
    return request, line


@dataclass(frozen=True, slots=True, kw_only=True)
class _Frame:
    """What the bodies of many requests have in common: what stands before the image, then before the user's text."""

    body: tuple[
        str, str, str
    ]  # as a line has it: the image's place is within a string, the text's takes its quotes too
    canonical: tuple[str, str, str]
    system_tokens: int


_IMAGE, _USER = secrets.token_hex(16), secrets.token_hex(16)
"""Marks of the two places, drawn anew in each process: no text has them."""


@lru_cache(maxsize=256)  # a frame for each number of tokens that an answer may have
def _frame(
    stage: Stage, system: str, answer_tokens: int, model: str, detail: Detail, structured: Structured, parameters: str
) -> _Frame:
    if structured != "json_schema":  # nothing else tells the form of the answer
        system += f"\n\nAnswer with one JSON object and nothing else. It must fit this JSON schema:\n{_schema(stage)}"
    image = {"type": "image_url", "image_url": {"url": _IMAGE, "detail": detail}}
    body: dict[str, Any] = {
        "model": model,
        "messages": [
            {"role": "system", "content": system},
            {"role": "user", "content": [image, {"type": "text", "text": _USER}]},
        ],
    }
    if structured == "json_schema":
        schema = {"name": stage, "strict": True, "schema": _SCHEMAS[stage]}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    elif structured == "json_object":
        body["response_format"] = {"type": "json_object"}
    more = json.loads(parameters)
    if "max_tokens" not in more:  # the older name, which some servers know alone
        body["max_completion_tokens"] = max(LEAST_ROOM, ROOM * answer_tokens)
    body |= more
    return _Frame(
        body=_divided(json.dumps(body, separators=(",", ":"))),
        canonical=_divided(canonical(body)),
        system_tokens=text_tokens(system),
    )


def _divided(body: str) -> tuple[str, str, str]:
    before, rest = body.split(_IMAGE)
    between, after = rest.split(f'"{_USER}"')
    return before, between, after


_SCHEMAS = {stage: json_schema(stage) for stage in STAGES}


@lru_cache
def _schema(stage: Stage) -> str:
    return json.dumps(_SCHEMAS[stage], separators=(",", ":"))


def box_form(facts: Facts, wanted: BoxForm) -> BoxForm:
    """How a question writes boxes: upright where none of the objects that it lists has a rotated one."""
    turned = any(facts.objects[i].obb is not None for i in listed(facts))
    return "obb" if wanted == "obb" and turned else "hbb"


def sized(facts: Facts, image: ReleaseImage) -> Facts:
    """Facts with the size of the image whose pixels they count, where the annotations do not say it.

    It is that of the image that is sent only where this was not reduced.
    """
    if facts.width is not None and facts.height is not None:
        return facts
    return replace(facts, width=round(image.width / image.scale), height=round(image.height / image.scale))


def check_parameters(generation: Generation) -> None:
    """Refuse what may not stand in a request file: keys, and what JSON does not know.

    Raises:
        UsageError: `[gpt4v] parameters` holds such a thing. The sentence does not repeat a value.
    """
    secrets = {v for k, v in os.environ.items() if re.search(r"(API_KEY|TOKEN|SECRET)$", k) and len(v) > 7}
    for path, value in _leaves(generation.parameters, "parameters"):
        if isinstance(value, _Name):
            if _SECRET_NAMES.fullmatch(value.text.replace("-", "_")):
                raise UsageError(
                    f"[gpt4v] {path}: may not be set: parameters are written into request files, and keys and headers "
                    "must not be; `gpt4v run` and `gpt4v submit` take the key from the environment"
                )
        elif isinstance(value, str):
            if _SECRET_VALUES.match(value) or any(secret in value for secret in secrets):
                raise UsageError(
                    f"[gpt4v] {path}: looks like a key, which must not be written into request files; `gpt4v run` and "
                    "`gpt4v submit` take it from the environment"
                )
        elif not isinstance(value, bool | int | float) or value != value or value in (float("inf"), -float("inf")):
            raise UsageError(f"[gpt4v] {path}: is {value!r}, expected something that JSON can hold")


@dataclass(frozen=True, slots=True)
class _Name:
    text: str


def _leaves(node: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Names and values of a table of TOML, with where they stand."""
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield f"{path}.{key}", _Name(key)
            yield from _leaves(value, f"{path}.{key}")
    elif isinstance(node, list):
        for number, value in enumerate(node):
            yield from _leaves(value, f"{path}[{number}]")
    else:
        yield path, node
