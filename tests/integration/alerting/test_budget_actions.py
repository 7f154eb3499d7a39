"""The guide's three budget actions, from real calls through the gate and the ledger to the notifications."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from engine.clock import utc_now
from engine.ledger.tables import alerts, crossings, outbox
from jobs.evaluation import evaluate_crossings
from jobs.evaluation.evaluating import judge_budgets

AGENTS = {"hook": {"provider": "webhook", "team": "sales", "owner": "sam"}}
ALERTS = {
    "channels": {"ops": {"slack": "#ops", "mention": "@oncall"}, "leads": {"email": ["leads@example.com"]},
                 "sam": {"email": ["sam@example.com"]}, "board": {"email": ["cfo@example.com"]}},
    "routes": {"critical": ["ops"], "warning": ["leads"], "management": ["board"]},
    "by_owner": {"sam": {"warning": ["sam"]}},
}  # fmt: skip


def budget(usd: float, **more: Any) -> dict[str, Any]:
    return {"id": "each", "per": "agent", "monthly_budget_usd": usd, **more}


def spend(service: Any, usd: str) -> Any:
    decision = service.check(agent_id="hook", user_id="ann", estimated_cost=usd)
    if decision.allowed:
        service.settle(decision.id, org_id="acme", actual_cost=usd)
    return decision


def judge(acme: Any, service: Any) -> int:
    """Store what happened and judge what the ledger writer saw crossing by it."""
    acme.store(service)
    return evaluate_crossings(acme.open_database(), dashboard_url="http://bursar.test", now=utc_now())


def told(acme: Any) -> list[tuple[str, str]]:
    """Rule and channel of every first message, the oldest first."""
    with acme.open_database().read() as connection:
        rows = connection.execute(
            select(alerts.c.rule_id, outbox.c.channel)
            .join(alerts, alerts.c.alert_id == outbox.c.alert_id)
            .where(outbox.c.action == "post")
            .order_by(outbox.c.created_at, outbox.c.channel)
        )
        return [(row.rule_id, row.channel) for row in rows]


def test_at_80_percent_the_lead_of_the_agent_is_told(acme_on_each: Any) -> None:
    acme = acme_on_each
    acme.write(agents=AGENTS, budgets=[budget(100)], alerts=ALERTS)
    service = acme.service()
    spend(service, "79.99")
    judge(acme, service)
    assert told(acme) == []
    spend(service, "0.01")
    judge(acme, service)
    assert told(acme) == [("budget_usage_warning", "sam")]


def test_at_90_percent_calls_are_degraded_and_the_on_call_is_told(acme_on_each: Any) -> None:
    acme = acme_on_each
    acme.write(agents=AGENTS, budgets=[budget(100)], alerts=ALERTS)
    service = acme.service()
    spend(service, "85")
    judge(acme, service)
    decision = spend(service, "5")
    assert decision.degraded
    judge(acme, service)
    assert told(acme) == [("budget_usage_warning", "sam"), ("budget_usage_degraded", "ops")]


def test_at_the_first_denial_management_is_told_once_in_the_period(acme_on_each: Any) -> None:
    acme = acme_on_each
    acme.write(agents=AGENTS, budgets=[budget(100)], alerts=ALERTS)
    service = acme.service()
    spend(service, "99.99")
    judge(acme, service)
    first = [("budget_usage_critical", "ops"), ("budget_usage_critical", "sam")]
    assert told(acme) == first
    for _ in range(50):
        assert not spend(service, "0.02").allowed
    judge(acme, service)
    assert told(acme) == [*first, ("budget_exhausted", "board")]
    # The last cent is spent as well: nothing that management does not know.
    spend(service, "0.01")
    judge(acme, service)
    judge_budgets(acme.open_database(), "acme", dashboard_url="", now=utc_now())
    assert told(acme) == [*first, ("budget_exhausted", "board")]


def test_the_first_denial_by_a_raised_limit_is_news_again(acme_on_each: Any) -> None:
    acme = acme_on_each
    acme.write(agents=AGENTS, budgets=[budget(1)], alerts=ALERTS)
    service = acme.service()
    assert not spend(service, "2").allowed
    judge(acme, service)
    assert told(acme) == [("budget_exhausted", "board")]
    acme.write(agents=AGENTS, budgets=[budget(1.5)], alerts=ALERTS)
    raised = acme.service()
    judge_budgets(acme.open_database(), "acme", dashboard_url="", now=utc_now())
    assert not spend(raised, "2").allowed
    judge(acme, raised)
    assert told(acme) == [("budget_exhausted", "board")] * 2
    with acme.open_database().read() as connection:
        assert [row.limit_micros for row in connection.execute(select(crossings))] == [1_500_000]


def test_a_budget_has_thresholds_of_its_own(acme_on_each: Any) -> None:
    acme = acme_on_each
    own = budget(100, warning_threshold=0.6, degradation_threshold=0.7)
    acme.write(agents=AGENTS, budgets=[own], alerts=ALERTS)
    service = acme.service()
    spend(service, "60")
    judge(acme, service)
    spend(service, "10")
    judge(acme, service)
    assert told(acme) == [("budget_usage_warning", "sam"), ("budget_usage_degraded", "ops")]
