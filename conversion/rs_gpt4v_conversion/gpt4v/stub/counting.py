"""What the stub counts, for tests of clients."""

import hashlib
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Counters:
    """Sums over a server's life. A request is known by its custom id in a batch, else by `body_digest`.

    Attributes:
        seen: How often each request arrived, whatever became of it.
        answered: How often each got a model's answer: what a vendor bills, whether or not the client received it.
        calls: How often each endpoint was called, by method and path with ids as `*`.
        statuses: HTTP statuses given.
        times: When live requests arrived, seconds of `time.monotonic`.
        peak: The largest number of live requests in flight at one time.
        received: Bytes of bodies that clients sent.
        sent: Bytes of bodies that were sent to them.
    """

    seen: Counter[str] = field(default_factory=Counter)
    answered: Counter[str] = field(default_factory=Counter)
    calls: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    times: list[float] = field(default_factory=list)
    peak: int = 0
    received: int = 0
    sent: int = 0
    _active: int = 0
    _attempts: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def see(self, key: str) -> int:
        """Count an arrival of a request; the number of this attempt, from 1."""
        with self._lock:
            self.seen[key] += 1
            return self.seen[key]

    def attempt(self, key: str) -> int:
        """The number of this attempt at something that no model answers, from 1."""
        with self._lock:
            self._attempts[key] += 1
            return self._attempts[key]

    def bill(self, key: str) -> None:
        """Count an answer to a request."""
        with self._lock:
            self.answered[key] += 1

    def call(self, name: str, received: int) -> None:
        """Count a call and the bytes of its body."""
        with self._lock:
            self.calls[name] += 1
            self.received += received

    def reply(self, status: int, sent: int) -> None:
        """Count a reply and the bytes of its body."""
        with self._lock:
            self.statuses[status] += 1
            self.sent += sent

    @contextmanager
    def in_flight(self) -> Iterator[None]:
        """Of a live request, from its arrival until its answer is sent."""
        with self._lock:
            self.times.append(time.monotonic())
            self._active += 1
            self.peak = max(self.peak, self._active)
        try:
            yield
        finally:
            with self._lock:
                self._active -= 1


def body_digest(body: dict[str, Any]) -> str:
    """What a live request is known by: 32 hex digits, the same for any order of keys and any spacing."""
    text = json.dumps(body, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:32]
