"""The whole stage, command by command: a stub in a process of its own, six stages, live and in batches, a release."""

import json
import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from PIL import Image, ImageDraw

from rs_gpt4v_conversion.cli import main
from rs_gpt4v_conversion.gpt4v.answers.replies import read_reply, unfenced
from rs_gpt4v_conversion.gpt4v.prompts import PROMPTS
from rs_gpt4v_conversion.gpt4v.records import STAGES, TASKS, Stage
from rs_gpt4v_conversion.gpt4v.workspace import Workspace, read_index
from shared import shared
from stub_process import serving_stub

pytest.importorskip("openai")

KINDS = ("rsicd", "hit_uav", "dior")
LIVE: tuple[Stage, ...] = ("local", "detail", "planning")
"""Stages that are asked live; the others go in batches."""

MODEL = "gpt-4o-2024-11-20-stub"
"""As the stub returns it."""

AT_ONCE = ("--batch-seconds", "0")

FAULTS = {
    "refuse": 0.06, "refuse_text": 0.05, "content_filter": 0.05, "truncated": 0.06, "bad_json": 0.05, "fenced": 0.05,
    "schema_error": 0.06, "inconsistent": 0.1, "http_error": 0.04, "rate_limit": 0.06, "server_error": 0.06,
    "cut": 0.04, "expired": 0.05, "duplicate": 0.05,
}  # fmt: skip


class Desk:
    """A SOURCES.toml with its requests, a server, and the commands."""

    def __init__(self, sources: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.sources, self.capsys = sources, capsys
        self.workspace = Workspace(sources.parent / "requests")

    def __call__(self, command: str, *arguments: str | Path, codes: tuple[int, ...] = (0,)) -> str:
        words = ("gpt4v", command) if command not in ("build", "check") else (command,)
        first = () if command == "check" else (str(self.sources),)
        assert main([*words, *first, *map(str, arguments)]) in codes, self.capsys.readouterr().err
        return self.capsys.readouterr().out

    def told(self, command: str, *arguments: str | Path) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self(command, *arguments, "--json"))
        return told

    def ask(self, stage: Stage, url: str) -> None:
        server = ("--stage", stage, "--base-url", url)
        if stage in LIVE:
            self("run", *server, "--concurrency", "4", codes=(0, 1))  # 1: some were given up, and stay pending
            return
        self("submit", *server)
        self("poll", *server, "--wait", "--interval", "0.05")
        self("fetch", *server)

    def pending(self, stage: Stage) -> dict[str, int]:
        found: dict[str, int] = self.told("status")["stages"][stage]["pending"]
        return found

    def all_stages(self, url: str) -> dict[Stage, list[dict[str, int]]]:
        """Ask all stages until nothing is pending; returns what was pending after each round."""
        rounds: dict[Stage, list[dict[str, int]]] = {}
        for stage in STAGES:
            self("export", "--stage", stage)
            for number in range(1, 4):
                self.ask(stage, url)
                rounds.setdefault(stage, []).append(self.pending(stage))
                if not rounds[stage][-1]:
                    break
                again = self.told("export", "--stage", stage, "--pending")
                assert (again["requests"] > 0) == (number < 3)
        return rounds

    def built(self) -> Path:
        out = self.sources.parent / "rs-gpt4v"
        self("build", out, "--missing-images", "skip", "--workers", "1")
        self("check", out)
        return out

    def asked(self, stage: Stage) -> set[str]:
        """The records that a stage asked about."""
        parts = [part for part in self.workspace.parts() if part.stage == stage]
        return {request.record for part in parts for request in read_index(part.index)}


def rows(release: Path, task: str) -> list[dict[str, Any]]:
    columns = ["id", "source", "conversations", "pairs", "objects"]
    paths = sorted((release / "data" / task).glob("*/*.parquet"))
    return [row for path in paths for row in pq.read_table(path, columns=columns).to_pylist()]


def record(row: dict[str, Any]) -> str:
    source, split, _, name = row["id"].split("/", 3)
    return f"{source}/{split}/{name}"


def texts(row: dict[str, Any]) -> list[str]:
    return [turn["value"].removeprefix("<image>\n") for turn in row["conversations"]]


def contents(workspace: Workspace) -> dict[tuple[str, str], list[dict[str, Any]]]:
    """What the server answered, by stage and record, read from the files alone."""
    requests = {r.custom_id: r for part in workspace.parts() for r in read_index(part.index)}
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for path in sorted(workspace.answers.glob("*.jsonl")):
        for line in path.read_bytes().splitlines():
            reply = read_reply(line)
            request = requests[reply.custom_id]
            try:
                found.setdefault((request.stage, request.record), []).append(json.loads(unfenced(reply.text)))
            except ValueError:
                continue  # of a fault
    return found


