"""`export llava`: the paper's files to the byte, images in the format of their names, nothing outside the folder."""

import errno
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

import rs_gpt4v
import tiny_release
from rs_gpt4v_conversion import rows
from rs_gpt4v_conversion.build import build
from rs_gpt4v_conversion.cli import main
from rs_gpt4v_conversion.config import load_config
from rs_gpt4v_conversion.errors import UsageError
from rs_gpt4v_conversion.export import llava
from rs_gpt4v_conversion.export._files import Origin, targets
from rs_gpt4v_conversion.export._images import ImageFiles, image_path, in_format
from rs_gpt4v_conversion.export.llava import STATE, export_llava
from rs_gpt4v_conversion.images import load_image
from rs_gpt4v_conversion.manifest import NAME
from rs_gpt4v_conversion.paper import absent, paper_lines
from rs_gpt4v_conversion.reading import Tally, read_source
from rs_gpt4v_conversion.release import ShardEntry
from rs_gpt4v_conversion.released import OF_A_TASK, PAPER, TASKS
from rs_gpt4v_conversion.sidecar import lines_file, rows_file
from tiny_release import picture, row, sha, thing

Row = dict[str, Any]
CAPTION = "Provide a one-sentence caption for this remote sensing image."


def chat(source: str, split: str, number: int, said: list[tuple[int, str, str, str]]) -> Row:
    """A row of conversations; `said` are dialogue, category, question and answer."""
    made = row("conversation", source, split, number, picture(number), [s[1:] for s in said])
    for pair, (dialogue, *_) in zip(made["pairs"], said, strict=True):
        pair["dialogue"] = dialogue
    return made


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Path]:
    """A release of some rows, in the order of its shards."""

    def write(rows: list[Row], **sources: str) -> Path:
        rows = sorted(rows, key=lambda r: (r["task"], r["source"], r["id"].split("/")[1]))
        folder = tiny_release.write(tmp_path / "rs-gpt4v", rows)
        if sources:
            manifest = json.loads((folder / NAME).read_text())
            manifest["sources"] = {name: {"kind": kind} for name, kind in sources.items()}
            (folder / NAME).write_text(json.dumps(manifest))
        return folder

    return write


def lines(path: Path) -> list[Row]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def texts(out: Path) -> set[str]:
    """All that are no sidecars; whatever else an export has must be a sidecar, also what the paper has no files for."""
    found = {p.relative_to(out).as_posix() for p in out.rglob("*.json*")}
    return {name for name in found if not name.endswith(".sidecar.jsonl")}


def test_train_json_to_the_byte(make: Callable[..., Path], tmp_path: Path) -> None:
    captions = row("captioning", "rsicd", "train", 1, picture(1), [
        ("caption", CAPTION, "a caf\u00e9 ."), ("caption", CAPTION, "two huts ."),
    ])  # fmt: skip
    talk = chat("dior_rsvg", "train", 2, [(0, "conv", "What?", "A \"hut\"."), (0, "conv", "Where?", "Left."),
                                          (1, "complex", "Why?", "Rain\nfell.")])  # fmt: skip
    export_llava(make([captions, talk]), tmp_path / "out")
    assert (tmp_path / "out" / "train.json").read_bytes() == (
        rb'[{"id": "rsicd/train/captioning/1#0", "image": "rsicd/1.jpg", "conversations": [{"from": "human", "value": '
        rb'"<image>\nProvide a one-sentence caption for this remote sensing image."}, {"from": "gpt", "value": '
        rb'"a caf\u00e9 ."}]}, '
        rb'{"id": "rsicd/train/captioning/1#1", "image": "rsicd/1.jpg", "conversations": [{"from": "human", "value": '
        rb'"<image>\nProvide a one-sentence caption for this remote sensing image."}, {"from": "gpt", "value": '
        rb'"two huts ."}]}, '
        rb'{"id": "dior_rsvg/train/conversation/2#0", "image": "dior_rsvg/2.jpg", "conversations": [{"from": "human", '
        rb'"value": "<image>\nWhat?"}, {"from": "gpt", "value": "A \"hut\"."}, {"from": "human", "value": "Where?"}, '
        rb'{"from": "gpt", "value": "Left."}]}, '
        rb'{"id": "dior_rsvg/train/conversation/2#1", "image": "dior_rsvg/2.jpg", "conversations": [{"from": "human", '
        rb'"value": "<image>\nWhy?"}, {"from": "gpt", "value": "Rain\nfell."}]}]'
    )


