"""Every reader behind one face. `READERS[name].open(...)` gives batches, epoch after epoch, of shuffled samples.

Each reader shuffles as its documentation advises for training: a buffer of 1,000 samples and the order of the files
where the reader knows nothing better, else what `shuffle=True` does. The last, smaller batch is kept.
"""

import json
import os
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from feed import meter
from feed.environments import OURS

BUFFER = 1000

COLUMNS = ("id", "image", "conversations", "pairs")
"""What the other containers hold of a row, and `pairs`, which this project's collator looks at."""

Row = dict[str, Any]
Batch = dict[str, Any]
Collate = Callable[[Sequence[Row]], Batch]


@dataclass(frozen=True)
class Ask:
    """What a reader is asked for.

    Attributes:
        root: Folder of a set, or the URL of one.
        collate: Rows to a batch, a dict whose first value has the batch's length. A row has `id`, `image` with the
            encoded `bytes`, and `conversations`.
        workers: Processes (or threads, for a loader that has them).
        batch: Samples of a batch.
        seed: Of the shuffle.
        stateful: Whether the position is asked for later; then readers without a loader of their own get torchdata's.
        shuffle: Whether to shuffle.
    """

    root: str
    collate: Collate
    workers: int = 2
    batch: int = 16
    seed: int = 0
    stateful: bool = False
    shuffle: bool = True

    @property
    def remote(self) -> bool:
        """Whether the set is reached by HTTP."""
        return self.root.startswith("http")

    def files(self, container: str, suffix: str) -> list[str]:
        """The container's files."""
        from feed.data import CHUNKS

        return [f"{self.root}/{container}/train-{number:05d}{suffix}" for number in range(CHUNKS)]

    @property
    def cache(self) -> str:
        """A folder for what a reader keeps: beside the containers, or one that ends with the process."""
        return tempfile.mkdtemp() if self.remote else self.root

    def s3(self, container: str) -> str:
        """The set's container as the S3 of the server has it."""
        return f"s3://{self.root.split('/', 3)[3]}/{container}"


@dataclass(frozen=True)
class Reader:
    """How a reader is called in the tables, where it runs, what it reads, and how it is opened.

    Attributes:
        title: Of its line in a table.
        environment: Key of `environments.REQUIREMENTS`, or `ours`.
        container: What it reads.
        open: Gives an iterable of batches, anew for every epoch.
        cache: What it keeps beside its container, if anything.
        resumes: Whether it has a position that can be saved and loaded.
        remote: Whether it reads from a server.
    """

    title: str
    environment: str
    container: str
    open: Callable[[Ask], Iterable[Batch]]
    cache: str = ""
    resumes: bool = True
    remote: bool = True

    def forget(self, root: Path) -> None:
        """Drop what it reads from the page cache."""
        for name in (self.container, self.cache):
            if name:
                meter.forget(root / name)


@dataclass(frozen=True)
class Mapped:
    """A `collate_fn` that first makes a row of every item."""

    row: Callable[[Any], Row]
    collate: Collate

    def __call__(self, items: Sequence[Any]) -> Batch:
        return self.collate([self.row(item) for item in items])


def names_and_bytes(rows: Sequence[Row]) -> Batch:
    """The batch that only reading needs: ids, and proof that image and text were there."""
    sizes = sum(len(row["image"]["bytes"]) for row in rows)
    return {"id": [row["id"] for row in rows], "bytes": sizes, "turns": sum(len(row["conversations"]) for row in rows)}


def _loader(ask: Ask, dataset: Any, collate: Collate, **more: Any) -> Iterable[Batch]:
    """The stock `DataLoader`, or torchdata's where the position is asked for."""
    import torch

    torch.set_num_threads(1)
    if ask.stateful:
        from torchdata.stateful_dataloader import StatefulDataLoader as Loader
    else:
        from torch.utils.data import DataLoader as Loader
    if more.get("shuffle"):
        more["generator"] = torch.Generator().manual_seed(ask.seed)
    persistent = ask.workers > 0 and not ask.stateful  # torchdata's loses its place with workers that stay
    return Loader(
        dataset, ask.batch, num_workers=ask.workers, collate_fn=collate, persistent_workers=persistent, **more
    )


class Files:
    """Single files, their texts in memory: what LLaVA's own dataset does, without its preparation."""

    def __init__(self, root: str) -> None:
        self.folder = Path(root, "files", "images")
        self.records = json.loads(Path(root, "files", "data.json").read_text())

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, number: int) -> Row:
        record = self.records[number]
        with open(f"{self.folder}/{record['image']}", "rb") as file:  # noqa: PTH123 - half the cost of Path.open
            image = file.read()
        return {"id": record["id"], "image": {"bytes": image}, "conversations": record["conversations"]}


def _files(ask: Ask) -> Iterable[Batch]:
    return _loader(ask, Files(ask.root), ask.collate, shuffle=ask.shuffle)


def _row_of_tar(item: tuple[str, bytes, bytes]) -> Row:
    name, image, text = item
    return {"id": name, "image": {"bytes": image}, "conversations": json.loads(text)}


def _webdataset(ask: Ask) -> Iterable[Batch]:
    import webdataset

    files = ask.files("tar", ".tar")
    shards = len(files) if ask.shuffle else False
    dataset = webdataset.WebDataset(files, shardshuffle=shards, seed=ask.seed, empty_check=False)
    if ask.shuffle:
        dataset = dataset.shuffle(BUFFER, seed=ask.seed)
    return _loader(ask, dataset.to_tuple("__key__", "jpg", "json"), Mapped(_row_of_tar, ask.collate))


