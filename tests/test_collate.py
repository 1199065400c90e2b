"""Rows -> a batch: shapes, labels, which dialogues go in, and what is refused."""

import io
import pickle
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch.utils.data import DataLoader

from rs_gpt4v_builder import LlavaCollator
from rs_gpt4v_builder.errors import OptionError, RowError
from rs_gpt4v_builder.pixels import images
from rs_gpt4v_builder.pixels.clip import normalise
from rs_gpt4v_builder.text.conversation import IGNORE, IMAGE_ID
from rs_gpt4v_builder.text.dialogues import Dialogue, one_of, read_text, sheets
from rs_gpt4v_builder.text.tokenizer import byte_tokenizer

TOKENIZER = byte_tokenizer()
# Python 3.12 and newer warn whoever forks while there are threads
FORK_IS_FINE = pytest.mark.filterwarnings("ignore:.*use of fork.*:DeprecationWarning")
Row = dict[str, Any]


def png(colour: int = 0) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (8, 6), (colour, 0, 0)).save(out, "PNG")
    return out.getvalue()


def row(*pairs: tuple[str, str], dialogues: Sequence[int] | None = None, **more: Any) -> Row:
    """A row of a release; each pair is a dialogue of its own unless told otherwise."""
    messages = []
    for number, (question, answer) in enumerate(pairs):
        tag = "<image>\n" if number == 0 else ""
        messages += [{"from": "human", "value": tag + question}, {"from": "gpt", "value": answer}]
    numbers = range(len(pairs)) if dialogues is None else dialogues
    return {
        "id": "rsicd/train/captioning/1",
        "image": {"bytes": png(), "path": "1.png"},
        "conversations": messages,
        "pairs": [{"category": "caption", "dialogue": number} for number in numbers],
    } | more


def text_row(question: str = "Q", answer: str = "A") -> Row:
    return {"id": "text", "conversations": [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]}


def collator(**options: Any) -> LlavaCollator:
    return LlavaCollator(TOKENIZER, **options)


def learnt(batch: dict[str, torch.Tensor], number: int = 0) -> str:
    labels = batch["labels"][number]
    return TOKENIZER.decode(labels[labels != IGNORE].tolist())


def text_of(batch: dict[str, torch.Tensor], number: int = 0) -> str:
    """The prompt behind the system sentence, `<image>` where the image is."""
    ids = batch["input_ids"][number][batch["attention_mask"][number] == 1].tolist()
    if IMAGE_ID not in ids:
        return TOKENIZER.decode(ids).partition(" USER:")[2]
    at = ids.index(IMAGE_ID)
    return TOKENIZER.decode(ids[:at]).partition(" USER:")[2] + "<image>" + TOKENIZER.decode(ids[at + 1 :])


def test_a_batch_has_the_promised_names_shapes_and_types() -> None:
    batch = collator()([row(("What?", "A ship.")), row(("Where is the ship?", "Here.")), text_row()])
    length = batch["input_ids"].shape[1]
    assert {name: (tuple(value.shape), value.dtype) for name, value in batch.items()} == {
        "input_ids": ((3, length), torch.int64),
        "labels": ((3, length), torch.int64),
        "attention_mask": ((3, length), torch.int64),
        "images": ((3, 3, 336, 336), torch.float32),
    }
    assert [learnt(batch, number) for number in range(3)] == [" A ship.</s>", " Here.</s>", " A</s>"]


@given(texts=st.lists(st.tuples(st.text("ab <", min_size=1), st.text("cd\n", min_size=1)), min_size=1, max_size=4))
def test_padding_is_on_the_right_and_known_by_length(texts: list[tuple[str, str]]) -> None:
    collate = collator()
    rows = [text_row(*pair) for pair in texts]
    batch = collate(rows)
    for number, item in enumerate(rows):
        ids, labels = collate.encode(item["conversations"], has_image=False)
        end = len(ids)
        assert np.array_equal(batch["input_ids"][number, :end], ids)
        assert np.array_equal(batch["labels"][number, :end], labels)
        assert (batch["input_ids"][number, end:] == 0).all()
        assert (batch["labels"][number, end:] == IGNORE).all()
        assert batch["attention_mask"][number].tolist() == [1] * end + [0] * (batch["input_ids"].shape[1] - end)


