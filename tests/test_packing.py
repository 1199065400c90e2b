"""Many dialogues behind one image: what a sequence holds, who sees whom, and that training is the same."""

import io
from collections.abc import Sequence
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import tiny_release
from rs_gpt4v_builder import LlavaCollator, Loader, Release, Stream
from rs_gpt4v_builder.batch.packing import attention_mask, pack, position_ids
from rs_gpt4v_builder.errors import OptionError, RowError
from rs_gpt4v_builder.pixels import images
from rs_gpt4v_builder.text.conversation import IGNORE
from rs_gpt4v_builder.text.tokenizer import byte_tokenizer

TOKENIZER = byte_tokenizer()
IMAGE = 32000
Row = dict[str, Any]
Pairs = Sequence[tuple[str, str]]
Tokens = tuple[list[int], list[int]]


def png() -> bytes:
    out = io.BytesIO()
    Image.radial_gradient("L").crop((0, 0, 120, 90)).save(out, "PNG")
    return out.getvalue()


def row(*dialogues: Pairs, image: bool = True, name: str = "rsvqa_lr/train/vqa/1") -> Row:
    """A row of a release with these dialogues, each some pairs of question and answer."""
    pairs = [pair for dialogue in dialogues for pair in dialogue]
    messages = []
    for number, (question, answer) in enumerate(pairs):
        tag = "<image>\n" if image and number == 0 else ""
        messages += [{"from": "human", "value": tag + question}, {"from": "gpt", "value": answer}]
    numbers = [number for number, dialogue in enumerate(dialogues) for _ in dialogue]
    made: Row = {
        "id": name,
        "conversations": messages,
        "pairs": [{"category": "", "dialogue": number} for number in numbers],
    }
    return made | {"image": {"bytes": png(), "path": "1.png"}} if image else made


def collator(attention: str | None = "flex_attention", **options: Any) -> LlavaCollator:
    return LlavaCollator(TOKENIZER, form="hf", packing="shared-image", attention=attention, **options)


def packed(batch: dict[str, torch.Tensor], number: int = 0) -> dict[int, Tokens]:
    """Ids and labels of each dialogue of a sequence behind the shared beginning, by its number."""
    columns = [batch[name][number] for name in ("input_ids", "labels")]
    documents = batch["document_ids"][number]
    numbers = [n for n in documents.unique_consecutive().tolist() if n > 0]
    found = {}
    for n in numbers:
        ids, labels = (column[(documents == 0) | (documents == n)].tolist() for column in columns)
        found[n] = ids, labels
    return found


def alone(dialogue: Pairs, image: bool = True, template: str = "v1") -> Tokens:
    """Ids and labels of a dialogue as the only one of a sample."""
    ids, labels = LlavaCollator(TOKENIZER, form="hf", template=template).encode(
        row(dialogue, image=image)["conversations"], image
    )
    return ids.tolist(), labels.tolist()


texts = st.text("ab \n", min_size=1, max_size=9)
TEMPLATES = st.sampled_from(["v1", "llama_2"])
dialogues = st.lists(st.lists(st.tuples(texts, texts), min_size=1, max_size=3), min_size=1, max_size=9)


@settings(max_examples=60)
@given(
    rows=st.lists(dialogues, min_size=1, max_size=3), room=st.integers(0, 200), image=st.booleans(), template=TEMPLATES
)
def test_every_dialogue_is_there_once_as_it_would_be_alone(
    rows: list[list[Pairs]], room: int, image: bool, template: str
) -> None:
    longest = max(len(alone(dialogue, image, template)[0]) for item in rows for dialogue in item)
    collate = collator(max_length=longest + room, template=template)
    batch = collate([row(*item, image=image) for item in rows])
    assert batch["input_ids"].shape[1] <= collate.max_length
    found: list[dict[int, Tokens]] = [{} for _ in rows]
    for number, owner in enumerate(batch["row_numbers"].tolist()):
        dialogues_here = packed(batch, number)
        assert dialogues_here
        assert not found[owner].keys() & dialogues_here.keys()
        found[owner] |= dialogues_here
    for item, there in zip(rows, found, strict=True):
        assert there == {n: alone(dialogue, image, template) for n, dialogue in enumerate(item, 1)}
    assert batch["row_numbers"].tolist() == sorted(batch["row_numbers"].tolist())
    assert collate.left_out == collate.cut == 0


