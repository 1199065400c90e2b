"""A LLaVA that knows nothing: random, of a few thousand parameters, in all shapes that matter a real one."""

import torch
from transformers import (
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)

from rs_gpt4v_builder.batch.collate import HF_IMAGE_ID, HF_PAD_ID
from rs_gpt4v_builder.text.tokenizer import byte_tokenizer


def tiny_llava(seed: int = 0) -> LlavaForConditionalGeneration:
    """Make a model of the batches of `LlavaCollator(byte_tokenizer(), form="hf")`.

    It takes the ids of images and padding, as far up as they are, and says pieces of the tokenizer only: a head over
    32,064 would take most of a test's time.
    """
    torch.manual_seed(seed)
    size = {"hidden_size": 16, "intermediate_size": 32, "num_attention_heads": 2}
    model = LlavaForConditionalGeneration(
        LlavaConfig(
            vision_config=CLIPVisionConfig(**size, num_hidden_layers=2, image_size=336, patch_size=14),
            text_config=LlamaConfig(**size, num_hidden_layers=1, vocab_size=byte_tokenizer().vocab_size),
            image_token_id=HF_IMAGE_ID,
        )
    )
    model.set_input_embeddings(torch.nn.Embedding(HF_PAD_ID + 1, size["hidden_size"]))
    model.lm_head.weight.data.mul_(10)  # a frozen head of small weights bounds the logits, and so how much is learnt
    return model


def tiny_processor() -> LlavaProcessor:
    """What a trainer saves beside the model, and asks for the names of the special tokens."""
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=byte_tokenizer().bpe, unk_token="<unk>", bos_token="<s>", eos_token="</s>", pad_token="<unk>"
    )
    return LlavaProcessor(CLIPImageProcessorPil(), tokenizer, patch_size=14, num_additional_image_tokens=1)
