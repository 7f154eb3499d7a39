"""A raise of a budget begins and ends by itself, at the same instant for everybody (promises 1, 2 and 6)."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from engine.clock import from_ms, to_ms, utc_now
from engine.decision import ReasonCode
from engine.document.load import read_document
from engine.document.store import publish_document
from engine.ledger.tables import budget_usage, crossings
from tests.integration.engine.child import Child, hold_some_until_told
from tests.support.outages import hung

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)
WHILE = timedelta(minutes=2)
"""Shorter than a hold."""
HOUR = timedelta(hours=1)
INSTANT = timedelta(milliseconds=1)
PROCESSES = 4


def govern(acme: Any, *, begins: datetime = NOON, ends: datetime = NOON + WHILE, **more: Any) -> None:
    raised = {"monthly_usd": 5, "from": begins.isoformat(), "until": ends.isoformat(), **more.pop("raised", {})}
    acme.write(budgets=[{"id": "cap", "per": "agent", "monthly_budget_usd": 10, "raises": [raised], **more}])


def test_the_limit_is_the_raised_one_just_while_the_raise_is_in_force(acme: Any) -> None:
    govern(acme)
    service = acme.clocked_service(NOON - INSTANT)
    assert service.check("hook", estimated_cost=9).allowed
    assert service.check("hook", estimated_cost=2).reason is ReasonCode.BUDGET_MONTHLY_COST
    acme.set_clock(NOON)
    (counter,) = service.check("hook", estimated_cost=2).counters
    assert counter.limit_micros == 15_000_000
    acme.set_clock(NOON + WHILE - INSTANT)
    assert service.check("hook", estimated_cost=4).allowed
    acme.set_clock(NOON + WHILE)
    denied = service.check("hook", estimated_cost="0.000001")
    assert denied.reason is ReasonCode.BUDGET_MONTHLY_COST
    assert denied.message == "Monthly budget 'cap' would be exceeded: $15.00 > $10.00"


def test_what_was_used_is_kept_when_the_raise_ends(acme: Any) -> None:
    govern(acme)
    service = acme.clocked_service(NOON)
    settled, held = service.check("hook", estimated_cost=8), service.check("hook", estimated_cost=6)
    acme.set_clock(NOON + WHILE)
    assert not service.check("hook", estimated_cost=1).allowed
    assert acme.counters() == {"cap|hook|month|2026-11:h": 14_000_000, "cap|hook|month|2026-11:x": 2}
    service.settle(settled, actual_cost=7)
    service.cancel(held)
    assert service.check("hook", estimated_cost=3).allowed, "below the budget's own limit it goes on"
    acme.store(service)
    (row,) = acme.rows(budget_usage)
    assert (row.spent_micros, row.held_micros, row.limit_micros) == (7_000_000, 3_000_000, 10_000_000)
    acme.assert_adds_up()


@pytest.mark.parametrize("caller", [timedelta(days=-2), -WHILE / 2, -INSTANT, WHILE / 2, timedelta(days=2)])
def test_a_caller_whose_clock_jumped_uses_no_raise_that_is_not_in_force(acme: Any, caller: timedelta) -> None:
    govern(acme)
    service = acme.clocked_service(NOON + WHILE)

    def jumped(at: datetime) -> None:
        # As far as this process knows, Redis' time is this, until Redis says otherwise.
        acme.set_clock(at)
        service.check("coder", input_tokens=1)

    jumped(NOON + WHILE + caller)
    acme.set_clock(NOON + WHILE)
    decision = service.check("hook", estimated_cost=11)
    assert decision.reason is ReasonCode.BUDGET_MONTHLY_COST
    jumped(NOON + caller)
    acme.set_clock(NOON)
    assert service.check("hook", estimated_cost=11).allowed


def test_only_the_scope_that_is_named_is_raised(acme: Any) -> None:
    govern(acme, raised={"scope": "copilot_hr"})
    service = acme.clocked_service(NOON)
    assert [service.check(agent, estimated_cost=11).allowed for agent in ("copilot_hr", "hook")] == [True, False]


def test_a_soft_budget_marks_calls_by_the_limit_in_force(acme: Any) -> None:
    govern(acme, enforcement_mode="soft")
    service = acme.clocked_service(NOON)
    assert not service.check("hook", estimated_cost=11).over_soft_budget
    acme.set_clock(NOON + WHILE)
    assert service.check("hook", estimated_cost=1).over_soft_budget


def test_an_outage_is_bounded_by_the_limit_in_force(acme: Any) -> None:
    ends = utc_now() + HOUR
    govern(acme, begins=ends - 2 * HOUR, ends=ends, outage_allowance=1)
    service = acme.service(redis_timeout_seconds=0.2)
    while (first := service.check("hook", estimated_cost=1)).outage:
        pass
    assert first.allowed
    with hung(acme.redis):
        during = [service.check("hook", estimated_cost=7) for _ in range(3)]
        assert [decision.allowed for decision in during] == [True, True, False]
        assert all(decision.outage for decision in during)
        (counter,) = during[-1].counters
        assert counter.limit_micros == 15_000_000


def test_a_restored_counter_has_the_limit_in_force(acme: Any) -> None:
    govern(acme)
    service = acme.clocked_service(NOON)
    service.settle(service.check("hook", estimated_cost=12), actual_cost=12)
    assert {row.threshold for row in acme.rows(crossings)} == set()
    acme.store(service)
    assert 8_000 in {row.threshold for row in acme.rows(crossings)}
    assert 10_000 not in {row.threshold for row in acme.rows(crossings)}
    writer = acme.writer(service)
    acme.redis.flushdb()
    acme.set_clock(NOON + WHILE / 2)
    assert writer.rebuild_if_free()
    (row,) = acme.rows(budget_usage)
    assert (row.limit_micros, row.spent_micros) == (15_000_000, 12_000_000)
    assert service.check("hook", estimated_cost=3).allowed


def test_processes_that_call_over_the_end_of_a_raise_never_pass_the_limit_in_force(acme: Any) -> None:
    """Every answer of the gate is held against the limit at its own instant, by the gate's own clock."""
    acme.write(budgets=[{"id": "cap", "per": "agent", "monthly_budget_usd": 10}])
    request = {"agent_id": "hook", "estimated_cost": "0.25"}
    children = [
        Child(hold_some_until_told, acme.document, acme.settings(), request, 60 // PROCESSES) for _ in range(PROCESSES)
    ]
    assert [child.hear() for child in children] == ["ready"] * PROCESSES
    ends = (utc_now() + timedelta(seconds=1.5)).replace(microsecond=500_000)
    govern(acme, begins=ends - HOUR, ends=ends)
    publish_document(acme.open_database(), read_document(acme.document), author="test", reason="a raise")
    writer = acme.writer()
    assert writer.rebuild_if_free()
    writer.release()
    for child in children:
        child.tell(to_ms(ends) + 700)
    told: Counter[str] = Counter()
    for child in children:
        told.update(child.hear())
        assert child.ending() == 0
    assert set(told) == {"allowed", "budget_monthly_cost"}
    answers = [fields for fields in acme.events() if fields["k"] == "check"]
    assert len(answers) == told.total()
    used: dict[tuple[bool, str], int] = {}
    for fields in answers:
        raised = from_ms(int(fields["t"])) < ends
        reason, counted = fields["a"].split(" ", 1)[0], fields["a"].split("|")[1]
        spent, held, _ = map(int, counted.split(":"))
        passes = spent + held + 250_000 <= (15_000_000 if raised else 10_000_000)
        assert (reason == "allowed") == passes
        used[raised, reason] = max(used.get((raised, reason), 0), spent + held)
    assert used[True, "allowed"] > 10_000_000, "the raise was used"
    assert used[False, "budget_monthly_cost"] > 10_000_000, "some was still held when it ended"
    assert used[False, "allowed"] <= 9_750_000, "and calls went on below"
