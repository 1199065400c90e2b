"""Pushing by the real client to a Hub on this machine: whole or not at all, whatever fails, whenever it is killed."""

import json
import os
import random
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from huggingface_hub import HfApi, constants
from huggingface_hub.utils import _http as client_http

import hub_releases as releases
from rs_gpt4v_conversion.build import build
from rs_gpt4v_conversion.cli import main
from rs_gpt4v_conversion.config import load_config
from rs_gpt4v_conversion.errors import GateError
from rs_gpt4v_conversion.hub import access, validate
from rs_gpt4v_conversion.hub import push as pushing
from rs_gpt4v_conversion.hub.access import Hub, HubError
from rs_gpt4v_conversion.hub.plan import Plan, make_plan
from rs_gpt4v_conversion.hub.push import push
from rs_gpt4v_conversion.hub.text import plan_json, plan_text
from rs_gpt4v_conversion.hub.validate import Loaded, load_all
from rs_gpt4v_conversion.hub.verify import Verified, verify
from rs_gpt4v_conversion.release import ReleaseFolder
from rs_gpt4v_conversion.sample import SOURCES
from stub_hub import StubHub, stub_hub

ROOT = Path(__file__).resolve().parents[1]
REPO = "owner/rs-gpt4v"
TOKEN = "hf_writer"
# the client sends files by an argument that its HTTP library wants to be called otherwise
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=<...>':DeprecationWarning")


@pytest.fixture
def stub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StubHub]:
    """A Hub without Xet; the client in this process may reach it, and pauses are short."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(access, "FIRST", 0.002)
    quick = {**vars(time), "sleep": lambda seconds: time.sleep(seconds / 1000)}
    monkeypatch.setattr(client_http, "time", SimpleNamespace(**quick))
    with stub_hub(tmp_path / "hub") as hub:
        yield hub


@pytest.fixture
def one(tmp_path: Path) -> Path:
    return releases.write(tmp_path / "one", "1.0.0", releases.first())


@pytest.fixture
def two(tmp_path: Path) -> Path:
    return releases.write(tmp_path / "two", "1.1.0", releases.second())


def hub_of(stub: StubHub, repo: str = REPO, token: str | bool = TOKEN, **options: Any) -> Hub:
    return Hub(repo, HfApi(endpoint=stub.url, token=token), **options)


def planned(stub: StubHub, folder: Path, **options: Any) -> Plan:
    return make_plan(ReleaseFolder(folder), hub_of(stub), **options)


def pushed(stub: StubHub, folder: Path, *, hub: Hub | None = None, **options: Any) -> Verified:
    release, hub = ReleaseFolder(folder), hub or hub_of(stub)
    return push(release, hub, make_plan(release, hub, **options))


def large(files: dict[str, bytes]) -> int:
    return sum(len(data) for path, data in files.items() if path.endswith(".parquet"))


def whole(stub: StubHub, files: dict[str, bytes], revision: str) -> bool:
    """Whether a revision holds these files, by their content, a manifest, and the Hub's own file."""
    return stub.paths(REPO, revision) == {*files, "manifest.json", ".gitattributes"} and all(
        stub.read(REPO, path, revision) == data for path, data in files.items()
    )


# what a push does


def test_a_version_is_one_commit_and_a_tag_and_the_next_sends_only_what_is_new(
    stub: StubHub, one: Path, two: Path
) -> None:
    assert pushed(stub, one).problems == ()
    assert (stub.commits, stub.uploaded) == (1, large(releases.first()))
    assert whole(stub, releases.first(), "v1.0.0")
    before = stub.uploaded
    verified = pushed(stub, two)
    assert (verified.problems, verified.files, verified.revision) == ((), 9, "v1.1.0")
    new = {p: d for p, d in releases.second().items() if releases.first().get(p) != d}
    assert (stub.commits, stub.uploaded - before) == (2, large(new))
    assert whole(stub, releases.first(), "v1.0.0")
    assert whole(stub, releases.second(), "v1.1.0")
    assert stub.repositories[REPO].at("main") == stub.repositories[REPO].at("v1.1.0") == verified.commit


def test_a_version_that_is_there_is_neither_sent_nor_committed_again(stub: StubHub, one: Path, two: Path) -> None:
    pushed(stub, one)
    pushed(stub, two)
    sent = stub.uploaded
    for folder, version in ((one, "v1.0.0"), (two, "v1.1.0")):
        plan = planned(stub, folder)
        assert (plan.commit, plan.tagged, plan.new) == (stub.repositories[REPO].at(version), True, ())
        assert pushed(stub, folder).problems == ()
    assert (stub.commits, stub.uploaded) == (2, sent)


