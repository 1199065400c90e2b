"""Batches made by threads: their order, the state, errors, ends of all kinds, and where the batches go.

The stream is a stand-in with the same promises as `Stream`; its rows are drawn here.
"""

import gc
import io
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import tiny_release
from fake_stream import FakeStream, ids
from rs_gpt4v_builder import LlavaCollator, Loader, Stream
from rs_gpt4v_builder.batch import targets
from rs_gpt4v_builder.errors import OptionError, RowError
from rs_gpt4v_builder.pixels import images
from rs_gpt4v_builder.text.tokenizer import byte_tokenizer

ROOT = Path(__file__).resolve().parents[1]


def expected(size: int, batch_size: int, epoch: int = 0) -> list[list[str]]:
    order = [f"s/{n}" for n in random.Random(epoch).sample(range(size), size)]
    return [order[n : n + batch_size] for n in range(0, size, batch_size)]


def flat(batches: Iterable[list[str]]) -> list[str]:
    return list(chain.from_iterable(batches))


def workers_alive() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("rs-gpt4v-loader")]


# --- order ---


@settings(max_examples=50)
@given(st.integers(0, 40), st.integers(1, 9), st.integers(1, 5), st.integers(1, 3), st.booleans())
def test_batches_come_in_the_streams_order_whatever_the_workers(
    size: int, batch_size: int, workers: int, prefetch: int, drop_last: bool
) -> None:
    stream = FakeStream(size)
    loader = Loader(stream, ids, batch_size, workers=workers, prefetch=prefetch, drop_last=drop_last)
    want = expected(size, batch_size)
    if drop_last:
        want = [batch for batch in want if len(batch) == batch_size]
    assert list(loader) == want
    assert len(loader) == len(want)
    assert workers_alive() == []


def test_no_more_is_read_ahead_than_was_asked_for() -> None:
    stream = FakeStream(100)
    batches = iter(Loader(stream, ids, 2, workers=3, prefetch=2))
    assert stream.fetched == []
    for given_out in range(1, 5):
        next(batches)
        time.sleep(0.05)
        assert len(stream.fetched) <= given_out + 3 * 2
    assert len(stream.fetched) > 5
    batches.close()


def test_several_threads_work_at_the_same_time() -> None:
    together = threading.Barrier(3, timeout=10)

    def collate(rows: list[Any]) -> list[str]:
        together.wait()
        return ids(rows)

    assert list(Loader(FakeStream(6), collate, 1, workers=3)) == expected(6, 1)


# --- state ---


class Kill(Exception):
    pass


class Job:
    """All ranks of a run in lockstep, from a state to where it is killed or done."""

    def __init__(self, size: int, state: Any, world: int, batch_size: int, workers: int) -> None:
        streams = [FakeStream(size, rank=rank, world_size=world) for rank in range(world)]
        self.loaders = [Loader(stream, ids, batch_size, workers=workers) for stream in streams]
        self.size, self.state = size, state
        for loader in self.loaders if state else ():
            loader.load_state_dict(json.loads(json.dumps(state)))

    def epoch(self, number: int, steps: int) -> Iterator[tuple[list[str], int]]:
        """Samples of each step, and how many the ranks cannot share out; raises Kill after the last of `steps`."""
        for loader in self.loaders:
            loader.set_epoch(number)
        left = self.size - self.loaders[0].stream.position  # type: ignore[attr-defined]
        rest = left % len(self.loaders)
        for step, batches in enumerate(zip(*self.loaders, strict=True), 1):
            states = [loader.state_dict() for loader in self.loaders]
            assert states == [states[0]] * len(states)
            self.state = states[0]
            yield flat(batches), rest if self.state["position"] == self.size else 0
            if step == steps:
                raise Kill
        self.state = self.loaders[0].state_dict()
        if left == rest:  # too few for a batch
            yield [], rest


@settings(max_examples=50)
@given(data=st.data())
def test_a_run_that_is_killed_and_resumed_sees_each_sample_once(data: st.DataObject) -> None:
    """With another number of ranks, workers and rows a batch each time."""
    size, state = data.draw(st.integers(1, 40), "size"), None
    seen, left_out = {0: [], 1: []}, {0: 0, 1: 0}  # type: tuple[dict[int, list[str]], dict[int, int]]
    while True:
        job = Job(size, state, *(data.draw(st.integers(1, most), "ranks, batch, workers") for most in (3, 7, 3)))
        try:
            for epoch in range(job.loaders[0].epoch, 2):
                for samples, rest in job.epoch(epoch, data.draw(st.integers(1, 30), "steps until killed")):
                    seen[epoch] += samples
                    left_out[epoch] += rest
            break
        except Kill:
            state = job.state
    for epoch in seen:
        assert len(seen[epoch]) == len(set(seen[epoch])) == size - left_out[epoch]
        # only what is left when every rank had its last sample, less than there are ranks
        assert left_out[epoch] < 3


