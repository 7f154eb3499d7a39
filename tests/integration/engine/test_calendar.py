"""Budgets keep the calendar of their zone, clock changes included, whatever a caller's own clock says (promise 7)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from engine.clock import to_ms
from engine.decision import ReasonCode
from engine.ledger.tables import budget_usage

INSTANT = timedelta(milliseconds=1)

# The zone, a day that ends, and the hours it has.
NIGHTS = [
    ("America/New_York", "2026-10-31", 24),  # the month ends, and the next day has 25 hours
    ("America/New_York", "2026-11-01", 25),
    ("America/New_York", "2026-03-07", 24),  # the next day has 23 hours
    ("America/New_York", "2026-03-08", 23),
    ("Asia/Shanghai", "2026-12-31", 24),
    ("Asia/Shanghai", "2028-02-29", 24),
    ("America/New_York", "2026-02-28", 24),
]


def govern(acme: Any, zone: str, **limits: Any) -> None:
    limits = limits or {"monthly_budget_usd": 10, "daily_budget_usd": 4}
    acme.write(timezone=zone, budgets=[{"id": "cap", "per": "org", **limits}])


def used(acme: Any, period: str, label: str) -> tuple[int, int, int]:
    """Spent, held and executions of one period."""
    counters = acme.counters()
    spent, held, executions = (counters.get(f"cap|acme|{period}|{label}:{suffix}", 0) for suffix in "shx")
    return spent, held, executions


@pytest.mark.parametrize(("zone", "date", "hours"), NIGHTS)
def test_what_was_checked_before_midnight_is_settled_into_the_old_day_and_the_new_day_starts_at_nothing(
    acme: Any, zone: str, date: str, hours: int
) -> None:
    govern(acme, zone)
    begins = datetime.fromisoformat(date).replace(tzinfo=ZoneInfo(zone))
    next_day = (begins + timedelta(days=1)).date().isoformat()
    # Counted in real hours: adding days to a local time would skip or repeat the hour of a clock change.
    midnight = datetime.fromtimestamp(begins.timestamp() + hours * 3600, begins.tzinfo)
    assert (midnight.hour, midnight.date().isoformat()) == (0, next_day)
    service = acme.clocked_service(begins - INSTANT)
    before = service.check("hook", estimated_cost=4)
    acme.set_clock(begins)
    settled, expired = (service.check("hook", estimated_cost="1.5") for _ in range(2))
    assert [decision.allowed for decision in (before, settled, expired)] == [True] * 3
    service.settle(settled, actual_cost="1.5")
    acme.set_clock(midnight - timedelta(milliseconds=100))
    late = service.check("hook", estimated_cost=1)
    assert late.allowed
    acme.set_clock(midnight - INSTANT)
    full = service.check("hook", estimated_cost="0.000001")
    assert (full.reason, full.counters[-1].period_label) == (ReasonCode.BUDGET_DAILY_COST, date)
    acme.set_clock(midnight)
    month_is_over = next_day.endswith("-01")
    new = service.check("hook", estimated_cost=4 if month_is_over else 2)
    assert new.allowed
    assert [counter.period_label for counter in new.counters] == [next_day[:7], next_day]
    assert (new.counters[1].spent_micros, new.counters[1].held_micros, new.counters[1].executions) == (0, 0, 0)
    assert (new.counters[0].executions == 0) == month_is_over
    assert service.settle(late, actual_cost="0.75") == 750_000
    acme.store(service)
    # Every hold is charged to its own day, the open ones when they expire: one instant apart are two days.
    assert used(acme, "day", (begins - timedelta(days=1)).date().isoformat()) == (4_000_000, 0, 1)
    assert used(acme, "day", date) == (3_750_000, 0, 3)
    assert used(acme, "day", next_day) == (0, new.estimate.reserve_micros, 1)
    acme.assert_adds_up()


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Shanghai"])
def test_a_hold_that_expires_after_the_month_ended_is_charged_to_the_month_it_was_made_in(acme: Any, zone: str) -> None:
    govern(acme, zone)
    midnight = datetime(2026, 11, 1, tzinfo=ZoneInfo(zone))
    service = acme.clocked_service(midnight - timedelta(milliseconds=100))
    service.check("hook", estimated_cost=3)
    acme.set_clock(midnight + timedelta(seconds=300))
    assert service.check("hook", estimated_cost=4).allowed
    assert used(acme, "month", "2026-10") == (3_000_000, 0, 1)
    assert used(acme, "month", "2026-11") == (0, 4_000_000, 1)
    acme.store(service)
    stored = {(row.period, row.period_label): (row.spent_micros, row.held_micros) for row in acme.rows(budget_usage)}
    assert stored == {
        ("month", "2026-10"): (3_000_000, 0),
        ("day", "2026-10-31"): (3_000_000, 0),
        ("month", "2026-11"): (0, 4_000_000),
        ("day", "2026-11-01"): (0, 4_000_000),
    }
    acme.assert_adds_up()


@pytest.mark.parametrize("kind", ["check", "check_many"])
@pytest.mark.parametrize("wrong_by", [timedelta(days=days) for days in (-32, -1, 1, 32)], ids=str)
def test_a_host_whose_clock_is_wrong_spends_neither_tomorrows_budget_nor_yesterdays(
    acme: Any, wrong_by: timedelta, kind: str
) -> None:
    govern(acme, "America/New_York", monthly_budget_usd=20, daily_budget_usd=4, daily_execution_limit=3)
    noon = datetime(2026, 11, 15, 12, tzinfo=ZoneInfo("America/New_York"))
    service = acme.clocked_service(noon)

    def check(cost: int) -> Any:
        # As on a host that has just been started with a wrong clock.
        service.gate.clock._offset_ms += int(wrong_by.total_seconds() * 1000)
        assert abs(service.gate.clock.now_ms - to_ms(noon)) > 80_000_000
        if kind == "check":
            return service.check("hook", estimated_cost=cost)
        first, _ = service.check_many([{"agent_id": "hook", "estimated_cost": cost}, {"agent_id": "coder"}])
        return first

    settled = check(3)
    assert (settled.allowed, settled.at) == (True, noon)
    assert [counter.period_label for counter in settled.counters] == ["2026-11", "2026-11-15"]
    assert check(2).reason is ReasonCode.BUDGET_DAILY_COST
    service.gate.clock._offset_ms += int(wrong_by.total_seconds() * 1000)
    service.settle(settled, actual_cost=4)
    assert check(1).reason is ReasonCode.BUDGET_DAILY_COST
    assert {name for name in acme.counters() if name.endswith(":x")} == {
        "cap|acme|month|2026-11:x", "cap|acme|day|2026-11-15:x",
    }  # fmt: skip
    assert used(acme, "day", "2026-11-15") == (4_000_000, 0, 1)
    acme.store(service)
    assert {row.at for row in acme.rows()} == {noon}
    acme.assert_adds_up()
