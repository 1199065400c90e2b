"""RS-GPT4V: the contract between those who make a release and those who read it.

A release is a folder (or a repository on the Hub) of ordinary Parquet files; one row is one image and one task. This
module says what is in a row (`FEATURES`), which tasks and splits there are, how the files are written so that any
version of `datasets` and any Parquet reader understands them (`arrow_schema`), where an image lies in its file
(`image_ranges`), and reads a release with `datasets` (`RSGPT4V`):

    from datasets import load_dataset
    load_dataset("rs-gpt4v", "vqa")            # the folder itself: its card names the configs

    from rs_gpt4v import RSGPT4V
    RSGPT4V.open("rs-gpt4v", "vqa").as_streaming_dataset(split="train")                   # a folder or an address
    RSGPT4V.open("hf://datasets/<name>", columns=["id", "conversations"])                 # no byte of the images

It stands at the bottom of the import graph, needs `datasets` and what that needs, and is one file with one import a
line, so that it also serves as a loading script where scripts still run (`datasets` <= 3.6).
"""

import dataclasses
import hashlib
import io
import json
import mmap
import os
import struct
import time
from collections.abc import Iterator
from typing import Any

import datasets
import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

VERSION = "0.1.0"
"""Version of this contract and of the project. A release has a version of its own, in its manifest and card."""

_string, _int32, _float32 = (
    datasets.Value("string"),
    datasets.Value("int32"),
    datasets.Value("float32"),
)

FEATURES = datasets.Features(
    {
        # `<source>/<split>/<task>/<source image id>`: the same in every version of the release
        "id": _string,
        # the source's own bytes where they are JPEG or PNG, else a lossless PNG of them; null as a whole where the
        # release may not carry them
        "image": datasets.Image(),
        # LLaVA form: `human` and `gpt` in turn, `<image>\n` at the head of the first human turn only
        "conversations": [{"from": _string, "value": _string}],
        # one entry for each question and its answer, in the order of the conversations
        "pairs": [
            {
                "category": _string,  # one of CATEGORIES[task]
                "dialogue": _int32,  # pairs with one number depend on each other in order, others are independent
                "template": _string,  # id/version of the template or prompt that made the question
                "generator": _string,  # `annotation`, or the model string that a vendor returned
                "review": _string,  # `unreviewed`, or the state that a reviewer's decision gave
                "objects": [_int32],  # positions in `objects` that the answer speaks of, in the answer's order
            }
        ],
        "task": _string,  # one of TASKS
        "source": _string,
        "modality": _string,  # optical, sar, infrared
        "objects": [
            {
                "category": _string,
                # pixels of this image, origin at its top left corner: x1 y1 x2 y2, or empty where unknown
                "bbox": [_float32],
                # x y of the four corners, clockwise in the image from the source's first corner, or empty
                "obb": [_float32],
                "difficult": datasets.Value("bool"),  # the annotators' own flag
                # a region that is not to be judged (marked so, or cut by a tile's edge): never asked about or counted
                "ignore": datasets.Value("bool"),
                # position in the source's list of its image: one object in two tiles has one number
                "number": _int32,
                # share of the object's box that lies in this image, less than 1 at the edge of a tile
                "iof": _float32,
            }
        ],
        "width": _int32,  # pixels
        "height": _int32,  # pixels
        "gsd": _float32,  # ground sampling distance in metres per pixel, null where unknown
        "image_path": _string,  # under which the paper's own files name the image
        "parent": _string,  # source image id of the image that a tile or a reduced image was made from, else empty
        "window": [_int32],  # x y w h of a tile in its parent's pixels, else empty
        "scale": _float32,  # of this image against the window, 1 where nothing was reduced
        "crs": _string,  # `EPSG:<code>` where the source is georeferenced, else empty
        "bounds": [datasets.Value("float64")],  # left bottom right top in units of `crs`, else empty
        # how the pixels were made where they are not the source's own (bands, stretch, reduction, encoder), else empty
        "rendering": _string,
        "image_sha256": _string,  # of the bytes in `image`
        "source_sha256": _string,  # of the source's file: equal to the former where its bytes pass through
        "source_id": _string,  # the image's name in the source
        "license": _string,  # of the source
    }
)
"""Columns of a release. Lists have free lengths on purpose: fixed ones with gaps do not load on old pyarrow."""