@settings(max_examples=60)
@given(rows=st.lists(dialogues, min_size=1, max_size=3), room=st.integers(0, 300))
def test_positions_are_those_of_the_dialogue_alone(rows: list[list[Pairs]], room: int) -> None:
    longest = max(len(alone(dialogue, image=False)[0]) for item in rows for dialogue in item)
    batch = collator(max_length=longest + room)([row(*item, image=False) for item in rows])
    positions, documents, labels = (batch[name] for name in ("position_ids", "document_ids", "labels"))
    assert positions.max() < longest
    for number in range(len(documents)):
        assert not positions[number][documents[number] == -1].any()
        for n in packed(batch, number):
            there = positions[number][(documents[number] == 0) | (documents[number] == n)]
            assert there.tolist() == list(range(len(there)))
            assert labels[number][documents[number] == n][0] == IGNORE


layouts = st.lists(
    st.tuples(st.integers(1, 4), st.lists(st.integers(1, 4), min_size=1, max_size=4), st.integers(1, 90)),
    min_size=1,
    max_size=3,
)


def laid_out(layout: list[tuple[int, list[int], int]]) -> torch.Tensor:
    """Document ids of sequences, each of the beginning's length, the dialogues' and the first one's number."""
    rows = [
        [0] * shared + [n for n, size in enumerate(sizes, first) for _ in range(size)]
        for shared, sizes, first in layout
    ]
    length = max(map(len, rows))
    return torch.tensor([ids + [-1] * (length - len(ids)) for ids in rows])


@given(layout=layouts)
def test_the_mask_is_its_definition(layout: list[tuple[int, list[int], int]]) -> None:
    documents = laid_out(layout)
    count, length = documents.shape
    bools, floats = attention_mask(documents, "sdpa"), attention_mask(documents, "eager")
    assert isinstance(bools, torch.Tensor)
    assert isinstance(floats, torch.Tensor)
    assert (bools.dtype, floats.dtype) == (torch.bool, torch.float32)
    assert bools.shape == floats.shape == (count, 1, length, length)
    for b, ids in enumerate(documents.tolist()):
        for query in range(length):
            for key in range(length):
                sees = key <= query and ids[key] in (0, ids[query])
                assert bools[b, 0, query, key] == sees
                assert floats[b, 0, query, key] == (0 if sees else float("-inf"))


@settings(max_examples=15)
@given(layout=layouts)
def test_flex_attention_sees_the_same(layout: list[tuple[int, list[int], int]]) -> None:
    from torch.nn.attention.flex_attention import create_mask

    documents = laid_out(layout)
    count, length = documents.shape
    blocks = attention_mask(documents, "flex_attention")
    assert blocks.shape == (count, 1, length, length)
    assert not isinstance(blocks, torch.Tensor)
    sees = create_mask(blocks.mask_mod, count, 1, length, length, device="cpu")
    assert torch.equal(sees, attention_mask(documents, "sdpa"))


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
def test_flex_attention_gives_the_same_over_many_blocks() -> None:
    from torch.nn.attention.flex_attention import BlockMask, flex_attention

    documents = laid_out([(150, [40, 1, 300], 1), (20, [9], 1)])  # the second one is mostly padding
    blocks = attention_mask(documents, "flex_attention")
    assert isinstance(blocks, BlockMask)
    assert blocks.sparsity() > 0
    query, key, value = torch.randn(3, 2, 2, documents.shape[1], 16, generator=torch.Generator().manual_seed(0))
    found = flex_attention(query, key, value, block_mask=blocks)
    mask = attention_mask(documents, "sdpa")
    want = torch.nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    assert torch.allclose(found, want, atol=1e-5)
    assert want.isfinite().all()


