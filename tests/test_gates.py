"""Every gate holds on a good release, and fails on one that breaks exactly its promise."""

import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

import rs_gpt4v
import tiny_release
from rs_gpt4v_conversion.errors import UsageError
from rs_gpt4v_conversion.gates import GateResult, as_json, as_text, check, run_gates
from rs_gpt4v_conversion.gates.boxes import box_flaw
from rs_gpt4v_conversion.gates.images import image_flaw
from rs_gpt4v_conversion.release import ReleaseFolder, ShardEntry
from tiny_release import BOXES, CAPTIONS, MINI, QUESTIONS, TESTS, Row, draw, picture, seal, sha

GATES = [
    "manifest", "schema", "readable", "counts", "ids", "conversations", "boxes", "images", "splits",
    "splits known to share images", "index", "mini",
]  # fmt: skip
TALK, BOX = 3, 7  # rows of draw(): the first of vqa/alpha/train, the first of grounding/beta/train
Change = Callable[[list[Row]], object]


def failing(folder: Path, known_overlap: set[str] | None = None, leakage: str = "drop") -> dict[str, GateResult]:
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["sources"] = {name: {"shares_images": True} for name in known_overlap or ()}
    manifest["leakage"] = leakage
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return {r.name: r for r in check(folder) if r.count}


def written(tmp_path: Path, change: Change, **options: Any) -> Path:
    rows = draw()
    change(rows)
    return tiny_release.write(tmp_path / "rs-gpt4v", rows, **options)


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return tiny_release.write(tmp_path / "rs-gpt4v")


def test_a_good_release_passes_every_gate(tiny: Path) -> None:
    results = check(tiny)
    assert as_json(results)["ok"] is True, as_text(results)
    assert [r.name for r in results] == GATES
    assert [r.severity for r in results].count("warning") == 1
    assert not any(r.count or r.ids or r.detail for r in results)
    lines = as_text(results).splitlines()
    assert len(lines) == len(GATES)
    assert all(line.endswith("  ok") for line in lines)
    assert len({len(line) for line in lines}) == 1, "aligned"


def put(number: int, *path: Any, value: Any) -> Change:
    """Change one value of one row."""

    def change(rows: list[Row]) -> None:
        place: Any = rows[number]
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value

    return change


def put_image(number: int, data: bytes, **more: Any) -> Change:
    """Give a row another image and all that depends on it."""

    def change(rows: list[Row]) -> None:
        image = {"bytes": data, "path": "x"}
        rows[number].update(image=image, image_sha256=sha(data), source_sha256=sha(data), **more)

    return change


def turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return picture(50, exif=exif)


def squeezed(kind: str) -> bytes:
    out = io.BytesIO()
    Image.open(io.BytesIO(picture(51))).save(out, kind)
    return out.getvalue()


