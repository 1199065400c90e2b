"""From sources to a release: right rows, the same bytes whatever happens, nothing lost in silence."""

import errno
import hashlib
import io
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

import rs_gpt4v
from rs_gpt4v_conversion import pool, shards
from rs_gpt4v_conversion import workers as processes
from rs_gpt4v_conversion.build import build
from rs_gpt4v_conversion.config import load_config
from rs_gpt4v_conversion.errors import GateError, UsageError
from rs_gpt4v_conversion.reading import Tally, read_source
from rs_gpt4v_conversion.sources import known_sources


def digests(folder: Path) -> dict[str, str]:
    return {
        p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }


def rows(folder: Path) -> list[dict]:
    return [r for p in sorted((folder / "data").rglob("*.parquet")) for r in pq.read_table(p).to_pylist()]


def make(toml: Path, out: Path, *, workers: int = 1, skip: bool = False):
    return build(load_config(toml), out, workers=workers, skip_missing=skip)


def test_a_release_holds_the_stated_files(release: Path) -> None:
    top = {p.name for p in release.iterdir()}
    assert top == {
        "README.md", "CHANGELOG.md", "manifest.json", "quality.json", "rejects.jsonl",
        "index.parquet", "data", "mini", "prompts",
    }  # fmt: skip
    manifest = json.loads((release / "manifest.json").read_text())
    listed = {s["path"]: s["sha256"] for s in manifest["shards"]}
    listed |= {name: f["sha256"] for name, f in manifest["files"].items()}
    assert listed == {k: v for k, v in digests(release).items() if k != "manifest.json"}


def written_by_a_model(row: dict) -> bool:
    """Rows of the sample's answers: test_gpt4v_build.py looks at them."""
    return row["source"] != "llava" and row["pairs"][0]["generator"] != "annotation"


def test_every_row_is_right(release: Path, sample: Path) -> None:
    found = {r["id"]: r for r in rows(release) if not written_by_a_model(r)}
    drafts = [(spec, d) for spec in load_config(sample / "sources.toml").sources for d in read_source(spec, Tally())]
    assert set(found) == {draft.id for _, draft in drafts}
    for spec, draft in drafts:
        row = found[draft.id]
        assert row["image_sha256"] == hashlib.sha256(row["image"]["bytes"]).hexdigest()
        kept = Image.open(io.BytesIO(row["image"]["bytes"]))
        assert (row["width"], row["height"]) == kept.size
        if not draft.image.window and not draft.image.stretch:
            the_image_is_the_sources_own(row, draft.image.path)
        assert row["source_id"] == draft.image.source_id
        assert row["license"] == spec.source.license
        assert row["modality"] == spec.source.modality
        assert len(row["conversations"]) == 2 * len(row["pairs"])
        assert row["conversations"][0]["value"].startswith("<image>\n")
        assert [t["from"] for t in row["conversations"]] == ["human", "gpt"] * len(row["pairs"])
        for thing, annotated in zip(row["objects"], draft.objects, strict=True):
            assert thing["category"] == annotated.category
            assert np.allclose(thing["bbox"], annotated.bbox, atol=1e-3)
            assert np.allclose(thing["obb"], annotated.obb or (), atol=1e-3)


def the_image_is_the_sources_own(row: dict, path: Path) -> None:
    source = path.read_bytes()
    assert row["source_sha256"] == hashlib.sha256(source).hexdigest()
    kept, original = Image.open(io.BytesIO(row["image"]["bytes"])), Image.open(io.BytesIO(source))
    assert np.array_equal(np.asarray(kept), np.asarray(original))
    if original.format == "JPEG":
        assert row["image"]["bytes"] == source


def test_captions_and_questions_have_the_papers_words(release: Path) -> None:
    for row in rows(release):
        if row["source"] == "llava" or written_by_a_model(row):
            continue  # words of others
        for turn, pair in zip(row["conversations"][::2], row["pairs"], strict=True):
            text = turn["value"].removeprefix("<image>\n")
            if row["task"] == "captioning":
                assert text == "Provide a one-sentence caption for this remote sensing image."
            elif row["task"] == "vqa":
                assert text.endswith("\nAnswer the question using a single word or phrase.")
            assert pair["generator"] == "annotation"
            assert pair["review"] == "unreviewed"
        assert [p["dialogue"] for p in row["pairs"]] == list(range(len(row["pairs"])))


