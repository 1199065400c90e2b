"""A stream over a release: every sample once, in an order that no interruption and no change of machines disturbs."""

import json
import os
import pickle
import random
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader, IterableDataset
from torchdata.stateful_dataloader import StatefulDataLoader

import tiny_release
from rs_gpt4v_builder import Release, Stream
from rs_gpt4v_builder.errors import OptionError
from rs_gpt4v_builder.stream import share
from rs_gpt4v_builder.stream.share import Lane
from rs_gpt4v_builder.text.dialogues import estimated_sheets, read_text, select

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*use of fork.*:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning"),  # more workers than cores
    pytest.mark.filterwarnings("ignore:'set_vital' is deprecated:UserWarning"),  # torchdata 0.11 on torch 2.13
]
ONE_RELEASE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
ROOT = Path(__file__).parent.parent

Row = dict[str, Any]
Key = tuple[str, tuple[int, ...]]


def draw() -> list[Row]:
    """27 rows of three tasks and three sources, with 1 to 8 dialogues."""

    def one(task: str, source: str, number: int, pairs: list[tuple[str, str, str]]) -> Row:
        return tiny_release.row(task, source, "train", number, f"{source} {number} ".encode() * 20, pairs)

    captions = [("caption", "Describe it.", f"A field, said in the way {n}.") for n in range(3)]
    asked = [("count", f"How many huts are in part {n}?", "forty of them " * 20) for n in range(8)]
    rows = [one("captioning", "alpha", n, captions[: 1 + n % 3]) for n in range(11)]
    rows += [one("vqa", "alpha", n, asked[: 1 + n]) for n in range(7)]
    rows += [one("vqa", "gamma", n, asked[: 1 + n % 2]) for n in range(5)]
    rows += [one("grounding", "beta", n, [("grounding", "Where?", "Here.")]) for n in range(4)]
    rows[-1]["image"] = None
    talk = rows[17]["pairs"]  # the second and the third pair of seven depend on each other
    talk[2]["dialogue"] = talk[1]["dialogue"]
    return rows


