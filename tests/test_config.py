"""SOURCES.toml: each mistake gives one sentence that names place, finding and expectation."""

from pathlib import Path

import pytest

from rs_gpt4v_conversion.config import load_config
from rs_gpt4v_conversion.errors import UsageError
from rs_gpt4v_conversion.sample import SOURCES

HEAD = 'version = "1.0.0"\ndate = "2026-01-01"\n'

MISTAKES = {
    'version = 1\ndate = "2026-01-01"': "version is 1, expected a string",
    'version = "1.0"\ndate = "2026-01-01"\n[[source]]': "version is '1.0', expected three numbers",
    'version = "1.0.0"\ndate = "soon"\n[[source]]\nkind="rsicd"\nroot="."': "date is 'soon', expected a day",
    HEAD: "no \\[\\[source\\]\\] table",
    HEAD + "[[source]]": "kind is missing, expected a string",
    HEAD + '[[source]]\nkind = "rsicdd"\nroot = "."': "unknown kind 'rsicdd', did you mean 'rsicd'\\?",
    HEAD + '[[source]]\nkind = "rsicd"': "root is missing",
    HEAD + '[[source]]\nkind = "rsicd"\nroot = "none"': "root .*none is no folder",
    HEAD + '[[source]]\nkind = "rsicd"\nroot = "."\nlimits = 3': "unknown key 'limits', did you mean 'limit'\\?",
    HEAD + '[[source]]\nkind = "rsicd"\nroot = "."\nlimit = 0': "limit is 0, expected a number of images",
    HEAD + '[[source]]\nkind = "rsicd"\nroot = "."\nlimit = true': "limit is True",
    HEAD + '[[source]]\nkind = "rsicd"\nroot = "."\nreject_limit = 2': "reject_limit is 2, expected a share",
    HEAD + '[[source]]\nkind = "rsicd"\nroot = "."\nname = "vqa"': "name 'vqa' may not be used",
    HEAD + '[[source]]\nkind = "rsicd"\nroot = "."\nname = "a/b"': "name 'a/b' may not be used",
    HEAD + '[[source]]\nkind = "rsicd"\nroot = "."\n' * 2: "two sources are called 'rsicd'",
    HEAD + '[sources]\nkind = "rsicd"': "unknown key 'sources', did you mean 'source'\\?",
    'version = "1.0.0"\nversion = "1.0.0"': "not TOML",
}
GPT4V = HEAD + '[[source]]\nkind = "rsicd"\nroot = "."\n[gpt4v]\n'
MISTAKES |= {
    GPT4V + "rounds = 0": "rounds is 0, expected a number of at least 1",
    GPT4V + 'model = ""': "model is '', expected a string",
    GPT4V + 'boxes = "round"': "boxes is 'round', expected 'hbb' or 'obb'",
    GPT4V + 'sources = ["rsicdd"]': "sources names 'rsicdd', did you mean 'rsicd'",
    GPT4V + 'modle = "m"': "unknown key 'modle', did you mean 'model'",
    GPT4V + 'checks.language = "fatal"': "checks.language is 'fatal', expected 'off', 'warn' or 'error'",
    GPT4V + 'parameters.messages = "x"': "parameters may not set 'messages'",
    GPT4V + "parameters.stream = true": "parameters.stream may not be set: an answer is read whole",
    GPT4V + "parameters.n = 2": "parameters.n is 2, expected 1",
}


@pytest.mark.parametrize("text", MISTAKES)
def test_each_mistake_is_named(text: str, tmp_path: Path) -> None:
    path = tmp_path / "sources.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=MISTAKES[text]) as caught:
        load_config(path)
    assert str(path) in str(caught.value)


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        load_config(tmp_path / "none.toml")
    with pytest.raises(UsageError, match="expected a TOML file"):
        load_config(tmp_path)
    (tmp_path / "x.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="byte 0 is not UTF-8"):
        load_config(tmp_path / "x.toml")


def test_roots_are_relative_to_the_file(sample: Path) -> None:
    config = load_config(sample / "sources.toml")
    assert [spec.root.parent for spec in config.sources] == [sample] * len(SOURCES)