def test_test_files_to_the_byte(make: Callable[..., Path], tmp_path: Path) -> None:
    short = "\nAnswer the question using a single word or phrase."
    rows = [
        row(
            "captioning", "rsicd", "test", n, picture(n), [("caption", CAPTION, c) for c in (f"{n} caf\u00e9 .", "b .")]
        )
        for n in (1, 2)
    ]
    rows += [row("vqa", "rsvqa_lr", "test", 3, picture(3), [("count", f"How many?{short}", "2392")])]
    rows += [chat("dior_rsvg", "test", 4, [(0, "conv", "What?", "Huts."), (0, "complex", "And then?", "Rain.")])]
    export_llava(make(rows), tmp_path / "out")
    assert (tmp_path / "out/test/RSICD.jsonl").read_bytes() == (
        rb'{"question_id": 0, "image": "rsicd/1.jpg", "text": "Provide a one-sentence caption for this remote sensing '
        rb'image.", "answer": ["1 caf\u00e9 .", "b ."], "category": "caption"}'
        b"\n"
        rb'{"question_id": 1, "image": "rsicd/2.jpg", "text": "Provide a one-sentence caption for this remote sensing '
        rb'image.", "answer": ["2 caf\u00e9 .", "b ."], "category": "caption"}'
        b"\n"
    )
    assert (tmp_path / "out/test/RSVQA_LR.jsonl").read_bytes() == (
        rb'{"question_id": 0, "image": "rsvqa_lr/3.jpg", "text": "How many?\nAnswer the question using a single word '
        rb'or phrase.", "answer": "2392", "category": "count"}'
        b"\n"
    )
    assert (tmp_path / "out/test/Conversation_Complex_Reasoning.jsonl").read_bytes() == (
        b'{"question_id": 0, "image": "dior_rsvg/4.jpg", "text": "What?", "answer": "Huts.", '
        b'"category": "conv_complex"}\n'
        b'{"question_id": 1, "image": "dior_rsvg/4.jpg", "text": "And then?", "answer": "Rain.", '
        b'"category": "conv_complex"}\n'
    )
    assert (tmp_path / "out" / "train.json").read_bytes() == b"[]"


def test_the_papers_ten_files_and_those_of_others(make: Callable[..., Path], tmp_path: Path) -> None:
    category = {task: names[0] for task, names in rs_gpt4v.CATEGORIES.items()}
    parts = [*PAPER, *(("dior_rsvg", task, "test") for task in OF_A_TASK), ("dior_rsvg", "region_captioning", "test"),
             ("hit_uav", "vqa", "test"), ("hit_uav", "grounding", "test"), ("hit_uav", "vqa", "validation"),
             ("rsicd", "captioning", "validation"), ("rsicd", "vqa", "test"), ("hit_uav", "vqa", "phili")]  # fmt: skip
    rows = [
        row(task, source, split, n, picture(n), [(category[task], f"What {n}?", "A hut.")])
        for n, (source, task, split) in enumerate(parts)
    ]
    made = export_llava(make(rows), tmp_path / "out")
    paper = ("RSICD", "NWPU-Captions", "UCM-Captions", "Sydney-Captions", "RSVQA_LR", "RSVQA_HR", "RSVQA_HR_phili",
             "DIOR-RSVG", "Detailed_Description", "Conversation_Complex_Reasoning")  # fmt: skip
    others = {"test/dior_rsvg.jsonl", "test/hit_uav.jsonl", "test/rsicd_vqa.jsonl", "test/hit_uav_phili.jsonl",
              "train.json"}  # fmt: skip
    validation = {f"validation/{name}.questions.sidecar.jsonl" for name in ("hit_uav", "RSICD")}
    assert texts(tmp_path / "out") == {f"test/{name}.jsonl" for name in paper} | others
    assert set(made.files) == texts(tmp_path / "out") | validation
    for name in validation:
        assert [line["question_id"] for line in lines(tmp_path / "out" / name)] == [0]
        assert lines(lines_file(tmp_path / "out" / name))[0]["question_id"] == 0
        assert lines(rows_file(tmp_path / "out" / name))[0]["id"].split("/")[1] == "validation"
    assert [line["category"] for line in lines(tmp_path / "out/test/hit_uav.jsonl")] == ["grounding", "presence"]
    assert [line["question_id"] for line in lines(tmp_path / "out/test/hit_uav.jsonl")] == [0, 1]


