"""One worker process: the ledger writer, the scheduled jobs, and an ear for clicks in Slack."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from engine.admission.connect import open_gate
from engine.ledger.database import Database
from engine.ledger.migrate import migrate
from engine.settings import Settings
from jobs.delivery.responding import listener_of
from jobs.schedule import build_scheduler
from jobs.writer_loop import WriterLoop

REDIS_TIMEOUT_SECONDS = 5.0
"""The worker waits longer for Redis than a call does: nobody waits for it, and batches are large."""


@contextlib.contextmanager
def running_worker(settings: Settings) -> Iterator[Database]:
    """Run a worker while the block runs; its end stores what the streams still hold.

    Any number of workers may share a database and a Redis: each organization's ledger is written by one at a time.
    """
    with (
        contextlib.closing(Database.of(settings)) as database,
        open_gate(settings, timeout_seconds=REDIS_TIMEOUT_SECONDS) as gate,
    ):
        migrate(database)
        writer = WriterLoop(database, gate, lease_seconds=settings.lease_seconds)
        scheduler = build_scheduler(database, settings, gate=gate)
        with listener_of(settings, database):
            writer.start()
            scheduler.start()
            try:
                yield database
            finally:
                # First of all: a job may take a while, and the leases are wanted by others.
                writer.stop()
                scheduler.shutdown()