def test_with_one_rank_a_resumed_run_is_the_undisturbed_one() -> None:
    for kill in range(1, 12):
        loader = Loader(FakeStream(23), ids, 2)
        seen = [one for batch in islice(loader, kill) for one in batch]
        state = loader.state_dict()
        again = Loader(FakeStream(23), ids, 5)
        again.load_state_dict(state)
        seen += [one for batch in again for one in batch]
        assert [seen] == expected(23, 23)


def test_batches_made_ahead_are_not_counted() -> None:
    stream = FakeStream(100)
    loader = Loader(stream, ids, 4, workers=3, prefetch=3)
    assert loader.state_dict() == {"epoch": 0, "position": 0}
    batches = iter(loader)
    assert loader.state_dict() == {"epoch": 0, "position": 0}
    next(batches), next(batches)
    time.sleep(0.05)
    assert len(stream.fetched) > 3
    assert loader.state_dict() == {"epoch": 0, "position": 8}
    batches.close()
    assert loader.state_dict() == {"epoch": 0, "position": 8}


def test_loading_a_state_reads_nothing() -> None:
    stream = FakeStream(100)
    loader = Loader(stream, ids, 4)
    loader.load_state_dict({"epoch": 3, "position": 50})
    assert stream.fetched == []
    assert loader.state_dict() == {"epoch": 3, "position": 50}
    assert loader.epoch == 3


def test_epochs_go_on_from_a_state_and_begin_at_their_start_after_that() -> None:
    loader = Loader(FakeStream(10), ids, 3)
    loader.load_state_dict({"epoch": 1, "position": 6})
    loader.set_epoch(1)  # as a loop over the epochs does
    assert len(loader) == 4  # of a whole epoch
    assert flat(loader) == flat(expected(10, 3, 1))[6:]
    assert loader.state_dict() == {"epoch": 1, "position": 10}
    assert list(loader) == expected(10, 3, 1)
    loader.set_epoch(2)
    assert loader.state_dict() == {"epoch": 2, "position": 0}
    assert list(loader) == expected(10, 3, 2)


def test_a_state_from_the_end_of_an_epoch_has_nothing_left() -> None:
    first = Loader(FakeStream(10), ids, 3, drop_last=True)
    assert len(list(first)) == 3
    second = Loader(FakeStream(10), ids, 3)
    second.load_state_dict(first.state_dict())
    assert list(second) == []
    second.set_epoch(1)
    assert list(second) == expected(10, 3, 1)


def test_after_leaving_early_the_next_iteration_begins_where_the_last_one_did() -> None:
    loader = Loader(FakeStream(10), ids, 3)
    loader.load_state_dict({"epoch": 0, "position": 3})
    for _ in loader:
        break
    assert flat(loader) == flat(expected(10, 3))[3:]


def test_a_stream_that_is_moved_on_by_itself_moves_the_loader() -> None:
    loader = Loader(FakeStream(10), ids, 3)
    list(loader)
    loader.stream.set_epoch(4)
    assert loader.state_dict() == {"epoch": 4, "position": 0}
    assert list(loader) == expected(10, 3, 4)


def test_an_iteration_given_up_for_another_does_not_move_the_loader() -> None:
    loader = Loader(FakeStream(10), ids, 3)
    old = iter(loader)
    next(old)
    loader.load_state_dict({"epoch": 0, "position": 6})
    assert len(list(old)) == 3
    assert loader.state_dict() == {"epoch": 0, "position": 6}
    assert flat(loader) == flat(expected(10, 3))[6:]


# --- errors ---


def failing(error: Exception, row: str) -> Callable[[list[Any]], list[str]]:
    def collate(rows: list[Any]) -> list[str]:
        if row in (one["id"] for one in rows):
            raise error
        return ids(rows)

    return collate


