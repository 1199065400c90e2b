"""The samples of a set in the container that each reader wants. All hold the same bytes in the same order.

A peer's container has a sample's id, its image and its conversations; a release has every column of the contract.
"""

import io
import json
import os
import shutil
import tarfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from feed import case
from feed.data import CHUNKS, Sample, chunks, samples
from feed.environments import OURS, Environments

MOST = 32_000_000
"""Bytes of images in a row group."""


def write(container: str, root: Path) -> Path:
    """Write a set's container if it is not there yet; returns its folder."""
    folder = root / container
    if not folder.exists():
        partial = root / f"{container}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        WRITERS[container](root, partial)
        partial.rename(folder)
        os.sync()  # what is not on disk yet cannot be dropped from the page cache
    return folder


def _release(root: Path, folder: Path) -> None:
    """A release by the contract's schema, the index and the Parquet settings of the build."""
    import hashlib

    import pyarrow as pa

    import rs_gpt4v
    from rs_gpt4v_conversion.index import write_index
    from rs_gpt4v_conversion.shards import parquet_settings

    schema = rs_gpt4v.arrow_schema()
    shards = []
    for number, part in enumerate(chunks(root)):
        name = f"data/conversation/bench/train-{number:05d}-of-{CHUNKS:05d}.parquet"
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        table = pa.Table.from_pylist([_row(sample) for sample in part], schema=schema)
        _parquet(folder / name, table, part, parquet_settings(schema))
        data = (folder / name).read_bytes()
        pairs = sum(len(sample.conversations) // 2 for sample in part)
        digest = hashlib.sha256(data).hexdigest()
        shards.append({"path": name, "rows": len(part), "qa_pairs": pairs, "bytes": len(data), "sha256": digest})
    write_index(folder, [str(shard["path"]) for shard in shards], rs_gpt4v.image_ranges)
    index = (folder / "index.parquet").read_bytes()
    files = {"index.parquet": {"bytes": len(index), "sha256": hashlib.sha256(index).hexdigest()}}
    manifest = {"name": "rs-gpt4v", "version": "0.0.0", "contract": rs_gpt4v.VERSION, "shards": shards, "files": files}
    (folder / "manifest.json").write_text(json.dumps(manifest))


def _row(sample: Sample) -> dict[str, Any]:
    pair = {
        "category": "conv", "dialogue": 0, "template": "bench/1", "generator": "annotation", "review": "unreviewed",
        "objects": [],
    }  # fmt: skip
    name = f"{sample.id}.jpg"
    return {
        "id": f"bench/train/conversation/{sample.id}", "image": {"bytes": sample.image, "path": name},
        "conversations": sample.conversations, "pairs": [pair] * (len(sample.conversations) // 2),
        "task": "conversation", "source": "bench", "modality": "optical", "objects": [], "width": 0, "height": 0,
        "gsd": 0.5, "image_path": name, "parent": "", "window": [], "scale": 1.0, "crs": "", "bounds": [],
        "rendering": "", "image_sha256": "0" * 64, "source_sha256": "0" * 64, "source_id": name, "license": "none",
    }  # fmt: skip


def _parquet_files(root: Path, folder: Path) -> None:
    """Parquet as `datasets` writes it: images uncompressed, the rest snappy."""
    import datasets
    import pyarrow as pa

    turns = [{"from": datasets.Value("string"), "value": datasets.Value("string")}]
    features = datasets.Features({"id": datasets.Value("string"), "image": datasets.Image(), "conversations": turns})
    for number, part in enumerate(chunks(root)):
        rows = [
            {"id": s.id, "image": {"bytes": s.image, "path": f"{s.id}.jpg"}, "conversations": s.conversations}
            for s in part
        ]
        table = pa.Table.from_pylist(rows, schema=features.arrow_schema)
        settings = {"compression": {"image.bytes": "none"}, "use_dictionary": ["id"]}
        _parquet(folder / f"train-{number:05d}.parquet", table, part, settings)


def _parquet(path: Path, table: Any, part: list[Sample], settings: dict[str, Any]) -> None:
    import pyarrow.parquet as pq

    mean = sum(len(sample.image) for sample in part) // len(part)
    pq.write_table(table, path, row_group_size=max(1, min(1000, MOST // mean)), **settings)


def _tar(root: Path, folder: Path) -> None:
    for number, part in enumerate(chunks(root)):
        with tarfile.open(folder / f"train-{number:05d}.tar", "w") as file:
            for sample in part:
                text = json.dumps(sample.conversations).encode()
                for suffix, data in (("jpg", sample.image), ("json", text)):
                    entry = tarfile.TarInfo(f"{sample.id}.{suffix}")
                    entry.size = len(data)
                    file.addfile(entry, io.BytesIO(data))


def _mds(root: Path, folder: Path) -> None:
    from streaming import MDSWriter
    from streaming.base.util import merge_index

    columns = {"id": "str", "image": "bytes", "conversations": "json"}
    for number, part in enumerate(chunks(root)):  # a folder each, so that every chunk has the same count
        with MDSWriter(out=str(folder / f"{number:05d}"), columns=columns, size_limit=1 << 31) as writer:
            for sample in part:
                writer.write({"id": sample.id, "image": sample.image, "conversations": sample.conversations})
    merge_index(str(folder), keep_local=True)


def _litdata(root: Path, folder: Path) -> None:
    from litdata.streaming.writer import BinaryWriter

    size = len(next(chunks(root)))
    writer = BinaryWriter(str(folder), chunk_size=size)
    for sample in samples(root):
        text = json.dumps(sample.conversations)
        writer[sample.number] = {"id": sample.id, "image": sample.image, "conversations": text}
    writer.done()
    writer.merge(1)


def write_case(container: str, root: str) -> dict[str, str]:
    """Case: write a container in the environment that knows how."""
    return {"folder": str(write(container, Path(root)))}


WRITERS: dict[str, Callable[[Path, Path], None]] = {
    "release": _release,
    "parquet": _parquet_files,
    "tar": _tar,
    "mds": _mds,
    "litdata": _litdata,
}


def containers(root: Path, where: Environments, names: Iterable[str] = tuple(WRITERS)) -> None:
    """Write those of a set's containers that are not there and whose environment is."""
    for name in names:
        environment = {"mds": "tv", "litdata": "peers"}.get(name, OURS)
        if not (root / name).exists() and where.missing(environment) is None:
            case.run(where, environment, "containers:write_case", container=name, root=str(root))
