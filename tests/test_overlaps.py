"""Images that sources share: found by name and by pixels, and test images kept out of another source's train."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from PIL import Image

from rs_gpt4v_conversion.build import build, plan
from rs_gpt4v_conversion.config import load_config
from rs_gpt4v_conversion.errors import UsageError
from rs_gpt4v_conversion.gates import check
from rs_gpt4v_conversion.images.pixels import digests_of, shared_pixels
from rs_gpt4v_conversion.overlaps import Appearance, Overlaps, Shared, find, sentence


def row(source: str, split: str, name: str, key: str, origin: str = "") -> Appearance:
    return Appearance(
        task="vqa", source=source, split=split, row_id=f"{source}/{split}/vqa/{name}", pairs=2, origin=origin, key=key,
    )  # fmt: skip


def test_only_other_sources_tests_leak_and_only_into_train() -> None:
    rows = [
        row("a", "train", "1", "x"), row("b", "test", "1", "x"), row("a", "train", "2", "y"),
        row("a", "test", "3", "y"),
        row("b", "train", "4", "z"), row("c", "phili", "1", "z"), row("c", "validation", "5", "x"),
    ]  # fmt: skip
    found = Overlaps()
    find(rows, "name", found)
    assert {i: leak.test for i, leak in found.leaks.items()} == {
        "a/train/vqa/1": ("b", "test"), "b/train/vqa/4": ("c", "phili"),
    }  # fmt: skip
    assert [(s.source, s.split, s.other, s.other_split, s.images) for s in found.shared] == [
        ("a", "train", "b", "test", 1), ("a", "train", "c", "validation", 1), ("b", "test", "c", "validation", 1),
        ("b", "train", "c", "phili", 1),
    ]  # fmt: skip


def test_a_source_that_tests_on_its_own_train_images_keeps_them() -> None:
    """Its official splits are its own matter: only the other source leaves the image out."""
    found = Overlaps()
    find([row("a", "train", "1", "x"), row("a", "test", "2", "x"), row("b", "train", "3", "x")], "name", found)
    assert {i: leak.test for i, leak in found.leaks.items()} == {"b/train/vqa/3": ("a", "test")}


def test_what_names_tell_already_is_not_told_again_by_pixels() -> None:
    found = Overlaps()
    rows = [row("a", "train", "1", "p", "dior/1"), row("b", "test", "1", "p", "dior/1"), row("c", "test", "1", "p")]
    find(rows, "pixels", found)
    assert [(s.source, s.other) for s in found.shared] == [("a", "c"), ("b", "c")]


def test_sentences_say_what_was_done() -> None:
    shared = Shared("a", "train", "b", "test", "pixels", 1200)
    assert sentence(shared, dropped=True) == (
        "1,200 images of a (train) are also in b (test), by decoded pixels: left out of the train split of a"
    )
    one = sentence(Shared("a", "test", "b", "train", "name", 1), dropped=False)
    assert one.startswith("1 image of a (test) is also in b (train)")
    assert one.endswith("kept in the train split of b")
    assert sentence(Shared("a", "train", "b", "train", "name", 1), dropped=True).endswith("by name and provenance")


@pytest.fixture
def two(sample: Path, tmp_path: Path) -> Callable[..., Path]:
    """RSICD, and UCM-Captions with a test image of RSICD's among its own train images, under its own name."""
    for name in ("RSICD", "UCM_captions"):
        shutil.copytree(sample / name, tmp_path / name)
    images = json.loads((tmp_path / "RSICD" / "dataset_rsicd.json").read_text())["images"]
    test = next(i["filename"] for i in images if i["split"] == "test")
    with Image.open(tmp_path / "RSICD" / "RSICD_images" / test) as image:
        image.save(tmp_path / "UCM_captions" / "imgs" / "1.tif")  # decoded: the same pixels in other bytes

    def make(leakage: str = "") -> Path:
        text = f'version = "1.0.0"\ndate = "2026-01-01"\n{leakage}\n'
        for kind, root in (("rsicd", "RSICD"), ("ucm_captions", "UCM_captions")):
            text += f'[[source]]\nkind = "{kind}"\nroot = "{root}"\n'
        path = tmp_path / "sources.toml"
        path.write_text(text)
        return path

    return make


