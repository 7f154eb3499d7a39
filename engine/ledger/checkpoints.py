"""Where each month of an organization's chain begins and ends; kept when the month's events are dropped."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection, insert, select, update

from engine.ledger.tables import event_partitions


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One month of one organization's events, by `written_at` in UTC: `partition` is `2026-11`.

    `previous_hash` is the hash before its first event. `dropped_at`: its events are gone, on purpose.
    """

    partition: str
    first_seq: int
    last_seq: int
    previous_hash: bytes
    last_hash: bytes
    last_written_at: datetime
    dropped_at: datetime | None = None


CHECKPOINT_COLUMNS = tuple(event_partitions.c[name] for name in Checkpoint.__slots__)


def month_of(instant: datetime) -> str:
    """The UTC month that an instant lies in: `2026-11`."""
    return f"{instant.astimezone(UTC):%Y-%m}"


def month_start(month: str) -> datetime:
    """A month's first instant."""
    return datetime(int(month[:4]), int(month[5:]), 1, tzinfo=UTC)


def later_month(month: str, months: int = 1) -> str:
    """The month so many later, or earlier when negative."""
    year, index = divmod(int(month[:4]) * 12 + int(month[5:]) - 1 + months, 12)
    return f"{year:04}-{index + 1:02}"


def newest_checkpoint(connection: Connection, org_id: str) -> Checkpoint | None:
    """The month that the organization's chain ends in."""
    row = connection.execute(
        select(*CHECKPOINT_COLUMNS)
        .where(event_partitions.c.org_id == org_id)
        .order_by(event_partitions.c.partition.desc())
        .limit(1)
    ).one_or_none()
    return None if row is None else Checkpoint(*row)


def written_not_before(newest: Checkpoint | None, now: datetime) -> datetime:
    """`now`, unless the clock has jumped back: a chain's `written_at` never does, so it passes a month's end once.

    Into a month that was dropped nothing is written any more.
    """
    if newest is None:
        return now
    if newest.dropped_at is not None:
        return max(now, month_start(later_month(newest.partition)))
    return max(now, newest.last_written_at)


def move_checkpoint(connection: Connection, org_id: str, after: Checkpoint, newest: Checkpoint | None) -> None:
    """Let the chain end as `after` says: in the month of `newest`, or in a new one."""
    if newest is not None and newest.partition == after.partition:
        connection.execute(
            update(event_partitions)
            .where(event_partitions.c.org_id == org_id, event_partitions.c.partition == after.partition)
            .values(last_seq=after.last_seq, last_hash=after.last_hash, last_written_at=after.last_written_at)
        )
    else:
        connection.execute(
            insert(event_partitions).values(
                org_id=org_id, **{name: getattr(after, name) for name in Checkpoint.__slots__}
            )
        )
