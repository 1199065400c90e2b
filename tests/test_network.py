"""Rows and streams of a release over a network: the same as from the disk, in few requests, in bounded memory."""

import errno
import gc
import json
import os
import pickle
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import tiny_release
from http_server import COMMIT, Server, serving
from rs_gpt4v_builder import LlavaCollator, Loader, Release, Stream
from rs_gpt4v_builder.errors import ReleaseError
from rs_gpt4v_builder.network import ahead, blockcache, grouptext, retry
from rs_gpt4v_builder.network.blocks import BlockSettings, Span
from rs_gpt4v_builder.release.index import Shard
from rs_gpt4v_builder.text.tokenizer import byte_tokenizer

ROWS = 240
LONG = [pytest.mark.long, pytest.mark.timeout(1800)]
SMALL = BlockSettings(block_bytes=12_000, window_bytes=192_000, lanes=4)


def many_rows() -> list[dict[str, Any]]:
    """Rows of two tasks, one of them with several dialogues each; some without an image."""
    captions = [
        tiny_release.row("captioning", "alpha", "train", n, tiny_release.picture(n), [("caption", "Say it.", f"{n}.")])
        for n in range(ROWS)
    ]
    several = [("count", f"How many of kind {n}?", str(n)) for n in range(3)]
    questions = [tiny_release.row("vqa", "beta", "train", n, tiny_release.picture(n), several) for n in range(60)]
    for row in captions[5::40]:
        row["image"] = None
    return captions + questions


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release of 300 rows in row groups of 40; tests must not change it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiny_release, "GROUP", 40)
        return tiny_release.write(tmp_path_factory.mktemp("served") / "rs-gpt4v", many_rows())


