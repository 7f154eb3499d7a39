"""How fresh the ledger is: organizations, and when each job last succeeded."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, inspect, select

from engine.ledger.tables import heartbeats, organizations


@dataclass(frozen=True, slots=True)
class OrganizationState:
    """An organization; every event recorded before `drained_through` is in SQL."""

    org_id: str
    created_at: datetime
    drained_through: datetime | None


def list_organizations(connection: Connection, *, limit: int = 500) -> list[OrganizationState]:
    """The organizations by name; none when the ledger's tables were not created yet."""
    if not inspect(connection).has_table(organizations.name):
        return []
    table = organizations
    rows = connection.execute(
        select(table.c.org_id, table.c.created_at, table.c.drained_through).order_by(table.c.org_id).limit(limit)
    )
    return [OrganizationState(row.org_id, row.created_at, row.drained_through) for row in rows]


def drained_through(connection: Connection, org_id: str) -> datetime | None:
    """Every event of the organization recorded before this instant is in SQL; None when nothing was drained yet."""
    return connection.scalar(select(organizations.c.drained_through).where(organizations.c.org_id == org_id))


def last_successes(connection: Connection) -> dict[str, datetime | None]:
    """Job name -> its last success; a job that never reported is absent."""
    rows = connection.execute(select(heartbeats.c.job, heartbeats.c.last_success_at).limit(100))
    return {row.job: row.last_success_at for row in rows}