CATEGORIES: dict[str, tuple[str, ...]] = {
    "captioning": ("caption",),
    "vqa": (
        "presence",
        "count",
        "comp",
        "rural_urban",  # RSVQA-LR
        "area",  # RSVQA-HR
        "land_cover",  # RSVQAxBEN
        "condition",  # FloodNet: flooded or not
        "yes_no",  # FloodNet, of the whole scene
        "complex_count",  # FloodNet: of objects in a condition
        "theme",  # RSIVQA: the scene's class
        "position",  # which part of the image
        "other",  # of imported files that state no category
    ),
    "grounding": ("grounding",),
    "region_captioning": ("region",),
    "detailed_description": ("detail",),
    "conversation": ("conv", "complex"),
    "task_planning": ("planning",),
}
"""Categories of question by task, in the paper's words."""

TASKS: tuple[str, ...] = tuple(CATEGORIES)
"""Names of the tasks: each is a config of a release that has rows of it."""

SPLITS: tuple[str, ...] = ("train", "validation", "test", "phili")
"""Official splits only. `phili` is RSVQA-HR's second test set (a city that training never saw)."""

MODALITIES: tuple[str, ...] = ("optical", "sar", "infrared")

IMAGE_LEAF = "image.bytes"
"""Parquet path of the column that holds the image bytes."""


def legacy_features(node: Any) -> Any:
    """Rewrite `Features.to_dict()` in the form that every `datasets` since 2.14 reads.

    `datasets` 4 writes lists as `{"_type": "List"}`, which older releases refuse; the older forms (`Sequence` of a
    value, a plain list of a struct) are still read by the newer ones.
    """
    if isinstance(node, list):
        return [legacy_features(item) for item in node]
    if not isinstance(node, dict):
        return node
    if node.get("_type") == "List":
        item = node["feature"]
        if isinstance(item, dict) and "_type" not in item:
            return [legacy_features(item)]
        return {"feature": legacy_features(item), "_type": "Sequence"}
    return {key: legacy_features(value) for key, value in node.items()}


def arrow_schema() -> pa.Schema:
    """Arrow schema of a release's shards, with the features as metadata in the form that all readers know."""
    info = {"info": {"features": legacy_features(FEATURES.to_dict())}}
    return pa.schema(FEATURES.type).with_metadata({"huggingface": json.dumps(info)})


class _Compact:
    """The few parts of Thrift's compact protocol that a Parquet page header uses (thrift-compact-protocol.md)."""

    def __init__(self, buffer: Any, position: int) -> None:
        self.buffer: Any = buffer
        self.position: int = position

    def unsigned(self) -> int:
        result = shift = 0
        while True:
            byte: int = self.buffer[self.position]
            self.position += 1
            result |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return result

    def signed(self) -> int:
        zigzag = self.unsigned()
        return (zigzag >> 1) ^ -(zigzag & 1)

    def value(self, kind: int) -> Any:
        if kind in (1, 2):
            return kind == 1
        if kind in (4, 5, 6):
            return self.signed()
        if kind == 12:
            return self.fields()
        if kind == 9:
            return self._list()
        if kind in (3, 7, 8):
            size = 1 if kind == 3 else 8 if kind == 7 else self.unsigned()
            self.position += size
            return None
        raise ValueError(f"byte {self.position}: {kind} is no field type of a Parquet page header")

    def _list(self) -> list[Any]:
        head = self.buffer[self.position]
        self.position += 1
        size = self.unsigned() if head >> 4 == 15 else head >> 4
        return [self.value(head & 15) for _ in range(size)]

    def fields(self) -> dict[int, Any]:
        found: dict[int, Any] = {}
        field = 0
        while True:
            head = self.buffer[self.position]
            self.position += 1
            if head == 0:
                return found
            field = field + (head >> 4) if head >> 4 else self.signed()
            found[field] = self.value(head & 15)


def _levels(buffer: Any, start: int, size: int, count: int) -> Iterator[int]:
    """Definition levels of one page: Parquet's RLE / bit-packed hybrid of two-bit values."""
    reader, left = _Compact(buffer, start), count
    while left > 0 and reader.position < start + size:
        head = reader.unsigned()
        if head & 1:
            for _ in range(head >> 1):  # groups of eight two-bit values
                packed = struct.unpack_from("<H", buffer, reader.position)[0]
                reader.position += 2
                for slot in range(min(8, left)):
                    yield packed >> (2 * slot) & 3
                left -= min(8, left)
        else:
            level = buffer[reader.position]
            reader.position += 1
            yield from [level] * min(head >> 1, left)
            left -= head >> 1


