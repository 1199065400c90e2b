"""`run`: asks one request after the other, many at a time, and keeps each answer as it comes.

One coroutine decides what is sent and when (a place in flight, the rate, the pauses that a server asks for); each
request in flight is a task, which writes its own line. Nothing is kept in memory but what is in flight and what waits
for a repeat, so that a kill at any moment costs the answers in flight and no other.
"""

import asyncio
import contextlib
import errno
import itertools
import json
import os
import signal
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rs_gpt4v_conversion.errors import UsageError
from rs_gpt4v_conversion.files import disk_trouble
from rs_gpt4v_conversion.gpt4v.live import policy
from rs_gpt4v_conversion.gpt4v.live.client import Server, asynchronous
from rs_gpt4v_conversion.gpt4v.live.journal import Journal, close_torn_lines, error_line, response_line
from rs_gpt4v_conversion.gpt4v.live.paid import is_final
from rs_gpt4v_conversion.gpt4v.live.plan import Known, Place, places, read
from rs_gpt4v_conversion.gpt4v.live.policy import Failure
from rs_gpt4v_conversion.gpt4v.live.rate import Rate
from rs_gpt4v_conversion.gpt4v.records import Stage
from rs_gpt4v_conversion.gpt4v.workspace import Part, Workspace
from rs_gpt4v_conversion.progress import Progress

if TYPE_CHECKING:
    import httpx2

GRACE = 30.0
"""Seconds that an interrupted run waits for answers that are paid for already."""

SYNC = 2.0
"""Seconds between two waits for the disk: a lost machine loses no more, a killed process loses nothing."""

STREAK = 20
"""Requests that fail in a row, after all their repeats, before the run stops: the server is at fault, not they."""

RESERVE = 64 << 10
"""Bytes of disk that are set aside for each request in flight."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How fast and how patiently to ask."""

    concurrency: int = 16  # requests in flight
    rpm: float | None = None  # requests a minute
    tpm: float | None = None  # tokens a minute, of questions and answers
    retries: int = 6  # repeats of a request that failed
    timeout: float = 300.0  # seconds, for a whole answer


@dataclass(slots=True, kw_only=True)
class Tally:
    """What a run did."""

    total: int  # requests that were to be asked
    answered: int = 0
    failed: Counter[str] = field(default_factory=Counter)  # requests given up, by kind of failure
    repeated: Counter[str] = field(default_factory=Counter)  # attempts that were followed by another, by kind
    prompt: int = 0  # tokens, as the server counts them
    completion: int = 0
    hidden: int = 0  # answers that held the key
    seconds: float = 0.0

    @property
    def left(self) -> int:
        """Requests that were not brought to an end."""
        return self.total - self.answered - sum(self.failed.values())


@dataclass(slots=True)
class _Job:
    place: Place
    attempts: int = 0


def ask(
    server: Server, options: Options, workspace: Workspace, parts: Sequence[Part], known: Known, tally: Tally, *,
    limit: int | None, say: Callable[[str], None],
) -> None:  # fmt: skip
    """Ask what has no answer yet. The caller holds the lock of the folder.

    Args:
        server: Who is asked.
        options: How.
        workspace: The folder.
        parts: The request files.
        known: What is not to be asked.
        tally: Is filled, also when this raises.
        limit: At most so many requests.
        say: Shows a line.

    Raises:
        UsageError: The server refuses all, the disk is full, or a request file is not what its index says.
        KeyboardInterrupt: The user ended it.
    """
    if torn := close_torn_lines(workspace):
        say(f"closed {torn} torn lines at the end of answer files; their requests are asked again")
    tally.total = sum(1 for _ in itertools.islice(places(parts, known), limit))
    if not tally.total:
        return
    progress = Progress("asking", tally.total, "requests")
    wanted = itertools.islice(places(parts, known), limit)
    try:
        with contextlib.closing(Journal(workspace, reserve=options.concurrency * RESERVE)) as journal:
            asyncio.run(Run(server, options, wanted, tally, journal, progress, say).go())
    except OSError as error:
        raise disk_trouble(error, workspace.answers) or error from None


