"""A filled ledger, and what there is to ask for in it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from sqlalchemy import Connection, select

from benchmarks.ledger_world import ORG, RARE_AGENT, RARE_USER, RETIRED_AGENT, agents, user_name
from engine.document.load import parse_document
from engine.document.schema import GovernanceDocument
from engine.ledger.queries.decisions import (
    DecisionCursor,
    DecisionFilter,
    DecisionRecord,
    decision_page,
    find_decision,
)
from engine.ledger.queries.slice import Slice
from engine.ledger.queries.spend import agent_spend, spend_by
from engine.ledger.queries.users import top_users
from engine.ledger.tables import decisions


@dataclass(frozen=True)
class Filled:
    """The ledger that is asked: its organization, its present, and names that occur in it.

    What is rare has a handful of decisions; the rare agent, team and user have only each other. The retired agent was
    called much, but not lately. The rare provider has one agent, which is called every day.
    """

    now: datetime
    busy_agent: str
    rare_agent: str
    retired_agent: str
    team: str
    rare_team: str
    provider: str
    rare_provider: str
    busy_user: str
    rare_user: str
    record: DecisionRecord
    old: DecisionCursor

    def last(self, days: float, **dimensions: Any) -> Slice:
        """The last so many days."""
        return Slice(ORG, self.now - timedelta(days=days), self.now, **dimensions)

    @property
    def month(self) -> Slice:
        """The month to date, in UTC."""
        first = self.now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        return Slice(ORG, first, self.now)

    @property
    def month_before(self) -> Slice:
        """The same days of the month before."""
        first = (self.month.start - timedelta(days=1)).replace(day=1)
        return self.month.during(first, min(self.month.start, first + (self.now - self.month.start)))

    @cached_property
    def document(self) -> GovernanceDocument:
        """Three kinds of budget, as the counters of the ledger have them."""
        return parse_document(
            {
                "organization": ORG,
                "budgets": [
                    {"id": "org", "per": "org", "monthly_budget_usd": 5000, "daily_budget_usd": 400},
                    {"id": "teams", "per": "team", "monthly_budget_usd": 625},
                    {"id": "copilots", "per": "agent", "applies_to": {"provider": "copilot_studio"},
                     "daily_budget_usd": 10},
                ],
            },
            "the benchmark",
        )  # fmt: skip


def look_around(connection: Connection, now: datetime) -> Filled:
    """Find out what there is to ask for."""
    quarter = Slice(ORG, now - timedelta(days=90), now)
    by_calls = sorted(agent_spend(connection, quarter, limit=1_000), key=lambda agent: -agent.sums.decisions)
    providers = sorted(spend_by(connection, quarter, "provider"), key=lambda each: -each.sums.decisions)
    teams = sorted(spend_by(connection, quarter, "team"), key=lambda each: -each.sums.decisions)
    people = top_users(connection, Slice(ORG, now - timedelta(days=7), now), limit=100_000)
    rare, retired = agents()[RARE_AGENT], agents()[RETIRED_AGENT]
    old = now - timedelta(days=60)
    page = decision_page(connection, ORG, DecisionFilter(end=now - timedelta(hours=1)), limit=1)
    record = find_decision(connection, ORG, page.lines[0].decision_id)
    assert record is not None
    return Filled(
        now=now,
        busy_agent=by_calls[0].agent_id,
        rare_agent=rare.agent_id,
        retired_agent=retired.agent_id,
        team=teams[0].name,
        rare_team=rare.team_id,
        provider=providers[0].name,
        rare_provider=providers[-1].name,
        busy_user=max(people, key=lambda each: each.decisions).user_id,
        rare_user=user_name(RARE_USER),
        record=record,
        old=DecisionCursor.at_start_of(old),
    )


def newest_decision(connection: Connection) -> datetime:
    """When the newest decision was made: the present of a ledger that was filled some time ago."""
    newest: datetime = connection.execute(
        select(decisions.c.at).where(decisions.c.org_id == ORG).order_by(decisions.c.at.desc()).limit(1)
    ).scalar_one()
    return newest
