"""Two months of made-up calls in a real ledger, on each kind of database, to count reviews from."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select

from engine.clock import to_ms
from engine.document.schema import GovernanceDocument
from engine.document.store import publish_document
from engine.ledger.database import Database
from engine.ledger.migrate import migrate
from engine.ledger.tables import decisions
from engine.replay.filling import LedgerFill
from engine.replay.scenario import Surge
from engine.replay.simulation import Simulation
from tests.support.histories import CONTENT, small_document, small_scenario
from tests.support.ledger_copies import LedgerCopies

ZONE = "America/New_York"
NOW = datetime(2026, 12, 1, 13, tzinfo=UTC)
"""A Tuesday, the first of a month, eight o'clock in New York."""
SURGE_ENDS = datetime(2026, 11, 25, 18, tzinfo=UTC)


def document() -> GovernanceDocument:
    """The small organization, with values, budgets of every kind and channels."""
    agents = {name: dict(agent) for name, agent in CONTENT["agents"].items()}
    agents["copilot"]["value_per_success_usd"] = "0.40"
    agents["hook"]["value_per_success_usd"] = "0.001"
    budgets = [
        *CONTENT["budgets"],
        {"id": "own", "per": "agent", "monthly_budget_usd": 80},
        {"id": "hr", "per": "team", "applies_to": {"team": "team-hr"}, "monthly_budget_usd": 90,
         "daily_execution_limit": 500},
    ]  # fmt: skip
    alerts = {
        "channels": {"leads": {"email": ["leads@example.com"]}, "ops": {"slack": "#ops", "mention": "@oncall"}},
        "routes": {"warning": ["ops", "leads"], "management": ["leads"]},
    }
    return small_document(agents=agents, budgets=budgets, alerts=alerts)


@dataclass(frozen=True)
class Seeded:
    """The filled ledger, and its decisions as rows for counting by hand."""

    database: Database
    document: GovernanceDocument

    @cached_property
    def rows(self) -> list[Any]:
        with self.database.read() as connection:
            return list(connection.execute(select(decisions).order_by(decisions.c.at)).all())

    def of(self, first: date, last: date, **facts: str) -> list[Any]:
        """The decisions of the local days from `first` to `last`, of one agent or the like."""
        return [
            row
            for day, rows in self.by_day.items()
            if first <= day <= last
            for row in rows
            if all(getattr(row, name) == fact for name, fact in facts.items())
        ]

    @cached_property
    def by_day(self) -> dict[date, list[Any]]:
        """The decisions by local day."""
        days: dict[date, list[Any]] = defaultdict(list)
        for row in self.rows:
            days[local_day(row.at)].append(row)
        return days


def local_day(instant: datetime) -> date:
    return instant.astimezone(ZoneInfo(ZONE)).date()


def spent(rows: list[Any]) -> int:
    return sum(row.spent_micros for row in rows)


def executions(rows: list[Any]) -> int:
    return sum(row.outcome == "allowed" and row.state != "cancelled" for row in rows)


def succeeded(rows: list[Any]) -> int:
    return sum(row.state == "settled" and row.success is not False for row in rows)


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def seeded(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, ledger_copies: LedgerCopies
) -> Iterator[Seeded]:
    """Only for reading: one for all tests of a file."""
    with ExitStack() as opened:
        if request.param == "sqlite":
            url = f"sqlite:///{tmp_path_factory.mktemp('reviews') / 'ledger.db'}"
        else:
            url = opened.enter_context(request.getfixturevalue("postgres_server").new_database(made=False))
        ledger_copies.put(url, two_months)
        yield Seeded(opened.enter_context(closing(Database(url))), document())


def two_months(database: Database) -> None:
    migrate(database)
    live = publish_document(database, document(), author="test", reason="test")
    surge = Surge("vendor", to_ms(SURGE_ENDS - timedelta(minutes=20)), to_ms(SURGE_ENDS), 90, "each", "day", 2.0)
    scenario = small_scenario(NOW, days=60, decisions=2000, surges=(surge,))
    with LedgerFill(database, "acme", batch=500) as fill:
        fill.store(Simulation(live, scenario))
