"""One seeded ledger for the tests of a module, on each kind of database; nobody writes to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Connection

from engine.ledger.database import Database
from engine.ledger.queries.slice import Slice
from tests.support.ledger_copies import LedgerCopies
from tests.support.ledger_rows import SeededLedger, seed_ledger

NOW = datetime(2026, 11, 23, 9, 42, 10, tzinfo=UTC)
DIMENSIONS = ("team_id", "provider", "agent_id", "model", "environment", "reason")
FILTERS: dict[str, dict[str, Any]] = {
    "everything": {},
    "a team": {"team_id": "team-hr"},
    "no team": {"team_id": ""},
    "a provider": {"provider": "azure_openai"},
    "an agent": {"agent_id": "copilot_hr"},
    "team, provider and agent": {"team_id": "team-hr", "provider": "copilot_studio", "agent_id": "copilot_hr"},
    "a model": {"model": "gpt-4o"},
    "no model": {"model": ""},
    "an environment and a reason": {"environment": "development", "reason": "policy_deny"},
    "a combination that does not occur": {"team_id": "team-hr", "provider": "webhook"},
    "an unknown agent": {"agent_id": "nobody"},
}


def slice_of(org_id: str, start: datetime, end: datetime, *names: str, **dimensions: Any) -> Slice:
    """A slice of the seeded ledger, which lives at `NOW`."""
    return Slice(org_id, start, end, *names, now=NOW, **dimensions)


@dataclass
class Seeded:
    """Two organizations; whatever is asked about one must not count another."""

    acme: SeededLedger
    other: SeededLedger
    connection: Connection

    def rows(self, part: Slice, keep: Callable[[dict[str, Any]], bool] = lambda _: True) -> list[dict[str, Any]]:
        """The decisions of a slice, found one by one."""
        ledger = {"acme": self.acme, "globex": self.other}[part.org_id]
        return [
            row
            for row in ledger.decisions
            if part.start <= row["at"] < part.end
            and all(getattr(part, name) in (None, row[name]) for name in DIMENSIONS)
            and keep(row)
        ]


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def seeded(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, ledger_copies: LedgerCopies
) -> Iterator[Seeded]:
    with ExitStack() as opened:
        if request.param == "sqlite":
            url = f"sqlite:///{tmp_path_factory.mktemp('ledger') / 'ledger.db'}"
        else:
            url = opened.enter_context(request.getfixturevalue("postgres_server").new_database(made=False))
        acme, other = ledger_copies.put(url, _two_organizations)
        database = opened.enter_context(closing(Database(url)))
        yield Seeded(acme, other, opened.enter_context(database.read()))


def _two_organizations(database: Database) -> tuple[SeededLedger, SeededLedger]:
    acme = seed_ledger(database, now=NOW, days=40, per_day=40)
    return acme, seed_ledger(database, org_id="globex", now=NOW, days=5, per_day=14, seed=8)
