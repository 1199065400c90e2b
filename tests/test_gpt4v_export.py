"""Export: which images are asked about, how request files are split, and what interruptions leave."""

import errno
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gpt4v_asking
from gpt4v_asking import Given, asking, draw, render
from rs_gpt4v_conversion.config import SourceSpec
from rs_gpt4v_conversion.errors import UsageError
from rs_gpt4v_conversion.gpt4v.asking import exporting
from rs_gpt4v_conversion.gpt4v.asking.exporting import Asking, Chosen, Exported, export, repeat
from rs_gpt4v_conversion.gpt4v.asking.parts import Limits, PartWriter
from rs_gpt4v_conversion.gpt4v.records import Request, Stage, Subject
from rs_gpt4v_conversion.gpt4v.workspace import Workspace, read_index

IMAGES = 30


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A source of thirty images; tests must not change it."""
    return draw(tmp_path_factory.mktemp("drawn") / "sea", IMAGES)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "requests")


def indexed(workspace: Workspace, stage: Stage = "local") -> list[Request]:
    return [r for part in workspace.parts() if part.stage == stage for r in read_index(part.index)]


def lines(workspace: Workspace, stage: Stage = "local") -> list[bytes]:
    return [x for p in workspace.parts() if p.stage == stage for x in p.path.read_bytes().splitlines(keepends=True)]


def content(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file() and p.name != exporting.LOCK}


def some_request(name: str, size: int) -> tuple[Request, bytes]:
    line = b"x" * (size - 1) + b"\n"
    request = Request(
        custom_id=f"local-{name}", record=f"s/train/{name}", stage="local", prompt="local/1", boxes="hbb", model="m",
        image_sha256="", width=1, height=1, round=1, bytes=size, tokens=1, answer_tokens=1,
    )  # fmt: skip
    return request, line


@settings(max_examples=50)
@given(
    sizes=st.lists(st.integers(1, 40), max_size=30),
    limits=st.builds(Limits, requests=st.integers(1, 9), bytes=st.integers(40, 120)),
)
def test_files_never_exceed_a_limit_and_hold_all_once_in_order(sizes: list[int], limits: Limits) -> None:
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace(Path(folder))
        files: list[Any] = []
        given = [some_request(f"{i:032x}", size) for i, size in enumerate(sizes)]
        with PartWriter(workspace, "local", limits, files.append) as writer:
            for request, line in given:
                assert writer.fits(line)
                writer.add(request, line)
        parts = workspace.parts()
        assert [w.part for w in files] == parts
        assert [p.number for p in parts] == list(range(1, len(parts) + 1))
        counts = []
        for part, written in zip(parts, files, strict=True):
            held = part.path.read_bytes().splitlines(keepends=True)
            assert 1 <= len(held) == written.requests <= limits.requests
            assert part.path.stat().st_size == written.bytes <= limits.bytes
            assert [r.bytes for r in read_index(part.index)] == [len(x) for x in held]
            counts.append((len(held), written.bytes, len(held[0])))
        for (count, size, _), (_, _, first) in pairwise(counts):
            assert count == limits.requests or size + first > limits.bytes  # no file is closed before it is full
        assert [r for p in parts for r in read_index(p.index)] == [r for r, _ in given]
        assert b"".join(p.path.read_bytes() for p in parts) == b"".join(line for _, line in given)


def test_requests_are_in_the_order_of_sources_and_records_whatever_the_processes(
    drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    land = draw(tmp_path / "land", 3)
    one, two = Workspace(tmp_path / "one"), Workspace(tmp_path / "two")
    done = export(one, "local", asking(land, drawn), limits=Limits(requests=10))
    monkeypatch.setattr(exporting, "A_WORKER", 1)
    export(two, "local", asking(land, drawn), limits=Limits(requests=10), workers=2)
    assert content(one.folder) == content(two.folder)
    records = [r.record for r in indexed(one)]
    assert records[:5] == ["land/train/0", "land/train/1", "land/test/2", "sea/train/3", "sea/train/4"]
    # pictures 0 to 2 of both sources are the same, and so are their questions
    assert done.left_out == {
        exporting.SAME: 3, "land: image without anything to tell": 1, "sea: image without anything to tell": 1,
    }  # fmt: skip
    assert done.examples[exporting.SAME] == "sea/train/0"
    assert (done.requests, [w.requests for w in done.files]) == (30, [10, 10, 10])
    assert done.bytes == sum(p.path.stat().st_size for p in one.parts()) == sum(len(x) for x in lines(one))
    assert [json.loads(x)["custom_id"] for x in lines(one)] == [r.custom_id for r in indexed(one)]
    assert {r.boxes for r in indexed(one) if int(r.record.rpartition("/")[2]) % 2} == {"obb"}
    assert {r.boxes for r in indexed(one) if not int(r.record.rpartition("/")[2]) % 2} == {"hbb"}


def test_what_was_exported_is_not_exported_again_and_new_images_go_into_new_files(
    drawn: Path, workspace: Workspace
) -> None:
    first = export(workspace, "local", asking(drawn), chosen=Chosen(limit=7), limits=Limits(requests=5))
    before = content(workspace.folder)
    again = export(workspace, "local", asking(drawn), chosen=Chosen(limit=7), limits=Limits(requests=5))
    assert (first.requests, again.requests, again.already, again.files) == (7, 0, 7, [])
    assert content(workspace.folder) == before
    rest = export(workspace, "local", asking(drawn))
    assert (rest.requests, rest.already, [w.part.number for w in rest.files]) == (IMAGES - 7, 7, [3])
    assert before.items() <= content(workspace.folder).items()
    assert len({r.custom_id for r in indexed(workspace)}) == IMAGES


def test_another_question_about_the_same_image_is_counted(drawn: Path, workspace: Workspace) -> None:
    export(workspace, "local", asking(drawn), chosen=Chosen(limit=7))
    other = export(workspace, "local", asking(drawn, model="another"), chosen=Chosen(limit=9))
    assert (other.requests, other.changed, other.already) == (9, 7, 0)


def test_limit_split_and_source_choose_the_same_images_in_all_stages(drawn: Path, tmp_path: Path) -> None:
    land = draw(tmp_path / "land", 5)
    local, detail = Workspace(tmp_path / "local"), Workspace(tmp_path / "detail")
    records = [f"sea/{'test' if i % 3 == 2 else 'train'}/{i}" for i in range(IMAGES)]
    answers = Given({(stage, r): {"of": r} for r in records for stage in ("local", "global")})
    chosen = Chosen(limit=6, split="train", source="sea")
    export(local, "local", asking(land, drawn), chosen=chosen)
    export(detail, "detail", asking(land, drawn, answers=answers), chosen=chosen)
    picked = [r.record for r in indexed(local)]
    assert picked == [r.record for r in indexed(detail, "detail")]
    assert len(picked) == 6
    assert all(r.startswith("sea/train/") for r in picked)
    fewer = Workspace(tmp_path / "fewer")
    export(fewer, "local", asking(land, drawn), chosen=replace(chosen, limit=3))
    assert {r.record for r in indexed(fewer)} < set(picked)
    with pytest.raises(UsageError, match=r"no image to ask about with source 'sky'; the sources .* are land, sea"):
        export(local, "local", asking(land, drawn), chosen=Chosen(source="sky"))


def test_sources_that_are_not_chosen_are_not_read(drawn: Path, tmp_path: Path, workspace: Workspace) -> None:
    read = []

    def noted(spec: SourceSpec, notes: Any) -> Iterator[Subject]:
        read.append(spec.name)
        yield from gpt4v_asking.subjects(spec, notes)

    both = replace(asking(draw(tmp_path / "land", 5), drawn), subjects=noted)
    export(workspace, "local", both, chosen=Chosen(source="sea"))
    assert set(read) == {"sea"}
    assert indexed(workspace)


def without_objects(spec: SourceSpec, notes: Any) -> Iterator[Subject]:
    """Every second image has no object."""
    for number, subject in enumerate(gpt4v_asking.subjects(spec, notes)):
        yield subject if number % 2 else replace(subject, facts=replace(subject.facts, objects=()))


def test_a_later_stage_asks_what_earlier_ones_found_and_counts_what_it_lacks(drawn: Path, workspace: Workspace) -> None:
    def some(**answers: Any) -> Asking:
        found = Given({(stage, "sea/train/1"): content for stage, content in answers.items()})  # type: ignore[misc]
        return replace(asking(drawn, answers=found), subjects=without_objects)

    lack = "no accepted answer of stage {}: export that stage, and import what a model answered"
    with pytest.raises(UsageError, match="detail has nothing to ask about 30 images; of 15 of them: no accepted"):
        export(workspace, "detail", some())
    assert workspace.parts() == []
    # an image without objects can be asked about as a whole at once
    done = export(workspace, "global", some(local={"objects": "grey"}))
    assert done.requests == IMAGES // 2 + 1
    assert done.left_out[lack.format("local")] == IMAGES // 2 - 1
    (one,) = [x for r, x in zip(indexed(workspace, "global"), lines(workspace, "global"), strict=True)
              if r.record == "sea/train/1"]  # fmt: skip
    assert b"local {'objects': 'grey'}, scene None" in one
    detail = export(workspace, "detail", some(local={"objects": "grey"}, **{"global": {"summary": "a bay"}}))
    assert detail.requests == 1
    assert detail.left_out[lack.format("local")] == IMAGES // 2 - 1
    assert detail.left_out[lack.format("global")] == IMAGES // 2
    assert b"local {'objects': 'grey'}, scene {'summary': 'a bay'}" in lines(workspace, "detail")[0]


def test_images_without_objects_are_not_asked_about_one_by_one(drawn: Path, workspace: Workspace) -> None:
    done = export(workspace, "local", replace(asking(drawn), subjects=without_objects))
    assert (done.requests, done.left_out[exporting.NO_OBJECT]) == (IMAGES // 2, IMAGES // 2)
    with pytest.raises(UsageError, match=r"local has nothing to ask .* stage global comes first"):
        export(workspace, "local", replace(asking(drawn), subjects=captioned))


def captioned(spec: SourceSpec, notes: Any) -> Iterator[Subject]:
    """No image has objects."""
    for subject in gpt4v_asking.subjects(spec, notes):
        yield replace(subject, facts=replace(subject.facts, objects=()))


def test_images_with_flaws_are_left_out_with_their_reason(tmp_path: Path, workspace: Workspace) -> None:
    folder = draw(tmp_path / "sea", 5)
    (folder / "1.jpg").write_bytes((folder / "1.jpg").read_bytes()[:-300])
    (folder / "2.jpg").write_bytes(b"")
    (folder / "3.jpg").write_bytes(b"no image at all")
    largest = max(len(x) for x in lines_of(folder, tmp_path))
    done = export(workspace, "local", asking(folder))
    assert dict(done.left_out) == {
        "image is truncated": 1, "image is empty": 1, "not an image": 1, "sea: image without anything to tell": 1,
    }  # fmt: skip
    assert done.examples["image is truncated"].startswith("sea/train/1 (image file is truncated")
    assert [r.record for r in indexed(workspace)] == ["sea/train/0", "sea/train/4"]
    small = Workspace(tmp_path / "small")
    done = export(small, "local", asking(folder), limits=Limits(bytes=largest - 1))
    assert done.left_out[exporting.TOO_LARGE] == 1
    assert len(lines(small)) == 1


def lines_of(folder: Path, tmp_path: Path) -> list[bytes]:
    workspace = Workspace(tmp_path / "whole")
    export(workspace, "local", asking(folder))
    return lines(workspace)


def test_a_reduced_image_is_asked_about_with_boxes_as_annotated(tmp_path: Path, workspace: Workspace) -> None:
    folder = draw(tmp_path / "sea", 2)

    def reduced(spec: SourceSpec, notes: Any) -> Iterator[Subject]:
        for subject in gpt4v_asking.subjects(spec, notes):
            yield replace(subject, image=replace(subject.image, max_side=24))

    export(workspace, "local", replace(asking(folder), subjects=reduced))
    first, second = indexed(workspace)
    assert (first.width, first.height, first.scale) == (24, 24, 0.5)
    assert second.boxes == "obb"
    assert b"(4.0, 12.0, 12.0, 4.0, 20.0, 12.0, 12.0, 20.0) of 48 in 24x24" in lines(workspace)[1]


def test_two_exports_at_once_are_refused(drawn: Path, workspace: Workspace) -> None:
    with exporting.opened(workspace), pytest.raises(UsageError, match="another export is at work"):
        export(workspace, "local", asking(drawn))
    export(workspace, "local", asking(drawn))  # and the lock is let go


def test_a_file_in_the_place_of_the_folder_is_refused(drawn: Path, tmp_path: Path) -> None:
    (tmp_path / "requests").write_text("")
    with pytest.raises(UsageError, match="is a file, expected a folder"):
        export(Workspace(tmp_path / "requests"), "local", asking(drawn))


def test_an_unfinished_part_is_made_anew_and_a_submitted_one_is_not(drawn: Path, workspace: Workspace) -> None:
    export(workspace, "local", asking(drawn), limits=Limits(requests=10))
    before = content(workspace.folder)
    last = workspace.part("local", 3)
    last.path.unlink()  # its index got its name, and then the process died
    (workspace.folder / "local-00003.jsonl.4711.tmp").write_bytes(b"half")
    export(workspace, "local", asking(drawn), limits=Limits(requests=10))
    assert content(workspace.folder) == before
    last.index.unlink()
    export(workspace, "local", asking(drawn), limits=Limits(requests=10))
    assert content(workspace.folder) == before
    last.index.unlink()
    last.batch.write_text("{}")  # answers to it may come yet
    export(workspace, "local", asking(drawn), limits=Limits(requests=10))
    assert [p.number for p in workspace.parts()] == [1, 2, 4]


@pytest.mark.parametrize("room", [0, 4, 5, 6])  # waits for the disk that end well: there are four a part
def test_a_full_disk_is_said_and_leaves_whole_files_only(
    drawn: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    export(Workspace(workspace.folder.parent / "whole"), "local", asking(drawn), limits=Limits(requests=10))
    fsync, synced = os.fsync, 0

    def full(handle: int) -> None:
        nonlocal synced
        synced += 1
        if synced > room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(handle)

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(UsageError, match="the disk is full; nothing is lost"):
            export(workspace, "local", asking(drawn), limits=Limits(requests=10))
    assert len(workspace.parts()) == room // 4
    assert not any(name.endswith(".tmp") for name in content(workspace.folder))
    export(workspace, "local", asking(drawn), limits=Limits(requests=10))
    assert content(workspace.folder) == content(workspace.folder.parent / "whole")


EXPORT = """
import sys
from pathlib import Path
from gpt4v_asking import asking
from rs_gpt4v_conversion.gpt4v.asking import exporting
from rs_gpt4v_conversion.gpt4v.asking.exporting import export
from rs_gpt4v_conversion.gpt4v.asking.parts import Limits
from rs_gpt4v_conversion.gpt4v.workspace import Workspace

