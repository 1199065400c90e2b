"""Every reader on damaged files: a sentence or books that balance, and never a traceback.

A mutation is drawn by Hypothesis: bytes cut, doubled or flipped; values of JSON replaced, left out or doubled; texts
and elements of XML likewise; lines and tokens of text files. What comes out is an error that a person can mend (exit
code 2), or every pair is kept or rejected.
"""

import json
import shutil
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rs_gpt4v_conversion.config import load_config
from rs_gpt4v_conversion.errors import ConversionError
from rs_gpt4v_conversion.reading import Tally, read_source
from rs_gpt4v_conversion.sources import Folder, known_sources

KINDS = sorted(known_sources())
QUICK, LONG = 40, 1500  # examples

VALUES: tuple[Any, ...] = (
    None, True, -1, 0, 1e308, float("nan"), 10**30, "", "x", "-5", "\ud800", "../../x", "a\0b", [], {}, [[]], [None],
    {"a": 1}, "216,00", "1" * 5000,
)  # fmt: skip
TOKENS = ("", "x", "-1", "1e999", "nan", "216,00", ",", ":", "?", "<a>", "\0", "é", "9" * 400, "(1,2", "\r")

Mutation = Callable[[bytes, st.DataObject], bytes]


def bytes_changed(content: bytes, data: st.DataObject) -> bytes:
    """Cut, doubled or flipped somewhere."""
    at = data.draw(st.integers(0, len(content)), "at")
    end = min(len(content), at + data.draw(st.integers(1, 60), "length"))
    kind = data.draw(st.sampled_from(["truncate", "cut", "double", "flip", "garbage"]), "kind")
    return {
        "truncate": content[:at],
        "cut": content[:at] + content[end:],
        "double": content[:end] + content[at:],
        "flip": content[:at] + bytes(b ^ 0x55 for b in content[at : at + 1]) + content[at + 1 :],
        "garbage": content[:at] + b"\xff\xfe\x00" + content[at:],
    }[kind]


def json_changed(content: bytes, data: st.DataObject) -> bytes:
    """A value somewhere in the tree replaced, left out or doubled."""
    tree = json.loads(content)
    node: Any = tree
    for _ in range(data.draw(st.integers(0, 6), "depth")):
        keys = list(node) if isinstance(node, dict) else list(range(len(node))) if isinstance(node, list) else []
        inner = [k for k in keys if isinstance(node[k], dict | list) and node[k]]
        if not inner:
            break
        node = node[data.draw(st.sampled_from(inner), "step")]
    if not node:
        return content
    key = data.draw(st.sampled_from(list(node) if isinstance(node, dict) else list(range(len(node)))), "key")
    kind = data.draw(st.sampled_from(["replace", "replace", "replace", "delete", "double"]), "kind")
    if kind == "replace":
        node[key] = data.draw(st.sampled_from(VALUES), "value")
    elif kind == "delete":
        del node[key]
    elif isinstance(node, list):
        node.insert(key, node[key])
    return json.dumps(tree).encode()


def xml_changed(content: bytes, data: st.DataObject) -> bytes:
    """An element's text replaced, or the element left out, doubled or renamed."""
    tree = ET.fromstring(content)
    parents = [e for e in tree.iter() if len(e)]
    parent = data.draw(st.sampled_from(parents), "parent")
    child = parent[data.draw(st.integers(0, len(parent) - 1), "child")]
    kind = data.draw(st.sampled_from(["text", "text", "text", "delete", "double", "rename"]), "kind")
    if kind == "text":
        child.text = data.draw(st.sampled_from([t for t in TOKENS if t.isprintable()]), "text")
    elif kind == "delete":
        parent.remove(child)
    elif kind == "double":
        parent.append(child)
    else:
        child.tag = "other"
    return ET.tostring(tree)


