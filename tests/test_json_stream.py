"""Large JSON files, record by record: the same as reading them whole, in bounded memory, with errors that say where."""

import hashlib
import json
import math
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rs_gpt4v_conversion.errors import SourceError
from rs_gpt4v_conversion.sources import Folder, _stream
from rs_gpt4v_conversion.sources._stream import iter_members, iter_records

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
lists = st.lists(st.dictionaries(st.text(max_size=5), values, max_size=4), max_size=8)
SLOW_FIXTURE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)


@pytest.fixture(params=[1, 7, 1 << 18])
def block(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(_stream, "BLOCK", request.param)
    return int(request.param)


def stream(path: Path, content: bytes, key: str = "a") -> list[Any]:
    path.write_bytes(content)
    folder = Folder(path.parent)
    found = list(iter_records(folder, path, key))
    assert folder.digests == {path.name: hashlib.sha256(content).hexdigest()}
    assert [i for i, _ in found] == list(range(len(found)))
    return [record for _, record in found]


@SLOW_FIXTURE
@given(records=lists, before=values, after=values, ascii_only=st.booleans(), indent=st.sampled_from([None, 2]))
def test_records_are_those_of_the_whole_file(
    tmp_path: Path, block: int, records: list[Any], before: Any, after: Any, ascii_only: bool, indent: int | None
) -> None:
    text = json.dumps({"b": before, "a": records, "c": after}, ensure_ascii=ascii_only, indent=indent)
    assert stream(tmp_path / "a.json", text.encode()) == records


@SLOW_FIXTURE
@given(records=lists, data=st.data())
def test_a_damaged_file_is_refused_exactly_where_reading_it_whole_fails(
    tmp_path: Path, block: int, records: list[Any], data: st.DataObject
) -> None:
    text = json.dumps({"a": records})
    at = data.draw(st.integers(0, len(text)))
    damage = data.draw(st.sampled_from(["", "}", "]", '"', ",", "1", " ", "\\", "\x00", "nul"]))
    damaged = text[:at] + damage + text[at + data.draw(st.integers(0, 3)) :]
    try:
        whole = json.loads(damaged)
    except json.JSONDecodeError as error:
        with pytest.raises(SourceError, match="expected") as found:
            stream(tmp_path / "a.json", damaged.encode())
        if "complete JSON" in str(found.value):
            assert f"line {error.lineno} column {error.colno}" in found.value.record
        return
    right = isinstance(whole, dict) and isinstance(whole.get("a"), list)
    if right and all(isinstance(record, dict) for record in whole["a"]):
        assert stream(tmp_path / "a.json", damaged.encode()) == whole["a"]
    else:
        with pytest.raises(SourceError, match="expected"):
            stream(tmp_path / "a.json", damaged.encode())


@SLOW_FIXTURE
@given(content=st.dictionaries(st.text(max_size=4), values, max_size=5))
def test_members_are_those_of_the_whole_file(tmp_path: Path, block: int, content: dict[str, Any]) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps(content))
    folder = Folder(tmp_path)
    assert dict(iter_members(folder, path)) == content
    assert folder.digests == {"a.json": hashlib.sha256(path.read_bytes()).hexdigest()}


def test_special_numbers_and_halves_of_pairs_are_as_the_standard_library_reads_them(tmp_path: Path, block: int) -> None:
    text = '{"a": [{"x": NaN, "y": -Infinity, "z": "\\ud800", "n": 123456789012345678901234567890}]}'
    (record,) = stream(tmp_path / "a.json", text.encode())
    assert math.isnan(record["x"])
    assert record["y"] == -math.inf
    assert record["z"] == "\ud800"
    assert record["n"] == 123456789012345678901234567890


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"a": [{"b": 1}, {"b" 2}]}', r"line 1 column 23, a\[1\]: found Expecting ':' delimiter, expected complete"),
        (
            b'{"a": [{"b": 1},\n {"b": 2',
            r"line 2 column 9, a\[1\]: found a file that ends too early, expected complete",
        ),
        (b'{"a": [{"b": "x', r"a\[0\]: found a file that ends too early"),
        (b'{"a": [{"b": 1}', "found a file that ends too early"),
        (b'{"a": [{"b": 1}]', "found a file that ends too early"),
        (b'{"a": [{"b": 1},]}', r"a\[1\]: found Expecting value"),
        (b'{"a": [{"b": 1}]} x', "line 1 column 19.*: found Extra data"),
        (b"", "line 1 column 1: found a file that ends too early"),
        (b"{a: 1}", "Expecting property name"),
        (b"[]", "found a list, expected a JSON object"),
        (b"3", "found an integer 3, expected a JSON object"),
        (b"<html>", "line 1 column 1: found Expecting value"),
        (b'{"b": []}', "found the keys b, expected a list 'a'; is it another dataset's file"),
        (b"{}", "found the keys none, expected a list 'a'"),
        (b'{"a": {"b": 1}}', "a: found an object, expected a list"),
        (b'{"a": [{"b": 1}, 2]}', r"a\[1\]: found an integer 2, expected an object"),
        (b'{"a": [], "a": []}', "found a second list 'a', expected one"),
        (b'{"a": [{"b": "caf\xe9"}]}', "found byte 17, which is not UTF-8"),
        (b'{"a": [{"b": "caf\xc3', "found byte 17, which is not UTF-8"),
        (b'{"a": [{"b": ' + b"1" * 5000 + b"}]}", "found a number of thousands of digits"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path: Path, block: int, content: bytes, message: str) -> None:
    with pytest.raises(SourceError, match=message) as found:
        stream(tmp_path / "a.json", content)
    assert str(found.value).startswith(str(tmp_path / "a.json"))


def test_nesting_without_end_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"a\[1\]: found JSON nested without end"):
        stream(tmp_path / "a.json", b'{"a": [{}, ' + b'{"b":' * 100_000)


def test_a_byte_order_mark_is_passed_over(tmp_path: Path, block: int) -> None:
    assert stream(tmp_path / "a.json", b'\xef\xbb\xbf{"a": [{"b": 1}]}') == [{"b": 1}]


def test_a_record_without_end_does_not_fill_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_stream, "BLOCK", 100)
    monkeypatch.setattr(_stream, "LONGEST", 1000)
    with pytest.raises(SourceError, match=r"a\[0\]: found a record of more than 1,000 characters"):
        stream(tmp_path / "a.json", b'{"a": [{"b": "' + b"x" * 5000)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"a\.json: found no such file"):
        list(iter_records(Folder(tmp_path), tmp_path / "a.json", "a"))


def test_memory_depends_on_the_record_and_not_on_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    with path.open("w") as file:
        file.write('{"a": [' + ", ".join(f'{{"id": {i}, "text": "{i:0200d}"}}' for i in range(40_000)) + "]}")
    tracemalloc.start()
    count = sum(1 for _ in iter_records(Folder(tmp_path), path, "a"))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 40_000
    assert path.stat().st_size > 8e6
    assert peak < 2.5e6


def test_a_file_opened_to_be_streamed_is_digested_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"one\ntwo\n" * 100_000)
    whole = hashlib.sha256(path.read_bytes()).hexdigest()
    folder = Folder(tmp_path)
    with folder.open(path) as file:
        assert file.read(3) == b"one"
    assert folder.digests == {"a.txt": whole}
    again = Folder(tmp_path)
    assert again.read(path) == path.read_bytes()
    assert again.digests == folder.digests
    broken = Folder(tmp_path)
    with pytest.raises(KeyError), broken.open(path):
        raise KeyError
    assert broken.digests == {}
