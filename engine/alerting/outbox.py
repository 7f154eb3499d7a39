"""The queue of notifications: claim one, then say what became of it.

queued | retry -> sending (with a lease) -> delivered | retry | dead. A claim counts the attempt, and every later
change asks for that count: who lost a lease changes nothing any more.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, exists, func, or_, select, update

from engine.alerting.message import Message
from engine.ledger.tables import outbox

RATE_LIMITED = "ratelimited"
"""The error of a notification that waits because its channel asked for a pause."""


@dataclass(frozen=True, slots=True)
class Notification:
    """One message on its way to one channel. `attempts` counts claims, this one included."""

    notification_id: str
    org_id: str
    channel: str
    channel_type: str
    target: str
    message: Message
    attempts: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Candidate:
    """A notification that was due a moment ago."""

    notification_id: str
    attempts: int
    abandoned: bool
    """Claimed before by someone whose lease has run out: it may have been sent."""


def due_notifications(
    connection: Connection, now: datetime, *, paced: Collection[str] = (), limit: int = 20
) -> list[Candidate]:
    """What may be sent now, longest due first.

    Of `paced` channel types only one for each target, and none for a target that asked for a pause.
    """
    other = outbox.alias()
    pausing = exists().where(
        other.c.channel_type == outbox.c.channel_type,
        other.c.target == outbox.c.target,
        other.c.state == "retry",
        other.c.error == RATE_LIMITED,
        other.c.next_attempt_at > now,
    )
    order = (outbox.c.next_attempt_at, outbox.c.created_at, outbox.c.notification_id)
    place = func.row_number().over(partition_by=(outbox.c.channel_type, outbox.c.target), order_by=order)
    ranked = (
        select(outbox, place.label("place")).where(_due(now)).where(or_(outbox.c.channel_type.not_in(paced), ~pausing))
    )
    lanes = ranked.subquery()
    rows = connection.execute(
        select(lanes.c.notification_id, lanes.c.attempts, lanes.c.state)
        .where(or_(lanes.c.channel_type.not_in(paced), lanes.c.place == 1))
        .order_by(lanes.c.next_attempt_at, lanes.c.created_at, lanes.c.notification_id)
        .limit(limit)
    )
    return [Candidate(row.notification_id, row.attempts, row.state == "sending") for row in rows]


def claim(connection: Connection, candidate: Candidate, now: datetime, lease: timedelta) -> Notification | None:
    """Take a candidate for the length of `lease`; None when someone else got it first or it is no longer due.

    One that was abandoned is marked as a possible repeat, for good.
    """
    claimed = connection.execute(
        update(outbox)
        .where(
            outbox.c.notification_id == candidate.notification_id,
            outbox.c.attempts == candidate.attempts,
            _due(now),
        )
        .values(state="sending", attempts=candidate.attempts + 1, lease_expires_at=now + lease)
    )
    if claimed.rowcount != 1:
        return None
    row = connection.execute(select(outbox).where(outbox.c.notification_id == candidate.notification_id)).one()
    message = Message.from_json(row.message)
    if candidate.abandoned and not message.repeat:
        message = replace(message, repeat=True)
        connection.execute(
            update(outbox)
            .where(outbox.c.notification_id == candidate.notification_id)
            .values(message=message.to_json())
        )
    return Notification(
        notification_id=row.notification_id,
        org_id=row.org_id,
        channel=row.channel,
        channel_type=row.channel_type,
        target=row.target,
        message=message,
        attempts=row.attempts,
        created_at=row.created_at,
    )


def mark_delivered(
    connection: Connection, notification: Notification, *, channel_type: str, receipt: dict[str, Any], now: datetime
) -> bool:
    """It arrived, by a channel of `channel_type`. False when the lease was lost to someone who repeats it."""
    return _finish(
        connection,
        notification,
        state="delivered",
        channel_type=channel_type,
        receipt=receipt,
        delivered_at=now,
        error=None,
    )


def mark_retry(
    connection: Connection, notification: Notification, *, error: str, at: datetime, maybe_delivered: bool
) -> bool:
    """Try again at `at`; when it may have arrived all the same, the next one says so."""
    message = replace(notification.message, repeat=notification.message.repeat or maybe_delivered)
    return _finish(connection, notification, state="retry", error=error, next_attempt_at=at, message=message.to_json())


def mark_dead(connection: Connection, notification: Notification, *, error: str) -> bool:
    """It cannot be delivered and is not tried again."""
    return _finish(connection, notification, state="dead", error=error)


def pause_target(connection: Connection, notification: Notification, until: datetime) -> None:
    """Nothing that waits for the same place is tried before `until`."""
    connection.execute(
        update(outbox)
        .where(
            outbox.c.channel_type == notification.channel_type,
            outbox.c.target == notification.target,
            outbox.c.state.in_(("queued", "retry")),
            outbox.c.next_attempt_at < until,
        )
        .values(next_attempt_at=until)
    )


def _due(now: datetime) -> ColumnElement[bool]:
    return or_(
        and_(outbox.c.state.in_(("queued", "retry")), outbox.c.next_attempt_at <= now),
        and_(outbox.c.state == "sending", outbox.c.lease_expires_at <= now),
    )


def _finish(connection: Connection, notification: Notification, **values: Any) -> bool:
    finished = connection.execute(
        update(outbox)
        .where(
            outbox.c.notification_id == notification.notification_id,
            outbox.c.state == "sending",
            outbox.c.attempts == notification.attempts,
        )
        .values(lease_expires_at=None, **values)
    )
    return finished.rowcount == 1
