"""Rows cut into sheets: each dialogue once, nothing asked twice, nothing too long; and the samples made of them."""

import io
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from rs_gpt4v_builder.errors import RowError
from rs_gpt4v_builder.text.dialogues import (
    FEATURES,
    Dialogue,
    estimated_sheets,
    read_text,
    select,
    sheets,
    whole_bound,
)
from rs_gpt4v_builder.text.estimate import _KNOWN, estimate_tokens
from rs_gpt4v_builder.text.tokenizer import LlamaTokenizer, load_tokenizer
from shared import shared

Row = dict[str, Any]

QUESTIONS = st.sampled_from(["Is there a ship?", "Is there a car?", "Count.", " Count. ", "Where?", "x" * 30])
ANSWERS = st.sampled_from(["yes", "no", "[0.1, 0.2]", "y" * 40])
TURNS = st.lists(st.tuples(QUESTIONS, ANSWERS, st.integers(0, 5)), min_size=1, max_size=12)


def row(pairs: Sequence[tuple[str, str, int]], *, tag: bool = True) -> Row:
    messages = []
    for number, (question, answer, _) in enumerate(pairs):
        text = f"<image>\n{question.strip()}" if tag and not number else question
        messages += [{"from": "human", "value": text}, {"from": "gpt", "value": answer}]
    return {
        "id": "a/train/vqa/1",
        "image": {"bytes": b"", "path": None},
        "conversations": messages,
        "pairs": [
            {"category": "presence", "dialogue": number, "template": f"t{n}"} for n, (*_, number) in enumerate(pairs)
        ],
        "width": 5,
    }


def spoken(dialogue: Dialogue) -> list[tuple[str, str]]:
    """What is said; at the head of a sample outer spaces go, as in the original."""
    return [(turn.role, turn.value.strip()) for turn in dialogue.turns]


def letters(dialogue: Dialogue, first: bool) -> int:
    return sum(len(turn.value) for turn in dialogue.turns) + (20 if first else 3)


@given(pairs=TURNS, budget=st.integers(1, 300))
def test_sheets_hold_each_dialogue_once_and_are_as_full_as_they_can_be(pairs: Any, budget: int) -> None:
    text = read_text(row(pairs))
    made = list(sheets(text, budget, letters))
    assert sorted(number for sheet in made for number in sheet) == list(range(len(text.dialogues)))
    assert [sheet[0] for sheet in made] == sorted(sheet[0] for sheet in made)
    seen: set[int] = set()
    for sheet in made:
        assert list(sheet) == sorted(sheet)
        dialogues = [text.dialogues[number] for number in sheet]
        assert len(set.union(*(one.questions() for one in dialogues))) == sum(len(one.questions()) for one in dialogues)
        size = sum(letters(one, not place) for place, one in enumerate(dialogues))
        assert size <= budget or len(sheet) == 1
        asked = set.union(*(one.questions() for one in dialogues))
        # what was passed over asks the same, or would not have fitted
        late = [
            n
            for n in range(len(text.dialogues))
            if n not in seen | set(sheet) and not text.dialogues[n].questions() & asked
        ]
        assert not late or size + letters(text.dialogues[late[0]], False) > budget
        seen |= set(sheet)


def test_captions_that_answer_one_question_are_a_sheet_each() -> None:
    text = read_text(row([("Describe.", f"{n}", n) for n in range(4)]))
    assert estimated_sheets(text, 2048) == [(0,), (1,), (2,), (3,)]


def test_a_row_is_cut_where_the_length_ends() -> None:
    text = read_text(row([(f"Is there a ship of kind {n}?", "yes", n) for n in range(100)]))
    made = estimated_sheets(text, 2048)
    assert [number for sheet in made for number in sheet] == list(range(100))
    assert [len(sheet) for sheet in made] == [65, 35]
    assert len(estimated_sheets(text, 1000)[0]) < 20
    assert estimated_sheets(text, 10) == [(number,) for number in range(100)]


