"""One call of the server after the other, repeated where that may help."""

import time
from collections.abc import Callable
from typing import TypeVar

from rs_gpt4v_conversion.errors import UsageError
from rs_gpt4v_conversion.gpt4v.live import policy
from rs_gpt4v_conversion.gpt4v.live.client import Server
from rs_gpt4v_conversion.gpt4v.live.policy import Failure

T = TypeVar("T")
RETRIES = 6


class CallError(UsageError):
    """A call that brought nothing, after all its repeats.

    Attributes:
        failure: The last one.
    """

    def __init__(self, server: Server, failure: Failure, what: str) -> None:
        text = failure.fatal or f"{server.url}: {what} failed: {failure.message}; run the same command again later"
        super().__init__(server.hide(text))
        self.failure = failure


def call(server: Server, what: str, function: Callable[[], T], *, retries: int = RETRIES) -> T:
    """Call, and call again after failures that may pass.

    Args:
        server: Who is called.
        what: What is done, for messages.
        function: The call.
        retries: Repeats at most.

    Raises:
        CallError: It failed for good.
    """
    import httpx2
    import openai

    attempt = 0
    while True:
        attempt += 1
        try:
            return function()
        except openai.APIStatusError as error:
            content = server.hide_bytes(error.response.content)
            failure = policy.refused(error.status_code, error.response.headers, content, server.url)
        except (openai.APITimeoutError, httpx2.TimeoutException):
            failure = Failure(kind="timeout", message="no answer in time", again=True)
        except (openai.APIConnectionError, httpx2.HTTPError) as error:
            failure = Failure(kind="connection", message=f"{error.__cause__ or error}", again=True)
        if failure.fatal or not failure.again or attempt > retries:
            raise CallError(server, failure, what) from None
        time.sleep(policy.pause(attempt, failure.wait))
