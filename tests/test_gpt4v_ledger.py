"""The ledger says what the files say, however it came to know them."""

import json
import multiprocessing
import os
import shutil
import signal
import sqlite3
import tempfile
import time
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gpt4v_lines as g
from rs_gpt4v_conversion.errors import UsageError
from rs_gpt4v_conversion.gpt4v.answers import answer_files, intake, ledger
from rs_gpt4v_conversion.gpt4v.answers.ledger import Ledger
from rs_gpt4v_conversion.gpt4v.records import Accepted, Facts, Usage
from rs_gpt4v_conversion.gpt4v.workspace import Workspace
from rs_gpt4v_conversion.records import Object

HARBOR, FIELD = "rsicd/train/harbor_1", "rsicd/train/field_1"
FACTS = [Facts(record=HARBOR, captions=("a harbor",)), Facts(record=FIELD)]
GOOD, OTHER = {"description": "A harbor."}, {"description": "Another harbor."}


def opened(folder: Path, **changes: Any) -> Ledger:
    return Ledger(Workspace(folder), g.generation(folder, **changes), load=g.checks)


def content(folder: Path) -> dict[str, list[Any]]:
    """All that a ledger says; but for the times of files, which a copy does not share."""
    with sqlite3.connect(folder / "ledger.sqlite") as connection:
        tables = ("meta", "facts", "requests", "answers", "foreign_answers", "verdicts")
        found = {table: sorted(connection.execute(f"SELECT * FROM {table}"), key=repr) for table in tables}
        columns = "name, place, bytes, lines, sha256, size, appendable, map"
        found["files"] = sorted(connection.execute(f"SELECT {columns} FROM files"))
    connection.close()
    return found


def made_again(folder: Path) -> dict[str, list[Any]]:
    """What a ledger says that is made of the same files at once."""
    with tempfile.TemporaryDirectory() as other:
        copy = Path(other) / "requests"
        shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("ledger.*"))
        with opened(copy) as fresh:
            fresh.update(FACTS)
        return content(copy)


def reasons(folder: Path, **changes: Any) -> dict[str, int]:
    with opened(folder, **changes) as book:
        book.update(FACTS)
        return {reason: count for _, reason, count in book.status()}


def test_an_answer_is_accepted_and_read_again_from_its_line(tmp_path: Path) -> None:
    g.export(tmp_path, 1, g.request("detail-a", HARBOR), g.request("detail-b", FIELD))
    g.add(tmp_path, "000001-out.jsonl", g.lines(g.expired("detail-b"), "", g.answer("detail-a", " A harbor. ")))
    g.add(tmp_path, "000002-out.jsonl", g.lines(g.answer("detail-a", {"description": "  Größe 12 m. "})))
    with opened(tmp_path) as book:
        book.update(FACTS)
        assert book.accepted("detail", HARBOR) == Accepted(
            stage="detail", record=HARBOR, prompt="detail/1", model="gpt-4o-2024-11-20",
            content={"description": "Größe 12 m."},
        )  # fmt: skip
        assert book.accepted("detail", FIELD) is None
        assert book.accepted("global", HARBOR) is None
        assert list(book.pending()) == ["detail-b"]
        assert book.status() == [("detail", "accepted", 1), ("detail", "expired", 1)]
        assert book.outcomes() == {"detail": {"bad_json": 1, "expired": 1, "ok": 1}}
        (used,) = (u for u in book.usage() if u.model)
        assert (used.stage, used.lines, used.usage) == ("detail", 2, Usage(prompt=200, completion=20))