DRAWN = draw()
SAMPLES = {
    "row": len(DRAWN), "one": len(DRAWN), "each": sum(len({p["dialogue"] for p in r["pairs"]}) for r in DRAWN),
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A release, and a cache of its own; tests must not change it."""
    place = tmp_path_factory.mktemp("stream")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RS_GPT4V_CACHE", str(place / "cache"))
        yield tiny_release.write(place / "rs-gpt4v", draw())


@pytest.fixture(scope="module")
def opened(folder: Path) -> Release:
    return Release(folder)


def key(row: Row) -> Key:
    return row["id"], tuple(row["shown"])


def keys(stream: Stream) -> list[Key]:
    return [key(row) for row in stream]


def identity(batch: list[Row]) -> list[Key]:
    return [key(row) for row in batch]


# what a sample is


def test_an_epoch_shows_every_row(opened: Release) -> None:
    rows = {row["id"]: row for row in opened.rows()}
    seen = list(Stream(opened, max_length=None))
    assert [row["id"] for row in seen] != list(rows)
    assert {row["id"]: row for row in seen} == {
        i: {**r, "shown": list(range(len(r["pairs"])))} for i, r in rows.items()
    }
    plain = list(Stream(opened, "vqa", shuffle=False, max_length=None))
    assert [row["id"] for row in plain] == [i for i, row in rows.items() if row["task"] == "vqa"]


def test_each_dialogue_is_a_sample(opened: Release) -> None:
    stream = Stream(opened, pairs="each")
    assert len(stream) == SAMPLES["each"]
    want = {
        (row["id"], dialogue.positions): select(row, [number])
        for row in opened.rows()
        for number, dialogue in enumerate(read_text(row).dialogues)
    }
    assert {key(row): row for row in stream} == want
    assert len(want) == SAMPLES["each"]


def test_one_dialogue_a_row_and_epoch_until_all_were_shown(opened: Release) -> None:
    stream = Stream(opened, pairs="one")
    seen: Counter[Key] = Counter()
    for epoch in range(840):  # a multiple of every number of dialogues
        if epoch < 8:
            stream.set_epoch(epoch)
            shown = list(stream)
            assert len({row["id"] for row in shown}) == len(shown) == len(DRAWN)
            assert all(row == select(DRAWN_BY_ID[row["id"]], [dialogue_of(row)]) for row in shown)
            seen.update(map(key, shown))
    assert set(seen) == {(r["id"], d.positions) for r in DRAWN for d in read_text(r).dialogues}
    for row in DRAWN:
        times = [seen[row["id"], d.positions] for d in read_text(row).dialogues]
        assert max(times) - min(times) <= 1


DRAWN_BY_ID = {row["id"]: row for row in DRAWN}


def dialogue_of(row: Row) -> int:
    positions = [d.positions for d in read_text(DRAWN_BY_ID[row["id"]]).dialogues]
    return positions.index(tuple(row["shown"]))


@pytest.mark.parametrize("mix", [None, {"vqa": 0.5, "captioning": 2}])
def test_a_row_that_does_not_fit_is_shown_in_sheets(mix: dict[str, float] | None, opened: Release) -> None:
    stream = Stream(opened, max_length=1200, mix=mix)
    seen: dict[str, list[tuple[int, ...]]] = {}
    for epoch in range(24):
        stream.set_epoch(epoch)
        for row in stream:
            assert row == select(DRAWN_BY_ID[row["id"]], dialogues_of(row))
            seen.setdefault(row["id"], []).append(tuple(row["shown"]))
    cut = 0
    for row in DRAWN:
        text = read_text(row)
        want = [
            tuple(position for number in sheet for position in text.dialogues[number].positions)
            for sheet in estimated_sheets(text, 1200)
        ]
        found = seen.get(row["id"], [])
        assert set(found) == (set(want) if found else set())
        counts = [found.count(sheet) for sheet in want]
        assert max(counts) - min(counts) <= 1
        cut += len(want) > 1
    assert cut > 8  # captions, which ask the same, and long answers


def dialogues_of(row: Row) -> list[int]:
    shown = set(row["shown"])
    return [n for n, d in enumerate(read_text(DRAWN_BY_ID[row["id"]]).dialogues) if shown >= set(d.positions)]


@pytest.mark.parametrize("pairs", ["row", "each", "one"])
@pytest.mark.parametrize(
    "broken",
    [
        {"conversations": [{"from": "human", "value": None}, {"from": "gpt", "value": "A."}]},
        {"conversations": []},
        {"conversations": None},
        {"pairs": None},
        {"conversations": [{"from": "human", "value": "<image>\nQ"}]},
        {"conversations": [{"from": "human", "value": "Q <image>"}, {"from": "gpt", "value": "A"}]},
    ],
)
def test_a_malformed_row_comes_as_it_is(broken: Row, pairs: str, tmp_path: Path) -> None:
    rows = draw()[:3]
    rows[0].update(broken)
    folder = tiny_release.write(tmp_path / "rs-gpt4v", rows)
    seen = list(Stream(folder, pairs=pairs, cache=tmp_path / "cache"))
    assert len(seen) == (6 if pairs == "each" else 3)
    found = next(row for row in seen if row["id"] == rows[0]["id"])
    kept = {k: v for k, v in found.items() if k != "shown"}
    if "<image>" in str(broken):
        found["conversations"][0]["value"] = found["conversations"][0]["value"].replace("<image>", "").strip()
    assert (kept == rows[0]) or found["conversations"][0]["value"] == "Q"


# ranks


@pytest.mark.parametrize("pairs", ["row", "each", "one"])
@pytest.mark.parametrize("world", [1, 2, 5, 30, 100])
def test_ranks_share_an_epoch_out(pairs: str, world: int, opened: Release) -> None:
    whole = keys(Stream(opened, pairs=pairs, seed=3))
    for remainder in ("drop", "repeat"):
        streams = [
            Stream(opened, pairs=pairs, seed=3, rank=r, world_size=world, remainder=remainder) for r in range(world)
        ]
        parts = [keys(stream) for stream in streams]
        assert {len(part) for part in parts} == {len(streams[0])}
        together = [part[n] for n in range(len(parts[0])) for part in parts]
        if remainder == "drop":
            assert together == whole[: len(whole) // world * world]
        else:
            assert together == (whole * (world // len(whole) + 2))[: -(-len(whole) // world) * world]


def test_ranks_come_from_torch_when_they_are_not_given(opened: Release, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (Stream(opened).rank, Stream(opened).world_size) == (0, 1)
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_rank", lambda: 2)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 3)
    assert (Stream(opened).rank, Stream(opened).world_size) == (2, 3)
    alone = Stream(opened, rank=0, world_size=1)
    assert (alone.rank, alone.world_size) == (0, 1)


# state


def test_a_state_is_small_and_says_what_was_consumed(opened: Release) -> None:
    stream = Stream(opened, "vqa", mix={"alpha": 1, "gamma": 2}, world_size=3, rank=1)
    assert stream.state_dict()["position"] == 0
    for number, _ in enumerate(stream, 1):
        state = stream.state_dict()
        assert state["position"] == (12 if number == 4 else 3 * number)
        assert json.loads(json.dumps(state)) == state
        assert len(json.dumps(state)) < 500
    assert number == 4 == len(stream)
    assert stream.state_dict(consumed=2)["position"] == 6
    assert state == stream.state_dict()
    assert Stream(opened, "vqa", mix={"gamma": 2, "alpha": 1}).state_dict()["epoch"] == 0


@ONE_RELEASE
@given(st.data())
def test_any_interruptions_leave_the_order_as_it_was(opened: Release, data: st.DataObject) -> None:
    pairs = data.draw(st.sampled_from(["row", "each", "one"]))
    mix = data.draw(st.sampled_from([None, {"vqa": 1, "captioning": 3}]))
    options: dict[str, Any] = {"pairs": pairs, "mix": mix, "seed": data.draw(st.integers(0, 9))}
    plain = Stream(opened, **options)
    plain.set_epoch(2)
    want, seen = keys(plain), []
    state = None
    while len(seen) < len(want):
        world = data.draw(st.integers(1, 4))
        steps = data.draw(st.sampled_from([40, 13, 7, 2, 0]))
        block = data.draw(st.sampled_from([None, 3]))
        saved, parts = [], []
        for rank in range(world):
            stream = Stream(opened, **options, rank=rank, world_size=world, batch_size=block)
            if state is None:
                stream.set_epoch(2)
            else:
                stream.load_state_dict(state)
                assert stream.state_dict() == state
                stream.set_epoch(2)  # as a training loop does
            parts.append([key(row) for row in islice(stream, steps)])
            saved.append(json.loads(json.dumps(stream.state_dict())))
        assert all(one == saved[0] for one in saved)
        assert len({len(part) for part in parts}) == 1
        seen += [part[n] for n in range(len(parts[0])) for part in parts]
        assert seen == want[: len(seen)]
        state = saved[0]
        if len(want) - len(seen) < world and steps >= len(parts[0]):
            break
    assert len(want) - len(seen) < 4


def test_iterations_and_epochs(opened: Release) -> None:
    stream = Stream(opened)
    orders = []
    for epoch in range(3):
        stream.set_epoch(epoch)
        orders.append(keys(stream))
    assert len({tuple(o) for o in orders}) == 3
    assert keys(stream) == orders[2]  # without set_epoch: the same epoch again
    stream.set_epoch(1)
    assert [key(row) for row in islice(stream, 10)] == orders[1][:10]
    state = stream.state_dict()
    assert (state["epoch"], state["position"]) == (1, 10)

    stream = Stream(opened)
    stream.load_state_dict(state)
    assert stream.epoch == 1
    assert [key(row) for row in islice(stream, 3)] == orders[1][10:13]
    assert stream.state_dict()["position"] == 13
    stream.set_epoch(1)
    assert keys(stream) == orders[1][10:]  # a break does not count as an end
    assert stream.state_dict()["position"] == len(DRAWN)
    assert keys(stream) == orders[1]
    ended = stream.state_dict()

    stream.load_state_dict(ended)
    stream.set_epoch(1)
    assert keys(stream) == []
    assert stream.state_dict() == ended
    stream.set_epoch(2)
    assert stream.state_dict()["position"] == 0
    assert keys(stream) == orders[2]

    stream.load_state_dict(state)
    stream.set_epoch(2)
    assert keys(stream) == orders[2]


def test_loading_a_state_reads_nothing(opened: Release, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Stream(opened, pairs="each")
    monkeypatch.setattr(Release, "fetch", None)
    monkeypatch.setattr(Release, "texts", None)
    stream.load_state_dict({**stream.state_dict(), "position": 30})
    assert stream.state_dict()["position"] == 30


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"config": "vqa"}, "saved with config='all', this stream has 'vqa'"),
        ({"seed": 1}, "saved with seed=0, this stream has 1"),
        ({"pairs": "each"}, "saved with pairs='row', this stream has 'each'"),
        ({"shuffle": False}, "saved with shuffle=True, this stream has False"),
        ({"mix": "task"}, "saved with mix=None, this stream has {'captioning'"),
    ],
)
def test_a_state_of_another_order_is_refused(options: Row, said: str, opened: Release) -> None:
    state = Stream(opened).state_dict()
    with pytest.raises(OptionError, match=said):
        Stream(opened, **options).load_state_dict(state)


def test_a_state_of_another_release_is_refused(opened: Release, tmp_path: Path) -> None:
    other = Release(tiny_release.write(tmp_path / "rs-gpt4v", draw()[1:]), cache=tmp_path)
    with pytest.raises(OptionError, match="saved with release='"):
        Stream(other).load_state_dict(Stream(opened).state_dict())
    good = Stream(opened).state_dict()
    for state in (
        {},
        {"version": 1},
        {**good, "version": 2},
        {**good, "position": -1},
        {**good, "epoch": None},
        {**good, "position": 10**9},
    ):
        with pytest.raises(OptionError, match="no state of a Stream"):
            Stream(opened).load_state_dict(state)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"split": "test"}, "split='test' is not known"),
        ({"pairs": "both"}, "pairs='both' is not known"),
        ({"remainder": "pad"}, "remainder='pad' is not known"),
        ({"order": "sorted"}, "order='sorted' is not known"),
        ({"rank": 2, "world_size": 2}, "rank=2 of world_size=2"),
        ({"rank": -1}, "rank=-1"),
        ({"rank": 0.0, "world_size": 2.0}, r"rank=0\.0 of world_size=2\.0"),
        ({"seed": 1.5}, r"seed=1\.5: expected a whole number"),
        ({"seed": "a"}, "seed='a': expected a whole number"),
        ({"mix": "task", "shuffle": False}, "mix with shuffle=False"),
        ({"temperature": 2}, "temperature=2 without mix"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"max_length": 0}, "max_length=0"),
        ({"config": "mini", "mix": "task"}, "'mini' has tasks and sources in one file"),
    ],
)
def test_options_that_are_none_are_refused(options: Row, said: str, opened: Release) -> None:
    with pytest.raises(OptionError, match=said):
        Stream(opened, **options)
    for epoch in (-1, 1.5, True, "1"):
        with pytest.raises(OptionError, match="expected a whole number"):
            Stream(opened).set_epoch(epoch)  # type: ignore[arg-type]


def test_a_mix_has_its_shares(opened: Release) -> None:
    stream = Stream(opened, mix={"vqa": 0.25, "captioning": 0.75})
    assert len(stream) == 23
    seen: Counter[str] = Counter()
    for epoch in range(4):
        stream.set_epoch(epoch)
        rows = list(stream)
        assert Counter(row["task"] for row in rows) == {"captioning": 17, "vqa": 6}
        seen.update(row["id"] for row in rows)
    assert {seen[r["id"]] for r in DRAWN if r["task"] == "vqa"} == {2}
    assert {seen[r["id"]] for r in DRAWN if r["task"] == "captioning"} == {6, 7}


# shares


def test_a_share_is_the_rest_of_an_epoch_in_any_order(opened: Release) -> None:
    stream = Stream(opened, pairs="each", rank=1, world_size=2)
    consumed = [key(row) for row in islice(stream, 5)]
    whole = keys(stream)
    stream.set_epoch(0)
    assert whole[:5] == consumed
    stream.load_state_dict({**stream.state_dict(), "position": 10})
    rest = stream.share()
    assert len(rest) == len(whole) - 5
    found: dict[int, list[Key]] = {}

    def read(start: int) -> None:
        found[start] = [key(row) for row in rest.fetch(start, start + 4)]

    threads = [threading.Thread(target=read, args=(start,)) for start in range(0, len(rest), 4)]
    for thread in reversed(threads):
        thread.start()
    for thread in threads:
        thread.join()
    assert [k for start in sorted(found) for k in found[start]] == whole[5:]
    assert rest.fetch(len(rest), len(rest) + 3) == []
    assert rest.state_after(3)["position"] == 16
    assert rest.state_after(len(rest))["position"] == SAMPLES["each"]
    stream.load_state_dict(rest.state_after(3))
    assert keys(stream) == whole[8:]


def test_more_columns_than_training_needs_come_with_a_loaders_samples_too(opened: Release) -> None:
    (sample, *_) = Stream(opened, "vqa", columns=["id", "task"]).share(rest=False).fetch(0, 1)
    assert list(sample) == ["id", "task", "shown"]
    assert sample["task"] == "vqa"


def test_without_the_image_column_no_image_is_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    want = [(row["id"], row["gsd"], row["shown"]) for row in Stream(folder)]
    monkeypatch.setattr(Release, "_image", lambda *_: pytest.fail("an image was read"))
    assert [tuple(row.values()) for row in Stream(folder, columns=["id", "gsd"])] == want


def test_a_share_can_give_whole_rows(opened: Release) -> None:
    whole = Stream(opened, max_length=700).share(whole=True)
    rows = whole.fetch(0, len(whole))
    assert {row["id"]: row["conversations"] for row in rows} == {r["id"]: r["conversations"] for r in DRAWN}
    assert any(len(row["pairs"]) < len(DRAWN_BY_ID[row["id"]]["pairs"]) for row in Stream(opened, max_length=700))


@ONE_RELEASE
@given(st.integers(1, 5), st.integers(1, 6), st.integers(0, 20))
def test_workers_share_a_share_out_by_blocks(workers: int, block: int, position: int) -> None:
    folder_share = SHARES[position]
    lanes = [Lane(folder_share, worker, workers, block) for worker in range(workers)]
    parts = [[key(row) for row in lane.fetch(0, 1000)] for lane in lanes]
    assert [len(lane) for lane in lanes] == [len(part) for part in parts]
    together = []
    for start in range(0, 1000, block):
        for part in parts:
            together += part[start : start + block]
    assert together == [key(row) for row in folder_share.fetch(0, 1000)]
    assert all(part[2:5] == [key(r) for r in lane.fetch(2, 5)] for part, lane in zip(parts, lanes, strict=True))


SHARES: dict[int, share.Share] = {}


@pytest.fixture(autouse=True, scope="module")
def shares(opened: Release) -> None:
    for position in range(21):
        stream = Stream(opened)
        stream.load_state_dict({**stream.state_dict(), "position": position})
        SHARES[position] = stream.share()


def test_blocks_of_the_order_are_computed_once_and_joined(opened: Release, monkeypatch: pytest.MonkeyPatch) -> None:
    want = keys(Stream(opened, pairs="each"))
    monkeypatch.setattr(share, "BLOCK", 7)
    assert keys(Stream(opened, pairs="each")) == want
    part = Stream(opened, pairs="each").share()
    assert [key(row) for row in part.fetch(3, 40)] == want[3:40]


def test_reads_are_announced_while_a_disk_is_read_from(opened: Release, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[int] = []
    blocks = iter(range(10**6))
    monkeypatch.setattr(share, "_disk_reads", lambda: next(blocks))
    monkeypatch.setattr(share, "AHEAD", 5)
    monkeypatch.setattr(type(opened.store), "ahead", lambda _, path, start, end: told.append(end - start))
    part = Stream(opened, pairs="each").share()
    part.fetch(0, 10)
    assert len(told) >= 9  # one row has no image
    told.clear()
    monkeypatch.setattr(share, "_disk_reads", lambda: 0)
    monkeypatch.setattr(share, "HOLD", 3)
    part = Stream(opened, pairs="each").share()
    part.fetch(0, 10)
    assert told == []


def test_images_are_copied_out_of_memory_once_no_disk_is_read_from(
    opened: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocks, step, asked = 0, 0, []

    def disk_reads() -> int:
        nonlocal blocks
        blocks += step
        return blocks

    copies = type(opened.store).copies
    monkeypatch.setattr(share, "_disk_reads", disk_reads)
    monkeypatch.setattr(share, "HOLD", 25)
    monkeypatch.setattr(type(opened.store), "copies", lambda *given: asked.append(len(given[1])) or copies(*given))
    part = Stream(opened).share()
    want = part.fetch(0, 10)
    assert asked == [], "the first time nobody knows"
    assert part.fetch(0, 10) == want
    assert asked == [10]
    step = 1
    assert part.fetch(0, 10) == want
    step = 0
    assert [part.fetch(0, 10) for _ in range(3)] == [want] * 3
    assert asked == [10, 10]
    assert part.fetch(0, 10) == want
    assert asked == [10, 10, 10]


@pytest.mark.parametrize("steps", [(3, 3, 3, 3, 3, 3, 3), (1, 2, 4, 8), (5, 1, 1, 1, 12)])
def test_a_lane_finds_the_same_however_it_is_asked(opened: Release, steps: tuple[int, ...]) -> None:
    part = Stream(opened, pairs="each").share()
    lanes = [share.Lane(part, worker, 2, 4) for worker in range(2)]
    for lane in (share.Lane(part), *lanes):
        want, at = [key(row) for row in lane.fetch(0, len(lane))], 0
        for step in steps:
            assert [key(row) for row in lane.fetch(at, at + step)] == want[at : at + step]
            at += step
        assert [key(row) for row in lane.fetch(1, 3)] == want[1:3]


# data loaders


def test_a_stream_is_an_iterable_dataset(opened: Release) -> None:
    assert isinstance(Stream(opened), IterableDataset)
    assert issubclass(Stream, IterableDataset)
    with pytest.raises(TypeError):
        Stream(opened)[0]  # type: ignore[index]


def test_a_stream_needs_no_torch_and_one_made_before_torch_is_known_to_it(folder: Path) -> None:
    code = f"""if True:
        import sys
        from rs_gpt4v_builder import Stream
        stream = Stream({str(folder)!r}, pairs="each")
        rows = list(stream)
        if "torch" in sys.modules: raise SystemExit("torch was imported")
        from torch.utils.data import DataLoader
        batches = list(DataLoader(stream, batch_size=None))
        if [r["id"] for r in batches] != [r["id"] for r in rows]: raise SystemExit("other rows")
    """
    done = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def environment() -> dict[str, str]:
    paths = os.pathsep.join(str(ROOT / name) for name in (".", "builder", "tests"))
    return {**os.environ, "PYTHONPATH": paths}


@pytest.mark.parametrize("workers", [0, 1, 2, 3])
def test_a_stock_loader_gives_the_same_batches_with_any_number_of_workers(workers: int, opened: Release) -> None:
    want = keys(Stream(opened, pairs="each"))
    stream = Stream(opened, pairs="each", batch_size=4)
    loader = DataLoader(stream, batch_size=4, num_workers=workers, collate_fn=identity)
    assert len(loader) == -(-len(want) // 4)  # and no warning that there are more
    batches = list(loader)
    assert [k for batch in batches for k in batch] == want
    assert [len(batch) for batch in batches[:-1]] == [4] * (len(batches) - 1)
    # in mid-epoch: the main process counts
    stream = Stream(opened, pairs="each", batch_size=4)
    loader = DataLoader(stream, batch_size=4, num_workers=workers, collate_fn=identity)
    consumed = sum(len(batch) for batch in islice(loader, 3))
    state = stream.state_dict(consumed=consumed)
    assert state["position"] == 12
    other = Stream(opened, pairs="each", batch_size=3)
    other.load_state_dict(state)
    loader = DataLoader(other, batch_size=3, num_workers=2, collate_fn=identity)
    assert [k for batch in loader for k in batch] == want[12:]
    assert other.state_dict(consumed=6)["position"] == 18
    assert other.state_dict(consumed=len(want) - 12)["position"] == len(want)


def test_workers_without_a_batch_size_take_turns(opened: Release) -> None:
    loader = DataLoader(Stream(opened), batch_size=None, num_workers=2)
    assert [key(row) for row in loader] == keys(Stream(opened))


@pytest.mark.parametrize("persistent", [False, True])
def test_workers_follow_set_epoch(persistent: bool, opened: Release) -> None:
    plain = Stream(opened)
    stream = Stream(opened, batch_size=4)
    stream.load_state_dict({**stream.state_dict(), "position": 8})
    loader = DataLoader(stream, batch_size=4, num_workers=2, persistent_workers=persistent, collate_fn=identity)
    for epoch in range(3):
        stream.set_epoch(epoch)
        plain.set_epoch(epoch)
        assert [k for batch in loader for k in batch] == keys(plain)[0 if epoch else 8 :]


def test_a_stream_can_be_pickled_in_mid_epoch(opened: Release) -> None:
    stream = Stream(opened, pairs="each", rank=1, world_size=2)
    want = keys(stream)
    stream.load_state_dict({**stream.state_dict(), "position": 10})
    again = pickle.loads(pickle.dumps(stream))
    assert (again.rank, again.world_size, again.state_dict()) == (1, 2, stream.state_dict())
    assert keys(again) == keys(stream) == want[5:]
    again.set_epoch(4)
    assert stream.epoch == 0


@pytest.mark.long
def test_workers_that_are_spawned_follow_set_epoch(opened: Release) -> None:
    stream, plain = Stream(opened, batch_size=4), Stream(opened)
    loader = DataLoader(
        stream, batch_size=4, num_workers=2, persistent_workers=True, collate_fn=identity,
        multiprocessing_context="spawn",
    )  # fmt: skip
    for epoch in range(3):
        stream.set_epoch(epoch)
        plain.set_epoch(epoch)
        assert [k for batch in loader for k in batch] == keys(plain)


def stateful(stream: Stream, workers: int, persistent: bool) -> StatefulDataLoader:
    return StatefulDataLoader(
        stream, batch_size=4, num_workers=workers, persistent_workers=persistent and workers > 0, collate_fn=identity
    )


@pytest.mark.parametrize(
    ("workers", "persistent", "block"), [(0, False, 4), (2, False, None), (2, False, 4), (2, True, 4), (3, True, None)]
)
def test_a_stateful_loader_is_exact(workers: int, persistent: bool, block: int | None, opened: Release) -> None:
    def make() -> tuple[Stream, StatefulDataLoader]:
        stream = Stream(opened, pairs="each", batch_size=block)
        return stream, stateful(stream, workers, persistent)

    stream, loader = make()
    want = {}
    for epoch in range(3):
        stream.set_epoch(epoch)
        want[epoch] = list(loader)
        assert sorted(k for batch in want[epoch] for k in batch) == sorted(keys(Stream(opened, pairs="each")))

    stream, loader = make()
    stream.set_epoch(0)
    assert list(loader) == want[0]
    stream.set_epoch(1)
    assert list(islice(loader, 3)) == want[1][:3]
    state = loader.state_dict()

    stream, loader = make()  # resumed in mid-epoch
    loader.load_state_dict(state)
    stream.set_epoch(1)
    assert list(islice(loader, 4)) == want[1][3:7]
    state = loader.state_dict()

    stream, loader = make()  # and once more
    loader.load_state_dict(state)
    assert list(loader) == want[1][7:]
    stream.set_epoch(2)
    assert list(islice(loader, len(want[2]))) == want[2]
    before_the_end = loader.state_dict()

    stream, loader = make()
    loader.load_state_dict(before_the_end)
    assert list(loader) == []
    ended = loader.state_dict()
    stream, loader = make()  # a state of the end begins the epoch anew, as with any dataset
    stream.set_epoch(2)
    loader.load_state_dict(ended)
    assert list(loader) == want[2]


def test_the_state_of_a_worker_is_for_that_worker(opened: Release) -> None:
    loader = stateful(Stream(opened), 2, False)
    next(iter(loader))
    state = loader.state_dict()
    inner = state["_snapshot"]["_worker_snapshots"]["worker_1"]["dataset_state"]
    with pytest.raises(OptionError, match="is that of a data loader's worker"):
        Stream(opened).load_state_dict(inner)


# runs that are killed

RUN = """if True:
    import json, os, signal, sys
    from pathlib import Path
    from rs_gpt4v_builder import Stream

    folder, work, die, rank, world = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), 0, int(sys.argv[4])
    streams = [Stream(folder, pairs="each", rank=r, world_size=world, seed=1) for r in range(world)]
    state = json.loads((work / "state").read_text()) if (work / "state").exists() else None
    for stream in streams:
        if state: stream.load_state_dict(state)
    trained, step = open(work / "trained", "a"), 0
    for epoch in range(streams[0].epoch, 3):
        for stream in streams: stream.set_epoch(epoch)
        for rows in zip(*streams):
            step += 1
            print(json.dumps([epoch, [[r["id"], r["shown"]] for r in rows]]), file=trained, flush=True)
            if step == die: os.kill(os.getpid(), signal.SIGKILL)  # trained on, and not saved
            if step % 5 == 0:
                saved = streams[-1].state_dict()
                (work / "new").write_text(json.dumps(saved))
                os.replace(work / "new", work / "state")
                (work / "saved").write_text(str(trained.tell()))