ROWS: dict[str, tuple[int, Change]] = {
    "ids: lies in": (BOX, put(BOX, "id", value="beta/train/vqa/31")),
    "ids: lies in .*<image id>": (BOX, put(BOX, "id", value="beta/train/grounding/")),
    "ids: lies in .* where ids are beta/train": (BOX, put(BOX, "id", value="other/train/grounding/31")),
    "ids: the id stands in two rows": (BOX, put(BOX + 1, "id", value="beta/train/grounding/31")),
    "conversations: turns are not human and gpt": (TALK, put(TALK, "conversations", 2, "from", value="gpt")),
    "conversations: turns are not human and gpt in": (TALK, put(TALK, "conversations", 0, "from", value=None)),
    "conversations: 28 turns for 15 pairs": (TALK, lambda rows: rows[TALK]["conversations"].__delitem__(slice(28, 30))),
    "conversations: the image tag": (TALK, put(TALK, "conversations", 0, "value", value="How many?")),
    "conversations: the image tag is": (TALK, put(TALK, "conversations", 1, "value", value="2 <image>")),
    "conversations: the image tag is not": (TALK, put(TALK, "conversations", 4, "value", value="<image>\nHow many?")),
    "conversations: a turn is blank": (TALK, put(TALK, "conversations", 5, "value", value=" \n")),
    "conversations: a turn is": (TALK, put(TALK, "conversations", 0, "value", value="<image>\n ")),
    "conversations: a turn": (TALK, put(TALK, "conversations", 3, "value", value=None)),
    "conversations: 'caption' is no category": (TALK, put(TALK, "pairs", 1, "category", value="caption")),
    "conversations: None is no category": (TALK, put(TALK, "pairs", 1, "category", value=None)),
    "conversations: dialogue numbers": (TALK, put(TALK, "pairs", 0, "dialogue", value=1)),
    "conversations: dialogue numbers do": (TALK, put(TALK, "pairs", 4, "dialogue", value=5)),
    "conversations: dialogue numbers do not": (TALK, put(TALK, "pairs", 4, "dialogue", value=2)),
    "conversations: dialogue numbers do not count": (TALK, put(TALK, "pairs", 4, "dialogue", value=None)),
    "conversations: a pair speaks": (BOX, put(BOX, "pairs", 0, "objects", value=[2])),
    "conversations: a pair speaks of": (BOX, put(BOX, "pairs", 0, "objects", value=[0, -1])),
    "conversations: a pair speaks of an": (BOX, put(BOX, "pairs", 0, "objects", value=[None])),
    "boxes: object 1: boxes of 3 and 8": (BOX, put(BOX, "objects", 1, "bbox", value=[1, 2, 3])),
    "boxes: object 1: boxes of 4 and 6": (BOX, put(BOX, "objects", 1, "obb", value=[1, 2, 3, 4, 5, 6])),
    "boxes: object 0: a box that is not of finite": (BOX, put(BOX, "objects", 0, "bbox", 2, value=float("inf"))),
    "boxes: object 0: a box that is not of": (BOX, put(BOX, "objects", 0, "obb", 3, value=float("nan"))),
    "boxes: object 0: a box that is not": (BOX, put(BOX, "objects", 0, "bbox", 3, value=None)),
    "boxes: object 0: bbox .3, 4, 50, 12. in an image of 48x40": (BOX, put(BOX, "objects", 0, "bbox", 2, value=50)),
    "boxes: object 0: bbox .5, 2, 5, 4.": (BOX, put(BOX, "objects", 0, "bbox", value=[5, 2, 5, 4])),
    "boxes: object 0: obb .* without area": (BOX, put(BOX, "objects", 0, "obb", value=[1, 1, 1, 5, 5, 5, 5, 1])),
    "boxes: object 0: obb .* without": (BOX, put(BOX, "objects", 0, "obb", value=[1, 1, 5, 5, 9, 9, 5, 5])),
    "boxes: object 0: obb .* centre is": (BOX, put(BOX, "objects", 0, "obb", value=[47, 1, 60, 1, 60, 9, 47, 9])),
    "images: the digest is another": (TALK, put(TALK, "image_sha256", value="00" * 32)),
    "images: the digest is": (TALK, put(TALK, "image_sha256", value=None)),
    "images: is 48x40, said to be 48x41": (TALK, put(TALK, "height", value=41)),
    "images: is 48x40, said to be Nonex40": (TALK, put(TALK, "width", value=None)),
    "images: an image without bytes": (TALK, put(TALK, "image", value={"bytes": None, "path": "x"})),
    "images: does not decode": (TALK, put_image(TALK, picture(50)[:-200])),
    "images: does not decode: ": (BOX, put_image(BOX, picture(50, "PNG")[:-200])),
    "images: does not decode: cannot": (TALK, put_image(TALK, b"<html>not found</html>")),
    "images: does not decode: cannot identify": (TALK, put_image(TALK, squeezed("TIFF"))),
    "images: has the EXIF orientation 6": (TALK, put_image(TALK, turned())),
}  # fmt: skip


@pytest.mark.parametrize("case", ROWS)
def test_a_wrong_row_fails_its_gate_and_no_other(case: str, tmp_path: Path) -> None:
    number, change = ROWS[case]
    name, detail = case.split(": ", 1)
    rows = draw()
    change(rows)
    folder = tiny_release.write(tmp_path / "rs-gpt4v", rows, mini=[])
    found = failing(folder)
    assert list(found) == [name], found
    assert re.match(detail, found[name].detail), found[name].detail
    assert found[name].count == 1
    assert found[name].ids == (rows[number]["id"],)
    assert found[name].severity == "error"
    assert as_json(list(found.values()))["ok"] is False


NOTHING = {
    "an image that the release may not carry": put(TALK, "image", value=None),
    "a PNG where others are JPEG": put_image(TALK, picture(52, "PNG")),
    "a progressive JPEG": put_image(TALK, picture(52, progressive=True)),
    "two questions that depend on each other": put(TALK, "pairs", 1, "dialogue", value=0),
    "an object without boxes": lambda rows: rows[BOX]["objects"][0].update(bbox=[], obb=[]),
    "digests that are not known": lambda rows: [
        rows[n].update(image=None, image_sha256="", source_sha256=None) for n in (5, -1)
    ],
    "one image in two tasks of one split": lambda rows: None,
}  # fmt: skip


