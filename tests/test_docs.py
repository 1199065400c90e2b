"""Examples in the documentation run; what the documentation lists is there."""

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