if __name__ == "__main__":
    exporting.A_WORKER = 1
    print("begun", flush=True)
    export(Workspace(Path(sys.argv[1])), "local", asking(Path(sys.argv[2])), limits=Limits(requests=3),
           workers=int(sys.argv[3]))
"""


@pytest.mark.parametrize("workers", [1, 2])
def test_killed_at_random_moments_it_ends_with_the_same_bytes(drawn: Path, tmp_path: Path, workers: int) -> None:
    whole, killed = Workspace(tmp_path / "whole"), Workspace(tmp_path / "killed")
    export(whole, "local", asking(drawn), limits=Limits(requests=3))
    program = tmp_path / "program.py"
    program.write_text(EXPORT)
    environment = os.environ | {"PYTHONPATH": ":".join(sys.path)}
    command = [sys.executable, str(program), str(killed.folder), str(drawn), str(workers)]
    moments, kills = random.Random(0), 0
    _, span = run_until(command, environment, None)
    shutil.rmtree(killed.folder)
    while kills < 5 - workers:
        kills += run_until(command, environment, moments.uniform(0, span))[0]
        for part in killed.parts():
            assert part.path.read_bytes() == whole.part("local", part.number).path.read_bytes()
        if len(killed.parts()) == len(whole.parts()):  # it was quicker than we: once more from the beginning
            shutil.rmtree(killed.folder)
    run_until(command, environment, None)
    assert content(killed.folder) == content(whole.folder)


def run_until(command: list[str], environment: dict[str, str], seconds: float | None) -> tuple[bool, float]:
    """Start an export and kill it so many seconds after it began; whether it was still at work, and seconds it had."""
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout is not None
    process.stdout.readline()  # it has imported all and begins
    begun = time.monotonic()
    if seconds is not None:
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)
    process.stdout.close()
    status = process.wait()
    assert status in (0, -signal.SIGKILL)
    return status != 0, time.monotonic() - begun


class Books:
    """A ledger: what became of requests, as a test says."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.failed: dict[str, str] = {}  # id: reason of its last answer
        self.answered: dict[str, int] = {}  # id: answers that came

    def fail(self, reason: str, *names: str) -> None:
        for name in names:
            self.failed[name] = reason
            self.answered[name] = self.answered.get(name, 0) + 1

    def pending(self, stage: Stage | None = None, reason: str | None = None) -> Iterator[str]:
        for name in dict.fromkeys(r.custom_id for r in indexed(self.workspace, stage or "local")):
            found = self.failed.get(name, "unanswered")
            if found != "ok" and reason in (None, found):
                yield name

    def replies(self, stage: Stage) -> dict[str, int]:
        return self.answered


