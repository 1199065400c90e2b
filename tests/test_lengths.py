"""Samples of like length in one batch: the original's order, and what must hold of any."""

import json
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from rs_gpt4v_builder import LengthGroupedSampler
from rs_gpt4v_builder.errors import OptionError
from rs_gpt4v_builder.text.lengths import modality_lengths
from shared import shared

LENGTHS = st.lists(st.integers(-40, 40).filter(bool), max_size=60)


@given(lengths=LENGTHS, batch=st.integers(1, 5), world=st.integers(1, 4), by=st.booleans(), seed=st.integers(0, 9))
def test_every_sample_comes_once(lengths: list[int], batch: int, world: int, by: bool, seed: int) -> None:
    sampler = LengthGroupedSampler(lengths, batch, world_size=world, by_modality=by, seed=seed)
    order = list(sampler)
    assert len(sampler) == len(lengths)
    assert sorted(order) == list(range(len(lengths)))
    assert list(sampler) == order


@given(lengths=LENGTHS, batch=st.integers(1, 5), world=st.integers(1, 4))
def test_modalities_mix_in_the_last_megabatch_only(lengths: list[int], batch: int, world: int) -> None:
    order = list(LengthGroupedSampler(lengths, batch, world_size=world))
    size = batch * world
    signs = [[lengths[at] > 0 for at in order[start : start + size]] for start in range(0, len(order), size)]
    kinds = [sum(n > 0 for n in lengths), sum(n < 0 for n in lengths)]
    alone = sum((count - 1) // size for count in kinds) if all(kinds) else len(signs)
    for megabatch in signs[:alone]:
        assert len(set(megabatch)) == 1


@given(lengths=st.lists(st.integers(1, 40), min_size=1, max_size=60), batch=st.integers(1, 4), world=st.integers(2, 4))
def test_ranks_get_like_amounts_of_text(lengths: list[int], batch: int, world: int) -> None:
    order = list(LengthGroupedSampler(lengths, batch, world_size=world))
    size = batch * world
    for start in range(0, len(order) - size + 1, size):
        hands = [order[start + batch * hand : start + batch * (hand + 1)] for hand in range(world)]
        amounts = [sum(lengths[at] for at in hand) for hand in hands]
        assert max(amounts) - min(amounts) <= max(lengths[at] for hand in hands for at in hand)


def test_an_epoch_is_a_function_of_seed_and_number() -> None:
    lengths = list(range(1, 60))
    sampler = LengthGroupedSampler(lengths, 4, seed=3)
    first = list(sampler)
    sampler.set_epoch(1)
    second = list(sampler)
    assert first != second
    assert second == list(LengthGroupedSampler(lengths, 4, seed=4))
    sampler.set_epoch(0)
    assert list(sampler) == first


def test_a_generator_goes_on_from_epoch_to_epoch() -> None:
    lengths = list(range(1, 60))
    sampler = LengthGroupedSampler(lengths, 4, generator=torch.Generator().manual_seed(3))
    first, second = list(sampler), list(sampler)
    assert first != second
    assert first == list(LengthGroupedSampler(lengths, 4, seed=3))


def test_a_stock_loader_takes_it() -> None:
    words = np.array([3, 50, 4, 51, 5, 52, 6, 53])
    loader = DataLoader(words.tolist(), batch_size=4, sampler=LengthGroupedSampler(words, 4, world_size=2))  # type: ignore[arg-type]
    assert [len(batch) for batch in loader] == [4, 4]


def test_lengths_are_the_words_of_a_rows_pairs() -> None:
    words = [5, 7, 2, 9]
    assert modality_lengths(words).tolist() == [5, 7, 2, 9]
    assert modality_lengths(words, [1, 3]).tolist() == [5, 18]
    assert modality_lengths(words, [2, 2], image=[True, False]).tolist() == [12, -11]
    assert modality_lengths(words, [2, 2]).dtype == np.int64


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "pairs": ({"words": [1, 2], "pairs": [1]}, "pairs add up to 1, but there are words of 2 pairs"),
    "images": ({"words": [1, 2], "image": [True]}, "image has 1 entries for 2 samples"),
    "no pairs": ({"words": [1, 2], "pairs": [2, 0]}, "sample 1 has no words"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_arrays_that_do_not_fit_are_refused(name: str) -> None:
    options, message = REFUSED[name]
    with pytest.raises(OptionError, match=message):
        modality_lengths(**options)


def test_a_sampler_refuses_what_it_cannot_group() -> None:
    with pytest.raises(OptionError, match="sample 1 has the length 0"):
        LengthGroupedSampler([1, 0], 2)
    with pytest.raises(OptionError, match="batch_size=0, world_size=1: use 1 or more"):
        LengthGroupedSampler([1], 0)


# Against the results of the original code, where they are at hand


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize(("name", "by"), [("modality_grouped", True), ("length_grouped_abs", False)])
def test_the_order_is_the_originals(name: str, by: bool, own: bool) -> None:
    golden = json.loads(shared("golden", "sampler.json").read_text())
    seed = golden["torch_manual_seed"]
    generator = torch.Generator().manual_seed(seed) if own else None
    sampler = LengthGroupedSampler(
        golden["lengths"], golden["batch_size"], world_size=golden["world_size"], by_modality=by, seed=seed,
        generator=generator,
    )  # fmt: skip
    assert list(sampler) == golden[name]
