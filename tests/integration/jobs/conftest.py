"""A migrated ledger with one organization, on each kind of database, and a clock that stands still."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from engine.alerting.message import Message
from engine.document.load import parse_document
from engine.document.store import publish_document
from engine.ledger.database import Database
from engine.ledger.migrate import migrate
from engine.ledger.tables import alerts, budget_usage, outbox
from engine.ledger.upsert import insert_or
from engine.periods import PeriodKind, period_of
from jobs.evaluation import evaluate_organization

USD = 1_000_000
ZONE = "America/New_York"


class Office:
    """An organization's ledger as tests see it. `now` is what the jobs take for now."""

    org_id = "acme"
    dashboard_url = "http://bursar.test"

    def __init__(self, database: Database) -> None:
        self.database = database
        self.now = datetime(2026, 11, 23, 12, tzinfo=UTC)

    def clock(self) -> datetime:
        return self.now

    def later(self, **duration: float) -> None:
        self.now += timedelta(**duration)

    def publish(self, *budgets: dict[str, Any], **alerts_part: Any) -> None:
        """Make a document of these budgets live."""
        content = {"organization": self.org_id, "timezone": ZONE, "budgets": list(budgets), "alerts": alerts_part}
        publish_document(self.database, parse_document(content, "test"), author="test", reason="test")

    def spend(self, micros: int, *, budget_id: str = "all", scope: str = "acme", period: PeriodKind = "month") -> None:
        """Make the total of the current period say `micros`."""
        current = period_of(period, self.now, ZONE)
        key = {"org_id": self.org_id, "budget_id": budget_id, "scope": scope, "period": period,
               "period_label": current.label}  # fmt: skip
        total = {"spent_micros": micros, "updated_at": self.now}
        with self.database.write() as connection:
            connection.execute(
                insert_or(connection, budget_usage)
                # The limit in the row is from an older document on purpose: rules look at the live one.
                .values(**key, **total, period_start=current.start, period_end=current.end, limit_micros=1,
                        held_micros=10**12, executions=1)
                .on_conflict_do_update(index_elements=list(key), set_=total)
            )  # fmt: skip

    def evaluate(self) -> int:
        return evaluate_organization(self.database, self.org_id, dashboard_url=self.dashboard_url, now=self.now)

    def alerts(self) -> list[Any]:
        with self.database.read() as connection:
            return list(connection.execute(select(alerts).order_by(alerts.c.fired_at, alerts.c.rule_id)))

    def outbox(self) -> list[Any]:
        with self.database.read() as connection:
            return list(connection.execute(select(outbox).order_by(outbox.c.created_at, outbox.c.target)))

    def states(self) -> list[str]:
        return [row.state for row in self.outbox()]

    def texts(self) -> list[str]:
        return [Message.from_json(row.message).headline for row in self.outbox()]


@pytest.fixture
def office(database_url: str) -> Iterator[Office]:
    database = Database(database_url)
    migrate(database)
    yield Office(database)
    database.close()
