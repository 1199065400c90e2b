"""What was fetched and may be asked for again: the last ones, up to a limit, each fetched by one thread only."""

import os
from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Event, Lock
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Shelf(Generic[K, V]):
    """Values by key, those asked for last, up to a sum of sizes. May be used from several threads, and after a fork.

    Args:
        limit: Most of all sizes together; the newest value stays even where it alone is larger.
        size: Of a value.
    """

    def __init__(self, limit: int, size: Callable[[V], int]) -> None:
        self._limit, self._size, self._sum = limit, size, 0
        self._values: OrderedDict[K, V] = OrderedDict()
        self._clear_locks()

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: K, make: Callable[[], V]) -> V:
        """Return a value; make it where it is not there. Other threads that want it wait for that."""
        while True:
            if self._process != os.getpid():  # whoever was at work on a value stayed in the process before the fork
                self._clear_locks()
            with self._lock:
                if key in self._values:
                    self._values.move_to_end(key)
                    return self._values[key]
                made = self._flights.get(key)
                if made is None:
                    self._flights[key] = Event()
            if made is None:
                return self._make(key, make)
            made.wait()  # and look again: the other thread may have failed

    def peek(self, key: K) -> V | None:
        """Return a value if it is there."""
        return self._values.get(key)

    def coming(self, key: K) -> bool:
        """Whether a value is there, or a thread of this process is making it."""
        return key in self._values or (self._process == os.getpid() and key in self._flights)

    def put(self, key: K, value: V) -> None:
        """Put a value in the place of what is there."""
        with self._lock:
            self._put(key, value)

    def _put(self, key: K, value: V) -> None:
        if key in self._values:
            self._sum -= self._size(self._values[key])
        self._values[key] = value
        self._sum += self._size(value)
        while self._sum > self._limit and len(self._values) > 1:
            self._sum -= self._size(self._values.popitem(last=False)[1])

    def _make(self, key: K, make: Callable[[], V]) -> V:
        try:
            value = make()
            with self._lock:
                self._put(key, value)
        finally:
            with self._lock:
                self._flights.pop(key).set()
        return value

    def _clear_locks(self) -> None:
        self._lock, self._flights, self._process = Lock(), dict[K, Event](), os.getpid()
