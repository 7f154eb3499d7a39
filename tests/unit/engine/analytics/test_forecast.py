"""The month's forecast."""

from __future__ import annotations

import math
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.analytics.forecast import Crossing, Forecast, forecast_month
from engine.errors import InvalidValue

DAY = 10_000_000
WEEKLY = [DAY] * 5 + [3_000_000] * 2


def forecast(days: list[int], today: date, **more: Any) -> Forecast:
    found = forecast_month(days, today=today, **more)
    assert found is not None
    return found


@given(
    amount=st.integers(0, 10**12),
    count=st.integers(2, 90),
    today=st.dates(date(2020, 1, 1), date(2030, 12, 31)),
)
def test_days_that_are_all_the_same_are_forecast_exactly(amount: int, count: int, today: date) -> None:
    found = forecast([amount] * count, today)
    known = min(count, today.day - 1)
    assert found.total_micros == pytest.approx(amount * (known + found.days_left), abs=1)
    assert found.low_micros == pytest.approx(found.total_micros, abs=1)
    assert found.high_micros == pytest.approx(found.total_micros, abs=1)
    assert found.mean_day_micros == amount
    assert found.month_to_date_micros == amount * known


@given(
    days=st.lists(st.integers(0, 10**9), min_size=1, max_size=90),
    so_far=st.integers(0, 10**9),
    today=st.dates(date(2020, 1, 1), date(2030, 12, 31)),
)
def test_what_is_spent_is_within_the_low_end_and_the_total_within_both(
    days: list[int], so_far: int, today: date
) -> None:
    found = forecast(days, today, so_far_micros=so_far)
    assert found.month_to_date_micros <= found.low_micros <= found.total_micros <= found.high_micros


def test_it_is_month_to_date_and_the_7_day_mean_times_the_days_left() -> None:
    days = [99_000_000] * 10 + [1_000_000, 2_000_000, 3_000_000, 4_000_000, 5_000_000, 6_000_000, 7_000_000]
    found = forecast(days, date(2026, 11, 4))
    assert found.month_to_date_micros == 18_000_000
    assert (found.mean_day_micros, found.days_left) == (4_000_000, 27)
    assert found.total_micros == 18_000_000 + 27 * 4_000_000
    assert not found.rough


def test_on_the_first_the_month_before_says_it_all() -> None:
    found = forecast([DAY] * 30, date(2026, 12, 1))
    assert (found.total_micros, found.month_to_date_micros, found.days_left) == (31 * DAY, 0, 31)


def test_on_the_last_only_today_is_left() -> None:
    found = forecast([DAY] * 30, date(2026, 12, 31), so_far_micros=4_000_000)
    assert (found.total_micros, found.days_left) == (31 * DAY, 1)


@pytest.mark.parametrize(("so_far", "today_becomes"), [(0, DAY), (DAY - 1, DAY), (DAY, DAY), (3 * DAY, 3 * DAY)])
def test_today_becomes_a_mean_day_or_what_it_has(so_far: int, today_becomes: int) -> None:
    found = forecast([DAY] * 30, date(2026, 11, 10), so_far_micros=so_far)
    assert found.total_micros == 9 * DAY + today_becomes + 20 * DAY
    assert found.month_to_date_micros == 9 * DAY + so_far


@pytest.mark.parametrize(
    ("today", "days", "rough"), [(1, 30, True), (2, 30, True), (3, 30, False), (20, 6, True), (20, 7, False)]
)
def test_it_is_rough_before_the_third_and_with_less_than_a_week(today: int, days: int, rough: bool) -> None:
    assert forecast([DAY] * days, date(2026, 11, today)).rough is rough


def test_without_a_complete_day_there_is_none() -> None:
    assert forecast_month([], today=date(2026, 11, 1), so_far_micros=5) is None


def test_days_that_differ_widen_the_interval_and_weekends_do_not() -> None:
    # 28 days are left from Tuesday the 3rd: four whole weeks.
    wild = [DAY, 3 * DAY] * 14
    assert forecast(WEEKLY * 4, date(2026, 11, 3)).high_micros == forecast(WEEKLY * 4, date(2026, 11, 3)).low_micros
    found = forecast([*wild, 2 * DAY], date(2026, 11, 3))
    assert found.low_micros < found.total_micros < found.high_micros


def test_days_left_that_are_a_weekend_pull_the_low_end_down() -> None:
    # Saturday 28 and Sunday 29 November, Monday 30: less than three mean days.
    before = date(2026, 11, 28) - timedelta(days=28)
    assert before.weekday() == 5
    days = ([3_000_000] * 2 + [DAY] * 5) * 4
    found = forecast(days, date(2026, 11, 28))
    assert found.low_micros == found.month_to_date_micros + 16_000_000
    assert found.high_micros == found.total_micros == found.month_to_date_micros + 3 * 8_000_000


def test_one_day_behind_gives_a_wide_interval() -> None:
    found = forecast([DAY], date(2026, 11, 2))
    assert found.total_micros == 30 * DAY
    assert found.low_micros == DAY
    assert found.high_micros > 60 * DAY


def test_a_wide_interval_exceeds_nothing_surely() -> None:
    found = forecast([DAY] * 30, date(2026, 11, 10))
    assert found.surely_exceeds(30 * DAY - 1)
    assert not found.surely_exceeds(30 * DAY)
    wide = forecast([DAY, 3 * DAY] * 15, date(2026, 11, 10))
    assert wide.total_micros > 60 * DAY
    assert not wide.surely_exceeds(60 * DAY)


@pytest.mark.parametrize(
    ("limit", "day"),
    [
        (9 * DAY, date(2026, 11, 10)),
        (10 * DAY, date(2026, 11, 11)),
        (30 * DAY - 1, date(2026, 11, 30)),
        (30 * DAY, None),
    ],
)
def test_a_limit_is_crossed_on_the_day_that_exceeds_it(limit: int, day: date | None) -> None:
    assert forecast([DAY] * 30, date(2026, 11, 10), limit_micros=limit).crossing == Crossing(day, day, day)


def test_a_limit_that_was_crossed_keeps_its_day() -> None:
    third, today = date(2026, 11, 3), date(2026, 11, 10)
    days = [5, *[DAY] * 9]
    assert forecast(days, today, limit_micros=2 * DAY).crossing == Crossing(third, third, third)
    found = forecast(days, today, so_far_micros=DAY, limit_micros=10 * DAY - 1)
    assert found.crossing == Crossing(today, today, today)


def test_the_crossing_has_a_range() -> None:
    found = forecast([DAY, 3 * DAY] * 15, date(2026, 11, 10), limit_micros=45 * DAY)
    assert found.crossing is not None
    assert found.crossing.day is not None
    assert found.crossing.earliest is not None
    assert found.crossing.earliest < found.crossing.day
    assert found.crossing.latest is None or found.crossing.latest > found.crossing.day


def test_without_a_limit_there_is_no_crossing() -> None:
    assert forecast([DAY] * 30, date(2026, 11, 10)).crossing is None


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"days": [1.0, math.nan]}, "days"),
        ({"days": [-1]}, "days"),
        ({"so_far_micros": math.nan}, "so_far_micros"),
        ({"so_far_micros": -1}, "so_far_micros"),
        ({"limit_micros": math.inf}, "limit_micros"),
    ],
)
def test_wrong_amounts_are_refused_by_name(change: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        forecast_month(**(dict[str, Any](days=[1], today=date(2026, 11, 10)) | change))
    assert refused.value.field == field
