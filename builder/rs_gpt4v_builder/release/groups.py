"""Images that are no byte range of their file (compressed, or otherwise encoded), read by whole row groups."""

from collections import OrderedDict
from threading import Lock
from typing import Any

from rs_gpt4v_builder.release.parquet import IMAGE_LEAF, read_footer, read_group
from rs_gpt4v_builder.release.store import Store

GROUPS = 4
"""Row groups that are kept: at most 32 MB of images each in our own files."""


class GroupImages:
    """The images of a few row groups, those that were asked for last."""

    def __init__(self, store: Store) -> None:
        self._store, self._lock = store, Lock()
        self._footers: dict[str, Any] = {}
        self._groups: OrderedDict[tuple[str, int], Any] = OrderedDict()

    def image(self, shard: str, group: int, row: int) -> bytes | None:
        """Return the image of one row, None where it is null."""
        with self._lock:
            key = shard, group
            if key not in self._groups:
                if shard not in self._footers:
                    self._footers[shard] = read_footer(self._store, shard)
                table = read_group(self._store, shard, self._footers[shard], group, [IMAGE_LEAF])
                self._groups[key] = table["image"].combine_chunks().field("bytes")
                if len(self._groups) > GROUPS:
                    self._groups.popitem(last=False)
            self._groups.move_to_end(key)
            found: bytes | None = self._groups[key][row].as_py()
        return found
