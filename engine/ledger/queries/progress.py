"""How far the ledger, the rules and the messages are."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import Connection, func, select

from engine.ledger.queries.health import drained_through, last_successes
from engine.ledger.tables import alerts, decisions, outbox

IDS_ASKED_AT_ONCE = 500
"""Databases bound the number of values in one statement."""


def decisions_stored(connection: Connection, decision_ids: Iterable[str]) -> int:
    """How many of these decisions are in SQL."""
    ids = list(decision_ids)
    return sum(
        connection.execute(
            select(func.count()).where(decisions.c.decision_id.in_(ids[start : start + IDS_ASKED_AT_ONCE]))
        ).scalar_one()
        for start in range(0, len(ids), IDS_ASKED_AT_ONCE)
    )


def alerts_fired_since(connection: Connection, org_id: str, since: datetime) -> int:
    """Alerts that fired at or after `since`; of thresholds crossed together only the one that was told."""
    fired = alerts.c.life["fired_at"].as_string()
    return connection.execute(
        select(func.count()).where(alerts.c.org_id == org_id, alerts.c.fired_at >= since, fired.is_not(None))
    ).scalar_one()


def notifications_delivered_since(connection: Connection, org_id: str, since: datetime) -> int:
    """Notifications delivered at or after `since`."""
    return connection.execute(
        select(func.count()).where(outbox.c.org_id == org_id, outbox.c.delivered_at >= since)
    ).scalar_one()


def is_settled(connection: Connection, org_id: str, instant: datetime) -> bool:
    """Whether everything before `instant` is in SQL, the rules have seen it, and no message waits to be sent."""
    drained = drained_through(connection, org_id)
    evaluated = last_successes(connection).get("crossings")
    waiting = connection.execute(
        select(func.count()).where(outbox.c.org_id == org_id, outbox.c.state.in_(("queued", "sending")))
    ).scalar_one()
    if drained is None or evaluated is None:
        return False
    return drained > instant and evaluated > drained and waiting == 0
