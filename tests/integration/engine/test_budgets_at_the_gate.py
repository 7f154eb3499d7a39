"""No overspend and no phantom spend (promises 1 and 2), asked of a real server."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from engine.decision import ReasonCode

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def budget(**limits: Any) -> list[dict[str, Any]]:
    return [{"id": "cap", "per": "agent", **limits}]


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        ({"monthly_budget_usd": 10}, ReasonCode.BUDGET_MONTHLY_COST),
        ({"daily_budget_usd": 10}, ReasonCode.BUDGET_DAILY_COST),
        ({"monthly_execution_limit": 10}, ReasonCode.BUDGET_MONTHLY_EXECUTIONS),
        ({"daily_execution_limit": 10, "monthly_budget_usd": 100}, ReasonCode.BUDGET_DAILY_EXECUTIONS),
    ],
)
def test_threads_together_get_exactly_what_the_budget_holds(acme: Any, limits: Any, reason: ReasonCode) -> None:
    acme.write(budgets=budget(**limits))
    service = acme.service()
    with ThreadPoolExecutor(16) as pool:
        decisions = list(pool.map(lambda _: service.check("copilot_hr", estimated_cost=1), range(60)))
    assert Counter(decision.reason for decision in decisions) == {ReasonCode.ALLOWED: 10, reason: 50}
    # Another agent has a counter of its own.
    assert service.check("hook", estimated_cost=1).allowed


def test_a_reserve_that_just_fits_is_allowed_and_one_micro_dollar_more_is_not(acme: Any) -> None:
    acme.write(budgets=budget(monthly_budget_usd="10"))
    service = acme.service()
    assert not service.check("hook", estimated_cost="10.000001").allowed
    assert service.check("hook", estimated_cost="9.999999").allowed
    assert service.check("hook", estimated_cost="0.000001").allowed
    denied = service.check("hook", estimated_cost="0.000001")
    assert denied.message == "Monthly budget 'cap' would be exceeded: $10.000001 > $10.00"
    assert denied.http_status == 402
    assert service.check("hook", estimated_cost=0).allowed


def test_a_limit_of_zero_allows_nothing_that_costs_and_no_execution(acme: Any) -> None:
    acme.write(budgets=budget(monthly_budget_usd=0))
    service = acme.service()
    assert not service.check("hook", estimated_cost="0.000001").allowed
    acme.write(budgets=budget(monthly_execution_limit=0))
    assert not acme.service().check("hook", estimated_cost=0).allowed


def test_all_budgets_of_a_call_must_have_room_and_months_are_reported_first(acme: Any) -> None:
    acme.write(
        budgets=[
            {"id": "day", "per": "org", "daily_budget_usd": 1},
            {"id": "month", "per": "team", "monthly_budget_usd": 1},
            {"id": "other", "per": "org", "applies_to": {"provider": "webhook"}, "monthly_budget_usd": 0},
        ]
    )
    service = acme.service()
    assert service.check("copilot_hr", estimated_cost=1).allowed
    denied = service.check("copilot_hr", estimated_cost=1)
    assert denied.reason is ReasonCode.BUDGET_MONTHLY_COST
    assert [(counter.budget_id, counter.held_micros) for counter in denied.counters] == [
        ("month", 1_000_000),
        ("day", 1_000_000),
    ]
    # The other team has room in its month, but the day is the organization's.
    assert service.check("coder", estimated_cost=1).reason is ReasonCode.BUDGET_DAILY_COST


def state(acme: Any) -> dict[str, tuple[Any, bool]]:
    """Every key but the stream: its value byte by byte, and whether it ends some day."""
    keys = [key for key in acme.redis.keys("*") if not key.endswith(":events")]
    return {key: (acme.redis.dump(key), acme.redis.pttl(key) > 0) for key in keys}


DENIALS: list[tuple[ReasonCode, dict[str, Any]]] = [
    (ReasonCode.POLICY_DENY, {"environment": "lab"}),
    (ReasonCode.UNKNOWN_PRICE, {"agent_id": "coder", "estimated_cost": None}),
    (ReasonCode.BUDGET_MONTHLY_COST, {"estimated_cost": "8.01"}),
    (ReasonCode.BUDGET_DAILY_COST, {"estimated_cost": "6.01"}),
    (ReasonCode.BUDGET_MONTHLY_EXECUTIONS, {"agent_id": "coder"}),
    (ReasonCode.BUDGET_DAILY_EXECUTIONS, {"agent_id": "copilot_hr", "user_id": "bob"}),
    (ReasonCode.RATE_PER_MINUTE, {"user_id": "ada"}),
    (ReasonCode.RATE_PER_HOUR, {"user_id": "eve"}),
]


@pytest.mark.parametrize(("hold_seconds", "due"), [(300, 0), (95, 2)], ids=["no hold is due", "two holds are due"])
def test_a_denied_check_writes_nothing_but_its_event(acme: Any, hold_seconds: int, due: int) -> None:
    """Holds that are due expire on its way, exactly as a sweep would have it."""
    acme.write(
        budgets=[
            *budget(monthly_budget_usd=10, daily_budget_usd=8),
            {"id": "once", "per": "agent", "applies_to": {"agent": "coder"}, "monthly_execution_limit": 1},
            {"id": "each", "per": "user", "applies_to": {"agent": "copilot_hr"}, "daily_execution_limit": 1},
        ],
        rate_limits=[
            {"id": "u", "per": "user", "requests_per_minute": 2, "requests_per_hour": 2},
            {"id": "o", "per": "org", "requests_per_day": 1000},
        ],
        policies=[
            {"policy_id": "go", "effect": "allow"},
            {"policy_id": "no", "effect": "deny", "conditions": [{"environments": ["lab"]}]},
        ],
    )
    service = acme.clocked_service(NOON, hold_seconds=hold_seconds)
    call = {"agent_id": "hook", "environment": "production", "estimated_cost": "0.5"}
    made = [service.check(**call, user_id="eve") for _ in range(2)]
    acme.set_clock(NOON + timedelta(seconds=90))
    made += [service.check(**call, user_id="ada") for _ in range(2)]
    made += [service.check(**{**call, "agent_id": "coder"})]
    made += [service.check(**{**call, "agent_id": "copilot_hr"}, user_id="bob")]
    assert all(decision.allowed for decision in made)
    acme.set_clock(NOON + timedelta(seconds=100))
    copies = {key: (acme.redis.dump(key), max(acme.redis.pttl(key), 0)) for key in acme.redis.keys("*")}
    before, recorded = state(acme), len(acme.events())
    service.gate.sweep(acme.org_id)
    expected = state(acme)
    assert (expected == before) == (not due)
    for reason, request in DENIALS:
        for key, (copy, ends_in) in copies.items():
            acme.redis.restore(key, ends_in, copy, replace=True)
        assert state(acme) == before
        denied = service.check(**{**call, **request}, idempotency_key="not-used-up")
        assert denied.reason is reason
        assert state(acme) == expected
        *expired, last = acme.events()[recorded:]
        assert [event["k"] for event in expired] == ["expired"] * due
        assert (last["k"], last["d"]) == ("check", denied.id)


def test_an_edited_limit_keeps_its_usage_and_a_new_budget_starts_with_what_its_period_has_spent(acme: Any) -> None:
    acme.write(budgets=budget(monthly_budget_usd=10))
    first = acme.service()
    settled, held = (first.check("copilot_hr", estimated_cost=2) for _ in range(2))
    first.settle(settled, actual_cost="3")
    acme.write(
        budgets=[
            {"id": "cap", "per": "agent", "monthly_budget_usd": 6},
            {"id": "everyone", "per": "org", "daily_budget_usd": 6},
        ]
    )
    second = acme.service()
    assert not second.check("copilot_hr", estimated_cost="1.000001").allowed
    decision = second.check("copilot_hr", estimated_cost=1)
    assert decision.allowed
    assert [(c.budget_id, c.spent_micros, c.held_micros, c.executions) for c in decision.counters] == [
        ("cap", 3_000_000, 2_000_000, 2),
        ("everyone", 3_000_000, 2_000_000, 2),
    ]
    # The first service still has the old document in its hands; Redis tells it that it is stale.
    other = first.check("copilot_hr", estimated_cost="0.5")
    assert (other.allowed, other.document_version) == (False, decision.document_version)
    first.settle(held, actual_cost="2")
    acme.store()
    assert acme.counters()["everyone|acme|day|" + decision.counters[1].period_label + ":s"] == 5_000_000