@pytest.mark.parametrize("case", NOTHING)
def test_what_is_allowed_fails_no_gate(case: str, tmp_path: Path) -> None:
    def change(rows: list[Row]) -> None:
        NOTHING[case](rows)
        for later, dialogue in enumerate([0, 0, *range(1, 14)]):
            if case.startswith("two questions"):
                rows[TALK]["pairs"][later]["dialogue"] = dialogue

    assert failing(written(tmp_path, change)) == {}


@pytest.mark.parametrize(
    "column", ["conversations", "pairs", "objects", "width", "image_sha256", "source", "task", "id"]
)
def test_a_null_anywhere_is_a_finding_and_no_traceback(column: str, tmp_path: Path) -> None:
    rows = draw()
    rows[BOX][column] = None
    folder = tiny_release.write(tmp_path / "rs-gpt4v", draw(), mini=[])
    tiny_release.write_shard(folder / BOXES, rows[BOX:])
    found = failing(seal(folder))
    assert found
    assert {"readable", "schema"}.isdisjoint(found)
    if column == "id":
        assert found["ids"].ids[0] == f"{BOXES}, row group 0, row 0"


def test_nulls_within_lists_are_findings_too(tmp_path: Path) -> None:
    def change(rows: list[Row]) -> None:
        rows[TALK]["conversations"][2] = None
        rows[TALK + 1]["pairs"][0] = None
        rows[BOX]["objects"][1] = None

    found = failing(written(tmp_path, change))
    assert set(found) == {"conversations"}
    assert found["conversations"].count == 2


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_an_image_cut_off_anywhere_is_found(kind: str) -> None:
    data = picture(60, kind)
    # the last bytes only end the file: every pixel is there without them
    for length in range(0, len(data) - 24, 97):
        assert "does not decode" in image_flaw(data[:length], tiny_release.SIZE, sha(data[:length])), length
    assert image_flaw(data, tiny_release.SIZE, sha(data)) == ""


def test_a_box_may_leave_its_image_by_a_pixel() -> None:
    assert box_flaw([-1.0, 0.0, 11.0, 10.0], [], 10, 10) == ""
    assert box_flaw([-1.5, 0.0, 11.0, 10.0], [], 10, 10) != ""


def same_image(*numbers: int) -> Change:
    def change(rows: list[Row]) -> None:
        for number in numbers:
            rows[number].update({k: rows[0][k] for k in ("image", "image_sha256", "source_sha256")})

    return change


def test_an_image_in_two_splits_is_an_error_unless_its_source_is_known_for_it(tmp_path: Path) -> None:
    folder = written(tmp_path, same_image(5))
    found = failing(folder)
    assert list(found) == ["splits"]
    assert found["splits"].ids == ("alpha/test/vqa/21",)
    assert found["splits"].detail == "its image is also that of alpha/train/captioning/1"
    known = failing(folder, known_overlap={"alpha"})
    assert [(r.severity, r.ids) for r in known.values()] == [("warning", ("alpha/test/vqa/21",))]
    assert as_json(list(known.values()))["ok"] is True
    assert failing(folder, known_overlap={"beta"}).keys() == {"splits"}


def test_known_overlap_excuses_no_other_source(tmp_path: Path) -> None:
    """Of three rows, two are of the known source: the third, of another, still is in another split than one of them."""
    found = failing(written(tmp_path, same_image(5, BOX)), known_overlap={"alpha"})
    assert found["splits"].ids == ("beta/train/grounding/31",)
    assert found["splits"].detail.endswith("alpha/test/vqa/21")
    assert found["splits known to share images"].ids == ("alpha/test/vqa/21",)


def test_known_overlap_excuses_nothing_between_two_sources_that_both_are_known(tmp_path: Path) -> None:
    def change(rows: list[Row]) -> None:
        rows[5].update({k: rows[BOX][k] for k in ("image", "image_sha256", "source_sha256")})

    folder = written(tmp_path, change)
    assert list(failing(folder, known_overlap={"alpha", "beta"})) == ["splits"]
    only_told = failing(folder, known_overlap={"alpha", "beta"}, leakage="report")
    assert list(only_told) == ["splits known to share images"]


