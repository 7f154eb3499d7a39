"""Made-up histories for tests: a small organization in which everything happens within days."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from engine.clock import to_ms
from engine.document.load import parse_document
from engine.document.schema import GovernanceDocument
from engine.replay.habits import Habit
from engine.replay.people import Callers, Crowd, Person
from engine.replay.scenario import Outage, Scenario, Surge

MINUTE = 60_000

CONTENT: dict[str, Any] = {
    "organization": "acme",
    "timezone": "America/New_York",
    "agents": {
        "copilot": {"provider": "copilot_studio", "team": "team-hr", "environment": "production"},
        "coder": {"provider": "azure_openai", "model": "gpt-4o", "team": "team-eng", "environment": "production"},
        "vendor": {"provider": "third_party_agent", "team": "team-hr", "environment": "production"},
        "hook": {"provider": "webhook", "environment": "production"},
        "sandbox": {"provider": "webhook", "environment": "development"},
    },
    "budgets": [
        {"id": "org", "per": "org", "monthly_budget_usd": 5000},
        {"id": "each", "per": "agent", "daily_budget_usd": 6, "monthly_execution_limit": 100000},
        {"id": "people", "per": "user", "applies_to": {"team": "team-hr"}, "monthly_budget_usd": 4,
         "enforcement_mode": "soft"},
    ],
    "rate_limits": [
        {"id": "company", "per": "org", "requests_per_day": 100000},
        {"id": "each-user", "per": "user", "requests_per_minute": 4, "requests_per_hour": 40},
    ],
    "policies": [
        {"policy_id": "block_dev", "effect": "deny", "priority": 1, "conditions": [{"environments": ["development"]}]},
        {"policy_id": "go", "effect": "allow", "priority": 51},
    ],
}  # fmt: skip


def small_document(**parts: Any) -> GovernanceDocument:
    """The document, with parts of it replaced."""
    return parse_document({**CONTENT, **parts}, "the test's document")


def small_crowd() -> Crowd:
    """Nine people and a service account; everything that may go wrong goes wrong often."""
    odd: dict[str, Any] = {"failed": 0.1, "cancelled": 0.05, "never_settled": 0.04, "settled_late": 0.04}
    by_people = [
        Habit(agent_id="copilot", **odd),
        Habit(agent_id="coder", by_tokens=True, **odd),
        Habit(agent_id="vendor", level=1.3, **odd),
        Habit(agent_id="sandbox"),
    ]
    people = [
        Person(f"user-{number}", "US", None, "standard", tuple(by_people[number % 4 :] + by_people[: number % 4]))
        for number in range(9)
    ]
    machine = Person("service-hook", None, "203.0.113.7", "simple", (Habit(agent_id="hook", by_machine=True),))
    return Crowd(Callers(people, [1.0 + number for number in range(9)]), Callers([machine], [1.0]))


def small_scenario(until: datetime, *, days: int = 2, decisions: int = 400, **changed: Any) -> Scenario:
    """Up to `until`, with an outage in the middle and a loop that stops at half of a budget's day."""
    until_ms = to_ms(until)
    start_ms = to_ms(until - timedelta(days=days))
    middle = (start_ms + until_ms) // 2
    return Scenario(
        **{
            "start_ms": start_ms,
            "until_ms": until_ms,
            "decisions": decisions,
            "seed": 11,
            "crowd": small_crowd(),
            "burst_share": 0.05,
            "longest_burst": 12,
            "outages": (Outage(middle, middle + 90 * MINUTE),),
            "surges": (Surge("vendor", until_ms - 20 * MINUTE, until_ms - MINUTE, 60, "each", "day", 0.5),),
            **changed,
        }
    )
