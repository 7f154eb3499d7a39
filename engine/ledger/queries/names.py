"""Who there is to choose from in a page's filters."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection, select

from engine.ledger.rollups import bucket_of
from engine.ledger.tables import usage

MOST_NAMES = 1_000


@dataclass(frozen=True, slots=True)
class KnownNames:
    """Teams, providers and agents that were seen, each sorted; calls without a team are the empty name."""

    teams: list[str]
    providers: list[str]
    agents: list[str]


def agents_of_team(
    connection: Connection, org_id: str, team_id: str, *, since: datetime, limit: int = MOST_NAMES
) -> list[str]:
    """The agents that a team called since the UTC day in which `since` lies, by name."""
    day = bucket_of(since.astimezone(UTC), "day")
    rows = connection.execute(
        select(usage.c.agent_id)
        .distinct()
        .where(usage.c.org_id == org_id, usage.c.grain == "day", usage.c.bucket >= day, usage.c.team_id == team_id)
        .order_by(usage.c.agent_id)
        .limit(limit)
    )
    return list(rows.scalars())


def known_names(connection: Connection, org_id: str, *, since: datetime, limit: int = MOST_NAMES) -> KnownNames:
    """Those seen since the UTC day in which `since` lies; of more than `limit` combinations, the first by agent."""
    day = bucket_of(since.astimezone(UTC), "day")
    columns = (usage.c.agent_id, usage.c.team_id, usage.c.provider)
    rows = connection.execute(
        select(*columns)
        .distinct()
        .where(usage.c.org_id == org_id, usage.c.grain == "day", usage.c.bucket >= day)
        .order_by(*columns)
        .limit(limit)
    ).all()
    return KnownNames(
        sorted({row.team_id for row in rows}),
        sorted({row.provider for row in rows}),
        sorted({row.agent_id for row in rows}),
    )
