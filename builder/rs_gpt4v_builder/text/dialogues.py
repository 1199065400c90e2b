"""The independent dialogues of a row, and which of them one sample takes.

A row of a release is one image and one task. Its pairs of question and answer carry a number each
(`pairs[].dialogue`): pairs of one number depend on each other in their order, those of different
numbers are independent. A sheet is a part of a row's dialogues that goes into one sample. Nothing
here needs a tokenizer or torch.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from rs_gpt4v_builder.errors import RowError
from rs_gpt4v_builder.text.estimate import estimate_tokens
from rs_gpt4v_builder.text.turns import GPT, HUMAN, IMAGE_TAG, Turn, parse_turns

FEATURES = 576
"""Features that the model puts in the place of one image: (336 / 14)²."""


_FRAME = {"v1": (44, 9), "llama_2": (61, 10)}
"""Most tokens of a template's head with what stands around the image, and of what it puts around a question and its
answer. The first question follows a line break, where its first word may need more tokens than behind a space: in each
head there is room for that."""


@dataclass(frozen=True, slots=True)
class Dialogue:
    """Turns that belong together, in order.

    Attributes:
        turns: The turns.
        positions: Positions of its pairs in the row.
    """

    turns: tuple[Turn, ...]
    positions: tuple[int, ...]

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
        return RowText((Dialogue(tuple(turns), tuple(range(len(turns) // 2))),), tagged=False)
    numbers = _numbers(pairs, turns, name)
    bare = [_untagged(turn) for turn in turns]
    groups: dict[int, list[int]] = {}
    for position, number in enumerate(numbers):
        groups.setdefault(number, []).append(position)
    dialogues = tuple(
        Dialogue(tuple(bare[turn] for at in group for turn in (2 * at, 2 * at + 1)), tuple(group))
        for group in groups.values()
    )
    return RowText(dialogues, tagged=has_tag(turns))


def has_tag(turns: Sequence[Turn]) -> bool:
    """Tell whether any turn has an image tag."""
    return any(IMAGE_TAG in turn.value for turn in turns)


Measure = Callable[[Dialogue, bool], int]
"""Tokens of a dialogue. The flag tells whether it is the first of a sample: then those of the image
and of the prompt's head are among them."""


def sheets(text: RowText, budget: int, measure: Measure) -> Iterator[tuple[int, ...]]:
    """Cut a row into sheets, each with as many of its dialogues in order as fit.

    Every dialogue is in exactly one sheet. No sheet asks the same twice: of several captions with
    one question each is in a sheet of its own. A single dialogue that is too long is a sheet by
    itself.

    Args:
        text: The row's text.
        budget: Most tokens of a sheet.
        measure: Tells the tokens of a dialogue.

    Yields:
        Positions of dialogues in `text.dialogues`, ascending.
    """
    questions = [dialogue.questions() for dialogue in text.dialogues]
    left = list(range(len(questions)))
    while left:
        sheet = _next_sheet(text, left, questions, budget, measure)
        yield sheet
        taken = set(sheet)
        left = [number for number in left if number not in taken]


def estimated_sheets(text: RowText, max_length: int, *, template: str = "v1") -> list[tuple[int, ...]]:
    """Cut a row into sheets of at most `max_length` tokens by an estimate, without a tokenizer.

    The estimate is never too low (see `estimate_tokens`), so a collator with the same `max_length`
    has room for every dialogue of a sheet.

    Args:
        text: The row's text.
        max_length: Most tokens of a sample, the 576 of the image among them.
        template: The collator's template. `plain` takes one question and its answer at a time.

    Returns:
        Positions of dialogues in `text.dialogues` for each sheet, at least one.
    """
    if template == "plain":
        return [(number,) for number in range(len(text.dialogues))]
    head, pair = _FRAME[template]
    head += FEATURES if text.tagged or any(has_tag(dialogue.turns) for dialogue in text.dialogues) else 0

    def measure(dialogue: Dialogue, first: bool) -> int:
        words = sum(estimate_tokens(turn.value) for turn in dialogue.turns)
        return words + pair * ((len(dialogue.turns) + 1) // 2) + (head if first else 0)

    return list(sheets(text, max_length, measure))


def whole_bound(row: Mapping[str, Any]) -> int:
    """Bound the tokens of a row that is one sheet as it stands: a sample of at least so many tokens holds it all.

    It spares most rows from being read and cut into sheets. No question of such a row is asked twice, its dialogues
    follow one another and the image's tag stands at the head. Only for templates of several pairs.

    Args:
        row: A row of a release, maybe malformed.

    Returns:
        Tokens, the 576 of an image among them; -1 where it takes a closer look.
    """
    pairs, messages = row.get("pairs"), row.get("conversations")
    if not pairs or not messages:
        return -1
    try:
        values, numbers = list(map(_VALUE, messages)), list(map(_NUMBER, pairs))
        text = "".join(values)
    except (TypeError, KeyError):
        return -1
    questions = {values[0].removeprefix(IMAGE_TAG).strip(), *map(str.strip, values[2::2])}
    if text.rfind(IMAGE_TAG) > 0 or len(questions) != len(pairs) or None in numbers or numbers != sorted(numbers):
        return -1
    head, frame = _FRAME["v1"]
    # a text has no more tokens than bytes; where that is a lot, the estimate is worth its while
    tokens = len(text.encode(errors="surrogatepass"))
    tokens = tokens if tokens < FEATURES else sum(map(estimate_tokens, values))
    return tokens + frame * len(pairs) + head + FEATURES


_VALUE, _NUMBER = itemgetter("value"), itemgetter("dialogue")


def select(row: Mapping[str, Any], dialogues: Sequence[int], text: RowText | None = None) -> dict[str, Any]:
    """Make the sample of a row that shows some of its dialogues.

    Args:
        row: A row of a release.
        dialogues: Positions of dialogues, in the order of their first pairs, as in
            `read_text(row).dialogues`.
        text: What `read_text` gives, where it is at hand already.

    Returns:
        The row with `conversations` and `pairs` of these dialogues only, the image's tag at the
        head of the first turn, and `shown`, the positions of the pairs in the release's row. All
        else is as it was. A row without `pairs` is one dialogue and keeps its turns.

    Raises:
        RowError: The row's text is malformed.
    """
    text = text or read_text(row)
    chosen = [text.dialogues[number] for number in dialogues]
    positions = [position for dialogue in chosen for position in dialogue.positions]
    turns = [turn for number, one in enumerate(chosen) for turn in text.join(one, first=not number)]
    pairs, shown = row.get("pairs"), row.get("shown")
    sample = dict(row)
    sample["conversations"] = [{"from": turn.role, "value": turn.value} for turn in turns]
    sample["shown"] = positions if shown is None else [shown[position] for position in positions]
    if pairs:
        sample["pairs"] = [pairs[position] for position in positions]
    return sample


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


def _next_sheet(
    text: RowText, left: Sequence[int], questions: Sequence[set[str]], budget: int, measure: Measure
) -> tuple[int, ...]:
    """Take dialogues in order while they fit, none that asks what was asked."""
    sheet = [left[0]]
    room = budget - measure(text.dialogues[left[0]], True)
    asked = set(questions[left[0]])
    for number in left[1:]:
        if questions[number] & asked:
            continue
        room -= measure(text.dialogues[number], False)
        if room < 0:
            break
        sheet.append(number)
        asked |= questions[number]
    return tuple(sheet)


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


def _untagged(turn: Turn) -> Turn:
    value = turn.value
    return Turn(turn.role, value.replace(IMAGE_TAG, "").strip()) if IMAGE_TAG in value else turn
