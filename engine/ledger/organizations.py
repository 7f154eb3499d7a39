"""Organization rows: who is known, who writes whose ledger, how far it is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, or_, select, update

from engine.clock import utc_now
from engine.ledger.tables import document_versions, organizations
from engine.ledger.upsert import insert_or


@dataclass(frozen=True, slots=True)
class StreamBacklog:
    """Events that wait in the stream for the ledger writer, and when the oldest of them was recorded."""

    events: int
    since: datetime | None


def note_backlog(connection: Connection, org_id: str, backlog: StreamBacklog, now: datetime) -> None:
    """Say in SQL what waits in the stream."""
    connection.execute(
        update(organizations)
        .where(organizations.c.org_id == org_id)
        .values(backlog=backlog.events, backlog_since=backlog.since, backlog_seen_at=now)
    )


def ensure_organization(connection: Connection, org_id: str, *, lock: bool = False) -> None:
    """Make the organization known; with `lock`, hold its row until the transaction ends."""
    connection.execute(
        insert_or(connection, organizations).values(org_id=org_id, created_at=utc_now()).on_conflict_do_nothing()
    )
    if lock:
        connection.execute(select(organizations.c.org_id).where(organizations.c.org_id == org_id).with_for_update())


def organization_ids(connection: Connection) -> list[str]:
    """Every known organization."""
    return list(connection.execute(select(organizations.c.org_id).order_by(organizations.c.org_id)).scalars())


def governed_organization_ids(connection: Connection) -> list[str]:
    """Every organization that has a governance document."""
    return list(
        connection.execute(select(document_versions.c.org_id).distinct().order_by(document_versions.c.org_id)).scalars()
    )


def decisions_kept_from(connection: Connection, org_id: str) -> datetime | None:
    """Rollups of before this instant cannot be counted anew: retention has dropped what they were counted from."""
    return connection.scalar(select(organizations.c.decisions_kept_from).where(organizations.c.org_id == org_id))


def take_lease(connection: Connection, org_id: str, holder: str, now: datetime, seconds: int) -> bool:
    """Become or stay the organization's ledger writer; false when another is and has been heard of lately."""
    taken = connection.execute(
        update(organizations)
        .where(
            organizations.c.org_id == org_id,
            or_(
                organizations.c.lease_holder.is_(None),
                organizations.c.lease_holder == holder,
                organizations.c.lease_expires_at < now,
            ),
        )
        .values(lease_holder=holder, lease_expires_at=now + timedelta(seconds=seconds))
    )
    return taken.rowcount == 1


def release_lease(connection: Connection, org_id: str, holder: str) -> None:
    """Let another writer take over at once."""
    connection.execute(
        update(organizations)
        .where(organizations.c.org_id == org_id, organizations.c.lease_holder == holder)
        .values(lease_holder=None, lease_expires_at=None)
    )


def request_rebuild(connection: Connection, org_id: str, now: datetime) -> None:
    """Ask the organization's live writer to install its state in Redis anew."""
    connection.execute(update(organizations).where(organizations.c.org_id == org_id).values(rebuild_requested_at=now))


def forget_rebuild_request(connection: Connection, org_id: str) -> None:
    """Say that the state in Redis is as it should be."""
    connection.execute(update(organizations).where(organizations.c.org_id == org_id).values(rebuild_requested_at=None))