def test_a_literal_padding_token_within_the_text_stays_visible() -> None:
    batch = collator(strict=True)([text_row("a <unk> b"), text_row()])
    ids, mask = batch["input_ids"][0], batch["attention_mask"][0]
    assert (ids == 0).sum() == 1
    assert (mask == 1).all()


def test_images_are_normalised_or_left_alone() -> None:
    image = {"bytes": png(200), "path": None}
    rows = [row(("Q", "A"), image=image), text_row()]
    raw = collator(pixels="uint8")(rows)["images"]
    assert raw.dtype == torch.uint8
    assert np.array_equal(raw[0], images.preprocess(image))
    normal = collator()(rows)["images"]
    assert np.array_equal(normal[0], normalise(images.preprocess(image)))
    assert not raw[1].any()
    assert not normal[1].any()
    exact = collator(pixels="uint8", resize="exact")(rows)["images"]
    assert np.array_equal(exact[0], images.preprocess(image, resize="exact"))


def test_another_imager_gets_the_images_and_the_names_of_their_rows() -> None:
    class Names:
        def one(self, image: Any, row: str) -> str:
            return f"{row}: {len(image)}"

        def stack(self, made: Sequence[str | None]) -> list[str | None]:
            return list(made)

    rows = [row(("Q", "A"), id="a/1", image=b"12345"), text_row()]
    assert collator()(rows, imager=Names())["images"] == ["a/1: 5", None]
    assert collator(form="hf")(rows, imager=Names())["pixel_values"] == ["a/1: 5"]


def test_an_opened_image_is_the_same_as_its_bytes() -> None:
    data = png(90)
    forms = [{"bytes": data, "path": "a"}, data, Image.open(io.BytesIO(data))]
    batch = collator()([row(("Q", "A"), image=form) for form in forms])
    assert torch.equal(batch["images"][0], batch["images"][1])
    assert torch.equal(batch["images"][0], batch["images"][2])


def test_crop_has_no_padding() -> None:
    rows = [row(("Q", "A"))]
    assert not collator(pixels="uint8", aspect="crop")(rows)["images"].any()
    assert collator(pixels="uint8")(rows)["images"].any()


def test_the_hf_form_has_576_places_and_its_own_names() -> None:
    rows = [row(("What?", "A ship.")), text_row(), row(("Longer question?", "Yes."))]
    llava, hf = collator()(rows), collator(form="hf")(rows)
    assert set(hf) == {"input_ids", "labels", "attention_mask", "pixel_values"}
    assert tuple(hf["pixel_values"].shape) == (2, 3, 336, 336)
    for number in range(3):
        ids = llava["input_ids"][number][llava["attention_mask"][number] == 1].tolist()
        if IMAGE_ID in ids:  # a special token like any other: no dummy prefix behind it
            del ids[ids.index(IMAGE_ID) + 1]
        want = [n for i in ids for n in ([32000] * 576 if i == IMAGE_ID else [i])]
        mask = hf["attention_mask"][number] == 1
        assert hf["input_ids"][number][mask].tolist() == want
        assert (hf["input_ids"][number][~mask] == 32001).all()
        assert learnt(hf, number) == learnt(llava, number)
    assert (hf["labels"][hf["input_ids"] == 32000] == IGNORE).all()
    assert "pixel_values" not in collator(form="hf")([text_row()])


def test_an_image_that_the_text_has_no_place_for_is_taken_along_by_the_form_that_needs_it() -> None:
    item = text_row() | {"image": {"bytes": png(), "path": None}}
    assert collator()([item])["images"].any()
    assert "pixel_values" not in collator(form="hf")([item])


