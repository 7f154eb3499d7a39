"""A migrated ledger with one organization, on each kind of database, and a clock that stands still."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from engine.alerting.alert_message import AlertMessage
from engine.alerting.passing import pass_time
from engine.document.load import parse_document
from engine.document.store import publish_document
from engine.ledger.budget_moves import Crossing
from engine.ledger.budget_totals import add_crossings, note_denials
from engine.ledger.database import Database
from engine.ledger.migrate import migrate
from engine.ledger.organizations import ensure_organization
from engine.ledger.tables import alerts, budget_usage, crossings, organizations, outbox, usage
from engine.ledger.upsert import insert_or
from engine.periods import PeriodKind, period_of
from jobs.evaluation import depart_all, judge_budgets
from jobs.evaluation.budgets import judge_crossings
from jobs.evaluation.levels import evaluate_rules
from tests.support.ledger_copies import LedgerCopies

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
        agents = alerts_part.pop("agents", {})
        content = {
            "organization": self.org_id, "timezone": ZONE, "agents": agents, "budgets": list(budgets),
            "alerts": alerts_part,
        }  # fmt: skip
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

    def cross(self, threshold: int, *, limit: int | None = None, spent: int = 0, period: PeriodKind = "month") -> None:
        """Let the ledger writer have seen the counter pass so many basis points; 0 is its first denial."""
        current = period_of(period, self.now, ZONE)
        with self.database.write() as connection:
            crossing = Crossing(threshold, self.now, spent, limit)
            key = ("all", "acme", period, current.label)
            if threshold:
                add_crossings(connection, self.org_id, [(key, crossing)], self.now)
            else:
                note_denials(connection, self.org_id, {key: [crossing]}, self.now)

    def deny(self, *, limit: int) -> None:
        """Let the month's counter have denied a call by this limit."""
        self.cross(0, limit=limit)

    def judge_crossings(self) -> int:
        """Judge only what the ledger writer saw; how many alerts are new."""
        return judge_crossings(self.database, self.org_id, dashboard_url=self.dashboard_url, now=self.now)

    def waiting_crossings(self) -> int:
        """How many nobody has judged."""
        with self.database.read() as connection:
            return len(connection.execute(select(crossings).where(crossings.c.consumed_at.is_(None))).all())

    def call(
        self, number: int, facts: Mapping[str, str] | None = None, *, at: datetime | None = None, **more: str
    ) -> None:
        """Let so many calls of one kind have been decided in the minute of `at`, which is now."""
        minute = (at or self.now).replace(second=0, microsecond=0)
        cell = {"agent_id": "bot", "team_id": "", "provider": "webhook", "model": "", "complexity": "standard",
                "environment": "", "outcome": "allowed", "reason": "allowed", **(facts or {}), **more}  # fmt: skip
        sums = dict.fromkeys(
            ("estimate_micros", "reserve_micros", "spent_micros", "settled", "settled_estimate_micros", "actual_micros",
             "failed", "cancelled", "expired"), 0
        )  # fmt: skip
        with self.database.write() as connection:
            for grain, bucket in (("minute", minute), ("hour", minute.replace(minute=0)),
                                  ("day", minute.replace(hour=0, minute=0))):  # fmt: skip
                connection.execute(
                    insert_or(connection, usage)
                    .values(org_id=self.org_id, grain=grain, bucket=bucket, **cell, **sums, decisions=number)
                    .on_conflict_do_update(
                        index_elements=["org_id", "grain", "bucket", *cell],
                        set_={"decisions": usage.c.decisions + number},
                    )
                )

    def drain(self) -> None:
        """Everything up to now is in SQL."""
        with self.database.write() as connection:
            ensure_organization(connection, self.org_id)
            connection.execute(update(organizations).values(drained_through=self.now))

    def evaluate(self) -> int:
        """Judge budgets; how many alerts are new."""
        return judge_budgets(self.database, self.org_id, dashboard_url=self.dashboard_url, now=self.now)

    def evaluate_rules(self) -> int:
        """Evaluate the slots that are due of the other rules; how many they were."""
        return evaluate_rules(self.database, self.org_id, dashboard_url=self.dashboard_url, now=self.now)

    def pass_time(self, **duration: float) -> int:
        """It is later, and nothing was measured; how many alerts changed by that alone."""
        self.later(**duration)
        return pass_time(self.database, self.org_id, dashboard_url=self.dashboard_url, now=self.now)

    def depart(self, **duration: float) -> int:
        """It is later; how many groups of first messages leave."""
        self.later(**duration)
        return depart_all(self.database, dashboard_url=self.dashboard_url, now=self.now)

    def alerts(self) -> list[Any]:
        with self.database.read() as connection:
            wanted = select(alerts).where(alerts.c.rule_id != "watchdog")
            return list(connection.execute(wanted.order_by(alerts.c.fired_at, alerts.c.rule_id, alerts.c.alert_key)))

    def outbox(self) -> list[Any]:
        with self.database.read() as connection:
            order = (outbox.c.created_at, outbox.c.dedupe_key)
            return list(connection.execute(select(outbox).order_by(*order)))

    def states(self) -> list[str]:
        return [row.state for row in self.outbox()]

    def texts(self) -> list[str]:
        return [AlertMessage.from_json(row.message).headline for row in self.outbox()]


@pytest.fixture
def office(database_url: str, ledger_copies: LedgerCopies) -> Iterator[Office]:
    ledger_copies.put(database_url, migrate)
    database = Database(database_url)
    yield Office(database)
    database.close()
