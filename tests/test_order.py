"""The order of an epoch: permutations that are computed, and mixes of them."""

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rs_gpt4v_builder.errors import OptionError
from rs_gpt4v_builder.stream.mix import Component, MixOrder, Part, plan_mix, shares, tempered
from rs_gpt4v_builder.stream.order import FullOrder, InOrder, Order, make_keys, permute

seeds = st.integers(0, 2**63)


def epoch(order: Order) -> list[int]:
    return order.samples(np.arange(len(order), dtype=np.int64)).tolist()


def many(size: int, count: int, seed: int = 5) -> np.ndarray:
    """The first permutations of a family, (count, size)."""
    positions = np.tile(np.arange(size, dtype=np.int64), count)
    which = np.repeat(np.arange(count, dtype=np.int64), size)
    return permute(positions, size, make_keys("test", seed), which).reshape(count, size)


def deviation(counts: np.ndarray, free: int | None = None) -> float:
    """By how many standard deviations chi-square departs from what it is for equal chances."""
    free = free or counts.size - 1
    return (((counts - counts.mean()) ** 2 / counts.mean()).sum() - free) / math.sqrt(2 * free)


@given(st.integers(1, 20_000), seeds, st.integers(0, 1000))
def test_every_sample_comes_once(size: int, seed: int, number: int) -> None:
    assert sorted(epoch(FullOrder(size, seed, number))) == list(range(size))


@given(st.integers(1, 2**40), seeds, st.integers(0, 1000), st.data())
def test_a_position_does_not_depend_on_what_is_asked_with_it(
    size: int, seed: int, number: int, data: st.DataObject
) -> None:
    positions = data.draw(st.lists(st.integers(0, size - 1), min_size=1, max_size=20, unique=True))
    order = FullOrder(size, seed, number)
    together = order.samples(np.array(positions, np.int64)).tolist()
    assert together == [int(order.samples(np.array([p], np.int64))[0]) for p in positions]
    assert len(set(together)) == len(positions)
    assert all(0 <= sample < size for sample in together)


def test_seeds_and_epochs_have_orders_of_their_own() -> None:
    orders = [tuple(epoch(FullOrder(100, seed, number))) for seed in range(-2, 5) for number in range(10)]
    assert len(set(orders)) == len(orders)
    fixed = [sum(a == b for a, b in zip(one, other, strict=True)) for one in orders for other in orders if one != other]
    assert 0.95 < np.mean(fixed) < 1.05  # as many as two random orders have in common


def test_the_order_is_the_same_for_ever() -> None:
    # a saved state means nothing without it
    assert epoch(FullOrder(12, 0, 0)) == [0, 9, 3, 7, 4, 11, 1, 2, 6, 8, 5, 10]
    large = FullOrder(1_300_000, 7, 3)
    assert large.samples(np.array([0, 1, 2, 650_000, 1_299_999])).tolist() == [1239393, 573245, 91611, 214222, 540997]


@pytest.mark.parametrize("size", [2, 3, 4, 5, 6])
def test_all_orders_of_a_few_are_equally_likely(size: int) -> None:
    drawn = many(size, 60 * math.factorial(size))
    _, counts = np.unique(drawn @ size ** np.arange(size), return_counts=True)
    assert len(counts) == math.factorial(size)
    assert abs(deviation(counts)) < 4


