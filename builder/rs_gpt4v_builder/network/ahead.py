"""Rows that will be needed, fetched before they are, by several threads and within a limit of memory.

What is needed is known, as the order of an epoch is. So the positions to come are walked through as far as the memory
allows, each block counts how often it will be needed, and threads fetch blocks and texts in the order of their first
need. A block goes when its last planned use is over and room is wanted.
"""

import logging
import os
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Condition, Event, Thread
from weakref import WeakMethod, finalize

from rs_gpt4v_builder.errors import ReleaseError
from rs_gpt4v_builder.network.blockread import BlockReader, Content
from rs_gpt4v_builder.network.blocks import BlockTable, Span
from rs_gpt4v_builder.network.lifetime import ending, track, untrack
from rs_gpt4v_builder.network.remote import NEVER
from rs_gpt4v_builder.network.retry import StoppedError
from rs_gpt4v_builder.release.index import Lines
from rs_gpt4v_builder.release.texts import Row
from rs_gpt4v_builder.stream.order import Positions

log = logging.getLogger(__name__)

THREADS, AT_FIRST = 8, 24
"""Connections of one stream; and at its start, for the small pieces that the first rows are made of: what is asked for
at the same time costs one round trip."""

STEP, FAR = 256, 1 << 14
"""Positions that are looked up at a time, and with each call planned; and those that are planned ahead at most."""

SINGLE, SINGLE_BYTES = 32, 2 << 20
"""The images of so many first rows, up to so many bytes, are fetched one by one where their blocks are not small, so
that the first batch need not wait for whole blocks."""

SMALL = 1 << 18
"""Bytes up to which a block is small."""

Coming = Callable[[int, int], Positions]
"""Numbers of the lines of the index that positions a to below b will need."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where rows come from.

    Attributes:
        table: The blocks.
        reader: Reads one.
        limit: Bytes of images that may be in memory.
        rest: Whether more columns than `texts.TRAINING` are wanted.
    """

    table: BlockTable
    reader: BlockReader
    limit: int
    rest: bool = True


class Ahead:
    """Rows at the positions of an order, fetched ahead. May be asked from several threads.

    The threads end when all is fetched and when it is closed or forgotten. From then on rows are read when they are
    asked for; whoever waits for one at that moment gets an error. When the process ends, which begins with the end of
    its main thread, there are no more rows.

    Args:
        source: Where rows come from.
        coming: A method that says what the positions need; its object, which may own this one, is referred to weakly.
        total: Number of positions.
        threads: That fetch.
    """

    def __init__(self, source: Source, coming: Coming, total: int, *, threads: int = THREADS) -> None:
        method = WeakMethod(coming)
        self._source, self._total, self._threads = source, total, threads
        self._coming: Coming = lambda start, stop: _alive(method)(start, stop)
        self._begin()

    def rows(self, start: int, stop: int) -> list[Row]:
        """Return the rows at positions `start` to below `stop`.

        Raises:
            ReleaseError: One cannot be read, or this was closed while one was waited for.
        """
        if self._process != os.getpid():  # after a fork the threads are elsewhere
            self._begin()
        return self._work.rows(start, stop)

    def close(self) -> None:
        """Stop fetching; does not wait."""
        self._end()

    def _begin(self) -> None:
        self._process = os.getpid()
        # the threads know the work but not this object, so that they end when it is forgotten
        self._work = _Work(self._source, self._coming, self._total, self._threads)
        self._end = finalize(self, self._work.close)


def _alive(method: "WeakMethod[Coming]") -> Coming:
    found = method()
    if found is None:
        raise ReferenceError("the share that is read was deleted")
    return found


@dataclass(slots=True, eq=False)
class _Unit:
    """A block, or the texts of a row group, on its way."""

    span: Span
    bytes: int = 0
    uses: int = 0  # planned and not yet over
    ready: Event = field(default_factory=Event)
    content: Content | None = None
    error: ReleaseError | None = None
    first: bool = False  # whether the first rows need it
    stopped: bool = False  # before it was there


