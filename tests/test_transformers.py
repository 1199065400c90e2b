"""The form `hf` against transformers itself: its processor given the same text, and its model given the batch."""

import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from rs_gpt4v_builder import LlavaCollator, load_tokenizer
from rs_gpt4v_builder.batch.collate import HF_IMAGE_ID, HF_PAD_ID
from rs_gpt4v_builder.errors import RowError
from rs_gpt4v_builder.text.conversation import Encoder, prepare_turns
from rs_gpt4v_builder.text.turns import parse_turns
from shared import shared
from tiny_tokenizer import tiny_model

transformers = pytest.importorskip("transformers", reason="only for comparing", minversion="5")

Messages = list[dict[str, str]]

CONVERSATIONS: list[Messages] = [
    [{"from": "human", "value": "<image>\nthe area?"}, {"from": "gpt", "value": "a thin one"}],
    [
        {"from": "human", "value": "Is there the ship on it?\n<image>"},
        {"from": "gpt", "value": "no"},
        {"from": "human", "value": "USER: 12 é飞"},
        {"from": "gpt", "value": "[0.1, 0.25] the\nthing."},
    ],
    [{"from": "human", "value": "in the test"}, {"from": "gpt", "value": "ASSIST"}],
]


def make_processor(folder: Path, model: bytes) -> Any:
    """A `LlavaProcessor` as the llava-1.5-hf checkpoints have it, from files made here."""
    (folder / "tokenizer.model").write_bytes(model)
    options = {"tokenizer_class": "LlamaTokenizer", "legacy": False, "add_bos_token": True, "add_eos_token": False}
    special = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(options | special))
    tokenizer = transformers.LlamaTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(["<image>"], special_tokens=True)
    tokenizer.add_special_tokens({"pad_token": "<pad>"})
    image_processor = transformers.CLIPImageProcessorPil(
        size={"shortest_edge": 336}, crop_size={"height": 336, "width": 336}
    )
    return transformers.LlavaProcessor(
        image_processor=image_processor,
        tokenizer=tokenizer,
        patch_size=14,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
    )


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return make_processor(tmp_path_factory.mktemp("tiny"), tiny_model())


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return make_processor(tmp_path_factory.mktemp("llama"), shared("tokenizer", "tokenizer.model").read_bytes())


def prompt_of(collate: LlavaCollator, messages: Messages, has_image: bool) -> str:
    template = collate.template
    turns = prepare_turns(parse_turns(messages, row=""), template, has_image=has_image, row="")
    return Encoder(template, collate._encoder.tokenizer, legacy=False).prompt(turns)


def processed(processor: Any, prompt: str, has_image: bool) -> list[int]:
    """The processor's ids of a prompt, the image's id changed to that of the checkpoints."""
    images = [Image.new("RGB", (336, 336))] * prompt.count("<image>") if has_image else None
    ids = processor(text=prompt, images=images)["input_ids"][0]
    return [HF_IMAGE_ID if number == processor.image_token_id else number for number in ids]


@pytest.mark.parametrize("template", ["v1", "llama_2"])
@pytest.mark.parametrize("number", range(len(CONVERSATIONS)))
def test_ids_are_the_processors(tiny: Any, tmp_path: Path, template: str, number: int) -> None:
    (tmp_path / "tokenizer.model").write_bytes(tiny_model())
    collate = LlavaCollator(load_tokenizer(tmp_path), form="hf", template=template)
    messages, has_image = CONVERSATIONS[number], number < 2
    ids, labels = collate.encode(messages, has_image)
    assert ids.tolist() == processed(tiny, prompt_of(collate, messages, has_image), has_image)
    assert (ids == HF_IMAGE_ID).sum() == 576 * has_image
    learnt = collate._encoder.tokenizer.decode(labels[labels >= 0].tolist())
    end = " </s>" if template == "llama_2" else "</s>"
    assert learnt == "".join(f" {turn['value']}{end}" for turn in messages[1::2])