def _page(buffer: Any, start: int) -> tuple[list[tuple[int, int] | None], int]:
    """Ranges in the page at `start` (none for a page without data), and where the next page begins."""
    header = _Compact(buffer, start)
    fields = header.fields()
    body, size, kind = header.position, fields[3], fields[1]
    if size < 0:  # a damaged header must not send the walk backwards, for ever
        raise ValueError(f"byte {start}: a page of {size} bytes")
    if kind == 0:  # data page v1: a 4-byte length, then that many bytes of definition levels
        count = fields[5][1]
        levels, length = body + 4, struct.unpack_from("<I", buffer, body)[0]
    elif kind == 3:  # data page v2: the header gives the lengths of the levels; there are no repetition levels
        count, length, levels = fields[8][1], fields[8][5], body
    else:
        return [], body + size
    ranges: list[tuple[int, int] | None] = []
    at = levels + length
    for level in _levels(buffer, levels, length, count):
        if level < 2:  # the image, or its bytes, is null: the page has no value for it
            ranges.append(None)
            continue
        n = struct.unpack_from("<I", buffer, at)[0]
        ranges.append((at + 4, n))
        at += 4 + n
    if at != body + size or len(ranges) != count:
        raise ValueError(f"byte {start}: the page of {size} bytes does not hold {count} plain values")
    return ranges, body + size


def image_ranges(path: str) -> list[list[tuple[int, int] | None]]:
    """Find the byte range of every image in a shard without reading one.

    The image column is written uncompressed and PLAIN: a data page holds, after its definition levels, a 4-byte
    little-endian length and the bytes, value after value (Apache Parquet format, Encodings.md).

    Args:
        path: A shard of a release.

    Returns:
        For each row group, for each row: (offset, length) in bytes of the file, or None where the image is null.

    Raises:
        ValueError: The image column is compressed or not PLAIN, or the file is not Parquet.
    """
    metadata = pq.read_metadata(path)
    leaf = next(
        (i for i in range(metadata.num_columns) if metadata.schema.column(i).path == IMAGE_LEAF),
        None,
    )
    if leaf is None:
        raise ValueError(f"{path} has no column {IMAGE_LEAF}")
    groups = []
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as buffer:
        for g in range(metadata.num_row_groups):
            column = metadata.row_group(g).column(leaf)
            if column.compression != "UNCOMPRESSED" or column.has_dictionary_page:
                raise ValueError(f"{path}: {IMAGE_LEAF} is {column.compression}, expected uncompressed and PLAIN")
            at, end = (
                column.data_page_offset,
                column.data_page_offset + column.total_compressed_size,
            )
            ranges: list[tuple[int, int] | None] = []
            while at < end:
                found, at = _page(buffer, at)
                ranges.extend(found)
            groups.append(ranges)
    return groups


@dataclasses.dataclass
class RSGPT4VConfig(datasets.BuilderConfig):  # type: ignore[misc]  # `datasets` has no types
    """What to read of a release: its name is `all`, `mini`, a task or a source."""

    columns: list[str] | None = None
    """Columns to read, all by default. Bytes of the others are neither read nor fetched."""