def _streaming_parquet(ask: Ask) -> Iterable[Batch]:
    import datasets

    files = ask.files("parquet", ".parquet")
    dataset = datasets.load_dataset("parquet", data_files=files, split="train", streaming=True)
    dataset = dataset.cast_column("image", datasets.Image(decode=False))
    if ask.shuffle:
        dataset = dataset.shuffle(seed=ask.seed, buffer_size=BUFFER)
    return _loader(ask, dataset, ask.collate)


def _map_parquet(ask: Ask) -> Iterable[Batch]:
    import datasets

    files, cache = ask.files("parquet", ".parquet"), f"{ask.cache}/parquet-cache"
    dataset = datasets.load_dataset("parquet", data_files=files, split="train", cache_dir=cache)
    dataset = dataset.cast_column("image", datasets.Image(decode=False))
    return _loader(ask, dataset, ask.collate, shuffle=ask.shuffle)


def _mosaic(ask: Ask) -> Iterable[Batch]:
    import streaming
    import torch

    torch.set_num_threads(1)
    streaming.base.util.clean_stale_shared_memory()
    remote, local = (ask.s3("mds"), tempfile.mkdtemp()) if ask.remote else (None, f"{ask.root}/mds")
    dataset = streaming.StreamingDataset(
        remote=remote, local=local, shuffle=ask.shuffle, shuffle_seed=ask.seed, batch_size=ask.batch
    )
    return streaming.StreamingDataLoader(
        dataset,
        batch_size=ask.batch,
        num_workers=ask.workers,
        collate_fn=Mapped(_row_of_mosaic, ask.collate),
        persistent_workers=ask.workers > 0 and not ask.stateful,
    )


def _row_of_mosaic(item: Row) -> Row:
    return {"id": item["id"], "image": {"bytes": item["image"]}, "conversations": item["conversations"]}


def _litdata(ask: Ask) -> Iterable[Batch]:
    import litdata
    import torch

    torch.set_num_threads(1)
    where: dict[str, Any] = {"input_dir": f"{ask.root}/litdata"}
    if ask.remote:
        endpoint = "/".join(ask.root.split("/", 3)[:3])
        where = {"input_dir": ask.s3("litdata"), "cache_dir": tempfile.mkdtemp()}
        where["storage_options"] = {"endpoint_url": endpoint}
        litdata.streaming.downloader._OBSTORE_CLIENT_OPTIONS["allow_http"] = True  # it knows no other way
    dataset = litdata.StreamingDataset(**where, shuffle=ask.shuffle, seed=ask.seed, drop_last=False)
    return litdata.StreamingDataLoader(
        dataset,
        batch_size=ask.batch,
        num_workers=ask.workers,
        collate_fn=Mapped(_row_of_litdata, ask.collate),
        persistent_workers=ask.workers > 0 and not ask.stateful,
    )


def _row_of_litdata(item: Row) -> Row:
    return {"id": item["id"], "image": {"bytes": item["image"]}, "conversations": json.loads(item["conversations"])}


def _with_cache(ask: Ask) -> None:
    """Name the folder for what this project keeps of a release, before it is opened."""
    os.environ["RS_GPT4V_CACHE"] = f"{ask.cache}/release-cache"


def _rows(ask: Ask) -> Iterable[Batch]:
    from rs_gpt4v_builder import Release

    _with_cache(ask)
    rows = Release(f"{ask.root}/release").rows("all", "train", columns=COLUMNS)
    return _loader(ask, rows, ask.collate, shuffle=ask.shuffle)


def _stream(ask: Ask) -> Iterable[Batch]:
    from rs_gpt4v_builder import Stream

    _with_cache(ask)
    stream = Stream(f"{ask.root}/release", shuffle=ask.shuffle, seed=ask.seed, columns=COLUMNS)
    return _loader(ask, stream, ask.collate)


def _ours(ask: Ask) -> Iterable[Batch]:
    import torch

    from rs_gpt4v_builder import Loader, Stream

    torch.set_num_threads(1)
    _with_cache(ask)
    stream = Stream(f"{ask.root}/release", shuffle=ask.shuffle, seed=ask.seed, columns=COLUMNS)
    return Loader(stream, ask.collate, batch_size=ask.batch, workers=ask.workers, device="cpu")


READERS: dict[str, Reader] = {
    "files": Reader("single files, DataLoader", OURS, "files", _files, remote=False),
    "webdataset": Reader("webdataset, shuffle(1000)", "peers", "tar", _webdataset, resumes=False),
    "datasets": Reader("datasets streaming, shuffle(1000)", "peers", "parquet", _streaming_parquet),
    "datasets-map": Reader("datasets, map style", "peers", "parquet", _map_parquet, "parquet-cache", remote=False),
    "mds": Reader("mosaicml-streaming (MDS)", "tv", "mds", _mosaic),
    "litdata": Reader("litdata", "peers", "litdata", _litdata),
    "rows": Reader("**`Release.rows`, DataLoader**", OURS, "release", _rows, "release-cache"),
    "stream": Reader("**`Stream`, DataLoader**", OURS, "release", _stream, "release-cache"),
    "loader": Reader("**`Loader`**", OURS, "release", _ours, "release-cache"),
}
