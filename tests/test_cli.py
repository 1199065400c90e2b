"""The command line, as a person and a program use it."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from rs_gpt4v_conversion import cli
from rs_gpt4v_conversion.cli import main
from rs_gpt4v_conversion.sources import known_sources


def test_plan_prints_a_table_for_people_and_json_for_programs(sample: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", str(sample / "sources.toml")]) == 0
    assert re.search(r"captioning +rsicd +train ", capsys.readouterr().out)
    assert main(["plan", str(sample / "sources.toml"), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    line = next(x for x in said["rows"] if (x["source"], x["split"]) == ("rsicd", "test"))
    assert {"task", "source", "split", "read_images", "read_questions", "read_pairs", "images", "qa_pairs", "merged",
            "paper_images", "paper_qa_pairs"} <= set(line)  # fmt: skip
    assert (line["paper_images"], line["paper_qa_pairs"]) == (1093, 1093)
    assert line["read_questions"] == line["read_images"]
    assert {"source", "stage", "reason", "count"} == set(said["rejects"][0])


def test_list_sources_needs_no_file_and_prints_one_a_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["plan", "--list-sources"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(known_sources())
    for line in lines:
        source = known_sources()[line.split()[0]]
        assert source.license in line
        assert source.layout[0] in line
    assert main(["plan", "--list-sources", "--json"]) == 0
    assert [s["kind"] for s in json.loads(capsys.readouterr().out)] == list(known_sources())


def test_check_says_ok_and_fails_with_the_file_that_is_broken(
    release: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import shutil

    assert main(["check", str(release), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["ok"] is True
    assert {"name", "severity", "count", "ids"} <= set(said["gates"][0])
    copy = tmp_path / "rs-gpt4v"
    shutil.copytree(release, copy)
    shard = next((copy / "data").rglob("*.parquet"))
    content = bytearray(shard.read_bytes())
    content[len(content) // 3] ^= 1
    shard.write_bytes(content)
    assert main(["check", str(copy), "--json"]) == 1
    said = json.loads(capsys.readouterr().out)
    assert said["ok"] is False
    assert any(shard.name in i for g in said["gates"] if g["count"] for i in g["ids"])


def test_look_writes_a_page(release: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "page.html"
    assert main(["look", str(release), "--out", str(page)]) == 0
    assert capsys.readouterr().out.strip() == str(page)
    text = page.read_text()
    assert text.count("data:image/") == 12
    assert "http://" not in text
    assert "https://" not in text


MISTAKES = {
    "plan none.toml": "none.toml: no such file",
    "plan": "plan needs a SOURCES.toml, or --list-sources",
    "build none.toml out": "none.toml: no such file",
    "build none.toml out --workers 0": "--workers is 0, expected at least 1",
    "check .": "",
    "look . --out x.html": "",
    "stats .": ".: holds no manifest.json, expected a release folder",
    "stats none --json": "none: holds no manifest.json, expected a release folder",
    "sample . --images 12": "",
    "sample new --images 0": "",
}


@pytest.mark.parametrize("words", MISTAKES)
def test_mistakes_give_one_sentence_and_exit_code_two(
    words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "something").write_text("here")
    monkeypatch.chdir(tmp_path)
    assert main(words.split()) == 2
    said = capsys.readouterr()
    assert said.out == ""
    (line,) = said.err.strip().splitlines()
    assert line.startswith("rs-gpt4v: ")
    assert MISTAKES[words] in line


def test_the_installed_command_answers(tmp_path: Path) -> None:
    command = Path(sys.executable).with_name("rs-gpt4v")
    if not command.exists():
        pytest.skip("the project is not installed into this environment")
    done = subprocess.run([command, "--help"], capture_output=True, text=True, check=True, env={**os.environ})
    for name in ("sample", "plan", "build", "check", "stats", "look"):
        assert name in done.stdout


@pytest.mark.parametrize(
    ("words", "requests", "files"),
    [
        ("export a.toml folder --stage local", "folder", None),
        ("export a.toml --stage local folder", "folder", None),
        ("export a.toml --stage local", None, None),
        ("import a.toml x.jsonl y.jsonl --map m.csv", None, ["x.jsonl", "y.jsonl"]),
        ("import a.toml --map m.csv x.jsonl y.jsonl", None, ["x.jsonl", "y.jsonl"]),
        ("import a.toml x.jsonl --map m.csv y.jsonl", None, ["x.jsonl", "y.jsonl"]),
    ],
)
def test_the_last_argument_may_come_after_options(words: str, requests: str | None, files: list[str] | None) -> None:
    parsed = cli._parsed(["gpt4v", *words.split()])
    assert parsed.requests == (requests and Path(requests))
    assert getattr(parsed, "files", None) == (files and [Path(f) for f in files])


@pytest.mark.parametrize("words", ["gpt4v export a.toml b --stage local c", "plan a.toml b", "gpt4v status a.toml --x"])
def test_what_is_too_much_is_an_error(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli._parsed(words.split())
    assert stopped.value.code == 2
    assert "unrecognized arguments" in capsys.readouterr().err