@given(lengths=st.lists(st.integers(1, 9), min_size=1, max_size=7), room=st.integers(1, 30))
def test_sequences_are_few_and_even(lengths: list[int], room: int) -> None:
    """As few as there can be in this order, and the longest of them as short as so many can be."""
    shared = 3
    dialogues = []
    for number, length in enumerate(lengths):
        ids = np.array([1] * shared + [10 + number] * length)
        labels = np.where(np.arange(len(ids)) > shared, ids, IGNORE)
        dialogues.append((ids, labels))
    found = pack(dialogues, shared + room)
    sizes = [len(part.input_ids) - shared for part in found]

    def ways() -> list[list[int]]:
        inner = range(1, len(lengths))
        cuts = [(0, *some, len(lengths)) for count in range(len(lengths)) for some in combinations(inner, count)]
        runs = [[lengths[start:stop] for start, stop in pairwise(cut)] for cut in cuts]
        return [[*map(sum, way)] for way in runs if all(sum(run) <= room or len(run) == 1 for run in way)]

    best = min((len(way), max(way)) for way in ways())
    if len(lengths) > 1:  # else the beginning is all but one token
        assert (len(sizes), max(sizes)) == best


def test_without_pairs_a_row_is_one_dialogue() -> None:
    record = {"conversations": row([("Q", "A"), ("R", "B")])["conversations"], "image": {"bytes": png(), "path": None}}
    record["conversations"][0]["value"] = "Q"
    record["conversations"][2]["value"] = "<image>\nR"
    batch = collator()([record])
    plain = LlavaCollator(TOKENIZER, form="hf")([record])
    for name in ("input_ids", "labels", "pixel_values"):
        assert torch.equal(batch[name], plain[name])
    assert torch.equal(batch["position_ids"][0], torch.arange(batch["input_ids"].shape[1]))
    mask = attention_mask(batch["document_ids"], "sdpa")
    assert torch.equal(mask, torch.ones_like(mask).tril())


def test_five_captions_of_an_image_are_all_there() -> None:
    captions = [[("Describe it.", answer)] for answer in ("One.", "Two.", "Two.", "Three.", "Four.")]
    collate = collator()
    batch = collate([row(*captions)])
    assert len(batch["input_ids"]) == 1
    assert [*packed(batch).values()] == [alone(caption) for caption in captions]
    assert collate.left_out == 0
    # the question is asked once, but for the token before the answers
    end_of_question = TOKENIZER.encode("ASSISTANT:", prefix=False)
    (first,) = (batch["input_ids"][0][batch["document_ids"][0] == 1].tolist(),)
    assert first == [end_of_question[-1], *TOKENIZER.encode(" One.", prefix=False), TOKENIZER.eos_id]


def test_a_row_of_several_sequences_has_its_image_in_each() -> None:
    many = row(*([(f"Question {n}?", "yes")] for n in range(12)))
    rows = [many, row([("What?", "A ship.")], image=False), row([("Where?", "Here.")])]
    collate = collator(pixels="uint8", max_length=len(alone([("Question 10?", "yes")])[0]) + 150)
    batch = collate(rows)
    owners = batch["row_numbers"].tolist()
    assert owners.count(0) > 1
    assert owners[-2:] == [1, 2]
    assert (batch["input_ids"] == IMAGE).sum(1).tolist() == [576 * (owner != 1) for owner in owners]
    want = [torch.from_numpy(images.preprocess(rows[owner]["image"])) for owner in owners if owner != 1]
    assert torch.equal(batch["pixel_values"], torch.stack(want))
    assert (batch["input_ids"][batch["document_ids"] == -1] == 32001).all()
    assert (batch["labels"][batch["document_ids"] == -1] == IGNORE).all()


def test_rows_that_are_skipped_leave_the_numbers_of_the_others() -> None:
    rows = [row([("Q", "")]), row([("Q", "A")]), row([("R", "B")], [("S", "")]), row([("T", "C")])]
    collate = collator(on_error="skip")
    assert collate(rows)["row_numbers"].tolist() == [1, 3]
    assert collate.skipped == 2


