"""The audit log: who changed what, when and why."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, insert, select

from engine.ledger.organizations import ensure_organization
from engine.ledger.tables import audit_log

ACTIONS_AMONG = 5_000
"""So many of the newest entries are looked through for the actions that there are."""
LEDGER_DROP = "ledger.drop"
"""The action of an entry about months that retention has dropped; its subject is `before <month>`."""


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One change. `action` is `<room>.<verb>`, `subject` what it was done to, `details` what a reviewer asks next."""

    at: datetime
    author: str
    action: str
    subject: str
    reason: str
    details: dict[str, Any]


def record_audit(connection: Connection, org_id: str, entry: AuditEntry) -> int:
    """Add an entry in the caller's transaction, so that no change is without one. Returns its number."""
    # Those who add take turns at the organization's row.
    ensure_organization(connection, org_id, lock=True)
    newest = connection.execute(select(func.max(audit_log.c.entry)).where(audit_log.c.org_id == org_id)).scalar_one()
    number = (newest or 0) + 1
    connection.execute(
        insert(audit_log).values(
            org_id=org_id,
            entry=number,
            **{name: getattr(entry, name) for name in AuditEntry.__slots__},
        )
    )
    return number


def audit_entries(
    connection: Connection, org_id: str, *, below: int | None = None, action: str | None = None, most: int = 100
) -> list[Any]:
    """Entries, newest first: those numbered below `below`, of one action or of all, at most so many."""
    entries = select(audit_log).where(audit_log.c.org_id == org_id)
    if below is not None:
        entries = entries.where(audit_log.c.entry < below)
    if action is not None:
        entries = entries.where(audit_log.c.action == action)
    return list(connection.execute(entries.order_by(audit_log.c.entry.desc()).limit(most)))


def audit_actions(connection: Connection, org_id: str) -> list[str]:
    """The actions of the newest entries, by name."""
    newest = (
        select(audit_log.c.action)
        .where(audit_log.c.org_id == org_id)
        .order_by(audit_log.c.entry.desc())
        .limit(ACTIONS_AMONG)
        .subquery()
    )
    return list(connection.execute(select(newest.c.action).distinct().order_by(newest.c.action)).scalars())