def test_the_manifest_says_of_which_kind_a_source_is(make: Callable[..., Path], tmp_path: Path) -> None:
    rows = [row("captioning", name, "test", n, picture(n), [("caption", CAPTION, "A hut .")])
            for n, name in enumerate(("mine", "rsicd", "yours"))]  # fmt: skip
    rows += [row("conversation", "talk", "test", 9, picture(9), [("conv", "What?", "A hut .")])]
    export_llava(make(rows, mine="rsicd", rsicd="rsicd", yours="ucm_captions", talk="llava"), tmp_path / "out")
    assert texts(tmp_path / "out") == {
        "train.json", "test/RSICD.jsonl", "test/mine.jsonl", "test/UCM-Captions.jsonl",
        "test/Conversation_Complex_Reasoning.jsonl",
    }  # fmt: skip
    assert lines(tmp_path / "out/test/RSICD.jsonl")[0]["image"] == "rsicd/1.jpg"


IMPORTED = Origin(kind="llava", files=("elsewhere/talk.jsonl",))


def part(source: str, task: str, split: str) -> ShardEntry:
    path = f"data/{task}/{source}/{split}-00000-of-00001.parquet"
    return ShardEntry(path=path, rows=1, qa_pairs=1, bytes=1, sha256="")


def places(parts: list[tuple[str, str, str]], **origins: Origin) -> dict[str, list[str]]:
    """Sources by the file of the export that they go into, without train.json."""
    return {t.path: [s.source for s in t.shards] for t in targets([part(*p) for p in parts], origins)[1:]}


@pytest.mark.parametrize("name", sorted(TASKS))
def test_an_import_of_the_papers_own_file_has_its_name(name: str) -> None:
    own = Origin(kind="llava", files=("names.txt", f"test/{name}.jsonl"))
    split = "phili" if name.endswith("phili") else "test"
    assert places([("own", TASKS[name], split)], own=own) == {f"test/{name}.jsonl": ["own"]}
    assert places([("own", TASKS[name], "test")], own=own) == {f"test/{name}.jsonl": ["own"]}
    other = next(task for task in rs_gpt4v.TASKS if task not in (TASKS[name], *OF_A_TASK))
    assert places([("own", other, "test")], own=own) == {"test/own.jsonl": ["own"]}  # it is called so by chance
    two = places([("own", TASKS[name], "test"), ("two", TASKS[name], "test")], own=own, two=own)
    assert two == {f"test/{name}.jsonl": ["own"], "test/two.jsonl": ["two"]}


def test_a_source_comes_before_an_import_of_its_file() -> None:
    own = Origin(kind="llava", files=("RSICD.jsonl",))
    mine = Origin(kind="rsicd", files=("dataset_rsicd.json",))
    parts = [("a", "captioning", "test"), ("mine", "captioning", "test")]
    assert places(parts, a=own, mine=mine) == {"test/RSICD.jsonl": ["mine"], "test/a.jsonl": ["a"]}
    parts[1] = ("mine", "captioning", "train")  # it has no test part: the name is free
    assert places(parts, a=own, mine=mine) == {"test/RSICD.jsonl": ["a"]}


@pytest.mark.parametrize(("task", "name"), OF_A_TASK.items())
def test_a_file_named_after_a_task_is_the_papers_own_where_that_is_here(task: str, name: str) -> None:
    parts = [("a", task, "test"), ("b", task, "test")]
    assert places(parts, a=IMPORTED, b=IMPORTED) == {f"test/{name}.jsonl": ["a", "b"]}
    own = Origin(kind="llava", files=(f"{name}.jsonl",))
    assert places(parts, a=IMPORTED, b=own) == {f"test/{name}.jsonl": ["b"], "test/a.jsonl": ["a"]}


