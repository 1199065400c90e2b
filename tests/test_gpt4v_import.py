"""`gpt4v import` and `gpt4v status`: files are kept as they are, every line is told of, real files come in right."""

import fcntl
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import gpt4v_lines as g
from rs_gpt4v_conversion.cli import main
from rs_gpt4v_conversion.errors import UsageError
from rs_gpt4v_conversion.gpt4v.answers import importing, ledger
from rs_gpt4v_conversion.gpt4v.answers.answer_files import Documents, has_lines
from rs_gpt4v_conversion.gpt4v.answers.ledger import Ledger
from rs_gpt4v_conversion.gpt4v.answers.mapping import as_map, map_text, plain_answer, read_map
from rs_gpt4v_conversion.gpt4v.records import STAGES, Facts, Stage
from rs_gpt4v_conversion.gpt4v.schemas import ANSWERS, FOREIGN
from shared import shared

GOLDEN = Path(__file__).parent / "golden" / "gpt4v"
GOOD = {"description": "A harbor."}


def golden(name: str, made: str) -> str:
    """A text that users see, as it was read and found good."""
    path = GOLDEN / name
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        path.write_text(made)
        pytest.fail(f"{path} was made: read it, and commit it")
    return path.read_text()


class Desk:
    """A SOURCES.toml, its folder of requests, and the commands."""

    def __init__(self, sources: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.sources, self.folder, self.capsys = sources, sources.parent / "requests", capsys

    def run(self, command: str, *arguments: str | Path) -> tuple[int, str, str]:
        code = main(["gpt4v", command, str(self.sources), *map(str, arguments)])
        out, err = self.capsys.readouterr()
        return code, out, err

    def imported(self, *arguments: str | Path) -> dict[str, Any]:
        code, out, _ = self.run("import", *arguments, "--json")
        assert code == 0
        result: dict[str, Any] = json.loads(out)
        return result

    def file(self, name: str, content: bytes) -> Path:
        path = self.sources.parent / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        return path

    def stored(self) -> list[str]:
        return sorted(path.name for path in (self.folder / "answers").iterdir())


@pytest.fixture
def desk(small: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Desk:
    facts = [Facts(record=f"rsicd/train/{k}") for k in range(20)]
    monkeypatch.setattr(importing, "annotated", lambda config: iter(facts))
    monkeypatch.setattr(Ledger.__init__, "__kwdefaults__", {"load": g.checks})
    return Desk(small("rsicd"), capsys)


def some(desk: Desk) -> Path:
    """Eight requests and a file of answers of many kinds."""
    g.export(desk.folder, 1, *(g.request(f"detail-{k}", f"rsicd/train/{k}") for k in range(8)))
    lines = g.lines(
        g.answer("detail-0", GOOD), g.answer("detail-1", {"description": "A LIE and a SLIP."}), "",
        g.answer("detail-2", "I'm sorry, but I can't assist with that."), g.answer("detail-3", '{"des', "length"),
        g.expired("detail-4"), g.answer("detail-5", {"text": "A harbor."}), g.answer("stranger", GOOD),
        g.answer("detail-0", GOOD), g.answer("detail-6", {"description": "A SLIP."}),
    )  # fmt: skip
    return desk.file("out.jsonl", b"\xef\xbb\xbf" + lines.replace(b"\n", b"\r\n") + b'{"custom_id": "\xff"}')


def test_all_lines_are_told_of(desk: Desk) -> None:
    path = some(desk)
    code, out, _ = desk.run("import", path)
    assert code == 0
    assert out == golden("import.txt", out)
    assert (desk.folder / "answers" / "000001-out.jsonl").read_bytes() == path.read_bytes()


def test_the_same_for_programs(desk: Desk) -> None:
    result = desk.imported(some(desk))
    assert result["lines"] == 10 == sum(result["classes"].values())
    assert result["classes"]["ok"] == 3 and result["classes"]["http_error"] == 0
    assert (result["accepted"], result["held"], result["answered"]) == (2, {"lie": 1}, {"detail": 2})
    assert result["findings"] == {"lie": 1, "slip": 2}
    assert result["coverage"]["slip"] == {"claims": 5, "judged": 2}
    assert [reject["line"] for reject in result["rejected"]] == [2, 4, 5, 6, 7, 8, 9, 11]
    assert result["rejected"][0] == {
        "file": "000001-out.jsonl", "line": 2, "custom_id": "detail-1", "record": "rsicd/train/1", "stage": "detail",
        "outcome": "lie", "detail": "says LIE of rsicd/train/1",
    }  # fmt: skip
    assert {"stage": "detail", "reason": "unanswered", "requests": 1} in result["pending"]


def test_a_file_comes_in_once(desk: Desk) -> None:
    path = some(desk)
    first = desk.imported(path)
    copy = desk.file("copy-of-it.jsonl", path.read_bytes())
    code, out, err = desk.run("import", copy, path, "--json")
    assert code == 0
    assert f"{copy}: was imported already, as 000001-out.jsonl; not copied again" in err
    again = json.loads(out)
    assert [file["new"] for file in again["files"]] == [False, False]
    assert {k: again[k] for k in again if k != "files"} == {k: first[k] for k in first if k != "files"}
    assert desk.stored() == ["000001-out.jsonl"]
    # another file of the same name and size is another file
    desk.imported(desk.file("out.jsonl", path.read_bytes()[:-1] + b" "))
    assert desk.stored() == ["000001-out.jsonl", "000002-out.jsonl"]


def test_names_that_mean_something_here_do_not_fool(desk: Desk) -> None:
    names = ["run-detail.jsonl", "out.tmp", "x" * 250, "ß" * 120 + ".jsonl"]
    for k, name in enumerate(names):
        g.export(desk.folder, k + 1, g.request(f"detail-{k}", f"rsicd/train/{k}"))
        # the last line has no end: it counts all the same
        result = desk.imported(desk.file(name, g.lines(g.answer(f"detail-{k}", GOOD))[:-1]))
        assert result["accepted"] == 1
    assert desk.run("import", desk.file("a.map.csv", b""))[0] == 2


def test_the_patterns_of_the_toml(desk: Desk) -> None:
    desk.file("old/a.jsonl", g.lines(g.answer("detail-0", GOOD)))
    desk.file("old/b.json", json.dumps([g.answer("detail-1", GOOD)], indent=2).encode())
    g.export(desk.folder, 1, *(g.request(f"detail-{k}", f"rsicd/train/{k}") for k in range(2)))
    code, _, err = desk.run("import")
    assert code == 2 and "no answer files: name some" in err
    text = desk.sources.read_text()
    desk.sources.write_text(text + '[gpt4v]\nresponses = ["old/*.json*"]\n')
    assert desk.imported()["accepted"] == 2
    desk.sources.write_text(text + '[gpt4v]\nresponses = ["older/*.json*"]\n')
    code, _, err = desk.run("import")
    assert code == 2 and "older/*.json*, and there is no such file" in err


def test_mistakes_are_one_sentence(desk: Desk) -> None:
    code, _, err = desk.run("import", desk.sources.parent / "none.jsonl")
    assert (code, err.count("\n")) == (2, 1) and "none.jsonl: No such file or directory, expected an answer file" in err
    code, _, err = desk.run("status")
    assert code == 2 and "no such folder; `rs-gpt4v gpt4v export` makes it" in err
    code, _, err = desk.run("import", desk.sources.parent)
    assert code == 2 and "Is a directory, expected an answer file" in err
    packed = desk.sources.parent / "answers.jsonl.gz"
    packed.write_bytes(gzip.compress(b"{}\n"))
    code, _, err = desk.run("import", packed)
    assert code == 2 and "found a compressed file, expected an answer file; unpack it first" in err


def test_status(desk: Desk) -> None:
    desk.imported(some(desk))
    g.export(desk.folder, 2, g.request("detail-2", "rsicd/train/2", round=2), g.request("detail-new", "rsicd/train/0"))
    code, out, _ = desk.run("status")
    assert code == 0
    assert out == golden("status.txt", out)
    code, out, _ = desk.run("status", desk.folder, "--json")
    assert json.loads(out) == {
        "stages": {
            "detail": {
                "requests": 8, "accepted": 1, "superseded": 1, "rounds": {"1": 8, "2": 1},
                "pending": {
                    "expired": 1, "lie": 1, "refused": 1, "schema_error": 1, "truncated": 1, "unanswered": 2,
                },
            }
        },
        "foreign": {},
        "lines": {
            "detail": {
                "duplicate": 1, "expired": 1, "lie": 1, "ok": 2, "refused": 1, "schema_error": 1, "truncated": 1,
            },
            "": {"bad_json": 1, "unknown_id": 1},
        },
    }  # fmt: skip


def test_while_another_process_reads(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    path = some(desk)
    desk.imported(path)
    monkeypatch.setattr(ledger, "PATIENCE", 0.1)
    with (desk.folder / "ledger.lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        code, out, err = desk.run("status")
        assert (code, err.count("\n")) == (0, 1) and "this is what it has read so far" in err
        assert "8         2        6" in out
        code, _, err = desk.run("import", path)
        assert (code, err.count("\n")) == (2, 1) and "another process is reading answers into its ledger; run" in err


def test_no_key_and_no_network(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket
    import sys

    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setitem(sys.modules, "openai", None)
    monkeypatch.setattr(socket, "socket", None)
    assert desk.imported(some(desk))["accepted"] == 2


# maps


def test_a_map_comes_later_and_only_once(desk: Desk) -> None:
    path = desk.file("theirs.jsonl", g.lines(g.answer("image_1", GOOD), g.answer("image_2", "A field.")))
    assert desk.imported(path)["classes"]["unknown_id"] == 2
    table = desk.file("old notes.csv", b"id,record,stage,form\nimage_1,rsicd/train/1,detail,\nx,rsicd/train/1,detail,\n"
                                       b"image_2,rsicd/train/2,detail,text\n")  # fmt: skip
    code, out, err = desk.run("import", path, "--map", table)
    assert code == 0
    assert "accepted: 2 answers (detail 2)\nof them to questions that were not ours: 2 (detail 2)" in out
    assert "the map: 1 of its rows name no line that is someone else's; the first of them names id 'x'" in err
    assert "foreign/old notes" in (desk.folder / "answers" / "000001-theirs.jsonl.map.csv").read_text()
    assert desk.imported(path, "--map", table)["foreign"] == {"detail": 2}
    code, _, err = desk.run("import", path, "--map", desk.file("new.csv", table.read_bytes()))
    assert code == 2 and "was imported with another map" in err


def test_a_map_for_several_files(desk: Desk) -> None:
    a = desk.file("a.jsonl", g.lines(g.answer("x", GOOD)))
    b = desk.file("b.jsonl", g.lines(g.answer("x", {"description": "Another."})))
    table = desk.file("map.csv", b"file,line,record,stage\na.jsonl,1,rsicd/train/1,detail\n"
                                 b"b.jsonl,1,rsicd/train/2,detail\n")  # fmt: skip
    assert desk.imported(a, b, "--map", table)["foreign"] == {"detail": 2}
    code, _, err = desk.run("import", a, "--map", table)
    assert code == 2 and "row 2, column file: found 'b.jsonl', expected one of a.jsonl" in err
    code, _, err = desk.run("import", a, b, "--map", desk.file("m.csv", b"line,record,stage\n1,a/b/c,detail\n"))
    assert code == 2 and "it is not clear whose line 1 is meant" in err


HEADER = "line,id,record,stage,form,prompt\n"
MAP_MISTAKES = {
    "": "found no column 'record', expected it",
    "record,stage\n": "found neither column 'line' nor 'id'",
    "record,stage,id,what\n": "found column 'what', expected some of file, line, id, record",
    "id,record,stage,id\n": "found column 'id' twice",
    HEADER + "1,,a/b/c,details,,\n": "row 1, column stage: found 'details', expected one of local, global",
    HEADER + "1,,a/b/c,detail,xml,\n": "row 1, column form: found 'xml', expected json or text",
    HEADER + "1,,a/b/c,local,text,\n": "row 1, column form: found text for stage local, expected json",
    HEADER + "1,,a/b/c,detail,,\n0,,a/b/c,detail,,\n": "row 2, column line: found '0', expected a number from 1",
    HEADER + "1,,a/b,detail,,\n": "row 1, column record: found 'a/b', expected <source>/<split>/<image id>",
    HEADER + "1,x,a/b/c,detail,,\n": "row 1, columns line and id: found line and id, expected one of them",
    HEADER + ",,a/b/c,detail,,\n": "row 1, columns line and id: found neither line nor id",
    HEADER + "1,,a/b/c,detail,,,,\n": "row 1: found 2 values more than the header has columns",
    HEADER + ",x,a/b/c,detail,,\n,x,a/b/d,detail,,\n": "row 2: found id 'x' again, expected it once; row 1 has it too",
}


@pytest.mark.parametrize("text", MAP_MISTAKES)
def test_each_mistake_of_a_map_is_named(text: str, tmp_path: Path) -> None:
    path = tmp_path / "map.csv"
    path.write_text(text)
    with pytest.raises(UsageError) as caught:
        read_map(path)
    assert str(caught.value).startswith(str(path)) and MAP_MISTAKES[text] in str(caught.value)


def test_maps_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.csv: No such file or directory, expected a map"):
        read_map(tmp_path / "none.csv")
    (tmp_path / "a.csv").write_bytes(b"id,record,stage\n\xff")
    with pytest.raises(UsageError, match="byte 16 is not UTF-8"):
        read_map(tmp_path / "a.csv")


NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"), min_size=1).map(str.strip).filter(bool)


@given(st.lists(st.tuples(NAMES, st.sampled_from(["detail", "conversation"]), st.sampled_from(["json", "text"])),
                unique_by=lambda row: row[0], max_size=5))  # fmt: skip
def test_a_map_beside_its_file_says_the_same(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str, str]]
) -> None:
    path = tmp_path_factory.getbasetemp() / "a.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        import csv

        csv.writer(file).writerows([("id", "record", "stage", "form"), *((i, "a/b/c", s, f) for i, s, f in rows)])
    read = read_map(path)
    assert [row.id for row in read] == [row[0] for row in rows]
    path.write_text(map_text(read), encoding="utf-8", newline="")
    assert as_map(read_map(path)) == as_map(read)


# plain texts


@pytest.mark.parametrize(
    "text",
    [
        "Question:\nWhat?\n===\nAnswer:\nA ship.\n===\nQuestion:\nWhere?\n===\nAnswer:\nLeft.",
        "Q: What?\nA: A ship.\n\nQ: Where?\nA: Left.\n",
        "**Question 1:** What?\r\n**Answer 1:** A ship.\r\n**Question 2:** Where?\r\n**Answer 2:** Left.",
        "Q1: What?\nA1: A ship.\nQ2: Where?\nA2: Left.",
        "1. Q: What?\n   A: A ship.\n2. Q: Where?\n   A: Left.",
    ],
)
def test_questions_and_answers_in_plain_text(text: str) -> None:
    turns = plain_answer("conversation", text)["turns"]
    assert [(turn["question"], turn["answer"]) for turn in turns] == [("What?", "A ship."), ("Where?", "Left.")]
    assert [item["answer"] for item in plain_answer("reasoning", text)["items"]] == ["A ship.", "Left."]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("A harbor.", "found no line that begins with Question: or Q:"),
        ("Sure!\nQ: What?\nA: A ship.", "found 'Sure!' before the first question"),
        ("Q: What?\nQ: Where?\nA: Left.", "found a question 'Where?', expected the answer"),
        ("A: Left.\nQ: Where?", "found an answer 'Left.', expected a question first"),
        ("Q: What?\nA: A ship.\nQ: Where?", "found no answer to the last question 'Where?'"),
    ],
)
def test_plain_texts_that_cannot_be_told_apart(text: str, found: str) -> None:
    with pytest.raises(ValueError, match="found") as caught:
        plain_answer("conversation", text)
    assert str(caught.value).startswith(found)


def test_foreign_forms_are_wider_than_ours() -> None:
    for stage in STAGES:
        FOREIGN[stage].model_validate_json(json.dumps(g.CONTENTS[stage]), strict=True)
        assert issubclass(FOREIGN[stage], ANSWERS[stage])
    assert FOREIGN["reasoning"].model_validate(plain_answer("reasoning", "Q: Why?\nA: So.")).model_dump() == {
        "items": [{"kind": "unstated", "question": "Why?", "answer": "So.", "objects": []}]
    }


# files of documents

DOCUMENTS = st.recursive(
    st.none() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.text(), DOCUMENTS, max_size=4)


@given(st.lists(OBJECTS, min_size=1, max_size=4), st.sampled_from([None, 0, 1, "\t"]), st.booleans(), st.booleans())
def test_documents_are_found_by_their_brackets(
    tmp_path_factory: pytest.TempPathFactory, values: list[Any], indent: Any, ascii_: bool, array: bool
) -> None:
    def text(value: Any) -> str:
        return json.dumps(value, indent=indent, ensure_ascii=ascii_)

    path = tmp_path_factory.getbasetemp() / "documents.json"
    content = (text(values) if array else "\n".join(map(text, values))).encode(errors="surrogatepass")
    path.write_bytes(content)
    reader = Documents(path)
    items = list(reader)
    assert [json.loads(item.raw.decode(errors="surrogatepass")) for item in items] == values
    assert [content[i.offset : i.offset + i.length] for i in items] == [i.raw for i in items]
    assert (reader.offset, reader.number) == (len(content), len(values))


@given(st.binary(min_size=1) | st.text('[]{}",\\ a1\n', min_size=1).map(str.encode))
def test_no_byte_of_a_file_is_left_out(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.json"
    path.write_bytes(content)
    items = list(Documents(path))
    rest = bytearray(content)
    for item in items:
        assert content[item.offset : item.offset + item.length] == item.raw != b""
        rest[item.offset : item.offset + item.length] = b" " * item.length
    # what is in no item are the brackets of arrays, and what stands between
    assert bytes(rest).removeprefix(b"\xef\xbb\xbf").strip(b" \t\r\n,[]}") == b""


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (b'{"a": 1}\n{"a": 2}\n', True),
        (b'{"a": 1}', True),
        (b'{"a": \n{"a": 2}\n', True),  # a damaged first line
        (b'{"a": ', True),
        (b"not JSON\n{}", True),
        (b"", True),
        (b"\xef\xbb\xbf\r\n{}\r\n", True),
        (b'{\n"a": 1\n}', False),
        (b'[{"a": 1}]', False),
        (b'[\n{"a": 1}\n]', False),
    ],
)
def test_lines_or_documents(content: bytes, lines: bool, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(content)
    assert has_lines(path) is lines


# real files


def test_real_batch_files_without_a_map(desk: Desk) -> None:
    files = sorted(shared("realdata", "openai_batch").glob("*.json*"))
    assert len(files) == 7
    result = desk.imported(*files)
    assert {Path(file["file"]).name: file["lines"] for file in result["files"]} == {
        "gpt4v_chat_completion_2023_11.json": 1, "gpt4v_chat_completion_2024_02.json": 1,
        "input_63_requests.jsonl": 63, "input_two_requests.jsonl": 2, "lookalike_glm4v_input.jsonl": 6,
        "lookalike_glm4v_output.jsonl": 6, "output_two_requests.jsonl": 2,
    }  # fmt: skip
    assert result["lines"] == result["classes"]["unknown_id"] == 81


def test_real_batch_files_with_a_map(desk: Desk) -> None:
    folder = shared("realdata", "openai_batch")
    names = ["gpt4v_chat_completion_2023_11.json", "lookalike_glm4v_output.jsonl", "output_two_requests.jsonl"]
    names += ["input_two_requests.jsonl", "gpt4v_chat_completion_2024_02.json"]
    rows = ["file,line,id,record,stage,form", f"{names[0]},1,,rsicd/train/0,detail,text"]
    rows += [f"{names[1]},,image_00{k},rsicd/train/{k},detail,text" for k in range(1, 7)]
    rows += [f"{names[2]},,request-{k},rsicd/train/1{k},detail,json" for k in (1, 2)]
    rows += [f"{names[3]},1,,rsicd/train/14,detail,text", f"{names[4]},1,,rsicd/train/15,detail,json"]
    table = desk.file("map.csv", "\n".join(rows).encode())
    result = desk.imported(*(folder / name for name in names), "--map", table)
    assert {k: n for k, n in result["classes"].items() if n} == {
        "ok": 7,  # plain descriptions
        "schema_error": 3,  # JSON that is no description
        "bad_json": 1,  # a request, which holds no answer
        "unknown_id": 1,
    }
    assert (result["accepted"], result["foreign"]) == (7, {"detail": 7})
    requests = [reject for reject in result["rejected"] if reject["file"].endswith(names[3])]
    assert [(r["outcome"], r["detail"]) for r in requests] == [
        ("bad_json", "no answer: this is a request"), ("unknown_id", "the id 'request-2' is of no request"),
    ]  # fmt: skip


def test_real_conversations_in_plain_text(desk: Desk) -> None:
    folder = shared("realdata", "llava_style", "llava", "prompts")
    counts: dict[Stage, list[int]] = {}
    stages: dict[Stage, str] = {"conversation": "conversation", "reasoning": "complex_reasoning"}
    for stage, name in stages.items():
        for path in sorted((folder / name).glob("*_conv.txt")):
            read = FOREIGN[stage].model_validate(plain_answer(stage, path.read_text()))
            pairs = next(iter(read.model_dump().values()))
            assert not any("===" in pair[key] for pair in pairs for key in ("question", "answer"))
            counts.setdefault(stage, []).append(len(pairs))
    assert counts == {"conversation": [4, 4], "reasoning": [1, 1, 1]}
