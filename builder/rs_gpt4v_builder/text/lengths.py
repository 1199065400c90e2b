"""Batches of samples of like length, as LLaVA groups them for its tuning.

The order is that of `LengthGroupedSampler` in haotian-liu/LLaVA (llava/train/llava_trainer.py) with
`group_by_modality_length`, for the same draws of random numbers: samples are shuffled, cut into
megabatches of all ranks' batches, sorted by length in each and dealt to the ranks so that none gets
more text than the others. Samples with and without an image do not mix but in the last one.

The lengths are words, which the release's index counts, so that no text has to be read.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import Sampler

from rs_gpt4v_builder.errors import OptionError

Lengths = npt.NDArray[np.int64]


def modality_lengths(
    words: npt.ArrayLike, pairs: npt.ArrayLike | None = None, *, image: npt.ArrayLike | None = None
) -> Lengths:
    """Make the lengths of samples from the words of their pairs, as the release's index has them.

    Args:
        words: (P,) int; words of each question with its answer, row after row.
        pairs: (N,) int; number of pairs of each row, which add up to P. None where each pair is a
            sample.
        image: (N,) bool; whether a sample has an image; all have if None.

    Returns:
        (N,) int64: words of each sample, negative where it has no image.

    Raises:
        OptionError: The arrays do not fit together, or a sample has no words.
    """
    counts = np.asarray(words, np.int64)
    if pairs is not None:
        each = np.asarray(pairs, np.int64)
        if int(each.sum()) != len(counts):
            raise OptionError(f"pairs add up to {each.sum()}, but there are words of {len(counts)} pairs")
        ends = np.cumsum(each)
        total = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
        counts = total[ends] - total[ends - each]
    if image is not None:
        has_image = np.asarray(image, bool)
        if has_image.shape != counts.shape:
            raise OptionError(f"image has {len(has_image)} entries for {len(counts)} samples: give one a sample")
        counts = np.where(has_image, counts, -counts)
    if (counts == 0).any():
        raise OptionError(f"sample {int((counts == 0).argmax())} has no words: leave it out")
    return counts


class LengthGroupedSampler(Sampler[int]):
    """Positions of all samples, those of like length together: the `sampler` of a stock `DataLoader`.

    Every rank makes the same order; give each its part by batches (rank r of w takes the batches
    r, r + w, ...), as `accelerate` and transformers' `Trainer` do.

    Args:
        lengths: (N,) int; words of each sample, negative where it has no image (what
            `modality_lengths` gives).
        batch_size: Samples of a batch of one rank.
        world_size: Batches that are filled with samples of like length: ranks, times steps of
            gradient accumulation.
        by_modality: Whether samples with and without an image are kept apart. Else the sign of a
            length is ignored.
        seed: The order of an epoch is a function of this and of the epoch.
        generator: Draws from this instead, and goes on with it from epoch to epoch, as the original
            does with torch's own generator.

    Raises:
        OptionError: A length is 0, or a size is less than 1.
    """

    def __init__(
        self,
        lengths: npt.ArrayLike | Sequence[int],
        batch_size: int,
        *,
        world_size: int = 1,
        by_modality: bool = True,
        seed: int = 0,
        generator: torch.Generator | None = None,
    ) -> None:
        self.lengths = np.asarray(lengths, np.int64)
        if batch_size < 1 or world_size < 1:
            raise OptionError(f"batch_size={batch_size}, world_size={world_size}: use 1 or more")
        if (self.lengths == 0).any():
            raise OptionError(f"sample {int((self.lengths == 0).argmax())} has the length 0: leave it out")
        self.batch_size, self.world_size, self.by_modality = batch_size, world_size, by_modality
        self.seed, self.generator, self.epoch = seed, generator, 0

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.lengths)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order comes next; `accelerate` calls it."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        """Iterate over the positions of one epoch."""
        generator = self.generator or torch.Generator().manual_seed(self.seed + self.epoch)
        return iter(self._order(generator))

    def _order(self, generator: torch.Generator) -> list[int]:
        with_image, without = np.flatnonzero(self.lengths > 0), np.flatnonzero(self.lengths < 0)
        if not self.by_modality or not len(with_image) or not len(without):
            return [at for batch in self._megabatches(np.arange(len(self)), generator) for at in batch]
        first, second = self._megabatches(with_image, generator), self._megabatches(without, generator)
        mixed = sorted(first[-1] + second[-1])
        whole = first[:-1] + second[:-1]
        order = torch.randperm(len(whole), generator=generator).tolist()
        return [at for number in order for at in whole[number]] + mixed

    def _megabatches(self, positions: npt.NDArray[np.intp], generator: torch.Generator) -> list[list[int]]:
        """Shuffle some samples and cut them into megabatches, each a batch of every rank."""
        lengths = np.abs(self.lengths[positions])
        shuffled = torch.randperm(len(positions), generator=generator).numpy()
        size = self.batch_size * self.world_size
        made = []
        for start in range(0, len(shuffled), size):
            chunk = shuffled[start : start + size]
            longest_first = chunk[np.argsort(-lengths[chunk], kind="stable")]
            dealt = _deal(longest_first.tolist(), lengths[longest_first].tolist(), self.world_size)
            made.append(positions[dealt].tolist())
        return made


def _deal(samples: list[int], lengths: list[int], hands: int) -> list[int]:
    """Deal samples, the longest first, to the hand that has least so far; return hand after hand.

    Where there are not as many for each hand they go round.
    """
    if len(samples) % hands:
        return [at for hand in range(hands) for at in samples[hand::hands]]
    room = len(samples) // hands
    dealt: list[list[int]] = [[] for _ in range(hands)]
    held: list[float] = [0] * hands
    for at, length in zip(samples, lengths, strict=True):
        hand = held.index(min(held))
        dealt[hand].append(at)
        held[hand] = float("inf") if len(dealt[hand]) == room else held[hand] + length
    return [at for hand in dealt for at in hand]
