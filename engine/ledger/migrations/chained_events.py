"""The part of migration 0005 that chains the events and, on PostgreSQL, keeps them by month."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from alembic import op

from engine.ledger.bulk import insert_rows
from engine.ledger.chain import BEFORE_THE_FIRST, StoredEvent, canonical_json
from engine.ledger.checkpoints import month_of
from engine.ledger.partitions import open_month
from engine.ledger.types import BigInt, JsonDocument, UtcDateTime

BATCH = 5_000
"""Events in memory at a time."""
SAY_EVERY = 100_000
"""Events from one line in the log to the next."""

logger = logging.getLogger(__name__)


class _Month(NamedTuple):
    org_id: str
    partition: str
    first_seq: int
    last_seq: int
    previous_hash: bytes
    last_hash: bytes
    last_written_at: datetime


def chain_events() -> None:
    """Give every event its hash, every month its checkpoint, every organization its chain's end.

    A `written_at` before that of the event before it, from a clock that had jumped back, becomes that one's.
    """
    op.add_column("organizations", sa.Column("chain_hash", sa.LargeBinary(length=32), nullable=True))
    op.create_table(
        "event_partitions",
        sa.Column("org_id", sa.String(length=128), nullable=False),
        sa.Column("partition", sa.String(length=7), nullable=False),
        sa.Column("first_seq", BigInt, nullable=False),
        sa.Column("last_seq", BigInt, nullable=False),
        sa.Column("previous_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("last_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("last_written_at", UtcDateTime(), nullable=False),
        sa.Column("dropped_at", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["org_id"], ["organizations.org_id"], name=op.f("fk_event_partitions_org_id")),
        sa.PrimaryKeyConstraint("org_id", "partition", name=op.f("pk_event_partitions")),
    )
    _set_aside("uq_events_org_id_stream_id")
    op.create_table(
        "events",
        *_columns(),
        sa.Column("hash", sa.LargeBinary(length=32), nullable=False),
        sa.PrimaryKeyConstraint("org_id", "seq", "written_at", name=op.f("pk_events")),
        postgresql_partition_by="RANGE (written_at)",
    )
    connection = op.get_bind()
    progress = _Progress()
    for org_id in list(connection.execute(sa.select(_aside.c.org_id).distinct()).scalars()):
        _chain(connection, org_id, progress)
    # Last, because an index is made faster than it is kept.
    op.create_index(op.f("ix_events_org_id_decision_id"), "events", ["org_id", "decision_id"])
    op.drop_table("events_aside")


def unchain_events() -> None:
    """Undo it; events that retention has dropped stay away."""
    _set_aside()
    op.create_table(
        "events",
        *_columns(),
        sa.PrimaryKeyConstraint("org_id", "seq", name=op.f("pk_events")),
        sa.UniqueConstraint("org_id", "stream_id", name=op.f("uq_events_org_id_stream_id")),
    )
    op.create_index(op.f("ix_events_org_id_decision_id"), "events", ["org_id", "decision_id"])
    names = [column.name for column in _columns()]
    connection = op.get_bind()
    connection.execute(sa.insert(_events).from_select(names, sa.select(*(_aside.c[name] for name in names))))
    op.drop_table("events_aside")
    op.drop_table("event_partitions")
    op.drop_column("organizations", "chain_hash")


def _columns() -> list[sa.Column[Any]]:
    return [
        sa.Column("org_id", sa.String(length=128), nullable=False),
        sa.Column("seq", BigInt, nullable=False),
        sa.Column("stream_id", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("decision_id", sa.String(length=36), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("written_at", UtcDateTime(), nullable=False),
        sa.Column("payload", JsonDocument, nullable=False),
    ]


def _table(name: str) -> sa.Table:
    return sa.Table(name, sa.MetaData(), *_columns(), sa.Column("hash", sa.LargeBinary(length=32)))


_aside = _table("events_aside")
_events = _table("events")


def _set_aside(*constraints: str) -> None:
    """Rename the table, and free the names that PostgreSQL has once for all tables."""
    op.drop_index("ix_events_org_id_decision_id", "events")
    op.rename_table("events", "events_aside")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE events_aside RENAME CONSTRAINT pk_events TO pk_events_aside")
        for name in constraints:
            op.execute(f"ALTER TABLE events_aside DROP CONSTRAINT {name}")


class _Progress:
    """Says in the log now and then how many events are done."""

    def __init__(self) -> None:
        self._done = self._said = 0

    def add(self, events: int) -> None:
        self._done += events
        if self._done - self._said >= SAY_EVERY:
            self._said = self._done
            logger.info("table version 0005: %d events chained", self._done)


def _chain(connection: sa.Connection, org_id: str, progress: _Progress) -> None:
    month: _Month | None = None
    for batch in _batches(connection, org_id):
        rows = []
        for event in batch:
            written_at = event.written_at if month is None else max(event.written_at, month.last_written_at)
            previous = BEFORE_THE_FIRST if month is None else month.last_hash
            payload = canonical_json(event.payload)
            row = StoredEvent(
                org_id, event.seq, event.stream_id, event.kind, event.decision_id, event.at, written_at, payload, b""
            )
            row = row._replace(hash=row.hash_after(previous))
            if month is None or month.partition != month_of(written_at):
                if month is not None:
                    _keep(connection, month)
                open_month(connection, month_of(written_at))
                month = _Month(org_id, month_of(written_at), row.seq, row.seq, previous, row.hash, written_at)
            else:
                month = month._replace(last_seq=row.seq, last_hash=row.hash, last_written_at=written_at)
            rows.append(row)
        insert_rows(connection, _events, StoredEvent._fields, rows)
        progress.add(len(rows))
    if month is not None:
        _keep(connection, month)
        connection.execute(
            sa.text("UPDATE organizations SET chain_hash = :hash WHERE org_id = :org_id"),
            {"hash": month.last_hash, "org_id": org_id},
        )


def _batches(connection: sa.Connection, org_id: str) -> Iterator[list[Any]]:
    after = -1
    while True:
        batch = list(
            connection.execute(
                sa.select(_aside)
                .with_only_columns(*(_aside.c[column.name] for column in _columns()))
                .where(_aside.c.org_id == org_id, _aside.c.seq > after)
                .order_by(_aside.c.seq)
                .limit(BATCH)
            )
        )
        if not batch:
            return
        yield batch
        after = batch[-1].seq


def _keep(connection: sa.Connection, month: _Month) -> None:
    checkpoints = sa.table(
        "event_partitions",
        *(sa.column(name) for name in _Month._fields if name != "last_written_at"),
        sa.column("last_written_at", UtcDateTime()),
    )
    connection.execute(sa.insert(checkpoints).values(**month._asdict()))
