"""Keep SQL up with the event streams of every organization; one thread of a worker."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from engine.admission.gate import RedisGate
from engine.alerting.heartbeats import record_failure, record_success
from engine.clock import utc_now
from engine.drain import LedgerDrain
from engine.errors import BursarError
from engine.ledger.database import Database
from engine.ledger.organizations import StreamBacklog, governed_organization_ids, note_backlog
from engine.ledger.writer import CursorMoved

logger = logging.getLogger(__name__)

JOB = "ledger"
IDLE_SECONDS = 0.1
SWEEP_SECONDS = 1.0
SHORTEST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 5.0

EVERYBODY = ""
"""Stands for what is not about one organization."""


@dataclass(frozen=True, slots=True)
class _Trouble:
    """What failed last time, and until when it is not tried again."""

    problem: Exception
    pause: float
    until: float

    @property
    def sentence(self) -> str:
        first = next(iter(str(self.problem).strip().splitlines()), "")
        return first if isinstance(self.problem, BursarError) else f"{type(self.problem).__name__}: {first}"


class WriterLoop:
    """Drains the organizations whose lease this worker gets, until stopped.

    1. Once a second: look for new organizations, expire due holds, write the heartbeat and how much waits.
    2. Store the next batch of each organization; rest a moment when all are at their stream's end.
    3. What fails for an organization is said once and tried again, less and less often, up to every five seconds; the
       others go on meanwhile. So it is when Redis or SQL is away, which is to fail for all.
    """

    def __init__(self, database: Database, gate: RedisGate, *, lease_seconds: int) -> None:
        self._database = database
        self._gate = gate
        self._lease_seconds = lease_seconds
        self._drains: dict[str, LedgerDrain] = {}
        # By organization and what was tried.
        self._troubles: dict[tuple[str, str], _Trouble] = {}
        # Whose failing the log has told of.
        self._told: set[str] = set()
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
        next_round = 0.0
        while not self._stopping.is_set():
            if time.monotonic() >= next_round:
                next_round = time.monotonic() + SWEEP_SECONDS
                self._try(EVERYBODY, "look after the ledgers", self._look_around)
            busy = self._store_next()
            self._tell()
            if not busy:
                self._stopping.wait(IDLE_SECONDS)
        self._finish()

    def _look_around(self) -> bool:
        with self._database.read() as connection:
            # One without a document has no budgets yet, and nothing can have been decided for it.
            known = governed_organization_ids(connection)
        for org_id in known:
            if org_id not in self._drains:
                self._drains[org_id] = LedgerDrain(
                    self._database, self._gate, org_id, lease_seconds=self._lease_seconds, collects_garbage=False
                )
        waiting: dict[str, StreamBacklog] = {}

        def look(drain: LedgerDrain) -> bool:
            if drain.leading:
                drain.sweep()
                waiting[drain.org_id] = drain.backlog()
            return drain.leading

        self._for_each("sweep", look)
        self._write_heartbeat(waiting)
        return True

    def _write_heartbeat(self, waiting: dict[str, StreamBacklog]) -> None:
        """Say how much waits, for whom we could do nothing, and that the ledger is written, if it is by us.

        A worker that leads nowhere says nothing: it must not cover for the one that leads and fails.
        """
        failing = self._failing()
        with self._database.write() as connection:
            now = utc_now()
            for org_id in sorted(waiting):
                note_backlog(connection, org_id, waiting[org_id], now)
            if failing:
                record_failure(connection, JOB, now, self._sentence(failing))
            written = any(drain.leading and org_id not in failing for org_id, drain in self._drains.items())
            if written or not self._drains:
                record_success(connection, JOB, now)

    def _store_next(self) -> bool:
        busy = False

        def store(drain: LedgerDrain) -> bool:
            nonlocal busy
            step = drain.step()
            busy = busy or (step.leading and not step.at_end)
            return step.leading

        self._for_each("store", store)
        return busy

    def _for_each(self, what: str, do: Callable[[LedgerDrain], bool]) -> None:
        for org_id, drain in self._drains.items():
            if self._stopping.is_set():
                return
            self._try(org_id, what, partial(do, drain))

    def _try(self, org_id: str, what: str, do: Callable[[], bool]) -> None:
        """Do it unless it has just failed. A failure is remembered, never raised: the others must have their turn.

        `do` says whether it was ours to do.
        """
        before = self._troubles.get((org_id, what))
        if before is not None and time.monotonic() < before.until:
            return
        try:
            ours = do()
        except CursorMoved:
            # Another worker was faster.
            return
        except Exception as problem:  # noqa: BLE001 - the writer must outlive every failure
            # Whatever it is, the events are safe in the stream.
            self._remember(org_id, what, problem)
        else:
            had_trouble = self._troubles.pop((org_id, what), None) is not None
            if had_trouble and not ours and org_id not in self._failing():
                # Another worker leads now: whether it fares better is for that one to say.
                self._told.discard(org_id)

    def _remember(self, org_id: str, what: str, problem: Exception) -> None:
        before = self._troubles.get((org_id, what))
        pause = SHORTEST_PAUSE_SECONDS if before is None else min(LONGEST_PAUSE_SECONDS, before.pause * 2)
        trouble = self._troubles[org_id, what] = _Trouble(problem, pause, time.monotonic() + pause)
        expected = isinstance(problem, BursarError)
        # What is expected of organizations is told of all of them together.
        is_new = before is None or type(problem) is not type(before.problem)
        if is_new and not (expected and org_id):
            logger.error("cannot %s %s: %s", what, org_id, trouble.sentence, exc_info=None if expected else problem)

    def _failing(self) -> dict[str, _Trouble]:
        """One trouble of each organization that has any."""
        return {org_id: trouble for (org_id, _), trouble in self._troubles.items() if org_id != EVERYBODY}

    def _tell(self) -> None:
        """Say in the log for whom something has begun to fail, and for whom nothing fails any more; once each."""
        failing = self._failing()
        if new := {org_id: trouble for org_id, trouble in failing.items() if org_id not in self._told}:
            logger.error("the ledger cannot be written now: %s", self._sentence(new))
        if again := self._told - failing.keys():
            logger.info("the ledger is being written again: %s", ", ".join(sorted(again)))
        self._told = set(failing)

    def _sentence(self, failing: dict[str, _Trouble]) -> str:
        org_id, trouble = next(iter(sorted(failing.items())))
        return f"{len(failing)} of {len(self._drains)} organizations; {org_id}: {trouble.sentence}"

    def _finish(self) -> None:
        for drain in self._drains.values():
            try:
                while (step := drain.step()).leading and not step.at_end:
                    pass
                drain.release()
            except Exception as problem:  # noqa: BLE001 - the other organizations' events are stored all the same
                logger.warning("%s: left to the next worker: %s", drain.org_id, problem)
