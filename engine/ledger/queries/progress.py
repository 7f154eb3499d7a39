"""How far the ledger, the rules and the messages are."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, func, select

from engine.ledger.tables import alerts, heartbeats, organizations, outbox


def alerts_fired_since(connection: Connection, org_id: str, since: datetime) -> int:
    """Alerts that fired at or after `since`."""
    return connection.execute(
        select(func.count()).where(alerts.c.org_id == org_id, alerts.c.fired_at >= since)
    ).scalar_one()


def notifications_delivered_since(connection: Connection, org_id: str, since: datetime) -> int:
    """Notifications delivered at or after `since`."""
    return connection.execute(
        select(func.count()).where(outbox.c.org_id == org_id, outbox.c.delivered_at >= since)
    ).scalar_one()


def is_settled(connection: Connection, org_id: str, instant: datetime) -> bool:
    """Whether everything before `instant` is in SQL, the rules have seen it, and no message waits to be sent."""
    drained = connection.execute(
        select(organizations.c.drained_through).where(organizations.c.org_id == org_id)
    ).scalar_one_or_none()
    evaluated = connection.execute(
        select(heartbeats.c.last_success_at).where(heartbeats.c.job == "evaluate")
    ).scalar_one_or_none()
    waiting = connection.execute(
        select(func.count()).where(outbox.c.org_id == org_id, outbox.c.state.in_(("queued", "sending")))
    ).scalar_one()
    if drained is None or evaluated is None:
        return False
    return drained > instant and evaluated > drained and waiting == 0
