"""Keep SQL up with the event streams of every organization; one thread of a worker."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from engine.admission.gate import RedisGate
from engine.alerting.heartbeats import record_failure, record_success
from engine.clock import utc_now
from engine.drain import LedgerDrain
from engine.errors import BursarError
from engine.ledger.database import Database
from engine.ledger.organizations import organization_ids
from engine.ledger.writer import CursorMoved

logger = logging.getLogger(__name__)

JOB = "ledger"
IDLE_SECONDS = 0.1
SWEEP_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 5.0


class WriterLoop:
    """Drains the organizations whose lease this worker gets, until stopped.

    1. Once a second: look for new organizations, expire due holds, write the heartbeat.
    2. Store the next batch of each organization; rest a moment when all are at their stream's end.
    3. When Redis or SQL is away, say so once and try again, less and less often, up to every five seconds.
    """

    def __init__(self, database: Database, gate: RedisGate, *, lease_seconds: int) -> None:
        self._database = database
        self._gate = gate
        self._lease_seconds = lease_seconds
        self._drains: dict[str, LedgerDrain] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ledger-writer", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self, *, timeout: float = 30.0) -> None:
        """Store what the streams still hold, give the leases back, and end."""
        self._stopping.set()
        self._thread.join(timeout)

    def _run(self) -> None:
        pause = 0.0
        last_round = 0.0
        while not self._stopping.is_set():
            try:
                if time.monotonic() >= last_round + SWEEP_SECONDS:
                    self._look_around()
                    last_round = time.monotonic()
                busy = self._store_next()
            except Exception as problem:  # noqa: BLE001 - the writer must outlive every failure
                # Whatever it is, the events are safe in the stream; the next round tries again.
                if pause == 0:
                    self._report(problem)
                pause = min(LONGEST_PAUSE_SECONDS, max(0.1, pause * 2))
                self._stopping.wait(pause)
                continue
            if pause:
                logger.info("the ledger is being written again")
                pause = 0.0
            if not busy:
                self._stopping.wait(IDLE_SECONDS)
        self._finish()

    def _look_around(self) -> None:
        with self._database.read() as connection:
            known = organization_ids(connection)
        for org_id in known:
            if org_id not in self._drains:
                self._drains[org_id] = LedgerDrain(
                    self._database, self._gate, org_id, lease_seconds=self._lease_seconds
                )
        self._for_each(lambda drain: drain.sweep() if drain.leading else None)
        with self._database.write() as connection:
            record_success(connection, JOB, utc_now())

    def _store_next(self) -> bool:
        busy = False

        def store(drain: LedgerDrain) -> None:
            nonlocal busy
            step = drain.step()
            busy = busy or (step.leading and not step.at_end)

        self._for_each(store)
        return busy

    def _for_each(self, do: Callable[[LedgerDrain], None]) -> None:
        """Do it for every organization; what went wrong with one is raised after the others had their turn."""
        problem: Exception | None = None
        for drain in self._drains.values():
            try:
                do(drain)
            except CursorMoved:
                continue
            except Exception as error:  # noqa: BLE001 - raised below
                problem = error
        if problem is not None:
            raise problem

    def _finish(self) -> None:
        for drain in self._drains.values():
            try:
                while (step := drain.step()).leading and not step.at_end:
                    pass
                drain.release()
            except Exception as problem:  # noqa: BLE001 - the other organizations' events are stored all the same
                logger.warning("%s: left to the next worker: %s", drain.org_id, problem)

    def _report(self, problem: Exception) -> None:
        expected = isinstance(problem, BursarError)
        logger.error("the ledger cannot be written now: %s", problem, exc_info=None if expected else problem)
        try:
            with self._database.write() as connection:
                record_failure(connection, JOB, utc_now(), str(problem).splitlines()[0])
        except BursarError:
            # The page sees that the heartbeat is old.
            logger.debug("the failure cannot be written to the ledger either")