class RSGPT4V(datasets.ArrowBasedBuilder):  # type: ignore[misc]
    """Reads a release, local or remote: one config a task, one a source, `all` and `mini`, whichever the release has.

    Configs and splits come from the release's manifest, not from a list in here, and the manifest's digest is part of
    the cache key: a release that was made again is never served from the old cache.

    A remote release is read by ranges of bytes in the thread that iterates, and pyarrow is handed complete buffers: no
    thread of its own is in Python when the interpreter ends, so a stream may be left at any point.
    """

    BUILDER_CONFIG_CLASS = RSGPT4VConfig
    DEFAULT_CONFIG_NAME = "all"

    @classmethod
    def open(
        cls, folder: str | os.PathLike[str], config: str = "all", columns: list[str] | None = None, **options: Any
    ) -> "RSGPT4V":
        """Open `config` of the release in `folder`.

        Args:
            folder: A release folder, or its address: `hf://datasets/<name>`, `https://...`, whatever fsspec reads.
            config: `all`, `mini`, a task or a source.
            columns: Columns to read, all by default.
            options: Passed to `datasets.DatasetBuilder`: `cache_dir`, `token`, `storage_options` by protocol.

        Raises:
            FileNotFoundError: `folder` holds no manifest.
            ValueError: The release has no such config, or a row no such column.
            OSError: The release cannot be read; the message names the file.
        """
        builder = cls(config_name=config, data_dir=os.fspath(folder), columns=columns, **options)
        builder._files()
        return builder

    def __init__(self, **options: Any) -> None:
        # without `data_dir`, a loading script reads the folder that it lies in
        root = options.get("data_dir") or options.get("base_path") or os.path.dirname(os.path.abspath(__file__))
        self._root: str = root if "://" in root else os.path.abspath(os.path.expanduser(root))
        protocol = self._root.split("://")[0]
        self._access: dict[str, Any] = dict((options.get("storage_options") or {}).get(protocol, {}))
        if protocol == "hf" and options.get("token") is not None:
            self._access.setdefault("token", options["token"])
        self._manifest: dict[str, Any] = self._read_manifest()
        entries = {shard["path"]: shard for shard in self._manifest["shards"]} | self._manifest["files"]
        self._sizes: dict[str, int] = {path: entry["bytes"] for path, entry in entries.items()}
        state = json.dumps([options.get("hash"), self._manifest], sort_keys=True)
        options["hash"] = hashlib.sha256(state.encode()).hexdigest()
        options["config_name"] = options.get("config_name") or self.DEFAULT_CONFIG_NAME
        super().__init__(**options)

    def _info(self) -> datasets.DatasetInfo:
        columns = self.config.columns or list(FEATURES)
        unknown = [name for name in columns if name not in FEATURES]
        if unknown:
            raise ValueError(f"a row has no column {', '.join(unknown)}; it has {', '.join(FEATURES)}")
        return datasets.DatasetInfo(features=datasets.Features({name: FEATURES[name] for name in columns}))

    def _split_generators(self, dl_manager: Any) -> list[datasets.SplitGenerator]:
        return [
            datasets.SplitGenerator(name=split, gen_kwargs={"files": files, "groups": [None] * len(files)})
            for split, files in self._files().items()
        ]

    def _generate_tables(
        self, files: list[str], groups: list[tuple[int, ...] | None]
    ) -> Iterator[tuple[str, pa.Table]]:
        schema = pa.schema(self.info.features.type)
        for i, (path, chosen) in enumerate(zip(files, groups, strict=True)):
            shard = self._shard(path)
            for g in range(shard.groups) if chosen is None else chosen:
                yield f"{i}_{g}", shard.table(g, schema.names).cast(schema)

    def _generate_more_gen_kwargs(
        self, files: list[str], groups: list[tuple[int, ...] | None]
    ) -> Iterator[dict[str, Any]]:
        """Cut the shards into row groups: what `IterableDataset.reshard` asks for."""
        for path, chosen in zip(files, groups, strict=True):
            parts = range(self._shard(path).groups) if chosen is None else chosen
            yield {"files": [path] * len(parts), "groups": [(g,) for g in parts]}

    def _shard(self, path: str) -> "ShardFile":
        return ShardFile(*locate(f"{self._root}/{path}", self._access), self._sizes[path])

    def _read_manifest(self) -> dict[str, Any]:
        fs, path = locate(f"{self._root}/manifest.json", self._access)
        fs.invalidate_cache()  # of listings: a branch may have moved since this process looked at it
        try:
            manifest: dict[str, Any] = json.loads(read_bytes(fs, path))
        except FileNotFoundError:
            raise FileNotFoundError(f"{self._root} is no release of RS-GPT4V: it holds no manifest.json") from None
        return manifest

    def _files(self) -> dict[str, list[str]]:
        """Paths of the shards of this config, by split, in the order of SPLITS."""
        shards = [shard["path"] for shard in self._manifest["shards"]]  # data/<task>/<source>/<split>-*.parquet
        configs = {"all": shards, "mini": [path for path in self._manifest["files"] if path.startswith("mini/")]}
        for path in shards:
            _, task, source, _ = path.split("/")
            configs.setdefault(task, []).append(path)
            configs.setdefault(source, []).append(path)
        chosen = configs.get(self.config.name)
        if chosen is None:
            raise ValueError(f"{self._root} has no config {self.config.name!r}; it has {', '.join(configs)}")
        by_split = {s: [p for p in chosen if p.split("/")[-1].split("-")[0] == s] for s in SPLITS}
        return {split: paths for split, paths in by_split.items() if paths}