def test_other_templates_have_their_own_length() -> None:
    text = read_text(row([(f"Is there a ship of kind {n}?", "yes", n) for n in range(100)]))
    assert len(estimated_sheets(text, 2048, template="llama_2")[0]) == 61
    assert estimated_sheets(text, 2048, template="plain") == [(number,) for number in range(100)]


def test_the_image_takes_its_place_only_where_there_is_one() -> None:
    pairs = [(f"Is there a ship of kind {n}?", "yes", n) for n in range(100)]
    with_image, without = (estimated_sheets(read_text(row(pairs, tag=tag)), 1200) for tag in (True, False))
    assert len(without[0]) > 1.5 * len(with_image[0])
    assert len(estimated_sheets(read_text(row(pairs, tag=False)), 1200 - FEATURES)[0]) == len(with_image[0])


@given(pairs=TURNS, data=st.data())
def test_a_sample_is_the_row_with_the_chosen_dialogues(pairs: Any, data: st.DataObject) -> None:
    item = row(pairs)
    text = read_text(item)
    numbers = st.lists(st.integers(0, len(text.dialogues) - 1), min_size=1, unique=True)
    chosen = data.draw(numbers)
    sample = select(item, chosen)
    again = read_text(sample)
    assert [spoken(one) for one in again.dialogues] == [spoken(text.dialogues[number]) for number in chosen]
    assert not any("<image>" in turn["value"] for turn in sample["conversations"][1:])
    assert sample["conversations"][0]["value"].startswith("<image>\n")
    assert sample["pairs"] == [item["pairs"][position] for position in sample["shown"]]
    for position, question in zip(sample["shown"], sample["conversations"][::2], strict=True):
        assert question["value"].removeprefix("<image>\n").strip() == pairs[position][0].strip()
    assert {key: sample[key] for key in ("id", "image", "width")} == {
        key: item[key] for key in ("id", "image", "width")
    }
    # a sample of a sample still counts in the row
    last = select(sample, [len(chosen) - 1])
    assert last["shown"] == list(text.dialogues[chosen[-1]].positions)
    assert select(item, chosen, text) == sample


@given(pairs=TURNS)
def test_all_dialogues_are_the_row_again(pairs: Any) -> None:
    item = row(sorted(pairs, key=lambda pair: pair[2]))
    sample = select(item, range(len(read_text(item).dialogues)))
    assert sample.pop("shown") == list(range(len(pairs)))
    assert sample == item


@given(pairs=TURNS, more=st.integers(0, 500), tag=st.booleans(), long=st.booleans())
def test_a_row_that_is_whole_within_a_bound_is_one_sheet(pairs: Any, more: int, tag: bool, long: bool) -> None:
    item = row(
        [(f"{q} {n}" if long else q, a + " word" * (200 * long), d) for n, (q, a, d) in enumerate(pairs)], tag=tag
    )
    bound = whole_bound(item)
    if bound >= 0:
        made = estimated_sheets(read_text(item), bound + more)
        assert len(made) == 1
        assert select(item, made[0]) == item | {"shown": list(range(len(pairs)))}


def test_most_rows_have_a_bound() -> None:
    pairs = [("Is there a ship?", "yes", 0), ("Is there a car?", "no", 1)]
    assert 670 < whole_bound(row(pairs)) < 700
    assert whole_bound(row([("Describe.", "a", 0), ("Describe.", "b", 1)])) == -1
    assert whole_bound(row([("Q", "a", 0), ("R", "b", 1), ("S", "c", 0)])) == -1
    late = row(pairs)
    late["conversations"][2]["value"] = "<image>\nQ"
    assert whole_bound(late) == -1


@pytest.mark.parametrize(
    "wrong",
    [
        {"pairs": None},
        {"conversations": None},
        {"pairs": [{}]},
        {"pairs": [{"dialogue": None}]},
        {"conversations": [{"from": "human", "value": None}]},
        {"conversations": [None]},
    ],
)
def test_a_malformed_row_has_no_bound(wrong: dict[str, Any]) -> None:
    assert whole_bound(row([("Q", "a", 0)]) | wrong) == -1


def test_a_row_without_pairs_keeps_its_turns() -> None:
    item = row([("Q", "a", 0), ("Q", "b", 0)]) | {"pairs": None}
    sample = select(item, [0])
    assert sample == item | {"shown": [0, 1]}


