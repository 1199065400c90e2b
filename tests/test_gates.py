"""Every gate holds on a good release, and fails on one that breaks exactly its promise."""

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from rs_gpt4v_conversion.errors import UsageError
from rs_gpt4v_conversion.files import sha256
from rs_gpt4v_conversion.gates import GateResult, as_json, as_text, check
from rs_gpt4v_conversion.gates.rows import box_flaw
from rs_gpt4v_conversion.release import ReleaseFolder
from rs_gpt4v_conversion.shards import parquet_settings

SHARD = "data/grounding/hit_uav/train-00000-of-00001.parquet"
TEST = "data/grounding/hit_uav/test-00000-of-00001.parquet"


@pytest.fixture
def copy(release: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "rs-gpt4v"
    shutil.copytree(release, folder)
    return folder


def rewrite(
    folder: Path, name: str, change: Callable[[list[dict[str, Any]]], object], schema: pa.Schema | None = None
) -> None:
    """Write a shard again with changed rows, and the manifest and index with it: only the content is wrong."""
    from rs_gpt4v import image_ranges
    from rs_gpt4v_conversion.index import write_index

    table = pq.read_table(folder / name)
    rows = table.to_pylist()
    change(rows)
    schema = schema or table.schema
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), folder / name, **parquet_settings(schema))
    manifest = json.loads((folder / "manifest.json").read_text())
    for shard in manifest["shards"]:
        if shard["path"] == name:
            shard.update(rows=len(rows))
    if name.startswith("data/"):
        write_index(folder, [s["path"] for s in manifest["shards"]], image_ranges)
    for entry, path in [(s, s["path"]) for s in manifest["shards"]] + [(f, n) for n, f in manifest["files"].items()]:
        entry.update(bytes=(folder / path).stat().st_size, sha256=sha256(folder / path))
    (folder / "manifest.json").write_text(json.dumps(manifest))


def failing(folder: Path) -> dict[str, GateResult]:
    return {r.name: r for r in check(folder) if r.count}


def test_a_good_release_passes_every_gate(release: Path) -> None:
    results = check(release)
    assert as_json(results)["ok"] is True
    assert {r.name for r in results} == {
        "manifest", "schema", "ids", "conversations", "boxes", "images", "splits", "index", "mini",
        "splits of sources known to overlap",
    }  # fmt: skip
    assert "FAILS" not in as_text(results)


def in_row(path: tuple[Any, ...], value: Any) -> Callable[[list[dict[str, Any]]], None]:
    def change(rows: list[dict[str, Any]]) -> None:
        place: Any = rows[0]
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value

    return change


ROWS = {
    "conversations: a turn is blank": in_row(("conversations", 1, "value"), " "),
    "conversations: turns are not": in_row(("conversations", 0, "from"), "gpt"),
    "conversations: the image tag": in_row(("conversations", 0, "value"), "Where?"),
    "conversations: the image tag ": in_row(("conversations", 1, "value"), "at the <image>"),
    "conversations: 'caption' is no category": in_row(("pairs", 0, "category"), "caption"),
    "conversations: dialogue numbers": in_row(("pairs", 0, "dialogue"), 3),
    "conversations: a pair speaks": in_row(("pairs", 0, "objects"), [10_000]),
    "boxes: boxes of 3": in_row(("objects", 0, "bbox"), [1.0, 2.0, 3.0]),
    "boxes: bbox": in_row(("objects", 0, "bbox"), [1.0, 2.0, 900.0, 4.0]),
    "boxes: obb without area": in_row(("objects", 0, "obb"), [1.0, 1.0, 1.0, 5.0, 5.0, 5.0, 5.0, 1.0]),
    "boxes: a box that is not": in_row(("objects", 0, "obb"), [float("nan")] * 8),
    "images: the digest": in_row(("image_sha256",), "00" * 32),
    "images: is 640x512": in_row(("width",), 639),
    "ids: lies in": in_row(("id",), "hit_uav/test/grounding/x"),
}


@pytest.mark.parametrize("case", ROWS)
def test_a_wrong_row_fails_its_gate_by_id(case: str, copy: Path) -> None:
    rewrite(copy, SHARD, ROWS[case])
    name, detail = case.split(": ")
    found = failing(copy)
    assert detail.strip() in found[name].detail
    assert found[name].count == 1
    assert found[name].ids == [pq.read_table(copy / SHARD, columns=["id"])["id"][0].as_py()]
    assert as_json(list(found.values()))["ok"] is False


def test_an_id_in_two_rows(copy: Path) -> None:
    rewrite(copy, SHARD, lambda rows: rows.append(rows[0]))
    assert failing(copy)["ids"].detail == "the id stands in two rows"


