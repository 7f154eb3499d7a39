"""The audit log: who changed what, when and why."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select, update

from engine.errors import DatabaseError, InvalidValue
from engine.ledger.audit_chain import entry_hash
from engine.ledger.chain import BEFORE_THE_FIRST
from engine.ledger.organizations import ensure_organization
from engine.ledger.tables import audit_log, organizations

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
    """Add an entry in the caller's transaction, so that no change is without one. Returns its number.

    Its hash covers the entry before it (`audit_chain`). Raises `InvalidValue` for texts that not every database keeps,
    and `DatabaseError` when the table takes no entry.
    """
    for name in ("author", "action", "subject", "reason"):
        _check_text(name, getattr(entry, name))
    # Those who add take turns at the organization's row.
    ensure_organization(connection, org_id, lock=True)
    known = organizations.c
    entries, newest = connection.execute(
        select(known.audit_entries, known.audit_hash).where(known.org_id == org_id)
    ).one()
    number: int = entries + 1
    values = {name: getattr(entry, name) for name in AuditEntry.__slots__}
    its_hash = entry_hash(newest or BEFORE_THE_FIRST, org_id, number, **values)
    added = insert(audit_log).values(org_id=org_id, entry=number, hash=its_hash, **values).returning(audit_log.c.entry)
    if connection.execute(added).first() is None:
        # A trigger or a rule that somebody made.
        raise DatabaseError("the audit log takes no entry: something in the database keeps it from being added")
    connection.execute(
        update(organizations).where(known.org_id == org_id).values(audit_entries=number, audit_hash=its_hash)
    )
    return number


def _check_text(name: str, text: str) -> None:
    longest: int | None = getattr(audit_log.c[name].type, "length", None)
    if longest is not None and len(text) > longest:
        raise InvalidValue(name, f"must be at most {longest} characters, got {len(text)}")
    if "\0" in text or any("\ud800" <= letter <= "\udfff" for letter in text):
        raise InvalidValue(name, "has characters that cannot be kept")


def audit_entries(
    connection: Connection, org_id: str, *, below: int | None = None, action: str | None = None, most: int = 100
) -> list[Any]:
    """Entries, newest first: those numbered below `below`, of one action or of all, at most so many."""
    wanted = (audit_log.c[name] for name in ("org_id", "entry", *AuditEntry.__slots__))
    entries = select(*wanted).where(audit_log.c.org_id == org_id)
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
