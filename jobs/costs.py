"""The jobs that compare estimates with actual costs and propose corrections of the price book."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime

from engine.document.store import live_version
from engine.errors import BursarError
from engine.ledger.calibrating import calibrate
from engine.ledger.database import Database
from engine.ledger.organizations import organization_ids
from engine.ledger.queries.health import last_successes
from engine.ledger.variance import VARIANCE_JOB, refresh_variance

logger = logging.getLogger(__name__)

AUTHOR = "bursar"


class JobFailed(BursarError):
    """The work failed for some organizations; it was done for the others."""


def count_variance(database: Database, now: datetime) -> None:
    """Count estimate against actual for every organization and every day that may have changed."""
    with database.read() as connection:
        last = last_successes(connection).get(VARIANCE_JOB)

    def count(org_id: str) -> None:
        deque(refresh_variance(database, org_id, now, last), maxlen=0)

    _for_each(database, "count estimates against costs", count)


def calibrate_all(database: Database, now: datetime) -> None:
    """Make today's calibration of every organization, by UTC, unless there is nothing to correct."""
    today = now.astimezone(UTC).date()

    def propose(org_id: str) -> None:
        with database.read() as connection:
            governed = live_version(connection, org_id) is not None
        if governed:
            calibrate(database, org_id, now, author=AUTHOR, reason=f"daily calibration of {today}", slot=today)

    _for_each(database, "calibrate", propose)


def _for_each(database: Database, what: str, do: Callable[[str], None]) -> None:
    """Do it for every organization; one that fails keeps no other back and still shows."""
    with database.read() as connection:
        names = organization_ids(connection)
    failures = []
    for org_id in names:
        try:
            do(org_id)
        except Exception as error:
            logger.exception("cannot %s for %s", what, org_id)
            failures.append(f"{org_id}: {type(error).__name__}: {error}")
    if failures:
        raise JobFailed(f"{len(failures)} of {len(names)} organizations failed; {failures[0]}")
