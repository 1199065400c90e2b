"""What differs between two releases, what the number must say of it, and how the changelog tells it."""

import copy
import dataclasses
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import rs_gpt4v
import tiny_release
from http_server import COMMIT, serving
from rs_gpt4v_conversion.build import build
from rs_gpt4v_conversion.cli import main
from rs_gpt4v_conversion.config import load_config
from rs_gpt4v_conversion.errors import UsageError
from rs_gpt4v_conversion.gates import check
from rs_gpt4v_conversion.sample import SOURCES
from rs_gpt4v_conversion.versions import (
    Diff,
    ReleaseAt,
    as_json,
    as_text,
    changelog,
    check_version,
    compare,
    entry,
    required_bump,
    write_changelog,
)
from rs_gpt4v_conversion.versions.columns import type_text
from rs_gpt4v_conversion.versions.diff import ShardChange
from rs_gpt4v_conversion.versions.rows import Part, RowTables
from tiny_release import BOXES, CAPTIONS, QUESTIONS, TESTS, Row, picture, sha

ROOT = Path(__file__).resolve().parents[1]
GOLDEN = Path(__file__).with_name("golden") / "diff"
Change = Callable[[list[Row]], object]


@cache
def drawn() -> list[Row]:
    return tiny_release.draw()


def rows() -> list[Row]:
    return copy.deepcopy(drawn())


def written(folder: Path, changed: list[Row], version: str = "1.0.0", date: str = "2026-01-01") -> Path:
    """Write a release of rows in any order."""
    order = sorted(changed, key=lambda r: (r["task"], r["source"], r["id"].split("/")[1]))
    tiny_release.write(folder, order)
    return stated(folder, version=version, date=date)


def stated(folder: Path, **facts: Any) -> Path:
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | facts))
    return folder


def diff(old: Path | str, new: Path | str) -> Diff:
    return compare(ReleaseAt(str(old)), ReleaseAt(str(new)))


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("old") / "rs-gpt4v", rows())


@pytest.fixture
def after(old: Path, tmp_path: Path) -> Callable[[Change], Diff]:
    """What differs after a change of the rows."""

    def make(change: Change) -> Diff:
        changed = rows()
        change(changed)
        return diff(old, written(tmp_path / "new", changed, "1.1.0", "2026-02-01"))

    return make


def say(row: Row, text: str) -> None:
    row["conversations"][1]["value"] = text


def repaint(row: Row, seed: int) -> None:
    data = picture(seed)
    row["image"] = {"bytes": data, "path": "other.jpg"}
    row["image_sha256"] = row["source_sha256"] = sha(data)


def move(row: Row, split: str) -> None:
    source, _, rest = row["id"].split("/", 2)
    row["id"] = f"{source}/{split}/{rest}"


# Releases that are built from sources


@pytest.fixture
def root(sample: Path, tmp_path: Path) -> Path:
    """A copy of a drawn source that a test may change."""
    return Path(shutil.copytree(sample / SOURCES["rsicd"][0], tmp_path / "RSICD"))


def built(root: Path, out: Path, version: str = "1.0.0", more: str = "") -> Path:
    toml = out.with_suffix(".toml")
    toml.write_text(f'version = "{version}"\ndate = "2026-01-01"\n[[source]]\nkind = "rsicd"\nroot = "{root}"\n{more}')
    return build(load_config(toml), out, workers=1).folder


def edited(root: Path, change: Callable[[list[dict[str, Any]]], object]) -> None:
    path = root / "dataset_rsicd.json"
    annotations = json.loads(path.read_text())
    change(annotations["images"])
    path.write_text(json.dumps(annotations))


def of_split(images: list[dict[str, Any]], split: str) -> dict[str, Any]:
    return next(image for image in images if image["split"] == split)


def reword(images: list[dict[str, Any]]) -> None:
    of_split(images, "train")["sentences"][0]["raw"] = "a lighthouse stands on a cape ."


def row_ids(folder: Path) -> list[str]:
    return sorted(pq.read_table(folder / "index.parquet", columns=["id"])["id"].to_pylist())


def test_a_caption_changes(root: Path, tmp_path: Path) -> None:
    before = built(root, tmp_path / "old")
    edited(root, reword)
    found = diff(before, built(root, tmp_path / "new", "1.0.1"))
    assert (found.added.count, found.removed.count, found.changed.count) == (0, 0, 1)
    assert found.by_column == {"conversations": 1}
    assert found.changed.ids[0].startswith("rsicd/train/captioning/")
    assert required_bump(found) == "patch"
    assert check_version("1.0.0", "1.0.1", found) is None
    assert found.shards.same >= 1, "shards of the other splits keep their bytes"
    assert found.shards.new == 1