def proved(desk: Desk, release: Path, sources: Sequence[str]) -> None:
    """Rows say who wrote them by which prompt, are unreviewed, and hold what the server's lines hold."""
    answered = contents(desk.workspace)
    names = {PROMPTS[stage].name: stage for stage in STAGES}
    for task in ("detailed_description", "conversation", "task_planning"):
        made = rows(release, task)
        stages = [stage for stage, (of, _) in TASKS.items() if of == task]
        assert {record(row) for row in made} == set.union(*map(desk.asked, stages))
        assert {row["source"] for row in made} == set(sources)
        for row in made:
            assert {pair["generator"] for pair in row["pairs"]} == {MODEL}
            assert {pair["review"] for pair in row["pairs"]} == {"unreviewed"}
            assert {names[pair["template"]] for pair in row["pairs"]} == set(stages)
            assert all(TASKS[names[pair["template"]]] == (task, pair["category"]) for pair in row["pairs"])
            assert all(0 <= i < len(row["objects"]) for pair in row["pairs"] for i in pair["objects"])
            said = texts(row)
            for stage in stages:
                assert any(holds(stage, content, said) for content in answered[stage, record(row)]), (stage, row["id"])
    spoken_of = {row["source"] for row in rows(release, "conversation") for p in row["pairs"] if p["objects"]}
    assert spoken_of == set(sources) - {"rsicd"}, "all sources but the one that marks no object"


def holds(stage: Stage, content: dict[str, Any], said: list[str]) -> bool:
    if stage == "detail":
        return said[1] == content.get("description")
    if stage == "planning":
        steps = content.get("steps", [])
        return (
            bool(steps) and content["goal"] in said[0] and all(step["action"].rstrip(".") in said[1] for step in steps)
        )
    pairs = content.get("turns" if stage == "conversation" else "items", [])
    words = [text for pair in pairs for text in (pair.get("question"), pair.get("answer"))]
    return bool(words) and any(said[k : k + len(words)] == words for k in range(len(said)))


def answered_at_once(desk: Desk) -> Path:
    with serving_stub(*AT_ONCE) as url:
        rounds = desk.all_stages(url)
    assert rounds == {stage: [{}] for stage in STAGES}
    status = desk.told("status")["stages"]
    assert {stage: status[stage]["requests"] for stage in STAGES} == {s: len(desk.asked(s)) for s in STAGES}
    assert desk.asked("local") < desk.asked("global") == desk.asked("planning")
    assert desk.told("cost")["pending"] == []
    return desk.built()


