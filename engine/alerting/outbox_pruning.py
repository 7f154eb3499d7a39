"""Old notifications leave the outbox."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import delete, exists, func, or_, select

from engine.alerting.alert import State
from engine.alerting.outbox import DIGEST
from engine.ledger.database import Database
from engine.ledger.tables import alerts, outbox

OUTBOX_KEPT = timedelta(days=90)
FINISHED = ("delivered", "dead", "suppressed")
BATCH = 1_000


def prune_outbox(database: Database, before: datetime) -> int:
    """Remove what is finished and was queued before `before`; how many rows.

    What is about an alert that is not over stays, and a digest as long as one of the messages that it stands for.
    """
    about_open = exists().where(
        alerts.c.alert_id == outbox.c.alert_id, alerts.c.state.in_((State.PENDING, State.FIRING, State.RECOVERING))
    )
    one = outbox.alias("one")
    stood_for = select(func.substr(one.c.error, len(DIGEST) + 1)).where(
        one.c.state == "suppressed", one.c.error.startswith(DIGEST, autoescape=True)
    )
    old = (
        select(outbox.c.notification_id)
        .where(
            outbox.c.state.in_(FINISHED),
            outbox.c.created_at < before,
            ~about_open,
            or_(outbox.c.alert_id.is_not(None), outbox.c.notification_id.not_in(stood_for)),
        )
        .limit(BATCH)
    )
    removed = 0
    while True:
        with database.write() as connection:
            batch = connection.execute(delete(outbox).where(outbox.c.notification_id.in_(old))).rowcount
        removed += batch
        if batch < BATCH:
            return removed
