"""A packed batch trains a model as separate samples do, under each kind of attention."""

from typing import Any

import pytest
import torch

from rs_gpt4v_builder import LlavaCollator
from rs_gpt4v_builder.batch.packing import attention_mask
from test_packing import TOKENIZER, Pairs, collator, row
from tiny_models import tiny_llama, tiny_llava

Batch = dict[str, torch.Tensor]

DIALOGUES: list[list[Pairs]] = [
    [
        [("Is there a road?", "yes")],
        [("Is there a farm?", "no"), ("And a river?", "yes")],
        [("How many ships?", "12")],
        [("Is there a road?", "no")],
    ],
    [[("Rural or urban?", "A rural area.")]],
    [[("Describe it.", "A port.")], [("Describe it.", "Two ships in a port.")]],
]
"""Of three rows, whose sequences differ in length and number."""


MODELS = {"llama": tiny_llama, "llava": tiny_llava}


def batches(kind: str, attention: str) -> tuple[Batch, Batch]:
    """The same dialogues packed and each as a row of its own."""
    image = kind == "llava"
    rows = [row(*dialogues, image=image) for dialogues in DIALOGUES]
    shared = 576 * image
    packed = collator(attention, max_length=shared + 300)(rows)
    assert len(packed["input_ids"]) == 4
    lone = [dict(row(dialogue, image=image)) for dialogues in DIALOGUES for dialogue in dialogues]
    for item, owner in zip(lone, [0] * 4 + [1] + [2] * 2, strict=True):
        item |= {"image": rows[owner]["image"]} if image else {}
    return packed, LlavaCollator(TOKENIZER, form="hf")(lone)


def loss_of(model: Any, batch: dict[str, Any]) -> torch.Tensor:
    """The mean over the answers' tokens, in the model's precision (a model's own is computed in float32)."""
    given = dict(batch)
    for name, value in given.items():
        if isinstance(value, torch.Tensor) and value.is_floating_point():
            given[name] = value.to(model.dtype)
    out = model(**given)
    assert out.logits.isfinite().all()
    loss = torch.nn.functional.cross_entropy(out.logits[:, :-1].flatten(0, 1), batch["labels"][:, 1:].flatten())
    assert out.loss.item() == pytest.approx(loss.item(), rel=1e-6)
    return loss


def step(model: Any, batch: Batch) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Loss and gradients."""
    model.zero_grad()
    loss = loss_of(model, batch)
    loss.backward()
    return loss.detach(), {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize(("attention", "mask"), [("eager", "eager"), ("sdpa", "sdpa"), ("sdpa", "eager")])
@pytest.mark.parametrize("kind", ["llama", "llava"])
def test_loss_and_gradients_are_those_of_separate_samples(kind: str, attention: str, mask: str) -> None:
    model = MODELS[kind](attention, spread=0.3).double()
    packed, separate = batches(kind, mask)
    loss, gradients = step(model, packed)
    want, wanted = step(model, separate)
    assert loss.item() == pytest.approx(want.item(), rel=1e-7)
    assert gradients.keys() == wanted.keys()
    for name, gradient in gradients.items():
        # a few gradients of the vision tower are nothing but rounding, as softmax cancels them
        assert (gradient - wanted[name]).norm() < 1e-5 * wanted[name].norm() + 1e-8, name


@pytest.mark.parametrize("lost", ["attention_mask", "position_ids"])
def test_without_mask_or_positions_it_is_another_loss(lost: str) -> None:
    model = tiny_llama("sdpa", spread=0.3).double()
    packed, separate = batches("llama", "sdpa")
    del packed[lost]
    assert step(model, packed)[0].item() != pytest.approx(step(model, separate)[0].item(), rel=1e-4)


@pytest.mark.long  # transformers compiles it
@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")
def test_flex_attention_gives_the_same_loss() -> None:
    """Forward only: there is no backward on a CPU."""
    packed, separate = batches("llama", "flex_attention")
    packed["attention_mask"] = attention_mask(packed.pop("document_ids"), "flex_attention")
    del packed["row_numbers"]
    with torch.no_grad():
        loss = loss_of(tiny_llama("flex_attention", spread=0.3), packed)
        want = loss_of(tiny_llama("sdpa", spread=0.3), separate)
    assert loss.item() == pytest.approx(want.item(), rel=1e-5)