def test_the_next_round_repeats_the_very_lines_that_failed(drawn: Path, workspace: Workspace) -> None:
    export(workspace, "local", asking(drawn), limits=Limits(requests=10))
    ids, held = [r.custom_id for r in indexed(workspace)], lines(workspace)
    books = Books(workspace)
    books.fail("ok", *ids[:20])
    books.fail("schema_error", *ids[20:25])
    books.fail("refused", *ids[25:28], *ids[25:28])  # one batch may bring a line twice

    def again(reason: str | None = None, **more: Any) -> Exported:
        return repeat(workspace, "local", books, rounds=3, reason=reason, **more)

    second = again("schema_error", limits=Limits(requests=3))
    assert [w.part.number for w in second.files] == [4, 5]
    assert [(r.custom_id, r.round) for r in indexed(workspace)[30:]] == [(i, 2) for i in ids[20:25]]
    assert lines(workspace)[30:] == held[20:25]
    rest = again()  # what is under way is not asked a second time
    assert [r.custom_id for r in indexed(workspace)[35:]] == ids[25:28]
    assert rest.left_out == {exporting.WAITING: 7}
    assert again().requests == 0

    books.fail("schema_error", *ids[20:25])
    assert again("schema_error", chosen=Chosen(limit=2)).requests == 2
    assert again("schema_error").requests == 3
    books.fail("schema_error", *ids[20:25])
    over = again("schema_error")
    assert (over.requests, dict(over.left_out)) == (0, {exporting.ROUNDS_OVER: 5})
    assert over.examples[exporting.ROUNDS_OVER] == f"{indexed(workspace)[20].record} (3 times)"