@pytest.fixture
def drawn(small: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> Desk:
    path = small(*KINDS)
    path.write_text(path.read_text() + "[gpt4v]\n")
    return Desk(path, capsys)


def test_six_stages_on_the_drawn_sample(drawn: Desk) -> None:
    proved(drawn, answered_at_once(drawn), KINDS)


@pytest.mark.long
def test_three_rounds_answer_everything_whatever_goes_wrong(drawn: Desk) -> None:
    shares = [word for name, share in FAULTS.items() for word in ("--fault", f"{name}:{share}")]
    with serving_stub(*AT_ONCE, "--fault-attempts", "2", "--seed", "3", *shares) as url:
        rounds = drawn.all_stages(url)
    assert all(pending[-1] == {} for pending in rounds.values()), rounds
    assert max(map(len, rounds.values())) == 3, "the last round was needed"
    reasons = Counter(reason for pending in rounds.values() for counts in pending for reason in counts)
    assert {"refused", "truncated", "schema_error"} <= set(reasons)
    # what a check holds against an answer is asked again, too
    assert {"count_mismatch", "contradiction", "unknown_number", "presence_mismatch", "box_mismatch"} & set(reasons)
    proved(drawn, drawn.built(), KINDS)


# real data


def draw(folder: Path, annotation: Path) -> None:
    """An image of DIOR, of which only annotations are at hand: its boxes, filled."""
    boxes = re.findall(
        r"<xmin>(\d+)</xmin>\s*<ymin>(\d+)</ymin>\s*<xmax>(\d+)</xmax>\s*<ymax>(\d+)", annotation.read_text()
    )
    number = int(annotation.stem)
    image = Image.new("RGB", (800, 800), (60 + number % 100, 120, 60))
    for box in boxes:
        x1, y1, x2, y2 = map(int, box)
        ImageDraw.Draw(image).rectangle((x1, y1, max(x1, x2), max(y1, y2)), fill=(200, 200, number % 255))
    part = folder / ("JPEGImages-trainval" if number <= 11725 else "JPEGImages-test")
    part.mkdir(exist_ok=True)
    image.save(part / f"{annotation.stem}.jpg", quality=85)


def real_rsicd(folder: Path, most: int | None) -> None:
    source = shared("realdata", "rsicd")
    images = sorted(path.name for path in (source / "RSICD_images").iterdir())[:most]
    (folder / "RSICD_images").mkdir(parents=True)
    for name in images:
        (folder / "RSICD_images" / name).symlink_to(source / "RSICD_images" / name)
    content = json.loads((source / "dataset_rsicd.json").read_text())
    if most is not None:  # to look through 10,921 lines for each command is for the long test
        content["images"] = [image for image in content["images"] if image["filename"] in images]
    (folder / "dataset_rsicd.json").write_text(json.dumps(content))


def real_dior(folder: Path, most: int | None) -> None:
    source = shared("realdata", "dior")
    folder.mkdir()
    (folder / "ImageSets").symlink_to(source / "ImageSets")
    for form in ("Horizontal Bounding Boxes", "Oriented Bounding Boxes"):
        (folder / "Annotations" / form).mkdir(parents=True)
        for path in sorted((source / "Annotations" / form).iterdir())[:most]:
            (folder / "Annotations" / form / path.name).symlink_to(path)
            if form.startswith("Horizontal"):
                draw(folder, path)


def real(folder: Path, most: int | None) -> Path:
    """A SOURCES.toml over real files: of RSICD and HIT-UAV the images that are at hand, of DIOR drawn ones."""
    real_rsicd(folder / "rsicd", most)
    real_dior(folder / "dior", most)
    roots = {"rsicd": "rsicd", "hit_uav": str(shared("realdata", "hit_uav")), "dior": "dior"}
    tables = [f'[[source]]\nkind = "{kind}"\nroot = "{root}"\n' for kind, root in roots.items()]
    path = folder / "sources.toml"
    path.write_text('version = "1.0.0"\ndate = "2026-01-01"\n' + "".join(tables) + "[gpt4v]\n")
    return path


def test_six_stages_on_real_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    desk = Desk(real(tmp_path, 6), capsys)
    proved(desk, answered_at_once(desk), KINDS)
    assert Counter(name.split("/")[0] for name in desk.asked("global")) == {"rsicd": 6, "hit_uav": 3, "dior": 6}


@pytest.mark.long
def test_six_stages_on_all_real_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    desk = Desk(real(tmp_path, None), capsys)
    proved(desk, answered_at_once(desk), KINDS)
    assert Counter(name.split("/")[0] for name in desk.asked("global")) == {"rsicd": 40, "hit_uav": 3, "dior": 64}


def test_real_answers_of_other_programs_become_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [
        shared("realdata", "openai_batch", name)
        for name in ("lookalike_glm4v_output.jsonl", "gpt4v_chat_completion_2023_11.json")
    ]
    desk = Desk(real(tmp_path, 6), capsys)
    desk("export", "--stage", "global", "--source", "rsicd")  # to learn the names of the records
    records = sorted(desk.asked("global"))
    lines = ["file,line,id,record,stage,form,prompt"]
    lines += [f"{files[0].name},,image_00{k},{records[k - 1]},detail,text,describe-1" for k in range(1, 6)]
    lines += [f"{files[1].name},1,,{records[5]},detail,text,"]
    (tmp_path / "theirs.csv").write_text("\n".join(lines))
    said = desk.told("import", *files, "--map", tmp_path / "theirs.csv")
    assert (said["foreign"], said["classes"]["unknown_id"]) == ({"detail": 5}, 1)
    assert said["held"] == {"language": 1}, "one of them is in Japanese"
    release = desk.built()
    made = rows(release, "detailed_description")
    assert sorted(map(record, made)) == records[:5]
    written = {(pair["template"], pair["generator"], pair["review"]) for row in made for pair in row["pairs"]}
    assert written == {("foreign/describe-1", "glm-4v-plus-0111", "unreviewed")}
    rejects = [json.loads(line) for line in (release / "rejects.jsonl").read_text().splitlines()]
    assert [r["reason"] for r in rejects if r["stage"] == "gpt4v"] == ["language"]
