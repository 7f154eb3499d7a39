"""The job that makes tables for the months to come and drops what is older than is kept."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from engine.alerting.outbox_pruning import OUTBOX_KEPT, prune_outbox
from engine.ledger.checkpoints import later_month, month_of
from engine.ledger.database import Database
from engine.ledger.late import LATE_KEPT, prune_late
from engine.ledger.partitions import MONTHS_AHEAD, open_month
from engine.ledger.retention import drop_old
from engine.ledger.rollups import minutes_from
from engine.ledger.totals import prune_minutes

MINUTES_MARGIN = timedelta(hours=1)
"""Rows by the minute are removed so much later than the ledger writer opens them: its clock may be another one."""

logger = logging.getLogger(__name__)


def keep_months(database: Database, retention_months: int | None, now: datetime) -> None:
    """Have tables for this month and the next two; remove old minutes, late calls and messages.

    With `retention_months`, drop events and decisions that are older (engine/ledger/retention.py).
    """
    for ahead in range(MONTHS_AHEAD + 1):
        month = later_month(month_of(now), ahead)
        with database.write() as connection:
            if open_month(connection, month):
                logger.info("made the table for events of %s", month)
    prune_minutes(database, minutes_from(now) - MINUTES_MARGIN)
    prune_late(database, now - LATE_KEPT)
    prune_outbox(database, now - OUTBOX_KEPT)
    if retention_months is None:
        return
    for dropped in drop_old(database, retention_months, now):
        logger.info(
            "%s: dropped %d events of %d months and %d decisions",
            dropped.org_id,
            dropped.events,
            len(dropped.months),
            dropped.decisions,
        )