CAPTIONS = [("Describe.", "One."), ("Describe.", "Two."), ("Describe.", "Three.")]
QUESTIONS = [(f"Is there a {thing}?", answer) for thing, answer in (("ship", "yes"), ("car", "no"), ("lake", "no"))]


def test_fit_takes_one_caption_and_says_once_what_it_left_out() -> None:
    collate = collator()
    with pytest.warns(UserWarning, match="left out 2 question-answer pairs.*`Stream` shows all"):
        batch = collate([row(*CAPTIONS)])
    assert learnt(batch) == " One.</s>"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        collate([row(*CAPTIONS), row(*CAPTIONS)])
    assert collate.left_out == 6


def test_fit_takes_all_that_fits_without_a_warning() -> None:
    collate = collator()
    batch = collate([row(*QUESTIONS)])
    assert learnt(batch) == " yes</s> no</s> no</s>"
    assert text_of(batch).startswith(" <image> \nIs there a ship? ASSISTANT: yes</s>USER: Is there a car? ")
    assert collate.left_out == 0


@pytest.mark.parametrize("form", ["llava", "hf"])
def test_fit_takes_whole_dialogues_up_to_the_last_token(form: str) -> None:
    more = 0 if form == "hf" else 575
    sizes = [len(collator(form=form).encode(row(*QUESTIONS[:n])["conversations"])[0]) + more for n in (1, 2, 3)]
    for room, want in [(sizes[2], 3), (sizes[2] - 1, 2), (sizes[1], 2), (sizes[1] - 1, 1), (sizes[0], 1)]:
        collate = collator(form=form, max_length=room)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            batch = collate([row(*QUESTIONS)])
        assert learnt(batch).count("</s>") == want
        assert collate.left_out == 3 - want
        assert collate.cut == 0


def test_fit_never_splits_a_dialogue_and_keeps_its_turns_together() -> None:
    pairs = [("Q1", "a"), ("Q2", "b"), ("Q3", "c"), ("Q4", "d")]
    batch = collator()([row(*pairs, dialogues=[0, 1, 0, 1])])
    assert learnt(batch) == " a</s> c</s> b</s> d</s>"
    collate = collator()
    with pytest.warns(UserWarning, match="left out 2 question"):
        batch = collate([row(("Q1", "a"), ("Q2", "b"), ("Q1", "c"), ("Q3", "d"), dialogues=[0, 0, 1, 1])])
    assert learnt(batch) == " a</s> b</s>"


def test_a_single_dialogue_that_is_too_long_is_cut() -> None:
    collate = collator(max_length=1000)
    batch = collate([row(("Q", "x" * 2000))])
    assert collate.cut == 1
    assert batch["input_ids"].shape == (1, 1000)
    assert learnt(batch).startswith(" xxxx")
    assert collate([text_row("Q", "x" * 2000), text_row()])["input_ids"].shape == (2, 1000)


def test_one_takes_one_dialogue_by_id_and_epoch() -> None:
    collate = collator(pairs="one")
    seen = []
    for epoch in range(6):
        collate.epoch = epoch
        batch = collate([row(*QUESTIONS)])
        assert text_of(batch).startswith(" <image> \nIs there a ")
        assert text_of(batch).count("USER") == 0
        seen.append(text_of(batch))
    assert len(set(seen[:3])) == 3
    assert seen[:3] == seen[3:]
    assert collate.left_out == 0
    again = collator(pairs="one")
    assert text_of(again([row(*QUESTIONS)])) == seen[0]


def test_one_depends_on_nothing_but_id_and_epoch() -> None:
    assert [one_of(f"row/{n}", 0, 5) for n in range(8)] == [0, 0, 3, 1, 3, 1, 1, 1]
    counts = np.bincount([one_of(f"row/{n}", 0, 5) for n in range(5000)], minlength=5)
    assert counts.min() > 900


