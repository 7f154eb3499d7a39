"""Bring the counts of estimate against actual up to date before they are shown."""

from __future__ import annotations

import sys
from collections import deque
from datetime import datetime

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn

from engine.ledger.database import Database
from engine.ledger.queries.health import last_successes
from engine.ledger.variance import VARIANCE_JOB, refresh_variance


def count_with_progress(database: Database, org_id: str, now: datetime) -> None:
    """Count the days that may have changed; on a terminal it says which."""
    with database.read() as connection:
        last = last_successes(connection).get(VARIANCE_JOB)
    days = refresh_variance(database, org_id, now, last)
    if not sys.stderr.isatty():
        deque(days, maxlen=0)
        return
    console = Console(stderr=True)
    with Progress(SpinnerColumn(), TextColumn("{task.description}"), console=console, transient=True) as progress:
        task = progress.add_task("Counting calls ...")
        for day in days:
            progress.update(task, description=f"Counting calls of {day} ...")
