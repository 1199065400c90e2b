"""A release as a sequence: every row as its Parquet file has it, in any order, whatever the copy lacks."""

import json
import logging
import os
import pickle
import resource
import shutil
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader, WeightedRandomSampler

import tiny_release
from rs_gpt4v_builder import Release, Rows
from rs_gpt4v_builder.errors import OptionError, ReleaseError
from rs_gpt4v_builder.release import store
from rs_gpt4v_builder.release import texts as text
from rs_gpt4v_builder.release.texts import python_values

FORK_IS_FINE = pytest.mark.filterwarnings("ignore:.*use of fork.*:DeprecationWarning")


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tiny release and an empty cache."""
    monkeypatch.setenv("RS_GPT4V_CACHE", str(tmp_path / "own-cache"))
    return tiny_release.write(tmp_path / "rs-gpt4v")


def truth(folder: Path, config: str, split: str) -> list[dict[str, Any]]:
    """Rows as pyarrow reads them, in the manifest's order."""
    manifest = json.loads((folder / "manifest.json").read_text())
    names = list(manifest["files"]) if config == "mini" else [shard["path"] for shard in manifest["shards"]]
    parts = [name.split("/") for name in names if name.endswith(".parquet")]
    chosen = [p for p in parts if p[-1].startswith(f"{split}-") and config in ("all", *p[:3])]
    return [row for p in chosen for row in pq.read_table(folder.joinpath(*p)).to_pylist()]


def test_every_config_and_split_of_a_release_is_what_its_files_hold(release: Path) -> None:
    opened = Release(release)
    assert opened.version == json.loads((release / "manifest.json").read_text())["version"]
    assert opened.configs[:2] == ("all", "mini")
    seen = 0
    for config in opened.configs:
        for split in opened.splits(config):
            rows = opened.rows(config, split)
            want = truth(release, config, split)
            assert len(rows) == len(want) > 0
            assert list(rows) == want, (config, split)
            assert list(rows[0]) == list(want[0])
            seen += len(want)
    assert seen > 1000


def test_it_is_a_sequence(tiny: Path) -> None:
    want = truth(tiny, "all", "train")
    rows = Release(tiny).rows()
    assert isinstance(rows, Rows)
    assert rows[0] == want[0]
    assert rows[-1] == want[-1]
    for number in (np.int64(3), np.array(3), torch.tensor(3)):  # the last is what `for i in torch.randperm(n)` gives
        assert rows[number] == want[3]
    for part in (slice(2, 5), slice(None, None, -2), slice(-3, None), slice(5, 2)):
        assert list(rows[part]) == want[part]
        assert len(rows[part]) == len(want[part])
        assert list(rows[part].lines["row"]) == [rows.lines["row"][i] for i in range(len(want))[part]]
    for chosen in ([4, 0, -1, 4], np.array([1, 2]), [], (3,), torch.tensor([3]), torch.tensor([1, 0])):
        assert list(rows[chosen]) == [want[i] for i in chosen]
    assert list(rows[1:][[0, 2]][::-1]) == [want[3], want[1]]
    assert list(reversed(rows)) == want[::-1]
    assert rows.index(want[2]) == 2
    assert "'all', 'train'" in repr(rows)


@pytest.mark.parametrize("wrong", [9, -10, [0, 9], [-10]])
def test_a_position_that_is_not_there_is_an_index_error(tiny: Path, wrong: Any) -> None:
    rows = Release(tiny).rows()
    assert len(rows) == 9
    with pytest.raises(IndexError):
        rows[wrong]
    with pytest.raises(TypeError, match="flatnonzero"):
        rows[np.array([True, False])]


@pytest.mark.parametrize("wrong", [1.5, None, "id", ["id"], [0.5], np.array([[0, 1]])])
def test_what_is_no_position_is_a_type_error(tiny: Path, wrong: Any) -> None:
    with pytest.raises(TypeError):
        Release(tiny).rows()[wrong]


