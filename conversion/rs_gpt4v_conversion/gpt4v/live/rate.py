"""Requests and tokens a minute, held smoothly: a minute's worth is spread over the minute, not spent at its start."""

import asyncio
import time
from collections.abc import Callable

_LATE = 0.1
"""Seconds of unused rate that may be made up: sleepers wake up late, and the rate should not fall for it."""


class Pace:
    """One limit: each unit takes its share of a minute, and the next may begin where the last ended."""

    def __init__(self, per_minute: float, now: float) -> None:
        self.seconds = 60.0 / per_minute  # that one unit takes
        self.free = now  # when the next unit may begin

    def wait(self, now: float) -> float:
        """Seconds until something may begin."""
        return max(0.0, self.free - now)

    def take(self, units: float, now: float) -> None:
        """Something of so many units begins."""
        self.free = max(self.free, now - _LATE) + units * self.seconds


class Rate:
    """Both limits, and the pauses that a server asks for. One coroutine waits for them.

    Args:
        requests: A minute, None is no limit.
        tokens: A minute, None is no limit.
        clock: Tells the time in seconds.
    """

    def __init__(
        self, requests: float | None, tokens: float | None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.clock = clock
        self.requests = None if requests is None else Pace(requests, clock())
        self.tokens = None if tokens is None else Pace(tokens, clock())
        self.closed_until = clock()

    def close(self, seconds: float) -> None:
        """Let nothing begin for so long."""
        self.closed_until = max(self.closed_until, self.clock() + seconds)

    async def begin(self, tokens: int) -> None:
        """Return when a request of so many tokens may begin."""
        while (wait := self._wait(self.clock())) > 0:
            await asyncio.sleep(wait)  # after which a server may have asked for another pause
        now = self.clock()
        if self.requests is not None:
            self.requests.take(1, now)
        if self.tokens is not None:
            self.tokens.take(tokens, now)

    def _wait(self, now: float) -> float:
        paces = [pace.wait(now) for pace in (self.requests, self.tokens) if pace is not None]
        return max([self.closed_until - now, *paces])
