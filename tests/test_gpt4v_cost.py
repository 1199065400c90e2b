"""What requests will cost and answers did: the table of prices, estimates and bills."""

from pathlib import Path

import pytest

from rs_gpt4v_conversion.config import MODEL
from rs_gpt4v_conversion.errors import UsageError
from rs_gpt4v_conversion.gpt4v.answers.ledger import Used
from rs_gpt4v_conversion.gpt4v.asking.costs import as_json, as_rows, billed, expected, load_table
from rs_gpt4v_conversion.gpt4v.asking.tokens import GPT_4O, ImageRule
from rs_gpt4v_conversion.gpt4v.records import Request, Stage, Usage


def request(model: str, stage: Stage = "local") -> Request:
    return Request(
        custom_id=f"{stage}-1", record="s/train/1", stage=stage, prompt=f"{stage}/1", boxes="hbb", model=model,
        image_sha256="", width=1, height=1, round=1, bytes=1, tokens=400_000, answer_tokens=100_000,
    )  # fmt: skip


def test_the_table_that_comes_along_knows_the_model_that_is_asked_by_itself() -> None:
    table = load_table()
    price = table.price(MODEL)
    assert price is not None
    assert price.batch_factor == 0.5
    assert price.date >= "2026-01-01"
    assert table.image_rule(MODEL) == GPT_4O


@pytest.mark.parametrize(
    ("model", "entry"),
    [
        ("gpt-4o", "gpt-4o"),
        ("gpt-4o-2024-11-20", "gpt-4o"),
        ("gpt-4o-mini", "gpt-4o-mini"),
        ("gpt-4o-mini-2024-07-18", "gpt-4o-mini"),
        ("Qwen/Qwen2.5-VL-7B-Instruct", "Qwen/Qwen2.5-VL"),
        # another model, not another version: its price is not guessed
        ("gpt-5-pro", None),
        ("gpt-4", None),
        ("gpt-4ox", None),
        ("gpt-5.9", None),
        ("", None),
    ],
)
def test_a_model_is_found_by_its_name_or_by_that_of_its_versions(model: str, entry: str | None) -> None:
    found = next((m.name for m in load_table().models if m.means(model)), None)
    assert found == entry


OWN = "models:\n  - {{model: gpt-4o, date: 2026-11-01, {}}}\n"


def test_the_users_own_table_comes_first_and_says_what_it_need_not(tmp_path: Path) -> None:
    path = tmp_path / "prices.yaml"
    path.write_text(
        "models:\n"
        "  - {model: gpt-4o, date: 2026-11-01, in: 1, out: 4}\n"
        "  - {model: my-own, date: 2026-11-01, image: {rule: constant, base: 256}}\n"
    )
    table = load_table(path)
    price = table.price("gpt-4o-2024-11-20")
    assert price is not None
    assert (price.date, price.asked, price.cached, price.answered, price.batch_factor) == ("2026-11-01", 1, 1, 4, 1)
    assert table.price("my-own") is None
    assert table.image_rule("my-own-7b") == ImageRule(rule="constant", base=256)
    assert table.image_rule("somebody-elses") == GPT_4O
    assert table.price("gpt-4o-mini") == load_table().price("gpt-4o-mini")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("models: [", "not YAML"),
        ("prices: []", "no list `models`"),
        ("models: [3]", "entry 1: found 3, expected a table with the name of a model"),
        ("models: [{model: m, date: yesterday}]", r"entry 1 \(m\): date is 'yesterday', expected the day"),
        (OWN.format("in: 1"), "`in` and `out` go together"),
        (OWN.format("in: -1, out: 1"), "in is -1, expected a number of at least 0"),
        (OWN.format("in: '1', out: 1"), "in is '1', expected a number"),
        (OWN.format("in: .nan, out: 1"), "in is nan, expected a number"),
        (OWN.format("inn: 1"), "unknown key 'inn'; known: model, date, in"),
        (OWN.format("image: {rule: dots}"), "image.rule is 'dots', expected one of tiles, patches, pixels, constant"),
        (OWN.format("image: {rule: tiles, base: 85}"), "image: tile is missing"),
        (OWN.format("image: {rule: patches, side: 0, most: 9, factor: 1}"), "side is 0, expected at least 1"),
        (OWN.format("image: {rule: constant, base: 1, tile: 2}"), "image: unknown key 'tile'"),
    ],
)
def test_a_table_that_is_wrong_is_refused_with_its_entry(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "prices.yaml"
    path.write_text(text)
    with pytest.raises(UsageError, match=sentence) as caught:
        load_table(path)
    assert str(path) in str(caught.value)


def test_a_table_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"prices\.yaml: cannot be read"):
        load_table(tmp_path / "prices.yaml")


def test_requests_are_added_up_by_stage_and_model_and_priced_live_and_in_batches() -> None:
    table = load_table()
    requests = [request(MODEL), request(MODEL), request("unknown"), request(MODEL, "global")]
    first, second, third = expected(requests, table)
    assert (first.stage, first.model, first.count) == ("local", MODEL, 2)
    assert first.usage == Usage(prompt=800_000, completion=200_000)
    assert first.live == pytest.approx(0.8 * 2.50 + 0.2 * 10.00)
    assert first.batch == pytest.approx(2.0)
    assert (second.model, second.live, second.batch) == ("unknown", None, None)
    assert (third.stage, third.count) == ("global", 1)
    assert as_json([second])[0]["live"] is None
    head, rows = as_rows([first, second], "requests")
    assert dict(zip(head, rows[0], strict=True))["live $"] == "4.00"
    assert dict(zip(head, rows[1], strict=True)) == {
        "stage": "local", "model": "unknown", "requests": "1", "tokens": "400,000", "cached": "0",
        "answer tokens": "100,000", "live $": "?", "batch $": "?", "price of": "no price known",
    }  # fmt: skip


def test_the_bill_counts_cached_tokens_at_their_price_and_says_nothing_of_errors() -> None:
    usage = Usage(prompt=1_000_000, cached=400_000, completion=100_000)
    used = [
        Used(stage="local", model=MODEL, lines=7, usage=usage),
        Used(stage="local", model="", lines=3, usage=Usage()),
    ]
    (cost,) = billed(used, load_table())
    assert cost.count == 7
    assert cost.live == pytest.approx(0.6 * 2.50 + 0.4 * 1.25 + 0.1 * 10.00)
