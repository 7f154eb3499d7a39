"""Recommended limits: watch, small steps, history; every number worked out by hand."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.analytics.forecast import forecast_month
from engine.analytics.recommendation import Basis, recommend_day, recommend_month
from engine.errors import InvalidValue

USD = 1_000_000
DECEMBER = date(2026, 12, 1)
FEBRUARY = date(2027, 2, 1)


@pytest.mark.parametrize("days", [0, 1, 13])
def test_for_two_weeks_nothing_is_proposed_and_it_says_why(days: int) -> None:
    for made in (
        recommend_month([10 * USD] * days, ahead=DECEMBER, limit_micros=100 * USD),
        recommend_day([10 * USD] * days, limit_micros=10 * USD),
    ):
        assert (made.basis, made.proposed_micros, made.change_micros, made.days) == (Basis.WATCH, None, 0, days)
        assert made.reason.startswith(f"Only {days} complete {'day' if days == 1 else 'days'} of history so far")


@pytest.mark.parametrize("days", [14, 27])
@pytest.mark.parametrize(
    ("a_day", "limit", "proposed"),
    [
        # 10 x 31 x 1.2 = 372, above 1.2 x 300 = 360.
        (10 * USD, 300 * USD, 360 * USD),
        # 372 is within 20 % of 400: it is what is proposed, to two digits.
        (10 * USD, 400 * USD, 380 * USD),
        # 372 is below 0.8 x 500 = 400.
        (10 * USD, 500 * USD, 400 * USD),
        # 1.2 x 333 = 399.60: rounded up it would be more than 20 %.
        (20 * USD, 333 * USD, 390 * USD),
    ],
)
def test_in_weeks_3_and_4_a_budget_moves_by_at_most_a_fifth(days: int, a_day: int, limit: int, proposed: int) -> None:
    made = recommend_month([a_day] * days, ahead=DECEMBER, limit_micros=limit)
    assert (made.basis, made.proposed_micros) == (Basis.STEP, proposed)
    assert f"{days} days of history: a mean day of" in made.reason


def test_from_the_fifth_week_on_the_95th_of_a_hundred_days_decides() -> None:
    # Of the last 56 days the 54th smallest is the P95: 53 of $10, then 20, 30, 40.
    days = [999 * USD] * 10 + [40 * USD, 30 * USD, 20 * USD] + [10 * USD] * 53
    made = recommend_month(days, ahead=DECEMBER, limit_micros=400 * USD)
    assert (made.basis, made.days) == (Basis.HISTORY, 56)
    # 20 x 31 = 620, above the forecast's upper end.
    assert made.proposed_micros == 620 * USD
    assert made.high_micros is not None
    assert made.high_micros < 620 * USD
    assert "19 of 20 days cost at most $20.00, which makes $620.00 in 31 days" in made.reason
    assert recommend_month(days, ahead=FEBRUARY, limit_micros=400 * USD).proposed_micros == 560 * USD
    assert recommend_day(days, limit_micros=15 * USD).proposed_micros == 20 * USD


def test_the_upper_end_of_the_forecast_is_never_cut_off() -> None:
    # Rising week by week: the last days are above what 95 % of all days were times the length.
    days = [USD] * 28 + [2 * USD] * 7 + [3 * USD] * 7 + [4 * USD] * 7 + [40 * USD] * 2 + [0] * 5
    made = recommend_month(days, ahead=DECEMBER, limit_micros=400 * USD)
    forecast = forecast_month(days, today=DECEMBER)
    assert forecast is not None
    assert (made.low_micros, made.high_micros) == (forecast.low_micros, forecast.high_micros)
    assert made.proposed_micros is not None
    assert made.proposed_micros >= forecast.high_micros


def test_it_is_never_below_what_is_spent_and_held_already() -> None:
    for made in (
        recommend_month([USD] * 30, ahead=DECEMBER, limit_micros=400 * USD, committed_micros=123_450_000),
        recommend_day([USD] * 20, limit_micros=USD, committed_micros=123_450_000),
    ):
        assert made.proposed_micros == 130 * USD
        assert made.reason.endswith("but $123.45 is spent or held already.")


def test_a_limit_that_denied_calls_is_not_lowered() -> None:
    made = recommend_month([USD] * 30, ahead=DECEMBER, limit_micros=400 * USD, blocked=True)
    assert (made.proposed_micros, made.change_micros) == (400 * USD, 0)
    assert "so it is not lowered" in made.reason
    raised = recommend_month([20 * USD] * 30, ahead=DECEMBER, limit_micros=400 * USD, blocked=True)
    assert raised.proposed_micros == 620 * USD
    assert "more was wanted than the days show" in raised.reason


def test_a_wrong_number_is_refused_by_its_name() -> None:
    with pytest.raises(InvalidValue, match="days"):
        recommend_month([-1] * 30, ahead=DECEMBER, limit_micros=1)
    with pytest.raises(InvalidValue, match="limit_micros"):
        recommend_day([1] * 30, limit_micros=-1)
    with pytest.raises(InvalidValue, match="committed_micros"):
        recommend_day([1] * 30, limit_micros=1, committed_micros=-1)


@given(
    days=st.lists(st.integers(0, 5_000 * USD), min_size=14, max_size=70),
    limit=st.integers(0, 100_000 * USD),
    committed=st.integers(0, 10_000 * USD),
    blocked=st.booleans(),
)
def test_whatever_the_history_its_bounds_hold(days: list[int], limit: int, committed: int, blocked: bool) -> None:
    for made in (
        recommend_month(days, ahead=DECEMBER, limit_micros=limit, committed_micros=committed, blocked=blocked),
        recommend_day(days, limit_micros=limit, committed_micros=committed, blocked=blocked),
    ):
        assert made.proposed_micros is not None
        assert made.proposed_micros >= committed
        assert not (blocked and made.proposed_micros < limit)
        if made.basis is Basis.STEP and committed <= limit * 4 // 5 - 1:
            # Half a micro-dollar either way where a fifth is no whole number.
            assert abs(made.change_micros) * 5 <= limit + 3


@pytest.mark.parametrize("days", [14, 27])
def test_a_limit_of_nothing_is_not_said_to_be_lowered(days: int) -> None:
    for made in (
        recommend_month([USD] * days, ahead=date(2026, 12, 1), limit_micros=0),
        recommend_day([USD] * days, limit_micros=0),
    ):
        assert made.change_micros == 0
        assert "lowered" not in made.reason
        assert "it stays at $0.00" in made.reason


def test_a_limit_that_is_raised_says_so() -> None:
    made = recommend_month([USD] * 20, ahead=date(2026, 12, 1), limit_micros=10 * USD)
    assert made.change_micros > 0
    assert "raised from $10.00 by at most 20 %" in made.reason