@pytest.mark.parametrize("workers", [1, 2])
def test_a_build_finds_them_by_their_pixels_and_leaves_them_out(
    two: Callable[..., Path], tmp_path: Path, workers: int
) -> None:
    out = tmp_path / "rs-gpt4v"
    built = build(load_config(two()), out, workers=workers, skip_missing=False)
    rejects = [json.loads(line) for line in (out / "rejects.jsonl").read_text().splitlines()]
    leaks = [r for r in rejects if r["stage"] == "leakage"]
    assert {r["id"].split("#")[0] for r in leaks} == {"ucm_captions/train/captioning/1"}
    assert {r["reason"] for r in leaks} == {"image is in the test split of rsicd"}
    (line,) = [x for x in built.lines if (x.source, x.split) == ("ucm_captions", "train")]
    assert line.read_images == line.images + 1
    assert line.read_pairs == line.qa_pairs + len(leaks)
    ids = {r for p in (out / "data").rglob("*.parquet") for r in pq.read_table(p, columns=["id"])["id"].to_pylist()}
    assert "ucm_captions/train/captioning/1" not in ids
    manifest = json.loads((out / "manifest.json").read_text())
    assert [s["found_by"] for s in manifest["shared"]] == ["pixels"]
    assert "left out of the train split of ucm_captions" in (out / "README.md").read_text()
    assert not [g for g in check(out) if g.count]


def test_or_only_reports_them(two: Callable[..., Path], tmp_path: Path) -> None:
    out = tmp_path / "rs-gpt4v"
    built = build(load_config(two('leakage = "report"')), out, workers=1, skip_missing=False)
    assert not [r for r in built.tally.rejects if r.stage == "leakage"]
    assert "kept in the train split of ucm_captions" in (out / "README.md").read_text()
    # the image is another file there, so that its digest as a source file differs, and no gate compares pixels
    assert not [g for g in check(out) if g.count and g.severity == "error"]


def test_another_word_for_it_is_refused(two: Callable[..., Path]) -> None:
    with pytest.raises(UsageError, match="leakage is 'keep', expected 'drop' or 'report'"):
        load_config(two('leakage = "keep"'))


def test_a_plan_finds_them_by_name(two: Callable[..., Path], tmp_path: Path) -> None:
    # the same dataset twice, the second time with the splits turned around
    shutil.copytree(tmp_path / "RSICD", tmp_path / "again")
    path = tmp_path / "again" / "dataset_rsicd.json"
    turned = path.read_text().replace('"split": "train"', '"split": "x"').replace('"split": "test"', '"split": "train"')
    path.write_text(turned.replace('"split": "x"', '"split": "test"'))
    toml = two()
    toml.write_text(toml.read_text() + '[[source]]\nkind = "rsicd"\nname = "again"\nroot = "again"\n')
    lines, tally = plan(load_config(toml))
    counts = {(x.source, x.split): (x.read_images, x.images) for x in lines}
    assert counts["rsicd", "train"][1] == counts["again", "train"][1] == 0
    assert counts["rsicd", "train"][0] == counts["rsicd", "test"][0] + 2
    assert {(s.source, s.split, s.other_split) for s in tally.shared} == {
        ("again", "test", "train"), ("again", "train", "test"), ("again", "validation", "validation"),
    }  # fmt: skip


def test_images_are_decoded_only_where_two_sources_have_their_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, size in (("a", 10), ("b", 10), ("c", 11)):
        Image.new("RGB", (size, size), (1, 2, 3)).save(tmp_path / f"{name}.png")
    (tmp_path / "d.png").write_bytes(b"no image")
    files = {tmp_path / f"{n}.png": frozenset(s) for n, s in {"a": "x", "b": "y", "c": "x", "d": "y"}.items()}
    found = shared_pixels(files, 1, lambda _: None)
    assert set(found) == {tmp_path / "a.png", tmp_path / "b.png"}
    assert len(set(found.values())) == 1


def test_the_digest_is_of_pixels_alone(tmp_path: Path) -> None:
    image = Image.effect_noise((20, 10), 50)
    image.save(tmp_path / "grey.png")
    image.convert("RGB").save(tmp_path / "rgb.tif")
    image.convert("RGB").transpose(Image.Transpose.ROTATE_90).save(tmp_path / "turned.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(tmp_path / "oriented.png", exif=exif)
    names = ("grey.png", "rgb.tif", "turned.png", "oriented.png")
    grey, rgb, turned, oriented = digests_of([tmp_path / n for n in names])
    assert grey == rgb == oriented
    assert turned not in (grey, None)
