"""Append events to the ledger, numbered without gaps and chained by their hashes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, select, update
from sqlalchemy.exc import IntegrityError

from engine.ledger.bulk import insert_rows
from engine.ledger.chain import BEFORE_THE_FIRST, StoredEvent, canonical_json
from engine.ledger.checkpoints import Checkpoint, month_of, move_checkpoint, newest_checkpoint, written_not_before
from engine.ledger.entries import LedgerEvent
from engine.ledger.partitions import open_month
from engine.ledger.tables import events, organizations

NO_PARTITION = "23514"
"""PostgreSQL's code for a row that no partition takes; `events` has no other check that could fail."""


class MonthMissing(Exception):
    """The month's table is gone although events were written to it; open it and write again."""

    def __init__(self, month: str) -> None:
        super().__init__(month)
        self.month = month


def append_events(connection: Connection, org_id: str, batch: Sequence[LedgerEvent], now: datetime) -> None:
    """Insert `batch`; the caller's transaction has reserved its numbers by moving `next_seq`.

    1. Chain them to the newest event, all written at `now`, or when that one was if the clock has jumped back.
    2. When a month begins for this organization, see that there is a table for it.
    3. Store them; move the chain's end and the month's checkpoint.

    Raises `MonthMissing` when somebody has dropped the table of a month that had begun.
    """
    # The row is locked by the cursor's move, so the numbers just reserved and the chain's end are ours.
    end = connection.execute(
        select(organizations.c.next_seq, organizations.c.chain_hash).where(organizations.c.org_id == org_id)
    ).one()
    previous = end.chain_hash or BEFORE_THE_FIRST
    newest = newest_checkpoint(connection, org_id)
    written_at = written_not_before(newest, now)
    rows = _chained(org_id, batch, end.next_seq - len(batch), previous, written_at)
    first, last = rows[0], rows[-1]
    month = month_of(written_at)
    if newest is None or newest.partition != month:
        open_month(connection, month)
    try:
        store_chained(connection, rows)
    except IntegrityError as error:
        if getattr(error.orig, "sqlstate", None) == NO_PARTITION:
            raise MonthMissing(month) from error
        raise
    connection.execute(update(organizations).where(organizations.c.org_id == org_id).values(chain_hash=last.hash))
    after = Checkpoint(month, first.seq, last.seq, previous, last.hash, written_at)
    move_checkpoint(connection, org_id, after, newest)


def store_chained(connection: Connection, rows: Sequence[StoredEvent]) -> None:
    """Insert rows as they are; the tables of their months must be there."""
    # The payload is JSON text already: exactly what was hashed is what is stored.
    insert_rows(connection, events, StoredEvent._fields, rows)


def _chained(
    org_id: str, batch: Sequence[LedgerEvent], first_seq: int, previous: bytes, written_at: datetime
) -> list[StoredEvent]:
    rows = []
    for seq, event in enumerate(batch, first_seq):
        payload = canonical_json(event.payload)
        row = StoredEvent(
            org_id, seq, event.stream_id, event.kind, event.decision_id, event.at, written_at, payload, b""
        )
        previous = row.hash_after(previous)
        rows.append(row._replace(hash=previous))
    return rows