def test_the_bytes_of_an_image_change(root: Path, tmp_path: Path) -> None:
    before = built(root, tmp_path / "old")
    Image.effect_noise((224, 224), 80).convert("RGB").save(next((root / "RSICD_images").glob("*.jpg")), quality=80)
    found = diff(before, built(root, tmp_path / "new", "1.1.0"))
    assert (found.added.count, found.removed.count, found.changed.count) == (0, 0, 1)
    assert found.by_column == {"image_sha256": 1, "source_sha256": 1}
    assert required_bump(found) == "minor"
    assert check_version("1.0.0", "1.0.1", found) == (
        "version 1.0.1 after 1.0.0 says too little: the image of 1 row changed, expected 1.1.0 or higher"
    )


def test_a_row_is_removed(root: Path, tmp_path: Path) -> None:
    before = built(root, tmp_path / "old")
    edited(root, lambda images: images.remove(of_split(images, "train")))
    found = diff(before, built(root, tmp_path / "new", "1.1.0"))
    assert (found.added.count, found.removed.count, found.changed.count) == (0, 1, 0)
    (gone,) = found.removed.ids
    assert sorted([*row_ids(tmp_path / "new"), gone]) == row_ids(before)
    assert required_bump(found) == "minor"
    back = diff(tmp_path / "new", before)
    assert (back.added.ids, back.removed.count) == ((gone,), 0)


def test_a_source_is_added(root: Path, sample: Path, tmp_path: Path) -> None:
    before = built(root, tmp_path / "old")
    more = f'[[source]]\nkind = "ucm_captions"\nroot = "{sample / SOURCES["ucm_captions"][0]}"\n'
    found = diff(before, built(root, tmp_path / "new", "1.1.0", more))
    assert found.added.count == sum(p.new_rows for p in found.parts if p.source == "ucm_captions") > 0
    assert (found.removed.count, found.changed.count, found.shards.gone) == (0, 0, 0)
    assert not found.splits
    assert required_bump(found) == "minor"
    assert "- captioning, ucm_captions, test: 2 rows (a new source)\n" in entry(found)


def test_an_image_moves_to_another_split(root: Path, tmp_path: Path) -> None:
    before = built(root, tmp_path / "old")
    edited(root, lambda images: of_split(images, "test").update(split="train"))
    found = diff(before, built(root, tmp_path / "new", "2.0.0"))
    assert (found.added.count, found.removed.count, found.changed.count, found.moved.count) == (1, 1, 0, 1)
    assert found.moved.ids == ((found.removed.ids[0], found.added.ids[0]),)
    assert dict(found.moved.ways) == {("captioning", "rsicd", "test", "train"): 1}
    assert required_bump(found) == "major"


def test_a_release_built_twice(root: Path, tmp_path: Path) -> None:
    found = diff(built(root, tmp_path / "old"), built(root, tmp_path / "new"))
    assert not found
    assert (found.shards.new, found.shards.gone) == (0, 0)
    assert required_bump(found) == "none"
    assert as_json(found)["version"] == {"required": "none", "problem": None}


# Any two releases

EDITS = ("keep", "keep", "keep", "drop", "text", "image", "hide", "move")


def apply(edits: list[str]) -> list[Row]:
    found = []
    for number, (row, edit) in enumerate(zip(rows(), edits, strict=True)):
        if edit == "text":
            say(row, "Another answer.")
        elif edit == "image":
            repaint(row, 100 + number)
        elif edit == "hide":
            row["image"] = None
        elif edit == "move":
            move(row, "validation")
        if edit != "drop":
            found.append(row)
    return found


def by_id(changed: list[Row]) -> dict[str, Row]:
    return {row["id"]: row for row in changed}


def differing(a: Row, b: Row) -> set[str]:
    """Columns that differ, of the image whether it is there."""
    return {name for name in a if (a[name] != b[name] if name != "image" else (a[name] is None) != (b[name] is None))}


def named(row: Row) -> Row:
    """A row whose image has a name that does not depend on what was done to it."""
    return row if row["image"] is None else row | {"image": row["image"] | {"path": "image.jpg"}}


edits_of_rows = st.lists(st.sampled_from(EDITS), min_size=len(drawn()), max_size=len(drawn()))


