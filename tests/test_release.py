"""A release folder as a reader sees it."""

import json
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import tiny_release
from rs_gpt4v_conversion.errors import UsageError
from rs_gpt4v_conversion.release import ReleaseFolder, ShardEntry, Where
from tiny_release import BOXES, CAPTIONS, QUESTIONS, TESTS


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return tiny_release.write(tmp_path / "rs-gpt4v")


def plain(row: dict[str, Any]) -> dict[str, Any]:
    return json.loads(json.dumps(row, default=bytes.hex))


def test_shards_say_what_they_hold(tiny: Path) -> None:
    folder = ReleaseFolder(tiny)
    assert [s.path for s in folder.shards] == [CAPTIONS, QUESTIONS, TESTS, BOXES]
    assert [(s.task, s.source, s.split, s.rows, s.qa_pairs) for s in folder.shards] == [
        ("captioning", "alpha", "train", 3, 3), ("vqa", "alpha", "train", 2, 17),
        ("vqa", "alpha", "test", 2, 2), ("grounding", "beta", "train", 4, 4),
    ]  # fmt: skip
    assert folder.manifest["version"] == "0.0.1"
    assert folder.mini == [tiny_release.MINI_TEST, tiny_release.MINI]
    assert "README.md" in folder.files


def test_rows_come_as_they_were_written(tiny: Path) -> None:
    folder = ReleaseFolder(tiny)
    rows = [row for shard in folder.shards for row in folder.rows(shard.path)]
    assert [plain(r) for r in rows] == [plain(r) for r in tiny_release.draw()]
    assert list(next(folder.rows(BOXES, ["id", "gsd"]))) == ["id", "gsd"]


def test_rows_come_with_their_place(tiny: Path) -> None:
    places = [where for where, _ in ReleaseFolder(tiny).located(CAPTIONS, ["id"])]
    assert places == [Where(CAPTIONS, 0, 0), Where(CAPTIONS, 0, 1), Where(CAPTIONS, 1, 0)]
    assert ReleaseFolder(tiny).group_rows(CAPTIONS) == [2, 1]


def test_a_folder_without_a_manifest_is_read_by_its_shards(tiny: Path) -> None:
    (tiny / "manifest.json").unlink()
    entry = ShardEntry(path=BOXES, rows=4, qa_pairs=4, bytes=1, sha256="")
    folder = ReleaseFolder(tiny, shards=[entry])
    assert folder.mini == [tiny_release.MINI_TEST, tiny_release.MINI]
    assert len(list(folder.rows(BOXES, ["id"]))) == 4


def test_find_gives_rows_in_the_order_asked_for(tiny: Path) -> None:
    drawn = {r["id"]: plain(r) for r in tiny_release.draw()}
    asked = ["beta/train/grounding/34", "alpha/test/vqa/21", "nobody", "alpha/train/captioning/10"]
    found = ReleaseFolder(tiny).find(asked)
    assert list(found) == [asked[0], asked[1], asked[3]]
    assert {i: plain(r) for i, r in found.items()} == {i: drawn[i] for i in found}
    assert ReleaseFolder(tiny).find([]) == {}


def test_find_reads_only_the_row_groups_and_columns_it_needs(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[tuple[int, list[str] | None]] = []
    real = pq.ParquetFile.read_row_group

    def noted(self: pq.ParquetFile, group: int, columns: list[str] | None = None, **options: Any) -> pa.Table:
        reads.append((group, columns))
        return real(self, group, columns=columns, **options)

    monkeypatch.setattr(pq.ParquetFile, "read_row_group", noted)
    found = ReleaseFolder(tiny).find(["beta/train/grounding/33", "beta/train/grounding/34"], ["objects"])
    assert [group for group, _ in reads] == [1]
    assert {tuple(sorted(row)) for row in found.values()} == {("id", "objects")}


def index_with(folder: Path, **changes: Any) -> None:
    table = pq.read_table(folder / "index.parquet")
    lines = table.to_pylist()
    lines[-1].update(changes)
    pq.write_table(pa.Table.from_pylist(lines, schema=table.schema), folder / "index.parquet")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"row": 0}, "places beta/train/grounding/34 where beta/train/grounding/33 lies"),
        ({"row": 7}, "cannot be read as the index says"),
        ({"row_group": 9}, "cannot be read as the index says"),
        ({"shard": "../elsewhere.parquet"}, "which is no shard of data/"),
    ],
)
def test_an_index_of_another_build_is_said(changes: dict[str, Any], said: str, tiny: Path) -> None:
    index_with(tiny, **changes)
    with pytest.raises(UsageError, match=said):
        ReleaseFolder(tiny).find(["beta/train/grounding/34"])


def test_an_index_that_is_none_is_said(tiny: Path) -> None:
    pq.write_table(pa.table({"id": ["a"]}), tiny / "index.parquet")
    with pytest.raises(UsageError, match="has no column row, row_group, shard"):
        ReleaseFolder(tiny).find(["a"])
    (tiny / "index.parquet").write_bytes(b"no")
    with pytest.raises(UsageError, match=r"index\.parquet: cannot be read"):
        ReleaseFolder(tiny).index()
    (tiny / "index.parquet").unlink()
    with pytest.raises(UsageError, match=r"index\.parquet: cannot be read"):
        ReleaseFolder(tiny).index()


SHARD = {"path": BOXES, "rows": 1, "qa_pairs": 1, "bytes": 1, "sha256": ""}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "is no JSON"), ("\xff", "is no JSON"), ("[]", "lacks version"), ("{}", "lacks version"),
        ({"files": []}, "`files` is not a table"), ({"files": {"a": 1}}, "`files` is not a table"),
        ({"files": {"../a": {}}}, "expected paths inside the release"),
        ({"files": {"/etc/passwd": {}}}, "expected paths inside the release"),
        ({"shards": {}}, "`shards` is not a list"), ({"shards": [1]}, "a shard lacks path"),
        ({"shards": [{}]}, "a shard lacks path"), ({"shards": [{**SHARD, "rows": "1"}]}, "a shard lacks path"),
        ({"shards": [{**SHARD, "path": "data/x.parquet"}]}, r"lists the shard data/x\.parquet, expected data/<task>"),
        ({"shards": [{**SHARD, "path": "data/../b/train-00000-of-00001.parquet"}]}, r"lists the shard data/\.\./b"),
    ],
)  # fmt: skip
def test_a_manifest_that_is_none_is_refused(content: Any, said: str, tmp_path: Path) -> None:
    if isinstance(content, dict):
        content = json.dumps({"version": "1", "date": "2", "shards": [], "files": {}} | content)
    (tmp_path / "manifest.json").write_bytes(content.encode("latin-1"))
    with pytest.raises(UsageError, match=said):
        ReleaseFolder(tmp_path)


def test_a_folder_that_is_no_release_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(UsageError, match=r"holds no manifest\.json"):
            ReleaseFolder(path)
    (tmp_path / "manifest.json").mkdir()
    with pytest.raises(UsageError, match=f"cannot be read: {os.strerror(21)}"):
        ReleaseFolder(tmp_path)
