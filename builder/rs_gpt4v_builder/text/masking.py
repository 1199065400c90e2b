"""Which malformed samples the original code masks whole, found by its own way of counting.

LLaVA's `preprocess_v1` and `preprocess_llama_2` look for the answers by lengths: they cut the
prompt at `</s>` into rounds, tokenize each, and each one's question, and add the lengths up. Where
the sum is not the number of ids that are not padding, and less than the model's maximum, they print
a warning and learn nothing of the sample. For a well-formed conversation the sum is right and the
result is what `conversation.py` finds in one pass, so only the others have to be counted like this.
"""

from rs_gpt4v_builder.text.conversation import Encoded, Encoder
from rs_gpt4v_builder.text.tokenizer import EOS


def original_spans(
    encoder: Encoder, prompt: str, ids: list[int], *, has_image: bool, max_length: int
) -> list[tuple[int, int]] | None:
    """Find the spans to learn as the original code does.

    Args:
        encoder: Tells the lengths of texts.
        prompt: The whole prompt.
        ids: Its ids, cut to `max_length` where the sample has no image.
        has_image: Whether an image tag in the text is an image.
        max_length: The tokenizer's `model_max_length`, in ids.

    Returns:
        The spans, or None where the sample is masked whole.
    """
    mark = encoder.template.mark
    position = 1  # behind <s>
    spans = []
    for number, text in enumerate(prompt.split(EOS)):
        parts = text.split(mark)
        if not text or len(parts) != 2:
            break
        # without its own <s> and without the lone `▁` that the space at its end becomes
        question = encoder.length(parts[0] + mark, has_image=has_image) - 2
        length = encoder.length(text, has_image=has_image)  # its own <s> stands in for the </s>
        if number and encoder.template.bare and not encoder.legacy:
            # alone the round begins with a dummy prefix, behind </s> it does not: ▁US ER against
            # USER
            question, length = question - 1, length - 1
        spans.append((position + question, position + length))
        position += length
    total = sum(number != encoder.tokenizer.pad_id for number in ids)
    if position != total and position < max_length:
        return None
    return spans


def mask_as_original(
    encoder: Encoder, prompt: str, ids: list[int], *, has_image: bool, max_length: int
) -> tuple[Encoded, bool]:
    """Return a malformed sample as the original trains on it, and whether it is masked whole."""
    spans = original_spans(encoder, prompt, ids, has_image=has_image, max_length=max_length)
    return Encoded(ids, spans or []).cut(len(ids)), spans is None