def test_each_reason_is_that_of_the_last_answer(tmp_path: Path) -> None:
    names = [f"detail-{k}" for k in range(7)]
    g.export(tmp_path, 1, *(g.request(name, f"rsicd/train/{name}") for name in names))
    cut = g.answer(names[1], '{"descr', "length")
    g.add(
        tmp_path, "000001-out.jsonl",
        g.lines(
            g.answer(names[0], "I'm sorry, but I can't help with that."), cut,
            g.answer(names[2], {"text": "A harbor."}), g.answer(names[3], "A harbor."),
            g.answer(names[4], {"description": "A LIE, and a LIE."}), g.answer(names[5], {"description": "A SLIP."}),
            g.answer("nobody", GOOD), "{", cut,
        ),
    )  # fmt: skip
    facts = [Facts(record=f"rsicd/train/{name}") for name in names]
    with opened(tmp_path) as book:
        book.update(facts)
        reason = {r: list(book.pending(reason=r)) for _, r, _ in book.status()}
        assert reason == {
            "accepted": [], "refused": [names[0]], "truncated": [names[1]], "schema_error": [names[2]],
            "bad_json": [names[3]], "lie": [names[4]], "unanswered": [names[6]],
        }  # fmt: skip
        assert book.outcomes()["detail"] == {
            "bad_json": 1, "lie": 1, "ok": 1, "refused": 1, "schema_error": 1, "truncated": 2,
        }  # fmt: skip
        assert book.outcomes()[""] == {"bad_json": 1, "unknown_id": 1}
        assert list(book.pending("global")) == []
        assert book.accepted("detail", f"rsicd/train/{names[4]}") is None
    g.add(tmp_path, "000002-out.jsonl", g.lines(g.expired(names[0]), g.answer(names[4], GOOD)))
    with opened(tmp_path) as book:
        book.update(facts)
        assert list(book.pending(reason="expired")) == [names[0]]
        assert list(book.pending(reason="lie")) == []


def test_the_first_accepted_answer_stays(tmp_path: Path) -> None:
    g.export(tmp_path, 1, g.request("detail-a", HARBOR))
    answers = [{"description": "A LIE."}, GOOD, OTHER, {"description": "LIE"}]
    g.add(tmp_path, "000001-out.jsonl", g.lines(*(g.answer("detail-a", a) for a in answers), g.expired("detail-a")))
    with opened(tmp_path) as book:
        book.update(FACTS)
        accepted = book.accepted("detail", HARBOR)
        assert accepted is not None
        assert accepted.content == GOOD
        assert book.outcomes() == {"detail": {"duplicate": 2, "expired": 1, "lie": 1, "ok": 1}}
        assert book.replies("detail") == {}


def test_how_often_a_request_was_answered_in_vain(tmp_path: Path) -> None:
    g.export(tmp_path, 1, g.request("detail-a", HARBOR), g.request("detail-b", FIELD))
    lies = [g.answer("detail-a", {"description": "A LIE."})] * 2
    g.add(tmp_path, "000001-out.jsonl", g.lines(*lies, g.expired("detail-a")))
    with opened(tmp_path) as book:
        book.update(FACTS)
        assert book.replies("detail") == {"detail-a": 3}


def test_severities_decide_what_is_held_back(tmp_path: Path) -> None:
    g.export(tmp_path, 1, g.request("detail-a", HARBOR))
    g.add(tmp_path, "000001-out.jsonl", g.lines(g.answer("detail-a", {"description": "A LIE and a SLIP."})))
    assert reasons(tmp_path) == {"lie": 1}
    assert reasons(tmp_path, severities={"lie": "warn"}) == {"accepted": 1}
    assert reasons(tmp_path, severities={"lie": "off", "slip": "error"}) == {"slip": 1}
    assert reasons(tmp_path) == {"lie": 1}
    with pytest.raises(UsageError, match=r"found 'lies', expected a check. Known: lie, slip"):
        reasons(tmp_path, severities={"lies": "off"})


def test_without_annotations_nothing_is_held_back_until_they_come(tmp_path: Path) -> None:
    g.export(tmp_path, 1, g.request("detail-a", HARBOR))
    g.add(tmp_path, "000001-out.jsonl", g.lines(g.answer("detail-a", {"description": "A LIE."})))
    with opened(tmp_path) as book:
        book.update()
        assert (book.has_facts, list(book.pending())) == (False, [])
        book.update(FACTS)
        assert (book.has_facts, list(book.pending())) == (True, ["detail-a"])
        book.update()
        assert list(book.pending()) == ["detail-a"]
        # an image that is in no source any more is not held against anything
        book.update(FACTS[1:])
        assert list(book.pending()) == []
        book.update([replace(FACTS[0], captions=()), FACTS[1]])
        assert list(book.pending()) == ["detail-a"]


