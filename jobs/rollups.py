"""The job that counts the rollups which an upgrade has left to be counted."""

from __future__ import annotations

import time
from datetime import datetime

from engine.errors import BursarError
from engine.ledger.database import Database
from engine.ledger.rollup_days import count_due_day, organizations_with_due_rollups
from jobs.organizations import for_each_organization

ROLLUPS_FOR_SECONDS = 5.0
"""After so long the job leaves the rest to its next run, so that others have their turn and a worker can end."""


class RollupsDue(BursarError):
    """The rollups of some organizations could not be counted; those of the others were."""


def count_rollups(database: Database, now: datetime, *, seconds: float = ROLLUPS_FOR_SECONDS) -> None:
    """Count due rollups for a while, a day of each organization in turn; nearly always there are none.

    Whose day is oldest comes first, and has its day however long it takes; so in many short runs everybody has a turn.
    """
    deadline = time.monotonic() + seconds
    counted = 0

    def count_a_day(org_id: str) -> None:
        nonlocal counted
        if not counted or time.monotonic() <= deadline:
            counted += 1
            count_due_day(database, org_id, now)

    while True:
        with database.read() as connection:
            due = organizations_with_due_rollups(connection)
        failures = for_each_organization(database, "count the rollups of", count_a_day, among=due)
        if failures.sentences:
            raise RollupsDue(f"{failures.share} failed; {failures.sentences[0]}")
        if not due or time.monotonic() > deadline:
            return