@settings(max_examples=12)
@given(edits_of_rows, edits_of_rows)
def test_a_diff_turns_one_release_into_the_other_and_mirrors(first: list[str], second: list[str]) -> None:
    a, b = ([named(row) for row in apply(edits)] for edits in (first, second))
    with tempfile.TemporaryDirectory() as folder:
        old, new = written(Path(folder) / "a", a), written(Path(folder) / "b", b)
        same, there, back = diff(old, old), diff(old, new), diff(new, old)
    assert not same
    assert same.moved.count == 0

    before, now = by_id(a), by_id(b)
    kept = {i: row for i, row in before.items() if i not in {*there.removed.ids, *there.changed.ids}}
    assert kept | {i: now[i] for i in (*there.added.ids, *there.changed.ids)} == now
    assert not before.keys() & set(there.added.ids)
    assert not now.keys() & set(there.removed.ids)
    columns = Counter(c for i in there.changed.ids for c in differing(before[i], now[i]))
    assert dict(there.by_column) == columns
    assert all(differing(before[i], now[i]) for i in there.changed.ids)

    assert (there.added, there.removed, there.changed) == (back.removed, back.added, back.changed)
    assert there.by_column == back.by_column
    assert sorted(there.moved.ids) == sorted((a, b) for b, a in back.moved.ids)
    assert (there.splits.added, there.splits.removed) == (back.splits.removed, back.splits.added)
    assert [(p.old_rows, p.added, p.removed) for p in there.parts] == [
        (p.new_rows, p.removed, p.added) for p in back.parts
    ]
    assert all(p.old_rows + p.added - p.removed == p.new_rows for p in there.parts)
    assert required_bump(there) == required_bump(back)


# Single changes, and what they ask of the number

RULE: list[tuple[str, Change, str]] = [
    ("an answer", lambda r: say(r[0], "Another."), "patch"),
    ("a box", lambda r: r[7]["objects"][0].update(bbox=[1.0, 2.0, 3.0, 4.0]), "patch"),
    ("a licence", lambda r: r[0].update(license="another"), "patch"),
    ("an image", lambda r: repaint(r[0], 77), "minor"),
    ("an image that is there no longer", lambda r: r[0].update(image=None), "minor"),
    ("a row less", lambda r: r.pop(0), "minor"),
    ("a task less", lambda r: r.__delitem__(slice(0, 3)), "minor"),
    ("a source less", lambda r: r.__delitem__(slice(7, 11)), "minor"),
    ("a row in another split", lambda r: move(r[3], "test"), "major"),
    ("a new split", lambda r: r[3].update(id="alpha/validation/vqa/99"), "major"),
    ("a split less", lambda r: r.__delitem__(slice(5, 7)), "major"),
]


@pytest.mark.parametrize(("change", "asked"), [(c, a) for _, c, a in RULE], ids=[name for name, _, _ in RULE])
def test_what_a_change_asks_for(change: Change, asked: str, after: Callable[[Change], Diff]) -> None:
    found = after(change)
    assert required_bump(found) == asked
    good = {"patch": "1.2.4", "minor": "1.3.0", "major": "2.0.0"}
    for number, (bump, version) in enumerate(good.items()):
        right = number >= list(good).index(asked)
        assert (check_version("1.2.3", version, found) is None) == right, bump


def test_one_number_in_two_splits_is_no_move_where_the_images_differ(after: Callable[[Change], Diff]) -> None:
    def change(changed: list[Row]) -> None:
        changed.pop(6)
        move(changed[5], "train")
        repaint(changed[5], 88)
        changed.append(tiny_release.row("vqa", "alpha", "test", 50, picture(50), [("count", "How many?", "2")]))

    found = after(change)
    assert (found.added.count, found.removed.count, found.moved.count) == (2, 2, 0)
    assert required_bump(found) == "minor"


def test_a_row_of_one_id_in_the_file_of_another_split(old: Path, tmp_path: Path) -> None:
    new = Path(shutil.copytree(old, tmp_path / "new"))
    text = (new / "manifest.json").read_text()
    (new / TESTS).rename(new / TESTS.replace("test-", "validation-"))
    (new / "manifest.json").write_text(text.replace(TESTS, TESTS.replace("test-", "validation-")))
    found = diff(old, new)
    assert (found.added.count, found.removed.count, found.changed.count, found.moved.count) == (0, 0, 2, 2)
    assert found.by_column == {"split": 2}
    assert found.moved.ids == tuple((i, i) for i in found.changed.ids)
    assert (found.shards.same, found.shards.new) == (4, 0), "the bytes of the file are the same"
    assert required_bump(found) == "major"
    assert "vqa, alpha: 2 rows from test to validation" in entry(found)


