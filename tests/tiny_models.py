"""Small random models of transformers, quick to make, the same ones each time."""

from typing import Any

import pytest
import torch


def tiny_llama(vocabulary: int, attention: str) -> Any:
    """A LlamaForCausalLM, large in its weights so that what it attends to shows."""
    transformers = pytest.importorskip("transformers", minversion="5")
    torch.manual_seed(0)
    return transformers.LlamaForCausalLM._from_config(_text(vocabulary), attn_implementation=attention)


def tiny_llava(vocabulary: int, attention: str) -> Any:
    """A LlavaForConditionalGeneration for images of 336 pixels; the last two ids are `<image>` and `<pad>`."""
    transformers = pytest.importorskip("transformers", minversion="5")
    vision = transformers.CLIPVisionConfig(
        hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1, image_size=336, patch_size=14
    )
    config = transformers.LlavaConfig(
        vision_config=vision,
        text_config=_text(vocabulary),
        image_token_index=vocabulary - 2,
        vision_feature_layer=-1,
    )
    torch.manual_seed(0)
    return transformers.LlavaForConditionalGeneration._from_config(config, attn_implementation=attention)


def _text(vocabulary: int) -> Any:
    from transformers import LlamaConfig

    return LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        initializer_range=0.3,
    )
