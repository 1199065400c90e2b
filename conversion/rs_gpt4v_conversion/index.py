"""index.parquet: one line a row, saying where it lies, so that a reader can fetch any image by its byte range."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from rs_gpt4v_conversion.files import completed
from rs_gpt4v_conversion.naming import shard_part
from rs_gpt4v_conversion.rows import TAG

DIALOGUES = "dialogues"
"""The one column of the index that a release may lack: the first builds did not write it."""

SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("task", pa.string()),
        ("source", pa.string()),
        ("split", pa.string()),
        ("shard", pa.string()),  # path in the release
        ("row_group", pa.int32()),
        ("row", pa.int32()),  # within the row group
        ("image_offset", pa.int64()),  # bytes from the file's start; null where the image is null
        ("image_length", pa.int64()),
        ("pairs", pa.int32()),
        (DIALOGUES, pa.int32()),  # independent ones among the pairs
        ("words", pa.list_(pa.int32())),  # of question and answer, one count a pair, without the image tag
    ]
)

Ranges = Callable[[str], list[list[tuple[int, int] | None]]]
"""The contract's `image_ranges`."""


def write_index(folder: Path, shards: Iterable[str], ranges: Ranges) -> None:
    """Write index.parquet for the shards of data/, in the order given."""
    with (
        completed(folder / "index.parquet") as temporary,
        pq.ParquetWriter(temporary, SCHEMA, compression="zstd", write_page_index=True) as writer,
    ):
        for shard in shards:
            writer.write_table(_shard_index(folder, shard, ranges))


def _shard_index(folder: Path, shard: str, ranges: Ranges) -> pa.Table:
    task, source, split = shard_part(shard)
    lines: list[dict[str, Any]] = []
    with pq.ParquetFile(folder / shard) as file:
        for group, places in enumerate(ranges(str(folder / shard))):
            table = file.read_row_group(group, columns=["id", "conversations", "pairs"])
            for row, (record, place) in enumerate(zip(table.to_pylist(), places, strict=True)):
                words = pair_words(record["conversations"])
                offset, length = place if place else (None, None)
                lines.append(
                    {
                        "id": record["id"], "task": task, "source": source, "split": split,
                        "shard": shard, "row_group": group, "row": row, "image_offset": offset,
                        "image_length": length, "pairs": len(words),
                        DIALOGUES: dialogue_count(record["pairs"]), "words": words,
                    }
                )  # fmt: skip
    return pa.Table.from_pylist(lines, schema=SCHEMA)


def dialogue_count(pairs: list[dict[str, Any]]) -> int:
    """Independent dialogues among the pairs of a row."""
    return len({pair["dialogue"] for pair in pairs})


def pair_words(conversations: list[dict[str, str]]) -> list[int]:
    """Words of each pair, question and answer together: the length that LLaVA's sampler groups by."""
    counts = [len(turn["value"].removeprefix(TAG).split()) for turn in conversations]
    return [q + a for q, a in zip(counts[::2], counts[1::2], strict=True)]
