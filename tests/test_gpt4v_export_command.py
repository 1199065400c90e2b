"""`rs-gpt4v gpt4v export` and `cost`, as a person and a program use them, on the drawn sample and on real records."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gpt4v_lines import CONTENTS, answer
from rs_gpt4v_conversion.cli import main
from rs_gpt4v_conversion.gpt4v.records import Request, Stage
from rs_gpt4v_conversion.gpt4v.workspace import Workspace, read_index
from shared import shared


def requests_of(folder: Path, stage: Stage) -> list[Request]:
    return [r for p in Workspace(folder).parts() if p.stage == stage for r in read_index(p.index)]


def reply(folder: Path, stage: Stage, content: Any, *, number: int = 1, first: int = 0) -> list[Request]:
    """Answer all requests of a stage but the first few."""
    answered = requests_of(folder, stage)[first:]
    (folder / "answers").mkdir(exist_ok=True)
    lines = "".join(json.dumps(answer(r.custom_id, content)) + "\n" for r in answered)
    (folder / "answers" / f"{number:06d}-{stage}.output.jsonl").write_text(lines)
    return answered


@pytest.fixture
def dior(small: Callable[..., Path]) -> Path:
    return small("dior")


def test_the_stages_follow_one_another(dior: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "requests"
    assert main(["gpt4v", "export", str(dior), "--stage", "global"]) == 2
    said = capsys.readouterr().err
    assert "Traceback" not in said
    assert "no accepted answer of stage local: export that stage, and import what a model answered" in said

    assert main(["gpt4v", "export", str(dior), str(folder), "--stage", "local", "--workers", "1"]) == 0
    out, err = capsys.readouterr()
    assert out == f"{folder / 'local-00001.jsonl'}\n"
    asked = requests_of(folder, "local")
    assert f"wrote 1 file: {len(asked)} requests, " in err
    assert all(r.prompt.startswith("gpt4v-local/") and r.tokens > 500 for r in asked)

    reply(folder, "local", CONTENTS["local"], first=1)
    assert main(["gpt4v", "export", str(dior), str(folder), "--stage", "global", "--json"]) == 0
    said_json = json.loads(capsys.readouterr().out)
    lacking = next(x for x in said_json["left_out"] if "no accepted answer of stage local" in x["reason"])
    assert lacking["example"] == asked[0].record
    assert said_json["requests"] == len(requests_of(folder, "global"))
    assert [f["path"] for f in said_json["files"]] == [str(folder / "global-00001.jsonl")]

    reply(folder, "global", CONTENTS["global"], number=2)
    for stage in ("detail", "conversation", "reasoning", "planning"):
        assert main(["gpt4v", "export", str(dior), str(folder), "--stage", stage, "--limit", "3"]) == 0
        assert len(requests_of(folder, stage)) <= 3  # type: ignore[arg-type]


def test_what_failed_is_repeated_and_what_is_under_way_is_not(
    dior: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "requests"
    command = ["gpt4v", "export", str(dior), str(folder), "--stage", "local"]
    assert main(command) == 0
    asked = requests_of(folder, "local")
    failed = reply(folder, "local", {"objects": "none of the form"}, first=len(asked) - 3)
    capsys.readouterr()
    assert main([*command, "--pending", "--reason", "schema_error"]) == 0
    assert capsys.readouterr().out == f"{folder / 'local-00002.jsonl'}\n"
    again = requests_of(folder, "local")[len(asked) :]
    assert [(r.custom_id, r.round, r.replies) for r in again] == [(r.custom_id, 2, 1) for r in failed]
    assert main([*command, "--pending"]) == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert f"left out  {len(asked)}: no answer to its last export yet, for example {asked[0].record}" in err
    assert "nothing to repeat in stage local" in err
    assert main(command) == 0
    assert f"exported before: {len(asked)} requests" in capsys.readouterr().err


def test_cost_estimates_what_is_pending_and_adds_up_what_came(
    dior: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "requests"
    assert main(["gpt4v", "cost", str(dior), str(folder)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "requests without an accepted answer (estimated): none", "answers (as vendors counted): none",
    ]  # fmt: skip
    main(["gpt4v", "export", str(dior), str(folder), "--stage", "local"])
    asked = requests_of(folder, "local")
    reply(folder, "local", CONTENTS["local"], first=2)
    capsys.readouterr()
    assert main(["gpt4v", "cost", str(dior), str(folder), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    (pending,), (answered,) = said["pending"], said["answered"]
    assert (pending["count"], pending["tokens"]) == (2, sum(r.tokens for r in asked[:2]))
    assert pending["batch"] == pytest.approx(pending["live"] / 2)
    assert (answered["count"], answered["tokens"]) == (len(asked) - 2, 100 * (len(asked) - 2))  # as answer() says
    assert main(["gpt4v", "cost", str(dior), str(folder)]) == 0
    out = capsys.readouterr().out
    assert "local  gpt-4o-2024-11-20" in out
    assert "$ by live calls" in out


def test_a_model_without_a_price_is_named(dior: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(tmp_path / "requests")
    main(["gpt4v", "export", str(dior), folder, "--stage", "local", "--limit", "2", "--model", "of-my-own"])
    assert main(["gpt4v", "cost", str(dior), folder]) == 0
    out, err = capsys.readouterr()
    assert "no price known" in out
    assert "no price is known of of-my-own: name a table of your own as `prices` of [gpt4v]" in err


MISTAKES = {
    "--reason refused": "--reason goes with --pending",
    "--pending --reason refusal": "--reason is 'refusal', expected one of unanswered, refused, content_filter",
    "--pending --model m": "--pending repeats requests as they are: --model goes with a new export",
    "--pending --boxes hbb": "--boxes goes with a new export",
    "--source sky": "no image to ask about with source 'sky'; the sources that can be asked about are dior",
    "--split night": "no image to ask about with split 'night'",
}


@pytest.mark.parametrize("arguments", MISTAKES)
def test_a_mistake_is_one_sentence(
    dior: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: str
) -> None:
    command = ["gpt4v", "export", str(dior), str(tmp_path / "requests"), "--stage", "local", *arguments.split()]
    assert main(command) == 2
    said = capsys.readouterr().err
    assert MISTAKES[arguments] in said
    assert "Traceback" not in said


def test_no_key_of_the_table_or_the_environment_is_written(
    small: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-a-secret-of-the-environment")
    path, folder = small("dior"), tmp_path / "requests"
    plain = path.read_text()
    path.write_text(plain + '[gpt4v.parameters]\napi_key = "sk-a-secret-of-the-file-0123"\n')
    assert main(["gpt4v", "export", str(path), str(folder), "--stage", "local"]) == 2
    said = capsys.readouterr()
    assert "parameters.api_key: may not be set" in said.err
    path.write_text(plain + "[gpt4v.parameters]\ntemperature = 0.2\n")
    assert main(["gpt4v", "export", str(path), str(folder), "--stage", "local", "--limit", "2"]) == 0
    written = b"".join(p.read_bytes() for p in folder.iterdir())
    assert b'"temperature":0.2' in written
    assert b"secret" not in written + (said.out + said.err).encode()


def test_real_images_and_annotations_become_requests(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, folder = tmp_path / "sources.toml", tmp_path / "requests"
    tables = [
        f'[[source]]\nkind = "{kind}"\nroot = "{shared("realdata", kind)}"\n' for kind in ("rsicd", "hit_uav", "dior")
    ]
    path.write_text('version = "1.0.0"\ndate = "2026-01-01"\n' + "".join(tables))

    def left_out(stage: str, *more: str) -> dict[str, int]:
        assert main(["gpt4v", "export", str(path), str(folder), "--stage", stage, "--json", *more]) == 0
        return {x["reason"]: x["count"] for x in json.loads(capsys.readouterr().out)["left_out"]}

    missing = left_out("local", "--source", "hit_uav")["image missing"]
    asked = requests_of(folder, "local")
    assert asked
    assert {(r.width, r.height, r.boxes) for r in asked} == {(640, 512, "obb")}
    assert missing > 100  # most images are not there
    assert left_out("local", "--source", "dior")["image missing"] > 50  # none are there
    assert requests_of(folder, "local") == asked
    captioned = left_out("global", "--source", "rsicd")
    assert len(requests_of(folder, "global")) + captioned["image missing"] == 10921
    assert {(r.width, r.height) for r in requests_of(folder, "global")} == {(224, 224)}
    first = json.loads(Workspace(folder).part("global", 1).path.read_bytes().splitlines()[0])
    assert "Captions:" in first["body"]["messages"][1]["content"][1]["text"]
