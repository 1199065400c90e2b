"""The case of remote.py: one epoch from a server."""

import os
import time
from typing import Any

from feed import meter
from feed.readers import READERS, Ask, names_and_bytes
from feed.resuming import import_library, numbers
from feed.server import count


def epoch(reader: str, url: str, whole: bool = True) -> dict[str, Any]:
    """Read a set from a server once, with nothing cached.

    Args:
        reader: Key of `READERS`.
        url: Of the set.
        whole: Whether to go on after the first batch.

    Returns:
        Seconds from opening to the first batch, and from the start of the process; CPU seconds and MB moved until then;
        samples a second of the whole epoch; MB and requests of the epoch; CPU milliseconds a sample; the order.
    """
    import_library(reader)
    os.environ["S3_ENDPOINT_URL"] = url.rsplit("/", 1)[0]
    before, cpu, begun = count(url), meter.cpu_seconds(), time.perf_counter()
    batches = iter(READERS[reader].open(Ask(url, names_and_bytes)))
    seen = numbers(next(batches))
    first = time.perf_counter() - begun
    started, moved = time.time() - float(os.environ["CASE_BEGUN"]), count(url)["bytes"] - before["bytes"]
    found = {"first_s": first, "started_s": started, "first_cpu_s": meter.cpu_seconds() - cpu, "first_mb": moved / 1e6}
    if not whole:
        return found
    for batch in batches:
        seen += numbers(batch)
    seconds, after = time.perf_counter() - begun, count(url)
    return found | {
        "rate": len(seen) / seconds, "mb": (after["bytes"] - before["bytes"]) / 1e6,
        "requests": after["requests"] - before["requests"],
        "cpu_ms": (meter.cpu_seconds() - cpu) * 1e3 / len(seen), "seen": seen,
    }  # fmt: skip
