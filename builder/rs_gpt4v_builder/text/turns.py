"""Turns of a conversation as a row holds them. Needs no tokenizer and no torch."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from rs_gpt4v_builder.errors import RowError

IMAGE_TAG = "<image>"
"""Stands in a text where the image goes."""

HUMAN, GPT = "human", "gpt"


class Turn(NamedTuple):
    """One message; `role` is `human` or `gpt`."""

    role: str
    value: str


def parse_turns(conversations: Sequence[Mapping[str, Any]], *, row: str) -> list[Turn]:
    """Read turns from LLaVA's form, dicts of `from` and `value`.

    Raises:
        RowError: A turn is no dict, a speaker is neither `human` nor `gpt`, or a value is no text. `row` is the row's
            id for the message.
    """
    turns = []
    for number, message in enumerate(conversations, 1):
        if not isinstance(message, Mapping):
            found, expected = f"turn {number}, {message!r}", "a dict of `from` and `value`"
            raise RowError.of(row, found, expected, "fill it in or remove the turn")
        role, value = message.get("from"), message.get("value")
        if role not in (HUMAN, GPT):
            found, expected = f"turn {number} from {role!r}", "'human' or 'gpt'"
            raise RowError.of(row, found, expected, "rename or remove the speaker")
        if not isinstance(value, str):
            found = f"turn {number} with the value {value!r}"
            raise RowError.of(row, found, "text", "fill it in or remove the turn")
        if not value.isascii() and not _is_unicode(value):
            found = f"turn {number} with half of a surrogate pair in {value[:40]!r}"
            raise RowError.of(row, found, "Unicode text", "decode the source's text again")
        turns.append(Turn(role, value))
    return turns


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
