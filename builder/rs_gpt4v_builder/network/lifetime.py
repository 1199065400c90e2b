"""Threads that end when the process does.

The interpreter waits, at its end, for every thread that is no daemon, and a daemon that is in the middle of something
may abort the whole process. So ours are no daemons, and are told to end as soon as the interpreter begins to.
"""

import contextlib
import os
import threading
from typing import Protocol
from weakref import WeakSet

LOOK = 0.2
"""Seconds between two looks at whether there is still something to be closed."""


class Closable(Protocol):
    """What has threads."""

    def close(self) -> None:
        """Tell them to end; does not wait."""


_open: WeakSet[Closable] = WeakSet()
_lock = threading.RLock()  # a garbage collection may come here from within
_watcher: threading.Thread | None = None
_ended = threading.Event()


def ending() -> bool:
    """Whether the interpreter is at its end."""
    return _ended.is_set() or not threading.main_thread().is_alive()


def track(thing: Closable) -> None:
    """Close `thing` when the process ends, unless `untrack` comes first."""
    global _watcher
    with _lock:
        _open.add(thing)
        if _watcher is None or not _watcher.is_alive():  # after a fork there is none
            _watcher = threading.Thread(target=_watch, name="rs-gpt4v watcher")
            _watcher.start()


def untrack(thing: Closable) -> None:
    """Take back `track`."""
    with _lock:
        _open.discard(thing)


def _watch() -> None:
    """Wait for the end of the main thread; go when there is nothing to be closed."""
    global _watcher
    main = threading.main_thread()
    while True:
        main.join(LOOK)
        with _lock:
            if ending() or not _open:
                _watcher = None
                break
    _close()


def _close() -> None:
    with _lock:
        things = list(_open) if ending() else []
    for thing in things:
        thing.close()


def _at_end() -> None:
    _ended.set()
    _close()


def _forget() -> None:
    """Begin anew in a process that was forked: the threads are elsewhere."""
    global _lock, _watcher
    _lock, _watcher = threading.RLock(), None
    _open.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)

# The interpreter calls this before it waits for threads, also for those of an executor, which may wait for ours. It is
# no public name, so nothing but that case depends on it: else the watcher sees the main thread's end a moment later.
_register = getattr(threading, "_register_atexit", None)
if _register is not None:
    import concurrent.futures.thread  # noqa: F401  # registered before ours, so called after it

    with contextlib.suppress(RuntimeError):  # too late, the interpreter is at its end
        _register(_at_end)