class ShardFile:
    """A Parquet file, anywhere, of which only the footer and the columns asked for are read.

    Args:
        fs: A file system of fsspec, and `path` the file in it: what `locate` returns.
        path: The file.
        size: Its bytes, as the release's manifest lists them.

    Raises:
        FileNotFoundError: There is no such file.
        OSError: It cannot be read, of a network after some tries.
        ValueError: It is no Parquet file of this size.
    """

    TAIL = 1 << 16  # read at first: the whole footer of most shards
    GAP = 1 << 16  # columns no further apart are fetched as one range

    def __init__(self, fs: Any, path: str, size: int) -> None:
        self.fs, self.path, self.size = fs, path, size
        tail = read_bytes(fs, path, max(size - self.TAIL, 0), size)
        footer = int.from_bytes(tail[-8:-4], "little") + 8
        if tail[-4:] != b"PAR1" or footer > size:
            raise ValueError(
                f"{path} does not end as a Parquet file of {size} bytes: it is not what the manifest lists"
            )
        if footer > len(tail):
            tail = read_bytes(fs, path, size - footer, size)
        self.metadata = pq.read_metadata(pa.BufferReader(tail))
        self.groups: int = self.metadata.num_row_groups

    def table(self, group: int, columns: list[str]) -> pa.Table:
        """Read `columns` of one row group, in the order asked; `image.path` is `image` with this field alone."""
        pieces = [(start, read_bytes(self.fs, self.path, start, stop)) for start, stop in self.ranges(group, columns)]
        file = pq.ParquetFile(_Pieces(self.size, pieces), metadata=self.metadata, pre_buffer=False)
        table = file.read_row_group(group, columns=columns, use_threads=False)
        return table.select([name.split(".")[0] for name in columns])

    def ranges(self, group: int, columns: list[str]) -> list[tuple[int, int]]:
        """Where the bytes of `columns` lie: first byte and the one after the last, neighbours joined."""
        found: list[tuple[int, int]] = []
        chunks = self.metadata.row_group(group)
        for chunk in (chunks.column(i) for i in range(chunks.num_columns)):
            leaf = chunk.path_in_schema
            if leaf not in columns and leaf.split(".")[0] not in columns:
                continue
            start = chunk.dictionary_page_offset if chunk.has_dictionary_page else chunk.data_page_offset
            stop = start + chunk.total_compressed_size
            if found and 0 <= start - found[-1][1] <= self.GAP:
                found[-1] = (found[-1][0], stop)
            else:
                found.append((start, stop))
        return found


class _Pieces(io.RawIOBase):
    """Some ranges of a file, in memory, as a file of the full size: to read outside of them is an error."""

    def __init__(self, size: int, pieces: list[tuple[int, bytes]]) -> None:
        self._size = size
        self._pieces = [(start, memoryview(data)) for start, data in pieces]
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        return self._at

    def read(self, size: int = -1) -> Any:  # a memoryview, which pyarrow takes without a copy
        stop = self._size if size < 0 else min(self._at + size, self._size)
        for start, data in self._pieces:
            if start <= self._at and stop <= start + len(data):
                part = data[self._at - start : stop - start]
                self._at = stop
                return part
        raise OSError(f"bytes {self._at} to {stop} were not fetched")


WAITS = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds to wait before each further try of a remote read that failed for a reason that may pass."""


def locate(address: str, access: dict[str, Any]) -> tuple[Any, str]:
    """The file system of an address, and the path in it; `access` are the options of the file system."""
    # asked for at every use: a file system must not be carried into another process
    fs, path = fsspec.core.url_to_fs(address, **access)
    return fs, path


def read_bytes(fs: Any, path: str, start: int | None = None, stop: int | None = None) -> bytes:
    """Read bytes `start` to `stop` of a file, or all of it; try again where a network failed."""
    waits = iter(() if "file" in fs.protocol else WAITS)
    while True:
        try:
            return _read_once(fs, path, start, stop)
        except FileNotFoundError:
            raise
        except Exception as error:
            wait = next(waits, None) if _may_pass(error) else None
            if wait is None:
                part = "" if start is None else f" from byte {start} to {stop}"
                raise OSError(f"{path} cannot be read{part}: {error!r}") from error
        time.sleep(wait)


def _read_once(fs: Any, path: str, start: int | None, stop: int | None) -> bytes:
    if start is None or stop is None:
        data: bytes = fs.cat_file(path)
        return data
    if fs.async_impl:
        data = fs.cat_file(path, start=start, end=stop)
    else:  # through a file without a cache, which would read on for megabytes
        with fs.open(path, "rb", cache_type="none") as file:
            file.seek(start)
            data = file.read(stop - start)
    if len(data) > stop - start:
        raise ValueError("the server ignores ranges of bytes")
    if len(data) < stop - start:
        raise ConnectionError(f"{len(data)} bytes came")
    return data


def _may_pass(error: Exception) -> bool:
    """Whether a failed read may succeed later: a busy or broken server, a cut connection."""
    status = getattr(error, "status", None) or getattr(getattr(error, "response", None), "status_code", None)
    if status is not None:
        return status in (408, 429) or status >= 500
    return not isinstance(error, (PermissionError, TypeError, ValueError, LookupError, AttributeError))