def test_requests_that_nobody_answered_are_repeated_on_demand(drawn: Path, workspace: Workspace) -> None:
    export(workspace, "local", asking(drawn), chosen=Chosen(limit=6), limits=Limits(requests=3))
    books = Books(workspace)
    assert repeat(workspace, "local", books, rounds=3).left_out == {exporting.WAITING: 6}
    whole = Workspace(workspace.folder.parent / "whole")
    export(whole, "local", asking(drawn), chosen=Chosen(limit=6), limits=Limits(requests=3))
    repeat(whole, "local", Books(whole), rounds=3, reason="unanswered", limits=Limits(requests=2))
    repeat(workspace, "local", books, rounds=3, reason="unanswered", limits=Limits(requests=2))
    for part in workspace.parts()[3:]:  # as if it had been killed after its first file
        part.path.unlink()
    repeat(workspace, "local", books, rounds=3, reason="unanswered", limits=Limits(requests=2))
    assert content(workspace.folder) == content(whole.folder)


def test_a_round_whose_earlier_file_was_changed_is_refused(drawn: Path, workspace: Workspace) -> None:
    export(workspace, "local", asking(drawn), chosen=Chosen(limit=3))
    books = Books(workspace)
    books.fail("refused", *(r.custom_id for r in indexed(workspace)))
    path = workspace.part("local", 1).path
    path.write_bytes(path.read_bytes().replace(b"custom_id", b"custom_ib", 1))
    with pytest.raises(UsageError, match=r"local-00001\.jsonl: does not hold request local-.* where its index says"):
        repeat(workspace, "local", books, rounds=3)


def test_no_key_gets_into_a_request_file(drawn: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-environment")
    with pytest.raises(UsageError, match=r"parameters\.extra_headers"):
        export(workspace, "local", asking(drawn, parameters={"extra_headers": {"X-Key": "sk-of-the-environment"}}))
    assert not workspace.folder.exists()
    export(workspace, "local", asking(drawn, parameters={"temperature": 0.1}), chosen=Chosen(limit=5))
    assert not any(b"sk-of-the-environment" in held for held in content(workspace.folder).values())


def test_memory_does_not_hold_requests(drawn: Path, workspace: Workspace) -> None:
    """What is made is written before more than a few bundles are made."""
    made = 0

    def counted(*args: Any, **words: Any) -> Any:
        nonlocal made
        made += 1
        return render(*args, **words)

    behind: list[int] = []
    add = PartWriter.add

    class Watched(PartWriter):
        def add(self, request: Request, line: bytes) -> None:
            behind.append(made)
            add(self, request, line)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(exporting, "PartWriter", Watched)
        export(workspace, "local", replace(asking(drawn), render=counted))
    assert behind == list(range(1, IMAGES + 1))


def test_asking_without_answers_knows_none() -> None:
    some: Asking = asking()
    assert some.earlier("local", "s/train/1") is None
