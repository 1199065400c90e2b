"""Write many shards on one machine: finished ones are not done again, whatever happened before."""

import contextlib
import dataclasses
import json
import multiprocessing
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from rs_gpt4v_conversion.errors import ConversionError
from rs_gpt4v_conversion.files import disk_trouble, write_bytes
from rs_gpt4v_conversion.records import Reject
from rs_gpt4v_conversion.shards import Shard, ShardPlan, write_shard


def write_shards(
    plans: list[ShardPlan],
    folder: Path,
    receipts: Path,
    workers: int,
    on_shard: Callable[[int], None],
) -> list[Shard]:
    """Write the planned shards, except those that an earlier run finished.

    Args:
        plans: What to write.
        folder: The release folder.
        receipts: A folder with one small file a finished shard.
        workers: Processes; with one the work is done in this process.
        on_shard: Called with the number of rows of each shard that is there.

    Returns:
        The shards in the order of the plans.

    Raises:
        UsageError: The disk is full or may not be written.
        ConversionError: A worker was killed.
    """
    receipts.mkdir(parents=True, exist_ok=True)
    done = {p.path: shard for p in plans if (shard := _finished(p, folder, receipts)) is not None}
    for plan in plans:
        if plan.path in done:
            on_shard(plan.rows)
    left = [p for p in plans if p.path not in done]
    try:
        runs = _here(left, folder, receipts) if workers == 1 else _apart(left, folder, receipts, workers)
        for plan, shard in runs:
            done[plan.path] = shard
            on_shard(plan.rows)
    except BrokenProcessPool:
        raise ConversionError(
            "a worker process was killed, perhaps because memory ran out; finished shards are kept: "
            "run the same command again, with fewer --workers"
        ) from None
    except OSError as error:
        raise disk_trouble(error, folder) or error from None
    return [done[p.path] for p in plans]


def _here(plans: list[ShardPlan], folder: Path, receipts: Path) -> Iterator[tuple[ShardPlan, Shard]]:
    for plan in plans:
        yield plan, write_and_sign(plan, folder, receipts)


def _apart(plans: list[ShardPlan], folder: Path, receipts: Path, workers: int) -> Iterator[tuple[ShardPlan, Shard]]:
    # spawn: a forked child inherits pyarrow's threads in mid-air. Never multiprocessing.Pool: it waits for ever for a
    # worker that was killed.
    if not plans:
        return
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(min(workers, len(plans)), context, initializer=_begin_worker)
    pending: dict[Future[Shard], ShardPlan] = {}
    try:
        with _interrupts_held():
            for plan in sorted(plans, key=lambda p: -p.size):  # the largest first: the last ones to finish are small
                pending[pool.submit(write_and_sign, plan, folder, receipts)] = plan
        while pending:
            ready, _ = wait(pending, return_when=FIRST_COMPLETED)
            for future in ready:
                yield pending.pop(future), future.result()
    finally:
        if pending:  # something went wrong: the rest is not wanted any more
            for process in multiprocessing.active_children():
                process.terminate()
        pool.shutdown(wait=not pending, cancel_futures=True)


@contextlib.contextmanager
def _interrupts_held() -> Iterator[None]:
    """Hold back Ctrl-C while the pool starts: in the midst of that it cannot be stopped in good order.

    The mask is for the workers, which inherit it and are deaf to Ctrl-C while they import, which saves their
    tracebacks; here another thread would still take the signal, so that its handler has to wait as well.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread is ever interrupted
        return
    arrived: list[int] = []
    handler = signal.signal(signal.SIGINT, lambda number, _: arrived.append(number))
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        signal.signal(signal.SIGINT, handler)
    if arrived:
        raise KeyboardInterrupt


def _begin_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends a worker without a traceback
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def write_and_sign(plan: ShardPlan, folder: Path, receipts: Path) -> Shard:
    """Write a shard, then the receipt that says so."""
    shard = write_shard(plan, folder)
    receipt = {"plan": plan.digest, "shard": dataclasses.asdict(shard)}
    write_bytes(_receipt(plan, receipts), json.dumps(receipt).encode())
    return shard


def _receipt(plan: ShardPlan, receipts: Path) -> Path:
    return receipts / (plan.path.replace("/", "~") + ".json")


def _finished(plan: ShardPlan, folder: Path, receipts: Path) -> Shard | None:
    """The shard of an earlier run, if its plan was this one and its file is there in its full size."""
    try:
        receipt = json.loads(_receipt(plan, receipts).read_bytes())
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    if receipt["plan"] != plan.digest:
        return None
    rejects = tuple(Reject(**r) for r in receipt["shard"].pop("rejects"))
    shard = Shard(**receipt["shard"], rejects=rejects)
    path = folder / plan.path
    if shard.rows and not (path.exists() and path.stat().st_size == shard.bytes):
        return None
    return shard