class Run:
    """Asks requests.

    Args:
        server: Who is asked.
        options: How.
        places: What, in order.
        tally: Counts; its total is the number of places.
        journal: Where answers go.
        progress: Shows it.
        say: Shows a line.
    """

    def __init__(
        self, server: Server, options: Options, places: Iterator[Place], tally: Tally, journal: Journal,
        progress: Progress, say: Callable[[str], None],
    ) -> None:  # fmt: skip
        self.server, self.options, self.places, self.tally = server, options, places, tally
        self.journal, self.progress, self.say = journal, progress, say
        self.client = asynchronous(server, options.timeout)
        self.rate = Rate(options.rpm, options.tpm)
        self.slots = asyncio.Semaphore(options.concurrency)
        self.due: deque[_Job] = deque()  # to be repeated now
        self.resting = 0  # to be repeated later
        self.tasks: set[asyncio.Task[None]] = set()  # in flight
        self.changed = asyncio.Event()
        self.streak = 0
        self.unwritten: list[tuple[Stage, bytes]] = []  # answers for which the disk had no room
        self.trouble: BaseException | None = None  # why the run ends early
        self.sending: asyncio.Task[None] | None = None

    async def go(self) -> None:
        """Ask all, or as much as can be before something ends it.

        Raises:
            UsageError: The server refuses all, or a request file is not what its index says.
            OSError: Answers cannot be written.
            KeyboardInterrupt: The user ended it.
        """
        begun, loop = time.monotonic(), asyncio.get_running_loop()
        syncing = loop.create_task(self._sync())
        self.sending = loop.create_task(self._send())
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._interrupt)
        try:
            await asyncio.wait([self.sending])
            if self.trouble is None and not self.sending.cancelled():
                self.trouble = self.sending.exception()
            if self.tasks:
                await asyncio.wait(self.tasks, timeout=GRACE)
            for task in self.tasks:
                task.cancel()
            await asyncio.gather(*self.tasks, return_exceptions=True)
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)
            syncing.cancel()
            await asyncio.gather(syncing, return_exceptions=True)
            await self.client.close()
            self.tally.seconds = time.monotonic() - begun
            self.progress.close()
            self._write_the_rest()
        if self.trouble is not None:
            raise self.trouble

    async def _send(self) -> None:
        """Start each request when there is a place for it, and return when none is left."""
        while True:
            job = self._next()
            if job is not None:
                await self.slots.acquire()
                await self.rate.begin(job.place.tokens)
                task = asyncio.get_running_loop().create_task(self._ask(job))
                self.tasks.add(task)
                task.add_done_callback(self._done)
            elif self.tasks or self.resting:
                self.changed.clear()
                await self.changed.wait()
            else:
                return

    def _next(self) -> _Job | None:
        """What to ask now: repeats first, and nothing new while many wait for their repeat."""
        if self.due:
            return self.due.popleft()
        if self.resting > 4 * self.options.concurrency:
            return None
        place = next(self.places, None)
        return None if place is None else _Job(place)

    def _done(self, task: "asyncio.Task[None]") -> None:
        self.tasks.discard(task)
        self.slots.release()
        self.changed.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            self._stop(error)

    def _stop(self, trouble: BaseException) -> None:
        """Send nothing more. The first reason is the one that is told."""
        self.trouble = self.trouble or trouble
        if self.sending is not None:
            self.sending.cancel()

    def _interrupt(self) -> None:
        if self.trouble is None:
            self.say(
                f"stopping; waiting up to {GRACE:.0f} s for {len(self.tasks)} answers that are paid for (Ctrl-C again: "
                "at once)"
            )
            self._stop(KeyboardInterrupt())
        else:
            for task in self.tasks:
                task.cancel()

    async def _sync(self) -> None:
        while True:
            await asyncio.sleep(SYNC)
            try:
                await asyncio.to_thread(self.journal.sync)
            except OSError as error:
                self._stop(error)

    async def _ask(self, job: _Job) -> None:
        """One attempt."""
        job.attempts += 1
        url, body = read(job.place)
        failure, line = await self._attempt(job.place.request.custom_id, url.removeprefix("/v1"), body)
        if failure is None:
            self.streak = 0
            self._keep(job, line)
            self.tally.answered += 1
        elif failure.fatal:
            raise UsageError(self.server.hide(failure.fatal))
        else:
            self._failed(job, failure, line)
        self._show()

    async def _attempt(self, name: str, path: str, body: bytes) -> tuple[Failure | None, bytes]:
        """Send a request once; returns what failed, and the line that says what came."""
        import httpx2
        import openai

        try:
            async with asyncio.timeout(self.options.timeout):
                response = await self.client.post(
                    path, cast_to=httpx2.Response, content=body, options={"security": {"bearer_auth": True}}
                )
        except openai.APIStatusError as error:
            response = error.response
        except (openai.APITimeoutError, TimeoutError):
            failure = Failure(kind="timeout", message=f"no answer within {self.options.timeout:g} s", again=True)
            return failure, error_line(name, "timeout", failure.message)
        except openai.APIConnectionError as error:
            message = self.server.hide(f"{error.__cause__ or error}" or type(error.__cause__).__name__)
            failure = Failure(kind="connection", message=message, again=True)
            return failure, error_line(name, "connection_error", message)
        return self._judge(name, response)

    def _judge(self, name: str, response: "httpx2.Response") -> tuple[Failure | None, bytes]:
        """Whether a response is an answer, and its line."""
        content = self.server.hide_bytes(response.content)
        self.tally.hidden += content != response.content
        line = response_line(name, response.status_code, response.headers.get("x-request-id"), content)
        body = _object(content)
        if body is not None and is_final(response.status_code, body):
            self._count(body.get("usage"))
            return None, line
        if response.status_code >= 400:
            return policy.refused(response.status_code, response.headers, content, self.server.url), line
        if body is None:
            return Failure(kind="no JSON", message="an answer that is no JSON object", again=True), line
        return Failure(kind="error", message=str(policy.error_of(content).get("message")), again=True), line

    def _failed(self, job: _Job, failure: Failure, line: bytes) -> None:
        """Repeat it later, or give it up."""
        if failure.again and job.attempts <= self.options.retries:
            wait = policy.pause(job.attempts, failure.wait)
            if failure.everyone:
                self._close(wait)
            self.tally.repeated[failure.kind] += 1
            self.resting += 1
            asyncio.get_running_loop().call_later(wait, self._rested, job)
            return
        self._keep(job, line)
        self.tally.failed[failure.kind] += 1
        # what only the request is to blame for says nothing of the server, once that has answered another
        self.streak += failure.again or not self.tally.answered
        if self.streak >= max(STREAK, self.options.concurrency):
            raise UsageError(
                f"{self.streak} requests failed one after the other, the last with "
                f"{self.server.hide(failure.message)}; is the server at {self.server.url} in order, and does it take "
                "what [gpt4v] asks for? Failures are asked again by the same command"
            )

    def _close(self, wait: float) -> None:
        if wait >= 10.0 and self.rate.closed_until - self.rate.clock() < wait - 1.0:
            self.say(f"{self.server.url} asks for a pause of {wait:.0f} s")
        self.rate.close(wait)

    def _rested(self, job: _Job) -> None:
        self.resting -= 1
        self.due.append(job)
        self.changed.set()

    def _keep(self, job: _Job, line: bytes) -> None:
        """Write a line. Where the disk is full, what is in flight is still taken in, and nothing more is sent."""
        stage = job.place.request.stage
        try:
            self.journal.append(stage, line)
        except OSError as error:
            self.unwritten.append((stage, line))
            self._stop(error)
        if self.journal.full:
            self._stop(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))

    def _write_the_rest(self) -> None:
        """Try again what found no room: something else may have been removed from the disk."""
        try:
            for stage, line in self.unwritten:
                self.journal.append(stage, line)
        except OSError as error:
            why = os.strerror(error.errno or errno.EIO)
            raise UsageError(
                f"{self.journal.workspace.answers}: {why}; {len(self.unwritten)} answers that came last could not be "
                "written, and their requests will be asked, and paid for, again; free some space and run the same "
                "command again"
            ) from None

    def _count(self, usage: Any) -> None:
        """Add the tokens of an answer: of chat completions, or of /v1/responses."""
        if isinstance(usage, dict):
            self.tally.prompt += int(usage.get("prompt_tokens") or usage.get("input_tokens") or 0)
            self.tally.completion += int(usage.get("completion_tokens") or usage.get("output_tokens") or 0)

    def _show(self) -> None:
        tally = self.tally
        kinds = ", ".join(f"{kind} {count:,}" for kind, count in sorted((tally.failed + tally.repeated).items()))
        self.progress.note = f"{tally.prompt + tally.completion:,} tokens" + (f"; failures: {kinds}" if kinds else "")
        ended = tally.total - tally.left
        self.progress.advance(ended - self.progress.done)


def _object(content: bytes) -> dict[str, Any] | None:
    try:
        body = json.loads(content)
    except ValueError:
        return None
    return body if isinstance(body, dict) else None
