"""Calls that the ledger hears of after rules were evaluated past their time, kept by when it heard of them.

Rules are evaluated as soon as the ledger is drained past a minute. A call that was decided while Redis was away comes
later, into the rollups of its own minute, where no rule looks again. So it is counted here a second time, by the minute
in which it was recorded: whoever counts a window adds what was recorded in it of before its start.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, delete, select

from engine.ledger.bulk import upsert_rows
from engine.ledger.database import Database
from engine.ledger.entries import DeniedMany
from engine.ledger.organizations import organization_ids
from engine.ledger.queries.health import drained_through
from engine.ledger.rollups import bucket_of
from engine.ledger.tables import late_usage
from engine.ledger.totals import key_columns

LATE_KEPT = timedelta(days=3)
"""How long rows are of use: by then what came late has been in the newest window of every rule but those of weeks."""
PRUNE_BATCH = 500
"""Rows to remove in one transaction, and what more the last of their minutes has."""
_NOTHING = datetime.min.replace(tzinfo=UTC)
_DIMENSIONS = ("team_id", "agent_id", "provider", "model", "environment", "outcome", "reason")
_AMOUNTS = ("decisions", "fail_open")


class LateCalls:
    """The calls of one batch whose minute had ended by `drained`, the organization's `drained_through` before it."""

    def __init__(self, drained: datetime | None) -> None:
        self._drained = drained
        # A minute has ended when the next one has begun.
        self._before = _NOTHING if drained is None else bucket_of(drained, "minute")
        self._cells: dict[tuple[Any, ...], list[int]] = defaultdict(lambda: [0, 0])

    def count(self, row: Mapping[str, Any]) -> None:
        """A new decision row; nothing when it is in time."""
        if row["at"] < self._before:
            fail_open = int(row["outcome"] == "allowed" and row["fail_open"])
            self._add(row["at"], tuple(row[name] for name in _DIMENSIONS), 1, fail_open)

    def count_denied(self, at: datetime, fact: DeniedMany) -> None:
        """Denials that have one event together."""
        if at < self._before:
            alike = (fact.team_id, fact.agent_id, fact.provider, fact.model, fact.environment, "denied", fact.reason)
            self._add(at, alike, fact.calls, 0)

    def store(self, connection: Connection, org_id: str, now: datetime) -> None:
        """Add them to `late_usage`, in the transaction that stores the batch."""
        if not self._cells or self._drained is None:
            return
        # Not before what rules were evaluated past, or nobody would look there again: this host's clock may be behind
        # Redis', which `drained_through` is of.
        recorded = bucket_of(max(now, self._drained).astimezone(UTC), "minute")
        columns = (*key_columns(late_usage), *_AMOUNTS)
        rows = [(org_id, recorded, *key, *amounts) for key, amounts in sorted(self._cells.items())]
        upsert_rows(connection, late_usage, columns, rows, added=_AMOUNTS)

    def _add(self, at: datetime, dimensions: tuple[Any, ...], decisions: int, fail_open: int) -> None:
        cell = self._cells[bucket_of(at, "minute"), *dimensions]
        cell[0] += decisions
        cell[1] += fail_open


def late_calls(connection: Connection, org_id: str) -> LateCalls:
    """Where to count the late calls of a batch; ask before the batch moves `drained_through`."""
    return LateCalls(drained_through(connection, org_id))


def prune_late(database: Database, before: datetime) -> int:
    """Remove rows recorded before `before`, of every organization; how many they were.

    `before` is `LATE_KEPT` ago. A few at a time, so that others can write in between.
    """
    with database.read() as connection:
        known = organization_ids(connection)
    return sum(_prune(database, org_id, before) for org_id in known)


def _prune(database: Database, org_id: str, before: datetime) -> int:
    removed = 0
    table = late_usage
    while True:
        with database.write() as connection:
            old = table.c.org_id == org_id, table.c.recorded < before
            minutes = select(table.c.recorded).where(*old).order_by(table.c.recorded)
            # Whole minutes, because the databases have no common way to delete just so many rows of a larger key.
            oldest = list(connection.scalars(minutes.limit(PRUNE_BATCH)))
            if not oldest:
                return removed
            removed += connection.execute(delete(table).where(*old, table.c.recorded <= oldest[-1])).rowcount
