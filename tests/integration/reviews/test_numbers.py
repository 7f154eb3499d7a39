"""Every number of a review against a count of the decisions by hand, on both databases."""

from __future__ import annotations

from collections import defaultdict
from datetime import date, timedelta
from typing import Any, cast

import pytest

from engine.analytics.anomaly import anomaly_of
from engine.analytics.forecast import forecast_month
from engine.analytics.recommendation import Basis, recommend_day, recommend_month
from engine.reviews.content import (
    Compared,
    DailyReview,
    MonthlyReview,
    WeeklyReview,
    kind_of,
    review_from_json,
    review_to_json,
)
from engine.reviews.gathering import gather, says_something
from engine.reviews.periods import ReviewKind, named_period
from engine.reviews.reading import Asked
from tests.integration.reviews.conftest import NOW, ZONE, Seeded, executions, local_day, spent, succeeded

DAY = timedelta(days=1)
FIRST = date(2026, 11, 1)
LAST = date(2026, 11, 30)


def review(seeded: Seeded, kind: ReviewKind, label: str) -> Any:
    found = gather(seeded.database, Asked(seeded.document, named_period(kind, label, ZONE), NOW))
    assert kind_of(found) == kind
    assert review_from_json(kind, review_to_json(found)) == found
    return found


def half_even(numerator: int, denominator: int) -> int:
    return round(numerator / denominator)


def counters_by_hand(seeded: Seeded) -> dict[tuple[str, str, str, str], tuple[int, int, int | None, int | None]]:
    """Spent, executions and limits of every counter, from what decisions say that they were tested against."""
    totals: dict[Any, list[Any]] = defaultdict(lambda: [0, 0, None, None])
    for row in seeded.rows:
        for counter in row.tests["counters"] if row.outcome == "allowed" else ():
            total = totals[counter["budget_id"], counter["scope"], counter["period"], counter["period_label"]]
            total[0] += row.spent_micros
            total[1] += row.state != "cancelled"
            total[2:] = [counter["limit_micros"], counter["execution_limit"]]
    return {key: tuple(total) for key, total in totals.items()}


def denied_by_hand(seeded: Seeded, period: str, label: str) -> set[tuple[str, str]]:
    """The counters of a day or month that denied calls, as their messages name the budgets."""
    reasons = {"day": ("budget_daily_cost", "budget_daily_executions"),
               "month": ("budget_monthly_cost", "budget_monthly_executions")}[period]  # fmt: skip
    return {
        (counter["budget_id"], counter["scope"])
        for row in seeded.rows
        if row.reason in reasons
        for counter in row.tests["counters"]
        if (counter["period"], counter["period_label"]) == (period, label)
        if f"'{counter['budget_id']}'" in row.message
    }


def assert_counters(seeded: Seeded, found: Any, period: str, label: str, before: str) -> None:
    by_hand = counters_by_hand(seeded)
    own = {key[:2]: total for key, total in by_hand.items() if key[2:] == (period, label)}
    assert len(found.counters) + found.more_counters == len(own)
    shares = []
    for use in found.counters:
        money, ran, limit, execution_limit = own[use.budget_id, use.scope]
        earlier = by_hand.get((use.budget_id, use.scope, period, before))
        assert (use.spent.now, use.executions.now) == (money, ran)
        assert (use.limit_micros, use.execution_limit) == (limit, execution_limit)
        assert (use.spent.before, use.executions.before) == ((None, None) if earlier is None else earlier[:2])
        shares.append(max(money / limit if limit else -1, ran / execution_limit if execution_limit else -1))
    assert shares == sorted(shares, reverse=True)
    shown = {(use.budget_id, use.scope) for use in found.counters}
    blocked = {(use.budget_id, use.scope) for use in found.counters if use.blocked}
    assert blocked == denied_by_hand(seeded, period, label) & shown


@pytest.mark.parametrize("day", [LAST, date(2026, 11, 25), date(2026, 11, 1)])
def test_a_day(seeded: Seeded, day: date) -> None:
    found: DailyReview = review(seeded, "daily", day.isoformat())
    now, before, week = (
        seeded.of(day, day),
        seeded.of(day - DAY, day - DAY),
        seeded.of(day - 7 * DAY, day - DAY),
    )
    assert len(now) > 5
    assert found.spent == Compared(spent(now), spent(before))
    assert found.executions == Compared(executions(now), executions(before))
    assert found.denied == Compared(*(sum(row.outcome == "denied" for row in rows) for rows in (now, before)))
    assert found.cost_per_execution == Compared(
        half_even(spent(now), executions(now)), half_even(spent(week), executions(week))
    )
    assert [(point.day, point.spent_micros, point.executions) for point in found.days] == [
        (each, spent(seeded.of(each, each)), executions(seeded.of(each, each)))
        for each in (day - number * DAY for number in range(7, -1, -1))
    ]
    assert found.counters
    assert_counters(seeded, found, "day", day.isoformat(), (day - DAY).isoformat())
    # The loop of the 25th ran until its budget denied it.
    assert [use.scope for use in found.counters if use.blocked] == (["vendor"] if day.day == 25 else [])


