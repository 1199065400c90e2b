"""What the samples of a stream are: rows, parts of rows, or single dialogues."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rs_gpt4v_builder.errors import OptionError, RowError
from rs_gpt4v_builder.release.release import Places, Rows
from rs_gpt4v_builder.release.texts import TRAINING, Row
from rs_gpt4v_builder.stream.mix import Part
from rs_gpt4v_builder.stream.order import Positions
from rs_gpt4v_builder.text.dialogues import RowText, estimated_sheets, one_of, read_text, row_name, select
from rs_gpt4v_builder.text.turns import GPT, HUMAN, IMAGE_TAG

PAIRS = ("row", "each", "one")

MANY = 256
"""Pairs up to which a list of their positions is cut from one that is there, which is quicker than counting."""

_COUNTED = list(range(MANY))

_MALFORMED = (TypeError, KeyError, AttributeError, UnicodeEncodeError)
"""What the quick ways raise at something that is not what it should be."""


class Found(NamedTuple):
    """Where some samples lie, in the order in which they are wanted."""

    places: Places  # of their rows
    which: list[int]  # the dialogue of each that is meant, or how many times it was shown before

    def part(self, start: int, stop: int) -> "Found":
        """Return those of samples `start` to below `stop`."""
        return Found(self.places.part(start, stop), self.which[start:stop])


class Samples:
    """The samples that some rows give. Immutable; may be asked from several threads; can be pickled.

    Args:
        rows: The rows.
        pairs: `each` dialogue is a sample; `one` of each row; or those of a `row` that fit.
        max_length: Tokens that the dialogues of a `row` should fit; None takes all of them.
        columns: What is left of a sample, beside `shown`; None is all columns.

    Attributes:
        images: Whether the rows have images.

    Raises:
        OptionError: `pairs` is not known, or `max_length` is not above 0.
    """

    def __init__(self, rows: Rows, pairs: str, max_length: int | None, columns: Sequence[str] | None = None) -> None:
        if pairs not in PAIRS:
            raise OptionError.unknown("pairs", pairs, PAIRS)
        if max_length is not None and not max_length > 0:
            raise OptionError(f"max_length={max_length!r}: expected a number above 0, or None for whole rows")
        self.rows, self.pairs, self.max_length = rows, pairs, max_length
        self.columns = None if columns is None else (*columns, "shown")
        self.images = rows.columns is None or "image" in rows.columns
        self._rest = columns is None or not set(columns) <= set(TRAINING)
        self._training = self.columns == (*TRAINING, "shown")
        # one dialogue a sample: where the samples of each row end
        self._ends: Positions | None = np.cumsum(rows.dialogues(), dtype=np.int64) if pairs == "each" else None

    def __len__(self) -> int:
        if self._ends is None:
            return len(self.rows)
        return int(self._ends[-1]) if len(self._ends) else 0

    def parts(self) -> list[Part]:
        """The samples of each shard, in order.

        Raises:
            OptionError: The shards do not tell tasks and sources apart (those of mini/).
        """
        found = []
        for shard, first, stop in self.rows.shards:
            folders = shard.path.split("/")[1:-1]
            if len(folders) != 2:
                raise OptionError(f"mix: {self.rows.config!r} has tasks and sources in one file: choose another config")
            found.append(Part(folders[0], folders[1], self._first(first), self._first(stop)))
        return found

    def counts(self) -> Positions | None:
        """Number of samples of each row, (rows,) int64; None is one each."""
        return None if self._ends is None else np.diff(self._ends, prepend=0)

    def row_numbers(self, numbers: Positions) -> Positions:
        """Position of the row of each sample, both (n,) int64."""
        return self._rows(numbers)[0]

    def find(self, numbers: Positions, passes: Positions) -> Found:
        """Find where samples lie.

        Args:
            numbers: Of the samples, (n,) int64.
            passes: How many times each was shown before, (n,) int64.
        """
        positions, dialogues = self._rows(numbers)
        return Found(self.rows.places(positions), (passes if dialogues is None else dialogues).tolist())

    def fetch(
        self,
        found: Found,
        *,
        whole: bool = False,
        rest: bool = True,
        warm: bool = False,
        rows: list[Row] | None = None,
    ) -> list[Row]:
        """Read samples, in the order given.

        Args:
            found: Where they lie.
            whole: Whether rows come whole, as with `max_length=None`.
            rest: Whether more columns than `texts.TRAINING` are wanted, which takes longer.
            warm: Whether the images are likely to be in memory; see `LocalStore.copies`.
            rows: The rows of these samples, where they are there already.

        Returns:
            Rows whose `conversations` and `pairs` are those of the sample, with `shown`: positions of its pairs in the
            release's row. A row whose text is malformed comes as it is: whoever encodes it says what is wrong.
        """
        if rows is not None:
            return self._cut(self._samples(rows, None, found, whole))
        read = self.rows.read_bounded(found.places, rest=self.needs_rest(rest), warm=warm)
        samples = self._samples(*read, found, whole)
        return samples if self._training else self._cut(samples)

    def needs_rest(self, rest: bool) -> bool:
        """Whether samples take more columns than `texts.TRAINING`; `rest` as in `fetch`."""
        return self._rest and (rest or self.columns is not None)

    def _cut(self, samples: list[Row]) -> list[Row]:
        """Leave the columns that are wanted."""
        if self.columns is None:
            return samples
        try:
            return [{name: sample[name] for name in self.columns} for sample in samples]
        except KeyError as error:
            raise OptionError.unknown("columns", error.args[0], samples[0]) from None

    def _samples(self, rows: list[Row], bounds: list[int] | None, found: Found, whole: bool) -> list[Row]:
        """Samples of rows, whose bounds are there or are asked for where they are needed."""
        if self.pairs != "row":
            return list(map(self._sample, rows, found.which))
        if whole or self.max_length is None:
            return [_as_it_is(row) for row in rows]
        most, samples = self.max_length, []
        for row, which, bound in zip(rows, found.which, bounds or self.rows.bounds(found.places), strict=True):
            if 0 <= bound <= most:  # then the row has pairs
                pairs = row["pairs"]
                row["shown"] = _COUNTED[: len(pairs)] if len(pairs) <= MANY else [*range(len(pairs))]
                samples.append(row)
            else:
                samples.append(self._sample(row, which))
        return samples

    def ahead(self, numbers: Positions) -> None:
        """Say that these samples will be fetched soon."""
        if self.images:
            self.rows.ahead(self._rows(numbers)[0])

    def _first(self, row: int) -> int:
        """Number of a row's first sample."""
        return row if self._ends is None or not row else int(self._ends[row - 1])

    def _rows(self, numbers: Positions) -> tuple[Positions, Positions | None]:
        """Position of each sample's row, and which dialogue of it is meant."""
        if self._ends is None:
            return numbers, None
        rows: npt.NDArray[np.int64] = np.searchsorted(self._ends, numbers, side="right")
        firsts = np.where(rows > 0, self._ends[rows - 1], 0)
        return rows, numbers - firsts

    def _sample(self, row: Row, which: int) -> Row:
        try:
            return (self.pairs != "row" and self._quick(row, which)) or self._careful(row, which)
        except (RowError, *_MALFORMED):
            return _as_it_is(row)

    def _quick(self, row: Row, which: int) -> Row | None:
        """The dialogue of a row that is as rows usually are; None where it takes a closer look."""
        pairs, turns = row["pairs"], row["conversations"]
        count = len(pairs or ())
        if not count or len(turns) != 2 * count or len({pair["dialogue"] for pair in pairs}) != count:
            return None
        head = f"{IMAGE_TAG}\n"
        first = turns[0]["value"]
        question = first.removeprefix(head)
        if not first.startswith(head) or question != question.strip() or "".join(_texts(turns)).rfind(IMAGE_TAG):
            return None
        number = which if self.pairs == "each" else one_of(row_name(row), which, count)
        human, gpt = turns[2 * number : 2 * number + 2]
        if human["from"] != HUMAN or gpt["from"] != GPT:
            return None
        if number:
            human["value"] = head + human["value"]
        row["conversations"], row["pairs"], row["shown"] = [human, gpt], [pairs[number]], [number]
        return row

    def _careful(self, row: Row, which: int) -> Row:
        text = read_text(row)
        return select(row, self._chosen(row, text, which), text)

    def _chosen(self, row: Mapping[str, Any], text: RowText, which: int) -> tuple[int, ...]:
        """The dialogues of a row that are shown: a dialogue's number, or a pass's."""
        count = len(text.dialogues)
        if self.pairs == "each":
            return (which,)
        if self.pairs == "one":
            return (one_of(row_name(row), which, count),)
        sheets = estimated_sheets(text, self.max_length or 0)
        return sheets[which % len(sheets)]


def needed(columns: Sequence[str] | None) -> list[str] | None:
    """Columns of the rows that samples of some columns are made of; without their images where nobody wants them."""
    if columns is None or "image" in columns:
        return None
    return [name for name in dict.fromkeys(("id", "conversations", "pairs", *columns)) if name != "shown"]


def _texts(turns: list[Row]) -> Iterator[str]:
    return (turn["value"] for turn in turns)


def _as_it_is(row: Row) -> Row:
    pairs = row["pairs"]
    row["shown"] = [*range(len(pairs))] if pairs else []
    return row