def rewrite(folder: Path, shard: str, change: Callable[[pa.Table], pa.Table]) -> None:
    table = change(pq.read_table(folder / shard))
    pq.write_table(table, folder / shard, compression="none", use_dictionary=False)
    tiny_release.seal(folder)


def test_a_column_added_by_hand(old: Path, tmp_path: Path) -> None:
    new = Path(shutil.copytree(old, tmp_path / "new"))
    for shard in (BOXES, CAPTIONS, QUESTIONS, TESTS):
        rewrite(new, shard, lambda t: t.append_column("cloud", pa.array([0.5] * len(t), pa.float32())))
    found = diff(old, new)
    assert dict(found.schema.added) == {"cloud": "float"}
    assert not found.schema.removed
    assert not found.schema.changed
    assert (found.added.count, found.removed.count, found.changed.count) == (0, 0, 0)
    assert required_bump(found) == "major"
    assert dict(diff(new, old).schema.removed) == {"cloud": "float"}
    stated(new, version="1.1.0")
    assert as_json(diff(old, new))["version"]["problem"] == (
        "version 1.1.0 after 1.0.0 says too little: the columns changed (cloud), expected 2.0.0 or higher"
    )


def test_a_column_of_another_type(old: Path, tmp_path: Path) -> None:
    new = Path(shutil.copytree(old, tmp_path / "new"))
    for shard in (BOXES, CAPTIONS, QUESTIONS, TESTS):
        rewrite(
            new, shard, lambda t: t.set_column(t.schema.get_field_index("width"), "width", t["width"].cast(pa.int64()))
        )
    found = diff(old, new)
    assert dict(found.schema.changed) == {"width": ("int32", "int64")}
    assert found.changed.count == 0, "the values are the same"
    assert "column `width`: int32 became int64" in entry(found)


def test_a_feature_that_gets_lost(old: Path, tmp_path: Path) -> None:
    new = Path(shutil.copytree(old, tmp_path / "new"))
    for shard in (BOXES, CAPTIONS, QUESTIONS, TESTS):
        rewrite(new, shard, lambda t: t.replace_schema_metadata(None))
    changed = dict(diff(old, new).schema.changed)
    assert changed == {"image": ("Image struct<bytes: binary, path: string>", "struct<bytes: binary, path: string>")}


def test_types_in_words() -> None:
    assert type_text(pa.list_(pa.field("x", pa.int32()))) == type_text(pa.list_(pa.int32())) == "list<int32>"
    assert type_text(pa.list_(pa.float32(), 4)) == "list<float, 4>"
    assert type_text(pa.struct([("a", pa.large_list(pa.string()))])) == "struct<a: list<string>>"


# Numbers


@pytest.mark.parametrize(
    ("before", "now", "said"),
    [
        ("1.0.0", "1.0.0", "version 1.0.0 is the number of the earlier release, expected 1.0.1 or higher"),
        ("1.10.0", "1.9.9", "version 1.9.9 is lower than the earlier 1.10.0, expected 1.10.1 or higher"),
        ("1.0.0", "1.0.1", None),
        ("1.9.9", "1.10.0", None),
        ("1.9.9", "2.0.0", None),
    ],
)
def test_a_number_must_be_higher(before: str, now: str, said: str | None, old: Path) -> None:
    assert check_version(before, now, diff(old, old)) == said


@pytest.mark.parametrize("version", ["1.0", "v1.0.0", "01.0.0", ""])
def test_a_version_is_three_numbers(version: str, old: Path) -> None:
    with pytest.raises(UsageError, match=r"expected three numbers such as 1\.0\.0"):
        check_version("1.0.0", version, diff(old, old))


# Texts


def everything(changed: list[Row]) -> None:
    """A change of each kind."""
    say(changed[0], "Another.")
    changed[8]["license"] = "another"
    changed.pop(7)
    move(changed[3], "test")
    extra = [("caption", "Say it.", "A quarry.")]
    changed += [tiny_release.row("captioning", "gamma", "test", n, picture(n), extra) for n in (61, 62)]


def told(after: Callable[[Change], Diff]) -> Diff:
    """Of the sizes of Parquet files each version of pyarrow has its own."""
    shards = ShardChange(same=1, same_bytes=4_096, new=3, new_bytes=123_456, gone=2, gone_bytes=65_536)
    return dataclasses.replace(after(everything), shards=shards)


