"""Small random models of transformers, quick to make, the same ones each time.

They take ids as far up as those of image and padding are, and say pieces of the byte tokenizer only: a head over 32,064
would take most of a test's time.
"""

from typing import Any

import pytest
import torch

from rs_gpt4v_builder.batch.collate import HF_IMAGE_ID, HF_PAD_ID
from rs_gpt4v_builder.text.tokenizer import byte_tokenizer

SIZE = {"hidden_size": 16, "intermediate_size": 32, "num_attention_heads": 2}
SPREAD = 0.02
"""Deviation of the weights, that of transformers. With larger ones it shows in the loss what a token attends to."""


def tiny_llama(attention: str = "sdpa", *, spread: float = SPREAD) -> Any:
    """A LlamaForCausalLM."""
    transformers = pytest.importorskip("transformers", minversion="5")
    torch.manual_seed(0)
    return _wide(transformers.LlamaForCausalLM._from_config(_text(spread, layers=2), attn_implementation=attention))


def tiny_llava(attention: str = "sdpa", *, spread: float = SPREAD) -> Any:
    """A LlavaForConditionalGeneration of the batches of `LlavaCollator(byte_tokenizer(), form="hf")`."""
    transformers = pytest.importorskip("transformers", minversion="5")
    eye = {"hidden_size": 8, "intermediate_size": 8, "num_attention_heads": 1, "image_size": 336, "patch_size": 14}
    config = transformers.LlavaConfig(
        vision_config=transformers.CLIPVisionConfig(**eye, num_hidden_layers=1),
        text_config=_text(spread, layers=1),
        image_token_id=HF_IMAGE_ID,
        vision_feature_layer=-1,
    )
    torch.manual_seed(0)
    model = _wide(transformers.LlavaForConditionalGeneration._from_config(config, attn_implementation=attention))
    model.lm_head.weight.data.mul_(0.2 / spread)  # a head of small weights bounds the logits, and so how much is learnt
    return model


def tiny_processor() -> Any:
    """What a trainer saves beside the model, and asks for the names of the special tokens."""
    transformers = pytest.importorskip("transformers", minversion="5")
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=byte_tokenizer().bpe, unk_token="<unk>", bos_token="<s>", eos_token="</s>", pad_token="<unk>"
    )
    images = transformers.CLIPImageProcessorPil()
    return transformers.LlavaProcessor(images, tokenizer, patch_size=14, num_additional_image_tokens=1)


def _text(spread: float, layers: int) -> Any:
    from transformers import LlamaConfig

    vocabulary = byte_tokenizer().vocab_size
    return LlamaConfig(**SIZE, num_hidden_layers=layers, vocab_size=vocabulary, initializer_range=spread)


def _wide(model: Any) -> Any:
    """Let a model take the ids of image and padding."""
    embedding = torch.nn.Embedding(HF_PAD_ID + 1, SIZE["hidden_size"])
    model.set_input_embeddings(embedding)
    return model
