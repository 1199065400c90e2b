"""Write many shards on one machine: finished ones are not done again, whatever happened before."""

import dataclasses
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

from rs_gpt4v_conversion.files import disk_trouble, write_bytes
from rs_gpt4v_conversion.records import Reject
from rs_gpt4v_conversion.shards import Shard, ShardPlan, write_shard
from rs_gpt4v_conversion.workers import apart


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
        if workers > 1:
            left.sort(key=lambda p: -p.size)  # the largest first: the last ones to finish are small
        for plan, shard in apart(partial(write_and_sign, folder=folder, receipts=receipts), left, workers):
            done[plan.path] = shard
            on_shard(plan.rows)
    except OSError as error:
        raise disk_trouble(error, folder) or error from None
    return [done[p.path] for p in plans]


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
