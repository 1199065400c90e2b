"""The training loops of docs/training.md: every sample once an epoch, exact after a kill, and a model that learns."""

import contextlib
import json
import os
import random
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

pytest.importorskip("transformers")

import loops  # noqa: E402
from rs_gpt4v_builder import Stream  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
ROWS = 11
QUICK = ["torchrun", "accelerate", "trainer"]
ALONE = {"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0"}
HEAVY = [pytest.param(loop, marks=pytest.mark.filterwarnings("ignore")) for loop in ("sft", "lightning")]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """A tiny model is slower on several threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def beside_a_release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return loops.write_release(tmp_path / "rs-gpt4v", ROWS)


@pytest.fixture
def one_rank(loop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What torchrun says to its only process."""
    if loop == "torchrun":
        for name, value in ALONE.items():
            monkeypatch.setenv(name, value)


def run(loop: str, model: Any) -> None:
    try:
        loops.run(loop, model, **loops.names_of(loop))
    finally:
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()


@pytest.mark.parametrize("loop", ["plain", *QUICK, *HEAVY])
@pytest.mark.usefixtures("one_rank")
def test_every_sample_is_seen_once_an_epoch(loop: str, beside_a_release: Path) -> None:
    model = loops.model_for(loop)
    run(loop, model)
    steps = -(-ROWS // loops.BATCH)
    assert len(model.seen) == loops.EPOCHS * steps
    epochs = [sum(model.seen[e * steps : (e + 1) * steps], []) for e in range(loops.EPOCHS)]
    assert [sorted(epoch) for epoch in epochs] == [list(range(ROWS))] * loops.EPOCHS
    assert epochs[0] != epochs[1] != epochs[2]


@pytest.mark.parametrize("kills", [(4,), (6,), (13, 15)], ids=str)
@pytest.mark.parametrize("loop", [*QUICK, *HEAVY])
@pytest.mark.usefixtures("one_rank")
def test_after_a_kill_the_samples_go_on(loop: str, kills: tuple[int, ...], beside_a_release: Path) -> None:
    check_kills(loop, kills, undisturbed(loop, beside_a_release.parent))


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("loop", [*QUICK, *HEAVY])
@pytest.mark.usefixtures("one_rank")
def test_after_any_kills_the_samples_go_on(loop: str, beside_a_release: Path) -> None:
    whole, draw = undisturbed(loop, beside_a_release.parent), random.Random(loop)
    for number in range(10 if loop == "sft" else 40):
        kills = draw.sample(range(len(whole.seen)), draw.choice((1, 1, 2, 3)))
        check_kills(loop, tuple(sorted(kills)), whole)
        put_away(beside_a_release.parent, f"before-{number}")


def undisturbed(loop: str, folder: Path) -> Any:
    whole = loops.model_for(loop)
    run(loop, whole)
    put_away(folder, "undisturbed")
    return whole


def check_kills(loop: str, kills: tuple[int, ...], whole: Any) -> None:
    """Kill a run before these of its steps, one after the other, and compare each part with the undisturbed run."""
    begun = 0
    for kill in (*kills, None):
        model = loops.model_for(loop, -1 if kill is None else kill - begun)
        with contextlib.suppress(loops.KilledError):
            run(loop, model)
        end = len(whole.seen) if kill is None else kill
        shown = whole.seen[end - len(model.seen) : end]
        assert model.seen == shown, (kills, kill)
        if kill is not None:
            begun = kept(loop, kill, len(whole.seen) // loops.EPOCHS)
    assert len(model.seen) == len(whole.seen) - begun
    weights, expected = (torch.cat([p.detach().flatten() for p in m.parameters()]) for m in (model, whole))
    assert torch.equal(weights, expected)


def kept(loop: str, step: int, steps: int) -> int:
    """The last step that a checkpoint was written behind: most count all steps, and some those of an epoch."""
    if loop in ("torchrun", "accelerate"):
        epoch, step = divmod(step, steps)
        return epoch * steps + step // loops.SAVED * loops.SAVED
    return step // loops.SAVED * loops.SAVED


def test_two_ranks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each sees its own samples; and one rank goes on where two were killed in mid-epoch."""
    for part in ("whole", "killed"):
        release = loops.write_release(tmp_path / part / "rs-gpt4v", 17)
    seen = two_ranks(tmp_path, "7", *QUICK)
    orders = [order_of(release, epoch) for epoch in range(loops.EPOCHS + 1)]
    for loop in QUICK:
        shown = together([rank[f"{loop} whole"] for rank in seen])
        assert shown == [number for order in orders[: loops.EPOCHS] for number in order[:16]], loop
        assert together([rank[f"{loop} killed"] for rank in seen]) == shown[: 7 * 2 * loops.BATCH], loop
    monkeypatch.chdir(tmp_path / "killed")
    for loop in QUICK:
        model = loops.Watch()
        if loop == "torchrun":
            for name, value in ALONE.items():
                monkeypatch.setenv(name, value)
        run(loop, model)
        for name in ALONE:
            monkeypatch.delenv(name, raising=False)
        steps = 2 if loop == "trainer" else 3  # in the second epoch, of 4 steps
        rest = orders[1][steps * 2 * loops.BATCH :] + orders[2] + orders[3]
        got = [number for batch in model.seen for number in batch]
        # a Trainer goes on to the number of steps that three epochs of its batches have
        assert got == (rest[: len(got)] if loop == "trainer" else rest[:-17]), loop
        assert len(got) > 17


def together(ranks: list[list[list[int]]]) -> list[int]:
    """Samples in the order of their positions."""
    first, second = ([number for batch in batches for number in batch] for batches in ranks)
    return [number for pair in zip(first, second, strict=True) for number in pair]


def order_of(release: Path, epoch: int) -> list[int]:
    stream = Stream(release, "vqa")
    stream.set_epoch(epoch)
    return [int(sample["id"].rsplit("/", 1)[1]) for sample in stream]


def two_ranks(folder: Path, *arguments: str) -> list[Any]:
    """Run tests/ranks.py as torchrun would, twice at a time."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
    common["ACCELERATE_USE_CPU"] = "true"  # as it would not be distributed on a machine without GPUs
    paths = os.pathsep.join(str(ROOT / part) for part in (".", "builder", "conversion", "tests"))
    processes = [
        subprocess.Popen(
            [sys.executable, str(ROOT / "tests" / "ranks.py"), str(folder), *arguments],
            env={**os.environ, **common, "RANK": rank, "LOCAL_RANK": rank, "PYTHONPATH": paths},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in "01"
    ]
    errors = [process.communicate(timeout=200)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], errors
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in "01"]


def put_away(folder: Path, name: str) -> None:
    """Rename the checkpoints, so that the next run does not find them."""
    (folder / name).mkdir()
    for path in [*folder.glob("last*"), *folder.glob("run*")]:
        path.rename(folder / name / path.name)
