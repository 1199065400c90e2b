"""Examples in the documentation run; what the documentation lists is there."""

import contextlib
import dataclasses
import os
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest

from http_server import serving
from rs_gpt4v_conversion.cli import main
from rs_gpt4v_conversion.gpt4v.stub.api import Settings
from rs_gpt4v_conversion.gpt4v.stub.server import StubServer
from stub_process import serving_stub
from tiny_models import tiny_llava

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE)


@pytest.fixture
def beside_a_release(release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    from datasets import config

    monkeypatch.setattr(config, "HF_DATASETS_CACHE", tmp_path / "cache")
    shutil.copytree(release, tmp_path / "rs-gpt4v")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_commands_of_the_readme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code = "".join(b for b in blocks(ROOT / "README.md", "sh") if "rs-gpt4v" in b)
    with StubServer(Settings(latency=0.0)) as stub:
        for line in code.replace("http://127.0.0.1:8000/v1", stub.url).splitlines():
            words = shlex.split(line, comments=True)
            assert words[0] == "rs-gpt4v"
            more = ["--images", "4"] if words[1] == "sample" else []
            assert main(words[1:] + more) == 0, line


@pytest.mark.filterwarnings("ignore:pairs=.fit. left out")
@pytest.mark.parametrize("page", [ROOT / "README.md", ROOT / "docs" / "training.md"], ids=lambda p: p.name)
def test_the_python_examples(page: Path, beside_a_release: Path) -> None:
    pytest.importorskip("torch")
    from rs_gpt4v_builder.text.tokenizer import byte_tokenizer

    code = "\n".join(blocks(page, "python")).replace('load_tokenizer("path/to/tokenizer.model")', "byte_tokenizer()")
    names: dict[str, Any] = {"byte_tokenizer": byte_tokenizer, "print": lambda *_: None}
    if page.name != "README.md":
        names["model"] = tiny_llava()
    with serving(beside_a_release / "rs-gpt4v") as server:
        exec(compile(code.replace("https://data.example.org/rs-gpt4v", server.url), str(page), "exec"), names)
    batch = names["batch"]
    assert batch["images"].shape[1:] == (3, 336, 336)


@pytest.mark.usefixtures("beside_a_release")
def test_the_examples_of_loading() -> None:
    names: dict[str, Any] = {}
    exec(compile("\n".join(blocks(ROOT / "docs" / "loading.md", "python")), "loading.md", "exec"), names)
    assert [row["id"] for row in names["stream"]] == names["ds"]["id"][:]
    assert [row["id"] for row in names["rows"]] == names["ds"]["id"][:]
    assert list(next(iter(names["texts"]))) == ["id", "conversations"]


def plain(text: str) -> list[str]:
    """Lines without what another run, machine or version of Pillow says otherwise."""
    text = re.sub(r"[\d,]+ a minute", "N a minute", text)
    return re.sub(r"[\d,]+ bytes", "N bytes", re.sub(r"\d+:\d\d:\d\d", "H:MM:SS", text)).splitlines()


def test_the_walk_through_the_generation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("openai")
    monkeypatch.chdir(tmp_path)
    page = ROOT / "docs" / "generation.md"
    (tmp_path / "sources.toml").write_text(blocks(page, "toml")[0])
    steps = re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", "".join(blocks(page, "console")), re.MULTILINE)
    assert len(steps) > 15
    with contextlib.ExitStack() as stack:
        url = ""
        for line, shown in steps:
            words = shlex.split(line.removesuffix(" &"))
            if words[0] == "python":
                assert words[1:5] == ["-m", "rs_gpt4v_conversion.gpt4v.stub", "--port", "8900"]
                url = stack.enter_context(serving_stub(*words[5:]))
                continue
            assert words[0] == "rs-gpt4v"
            assert main([word.replace("http://127.0.0.1:8900/v1", url) for word in words[1:]]) == 0, line
            out, err = capsys.readouterr()
            if shown:
                assert plain(err + out) == plain(shown), line
    assert {path.name for path in (tmp_path / "rs-gpt4v" / "data").iterdir()} >= {
        "detailed_description", "conversation", "task_planning"
    }  # fmt: skip


def test_every_check_and_key_of_the_generation_is_documented() -> None:
    from rs_gpt4v_conversion.config import Generation
    from rs_gpt4v_conversion.gpt4v.checks import CHECKS
    from rs_gpt4v_conversion.gpt4v.records import STAGES

    text = (ROOT / "docs" / "generation.md").read_text()
    told = re.findall(r"^\| `\w+` \| (?:error|warn) \| .*$", text, re.MULTILINE)
    assert told == [
        f"| `{c.name}` | {c.severity} | {'all' if c.stages == STAGES else ', '.join(c.stages)} | {c.says} |"
        for c in CHECKS.values()
    ]
    keys = re.findall(r"^\| `(\w+)` \| ", text.split("## Keys of [gpt4v]")[1], re.MULTILINE)
    names = [field.name for field in dataclasses.fields(Generation)]
    assert sorted(keys) == sorted("checks" if name == "severities" else name for name in names)


def test_every_command_from_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (code,) = blocks(ROOT / "docs" / "maintaining.md", "python")
    printed: list[object] = []
    exec(compile(code, "maintaining.md", "exec"), {"print": printed.append})
    licences, table, broken, pairs, images, added = printed
    assert len(licences) > 20
    assert "paper QA" in table
    assert broken in ([], ["splits known to share images"])
    assert pairs > 500
    assert images > 50
    assert added == 0
    assert (tmp_path / "rows.html").stat().st_size > 100_000
    commands = set(re.findall(r"# (\w+)", code))
    assert commands >= {"sample", "plan", "build", "check", "stats", "look", "export", "diff"}


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", page.read_text()):
        assert (page.parent / target).exists(), target


def test_every_name_for_training_is_documented() -> None:
    import rs_gpt4v_builder

    text = (ROOT / "docs" / "training.md").read_text()
    assert [name for name in rs_gpt4v_builder.__all__ if not re.search(rf"\b{name}\b", text)] == []


def test_every_key_of_a_source_table_is_documented() -> None:
    from rs_gpt4v_conversion.config import KEYS
    from rs_gpt4v_conversion.sources import known_sources

    text = (ROOT / "docs" / "maintaining.md").read_text()
    for key in (*KEYS, "leakage"):
        assert f"`{key}`" in text or f"`[[source]] {key}`" in text, key
    of_sources = (ROOT / "docs" / "sources.md").read_text()
    for source in known_sources().values():
        for option in source.options:
            assert f"Option `{option.name}`: {option.help}" in of_sources, (source.kind, option.name)


def test_nothing_of_a_machine_is_in_the_project() -> None:
    home = re.compile(r"/(home|root|Users)/\w+|/tmp/\w+")
    for path in [*PAGES, *ROOT.glob("*.md"), *ROOT.glob("*/rs_gpt4v_*/**/*.py")]:
        assert not home.search(path.read_text()), path


def test_examples_do_not_touch_the_users_cache() -> None:
    assert os.environ["HF_HUB_OFFLINE"] == "1"


def test_the_page_of_sources_is_current(sample: Path) -> None:
    from rs_gpt4v_conversion.sources_page import sources_page

    made = sources_page(sample / "sources.toml")
    assert made == (ROOT / "docs" / "sources.md").read_text(), "run `make docs`"