def test_the_books_balance(release: Path) -> None:
    manifest = json.loads((release / "manifest.json").read_text())
    rejects = [json.loads(line) for line in (release / "rejects.jsonl").read_text().splitlines()]
    assert {"id", "source", "stage", "reason"} <= set(rejects[0])
    by_source = Counter(r["source"] for r in rejects)
    for source, stages in manifest["stages"].items():
        read, kept = stages[0]["read"], stages[-1]["kept"]
        assert read == kept + by_source[source]
        assert kept == sum(s["qa_pairs"] for s in manifest["shards"] if f"/{source}/" in s["path"])


def test_the_index_gives_every_image(release: Path) -> None:
    index = pq.read_table(release / "index.parquet").to_pylist()
    assert [line["id"] for line in index] == [
        r["id"]
        for s in json.loads((release / "manifest.json").read_text())["shards"]
        for r in pq.read_table(release / s["path"], columns=["id"]).to_pylist()
    ]
    for line in index:
        with (release / line["shard"]).open("rb") as file:
            file.seek(line["image_offset"])
            image = file.read(line["image_length"])
        group = pq.ParquetFile(release / line["shard"]).read_row_group(line["row_group"])
        row = group.slice(line["row"], 1).to_pylist()[0]
        assert row["id"] == line["id"]
        assert row["image"]["bytes"] == image
        assert line["pairs"] == len(row["pairs"]) == len(line["words"])
        assert line["dialogues"] == len({pair["dialogue"] for pair in row["pairs"]})
    assert any(1 == line["dialogues"] < line["pairs"] for line in index)
    assert any(line["dialogues"] > 1 for line in index)


def test_the_settings_of_the_files(release: Path) -> None:
    for path in (release / "data").rglob("*.parquet"):
        file = pq.ParquetFile(path)
        assert file.schema_arrow.equals(rs_gpt4v.arrow_schema(), check_metadata=False)
        assert b"huggingface" in file.schema_arrow.metadata
        for g in range(file.num_row_groups):
            group = file.metadata.row_group(g)
            for i in range(group.num_columns):
                column = group.column(i)
                image = column.path_in_schema == "image.bytes"
                assert column.compression == ("UNCOMPRESSED" if image else "ZSTD")
                assert column.has_offset_index