def test_one_needs_an_id_where_there_is_a_choice() -> None:
    assert learnt(collator(pairs="one")([row(QUESTIONS[0], id=None)])) == " yes</s>"
    with pytest.raises(RowError, match="a row without id: found no `id`, expected one, as pairs='one'"):
        collator(pairs="one")([row(*QUESTIONS, id=None)])


def test_a_tag_in_every_dialogue_becomes_one_at_the_head() -> None:
    item = row(*QUESTIONS)
    for message in item["conversations"][::2]:
        message["value"] = "<image>\n" + message["value"].removeprefix("<image>\n")
    batch = collator()([item])
    assert (batch["input_ids"] == IMAGE_ID).sum() == 1
    assert text_of(batch).startswith(" <image> \nIs there a ship?")


def test_a_row_without_pairs_is_one_dialogue() -> None:
    item = row(*CAPTIONS)
    del item["pairs"]
    collate = collator()
    assert learnt(collate([item])) == " One.</s> Two.</s> Three.</s>"
    assert collate.left_out == 0


def test_the_plain_template_takes_one_caption() -> None:
    with pytest.warns(UserWarning, match="left out 2"):
        batch = collator(template="plain")([row(*CAPTIONS)])
    assert learnt(batch) == " One.\n"
    assert batch["input_ids"][0, :2].tolist() == [1, IMAGE_ID]


def two_tags() -> Row:
    item = row(("Q1", "A1"), ("Q2", "A2"), pairs=None)
    item["conversations"][2]["value"] = "<image>\nQ2"
    return item


def without(name: str, item: Row) -> Row:
    return {key: value for key, value in item.items() if key != name}


BAD_ROWS = {
    "null image": (
        row(("Q", "A"), image=None),
        r"found a null image.*holds no bytes for it.*your own copy of the source.*`rs-gpt4v fill`",
    ),
    "no image column": (without("image", row(("Q", "A"))), "no column `image`"),
    "no conversations": (without("conversations", row(("Q", "A"))), "found no `conversations`"),
    "null conversations": (row(("Q", "A"), conversations=None), "found conversations=None"),
    "no turns": (row(("Q", "A"), conversations=[]), r"found conversations=\[\]"),
    "null turn": (row(("Q", "A"), conversations=[None, None]), "found turn 1, None, expected a dict of `from`"),
    "pairs too few": (row(("Q", "A"), ("R", "B"), dialogues=[0]), "found 4 turns and 1 pairs, expected two turns"),
    "pairs of nothing": (row(("Q", "A"), pairs=[{"category": "caption"}]), "found `pairs` without dialogues"),
    "pairs by column": (row(("Q", "A"), pairs={"dialogue": [0]}), "found `pairs` without dialogues"),
    "pairs turned": (row(("Q", "A"), conversations=row(("Q", "A"))["conversations"][::-1]), "found turn 1 from 'gpt'"),
    "empty answer": (row(("Q", "")), r"found turn 2 \(gpt\) that is empty"),
    "empty answer in the middle": (row(("Q", ""), ("R", "B"), pairs=None), r"found turn 2 \(gpt\) that is empty"),
    "two places": (two_tags(), "found 2 places for its one image"),
    "no picture": (
        row(("Q", "A"), image=b"x"),
        r"found an image that cannot be decoded \(its 1 bytes are of no format that PIL knows\)",
    ),
    "an array": (
        row(("Q", "A"), image=np.zeros((4, 4, 3), np.uint8)),
        "found an image of type ndarray, expected a dict of bytes and path, bytes, or a PIL image; give it as one",
    ),
    "question too long": (
        row(("Q" * 1500, "A")),
        r"found no answer within the 1473 tokens that max_length=2048 leaves",
    ),
    "text too long": (text_row("Q" * 3000), r"^row 'text': found no answer within the 2048 tokens"),
}


@pytest.mark.parametrize("name", BAD_ROWS)
def test_a_row_that_cannot_be_trained_on_is_named(name: str) -> None:
    item, message = BAD_ROWS[name]
    with pytest.raises(RowError, match=message) as caught:
        collator()([row(("Q", "A")), item])
    assert caught.value.row == item["id"]
    assert repr(item["id"]) in str(caught.value)


