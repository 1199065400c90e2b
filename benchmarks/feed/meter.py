"""What a case costs: CPU time, memory and reads from disk of a process and all its descendants. Linux only."""

import gc
import os
import resource
from collections.abc import Iterator
from pathlib import Path


def cpu_seconds() -> float:
    """CPU time so far of this process, its living descendants, and the dead ones that were waited for."""
    total = 0.0
    for pid in (os.getpid(), *descendants(os.getpid())):
        clock = ~pid << 3 | 2  # clock_getcpuclockid(3): all threads of a process, dead ones too, in nanoseconds
        try:
            total += _clock(clock)
        except OSError:
            continue  # gone meanwhile, and then counted below
    dead = resource.getrusage(resource.RUSAGE_CHILDREN)
    return total + dead.ru_utime + dead.ru_stime


def _clock(clock: int) -> float:
    import time

    return time.clock_gettime(clock)


def descendants(pid: int) -> Iterator[int]:
    """Living descendants of a process, of all its threads."""
    for file in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = [int(child) for child in file.read_text().split()]
        except OSError:
            continue
        for child in children:
            yield child
            yield from descendants(child)


def pss_mb() -> float:
    """Memory of this process and its descendants, shared pages counted once, MB."""
    gc.collect()
    total = 0
    for pid in (os.getpid(), *descendants(os.getpid())):
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total / 1e3


def disk_mb() -> float:
    """What this process, its descendants and the dead that were waited for had the disk read, MB."""
    total = 0
    for pid in (os.getpid(), *descendants(os.getpid())):
        try:
            lines = Path(f"/proc/{pid}/io").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("read_bytes:"))
    return total / 1e6


def forget(folder: Path) -> None:
    """Drop a folder's files from the page cache. They must be on disk (`os.sync`) and mapped by nobody."""
    for path in folder.rglob("*"):
        if path.is_file():
            file = os.open(path, os.O_RDONLY)
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(file)