@pytest.mark.parametrize("attention", ["eager", "sdpa", None])
def test_a_batch_is_what_the_model_takes(attention: str | None) -> None:
    rows = [row([("Q", "A")], [("R", "B")]), row([("Longer?", "C")])]
    batch, vectors = collator(attention)(rows), collator()(rows)
    assert batch.keys() == {"input_ids", "labels", "attention_mask", "position_ids", "pixel_values"}
    assert vectors.keys() == batch.keys() - {"attention_mask"} | {"document_ids", "row_numbers"}
    assert torch.equal(batch["attention_mask"], attention_mask(vectors["document_ids"], attention or "eager"))
    assert torch.equal(batch["position_ids"], position_ids(vectors["document_ids"]))
    for name in ("input_ids", "labels", "pixel_values"):
        assert torch.equal(batch[name], vectors[name])


def test_a_dialogue_that_is_too_long_is_cut_and_counted() -> None:
    long = ("Describe it.", "word " * 50 + "end")
    short = [("Is it?", "yes")]
    size = len(alone([long])[0]) - 20
    collate = collator(max_length=size)
    batch = collate([row(short, [long], short)])
    assert collate.cut == 1
    assert batch["input_ids"].shape == (3, size)
    assert packed(batch, 1) == {2: tuple(column[:size] for column in alone([long]))}
    with pytest.raises(RowError, match="'rsvqa_lr/train/vqa/1': found no answer within the 800 tokens"):
        collator(max_length=800)([row(short, [("q" * 300, "A")])])
    with pytest.raises(RowError, match=r"found \d+ tokens for an image, expected 576"):
        collator(max_length=400)([row(short, short)])


def test_strict_judges_each_dialogue() -> None:
    rows = [row([("Q", "A")], [("R", "")], [("S", "B")])]
    with pytest.raises(RowError, match=r"turn 2 \(gpt\) that is empty"):
        collator()(rows)
    collate = collator(strict=True)
    labels = [labels for _, labels in packed(collate(rows)).values()]
    assert collate.masked == 1
    assert [sum(label != IGNORE for label in some) > 0 for some in labels] == [True, False, True]


BAD_OPTIONS = {
    "llava": ({"form": "llava"}, "with form='llava': LLaVA's own model .* use form='hf'"),
    "one": ({"pairs": "one"}, "with pairs='one': packing shows all dialogues"),
    "plain": ({"template": "plain"}, "with template='plain': it has nothing to pack; use template='v1'"),
    "flash": ({"attention": "flash_attention_2"}, "attention='flash_attention_2' is not known: use one of 'eager'"),
}


@pytest.mark.parametrize("name", BAD_OPTIONS)
def test_options_that_do_not_go_with_packing(name: str) -> None:
    options, message = BAD_OPTIONS[name]
    given = {"form": "hf", "packing": "shared-image", "attention": "sdpa"} | options
    with pytest.raises(OptionError, match=message):
        LlavaCollator(TOKENIZER, **given)
    with pytest.raises(OptionError, match="attention='flash' is not known"):
        attention_mask(torch.zeros(1, 4), "flash")


def test_an_epoch_of_a_stream_shows_every_dialogue_once(tmp_path: Path) -> None:
    folder = tiny_release.write(tmp_path / "release")
    rows = [item["conversations"] for item in Release(folder).rows("vqa", "train")]
    want = sorted(turn["value"] for turns in rows for turn in turns if turn["from"] == "gpt")
    collate = collator(max_length=900)
    # the stream would cut the rows at this length, too: the loader asks for whole ones
    batches = list(Loader(Stream(folder, "vqa", "train", max_length=900), collate, len(rows)))
    (labels,) = [batch["labels"] for batch in batches]
    assert len(labels) > len(rows)
    learnt = TOKENIZER.decode(labels[labels != IGNORE].tolist())
    assert sorted(answer.strip() for answer in learnt.split("</s>")[:-1]) == want
    assert collate.left_out == 0