def test_a_truncated_image(copy: Path) -> None:
    import hashlib

    def cut(rows: list[dict[str, Any]]) -> None:
        data = rows[0]["image"]["bytes"][:-3000]
        rows[0].update(image={"bytes": data, "path": "x.jpg"}, image_sha256=hashlib.sha256(data).hexdigest())

    rewrite(copy, SHARD, cut)
    assert "does not decode" in failing(copy)["images"].detail


def test_a_null_image_is_allowed(copy: Path) -> None:
    rewrite(copy, SHARD, in_row(("image",), None))
    assert failing(copy) == {}


def test_an_image_in_two_splits_is_an_error_unless_its_source_is_known_for_it(copy: Path) -> None:
    first = pq.read_table(copy / SHARD).to_pylist()[0]
    other = pq.read_table(copy / TEST, columns=["id"])["id"][0].as_py()
    same = {key: first[key] for key in ("image", "image_sha256", "source_sha256")}

    def swap(rows: list[dict[str, Any]]) -> None:
        for row in rows:
            if row["id"] == other:
                row.update(same)

    rewrite(copy, TEST, swap)
    rewrite(copy, "mini/test-00000-of-00001.parquet", swap)
    found = failing(copy)
    assert list(found) == ["splits"]
    assert found["splits"].severity == "error"
    known = {r.name: r for r in check(copy, known_overlap={"hit_uav"}) if r.count}
    assert [r.severity for r in known.values()] == ["warning"]
    assert as_json(list(known.values()))["ok"] is True


def test_files_that_are_missing_added_or_changed(copy: Path) -> None:
    (copy / "rejects.jsonl").unlink()
    (copy / "notes.txt").write_text("x")
    (copy / ".gitattributes").write_text("hidden files are the Hub's")
    with (copy / "CHANGELOG.md").open("a") as file:
        file.write("x")
    card = (copy / "README.md").read_bytes()
    (copy / "README.md").write_bytes(card.replace(b"a", b"b", 1))
    assert set(failing(copy)["manifest"].ids) == {"rejects.jsonl", "notes.txt", "CHANGELOG.md", "README.md"}


def test_a_shard_with_other_columns_or_rows_than_listed(copy: Path) -> None:
    table = pq.read_table(copy / SHARD)
    rewrite(copy, SHARD, lambda rows: None, schema=table.schema.remove(table.schema.get_field_index("gsd")))
    assert failing(copy)["schema"].ids == [SHARD]


@pytest.mark.parametrize("content", [b"", b"PAR1", b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n"])
def test_a_file_that_is_no_parquet_is_a_finding_and_no_traceback(content: bytes, copy: Path) -> None:
    for name in (SHARD, "index.parquet", "mini/train-00000-of-00001.parquet"):
        (copy / name).write_bytes(content)
    found = failing(copy)
    assert {"manifest", "schema", "index"} <= set(found)
    assert SHARD in found["schema"].ids


def test_an_index_that_points_elsewhere(copy: Path) -> None:
    rows = pq.read_table(copy / "index.parquet")
    lines = rows.to_pylist()
    lines[0]["image_offset"] += 1
    pq.write_table(
        pa.Table.from_pylist([*lines[:-1], dict(lines[-1], id="strange")], schema=rows.schema), copy / "index.parquet"
    )
    assert failing(copy)["index"].ids[0] == lines[0]["id"]
    assert failing(copy)["index"].count == 2


def test_a_copy_in_mini_that_differs(copy: Path) -> None:
    rewrite(copy, "mini/train-00000-of-00001.parquet", in_row(("conversations", 1, "value"), "something else"))
    assert list(failing(copy)) == ["mini"]


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"version": 1, "date": 2, "shards": [{}], "files": {}}'])
def test_a_manifest_that_is_none_is_refused(content: str, copy: Path) -> None:
    (copy / "manifest.json").write_text(content)
    with pytest.raises(UsageError, match=r"manifest\.json"):
        check(copy)


def test_find_reads_rows_by_id(release: Path) -> None:
    folder = ReleaseFolder(release)
    ids = folder.index()["id"].to_pylist()[::5]
    found = folder.find([*ids, "nobody"])
    assert set(found) == set(ids)
    for record, row in found.items():
        assert row["id"] == record
        Image.open(io.BytesIO(row["image"]["bytes"])).load()


def test_a_box_may_leave_its_image_by_a_pixel() -> None:
    assert box_flaw([-1.0, 0.0, 11.0, 10.0], [], 10, 10) == ""
    assert box_flaw([-1.5, 0.0, 11.0, 10.0], [], 10, 10) != ""
