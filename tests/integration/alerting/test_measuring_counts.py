"""Counts, money, endings and latencies over a rule's window: real traffic, and calendars of hand-written rollups."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from engine.alerting.alert import Measured, NoData
from engine.alerting.measuring import measure
from engine.alerting.reading import Measuring, Reading
from engine.alerting.rules import Rule
from engine.clock import utc_now
from engine.document.alert_rules import COUNT_METRICS
from engine.document.load import read_document
from engine.errors import InvalidValue
from tests.integration.alerting.conftest import USD, Books, cut_off, value_of

NEW_YORK = ZoneInfo("America/New_York")
SLOT = datetime(2026, 11, 26, 12, 5, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def measured(acme: Any, metric: str, slot: datetime, **rule: Any) -> list[Reading]:
    with acme.open_database().read() as connection:
        return measure(
            connection,
            Rule("r", metric, Decimal(1), **rule),
            Measuring("acme", read_document(acme.document), slot, max(slot, utc_now())),
        )


def soon() -> datetime:
    """The end of a minute that everything done so far is in or before."""
    return utc_now().replace(second=0, microsecond=0) + MINUTE


def test_counts_are_those_of_real_calls(acme_on_each: Any) -> None:
    acme = acme_on_each
    acme.write(
        budgets=[{"id": "cap", "per": "agent", "applies_to": {"agent": "coder"}, "monthly_budget_usd": 1}],
        rate_limits=[{"id": "slow", "per": "agent", "applies_to": {"agent": "copilot_hr"}, "requests_per_hour": 2}],
        policies=[
            {"policy_id": "no_lab", "effect": "deny", "priority": 1, "conditions": [{"environments": ["lab"]}]},
            {"policy_id": "go", "effect": "allow"},
        ],
    )
    service = acme.service()
    for _ in range(2):
        service.settle(service.check("copilot_hr", estimated_cost="0.5"), actual_cost="0.25")
    service.check("copilot_hr", estimated_cost="0.5")
    service.check("coder", estimated_cost=2)
    service.check("hook", environment="lab")
    service.cancel(service.check("hook", environment="production", estimated_cost=0))
    acme.store()
    slot = soon()
    expected: dict[str, tuple[Any, int]] = {
        "rate_limit_exceeded_count": (1, 6),
        "budget_overspend_count": (1, 6),
        "policy_deny_count": (1, 6),
        "daily_execution_count": (2, 6),
        "decision_count": (6, 6),
        "rate_limit_fail_open_count": (0, 6),
        "spent_usd": (Decimal("0.5"), 6),
    }
    for metric, (value, samples) in expected.items():
        (reading,) = measured(acme, metric, slot)
        assert reading.observation == Measured(Decimal(value), samples), metric
        assert reading.group == ()
    (one,) = measured(acme, "decision_count", slot, filter={"agent": "coder"})
    assert value_of(one) == 1
    assert one.labels == {"agent": "coder", "provider": "azure_openai", "team": "team-eng"}
    by_agent = measured(acme, "rate_limit_exceeded_count", slot, group_by=("agent", "reason"))
    assert by_agent[0].group == ("copilot_hr", "rate_per_hour")
    assert value_of(by_agent[0]) == 1
    assert by_agent[0].labels == {
        "agent": "copilot_hr",
        "reason": "rate_per_hour",
        "provider": "copilot_studio",
        "team": "team-hr",
    }
    (slow,) = measured(acme, "policy_evaluation_time_ms", slot)
    assert isinstance(slow.observation, Measured)
    assert (slow.observation.samples, slow.observation.value > 0) == (6, True)
    (unsettled,) = measured(acme, "unsettled_percentage", slot)
    assert unsettled.observation == Measured(Decimal(0), 2)


def test_calls_of_an_outage_are_counted_when_the_ledger_hears_of_them_and_once(acme_on_each: Any) -> None:
    acme = acme_on_each
    acme.write(rate_limits=[{"id": "all", "per": "org", "requests_per_day": 1000, "on_outage": "open"}])
    then = utc_now() - timedelta(minutes=10)
    service = acme.clocked_service(then)
    service.check("hook", estimated_cost=0)
    acme.store(service)
    with cut_off(service):
        decisions = [service.check("hook", estimated_cost=0) for _ in range(3)]
    assert all(each.fail_open for each in decisions)
    acme.set_clock(then + timedelta(minutes=5))
    acme.store_everything(service)
    metric = "rate_limit_fail_open_count"
    its_time = then.replace(second=0, microsecond=0)
    slot = soon()
    (late,) = measured(acme, metric, slot, window=3 * MINUTE)
    assert late.observation == Measured(Decimal(3), 3)
    assert late.facts["late_calls"] == 3
    (own,) = measured(acme, metric, its_time + 2 * MINUTE, window=2 * MINUTE)
    assert value_of(own) == 3
    (both,) = measured(acme, metric, slot, window=timedelta(minutes=30))
    assert both.observation == Measured(Decimal(3), 4)
    (grouped,) = measured(acme, metric, slot, window=3 * MINUTE, group_by=("agent",))
    assert grouped.group == ("hook",)
    assert value_of(grouped) == 3
    assert measured(acme, metric, slot, window=3 * MINUTE, group_by=("agent",), filter={"agent": "coder"}) == []


def test_a_group_without_calls_has_no_reading_and_a_rule_without_groups_is_zero(books: Books) -> None:
    for metric in sorted(COUNT_METRICS | {"spent_usd"}):
        assert books.measure(metric, SLOT, group_by=("agent",)) == []
        (reading,) = books.measure(metric, SLOT)
        assert reading.observation == Measured(Decimal(0), 0)
    assert books.measure("governance_check_latency_ms", SLOT)[0].observation == NoData()
    assert books.measure("unsettled_percentage", SLOT)[0].observation == NoData()


def test_a_window_begins_with_its_first_minute_and_ends_before_the_slot(books: Books) -> None:
    for minute, calls in ((-6, 1), (-5, 10), (-1, 100), (0, 1000)):
        books.calls(SLOT + minute * MINUTE, calls)
    assert books.value("decision_count", SLOT) == 110


@pytest.mark.parametrize(
    ("day", "hours"),
    [("2026-03-08", 23), ("2026-11-01", 25), ("2026-11-26", 24)],
)
def test_a_day_is_the_organizations_own_and_the_slot_at_midnight_closes_it(books: Books, day: str, hours: int) -> None:
    start = datetime.fromisoformat(day).replace(tzinfo=NEW_YORK).astimezone(UTC)
    end = start + timedelta(hours=hours)
    for at, calls in ((start - MINUTE, 1), (start, 10), (end - MINUTE, 100), (end, 1000)):
        books.calls(at, calls)
    rule: dict[str, Any] = {"window": "day", "kind": "latched"}
    (closing,) = books.measure("daily_execution_count", end, **rule)
    assert value_of(closing) == 110
    assert closing.facts["period_label"] == day
    assert closing.facts["period_end"] == end.isoformat()
    assert books.value("daily_execution_count", end + MINUTE, **rule) == 1000
    assert books.value("daily_execution_count", start + MINUTE, **rule) == 10


def test_a_month_begins_and_ends_in_the_organizations_zone(books: Books) -> None:
    start, end = (datetime(2026, month, 1, tzinfo=NEW_YORK).astimezone(UTC) for month in (11, 12))
    assert (end - start) == timedelta(days=30, hours=1)
    for at, spent in ((start - MINUTE, 1), (start, 10), (end - MINUTE, 100), (end, 1000)):
        books.calls(at, spent_micros=spent * USD)
    assert books.value("spent_usd", end, window="month") == 110
    assert books.value("spent_usd", end + MINUTE, window="month") == 1000


def test_a_window_longer_than_minutes_are_kept_begins_with_a_whole_hour(books: Books) -> None:
    start = SLOT - timedelta(days=7)
    books.calls(start, 1)
    books.calls(start.replace(minute=0) + timedelta(hours=1), 10)
    books.calls(SLOT - MINUTE, 100)
    (reading,) = books.measure("decision_count", SLOT, window=timedelta(days=7))
    assert value_of(reading) == 110
    assert reading.facts["window_start"] == "2026-11-19T13:00:00+00:00"


def test_expired_holds_are_a_share_of_those_that_ended(books: Books) -> None:
    books.calls(SLOT - timedelta(hours=3), 60, settled=47, expired=1, cancelled=2)
    books.calls(SLOT - timedelta(hours=25), 60, expired=60)
    (reading,) = books.measure("unsettled_percentage", SLOT, window=timedelta(hours=24))
    assert reading.observation == Measured(Decimal(1) / 48, 48)
    assert (reading.facts["expired"], reading.facts["settled"]) == (1, 47)


def test_what_is_of_the_whole_organization_cannot_be_filtered(books: Books) -> None:
    with pytest.raises(InvalidValue, match=r"filter.agent: .* leave the filter out"):
        books.measure("governance_check_latency_ms", SLOT, filter={"agent": "hook"})


def test_crossings_of_budgets_are_found_elsewhere(books: Books) -> None:
    books.written(budgets=[{"id": "org", "per": "org", "monthly_budget_usd": 1}])
    assert books.measure("budget_usage_percentage", SLOT) == []
    assert books.measure("credential_age_days", SLOT) == []
    assert books.value("watchdog", SLOT) == 1


def test_where_minutes_are_gone_a_short_window_never_counts_the_whole_hour(books: Books) -> None:
    """A worker that comes back after days looks at old slots; calls of an hour are not those of 5 minutes."""
    later = SLOT + timedelta(days=3)
    books.calls(SLOT + 30 * MINUTE, 10)
    books.calls(SLOT + 75 * MINUTE, 1000)
    (reading,) = books.measure("decision_count", SLOT + 58 * MINUTE, now=later)
    assert value_of(reading) == 0
    (longer,) = books.measure("decision_count", SLOT + 58 * MINUTE, now=later, window=timedelta(hours=2))
    assert value_of(longer) == 10
    assert longer.facts["window_end"] == "2026-11-26T13:00:00+00:00"