def test_ids_of_the_plain_template_are_the_processors(tiny: Any, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.model").write_bytes(tiny_model())
    collate = LlavaCollator(load_tokenizer(tmp_path), form="hf", template="plain")
    ids, _ = collate.encode(CONVERSATIONS[0])
    assert ids.tolist() == processed(tiny, "<image>a thin one\n", True)


# Rows of the golden conversations at which the processor's tokenizer departs from sentencepiece, on which the
# original code, the checkpoints and ours agree: transformers 5 ranks the pieces of several spaces first, so that of two
# spaces before a word neither joins the word
DEPARTING = {"118", "132", "164", "170", "176", "210"}


@pytest.mark.filterwarnings("ignore:Token indices sequence length")
def test_ids_of_the_golden_conversations_are_the_processors(llama: Any) -> None:
    collate = LlavaCollator(load_tokenizer(shared("tokenizer")), form="hf", max_length=100_000)
    departing, seen = {}, set()
    for row in map(json.loads, shared("golden", "text_v1_legacy_false.jsonl").read_text().splitlines()):
        messages, has_image = row["conversations"], row["has_image"]
        if not has_image and any("<image>" in turn["value"] for turn in messages):
            continue  # plain text to the original, a special token to the processor
        try:
            ids, _ = collate.encode(messages, has_image)
        except RowError:
            continue  # masked whole by the original
        prompt = prompt_of(collate, messages, has_image)
        seen.add(row["id"])
        if ids.tolist() != processed(llama, prompt, has_image):
            departing[row["id"]] = prompt
    assert len(seen) > 100
    assert departing.keys() >= DEPARTING & seen
    for name, prompt in departing.items():
        assert "  " in prompt.replace("▁", " "), name


def test_a_tokenizer_that_transformers_wrote_gives_the_originals_ids(llama: Any, tmp_path: Path) -> None:
    llama.tokenizer.save_pretrained(tmp_path)
    (tmp_path / "tokenizer.model").unlink(missing_ok=True)
    collate = LlavaCollator(load_tokenizer(tmp_path), strict=True)
    rows = list(map(json.loads, shared("golden", "text_v1_legacy_false.jsonl").read_text().splitlines()))
    for row in rows:
        ids, _ = collate.encode(row["conversations"], row["has_image"])
        assert ids.tolist() == row["input_ids"]
    assert len(rows) > 100


def picture(size: int) -> Image.Image:
    rng = np.random.default_rng(size)
    coarse = rng.integers(0, 256, (9, 9, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((size, size), Image.Resampling.BICUBIC)


def as_row(messages: Messages, image: Image.Image | None) -> dict[str, Any]:
    row: dict[str, Any] = {"id": "a", "conversations": messages}
    if image is not None:
        out = io.BytesIO()
        image.save(out, "PNG")
        row["image"] = {"bytes": out.getvalue(), "path": None}
    return row


@pytest.mark.parametrize("size", [336, 300, 512])
def test_pixels_of_a_square_image_are_the_processors(tiny: Any, tmp_path: Path, size: int) -> None:
    (tmp_path / "tokenizer.model").write_bytes(tiny_model())
    collate = LlavaCollator(load_tokenizer(tmp_path), form="hf", resize="exact")
    image = picture(size)
    got = collate([as_row(CONVERSATIONS[0], image)])["pixel_values"].numpy()
    want = np.asarray(tiny.image_processor(image)["pixel_values"])
    assert got.std() > 0.5
    assert np.array_equal(got, want)


@pytest.fixture(scope="module")
def model() -> Any:
    vision = transformers.CLIPVisionConfig(
        hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2, image_size=336, patch_size=14,
        projection_dim=16,
    )  # fmt: skip
    text = transformers.LlamaConfig(
        hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=2,
        vocab_size=32_064,
    )  # fmt: skip
    torch.manual_seed(0)
    config = transformers.LlavaConfig(vision_config=vision, text_config=text, image_token_id=HF_IMAGE_ID)
    return transformers.LlavaForConditionalGeneration(config)


def test_a_batch_goes_straight_into_the_model(model: Any, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.model").write_bytes(tiny_model())
    collate = LlavaCollator(load_tokenizer(tmp_path), form="hf")
    rows = [as_row(messages, picture(60) if n < 2 else None) for n, messages in enumerate(CONVERSATIONS)]
    batch = collate(rows)
    out = model(**batch)
    assert out.logits.shape == (*batch["input_ids"].shape, 32_064)
    # at random weights every token is about as likely as any other
    assert math.isclose(float(out.loss.detach()), math.log(32_064), rel_tol=0.05)
    out.loss.backward()
    gradient = model.model.multi_modal_projector.linear_1.weight.grad
    assert gradient is not None
    assert float(gradient.abs().sum()) > 0
    assert (batch["input_ids"] == HF_PAD_ID).any()


def test_padding_changes_nothing(model: Any, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.model").write_bytes(tiny_model())
    collate = LlavaCollator(load_tokenizer(tmp_path), form="hf")
    rows = [as_row(messages, picture(60)) for messages in CONVERSATIONS[:2]]
    together = collate(rows)
    with torch.no_grad():
        loss = float(model(**together).loss)
        alone = [collate([row]) for row in rows]
        losses = [float(model(**one).loss) for one in alone]
    weights = [int((one["labels"] != -100).sum()) for one in alone]
    assert math.isclose(loss, float(np.average(losses, weights=weights)), rel_tol=1e-5)