def test_a_relative_folder_stays_where_it_was_when_the_working_folder_changes(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    want = truth(tiny, "all", "train")
    (tiny / "index.parquet").unlink()
    monkeypatch.chdir(tiny.parent)
    release = Release("rs-gpt4v", cache="caches")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    rows = release.rows()
    assert list(rows) == want
    assert list(pickle.loads(pickle.dumps(rows))) == want
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_file_url_is_a_folder(tiny: Path) -> None:
    release = Release(f"file://{tiny}")
    assert release.network is None
    assert list(release.rows()) == truth(tiny, "all", "train")


def test_a_tilde_is_the_users_home(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tiny.parent))
    assert len(Release("~/rs-gpt4v", cache="~/caches").rows()) == len(Release(Path("~/rs-gpt4v")).rows()) == 9
    assert (tiny.parent / "caches").is_dir()


def test_images_are_bytes_or_decoded_or_null(tiny: Path) -> None:
    release = Release(tiny)
    plain, decoded = release.rows("grounding"), release.rows("grounding", decode=True)
    assert plain[0]["image"] == {"bytes": tiny_release.picture(31, "PNG"), "path": "31.jpg"}
    assert decoded[0]["image"].size == tiny_release.SIZE
    assert plain[3]["image"] is None
    assert decoded[3]["image"] is None


def test_a_wrong_name_lists_the_right_ones(tiny: Path) -> None:
    with pytest.raises(OptionError, match=r"config='vq' is not known.*'vqa'"):
        Release(tiny).rows("vq")
    with pytest.raises(OptionError, match=r"split='val' is not known: use one of 'train', 'test'"):
        Release(tiny).rows("vqa", "val")


@pytest.mark.parametrize("content", ["", "[]", "{}", "not json"])
def test_what_is_no_release_is_said_to_be_none(tmp_path: Path, content: str) -> None:
    with pytest.raises(ReleaseError, match=r"holds no manifest\.json and no Parquet"):
        Release(tmp_path)
    (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(ReleaseError, match=r"manifest\.json (is no JSON|lists no shards)"):
        Release(tmp_path)
    with pytest.raises(ReleaseError):
        Release(tmp_path / "nowhere")


@pytest.mark.parametrize("lost", ["index.parquet", "manifest.json"])
def test_a_copy_that_lost_a_file_is_read_all_the_same(tiny: Path, lost: str) -> None:
    want = truth(tiny, "all", "train")
    before = Release(tiny).rows()
    counts = before.words().tolist(), before.dialogues().tolist()
    (tiny / lost).unlink()
    rows = Release(tiny, cache=tiny.parent / "another").rows()
    assert sorted(rows, key=lambda row: want.index(row)) == want
    rows = rows[[[row["id"] for row in rows].index(row["id"]) for row in want]]  # without a manifest: by path
    assert (rows.words().tolist(), rows.dialogues().tolist()) == counts
    assert counts[1] == [len(row["pairs"]) for row in want]


def repacked(path: Path, **settings: Any) -> None:
    table = pq.read_table(path)
    pq.write_table(table, path, row_group_size=2, **settings)


@pytest.mark.parametrize(
    ("settings", "slow"),
    [
        ({"compression": "zstd", "use_dictionary": False}, True),
        ({"compression": "none", "use_dictionary": True}, True),
        ({"compression": "none", "use_dictionary": False, "data_page_version": "2.0"}, False),
        ({"compression": "none", "use_dictionary": False, "data_page_size": 1, "write_batch_size": 1}, False),
    ],
)
def test_files_that_are_written_otherwise_are_read_all_the_same(
    tiny: Path, caplog: pytest.LogCaptureFixture, settings: dict[str, Any], slow: bool
) -> None:
    want = truth(tiny, "all", "train")
    for path in tiny.glob("data/*/*/*.parquet"):
        repacked(path, **settings)
    (tiny / "index.parquet").unlink()
    tiny_release.seal(tiny)
    with caplog.at_level(logging.WARNING):
        rows = Release(tiny).rows()
    order = [5, 0, 8, 3, 3, 1, 7, 2, 6, 4]
    assert [rows[i] for i in order] == [want[i] for i in order]
    assert ("slower" in caplog.text) == slow
    assert (rows.lines["offset"] == -2).any() == slow


def test_an_index_of_other_rows_is_refused(tiny: Path) -> None:
    table = pq.read_table(tiny / "index.parquet")
    pq.write_table(table.slice(1), tiny / "index.parquet")
    with pytest.raises(ReleaseError, match=r"index\.parquet has 2 rows of data/captioning/.*, the manifest 3"):
        Release(tiny).rows()


def test_an_index_that_is_no_parquet_file_is_named(tiny: Path) -> None:
    (tiny / "index.parquet").write_bytes(b"PAR1 but not for long")
    with pytest.raises(ReleaseError, match=r"index\.parquet is damaged .*: fetch it again, or remove it"):
        Release(tiny).rows()


def test_lines_that_a_cache_has_lost_are_made_again_and_damaged_ones_are_named(tiny: Path, tmp_path: Path) -> None:
    want = list(Release(tiny).rows())
    (lines,) = (tmp_path / "own-cache").rglob("index.lines")
    lines.unlink()
    assert list(Release(tiny).rows()) == want
    os.truncate(lines, 10)
    with pytest.raises(ReleaseError, match=r"index\.lines is damaged: delete it"):
        Release(tiny).rows()


def test_a_file_that_was_cut_is_named(tiny: Path) -> None:
    path = tiny / tiny_release.BOXES
    release = Release(tiny)
    release.rows("grounding")
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ReleaseError, match=tiny_release.BOXES):
        release.rows("grounding")[1]
    path.unlink()
    with pytest.raises(ReleaseError, match="cannot be opened"):
        Release(tiny).rows("grounding")[1]