def golden(name: str, text: str) -> None:
    path = GOLDEN / name
    assert text == path.read_text(), f"{path} holds another text"


def test_the_text_for_people(after: Callable[[Change], Diff]) -> None:
    golden("text.txt", as_text(told(after)) + "\n")


def test_the_changelog(after: Callable[[Change], Diff]) -> None:
    golden("CHANGELOG.md", changelog(entry(told(after)), "# Changelog\n\n## 1.0.0 - 2026-01-01\n\n11 rows.\n"))


def test_a_changelog_holds_a_version_once() -> None:
    first = changelog("## 1.0.0 - 2026-01-01\n\nAs it was.\n", "")
    assert first == "# Changelog\n\n## 1.0.0 - 2026-01-01\n\nAs it was.\n"
    second = changelog("## 1.1.0 - 2026-02-01\n\nMore.\n", first)
    assert second == first.replace("# Changelog\n", "# Changelog\n\n## 1.1.0 - 2026-02-01\n\nMore.\n", 1)
    assert changelog("## 1.1.0 - 2026-02-01\n\nMore.\n", second) == second
    assert changelog("## 1.0.0 - 2026-01-02\n\nAnew.\n", first) == "# Changelog\n\n## 1.0.0 - 2026-01-02\n\nAnew.\n"


def test_the_entry_goes_over_the_earlier_ones(root: Path, tmp_path: Path) -> None:
    before = built(root, tmp_path / "old")
    edited(root, reword)
    new = built(root, tmp_path / "new", "1.0.1")
    for _ in range(2):
        write_changelog(new, ReleaseAt(str(before)))
        text = (new / "CHANGELOG.md").read_text()
        assert text.count("\n## ") == 2
        assert text.index("## 1.0.1") < text.index("changed rows by column: `conversations` 1") < text.index("## 1.0.0")
        assert text.endswith((before / "CHANGELOG.md").read_text().removeprefix("# Changelog\n\n"))
    assert [gate.name for gate in check(new) if gate.count and gate.severity == "error"] == []
    assert (new / "manifest.json").read_bytes() == json_as_built(new)


def json_as_built(folder: Path) -> bytes:
    manifest = json.loads((folder / "manifest.json").read_text())
    return (json.dumps(manifest, indent=2, ensure_ascii=False) + "\n").encode()


# The command


