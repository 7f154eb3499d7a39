"""Drop events and decisions that are older than is kept; the rest of the chain still proves itself."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, delete, func, or_, select, update

from engine.errors import InvalidValue
from engine.ledger.audit import LEDGER_DROP, AuditEntry, record_audit
from engine.ledger.checkpoints import CHECKPOINT_COLUMNS, Checkpoint, later_month, month_of, month_start
from engine.ledger.database import Database
from engine.ledger.partitions import drop_months, stored_months
from engine.ledger.tables import decisions, event_partitions, events, organizations, pending_events

DELETE_BATCH = 500
"""Rows in one transaction, so that others can write in between."""
PATIENCE_MS = 2_000
"""How long dropping a table waits for its readers, and makes others wait; it is tried again later."""
AUTHOR = "bursar"


@dataclass(frozen=True, slots=True)
class Dropped:
    """What one run took from one organization: months whose events went, oldest first, and decisions."""

    org_id: str
    months: tuple[Checkpoint, ...]
    decisions: int

    @property
    def events(self) -> int:
        """How many events went."""
        return sum(month.last_seq - month.first_seq + 1 for month in self.months)


def drop_old(database: Database, months: int, now: datetime) -> list[Dropped]:
    """Keep the current UTC month and `months` before it, at least one; drop older events and decisions.

    1. In one transaction: mark the months as dropped, and from when on rollups can still be counted anew; write one
       audit entry for each organization that loses something; on PostgreSQL drop the months' tables.
    2. Delete decisions, and on SQLite events, a few at a time. A crash in between is made up for by the next run.

    While rollups of an older Bursar's decisions are still to be counted, nothing is dropped.

    The current month is that of `now`, or that in which the ledger was last heard of, if that was before: a clock that
    is months ahead drops nothing. Decisions stay that a recount of a running budget or of an open hold needs. Rollups
    stay. Harmless for several at once. Raises `InvalidValue` for less than one month and `DatabaseError` when a table
    stays in use.
    """
    if months < 1:
        raise InvalidValue("BURSAR_RETENTION_MONTHS", f"must be at least 1, got {months}")
    with database.write() as connection:
        heard = _last_heard_of(connection)
        if heard is None or _is_any_rollup_due(connection):
            return []
        oldest_kept = later_month(month_of(min(now, heard)), -months)
        # The organizations' rows first, then the tables: in this order a ledger writer takes them too.
        org_ids = _organizations(connection, locked=_is_any_old(connection, oldest_kept))
        old_tables = [month for month in stored_months(connection) if month < oldest_kept]
        marked = [_mark(connection, org_id, oldest_kept, months, now) for org_id in org_ids]
        drop_months(connection, old_tables, patience_ms=PATIENCE_MS)
    for dropped, kept_from in marked:
        if dropped.decisions:
            _delete_decisions(database, dropped.org_id, kept_from)
        if database.is_sqlite:
            _delete_events(database, dropped.org_id)
    return [dropped for dropped, _ in marked if dropped.months or dropped.decisions]


def _last_heard_of(connection: Connection) -> datetime | None:
    """When an event was last written, or Redis last said that there was nothing more to write."""
    written = connection.execute(select(func.max(event_partitions.c.last_written_at))).scalar_one()
    drained = connection.execute(select(func.max(organizations.c.drained_through))).scalar_one()
    return max((each for each in (written, drained) if each is not None), default=None)


def _is_any_rollup_due(connection: Connection) -> bool:
    due = select(organizations.c.org_id).where(organizations.c.rollups_due_from.is_not(None))
    return connection.execute(due.limit(1)).first() is not None


def _organizations(connection: Connection, *, locked: bool) -> list[str]:
    """Every organization; `locked`: those who write for them, or drop what is theirs, wait until we are done."""
    known = select(organizations.c.org_id).order_by(organizations.c.org_id)
    return list(connection.execute(known.with_for_update() if locked else known).scalars())


def _is_any_old(connection: Connection, oldest_kept: str) -> bool:
    if any(month < oldest_kept for month in stored_months(connection)):
        return True
    old = event_partitions.c.partition < oldest_kept, event_partitions.c.dropped_at.is_(None)
    return connection.execute(select(event_partitions.c.org_id).where(*old).limit(1)).first() is not None


def _mark(
    connection: Connection, org_id: str, oldest_kept: str, months: int, now: datetime
) -> tuple[Dropped, datetime]:
    """Mark what goes; returns it, and from when on decisions are kept."""
    old = (
        event_partitions.c.org_id == org_id,
        event_partitions.c.partition < oldest_kept,
        event_partitions.c.dropped_at.is_(None),
    )
    found = connection.execute(select(*CHECKPOINT_COLUMNS).where(*old).order_by(event_partitions.c.partition))
    marked = tuple(Checkpoint(*row) for row in found)
    kept_from = _decisions_from(connection, org_id, oldest_kept)
    count = connection.execute(select(func.count()).where(*_old_decisions(org_id, kept_from))).scalar_one()
    dropped = Dropped(org_id, marked, count)
    if count:
        _note_kept_from(connection, org_id, kept_from)
    if marked:
        # Events that stand for many denials go with their month, whatever decisions are kept.
        _note_kept_from(connection, org_id, month_start(later_month(marked[-1].partition)))
        connection.execute(update(event_partitions).where(*old).values(dropped_at=now))
    if marked or count:
        record_audit(connection, org_id, _entry(dropped, oldest_kept, months, now))
    return dropped, kept_from


def _note_kept_from(connection: Connection, org_id: str, instant: datetime) -> None:
    """Say, before anything goes, that days of before `instant` cannot be counted anew any more."""
    kept_from = organizations.c.decisions_kept_from
    connection.execute(
        update(organizations)
        .where(organizations.c.org_id == org_id, or_(kept_from.is_(None), kept_from < instant))
        .values(decisions_kept_from=instant)
    )


def _entry(dropped: Dropped, oldest_kept: str, months: int, now: datetime) -> AuditEntry:
    details: dict[str, object] = {"decisions": dropped.decisions, "events": dropped.events}
    if dropped.months:
        last = dropped.months[-1]
        details |= {
            "months": [month.partition for month in dropped.months],
            "first_seq": dropped.months[0].first_seq,
            "last_seq": last.last_seq,
            "last_hash": last.last_hash.hex(),
        }
    return AuditEntry(
        at=now,
        author=AUTHOR,
        action=LEDGER_DROP,
        subject=f"before {oldest_kept}",
        reason=f"BURSAR_RETENTION_MONTHS is {months}",
        details=details,
    )


def _decisions_from(connection: Connection, org_id: str, oldest_kept: str) -> datetime:
    """Decisions from here on are kept.

    Budgets of a hold's month and day are counted anew from all decisions of that month, in the budget's zone; so
    nothing of it goes while one of its holds is open or a settle of it waits.
    """
    waiting = select(pending_events.c.decision_id).where(pending_events.c.org_id == org_id)
    oldest = [
        connection.execute(select(func.min(decisions.c.at)).where(decisions.c.org_id == org_id, needed)).scalar_one()
        for needed in (decisions.c.state == "held", decisions.c.decision_id.in_(waiting))
    ]
    # A day earlier, because a month may begin elsewhere before it begins in UTC.
    needed = [month_of(at.replace(day=1) - timedelta(days=1)) for at in oldest if at is not None]
    return month_start(min([oldest_kept, *needed]))


def _old_decisions(org_id: str, before: datetime) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return decisions.c.org_id == org_id, decisions.c.at < before


def _delete_decisions(database: Database, org_id: str, kept_from: datetime) -> None:
    """Delete what was marked, and no more: a hold that has ended since then keeps its month until the next run."""
    while True:
        with database.write() as connection:
            # Perhaps a settle has come in that needs its month.
            before = _decisions_from(connection, org_id, month_of(kept_from))
            oldest = (
                select(decisions.c.decision_id)
                .where(*_old_decisions(org_id, before))
                .order_by(decisions.c.at)
                .limit(DELETE_BATCH)
            )
            gone = connection.execute(delete(decisions).where(decisions.c.decision_id.in_(oldest))).rowcount
        if gone < DELETE_BATCH:
            return


def _delete_events(database: Database, org_id: str) -> None:
    """Delete what stands before the first kept month; also what an interrupted run has left."""
    with database.read() as connection:
        last: int | None = connection.execute(
            select(func.max(event_partitions.c.last_seq)).where(
                event_partitions.c.org_id == org_id, event_partitions.c.dropped_at.is_not(None)
            )
        ).scalar_one()
    while last is not None:
        with database.write() as connection:
            lowest = connection.execute(select(func.min(events.c.seq)).where(events.c.org_id == org_id)).scalar_one()
            if lowest is None or lowest > last:
                return
            connection.execute(
                delete(events).where(events.c.org_id == org_id, events.c.seq <= min(lowest + DELETE_BATCH - 1, last))
            )