"""


def killed_and_resumed(folder: Path, work: Path, dice: random.Random, kills: int) -> list[list[Any]]:
    """Lines that were trained on and saved, run after run."""
    work.mkdir()
    worlds = [1, 3, 2, 4]
    for number in range(kills + 1):
        die = dice.randrange(6, 30) if number < kills else -1
        command = [sys.executable, "-c", RUN, str(folder), str(work), str(die), str(worlds[number % 4])]
        done = subprocess.run(command, env=environment(), check=False, capture_output=True, text=True)
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL, done.stderr
        os.truncate(work / "trained", int((work / "saved").read_text()))  # the weights go back to what was saved
    assert done.returncode == 0
    return [json.loads(line) for line in (work / "trained").read_text().splitlines()]


def assert_undisturbed(lines: list[list[Any]], folder: Path) -> None:
    plain = Stream(folder, pairs="each", seed=1)
    for epoch in range(3):
        plain.set_epoch(epoch)
        seen = [(i, tuple(shown)) for e, rows in lines if e == epoch for i, shown in rows]
        want = keys(plain)
        assert seen == want[: len(seen)]
        assert len(want) - len(seen) < 4  # of at most 4 ranks


def test_a_killed_run_goes_on_where_it_was_saved(folder: Path, tmp_path: Path) -> None:
    assert_undisturbed(killed_and_resumed(folder, tmp_path / "run", random.Random(0), 3), folder)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(20))
def test_many_killed_runs_go_on_where_they_were_saved(seed: int, folder: Path, tmp_path: Path) -> None:
    assert_undisturbed(killed_and_resumed(folder, tmp_path / "run", random.Random(seed), 6), folder)