def lines_changed(content: bytes, data: st.DataObject) -> bytes:
    """A token, a line or the line ends of a text file."""
    lines = content.split(b"\n")
    at = data.draw(st.integers(0, len(lines) - 1), "line")
    kind = data.draw(
        st.sampled_from(["token", "token", "character", "delete", "double", "blank", "crlf", "swap"]), "kind"
    )
    if kind == "token":
        tokens = lines[at].split(b" ")
        tokens[data.draw(st.integers(0, len(tokens) - 1), "token")] = data.draw(st.sampled_from(TOKENS), "by").encode()
        lines[at] = b" ".join(tokens)
    elif kind == "character":
        place = data.draw(st.integers(0, len(lines[at])), "place")
        lines[at] = lines[at][:place] + data.draw(st.sampled_from(TOKENS), "by").encode() + lines[at][place + 1 :]
    elif kind == "delete":
        del lines[at]
    elif kind == "double":
        lines.insert(at, lines[at])
    elif kind == "blank":
        lines.insert(at, b"  ")
    elif kind == "swap":
        lines[0], lines[at] = lines[at], lines[0]
    return (b"\r\n" if kind == "crlf" else b"\n").join(lines)


def mutations(path: Path) -> list[Mutation]:
    by_suffix: dict[str, list[Mutation]] = {".json": [json_changed] * 3, ".xml": [xml_changed] * 3}
    return [*by_suffix.get(path.suffix.lower(), [lines_changed] * 3), bytes_changed]


def books_balance(toml: Path) -> None:
    (spec,) = load_config(toml).sources
    tally = Tally()
    try:
        kept = sum(len(draft.pairs) for draft in read_source(spec, tally))
    except ConversionError as error:
        assert str(error)
        assert "\n" not in str(error)
        return
    counts = tally.counts.values()
    assert sum(c.read_pairs for c in counts) == sum(c.qa_pairs for c in counts) + len(tally.rejects)
    assert sum(c.qa_pairs for c in counts) == kept
    assert all(c.images >= 0 and c.qa_pairs >= 0 for c in counts)


def copied(kind: str, small: Callable[..., Path], tmp_path: Path) -> tuple[Path, Path, list[str]]:
    """A SOURCES.toml over a copy of a source of the sample, the copy, and the files in it that the reader opens."""
    toml = small(kind)
    (spec,) = load_config(toml).sources
    root = tmp_path / "copy"
    shutil.copytree(spec.root, root)
    toml.write_text(toml.read_text().replace(str(spec.root), str(root)))
    folder = Folder(root)
    list(spec.source.read(folder, spec.options))
    return toml, root, sorted(folder.digests)


def fuzz(kind: str, small: Callable[..., Path], tmp_path: Path, examples: int, *, derandomize: bool) -> None:
    toml, root, read = copied(kind, small, tmp_path)
    paths = sorted(root / name for name in read)
    books_balance(toml)

    @settings(
        max_examples=examples, deadline=None, derandomize=derandomize, database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )  # fmt: skip
    @given(st.data())
    def damaged(data: st.DataObject) -> None:
        path = data.draw(st.sampled_from(paths), "path")
        content = path.read_bytes()
        try:
            path.write_bytes(data.draw(st.sampled_from(mutations(path)), "mutation")(content, data))
            books_balance(toml)
        finally:
            path.write_bytes(content)

    damaged()


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_files_give_a_sentence_or_balanced_books(kind: str, small: Callable[..., Path], tmp_path: Path) -> None:
    fuzz(kind, small, tmp_path, QUICK, derandomize=True)


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("kind", KINDS)
def test_damaged_files_at_length(kind: str, small: Callable[..., Path], tmp_path: Path) -> None:
    fuzz(kind, small, tmp_path, LONG, derandomize=False)


@pytest.mark.parametrize("kind", KINDS)
def test_a_missing_file_is_named_or_noted(kind: str, small: Callable[..., Path], tmp_path: Path) -> None:
    toml, root, read = copied(kind, small, tmp_path)
    for name in read:
        content = (root / name).read_bytes()
        (root / name).unlink()
        tally = Tally()
        try:
            list(read_source(load_config(toml).sources[0], tally))
        except ConversionError as error:
            assert str(root) in str(error)
        else:
            assert tally.notes, f"{name} is gone and nobody says so"
        (root / name).write_bytes(content)