def test_an_image_is_known_again_by_its_sources_digest(tmp_path: Path) -> None:
    def change(rows: list[Row]) -> None:
        rows[5]["source_sha256"] = rows[0]["source_sha256"]

    assert failing(written(tmp_path, change))["splits"].ids == ("alpha/test/vqa/21",)


def test_files_that_are_missing_added_or_changed(tiny: Path) -> None:
    (tiny / "rejects.jsonl").unlink()
    (tiny / "notes.txt").write_text("x")
    (tiny / ".gitattributes").write_text("hidden files are the Hub's")
    (tiny / ".cache").mkdir()
    (tiny / ".cache" / "x").write_text("")
    with (tiny / "CHANGELOG.md").open("a") as file:
        file.write("x")
    card = (tiny / "README.md").read_bytes()
    (tiny / "README.md").write_bytes(card.replace(b"a", b"b", 1))
    found = failing(tiny)
    assert list(found) == ["manifest"]
    assert set(found["manifest"].ids) == {"rejects.jsonl", "notes.txt", "CHANGELOG.md", "README.md"}


def test_a_shard_that_is_not_listed(tiny: Path) -> None:
    (tiny / BOXES.replace("train", "test")).write_bytes((tiny / BOXES).read_bytes())
    assert failing(tiny)["manifest"].ids == (BOXES.replace("train", "test"),)


def test_a_shard_that_is_not_there(tiny: Path) -> None:
    (tiny / BOXES).unlink()
    found = failing(tiny)
    assert {n: r.ids for n, r in found.items()} == {"manifest": (BOXES,), "schema": (BOXES,)}


@pytest.mark.parametrize(
    ("change", "detail"),
    [
        (lambda s: s.remove(s.get_field_index("gsd")), "lacks gsd"),
        (lambda s: s.append(pa.field("more", pa.int8())), "has besides more"),
        (lambda s: s.set(s.get_field_index("gsd"), pa.field("gsd", pa.float64())), "other type gsd"),
        (lambda s: pa.schema([s.field("license"), *[f for f in s if f.name != "license"]]), "other order"),
    ],
)
def test_other_columns_than_the_contracts(change: Callable[[pa.Schema], pa.Schema], detail: str, tiny: Path) -> None:
    tiny_release.write_shard(tiny / BOXES, draw()[BOX:], schema=change(rs_gpt4v.arrow_schema()))
    found = failing(seal(tiny))
    assert list(found) == ["schema"]
    assert found["schema"].ids == (BOXES,)
    assert found["schema"].detail == f"has other columns than the contract: {detail}"


def test_other_counts_than_listed(tiny: Path) -> None:
    manifest = json.loads((tiny / "manifest.json").read_text())
    manifest["shards"][1]["qa_pairs"] += 1
    manifest["shards"][3]["rows"] -= 1
    (tiny / "manifest.json").write_text(json.dumps(manifest))
    found = failing(tiny)
    assert list(found) == ["counts"]
    assert found["counts"].ids == (QUESTIONS, BOXES)
    assert found["counts"].detail == "has 2 rows and 17 pairs, 2 rows and 18 pairs are listed"


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n"


@pytest.mark.parametrize("content", [b"", b"PAR1", POINTER, b"PAR1" + b"\xff" * 500 + b"PAR1"])
def test_a_file_that_is_no_parquet_is_a_finding_and_no_traceback(content: bytes, tiny: Path) -> None:
    for name in (BOXES, "index.parquet", MINI):
        (tiny / name).write_bytes(content)
    found = failing(tiny)
    assert {n: set(r.ids) for n, r in found.items()} == {
        "manifest": {BOXES, "index.parquet", MINI}, "schema": {BOXES, MINI}, "index": {"index.parquet"},
    }  # fmt: skip


def test_a_damaged_shard_is_a_finding_wherever_the_damage_is(tiny: Path) -> None:
    """A hundred bytes are overwritten at a time, over the whole file; nothing is a traceback, all of it is found."""
    whole = (tiny / QUESTIONS).read_bytes()
    for start in range(0, len(whole), 997):
        (tiny / QUESTIONS).write_bytes(whole[:start] + b"\xa5" * 100 + whole[start + 100 :])
        found = failing(tiny)
        assert QUESTIONS in found["manifest"].ids
        as_text(list(found.values()))


