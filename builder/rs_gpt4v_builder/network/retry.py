"""Trying again where a network fails for a moment, and saying so clearly where it does not get better."""

import logging
import random
from collections.abc import Callable
from threading import Event
from typing import TypeVar

from rs_gpt4v_builder.errors import ReleaseError
from rs_gpt4v_builder.network.lifetime import ending

log = logging.getLogger(__name__)

TRIES = 8
"""Most times that one read is tried: about a minute with the waits between."""

FIRST_WAIT, LONGEST_WAIT, LONGEST_ASKED = 0.5, 30.0, 300.0
"""Seconds: before the second try; at most before any; at most where the server itself says how long."""

_random = random.SystemRandom()  # never the generator that a user has seeded

T = TypeVar("T")


class PassingFaultError(Exception):
    """A read failed in a way that may pass.

    Attributes:
        wait: Seconds that the server asks to wait, or None.
    """

    def __init__(self, said: str, wait: float | None = None) -> None:
        super().__init__(said)
        self.wait = wait


class StoppedError(Exception):
    """Whoever wanted the bytes wants them no more."""


def persistently(what: str, read: Callable[[], T], stop: Event) -> T:
    """Call `read` until it works: waits grow twofold, with a random part, or are what the server asks for.

    Args:
        what: The URL, for messages.
        read: Raises `PassingFaultError` where another try is worth while.
        stop: Ends the waiting.

    Raises:
        ReleaseError: It did not work in `TRIES` tries, or the server asks for more patience than `LONGEST_ASKED`.
        StoppedError: `stop` was set.
    """
    for number in range(1, TRIES + 1):
        try:
            return read()
        except PassingFaultError as fault:
            asked = fault.wait or 0.0
            if number == TRIES or asked > LONGEST_ASKED or ending():
                patience = f"; it asks to wait {asked:.0f} s" if asked > LONGEST_ASKED else ""
                raise ReleaseError(
                    f"{what} cannot be read: tried {number} times, the last answer was {fault}{patience}. Check the "
                    "network and the server's limits; what was consumed is in the stream's state, so go on later"
                ) from fault
            wait = max(asked, min(LONGEST_WAIT, FIRST_WAIT * 2 ** (number - 1)) * _random.uniform(0.5, 1.0))
            log.info("%s: %s; trying again in %.1f s", what, fault, wait)
        if stop.wait(wait):
            raise StoppedError(what)
    raise AssertionError("unreachable")
