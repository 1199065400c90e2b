"""Texts in the cache: what goes in comes out, each row group is made ready once, and only where it is asked for."""

import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tiny_release
from rs_gpt4v_builder import Release
from rs_gpt4v_builder.release import texts
from rs_gpt4v_builder.release.texts import SCHEMA, TRAINING, MappedTexts, pack, take_rows, text_rows

GROUPS = 5
"""Row groups of the split `train` of a tiny release."""


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tiny release and an empty cache."""
    monkeypatch.setenv("RS_GPT4V_CACHE", str(tmp_path / "cache"))
    return tiny_release.write(tmp_path / "rs-gpt4v")


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, int]]]:
    """The row groups that were made ready so far."""
    found: list[tuple[str, int]] = []
    read = texts.read_text_table

    def note(store: Any, shard: str, metadata: Any, group: int) -> pa.Table:
        found.append((shard, group))
        return read(store, shard, metadata, group)

    monkeypatch.setattr(texts, "read_text_table", note)
    yield found


TURNS = pa.list_(pa.struct([("from", pa.string()), ("value", pa.string())]))
PAIRS = pa.list_(pa.struct([("category", pa.string()), ("dialogue", pa.int32())]))
TABLE = pa.schema(
    [
        ("id", pa.string()),
        ("image", pa.struct([("path", pa.string())])),
        ("conversations", TURNS),
        ("pairs", PAIRS),
        ("source", pa.string()),
        ("scale", pa.float64()),
        ("window", pa.list_(pa.int32())),
        ("width", pa.int32()),
    ]
)
WORDS = st.none() | st.sampled_from(["", "a", "Straße"]) | st.text(max_size=3)
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "id": WORDS,
            "image": st.none() | st.fixed_dictionaries({"path": WORDS}),
            "conversations": st.none() | st.lists(st.fixed_dictionaries({"from": WORDS, "value": WORDS}), max_size=4),
            "pairs": st.none()
            | st.lists(
                st.fixed_dictionaries({"category": WORDS, "dialogue": st.none() | st.integers(0, 9)}), max_size=3
            ),
            "source": WORDS,
            "scale": st.none() | st.sampled_from([0.0, -0.0, 1.0, float("nan"), float("inf")]),
            "window": st.none() | st.lists(st.integers(-5, 5), max_size=4),
            "width": st.none() | st.integers(0, 2),
        }
    ),
    max_size=5,
)


@given(ROWS)
def test_rows_come_out_as_they_went_in(rows: list[dict[str, Any]]) -> None:
    table = pa.Table.from_pylist(rows, schema=TABLE)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, SCHEMA) as writer:
        writer.write_batch(pack(text_rows(table)))
    (group,) = MappedTexts(sink.getvalue()).groups
    want = [{**row, "image": row["image"] and (row["image"]["path"],)} for row in table.to_pylist()]
    numbers = range(len(rows))
    # by their text, in which no number is unlike itself and zeros have signs; the order of the columns counts as well
    assert repr(take_rows([group] * len(rows), numbers, rest=True)) == repr(want)
    some = [{name: row[name] for name in TRAINING} for row in want]
    assert take_rows([group] * len(rows), numbers, rest=False) == some


def test_rows_are_made_anew_each_time(tiny: Path) -> None:
    rows = Release(tiny).rows()
    want = list(Release(tiny).rows())
    for row in rows:
        row["objects"].append("a")
        row["window"].append(1)
        row["source"] = row["license"] = "none"
        row.pop("crs")
    assert list(rows) == want


def test_only_the_row_groups_that_are_asked_for_are_made_ready(tiny: Path, made: list[tuple[str, int]]) -> None:
    rows = Release(tiny).rows()
    assert not made
    assert rows[0]["id"] != rows[1]["id"]
    assert len(made) == 1
    assert rows[8]["task"] == "grounding"
    assert len(made) == 2
    assert [row["id"] for row in rows] == [row["id"] for row in tiny_release.draw() if "/train/" in row["id"]]
    assert len(made) == len(set(made)) == GROUPS
    assert len(list(Release(tiny).rows())) == 9
    assert len(made) == GROUPS, "the second opening finds them in the cache"


def test_who_reads_at_the_same_time_shares_the_work(tiny: Path, made: list[tuple[str, int]]) -> None:
    want = list(Release(tiny, cache=tiny.parent / "another").rows())
    made.clear()
    orders = [[*range(start, 9), *range(start)] for start in range(8)]

    def read(order: list[int]) -> list[tuple[int, dict[str, Any]]]:
        rows = Release(tiny).rows()  # its own, as another process has it
        return [(number, rows[number]) for number in order]

    with ThreadPoolExecutor(8) as pool:
        for found in pool.map(read, orders):
            assert all(row == want[number] for number, row in found)
    assert len(made) == len(set(made)) == GROUPS


def test_what_a_killed_process_left_does_no_harm(tiny: Path, tmp_path: Path) -> None:
    want = list(Release(tiny, cache=tmp_path / "another").rows())
    assert Release(tiny).rows()[0] == want[0]
    (file,) = (tmp_path / "cache").rglob("*.arrow")
    with file.open("ab") as end:
        end.write(b"half of a row group")
    with file.with_suffix(".table").open("r+b") as table:
        table.seek(24)
        table.write(b"half an entry")
    assert list(Release(tiny).rows()) == want
    assert list(Release(tiny).rows()) == want


@pytest.mark.parametrize("by_another", [False, True])
def test_texts_may_be_removed_while_they_are_read(tiny: Path, tmp_path: Path, by_another: bool) -> None:
    want = list(Release(tiny, cache=tmp_path / "another").rows())
    rows = Release(tiny).rows()
    assert rows[0] == want[0]
    for file in (tmp_path / "cache").rglob("*.arrow"):
        file.unlink()
    if by_another:
        others = Release(tiny).rows()
        assert [others[number] for number in reversed(range(9))] == want[::-1]
    assert list(rows) == want
    shutil.rmtree(next((tmp_path / "cache").rglob("texts")))
    assert list(rows) == want
    assert list(Release(tiny).rows()) == want


COPIES = """
import resource, sys
from rs_gpt4v_builder.release.store import LocalStore
store, names, starts, lengths = LocalStore(sys.argv[1]), ["a"] * 32, [*range(32)], [25_000] * 32
for number in range(40):
    if number == 20:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    found = store.copies(names, starts, lengths)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another allocator")
def test_memory_of_images_is_used_again(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(bytes(30_000))
    done = subprocess.run(
        [sys.executable, "-c", COPIES, tmp_path], capture_output=True, text=True, check=True,
        env={"PYTHONPATH": ":".join(filter(None, sys.path))},
    )  # fmt: skip
    # 640 images of seven pages each
    assert int(done.stdout) < 640
