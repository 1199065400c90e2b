"""The server's own rate limit: requests and tokens per minute."""

import threading
import time
from collections.abc import Callable


class RateLimit:
    """Two buckets that fill evenly and hold what may come in one second.

    Args:
        requests: Per minute; None: no limit.
        tokens: Per minute; None: no limit. A request larger than a second's tokens is let in when the bucket is full
            and paid off afterwards.
        clock: Seconds.
    """

    def __init__(
        self, requests: float | None, tokens: float | None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._lock, self._clock = threading.Lock(), clock
        self._requests = None if requests is None else _Bucket(requests, clock())
        self._tokens = None if tokens is None else _Bucket(tokens, clock())

    def admit(self, tokens: int) -> float:
        """Let a request in and return 0, or the seconds after which it would be let in."""
        with self._lock:
            now = self._clock()
            asked = [(b, n) for b, n in ((self._requests, 1), (self._tokens, tokens)) if b is not None]
            wait = max((bucket.wait(n, now) for bucket, n in asked), default=0.0)
            if wait == 0:
                for bucket, n in asked:
                    bucket.level -= n
            return wait


class _Bucket:
    def __init__(self, per_minute: float, now: float) -> None:
        self._rate = per_minute / 60
        self._size = max(1.0, self._rate)
        self.level, self._filled = self._size, now

    def wait(self, amount: float, now: float) -> float:
        self.level = min(self._size, self.level + (now - self._filled) * self._rate)
        self._filled = now
        return max(0.0, (min(amount, self._size) - self.level) / self._rate)
