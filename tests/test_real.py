"""The official annotation files, where a copy of them is at hand: the paper's figures, exactly."""

import io
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from PIL import Image

from rs_gpt4v_conversion.build import build, plan
from rs_gpt4v_conversion.config import Config, load_config
from shared import shared

KINDS = ("rsicd", "ucm_captions", "sydney_captions", "rsitmd", "rsvqa_lr", "rsvqa_hr", "hit_uav")


@pytest.fixture
def config(tmp_path: Path) -> Config:
    data = shared("realdata")
    lines = ['version = "1.0.0"\ndate = "2026-01-01"']
    lines += [f'[[source]]\nkind = "{kind}"\nroot = "{data / kind}"' for kind in KINDS]
    (tmp_path / "sources.toml").write_text("\n".join(lines))
    return load_config(tmp_path / "sources.toml")


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
