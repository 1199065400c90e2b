"""A release of a few rows, drawn and written by code of its own: what it takes to be right is not the project's word.

Only the Arrow schema is the contract's. Byte ranges are found by searching the file for the image's bytes.
"""

import hashlib
import io
import json
from collections.abc import Iterable
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

import rs_gpt4v

Row = dict[str, Any]
GROUP = 2  # rows of a row group
SIZE = (48, 40)

CAPTIONS = "data/captioning/alpha/train-00000-of-00001.parquet"
QUESTIONS = "data/vqa/alpha/train-00000-of-00001.parquet"
TESTS = "data/vqa/alpha/test-00000-of-00001.parquet"
BOXES = "data/grounding/beta/train-00000-of-00001.parquet"
MINI = "mini/train-00000-of-00001.parquet"
MINI_TEST = "mini/test-00000-of-00001.parquet"

INDEX = pa.schema(
    [
        ("id", pa.string()), ("task", pa.string()), ("source", pa.string()), ("split", pa.string()),
        ("shard", pa.string()), ("row_group", pa.int32()), ("row", pa.int32()), ("image_offset", pa.int64()),
        ("image_length", pa.int64()), ("pairs", pa.int32()), ("words", pa.list_(pa.int32())),
    ]
)  # fmt: skip