def test_the_request_that_was_exported_last_counts(tmp_path: Path) -> None:
    g.export(tmp_path, 1, g.request("detail-old", HARBOR), g.request("detail-b", FIELD))
    g.add(tmp_path, "000001-out.jsonl", g.lines(g.answer("detail-old", GOOD)))
    assert reasons(tmp_path) == {"accepted": 1, "unanswered": 1}
    g.export(tmp_path, 2, g.request("detail-new", HARBOR), g.request("detail-b", FIELD, round=2))
    with opened(tmp_path) as book:
        book.update(FACTS)
        assert book.status() == [("detail", "superseded", 1), ("detail", "unanswered", 2)]
        assert list(book.pending()) == ["detail-b", "detail-new"]
        assert book.rounds_by_stage() == {"detail": {1: 2, 2: 1}}
        accepted = book.accepted("detail", HARBOR)
        assert accepted is not None and accepted.content == GOOD  # until the new one is answered
        g.add(tmp_path, "000002-out.jsonl", g.lines(g.answer("detail-new", OTHER)))
        book.update(FACTS)
        accepted = book.accepted("detail", HARBOR)
        assert accepted is not None and accepted.content == OTHER
    # the old request comes again: it is the last one now
    g.export(tmp_path, 3, g.request("detail-old", HARBOR, round=2))
    with opened(tmp_path) as book:
        book.update(FACTS)
        accepted = book.accepted("detail", HARBOR)
        assert accepted is not None and accepted.content == GOOD
        assert content(tmp_path) == made_again(tmp_path)


def test_a_line_that_is_being_written_waits_in_a_run_only(tmp_path: Path) -> None:
    g.export(tmp_path, 1, g.request("detail-a", HARBOR), g.request("detail-b", FIELD))
    whole = g.lines(g.answer("detail-a", GOOD))
    run = g.add(tmp_path, "000001-run-detail.jsonl", whole[:40])
    with opened(tmp_path) as book:
        book.update(FACTS)
        assert book.outcomes() == {}
        g.add(tmp_path, run.name, whole[40:] + b"\n" + whole[:30])
        book.update(FACTS)
        assert book.outcomes() == {"detail": {"ok": 1}}
        g.add(tmp_path, "000002-out.jsonl", g.lines(g.answer("detail-b", GOOD))[:-1])
        book.update(FACTS)
        assert list(book.pending()) == []
        # it was no whole line after all: the file is read again
        g.add(tmp_path, "000002-out.jsonl", b"}\n")
        book.update(FACTS)
        assert list(book.pending()) == ["detail-b"]
        assert content(tmp_path) == made_again(tmp_path)


def test_only_what_is_new_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    g.export(tmp_path, 1, g.request("detail-a", HARBOR), g.request("detail-b", FIELD))
    g.add(tmp_path, "000001-out.jsonl", g.lines(g.answer("detail-a", GOOD), g.answer("detail-a", GOOD)))
    read: list[bytes] = []
    real = intake.read_reply
    monkeypatch.setattr(intake, "read_reply", lambda line: read.append(line) or real(line))  # type: ignore[func-returns-value]
    with opened(tmp_path) as book:
        book.update(FACTS)
        assert len(read) == 2
        book.update(FACTS)
        assert len(read) == 2
        g.add(tmp_path, "000001-out.jsonl", g.lines(g.answer("detail-b", GOOD)))
        g.add(tmp_path, "000002-out.jsonl", g.lines(g.answer("detail-b", GOOD)))
        book.update(FACTS)
        assert len(read) == 4
        os.utime(tmp_path / "answers" / "000001-out.jsonl")
        book.update(FACTS)
        assert len(read) == 4


@pytest.mark.parametrize(
    "change", ["edited", "shorter", "gone", "index", "another order", "damaged", "no ledger", "empty"]
)
def test_what_was_read_and_is_another_thing_now_is_read_again(tmp_path: Path, change: str) -> None:
    g.export(tmp_path, 1, g.request("detail-a", HARBOR), g.request("detail-b", FIELD))
    one = g.add(tmp_path, "000001-out.jsonl", g.lines(g.answer("detail-a", GOOD), g.expired("detail-b")))
    g.add(tmp_path, "000002-out.jsonl", g.lines(g.answer("detail-b", OTHER)))
    assert reasons(tmp_path) == {"accepted": 2}
    book = tmp_path / "ledger.sqlite"
    match change:
        case "edited":
            one.write_bytes(one.read_bytes().replace(b"A harbor", b"A LIE..."))
        case "shorter":
            one.write_bytes(g.lines(g.answer("detail-a", GOOD)))
        case "gone":
            one.unlink()
        case "index":
            g.export(tmp_path, 1, g.request("detail-b", FIELD))
        case "another order":
            one.rename(one.with_name("000003-out.jsonl"))
        case "damaged":
            data = book.read_bytes()
            book.write_bytes(data[:8192] + os.urandom(len(data) - 8192))
        case "no ledger":
            book.unlink()
        case "empty":
            book.write_bytes(b"")
    expected = {
        "edited": {"lie": 1, "accepted": 1}, "gone": {"accepted": 1, "unanswered": 1}, "index": {"accepted": 1}
    }  # fmt: skip
    assert reasons(tmp_path) == expected.get(change, {"accepted": 2})
    assert content(tmp_path) == made_again(tmp_path)