def test_a_release_that_was_made_again_is_read_anew(tiny: Path) -> None:
    assert len(Release(tiny).rows()) == 9
    shutil.rmtree(tiny)
    tiny_release.write(tiny, tiny_release.draw()[1:])
    assert len(Release(tiny).rows()) == 8
    assert list(Release(tiny).rows()) == truth(tiny, "all", "train")


def test_the_texts_are_made_once_and_again_where_they_are_lost(tiny: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    rows = Release(tiny, cache=cache).rows()
    assert not list(cache.rglob("*.arrow")), "opening reads no text"
    want = list(rows)
    made = {path: path.stat().st_mtime_ns for path in cache.rglob("*.arrow")}
    assert len(made) == 3
    assert not any(b"JFIF" in path.read_bytes() for path in made), "images are not copied"
    assert list(Release(tiny, cache=cache).rows()) == want
    assert {path: path.stat().st_mtime_ns for path in cache.rglob("*.arrow")} == made
    first = next(iter(made))
    first.write_bytes(b"damaged")
    with pytest.raises(ReleaseError, match=r"\.arrow is damaged.*delete it"):
        list(Release(tiny, cache=cache).rows())
    shutil.rmtree(cache)
    assert list(Release(tiny, cache=cache).rows()) == want


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_cache_that_cannot_be_written_does_not_matter(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    assert list(Release(tiny, cache=tmp_path / "locked").rows()) == truth(tiny, "all", "train")


def test_a_cache_below_a_file_does_not_matter(
    tiny: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("RS_GPT4V_CACHE", str(tmp_path / "file" / "cache"))
    assert list(Release(tiny).rows()) == truth(tiny, "all", "train")
    assert "cannot be written" in caplog.text


def test_a_full_disk_is_said(tiny: Path, tmp_path: Path) -> None:
    rows = Release(tiny, cache=tmp_path / "cache").rows()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        with pytest.raises(ReleaseError, match=r"cannot be written.*RS_GPT4V_CACHE"):
            rows[0]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not [path for path in (tmp_path / "cache").rglob("*arrow*") if path.suffix != ".lock"]
    assert rows[0] == truth(tiny, "all", "train")[0]


def test_more_shards_than_files_may_be_open(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "OPEN_FILES", 1)
    monkeypatch.setattr(text, "MAPPED", 1)
    want, rows = truth(tiny, "all", "train"), Release(tiny).rows()
    before = len(list(Path("/proc/self/fd").iterdir()))
    for i in (0, 8, 3, 1, 7, 4):
        assert rows[i] == want[i]
    assert len(list(Path("/proc/self/fd").iterdir())) <= before + 2


@pytest.mark.parametrize(("mapped", "small"), [(1 << 20, 1 << 10), (1 << 20, 3), (300, 1 << 10), (0, 1 << 10)])
def test_copies_are_what_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mapped: int, small: int) -> None:
    monkeypatch.setattr(store, "MAPPED", mapped)
    monkeypatch.setattr(store, "SMALL", small)
    (tmp_path / "a").write_bytes(bytes(range(256)))
    (tmp_path / "b").write_bytes(bytes(range(255, -1, -1)))
    (tmp_path / "empty").touch()
    files = store.LocalStore(tmp_path)
    asked = [("a", 0, 256), ("b", 250, 6), ("a", -1, 0), ("b", 0, 2), ("a", 255, 1), ("empty", 0, 0)]
    found = files.copies(*zip(*asked, strict=True))
    assert found == [None if start < 0 else files.read(path, start, start + count) for path, start, count in asked]
    assert [type(data) for data in found if data is not None] == [bytes] * 5
    for path, start in (("a", 250), ("b", 256), ("a", 300), ("empty", 0)):
        with pytest.raises(ReleaseError, match=rf"{path} ends at byte .*the file was cut or changed"):
            files.copies([path], [start], [7])
    with pytest.raises(ReleaseError, match="none cannot be opened"):
        files.copies(["none"], [0], [1])


def test_it_travels_to_other_processes(tiny: Path) -> None:
    rows = Release(tiny).rows()
    view = rows[[5, 1]][::-1]
    sent = pickle.dumps(view)
    assert len(sent) < 1000
    assert list(pickle.loads(sent)) == list(view)


def test_threads_read_the_same(tiny: Path) -> None:
    want, rows = truth(tiny, "all", "train"), Release(tiny).rows()
    wrong: list[int] = []

    def read(first: int) -> None:
        wrong.extend(i for k in range(200) if rows[i := (first + k) % 9] != want[i])

    threads = [threading.Thread(target=read, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def same(rows: list[Any]) -> list[Any]:
    return rows


@FORK_IS_FINE
@pytest.mark.parametrize("workers", [0, 2])
def test_torch_takes_it_as_a_dataset(tiny: Path, workers: int) -> None:
    want, rows = truth(tiny, "all", "train"), Release(tiny).rows()
    loader = DataLoader(rows, batch_size=4, num_workers=workers, collate_fn=same)
    assert [row for batch in loader for row in batch] == want
    sampler = WeightedRandomSampler([0.0] * 8 + [1.0], 5)
    assert next(iter(DataLoader(rows, batch_size=5, sampler=sampler, collate_fn=same))) == [want[8]] * 5


def test_one_config_is_mapped_and_not_copied(tiny: Path) -> None:
    lines = Release(tiny).rows("grounding").lines
    assert isinstance(lines, np.memmap)
    assert not lines.flags.owndata


KINDS = st.recursive(
    st.sampled_from([pa.int32(), pa.string(), pa.float32(), pa.bool_()]),
    lambda inner: inner.map(pa.list_) | st.lists(inner, min_size=1, max_size=3).map(
        lambda kinds: pa.struct([(f"f{n}", kind) for n, kind in enumerate(kinds)])
    ),
    max_leaves=4,
)  # fmt: skip


def values(kind: pa.DataType) -> st.SearchStrategy[Any]:
    if pa.types.is_struct(kind):
        found: st.SearchStrategy[Any] = st.fixed_dictionaries({field.name: values(field.type) for field in kind})
    elif pa.types.is_list(kind):
        found = st.lists(values(kind.value_type), max_size=3)
    elif pa.types.is_string(kind):
        found = st.text(max_size=3)
    elif pa.types.is_boolean(kind):
        found = st.booleans()
    else:
        found = st.integers(-99, 99)
    return st.none() | found


@given(data=st.data(), kind=KINDS)
def test_texts_are_what_pyarrow_says(data: st.DataObject, kind: pa.DataType) -> None:
    array = pa.array(data.draw(st.lists(values(kind), max_size=5)), kind)
    cut = data.draw(st.integers(0, len(array)))
    assert list(python_values(array)) == array.to_pylist()
    assert list(python_values(array.slice(cut))) == array.slice(cut).to_pylist()


@pytest.mark.parametrize("columns", [("id", "image", "conversations", "pairs"), ("width", "id"), ("image",), ()])
def test_only_the_wanted_columns_are_given(tiny: Path, columns: tuple[str, ...]) -> None:
    want = [{name: row[name] for name in columns} for row in truth(tiny, "all", "train")]
    rows = Release(tiny).rows(columns=columns)
    assert list(rows) == want
    assert rows.__getitems__([4, 0]) == [want[4], want[0]]
    assert list(pickle.loads(pickle.dumps(rows[1:3]))) == want[1:3]
    with pytest.raises(OptionError, match=r"columns='images' is not known: use one of 'id', 'image'"):
        Release(tiny).rows(columns=["images"])[0]
