"""The official annotation files, where a copy of them is at hand: the paper's figures, exactly."""

import io
import json
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from PIL import Image

from rs_gpt4v_conversion.build import build, plan
from rs_gpt4v_conversion.config import Config, load_config
from rs_gpt4v_conversion.reading import Tally, read_source
from shared import shared

KINDS = ("rsicd", "ucm_captions", "sydney_captions", "rsitmd", "rsvqa_lr", "rsvqa_hr", "hit_uav")

MORE: dict[str, dict[str, str]] = {
    "floodnet_vqa": {"root": "floodnet_vqa"},
    "rsivqa": {"root": "rsivqa", "hrrsd_train": "../hrrsd/OPT2017/ImageSets/Main/train.txt"},
    "rsvqaxben": {"root": "rsvqaxben"},
    "rsvg_hr": {"root": "rsvg"},
    "dior": {"root": "dior", "boxes": "obb"},
    "hrrsd": {"root": "hrrsd"},
    "dota": {"root": "dota/example"},
    "nwpu_vhr10": {"root": "nwpu_vhr10"},
    "ssdd": {"root": "ssdd", "annotations": "SSDD.json"},
    "hrsid": {"root": "hrsid", "annotations": "modified/inshore/inshore_test_part.json"},
}
"""Further sources of which real files are at hand, with what their part of SOURCES.toml says."""


def written(tmp_path: Path, tables: dict[str, dict[str, str]]) -> Config:
    data = shared("realdata")
    lines = ['version = "1.0.0"\ndate = "2026-01-01"']
    for kind, keys in tables.items():
        lines += [f'[[source]]\nkind = "{kind}"', f'root = "{data / keys["root"]}"']
        lines += [f'{key} = "{value}"' for key, value in keys.items() if key != "root"]
    (tmp_path / "sources.toml").write_text("\n".join(lines))
    return load_config(tmp_path / "sources.toml")


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return written(tmp_path, {kind: {"root": kind} for kind in KINDS})


def test_every_other_source_with_real_files_is_read(tmp_path: Path) -> None:
    lines, tally = plan(written(tmp_path, MORE))
    images = {(x.source, x.task, x.split): x.read_images for x in lines}
    assert {x.source for x in lines} == set(MORE)
    paper = {x.source: (x.read_images, x.read_pairs) for x in lines if x.paper_images is not None}
    assert paper == {"floodnet_vqa": (1448, 4511), "rsivqa": (5401, 19218)}
    assert all(x.difference.startswith("read as in the paper") for x in lines if x.paper_images is not None)
    assert (images["rsvg_hr", "grounding", "train"], images["rsvg_hr", "grounding", "test"]) == (1381, 371)
    assert (images["ssdd", "vqa", "train"], images["ssdd", "vqa", "test"]) == (928, 232)
    assert images["nwpu_vhr10", "vqa", "train"] == 650
    assert images["dota", "vqa", "train"] == 7
    assert sum(n for (source, task, _), n in images.items() if (source, task) == ("dior", "vqa")) == 64
    assert tally.reasons() == {("rsivqa", "read", "repeats a line of the same image"): 3}


def test_no_and_yes_are_balanced_in_every_source_that_marks_objects(tmp_path: Path) -> None:
    config = written(tmp_path, {kind: MORE[kind] for kind in ("dior", "dota", "nwpu_vhr10")})
    for spec in config.sources:
        answers = Counter(
            pair.answer for draft in read_source(spec, Tally()) for pair in draft.pairs if pair.category == "presence"
        )
        assert answers["yes"] == answers["no"] > 0


def test_what_is_read_is_what_the_paper_counts(config: Config) -> None:
    lines, tally = plan(config)
    found = {(x.source, x.split): x for x in lines}
    for source in ("rsicd", "ucm_captions", "sydney_captions", "rsitmd"):
        line = found[source, "train"]
        assert (line.read_images, line.read_pairs) == (line.paper_images, line.paper_qa_pairs)
        test = found[source, "test"]
        if test.paper_images is not None:
            assert (test.read_images, test.read_questions) == (
                test.paper_images,
                test.paper_qa_pairs,
            )
    kept = {s: (found[s, "train"].images, found[s, "train"].qa_pairs) for s in KINDS[:4]}
    assert kept == {
        "rsicd": (8734, 17810), "ucm_captions": (1680, 7999), "sydney_captions": (497, 2294),
        "rsitmd": (4287, 20092),
    }  # fmt: skip
    assert tally.reasons() == {
        ("rsicd", "verify", "blank caption"): 4,
        ("rsitmd", "verify", "blank caption"): 4,
    }
    for line in lines:
        rejected = [r for r in tally.rejects if (r.source, r.split) == (line.source, line.split)]
        assert line.read_pairs == line.qa_pairs + len(rejected)


def test_a_release_of_the_images_that_are_there(config: Config, tmp_path: Path) -> None:
    out = tmp_path / "rs-gpt4v"
    build(config, out, workers=2, skip_missing=True)
    manifest = json.loads((out / "manifest.json").read_text())
    sources = set()
    for shard in manifest["shards"]:
        for row in pq.read_table(out / shard["path"]).to_pylist():
            sources.add(row["source"])
            image = Image.open(io.BytesIO(row["image"]["bytes"]))
            image.load()
            assert image.size == (row["width"], row["height"])
            for thing in row["objects"]:
                x1, y1, x2, y2 = thing["bbox"]
                assert 0 <= x1 < x2 <= row["width"]
                assert 0 <= y1 < y2 <= row["height"]
    assert sources == set(KINDS) - {"rsitmd"}  # no image of RSITMD is there