def test_a_file_that_is_no_ledger_is_replaced(tmp_path: Path) -> None:
    g.export(tmp_path, 1, g.request("detail-a", HARBOR))
    (tmp_path / "ledger.sqlite").write_text("not a database at all, but long enough to be taken for one. " * 20)
    assert reasons(tmp_path) == {"unanswered": 1}


def test_a_ledger_that_cannot_be_opened_is_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "ledger.sqlite").mkdir()
    with pytest.raises(UsageError, match=r"ledger\.sqlite: unable to open database file; expected"):
        opened(tmp_path).__enter__()


def test_documents_and_arrays_are_read_like_lines(tmp_path: Path) -> None:
    g.export(tmp_path, 1, *(g.request(f"detail-{k}", f"rsicd/train/{k}") for k in range(5)))
    values = [g.answer(f"detail-{k}", {"description": f'A "harbor" {{{k}]'}) for k in range(5)]
    g.add(tmp_path, "000001-array.json", b"\xef\xbb\xbf" + json.dumps(values[:2], indent=2).encode())
    g.add(tmp_path, "000002-document.json", json.dumps(values[2], indent=1).replace("\n", "\r\n").encode())
    g.add(tmp_path, "000003-one-line.json", b"\n" + json.dumps(values[3:]).encode())
    with opened(tmp_path) as book:
        book.update(FACTS)
        assert list(book.pending()) == []
        for k in range(5):
            accepted = book.accepted("detail", f"rsicd/train/{k}")
            assert accepted is not None and accepted.content == {"description": f'A "harbor" {{{k}]'}


def test_a_line_too_long_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answer_files, "MOST_BYTES", 2000)
    g.export(tmp_path, 1, g.request("detail-a", HARBOR), g.request("detail-b", FIELD))
    long = g.lines(g.answer("detail-a", {"description": "long " * 2000}))
    g.add(tmp_path, "000001-out.jsonl", long + g.lines(g.answer("detail-b", GOOD)) + long[:-1])
    with opened(tmp_path) as book:
        book.update(FACTS)
        assert list(book.pending()) == ["detail-a"]
        assert book.outcomes() == {"detail": {"ok": 1}, "": {"bad_json": 2}}
        book.update(FACTS)
    g.add(tmp_path, "000002-run-detail.jsonl", long[:-1])
    with opened(tmp_path) as book:
        book.update(FACTS)
        assert book.outcomes()[""] == {"bad_json": 2}
    g.add(tmp_path, "000002-run-detail.jsonl", b"\n")
    with opened(tmp_path) as book:
        book.update(FACTS)
        assert book.outcomes()[""] == {"bad_json": 3}
        assert content(tmp_path) == made_again(tmp_path)


def test_two_files_may_have_one_number(tmp_path: Path) -> None:
    g.export(tmp_path, 1, g.request("detail-a", HARBOR))
    g.add(tmp_path, "000001-b.jsonl", g.lines(g.answer("detail-a", GOOD)))
    assert reasons(tmp_path) == {"accepted": 1}
    g.add(tmp_path, "000001-a.jsonl", g.lines(g.answer("detail-a", OTHER)))
    with opened(tmp_path) as book:
        book.update(FACTS)
        accepted = book.accepted("detail", HARBOR)
        assert accepted is not None and accepted.content == OTHER
    for k in range(8):
        g.add(tmp_path, f"000001-c{k}.jsonl", b"")
    with pytest.raises(UsageError, match="found 10 files with the number 000001, expected one"):
        reasons(tmp_path)