@pytest.mark.parametrize("name", ["empty answer", "empty answer in the middle", "two places", "question too long"])
def test_strict_mode_takes_what_the_original_takes(name: str) -> None:
    collate = collator(strict=True)
    batch = collate([BAD_ROWS[name][0]])
    assert (batch["labels"] == IGNORE).all() == (name == "empty answer")
    assert collate.masked == (name == "empty answer")


def test_a_strict_batch_of_nothing_to_learn_is_said_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    collate = collator(strict=True)
    collate([row(("Q", "")), row(("Q", "A"))])
    assert not caplog.messages
    collate([row(("Q", ""))])
    assert caplog.messages == ["a batch of 1 malformed rows has nothing to learn: its mean loss is not a number"]


def test_malformed_rows_can_be_left_out_and_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    collate = collator(on_error="skip")
    good = row(("Q", "A")), text_row()
    batch = collate([good[0], row(("Q", ""), id="bad"), good[1], row(("Q", "A"), image=None, id="null")])
    for name, value in collator()(good).items():
        assert torch.equal(batch[name], value)
    assert collate.skipped == 2
    first, second = caplog.messages
    assert first.startswith("row 1 that is skipped: row 'bad': found turn 2 (gpt) that is empty")
    assert second.startswith("row 2 that is skipped: row 'null': found a null image")


def test_the_log_of_skipped_rows_does_not_grow_with_them(caplog: pytest.LogCaptureFixture) -> None:
    collate = collator(on_error="skip")
    bad = [text_row("Q", "") | {"id": f"bad/{number}"} for number in range(120)]
    collate([text_row(), *bad])
    assert collate.skipped == 120
    named = [message.split("'")[1] for message in caplog.messages]
    assert named == ["bad/0", "bad/1", "bad/2", "bad/3", "bad/4", "bad/9", "bad/99"]


def test_a_batch_of_which_nothing_is_left_is_an_error_all_the_same() -> None:
    collate = collator(on_error="skip")
    with pytest.raises(
        RowError, match=r"found 2 rows of which none can be trained on.*row 'b': found turn 2"
    ) as caught:
        collate([row(("Q", ""), id="a"), row(("Q", ""), id="b")])
    assert caught.value.row == "b"
    assert collate.skipped == 2


def test_counters_are_right_from_several_threads() -> None:
    collate = collator(on_error="skip", pairs="fit")
    rows = [row(("Q", "A"), ("Q", "B")), row(("Q", ""))]
    with warnings.catch_warnings(), ThreadPoolExecutor(4) as pool:
        warnings.simplefilter("ignore")
        list(pool.map(lambda _: collate(rows), range(40)))
    assert (collate.left_out, collate.skipped) == (40, 40)


@given(
    pairs=st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from(["x", "y" * 30])), min_size=1, max_size=9),
    room=st.integers(850, 1150),
)
def test_fit_takes_the_first_sheet_of_the_row(pairs: list[tuple[str, str]], room: int) -> None:
    item = row(*pairs)
    collate = collator(max_length=room)

    def measure(dialogue: Dialogue, first: bool) -> int:
        turns = [{"from": turn.role, "value": turn.value} for turn in dialogue.turns]
        turns[0]["value"] = "<image>\n" + turns[0]["value"]
        alone = len(collate.encode(turns)[0])
        # behind another dialogue there is no head, no image, and no `▁`, newline behind it
        return alone + 575 if first else alone - head

    head = len(collate.encode([{"from": "human", "value": "<image>\nQ"}, {"from": "gpt", "value": "A"}])[0])
    head -= len(TOKENIZER.encode("USER: Q ASSISTANT: A</s>", prefix=False))
    sheet = next(sheets(read_text(item), room, measure))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        batch = collate([item])
    assert learnt(batch) == "".join(f" {pairs[number][1]}</s>" for number in sheet)
    assert collate.left_out == len(pairs) - len(sheet)


