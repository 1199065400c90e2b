"""The card: a pure function of its text and of what was counted."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from huggingface_hub import DatasetCard

from rs_gpt4v_conversion.card import PLACEHOLDERS, CardFacts, card_text, make_card
from rs_gpt4v_conversion.config import load_config
from rs_gpt4v_conversion.errors import ConversionError
from rs_gpt4v_conversion.overlaps import Shared
from rs_gpt4v_conversion.paper import Line
from rs_gpt4v_conversion.shards import Shard

GOLDEN = Path(__file__).with_name("golden") / "card.md"


@pytest.fixture
def facts(small: Callable[..., Path]) -> CardFacts:
    def shard(path: str, rows: int) -> Shard:
        return Shard(path=path, rows=rows, qa_pairs=3 * rows, bytes=1000 * rows, sha256="ab" * 32, rejects=())

    line = Line(
        task="captioning", source="rsicd", split="test", read_images=1093, read_questions=1093, read_pairs=3619,
        images=1092, qa_pairs=3618, merged=1846, paper_images=1093, paper_qa_pairs=1093, missing_images=1,
    )  # fmt: skip
    config = load_config(small("rsicd", "rsvqa_hr", version="0.1.0"))
    return CardFacts(
        config=config,
        shards=(
            shard("data/captioning/rsicd/test-00000-of-00001.parquet", 5),
            shard("data/captioning/rsicd/train-00000-of-00002.parquet", 7),
            shard("data/captioning/rsicd/train-00001-of-00002.parquet", 8),
            shard("data/vqa/rsvqa_hr/phili-00000-of-00001.parquet", 9),
            shard("data/vqa/rsvqa_hr/train-00000-of-00001.parquet", 0),
            shard("mini/phili-00000-of-00001.parquet", 2),
        ),
        lines=(line,),
        shared=(Shared("rsicd", "test", "rsivqa", "train", "name", 1093),),
        generated={"used": [], "behind": [], "unfit": []},
        rejects=({"source": "rsicd", "stage": "verify", "reason": "blank caption", "count": 1},),
        features=[{"name": "id", "dtype": "string"}],
        splits=("train", "validation", "test", "phili"),
    )


def test_the_card_is_the_golden_one(facts: CardFacts, request: pytest.FixtureRequest) -> None:
    made = make_card(card_text(), facts)
    if not GOLDEN.exists():
        GOLDEN.parent.mkdir(exist_ok=True)
        GOLDEN.write_text(made)
        pytest.fail(f"{GOLDEN} was made: read it, and commit it")
    assert made == GOLDEN.read_text()


def test_configs_name_only_the_splits_they_have(facts: CardFacts) -> None:
    card = DatasetCard(make_card(card_text(), facts)).data.to_dict()
    splits = {c["config_name"]: [f["split"] for f in c["data_files"]] for c in card["configs"]}
    assert splits == {
        "all": ["train", "test", "phili"], "mini": ["phili"], "captioning": ["train", "test"], "vqa": ["phili"],
        "rsicd": ["train", "test"], "rsvqa_hr": ["phili"],
    }  # fmt: skip
    assert [c["config_name"] for c in card["configs"] if c.get("default")] == ["all"]
    for config in card["configs"]:
        assert config["version"] == "0.1.0"
        assert "sha256" in config["description"]
    counts = {i["config_name"]: sum(s["num_examples"] for s in i["splits"]) for i in card["dataset_info"]}
    assert counts == {"all": 29, "mini": 2, "captioning": 20, "vqa": 9, "rsicd": 20, "rsvqa_hr": 9}


def test_the_yaml_has_no_key_twice(facts: CardFacts) -> None:
    head = make_card(card_text(), facts).split("---\n")[1]
    assert yaml.safe_load(head)["pretty_name"] == "RS-GPT4V"
    top = [line.split(":")[0] for line in head.splitlines() if line[:1].isalpha()]
    assert len(top) == len(set(top))


@pytest.mark.parametrize("name", PLACEHOLDERS)
def test_a_missing_placeholder_is_an_error(name: str, facts: CardFacts) -> None:
    text = card_text().replace("{{ " + name + " }}", "")
    with pytest.raises(ConversionError, match=f"the placeholder {name} is missing"):
        make_card(text, facts)


def test_an_unknown_placeholder_is_an_error(facts: CardFacts) -> None:
    with pytest.raises(ConversionError, match="nothing fills the placeholder sise"):
        make_card(card_text() + "{{ sise }}", facts)


def test_the_card_says_what_is_not_as_it_is_by_default(facts: CardFacts) -> None:
    assert "asks for beside the defaults" not in make_card(card_text(), facts)
    rsicd, hr = facts.config.sources
    sources = (replace(rsicd, limit=500, options={"annotations": "/home/me/x.json"}), replace(hr, max_side=1024))
    card = make_card(card_text(), replace(facts, config=replace(facts.config, sources=sources)))
    asked = card.split("What `SOURCES.toml` asks for beside the defaults:\n\n")[1].split("\n\n")[0]
    assert asked == "- rsicd: limit = 500\n- rsvqa_hr: max_side = 1024"
    assert "/home/me" not in card


def test_the_card_says_who_wrote_what(facts: CardFacts) -> None:
    used = [{"stage": "detail", "prompt": "gpt4v-detail/1", "model": "gpt-4o-2024-11-20", "answers": 1200}]
    behind = [{"stage": "global", "prompt": "gpt4v-global/1", "model": "gpt-4o-2024-11-20", "answers": 1199}]
    unfit = [{"stage": "detail", "reason": "count_mismatch", "answers": 31}]
    card = make_card(card_text(), replace(facts, generated={"used": used, "behind": behind, "unfit": unfit}))
    assert "| global | `gpt4v-global/1` | `gpt-4o-2024-11-20` | 1,199 |" in card
    assert "| detail | `gpt4v-detail/1` | `gpt-4o-2024-11-20` | 1,200 |" in card
    assert "Of the answers that came, these are not used: count_mismatch of detail (31)." in card
    assert "No answer of a model" not in card and "No answer of a model" in make_card(card_text(), facts)


def test_a_line_of_the_paper_that_is_imported_twice_counts_once(facts: CardFacts) -> None:
    rsicd, hr = facts.config.sources
    config = replace(facts.config, sources=(rsicd, replace(rsicd, name="part"), hr))
    (line,) = facts.lines
    part = replace(line, source="part", read_images=5, read_questions=5, read_pairs=20)
    for lines in ((line, part), (part, line)):
        card = make_card(card_text(), replace(facts, config=config, lines=lines))
        assert "All of the paper's lines of test that are here: 1,093 images and 1,093 pairs read" in card