def test_a_malformed_row_has_no_sample() -> None:
    with pytest.raises(RowError, match="found 2 turns and 3 pairs"):
        select(row([("Q", "a", 0)]) | {"pairs": [{"dialogue": 0}] * 3}, [0])


@given(text=st.text(max_size=80))
def test_an_estimate_is_between_nothing_and_a_few_tokens_a_byte(text: str) -> None:
    estimate = estimate_tokens(text)
    assert 0 <= estimate <= 2 * len(f" {text}".encode(errors="replace"))


@pytest.mark.parametrize(
    ("text", "tokens"),
    [("", 1), ("yes", 1), ("the ship", 2), ("ships", 1), ("thegulf", 4), ("12", 3), ("[0.630, 0.364]", 14), ("é", 3)],
)
def test_an_estimate_counts_words_digits_marks_and_bytes(text: str, tokens: int) -> None:
    assert estimate_tokens(text) == tokens


def test_cutting_rows_needs_neither_torch_nor_a_tokenizer() -> None:
    code = "import sys, rs_gpt4v_builder.text.dialogues; print({'torch', 'tokenizers', 'numpy'} & set(sys.modules))"
    builder = Path(__file__).resolve().parents[1] / "builder"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONPATH": str(builder)}
    )
    assert done.stdout.strip() == "set()"


# Against LLaMA's own tokenizer, where it is at hand


@pytest.fixture(scope="module")
def llama() -> LlamaTokenizer:
    return load_tokenizer(shared("tokenizer", "tokenizer.model"))


def test_words_that_are_known_have_that_many_tokens(llama: LlamaTokenizer) -> None:
    assert {word: len(llama.encode(word, prefix=False)) for word in _KNOWN} == _KNOWN


def test_estimates_of_real_texts_are_never_too_low_and_little_too_high(llama: LlamaTokenizer) -> None:
    golden = shared("golden", "text_v1_legacy_false.jsonl").read_text().splitlines()
    texts = {turn["value"].replace("<image>\n", "") for line in golden for turn in json.loads(line)["conversations"]}
    real = estimated = 0
    for text in texts:
        tokens, estimate = len(llama.encode(f" {text}", prefix=False)), estimate_tokens(text)
        assert tokens <= estimate, text
        real, estimated = real + tokens, estimated + estimate
    assert len(texts) > 200
    assert estimated < 1.15 * real


@pytest.mark.parametrize("template", ["v1", "llama_2"])
@pytest.mark.parametrize("legacy", [False, True])
def test_a_collator_has_room_for_every_sheet(llama: LlamaTokenizer, template: str, legacy: bool) -> None:
    """The collator leaves nothing out and cuts nothing off of a row that was cut by the estimate."""
    pytest.importorskip("torch")
    from rs_gpt4v_builder import LlavaCollator

    pairs: dict[str, str] = {}
    for line in shared("golden", "text_v1_legacy_false.jsonl").read_text().splitlines():
        made = json.loads(line)
        said = [turn["value"].replace("<image>", "").strip() for turn in made["conversations"]]
        if not made["warning"] and len(said) % 2 == 0 and all(said) and max(map(len, said)) < 1000:
            pairs |= dict(zip(said[::2], said[1::2], strict=True))
    out = io.BytesIO()
    Image.new("RGB", (336, 336)).save(out, "PNG")
    item = row([(question, answer, n) for n, (question, answer) in enumerate(pairs.items())])
    item["image"]["bytes"] = out.getvalue()
    text = read_text(item)
    made = estimated_sheets(text, 2048, template=template)
    assert len(pairs) > 100
    assert len(made) >= 3
    collate = LlavaCollator(llama, template=template, legacy=legacy, form="hf", on_error="skip")
    lengths = [collate([select(item, sheet, text)])["input_ids"].shape[1] for sheet in made]
    assert (collate.left_out, collate.cut, collate.skipped) == (0, 0, 0)
    assert max(lengths) <= 2048
    assert sum(lengths[:-1]) / len(lengths[:-1]) > 1850
