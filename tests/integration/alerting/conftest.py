"""What rules measure: an organization with real traffic, and a ledger of hand-written rollups."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from engine.alerting.measuring import measure
from engine.alerting.reading import Measuring, Reading
from engine.alerting.rules import Rule
from engine.document.load import parse_document
from engine.document.schema import GovernanceDocument
from engine.errors import GateUnavailable
from engine.ledger.bulk import upsert_rows
from engine.ledger.database import Database
from engine.ledger.migrate import migrate
from engine.ledger.rollups import GRAINS, USAGE_AMOUNTS, bucket_of
from engine.ledger.tables import organizations, usage
from engine.ledger.totals import key_columns
from tests.integration.engine.conftest import acme, acme_on_each
from tests.support.ledger_copies import LedgerCopies

__all__ = ["acme", "acme_on_each"]

USD = 1_000_000
ZONE = "America/New_York"
AGENTS: dict[str, Any] = {
    "hook": {"provider": "webhook", "team": "team-eng", "owner": "ada"},
    "copilot": {"provider": "copilot_studio", "team": "team-hr"},
}


class Books:
    """The ledger of `acme`: rollups as tests write them, in a zone with daylight saving."""

    org_id = "acme"

    def __init__(self, database: Database) -> None:
        self.database = database
        self.document = self.written()
        with database.write() as connection:
            connection.execute(
                organizations.insert(), [{"org_id": self.org_id, "created_at": datetime(2026, 1, 1, tzinfo=UTC)}]
            )

    def written(self, **parts: Any) -> GovernanceDocument:
        content = {"organization": self.org_id, "timezone": ZONE, "agents": AGENTS, **parts}
        self.document = parse_document(content, "the test")
        return self.document

    def calls(self, at: datetime, decisions: int = 1, *, agent: str = "hook", **cell: Any) -> None:
        """Add to the minute, hour and day of `at`; what is not named is that of an allowed call."""
        registered = AGENTS.get(agent, {"provider": "webhook"})
        dimensions = {
            "team_id": registered.get("team", ""),
            "agent_id": agent,
            "provider": registered["provider"],
            "model": "",
            "complexity": "standard",
            "environment": "",
            "outcome": "allowed",
            "reason": "allowed",
        }
        dimensions |= {name: cell.pop(name) for name in list(cell) if name in dimensions}
        amounts = {**dict.fromkeys(USAGE_AMOUNTS, 0), "decisions": decisions, **cell}
        rows = [
            (self.org_id, grain, bucket_of(at.astimezone(UTC), grain), *dimensions.values(), *amounts.values())
            for grain in GRAINS
        ]
        with self.database.write() as connection:
            upsert_rows(connection, usage, (*key_columns(usage), *USAGE_AMOUNTS), rows, added=USAGE_AMOUNTS)

    def measure(
        self, metric: str, slot: datetime, *, now: datetime | None = None, threshold: Any = 1, **rule: Any
    ) -> list[Reading]:
        """What a rule measures, a moment after the slot unless `now` is another time."""
        later = slot + timedelta(seconds=2) if now is None else now
        with self.database.read() as connection:
            return measure(
                connection,
                Rule("r", metric, Decimal(threshold), **rule),
                Measuring(self.org_id, self.document, slot.astimezone(UTC), later),
            )

    def value(self, metric: str, slot: datetime, **rule: Any) -> Decimal | None:
        """The value of a rule that has one reading; None where there was nothing to measure."""
        (reading,) = self.measure(metric, slot, **rule)
        return value_of(reading)


def value_of(reading: Reading) -> Decimal | None:
    """What was measured."""
    return getattr(reading.observation, "value", None)


@contextmanager
def cut_off(service: Any) -> Iterator[None]:
    """Nothing that this process asks reaches Redis, which goes on living by the clock of the test."""
    ask = service.gate.ask

    def ask_nobody(question: Any) -> Any:
        raise GateUnavailable("no route to Redis")

    service.gate.ask = ask_nobody
    try:
        yield
    finally:
        service.gate.ask = ask


@pytest.fixture
def books(database_url: str, ledger_copies: LedgerCopies) -> Iterator[Books]:
    ledger_copies.put(database_url, migrate)
    database = Database(database_url)
    yield Books(database)
    database.close()
