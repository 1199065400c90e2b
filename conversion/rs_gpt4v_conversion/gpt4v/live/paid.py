"""Which answers were paid for already: plain files say so, and nothing hangs on when a ledger was updated."""

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

from rs_gpt4v_conversion.gpt4v.answers.answer_files import answer_files
from rs_gpt4v_conversion.gpt4v.answers.replies import FILTERED, codes
from rs_gpt4v_conversion.gpt4v.workspace import Workspace


def paid_answers(workspace: Workspace) -> Counter[str]:
    """How many answers were paid for, by id, as far as answer files of JSON lines say."""
    count: Counter[str] = Counter()
    for answer_file in answer_files(workspace):
        with answer_file.path.open("rb") as lines:
            for line in lines:
                name = final(line)
                if name is not None:
                    count[name] += 1
    return count


def final(line: bytes) -> str | None:
    """The id of an answer after which the request is not sent again by itself; None for any other line."""
    try:
        entry = json.loads(line)
    except ValueError:
        return None  # the ledger says what is wrong with it
    if not isinstance(entry, dict) or not isinstance(entry.get("response"), dict):
        return None
    name, response = entry.get("custom_id"), entry["response"]
    status, body = response.get("status_code"), response.get("body")
    if not isinstance(name, str) or not isinstance(status, int) or not isinstance(body, dict):
        return None
    return name if is_final(status, body) else None


def is_final(status: int, body: Mapping[str, Any]) -> bool:
    """Whether the vendor answered, be it with a refusal by its filter: the same question is refused again.

    Some servers send errors with status 200.
    """
    error = body.get("error")
    if not error or body.get("choices") or body.get("output"):
        return 200 <= status < 300
    return isinstance(error, dict) and not FILTERED.isdisjoint(codes(error))