def test_a_release_of_many_files(stub: StubHub, tmp_path: Path) -> None:
    many = {releases.shard(n): releases.content(f"many {n}", 400) for n in range(130)} | {"README.md": b"---\n---\n"}
    assert pushed(stub, releases.write(tmp_path / "many", "1.0.0", many)).files == 132
    assert whole(stub, many, "v1.0.0")


def test_the_tag_and_who_may_see_the_repository_can_be_chosen(stub: StubHub, one: Path) -> None:
    pushed(stub, one, tag="first", private=True)
    assert stub.repositories[REPO].private
    assert list(stub.repositories[REPO].tags) == ["first"]
    pushed(stub, one)
    assert set(stub.repositories[REPO].tags) == {"first", "v1.0.0"}
    assert stub.commits == 1
    with pytest.raises(HubError, match="the Hub takes no token or not this one"):
        verify(hub_of(stub, token=False), "first")


def test_files_of_no_release_are_kept_but_not_where_they_would_be_loaded(stub: StubHub, one: Path, two: Path) -> None:
    pushed(stub, one)
    stub.add(REPO, {"LICENSE": b"mine", "data/vqa/alpha/train-00009-of-00010.parquet": b"not mine"})
    assert [p.path for p in verify(hub_of(stub), "main").problems] == ["data/vqa/alpha/train-00009-of-00010.parquet"]
    plan = planned(stub, two)
    assert [f.path for f in plan.kept] == ["LICENSE"]
    assert [f.path for f in plan.stale] == [releases.shard(3), "data/vqa/alpha/train-00009-of-00010.parquet"]
    assert pushed(stub, two).problems == ()
    assert stub.read(REPO, "LICENSE") == b"mine"


