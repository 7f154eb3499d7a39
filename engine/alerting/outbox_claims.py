"""The queue of notifications, as the sender sees it: take one to send it, or hand it to others.

A claim counts the attempt, and every later change asks for that count: who lost a lease changes nothing any more.
`outbox_due` has what may be taken, `outbox_outcomes` what can become of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, func, select, update

from engine.alerting import lane_rows
from engine.alerting.action import Action
from engine.alerting.alert_message import AlertMessage, UnreadableMessage
from engine.alerting.lane_rows import Lanes
from engine.alerting.outbox import TO_BE_SENT, Receiver
from engine.alerting.outbox_due import ANY_PLACE, UNFINISHED_ROW, Candidate, is_due, is_leased
from engine.alerting.outbox_fallback import first_of, hand_over
from engine.ledger.tables import outbox

NOTHING_TO_EDIT = "there is no message to edit"


@dataclass(frozen=True, slots=True)
class First:
    """The notification that the talk began with, as it was delivered."""

    notification_id: str
    receipt: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Notification:
    """One message on its way to one channel, by its lane. `attempts` counts claims, this one included.

    `first` is None for a message of its own, also for a reply whose first message never arrived.
    """

    notification_id: str
    org_id: str
    alert_id: str | None
    channel: str
    channel_type: str
    target: str
    lane: str
    action: Action
    message: AlertMessage
    attempts: int
    created_at: datetime
    first_attempt_at: datetime
    first: First | None


def claim(
    connection: Connection,
    candidate: Candidate,
    now: datetime,
    lease: Callable[[str], timedelta],
    *,
    places: Lanes = ANY_PLACE,
) -> Notification | Candidate | None:
    """Take a candidate for a `lease` (by the channel type); None when it is not to be sent, or not by us.

    A candidate comes back when its first message went elsewhere: it follows, by `give_away`. One that was abandoned is
    marked as a possible repeat, for good. What cannot be read is dead.
    """
    row = _waiting_row(connection, candidate, now)
    if row is None:
        return None
    action, first = Action(row.action), first_of(connection, row)
    if _went_elsewhere(first):
        return replace(candidate, goes_elsewhere=True)
    delivered = First(first.notification_id, first.receipt or {}) if first and first.state == "delivered" else None
    if action is Action.EDIT and delivered is None:
        _take_out(connection, candidate, now, state="suppressed", error=NOTHING_TO_EDIT)
        return None
    try:
        message = AlertMessage.from_json(row.message)
    except UnreadableMessage as error:
        # Kept, with its reason, for people to see.
        _take_out(connection, candidate, now, state="dead", error=str(error), lease_expires_at=None)
        return None
    if candidate.abandoned and action is not Action.EDIT:
        message = replace(message, possible_repeat=True)
    # Only above its own thread stands what it is about; a digest's is many alerts'.
    if delivered is None or first is None or first.alert_id is None:
        message = replace(message, brief=False)
    kind, lane = row.channel_type, places.of(row.channel_type, row.target)
    begun = row.first_attempt_at or now
    with connection.begin_nested() as attempt:
        taken = (
            lane_rows.start_lane(connection, kind, lane, now, places.gap_of(kind))
            and _in_flight(connection, kind, lane, candidate, places, now) < places.most_at_once(kind)
            and _take_out(
                connection,
                candidate,
                now,
                state="sending",
                attempts=candidate.attempts + 1,
                first_attempt_at=begun,
                lease_expires_at=now + lease(kind),
                message=message.to_json(),
            )
        )
        if not taken:
            attempt.rollback()
            return None
    return Notification(
        notification_id=row.notification_id,
        org_id=row.org_id,
        alert_id=row.alert_id,
        channel=row.channel,
        channel_type=kind,
        target=row.target,
        lane=lane,
        action=action,
        message=message,
        attempts=candidate.attempts + 1,
        created_at=row.created_at,
        first_attempt_at=begun,
        first=delivered,
    )


def give_away(
    connection: Connection,
    candidate: Candidate,
    now: datetime,
    fallback: Sequence[Receiver],
    *,
    places: Lanes = ANY_PLACE,
) -> bool:
    """Hand what waits for a broken lane to the `fallback` channels; False when someone else got it first."""
    row = _waiting_row(connection, candidate, now)
    if row is None or not _take_out(connection, candidate, now, state="dead", lease_expires_at=None):
        return False
    first, lane = first_of(connection, row), places.of(row.channel_type, row.target)
    reason = lane_rows.broken_reason(connection, row.channel_type, lane) or "the first message went elsewhere"
    values: dict[str, Any]
    try:
        handed = hand_over(connection, row, first, fallback, places, reason=reason, repeat=candidate.abandoned)
        values = {"error": handed.sentence, "receipt": handed.receipt}
    except UnreadableMessage as unreadable:
        values = {"error": str(unreadable)}
    connection.execute(update(outbox).where(outbox.c.notification_id == row.notification_id).values(**values))
    return True


def hurry(connection: Connection, kind: str, lane: str | None, now: datetime, *, places: Lanes = ANY_PLACE) -> None:
    """All that wait for a broken lane (None: for any of the type) are due, to go elsewhere.

    In a transaction of its own: it changes many rows.
    """
    waiting = [outbox.c.state.in_(TO_BE_SENT), outbox.c.channel_type == kind, outbox.c.next_attempt_at > now]
    if lane is not None:
        waiting.append(places.of_rows(outbox) == lane)
    connection.execute(update(outbox).where(UNFINISHED_ROW, *waiting).values(next_attempt_at=now))


def _still(candidate: Candidate, now: datetime) -> ColumnElement[bool]:
    return and_(
        outbox.c.notification_id == candidate.notification_id, outbox.c.attempts == candidate.attempts, is_due(now)
    )


def _went_elsewhere(first: Row[Any] | None) -> bool:
    return first is not None and first.state == "dead" and bool((first.receipt or {}).get("fallback"))


def _waiting_row(connection: Connection, candidate: Candidate, now: datetime) -> Row[Any] | None:
    return connection.execute(select(outbox).where(_still(candidate, now))).one_or_none()


def _take_out(connection: Connection, candidate: Candidate, now: datetime, **values: Any) -> bool:
    return connection.execute(update(outbox).where(_still(candidate, now)).values(**values)).rowcount == 1


def _in_flight(connection: Connection, kind: str, lane: str, candidate: Candidate, places: Lanes, now: datetime) -> int:
    """How many others are being sent there. Asked while the lane is ours, so that no two ask at once."""
    return connection.execute(
        select(func.count())
        .select_from(outbox)
        .where(
            UNFINISHED_ROW,
            outbox.c.state == "sending",
            outbox.c.channel_type == kind,
            places.of_rows(outbox) == lane,
            outbox.c.notification_id != candidate.notification_id,
            is_leased(outbox, now),
        )
    ).scalar_one()
