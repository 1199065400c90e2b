"""Order and cuts."""

import random

from hypothesis import given
from hypothesis import strategies as st

from rs_gpt4v_conversion.cuts import Sizes, cut
from rs_gpt4v_conversion.naming import natural

SIZES = Sizes(least_bytes=50, greatest_bytes=200, least_rows=20, greatest_rows=40, one_in=8, purpose="t")


@given(st.lists(st.tuples(st.text(max_size=5), st.integers(0, 250)), max_size=300))
def test_cutting_loses_nothing_and_keeps_the_limits(rows: list[tuple[str, int]]) -> None:
    pieces = list(cut(((i, n, (i, n)) for i, n in rows), SIZES))
    assert [r for piece in pieces for r in piece] == rows
    for piece in pieces:
        assert piece
        assert len(piece) <= SIZES.greatest_rows
        assert len(piece) == 1 or sum(n for _, n in piece) <= SIZES.greatest_bytes


def test_a_row_more_or_less_changes_its_neighbourhood_only() -> None:
    rng = random.Random(0)
    rows = [(f"image_{i}", rng.randint(1, 30)) for i in range(4000)]
    before = {tuple(p) for p in cut(((i, n, i) for i, n in rows), SIZES)}
    shares = []
    for at in (0, 1000, 2000, 3999):
        changed = [*rows[:at], (f"new_{at}", 10), *rows[at + 1 :]]
        after = {tuple(p) for p in cut(((i, n, i) for i, n in changed), SIZES)}
        shares.append(len(after - before))
    assert max(shares) < 12  # of about 400 pieces


@given(st.lists(st.from_regex(r"[a-c]{0,2}\d{0,3}[._]?\d{0,2}", fullmatch=True), max_size=30))
def test_natural_order_is_total(names: list[str]) -> None:
    assert sorted(set(names), key=natural) == sorted(sorted(set(names), reverse=True), key=natural)


def test_natural_order_counts() -> None:
    assert sorted(["a10", "a9", "10", "9", "a09"], key=natural) == ["9", "10", "a09", "a9", "a10"]