def test_strict_mode_takes_a_tag_without_an_image_column_for_text() -> None:
    batch = collator(strict=True)([without("image", row(("Q", "A"), pairs=None))])
    assert IMAGE_ID not in batch["input_ids"]
    assert "<image>\nQ" in text_of(batch)


def test_an_image_cut_in_two_is_refused_by_the_form_that_counts() -> None:
    with pytest.raises(RowError, match="tokens for an image, expected 576 of them; raise max_length"):
        collator(form="hf", max_length=400)([row(("Q", "A"))])


BAD_OPTIONS = {
    "form": ({"form": "peft"}, "form='peft' is not known: use one of 'llava', 'hf'"),
    "template": ({"template": "v0"}, "template='v0' is not known: use one of 'v1', 'plain', 'llama_2'"),
    "pixels": ({"pixels": "bf16"}, "pixels='bf16' is not known: use one of 'float32', 'uint8'"),
    "aspect": ({"aspect": "anyres"}, "aspect='anyres' is not known: use one of 'pad', 'crop'"),
    "pairs": ({"pairs": "each"}, "pairs='each' is not known: use one of 'fit', 'one'"),
    "on_error": ({"on_error": "ignore"}, "on_error='ignore' is not known: use one of 'raise', 'skip'"),
    "packing": ({"packing": "image"}, "packing='image' is not known: use one of None, 'shared-image'"),
    "max_length": ({"max_length": 0}, "max_length=0 is not a number of tokens"),
    "no max_length": ({"max_length": None}, "max_length=None is not a number of tokens"),
}


@pytest.mark.parametrize("name", BAD_OPTIONS)
def test_an_unknown_option_is_answered_with_the_known_ones(name: str) -> None:
    options, message = BAD_OPTIONS[name]
    with pytest.raises(OptionError, match=message):
        collator(**options)


def test_a_batch_of_nothing_is_refused() -> None:
    with pytest.raises(OptionError, match="a batch of no rows"):
        collator()([])
    for rows, found in ((row(("Q", "A")), "str"), ([None, row(("Q", "A"))], "NoneType")):
        with pytest.raises(OptionError, match=f"a batch of {found}: expected a list of rows"):
            collator(on_error="skip")(rows)


def test_the_path_of_a_tokenizer_is_not_yet_a_tokenizer() -> None:
    with pytest.raises(OptionError, match=r"tokenizer='a/tokenizer\.model': expected what load_tokenizer gives"):
        LlavaCollator("a/tokenizer.model")  # type: ignore[arg-type]


def test_a_pickled_collator_gives_the_same_batch() -> None:
    collate = collator(form="hf", pixels="uint8", pairs="one")
    collate.epoch = 2
    again = pickle.loads(pickle.dumps(collate))
    rows = [row(*QUESTIONS), text_row()]
    for name, value in collate(rows).items():
        assert torch.equal(again(rows)[name], value)


@pytest.mark.parametrize("context", ["fork", "spawn"])
@FORK_IS_FINE
def test_it_works_in_the_workers_of_a_stock_loader(context: str) -> None:
    rows = [row(("Q", "A" * n)) for n in range(1, 5)]
    collate = collator()
    loader = DataLoader(rows, batch_size=2, collate_fn=collate, num_workers=1, multiprocessing_context=context)
    for batch, first in zip(loader, (0, 2), strict=True):
        for name, value in collate(rows[first : first + 2]).items():
            assert torch.equal(batch[name], value)


@FORK_IS_FINE
def test_an_error_comes_out_of_a_worker_as_itself() -> None:
    loader = DataLoader(
        [BAD_ROWS["null image"][0]], collate_fn=collator(), num_workers=1, multiprocessing_context="fork"
    )
    with pytest.raises(RowError, match="row 'rsicd/train/captioning/1': found a null image"):
        next(iter(loader))