def test_a_shard_that_cannot_be_read_to_its_end(tiny: Path) -> None:
    """Its footer is whole: the damage shows when rows are read."""
    text = pq.ParquetFile(tiny / CAPTIONS).metadata.row_group(1).column(0)
    whole = (tiny / CAPTIONS).read_bytes()
    start, size = text.dictionary_page_offset, text.total_compressed_size
    (tiny / CAPTIONS).write_bytes(whole[:start] + b"\xff" * size + whole[start + size :])
    found = failing(seal(tiny))
    assert list(found) == ["readable"]
    assert found["readable"].ids == (CAPTIONS,)
    assert "cannot be read to its end" in found["readable"].detail


def index_with(folder: Path, change: Callable[[list[Row]], object], schema: pa.Schema = tiny_release.INDEX) -> Path:
    lines = pq.read_table(folder / "index.parquet").to_pylist()
    change(lines)
    pq.write_table(pa.Table.from_pylist(lines, schema=schema), folder / "index.parquet")
    return seal(folder)


LINES: dict[str, Change] = {
    "image_offset is": lambda lines: lines[BOX].update(image_offset=lines[BOX]["image_offset"] + 1),
    "image_length is": lambda lines: lines[BOX].update(image_length=lines[BOX]["image_length"] - 1),
    "image_offset is None": lambda lines: lines[BOX].update(image_offset=None, image_length=None),
    "pairs is 3": lambda lines: lines[BOX].update(pairs=3),
    "words is .9.": lambda lines: lines[BOX].update(words=[9]),
    "split is test": lambda lines: lines[BOX].update(split="test"),
    "task is vqa": lambda lines: lines[BOX].update(task="vqa"),
    "source is None": lambda lines: lines[BOX].update(source=None),
    "index.parquet has other in its place": lambda lines: lines[BOX].update(id="other"),
    "is not in index.parquet": lambda lines: lines.pop(BOX),
}


@pytest.mark.parametrize("detail", LINES)
def test_an_index_that_says_otherwise(detail: str, tiny: Path) -> None:
    found = failing(index_with(tiny, LINES[detail]))
    assert list(found) == ["index"]
    assert re.match(detail, found["index"].detail), found["index"].detail
    assert found["index"].count == 1
    assert found["index"].ids == ("beta/train/grounding/31",)


def test_an_index_with_lines_too_many(tiny: Path) -> None:
    def more(lines: list[Row]) -> None:
        lines.insert(3, dict(lines[2], id="ghost", row=1))
        lines.append(dict(lines[-1], id="shade", row=2))
        lines.append(dict(lines[-1], id="stray", shard="data/vqa/x/train-00000-of-00001.parquet"))

    assert set(failing(index_with(tiny, more))["index"].ids) == {"ghost", "shade", "stray"}


def test_an_index_out_of_order(tiny: Path) -> None:
    def swap(lines: list[Row]) -> None:
        lines[0], lines[1] = lines[1], lines[0]

    found = failing(index_with(tiny, swap))
    assert found["index"].ids == ("alpha/train/captioning/1",)
    assert "is not in the order" in found["index"].detail


def test_an_index_with_other_columns(tiny: Path) -> None:
    schema = tiny_release.INDEX
    wide = schema.set(schema.get_field_index("row"), pa.field("row", pa.int64()))
    assert failing(index_with(tiny, lambda lines: None, wide))["index"].ids == ("index.parquet",)
    narrow = schema.remove(schema.get_field_index("words"))
    assert "has no column words" in failing(index_with(tiny, lambda lines: None, narrow))["index"].detail


def test_an_index_may_say_how_many_dialogues_a_row_has(tiny: Path) -> None:
    schema = tiny_release.INDEX
    schema = schema.insert(schema.get_field_index("words"), pa.field("dialogues", pa.int32()))

    def count(lines: list[Row]) -> None:
        for line in lines:
            line["dialogues"] = line["pairs"]  # in this release all pairs are independent

    assert not failing(index_with(tiny, count, schema))
    found = failing(index_with(tiny, lambda lines: lines[BOX].update(dialogues=2), schema))
    assert "dialogues is 2 in index.parquet, expected 1" in found["index"].detail
    assert found["index"].ids == ("beta/train/grounding/31",)


def test_images_that_are_no_byte_ranges(tiny: Path) -> None:
    """Compressed or with a dictionary, a shard is good Parquet, and no random-access store."""
    table = pa.Table.from_pylist(draw()[BOX:], schema=rs_gpt4v.arrow_schema())
    pq.write_table(table, tiny / BOXES, compression="zstd", row_group_size=2)
    found = failing(seal(tiny))
    assert list(found) == ["index"]
    assert found["index"].ids == (BOXES,)
    assert "uncompressed and PLAIN" in found["index"].detail