def test_a_week(seeded: Seeded) -> None:
    found: WeeklyReview = review(seeded, "weekly", "2026-W48")
    first, last = date(2026, 11, 23), date(2026, 11, 29)
    now, before = seeded.of(first, last), seeded.of(first - 7 * DAY, first - DAY)
    assert found.spent == Compared(spent(now), spent(before))
    assert found.executions == Compared(executions(now), executions(before))
    assert [(point.day, point.spent_micros) for point in found.days] == [
        (each, spent(seeded.of(each, each))) for each in (first + number * DAY for number in range(-7, 7))
    ]
    path = found.trajectory
    month = seeded.of(FIRST, last)
    assert (path.month, path.complete, path.budget_id, path.limit_micros) == ("2026-11", False, "org", 5_000_000_000)
    assert path.month_to_date == Compared(spent(month), spent(seeded.of(date(2026, 10, 1), date(2026, 10, 31))))
    forecast = forecast_month(days_by_hand(seeded, last), today=last + DAY)
    assert forecast is not None
    assert (path.forecast_micros, path.low_micros, path.high_micros, path.rough) == (
        forecast.total_micros,
        forecast.low_micros,
        forecast.high_micros,
        False,
    )
    assert {use.agent_id for use in found.agents} == {row.agent_id for row in now}
    for use in found.agents:
        name = use.agent_id
        own, earlier = seeded.of(first, last, agent_id=name), seeded.of(first - 7 * DAY, first - DAY, agent_id=name)
        assert use.spent == Compared(spent(own), spent(earlier))
        assert use.executions == Compared(executions(own), executions(earlier))
        assert use.month_to_date_micros == spent(seeded.of(FIRST, last, agent_id=name))
        # Nobody may call the sandbox, so that it has no counter.
        expected = (None, None) if name == "sandbox" else ("own", 80_000_000)
        assert (use.budget_id, use.limit_micros) == expected
    ranked = [use.spent.now or 0 for use in found.agents]
    assert ranked == sorted(ranked, reverse=True)
    assert found.other_agents == Compared(0, 0)


def days_by_hand(seeded: Seeded, last: date, **facts: str) -> list[int]:
    """Complete days up to `last`, from the first with calls or 70 days back."""
    rows = seeded.of(last - 69 * DAY, last, **facts)
    day = min(local_day(row.at) for row in rows)
    days = []
    while day <= last:
        days.append(spent(seeded.of(day, day, **facts)))
        day += DAY
    return days


def test_the_outliers_of_a_week(seeded: Seeded) -> None:
    found: WeeklyReview = review(seeded, "weekly", "2026-W48")
    first = date(2026, 11, 23)
    expected = set()
    for name in ["", *sorted({row.agent_id for row in seeded.rows})]:
        facts = {"agent_id": name} if name else {}
        limit = 80_000_000 if name and name != "sandbox" else None if name else 5_000_000_000
        for number in range(7):
            day = first + number * DAY
            history = days_by_hand(seeded, day, **facts)
            judged = anomaly_of(history[:-1], history[-1], day=day, budget_micros=limit)
            if judged is not None and judged.is_anomaly:
                expected.add((day, name, history[-1], judged.expected_micros))
    assert {(each.day, each.agent_id, each.spent_micros, each.expected_micros) for each in found.unusual_days} == (
        expected
    )
    # The loop of the 25th is among them.
    assert (date(2026, 11, 25), "vendor") in {(each.day, each.agent_id) for each in found.unusual_days}
    calls = [
        row
        for row in seeded.of(first, first + 6 * DAY)
        if row.state == "settled" and row.estimate_micros and row.actual_micros >= row.estimate_micros * 1.25
    ]
    calls.sort(key=lambda row: (row.estimate_micros - row.actual_micros, row.decision_id))
    assert calls
    assert [call.decision_id for call in found.costly_calls] == [row.decision_id for row in calls[:5]]
    assert [(call.at, call.agent_id, call.estimate_micros, call.actual_micros) for call in found.costly_calls] == [
        (row.at, row.agent_id, row.estimate_micros, row.actual_micros) for row in calls[:5]
    ]


def test_a_week_that_begins_a_month_has_one_day_of_it(seeded: Seeded) -> None:
    path = cast("WeeklyReview", review(seeded, "weekly", "2026-W44")).trajectory
    assert (path.month, path.complete) == ("2026-11", False)
    assert path.month_to_date.now == spent(seeded.of(FIRST, FIRST))
    assert path.rough


