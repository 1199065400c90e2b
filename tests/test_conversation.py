"""Turns -> ids and labels: against the original's results, and by what must hold for any conversation."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rs_gpt4v_builder import LlavaCollator, load_tokenizer
from rs_gpt4v_builder.errors import OptionError, RowError
from rs_gpt4v_builder.text.conversation import (
    IGNORE,
    IMAGE_ID,
    LLAMA_2,
    V1,
    Encoded,
    Encoder,
    Template,
    find_template,
    first_fault,
    prepare_turns,
    tag_first,
)
from rs_gpt4v_builder.text.masking import original_spans
from rs_gpt4v_builder.text.tokenizer import LlamaTokenizer, byte_tokenizer
from rs_gpt4v_builder.text.turns import GPT, HUMAN, Turn, parse_turns
from shared import shared
from tiny_tokenizer import tiny_model

WORDS = st.sampled_from(
    ["the", "USER", "USER:", " ", "  ", "\n", "on.", "é", "🛰", "[0.1, 2]", "ASSIST", "a", "<s>", "x"]
)
MESSAGE = st.lists(WORDS, min_size=1, max_size=8).map("".join)
DIALOGUE = st.lists(st.tuples(MESSAGE, MESSAGE), min_size=1, max_size=4)


def turns_of(pairs: list[tuple[str, str]], *, tag: bool = False) -> list[Turn]:
    turns = [turn for question, answer in pairs for turn in (Turn(HUMAN, question), Turn(GPT, answer))]
    return [Turn(HUMAN, f"<image>\n{turns[0].value}"), *turns[1:]] if tag else turns


def talk(*values: str) -> list[dict[str, str]]:
    return [{"from": (HUMAN, GPT)[n % 2], "value": value} for n, value in enumerate(values)]


@pytest.fixture(scope="module", params=["bytes", "tiny"])
def tokenizer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> LlamaTokenizer:
    if request.param == "bytes":
        return byte_tokenizer()
    path = tmp_path_factory.mktemp("tiny") / "tokenizer.model"
    path.write_bytes(tiny_model())
    return load_tokenizer(path)


@pytest.mark.parametrize(("template", "end"), [(V1, "</s>"), (LLAMA_2, " </s>")], ids=["v1", "llama_2"])
@given(pairs=DIALOGUE, tag=st.booleans(), legacy=st.booleans(), apart=st.booleans())
def test_what_is_learnt_is_every_answer_and_its_end(
    tokenizer: LlamaTokenizer, template: Template, end: str, pairs: Any, tag: bool, legacy: bool, apart: bool
) -> None:
    pairs = [(question, answer.replace("<s>", "x")) for question, answer in pairs]  # no prefix within an answer
    encoder = Encoder(template, tokenizer, legacy=legacy, apart=apart)
    encoded = encoder.encode(turns_of(pairs, tag=tag), has_image=tag)
    spoken = [tokenizer.decode(encoded.ids[start:end]) for start, end in encoded.spans]
    assert spoken == [f" {answer}{end}" for _, answer in pairs]
    assert encoded.ids[0] == tokenizer.bos_id
    assert encoded.ids.count(IMAGE_ID) == tag


@pytest.mark.parametrize("template", [V1, LLAMA_2], ids=["v1", "llama_2"])
@given(pairs=DIALOGUE, tag=st.booleans(), legacy=st.booleans(), apart=st.booleans())
def test_one_pass_finds_what_the_original_finds_by_counting(
    tokenizer: LlamaTokenizer, template: Template, pairs: Any, tag: bool, legacy: bool, apart: bool
) -> None:
    encoder = Encoder(template, tokenizer, legacy=legacy, apart=apart)
    turns = turns_of(pairs, tag=tag)
    assert first_fault(turns, template) == ""
    encoded = encoder.encode(turns, has_image=tag)
    counted = original_spans(encoder, encoder.prompt(turns), encoded.ids, has_image=tag, max_length=2048)
    assert counted == encoded.spans


@pytest.mark.parametrize("template", [V1, LLAMA_2], ids=["v1", "llama_2"])
@given(first=DIALOGUE, second=DIALOGUE, tag=st.booleans(), legacy=st.booleans())
def test_encodings_of_dialogues_add_up(
    tokenizer: LlamaTokenizer, template: Template, first: Any, second: Any, tag: bool, legacy: bool
) -> None:
    encoder = Encoder(template, tokenizer, legacy=legacy)
    parts = turns_of(first, tag=tag), turns_of(second)
    whole = encoder.encode([*parts[0], *parts[1]], has_image=tag)
    joined = encoder.encode(parts[0], has_image=tag), encoder.encode(parts[1], has_image=tag, first=False)
    assert Encoded.join(joined) == whole


def learnt(encoded: Encoded) -> set[int]:
    return {place for start, end in encoded.spans for place in range(start, end)}


@given(pairs=DIALOGUE, length=st.integers(0, 200))
def test_a_cut_encoding_keeps_its_first_ids_and_labels(pairs: Any, length: int) -> None:
    encoded = Encoder(V1, byte_tokenizer(), legacy=False).encode(turns_of(pairs), has_image=False)
    cut = encoded.cut(length)
    assert cut.ids == encoded.ids[:length]
    assert learnt(cut) == {place for place in learnt(encoded) if place < length}
    assert all(start < end <= length for start, end in cut.spans)


def test_the_prompt_is_vicunas() -> None:
    encoder = Encoder(V1, byte_tokenizer(), legacy=False)
    turns = turns_of([("Q1", "A1"), ("Q2", "A2")], tag=True)
    system = (
        "A chat between a curious user and an artificial intelligence assistant. The assistant gives "
        "helpful, detailed, and polite answers to the user's questions."
    )
    want = f"{system} USER: <image>\nQ1 ASSISTANT: A1</s>USER: Q2 ASSISTANT: A2</s>"
    assert encoder.prompt(turns) == want
    ids = encoder.encode(turns, has_image=True).ids
    at = ids.index(IMAGE_ID)
    decode = encoder.tokenizer.decode
    # the text before the image ends with a space, the text behind it begins with the dummy prefix
    assert decode(ids[:at]) == f"<s> {system} USER: "
    assert decode(ids[at + 1 :]) == want.partition("<image>")[2].replace("\nQ1", " \nQ1")


def test_the_prompt_of_llama_2_is_that_of_its_chat() -> None:
    encoder = Encoder(LLAMA_2, byte_tokenizer(), legacy=False)
    turns = turns_of([("Q1", "A1"), ("Q2", "A2")], tag=True)
    head, _, rest = encoder.prompt(turns).partition("<</SYS>>")
    assert head.startswith("[INST] <<SYS>>\nYou are a helpful language and vision assistant. You are able to ")
    assert head.endswith("natural language.\n")
    assert rest == "\n\n<image>\nQ1 [/INST] A1 </s><s>[INST] Q2 [/INST] A2 </s>"
    ids = encoder.encode(turns, has_image=True).ids
    decode = encoder.tokenizer.decode
    at = ids.index(IMAGE_ID)
    assert decode(ids[:at]) == f"<s> {head}<</SYS>>\n\n"
    assert decode(ids[at + 1 :]) == " \nQ1 [/INST] A1 </s><s>[INST] Q2 [/INST] A2 </s>"


def test_ids_and_labels_of_llama_2_piece_by_piece(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.model").write_bytes(tiny_model())
    tokenizer = load_tokenizer(tmp_path)
    ids, labels = LlavaCollator(tokenizer, template="llama_2").encode(talk("the a", "the", "on", "a"), has_image=False)
    end = ["▁", "[", "<0x2F>", "I", "N", "ST", "]"]
    assert tokenizer.bpe.id_to_token(int(ids[0])) == "<s>"
    text = [tokenizer.bpe.id_to_token(int(number)) for number in ids]
    first = text.index("</s>")
    assert text[first - 9 :] == [
        *end, "▁the", "▁", "</s>", "<s>", "[", "I", "N", "ST", "]", "▁", "on", *end, "▁a", "▁", "</s>",
    ]  # fmt: skip
    learnt = [tokenizer.bpe.id_to_token(int(number)) for number in labels if number != IGNORE]
    assert learnt == ["▁the", "▁", "</s>", "▁a", "▁", "</s>"]
    assert np.array_equal(labels[labels != IGNORE], ids[labels != IGNORE])


FAULTS_OF_LLAMA_2 = {
    "empty answer": (talk("Q", ""), r"turn 2 \(gpt\) that is empty"),
    "empty question": (talk("Q", "A", "", "B"), r"turn 3 \(human\) that is empty"),
    "no answer": (talk("Q", "A", "Q"), "a last turn of the human"),
    "mark at the end": (talk("Q", "A [/INST]"), r"turn 2 \(gpt\) with a literal `\[/INST\]`"),
    "mark in the question": (talk("Q [/INST] x", "A"), r"turn 1 \(human\) with a literal `\[/INST\]`"),
    "end in the question": (talk("Q </s> x", "A"), "a literal `</s>`"),
}


@pytest.mark.parametrize("name", FAULTS_OF_LLAMA_2)
def test_what_the_original_masks_in_llama_2_is_an_error_or_in_strict_mode_masked(name: str) -> None:
    messages, message = FAULTS_OF_LLAMA_2[name]
    with pytest.raises(RowError, match=message):
        LlavaCollator(byte_tokenizer(), template="llama_2").encode(messages)
    strict = LlavaCollator(byte_tokenizer(), template="llama_2", strict=True)
    _, labels = strict.encode(messages)
    assert (labels == IGNORE).all()
    assert strict.masked == 1


@pytest.mark.parametrize("strict", [False, True])
def test_llama_2_needs_a_first_question_as_the_original_does(strict: bool) -> None:
    with pytest.raises(RowError, match="found an empty first turn, expected a question"):
        LlavaCollator(byte_tokenizer(), template="llama_2", strict=strict).encode(talk("", "A"))


def test_the_mark_of_one_template_is_text_in_the_other() -> None:
    _, labels = LlavaCollator(byte_tokenizer(), template="llama_2").encode(talk("Q ASSISTANT: x", "A"))
    assert (labels != IGNORE).any()
    _, labels = LlavaCollator(byte_tokenizer()).encode(talk("Q [/INST] x", "A"))
    assert (labels != IGNORE).any()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("<image>\nWhat?", "<image>\nWhat?"),
        ("What?\n<image>", "<image>\nWhat?"),
        ("Look at <image>, say", "<image>\nLook at , say"),
        ("<image> a <image>", "<image>\na"),
        (" <image> ", "<image>"),
        ("<image>\n", "<image>"),
        ("  no tag ", "  no tag "),
        ("<IMAGE>\nWhat?", "<IMAGE>\nWhat?"),
    ],
)
def test_tags_of_a_turn_become_one_at_its_head(before: str, after: str) -> None:
    assert tag_first(before) == after


def test_a_tag_without_an_image_is_text() -> None:
    collate = LlavaCollator(byte_tokenizer())
    ids, _ = collate.encode(talk("a <image> b", "c"), has_image=False)
    assert IMAGE_ID not in ids
    assert "a <image> b" in byte_tokenizer().decode(ids.tolist())


def test_a_first_turn_of_the_model_is_left_out() -> None:
    collate = LlavaCollator(byte_tokenizer())
    late = collate.encode([{"from": GPT, "value": "Hello"}, *talk("Q", "A")])
    for got, want in zip(late, collate.encode(talk("Q", "A")), strict=True):
        assert np.array_equal(got, want)


FAULTS = {
    "empty answer": (talk("Q", ""), r"turn 2 \(gpt\) that is empty"),
    "empty question": (talk("", "A"), r"turn 1 \(human\) that is empty"),
    "no answer": (talk("Q", "A", "Q"), "a last turn of the human"),
    "mark in the answer": (talk("Q", "USER said ASSISTANT: hi"), r"turn 2 \(gpt\) with a literal `ASSISTANT:`"),
    "mark in the question": (talk("Q ASSISTANT: x", "A"), r"turn 1 \(human\) with a literal `ASSISTANT:`"),
    "end in the question": (talk("Q </s> x", "A"), "a literal `</s>`"),
    "padding in the answer": (talk("Q", "x <unk> y"), "a literal `<unk>`"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_the_original_masks_is_an_error_or_in_strict_mode_masked(name: str) -> None:
    messages, message = FAULTS[name]
    with pytest.raises(RowError, match=message):
        LlavaCollator(byte_tokenizer()).encode(messages)
    strict = LlavaCollator(byte_tokenizer(), strict=True)
    ids, labels = strict.encode(messages)
    assert len(ids) == len(labels) > 1
    assert (labels == IGNORE).all()
    assert strict.masked == 1


def test_the_original_does_not_notice_an_empty_answer_in_the_middle(tokenizer: LlamaTokenizer) -> None:
    for strict in (False, True):
        ids, labels = LlavaCollator(tokenizer, strict=strict).encode(talk("Q1", "", "Q2", "A2"))
        assert tokenizer.decode(ids.tolist()).endswith("USER: Q1 ASSISTANT:USER: Q2 ASSISTANT: A2</s>")
        assert tokenizer.decode(labels[labels != IGNORE].tolist()) == " A2</s>"


def test_a_long_malformed_sample_is_not_counted_any_more() -> None:
    messages = talk("Q", "x" * 300, "Q", "A <unk>")
    _, labels = LlavaCollator(byte_tokenizer(), strict=True, max_length=200).encode(messages)
    assert (labels != IGNORE).any()


REFUSED = {
    "no turns": ([], "found no turns, expected a human turn"),
    "only the model": ([{"from": GPT, "value": "A"}], "found no turns"),
    "twice": ([*talk("Q"), *talk("Q")], "found two human turns in a row"),
    "other speaker": ([{"from": "system", "value": "x"}], "found turn 1 from 'system', expected 'human' or 'gpt'"),
    "no text": ([{"from": HUMAN, "value": None}], "found turn 1 with the value None, expected text"),
    "half a pair": ([{"from": HUMAN, "value": "a\ud83d"}], "half of a surrogate pair"),
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("strict", [False, True])
def test_what_stops_the_original_is_an_error_in_either_mode(name: str, strict: bool) -> None:
    messages, message = REFUSED[name]
    with pytest.raises(RowError, match=message):
        LlavaCollator(byte_tokenizer(), strict=strict).encode(messages)


def test_an_error_names_the_row() -> None:
    with pytest.raises(RowError, match=r"^row 'rsicd/7': found turn 1 from 'x'") as caught:
        parse_turns([{"from": "x", "value": ""}], row="rsicd/7")
    assert caught.value.row == "rsicd/7"


def test_the_plain_template_learns_the_caption_only() -> None:
    tokenizer = byte_tokenizer()
    ids, labels = LlavaCollator(tokenizer, template="plain").encode(talk("Describe.\n<image>", "A ship"))
    assert ids[:2].tolist() == [tokenizer.bos_id, IMAGE_ID]
    assert tokenizer.decode(ids[2:].tolist()) == " A ship\n"
    assert labels[:2].tolist() == [IGNORE, IGNORE]
    assert np.array_equal(labels[2:], ids[2:])


@pytest.mark.parametrize("messages", [talk("<image>", "a", "b", "c"), talk("no tag", "a")])
def test_the_plain_template_wants_one_pair_with_an_image(messages: list[dict[str, str]]) -> None:
    with pytest.raises(RowError, match="as the template 'plain' needs; use template='v1'"):
        LlavaCollator(byte_tokenizer(), template="plain").encode(messages)


def test_an_unknown_template_is_answered_with_the_known_ones() -> None:
    with pytest.raises(OptionError, match="template='v0' is not known: use one of 'v1', 'plain', 'llama_2'"):
        find_template("v0")


def test_prepared_turns_are_the_rows_where_nothing_is_to_do() -> None:
    turns = turns_of([(" Q ", " A ")])
    assert prepare_turns(turns, V1, has_image=True, row="") == turns


# Against the results of the original code, where they are at hand


@dataclass(frozen=True)
class Golden:
    conversations: list[dict[str, str]]
    has_image: bool
    input_ids: list[int]
    labels: list[int]
    masked: bool


def golden(name: str, texts: str) -> Iterator[Golden]:
    conversations = {row["id"]: row for row in map(json.loads, read_lines(shared("golden", texts)))}
    for row in map(json.loads, read_lines(shared("golden", name))):
        labels = [IGNORE] * row["n"]
        for start, end in row["label_spans"]:
            labels[start:end] = row["input_ids"][start:end]
        text = conversations[row["id"]]
        masked = bool(row.get("warning"))
        yield Golden(text["conversations"], text["has_image"], row["input_ids"], labels, masked)


def read_lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


@pytest.fixture(scope="module", params=["tokenizer.model", "tokenizer.json", "folder"])
def llama(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> LlamaTokenizer:
    """LLaMA's own tokenizer, from each kind of file that there is of it."""
    path = shared("tokenizer", "tokenizer.model")
    if request.param == "tokenizer.json":
        made = tmp_path_factory.mktemp("json") / "tokenizer.json"
        made.write_text(load_tokenizer(path).bpe.to_str())
        return load_tokenizer(made)
    return load_tokenizer(path.parent if request.param == "folder" else path)


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("legacy", [False, True])
def test_ids_and_labels_are_the_originals(llama: LlamaTokenizer, legacy: bool, strict: bool) -> None:
    collate = LlavaCollator(llama, legacy=legacy, strict=strict)
    rows = list(golden(f"text_v1_legacy_{str(legacy).lower()}.jsonl", "text_v1_legacy_false.jsonl"))
    for row in rows:
        if row.masked and not strict:
            with pytest.raises(RowError, match="without id: found"):
                collate.encode(row.conversations, row.has_image)
            continue
        ids, labels = collate.encode(row.conversations, row.has_image)
        assert ids.tolist() == row.input_ids
        assert labels.tolist() == row.labels
        assert (ids.dtype, labels.dtype) == (np.int64, np.int64)
    assert collate.masked == (sum(row.masked for row in rows) if strict else 0)
    assert any(row.masked for row in rows)


def test_plain_ids_and_labels_are_the_originals(llama: LlamaTokenizer) -> None:
    collate = LlavaCollator(llama, template="plain")
    for row in golden("text_plain.jsonl", "text_plain.jsonl"):
        ids, labels = collate.encode(row.conversations, row.has_image)
        assert (ids.tolist(), labels.tolist()) == (row.input_ids, row.labels)


@given(pairs=DIALOGUE, tag=st.booleans(), legacy=st.booleans())
def test_llamas_pieces_let_the_text_be_cut_where_it_is_cut(
    llama: LlamaTokenizer, pairs: Any, tag: bool, legacy: bool
) -> None:
    encoder = Encoder(V1, llama, legacy=legacy)
    turns = turns_of(pairs, tag=tag)
    encoded = encoder.encode(turns, has_image=tag)
    chunks = encoder.prompt(turns).split("<image>")
    ids = llama.encode_batch(chunks, prefix=True, legacy=legacy)
    assert encoded.ids == [llama.bos_id, *ids[0], *([IMAGE_ID, *ids[1]] if tag else [])]
    assert encoded.spans == original_spans(encoder, encoder.prompt(turns), encoded.ids, has_image=tag, max_length=2048)
