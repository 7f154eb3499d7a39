"""Marks, views without side effects, explanations, idempotency keys and questions asked together."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from engine.admission.keys import idempotency_key
from engine.decision import ReasonCode
from engine.errors import InvalidValue, KeyReused
from engine.policy.context import PolicyContext
from engine.policy.policy import PolicyEffect

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
ROOT = Path(__file__).parents[3]


def test_a_call_is_marked_exactly_from_the_thresholds_on(acme: Any) -> None:
    acme.write(budgets=[{"id": "cap", "per": "org", "monthly_budget_usd": 10, "daily_budget_usd": 100}])
    service = acme.service()
    below = service.check("hook", estimated_cost="7.999999")
    service.cancel(below)
    warned = service.check("hook", estimated_cost=8)
    service.cancel(warned)
    degraded = service.check("hook", estimated_cost=9)
    assert [(d.warning_triggered, d.degraded) for d in (below, warned, degraded)] == [
        (False, False),
        (True, False),
        (True, True),
    ]
    assert all(decision.allowed for decision in (below, warned, degraded))
    # Holds count: what is projected is compared, not what is spent.
    assert service.check("hook", estimated_cost=0).degraded
    acme.store()
    rows = {row.decision_id: row for row in acme.rows()}
    assert [(rows[d.id].warning_triggered, rows[d.id].degraded) for d in (below, warned, degraded)] == [
        (False, False),
        (True, False),
        (True, True),
    ]


def test_a_budgets_own_thresholds_replace_the_usual_ones(acme: Any) -> None:
    limits = {"monthly_budget_usd": 10, "warning_threshold": 0.333333, "degradation_threshold": 0.5}
    acme.write(budgets=[{"id": "cap", "per": "org", **limits}])
    service = acme.service()
    assert not service.check("hook", estimated_cost="3.333329").warning_triggered
    assert service.check("hook", estimated_cost="0.000001").warning_triggered
    assert service.check("hook", estimated_cost="1.67").degraded


def test_a_soft_budget_lets_calls_pass_and_marks_them(acme: Any) -> None:
    acme.write(
        budgets=[
            {"id": "soft", "per": "org", "monthly_budget_usd": 1, "enforcement_mode": "soft"},
            {"id": "few", "per": "org", "daily_execution_limit": 2, "enforcement_mode": "soft"},
            {"id": "hard", "per": "org", "monthly_budget_usd": 5},
        ]
    )
    service = acme.service()
    marks = [service.check("hook", estimated_cost=1) for _ in range(4)]
    assert [decision.over_soft_budget for decision in marks] == [False, True, True, True]
    assert all(decision.allowed for decision in marks)
    denied = service.check("hook", estimated_cost="1.01")
    assert denied.message == "Monthly budget 'hard' would be exceeded: $5.01 > $5.00"
    acme.store()
    acme.assert_adds_up()
    assert sum(row.over_soft_budget for row in acme.rows()) == 4


@pytest.mark.parametrize(
    ("preset", "given", "limits"),
    [
        ("high_volume", {}, (200, 5000, 50000)),
        ("user_facing", {}, (15, 100, 500)),
        ("background", {}, (5, 200, 2000)),
        ("critical", {}, (600, 10000, 100000)),
        ("user_facing", {"burst_scope": "all"}, (15, 150, 750)),
        ("user_facing", {"requests_per_minute": 3}, (4, 100, 500)),
    ],
)
def test_a_rate_preset_has_the_guides_numbers_and_what_is_given_wins(
    acme: Any, preset: str, given: dict[str, Any], limits: tuple[int, ...]
) -> None:
    acme.write(rate_limits=[{"id": "r", "per": "org", "preset": preset, **given}])
    assert acme.service().check("hook", estimated_cost=0).rates[0].limits == limits


def test_a_budget_preset_starts_at_the_low_end_of_the_guides_range(acme: Any) -> None:
    acme.write(budgets=[{"id": "b", "per": "agent", "preset": "copilot_studio", "daily_budget_usd": 70}])
    counters = acme.service().check("copilot_hr").counters
    assert [counter.limit_micros for counter in counters] == [500_000_000, 70_000_000]


def test_views_change_nothing_and_say_what_check_would(acme: Any) -> None:
    acme.write(
        budgets=[{"id": "cap", "per": "org", "monthly_budget_usd": 10, "daily_execution_limit": 3}],
        rate_limits=[{"id": "u", "per": "user", "requests_per_minute": 2}],
    )
    service = acme.service()
    service.settle(service.check("hook", user_id="ada", estimated_cost=4), actual_cost=4)
    service.check("hook", user_id="ada", estimated_cost=4)
    before = {key: acme.redis.dump(key) for key in sorted(acme.redis.keys())}
    fits, too_much = (service.check_budget("hook", estimated_cost=cost) for cost in (2, "2.01"))
    full, free = service.check_rate_limit("hook", "ada"), service.check_rate_limit("hook", user_id="bob")
    status = service.status("hook")
    assert {key: acme.redis.dump(key) for key in sorted(acme.redis.keys())} == before
    assert (fits.allowed, fits.reserve_usd, fits.usage_percentage) == (True, 2, 40.0)
    assert fits.warning_triggered
    assert fits.degraded_mode
    assert (too_much.allowed, too_much.reason) == (False, "Monthly budget 'cap' would be exceeded: $10.01 > $10.00")
    assert (full.allowed, full.limit_exceeded, full.remaining["minute"]) == (False, "per_minute", 0)
    assert full.retry_after_seconds is not None
    assert 1 <= full.retry_after_seconds <= 61
    assert (free.allowed, free.current_usage, free.remaining) == (
        True,
        {"minute": 0, "hour": 0, "day": 0},
        {"minute": 2, "hour": None, "day": None},
    )
    assert status["external_agent_id"] == "hook"
    assert status["organization_id"] == "acme"
    budget = status["budget"]
    assert budget == {
        "monthly_budget_usd": Decimal(10),
        "monthly_spent_usd": Decimal(4),
        "remaining_monthly_usd": Decimal(2),
        "daily_budget_usd": None,
        "daily_spent_usd": None,
        "remaining_daily_usd": None,
        "monthly_execution_limit": None,
        "monthly_execution_count": None,
        "daily_execution_limit": 3,
        "daily_execution_count": 2,
        "remaining_executions": 1,
        "usage_percentage": 40.0,
        "warning_triggered": True,
        "degraded_mode": False,
    }
    assert set(status["rate_limit"]) == {
        "allowed", "limit_exceeded", "remaining", "current_usage", "retry_after_seconds",
    }  # fmt: skip
    assert status["policy"] == {"total_policies": 1, "enabled_policies": 1}
    assert service.evaluate_policies(PolicyContext()).effect is PolicyEffect.ALLOW


def test_views_of_a_server_that_is_away_use_the_guides_words(acme: Any) -> None:
    acme.write(
        rate_limits=[
            {"id": "r", "per": "org", "requests_per_minute": 2},
            {"id": "closed", "per": "user", "requests_per_minute": 2, "fail_open_on_error": False},
        ]
    )
    acme.redis_url = f"unix://{acme.folder}/nobody.sock"
    service = acme.service(redis_timeout_seconds=0.05)
    open_result, closed_result = service.check_rate_limit("hook"), service.check_rate_limit("hook", "ada")
    assert (open_result.allowed, open_result.reason, open_result.fail_open) == (True, "Rate limiter unavailable", True)
    assert (closed_result.allowed, closed_result.reason) == (False, "Rate limiter unavailable")
    assert not service.check_budget("hook").allowed


def test_an_explanation_says_everything_that_stands_in_the_way(acme: Any) -> None:
    acme.write(
        budgets=[{"id": "team-hr", "per": "org", "monthly_budget_usd": 10, "monthly_execution_limit": 1}],
        rate_limits=[{"id": "r", "per": "org", "requests_per_minute": 1}],
        policies=[{"policy_id": "prod_only", "effect": "allow", "conditions": [{"environments": ["production"]}]}],
    )
    service = acme.clocked_service(NOON)
    allowed = service.check("hook", environment="production", estimated_cost=8)
    assert allowed.explain().would_be_allowed == ()
    assert {test.result for test in allowed.explain().tests} == {"passed"}
    acme.set_clock(NOON + timedelta(seconds=49))
    denied = service.check("hook", environment="staging", estimated_cost="5.20")
    explanation = denied.explain()
    assert explanation.would_be_allowed == (
        "policy 'prod_only' needs environment=production",
        "raise monthly budget 'team-hr' of 'acme' by $3.20",
        "raise the monthly execution limit of budget 'team-hr' by 1",
        "wait 12 s",
    )
    assert [test.result for test in explanation.tests] == ["failed"] * 4
    assert "raise monthly budget 'team-hr' of 'acme' by $3.20" in str(explanation)
    # All of it done, the call is allowed.
    acme.write(
        budgets=[{"id": "team-hr", "per": "org", "monthly_budget_usd": "13.20", "monthly_execution_limit": 2}],
        rate_limits=[{"id": "r", "per": "org", "requests_per_minute": 1}],
    )
    acme.set_clock(NOON + timedelta(seconds=49 + 12))
    assert acme.clocked_service(NOON + timedelta(seconds=49 + 12)).check("hook", estimated_cost="5.20").allowed


def test_an_explanation_names_the_denying_policy(acme: Any) -> None:
    acme.write(
        policies=[
            {"policy_id": "go", "effect": "allow", "priority": 1},
            {"policy_id": "block_dev", "effect": "deny", "conditions": [{"environments": ["development"]}]},
        ]
    )
    denied = acme.service().check("hook", environment="development")
    assert denied.explain().would_be_allowed == (
        "policy 'block_dev' denies environment=development: change the call or the policy",
    )


def test_asking_again_under_a_key_is_the_same_decision_and_holds_once(acme: Any) -> None:
    acme.write(budgets=[{"id": "cap", "per": "org", "monthly_budget_usd": 10}])
    service = acme.service()
    first = service.check("hook", estimated_cost=4, idempotency_key="order-1")
    again = service.check("hook", estimated_cost=4, idempotency_key="order-1")
    assert (again.id, again.allowed, again.repeated, first.repeated) == (first.id, True, True, False)
    assert again.at == first.at
    assert again.expires_at == first.expires_at
    with pytest.raises(KeyReused, match=r"^idempotency_key: was used for a call with other arguments"):
        service.check("hook", estimated_cost=5, idempotency_key="order-1")
    assert service.check("hook", estimated_cost=6, idempotency_key="order-2").allowed
    denied = service.check("hook", estimated_cost=1, idempotency_key="order-3")
    service.settle(first, actual_cost=0)
    retried = service.check("hook", estimated_cost=1, idempotency_key="order-3")
    assert (denied.allowed, retried.allowed, retried.repeated) == (False, True, False)
    day = 86_400_000
    assert day - 60_000 < acme.redis.pttl(idempotency_key("acme", "order-1")) <= day
    acme.store()
    acme.assert_adds_up()


def test_many_at_once_under_one_key_get_one_hold(acme: Any) -> None:
    acme.write(budgets=[{"id": "cap", "per": "org", "monthly_budget_usd": 10}])
    service = acme.service()
    with ThreadPoolExecutor(20) as pool:
        decisions = list(
            pool.map(lambda _: service.check("hook", estimated_cost=4, idempotency_key="order-1"), range(40))
        )
    assert len({decision.id for decision in decisions}) == 1
    assert sum(not decision.repeated for decision in decisions) == 1
    acme.store()
    assert len(acme.rows()) == 1


def test_calls_asked_together_are_decided_one_by_one_in_their_order(acme: Any) -> None:
    acme.write(budgets=[{"id": "cap", "per": "org", "monthly_budget_usd": 10}])
    service = acme.service()
    costs = [6, 5, 4, "0.01"]
    decisions = service.check_many([{"agent_id": "hook", "estimated_cost": cost} for cost in costs])
    assert [decision.allowed for decision in decisions] == [True, False, True, False]
    acme.write(budgets=[{"id": "cap", "per": "org", "monthly_budget_usd": 11}])
    acme.service()
    again = service.check_many([{"agent_id": "hook", "estimated_cost": "0.5"}] * 3)
    assert [decision.allowed for decision in again] == [True, True, False]
    assert {decision.document_version for decision in again} == {2}
    assert service.check_many([]) == []
    acme.store()
    acme.assert_adds_up()


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        ({"agent_id": "hook", "estimated_cost": -1}, "estimated_cost"),
        ({"agent_id": "hook", "colour": "red"}, "colour"),
        ({"estimated_cost": 1}, "agent_id"),
        ("hook", "requests"),
    ],
)
def test_one_bad_request_among_many_refuses_all_of_them(acme: Any, request_: Any, field: str) -> None:
    acme.write(budgets=[{"id": "cap", "per": "org", "monthly_budget_usd": 10}])
    service = acme.service()
    with pytest.raises(InvalidValue, match=rf"^{field}: "):
        service.check_many([{"agent_id": "hook"}, request_])
    assert acme.events() == []
    assert acme.counters() == {}


def test_a_service_goes_on_after_a_fork(acme: Any) -> None:
    acme.write(budgets=[{"id": "cap", "per": "org", "monthly_budget_usd": 3}])
    program = """
import json, os, sys
from engine import GovernanceService
from engine.settings import Settings
settings = Settings(database_url=sys.argv[2], redis_url=sys.argv[3], redis_timeout_seconds=5, state_dir=sys.argv[4])
service = GovernanceService.from_document(sys.argv[1], settings=settings)
assert service.check("hook", estimated_cost=1).allowed
reader, writer = os.pipe()
if os.fork() == 0:
    os.write(writer, json.dumps([service.check("hook", estimated_cost=1).allowed for _ in range(3)]).encode())
    os._exit(0)
os.wait()
print(os.read(reader, 100).decode(), service.check("hook", estimated_cost=1).reason.value)
"""
    arguments = [str(acme.document), acme.database_url, acme.redis_url, str(acme.folder / "state")]
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    answers, last = done.stdout.rsplit(maxsplit=1)
    assert json.loads(answers) == [True, True, False]
    assert last == ReasonCode.BUDGET_MONTHLY_COST.value
