"""From answer files to rows of a release."""

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from rs_gpt4v_conversion.build import build, plan
from rs_gpt4v_conversion.cli import main
from rs_gpt4v_conversion.config import load_config
from rs_gpt4v_conversion.errors import GateError
from rs_gpt4v_conversion.gates import check
from rs_gpt4v_conversion.gpt4v.answers.gathering import INPUTS, gathered
from rs_gpt4v_conversion.gpt4v.prompts import PROMPTS, prompt_text
from rs_gpt4v_conversion.gpt4v.records import STAGES
from rs_gpt4v_conversion.reading import Tally
from rs_gpt4v_conversion.sample import SOURCES
from rs_gpt4v_conversion.sample.generation import SOURCES as ASKED

GENERATED = ("detailed_description", "conversation", "task_planning")


def rows(release: Path, task: str) -> list[dict[str, Any]]:
    paths = sorted((release / "data" / task).glob("*/*.parquet"))
    columns = ["id", "source", "split", "conversations", "pairs", "objects", "modality"]
    return [row for p in paths if p.parent.name in ASKED for row in pq.ParquetFile(p).read(columns=columns).to_pylist()]


def files(release: Path) -> dict[str, bytes]:
    return {str(p.relative_to(release)): p.read_bytes() for p in release.rglob("*") if p.is_file()}


@pytest.fixture
def workplace(sample: Path, tmp_path: Path) -> Path:
    """A SOURCES.toml over one asked source, with its requests and answers; a test may change them."""
    for name in ("requests", "responses"):
        shutil.copytree(sample / name, tmp_path / name)
    root = sample / SOURCES["hit_uav"][0]
    text = f'version = "1.0.0"\ndate = "2026-01-01"\n[[source]]\nkind = "hit_uav"\nroot = "{root}"\n'
    (tmp_path / "sources.toml").write_text(text + '[gpt4v]\nresponses = ["responses/*.jsonl"]\n')
    return tmp_path


def test_a_release_has_rows_of_all_three_tasks(release: Path) -> None:
    for task in GENERATED:
        found = rows(release, task)
        assert {r["source"] for r in found} == set(ASKED), task
        for row in found:
            assert {p["generator"] for p in row["pairs"]} == {"gpt-4o-2024-11-20-stub"}
            assert {p["review"] for p in row["pairs"]} == {"unreviewed"}
            assert row["conversations"][0]["value"].startswith("<image>\n")
            assert len(row["conversations"]) == 2 * len(row["pairs"])
            spoken = [row["objects"][i] for p in row["pairs"] for i in p["objects"]]
            assert not any(o["ignore"] for o in spoken)
    assert {r["modality"] for r in rows(release, "conversation")} == {"optical", "infrared"}


def test_turns_depend_on_each_other_and_reasoning_stands_alone(release: Path) -> None:
    mixed = 0
    for row in rows(release, "conversation"):
        dialogues = Counter((p["category"], p["dialogue"]) for p in row["pairs"])
        talk = [n for (category, _), n in dialogues.items() if category == "conv"]
        assert len(talk) <= 1 and all(5 <= n <= 8 for n in talk)
        assert all(n == 1 for (category, _), n in dialogues.items() if category == "complex")
        mixed += len({p["category"] for p in row["pairs"]}) == 2
    assert mixed


def test_the_release_says_who_wrote_what_and_carries_the_prompts(release: Path) -> None:
    manifest = json.loads((release / "manifest.json").read_text())
    used = manifest["generated"]["used"]
    assert {u["prompt"] for u in used} == {PROMPTS[s].name for s in ("detail", "conversation", "reasoning", "planning")}
    behind = manifest["generated"]["behind"]
    assert {b["prompt"] for b in behind} == {PROMPTS["local"].name, PROMPTS["global"].name}
    for line in (*used, *behind):
        name = f"prompts/{line['prompt'].replace('/', '-')}.md"
        assert name in manifest["files"]
        assert (release / name).read_text() == prompt_text(line["prompt"])
    assert {"refused", "truncated", "schema_error"} & {u["reason"] for u in manifest["generated"]["unfit"]}
    rejects = [json.loads(line) for line in (release / "rejects.jsonl").read_text().splitlines()]
    assert sum(r["stage"] == "gpt4v" for r in rejects) == sum(u["answers"] for u in manifest["generated"]["unfit"])
    assert {f"{stage}-00001.index.jsonl" for stage in STAGES} < manifest["inputs"][INPUTS].keys()
    assert "responses/000001-conversation-00001.jsonl" in manifest["inputs"][INPUTS]
    assert "`gpt4v-conversation/1`" in (release / "README.md").read_text()
    assert not [r for r in check(release) if r.count and r.severity == "error"]


def test_a_plan_counts_what_a_build_makes(sample: Path, release: Path) -> None:
    lines, _ = plan(load_config(sample / "sources.toml"))
    planned = {(x.task, x.source, x.split): (x.images, x.qa_pairs) for x in lines if x.task in GENERATED and x.images}
    counts = json.loads((release / "manifest.json").read_text())["counts"]
    made = {
        (c["task"], c["source"], c["split"]): (c["images"], c["qa_pairs"])
        for c in counts
        if c["task"] in GENERATED and c["images"]
    }
    assert planned == made