def test_progress_counts_every_byte_once_and_says_what_was_there(
    stub: StubHub, one: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[tuple[int, int, str]] = []
    monkeypatch.setattr(pushing.Progress, "close", lambda self: shown.append((self.done, self.total, self.note)))
    stub.fail("status", "/objects/", method="PUT", times=3)  # a file that is begun again is not counted again
    pushed(stub, one)
    size = sum(f.stat().st_size for f in one.rglob("*") if f.is_file())
    assert shown == [(size, size, "")]
    shown.clear()
    stub.repositories.clear()  # what was uploaded stays, as after a push that was killed before its commit
    stub.create(REPO)
    sent = stub.uploaded
    pushed(stub, one)
    there = large(releases.first())
    assert shown == [(size - there, size - there, f"{there:,} bytes were there already")]
    assert stub.uploaded == sent


# the dry run


def test_a_dry_run_says_what_would_happen_and_writes_nothing(stub: StubHub, one: Path, two: Path) -> None:
    text = [plan_text(planned(stub, one))]
    pushed(stub, one)
    stub.add(REPO, {"LICENSE": b"mine"})
    before = (stub.commits, dict(stub.repositories[REPO].branches), dict(stub.repositories[REPO].tags), stub.uploaded)
    stub.store((two / releases.shard(1)).read_bytes())
    stub.requests.clear()
    plan = planned(stub, two)
    text.append(plan_text(plan))
    asked = {(method, path.rsplit("/", 1)[-1]) for method, path in stub.requests if method not in ("GET", "HEAD")}
    assert asked == {("POST", "batch")}  # a question, which changes nothing
    repository = stub.repositories[REPO]
    assert before == (stub.commits, repository.branches, repository.tags, stub.uploaded)
    sent = stub.uploaded
    text.append(plan_text(planned(stub, one)))
    pushed(stub, two)
    said = plan_json(plan)
    assert (said["replaces"], said["version"]) == ("1.0.0", "1.1.0")
    small = sum(f["bytes"] for f in said["new"]["files"] if not f["path"].endswith(".parquet"))
    assert said["upload"] == stub.uploaded - sent + small
    golden = ROOT / "tests" / "golden" / "push.txt"
    assert "\n\n".join(text) + "\n" == golden.read_text()


def test_the_command_of_a_dry_run(
    stub: StubHub, one: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command(monkeypatch, stub)
    assert main(["push", str(one), REPO, "--dry-run"]) == 0
    out = capsys.readouterr()
    assert out.out == plan_text(planned(stub, one)) + "\n"
    assert "dry run: nothing was written" in out.err
    assert main(["push", str(one), REPO, "--dry-run", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["dry_run"], said["creates"], said["new"]["count"], said["commit"]) == (True, True, 9, None)
    assert stub.repositories == {}


def command(monkeypatch: pytest.MonkeyPatch, stub: StubHub, token: str | bool = TOKEN) -> None:
    """Let the command line reach the stub, and take any release for a good one."""
    monkeypatch.setattr(access, "HfApi", partial(HfApi, endpoint=stub.url, token=token))
    monkeypatch.setattr(validate, "validate", lambda _: Loaded(streamed=1, splits=1, mapped="all"))


# what is refused


REFUSED: dict[str, tuple[Callable[[StubHub, Path], Any], str]] = {
    "same version": (
        lambda stub, folder: rewritten(folder, "1.0.0"),
        "has the tag v1.0.0 already, with other files, and a version never changes; build with a higher version",
    ),
    "same version, another tag": (
        lambda stub, folder: (rewritten(folder, "1.0.0"), stub.repositories[REPO].tags.update(x="0" * 40)),
        "has the tag v1.0.0 already",
    ),
    "lower": (lambda stub, folder: rewritten(folder, "0.9.9"), "version 0.9.9 is lower than v1.0.0"),
    "lower than a tag": (
        lambda stub, folder: stub.repositories[REPO].tags.update({"v1.10.0": "0" * 40}),
        "version 1.1.0 is lower than v1.10.0; build with a version higher than v1.10.0",
    ),
    "the branch's version, which has no tag": (
        lambda stub, folder: (stub.repositories[REPO].tags.clear(), rewritten(folder, "1.0.0")),
        "version 1.0.0 is there already, with other files; build with a version higher than main (1.0.0)",
    ),
    "no version": (lambda stub, folder: rewritten(folder, "new"), "version is 'new', expected three numbers"),
    "another name": (
        lambda stub, folder: rewritten(folder, "1.1.0", name="other"),
        "is of 'other', expected 'rs-gpt4v'",
    ),
    "a repository of another name": (
        lambda stub, folder: stub.add(REPO, {"manifest.json": b'{"name": "other"}'}),
        "holds 'other', expected 'rs-gpt4v'; give another repository",
    ),
    "a repository of something else": (
        lambda stub, folder: stub.add(REPO, {"manifest.json": None, "weights.bin": b"x"}),
        "and no release, expected an empty repository or one of rs-gpt4v; give another name",
    ),
    "a broken manifest": (
        lambda stub, folder: stub.add(REPO, {"manifest.json": b"{"}),
        "its manifest.json is no manifest of a release",
    ),
    "a newer contract": (
        lambda stub, folder: rewritten(folder, "1.1.0", contract="0.0.9"),
        "was made with contract 0.1.0, this release with the older 0.0.9; update rs-gpt4v and build again",
    ),
}  # fmt: skip


def rewritten(folder: Path, version: str, **more: object) -> None:
    releases.write(folder, version, releases.second(), **more)


@pytest.mark.parametrize("case", REFUSED)
def test_what_may_not_be_pushed_is_refused_before_anything_is_sent(
    case: str, stub: StubHub, one: Path, two: Path
) -> None:
    pushed(stub, one)
    prepare, sentence = REFUSED[case]
    prepare(stub, two)
    sent, commits = stub.uploaded, len(stub.repositories[REPO].commits)
    with pytest.raises(HubError) as refused:
        planned(stub, two)
    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)
    assert (stub.uploaded, len(stub.repositories[REPO].commits)) == (sent, commits)


def test_a_public_repository_does_not_become_private(stub: StubHub, one: Path, two: Path) -> None:
    pushed(stub, one)
    with pytest.raises(HubError, match="is public; leave --private out, or make it private in its settings first"):
        planned(stub, two, private=True)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("rs-gpt4v", "expected owner/name"),
        ("a/b/c", "expected owner/name"),
        ("/x", "expected owner/name"),
        ("owner/rs_gpt4v", "use rs-gpt4v"),
        ("owner/two words", "owner/two words"),
    ],
)
def test_a_name_that_is_none_is_one_sentence(
    name: str, sentence: str, stub: StubHub, one: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    command(monkeypatch, stub)
    assert main(["push", str(one), name]) == 2
    said = capsys.readouterr().err
    assert sentence in said
    assert said.count("\n") == 1
    assert stub.commits == 0


# what goes wrong

STEPS = {
    "head": "/revision/main$", "create": "/api/repos/create", "tree": "/tree/", "refs": "/refs$",
    "manifest": "/resolve/", "batch": "/objects/batch$", "preupload": "/preupload/", "upload": r"^/objects/\w+$",
    "stored": r"/objects/\w+/verify$", "card": "/validate-yaml$", "commit": "/commit/", "tag": "/tag/",
}  # fmt: skip
PASSING: dict[str, dict[str, Any]] = {
    "429": {"kind": "status", "status": 429},
    "429 and when": {"kind": "status", "status": 429, "headers": {"Retry-After": "0"}},
    "500": {"kind": "status", "status": 500, "times": 2},
    "503": {"kind": "status", "status": 503},
    "cut": {"kind": "cut", "times": 2},
    "lost": {"kind": "lost"},
    "slow": {"kind": "slow", "wait": 0.15},
}


@pytest.mark.parametrize("fault", PASSING)
def test_a_fault_that_passes_costs_nothing_but_time(fault: str, stub: StubHub, one: Path, two: Path) -> None:
    """At every step of a first and of a second push, one step after the other."""
    pushed(stub, one)
    for number, (step, path) in enumerate(STEPS.items()):
        stub.repositories.pop(REPO) if step == "create" else None
        commits, folder = stub.commits, two
        files = releases.second() | {"README.md": f"---\n---\n{step}\n".encode(), releases.shard(0): step.encode()}
        releases.write(folder, f"1.{number + 1}.0", files)
        stub.fail(path=path, **PASSING[fault])
        assert pushed(stub, folder).problems == (), step
        assert stub.faults[-1].times <= 1, f"{step} was never asked"
        assert stub.commits == commits + 1, step
        assert whole(stub, files, f"v1.{number + 1}.0"), step
        stub.faults.clear()


def test_a_server_that_asks_for_a_pause_gets_it(stub: StubHub, one: Path) -> None:
    said: list[str] = []
    stub.fail("status", "/refs$", status=429, headers={"Retry-After": "1"})
    stub.create(REPO)
    begun = time.monotonic()
    assert pushed(stub, one, hub=hub_of(stub, say=said.append)).problems == ()
    assert time.monotonic() - begun >= 1
    assert said == [f"{stub.url}: status 429: as the test wants it; trying again in 1 s"]


@pytest.mark.parametrize("step", [s for s in STEPS if s not in ("manifest", "stored")])
@pytest.mark.parametrize("status", [401, 403, 500])
def test_a_fault_that_stays_is_one_sentence_and_the_next_run_completes(
    step: str, status: int, stub: StubHub, one: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    command(monkeypatch, stub)
    if step != "create":
        stub.create(REPO)
    stub.fail("status", STEPS[step], status=status, times=1000)
    assert main(["push", str(one), REPO]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("rs-gpt4v: ")
    expected = {401: "set HF_TOKEN, or run `hf auth login`", 403: "use one with write permission for owner",
                500: "run the same command again later"}  # fmt: skip
    assert expected[status] in said
    assert TOKEN not in said
    assert stub.commits == (1 if step == "tag" else 0)
    stub.faults.clear()
    assert main(["push", str(one), REPO]) == 0
    assert (stub.commits, list(stub.repositories[REPO].tags)) == (1, ["v1.0.0"])
    assert whole(stub, releases.first(), "v1.0.0")


@pytest.mark.parametrize(
    ("token", "sentence"),
    [(False, "no token or not this one"), ("hf_old", "no token or not this one"), ("hf_reader", "may not create it")],
)
def test_who_may_not_write_is_told_so(
    token: str | bool, sentence: str, stub: StubHub, one: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    stub.tokens["hf_reader"] = "read"
    command(monkeypatch, stub, token)
    assert main(["push", str(one), REPO]) == 2
    said = capsys.readouterr().err
    assert sentence in said
    assert "hf_" not in said
    assert stub.repositories == {}


def test_offline_is_one_sentence_at_once(
    stub: StubHub, one: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command(monkeypatch, stub)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(access, "FIRST", 3600.0)
    assert main(["push", str(one), REPO]) == 2
    said = capsys.readouterr().err
    assert "offline mode is enabled" in said
    assert said.count("\n") == 1


def test_a_server_without_git_lfs_is_not_asked_what_it_has(stub: StubHub, one: Path) -> None:
    stub.create(REPO)
    stub.fail("status", "/objects/batch$", status=404)
    plan = planned(stub, one)
    assert plan.there == frozenset()
    assert push(ReleaseFolder(one), hub_of(stub), plan).problems == ()


def test_somebody_else_pushes_meanwhile(stub: StubHub, one: Path, two: Path) -> None:
    pushed(stub, one)

    def meanwhile(_: str, path: str) -> None:
        if "/commit/" in path:
            stub.before = None
            stub.add(REPO, {"README.md": b"theirs"})

    stub.before = meanwhile
    with pytest.raises(
        HubError, match=r"somebody else changed the branch during this push .* run the same command again"
    ):
        pushed(stub, two)
    assert stub.read(REPO, "README.md") == b"theirs"
    assert stub.paths(REPO) == {*releases.first(), "manifest.json", ".gitattributes"}
    sent = stub.uploaded
    assert pushed(stub, two).problems == ()  # now on their commit, and without sending anything twice
    assert stub.uploaded == sent
    assert whole(stub, releases.second(), "v1.1.0")


def test_somebody_else_writes_the_same_files_and_more_meanwhile(stub: StubHub, one: Path) -> None:
    """The client then makes no commit, since nothing of ours is new, and gives theirs for ours: it gets no tag."""
    stub.create(REPO)
    plan = planned(stub, one)
    files = {path.relative_to(one).as_posix(): path.read_bytes() for path in one.rglob("*") if path.is_file()}
    stub.add(REPO, {**files, releases.shard(9): b"more"})
    verified = push(ReleaseFolder(one), hub_of(stub), plan)
    assert [p.path for p in verified.problems] == [releases.shard(9)]
    assert (stub.commits, stub.repositories[REPO].tags) == (0, {})


def test_somebody_else_takes_the_tag_meanwhile(stub: StubHub, one: Path) -> None:
    def meanwhile(_: str, path: str) -> None:
        if "/tag/" in path:
            stub.before = None
            repository = stub.repositories[REPO]
            repository.tags["v1.0.0"] = next(iter(repository.commits))

    stub.before = meanwhile
    with pytest.raises(HubError, match="status 409: Tag reference exists already"):
        pushed(stub, one)
    with pytest.raises(HubError, match=r"has the tag v1\.0\.0 already, with other files"):
        planned(stub, one)


def test_somebody_else_makes_the_repository_meanwhile(stub: StubHub, one: Path) -> None:
    plan = planned(stub, one)
    stub.create(REPO)
    assert push(ReleaseFolder(one), hub_of(stub), plan).problems == ()
    assert stub.commits == 1


def test_an_upload_that_arrives_with_another_content_is_found(
    stub: StubHub, one: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command(monkeypatch, stub)
    stub.fail("flip", r"^/objects/\w+$")
    assert main(["push", str(one), REPO, "--json"]) == 1
    out = capsys.readouterr()
    verified = json.loads(out.out)["verified"]
    assert (verified["ok"], len(verified["problems"])) == (False, 1)
    assert "1 file not as the manifest says" in out.err
    assert "the tag v1.0.0 was not made" in out.err
    assert (stub.commits, stub.repositories[REPO].tags) == (1, {})


def test_a_file_that_changes_during_the_push_is_not_published(stub: StubHub, one: Path) -> None:
    plan = planned(stub, one)
    shard = one / releases.shard(2)
    shard.write_bytes(shard.read_bytes()[:-1] + b"!")
    with pytest.raises(GateError, match="it changed during the push; nothing was published"):
        push(ReleaseFolder(one), hub_of(stub), plan)
    assert stub.commits == 0


def test_readers_of_the_branch_see_whole_versions_only(stub: StubHub, one: Path, two: Path) -> None:
    pushed(stub, one)
    for step in ("preupload", "upload", "commit", "tag"):
        stub.fail("slow", STEPS[step], wait=0.03, times=4)
    seen: list[frozenset[tuple[str, str]]] = []
    over = threading.Event()
    reader = hub_of(stub, token=False)

    def look() -> None:
        while not over.is_set():
            seen.append(frozenset((f.path, f.sha256 or f.blob) for f in reader.files("main").values()))

    thread = threading.Thread(target=look)
    thread.start()
    pushed(stub, two)
    over.set()
    thread.join()
    versions = [frozenset((f.path, f.sha256 or f.blob) for f in reader.files(v).values()) for v in ("v1.0.0", "v1.1.0")]
    assert set(seen) == set(versions)
    assert len(seen) > 4


# killed

PUSH = """
import sys
from pathlib import Path
from rs_gpt4v_conversion.hub.access import Hub
from rs_gpt4v_conversion.hub.plan import make_plan
from rs_gpt4v_conversion.hub.push import push
from rs_gpt4v_conversion.hub.verify import verify
from rs_gpt4v_conversion.release import ReleaseFolder
for folder in sys.argv[2:]:
    release, hub = ReleaseFolder(Path(folder)), Hub(sys.argv[1])
    found = push(release, hub, make_plan(release, hub))
    assert not found.problems, found
    assert not verify(hub, found.revision, content=True).problems
"""


def environment(stub: StubHub, home: Path, **more: str) -> dict[str, str]:
    paths = os.pathsep.join(str(ROOT / p) for p in (".", "builder", "conversion"))
    return {**os.environ, "PYTHONPATH": paths, "HF_ENDPOINT": stub.url, "HF_HUB_OFFLINE": "0", "HF_TOKEN": TOKEN,
            "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1", **more}  # fmt: skip


def kill_and_complete(stub: StubHub, folder: Path, home: Path, draw: random.Random) -> int:
    """Kill a push a moment after one of its requests; the next completes and sends nothing that has arrived.

    Gives the number of that request.
    """
    at, count, reached = draw.randrange(1, 24), 0, threading.Event()

    def counted(*_: str) -> None:
        nonlocal count
        count += 1
        if count >= at:
            reached.set()

    stub.before = counted
    process = subprocess.Popen([sys.executable, "-c", PUSH, REPO, str(folder)], env=environment(stub, home))
    while not reached.wait(0.05) and process.poll() is None:
        pass
    time.sleep(draw.uniform(0.0, 0.02))
    process.send_signal(signal.SIGKILL)
    process.wait()
    stub.before = None
    arrived = {path.name for path in (stub.folder / "objects").iterdir()}
    stub.requests.clear()
    assert pushed(stub, folder).problems == ()
    again = {path.rsplit("/", 1)[-1] for method, path in stub.requests if method == "PUT"}
    assert not arrived & again
    return at


def killed_often(stub: StubHub, tmp_path: Path, times: int) -> None:
    draw = random.Random(times)
    stub.fail("slow", "", wait=0.01, times=10**9)
    for number in range(times):
        files = releases.second() | {releases.shard(n): releases.content(f"{number} {n}", 9_000) for n in range(6)}
        version = f"1.{number}.0"
        at = kill_and_complete(stub, releases.write(tmp_path / version, version, files), tmp_path / "home", draw)
        assert whole(stub, files, f"v{version}"), at
        repository = stub.repositories[REPO]
        assert (len(repository.commits), stub.commits) == (number + 2, number + 1), at


def test_a_push_that_is_killed_completes_when_run_again(stub: StubHub, tmp_path: Path) -> None:
    killed_often(stub, tmp_path, 6)


@pytest.mark.long
def test_a_push_that_is_killed_at_forty_moments_completes_when_run_again(stub: StubHub, tmp_path: Path) -> None:
    killed_often(stub, tmp_path, 40)


@pytest.mark.parametrize("step", ["upload", "commit", "tag"])
def test_what_is_done_already_is_not_done_again(step: str, stub: StubHub, one: Path) -> None:
    """As if killed just before this step."""
    stub.create(REPO)
    stub.fail("status", STEPS[step], status=403, times=1000)
    with pytest.raises(HubError):
        pushed(stub, one)
    stub.faults.clear()
    stub.requests.clear()
    sent = stub.uploaded
    assert pushed(stub, one).problems == ()
    assert stub.uploaded - sent == (large(releases.first()) if step == "upload" else 0)
    assert any("/commit/" in path for _, path in stub.requests) == (step != "tag")


def test_the_commands_of_the_page(
    stub: StubHub, one: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (ROOT / "docs" / "publishing.md").read_text()
    lines = [
        line
        for block in re.findall(r"^```sh\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
        for line in block.splitlines()
    ]
    assert len(lines) >= 4
    one.rename(tmp_path / "rs-gpt4v")
    monkeypatch.chdir(tmp_path)
    command(monkeypatch, stub)
    for line in lines:
        words = shlex.split(line, comments=True)
        assert words[0] == "rs-gpt4v"
        assert main(words[1:]) == 0, (line, capsys.readouterr().err)
    assert list(stub.repositories["your-name/rs-gpt4v"].tags) == ["v1.0.0"]


# verify


def test_verify_finds_a_flipped_byte(stub: StubHub, one: Path) -> None:
    pushed(stub, one)
    assert verify(hub_of(stub), "v1.0.0").problems == ()
    shard = releases.first()[releases.shard(1)]
    stub.add(REPO, {releases.shard(1): bytes([shard[0] ^ 1]) + shard[1:], "rejects.jsonl": b'{"id": "b"}\n'})
    assert {p.path for p in verify(hub_of(stub), "main").problems} == {releases.shard(1), "rejects.jsonl"}
    assert verify(hub_of(stub), "v1.0.0").problems == ()
    repository = stub.repositories[REPO]
    stored = stub.object(repository.commits[repository.tags["v1.0.0"]][releases.shard(2)])
    stored.write_bytes(b"?" + stored.read_bytes()[1:])  # the server does not know
    assert verify(hub_of(stub), "v1.0.0").problems == ()
    assert [p.path for p in verify(hub_of(stub), "v1.0.0", content=True).problems] == [releases.shard(2)]


def test_verify_finds_what_is_missing_or_of_another_size(
    stub: StubHub, one: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command(monkeypatch, stub)
    pushed(stub, one)
    assert main(["verify", REPO, "--revision", "v1.0.0", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["ok"] is True
    stub.add(REPO, {releases.shard(0): None, "index.parquet": b"short"})
    assert main(["verify", REPO, "--json"]) == 1
    out = capsys.readouterr()
    assert json.loads(out.out)["problems"] == [
        {"path": releases.shard(0), "found": "no such file", "expected": "30,000 bytes"},
        {"path": "index.parquet", "found": "5 bytes", "expected": "2,000 bytes"},
    ]
    assert "2 files not as the manifest says" in out.err
    for arguments, sentence in (
        ([REPO, "--revision", "v9.9.9"], f"{REPO}: has no such branch or tag"),
        (["owner/none"], "owner/none: no such dataset repository"),
    ):
        assert main(["verify", *arguments]) == 2
        assert sentence in capsys.readouterr().err


# a release as it is built, and as its users load it

LOAD = """
import json
import sys
from datasets import get_dataset_config_names, load_dataset
found = {}
for version in sys.argv[2:]:
    for config in get_dataset_config_names(sys.argv[1], revision=version):
        streamed = load_dataset(sys.argv[1], config, revision=version, streaming=True)
        mapped = load_dataset(sys.argv[1], config, revision=version)
        for split in mapped:
            assert [r["id"] for r in streamed[split]] == mapped[split]["id"][:], (version, config, split)
        found[f"{version} {config}"] = sum(d.num_rows for d in mapped.values())
print(json.dumps(found))
"""


def built(sample: Path, folder: Path, version: str, *kinds: str) -> Path:
    lines = [f'version = "{version}"\ndate = "2026-01-01"']
    lines += [f'[[source]]\nkind = "{k}"\nroot = "{sample / SOURCES[k][0]}"' for k in kinds]
    sources = folder / f"{version}.toml"
    sources.write_text("\n".join(lines))
    build(load_config(sources), folder / version / "rs-gpt4v", workers=1, skip_missing=False)
    return folder / version / "rs-gpt4v"


@pytest.fixture(scope="module")
def real(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two versions, the second with a source more."""
    folder = tmp_path_factory.mktemp("versions")
    kinds = ("ucm_captions", "sydney_captions")
    return {"1.0.0": built(sample, folder, "1.0.0", *kinds[:1]), "1.1.0": built(sample, folder, "1.1.0", *kinds)}


def test_two_versions_are_pushed_by_command_and_loaded_by_tag(
    stub: StubHub, real: dict[str, Path], tmp_path: Path
) -> None:
    variables = environment(stub, tmp_path / "home")
    said = []

    def command(*words: str) -> dict[str, Any]:
        done = subprocess.run(
            [sys.executable, "-m", "rs_gpt4v_conversion", *words, "--json"],
            capture_output=True, text=True, env=variables, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        said.append(done.stdout + done.stderr)
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    first = command("push", str(real["1.0.0"]), REPO)
    assert (first["verified"]["ok"], first["unchanged"]["count"]) == (True, 0)
    sent = stub.uploaded
    modest = shutil.copytree(real["1.1.0"], tmp_path / "modest" / "rs-gpt4v")
    (modest / "manifest.json").write_text((modest / "manifest.json").read_text().replace('"1.1.0"', '"1.0.1"'))
    refused = subprocess.run(
        [sys.executable, "-m", "rs_gpt4v_conversion", "push", str(modest), REPO],
        capture_output=True, text=True, env=variables, check=False,
    )  # fmt: skip
    assert refused.returncode == 2, refused.stderr
    assert "version 1.0.1 after 1.0.0 says too little" in refused.stderr
    assert stub.uploaded == sent
    second = command("push", str(real["1.1.0"]), REPO)
    assert second["parent"] == first["commit"]
    kept = {p.relative_to(real["1.0.0"]).as_posix() for p in real["1.0.0"].glob("data/*/ucm_captions/*")}
    assert kept
    assert not kept & {f["path"] for f in second["new"]["files"]}
    assert stub.uploaded - sent < second["new"]["bytes"]
    assert command("verify", REPO, "--revision", "v1.1.0", "--content")["ok"] is True
    del variables["HF_TOKEN"]
    loaded = subprocess.run(
        [sys.executable, "-c", LOAD, REPO, "v1.0.0", "v1.1.0"],
        capture_output=True,
        text=True,
        env=variables,
        check=False,
    )
    assert loaded.returncode == 0, loaded.stderr
    rows = json.loads(loaded.stdout.splitlines()[-1])
    assert set(rows) == {f"v1.0.0 {c}" for c in ("all", "mini", "captioning", "ucm_captions")} | {
        f"v1.1.0 {c}" for c in ("all", "mini", "captioning", "ucm_captions", "sydney_captions")
    }
    assert rows["v1.1.0 all"] == rows["v1.0.0 all"] + rows["v1.1.0 sydney_captions"]
    # the token is in nothing that was said, and in no file: neither the client's nor the server's nor the release's
    assert TOKEN not in "".join(said)
    assert not [p for p in (*tmp_path.rglob("*"), *real["1.0.0"].rglob("*")) if p.is_file() and has_token(p)]


def has_token(path: Path) -> bool:
    return TOKEN.encode() in path.read_bytes()


def test_a_release_that_a_gate_fails_is_not_pushed(
    stub: StubHub, real: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(access, "HfApi", partial(HfApi, endpoint=stub.url, token=TOKEN))
    copy = copied(real["1.0.0"], tmp_path)
    (copy / "CHANGELOG.md").write_text("another\n")
    assert main(["push", str(copy), REPO]) == 1
    assert "is not fit to be published" in capsys.readouterr().err
    assert stub.repositories == {}


def copied(release: Path, folder: Path) -> Path:
    copy = folder / "rs-gpt4v"
    copy.mkdir()
    for path in release.rglob("*"):
        if path.is_file():
            (copy / path.relative_to(release)).parent.mkdir(parents=True, exist_ok=True)
            (copy / path.relative_to(release)).write_bytes(path.read_bytes())
    return copy


CARDS = {
    "a key twice": (
        "license: other",
        "license: other\nlicense: mit",
        "the card: ValueError: README.md: the key license",
    ),
    "YAML that does not parse": ("license: other", "license: [other", "ParserError: while parsing a flow sequence"),
    "no YAML": ("---\n", "", "the card: ValueError: README.md: begins with no YAML"),
    "no such files": (
        "path: mini/train-*.parquet",
        "path: none/train-*.parquet",
        "config mini, split train: ValueError: 0 of the first 2",
    ),
    "a split more": ("  - name: test\n", "  - name: testing\n", "has splits ['test', 'train'"),
}


@pytest.mark.parametrize("case", CARDS)
def test_a_card_that_does_not_work_is_found(case: str, real: dict[str, Path], tmp_path: Path) -> None:
    copy = copied(real["1.0.0"], tmp_path)
    card, (old, new, sentence) = (copy / "README.md").read_text(), CARDS[case]
    assert old in card
    (copy / "README.md").write_text(card.replace(old, new, 1))
    with pytest.raises(GateError) as failed:
        load_all(copy)
    assert sentence in str(failed.value)


def test_a_good_card_loads(real: dict[str, Path]) -> None:
    loaded = load_all(real["1.1.0"])
    assert (loaded.streamed, loaded.splits) == (5, 15)
    assert loaded.mapped in ("ucm_captions", "sydney_captions")


# Xet


def test_by_xet_a_version_costs_its_new_chunks(stub: StubHub, tmp_path: Path) -> None:
    """Into a store on this machine, which the released hf_xet can write to."""
    pytest.importorskip("hf_xet", reason="hf_xet is not installed")
    stub.xet = True
    files = releases.first() | {releases.shard(0): releases.content("a shard of many chunks", 3_000_000)}
    one = releases.write(tmp_path / "one", "1.0.0", files)
    appended = files | {releases.shard(0): files[releases.shard(0)] + releases.content("more", 100_000)}
    two = releases.write(tmp_path / "two", "1.1.0", appended)
    sizes = []
    for folder in (one, two):
        done = subprocess.run(
            [sys.executable, "-c", PUSH, REPO, str(folder)], capture_output=True, text=True, check=False,
            env=environment(stub, tmp_path / "home", HF_HUB_DISABLE_XET="0"),
        )  # fmt: skip
        if done.returncode and "local" in done.stderr and not stub.commits:
            pytest.skip(f"this hf_xet does not write to a local store: {done.stderr.splitlines()[-1]}")
        assert done.returncode == 0, done.stderr
        sizes.append(sum(p.stat().st_size for p in (stub.folder / "cas").rglob("xorbs/xorbs/**/*") if p.is_file()))
    assert stub.uploaded == 0  # nothing by the other way
    assert sizes[0] >= large(files)
    assert sizes[1] - sizes[0] < 400_000
    assert {"v1.0.0", "v1.1.0"} == set(stub.repositories[REPO].tags)
