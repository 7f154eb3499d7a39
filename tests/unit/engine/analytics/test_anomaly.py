"""The day that costs far more than days like it."""

from __future__ import annotations

import math
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.analytics.anomaly import Anomaly, anomaly_of, cutoff_for
from engine.errors import InvalidValue

USD = 1_000_000
MONDAY, SATURDAY = date(2026, 11, 30), date(2026, 12, 5)
LIKE_A_WEEK = [100 * USD, 104 * USD, 97 * USD, 101 * USD, 99 * USD, 31 * USD, 30 * USD]


def judged(history: list[int], cost: int, *, day: date = MONDAY, **more: Any) -> Anomaly:
    found = anomaly_of(history, cost, day=day, **more)
    assert found is not None
    return found


@given(
    history=st.lists(st.integers(0, 10**12), max_size=6),
    cost=st.integers(0, 10**15),
    day=st.dates(date(2020, 1, 1), date(2030, 1, 1)),
)
def test_it_is_silent_below_7_days(history: list[int], cost: int, day: date) -> None:
    assert anomaly_of(history, cost, day=day) is None


@given(history=st.lists(st.integers(0, 10**12), max_size=80), cost=st.integers(0, 10**15))
def test_an_anomaly_always_costs_5_usd_and_25_percent_more_than_expected(history: list[int], cost: int) -> None:
    found = anomaly_of(history, cost, day=MONDAY)
    if found is not None:
        assert found.expected_micros + found.excess_micros == cost
        if found.is_anomaly:
            assert found.excess_micros >= max(5 * USD, found.expected_micros / 4)
            assert found.score > found.cutoff


@given(history=st.lists(st.integers(1, 10**9), min_size=7, max_size=60), cost=st.integers(1, 10**9))
def test_a_dearer_day_is_never_less_of_an_anomaly(history: list[int], cost: int) -> None:
    less, more = judged(history, cost), judged(history, 2 * cost)
    assert less.is_anomaly <= more.is_anomaly
    assert less.score < more.score


def test_a_day_like_the_others_is_none_and_a_runaway_is_one() -> None:
    assert not judged(LIKE_A_WEEK * 2, 105 * USD).is_anomaly
    found = judged(LIKE_A_WEEK * 2, 300 * USD)
    assert found.is_anomaly
    assert found.expected_micros == pytest.approx(100 * USD, rel=0.02)
    assert found.excess_micros == pytest.approx(200 * USD, rel=0.02)


def test_a_saturday_is_compared_with_weekends() -> None:
    history = (LIKE_A_WEEK * 3)[:-2]
    on_saturday, on_friday = (judged(history, 99 * USD, day=SATURDAY), judged(LIKE_A_WEEK * 3, 99 * USD))
    assert on_saturday.is_anomaly
    assert on_saturday.expected_micros == pytest.approx(30.5 * USD, rel=0.05)
    assert not on_friday.is_anomaly


def test_one_wild_day_in_the_history_hides_nothing() -> None:
    wild = [*LIKE_A_WEEK, 5000 * USD, *LIKE_A_WEEK[1:]]
    assert judged(wild, 300 * USD).is_anomaly


@pytest.mark.parametrize("days", [7, 14, 60, 90])
@pytest.mark.parametrize(("percent", "found"), [(124, False), (125, True)])
def test_after_identical_days_25_percent_decide(days: int, percent: int, found: bool) -> None:
    assert judged([100 * USD] * days, percent * USD).is_anomaly is found


@pytest.mark.parametrize(
    ("cost", "budget", "found"),
    [
        (7_999_999, None, False),
        (8 * USD, None, True),
        (7_999_999, 10_000 * USD, False),
        (8 * USD, 10_000 * USD, True),
        (3_999_999, 100 * USD, False),
        (4 * USD, 100 * USD, True),
        (4 * USD, 0, True),
    ],
)
def test_the_excess_must_be_5_usd_or_1_percent_of_the_budget(cost: int, budget: int | None, found: bool) -> None:
    assert judged([3 * USD] * 14, cost, budget_micros=budget).is_anomaly is found


def test_days_without_spend_say_nothing_of_what_a_day_costs() -> None:
    seldom = [0, 0, 100 * USD] * 7
    assert judged(seldom, 100 * USD) == judged([100 * USD] * 7, 100 * USD)
    assert not judged(seldom, 100 * USD).is_anomaly
    assert judged(seldom, 300 * USD).is_anomaly
    assert anomaly_of(seldom[:-3], 300 * USD, day=MONDAY) is None
    assert anomaly_of([0] * 100, 300 * USD, day=MONDAY) is None


def test_idle_weekends_leave_weekdays_alone() -> None:
    idle = [100 * USD, 104 * USD, 97 * USD, 101 * USD, 99 * USD, 0, 0] * 2
    assert judged(idle, 100 * USD).expected_micros == 100 * USD
    assert not judged(idle[:-2], 100 * USD, day=SATURDAY).is_anomaly


def test_a_day_that_costs_nothing_is_far_below_and_no_anomaly() -> None:
    found = judged(LIKE_A_WEEK * 2, 0)
    assert found.score < 0
    assert math.isfinite(found.score)
    assert not found.is_anomaly


@pytest.mark.parametrize(
    ("days", "cutoff"), [(7, 5.9), (10, 4.0), (12, 3.75), (14, 3.5), (28, 2.8), (60, 2.5), (90, 2.5)]
)
def test_few_days_need_more(days: int, cutoff: float) -> None:
    assert cutoff_for(days) == pytest.approx(cutoff)
    assert judged([100 * USD] * days, 0).cutoff == pytest.approx(cutoff)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"history": [1.0, math.nan]}, "history"),
        ({"history": [-1]}, "history"),
        ({"day_micros": math.nan}, "day_micros"),
        ({"day_micros": -1}, "day_micros"),
        ({"budget_micros": math.inf}, "budget_micros"),
    ],
)
def test_wrong_amounts_are_refused_by_name(change: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        anomaly_of(**(dict[str, Any](history=[1], day_micros=1, day=MONDAY) | change))
    assert refused.value.field == field