def test_a_month(seeded: Seeded) -> None:
    found: MonthlyReview = review(seeded, "monthly", "2026-11")
    now, before = seeded.of(FIRST, LAST), seeded.of(date(2026, 10, 1), date(2026, 10, 31))
    assert found.next_month == "2026-12"
    assert found.spent == Compared(spent(now), spent(before))
    assert found.executions == Compared(executions(now), executions(before))
    assert found.cost_per_execution == Compared(
        half_even(spent(now), executions(now)), half_even(spent(before), executions(before))
    )
    assert (found.budget_id, found.limit_micros) == ("org", 5_000_000_000)
    assert (found.days, found.days_with_calls, found.first_day_with_calls) == (30, 30, FIRST)
    assert_counters(seeded, found, "month", "2026-11", "2026-10")
    worth = {"copilot": 400_000, "hook": 1_000}
    assert {agent.agent_id for agent in found.agents} == {row.agent_id for row in now}
    for agent in found.agents:
        own, earlier = ([row for row in rows if row.agent_id == agent.agent_id] for rows in (now, before))
        value = worth.get(agent.agent_id)
        assert agent.spent == Compared(spent(own), spent(earlier))
        assert agent.succeeded == Compared(succeeded(own), succeeded(earlier))
        assert agent.value_per_success_micros == value
        if value is None:
            assert (agent.value, agent.roi) == (Compared(None, None), None)
        else:
            assert agent.value == Compared(value * succeeded(own), value * succeeded(earlier))
            assert agent.roi == pytest.approx((value * succeeded(own) - spent(own)) / spent(own))


def test_the_recommended_budgets_of_a_month(seeded: Seeded) -> None:
    found: MonthlyReview = review(seeded, "monthly", "2026-11")
    by_hand = counters_by_hand(seeded)
    advised = {(each.budget_id, each.period): each for each in found.advice}
    assert len(advised) == len(found.advice)
    agents = ("copilot", "coder", "vendor", "hook")
    monthly = {("org", "acme"): {}, ("hr", "team-hr"): {"team_id": "team-hr"}}
    monthly |= {("own", name): {"agent_id": name} for name in agents}
    daily = {("each", name): {"agent_id": name} for name in agents}
    # A budget for each user has one limit for all of them, and hr's days are limited by their number only.
    assert set(advised) == {("org", "month"), ("hr", "month"), ("own", "month"), ("each", "day")}
    limits = {"org": 5_000_000_000, "own": 80_000_000, "hr": 90_000_000, "each": 6_000_000}
    made: dict[tuple[str, str], dict[str, Any]] = defaultdict(dict)
    for key, facts in monthly.items():
        days = days_by_hand(seeded, LAST, **facts)
        already = by_hand.get((*key, "month", "2026-12"), (0,))[0] + held(seeded, "month", "2026-12", *key)
        made[key[0], "month"][key[1]] = recommend_month(
            days, ahead=date(2026, 12, 1), limit_micros=limits[key[0]], committed_micros=already, blocked=False
        )
    for key, facts in daily.items():
        already = by_hand.get((*key, "day", "2026-12-01"), (0,))[0] + held(seeded, "day", "2026-12-01", *key)
        blocked = any(
            row.reason == "budget_daily_cost" and row.agent_id == key[1] and "'each'" in row.message
            for row in seeded.of(FIRST, LAST)
        )
        made[key[0], "day"][key[1]] = recommend_day(
            days_by_hand(seeded, LAST, **facts), limit_micros=6_000_000, committed_micros=already, blocked=blocked
        )
    for key, each in advised.items():
        # One limit has one recommendation: that of the counter that needs most, and it says whose it is.
        most = max(one.proposed_micros or 0 for one in made[key].values())
        assert each.recommendation == made[key][each.scope]
        assert each.recommendation.proposed_micros == most
        assert (each.other_counters, each.not_looked_at) == (len(made[key]) - 1, 0)
        assert each.recommendation.basis is Basis.HISTORY
    # The dearest first.
    assert next(each.budget_id for each in found.advice if each.period == "month") == "org"
    assert found.more_advice == 0


def held(seeded: Seeded, period: str, label: str, budget_id: str, scope: str) -> int:
    wanted = (budget_id, scope, period, label)
    return sum(
        row.reserve_micros
        for row in seeded.rows
        if row.state == "held"
        and wanted
        in {(each["budget_id"], each["scope"], each["period"], each["period_label"]) for each in row.tests["counters"]}
    )


def test_a_period_without_calls_says_something_only_right_after_one_with_calls(seeded: Seeded) -> None:
    answers = {
        label: says_something(seeded.database, Asked(seeded.document, named_period("monthly", label, ZONE), NOW))
        for label in ("2026-08", "2026-09", "2026-10", "2026-12", "2027-01", "2027-02")
    }
    assert answers == {
        "2026-08": False,
        "2026-09": False,
        "2026-10": True,
        "2026-12": True,
        "2027-01": True,
        "2027-02": False,
    }


def test_the_limit_that_denied_calls_is_not_proposed_lower(seeded: Seeded) -> None:
    found: MonthlyReview = review(seeded, "monthly", "2026-11")
    (advice,) = [each for each in found.advice if each.period == "day"]
    made = advice.recommendation
    assert advice.scope == "vendor"
    assert made.proposed_micros is not None
    assert made.proposed_micros >= made.limit_micros == 6_000_000
    assert "calls were denied by the limit" in made.reason
