"""What filling an organization with a history needs of its row, beside the event writer."""

from __future__ import annotations

from sqlalchemy import Connection, select, update

from engine.clock import utc_now
from engine.errors import BursarError
from engine.ledger.organizations import take_lease
from engine.ledger.tables import decisions, organizations, pending_events


def lead_fill(connection: Connection, org_id: str, holder: str, seconds: int) -> None:
    """Become or stay the organization's ledger writer. Raises `BursarError` when another is at work there."""
    if take_lease(connection, org_id, holder, utc_now(), seconds):
        return
    known = connection.execute(select(organizations.c.org_id).where(organizations.c.org_id == org_id)).first()
    if known is None:
        raise BursarError(f"{org_id!r} is not in this ledger; apply its document first")
    raise BursarError(f"another writer is at work on {org_id!r}; stop its worker, or try again later")


def refuse_unless_unused(connection: Connection, org_id: str) -> None:
    """Raise `BursarError` unless an organization can be filled: it is unknown, or was never in use.

    A history is written as if its events had been the stream's, and the cursor ends behind the last of them. Whatever
    Redis still holds of an organization in use would lie before it, and never be read. That SQL has no decision does
    not show that there is none; that no state was ever installed in Redis does.
    """
    row = connection.execute(select(organizations).where(organizations.c.org_id == org_id)).one_or_none()
    if row is None:
        return
    waits = select(pending_events.c.pending_id).where(pending_events.c.org_id == org_id).limit(1)
    if row.next_seq != 1 or _has_decisions(connection, org_id):
        raise BursarError(
            f"organization {org_id!r} already has decisions, and made-up ones do not go between them: "
            "choose another organization, or an empty ledger"
        )
    if (row.cursor, row.epoch, row.drained_through) != ("0-0", 0, None) or connection.execute(waits).first():
        raise BursarError(
            f"organization {org_id!r} has been in use, so decisions of it may still be on their way from Redis: "
            "choose another organization, or an empty ledger"
        )


def outdate_installed_state(connection: Connection, org_id: str) -> None:
    """Make whatever Redis holds of the organization older than the ledger: the next look rebuilds it from here."""
    connection.execute(
        update(organizations).where(organizations.c.org_id == org_id).values(epoch=organizations.c.epoch + 1)
    )


def _has_decisions(connection: Connection, org_id: str) -> bool:
    found = connection.execute(select(decisions.c.decision_id).where(decisions.c.org_id == org_id).limit(1)).first()
    return found is not None
