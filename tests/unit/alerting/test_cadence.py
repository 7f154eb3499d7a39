"""When rules are evaluated: which slots are due, and which of them wait for the ledger."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any, get_args
from zoneinfo import ZoneInfo

import pytest

from engine.alerting.measuring.cadence import LONGEST_ABSENCE, MINUTE, MOST_STEPS, needs_ledger, slots
from engine.alerting.rules import Rule
from engine.document.alert_rules import COUNT_METRICS, LATENCY_METRICS, Metric

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)
HOURLY = (
    "budget_forecast_percentage",
    "budget_days_uncovered",
    "spend_anomaly_usd",
    "unsettled_percentage",
)
BY_THE_CLOCK = (
    "fail_open_seconds",
    "ledger_lag_seconds",
    "redis_evicted_keys",
    "redis_evicting_policy",
    "credential_age_days",
    "watchdog",
)


def rule(metric: str) -> Rule:
    return Rule("r", metric, Decimal(1))


def at(hour: int, minute: int = 0, second: int = 0) -> datetime:
    return NOON.replace(hour=hour, minute=minute, second=second)


@pytest.mark.parametrize("metric", get_args(Metric))
def test_what_must_speak_when_the_ledger_cannot_does_not_wait_for_it(metric: str) -> None:
    assert needs_ledger(rule(metric)) is (metric not in BY_THE_CLOCK)


@pytest.mark.parametrize("metric", get_args(Metric))
def test_a_first_evaluation_begins_with_the_newest_slot_alone(metric: str) -> None:
    hourly = metric in (*HOURLY, "cost_variance_percentage")
    assert slots(rule(metric), None, at(12, 7, 59)) == [at(12) if hourly else at(12, 7)]


@pytest.mark.parametrize("metric", sorted(COUNT_METRICS | LATENCY_METRICS | {"spent_usd", "rate_limit_remaining"}))
def test_every_minute_that_a_worker_was_away_is_evaluated(metric: str) -> None:
    found = slots(rule(metric), at(12, 1), at(12, 7, 30))
    assert found == [at(12, minute) for minute in range(2, 8)]


def test_a_slot_is_due_from_its_end_on_and_once() -> None:
    counts = rule("policy_deny_count")
    assert slots(counts, at(12, 1), at(12, 1, 59)) == []
    assert slots(counts, at(12, 1), at(12, 2)) == [at(12, 2)]
    assert slots(counts, at(12, 2), at(12, 2)) == []
    assert slots(counts, at(12, 3), at(12, 2)) == []


@pytest.mark.parametrize("metric", HOURLY)
def test_what_is_about_days_is_evaluated_by_the_hour(metric: str) -> None:
    assert slots(rule(metric), at(9), at(11, 59)) == [at(10), at(11)]
    assert slots(rule(metric), at(11), at(11, 59)) == []


def test_after_a_long_absence_the_newest_slots_are_made_up_for_one_by_one() -> None:
    week_ago = NOON - timedelta(days=7)
    minutes = slots(rule("decision_count"), week_ago, NOON)
    assert minutes[-60:] == [NOON - MINUTE * back for back in range(59, -1, -1)]
    hours = slots(rule("unsettled_percentage"), week_ago, NOON)
    assert hours == [NOON - timedelta(hours=back) for back in range(47, -1, -1)]


@pytest.mark.parametrize("away", [61, 75, 300, 601, 900, 1_500, 2_820, 20_000])
@pytest.mark.parametrize("window", [1, 2, 5, 7, 60, 1_440, "day"])
@pytest.mark.parametrize("hold", [0, 1, 3])
def test_every_minute_of_a_long_absence_is_in_the_window_of_a_slot(away: int, window: int | str, hold: int) -> None:
    """A burst while no worker ran is an alert all the same, in the two days for which minutes are kept."""
    length: Any = window if isinstance(window, str) else MINUTE * window
    watched = Rule("r", "policy_deny_count", Decimal(1), window=length, hold=MINUTE * hold)
    last = NOON - MINUTE * away
    found = slots(watched, last, NOON)
    assert found == sorted(set(found))
    assert last < found[0]
    assert found[-1] == NOON
    assert len(found) <= 60 + MOST_STEPS
    gaps = {later - earlier for earlier, later in pairwise(found)}
    widest = 5 if isinstance(window, str) else min(window, 5)
    assert max(gaps) <= MINUTE * (min(widest, hold) if hold else widest)
    reach = min(MINUTE * away, LONGEST_ABSENCE, 60 * MINUTE + MOST_STEPS * max(gaps))
    assert found[0] - max(gaps) <= NOON - reach + MINUTE * 5


def test_a_long_absence_is_looked_at_as_closely_as_so_few_slots_allow() -> None:
    watched = rule("policy_deny_count")
    assert len(slots(watched, NOON - MINUTE * 600, NOON)) == 600
    found = slots(watched, NOON - timedelta(days=2), NOON)
    assert {later - earlier for earlier, later in pairwise(found[:-60])} == {5 * MINUTE}
    assert found[0] >= NOON - timedelta(days=2)
    midnight = NOON.replace(hour=0)
    assert midnight in found


@pytest.mark.parametrize("metric", [*BY_THE_CLOCK, "budget_remaining_usd"])
def test_what_is_true_now_is_not_taken_for_the_past(metric: str) -> None:
    """A ledger that is behind now would otherwise have been behind for six minutes at once."""
    assert slots(rule(metric), at(12, 1), at(12, 7, 30)) == [at(12, 7)]


def test_the_stored_variance_is_not_taken_for_the_past() -> None:
    assert slots(rule("cost_variance_percentage"), at(6), at(12, 7)) == [at(12)]


def test_slots_are_whole_minutes_and_hours_of_utc_whatever_zone_the_clock_has() -> None:
    kolkata = at(12, 7, 30).astimezone(ZoneInfo("Asia/Kolkata"))
    assert slots(rule("decision_count"), None, kolkata) == [at(12, 7)]
    (hour,) = slots(rule("unsettled_percentage"), None, kolkata)
    assert (hour, hour.utcoffset()) == (at(12), timedelta(0))
