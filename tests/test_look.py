"""The page of rows."""

import shutil
from pathlib import Path

import pytest

from rs_gpt4v_conversion.errors import UsageError
from rs_gpt4v_conversion.look import pick, write_page
from rs_gpt4v_conversion.release import ReleaseFolder


def test_the_choice_shows_every_task_and_source_and_is_stable(release: Path) -> None:
    folder = ReleaseFolder(release)
    ids = pick(folder, 12)
    assert ids == pick(folder, 12)
    assert len(set(ids)) == 12
    assert {i.split("/")[0] for i in ids} == {
        "rsicd", "ucm_captions", "sydney_captions", "rsitmd", "rsvqa_lr", "rsvqa_hr", "hit_uav",
    }  # fmt: skip
    assert len(pick(folder, 10_000)) == folder.index().num_rows


def test_boxes_are_drawn_in_pixels_of_the_image_and_tied_to_answers(release: Path, tmp_path: Path) -> None:
    folder = ReleaseFolder(release)
    record = next(i for i in folder.index()["id"].to_pylist() if i.startswith("hit_uav/train"))
    row = folder.find([record])[record]
    write_page(folder, [record], tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert '<svg viewBox="0 0 640 512">' in page
    assert page.count('class="obb"') == len(row["objects"])
    x, y = row["objects"][0]["obb"][:2]
    assert f'<circle cx="{x:.2f}" cy="{y:.2f}"' in page
    for pair in row["pairs"]:
        assert f'data-objects="{" ".join(map(str, pair["objects"]))}"' in page


def test_text_is_escaped(release: Path, tmp_path: Path) -> None:
    from test_gates import in_row, rewrite

    folder = tmp_path / "rs-gpt4v"
    shutil.copytree(release, folder)
    shard = "data/captioning/rsicd/train-00000-of-00001.parquet"
    rewrite(folder, shard, in_row(("conversations", 1, "value"), "<script>alert(1)</script>"))
    opened = ReleaseFolder(folder)
    record = opened.index().filter([x == shard for x in opened.index()["shard"].to_pylist()])["id"][0].as_py()
    write_page(opened, [record], tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_unknown_ids_are_named_with_a_near_one(release: Path, tmp_path: Path) -> None:
    folder = ReleaseFolder(release)
    record = folder.index()["id"][0].as_py()
    with pytest.raises(UsageError, match=f"no row has the id {record}x; did you mean {record}"):
        write_page(folder, [f"{record}x"], tmp_path / "page.html")
    with pytest.raises(UsageError, match="is no folder to write a page into"):
        write_page(folder, [record], tmp_path / "none" / "page.html")
