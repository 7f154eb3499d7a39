"""Alerts and the notifications sent about them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select

from engine.ledger.tables import alerts, outbox


@dataclass(frozen=True, slots=True)
class NotificationLine:
    """One alert and one notification about it; the notification's fields are None when nobody was told."""

    alert_id: str
    rule_id: str
    severity: str
    title: str
    alert_state: str
    fired_at: datetime
    channel: str | None
    channel_type: str | None
    target: str | None
    state: str | None
    attempts: int | None
    delivered_at: datetime | None
    error: str | None
    message: dict[str, Any] | None


def recent_notifications(connection: Connection, org_id: str, *, limit: int = 10) -> list[NotificationLine]:
    """The newest alerts, each with its notifications; at most `limit` lines."""
    newest = (
        select(alerts)
        .where(alerts.c.org_id == org_id)
        .order_by(alerts.c.fired_at.desc(), alerts.c.alert_id.desc())
        .limit(limit)
        .subquery()
    )
    rows = connection.execute(
        select(
            newest.c.alert_id,
            newest.c.rule_id,
            newest.c.severity,
            newest.c.title,
            newest.c.state,
            newest.c.fired_at,
            outbox.c.channel,
            outbox.c.channel_type,
            outbox.c.target,
            outbox.c.state,
            outbox.c.attempts,
            outbox.c.delivered_at,
            outbox.c.error,
            outbox.c.message,
        )
        .select_from(newest.outerjoin(outbox, outbox.c.alert_id == newest.c.alert_id))
        .order_by(newest.c.fired_at.desc(), newest.c.alert_id.desc(), outbox.c.channel, outbox.c.notification_id)
        .limit(limit)
    )
    return [NotificationLine(*tuple(row)) for row in rows]