PAPERS_LINES = {
    "UCM-Captions": ("captioning", "UCM_captions/imgs/7.tif", "caption", CAPTION, ["a hut .", "a caf\u00e9 ."]),
    "RSVQA_LR": ("vqa", "RSVQA_LR/Images_LR/7.tif", "rural_urban",
                 "Is it a rural or an urban area\nAnswer the question using a single word or phrase.", "rural"),
    "RSVQA_HR_phili": ("vqa", "RSVQA_HR/Data/7.tif", "count",
                       "How many roads?\nAnswer the question using a single word or phrase.", "2392"),
    "DIOR-RSVG": ("grounding", "DIOR-RSVG/JPEGImages-test/7.png", "grounding", "Where is it?", "[0.1, 0.2, 0.3, 0.4]"),
    "Detailed_Description": ("detailed_description", "DIOR-RSVG/JPEGImages-test/7.png", "detail",
                             "What are the key elements in this picture?", "A harbor. it is full."),
    "Conversation_Complex_Reasoning": ("conversation", "DIOR-RSVG/JPEGImages-test/7.png", "conv_complex",
                                       "Why might it be full?", "Rain."),
}  # fmt: skip
"""A line in each form of the paper's test files: task, image, category, text, answer."""


@pytest.mark.parametrize("name", PAPERS_LINES)
def test_the_papers_own_file_comes_back_to_the_byte(name: str, tmp_path: Path) -> None:
    task, image, category, text, answer = PAPERS_LINES[name]
    paths = [image, image.replace("7", "8"), image.replace("7", "10")]
    said = [
        (paths[0], text),
        *([] if category == "caption" else [(paths[0], "And " + text)]),
        *((p, text) for p in paths[1:]),
    ]
    content = "".join(
        json.dumps({"question_id": i, "image": path, "text": asked, "answer": answer, "category": category}) + "\n"
        for i, (path, asked) in enumerate(said)
    )
    root = tmp_path / "paper"
    root.mkdir()
    (root / f"{name}.jsonl").write_text(content)
    for i, path in enumerate(paths):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        Image.open(io.BytesIO(picture(i))).save(root / path)
    (tmp_path / "sources.toml").write_text(
        f'version = "1.0.0"\ndate = "2026-01-01"\n[[source]]\nkind = "llava"\nroot = "paper"\nname = "p"\n'
        f'annotations = "{name}.jsonl"\ntask = "{task}"\nsplit = "{"phili" if "phili" in name else "test"}"\n'
    )
    config = load_config(tmp_path / "sources.toml")
    (line,) = build(config, tmp_path / "made", workers=1).lines
    figures = {"UCM-Captions": (210, 210), "RSVQA_LR": (100, 10004), "RSVQA_HR_phili": (None, None),
               "DIOR-RSVG": (7936, 18677), "Detailed_Description": (613, 613),
               "Conversation_Complex_Reasoning": (613, 3987)}  # fmt: skip
    assert (line.paper_images, line.paper_qa_pairs) == figures[name]
    assert len(absent(config.sources, [line])) == len(paper_lines()) - (line.paper_images is not None)
    export_llava(tmp_path / "made", tmp_path / "out")
    assert texts(tmp_path / "out") == {"train.json", f"test/{name}.jsonl"}
    assert (tmp_path / "out/test" / f"{name}.jsonl").read_text() == content
    for path in paths:
        with Image.open(root / path) as before, Image.open(tmp_path / "out" / path) as after:
            assert (before.format, before.tobytes()) == (after.format, after.tobytes())


def test_a_release_names_the_kinds_of_its_sources(release: Path) -> None:
    sources = json.loads((release / NAME).read_text())["sources"]
    assert {k: sources["rsicd"][k] for k in ("kind", "title", "license")} == {
        "kind": "rsicd", "title": "RSICD", "license": "not stated",
    }  # fmt: skip


def test_captions_of_an_image_are_one_question_with_its_references_in_order(
    make: Callable[..., Path], tmp_path: Path
) -> None:
    said = ["b .", "a .", "b .", "c ."]
    one = row("captioning", "rsicd", "test", 1, picture(1), [("caption", CAPTION, text) for text in said])
    one["conversations"][6]["value"] = "Say it otherwise."
    export_llava(make([one]), tmp_path / "out")
    (line,) = lines(tmp_path / "out/test/RSICD.jsonl")
    assert line["answer"] == ["b .", "a .", "c ."]
    (beside,) = lines(tmp_path / "out/test/RSICD.sidecar.jsonl")
    assert [(p["position"], p.get("question")) for p in beside["pairs"]] == [
        (0, None), (1, None), (3, "Say it otherwise."),
    ]  # fmt: skip


