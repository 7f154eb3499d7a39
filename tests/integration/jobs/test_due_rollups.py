"""Rollups that an upgrade has left to be counted: in turn, and no longer than a worker can wait for."""

from __future__ import annotations

import time
from contextlib import closing
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from engine.clock import utc_now
from engine.ledger import rollup_days
from engine.ledger.database import Database
from engine.ledger.migrate import migrate
from engine.ledger.organizations import ensure_organization
from engine.ledger.rebuilding import rebuild_day
from engine.ledger.tables import organizations
from jobs.rollups import count_rollups

NUMBER = 12


def test_many_organizations_are_counted_in_turn_and_a_run_ends_in_time(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[str] = []
    really = rebuild_day

    def slowly(database: Database, org_id: str, *arguments: Any) -> Any:
        counted.append(org_id)
        time.sleep(0.1)
        return really(database, org_id, *arguments)

    monkeypatch.setattr(rollup_days, "rebuild_day", slowly)
    with closing(Database(sqlite_url)) as database:
        migrate(database)
        now = utc_now()
        with database.write() as connection:
            for number in range(NUMBER):
                ensure_organization(connection, f"org-{number:02}")
            connection.execute(update(organizations).values(rollups_due_from=now - timedelta(days=1)))
        count_rollups(database, now, seconds=0.3)
        first = len(counted)
        assert 0 < first < NUMBER
        # The next run goes on with those that had no turn.
        count_rollups(database, now, seconds=60)
        assert set(counted[: NUMBER + 1]) == {f"org-{number:02}" for number in range(NUMBER)}
        assert len(counted) == 2 * NUMBER
        with database.read() as connection:
            assert set(connection.scalars(select(organizations.c.rollups_due_from))) == {None}