def test_the_range_is_read_from_the_file_and_not_only_computed(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where page headers and index agree on a wrong place, the bytes there still give it away."""
    real = rs_gpt4v.image_ranges

    def shifted(path: str) -> list[list[tuple[int, int] | None]]:
        return [[place and (place[0] + 1, place[1]) for place in group] for group in real(path)]

    def shift(lines: list[Row]) -> None:
        for line in lines:
            line["image_offset"] = line["image_offset"] and line["image_offset"] + 1

    monkeypatch.setattr(rs_gpt4v, "image_ranges", shifted)
    found = failing(index_with(tiny, shift))
    assert list(found) == ["index"]
    assert found["index"].count == 10
    assert "are not the row's image" in found["index"].detail


@pytest.mark.parametrize(
    ("change", "detail"),
    [
        (put(0, "conversations", 1, "value", value="something else"), "differs from data/captioning"),
        (put_image(0, picture(70)), "differs from data/captioning"),
        (put(0, "image", value={"bytes": picture(70), "path": "x"}), "has other image bytes"),
        (put(0, "id", value="alpha/train/captioning/7"), "has it and data/ does not"),
    ],
)
def test_a_copy_in_mini_that_differs(change: Change, detail: str, tmp_path: Path) -> None:
    copies = draw()[:2]
    change(copies)
    found = failing(tiny_release.write(tmp_path / "rs-gpt4v", mini=copies))
    assert list(found) == ["mini"]
    assert detail in found["mini"].detail
    assert found["mini"].ids == (copies[0]["id"],)


def test_the_build_asks_before_there_is_a_manifest_and_reads_no_image(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shards = [
        ShardEntry(path=s.path, rows=s.rows, qa_pairs=s.qa_pairs, bytes=0, sha256="")
        for s in ReleaseFolder(tiny).shards
    ]
    (tiny / "manifest.json").unlink()
    read: list[set[str]] = []
    real = ReleaseFolder.located

    def noted(self: ReleaseFolder, shard: str, columns: list[str]) -> Any:
        read.append(set(columns))
        return real(self, shard, columns)

    monkeypatch.setattr(ReleaseFolder, "located", noted)
    rows: list[int] = []
    results = run_gates(ReleaseFolder(tiny, shards=shards), images=False, on_progress=rows.append)
    assert [r.name for r in results] == [name for name in GATES if name not in ("manifest", "images")]
    assert not any(r.count for r in results)
    assert sum(rows) == 11
    assert len(read) == 4 + 2
    assert not any("image" in columns for columns in read)


def test_a_bug_in_a_gate_is_a_traceback_and_no_finding(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from rs_gpt4v_conversion.gates import Boxes

    def broken(*_: object) -> None:
        raise KeyError("a bug")

    monkeypatch.setattr(Boxes, "row", broken)
    with pytest.raises(KeyError, match="a bug"):
        check(tiny)


def test_a_hundred_ids_are_given_and_all_are_counted(tmp_path: Path) -> None:
    rows = [
        tiny_release.row("captioning", "alpha", "train", n, picture(n, size=(8, 8)), [("caption", "Say.", "x")])
        for n in range(120)
    ]
    folder = tiny_release.write(tmp_path / "rs-gpt4v", rows, mini=[])  # all say 48x40
    result = failing(folder)["images"]
    assert (result.count, len(result.ids)) == (120, 100)
    text = as_text(check(folder))
    assert "images " in text
    assert "FAILS  120: is 8x8, said to be 48x40" in text
    assert "and 117 more" in text
    gate = next(g for g in json.loads(json.dumps(as_json(check(folder))))["gates"] if g["name"] == "images")
    assert set(gate) == {"name", "severity", "count", "ids", "detail"}


def test_what_is_no_release_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"holds no manifest\.json"):
        check(tmp_path)


def test_gates_are_found_by_the_names_of_their_modules() -> None:
    import rs_gpt4v_conversion.gates as package

    modules = {p.stem for p in Path(str(package.__file__)).parent.glob("[a-z]*.py")}
    assert modules == set(GATES) - {"readable", "splits known to share images"}


def test_splits_and_tests_of_the_tiny_release_are_the_contracts() -> None:
    assert {r["task"] for r in draw()} <= set(rs_gpt4v.TASKS)
    assert TESTS.split("/")[1] in rs_gpt4v.TASKS
