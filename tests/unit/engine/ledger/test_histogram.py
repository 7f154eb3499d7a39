"""Histogram bins of durations: narrow enough, exact at their edges, and fit for percentiles."""

from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.ledger.histogram import BINS, EDGES, LONGEST_US, WIDEST_PERCENT, bin_of, quantile_of

DURATIONS = st.integers(0, LONGEST_US - 1)


def test_every_bin_is_one_microsecond_or_at_most_twelve_percent_wide() -> None:
    assert all(b == a + 1 or (b - a) * 100 <= a * WIDEST_PERCENT for a, b in pairwise(EDGES))
    assert EDGES[0] == 0
    assert EDGES[-1] == LONGEST_US
    assert BINS < 200


def test_the_edges_stay_what_they_are() -> None:
    """Bins are stored: other edges would give old rows another meaning."""
    assert EDGES[:26] == (*range(18), 19, 21, 23, 25, 28, 31, 34, 38)
    assert (BINS, EDGES[89], EDGES[-2]) == (174, 47_866, 582_222_935)


@given(DURATIONS)
def test_a_duration_lies_within_its_bin(us: int) -> None:
    number = bin_of(us)
    assert EDGES[number] <= us < EDGES[number + 1]


@pytest.mark.parametrize(("us", "number"), [(-5, 0), (0, 0), (1, 1), (LONGEST_US, BINS - 1), (10**15, BINS - 1)])
def test_what_lies_outside_goes_to_the_first_or_the_last_bin(us: int, number: int) -> None:
    assert bin_of(us) == number


@given(st.lists(DURATIONS, min_size=1), st.floats(0, 1))
def test_a_quantile_is_never_less_than_the_true_one_and_at_most_twelve_percent_more(
    durations: list[int], q: float
) -> None:
    true = sorted(durations)[max(1, math.ceil(q * len(durations))) - 1]
    found = quantile_of(Counter(map(bin_of, durations)), q)
    assert found is not None
    assert true <= found <= max(true, true + true * WIDEST_PERCENT // 100)


@pytest.mark.parametrize("q", [-0.01, 1.01])
def test_a_share_outside_of_nought_and_one_is_refused(q: float) -> None:
    with pytest.raises(ValueError, match="q: must be between"):
        quantile_of({1: 1}, q)


@pytest.mark.parametrize("bins", [{}, {7: 0}])
def test_without_calls_there_is_no_quantile(bins: dict[int, int]) -> None:
    assert quantile_of(bins, 0.5) is None


def test_in_the_last_bin_only_its_beginning_is_known() -> None:
    assert quantile_of({BINS - 1: 1}, 0.5) == LONGEST_US