def picture(seed: int, kind: str = "JPEG", size: tuple[int, int] = SIZE, **options: Any) -> bytes:
    """A picture that no other seed gives."""
    width, height = size
    noise = (hashlib.sha256(f"{seed} {n}".encode()).digest() for n in range(width * height * 3 // 32 + 1))
    out = io.BytesIO()
    Image.frombytes("RGB", size, b"".join(noise)[: width * height * 3]).save(out, kind, **options)
    return out.getvalue()


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def row(task: str, source: str, split: str, number: int, image: bytes, pairs: list[tuple[str, str, str]]) -> Row:
    """A row; `pairs` are category, question and answer."""
    turns = [t for _, q, a in pairs for t in ({"from": "human", "value": q}, {"from": "gpt", "value": a})]
    turns[0]["value"] = "<image>\n" + turns[0]["value"]
    return {
        "id": f"{source}/{split}/{task}/{number}",
        "image": {"bytes": image, "path": f"{number}.jpg"},
        "conversations": turns,
        "pairs": [
            {
                "category": category, "dialogue": n, "template": "tiny/1", "generator": "annotation",
                "review": "unreviewed", "objects": [],
            }
            for n, (category, _, _) in enumerate(pairs)
        ],
        "task": task, "source": source, "modality": "optical", "objects": [], "width": SIZE[0], "height": SIZE[1],
        "gsd": 0.5, "image_path": f"{source}/{number}.jpg",
        "parent": "", "window": [], "scale": 1.0, "crs": "",
        "bounds": [], "rendering": "",
        "image_sha256": sha(image), "source_sha256": sha(image), "source_id": f"{number}.jpg",
        "license": "made for the tests",
    }  # fmt: skip


def thing(category: str, x: float, y: float, w: float, h: float) -> dict[str, Any]:
    """An upright object with both kinds of box."""
    return {
        "category": category, "bbox": [x, y, x + w, y + h], "obb": [x, y, x + w, y, x + w, y + h, x, y + h],
        "difficult": False, "ignore": False, "number": 0, "iof": 1.0,
    }  # fmt: skip


def draw() -> list[Row]:
    """Eleven good rows of three tasks, two sources and two splits."""
    many = [("count", f"How many huts are there in part {n}?", str(n)) for n in range(15)]
    rows = [
        row("captioning", "alpha", "train", n, picture(n), [("caption", "Say it.", f"Field {n}.")]) for n in (1, 2, 10)
    ]
    rows += [row("vqa", "alpha", "train", n, picture(n), many if n == 1 else many[:2]) for n in (1, 2)]
    rows += [row("vqa", "alpha", "test", n, picture(n), many[:1]) for n in (21, 22)]
    for n in (31, 32, 33, 34):
        boxes = row("grounding", "beta", "train", n, picture(n, "PNG"), [("grounding", "Where are the huts?", "here")])
        boxes["objects"] = [thing("hut", 3, 4, 10, 8), thing("tree", 20, 20, 6, 5)] if n != 33 else []
        boxes["pairs"][0]["objects"] = [0] if n != 33 else []
        rows.append(boxes)
    rows[-1]["image"] = None  # the release may not carry it
    return rows


def write(folder: Path, rows: Iterable[Row] | None = None, mini: Iterable[Row] | None = None) -> Path:
    """Write a release of `rows`; whatever is wrong in them, files, index and manifest fit them."""
    rows = draw() if rows is None else list(rows)
    listed, lines = [], []
    for (task, source, split), part in groupby(rows, lambda r: (r["task"], r["source"], str(r["id"]).split("/")[1])):
        content = list(part)
        name = f"data/{task}/{source}/{split}-00000-of-00001.parquet"
        write_shard(folder / name, content)
        listed.append({"path": name, "rows": len(content), "qa_pairs": sum(len(r["pairs"] or ()) for r in content)})
        lines += index_lines(folder, name, content)
    pq.write_table(pa.Table.from_pylist(lines, schema=INDEX), folder / "index.parquet", compression="zstd")
    for split, part in groupby(rows[::3] if mini is None else mini, lambda r: str(r["id"]).split("/")[1]):
        write_shard(folder / f"mini/{split}-00000-of-00001.parquet", list(part), append=True)
    for name in ("README.md", "CHANGELOG.md", "rejects.jsonl", "quality.json"):
        (folder / name).write_text(f"{name} of a tiny release\n")
    (folder / "manifest.json").write_text(json.dumps({"version": "0.0.1", "date": "2026-01-01", "shards": listed}))
    return seal(folder)


def write_shard(path: Path, rows: list[Row], *, append: bool = False, schema: pa.Schema | None = None) -> None:
    """Write a shard as a release has it: images plain and uncompressed, text with dictionaries."""
    schema = schema or contract()
    before = pq.read_table(path).to_pylist() if append and path.exists() else []
    path.parent.mkdir(parents=True, exist_ok=True)
    names = leaves(schema)
    text = [name for name in names if name != "image.bytes"]
    with pq.ParquetWriter(
        path, schema, compression={n: "none" if n == "image.bytes" else "zstd" for n in names}, use_dictionary=text,
        column_encoding={"image.bytes": "PLAIN"}, write_statistics=text, write_page_index=True, write_batch_size=2,
    ) as writer:  # fmt: skip
        content = [*before, *rows]
        for start in range(0, len(content), GROUP):
            writer.write_table(pa.Table.from_pylist(content[start : start + GROUP], schema=schema))


@cache
def contract() -> pa.Schema:
    return rs_gpt4v.arrow_schema()


@cache
def leaves(schema: pa.Schema) -> list[str]:
    """Paths of the leaf columns, asked of a file and not of the project."""
    sketch = io.BytesIO()
    pq.write_table(schema.empty_table(), sketch)
    columns = pq.read_metadata(sketch).schema
    return [columns.column(i).path for i in range(len(columns))]


def index_lines(folder: Path, name: str, rows: list[Row]) -> Iterable[Row]:
    """One line a row; its image is where the file has the image's bytes."""
    _, task, source, file = name.split("/")
    content, at = (folder / name).read_bytes(), 0
    for number, r in enumerate(rows):
        image = (r["image"] or {}).get("bytes")
        offset = None if image is None else content.index(image, at)
        at = at if offset is None else offset + len(image)
        texts = [((t or {}).get("value") or "").removeprefix("<image>\n") for t in r["conversations"] or ()]
        words = [len(f"{q} {a}".split()) for q, a in zip(texts[::2], texts[1::2], strict=False)]
        yield {
            "id": r["id"], "task": task, "source": source, "split": file.split("-")[0], "shard": name,
            "row_group": number // GROUP, "row": number % GROUP, "image_offset": offset,
            "image_length": None if image is None else len(image), "pairs": len(words), "words": words,
        }  # fmt: skip


def seal(folder: Path) -> Path:
    """Write sizes and digests of all files into the manifest again."""
    manifest = json.loads((folder / "manifest.json").read_text())
    for shard in manifest["shards"]:
        shard.update(entry(folder / shard["path"]))
    names = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    others = [n for n in names if not n.startswith("data/") and n != "manifest.json"]
    manifest["files"] = {name: entry(folder / name) for name in others}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def entry(path: Path) -> dict[str, Any]:
    return {"bytes": path.stat().st_size, "sha256": sha(path.read_bytes())}