def test_answers_in_place_and_imported_ones_give_the_same_release(workplace: Path) -> None:
    config = workplace / "sources.toml"
    build(load_config(config), workplace / "in-place" / "rs-gpt4v")
    assert not (workplace / "requests" / "answers").exists(), "a build writes nothing beside its release"
    assert main(["gpt4v", "import", str(config)]) == 0
    build(load_config(config), workplace / "imported" / "rs-gpt4v")
    in_place, imported = (files(workplace / name / "rs-gpt4v") for name in ("in-place", "imported"))
    # the manifest names the files that were read
    assert {n for n in in_place if in_place[n] != imported.get(n)} == {"manifest.json"}
    assert in_place.keys() == imported.keys()


def test_what_is_no_answer_file_does_not_stop_a_build_and_files_of_one_name_are_both_read(workplace: Path) -> None:
    config = workplace / "sources.toml"
    assert main(["gpt4v", "import", str(config)]) == 0
    answers, other = workplace / "requests" / "answers", workplace / "other"
    (answers / ".reserve").write_bytes(bytes(10))  # of a run that is at work
    (answers / "notes.txt").write_text("mine")
    other.mkdir()
    # by its name it would be one that a run is still writing, whose last line without an end is left for later
    line = '{"custom_id": "nobody", "response": null, "error": {"code": "server_error", "message": "no"}}'
    (other / "run-detail.jsonl").write_text(line)
    (workplace / "responses" / "run-detail.jsonl").write_text(line.replace("nobody", "somebody"))
    responses = 'responses = ["responses/*.jsonl", "other/*.jsonl"]'
    config.write_text(config.read_text().replace('responses = ["responses/*.jsonl"]', responses))
    tally = Tally()
    with gathered(load_config(config), workplace / "view", tally) as ledger:
        assert ledger is not None and ledger.outcomes()[""] == {"unknown_id": 2}
    read = [name for name in tally.inputs[INPUTS] if name.endswith("-run-detail.jsonl")]
    assert len(read) == 2 and all(name.startswith("responses/") for name in read)
    assert not [name for name in tally.inputs[INPUTS] if "notes" in name or "reserve" in name]


def test_more_answers_make_another_release_of_the_same_folder(workplace: Path) -> None:
    config, out = load_config(workplace / "sources.toml"), workplace / "rs-gpt4v"
    planning = workplace / "responses" / "planning-00001.jsonl"
    aside = planning.rename(workplace / "aside")
    build(config, out)
    assert not (out / "data" / "task_planning").exists()
    assert build(config, out).already
    aside.rename(planning)
    assert not build(config, out).already
    assert (out / "data" / "task_planning").exists()


def test_too_many_unfit_answers_stop_a_build(workplace: Path) -> None:
    config = workplace / "sources.toml"
    config.write_text(config.read_text() + "reject_limit = 0.0\n")
    with pytest.raises(GateError, match=r"of the answers of models are unfit, more than the limit of 0%"):
        build(load_config(config), workplace / "rs-gpt4v")


def test_no_answer_yet_is_no_mistake(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(workplace / "responses")
    build(load_config(workplace / "sources.toml"), workplace / "rs-gpt4v")
    assert "there is no such file yet" in capsys.readouterr().err
    assert not (workplace / "rs-gpt4v" / "prompts").exists()


def test_answers_that_no_table_asks_for_are_pointed_at(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = workplace / "sources.toml"
    config.write_text(config.read_text().split("[gpt4v]")[0])
    build(load_config(config), workplace / "rs-gpt4v")
    assert f"no [gpt4v] table, so the answers in {workplace / 'requests'} are not compiled" in capsys.readouterr().err
    assert not (workplace / "rs-gpt4v" / "data" / "conversation").exists()


def test_answers_to_questions_about_other_objects_are_not_used(workplace: Path, sample: Path) -> None:
    """Numbers in an answer mean the objects that its question listed, and these are others now."""
    shutil.copytree(sample / SOURCES["hit_uav"][0], workplace / "changed")
    config = workplace / "sources.toml"
    config.write_text(config.read_text().replace(str(sample / SOURCES["hit_uav"][0]), "changed"))
    _, before = plan(load_config(config))
    for path in (workplace / "changed").rglob("*.json"):
        content = json.loads(path.read_text())
        for mark in content.get("annotations", content.get("annotation", [])):
            if isinstance(mark.get("bbox"), list):
                mark["bbox"][0] += 1
        path.write_text(json.dumps(content))
    _, after = plan(load_config(config))
    assert after.generated.used.total() == 0 < before.generated.used.total()
    assert {reason for _, reason in after.generated.unfit} >= {"annotations_changed"}
    with pytest.raises(GateError, match="annotations_changed"):
        build(load_config(config), workplace / "rs-gpt4v")


def test_an_answer_about_an_image_that_is_not_there_is_noted(workplace: Path) -> None:
    config = workplace / "sources.toml"
    lines = (workplace / "responses" / "detail-00001.jsonl").read_text().splitlines()
    answer = next(line for line in lines if "description" in line)
    (workplace / "responses" / "x.jsonl").write_text(json.dumps({**json.loads(answer), "custom_id": "theirs"}) + "\n")
    (workplace / "responses" / "x.jsonl.map.csv").write_text("id,record,stage\ntheirs,hit_uav/train/nowhere,detail\n")
    _, tally = plan(load_config(config))
    assert tally.notes[INPUTS, "accepted answer about an image that the sources do not have"] >= 1
