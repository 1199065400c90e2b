"""Release folders of a few files for tests of pushing: any bytes will do, where nobody reads rows."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path


def content(seed: str, size: int) -> bytes:
    """Bytes that no other seed gives, not compressible."""
    pieces = (hashlib.sha256(f"{seed} {n}".encode()).digest() for n in range(size // 32 + 1))
    return b"".join(pieces)[:size]


def shard(number: int, task: str = "vqa", split: str = "train") -> str:
    return f"data/{task}/alpha/{split}-{number:05d}-of-00004.parquet"


def first() -> dict[str, bytes]:
    """Files of version 1.0.0."""
    shards = {shard(n): content(f"shard {n}", 30_000 + n) for n in range(4)}
    card = b"---\npretty_name: RS-GPT4V\n---\n\n# RS-GPT4V 1.0.0\n"
    return {**shards, "mini/train-00000-of-00001.parquet": content("mini", 5_000), "README.md": card,
            "index.parquet": content("index", 2_000), "rejects.jsonl": b'{"id": "a"}\n'}  # fmt: skip


def second() -> dict[str, bytes]:
    """Files of version 1.1.0: a shard of another content, one gone, one added, another card and index."""
    files = first() | {shard(1): content("shard 1 again", 29_000), shard(0, "captioning"): content("captions", 8_000)}
    del files[shard(3)]
    files["README.md"] = files["README.md"].replace(b"1.0.0", b"1.1.0")
    files["index.parquet"] = content("index again", 2_100)
    return files


def write(folder: Path, version: str, files: Mapping[str, bytes], **more: object) -> Path:
    """Write a release of these files, with its manifest."""
    listed = {}
    for path, data in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
        listed[path] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    shards = [{"path": p, "rows": 1, "qa_pairs": 1, **entry} for p, entry in listed.items() if p.startswith("data/")]
    manifest = {
        "name": "rs-gpt4v", "version": version, "date": "2026-01-01", "contract": "0.1.0", "shards": shards,
        "files": {p: entry for p, entry in listed.items() if not p.startswith("data/")}, **more,
    }  # fmt: skip
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1))
    return folder
