"""What a failed attempt means: whether to ask again and when, to give this request up, or to stop everything."""

import email.utils
import json
import math
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

FIRST, LONGEST = 0.5, 60.0
"""Seconds: the longest pause before the first repeat, and before any. A server may ask for more, and gets it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """An attempt that brought no answer.

    Attributes:
        kind: A few words that count it: `429`, `timeout`, `connection`, ...
        message: What the server or the network says.
        again: Whether another attempt may bring an answer.
        wait: Seconds that the server asks for, None where it does not say.
        everyone: Whether no request should be sent until then.
        fatal: Why nothing else should be asked either; empty where it is a matter of this request.
    """

    kind: str
    message: str
    again: bool
    wait: float | None = None
    everyone: bool = False
    fatal: str = ""


def refused(status: int, headers: Mapping[str, str], body: bytes, url: str) -> Failure:
    """Judge an answer of the server whose status is 400 or more.

    Args:
        status: The status code.
        headers: Of the answer, names in any case.
        body: Of the answer.
        url: Of the server, for messages.
    """
    error = error_of(body)
    code, message = str(error.get("code") or error.get("type") or ""), str(error.get("message") or "")
    said = f"status {status}" + (f" ({code})" if code else "") + (f": {_short(message)}" if message else "")
    should = headers.get("x-should-retry")
    again = status in (408, 409, 429) or status >= 500
    if should in ("true", "false"):
        again = should == "true"
    return Failure(
        kind=str(status), message=said, again=again, wait=_asked_for(headers), everyone=status == 429,
        fatal=_fatal(status, f"{code} {error.get('type') or ''}", said, url),
    )  # fmt: skip


def _fatal(status: int, code: str, said: str, url: str) -> str:
    if "insufficient_quota" in code:
        return f"{url} says {said}; the account has no quota left: add to it or wait for the next month, and run again"
    if status == 401:
        return f"{url} does not take the key, {said}; is the right one in the environment (--key-env)?"
    if status == 403:
        return f"{url} does not allow this, {said}; may this key use this model?"
    if status == 404:
        return f"{url} does not know what is asked for, {said}; are the model of [gpt4v] and --base-url right?"
    return ""


def pause(attempt: int, wait: float | None) -> float:
    """Seconds before the next attempt: what the server asks for, or any time up to a bound that doubles.

    Args:
        attempt: How many failed, from 1.
        wait: What the server asks for.
    """
    if wait is not None:
        return wait
    return random.uniform(0.0, min(LONGEST, FIRST * 2.0 ** min(attempt, 30)))


def _asked_for(headers: Mapping[str, str]) -> float | None:
    """Seconds of `retry-after-ms` or `retry-after`, which may be a number or a date."""
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        try:
            seconds = float(headers.get(name, "")) / unit
        except ValueError:
            continue
        if math.isfinite(seconds) and seconds >= 0:
            return seconds
    date = headers.get("retry-after", "")
    try:
        return max(0.0, email.utils.parsedate_to_datetime(date).timestamp() - time.time())
    except (ValueError, TypeError):
        return None


def error_of(body: bytes) -> Mapping[str, Any]:
    """The error object of an answer, empty where there is none. Some servers leave the outer object out."""
    try:
        content = json.loads(body)
    except ValueError:
        return {}
    if not isinstance(content, dict):
        return {}
    error = content.get("error", content)
    return error if isinstance(error, dict) else {"message": str(error)}


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 300 else line[:297] + "..."
