"""What a diagnosis asks of the ledger and no page does: its clock, decisions by old documents, messages overdue."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, DateTime, func, select, true

from engine.ledger.queries.health import MOST_COUNTED
from engine.ledger.tables import OUTBOX_UNFINISHED, decisions, outbox

MOST_DECISIONS = 20_000
"""So many of the newest decisions are looked at: a diagnosis must not be what makes a ledger slow."""


@dataclass(frozen=True, slots=True)
class OutdatedDecisions:
    """Calls decided by another version than the live one, of the newest `MOST_DECISIONS`."""

    decisions: int
    newest_at: datetime
    oldest_version: int


@dataclass(frozen=True, slots=True)
class Undelivered:
    """Messages that should have been sent: the longest overdue one's time, and how many were given up of late."""

    overdue_since: datetime | None
    dead: int


def database_clock(connection: Connection) -> datetime | None:
    """The database server's time; None of a ledger file, which has no clock of its own."""
    if connection.dialect.name != "postgresql":
        return None
    now: datetime = connection.execute(select(func.clock_timestamp(type_=DateTime(timezone=True)))).scalar_one()
    return now


def outdated_decisions(
    connection: Connection, org_id: str, live_version: int, *, since: datetime
) -> OutdatedDecisions | None:
    """Decisions made at or after `since` by an older document version than the live one; None when there are none."""
    table = decisions
    newest = (
        select(table.c.at, table.c.document_version)
        .where(table.c.org_id == org_id, table.c.at >= since)
        .order_by(table.c.at.desc(), table.c.decision_id.desc())
        .limit(MOST_DECISIONS)
        .subquery()
    )
    found = connection.execute(
        select(
            func.count().label("decisions"),
            func.max(newest.c.at).label("newest_at"),
            func.min(newest.c.document_version).label("oldest_version"),
        ).where(newest.c.document_version < live_version)
    ).one()
    return OutdatedDecisions(found.decisions, found.newest_at, found.oldest_version) if found.decisions else None


def undelivered(connection: Connection, org_id: str, *, given_up_since: datetime) -> Undelivered:
    """Messages of an organization that are due and not sent, and those made since an instant that were given up.

    The latter stop at `MOST_COUNTED`.
    """
    table = outbox
    overdue = connection.scalar(
        select(func.min(table.c.next_attempt_at)).where(
            OUTBOX_UNFINISHED, table.c.org_id == org_id, table.c.state != "sending"
        )
    )
    dead = (
        select(true())
        .where(table.c.org_id == org_id, table.c.state == "dead", table.c.created_at >= given_up_since)
        .limit(MOST_COUNTED)
        .subquery()
    )
    return Undelivered(overdue, connection.execute(select(func.count()).select_from(dead)).scalar_one())
