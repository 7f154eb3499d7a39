"""The queue of notifications: what may be sent now."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, FromClause, and_, exists, func, or_, select, text

from engine.alerting import lane_rows
from engine.alerting.lane_rows import LONGEST_LEASE, MOST_AT_ONE_PLACE, Lanes
from engine.alerting.outbox import TO_BE_SENT, UNFINISHED
from engine.ledger.tables import OUTBOX_UNFINISHED, lanes, outbox

ANY_PLACE = Lanes()
UNFINISHED_ROW = text(f"outbox.{OUTBOX_UNFINISHED.text}")
"""As the index says it, or SQLite does not use it."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A notification that was due a moment ago."""

    notification_id: str
    org_id: str
    attempts: int
    abandoned: bool
    """Claimed before by someone whose lease has run out: it may have been sent."""
    goes_elsewhere: bool
    """Its lane is broken, or its first message went elsewhere: for `give_away`, not for `claim`."""


def anything_due(connection: Connection, now: datetime, kinds: Collection[str] | None = None) -> bool:
    """Whether `due_notifications` is worth asking: one look into an index, for those who ask several times a second."""
    query = select(outbox.c.notification_id).where(is_due(now))
    if kinds is not None:
        query = query.where(outbox.c.channel_type.in_(kinds))
    return connection.execute(query.limit(1)).first() is not None


def due_notifications(
    connection: Connection,
    now: datetime,
    *,
    kinds: Collection[str] | None = None,
    places: Lanes = ANY_PLACE,
    limit: int = 20,
) -> list[Candidate]:
    """What may be sent now, the longest due first; of `kinds` only, or of all channel types.

    1. Its lane is free, and of one place there are not more than may be on their way at once.
    2. What it replies to or edits has been delivered, or never will be.
    3. Nothing older about the same alert is on its way to the same place. What failed before holds nothing up.
    """
    first, older = outbox.alias(), outbox.alias()
    # The states are wrapped so that these two are looked up by their ids. To PostgreSQL the index of what is unfinished
    # looks empty after a quiet time, and would be read as a whole for each row of a sudden storm.
    waits_for_first = exists().where(
        first.c.notification_id == outbox.c.first_notification_id, func.coalesce(first.c.state, "").in_(UNFINISHED)
    )
    waits_for_older = exists().where(
        older.c.alert_id == outbox.c.alert_id,
        older.c.channel_type == outbox.c.channel_type,
        older.c.target == outbox.c.target,
        func.coalesce(older.c.state, "").in_(("queued", "sending")),
        or_(
            older.c.created_at < outbox.c.created_at,
            and_(older.c.created_at == outbox.c.created_at, older.c.notification_id < outbox.c.notification_id),
        ),
    )
    flying = outbox.alias()
    sent_now = (
        select(flying.c.channel_type, places.of_rows(flying).label("lane"))
        .where(flying.c.state == "sending", is_leased(flying, now))
        .subquery()
    )
    in_flight = (
        select(sent_now.c.channel_type, sent_now.c.lane, func.count().label("number"))
        .group_by(sent_now.c.channel_type, sent_now.c.lane)
        .subquery()
    )
    lane = places.of_rows(outbox)
    elsewhere = func.coalesce(lane_rows.gives_away(now), False)
    # What a retry put off comes after what has waited since.
    order = (outbox.c.next_attempt_at, outbox.c.notification_id)
    found = (
        select(
            outbox.c.notification_id,
            outbox.c.org_id,
            outbox.c.channel_type,
            outbox.c.attempts,
            outbox.c.state,
            outbox.c.next_attempt_at,
            elsewhere.label("elsewhere"),
            (
                func.row_number().over(partition_by=(outbox.c.channel_type, lane, elsewhere), order_by=order)
                + func.coalesce(in_flight.c.number, 0)
            ).label("place"),
        )
        .select_from(
            outbox.outerjoin(lanes, lane_rows.is_lane_of_row(places)).outerjoin(
                in_flight, and_(in_flight.c.channel_type == outbox.c.channel_type, in_flight.c.lane == lane)
            )
        )
        .where(is_due(now), ~waits_for_first, ~waits_for_older)
        .where(or_(elsewhere, lane_rows.lane_is_free(now, places)))
    )
    if kinds is not None:
        found = found.where(outbox.c.channel_type.in_(kinds))
    due = found.subquery()
    paced = due.c.channel_type.in_(sorted(places.paced))
    room = or_(due.c.place <= 1, and_(~paced, due.c.place <= MOST_AT_ONE_PLACE))
    rows = connection.execute(
        select(due)
        .where(or_(due.c.elsewhere, room))
        # Many that wait for a broken lane must not keep the others back.
        .order_by(due.c.elsewhere, due.c.next_attempt_at, due.c.notification_id)
        .limit(limit)
    )
    return [
        Candidate(row.notification_id, row.org_id, row.attempts, row.state == "sending", bool(row.elsewhere))
        for row in rows
    ]


def is_due(now: datetime) -> ColumnElement[bool]:
    """Of an outbox row: it waits and its time has come, or who took it fell silent."""
    return and_(
        UNFINISHED_ROW,
        # Also of what is being sent: it was due.
        outbox.c.next_attempt_at <= now,
        or_(
            outbox.c.state.in_(TO_BE_SENT),
            and_(outbox.c.state == "sending", ~is_leased(outbox, now)),
        ),
    )


def is_leased(rows: FromClause, now: datetime) -> ColumnElement[bool]:
    """Of rows being sent: their sender still has time."""
    return and_(rows.c.lease_expires_at > now, rows.c.lease_expires_at <= now + LONGEST_LEASE)