@pytest.fixture
def server(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("RS_GPT4V_CACHE", str(tmp_path / "own-cache"))
    monkeypatch.setattr(retry, "FIRST_WAIT", 0.001)
    with serving(folder) as running:
        yield running
        for _ in range(200):
            ours = [thread for thread in threading.enumerate() if thread.name.startswith("rs-gpt4v")]
            if not ours:
                break
            gc.collect()
            time.sleep(0.02)
        assert ours == [], "threads go on after their stream"


@pytest.fixture
def truth(folder: Path, tmp_path: Path) -> dict[str, dict[str, Any]]:
    return {row["id"]: row for row in Release(folder, cache=tmp_path / "local").rows()}


def of_images(server: Server) -> int:
    """Bytes of requests for nothing but images."""
    lines = pq.read_table(server.folder / "index.parquet").to_pylist()
    ranges: dict[tuple[str, int], tuple[int, int]] = {}
    for line in lines:
        if line["image_offset"] is not None:
            key = f"/{line['shard']}", line["row_group"]
            first = ranges.get(key, (line["image_offset"], 0))[0]
            ranges[key] = first, line["image_offset"] + line["image_length"]
    return sum(
        request.sent
        for request in server.requests
        if any(
            request.path == path and start <= request.start and request.end <= stop
            for (path, _), (start, stop) in ranges.items()
        )
    )


def plain(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "shown"}


def test_opening_asks_for_manifest_and_index_at_once_and_for_nothing_else(server: Server) -> None:
    server.latency = 0.05
    release = Release(server.url)
    assert release.configs == ("all", "mini", "captioning", "vqa", "alpha", "beta")
    assert len(release.rows()) == ROWS + 60
    assert sorted(request.path for request in server.requests) == ["/index.parquet", "/manifest.json"]
    assert abs(server.requests[0].at - server.requests[1].at) < 0.05
    server.forget()
    assert len(Release(server.url).rows()) == ROWS + 60
    assert [request.path for request in server.requests] == ["/manifest.json"]


def test_what_is_no_release_is_said(server: Server, folder: Path) -> None:
    with pytest.raises(ReleaseError, match=r"nowhere/manifest\.json is not there"):
        Release(f"{server.url}/nowhere")
    server.fail("status", times=99, path="index")
    with pytest.raises(ReleaseError, match=r"index\.parquet cannot be read: tried 8 times"):
        Release(server.url).rows()


def test_an_index_that_changed_under_the_manifest_is_said(server: Server, folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(folder, tmp_path / "copy")
    content = (copy / "index.parquet").read_bytes()
    (copy / "index.parquet").write_bytes(content[:100] + b"other" + content[105:])
    with serving(copy) as changed, pytest.raises(ReleaseError, match=r"changed while it was opened; open it anew"):
        Release(changed.url).rows()


def test_random_access_gives_the_rows_of_the_disk(server: Server, truth: dict[str, Any]) -> None:
    rows, want = Release(server.url).rows(), list(truth.values())
    order = [*range(299, 0, -7), *range(3, 300, 60)]
    assert [rows[i] for i in order] == [want[i] for i in order]
    lengths = sum(len((want[i]["image"] or {"bytes": b""})["bytes"]) for i in order)
    assert of_images(server) == lengths, "an image that is far from the last one comes alone"
    server.forget()
    assert list(rows) == want
    assert len(server.requests) < len(rows) / 3, "in order, blocks are read"
    assert [plain(row) for row in pickle.loads(pickle.dumps(rows))[[7, 3]]] == [want[7], want[3]]
    assert rows[5]["image"] is None


def test_memory_of_a_file_system_of_fsspec(folder: Path, truth: dict[str, Any], server: Server) -> None:
    import fsspec

    memory = fsspec.filesystem("memory")
    memory.put(str(folder), "/rs-gpt4v", recursive=True)
    stream = Stream("memory://rs-gpt4v", blocks=SMALL)
    assert {row["id"]: plain(row) for row in stream} == truth
    memory.rm("/rs-gpt4v", recursive=True)


def test_a_dataset_on_the_hub(
    folder: Path, truth: dict[str, Any], server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    with serving(folder, hub=True) as hub:
        before = constants.HUGGINGFACE_CO_URL_TEMPLATE
        root = "/".join(hub.url.split("/")[:3])
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", before.replace(constants.ENDPOINT, root))
        stream = Stream("hf://datasets/me/rs-gpt4v", blocks=SMALL)
        assert {row["id"]: plain(row) for row in stream} == truth
        shards = {path.split("/resolve/")[1].split("/")[0] for path in hub.paths if "/data/" in path}
        assert shards == {COMMIT}, "a branch may move on while it is read"


def test_images_that_are_no_byte_ranges(tmp_path: Path, server: Server) -> None:
    copy = tiny_release.write(tmp_path / "odd")
    for path in copy.glob("data/*/*/*.parquet"):
        pq.write_table(pq.read_table(path), path, row_group_size=2, compression="zstd")
    (copy / "index.parquet").unlink()
    tiny_release.seal(copy)
    want = {row["id"]: row for row in Release(copy, cache=tmp_path / "l").rows()}
    with serving(copy) as odd:
        release = Release(odd.url)
        assert {row["id"]: row for row in release.rows()} == want
        assert {row["id"]: plain(row) for row in Stream(release, blocks=SMALL)} == want
        assert {row["id"]: plain(row) for row in Stream(release, "mini", blocks=SMALL)}


@pytest.mark.parametrize("options", [{}, {"shuffle": False}, {"order": "full"}, {"pairs": "one"}])
def test_a_stream_gives_the_rows_of_the_disk(
    server: Server, truth: dict[str, Any], options: dict[str, Any], folder: Path
) -> None:
    stream = Stream(server.url, blocks=SMALL, **options)
    rows = list(stream)
    assert sorted(row["id"] for row in rows) == sorted(truth)
    assert all(row["image"] == truth[row["id"]]["image"] for row in rows)
    images = sum(len(row["image"]["bytes"]) for row in truth.values() if row["image"])
    assert of_images(server) < 1.3 * images
    if options.get("order") == "full":
        assert [row["id"] for row in rows] == [row["id"] for row in Stream(folder)]
    if options == {}:
        assert {row["id"]: plain(row) for row in rows} == truth
        assert len(server.requests) < 150
        assert [row["id"] for row in rows] == [row["id"] for row in Stream(server.url, blocks=SMALL)]
        stream.set_epoch(1)
        assert [row["id"] for row in stream] != [row["id"] for row in rows]


def test_every_dialogue_is_a_sample(server: Server, truth: dict[str, Any]) -> None:
    samples = list(Stream(server.url, "vqa", pairs="each", blocks=SMALL))
    assert sorted((row["id"], *row["shown"]) for row in samples) == sorted(
        (name, number) for name in truth if "/vqa/" in name for number in range(3)
    )
    assert all(row["image"] == truth[row["id"]]["image"] for row in samples)


@pytest.mark.parametrize("mix", ["task", {"vqa": 0.6, "captioning": 0.4}])
def test_a_mix(server: Server, truth: dict[str, Any], mix: Any) -> None:
    stream = Stream(server.url, mix=mix, blocks=SMALL)
    shown: dict[str, int] = dict.fromkeys(truth, 0)
    for epoch in range(2):
        stream.set_epoch(epoch)
        rows = list(stream)
        share = sum(row["task"] == "vqa" for row in rows)
        assert share == (60 if mix == "task" else 180)
        for row in rows:
            assert row["image"] == truth[row["id"]]["image"]
            shown[row["id"]] += 1
    assert max(shown[name] for name in truth if "/vqa/" in name) == (2 if mix == "task" else 6)
    assert max(shown[name] for name in truth if "/captioning/" in name) <= 2


def test_a_stream_goes_on_exactly_with_any_number_of_ranks(server: Server) -> None:
    whole = [row["id"] for row in Stream(server.url, blocks=SMALL)]
    first = Stream(server.url, blocks=SMALL, rank=1, world_size=2)
    seen = [row["id"] for _, row in zip(range(50), first, strict=False)]
    assert seen == whole[1:101:2]
    state = json.loads(json.dumps(first.state_dict()))
    assert state["position"] == 100
    rest = []
    for rank in range(3):
        stream = Stream(server.url, blocks=SMALL, rank=rank, world_size=3)
        stream.load_state_dict(state)
        rest.append([row["id"] for row in stream])
    assert [name for step in zip(*rest, strict=True) for name in step] == whole[100 : 100 + 3 * len(rest[0])]
    assert len(rest[0]) == 200 // 3


def test_a_state_of_other_blocks_is_refused(server: Server) -> None:
    state = Stream(server.url, blocks=SMALL).state_dict()
    with pytest.raises(
        ValueError, match=r"order='blocks 12000/192000/4, small first', this stream has 'blocks 4194304/"
    ):
        Stream(server.url).load_state_dict(state)


def test_ranks_that_divide_the_lanes_have_bytes_of_their_own(
    server: Server, truth: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ahead, "SINGLE", 0)
    images = sum(len(row["image"]["bytes"]) for row in truth.values() if row["image"])
    each = []
    for rank in range(4):
        server.forget()
        assert len(list(Stream(server.url, blocks=SMALL, rank=rank, world_size=4))) == 75
        each.append(of_images(server))
    assert max(each) < 0.4 * images
    assert images <= sum(each) < 1.02 * images


def test_no_more_is_fetched_than_the_window_holds(server: Server, truth: dict[str, Any]) -> None:
    images = sum(len(row["image"]["bytes"]) for row in truth.values() if row["image"])
    share = Stream(server.url, blocks=SMALL).share()
    work = share._reader._work
    most = 0
    for number in range(0, 300, 10):
        share.fetch(number, number + 10)
        most = max(most, work._held + work._resting)
        if number == 0:
            time.sleep(0.3)
            assert of_images(server) < SMALL.window_bytes + 60_000 < 0.5 * images
    assert most <= SMALL.window_bytes + SMALL.block_bytes + 40_000, "the window, the newest block and the first images"
    assert work._held == 0
    assert of_images(server) < 1.1 * images
    assert server.sent < 1.8 * images, (
        "the texts of these small row groups, some with those of a neighbour, and footers"
    )
    assert len(share.fetch(0, 5)) == 5, "it can be read again"
    share.close()
    assert len(share.fetch(100, 105)) == 5, "and when nothing is fetched ahead any more"


def test_several_threads_may_read_a_share(server: Server, truth: dict[str, Any]) -> None:
    share = Stream(server.url, blocks=SMALL).share()
    found: dict[int, list[Any]] = {}

    def work(first: int) -> None:
        for start in range(first, 300, 40):
            found[start] = share.fetch(start, start + 10)

    threads = [threading.Thread(target=work, args=(first,)) for first in (30, 0, 20, 10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rows = [row for start in sorted(found) for row in found[start]]
    assert [row["id"] for row in rows] == [row["id"] for row in Stream(server.url, blocks=SMALL)]
    assert all(row["image"] == truth[row["id"]]["image"] for row in rows)
    share.close()


def test_a_loader_reads_over_the_network(server: Server, folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    collate = LlavaCollator(byte_tokenizer(), on_error="skip")
    remote = Loader(Stream(server.url, "vqa", order="full"), collate, batch_size=8, workers=3)
    local = Loader(Stream(folder, "vqa", cache=tmp_path / "local"), collate, batch_size=8)
    for here, there in zip(local, remote, strict=True):
        assert here["input_ids"].tolist() == there["input_ids"].tolist()
        assert here["images"].equal(there["images"])
    batches = iter(Loader(Stream(server.url, blocks=SMALL), collate, batch_size=8, workers=3))
    next(batches)
    batches.close()


def test_faults_on_the_way_change_nothing(server: Server, truth: dict[str, Any]) -> None:
    release = Release(server.url)
    for kind in ("status", "cut", "short", "wrong", "status"):
        server.fail(kind, times=3, path="data/", status=429, headers={"Retry-After": "0"})
    assert {row["id"]: plain(row) for row in Stream(release, blocks=SMALL)} == truth


def test_what_cannot_be_read_is_an_error_in_its_turn(server: Server) -> None:
    release = Release(server.url)
    whole = [row["id"] for row in Stream(release, blocks=SMALL)]
    shutil.rmtree(os.environ["RS_GPT4V_CACHE"])
    stream, seen = Stream(Release(server.url), blocks=SMALL), []
    server.fail("status", times=10_000, path="data/vqa", status=403)
    with pytest.raises(ReleaseError, match=r"data/vqa/.* may not be read \(HTTP 403"):
        for row in stream:
            seen.append(row["id"])
    assert seen
    assert seen == whole[: len(seen)]
    server.faults.clear()
    assert stream.state_dict()["position"] == len(seen)
    again = Stream(release, blocks=SMALL)
    again.load_state_dict(stream.state_dict())
    assert [row["id"] for row in again] == whole[len(seen) :]


@pytest.mark.parametrize("pairs", ["row", "each"])
def test_a_stream_without_the_image_column_fetches_no_image(server: Server, pairs: str) -> None:
    names = ["id", "pairs", "shown"]
    texts = list(Stream(server.url, columns=names, pairs=pairs, blocks=SMALL))
    assert of_images(server) == 0
    # the order does not depend on the columns
    assert texts == [{name: row[name] for name in names} for row in Stream(server.url, pairs=pairs, blocks=SMALL)]
    assert of_images(server) > 0


def test_texts_alone_move_few_bytes(server: Server, tmp_path: Path) -> None:
    rows = [
        tiny_release.row(
            "vqa", "alpha", "train", n, os.urandom(24_000), [("count", f"How many of kind {n}?", str(n))] * 3
        )
        for n in range(1200)
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiny_release, "GROUP", 600)
        large = tiny_release.write(tmp_path / "large", rows)
    total = sum(path.stat().st_size for path in large.rglob("data/**/*.parquet"))
    with serving(large) as running:
        texts = Release(running.url).rows()
        assert [texts.text(i)["id"] for i in range(1200)] == [row["id"] for row in rows]
        assert 0 < running.sent < 0.05 * total
        assert len(running.requests) <= 2 + 1 + 2 * 2


def test_the_first_samples_take_two_round_trips(server: Server) -> None:
    """Manifest and index; then footers, texts and images, which the index says where to look for."""
    server.latency = 0.4
    share = Stream(server.url, blocks=SMALL).share()
    assert len(share.fetch(0, 4)) == 4
    came = time.monotonic()
    share.close()
    rounds, end = 0, 0.0
    for at in sorted(request.at for request in server.requests):
        if at >= end and at + server.latency <= came:  # else the samples have not waited for it
            rounds, end = rounds + 1, at + server.latency
    assert rounds == 2


def test_the_first_rows_bring_no_library_along(server: Server, tmp_path: Path) -> None:
    """pandas takes longer to import than all else until the first row, pyarrow.compute as long as a round trip."""
    script = """
next(iter(stream))
late = {{"pandas", "pyarrow.compute", "numpy.ma", "datasets", "torch"}} & {{*sys.modules}}
assert not late, late
"""
    assert run(script, tmp_path, url=server.url, imports="") == (0, "done\n", "")


@pytest.mark.parametrize("columns", [None, ("id", "image", "conversations", "pairs")])
def test_rows_are_the_same_before_and_after_their_row_group_is_made(
    server: Server,
    truth: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    columns: tuple[str, ...] | None,
) -> None:
    """One by one from columns, all of them made by a thread of the stream, or made after a few by whoever asks."""
    monkeypatch.setattr(ahead, "SINGLE", 10_000)  # so the stream's threads make none
    order = [row["id"] for row in Stream(server.url, blocks=SMALL)]
    for number, few in enumerate((10_000, 0, 3)):
        monkeypatch.setattr(grouptext, "FEW", few)
        release = Release(server.url, cache=tmp_path / f"cache-{number}")
        rows = list(Stream(release, blocks=SMALL, columns=columns))
        assert [row["id"] for row in rows] == order
        for row in rows:
            whole = truth[row["id"]]
            assert plain(row) == (whole if columns is None else {name: whole[name] for name in columns})


def test_texts_stay_in_memory_where_the_cache_cannot_be_written(
    server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, truth: dict[str, Any]
) -> None:
    def full(path: Path) -> Any:
        raise ReleaseError("no space")

    release = Release(server.url)
    release.rows()
    monkeypatch.setattr(grouptext, "completed", full)
    assert {row["id"]: plain(row) for row in Stream(release, blocks=SMALL)} == truth
    assert [record.message for record in caplog.records if "in memory only" in record.message] == [
        "texts are kept in memory only: no space"
    ]


# the cache of images


def test_with_a_cache_of_images_the_second_epoch_is_local_and_full(
    server: Server, folder: Path, truth: dict[str, Any], tmp_path: Path
) -> None:
    for cached in (True, tmp_path / "images"):
        release = Release(server.url, cache=tmp_path / str(cached).replace("/", "-"), cache_images=cached)
        stream = Stream(release, blocks=SMALL)
        assert [row["id"] for row in stream] == [row["id"] for row in Stream(server.url, blocks=SMALL)]
        server.forget()
        stream.set_epoch(1)
        local = Stream(folder, cache=tmp_path / "local")
        local.set_epoch(1)
        assert list(stream) == list(local)
        assert list(release.rows()) == list(truth.values())
        assert server.requests == []
        assert stream.state_dict()["order"].endswith(", then full")


def test_a_cache_that_cannot_hold_all_images_keeps_to_blocks(
    server: Server, truth: dict[str, Any], caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    release = Release(server.url, cache_images=tmp_path / "images", cache_bytes=200_000)
    stream = Stream(release, blocks=SMALL)
    assert {row["id"]: plain(row) for row in stream} == truth
    kept = [path for path in (tmp_path / "images").rglob("*.images")]
    assert 150_000 < sum(path.stat().st_size for path in kept) <= 200_000
    stream.set_epoch(1)
    assert {row["id"]: plain(row) for row in stream} == truth
    (said,) = [record.message for record in caplog.records if "takes no more" in record.message]
    assert "(its limit of 200,000 bytes is reached): the rest comes over the network" in said
    assert "full" not in stream.state_dict()["order"]


def test_what_a_killed_process_left_is_no_block(tmp_path: Path) -> None:
    old, young = (tmp_path / "a--b" / name for name in (".5-9.images-abc", ".5-9.images-def"))
    old.parent.mkdir()
    for path in (old, young):
        path.write_bytes(b"half")
    os.utime(old, (0, 0))
    cache = blockcache.BlockCache(tmp_path, None)
    span = Span(Shard(path="a/b.parquet", bytes=99, start=0, stop=3), 0, 3, 5, 9, 0, True)
    assert cache.find(span) is None
    assert [path.exists() for path in (old, young)] == [False, True]
    cache.put(span, b"1234")
    found = blockcache.BlockCache(tmp_path, None).find(span._replace(start=6, end=8))
    assert found is not None
    assert found.read(6, 8) == b"23"
    assert cache.find(span._replace(end=10)) is None


def test_a_full_disk_stops_no_stream(
    server: Server, truth: dict[str, Any], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path) -> Any:
        raise ReleaseError("x") from OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(blockcache, "completed", full)
    stream = Stream(Release(server.url, cache_images=True), blocks=SMALL)
    for epoch in range(2):
        stream.set_epoch(epoch)
        assert {row["id"]: plain(row) for row in stream} == truth
    assert sum("No space left on device" in record.message for record in caplog.records) == 1


# the end of a process

BEGIN = """
import sys
{imports}
from rs_gpt4v_builder import Stream
from rs_gpt4v_builder.network.blocks import BlockSettings, Span
stream = Stream({url!r}, cache={cache!r}, blocks=BlockSettings(block_bytes=12_000, window_bytes=192_000, lanes=4))
"""
END = """
print("done", flush=True)
"""
BREAK = """
for number, row in enumerate(stream):
    if number == {count}:
        break
"""
HELD = """
rows = iter(stream)
next(rows)
"""
WORKERS = """
from torch.utils.data import DataLoader
for number, row in enumerate(DataLoader(stream, batch_size=None, num_workers=2)):
    if number == {count}:
        break
"""
EXECUTOR = """
from concurrent.futures import ThreadPoolExecutor
share = stream.share()
share.fetch(0, 1)
pool = ThreadPoolExecutor(4)
waiting = [pool.submit(share.fetch, start, start + 10) for start in range(100, 200, 10)]
"""


def run(script: str, cache: Path, **names: Any) -> tuple[int, str, str]:
    """Run a script in a process of its own: its exit code, what it printed, and its errors."""
    root = Path(__file__).resolve().parents[1]
    paths = os.pathsep.join(str(root / part) for part in (".", "builder", "conversion"))
    code = (BEGIN + script + END).format(cache=str(cache), **names)
    environment = {**os.environ, "PYTHONPATH": paths}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("times", [1, pytest.param(40, marks=LONG)])
@pytest.mark.parametrize(
    ("script", "imports"), [(BREAK, ""), (BREAK, "import torch"), (HELD, ""), (WORKERS, "")],
    ids=["plain", "torch", "held", "workers"],
)  # fmt: skip
def test_a_process_that_breaks_off_ends_well(
    server: Server, tmp_path: Path, times: int, script: str, imports: str
) -> None:
    server.latency, server.bandwidth = 0.02, 2e6
    for number in range(times):
        names = {"url": server.url, "count": number % 7, "imports": imports}
        assert run(script, tmp_path / str(number), **names) == (0, "done\n", "")


@pytest.mark.parametrize("times", [1, pytest.param(40, marks=LONG)])
@pytest.mark.parametrize("script", [HELD, EXECUTOR], ids=["held", "executor"])
def test_a_process_ends_while_a_server_sends_nothing_more(
    server: Server, tmp_path: Path, times: int, script: str
) -> None:
    """Also where threads of an executor wait: the run would time out."""
    for number in range(times):
        server.faults.clear()
        server.fail("stall", times=10_000, path="data/", after=10, skip=40 + number)
        assert run(script, tmp_path / str(number), url=server.url, imports="") == (0, "done\n", "")