def test_the_number_of_workers_and_the_place_do_not_change_a_byte(sample: Path, release: Path, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere"
    shutil.copytree(sample, moved)
    out = tmp_path / "rs-gpt4v"
    make(moved / "sources.toml", out, workers=2)
    assert digests(out) == digests(release)


def test_rows_lie_in_the_natural_order_of_their_images(release: Path) -> None:
    for path in (release / "data" / "captioning" / "ucm_captions").glob("*.parquet"):
        numbers = [int(r["id"].rsplit("/", 1)[1]) for r in pq.read_table(path, columns=["id"]).to_pylist()]
        assert numbers == sorted(numbers)


def test_building_again_leaves_a_whole_release_alone(small: Callable[..., Path], tmp_path: Path) -> None:
    toml, out = small("rsicd"), tmp_path / "rs-gpt4v"
    make(toml, out)
    before = {p: p.stat().st_mtime_ns for p in out.rglob("*") if p.is_file()}
    assert make(toml, out).already
    assert before == {p: p.stat().st_mtime_ns for p in out.rglob("*") if p.is_file()}


def test_an_image_that_was_mended_gets_into_a_whole_release(sample: Path, tmp_path: Path) -> None:
    shutil.copytree(sample / "RSICD", tmp_path / "RSICD")
    toml, out = tmp_path / "sources.toml", tmp_path / "rs-gpt4v"
    toml.write_text('version = "1.0.0"\ndate = "2026-01-01"\n[[source]]\nkind = "rsicd"\nroot = "RSICD"\n')
    image = min((tmp_path / "RSICD" / "RSICD_images").iterdir())
    content = image.read_bytes()
    make(toml, tmp_path / "sound")
    image.write_bytes(b"no image")
    make(toml, out)
    assert digests(out) != digests(tmp_path / "sound")
    image.write_bytes(content)
    os.utime(image, (0, 0))  # as an archive or a server has it
    assert not make(toml, out).already
    assert digests(out) == digests(tmp_path / "sound")


def test_a_release_of_another_version_of_this_program_is_made_anew(
    small: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toml, out = small("rsicd"), tmp_path / "rs-gpt4v"
    make(toml, out)
    monkeypatch.setattr("rs_gpt4v_conversion.build.version", lambda _: "99.0.0")
    assert not make(toml, out).already


def test_a_damaged_release_is_finished_again(small: Callable[..., Path], tmp_path: Path) -> None:
    toml, out = small("rsicd"), tmp_path / "rs-gpt4v"
    make(toml, out)
    before = digests(out)
    (out / "index.parquet").unlink()
    next((out / "data").rglob("train-*.parquet")).write_bytes(b"PAR1")
    assert not make(toml, out).already
    assert digests(out) == before


def test_a_disk_that_fills_up_loses_nothing(
    small: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toml, out, whole = (
        small("rsicd", "ucm_captions"),
        tmp_path / "rs-gpt4v",
        tmp_path / "whole" / "rs-gpt4v",
    )
    make(toml, whole)
    writes = 0
    real = pool.write_shard

    def failing(plan: shards.ShardPlan, folder: Path) -> shards.Shard:
        nonlocal writes
        writes += 1
        if writes == 3:
            with shards.completed(folder / plan.path) as temporary:
                temporary.write_bytes(b"half")
                raise OSError(errno.ENOSPC, "No space left on device")
        return real(plan, folder)

    monkeypatch.setattr(pool, "write_shard", failing)
    with pytest.raises(UsageError, match="the disk is full; nothing is lost"):
        make(toml, out)
    assert not (out / "manifest.json").exists()
    assert not list(out.rglob("*.tmp"))
    done = {p: p.stat().st_mtime_ns for p in (out / "data").rglob("*.parquet")}
    assert len(done) == 2
    make(toml, out)
    assert done == {p: p.stat().st_mtime_ns for p in done}, "finished shards are not written again"
    assert digests(out) == digests(whole)


def begun_build(toml: Path, out: Path, receipts: int) -> "subprocess.Popen[str]":
    """A build in a process group of its own, in the midst of its work: so many shards are finished."""
    root = Path(__file__).resolve().parents[1]
    paths = os.pathsep.join(map(str, (root, root / "conversion", root / "builder")))
    words = ["-m", "rs_gpt4v_conversion", "build", str(toml), str(out), "--workers", "2"]
    process = subprocess.Popen(
        [sys.executable, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True, env=os.environ | {"PYTHONPATH": paths},
    )  # fmt: skip
    folder = out / ".build" / "receipts"
    while not folder.exists() or len(list(folder.glob("*.json"))) < receipts:
        time.sleep(0.01)
        assert process.poll() is None, process.communicate()
    return process


@pytest.mark.parametrize("receipts", [0, 5])
def test_a_killed_build_is_finished_to_the_same_bytes(
    receipts: int, sample: Path, release: Path, tmp_path: Path
) -> None:
    out = tmp_path / "rs-gpt4v"
    process = begun_build(sample / "sources.toml", out, receipts)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert not (out / "manifest.json").exists()
    finished = {p: p.stat().st_mtime_ns for p in (out / "data").rglob("*.parquet")}
    receipted = {p.name.removesuffix(".json").replace("~", "/") for p in (out / ".build" / "receipts").glob("*.json")}
    make(sample / "sources.toml", out)
    assert digests(out) == digests(release)
    again = [p for p, t in finished.items() if p.stat().st_mtime_ns != t]
    assert not [p for p in again if p.relative_to(out).as_posix() in receipted], "finished shards are not written again"


def test_an_interrupted_build_says_so_and_goes_on(sample: Path, release: Path, tmp_path: Path) -> None:
    out = tmp_path / "rs-gpt4v"
    process = begun_build(sample / "sources.toml", out, 0)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130, said
    assert said.strip().splitlines()[-1].startswith("rs-gpt4v: interrupted")
    assert "Traceback" not in said
    make(sample / "sources.toml", out)
    assert digests(out) == digests(release)


def test_a_worker_that_is_killed_stops_the_build_with_a_sentence(
    small: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rs_gpt4v_conversion.errors import ConversionError

    killed = False
    real = processes.wait

    def kill_one(*args: object, **options: object):
        nonlocal killed
        if not killed:
            killed = True
            children = multiprocessing.active_children()
            os.kill(children[0].pid, signal.SIGKILL)
        return real(*args, **options)

    monkeypatch.setattr(processes, "wait", kill_one)
    with pytest.raises(ConversionError, match="a worker process was killed"):
        make(small("rsicd", "ucm_captions"), tmp_path / "rs-gpt4v", workers=2)


def broken_rsicd(sample: Path, tmp_path: Path) -> tuple[Path, list[str]]:
    """A copy of RSICD of which some images are broken, each in its own way."""
    root = tmp_path / "RSICD"
    shutil.copytree(sample / "RSICD", root)
    names = [i["filename"] for i in json.loads((root / "dataset_rsicd.json").read_text())["images"]]
    images = root / "RSICD_images"
    (images / names[0]).write_bytes(b"")
    (images / names[1]).write_bytes((images / names[1]).read_bytes()[:2000])
    (images / names[2]).write_bytes(b"<html>not found</html>")
    toml = tmp_path / "broken.toml"
    toml.write_text(
        'version = "1.0.0"\ndate = "2026-01-01"\n[[source]]\nkind = "rsicd"\nroot = "RSICD"\nreject_limit = 0.9\n'
    )
    return toml, [Path(n).stem for n in names]


def test_images_that_are_no_images_are_rejects_with_reasons(sample: Path, tmp_path: Path) -> None:
    toml, names = broken_rsicd(sample, tmp_path)
    out = tmp_path / "rs-gpt4v"
    built = make(toml, out)
    rejects = [json.loads(line) for line in (out / "rejects.jsonl").read_text().splitlines()]
    reasons = {r["id"].rsplit("/", 1)[1].split("#")[0]: r["reason"] for r in rejects if r["stage"] == "image"}
    assert reasons == dict(zip(names[:3], ["image is empty", "image is truncated", "not an image"], strict=True))
    assert {Path(r["source_id"]).stem for r in rows(out)} == set(names[3:])
    stages = built.manifest["stages"]["rsicd"]
    assert stages[0]["read"] == stages[-1]["kept"] + len(rejects)


def test_too_many_rejects_stop_the_build(sample: Path, tmp_path: Path) -> None:
    toml, _ = broken_rsicd(sample, tmp_path)
    toml.write_text(toml.read_text().replace("0.9", "0.1"))
    with pytest.raises(GateError, match=r"rsicd: .* pairs rejected, more than the limit of 10%"):
        make(toml, tmp_path / "rs-gpt4v")


def test_missing_images_are_an_error_or_are_counted(sample: Path, tmp_path: Path) -> None:
    root = tmp_path / "RSICD"
    shutil.copytree(sample / "RSICD", root)
    gone = sorted((root / "RSICD_images").iterdir())[:3]
    for path in gone:
        path.unlink()
    toml = tmp_path / "s.toml"
    toml.write_text('version = "1.0.0"\ndate = "2026-01-01"\n[[source]]\nkind = "rsicd"\nroot = "RSICD"\n')
    with pytest.raises(UsageError, match=r"rsicd: 3 images are not there, for example .*--missing-images skip"):
        make(toml, tmp_path / "rs-gpt4v")
    built = make(toml, tmp_path / "rs-gpt4v", skip=True)
    assert sum(line.missing_images for line in built.lines) == 3
    assert len(rows(tmp_path / "rs-gpt4v")) == 5
    assert not [r for r in built.tally.rejects if r.stage == "image"]


def test_an_image_of_another_size_than_annotated_is_rejected(sample: Path, tmp_path: Path) -> None:
    root = tmp_path / "HIT-UAV"
    shutil.copytree(sample / "HIT-UAV", root)
    image = sorted((root / "rotate_json" / "train").iterdir())[0]
    Image.open(image).resize((320, 256)).save(image)
    toml = tmp_path / "s.toml"
    toml.write_text('version = "1.0.0"\ndate = "2026-01-01"\n[[source]]\nkind = "hit_uav"\nroot = "HIT-UAV"\n')
    built = make(toml, tmp_path / "rs-gpt4v")
    reasons = {(r.reason, r.detail) for r in built.tally.rejects}
    assert reasons == {("image is not of the annotated size", "320x256 instead of 640x512")}


def test_an_image_listed_twice_is_kept_once(sample: Path, tmp_path: Path) -> None:
    root = tmp_path / "RSICD"
    shutil.copytree(sample / "RSICD", root)
    path = root / "dataset_rsicd.json"
    content = json.loads(path.read_text())
    content["images"].append(content["images"][0])
    path.write_text(json.dumps(content))
    toml = tmp_path / "s.toml"
    toml.write_text('version = "1.0.0"\ndate = "2026-01-01"\n[[source]]\nkind = "rsicd"\nroot = "RSICD"\n')
    built = make(toml, tmp_path / "rs-gpt4v")
    assert {r.reason for r in built.tally.rejects} >= {"image listed twice"}
    ids = [r["id"] for r in rows(tmp_path / "rs-gpt4v")]
    assert len(ids) == len(set(ids)) == 8


def test_limit_chooses_the_same_images_whatever_else_is_there(small: Callable[..., Path], tmp_path: Path) -> None:
    three = make(small("rsicd", more="limit = 3"), tmp_path / "3" / "rs-gpt4v")
    five = make(small("rsicd", more="limit = 5"), tmp_path / "5" / "rs-gpt4v")
    assert sum(s["rows"] for s in three.manifest["shards"]) == 3
    assert {r["id"] for r in rows(three.folder)} < {r["id"] for r in rows(five.folder)}


def test_folders_that_may_not_be_built_in(small: Callable[..., Path], tmp_path: Path) -> None:
    toml = small("rsicd")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").write_text("x")
    with pytest.raises(UsageError, match="holds files and is no release"):
        make(toml, tmp_path / "other")
    with pytest.raises(UsageError, match="is a file, expected a folder"):
        make(toml, tmp_path / "other" / "thesis.tex")
    with pytest.raises(UsageError, match="may not be called rs_gpt4v"):
        make(toml, tmp_path / "rs_gpt4v")
    make(toml, tmp_path / "rs-gpt4v")
    with pytest.raises(UsageError, match=r"holds version 1\.0\.0, and .* says 1\.1\.0"):
        make(small("rsicd", version="1.1.0"), tmp_path / "rs-gpt4v")
    (tmp_path / "rs-gpt4v" / "manifest.json").write_text("{")
    with pytest.raises(UsageError, match="does not say which version"):
        make(toml, tmp_path / "rs-gpt4v")


def test_a_second_build_in_the_same_folder_is_refused(small: Callable[..., Path], tmp_path: Path) -> None:
    from rs_gpt4v_conversion.out import opened

    config = load_config(small("rsicd"))
    out = tmp_path / "rs-gpt4v"
    with opened(out, config), pytest.raises(UsageError, match="another build is at work"):
        build(config, out, workers=1, skip_missing=False)
    build(config, out, workers=1, skip_missing=False)


def test_a_folder_that_may_not_be_written_is_named(
    small: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    toml = small("rsicd")
    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(UsageError, match="cannot be written: Permission denied"):
        make(toml, tmp_path / "rs-gpt4v")


def test_known_sources_are_found_by_name() -> None:
    assert list(known_sources()) == sorted(known_sources())