def test_the_command(old: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    changed = rows()
    say(changed[0], "Another.")
    new = written(tmp_path / "new", changed, "1.0.1", "2026-02-01")
    assert main(["diff", str(old), str(new), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    one = "alpha/train/captioning/1"
    assert told["added"] == told["removed"] == {"count": 0, "ids": []}
    assert told["changed"] == {"count": 1, "ids": [one], "by_column": {"conversations": 1}}
    assert told["version"] == {"required": "patch", "problem": None}
    assert main(["diff", str(old), str(new), "--changelog"]) == 0
    assert capsys.readouterr().out == told["changelog"]
    assert main(["diff", str(old), str(new)]) == 0
    out = capsys.readouterr().out
    assert f"changed  1 row: {one}\n" in out
    assert out.endswith("the changes ask for a patch number; 1.0.0 to 1.0.1 is right\n")


def test_the_first_hundred_ids(old: Path, tmp_path: Path) -> None:
    image = picture(1)
    many = [
        tiny_release.row("captioning", "many", "train", n, image, [("caption", "Say it.", str(n))]) for n in range(103)
    ]
    found = as_json(diff(old, written(tmp_path / "new", rows() + many)))["added"]
    assert found["count"] == 103
    assert found["ids"] == sorted(row["id"] for row in many)[:100]


def mistakes(old: Path, tmp_path: Path) -> dict[str, tuple[str, str]]:
    """Folders that cannot be compared, and what is said of them."""
    empty = tmp_path / "empty"
    empty.mkdir()

    def copied(name: str) -> Path:
        return Path(shutil.copytree(old, tmp_path / name))

    later = stated(copied("later"), contract="999.0.0")
    strange = stated(copied("strange"), contract="two")
    lost, cut, other, twice, bare = (copied(n) for n in ("lost", "cut", "other", "twice", "bare"))
    rewrite(lost, CAPTIONS, lambda table: table.slice(1))  # another digest
    (lost / CAPTIONS).unlink()
    say(changed := rows()[0], "Another.")
    tiny_release.write_shard(other / CAPTIONS, [changed])
    tiny_release.seal(other)  # the manifest still lists three rows
    tiny_release.write_shard(twice / CAPTIONS, [changed, changed, rows()[1]])
    tiny_release.seal(twice)
    (cut / CAPTIONS).write_bytes((cut / CAPTIONS).read_bytes()[:-100])
    tiny_release.seal(cut)
    rewrite(bare, CAPTIONS, lambda table: table.drop_columns(["pairs"]))
    return {
        str(empty): ("holds no manifest.json", "expected a release folder"),
        str(later): ("contract 999.0.0", "install a newer rs-gpt4v"),
        str(strange): ("contract is 'two'", "expected three numbers"),
        str(lost): (f"lacks {CAPTIONS}", "manifest.json lists"),
        str(other): (f"{CAPTIONS} holds 1 rows", "expected the 3"),
        str(twice): (f"{CAPTIONS} cannot be read", "an id is there twice"),
        str(cut): (f"{CAPTIONS} cannot be read", "does not end as a Parquet file"),
        str(bare): (f"{CAPTIONS} has no column pairs", "expected a shard of a release"),
        "someone/rs-gpt4v@v1.0.0": ("no such folder", "hf://datasets/someone/rs-gpt4v@v1.0.0"),
        "nothing://x": ("nothing://x: cannot be read", "Protocol not known"),
    }


def test_mistakes_are_a_sentence(old: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for where, said in mistakes(old, tmp_path).items():
        for sides in ([str(old), where], [where, str(old)]):
            assert main(["diff", *sides]) == 2, where
            printed = capsys.readouterr()
            assert printed.out == ""
            line = printed.err.strip().splitlines()[-1]
            assert line.startswith(f"rs-gpt4v: {where}"), line
            for part in said:
                assert part in line


def test_an_earlier_contract_is_compared(old: Path, tmp_path: Path) -> None:
    new = stated(Path(shutil.copytree(old, tmp_path / "new")), contract="0.0.9")
    assert not diff(old, new)


def test_no_row_is_entered_twice(tmp_path: Path) -> None:
    with RowTables(tmp_path, ["text"]) as tables:
        tables.add("old", Part("t", "s", "train"), [{"id": "s/train/t/1", "text": "a"}])
        tables.add("new", Part("t", "s", "train"), [{"id": "s/train/t/1", "text": None}])
        with pytest.raises(KeyError, match="an id is there twice"):
            tables.add("old", Part("t", "s", "test"), [{"id": "s/train/t/1", "text": "a"}])


# Addresses


def test_a_release_over_a_network(old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rs_gpt4v.ShardFile, "TAIL", 100)
    monkeypatch.setattr(rs_gpt4v.ShardFile, "GAP", 0)
    large = [
        tiny_release.row("captioning", "alpha", "train", n, picture(n, "PNG", (300, 300)), [("caption", "Say.", "So.")])
        for n in (1, 2)
    ]
    before = written(tmp_path / "before", large + rows()[3:])
    say(large[0], "Another.")
    now = written(tmp_path / "now", large + rows()[3:], "1.0.1")
    with serving(before) as server:
        found = diff(server.url, now)
        assert found.changed.ids == ("alpha/train/captioning/1",)
        assert {p for p in server.paths if p.endswith(".parquet")} == {f"/{CAPTIONS}"}, "the others are the same"
        sent = sum(r.sent for r in server.requests if r.path.endswith(".parquet"))
        assert sent < 0.1 * sum(len(row["image"]["bytes"]) for row in large)
    assert found == diff(before, now)


def test_a_version_in_a_repository(old: Path, tmp_path: Path) -> None:
    changed = rows()
    changed.pop()
    new = written(tmp_path / "new", changed, "1.1.0")
    with serving(old, hub=True) as hub:
        env = {"HF_ENDPOINT": hub.url, "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1", "HF_HOME": str(tmp_path)}
        paths = os.pathsep.join(str(ROOT / part) for part in (".", "builder", "conversion"))
        command = [sys.executable, "-m", "rs_gpt4v_conversion", "diff", "hf://datasets/me/rs-gpt4v@v1.0.0", str(new)]
        done = subprocess.run(
            [*command, "--json"], env=os.environ | env | {"PYTHONPATH": paths}, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout) == as_json(diff(old, new))
        asked = {path.split("/resolve/")[1].split("/")[0] for path in hub.paths if "/resolve/" in path}
        assert asked <= {"v1.0.0", COMMIT}


def test_an_address_without_a_release(old: Path, tmp_path: Path) -> None:
    with serving(tmp_path) as server, pytest.raises(UsageError, match="expected the address of a release"):
        diff(old, server.url)
