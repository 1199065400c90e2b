"""Rows as chat messages: what is said by whom, where the image goes, and that processors and TRL take them."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from rs_gpt4v_builder import open_image, to_messages
from rs_gpt4v_builder.errors import OptionError, RowError
from rs_gpt4v_builder.text.dialogues import one_of, read_text, select

Row = dict[str, Any]


def png() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (8, 6), (200, 10, 0)).save(out, "PNG")
    return out.getvalue()


def row(*pairs: tuple[str, str, int], **more: Any) -> Row:
    messages = []
    for number, (question, answer, _) in enumerate(pairs):
        head = "<image>\n" if number == 0 else ""
        messages += [{"from": "human", "value": head + question}, {"from": "gpt", "value": answer}]
    return {
        "id": "rsicd/train/captioning/1",
        "image": {"bytes": png(), "path": "1.png"},
        "conversations": messages,
        "pairs": [{"category": "caption", "dialogue": number} for *_, number in pairs],
    } | more


def user(text: str, *, image: bool = False) -> Row:
    return {"role": "user", "content": [{"type": "image"}] * image + [{"type": "text", "text": text}]}


def assistant(text: str) -> Row:
    return {"role": "assistant", "content": [{"type": "text", "text": text}]}


TWO = row(("Is there a ship?", "yes", 0), ("How many?", "2", 0), ("Is there a car?", "no", 1))


def test_a_row_is_one_conversation() -> None:
    assert to_messages(TWO) == [
        user("Is there a ship?", image=True),
        assistant("yes"),
        user("How many?"),
        assistant("2"),
        user("Is there a car?"),
        assistant("no"),
    ]


def test_each_dialogue_is_a_conversation_with_the_image() -> None:
    assert to_messages(TWO, pairs="each") == [
        [user("Is there a ship?", image=True), assistant("yes"), user("How many?"), assistant("2")],
        [user("Is there a car?", image=True), assistant("no")],
    ]


def test_one_dialogue_comes_with_its_epoch() -> None:
    each = to_messages(TWO, pairs="each")
    for epoch in range(4):
        assert to_messages(TWO, pairs="one", epoch=epoch) == each[one_of(TWO["id"], epoch, 2)]


def test_one_conversation_does_not_ask_twice() -> None:
    captions = row(("Describe.", "One.", 0), ("Describe.", "Two.", 1), ("Where?", "There.", 2))
    said = [message["content"][-1]["text"] for message in to_messages(captions)]
    assert said == ["Describe.", "One.", "Where?", "There."]
    assert len(to_messages(captions, pairs="each")) == 3


@given(numbers=st.lists(st.integers(0, 3), min_size=1, max_size=8))
def test_conversations_hold_every_pair_once(numbers: list[int]) -> None:
    item = row(*((f"question {at}", f"answer {at}", number) for at, number in enumerate(numbers)))
    for conversations in ([to_messages(item)], to_messages(item, pairs="each")):
        said = [message["content"][-1]["text"] for messages in conversations for message in messages]
        assert sorted(said[::2]) == sorted(f"question {at}" for at in range(len(numbers)))
        assert [text.replace("question", "answer") for text in said[::2]] == said[1::2]
        for messages in conversations:
            assert [message["role"] for message in messages] == ["user", "assistant"] * (len(messages) // 2)
            places = [part["type"] for message in messages for part in message["content"]]
            assert places[0] == "image"
            assert places.count("image") == 1


def test_a_sample_of_a_stream_is_taken_like_a_row() -> None:
    sample = select(TWO, [1], read_text(TWO))
    assert to_messages(sample) == to_messages(TWO, pairs="each")[1]


def test_a_record_without_pairs_keeps_its_turns_and_its_tag() -> None:
    record = {"conversations": [{"from": "human", "value": "Look: <image>"}, {"from": "gpt", "value": " A ship. "}]}
    assert to_messages(record) == [user("Look:", image=True), assistant(" A ship. ")]
    record["conversations"][0]["value"] = "<image>"
    assert to_messages(record)[0] == {"role": "user", "content": [{"type": "image"}]}
    record["conversations"][0]["value"] = "No image."
    assert to_messages(record, with_image=True) == [user("No image."), assistant(" A ship. ")]


@pytest.mark.parametrize("form", ["dict", "bytes", "opened"])
def test_the_image_can_be_put_into_its_part(form: str) -> None:
    image = {"dict": {"bytes": png(), "path": None}, "bytes": png(), "opened": Image.open(io.BytesIO(png()))}[form]
    part = to_messages(TWO | {"image": image}, with_image=True)[0]["content"][0]
    assert part["type"] == "image"
    assert (part["image"].mode, part["image"].size) == ("RGB", (8, 6))
    assert np.asarray(part["image"])[0, 0].tolist() == [200, 10, 0]


@pytest.mark.parametrize("image", [None, {"bytes": None, "path": "1.png"}])
def test_a_null_image_is_an_error_where_it_is_asked_for(image: Any) -> None:
    item = TWO | {"image": image}
    assert to_messages(item)[0]["content"][0] == {"type": "image"}
    with pytest.raises(RowError, match=r"row 'rsicd/train/captioning/1': found a null image.*`rs-gpt4v fill`"):
        to_messages(item, with_image=True)


def test_what_cannot_be_opened_is_refused() -> None:
    with pytest.raises(RowError, match="row 'x': found an image that cannot be decoded"):
        open_image(b"no image", row="x")


def test_an_unknown_way_to_split_is_answered_with_the_known_ones() -> None:
    with pytest.raises(OptionError, match="pairs='all' is not known: use one of 'row', 'each', 'one'"):
        to_messages(TWO, pairs="all")


# Against transformers and TRL, where they are installed

TEMPLATE = (
    "{% for message in messages %}{{ message['role'].upper() + ': ' }}"
    "{% for part in message['content'] %}{{ '<image>\n' if part['type'] == 'image' else part['text'] + ' ' }}"
    "{% endfor %}{% endfor %}"
)


@pytest.fixture(scope="module")
def processor(tmp_path_factory: pytest.TempPathFactory) -> Any:
    pytest.importorskip("transformers", reason="only for comparing", minversion="5")
    from test_transformers import make_processor
    from tiny_tokenizer import tiny_model

    made = make_processor(tmp_path_factory.mktemp("tiny"), tiny_model())
    made.chat_template = TEMPLATE
    return made


def test_a_processor_takes_the_messages(processor: Any) -> None:
    text = processor.apply_chat_template(to_messages(TWO))
    assert text == (
        "USER: <image>\nIs there a ship? ASSISTANT: yes USER: How many? ASSISTANT: 2 "
        "USER: Is there a car? ASSISTANT: no "
    )


def test_a_processor_opens_the_image_itself(processor: Any) -> None:
    batch = processor.apply_chat_template(
        to_messages(TWO, pairs="each", with_image=True), tokenize=True, return_dict=True, return_tensors="pt",
        processor_kwargs={"padding": True},
    )  # fmt: skip
    assert tuple(batch["pixel_values"].shape) == (2, 3, 336, 336)
    assert (batch["input_ids"] == processor.image_token_id).sum(1).tolist() == [576, 576]


def test_trl_takes_prompt_completion_and_images(processor: Any, tmp_path: Path) -> None:
    pytest.importorskip("trl", reason="only for comparing")
    from trl.trainer.sft_trainer import DataCollatorForVisionLanguageModeling

    image = open_image(TWO["image"])
    chats = to_messages(TWO, pairs="each")
    examples = [{"prompt": chat[:-1], "completion": chat[-1:], "images": [image]} for chat in chats]
    batch = DataCollatorForVisionLanguageModeling(processor, completion_only_loss=True)(examples)
    assert tuple(batch["pixel_values"].shape) == (2, 3, 336, 336)
    learnt = [processor.tokenizer.decode(labels[labels >= 0]) for labels in batch["labels"]]
    assert [text.strip() for text in learnt] == ["ASSISTANT: 2", "ASSISTANT: no"]
    whole = [{"messages": to_messages(TWO), "images": [image]}]
    assert tuple(DataCollatorForVisionLanguageModeling(processor)(whole)["pixel_values"].shape) == (1, 3, 336, 336)
