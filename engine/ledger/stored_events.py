"""Read events as they are stored, in order, a bounded number at a time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import DataError

from engine.ledger.chain import StoredEvent, canonical_json
from engine.ledger.database import Database
from engine.ledger.tables import events

BATCH = 2_000


class Unreadable(Exception):
    """A row holds what the ledger never writes: no JSON, no instant."""

    def __init__(self, seq: int) -> None:
        self.seq = seq
        super().__init__(f"event {seq} cannot be read")


def stored_events(database: Database, org_id: str, first: int, last: int) -> Iterator[StoredEvent]:
    """Events `first` to `last` by `seq`. Raises `Unreadable` at one that is damaged.

    Ends at the first batch that has none. Numbers have no gaps, so what lies beyond is no matter, and an end that was
    forged to be far away costs no time. Every batch is a transaction of its own: whoever wants to change the tables
    meanwhile waits for one at most.
    """
    for start in range(first, last + 1, BATCH):
        end = min(start + BATCH - 1, last)
        try:
            batch = _read(database, org_id, start, end)
        except _DAMAGE:
            batch = []
            for seq in range(start, end + 1):
                try:
                    batch += _read(database, org_id, seq, seq)
                except _DAMAGE:
                    yield from batch
                    raise Unreadable(seq) from None
        if not batch:
            return
        yield from batch


_DAMAGE = (ArithmeticError, AttributeError, RecursionError, TypeError, ValueError, DataError)
_TYPES = (str, int, str, str, str, datetime, datetime, object, bytes)


def _read(database: Database, org_id: str, first: int, last: int) -> list[StoredEvent]:
    with database.read() as connection:
        rows = connection.execute(
            select(*(events.c[name] for name in StoredEvent._fields))
            .where(events.c.org_id == org_id, events.c.seq >= first, events.c.seq <= last)
            .order_by(events.c.seq, events.c.written_at)
        ).all()
    return [_typed(row) for row in rows]


def _typed(row: Any) -> StoredEvent:
    # SQLite takes any value in any column.
    if not all(map(isinstance, row, _TYPES)):
        raise TypeError(row.seq)
    return StoredEvent(*row)._replace(payload=canonical_json(row.payload))
