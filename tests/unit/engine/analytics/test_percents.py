"""Actual in percent of the estimate, counted: its P95 is that of the calls themselves."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.analytics.percents import p95_under_estimate, percent_of
from engine.errors import InvalidValue


@pytest.mark.parametrize(
    ("estimate", "actual", "percent"),
    [
        (50_000, 50_000, 100),
        (50_000, 50_001, 101),
        (50_000, 49_999, 100),
        (50_000, 49_500, 99),
        (50_000, 0, 0),
        (50_000, 500_000, 1000),
        (50_000, 500_001, 1000),
        (1, 10**15, 1000),
        (0, 0, 100),
        (0, 1, 1000),
    ],
)
def test_a_bucket_is_a_bound_of_what_is_in_it_and_the_top_one_is_open(estimate: int, actual: int, percent: int) -> None:
    assert percent_of(estimate, actual) == percent


@given(calls=st.lists(st.integers(0, 1000), min_size=1, max_size=200))
def test_p95_is_that_of_the_calls_one_by_one(calls: list[int]) -> None:
    enough = [level for level in calls if 100 * sum(call <= level for call in calls) >= 95 * len(calls)]
    assert p95_under_estimate(Counter(calls)) == max(0, min(enough) - 100) / 100


def test_19_of_20_are_95_percent() -> None:
    assert p95_under_estimate({100: 19, 500: 1}) == 0
    assert p95_under_estimate({100: 18, 500: 2}) == 4


def test_over_estimates_are_no_under_estimates() -> None:
    assert p95_under_estimate({40: 100}) == 0


def test_what_is_above_the_top_bucket_counts_as_in_it() -> None:
    assert p95_under_estimate({5000: 3}) == 9


def test_without_calls_there_is_none() -> None:
    assert p95_under_estimate({}) is None
    assert p95_under_estimate({120: 0}) is None


@pytest.mark.parametrize("percents", [{-1: 1}, {1: -1}])
def test_negative_ones_are_refused(percents: dict[int, int]) -> None:
    with pytest.raises(InvalidValue, match=r"^percents: "):
        p95_under_estimate(percents)


@pytest.mark.parametrize(("call", "field"), [((-1, 0), "estimate_micros"), ((0, -1), "actual_micros")])
def test_negative_amounts_are_refused(call: Any, field: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        percent_of(*call)
    assert refused.value.field == field