def test_a_bad_row_is_raised_where_its_batch_would_have_come() -> None:
    want = expected(20, 2)
    bad = want[6][1]
    loader = Loader(FakeStream(20), failing(RowError.of(bad, "x", "y", "do z"), bad), 2, workers=3)
    seen = []
    with pytest.raises(RowError, match=f"row '{bad}': found x, expected y; do z") as caught:
        seen += [batch for batch in loader]
    assert caught.value.row == bad
    batches = iter(loader)
    seen = [next(batches) for _ in range(6)]
    assert seen == want[:6]
    with pytest.raises(RowError):
        next(batches)
    assert loader.state_dict() == {"epoch": 0, "position": 12}
    assert workers_alive() == []


def test_any_other_error_keeps_its_type_and_gets_the_rows_of_its_batch() -> None:
    first = expected(6, 3)[0]
    with pytest.raises(KeyError, match="conversations") as caught:
        list(Loader(FakeStream(6), failing(KeyError("conversations"), first[1]), 3))
    assert caught.value.__notes__ == [f"in the batch of the rows {', '.join(first)}"]
    assert workers_alive() == []


def test_an_error_of_reading_is_the_streams_own() -> None:
    def broken(number: int) -> Any:
        raise ConnectionResetError("the server hung up")

    with pytest.raises(ConnectionResetError, match="the server hung up"):
        list(Loader(FakeStream(6, broken), ids, 3))
    assert workers_alive() == []


@pytest.mark.parametrize("name", ["batch_size", "workers", "prefetch"])
@pytest.mark.parametrize("value", [0, -1, 1.5, True, "2"])
def test_numbers_must_be_whole_and_above_zero(name: str, value: Any) -> None:
    given: dict[str, Any] = {"batch_size": 4} | {name: value}
    with pytest.raises(OptionError, match=f"{name}={value!r}: expected a whole number from 1"):
        Loader(FakeStream(4), ids, **given)


OPTIONS = {
    "device='tpu9' is not known to torch": {"device": "tpu9"},
    "dtype='bf16': expected a floating-point type": {"dtype": "bf16"},
    "dtype=torch.uint8: expected a floating-point type": {"dtype": torch.uint8},
    "resize='gpu' is not known: use one of 'cpu', 'device'": {"resize": "gpu"},
    "decode='gpu' is not known: use one of 'cpu', 'nvjpeg'": {"decode": "gpu"},
    "decode='nvjpeg' on 'cpu': it decodes on a GPU": {"decode": "nvjpeg"},
}


@pytest.mark.parametrize("message", OPTIONS)
def test_an_option_that_is_not_known_is_an_error(message: str) -> None:
    with pytest.raises(OptionError, match=f"^{message}"):
        Loader(FakeStream(4), LlavaCollator(byte_tokenizer()), 2, **OPTIONS[message])  # type: ignore[arg-type]


def test_a_loader_needs_a_stream() -> None:
    with pytest.raises(OptionError, match="a Loader of a list: give it a Stream"):
        Loader([{"id": "a"}], ids, 2)  # type: ignore[arg-type]


def test_options_of_images_need_images_that_the_loader_makes() -> None:
    with pytest.raises(OptionError, match=r"dtype, resize and decode are about a LlavaCollator's images"):
        Loader(FakeStream(4), ids, 2, dtype=torch.float16)
    with pytest.raises(OptionError, match=r"dtype=torch.float16 with a collator of pixels='uint8'"):
        Loader(FakeStream(4), LlavaCollator(byte_tokenizer(), pixels="uint8"), 2, dtype=torch.float16)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_an_error_at_once() -> None:
    with pytest.raises(OptionError, match="device='cuda': torch finds no GPU on this machine"):
        Loader(FakeStream(4), ids, 2, device="cuda")


# --- ends ---


def test_leaving_a_loop_early_ends_the_threads() -> None:
    for _ in range(5):
        for _ in Loader(FakeStream(100), ids, 2, workers=4):
            break
        assert workers_alive() == []
        with pytest.raises(Kill):
            for _ in Loader(FakeStream(100), ids, 2, workers=4):
                raise Kill
        assert workers_alive() == []


def test_an_iteration_in_a_cycle_ends_when_the_garbage_is_collected() -> None:
    batches = iter(Loader(FakeStream(100), ids, 2, workers=4))
    next(batches)
    cycle: list[Any] = [batches]
    cycle.append(cycle)
    del batches, cycle
    assert workers_alive() != []
    gc.collect()
    assert workers_alive() == []


