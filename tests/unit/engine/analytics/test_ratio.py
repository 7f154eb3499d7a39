"""Actual against estimate: sums that add up, and a ratio with its interval."""

from __future__ import annotations

import math
from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.analytics.ratio import Ratio, SegmentSums, ratio_of
from engine.errors import InvalidValue

AMOUNT = st.integers(0, 10**9)
CALL = st.tuples(st.integers(1, 10**9), AMOUNT)
CALLS = st.lists(CALL, min_size=2, max_size=60)


def sums_of(calls: list[tuple[int, int]]) -> SegmentSums:
    return SegmentSums.of([estimate for estimate, _ in calls], [actual for _, actual in calls])


def ratio(calls: list[tuple[int, int]]) -> Ratio:
    found = ratio_of(sums_of(calls))
    assert found is not None
    return found


@given(first=st.lists(CALL, max_size=60), second=st.lists(CALL, max_size=60))
def test_the_sums_of_two_days_are_the_sums_of_their_calls(
    first: list[tuple[int, int]], second: list[tuple[int, int]]
) -> None:
    added, together = sums_of(first) + sums_of(second), sums_of(first + second)
    for field in fields(SegmentSums):
        assert getattr(added, field.name) == pytest.approx(getattr(together, field.name), rel=1e-9)
    assert (added.calls, added.estimate_micros, added.actual_micros, added.error_micros) == (
        together.calls,
        together.estimate_micros,
        together.actual_micros,
        together.error_micros,
    )


def test_no_calls_add_nothing() -> None:
    some = sums_of([(50_000, 60_000), (50_000, 40_000)])
    assert some + SegmentSums() == some
    assert SegmentSums.of([], []) == SegmentSums()


@given(calls=CALLS, factor=st.integers(2, 1000))
def test_the_ratio_does_not_depend_on_the_unit(calls: list[tuple[int, int]], factor: int) -> None:
    one, other = ratio(calls), ratio([(factor * estimate, factor * actual) for estimate, actual in calls])
    assert other.value == pytest.approx(one.value, rel=1e-9)
    if math.isfinite(one.high) and one.value:
        # Where the residuals cancel out, rounding is all that is left of them.
        assert math.log(other.high / other.value) == pytest.approx(math.log(one.high / one.value), rel=1e-3, abs=1e-6)
    assert other.wape == (None if one.wape is None else pytest.approx(one.wape, rel=1e-9))


@given(calls=CALLS)
def test_the_value_is_inside_its_interval(calls: list[tuple[int, int]]) -> None:
    found = ratio(calls)
    assert 0 <= found.low <= found.value <= found.high


@given(estimates=st.lists(st.integers(1, 10**9), min_size=1, max_size=60))
def test_a_perfect_model_shows_exactly_0_percent(estimates: list[int]) -> None:
    found = ratio([(estimate, estimate) for estimate in estimates])
    assert (found.value, found.bias, found.wape) == (1.0, 0.0, 0.0)
    if len(estimates) > 1:
        assert (found.low, found.high) == (1.0, 1.0)


def test_above_zero_means_that_we_under_estimated() -> None:
    found = ratio([(50_000, 60_000)] * 100)
    assert found.bias == pytest.approx(0.2)
    assert found.wape == pytest.approx(1 / 6)
    assert found.low == pytest.approx(1.2)
    assert found.high == pytest.approx(1.2)


def test_the_interval_is_that_of_the_textbook() -> None:
    estimates, actuals = np.array([1.0, 2.0, 3.0, 4.0]) * 1e6, np.array([1.5, 1.5, 3.5, 4.5]) * 1e6
    found = ratio_of(SegmentSums.of(estimates, actuals))
    assert found is not None
    value = 11 / 10
    residuals = np.array([1.5, 1.5, 3.5, 4.5]) - value * np.array([1.0, 2.0, 3.0, 4.0])
    error = math.sqrt(4 * (residuals**2).sum() / 3) / 11
    assert found.value == value
    assert found.high == pytest.approx(value * math.exp(3.182 * error), rel=0.02)
    assert found.low * found.high == pytest.approx(value**2)


def test_more_calls_of_the_same_kind_make_it_narrower() -> None:
    calls = [(50_000, 40_000), (50_000, 60_000)]
    few, many = ratio(calls * 50), ratio(calls * 200)
    assert math.log(few.high) / math.log(many.high) == pytest.approx(2, rel=0.02)


def test_estimates_of_nothing_have_no_ratio() -> None:
    assert ratio_of(SegmentSums()) is None
    assert ratio_of(SegmentSums.of([0, 0], [5, 7])) is None


def test_one_call_says_nothing_of_the_spread() -> None:
    assert ratio([(50_000, 60_000)]) == Ratio(1.2, 0.0, math.inf, 10_000 / 60_000)


def test_calls_that_were_free_have_a_ratio_of_zero_and_no_wape() -> None:
    assert ratio([(50_000, 0)] * 100) == Ratio(0.0, 0.0, 0.0, None)
    assert ratio([(50_000, 0)]) == Ratio(0.0, 0.0, math.inf, None)


def test_one_enormous_call_among_small_ones_does_not_overflow() -> None:
    found = ratio([(10**9, 1)] * 2 + [(1, 10**15)])
    assert found.low >= 0
    assert math.isfinite(found.high)


@pytest.mark.parametrize("share", [0.05, 0.15])
def test_touching_the_edge_is_not_outside(share: float) -> None:
    above, below = 1 + share, 1 - share
    assert not Ratio(1.3, above, 1.5, 0.1).excludes(share)
    assert Ratio(1.3, math.nextafter(above, 2), 1.5, 0.1).excludes(share)
    assert not Ratio(0.7, 0.6, below, 0.1).excludes(share)
    assert Ratio(0.7, 0.6, math.nextafter(below, 0), 0.1).excludes(share)
    assert not Ratio(1.0, 0.5, 2.0, 0.1).excludes(share)


@pytest.mark.parametrize("value", [-1, math.nan, math.inf, True])
@pytest.mark.parametrize("field", [field.name for field in fields(SegmentSums)])
def test_a_wrong_sum_is_refused_by_name(field: str, value: Any) -> None:
    with pytest.raises(InvalidValue) as refused:
        SegmentSums(**{field: value})
    assert refused.value.field == field


@pytest.mark.parametrize(
    ("estimates", "actuals", "field"),
    [
        ([1.0, math.nan], [1, 2], "estimates"),
        ([1, 2], [1.0, math.inf], "actuals"),
        ([1, 2], [1, -2], "actuals"),
        ([1, 2], [1], "actuals"),
        ([[1], [2]], [1, 2], "estimates"),
        (["a"], [1], "estimates"),
    ],
)
def test_wrong_calls_are_refused_by_name(estimates: Any, actuals: Any, field: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        SegmentSums.of(estimates, actuals)
    assert refused.value.field == field
