"""Rows as chat messages, which every other trainer and processor takes.

The form is that of `apply_chat_template` in transformers: messages of `role` and `content`, the
content a list of parts, `{"type": "image"}` or `{"type": "text", "text": ...}`. A chat template
puts the model's own marks around them, so nothing here knows about any model. TRL's trainers take
the same messages together with a list `images`. Needs no torch.
"""

from collections.abc import Mapping
from typing import Any

from PIL import Image

from rs_gpt4v_builder.errors import OptionError, RowError
from rs_gpt4v_builder.pixels import decode
from rs_gpt4v_builder.text.dialogues import Dialogue, RowText, has_tag, one_of, read_text, row_name, sheets
from rs_gpt4v_builder.text.turns import GPT, HUMAN, IMAGE_TAG

ROLES = {HUMAN: "user", GPT: "assistant"}
"""The roles of chat templates by LLaVA's names of the speakers."""

PAIRS = ("row", "each", "one")

Message = dict[str, Any]


def to_messages(
    row: Mapping[str, Any], *, pairs: str = "row", epoch: int = 0, with_image: bool = False
) -> list[Message] | list[list[Message]]:
    """Make the chat messages of a row.

    Args:
        row: A row of a release, a sample of a `Stream`, or a record of LLaVA's own files.
        pairs: `row` puts the independent dialogues of the row one behind the other into one
            conversation, but none that asks what was asked (so one caption of several: their common
            question has no second answer in one conversation). `each` makes a conversation of every
            dialogue. `one` takes one dialogue, another one each epoch, as `Stream` and
            `LlavaCollator` do.
        epoch: Number of the epoch, for `one`.
        with_image: Whether the part of the image holds the image itself, opened, as `image`: for
            processors that are to open it on their own (`apply_chat_template(..., tokenize=True)`).
            Else the part only says where the image goes, and the image is given beside the
            messages, which is what TRL wants.

    Returns:
        A list of messages; with `pairs="each"` a list of such lists. The image's part stands at the
        head of the first message in which the row has it.

    Raises:
        RowError: The row's text is malformed, or `with_image` asks for an image that is null or
            cannot be opened.
        OptionError: `pairs` is not known.
    """
    if pairs not in PAIRS:
        raise OptionError.unknown("pairs", pairs, PAIRS)
    text = read_text(row)
    image: Message = {"type": "image"}
    if with_image and (text.tagged or any(has_tag(dialogue.turns) for dialogue in text.dialogues)):
        image["image"] = open_image(row.get("image"), row=row_name(row))
    if pairs == "each":
        return [_conversation(text, [dialogue], image) for dialogue in text.dialogues]
    if pairs == "one":
        return _conversation(text, [text.dialogues[one_of(row_name(row), epoch, len(text.dialogues))]], image)
    whole = next(sheets(text, 1, lambda *_: 0))  # nothing has a length, so all that may stand together fits
    return _conversation(text, [text.dialogues[number] for number in whole], image)


def _conversation(text: RowText, dialogues: list[Dialogue], image: Message) -> list[Message]:
    """Messages of some dialogues, the image's tag turned into its part."""
    messages: list[Message] = []
    for number, dialogue in enumerate(dialogues):
        for role, value in text.join(dialogue, first=not number):
            spoken = value.replace(IMAGE_TAG, "").strip() if IMAGE_TAG in value else value
            content: list[Message] = [dict(image)] if IMAGE_TAG in value else []
            if spoken or not content:
                content.append({"type": "text", "text": spoken})
            messages.append({"role": ROLES[role], "content": content})
    return messages


def open_image(image: Any, *, row: str = "") -> Image.Image:
    """Open the image of a row.

    Args:
        image: A dict of `bytes` and `path`, the bytes of a file, or a PIL image.
        row: The row's id for messages.

    Returns:
        The whole image in its own size, RGB.

    Raises:
        RowError: There is no image, or it cannot be decoded.
    """
    try:
        return decode.to_rgb(decode.open_image(decode.source_of(image, row)))
    except RowError:
        raise
    except decode.DAMAGED as error:
        found = f"an image that cannot be decoded ({error})"
        expected, do = "a whole image file that PIL reads", "fetch the file again or leave the row out"
        raise RowError.of(row, found, expected, do) from error
