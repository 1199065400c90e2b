"""The independent dialogues of a row, and which of them one sample takes.

A row of a release is one image and one task. Its pairs of question and answer carry a number each
(`pairs[].dialogue`): pairs of one number depend on each other in their order, those of different
numbers are independent. Nothing here needs a tokenizer or torch.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .conversation import GPT, HUMAN, IMAGE_TAG, Turn, parse_turns
from .errors import RowError


@dataclass(frozen=True, slots=True)
class Dialogue:
    """Turns that belong together, in order."""

    turns: tuple[Turn, ...]

    @property
    def pairs(self) -> int:
        """Number of questions with their answers."""
        return len(self.turns) // 2

    def questions(self) -> set[str]:
        """Return what the human says, without outer spaces."""
        return {turn.value.strip() for turn in self.turns if turn.role == HUMAN}


@dataclass(frozen=True, slots=True)
class RowText:
    """The text of one row.

    Attributes:
        dialogues: Its independent dialogues, at least one, in the order of their first pairs.
        tagged: Whether the image's tag was taken out of them, since any of them may come to be the
            first of a sample; `join` puts it in again. False in a row without `pairs`, whose turns
            are left as they are.
    """

    dialogues: tuple[Dialogue, ...]
    tagged: bool

    def join(self, dialogue: Dialogue, *, first: bool) -> list[Turn]:
        """Return the turns of a dialogue, with the image's tag if it is the first of a sample."""
        turns = list(dialogue.turns)
        if first and self.tagged:
            turns[0] = Turn(HUMAN, f"{IMAGE_TAG}\n{turns[0].value}")
        return turns


def row_name(row: Mapping[str, Any]) -> str:
    """Return the row's id as text, or an empty string."""
    name = row.get("id")
    return "" if name is None else str(name)


def read_text(row: Mapping[str, Any]) -> RowText:
    """Read the text of a row and split it into its dialogues.

    A row without `pairs` (LLaVA's own records) is one dialogue.

    Raises:
        RowError: There is no conversation, a turn is not what it should be, or the pairs do not
            match the turns.
    """
    name, messages, pairs = row_name(row), row.get("conversations"), row.get("pairs")
    if not _is_list(messages) or not messages:
        found = f"conversations={messages!r}" if "conversations" in row else "no `conversations`"
        expected = "a list of turns, each with `from` and `value`"
        raise RowError.of(name, found, expected, "do not drop or rename the column")
    turns = parse_turns(messages, row=name)
    if not pairs:
        return RowText((Dialogue(tuple(turns)),), tagged=False)
    numbers = _numbers(pairs, turns, name)
    bare = [Turn(turn.role, _untagged(turn.value)) for turn in turns]
    groups: dict[int, list[Turn]] = {}
    for position, number in enumerate(numbers):
        groups.setdefault(number, []).extend(bare[2 * position : 2 * position + 2])
    dialogues = tuple(Dialogue(tuple(group)) for group in groups.values())
    return RowText(dialogues, tagged=has_tag(turns))


def has_tag(turns: Sequence[Turn]) -> bool:
    """Tell whether any turn has an image tag."""
    return any(IMAGE_TAG in turn.value for turn in turns)


def one_of(row: str, epoch: int, count: int) -> int:
    """Choose one of a row's dialogues for an epoch.

    The first is chosen by a hash of the row's id, so that it depends on nothing else, and every
    epoch moves on by one: after `count` epochs each was chosen once.

    Args:
        row: The row's id.
        epoch: Number of the epoch.
        count: How many there are.
    """
    digest = hashlib.sha256(row.encode()).digest()
    return (int.from_bytes(digest[:8], "big") + epoch) % count


def _numbers(pairs: Any, turns: list[Turn], name: str) -> list[int]:
    """The dialogue's number of each pair, once the pairs were found to match the turns."""
    do = "keep `conversations` and `pairs` as the release has them"
    if not _is_list(pairs) or not all(
        isinstance(pair, Mapping) and isinstance(pair.get("dialogue"), int) for pair in pairs
    ):
        raise RowError.of(name, "`pairs` without dialogues", "a `dialogue` number in each", do)
    if len(turns) != 2 * len(pairs):
        found = f"{len(turns)} turns and {len(pairs)} pairs"
        raise RowError.of(name, found, "two turns for each pair", do)
    for number, turn in enumerate(turns):
        if turn.role != (HUMAN, GPT)[number % 2]:
            found = f"turn {number + 1} from {turn.role!r}"
            raise RowError.of(name, found, "human and gpt in turn, as in any row with `pairs`", do)
    return [pair["dialogue"] for pair in pairs]


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def _untagged(text: str) -> str:
    return text.replace(IMAGE_TAG, "").strip() if IMAGE_TAG in text else text
