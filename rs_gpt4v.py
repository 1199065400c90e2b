"""RS-GPT4V: the contract between those who make a release and those who read it.

A release is a folder (or a repository on the Hub) of ordinary Parquet files; one row is one image and one task. This
module says what is in a row (`FEATURES`), which tasks and splits there are, how the files are written so that any
version of `datasets` and any Parquet reader understands them (`arrow_schema`), where an image lies in its file
(`image_ranges`), and reads a release with `datasets` (`RSGPT4V`):

    from datasets import load_dataset
    load_dataset("rs-gpt4v", "vqa")            # the folder itself: its card names the configs

    from rs_gpt4v import RSGPT4V
    RSGPT4V.open("rs-gpt4v", "vqa").as_streaming_dataset(split="train")

It stands at the bottom of the import graph, needs `datasets` and `pyarrow` only, and is one file with one import a
line, so that it also serves as a loading script where scripts still run (`datasets` <= 3.6).
"""

import json
import mmap
import os
import struct
from collections.abc import Iterator
from typing import Any

import datasets
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


class RSGPT4V(datasets.ArrowBasedBuilder):  # type: ignore[misc]  # `datasets` has no types
    """Reads a release: one config a task, one a source, `all` and `mini`, whichever the release has.

    Configs and splits come from the release's manifest, not from a list in here. Open it with `RSGPT4V.open`, which
    puts the manifest's digest into the cache key: a release that was made again is never served from the old cache.
    """

    DEFAULT_CONFIG_NAME = "all"

    @classmethod
    def open(cls, folder: str, config: str = "all", **options: Any) -> "RSGPT4V":
        """Open `config` of the release in `folder`.

        Args:
            folder: A release folder.
            config: `all`, `mini`, a task or a source.
            options: Passed to `datasets.DatasetBuilder` (`cache_dir` and so on).

        Raises:
            FileNotFoundError: `folder` holds no manifest.
            ValueError: The release has no such config.
        """
        import hashlib

        manifest = _read_manifest(folder)
        _config_files(manifest, config, folder)
        digest = hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()
        return cls(config_name=config, data_dir=folder, hash=digest, **options)

    def _info(self) -> datasets.DatasetInfo:
        return datasets.DatasetInfo(features=FEATURES)

    def _split_generators(self, dl_manager: Any) -> list[datasets.SplitGenerator]:
        root = self.config.data_dir or os.path.dirname(os.path.abspath(__file__))
        if "://" not in root:
            root = os.path.abspath(root)
        files = _config_files(_read_manifest(root), self.config.name, root)
        found = dl_manager.download({s: [os.path.join(root, p) for p in paths] for s, paths in files.items()})
        return [datasets.SplitGenerator(name=s, gen_kwargs={"files": paths}) for s, paths in found.items()]

    def _generate_tables(self, files: list[str]) -> Iterator[tuple[str, pa.Table]]:
        # ParquetFile, not the packaged builder's scanner: stopping that one early aborts the interpreter at exit
        schema = pa.schema(self.info.features.type)
        for i, path in enumerate(files):
            with open(path, "rb") as file:
                parquet = pq.ParquetFile(file)
                for g in range(parquet.num_row_groups):
                    table = parquet.read_row_group(g, columns=schema.names)
                    yield f"{i}_{g}", table.select(schema.names).cast(schema)


def _read_manifest(folder: str) -> dict[str, Any]:
    path = os.path.join(folder, "manifest.json")
    try:
        with open(path, encoding="utf-8") as file:
            manifest: dict[str, Any] = json.load(file)
    except FileNotFoundError:
        raise FileNotFoundError(f"{folder} is no release of RS-GPT4V: it holds no manifest.json") from None
    return manifest


def _config_files(manifest: dict[str, Any], config: str, folder: str) -> dict[str, list[str]]:
    """Paths of the shards of one config, by split, in the order of SPLITS."""
    shards = [shard["path"].split("/") for shard in manifest["shards"]]  # data/<task>/<source>/<split>-*.parquet
    mini = [path.split("/") for path in manifest["files"] if path.startswith("mini/")]
    configs = {"all": shards, "mini": mini}
    for parts in shards:
        configs.setdefault(parts[1], []).append(parts)
        configs.setdefault(parts[2], []).append(parts)
    if config not in configs:
        raise ValueError(f"{folder} has no config {config!r}; it has {', '.join(configs)}")
    chosen = configs[config]
    by_split = {s: ["/".join(p) for p in chosen if p[-1].split("-")[0] == s] for s in SPLITS}
    return {split: paths for split, paths in by_split.items() if paths}
