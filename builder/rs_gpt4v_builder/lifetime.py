"""Threads that end when the main thread does.

The interpreter waits, at its end, for every thread that is no daemon, and a daemon that is in the middle of something
may abort the whole process. So ours are no daemons, and are told to end as soon as the main thread has.
"""

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


def track(thing: Closable) -> None:
    """Close `thing` when the main thread ends, unless `untrack` comes first."""
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
    global _watcher
    main = threading.main_thread()
    while True:
        main.join(LOOK)
        with _lock:
            things = list(_open)
            if not things or not main.is_alive():
                _watcher = None
                break
    for thing in things:
        thing.close()
