"""What a release over a network has beside its files: what came from there, kept, and the blocks of its images."""

import hashlib
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rs_gpt4v_builder.errors import ReleaseError
from rs_gpt4v_builder.network.ahead import Ahead, Coming, Source
from rs_gpt4v_builder.network.blockcache import BlockCache
from rs_gpt4v_builder.network.blockread import BlockImages, BlockReader
from rs_gpt4v_builder.network.blocks import BLOCK_BYTES, BlockSettings, BlockTable
from rs_gpt4v_builder.network.grouptext import GroupTexts
from rs_gpt4v_builder.network.remote import RemoteStore
from rs_gpt4v_builder.release.cachedir import cache_root, completed
from rs_gpt4v_builder.release.index import Index, Line

log = logging.getLogger(__name__)

INDEX = "index.parquet"


class Network:
    """The texts and images of a remote release.

    Args:
        store: Its files.
        sizes: Bytes of each shard.
        folder: Its folder in the cache.
        images: Where blocks of images are kept, or None.
    """

    def __init__(self, store: RemoteStore, sizes: Mapping[str, int], folder: Path, images: BlockCache | None) -> None:
        self.images = images
        self.texts = GroupTexts(store, sizes, folder)
        self._reader = BlockReader(store, self.texts, images)
        self._single = BlockImages(self._reader, self.table)
        self._tables: dict[tuple[int, int], BlockTable] = {}

    def table(self, index: Index, block_bytes: int = BLOCK_BYTES) -> BlockTable:
        """The blocks of one of the release's indices."""
        key = id(index), block_bytes
        if key not in self._tables:
            self._tables[key] = BlockTable.of(index, block_bytes)
        return self._tables[key]

    def image(self, index: Index, number: int, line: Line) -> bytes | None:
        """Return the image of line `number` of an index."""
        return self._single.image(index, number, line)

    def ahead(self, table: BlockTable, settings: BlockSettings, coming: Coming, total: int, *, rest: bool) -> Ahead:
        """Fetch the rows of an order ahead; see `Ahead`, and `Source` for `rest`."""
        return Ahead(Source(table, self._reader, settings.window_bytes, rest), coming, total)

    def keeps(self, size: int) -> bool:
        """Whether images of so many bytes stay on the disk once they were read."""
        return self.images is not None and (self.images.limit is None or size <= self.images.limit)


def meet(
    store: RemoteStore, root: Path, read_manifest: Callable[[], tuple[dict[str, Any], str]]
) -> tuple[dict[str, Any], str]:
    """Read the manifest of a remote release, and its index at the same time where the cache is not likely to have it.

    Args:
        store: The release's files; they learn their sizes.
        root: Folder of the caches.
        read_manifest: Returns the manifest and its digest.

    Raises:
        ReleaseError: There is no release.
    """
    seen = root / "seen" / hashlib.sha256(store.where.encode()).hexdigest()[:24]
    if not seen.exists():
        store.begin(INDEX)
    try:
        manifest, digest = read_manifest()
        shards = {shard["path"]: shard["bytes"] for shard in manifest["shards"]}
        files = manifest["files"]
        digests = {path: files[path]["sha256"] for path in (INDEX,) if path in files}
        store.learn(shards | {path: entry["bytes"] for path, entry in files.items()}, digests)
        if INDEX not in manifest["files"]:
            store.drop(INDEX)
    except BaseException:
        store.drop(INDEX)
        raise
    try:
        with completed(seen) as file:
            file.write(digest.encode())
    except ReleaseError as error:
        log.debug("%s", error)
    return manifest, digest


def open_images(where: bool | str | Path, limit: int | None, folder: Path, digest: str) -> BlockCache | None:
    """Open the cache of images that `Release(cache_images=where, cache_bytes=limit)` asks for, or none."""
    if where is False:
        return None
    return BlockCache(folder / "images" if where is True else Path(where) / digest[:24], limit)


def root_of(cache: str | Path | None) -> Path:
    """Folder of the caches."""
    return (Path(cache) if cache else cache_root()).expanduser().absolute()
