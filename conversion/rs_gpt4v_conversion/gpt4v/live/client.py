"""The server that is asked, and the key to it, which comes from the environment and goes nowhere but to the server."""

import contextlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from rs_gpt4v_conversion.errors import UsageError
from rs_gpt4v_conversion.files import TEMPORARY

if TYPE_CHECKING:
    import openai

OPENAI = "https://api.openai.com/v1"
KEY = "OPENAI_API_KEY"
REMOVED = "[key removed]"
_LOCAL = ("localhost", "127.0.0.1", "::1", "0.0.0.0")
_NO_KEY = "none"  # what a server on this machine gets where there is no key: the SDK wants one
_LEAST = 8  # characters of a key: a shorter one is found in texts by chance


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """An address and the key to it.

    Attributes:
        url: With the version in it, such as `https://api.openai.com/v1`.
    """

    url: str
    key: str = field(repr=False)

    def hide(self, text: str) -> str:
        """A text without the key: for messages."""
        return text.replace(self.key, REMOVED) if self.key != _NO_KEY else text

    def hide_bytes(self, content: bytes) -> bytes:
        """A server's words without the key: for files. They are as they came where the key is not in them."""
        if self.key == _NO_KEY:
            return content
        for form in {self.key, json.dumps(self.key)[1:-1]}:
            content = content.replace(form.encode(), REMOVED.encode())
        return content


def server(base_url: str | None, key_env: str | None) -> Server:
    """Find the address and the key.

    Args:
        base_url: As the user names it; None: OPENAI_BASE_URL, or OpenAI's.
        key_env: The environment variable that holds the key; None: OPENAI_API_KEY, which a server on this machine
            does not need.

    Raises:
        UsageError: The address is none, or holds a password; the variable is empty, or holds no key.
    """
    url = base_url or os.environ.get("OPENAI_BASE_URL") or OPENAI
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        parts, host = urlsplit(""), None
    if parts.scheme not in ("http", "https") or not host:
        raise UsageError(f"--base-url {url!r} is no address of a server, expected one such as {OPENAI}")
    if parts.username is not None or parts.query or parts.fragment:
        raise UsageError(
            "--base-url holds a name, a password or a query, which would be written down with it; expected the bare "
            "address, and the key in the environment (--key-env)"
        )
    name = key_env or KEY
    key = os.environ.get(name, "").strip()
    if not key and (key_env is not None or host not in _LOCAL):
        raise UsageError(f"the environment variable {name} is empty; it should hold the key to {url}")
    if key and (len(key) < _LEAST or not key.isascii() or not key.isprintable() or " " in key):
        raise UsageError(f"the environment variable {name} holds no key: expected at least {_LEAST} letters and digits")
    return Server(url=url.rstrip("/"), key=key or _NO_KEY)


def sdk_is_there() -> None:
    """Make sure that the SDK can be imported.

    Raises:
        UsageError: It is not installed.
    """
    try:
        import openai  # noqa: F401
    except ImportError:
        raise UsageError(
            "the package `openai` is not installed; `pip install 'rs-gpt4v[gpt4v]'` installs it (export and import "
            "do without it)"
        ) from None


def asynchronous(server: Server, timeout: float) -> "openai.AsyncOpenAI":
    """A client that tries once: when to ask again is decided in policy.py."""
    from openai import AsyncOpenAI

    return AsyncOpenAI(api_key=server.key, base_url=server.url, timeout=timeout, max_retries=0)


def synchronous(server: Server, timeout: float) -> "openai.OpenAI":
    """A client that tries once, for one call after the other."""
    from openai import OpenAI

    return OpenAI(api_key=server.key, base_url=server.url, timeout=timeout, max_retries=0)


def hide_in_file(server: Server, path: Path) -> int:
    """Take the key out of a file of lines, if it is there; returns in how many lines it was."""
    found = 0
    with path.open("rb") as lines:
        found = sum(server.hide_bytes(line) != line for line in lines)
    if found:
        hidden = path.with_name(f"{path.name}.hidden{TEMPORARY}")
        with contextlib.ExitStack() as stack:
            source, target = stack.enter_context(path.open("rb")), stack.enter_context(hidden.open("wb"))
            target.writelines(server.hide_bytes(line) for line in source)
        hidden.replace(path)
    return found