def test_the_sidecar_tells_dialogue_and_turn_and_the_boxes_to_score(make: Callable[..., Path], tmp_path: Path) -> None:
    talk = chat("dior_rsvg", "test", 4, [(0, "conv", "A?", "1"), (0, "conv", "B?", "2"), (1, "complex", "C?", "3")])
    boxes = row("grounding", "dior_rsvg", "test", 5, picture(5), [("grounding", "Where?", "[...]")])
    boxes["objects"] = [thing("hut", 3, 4, 10, 8), thing("tree", 20, 20, 6, 5)]
    boxes["pairs"][0]["objects"] = [1]
    out = tmp_path / "out"
    export_llava(make([talk, boxes]), out)
    beside = lines(out / "test/Conversation_Complex_Reasoning.sidecar.jsonl")
    places = [(b["question_id"], p["dialogue"], p["turn"], p["category"]) for b in beside for p in b["pairs"]]
    assert places == [(0, 0, 0, "conv"), (1, 0, 1, "conv"), (2, 1, 0, "complex")]
    (line,) = lines(out / "test/DIOR-RSVG.sidecar.jsonl")
    assert (line["row"], line["width"], line["height"]) == ("dior_rsvg/test/grounding/5", *tiny_release.SIZE)
    assert line["pairs"][0]["boxes"] == [[20, 20, 26, 25]]
    (facts,) = lines(out / "test/DIOR-RSVG.rows.sidecar.jsonl")
    assert [o["category"] for o in facts["objects"]] == ["hut", "tree"]
    assert facts["license"] == "made for the tests"


