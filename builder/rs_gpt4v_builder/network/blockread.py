"""Reading blocks: one request each, or none where the disk has it."""

from collections import OrderedDict
from collections.abc import Callable
from threading import Event, Lock
from typing import Any, Protocol

from rs_gpt4v_builder.network.blockcache import BlockCache, CachedBlock
from rs_gpt4v_builder.network.blocks import BlockTable, Span
from rs_gpt4v_builder.network.grouptext import GroupTexts
from rs_gpt4v_builder.network.remote import NEVER, RemoteStore
from rs_gpt4v_builder.network.shelf import Shelf
from rs_gpt4v_builder.release.index import NULL, Index, Line
from rs_gpt4v_builder.release.parquet import IMAGE_LEAF, read_group

KEPT = 64 << 20
"""Bytes of images that random access keeps in memory."""

NEAR, LOOKED_AT = 16, 64
"""How many lines on a row may lie from the last one that was read, to be taken for one that is read in order; and how
many places are remembered for that."""


class Content(Protocol):
    """The images of one block."""

    memory: int
    """Bytes that it takes."""

    def image(self, line: Line) -> bytes | None:
        """Return the image of one of its lines."""


class BlockReader:
    """Reads blocks of a remote release. May be used from several threads.

    Args:
        store: The release.
        texts: Its texts, which know the shards' footers.
        cache: Where blocks are kept, or None.
    """

    def __init__(self, store: RemoteStore, texts: GroupTexts, cache: BlockCache | None) -> None:
        self.store, self.texts, self.cache = store, texts, cache

    def cached(self, span: Span) -> Content | None:
        """Return a block that is on the disk, None where it is not."""
        if self.cache is None or not span.ranged or span.start == span.end:
            return None
        found = self.cache.find(span)
        return None if found is None else _OnDisk(found)

    def read(self, span: Span, stop: Event = NEVER) -> Content:
        """Read a block.

        Raises:
            ReleaseError: It cannot be read.
            StoppedError: `stop` was set.
        """
        found = self.cached(span)
        if found is not None:
            return found
        if not span.ranged:
            footer = self.texts.footer(span.shard.path, stop)
            table = read_group(self.store.until(stop), span.shard.path, footer, span.group, [IMAGE_LEAF])
            return _Column(table["image"].combine_chunks().field("bytes"))
        data = self.store.read(span.shard.path, span.start, span.end, stop) if span.end > span.start else b""
        if self.cache is not None and data:
            self.cache.put(span, data)
        return _InMemory(data, span.start)


class BlockImages:
    """Single images of a remote release, in any order.

    Whoever reads in order gets block after block; whoever jumps about gets each image by a request of its own, unless
    blocks are kept on the disk.

    Args:
        reader: Of the release's blocks.
        table: Gives the blocks of an index.
    """

    def __init__(self, reader: BlockReader, table: Callable[[Index], BlockTable]) -> None:
        self._reader, self._table, self._lock = reader, table, Lock()
        self._kept: Shelf[tuple[int, int], Content] = Shelf(KEPT, lambda content: content.memory)
        self._last: OrderedDict[int, int] = OrderedDict()

    def image(self, index: Index, number: int, line: Line) -> bytes | None:
        """Return the image of one line.

        Args:
            index: The index.
            number: Of the line.
            line: Its content.
        """
        if line.offset == NULL:
            return None
        table = self._table(index)
        block = table.block(number)
        span, key = table.span(block), (id(index), block)
        content = self._kept.peek(key) or self._reader.cached(table.single(number))
        if content is None:
            in_order = self._in_order(block, number)
            if span.ranged and not in_order and self._reader.cache is None:
                return self._reader.store.read(span.shard.path, line.offset, line.offset + line.length)
            content = self._kept.get(key, lambda: self._reader.read(span))
        return content.image(line)

    def _in_order(self, block: int, number: int) -> bool:
        with self._lock:
            last = self._last.pop(block, self._last.get(block - 1, -NEAR - 1))
            self._last[block] = number
            if len(self._last) > LOOKED_AT:
                self._last.popitem(last=False)
        return 0 < number - last <= NEAR


class _InMemory:
    def __init__(self, data: bytes, start: int) -> None:
        self._data, self._start, self.memory = data, start, len(data)

    def image(self, line: Line) -> bytes | None:
        if line.offset < 0:
            return None
        return self._data[line.offset - self._start : line.offset - self._start + line.length]


class _OnDisk:
    memory = 0

    def __init__(self, block: CachedBlock) -> None:
        self._block = block

    def image(self, line: Line) -> bytes | None:
        return None if line.offset < 0 else self._block.read(line.offset, line.offset + line.length)


class _Column:
    """Images of a whole row group, where they are no byte ranges."""

    def __init__(self, column: Any) -> None:
        self._column, self.memory = column, column.nbytes

    def image(self, line: Line) -> bytes | None:
        found: bytes | None = self._column[line.row].as_py()
        return found
