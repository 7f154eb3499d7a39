"""What became of a notification that a sender took: delivered, to be tried again, dead, or its place is broken.

Each answers whether the message was still this sender's. When its lease had run out, only the lane learns of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, Row, select, update

from engine.alerting import lane_rows
from engine.alerting.action import Action
from engine.alerting.lane_rows import Lanes
from engine.alerting.outbox import SUPERSEDED, Receiver, insert_row
from engine.alerting.outbox_claims import Notification
from engine.alerting.outbox_due import ANY_PLACE
from engine.alerting.outbox_fallback import first_of, hand_over
from engine.ledger.tables import outbox


def mark_delivered(
    connection: Connection,
    notification: Notification,
    *,
    by: str,
    receipt: Mapping[str, Any],
    now: datetime,
    sent: bool = True,
    left_out: str = "",
    again_at: datetime | None = None,
) -> bool:
    """It arrived, by a channel of type `by`. False when the lease was lost to someone who repeats it.

    Not `sent`: there was nothing to send, which proves nothing about the lane. `left_out` are the addresses of it that
    take no mail for now: they get a notification of their own at `again_at`, and the others do not hear of it twice.
    """
    kind = notification.channel_type
    # What stood in for the channel (the log, when nothing is configured) proves nothing about it either.
    lane_rows.finish_lane(connection, kind, notification.lane, now, delivered=sent and by.startswith(kind))
    kept = {**receipt, "by": by} if by != kind else dict(receipt)
    if not _finish(connection, notification, state="delivered", receipt=kept, delivered_at=now, error=None):
        return False
    if left_out:
        insert_row(
            connection,
            org_id=notification.org_id,
            alert_id=notification.alert_id,
            channel=notification.channel,
            channel_type=kind,
            target=left_out,
            dedupe_key=f"{notification.notification_id}|left out",
            # A reply, so that it is nobody's first message.
            action=Action.REPLY.value,
            first_notification_id=None if notification.first is None else notification.first.notification_id,
            message=notification.message.to_json(),
            state="queued",
            next_attempt_at=again_at or now,
            created_at=notification.created_at,
        )
    return True


def mark_retry(
    connection: Connection,
    notification: Notification,
    *,
    state: Literal["retry", "unknown"],
    error: str,
    at: datetime,
    maybe_delivered: bool,
    now: datetime,
    lane_paused_until: datetime | None = None,
) -> bool:
    """Try again at `at`; when it may have arrived all the same, the next one says so. A newer edit takes its place.

    A pause of the lane holds it anyway: it keeps its place among those that wait for the end of it.
    """
    _finish_lane(connection, notification, now, lane_paused_until)
    if notification.action is Action.EDIT and _has_newer_edit(connection, notification):
        return _finish(connection, notification, state="suppressed", error=SUPERSEDED)
    repeat = notification.message.possible_repeat or maybe_delivered
    message = replace(notification.message, possible_repeat=repeat).to_json()
    when = {"next_attempt_at": at} if lane_paused_until is None else {}
    return _finish(connection, notification, state=state, error=error, message=message, **when)


def mark_dead(
    connection: Connection,
    notification: Notification,
    *,
    error: str,
    now: datetime,
    fallback: Sequence[Receiver] = (),
    places: Lanes = ANY_PLACE,
    gave_up: bool = False,
    maybe_delivered: bool = False,
) -> bool:
    """It cannot be delivered and is not tried again; the `fallback` channels get it.

    When the sender `gave_up` on the place, what follows goes there too. A message that was refused for what it is takes
    nobody else along: of such ones only those that people must see go elsewhere.
    """
    _finish_lane(connection, notification, now, None)
    row = _mine(connection, notification)
    if row is None:
        return False
    if not gave_up and notification.action not in (Action.POST, Action.BROADCAST):
        return _finish(connection, notification, state="dead", error=error)
    repeat = notification.message.possible_repeat or maybe_delivered
    handed = hand_over(connection, row, first_of(connection, row), fallback, places, reason=error, repeat=repeat)
    where = {"receipt": handed.receipt} if gave_up else {}
    return _finish(connection, notification, state="dead", error=handed.sentence, **where)


def mark_broken(
    connection: Connection,
    notification: Notification,
    *,
    error: str,
    now: datetime,
    fallback: Sequence[Receiver] = (),
    places: Lanes = ANY_PLACE,
    whole_kind: bool = False,
) -> bool:
    """The place takes no messages: its lane is broken, and this one goes to the `fallback` channels.

    What waits for the lane follows when it is due: `outbox_claims.hurry` makes it so. With `whole_kind` the other lanes
    of the type are broken too: `lane_rows.break_kind`.
    """
    kind, lane = notification.channel_type, notification.lane
    news = lane_rows.break_lane(connection, kind, lane, error, now, whole_kind=whole_kind)
    row = _mine(connection, notification)
    if row is None:
        return False
    handed = hand_over(
        connection, row, first_of(connection, row), fallback, places,
        reason=error, tell_all=news, whole_kind=whole_kind,
    )  # fmt: skip
    return _finish(connection, notification, state="dead", error=handed.sentence, receipt=handed.receipt)


def _mine(connection: Connection, notification: Notification) -> Row[Any] | None:
    return connection.execute(
        select(outbox).where(
            outbox.c.notification_id == notification.notification_id,
            outbox.c.state == "sending",
            outbox.c.attempts == notification.attempts,
        )
    ).one_or_none()


def _has_newer_edit(connection: Connection, notification: Notification) -> bool:
    found = connection.execute(
        select(outbox.c.notification_id)
        .where(
            outbox.c.alert_id == notification.alert_id,
            outbox.c.first_notification_id == (notification.first and notification.first.notification_id),
            outbox.c.action == Action.EDIT.value,
            outbox.c.state != "suppressed",
            outbox.c.notification_id > notification.notification_id,
        )
        .limit(1)
    ).first()
    return found is not None


def _finish_lane(
    connection: Connection, notification: Notification, now: datetime, paused_until: datetime | None
) -> None:
    kind, lane = notification.channel_type, notification.lane
    lane_rows.finish_lane(connection, kind, lane, now, delivered=False)
    if paused_until is not None:
        lane_rows.pause_lane(connection, kind, lane, paused_until, now)


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
