"""No overspend and no phantom spend (promises 1 and 2), asked of a real server by many callers at once."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from engine.decision import ReasonCode
from engine.errors import InvalidValue

ROOT = Path(__file__).parents[3]


def budget(**limits: Any) -> list[dict[str, Any]]:
    return [{"id": "cap", "per": "agent", **limits}]


def call_from_processes(acme: Any, *, cost: str, processes: int = 4) -> Counter[str]:
    arguments = [str(acme.document), acme.database_url, acme.redis_url, "copilot_hr", cost, "4", "5"]
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.integration.engine.child", "calls", *arguments],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for _ in range(processes)
    ]  # fmt: skip
    for process in running:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in running:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    reasons: Counter[str] = Counter()
    for process in running:
        out, _ = process.communicate(timeout=60)
        assert process.returncode == 0
        reasons.update(json.loads(out))
    return reasons


@pytest.mark.parametrize(("cost", "limit", "allowed"), [("1", 10, 10), ("0.10", 0.30, 3)])
def test_processes_together_get_exactly_what_the_budget_holds_from_the_very_first_call(
    acme: Any, cost: str, limit: float, allowed: int
) -> None:
    acme.write(budgets=budget(monthly_budget_usd=limit))
    reasons = call_from_processes(acme, cost=cost)
    assert reasons == {"allowed": allowed, "budget_monthly_cost": 80 - allowed}
    acme.store()
    acme.assert_adds_up()


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


def test_a_denied_check_writes_nothing_but_its_event(acme: Any) -> None:
    acme.write(
        budgets=budget(monthly_budget_usd=1),
        rate_limits=[{"id": "r", "per": "agent", "requests_per_minute": 5}],
        policies=[
            {"policy_id": "go", "effect": "allow"},
            {"policy_id": "no", "effect": "deny", "conditions": [{"environments": ["lab"]}]},
        ],
    )
    service = acme.service()
    assert service.check("hook", environment="production", estimated_cost=1).allowed
    before = {key: acme.redis.dump(key) for key in acme.redis.keys("*") if not key.endswith(":events")}
    recorded = len(acme.events())
    assert service.check("hook", environment="production", estimated_cost=1).reason is ReasonCode.BUDGET_MONTHLY_COST
    assert service.check("hook", environment="lab", estimated_cost=0).reason is ReasonCode.POLICY_DENY
    assert service.check("coder").reason is ReasonCode.UNKNOWN_PRICE
    assert {key: acme.redis.dump(key) for key in acme.redis.keys("*") if not key.endswith(":events")} == before
    assert len(acme.events()) == recorded + 3


BAD_REQUESTS: list[tuple[str, dict[str, Any]]] = [
    ("agent_id", {"agent_id": "nobody"}),
    ("agent_id", {"agent_id": "a b"}),
    ("agent_id", {"agent_id": None}),
    ("org_id", {"org_id": "other"}),
    ("team_id", {"team_id": "team-eng"}),
    ("environment", {"environment": "lab"}),
    ("user_id", {"user_id": ""}),
    ("user_id", {"user_id": 7}),
    ("action", {"action": "a b"}),
    ("complexity", {"complexity": "hard"}),
    ("input_tokens", {"input_tokens": -1}),
    ("output_tokens", {"output_tokens": 1.0}),
    ("estimated_cost", {"estimated_cost": "-1"}),
    ("estimated_cost", {"estimated_cost": float("nan")}),
    ("model", {"model": "a,b"}),
]


def test_a_bad_request_is_refused_by_field_before_anything_is_written(acme: Any) -> None:
    service = acme.service()
    service.check("hook")
    before = len(acme.events())
    for field, request in BAD_REQUESTS:
        with pytest.raises(InvalidValue, match=rf"^{field}: "):
            service.check(**{"agent_id": "copilot_hr", **request})
    assert len(acme.events()) == before


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