def test_the_sample_as_a_whole(release: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    made = export_llava(release, out)
    rows = [r for p in sorted((release / "data").rglob("*.parquet")) for r in pq.read_table(p).to_pylist()]
    content = (out / "train.json").read_text()
    records = json.loads(content)
    assert content == json.dumps(records)
    assert all(list(r) == ["id", "image", "conversations"] for r in records)
    assert len({r["id"] for r in records}) == len(records) == made.files["train.json"]
    assert not (out / STATE).exists()
    train = [r for r in rows if "/train/" in r["id"]]
    assert sum(len(r["conversations"]) for r in records) == sum(len(r["conversations"]) for r in train)
    assert max(len(r["conversations"]) for r in records) == 16, "the sample has dialogues of eight turns"
    for record in records:
        assert record["conversations"][0]["value"].startswith("<image>\n")
        assert [t["value"].count("<image>") for t in record["conversations"]][1:].count(0) + 1 == len(
            record["conversations"]
        )
    for path in (out / "test").glob("*.jsonl"):
        if not path.name.endswith(".sidecar.jsonl"):
            found = lines(path)
            assert [line["question_id"] for line in found] == list(range(len(found)))
            assert all(list(x) == ["question_id", "image", "text", "answer", "category"] for x in found)
    for one in rows:
        path = out / one["image_path"]
        kept, written = Image.open(io.BytesIO(one["image"]["bytes"])), Image.open(path)
        assert written.format == {".jpg": "JPEG", ".tif": "TIFF", ".png": "PNG", ".bmp": "BMP"}[path.suffix.lower()]
        assert np.array_equal(np.asarray(kept), np.asarray(written))
        if written.format == kept.format:
            assert path.read_bytes() == one["image"]["bytes"]
    assert made.images == len({r["image_path"] for r in rows})
    assert any(p.suffix == ".tif" for p in out.rglob("*"))


DIFFER = {"id", "source", "image", "source_sha256", "parent", "window", "crs", "bounds", "rendering"}
"""Not the same after the way back: names, the digest of TIFFs that were written again, where a tile came from."""


def stored(folder: Path) -> dict[str, Row]:
    shards = sorted((folder / "data").rglob("*.parquet"))
    return {r["id"]: r for p in shards for r in pq.read_table(p).to_pylist()}


def original(record: str) -> str:
    """The id that a row had before it was exported and read again."""
    _, split, task, source, image = record.split("/", 4)
    return f"{source}/{split}/{task}/{image}"


def back(folder: Path, files: list[str]) -> Path:
    """A SOURCES.toml that reads exported files, each as a source."""
    path = folder / "back.toml"
    path.write_text('version = "1.0.0"\ndate = "2026-01-01"\n' + "".join(
        f'[[source]]\nkind = "llava"\nname = "back{n}"\nroot = "out"\nannotations = "{file}"\n'
        for n, file in enumerate(files)
    ))  # fmt: skip
    return path


def test_exported_files_come_back_as_they_were(release: Path, tmp_path: Path) -> None:
    made = export_llava(release, tmp_path / "out")
    before = stored(release)
    assert any(p["dialogue"] != n for r in before.values() for n, p in enumerate(r["pairs"])), "several turns"
    again: list[Row] = []
    for spec in load_config(back(tmp_path, list(made.files))).sources:
        again += [rows.row(draft, load_image(draft.image)) for draft in read_source(spec, Tally())]
    table = pa.Table.from_pylist(again, schema=tiny_release.contract())  # as a build stores it, without the disk
    after = {original(r["id"]): r for r in table.to_pylist()}
    assert after.keys() == before.keys()
    for record, one in before.items():
        found = after[record]
        assert {k: v for k, v in found.items() if k not in DIFFER} == {k: v for k, v in one.items() if k not in DIFFER}
        assert found["image"]["bytes"] == one["image"]["bytes"]


def test_an_exported_file_is_built_into_a_sound_release(release: Path, tmp_path: Path) -> None:
    export_llava(release, tmp_path / "out")
    built = build(load_config(back(tmp_path, ["test/hit_uav.jsonl"])), tmp_path / "rs-gpt4v", workers=1,
                  skip_missing=False)  # fmt: skip
    assert not any(gate.count for gate in built.gates)
    before = {record for record in stored(release) if record.startswith("hit_uav/test/")}
    # descriptions and conversations have files of their own
    before = {r for r in before if r.split("/")[2] not in ("detailed_description", "conversation")}
    assert {original(record) for record in stored(built.folder)} == before
    assert {r["license"] for r in stored(built.folder).values()} == {"CC-BY-4.0"}
    assert {r["modality"] for r in stored(built.folder).values()} == {"infrared"}


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
@pytest.mark.parametrize("suffix", [".tif", ".bmp"])
def test_images_are_written_again_with_the_same_pixels(mode: str, suffix: str) -> None:
    base = Image.frombytes("RGB", (23, 9), bytes(range(256)) * 2 + bytes(23 * 9 * 3 - 512))
    image = Image.new("I;16", (23, 9), 3000) if mode == "I;16" else base.convert(mode)
    out = io.BytesIO()
    image.save(out, "PNG")
    content, as_named = in_format(out.getvalue(), suffix)
    with Image.open(io.BytesIO(content)) as again:
        assert np.array_equal(np.asarray(again.convert(mode)), np.asarray(image))
        if mode in ("LA", "I;16") and suffix == ".bmp":
            assert (again.format, as_named) == ("PNG", False), "no BMP has such pixels"
        else:
            assert (again.format, as_named) == ({".tif": "TIFF", ".bmp": "BMP"}[suffix], True)


def test_images_that_pass_through_and_images_that_cannot_be_what_they_are_called() -> None:
    jpeg, png = picture(1), picture(1, "PNG")
    for data, suffix in ((jpeg, ".jpg"), (jpeg, ".jpeg"), (png, ".png"), (png, ""), (png, ".webp")):
        assert in_format(data, suffix) == (data, True)
    assert in_format(png, ".jpg") == (png, False), "a JPEG would change the pixels"
    assert in_format(b"no image", ".tif") == (b"no image", False)
    content, as_named = in_format(jpeg, ".png")
    assert as_named
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(content))), np.asarray(Image.open(io.BytesIO(jpeg))))


def test_rows_that_share_an_image_share_a_file(make: Callable[..., Path], tmp_path: Path) -> None:
    one = row("vqa", "a", "train", 1, picture(1), [("count", "How many?", "1")])
    two = row("captioning", "a", "train", 1, picture(1), [("caption", "Say it.", "A hut.")])
    made = export_llava(make([one, two]), tmp_path / "out")
    assert (made.images, made.missing_images) == (1, 0)
    assert sha((tmp_path / "out/a/1.jpg").read_bytes()) == one["image_sha256"]
    two["image"]["bytes"] = picture(2)
    with pytest.raises(UsageError, match=r"a/1\.jpg is the image_path of a/train/captioning/1 and of a/train/vqa/1"):
        export_llava(make([one, two]), tmp_path / "other")
    assert not (tmp_path / "other" / "train.json").exists()


