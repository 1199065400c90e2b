"""How `submit`, `poll` and `fetch` show batches."""

import json
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rs_gpt4v_conversion.cli import give, say
from rs_gpt4v_conversion.tables import counted, table

if TYPE_CHECKING:
    from rs_gpt4v_conversion.gpt4v.live.state import State
    from rs_gpt4v_conversion.gpt4v.workspace import Part

    Rows = Sequence[tuple[Part, State]]

_ENDS = ("completed_at", "expired_at", "cancelled_at", "failed_at")


def show(rows: "Rows", *, as_json: bool, hidden: int = 0, files: Sequence[str] | None = None) -> int:
    """Give a table or an object, and say what went wrong; returns 1 where a batch came to nothing."""
    if as_json:
        more = {} if files is None else {"files": list(files)}
        give(json.dumps({"batches": [_as_json(part, state) for part, state in rows], **more}, indent=2))
    elif rows:
        head = ("file", "batch", "status", "answered", "failed", "of", "elapsed")
        for line in table(head, [_cells(part, state) for part, state in rows], left=3):
            say(line.rstrip())
    else:
        say("no batches; `rs-gpt4v gpt4v submit` makes them")
    void = [(part, state) for part, state in rows if state.void]
    for part, state in void:
        for text in _errors(state):
            say(f"{part.path.name}: {state.status}: {text}")
    if void:
        say("what came to nothing is submitted again by `rs-gpt4v gpt4v submit`")
    if hidden:
        say(f"note: the server wrote the key into {counted(hidden, 'line')}; it was taken out before they were kept")
    return int(bool(void))


def _errors(state: "State") -> list[str]:
    errors = ((state.batch or {}).get("errors") or {}).get("data") or []
    texts = [
        f"{e.get('code') or 'error'}: {e.get('message') or ''}" + (f" (line {e['line']})" if e.get("line") else "")
        for e in errors
    ]
    return texts or ["the vendor gives no reason"]


def _elapsed(batch: dict[str, Any]) -> int | None:
    """Seconds since a batch was made, or until it ended."""
    begun = batch.get("created_at")
    if begun is None:
        return None
    end = next((batch[key] for key in _ENDS if batch.get(key)), None)
    return max(0, int(end if end is not None else time.time()) - int(begun))


def _cells(part: "Part", state: "State") -> list[str]:
    batch = state.batch or {}
    counts, seconds = batch.get("request_counts") or {}, _elapsed(batch)
    elapsed = "" if seconds is None else f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    numbers = ["" if counts.get(key) is None else f"{counts[key]:,}" for key in ("completed", "failed", "total")]
    return [part.path.name, str(batch.get("id") or ""), state.status, *numbers, elapsed]


def _as_json(part: "Part", state: "State") -> dict[str, Any]:
    batch = state.batch or {}
    return {
        "file": part.path.name, "batch": batch.get("id"), "status": state.status,
        "request_counts": batch.get("request_counts"), "elapsed": _elapsed(batch), "usage": batch.get("usage"),
        "errors": _errors(state) if state.void else [],
        "fetched": [file["name"] for file in state.files.values() if file["done"]],
    }  # fmt: skip
