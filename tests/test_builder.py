"""The builder: local and remote releases, columns, row groups as shards, the cache, networks that fail, early ends."""

import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pyarrow.parquet as pq
import pytest

import rs_gpt4v
import tiny_release
from http_server import Server, serving
from rs_gpt4v import RSGPT4V

ROOT = Path(__file__).parents[1]
TEXTS = [name for name in rs_gpt4v.FEATURES if name != "image"]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_release.write(tmp_path_factory.mktemp("tiny") / "rs-gpt4v")


@pytest.fixture(scope="module")
def heavy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """240 rows whose images are 99 % of the bytes, in row groups of 40."""
    noise, rows = random.Random(0), []
    for n in range(240):
        image = tiny_release.picture(n) + noise.randbytes(57_000)  # decoders pass over what is behind a picture's end
        rows.append(tiny_release.row("captioning", "alpha", "train", n, image, [("caption", "Say.", "A.")]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiny_release, "GROUP", 40)
        return tiny_release.write(tmp_path_factory.mktemp("heavy") / "rs-gpt4v", rows, mini=rows[:1])


def streamed(where: str | Path, config: str = "all", split: str = "train", **options: Any) -> list[dict[str, Any]]:
    return list(RSGPT4V.open(where, config, **options).as_streaming_dataset(split=split).with_format("arrow"))


def rows_of(stream: Any) -> list[dict[str, Any]]:
    return [row for table in stream.with_format("arrow").iter(batch_size=100) for row in table.to_pylist()]


def held(folder: Path, *shards: str) -> list[dict[str, Any]]:
    return [row for shard in shards for row in pq.read_table(folder / shard).to_pylist()]


TRAIN = (tiny_release.CAPTIONS, tiny_release.QUESTIONS, tiny_release.BOXES)


@pytest.mark.parametrize("config", ["all", "vqa", "beta", "mini"])
def test_a_remote_release_reads_as_the_local_one(config: str, tiny: Path, tmp_path: Path) -> None:
    expected = {"all": TRAIN, "vqa": (tiny_release.QUESTIONS,), "beta": (tiny_release.BOXES,)}
    rows = held(tiny, *expected.get(config, (tiny_release.MINI,)))
    with serving(tiny) as server:
        for number, where in enumerate((tiny, server.url)):
            builder = RSGPT4V.open(where, config, cache_dir=str(tmp_path / str(number)))
            assert rows_of(builder.as_streaming_dataset(split="train")) == rows
            builder.download_and_prepare()
            assert builder.as_dataset(split="train").with_format("arrow")[:].to_pylist() == rows


def test_a_file_system_that_is_not_asynchronous_is_read_without_its_cache(
    heavy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = fsspec.filesystem("memory")
    memory.put(str(heavy), "/rs", recursive=True)
    asked: list[dict[str, Any]] = []
    opened = type(memory).open
    monkeypatch.setattr(type(memory), "open", lambda fs, path, *a, **k: asked.append(k) or opened(fs, path, *a, **k))
    found = streamed("memory://rs", cache_dir=str(tmp_path), columns=["id"])
    assert [row["id"] for table in found for row in table.to_pylist()] == [r["id"] for r in shard_rows(heavy, ["id"])]
    assert {k["cache_type"] for k in asked if k} == {"none"}


def shard_rows(folder: Path, columns: list[str]) -> list[dict[str, Any]]:
    return [r for p in sorted(folder.glob("data/*/*/*.parquet")) for r in pq.read_table(p, columns=columns).to_pylist()]


def test_columns_that_are_not_wanted_do_not_travel(heavy: Path, tmp_path: Path) -> None:
    size = sum(p.stat().st_size for p in heavy.glob("data/*/*/*.parquet"))
    with serving(heavy) as server:
        stream = RSGPT4V.open(server.url, columns=TEXTS, cache_dir=str(tmp_path)).as_streaming_dataset(split="train")
        assert rows_of(stream) == shard_rows(heavy, TEXTS)
        assert server.sent < 0.05 * size
        before = server.sent
        next(iter(RSGPT4V.open(server.url, cache_dir=str(tmp_path)).as_streaming_dataset(split="train")))
        assert server.sent - before < 0.25 * size  # one row group of six, and the footer


def test_columns_come_in_the_order_asked_and_unknown_ones_are_refused(tiny: Path, tmp_path: Path) -> None:
    builder = RSGPT4V.open(tiny, "vqa", ["pairs", "id"], cache_dir=str(tmp_path))
    assert list(builder.info.features) == ["pairs", "id"]
    builder.download_and_prepare()
    assert builder.as_dataset(split="test").column_names == ["pairs", "id"]
    with pytest.raises(ValueError, match="a row has no column text; it has id, image"):
        RSGPT4V.open(tiny, columns=["id", "text"])


def test_pyarrow_reads_in_the_calling_thread_only(heavy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    threads = set()
    read = rs_gpt4v._Pieces.read

    def noted(pieces: Any, size: int = -1) -> Any:
        threads.add(threading.get_ident())
        return read(pieces, size)

    monkeypatch.setattr(rs_gpt4v._Pieces, "read", noted)
    with serving(heavy) as server:
        streamed(server.url, cache_dir=str(tmp_path))
    assert threads == {threading.get_ident()}


def test_pyarrow_cannot_read_what_was_not_fetched() -> None:
    pieces = rs_gpt4v._Pieces(100, [(10, b"abcde"), (90, b"0123456789")])
    assert [pieces.seek(11), bytes(pieces.read(3)), pieces.tell()] == [11, b"bcd", 14]
    assert [pieces.seek(-4, os.SEEK_END), bytes(pieces.read())] == [96, b"6789"]
    pieces.seek(14)
    with pytest.raises(OSError, match="bytes 14 to 16 were not fetched"):
        pieces.read(2)


def test_a_footer_longer_than_the_first_read_is_read_whole(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rs_gpt4v.ShardFile, "TAIL", 16)
    monkeypatch.setattr(rs_gpt4v.ShardFile, "GAP", 0)
    where = tiny / tiny_release.QUESTIONS
    fs, path = rs_gpt4v.locate(str(where), {})
    shard = rs_gpt4v.ShardFile(fs, path, where.stat().st_size)
    assert shard.metadata.equals(pq.read_metadata(where))
    assert shard.table(0, ["id", "pairs"]).equals(pq.ParquetFile(where).read_row_group(0, columns=["id", "pairs"]))


@pytest.mark.parametrize("rows", [1, 9])
def test_a_shard_that_is_not_the_manifests_is_refused(rows: int, tiny: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny, tmp_path / "rs")
    (folder / tiny_release.CAPTIONS).unlink()
    tiny_release.write_shard(folder / tiny_release.CAPTIONS, tiny_release.draw()[:1] * rows)
    with pytest.raises((ValueError, OSError), match=r"not what the manifest lists|cannot be read from byte \d+"):
        streamed(folder, "captioning", cache_dir=str(tmp_path / "cache"))


# Networks that fail


@pytest.fixture
def no_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rs_gpt4v, "WAITS", (0.0,) * 5)


def fail(server: Server, kind: str, times: int = 1) -> None:
    """Have the next requests for shards cut, or answered by a status."""
    options = {"status": int(kind)} if kind.isdigit() else {}
    server.fail("status" if options else kind, path=".parquet", times=times, **options)


@pytest.mark.usefixtures("no_wait")
def test_what_passes_is_tried_again(tiny: Path, tmp_path: Path) -> None:
    with serving(tiny) as server:
        for kind in ("429", "503", "cut", "500", "cut"):
            fail(server, kind)
        assert len(streamed(server.url, "grounding", cache_dir=str(tmp_path))) == 4
        assert not any(fault.times for fault in server.faults)


def test_waits_grow_and_end(monkeypatch: pytest.MonkeyPatch, tiny: Path, tmp_path: Path) -> None:
    waited: list[float] = []
    monkeypatch.setattr(rs_gpt4v.time, "sleep", waited.append)
    with serving(tiny) as server:
        fail(server, "503", times=6)
        with pytest.raises(
            OSError, match=rf"{server.url}/{tiny_release.BOXES} cannot be read from byte \d+ to \d+.*503"
        ):
            streamed(server.url, "grounding", cache_dir=str(tmp_path))
    assert [wait for wait in waited if wait > 0] == list(rs_gpt4v.WAITS)
    assert sorted(set(rs_gpt4v.WAITS)) == list(rs_gpt4v.WAITS)


@pytest.mark.parametrize("status", [401, 403, 404])
def test_what_does_not_pass_is_not_tried_again(status: int, tiny: Path, tmp_path: Path) -> None:
    with serving(tiny) as server:
        fail(server, str(status))
        with pytest.raises(OSError, match=tiny_release.BOXES):
            streamed(server.url, "grounding", cache_dir=str(tmp_path))
        assert len([p for p in server.paths if p.endswith(".parquet")]) == 1


def test_a_server_without_ranges_is_an_error(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rs_gpt4v.ShardFile, "TAIL", 100)
    with serving(tiny, ranges=False) as server, pytest.raises(OSError, match="ignores ranges of bytes"):
        streamed(server.url, "grounding", cache_dir=str(tmp_path))


def test_an_address_without_a_release_is_named(tmp_path: Path) -> None:
    with serving(tmp_path) as server, pytest.raises(FileNotFoundError, match=f"{server.url} is no release"):
        RSGPT4V.open(server.url)


def test_a_tilde_is_the_users_home(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tiny.parent))
    assert len(list(RSGPT4V.open("~/rs-gpt4v", "vqa", columns=["id"]).as_streaming_dataset(split="train"))) == 2


# The cache


@pytest.mark.parametrize("remote", [False, True])
def test_a_release_made_again_is_read_again(remote: bool, tmp_path: Path) -> None:
    folder, rows = tmp_path / "rs-gpt4v", tiny_release.draw()

    def count(where: str) -> int:
        builder = RSGPT4V.open(where, "captioning", cache_dir=str(tmp_path / "cache"))
        builder.download_and_prepare()
        return int(builder.as_dataset(split="train").num_rows)

    tiny_release.write(folder, rows)
    with serving(folder) as server:
        where = server.url if remote else str(folder)
        assert [count(where), count(where)] == [3, 3]
        tiny_release.write(folder, rows[1:])
        assert count(where) == 2


def test_a_release_without_a_change_is_served_from_the_cache(tiny: Path, tmp_path: Path) -> None:
    def prepare(**options: Any) -> tuple[str, str]:
        builder = RSGPT4V.open(tiny, "vqa", cache_dir=str(tmp_path), **options)
        builder.download_and_prepare()
        return builder.cache_dir, builder.as_dataset(split="train")._fingerprint

    first = prepare()
    assert prepare() == first
    assert prepare(columns=["id"])[0] != first[0]
    assert prepare() == first


# Shards for workers


def test_reshard_makes_a_shard_of_every_row_group(tiny: Path, tmp_path: Path) -> None:
    stream = RSGPT4V.open(tiny, cache_dir=str(tmp_path)).as_streaming_dataset(split="train")
    assert stream.num_shards == 3
    cut = stream.reshard()
    assert cut.num_shards == sum(pq.ParquetFile(tiny / shard).num_row_groups for shard in TRAIN) == 5
    assert rows_of(cut) == held(tiny, *TRAIN)
    assert rows_of(cut.reshard()) == held(tiny, *TRAIN)


@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # more workers than this machine has cores
@pytest.mark.parametrize("cut", [False, True])
def test_workers_of_a_dataloader_share_a_remote_release(cut: bool, tiny: Path, tmp_path: Path) -> None:
    from torch.utils.data import DataLoader

    with serving(tiny) as server:
        builder = RSGPT4V.open(server.url, columns=["id"], cache_dir=str(tmp_path))
        stream = builder.as_streaming_dataset(split="train")
        stream = stream.reshard() if cut else stream
        found = [row["id"] for row in DataLoader(stream, batch_size=None, num_workers=2)]
    assert sorted(found) == sorted(row["id"] for row in held(tiny, *TRAIN))


# Other processes: an early end, the Hub's protocol

LEAVE = """
import sys
from rs_gpt4v import RSGPT4V
for row in RSGPT4V.open(sys.argv[1], cache_dir=sys.argv[2]).as_streaming_dataset(split="train"):
    print(row["id"])
    break
"""


def run(code: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    variables = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, env=variables, capture_output=True, text=True, timeout=120, check=False)


def leave_early(heavy: Path, cache: Path, times: int) -> Iterator[tuple[int, str, str]]:
    with serving(heavy, latency=0.03, bandwidth=8e6) as server:
        for _ in range(times):
            done = run(LEAVE, server.url, str(cache))
            yield done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("times", [1, pytest.param(40, marks=[pytest.mark.long, pytest.mark.timeout(1200)])])
def test_leaving_a_remote_stream_early_ends_well(times: int, heavy: Path, tmp_path: Path) -> None:
    first = shard_rows(heavy, ["id"])[0]["id"]
    assert list(leave_early(heavy, tmp_path, times)) == [(0, f"{first}\n", "")] * times


HUB = """
import hashlib, json, sys
from rs_gpt4v import RSGPT4V
stream = RSGPT4V.open("hf://datasets/ns/rs-gpt4v", columns=sys.argv[2].split(), cache_dir=sys.argv[1])
rows = [row for row in stream.as_streaming_dataset(split="train")]
print(hashlib.sha256(json.dumps(rows, sort_keys=True).encode()).hexdigest())
"""


def test_the_hub_is_read_by_ranges(heavy: Path, tmp_path: Path) -> None:
    columns = ["id", "conversations", "pairs", "task"]
    size = sum(p.stat().st_size for p in heavy.glob("data/*/*/*.parquet"))
    with serving(heavy, hub=True) as server:
        hub = {"HF_ENDPOINT": server.url, "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1", "HF_HOME": str(tmp_path)}
        done = run(HUB, str(tmp_path), " ".join(columns), **hub)
        assert done.returncode == 0, done.stderr
        expected = json.dumps(shard_rows(heavy, columns), sort_keys=True).encode()
        assert done.stdout.strip() == hashlib.sha256(expected).hexdigest()
        assert 0 < server.sent < 0.05 * size