def test_after_an_end_there_are_no_more_batches() -> None:
    batches = iter(Loader(FakeStream(100), ids, 2))
    next(batches)
    batches.close()  # type: ignore[attr-defined]
    assert list(batches) == []
    done = iter(Loader(FakeStream(4), ids, 2))
    assert len(list(done)) == 2
    assert list(done) == []


def test_closing_waits_for_the_batches_at_hand_and_makes_no_others() -> None:
    made = []

    def collate(rows: list[Any]) -> list[str]:
        time.sleep(0.02)
        made.append(rows)
        return ids(rows)

    batches = iter(Loader(FakeStream(100), collate, 1, workers=2, prefetch=10))
    next(batches)
    batches.close()  # type: ignore[attr-defined]
    count = len(made)
    assert count <= 5
    time.sleep(0.05)
    assert len(made) == count


HEAD = """
import sys, time, threading
sys.path.insert(0, "tests")
from fake_stream import FakeStream, ids
from rs_gpt4v_builder import Loader

def slow(rows):
    time.sleep(0.05)
    return ids(rows)

loader = Loader(FakeStream(1000), slow, 2, workers=3)
"""

ENDS = {
    "a break": ("for batch in loader:\n    break", 0),
    "an iterator that nobody closes": ("it = iter(loader); next(it)", 0),
    "an error in the loop": ("for batch in loader:\n    1 / 0", 1),
}