class _Work:
    def __init__(self, source: Source, coming: Coming, total: int, threads: int) -> None:
        self._source, self._coming, self._total = source, coming, total
        self._process, self._stop, self._changed = os.getpid(), Event(), Condition()
        self._planned = self._consumed = self._held = self._resting = 0
        self._singles = SINGLE_BYTES
        self._blocks: dict[int, _Unit] = {}  # by block; the single images of first rows by -1 - position
        self._texts: dict[tuple[str, int], _Unit] = {}
        self._idle: OrderedDict[int, _Unit] = OrderedDict()  # blocks that nothing planned needs
        self._queue: deque[tuple[_Unit, bool]] = deque()  # and whether it is texts
        self._chunks: OrderedDict[int, tuple[Positions, list[int]]] = OrderedDict()
        self._unmade: deque[tuple[str, int]] = deque()  # row groups whose texts are to be made rows
        self._making = False
        self._wanted, self._running = threads, 0

    def rows(self, start: int, stop: int) -> list[Row]:
        if ending():
            raise ReleaseError(f"{self._source.reader.store.where}: the process ends, no more rows are read")
        ahead = not self._stop.is_set()
        with self._changed:
            numbers = [int(self._chunk(position // STEP)[0][position % STEP]) for position in range(start, stop)]
            self._plan(stop, max(stop, min(SINGLE, self._total)))
            needs = [self._need(position) for position in range(start, stop)]
            self._start_threads()
            self._plan(0, self._planned + STEP)  # while the first answers are on their way
            self._start_threads()
        try:
            return self._read(needs, numbers, ahead)
        finally:
            with self._changed:
                self._let_go(needs)
                self._consumed = max(self._consumed, stop)
                self._plan(0, self._planned + STEP)
                self._start_threads()

    def _read(self, needs: list[tuple[int, _Unit]], numbers: list[int], ahead: bool) -> list[Row]:
        index = self._source.table.index
        rows = self._read_texts(needs, index.lines[numbers], ahead)
        for row, (_, unit), number in zip(rows, needs, numbers, strict=True):
            if row["image"] is not None:
                line = index.line(number)
                row["image"] = {"bytes": self._content(unit, number, ahead).image(line), "path": row["image"][0]}
        return rows

    def close(self) -> None:
        if self._process != os.getpid():  # a fork of the process that it belongs to: a lock may be held for ever
            return
        untrack(self)
        self._stop.set()
        with self._changed:
            self._queue.clear()
            self._unmade.clear()
            self._changed.notify_all()
            for unit in [*self._blocks.values(), *self._texts.values()]:
                if not unit.ready.is_set():
                    unit.stopped = True
                    unit.ready.set()
            self._blocks.clear()
            self._texts.clear()
            self._idle.clear()
            self._held = self._resting = 0
        if ending():
            self._source.reader.store.abort()

    # planning; the lock is held

    def _plan(self, least: int, most: int) -> None:
        """Plan ahead as far as the memory allows, but at least up to some position and at most up to another one."""
        while self._planned < min(most, self._total) and not self._stop.is_set():
            roomy = self._held < self._source.limit and self._planned - self._consumed < FAR
            if not roomy and self._planned >= least:
                return
            unit = self._unit(self._planned)
            unit.uses += 1
            self._planned += 1

    def _unit(self, position: int) -> _Unit:
        """The unit that a position will need; new ones are put in the queue."""
        lines, blocks = self._chunk(position // STEP)
        block = blocks[position % STEP]
        unit = self._blocks.get(block)
        span = self._source.table.span(block) if unit is None else unit.span
        first = position < SINGLE and span.ranged
        if first and span.end - span.start > SMALL and self._singles > 0:
            single = self._source.table.single(int(lines[position % STEP]))
            self._singles -= single.end - single.start
            return self._new(-1 - position, single, first=True)
        if unit is None:
            return self._new(block, span, first=first and span.end - span.start <= SMALL)
        if unit.uses == 0 and self._idle.pop(block, None) is not None:
            self._resting -= unit.bytes
            self._held += unit.bytes
        return unit

    def _new(self, key: int, span: Span, *, first: bool = False) -> _Unit:
        unit = self._blocks[key] = _Unit(span, first=first)
        unit.content = self._source.reader.cached(span)
        texts = span.shard.path, span.group
        if texts not in self._texts and not self._stop.is_set() and not self._source.reader.texts.holds(*texts):
            self._texts[texts] = _Unit(span, first=first)
            self._queue.append((self._texts[texts], True))
        if self._stop.is_set():
            unit.ready.set()
        elif unit.content is None:
            unit.bytes = span.end - span.start
            self._held += unit.bytes
            self._queue.append((unit, False))
        else:
            unit.ready.set()
        return unit

    def _need(self, position: int) -> tuple[int, _Unit]:
        """The unit of a position that is being read, and its key."""
        single = self._blocks.get(-1 - position)
        if single is not None:
            return -1 - position, single
        block = self._chunk(position // STEP)[1][position % STEP]
        unit = self._blocks.get(block)
        if unit is None:  # read a second time, or let go too early
            before = len(self._queue)
            unit = self._new(block, self._source.table.span(block))
            unit.uses += 1
            self._queue.rotate(len(self._queue) - before)  # it is needed first
        return block, unit

    def _let_go(self, needs: list[tuple[int, _Unit]]) -> None:
        for key, unit in needs:
            unit.uses = max(0, unit.uses - 1)
            if self._blocks.get(key) is not unit or key in self._idle:
                continue
            over = unit.uses == 0 and (key < 0 or self._stop.is_set())
            if unit.error is not None or over:  # after an error it is tried again
                self._held -= unit.bytes
                del self._blocks[key]
            elif unit.uses == 0:
                self._held -= unit.bytes
                self._resting += unit.bytes
                self._idle[key] = unit
        while self._idle and self._held + self._resting > self._source.limit:
            key, unit = self._idle.popitem(last=False)
            self._resting -= unit.bytes
            del self._blocks[key]

    # threads

    def _start_threads(self) -> None:
        if self._stop.is_set():
            return
        most = AT_FIRST if self._queue and self._queue[0][0].first else self._wanted
        while self._running < min(most, len(self._queue) + self._may_make()):
            if not self._running:
                track(self)
            self._running += 1
            Thread(target=self._fetch, name="rs-gpt4v fetch").start()
        self._changed.notify_all()

    def _fetch(self) -> None:
        while True:
            with self._changed:
                while not self._over() and not self._queue and not self._may_make():
                    self._changed.wait()
                if self._over():
                    self._running -= 1
                    if not self._running:
                        untrack(self)
                    return
                if self._may_make():
                    self._making, key = True, self._unmade.popleft()
                else:
                    key, (unit, texts) = None, self._queue.popleft()
            if key is not None:
                self._make(key)
            else:
                self._fetch_unit(unit, texts)

    def _over(self) -> bool:
        """Whether the thread that asks has nothing more to do."""
        if self._stop.is_set():
            return True
        if self._running > self._wanted and not (self._queue and self._queue[0][0].first):
            return True
        return not self._queue and not self._may_make() and self._planned >= self._total

    def _may_make(self) -> bool:
        """Whether texts are to be made rows now: in one thread, as it holds Python's lock, and not before the first."""
        return bool(self._unmade) and not self._making and self._consumed >= SINGLE

    def _make(self, key: tuple[str, int]) -> None:
        try:
            self._source.reader.texts.make(*key)
        except ReleaseError as error:
            log.warning("texts of %s are made row by row: %s", key[0], error)
        finally:
            with self._changed:
                self._making = False
                self._changed.notify_all()

    def _fetch_unit(self, unit: _Unit, texts: bool) -> None:
        reader, span = self._source.reader, unit.span
        try:
            if texts:
                around = self._source.table.around(span.shard, span.group)
                if reader.texts.load(span.shard.path, span.group, around, self._stop):
                    with self._changed:
                        self._unmade.append((span.shard.path, span.group))
            else:
                unit.content = reader.read(span, self._stop)
        except ReleaseError as error:
            unit.error = error
        except StoppedError:
            log.debug("stopped fetching")
        finally:
            unit.ready.set()

    # reading

    def _read_texts(self, needs: list[tuple[int, _Unit]], lines: Lines, ahead: bool) -> list[Row]:
        shards = [unit.span.shard.path for _, unit in needs]
        groups = lines["group"].tolist()
        for key in set(zip(shards, groups, strict=True)):
            unit = self._texts.get(key)
            if unit is not None:
                unit.ready.wait()
                self._texts.pop(key, None)  # it is on the shelf of texts from now on, or will be asked for again
                self._wait(unit, ahead)
        self._check(ahead)
        return self._source.reader.texts.rows(shards, groups, lines["row"].tolist(), rest=self._source.rest)

    def _content(self, unit: _Unit, number: int, ahead: bool) -> Content:
        self._wait(unit, ahead)
        if unit.content is None and self._source.reader.cache is None:
            return self._source.reader.read(self._source.table.single(number), NEVER)
        return unit.content or self._source.reader.read(unit.span, NEVER)

    def _wait(self, unit: _Unit, ahead: bool) -> None:
        if unit.ready.is_set() and unit.error is None:
            return
        unit.ready.wait()
        if unit.error is not None:
            raise unit.error
        if unit.stopped:
            self._check(ahead)

    def _check(self, ahead: bool) -> None:
        """Raise an error if this was closed since rows were asked for."""
        if ahead and self._stop.is_set():
            raise ReleaseError(f"{self._source.reader.store.where}: the stream was closed while a row was waited for")

    def _chunk(self, number: int) -> tuple[Positions, list[int]]:
        """Lines of STEP positions, and their blocks."""
        found = self._chunks.get(number)
        if found is None:
            lines = self._coming(number * STEP, min((number + 1) * STEP, self._total))
            found = self._chunks[number] = lines, self._source.table.blocks(lines).tolist()
            done = self._consumed // STEP - 1
            for old in [key for key in self._chunks if key < done]:
                del self._chunks[old]
        return found
