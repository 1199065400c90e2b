"""Cases of guarantees.py: the order in which samples come, what a resumed run sees, what opening costs.

A killed run saves the loader's state as it would a checkpoint, between two batches, and then ends without a word to its
workers. A sample is known by its number, its place in the container.
"""

import importlib
import itertools
import json
import time
from pathlib import Path
from typing import Any

from feed import meter
from feed.readers import READERS, Ask, Batch, names_and_bytes

BATCH = 16


def numbers(batch: Batch) -> list[int]:
    """The samples of a batch, by their places in the container."""
    return [int(name.rsplit("/", 1)[-1]) for name in batch["id"]]


def run(
    reader: str, root: str, stop: int | None, state: str | None, cold: bool = False, workers: int = 2
) -> dict[str, Any]:
    """A run of one epoch, or its part.

    Args:
        reader: Key of `READERS`.
        root: Folder of a set.
        stop: Samples after which to save the state and end; None runs to the end of the epoch.
        state: File of the state: written if `stop` is given, else loaded if it is there.
        cold: Drop the container from the page cache before.
        workers: Of the loader.

    Returns:
        The numbers of the samples in order; seconds from opening (and loading the state) to the first batch; what was
        read from the disk until then, MB.
    """
    used = READERS[reader]
    import_library(reader)
    if cold:
        used.forget(Path(root))
    before, begun = meter.disk_mb(), time.perf_counter()
    loader: Any = used.open(Ask(root, names_and_bytes, workers=workers, stateful=True))
    if state and stop is None:
        loader.load_state_dict(_load(reader, state))
    batches = iter(loader)
    seen = numbers(next(batches))
    first_s, first_mb = time.perf_counter() - begun, meter.disk_mb() - before
    for batch in itertools.islice(batches, None if stop is None else stop // BATCH - 1):
        seen += numbers(batch)
    if state and stop is not None:
        _save(reader, loader.state_dict(), state)
    return {"seen": seen, "first_s": first_s, "first_mb": first_mb}


_PICKLED = ("datasets", "datasets-map", "files", "webdataset", "rows", "stream")
"""Readers whose state torchdata's loader makes, which is no JSON."""


def _save(reader: str, state: Any, path: str) -> None:
    if reader in _PICKLED:
        import torch

        torch.save(state, path)
    else:
        Path(path).write_text(json.dumps(state))


def _load(reader: str, path: str) -> Any:
    if reader in _PICKLED:
        import torch

        return torch.load(path, weights_only=False)
    return json.loads(Path(path).read_text())


def import_library(reader: str) -> None:
    """Import what a reader needs, so that no time or read of it counts as the reader's."""
    libraries = {"webdataset": "webdataset", "mds": "streaming", "litdata": "litdata", "files": "PIL.Image"}
    libraries |= dict.fromkeys(("datasets", "datasets-map"), "datasets")
    libraries |= dict.fromkeys(("rows", "stream", "loader"), "rs_gpt4v_builder")
    for name in ("torch.utils.data", libraries[reader], *(["torchdata.stateful_dataloader"] * (reader in _PICKLED))):
        importlib.import_module(name)
    if libraries[reader] == "rs_gpt4v_builder":  # its modules are imported when they are first used
        for name in ("stream.stream", "batch.loader", "network.access"):
            importlib.import_module(f"rs_gpt4v_builder.{name}")


def opening(reader: str, root: str) -> dict[str, float]:
    """Open a container in this process, take a sample, and say what it cost.

    Returns:
        Seconds to the first sample of a shuffled epoch (libraries imported before), MB of memory that it took, and MB
        of files that the reader left beside the container or in its cache.
    """
    import_library(reader)
    memory, begun = meter.pss_mb(), time.perf_counter()
    loader = READERS[reader].open(Ask(root, names_and_bytes, workers=0, batch=1))
    batches = iter(loader)
    next(batches)
    seconds = time.perf_counter() - begun
    grown = meter.pss_mb() - memory
    return {"seconds": seconds, "memory_mb": grown}