def script(code: str) -> "subprocess.Popen[str]":
    env = os.environ | {"PYTHONPATH": os.pathsep.join(str(ROOT / part) for part in (".", "builder", "conversion"))}
    return subprocess.Popen(
        [sys.executable, "-c", HEAD + code],
        cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_a_process_ends_as_it_should_however_the_loop_is_left() -> None:
    running, ended = {name: script(code) for name, (code, _) in ENDS.items()}, {}
    for name, process in running.items():
        _, said = process.communicate(timeout=60)
        ended[name] = process.returncode, said.strip().rpartition("\n")[2]
    want = {name: (code, "") for name, (_, code) in ENDS.items()}
    want["an error in the loop"] = 1, "ZeroDivisionError: division by zero"
    assert ended == want


def test_ctrl_c_ends_the_loop_and_the_process() -> None:
    process = script("""
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # who is started in the background ignores it
try:
    for number, batch in enumerate(loader):
        if number == 2:
            print("running", flush=True)
except KeyboardInterrupt:
    print("interrupted", [t.name for t in threading.enumerate()])
    raise
""")
    assert process.stdout is not None
    assert process.stdout.readline() == "running\n"
    process.send_signal(signal.SIGINT)
    printed, said = process.communicate(timeout=60)
    assert printed == "interrupted ['MainThread']\n"
    assert said.endswith("KeyboardInterrupt\n")
    assert process.returncode in (-signal.SIGINT, 130)


# --- the batches of a LlavaCollator ---


def picture(number: int) -> Any:
    width, height = 30 + number % 7, 50 - number % 5
    out = io.BytesIO()
    drawn = np.random.default_rng(number).integers(0, 256, (height, width, 3), np.uint8)
    Image.fromarray(drawn).save(out, "PNG" if number % 3 else "JPEG")
    return {"bytes": out.getvalue(), "path": None}


def row(number: int) -> dict[str, Any]:
    """A row with two dialogues that ask the same; each fourth one has no image."""
    tag = "" if number % 4 == 3 else "<image>\n"
    turns = []
    for answer in (f"number {number}", "again"):
        turns += [{"from": "human", "value": f"{tag}What?"}, {"from": "gpt", "value": answer}]
        tag = ""
    image = {} if number % 4 == 3 else {"image": picture(number)}
    pairs = [{"category": "caption", "dialogue": n} for n in range(2)]
    return {"id": f"s/{number}", "conversations": turns, "pairs": pairs} | image


def collator(**options: Any) -> LlavaCollator:
    return LlavaCollator(byte_tokenizer(), **options)


def direct(collate: LlavaCollator, size: int, batch_size: int) -> list[dict[str, torch.Tensor]]:
    """The batches without a loader."""
    order = [int(name[2:]) for name in expected(size, size)[0]]
    return [collate([row(n) for n in order[start : start + batch_size]]) for start in range(0, size, batch_size)]


def same(got: dict[str, torch.Tensor], want: dict[str, torch.Tensor]) -> bool:
    return got.keys() == want.keys() and all(torch.equal(got[name], want[name]) for name in want)


QUIET = pytest.mark.filterwarnings("ignore:pairs='fit' left out")


@QUIET
@pytest.mark.parametrize("workers", [1, 2, 4])
@pytest.mark.parametrize("options", [{}, {"form": "hf"}, {"pixels": "uint8", "resize": "exact"}])
def test_batches_are_the_collators_whatever_the_workers_and_stay_as_they_are(
    workers: int, options: dict[str, Any]
) -> None:
    loader = Loader(FakeStream(22, row), collator(**options), 4, workers=workers)
    got = list(loader)  # all of them are kept while the others are made
    want = direct(collator(**options), 22, 4)
    assert len(got) == len(want)
    assert all(map(same, got, want))


@QUIET
def test_counters_count_all_that_the_threads_saw() -> None:
    collate = collator()
    list(Loader(FakeStream(60, row), collate, 2, workers=4))
    assert collate.left_out == 60


@QUIET
def test_images_have_the_dtype_that_is_asked_for() -> None:
    (batch,) = Loader(FakeStream(3, row), collator(), 4, dtype=torch.bfloat16)
    (want,) = direct(collator(), 3, 4)
    assert torch.equal(batch["images"], want["images"].bfloat16())
    assert batch["input_ids"].dtype == torch.int64


@QUIET
@pytest.mark.parametrize("form", ["llava", "hf"])
def test_pictures_resized_on_the_device_are_within_a_level_of_pils(form: str) -> None:
    options = {"form": form, "pixels": "uint8"}
    loader = Loader(FakeStream(8, row), collator(**options), 4, resize="device", device="cpu")
    for got, want in zip(loader, direct(collator(resize="exact", **options), 8, 4), strict=True):
        name = "images" if form == "llava" else "pixel_values"
        assert (got[name].int() - want[name].int()).abs().max() <= 1
        assert got.keys() == want.keys()
    (normal,) = Loader(FakeStream(3, row), collator(), 3, resize="device")
    assert normal["images"].dtype == torch.float32
    assert (normal["images"] - direct(collator(resize="exact"), 3, 3)[0]["images"]).abs().max() < 0.03


@QUIET
def test_a_batch_without_any_image_has_zeros_on_the_device_too() -> None:
    (batch,) = Loader(FakeStream(2, lambda n: row(3)), collator(pixels="uint8"), 2, resize="device")
    assert batch["images"].shape == (2, 3, 336, 336)
    assert not batch["images"].any()


@QUIET
@pytest.mark.parametrize("dtype", [None, torch.float32, torch.bfloat16])
def test_what_a_device_does_with_bytes_is_the_same_as_the_collator_does(dtype: torch.dtype | None) -> None:
    """The steps of a GPU, taken on the CPU."""
    target = targets.OnDevice(torch.device("cpu"), targets.ByteImager("pad", "fast", "uint8"), dtype)
    rows = [row(n) for n in range(4)]
    batch = target.receive(target.send(collator()(rows, imager=target.imager)))
    want = collator(pixels="uint8" if dtype is None else "float32")(rows)
    assert batch["images"].dtype == (dtype or torch.uint8)
    shown = batch["images"].float()[:3]  # the last row has no image
    assert (shown - want["images"].to(dtype or torch.uint8).float()[:3]).abs().max() <= 0.016
    assert all(torch.equal(batch[name], want[name]) for name in ("input_ids", "labels", "attention_mask"))


def test_batches_of_any_shape_are_moved() -> None:
    target = targets.OnDevice(torch.device("meta"), None, None)
    batch = {"a": torch.ones(2), "b": [torch.ones(1), ("text", torch.ones(3))], "c": 5}
    moved = target.receive(target.send(batch))
    assert moved["c"] == 5
    assert moved["b"][1][0] == "text"
    assert {t.device.type for t in (moved["a"], moved["b"][0], moved["b"][1][1])} == {"meta"}


def test_files_that_nvjpeg_does_not_take_are_decoded_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    def decode_on(files: list[bytes], device: torch.device) -> list[torch.Tensor | None]:
        return [torch.full((3, 8, 8), 9, dtype=torch.uint8) if file[:2] == b"\xff\xd8" else None for file in files]

    monkeypatch.setattr(targets, "decode_on", decode_on)
    imager = targets.FileImager("pad")
    rows = [row(number) for number in range(4)]  # the first is a JPEG, the last has no image
    made = [imager.one(one["image"], one["id"]) if "image" in one else None for one in rows]
    opened = imager.one(Image.open(io.BytesIO(rows[1]["image"]["bytes"])), "x")
    pixels = imager.finish(imager.stack([*made, opened]), torch.device("cpu"))
    assert (pixels[0] == 9).all()
    want = images.preprocess(rows[1]["image"], resize="exact").astype(int)
    assert np.abs(pixels[1].numpy() - want).max() <= 1
    assert not pixels[3].any()
    assert torch.equal(pixels[4], pixels[1])
    with pytest.raises(RowError, match="row 's/7': found an image that cannot be decoded"):
        imager.finish([imager.one(b"prose", "s/7")], torch.device("cpu"))


def test_a_run_over_a_release_is_resumed_where_it_was_killed(tmp_path: Path) -> None:
    folder = tiny_release.write(tmp_path / "rs-gpt4v")

    def loader(batch_size: int, workers: int) -> Loader:
        stream = Stream(folder, split="train", pairs="each", seed=3, cache=tmp_path / "cache")
        return Loader(stream, shown, batch_size, workers=workers)

    def shown(rows: list[Any]) -> list[str]:
        return [f"{row['id']} {row['shown']}" for row in rows]

    undisturbed = flat(loader(4, 2))
    assert len(set(undisturbed)) == len(undisturbed) > 8
    for kill in range(1, len(undisturbed) // 4):
        first = loader(4, 3)
        seen = flat(islice(first, kill))
        second = loader(7, 1)
        second.load_state_dict(json.loads(json.dumps(first.state_dict())))
        assert seen + flat(second) == undisturbed


def test_the_epoch_reaches_the_collator() -> None:
    collate = collator(pairs="one")
    loader = Loader(FakeStream(4, row), collate, 2)
    loader.set_epoch(5)
    list(loader)
    assert collate.epoch == 5


def test_a_collator_that_packs_gets_whole_rows() -> None:
    class Packs:
        packing = "shared-image"

        def __call__(self, rows: list[Any]) -> list[str]:
            return ids(rows)

    stream = FakeStream(4)
    list(Loader(stream, Packs(), 2))
    list(Loader(stream, ids, 2))
    assert [share.whole for share in stream.shares] == [True, False]


# --- on a GPU ---


@pytest.fixture
def cuda() -> torch.device:
    if not torch.cuda.is_available():
        pytest.skip("torch finds no GPU")
    return torch.device("cuda")


@QUIET
@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [None, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("resize", ["cpu", "device"])
def test_batches_arrive_on_a_gpu_as_the_cpu_has_them(
    cuda: torch.device, dtype: torch.dtype | None, resize: str
) -> None:
    loader = Loader(FakeStream(40, row), collator(), 4, device="cuda", dtype=dtype, resize=resize)
    want = direct(collator(resize="exact" if resize == "device" else "fast"), 40, 4)
    for got, exact in zip(loader, want, strict=True):
        assert {value.device.type for value in got.values()} == {"cuda"}
        assert got["images"].dtype == (dtype or torch.float32)
        there = exact["images"].flatten(1).any(1)  # a row without image is black on the GPU, not zero
        off = (got["images"].cpu().float() - exact["images"])[there].abs().max()
        assert off < (0.03 if resize == "device" or dtype else 3.6e-7)
        for name in ("input_ids", "labels", "attention_mask"):
            assert torch.equal(got[name].cpu(), exact[name])


@QUIET
@pytest.mark.gpu
def test_memory_of_a_batch_on_a_gpu_is_not_used_again_while_it_is_read(cuda: torch.device) -> None:
    want = direct(collator(pixels="uint8"), 80, 4)
    sums = []
    for batch in Loader(FakeStream(80, row), collator(pixels="uint8"), 4, device="cuda"):
        torch.cuda._sleep(20_000_000)  # the step is still at work when the next batch is on its way
        sums.append(batch["images"].long().sum())
        del batch
    assert [int(value) for value in sums] == [int(batch["images"].long().sum()) for batch in want]


@QUIET
@pytest.mark.gpu
def test_nvjpeg_decodes_what_it_takes(cuda: torch.device) -> None:
    want = direct(collator(pixels="uint8", resize="exact"), 8, 4)
    loader = Loader(FakeStream(8, row), collator(pixels="uint8"), 4, device="cuda", decode="nvjpeg")
    for got, exact in zip(loader, want, strict=True):
        assert (got["images"].cpu().int() - exact["images"].int()).abs().float().mean() < 3
