"""Keep pending events in SQL without letting a slow or dead database hold up the caller.

One thread writes; callers wait for it as long as they like. Events that come while it writes go together in the next
transaction.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from engine.admission.breaker import Breaker
from engine.errors import BursarError, DatabaseError
from engine.ledger.database import Database
from engine.ledger.pending import PendingEvent, keep_pending, withdraw_check
from engine.ledger.spool import Spool

logger = logging.getLogger(__name__)

BATCH = 500
MOST_WAITING = 10_000
"""Events that wait in memory for the database; further ones are refused, or counted and let go when nobody waits."""
STUCK_SECONDS = 1.0
"""A transaction that takes longer is not waited for any more."""
RETRY_SECONDS = 1.0


@dataclass(slots=True)
class Entry:
    """An event on its way to SQL. `kept` becomes the payload in SQL: its own, or an earlier one's."""

    event: PendingEvent
    kept: Future[dict[str, Any]] = field(default_factory=Future)
    denial: PendingEvent | None = None
    left: bool = False
    written: PendingEvent | None = None


class PendingRecorder:
    """Writes pending events. Safe to share between threads; `close` when done.

    1. Take what waits, write it in one transaction, and say so to those who wait for it.
    2. An entry withdrawn meanwhile is corrected in the next transaction.
    3. When the database is away, callers are told at once while the breaker is open; entries that nobody waits for
       (`leave`) and the spool are tried again every second.
    """

    def __init__(self, database: Database, spool: Spool, *, breaker: Breaker | None = None) -> None:
        self.spool = spool
        self.breaker = breaker or Breaker(failures=1, rest_seconds=RETRY_SECONDS)
        self.lost = 0
        self._database = database
        self._wake = threading.Condition()
        self._queue: deque[Entry] = deque()
        self._closing = False
        self._writing_since = 0.0
        self._thread: threading.Thread | None = None

    def record(self, event: PendingEvent) -> Entry:
        """Keep an event; wait for the entry's `kept`. It fails with `DatabaseError` when the database is away."""
        entry = Entry(event)
        stuck = self._writing_since and time.monotonic() > self._writing_since + STUCK_SECONDS
        if stuck or not self.breaker.may_try():
            entry.kept.set_exception(DatabaseError("the ledger database has not answered lately"))
        else:
            self._put(entry)
        return entry

    def leave(self, event: PendingEvent) -> None:
        """Keep an event some time; nobody waits."""
        self._put(Entry(event, left=True))

    def withdraw(self, entry: Entry, denial: PendingEvent) -> None:
        """The caller waits no longer and answers no: whatever becomes of the entry, its hold must not stay."""
        with self._wake:
            entry.denial = denial
            entry.left = True
        # One that failed may have been stored all the same; one that is being written is corrected after that.
        if entry.kept.done():
            self._put(entry)

    def keep_trying(self, entry: Entry) -> None:
        """The caller waits no longer; the event is kept all the same, as soon as the database is there."""
        entry.left = True
        if entry.kept.done() and entry.kept.exception() is not None:
            self._put(Entry(entry.event, left=True))

    def abandon(self, entry: Entry) -> None:
        """The caller waits no longer and has kept the event elsewhere; a second copy does no harm."""
        with self._wake:
            if entry in self._queue:
                self._queue.remove(entry)

    def recover(self) -> None:
        """Look at the spool now: something was put there, here or by a process before this one."""
        with self._wake:
            self._start()
            self._wake.notify()

    def after_fork(self) -> None:
        """Start afresh in the child of a fork: what waits is the parent's to write."""
        self._wake = threading.Condition()
        self._queue = deque()
        self._writing_since = 0.0
        self._thread = None
        self.spool.after_fork()
        self.breaker.after_fork()

    def close(self) -> None:
        """Write what is left, if the database is there, and end."""
        with self._wake:
            self._closing = True
            self._wake.notify()
            thread = self._thread
        if thread is not None:
            thread.join(timeout=5)
        self.spool.close()

    def _put(self, entry: Entry) -> None:
        with self._wake:
            if len(self._queue) >= MOST_WAITING:
                self.lost += 1
                if not entry.kept.done():
                    entry.kept.set_exception(DatabaseError("the ledger database does not keep up"))
                return
            self._queue.append(entry)
            self._start()
            self._wake.notify()

    def _start(self) -> None:
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._run, name="pending-recorder", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while True:
            with self._wake:
                while not self._queue and not self._closing and not self.spool.waits:
                    if not self._wake.wait(timeout=30) and not self._queue:
                        self._thread = None
                        return
                batch = [self._queue.popleft() for _ in range(min(BATCH, len(self._queue)))]
                closing = self._closing
            self._writing_since = time.monotonic()
            done = self._write(batch)
            self._writing_since = 0.0
            if closing and (not done or not self._queue):
                return
            if not done:
                with self._wake:
                    self._wake.wait(timeout=RETRY_SECONDS)

    def _write(self, batch: Sequence[Entry]) -> bool:
        try:
            kept = self._commit(batch)
        except BursarError as problem:
            self.breaker.failed()
            self._failed(batch, problem)
            return False
        except Exception as problem:
            self.breaker.failed()
            self._failed(batch, DatabaseError(f"pending events cannot be kept: {problem}"))
            logger.exception("pending events cannot be kept")
            return False
        self.breaker.succeeded()
        with self._wake:
            for entry in batch:
                if not entry.kept.done():
                    entry.kept.set_result(kept.get(entry.event.identity, entry.event.payload))
                    if entry.denial is not None and entry.written is not entry.denial:
                        self._queue.append(entry)
        return True

    def _commit(self, batch: Sequence[Entry]) -> dict[tuple[str, str], dict[str, Any]]:
        spooled = self.spool.take() if self.spool.waits else []
        kept: dict[tuple[str, str], dict[str, Any]] = {}
        fresh = []
        for entry in batch:
            if not entry.kept.done():
                entry.written = entry.denial or entry.event
                fresh.append(entry.written)
        with self._database.write() as connection:
            for start in range(0, len(spooled), BATCH):
                keep_pending(connection, spooled[start : start + BATCH])
            if fresh:
                kept = keep_pending(connection, fresh)
            for entry in batch:
                if entry.kept.done() and entry.denial is not None:
                    withdraw_check(connection, entry.event, entry.denial)
        self.spool.forget()
        return kept

    def _failed(self, batch: Sequence[Entry], problem: BursarError) -> None:
        with self._wake:
            for entry in reversed(batch):
                # Withdrawn while it was written: it may have been stored, so what follows is a correction.
                in_doubt = entry.denial is not None and entry.written is entry.event
                if not entry.kept.done() and (in_doubt or not entry.left):
                    entry.kept.set_exception(problem)
                if entry.left:
                    self._queue.appendleft(entry)