def test_a_map_beside_a_file_brings_in_foreign_lines(tmp_path: Path) -> None:
    g.export(tmp_path, 1, g.request("detail-a", HARBOR))
    blocks = (
        "Question:\nWhat is it?\n===\nAnswer:\nA harbor.\n\nWith piers.\n===\nQuestion:\nWhere?\n===\nAnswer:\nLeft."
    )
    chat = g.answer("x", blocks)["response"]["body"]
    g.add(
        tmp_path, "000001-theirs.jsonl",
        g.lines(g.answer("image_1", GOOD), g.answer("image_2", "A field."), chat, g.answer("image_2", OTHER)),
    )  # fmt: skip
    g.add(
        tmp_path, "000001-theirs.jsonl.map.csv",
        f"line,id,record,stage,form,prompt\n,image_1,{HARBOR},detail,json,foreign/theirs\n"
        f"2,,{FIELD},detail,text,foreign/theirs\n3,,{FIELD},conversation,text,foreign/v2\n"
        f"4,,{FIELD},detail,json,foreign/theirs\n".encode(),
    )  # fmt: skip
    with opened(tmp_path) as book:
        book.update(FACTS)
        assert book.foreign() == {"detail": 2, "conversation": 1}
        assert book.outcomes() == {"detail": {"duplicate": 1, "ok": 2}, "conversation": {"ok": 1}}
        turns = [
            {"question": "What is it?", "answer": "A harbor.\n\nWith piers.", "objects": []},
            {"question": "Where?", "answer": "Left.", "objects": []},
        ]
        assert book.accepted("conversation", FIELD) == Accepted(
            stage="conversation", record=FIELD, prompt="foreign/v2", model="gpt-4o-2024-11-20", content={"turns": turns}
        )
        accepted = book.accepted("detail", HARBOR)
        assert accepted is not None and (accepted.prompt, accepted.content) == ("foreign/theirs", GOOD)
        assert list(book.pending()) == ["detail-a"]  # a foreign answer is no answer to our question
        assert book.usage() == []
        g.add(tmp_path, "000002-ours.jsonl", g.lines(g.answer("detail-a", OTHER)))
        book.update(FACTS)
        accepted = book.accepted("detail", HARBOR)
        assert accepted is not None and (accepted.prompt, accepted.content) == ("detail/1", OTHER)
        (tmp_path / "answers" / "000001-theirs.jsonl.map.csv").unlink()
        book.update(FACTS)
        assert (book.foreign(), book.outcomes()[""]) == ({}, {"unknown_id": 4})


def _hold(folder: Path, ready: Any) -> None:
    with opened(folder) as book, book.writing():
        ready.set()
        time.sleep(60)


def test_one_process_writes_and_others_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    g.export(tmp_path, 1, g.request("detail-a", HARBOR))
    assert reasons(tmp_path) == {"unanswered": 1}
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    other = context.Process(target=_hold, args=(tmp_path, ready))
    other.start()
    try:
        assert ready.wait(60)
        monkeypatch.setattr(ledger, "PATIENCE", 0.1)
        with opened(tmp_path) as book:
            assert list(book.pending()) == ["detail-a"]
            with pytest.raises(UsageError, match="another process is reading answers into its ledger"):
                book.update(FACTS)
            other.kill()
            other.join()
            book.update(FACTS)
    finally:
        other.kill()
        other.join()


def _update_and_die(folder: Path, batches: int) -> None:
    real = intake.Intake._take

    def take(self: intake.Intake, items: list[Any]) -> None:
        nonlocal batches
        real(self, items)
        batches -= 1
        if batches == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    intake.BATCH_LINES, intake.COMMIT_LINES = 3, 9
    intake.Intake._take = take  # type: ignore[method-assign]
    with opened(folder) as book:
        book.update(FACTS)


def test_killed_at_any_moment_it_goes_on(tmp_path: Path) -> None:
    names = [f"detail-{k}" for k in range(40)]
    g.export(tmp_path, 1, *(g.request(name, HARBOR if k % 2 else FIELD) for k, name in enumerate(names)))
    g.add(tmp_path, "000001-a.jsonl", g.lines(*(g.answer(n, {"description": f"SLIP {n}"}) for n in names)))
    g.add(tmp_path, "000002-b.json", json.dumps([g.answer(n, OTHER) for n in names]).encode())
    context = multiprocessing.get_context("spawn")
    for batches in (1, 5, 8, 14):
        process = context.Process(target=_update_and_die, args=(tmp_path, batches))
        process.start()
        process.join()
        assert process.exitcode == -signal.SIGKILL
        with opened(tmp_path) as book:  # what it kept is not torn
            assert sum(count for _, _, count in book.status()) in (0, 40)
    assert reasons(tmp_path)["accepted"] == 2
    assert content(tmp_path) == made_again(tmp_path)


