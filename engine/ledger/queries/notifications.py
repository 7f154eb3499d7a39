"""Alerts and the notifications sent about them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, case, func, select

from engine.ledger.queries.alerts import delivered_by
from engine.ledger.tables import alerts, outbox

MOST_CHANNELS = 8
"""So many are told of one alert at most, here."""


@dataclass(frozen=True, slots=True)
class Told:
    """The first message about an alert on one channel, and what became of it.

    `by` is the type of channel that took it: the log, where the channel's own is not configured. None: not yet known.
    `suppressed` messages have the reason in `error`.
    """

    channel: str
    channel_type: str
    target: str
    state: str
    attempts: int
    delivered_at: datetime | None
    error: str | None
    by: str | None


@dataclass(frozen=True, slots=True)
class NotificationLine:
    """One alert and who was told of it: nobody, when `told` is empty.

    `hidden_by` is silenced or inhibited, of an alert that is kept from people now.
    """

    alert_id: str
    rule_id: str
    severity: str
    title: str
    alert_state: str
    fired_at: datetime
    acknowledged_by: str | None
    hidden_by: str | None
    told: tuple[Told, ...] = ()


def recent_notifications(connection: Connection, org_id: str, *, limit: int = 10) -> list[NotificationLine]:
    """The newest alerts, at most `limit`, each with its first message on each channel."""
    newest = connection.execute(
        select(
            alerts.c.alert_id,
            alerts.c.rule_id,
            alerts.c.severity,
            alerts.c.title,
            alerts.c.state,
            alerts.c.fired_at,
            alerts.c.acknowledged_by,
            alerts.c.hidden_by,
        )
        .where(alerts.c.org_id == org_id)
        .order_by(alerts.c.fired_at.desc(), alerts.c.alert_id.desc())
        .limit(limit)
    ).all()
    told = _first_messages(connection, org_id, [row.alert_id for row in newest])
    return [NotificationLine(*row, told=tuple(told.get(row.alert_id, ()))) for row in newest]


def _first_messages(connection: Connection, org_id: str, ids: list[str]) -> dict[str, list[Told]]:
    """Of each alert the oldest post on each channel: edits, replies and repeats are about a message that is there."""
    if not ids:
        return {}
    # A message that was kept back is made up for by another, which is what people saw.
    kept_back = case((outbox.c.state == "suppressed", 1), else_=0)
    order = (kept_back, outbox.c.created_at, outbox.c.notification_id)
    place = func.row_number().over(partition_by=(outbox.c.alert_id, outbox.c.channel), order_by=order)
    posts = (
        select(outbox, place.label("place"))
        .where(outbox.c.org_id == org_id, outbox.c.alert_id.in_(ids), outbox.c.action == "post")
        .subquery()
    )
    rows = connection.execute(
        select(posts)
        .where(posts.c.place == 1)
        .order_by(posts.c.alert_id, posts.c.created_at, posts.c.channel)
        .limit(len(ids) * MOST_CHANNELS)
    )
    found: dict[str, list[Told]] = {}
    for row in rows:
        found.setdefault(row.alert_id, []).append(_told(row))
    return found


def _told(row: Row[Any]) -> Told:
    by = delivered_by(row.state, row.channel_type, row.receipt)
    return Told(
        row.channel, row.channel_type, row.target, row.state, row.attempts, row.delivered_at, row.error, by
    )  # fmt: skip