@pytest.mark.parametrize(("size", "bins"), [(37, 37), (64, 16), (1000, 20), (5000, 20)])
def test_every_place_is_equally_likely(size: int, bins: int) -> None:
    drawn = many(size, 500_000 // size)
    at_first = np.bincount(drawn[:, 0] * bins // size, minlength=bins)
    at_last = np.bincount(drawn[:, -1] * bins // size, minlength=bins)
    assert max(abs(deviation(at_first)), abs(deviation(at_last))) < 5
    steps = (drawn[:, 1:] - drawn[:, :-1]) % size  # neighbours have nothing to do with each other
    assert abs(deviation(np.bincount(steps.ravel(), minlength=size)[1:])) < 5


def test_the_mix_is_that_of_a_full_permutation() -> None:
    drawn = many(6000, 20) // 500  # 12 chunks of 500
    windows = drawn[:, : 6000 // 64 * 64].reshape(-1, 64)
    assert abs(np.mean([len(set(window)) for window in windows.tolist()]) - 11.95) < 0.02
    assert abs(np.mean(drawn[:, 1:] == drawn[:, :-1]) - 1 / 12) < 0.003


def test_without_shuffle_samples_come_as_they_are() -> None:
    order = InOrder(5, 3)
    assert epoch(order) == [0, 1, 2, 3, 4]
    assert order.passes(np.arange(2)).tolist() == [3, 3]


PARTS = [
    Part("captioning", "a", 0, 10),
    Part("captioning", "b", 10, 13),
    Part("vqa", "b", 13, 40),
    Part("vqa", "c", 40, 41),
]


def components(mix: dict[str, float] | str, temperature: float = 1.0) -> dict[str, tuple[int, int]]:
    return {c.name: (c.share, c.size) for c in plan_mix(mix, PARTS, temperature)}


def test_a_mix_names_tasks_and_sources(caplog: pytest.LogCaptureFixture) -> None:
    assert components({"captioning": 1, "vqa": 1}) == {"captioning": (21, 13), "vqa": (20, 28)}
    assert not caplog.records
    assert components({"vqa/b": 2, "a": 1}) == {"vqa/b": (25, 27), "a": (12, 10)}
    assert caplog.messages == ["mix: 4 samples belong to none of vqa/b, a and are left out"]
    assert components("task") == {"captioning": (13, 13), "vqa": (28, 28)}
    assert components("source") == {"a": (10, 10), "b": (30, 30), "c": (1, 1)}
    assert [share for share, _ in components("source", 1e9).values()] == [14, 14, 13]


@pytest.mark.parametrize(
    ("mix", "said"),
    [
        ({"vqa": 1, "b": 1}, "'vqa' and 'b' both hold 'vqa/b'"),
        (
            {"ocr": 1},
            "mix='ocr' is not known: use one of 'captioning', 'vqa', 'empty', 'a', 'b', 'c', 'd', 'captioning/a'",
        ),
        ({}, "mix is empty"),
        (["vqa"], r"mix=\['vqa'\]: expected a dict of weights"),
        ({"vqa": 0}, "'vqa' has the weight 0: expected a number above 0"),
        ({"vqa": math.nan}, "has the weight nan"),
        ({"vqa": True}, "has the weight True"),
        ({"vqa": "1"}, "has the weight '1'"),
        ("tasks", "mix='tasks' is not known: use one of 'task', 'source'"),
        ({"empty": 1}, "'empty' has no samples"),
    ],
)
def test_a_mix_that_is_none_is_refused(mix: dict[str, float] | str, said: str) -> None:
    with pytest.raises(OptionError, match=said):
        plan_mix(mix, [*PARTS, Part("empty", "d", 41, 41)], 1.0)
    with pytest.raises(OptionError, match="temperature=0"):
        plan_mix("task", PARTS, 0)
    with pytest.raises(OptionError, match="no samples to mix"):
        plan_mix("task", [Part("empty", "d", 0, 0)], 1.0)


@given(st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=8), st.integers(0, 10_000))
def test_shares_are_whole_and_right(weights: list[float], total: int) -> None:
    found = shares(weights, total)
    assert sum(found) == total
    assert all(abs(n - total * w / sum(weights)) < 1 + 1e-9 for n, w in zip(found, weights, strict=True))


@given(st.dictionaries(st.text(max_size=3), st.floats(1e-3, 1e3), min_size=1), st.floats(0.1, 100))
def test_a_temperature_makes_weights_alike(weights: dict[str, float], temperature: float) -> None:
    found = tempered(weights, temperature)
    assert sum(found.values()) == pytest.approx(1)
    top = max(weights, key=weights.__getitem__)
    for name, weight in weights.items():
        assert found[name] / found[top] == pytest.approx((weight / weights[top]) ** (1 / temperature))


@given(st.lists(st.tuples(st.integers(1, 30), st.floats(0.05, 20)), min_size=1, max_size=4), seeds, st.integers(1, 12))
def test_a_mix_is_exact_in_every_epoch_and_over_all_of_them(
    sizes: list[tuple[int, float]], seed: int, epochs: int
) -> None:
    total, start, parts = sum(size for size, _ in sizes), 0, []
    counts = shares([weight for _, weight in sizes], total)
    for number, ((size, _), share) in enumerate(zip(sizes, counts, strict=True)):
        half = start + size // 2  # two ranges with a hole between them
        parts.append(Component(f"c{number}", share, ((start, half), (half + 5, start + size + 5))))
        start += size + 10
    shown: Counter[int] = Counter()
    for number in range(epochs):
        order = MixOrder(parts, seed, number)
        positions = np.arange(total, dtype=np.int64)
        samples, passes = order.samples(positions).tolist(), order.passes(positions).tolist()
        # each has its share, to the sample
        of = [next(i for i, c in enumerate(parts) if any(a <= s < b for a, b in c.ranges)) for s in samples]
        assert [of.count(i) for i in range(len(parts))] == counts
        # how often a sample was shown before is the number of its passes
        for _, sample in sorted(zip(passes, samples, strict=True)):
            shown[sample] += 1
        assert all(n <= shown[s] - 1 for s, n in zip(samples, passes, strict=True))
        assert order.samples(positions[::3]).tolist() == samples[::3]
    for part in parts:  # no sample is shown again before all others were
        times = [shown[s] for a, b in part.ranges for s in range(a, b)]
        assert max(times) - min(times) <= 1
        assert sum(times) == epochs * part.share


def test_a_mix_is_mixed() -> None:
    parts = [Component("a", 3000, ((0, 1000),)), Component("b", 3000, ((1000, 6000),))]
    first = np.array(epoch(MixOrder(parts, 0, 0))) < 1000
    assert abs(np.mean(first[1:] == first[:-1]) - 0.5) < 0.02
    assert epoch(MixOrder(parts, 0, 0)) != epoch(MixOrder(parts, 0, 1))
