"""A folder of requests and lines of answers to them, for tests; and a check that tells a lie by the word it holds."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from rs_gpt4v_conversion.config import Generation
from rs_gpt4v_conversion.gpt4v.answers.judging import Checks
from rs_gpt4v_conversion.gpt4v.checks import Verdict
from rs_gpt4v_conversion.gpt4v.records import Facts, Finding, Request, Stage
from rs_gpt4v_conversion.gpt4v.workspace import Workspace, index_line

TURNS = [{"question": f"What is number {k}?", "answer": f"It is {k}.", "objects": []} for k in range(5)]
KINDS = ("hypothetical", "purpose", "inference")

CONTENTS: dict[Stage, dict[str, Any]] = {
    "local": {"objects": []},
    "global": {
        "scene": "a harbor", "layout": "piers", "regions": [{"region": "center", "content": "water"}], "counts": [],
        "summary": "A harbor.",
    },
    "detail": {"description": "A harbor with two piers."},
    "conversation": {"turns": TURNS},
    "reasoning": {"items": [{**turn, "kind": kind} for turn, kind in zip(TURNS, KINDS, strict=False)]},
    "planning": {
        "goal": "Moor a ship.", "steps": [{"action": "Enter.", "needs": "the basin", "objects": []}] * 2,
        "constraints": ["The pier is short."],
    },
}  # fmt: skip
"""An answer of each stage."""


def generation(folder: Path, **changes: Any) -> Generation:
    return Generation(requests=folder, **changes)


def request(custom_id: str, record: str, stage: Stage = "detail", *, round: int = 1) -> Request:
    return Request(
        custom_id=custom_id, record=record, stage=stage, prompt=f"{stage}/1", boxes="obb", model="gpt-4o-2024-11-20",
        image_sha256="0" * 64, width=512, height=512, round=round, bytes=100, tokens=1000, answer_tokens=200,
    )  # fmt: skip


def export(folder: Path, number: int, *requests: Request) -> None:
    """Write a request file with its index; its bodies are of no matter here."""
    part = Workspace(folder).part(requests[0].stage, number)
    folder.mkdir(parents=True, exist_ok=True)
    part.path.write_text("".join(json.dumps({"custom_id": r.custom_id}) + "\n" for r in requests))
    part.index.write_text("".join(map(index_line, requests)))


def answer(custom_id: str, content: Any, finish: str = "stop", **body: Any) -> dict[str, Any]:
    """A line of a batch's output file; `content` is text, or what becomes JSON text."""
    text = content if isinstance(content, str) else json.dumps(content)
    choice = {"index": 0, "message": {"role": "assistant", "content": text, "refusal": None}, "finish_reason": finish}
    usage = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
    full = {"id": "chatcmpl-1", "model": "gpt-4o-2024-11-20", "choices": [choice], "usage": usage} | body
    response = {"status_code": 200, "request_id": "r", "body": full}
    return {"id": "batch_req_1", "custom_id": custom_id, "response": response, "error": None}


def expired(custom_id: str) -> dict[str, Any]:
    return {"custom_id": custom_id, "response": None, "error": {"code": "batch_expired", "message": "too late"}}


def lines(*values: Any) -> bytes:
    """Values as JSON lines; text as it is."""
    texts = (value if isinstance(value, str) else json.dumps(value) for value in values)
    return "".join(text + "\n" for text in texts).encode()


def add(folder: Path, name: str, content: bytes) -> Path:
    """Put a file among the answers, or add to it."""
    path = Workspace(folder).answers / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        file.write(content)
    return path


def _judge(
    stage: Stage, answer: BaseModel, facts: Facts, *, boxes: str, width: int, height: int
) -> Mapping[str, Verdict]:
    text = answer.model_dump_json()
    verdicts = {}
    for name, word in (("lie", "LIE"), ("slip", "SLIP")):
        found = text.count(word)
        findings = tuple(Finding(check=name, detail=f"says {word} of {facts.record}") for _ in range(found))
        verdicts[name] = Verdict(findings=findings, claims=found + 1, judged=found)
    return verdicts


CHECKS = Checks(severities={"lie": "error", "slip": "warn"}, judge=_judge, version="1")
"""An answer with the word LIE is held back, one with the word SLIP is not."""


def checks() -> Checks:
    return CHECKS
