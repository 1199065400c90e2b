"""Which malformed samples the original code masks whole, found by its own way of counting.

LLaVA's `preprocess_v1` looks for the answers by lengths: it cuts the prompt at `</s>` into rounds,
tokenizes each, and each one's question, and adds the lengths up. Where the sum is not the number of
ids that are not padding, and less than the model's maximum, it prints a warning and learns nothing
of the sample. For a well-formed conversation the sum is right and the result is what
`conversation.py` finds in one pass, so only the others have to be counted like this.
"""

from .conversation import V1_ANSWER, Encoded, Encoder
from .tokenizer import EOS
from .turns import IMAGE_TAG


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
    position = 1  # behind <s>
    spans = []
    for number, text in enumerate(prompt.split(EOS)):
        parts = text.split(V1_ANSWER)
        if not text or len(parts) != 2:
            break
        # without its own <s> and without the lone `▁` that the space at its end becomes
        question = _length(encoder, parts[0] + V1_ANSWER, has_image) - 2
        length = _length(encoder, text, has_image)  # its own <s> stands in for the </s>
        if number and not encoder.legacy:
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


def _length(encoder: Encoder, text: str, has_image: bool) -> int:
    """Number of ids of a text tokenized by itself, with `<s>`."""
    chunks = text.split(IMAGE_TAG) if has_image else [text]
    ids = encoder.tokenizer.encode_batch(chunks, prefix=True, legacy=encoder.legacy)
    return len(chunks) + sum(map(len, ids))
