"""Processes that do independent tasks: whatever one of them dies of, the others stop in good order."""

import contextlib
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from multiprocessing.connection import wait as wait_for
from typing import TypeVar

from rs_gpt4v_conversion.errors import ConversionError

Task = TypeVar("Task")
Result = TypeVar("Result")


def apart(function: Callable[[Task], Result], tasks: Sequence[Task], workers: int) -> Iterator[tuple[Task, Result]]:
    """Do tasks in processes of their own, or in this one where there is one worker or one task.

    Args:
        function: Of a module, or a `functools.partial` of one, so that it can be sent.
        tasks: In the order in which they are begun.
        workers: Processes at most.

    Yields:
        Each task with its result, in the order in which they are done.

    Raises:
        ConversionError: A worker was killed.
    """
    if workers == 1 or len(tasks) <= 1:
        for task in tasks:
            yield task, function(task)
        return
    try:
        yield from _in_processes(function, tasks, workers)
    except BrokenProcessPool:
        raise ConversionError(
            "a worker process was killed, perhaps because memory ran out; finished shards are kept: "
            "run the same command again, with fewer --workers"
        ) from None


def in_order(
    function: Callable[[Task], Result], tasks: Iterable[Task], workers: int, *, together: int = 8
) -> Generator[Result, None, None]:
    """Do a stream of small tasks in processes of their own, or in this one where there is one worker.

    Args:
        function: Of a module, or a `functools.partial` of one, so that it can be sent.
        tasks: Taken from when there is room: no more than two bundles a worker are in flight or wait to be taken.
        workers: Processes.
        together: Tasks in a bundle, which is sent at once.

    Yields:
        The results in the order of the tasks.

    Raises:
        ConversionError: A worker was killed.
    """
    if workers == 1:
        yield from map(function, tasks)
        return
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), initializer=_begin_worker)
    stream = iter(tasks)
    flying: deque[Future[list[Result]]] = deque()
    ended = False
    try:
        while flying or not ended:
            while not ended and len(flying) < 2 * workers:
                bundle = list(islice(stream, together))
                ended = not bundle
                if bundle:
                    with _interrupts_held():
                        flying.append(pool.submit(_each, function, bundle))
            if flying:
                yield from flying.popleft().result()
        pool.shutdown()
    except BrokenProcessPool:
        raise ConversionError(
            "a worker process was killed, perhaps because memory ran out; finished files are kept: "
            "run the same command again, with fewer --workers"
        ) from None
    finally:
        for process in multiprocessing.active_children() if flying else ():
            process.terminate()  # something went wrong: the rest is not wanted any more
        pool.shutdown(wait=not flying, cancel_futures=True)


def _each(function: Callable[[Task], Result], tasks: list[Task]) -> list[Result]:
    return [function(task) for task in tasks]


def _in_processes(
    function: Callable[[Task], Result], tasks: Sequence[Task], workers: int
) -> Iterator[tuple[Task, Result]]:
    # spawn: a forked child inherits pyarrow's threads in mid-air. Never multiprocessing.Pool: it waits for ever for a
    # worker that was killed.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(min(workers, len(tasks)), context, initializer=_begin_worker)
    pending: dict[Future[Result], Task] = {}
    try:
        with _interrupts_held():
            for task in tasks:
                pending[pool.submit(function, task)] = task
        while pending:
            ready, _ = wait(pending, return_when=FIRST_COMPLETED)
            for future in ready:
                yield pending.pop(future), future.result()
    finally:
        if pending:  # something went wrong: the rest is not wanted any more
            for process in multiprocessing.active_children():
                process.terminate()
        pool.shutdown(wait=not pending, cancel_futures=True)


@contextlib.contextmanager
def _interrupts_held() -> Iterator[None]:
    """Hold back Ctrl-C while the pool starts: in the midst of that it cannot be stopped in good order.

    The mask is for the workers, which inherit it and are deaf to Ctrl-C while they import, which saves their
    tracebacks; here another thread would still take the signal, so that its handler has to wait as well.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread is ever interrupted
        return
    arrived: list[int] = []
    handler = signal.signal(signal.SIGINT, lambda number, _: arrived.append(number))
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        signal.signal(signal.SIGINT, handler)
    if arrived:
        raise KeyboardInterrupt


def _begin_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends a worker without a traceback
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A worker whose parent was killed would wait for tasks for ever: it holds an end of their pipe itself."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait_for([parent.sentinel])
        os._exit(1)