IDS = [f"detail-{k}" for k in range(4)]
ANSWERS = st.sampled_from([GOOD, OTHER, {"description": "A LIE."}, {"description": "A SLIP."}, "A harbor.", {}])
LINES = st.one_of(
    st.builds(g.answer, st.sampled_from([*IDS, "nobody", "image_1"]), ANSWERS, st.sampled_from(["stop", "length"])),
    st.builds(g.expired, st.sampled_from(IDS)),
    st.sampled_from(["", "{", "[]", "{}"]),
)
MAP = f"id,line,record,stage,form\nimage_1,,{HARBOR},detail,json\n,2,{FIELD},detail,text\n".encode()
EVENTS = st.one_of(
    st.tuples(st.just("file"), st.lists(LINES, max_size=4), st.booleans()),
    st.tuples(st.just("run"), st.lists(LINES, min_size=1, max_size=4), st.integers(0, 60)),
    st.tuples(st.just("export"), st.lists(st.sampled_from(IDS), min_size=1, max_size=3, unique=True), st.just(0)),
    st.tuples(st.just("update"), st.just([]), st.just(0)),
)


@settings(max_examples=30)
@given(st.lists(EVENTS, min_size=1, max_size=9))
def test_piece_by_piece_it_comes_to_the_same(events: list[tuple[str, list[Any], int]]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        g.export(folder, 1, *(g.request(custom_id, HARBOR if k % 2 else FIELD) for k, custom_id in enumerate(IDS[:3])))
        parts, files, torn = 1, 1, b""
        for kind, values, extra in events:
            if kind == "file":
                files += 1
                g.add(folder, f"{files:06d}-out.jsonl", g.lines(*values))
                if extra:
                    g.add(folder, f"{files:06d}-out.jsonl.map.csv", MAP)
            elif kind == "run":  # its file is older than those that came since
                data = torn + g.lines(*values)
                torn = data[len(data) - extra :]
                g.add(folder, "000001-run-detail.jsonl", data[: len(data) - extra])
            elif kind == "export":
                parts += 1
                g.export(folder, parts, *(g.request(i, HARBOR, round=parts) for i in values))
            else:
                with opened(folder) as book:
                    book.update(FACTS)
        with opened(folder) as book:
            book.update(FACTS)
        assert content(folder) == made_again(folder)


# facts as JSON -------------------------------------------------------------------------------------------------------

FLOATS = st.floats(allow_nan=False, allow_infinity=False)
OBJECTS = st.builds(
    Object,
    category=st.text(), bbox=st.none() | st.tuples(*[FLOATS] * 4), obb=st.none() | st.tuples(*[FLOATS] * 8),
    difficult=st.booleans(), ignore=st.booleans(), number=st.integers(), iof=FLOATS,
)  # fmt: skip
WORDS = st.lists(st.text(), max_size=3).map(tuple)
ALL_FACTS = st.builds(
    Facts,
    record=st.text(), width=st.none() | st.integers(), height=st.none() | st.integers(),
    objects=st.lists(OBJECTS, max_size=4).map(tuple), searched=WORDS, uncertain=WORDS, captions=WORDS,
    expressions=st.lists(st.tuples(st.integers(), st.text()), max_size=3).map(tuple),
    modality=st.text(), gsd=st.none() | FLOATS,
)  # fmt: skip


@given(ALL_FACTS)
def test_facts_come_back_as_they_went(facts: Facts) -> None:
    text = intake.FACTS.dump_json(facts)
    assert intake.FACTS.validate_json(text) == facts
    assert intake.FACTS.dump_json(intake.FACTS.validate_json(text)) == text


def test_every_field_of_facts_and_objects_is_kept() -> None:
    """A new field of either record must be in the strategies above."""
    assert {f.name for f in fields(Facts)} == {
        "record", "width", "height", "objects", "searched", "uncertain", "captions", "expressions", "modality", "gsd",
    }  # fmt: skip
    assert {f.name for f in fields(Object)} == {
        "category", "bbox", "obb", "difficult", "ignore", "number", "iof",
    }  # fmt: skip
