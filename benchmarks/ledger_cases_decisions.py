"""What the Decisions page asks, with every filter it has, two of them at once, and pairs that never occur."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from benchmarks.ledger_asks import Case, given, last
from benchmarks.ledger_filled import Filled
from benchmarks.ledger_world import ORG
from engine.ledger.queries import decisions, export
from engine.ledger.queries.decisions import DecisionFilter
from engine.ledger.queries.linked_alerts import linked_alerts
from engine.ledger.queries.user_days import user_days
from engine.ledger.queries.where_to_look import hours_with_matches
from engine.ledger.rollups import bucket_of


def decision_cases(filled: Filled) -> Iterator[Case]:
    """Its cases."""
    noon = bucket_of(filled.now, "day") - timedelta(hours=12)
    month = {"start": filled.now - timedelta(days=30), "end": filled.now}
    wanted: dict[str, dict[str, Any]] = {
        "": {},
        "30 days": month,
        "denied": {"outcome": "denied"},
        "reason": {"reason": "policy_deny"},
        "rare reason": {"reason": "budget_monthly_cost"},
        "no such reason": {"reason": "unknown_price"},
        "agent": {"agent_id": filled.busy_agent},
        "rare agent": {"agent_id": filled.rare_agent},
        "team": {"team_id": filled.team},
        "rare team": {"team_id": filled.rare_team},
        "provider": {"provider": filled.provider},
        "rare provider": {"provider": filled.rare_provider},
        "user": {"user_id": filled.busy_user},
        "rare user": {"user_id": filled.rare_user},
        "policy": {"policy_id": "block_dev"},
        "no such policy": {"policy_id": "nobody"},
        "policy, agent": {"policy_id": "block_dev", "agent_id": filled.rare_agent},
        "agent, reason": {"agent_id": filled.busy_agent, "reason": "policy_error"},
        "rare agent, reason": {"agent_id": filled.rare_agent, "reason": "rate_per_hour"},
        "team, rare reason": {"team_id": filled.rare_team, "reason": "policy_error"},
        "provider, denied": {"provider": filled.rare_provider, "outcome": "denied"},
        "user, reason": {"user_id": filled.busy_user, "reason": "policy_error"},
        "user, agent": {"user_id": filled.busy_user, "agent_id": filled.rare_agent},
        "rare user, denied": {"user_id": filled.rare_user, "outcome": "denied"},
        "user, team": {"user_id": filled.busy_user, "team_id": filled.rare_team},
        # Pairs that never occur, of names that do: nothing stops a search but the rollups.
        "user, no such agent": {"user_id": filled.busy_user, "agent_id": "nobody"},
        "user, no such team": {"user_id": filled.busy_user, "team_id": "nobody"},
        "user, no such reason": {"user_id": filled.busy_user, "reason": "unknown_price"},
        "retired agent": {"agent_id": filled.retired_agent},
        "user, retired agent": {"user_id": filled.busy_user, "agent_id": filled.retired_agent},
        "retired agent, denied": {"agent_id": filled.retired_agent, "outcome": "denied"},
        "user, policy": {"user_id": filled.busy_user, "policy_id": "block_dev"},
        "rare user, policy": {"user_id": filled.rare_user, "policy_id": "block_dev"},
        "agent of another team": {"agent_id": filled.busy_agent, "team_id": filled.rare_team},
        "agent of another provider": {"agent_id": filled.busy_agent, "provider": filled.rare_provider},
        "model": {"model": filled.record.model},
        "no such model, agent": {"model": "never", "agent_id": filled.busy_agent},
        "environment, denied": {"environment": "development", "outcome": "denied"},
        "rare team, to noon": {"team_id": filled.rare_team, "end": noon},
        "everything": {"outcome": "denied", "reason": "policy_error", "agent_id": filled.rare_agent,
                       "user_id": filled.busy_user, "team_id": filled.rare_team, "provider": filled.provider, **month},
    }  # fmt: skip
    for words, values in wanted.items():
        found = DecisionFilter(**values)
        yield f"decision_page: {words or 'all'}", given(found, lambda c, w: decisions.decision_page(c, ORG, w))
    for words in ("", "denied", "rare reason", "rare agent, reason", "user", "user, agent", "user, no such agent"):
        found = DecisionFilter(**wanted[words])
        yield (
            f"decision_page: {words or 'all'}, 60 days back",
            given(found, lambda c, w: decisions.decision_page(c, ORG, w, before=filled.old)),
        )
    rare = DecisionFilter(reason="unknown_price")
    yield "hours_with_matches: none", lambda c: hours_with_matches(c, ORG, rare, before=None)
    for words in (
        "user, agent",
        "user, retired agent",
        "user, no such agent",
        "user, no such team",
        "user, no such reason",
    ):
        found = DecisionFilter(**wanted[words])
        yield f"user_days: {words}", given(found, lambda c, w: user_days(c, ORG, w, before=None))
    record = filled.record
    yield "find_decision", lambda c: decisions.find_decision(c, ORG, record.decision_id)
    yield "decision_events", lambda c: decisions.decision_events(c, ORG, record.decision_id)
    yield "decision_neighbours", lambda c: decisions.decision_neighbours(c, record)
    names = ("budget_id", "scope", "period", "period_label")
    counters = [tuple(each[name] for name in names) for each in record.tests["counters"]]
    yield "linked_alerts", lambda c: linked_alerts(c, ORG, counters, [record.at])
    yield (
        "decision_batch: newest hour",
        lambda c: export.decision_batch(c, ORG, DecisionFilter.within(last(filled, 1 / 24)), after=None),
    )
