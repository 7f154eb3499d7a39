"""Prove that an organization's audit log is what was written, or name the first entry that is not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from engine.ledger.audit_chain import entry_hash
from engine.ledger.chain import BEFORE_THE_FIRST
from engine.ledger.database import Database
from engine.ledger.tables import audit_log, organizations

PAGE = 1_000
"""Entries in memory at a time; a whole price book may be in one."""


@dataclass(frozen=True, slots=True)
class AuditFinding:
    """What is wrong first: at which entry, and a sentence."""

    entry: int
    message: str


@dataclass(frozen=True, slots=True)
class AuditProof:
    """`entries` were looked at, from the first on; `finding` is `None` when nothing is wrong."""

    org_id: str
    entries: int
    finding: AuditFinding | None


@dataclass(frozen=True, slots=True)
class AuditHead:
    """Where the log ends: how many entries, and the hash of the newest."""

    entries: int
    hash: bytes


def audit_head(connection: Connection, org_id: str) -> AuditHead:
    """The end of the organization's log as it was written last."""
    known = organizations.c
    row = connection.execute(select(known.audit_entries, known.audit_hash).where(known.org_id == org_id)).one_or_none()
    return AuditHead(0, BEFORE_THE_FIRST) if row is None else AuditHead(row[0], row[1] or BEFORE_THE_FIRST)


def verify_audit(database: Database, org_id: str, *, kept: AuditHead | None = None) -> AuditProof:
    """Recompute the chain from the first entry to the end, and compare it with that and with `kept`.

    1. Read the end; what is written later is not looked at.
    2. Entry by entry: numbers without a hole, each with the hash of the one before and its own content.
    3. The end, and `kept`, an earlier end that was kept elsewhere.
    """
    # In one snapshot: an entry that is written meanwhile is not beyond the end.
    with database.snapshot() as connection:
        head = audit_head(connection, org_id)
        beyond = _first_beyond(connection, org_id, head.entries)
    walked, finding = _walk(database, org_id, head, kept)
    if finding is None and beyond is not None:
        finding = AuditFinding(beyond, f"audit entry {beyond} was added: the log ends at {head.entries}")
    if finding is None and kept is not None and kept.entries > head.entries:
        cut = (
            f"the audit log ends at entry {head.entries}, but the head knows entry {kept.entries}: its end was cut off"
        )
        finding = AuditFinding(head.entries + 1, cut)
    return AuditProof(org_id, walked, finding)


def _walk(database: Database, org_id: str, head: AuditHead, kept: AuditHead | None) -> tuple[int, AuditFinding | None]:
    previous, last = BEFORE_THE_FIRST, 0
    while last < head.entries:
        try:
            rows = _page(database, org_id, last, head.entries)
        except (TypeError, ValueError):
            # What cannot even be read: JSON that is none, a time that is none.
            return last, AuditFinding(last + 1, f"an audit entry behind {last} holds what Bursar never writes")
        for row in rows:
            if row.entry != last + 1:
                return last, AuditFinding(last + 1, f"audit entry {last + 1} is missing")
            if (its_hash := _hash(previous, org_id, row)) is None or its_hash != row.hash:
                changed = f"audit entry {row.entry} does not have the hash of its content: it was changed, or the one "
                return last, AuditFinding(row.entry, f"{changed}before it together with its hash")
            previous, last = its_hash, row.entry
            if kept is not None and kept.entries == last and kept.hash != previous:
                return last, AuditFinding(last, f"the audit log at entry {last} is not the one that the head knows")
        if not rows:
            return last, AuditFinding(last + 1, f"audit entry {last + 1} is missing")
    if previous != head.hash:
        return last, AuditFinding(last, f"the audit log does not end with entry {last} as it was written")
    return last, None


def _page(database: Database, org_id: str, after: int, last: int) -> list[Any]:
    table = audit_log.c
    with database.read() as connection:
        found = select(audit_log).where(table.org_id == org_id, table.entry > after, table.entry <= last)
        return list(connection.execute(found.order_by(table.entry).limit(PAGE)))


def _hash(previous: bytes, org_id: str, row: Any) -> bytes | None:
    try:
        return entry_hash(
            previous, org_id, row.entry, row.at, row.author, row.action, row.subject, row.reason, row.details
        )
    except (TypeError, ValueError, RecursionError):
        return None


def _first_beyond(connection: Connection, org_id: str, last: int) -> int | None:
    table = audit_log.c
    found = select(table.entry).where(table.org_id == org_id, (table.entry > last) | (table.entry < 1))
    first: int | None = connection.scalar(found.order_by(table.entry).limit(1))
    return first
