"""Events as the ledger writer would have stored them, written over any time and without a gate."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, update

from engine.clock import to_ms
from engine.ids import new_decision_id
from engine.ledger.database import Database
from engine.ledger.entries import LedgerEvent
from engine.ledger.event_log import MonthMissing, append_events
from engine.ledger.organizations import ensure_organization
from engine.ledger.partitions import open_month
from engine.ledger.tables import organizations


def some_events(number: int, at: datetime, **payload: Any) -> list[LedgerEvent]:
    """Events a millisecond apart, from `at` on."""
    return [
        LedgerEvent(
            f"{to_ms(at) + index}-0",
            "settle",
            new_decision_id(to_ms(at) + index),
            at + timedelta(milliseconds=index),
            None,
            {"t": str(to_ms(at) + index), "m": "55000", "b": {"input_tokens": index}, **payload},
        )
        for index in range(number)
    ]


def append(connection: Connection, org_id: str, batch: Iterable[LedgerEvent], now: datetime) -> None:
    """Store one batch, as written at `now`."""
    batch = list(batch)
    ensure_organization(connection, org_id)
    connection.execute(
        update(organizations)
        .where(organizations.c.org_id == org_id)
        .values(next_seq=organizations.c.next_seq + len(batch), cursor=batch[-1].stream_id)
    )
    append_events(connection, org_id, batch, now)


def write_months(database: Database, months: Iterable[datetime], *, each: int = 10, org_id: str = "acme") -> None:
    """In each month two batches of `each` events, also when others drop its table meanwhile."""
    for start in months:
        for day in (0, 20):
            at = start + timedelta(days=day)
            _write_batch(database, org_id, some_events(each, at), at + timedelta(seconds=1))


def _write_batch(database: Database, org_id: str, batch: list[LedgerEvent], now: datetime) -> None:
    while True:
        try:
            with database.write() as connection:
                append(connection, org_id, batch, now)
            return
        except MonthMissing as missing:  # as the ledger writer does
            with database.write() as connection:
                open_month(connection, missing.month)
