"""The queue of notifications, as those who have something to tell see it: put one in, group what may wait.

waiting -> queued -> sending (with a lease) -> delivered | retry | unknown | dead; or suppressed, with the reason.
`outbox_claims` has the sender's side, `outbox_fallback` what becomes of messages that their
channel does not take.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select, update

from engine.alerting.action import Action
from engine.alerting.alert_message import AlertMessage, UnreadableMessage
from engine.alerting.grouping import WAIT
from engine.ids import new_decision_id
from engine.ledger.tables import outbox
from engine.ledger.upsert import insert_or

DIGEST = "digest:"
"""Before a notification's id: why a message is suppressed that this one stands for."""
SUPERSEDED = "superseded"
"""Why an edit is suppressed that a newer one overtook."""
TO_BE_SENT = ("queued", "retry", "unknown")
UNFINISHED = ("waiting", *TO_BE_SENT, "sending")
MOST_GROUPS = 100
MOST_IN_GROUP = 1000
UNREADABLE = AlertMessage(severity="info", title="A message that cannot be read")
"""Where a stored message is none; it leaves as the others do, and the sender finds it dead."""


@dataclass(frozen=True, slots=True)
class Receiver:
    """A channel of a governance document, by its name there: what delivers to it, and where exactly.

    One e-mail channel is one receiver whatever the number of its addresses: they share a letter and its thread.
    """

    name: str
    kind: str
    target: str
    mention: str | None = None


LOG = Receiver("log", "log", "")
"""Built in, for routes without a channel."""


@dataclass(frozen=True, slots=True)
class WaitingMessage:
    """The first message of an alert that waits for others."""

    notification_id: str
    alert_id: str | None
    message: AlertMessage
    created_at: datetime


@dataclass(frozen=True, slots=True)
class WaitingGroup:
    """First messages for one channel whose time to leave has come, the oldest first; at most `MOST_IN_GROUP`."""

    group_key: str
    org_id: str
    receiver: Receiver
    messages: tuple[WaitingMessage, ...]

    @property
    def ids(self) -> tuple[str, ...]:
        """Of the notifications."""
        return tuple(message.notification_id for message in self.messages)


def enqueue(
    connection: Connection,
    *,
    org_id: str,
    alert_id: str | None,
    channel: Receiver,
    action: Action,
    dedupe_key: str,
    message: AlertMessage,
    now: datetime,
    first_notification_id: str | None = None,
    group_key: str | None = None,
    suppressed: str | None = None,
) -> str | None:
    """Queue one notification in the caller's transaction; its id, or None when the `dedupe_key` exists already.

    `suppressed` says why nobody gets it: it is kept for the record. With `group_key` it waits for more of its kind
    (`waiting_groups`). The messages of one step have one key up to the channel's name, which ends it after a bar: who
    stands in for several of them tells it once. An edit takes the place of older edits of the same first message that
    have not left yet; a digest stands for many alerts and is never edited.
    """
    if suppressed is None and action is Action.EDIT:
        suppressed = _digest_of(connection, first_notification_id)
    state = "suppressed" if suppressed is not None else "queued" if group_key is None else "waiting"
    notification_id = insert_row(
        connection,
        org_id=org_id,
        alert_id=alert_id,
        channel=channel.name,
        channel_type=channel.kind,
        target=channel.target,
        dedupe_key=dedupe_key,
        action=action.value,
        first_notification_id=first_notification_id,
        message=message.to_json(),
        state=state,
        group_key=group_key if state == "waiting" else None,
        next_attempt_at=now + WAIT if state == "waiting" else now,
        created_at=now,
        error=suppressed,
    )
    if notification_id is not None and action is Action.EDIT and state == "queued":
        connection.execute(
            update(outbox)
            .where(
                outbox.c.alert_id == alert_id,
                outbox.c.first_notification_id == first_notification_id,
                outbox.c.action == Action.EDIT.value,
                outbox.c.state.in_(TO_BE_SENT),
                outbox.c.notification_id != notification_id,
            )
            .values(state="suppressed", error=SUPERSEDED)
        )
    return notification_id


def insert_row(connection: Connection, **values: Any) -> str | None:
    """Insert an outbox row, not tried yet; its new id, or None when its `dedupe_key` exists."""
    return connection.execute(
        insert_or(connection, outbox)
        .values(notification_id=new_decision_id(), attempts=0, **values)
        .on_conflict_do_nothing(index_elements=["dedupe_key"])
        # Asked for by name: the row count of an INSERT does not reach us through every driver.
        .returning(outbox.c.notification_id)
    ).scalar_one_or_none()


