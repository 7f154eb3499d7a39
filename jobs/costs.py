"""The jobs that compare estimates with actual costs and propose corrections of the price book."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime

from engine.document.store import live_version
from engine.errors import BursarError
from engine.ledger.calibrating import calibrate
from engine.ledger.database import Database
from engine.ledger.queries.health import last_successes
from engine.ledger.variance import VARIANCE_JOB, refresh_variance
from jobs.organizations import for_each_organization

AUTHOR = "bursar"


class JobFailed(BursarError):
    """The work failed for some organizations; it was done for the others."""


def count_variance(database: Database, now: datetime) -> None:
    """Count estimate against actual for every organization and every day that may have changed."""
    with database.read() as connection:
        last = last_successes(connection).get(VARIANCE_JOB)

    def count(org_id: str) -> None:
        deque(refresh_variance(database, org_id, now, last), maxlen=0)

    _for_each(database, "count estimates against costs of", count)


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
    failures = for_each_organization(database, what, do)
    if failures.sentences:
        raise JobFailed(f"{failures.share} failed; {failures.sentences[0]}")
