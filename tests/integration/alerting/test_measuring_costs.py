"""Budgets, forecasts, anomalies and variance as rules measure them, on hand-written histories."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import event

from engine.alerting.alert import Measured
from engine.alerting.measuring import measure
from engine.alerting.reading import Measuring, Reading
from engine.alerting.rules import Rule
from engine.analytics.anomaly import anomaly_of
from engine.analytics.forecast import forecast_month
from engine.analytics.ratio import SegmentSums
from engine.ledger.tables import budget_usage, cost_variance
from engine.periods import PeriodKind, period_of
from tests.integration.alerting.conftest import USD, ZONE, Books, value_of

NEW_YORK = ZoneInfo(ZONE)
SLOT = datetime(2026, 11, 21, 15, tzinfo=UTC)
"""Ten in the morning of a Saturday in New York, after the end of daylight saving on the first."""
BUDGETS = [
    {"id": "org", "per": "org", "monthly_budget_usd": 300, "daily_budget_usd": 20},
    {"id": "agents", "per": "agent", "monthly_budget_usd": 100},
    {"id": "people", "per": "user", "monthly_budget_usd": 5},
    {"id": "calls", "per": "org", "monthly_execution_limit": 10},
]


def noon(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, 12, tzinfo=NEW_YORK)


def history(
    books: Books, days: int, micros: Any, *, agent: str = "hook", until: date = date(2026, 11, 20)
) -> list[int]:
    """So many days of spend up to `until`, oldest first; `micros` of each by its number."""
    spent = [micros(number) for number in range(days)]
    for number, each in enumerate(spent):
        books.calls(noon(until - timedelta(days=days - 1 - number)), agent=agent, spent_micros=each)
    return spent


def by_group(readings: list[Reading]) -> dict[tuple[str, ...], Reading]:
    return {reading.group: reading for reading in readings}


def uneven(number: int) -> int:
    return (8 + number % 5) * USD


def test_a_forecast_is_the_lower_end_of_the_interval_for_each_counter(books: Books) -> None:
    books.written(budgets=BUDGETS)
    hook = history(books, 30, uneven)
    copilot = history(books, 10, lambda _: 2 * USD, agent="copilot")
    books.calls(SLOT - timedelta(minutes=5), spent_micros=3 * USD)
    found = by_group(books.measure("budget_forecast_percentage", SLOT, window="month"))
    assert sorted(found) == [("agents", "copilot", "month"), ("agents", "hook", "month"), ("org", "acme", "month")]
    together = [spent + (copilot[number - 20] if number >= 20 else 0) for number, spent in enumerate(hook)]
    for group, days, limit, so_far in (
        (("org", "acme", "month"), together, 300, 3),
        (("agents", "hook", "month"), hook, 100, 3),
        (("agents", "copilot", "month"), copilot, 100, 0),
    ):
        expected = forecast_month(days, today=date(2026, 11, 21), so_far_micros=so_far * USD, limit_micros=limit * USD)
        assert expected is not None
        assert expected.crossing is not None
        reading = found[group]
        assert reading.observation == Measured(Decimal(expected.low_micros) / (limit * USD), len(days))
        day = expected.crossing.day
        told = {
            "forecast_micros": expected.total_micros,
            "lower_micros": expected.low_micros,
            "upper_micros": expected.high_micros,
            "limit_micros": limit * USD,
            "exhausted_on": None if day is None else day.isoformat(),
            "period_label": "2026-11",
        }
        assert told.items() <= reading.facts.items()
    assert found["agents", "hook", "month"].labels == {
        "budget": "agents", "per": "agent", "scope": "hook", "period": "month", "agent": "hook",
        "provider": "webhook", "team": "team-eng", "owner": "ada",
    }  # fmt: skip
    only = books.measure("budget_forecast_percentage", SLOT, window="month", filter={"budget": "org"})
    assert [reading.group for reading in only] == [("org", "acme", "month")]


def test_days_after_the_one_on_which_the_budget_is_used_up_are_uncovered(books: Books) -> None:
    books.written(budgets=BUDGETS)
    history(books, 20, lambda _: 4 * USD)
    history(books, 20, lambda _: 2 * USD, agent="copilot")
    found = by_group(books.measure("budget_days_uncovered", SLOT, window="month"))
    # 80 are spent by the 20th, 100 at the end of the 25th, so the 26th is the first day above.
    assert found["agents", "hook", "month"].facts["exhausted_on"] == "2026-11-26"
    assert found["agents", "hook", "month"].observation == Measured(Decimal(4), 20)
    assert found["agents", "copilot", "month"].observation == Measured(Decimal(0), 20)
    assert found["agents", "copilot", "month"].facts["exhausted_on"] is None


def test_the_slot_that_ends_a_month_still_speaks_of_it(books: Books) -> None:
    books.written(budgets=BUDGETS)
    history(books, 30, lambda _: 4 * USD, until=date(2026, 11, 30))
    end = datetime(2026, 12, 1, tzinfo=NEW_YORK)
    closing = by_group(books.measure("budget_days_uncovered", end, window="month"))["agents", "hook", "month"]
    assert closing.facts["period_label"] == "2026-11"
    assert value_of(closing) == 4
    fresh = by_group(books.measure("budget_days_uncovered", end + timedelta(hours=1), window="month"))
    assert fresh["agents", "hook", "month"].facts["period_label"] == "2026-12"
    assert fresh["agents", "hook", "month"].facts["spent_micros"] == 0


def test_samples_of_a_forecast_are_its_complete_days(books: Books) -> None:
    books.written(budgets=BUDGETS)
    history(books, 6, lambda _: 50 * USD)
    (reading, _) = books.measure("budget_forecast_percentage", SLOT, window="month")
    assert isinstance(reading.observation, Measured)
    assert reading.observation.samples == 6


def totals(books: Books, *rows: tuple[str, str, PeriodKind, datetime, int, int]) -> None:
    for budget_id, scope, kind, at, spent, held in rows:
        period = period_of(kind, at, ZONE)
        with books.database.write() as connection:
            connection.execute(
                budget_usage.insert().values(
                    org_id=books.org_id, budget_id=budget_id, scope=scope, period=kind, period_label=period.label,
                    period_start=period.start, period_end=period.end, limit_micros=1, spent_micros=spent * USD,
                    held_micros=held * USD, executions=1, updated_at=at,
                )
            )  # fmt: skip


def test_what_is_left_of_budgets_is_neither_spent_nor_held(books: Books) -> None:
    books.written(budgets=BUDGETS)
    last_month, yesterday = SLOT - timedelta(days=25), SLOT - timedelta(days=1)
    totals(
        books,
        ("org", "acme", "month", SLOT, 290, 15),
        ("org", "acme", "month", last_month, 17, 0),
        ("org", "acme", "day", yesterday, 20, 0),
        ("agents", "hook", "month", SLOT, 40, 5),
        ("agents", "copilot", "month", last_month, 99, 0),
        ("agents", "long_gone", "month", SLOT - timedelta(days=60), 99, 0),
        ("people", "ada", "month", SLOT, 5, 0),
        ("calls", "acme", "month", SLOT, 1, 0),
        ("removed", "acme", "month", SLOT, 1, 0),
    )
    found = by_group(books.measure("budget_remaining_usd", SLOT, comparison="<="))
    assert {group: value_of(reading) for group, reading in found.items()} == {
        ("org", "acme", "month"): -5,
        ("org", "acme", "day"): 20,
        ("agents", "hook", "month"): 55,
        ("agents", "copilot", "month"): 100,
    }
    assert found["org", "acme", "day"].facts["period_label"] == "2026-11-21"
    mine = books.measure("budget_remaining_usd", SLOT, comparison="<=", filter={"team": "team-eng"})
    assert [reading.group for reading in mine] == [("agents", "hook", "month")]


def test_every_counter_is_read_however_many_there_are(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    from engine.alerting.measuring import counter_totals

    monkeypatch.setattr(counter_totals, "AT_ONCE", 3)
    books.written(budgets=BUDGETS)
    totals(books, *(("agents", f"agent-{number}", "month", SLOT, 1, 0) for number in range(10)))
    assert len(books.measure("budget_remaining_usd", SLOT)) == 10


def test_yesterday_is_unusual_by_its_excess_over_what_was_expected(books: Books) -> None:
    books.written(budgets=BUDGETS)
    hook = [*history(books, 20, uneven, until=date(2026, 11, 19)), 60 * USD]
    books.calls(noon(date(2026, 11, 20)), spent_micros=60 * USD)
    copilot = history(books, 21, uneven, agent="copilot")
    history(books, 6, uneven, agent="newcomer")
    books.calls(SLOT - timedelta(minutes=1), spent_micros=900 * USD)
    found = by_group(books.measure("spend_anomaly_usd", SLOT, window="day", kind="latched"))
    assert sorted(found) == [("agent", "copilot"), ("agent", "hook"), ("organization",)]
    expected = anomaly_of(hook[:-1], 60 * USD, day=date(2026, 11, 20), budget_micros=300 * USD)
    assert expected is not None
    assert expected.is_anomaly
    reading = found["agent", "hook"]
    assert reading.observation == Measured(Decimal(expected.excess_micros) / USD, 20)
    assert (reading.facts["day"], reading.facts["spent_micros"]) == ("2026-11-20", 60 * USD)
    assert reading.labels == {"agent": "hook", "provider": "webhook", "team": "team-eng", "owner": "ada"}
    assert found["agent", "copilot"].observation == Measured(Decimal(0), len(copilot) - 1)
    assert value_of(found["organization",]) != 0
    assert [
        each.group for each in books.measure("spend_anomaly_usd", SLOT, window="day", filter={"agent": "copilot"})
    ] == [("agent", "copilot")]


def test_a_day_is_judged_by_the_slots_of_the_day_after_it(books: Books) -> None:
    history(books, 20, uneven)
    start = datetime(2026, 11, 21, tzinfo=NEW_YORK)
    judged = [
        books.measure("spend_anomaly_usd", start + timedelta(hours=hour), window="day")[0].facts["day"]
        for hour in (0, 1, 24, 25)
    ]
    assert judged == ["2026-11-19", "2026-11-20", "2026-11-20", "2026-11-21"]


def variance(books: Books, day: date, agent: str, calls: int, estimate: float, actual: float) -> None:
    """Calls that all have this estimate and about this cost, in dollars."""
    costs = [actual * (1 + (-1) ** number * 0.01) * USD for number in range(calls)]
    sums = SegmentSums.of([estimate * USD] * calls, costs)
    with books.database.write() as connection:
        connection.execute(
            cost_variance.insert().values(
                org_id=books.org_id, day=day, provider="webhook", model="", complexity="standard", agent_id=agent,
                calls=calls, settled=calls, calls_estimate_micros=sums.estimate_micros,
                estimate_micros=sums.estimate_micros, actual_micros=sums.actual_micros,
                absolute_error_micros=sums.error_micros, estimate_squares=sums.estimate_squared,
                actual_squares=sums.actual_squared, products=sums.estimate_times_actual, ratio_percents={},
                updated_at=SLOT,
            )
        )  # fmt: skip


def test_variance_is_the_end_of_the_interval_that_is_nearer_to_zero(books: Books) -> None:
    today = SLOT.date()
    for agent, actual in (("hook", 1.3), ("copilot", 0.7), ("exact", 1.001)):
        variance(books, today - timedelta(days=27), agent, 60, 1.0, actual)
        variance(books, today, agent, 60, 1.0, actual)
    variance(books, today - timedelta(days=28), "hook", 500, 1.0, 9.0)
    found = {reading.labels["agent"]: reading for reading in books.measure("cost_variance_percentage", SLOT)}
    over, under = value_of(found["hook"]), value_of(found["copilot"])
    assert over is not None
    assert under is not None
    assert Decimal("0.29") < over < Decimal("0.3")
    assert Decimal("0.29") < under < Decimal("0.3")
    assert found["exact"].observation == Measured(Decimal(0), 120)
    assert over == Decimal(str(found["hook"].facts["low"])) - 1
    assert under == 1 - Decimal(str(found["copilot"].facts["high"]))
    assert found["hook"].facts["ratio"] == 1.3
    assert found["hook"].labels == {"agent": "hook", "provider": "webhook", "team": "team-eng", "owner": "ada"}
    eng = books.measure("cost_variance_percentage", SLOT, filter={"team": "team-eng"})
    assert [reading.labels["agent"] for reading in eng] == ["hook"]


def test_one_call_says_nothing_of_a_segment_and_its_facts_are_json(books: Books) -> None:
    variance(books, SLOT.date(), "hook", 1, 1.0, 2.0)
    (reading,) = books.measure("cost_variance_percentage", SLOT)
    assert reading.observation == Measured(Decimal(0), 1)
    assert reading.facts["high"] is None


@pytest.mark.parametrize("metric", ["budget_forecast_percentage", "spend_anomaly_usd"])
def test_the_days_of_a_history_are_looked_up_and_not_searched_for_in_all_rows(books: Books, metric: str) -> None:
    books.written(budgets=BUDGETS)
    with books.database.read() as connection:
        if connection.dialect.name != "sqlite":
            pytest.skip("PostgreSQL plans by the table's size")
        asked: list[tuple[str, Any]] = []

        def note(_c: Any, _d: Any, statement: str, parameters: Any, _x: Any, _m: bool) -> None:
            asked.append((statement, parameters))

        event.listen(connection, "before_cursor_execute", note)
        measure(connection, Rule("r", metric, Decimal(1)), Measuring("acme", books.document, SLOT, SLOT))
        event.remove(connection, "before_cursor_execute", note)
        of_usage = [each for each in asked if "FROM usage" in each[0]]
        assert of_usage
        for statement, parameters in of_usage:
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
            looked_up = [row[3] for row in plan if "usage" in row[3]]
            assert looked_up
            assert all("bucket" in step for step in looked_up), looked_up


def test_a_segment_without_calls_for_28_days_is_no_longer_off(books: Books) -> None:
    today = SLOT.date()
    for days_ago, agent in ((28, "hook"), (55, "copilot"), (56, "exact"), (40, "other"), (27, "other")):
        variance(books, today - timedelta(days=days_ago), agent, 120, 1.0, 1.5)
    found = {reading.labels["agent"]: reading for reading in books.measure("cost_variance_percentage", SLOT)}
    assert {agent: value_of(reading) for agent, reading in found.items() if agent != "other"} == {
        "hook": 0,
        "copilot": 0,
    }
    value = value_of(found["other"])
    assert value is not None
    assert value > Decimal("0.4")
    # Of no calls there are no samples to have too few of: a rule with `min_samples` takes it for a value.
    assert found["hook"].observation == Measured(Decimal(0))
    assert found["hook"].group == ("webhook", "", "standard", "hook")
    (one,) = books.measure("cost_variance_percentage", SLOT, filter={"agent": "copilot"})
    assert one.labels["team"] == "team-hr"


@pytest.mark.parametrize("metric", ["budget_forecast_percentage", "budget_days_uncovered", "spend_anomaly_usd"])
@pytest.mark.parametrize("days_ago", [0, 1, 5])
def test_a_day_below_nothing_stops_no_rule(books: Books, metric: str, days_ago: int) -> None:
    """A correction can take a day below zero; it counts as a day without spend."""
    books.written(budgets=BUDGETS)
    history(books, 20, uneven)
    at = noon(date(2026, 11, 21) - timedelta(days=days_ago))
    expected = {}
    for micros in (None, -90 * USD):
        if micros is not None:
            books.calls(at, spent_micros=micros)
        readings = books.measure(metric, SLOT + timedelta(hours=4), window="month" if "budget" in metric else "day")
        expected[micros] = {reading.group for reading in readings}
    assert expected[None] == expected[-90 * USD] != set()