def test_images_that_a_release_may_not_carry_are_counted(
    make: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [row("vqa", "a", "train", n, picture(n), [("count", "How many?", "1")]) for n in (1, 2, 3)]
    rows[1]["image"] = None
    rows.append({**row("captioning", "a", "train", 3, picture(3), [("caption", "Say it.", "A hut.")]), "image": None})
    release = make(rows)
    assert main(["export", "llava", str(release), str(tmp_path / "out")]) == 0
    said = capsys.readouterr()
    assert said.out.strip() == str(tmp_path / "out")
    assert "wrote train.json: 4 records" in said.err
    assert "wrote 2 images" in said.err
    assert "note: 1 images are not in the release" in said.err
    assert main(["export", "llava", str(release), str(tmp_path / "bare"), "--no-images"]) == 0
    assert {p.suffix for p in (tmp_path / "bare").rglob("*") if p.is_file()} == {".json", ".jsonl"}


ESCAPES = [
    "../x.jpg", "/etc/x.jpg", "a/../../x.jpg", "a//x.jpg", "./x.jpg", "", ".", "a\\..\\x.jpg", "C:/x.jpg", "a\0.jpg",
    "train.json", "test/RSICD.jsonl", "test", "test/RSICD.jsonl/a.jpg", "n/" * 600 + "a.jpg", "a.tmp",
    "n" * 300 + ".jpg", None,
]  # fmt: skip


@pytest.mark.parametrize("path", ESCAPES)
def test_no_path_leads_out_of_the_folder(path: str | None, make: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"row r: image_path is .* expected"):
        image_path(path, "r")
    if path:
        bad = {**row("vqa", "a", "train", 1, picture(1), [("count", "How many?", "1")]), "image_path": path}
        with pytest.raises(UsageError, match="row a/train/vqa/1: image_path is"):
            export_llava(make([bad]), tmp_path / "deep" / "out")
        assert [p.name for p in (tmp_path / "deep").rglob("*")] == ["out", STATE]


def test_a_file_and_a_folder_of_one_name_are_said(make: Callable[..., Path], tmp_path: Path) -> None:
    rows = [row("vqa", "a", "train", n, picture(n), [("count", "How many?", "1")]) for n in (1, 2)]
    rows[0]["image_path"], rows[1]["image_path"] = "x.jpg", "x.jpg/y.jpg"
    with pytest.raises(UsageError, match="is a folder for one image and a file for another"):
        export_llava(make(rows), tmp_path / "out")


def test_only_a_new_or_an_empty_folder_is_filled(make: Callable[..., Path], tmp_path: Path) -> None:
    release = make(tiny_release.draw())
    out = tmp_path / "out"
    out.mkdir()
    export_llava(release, out)
    with pytest.raises(UsageError, match="holds files, expected a new or empty folder"):
        export_llava(release, out)
    (tmp_path / "file").write_text("here")
    with pytest.raises(UsageError, match="file: is a file"):
        export_llava(release, tmp_path / "file")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="link: is a link"):
        export_llava(release, tmp_path / "link")
    with pytest.raises(UsageError, match="lies below a file"):
        export_llava(release, tmp_path / "file" / "out")
    with pytest.raises(UsageError, match="lies in the release"):
        export_llava(release, release / "data" / "out")
    with pytest.raises(UsageError, match=r"holds no manifest\.json"):
        export_llava(out, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_an_interrupted_export_leaves_no_half_file_and_is_finished(
    make: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release, out = make(tiny_release.draw()), tmp_path / "out"
    export_llava(release, tmp_path / "whole")
    real, calls = ImageFiles.add, iter(range(100))

    def stop(self: ImageFiles, row: str, path: str, data: bytes | None) -> None:
        if next(calls) == 4:
            raise KeyboardInterrupt
        real(self, row, path, data)

    with monkeypatch.context() as patch:
        patch.setattr(ImageFiles, "add", stop)
        with pytest.raises(KeyboardInterrupt):
            export_llava(release, out)
    left = {p.name for p in out.rglob("*") if p.is_file()}
    assert left == {STATE, "1.jpg", "2.jpg", "10.jpg", "31.jpg"}
    (out / "alpha" / "2.jpg.99.tmp").write_text("half")
    kept = (out / "alpha" / "1.jpg").stat().st_mtime_ns
    export_llava(release, out)
    assert (out / "alpha" / "1.jpg").stat().st_mtime_ns == kept, "not written again"

    def content(folder: Path) -> dict[str, bytes]:
        return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}

    assert content(out) == content(tmp_path / "whole")


def test_another_release_does_not_go_on_in_an_unfinished_export(
    make: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / STATE).write_text('{"release": "another"}')
    with pytest.raises(UsageError, match="holds files"):
        export_llava(make(tiny_release.draw()), out)


@pytest.mark.parametrize(
    ("number", "said"), [(errno.ENOSPC, "the disk is full"), (errno.EACCES, "cannot be written: Permission denied")]
)
def test_trouble_with_the_disk_is_a_sentence(
    number: int, said: str, make: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(number, "no")

    monkeypatch.setattr(ImageFiles, "_write", full)
    with pytest.raises(UsageError, match=f"out: {said}"):
        export_llava(make(tiny_release.draw()), tmp_path / "out")
    assert {p.name for p in (tmp_path / "out").rglob("*") if p.is_file()} == {STATE}


def test_a_shard_that_cannot_be_read_is_named(make: Callable[..., Path], tmp_path: Path) -> None:
    release = make(tiny_release.draw())
    path = release / tiny_release.CAPTIONS
    content = path.read_bytes()
    path.write_bytes(content[:100])
    with pytest.raises(UsageError, match=r"captioning/alpha/train-.*: cannot be read .*`rs-gpt4v check`"):
        export_llava(release, tmp_path / "out")
    path.write_bytes(content)
    pq.write_table(pq.read_table(path).drop_columns(["pairs", "source_id"]), path)
    with pytest.raises(UsageError, match="has no column source_id, pairs; `rs-gpt4v check`"):
        export_llava(release, tmp_path / "fewer")
    path.unlink()
    with pytest.raises(UsageError, match="cannot be read"):
        export_llava(release, tmp_path / "none")


def break_turns(one: Row) -> None:
    one["conversations"][0]["from"] = "gpt"


def lose_a_pair(one: Row) -> None:
    one["pairs"] = one["pairs"][1:]


def point_nowhere(one: Row) -> None:
    one["pairs"][0]["objects"] = [3]


def lose_all(one: Row) -> None:
    one["conversations"] = None


@pytest.mark.parametrize("damage", [break_turns, lose_a_pair, point_nowhere, lose_all])
def test_a_row_that_is_not_sound_is_named(
    damage: Callable[[Row], None], make: Callable[..., Path], tmp_path: Path
) -> None:
    one = row("vqa", "a", "train", 1, picture(1), [("count", "How many?", "1")])
    damage(one)
    release = tiny_release.write(tmp_path / "rs-gpt4v", [{**one, "conversations": one["conversations"] or []}], mini=[])
    with pytest.raises(UsageError, match=r"row a/train/vqa/1: .*; `rs-gpt4v check` says"):
        export_llava(release, tmp_path / "out")


def test_nulls_where_lists_are_expected_do_no_harm(make: Callable[..., Path], tmp_path: Path) -> None:
    one = row("vqa", "a", "train", 1, picture(1), [("count", "How many?", "1")])
    one["objects"] = one["window"] = one["pairs"][0]["objects"] = None
    export_llava(make([one]), tmp_path / "out")
    assert lines(tmp_path / "out/train.rows.sidecar.jsonl")[0]["objects"] == []


def test_the_command_line_knows_the_form_and_says_what_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", "llava", str(tmp_path), str(tmp_path / "out")]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "holds no manifest.json" in line
    with pytest.raises(SystemExit) as caught:
        main(["export", "parquet", "a", "b"])
    assert caught.value.code == 2


def test_a_long_release_is_streamed(make: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[int] = []
    real = llava._File._write

    def watch(self: Any, item: Any) -> None:
        real(self, item)
        written.append(self.count)

    seen: list[int] = []
    read = llava._rows

    def rows(*words: Any, **more: Any) -> Any:
        for one in read(*words, **more):
            seen.append(len(written))
            yield one

    monkeypatch.setattr(llava._File, "_write", watch)
    monkeypatch.setattr(llava, "_rows", rows)
    export_llava(make(tiny_release.draw()), tmp_path / "out")
    assert seen == sorted(seen)
    assert seen[:4] == [0, 1, 2, 3], "each row is written before the next is read"