def waiting_groups(connection: Connection, now: datetime) -> list[WaitingGroup]:
    """The groups whose oldest message has waited long enough; all of a group leaves together. At most `MOST_GROUPS`.

    More than `grouping.MOST_SINGLE` of a group are for `digest`, fewer for `release`.
    """
    keys = connection.execute(
        select(outbox.c.group_key)
        .where(outbox.c.state == "waiting", outbox.c.next_attempt_at <= now)
        .distinct()
        .order_by(outbox.c.group_key)
        .limit(MOST_GROUPS)
    ).scalars()
    return [group for key in keys.all() if (group := _group(connection, key)) is not None]


def release(connection: Connection, ids: Collection[str], now: datetime) -> int:
    """Let waiting messages leave, each by itself; how many still waited."""
    return connection.execute(
        update(outbox)
        .where(outbox.c.notification_id.in_(ids), outbox.c.state == "waiting")
        .values(state="queued", next_attempt_at=now)
    ).rowcount


def withhold(connection: Connection, ids: Collection[str], reason: str) -> int:
    """Keep waiting messages from people, for the record; how many still waited."""
    return connection.execute(
        update(outbox)
        .where(outbox.c.notification_id.in_(ids), outbox.c.state == "waiting")
        .values(state="suppressed", error=reason, group_key=None)
    ).rowcount


def digest(
    connection: Connection,
    ids: Sequence[str],
    *,
    org_id: str,
    channel: Receiver,
    dedupe_key: str,
    message: AlertMessage,
    now: datetime,
) -> str | None:
    """Queue one message for all that wait under `ids`; its id, or None when another worker has let them leave.

    What is told of their alerts later goes into the digest's thread.
    """
    rows = connection.execute(
        select(outbox.c.notification_id, outbox.c.alert_id)
        .where(outbox.c.notification_id.in_(ids), outbox.c.state == "waiting")
        .order_by(outbox.c.notification_id)
        .with_for_update()
    ).all()
    if len(rows) != len(set(ids)):
        # Somebody is letting them leave: what is left is looked at again.
        return None
    digest_id = enqueue(
        connection,
        org_id=org_id,
        alert_id=None,
        channel=channel,
        action=Action.POST,
        dedupe_key=dedupe_key,
        message=message,
        now=now,
    )
    if digest_id is None:
        return None
    waiting = [row.notification_id for row in rows]
    reason = {"state": "suppressed", "error": f"{DIGEST}{digest_id}"}
    connection.execute(update(outbox).where(outbox.c.notification_id.in_(waiting)).values(**reason))
    # Some were followed by news while they waited.
    news = (
        outbox.c.alert_id.in_({row.alert_id for row in rows}),
        outbox.c.first_notification_id.in_(waiting),
        outbox.c.state.in_(TO_BE_SENT),
    )
    connection.execute(update(outbox).where(*news, outbox.c.action == Action.EDIT.value).values(**reason))
    connection.execute(update(outbox).where(*news).values(first_notification_id=digest_id))
    return digest_id


def _digest_of(connection: Connection, first_notification_id: str | None) -> str | None:
    """The reason not to edit a first message that is a digest: alone of all firsts it is about no alert."""
    found = connection.execute(
        select(outbox.c.notification_id).where(
            outbox.c.notification_id == first_notification_id, outbox.c.alert_id.is_(None)
        )
    ).first()
    return None if found is None else f"{DIGEST}{first_notification_id}"


def _read(stored: Any) -> AlertMessage:
    try:
        return AlertMessage.from_json(stored)
    except UnreadableMessage:
        return UNREADABLE


def _group(connection: Connection, group_key: str) -> WaitingGroup | None:
    rows = connection.execute(
        select(outbox)
        .where(outbox.c.state == "waiting", outbox.c.group_key == group_key)
        .order_by(outbox.c.next_attempt_at, outbox.c.notification_id)
        .limit(MOST_IN_GROUP)
    ).all()
    if not rows:
        return None
    messages = tuple(
        WaitingMessage(row.notification_id, row.alert_id, _read(row.message), row.created_at) for row in rows
    )
    head = rows[0]
    mention = next((each.message.mention for each in messages if each.message is not UNREADABLE), None)
    receiver = Receiver(head.channel, head.channel_type, head.target, mention)
    return WaitingGroup(group_key, head.org_id, receiver, messages)
