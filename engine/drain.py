"""Move one organization's events from the stream to SQL, and install its state in Redis from SQL."""

from __future__ import annotations

import gc
import logging
import os
import socket
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select, update

from engine.admission.gate import RedisGate
from engine.admission.plan import CallPlan, Planner
from engine.admission.questions import Install, InstalledCounter, InstalledHold
from engine.admission.record import CheckRecord
from engine.admission.stream import EventStream, parse_stream_id
from engine.clock import from_ms, to_ms, utc_now
from engine.document.live import LiveDocument
from engine.document.store import document_version, live_document, live_version
from engine.errors import DocumentError
from engine.fold import document_version_of, fold_outcome, fold_question, is_known_denial
from engine.ids import new_decision_id
from engine.ledger.database import Database
from engine.ledger.entries import LedgerEvent, read_event
from engine.ledger.event_log import MonthMissing
from engine.ledger.organizations import (
    StreamBacklog,
    forget_rebuild_request,
    release_lease,
    request_rebuild,
    take_lease,
)
from engine.ledger.partitions import open_month
from engine.ledger.pending import forget_pending, refuse_pending, try_again, waiting_events
from engine.ledger.queries.health import drained_through
from engine.ledger.recount import Recount, facts_of, recount, replace_budget_usage
from engine.ledger.tables import decisions, organizations
from engine.ledger.writer import CursorMoved, write_events

logger = logging.getLogger(__name__)

SQLITE_BATCH = 200
"""Keeps write transactions short, so that other processes can write too."""
BATCH = 4000
"""More at a time costs less: rollup rows are shared by more events."""
CLOCK_MARGIN = timedelta(minutes=1)
"""So much the clocks of hosts may differ from Redis' before events are no longer written at their time."""
DRAINED_THROUGH_SECONDS = 1
"""How often an idle drain says that there was nothing more to store."""

FOLD_BATCH = 500
MOST_PLANNERS = 16


@dataclass(frozen=True, slots=True)
class DrainStep:
    """What one step did: whether we are the writer, how many events were stored, whether the end was reached."""

    leading: bool
    stored: int
    at_end: bool


class LedgerDrain:
    """The ledger writer of one organization. Only the holder of the organization's lease writes.

    Not for sharing between threads. A crash at any point loses nothing and repeats nothing: the cursor moves in the
    transaction that stores the events, and the stream is trimmed only afterwards.
    """

    def __init__(
        self,
        database: Database,
        gate: RedisGate,
        org_id: str,
        *,
        lease_seconds: int = 10,
        collects_garbage: bool = True,
    ) -> None:
        """`collects_garbage` false: none is looked for in this process while a batch is read or written.

        That is for a process that does little else: a batch is tens of thousands of objects, none of them in a circle,
        and looking for circles takes a fifth of the time.
        """
        self.org_id = org_id
        self.holder = f"{socket.gethostname()}:{os.getpid()}:{new_decision_id()[-12:]}"
        self._database = database
        self._gate = gate
        self._stream = EventStream(gate.client)
        self._lease_seconds = lease_seconds
        self._leased_until = 0.0
        self._drained_noted = 0.0
        self._planners: dict[int, Planner] = {}
        self._collects_garbage = collects_garbage
        self._batch = SQLITE_BATCH if database.is_sqlite else BATCH

    @property
    def leading(self) -> bool:
        """Whether this drain held the lease at its last step."""
        return time.monotonic() < self._leased_until

    def step(self) -> DrainStep:
        """Store the next batch.

        1. Take or renew the lease; without it, do nothing.
        2. Rebuild Redis' state when asked to, or when the stream ends before the ledger's cursor.
        3. Read after the cursor and write in one transaction, moving the cursor.
        4. Trim the stream to the cursor. At its end, fold in what waits in `pending_events`.
        """
        if not self._lead():
            return DrainStep(False, 0, False)
        cursor, rebuild_wanted = self._position()
        if self._is_behind(cursor):
            self.rebuild()
            cursor, _ = self._position()
        elif rebuild_wanted:
            self._rebuild_if_needed()
            cursor, _ = self._position()
        step = self._store(cursor)
        if step.at_end:
            self._fold_pending()
        return step

    def drain(self, *, give_up_after: float = 60.0) -> bool:
        """Step until the stream's end is in SQL. False when another writer leads and stays silent or slow."""
        deadline = time.monotonic() + give_up_after
        asked_at = from_ms(self._gate.sweep(self.org_id, most=0).now_ms)
        while time.monotonic() < deadline:
            try:
                step = self.step()
            except CursorMoved:
                continue
            if step.leading and step.at_end:
                return True
            if not step.leading:
                if self._drained_through(asked_at):
                    return True
                time.sleep(0.05)
        return False

    def rebuild(self) -> None:
        """Install the organization's state in Redis under a new epoch, as the ledger has it. Needs the lease.

        1. Make the present state invalid, so that no check or settle changes anything meanwhile.
        2. Store every event still in the stream.
        3. Count usage and open holds in one snapshot; keep the result in SQL and raise the epoch.
        4. Install it, unless an event or a newer state came in after all: then from 2 again.

        Raises `CursorMoved` when another writer takes over meanwhile.
        """
        self._gate.invalidate(self.org_id)
        while True:
            self._store_all()
            cursor, _ = self._position()
            epoch, live, counted = self._count(from_ms(self._gate.now_ms))
            if self._install(cursor, epoch, live, counted):
                logger.info("rebuilt %s: epoch %d, %d open holds", self.org_id, epoch, len(counted.holds))
                return

    def rebuild_if_free(self) -> bool:
        """See that Redis holds this organization's state as the ledger has it; false when it does not yet.

        When another writer leads, that one is asked to rebuild it.
        """
        if self._in_step():
            return True
        if not self._lead():
            with self._database.write() as connection:
                request_rebuild(connection, self.org_id, utc_now())
            return False
        try:
            self._rebuild_if_needed()
        except CursorMoved:
            return False
        finally:
            self.release()
        return True

    def _in_step(self) -> bool:
        """Whether Redis has the newest document and epoch, and its stream goes on from the ledger's cursor."""
        cursor, _ = self._position()
        return not self._is_behind(cursor) and self._gate.installed(self.org_id) == self._wanted()

    def _rebuild_if_needed(self) -> None:
        # Whoever asked may have been overtaken: every needless rebuild would make others wait, who then ask again.
        if not self._in_step():
            self.rebuild()
        else:
            with self._database.write() as connection:
                forget_rebuild_request(connection, self.org_id)

    def _store_all(self) -> None:
        while True:
            if not self._lead():
                raise CursorMoved(self.org_id)
            cursor, _ = self._position()
            if self._store(cursor).at_end:
                return

    def sweep(self) -> None:
        """Expire holds that are due; install the state anew when it is lost, outdated or not this ledger's.

        Needs the lease.
        """
        reply = self._gate.sweep(self.org_id)
        if reply.status == "COLD" or (int(reply.raw[3]), int(reply.raw[4])) != self._wanted():
            self.rebuild()

    def backlog(self) -> StreamBacklog:
        """What waits in the stream now."""
        length, oldest = self._stream.waiting(self.org_id)
        return StreamBacklog(length, None if oldest is None else from_ms(parse_stream_id(oldest)[0]))

    def release(self) -> None:
        """Give the lease back."""
        with self._database.write() as connection:
            release_lease(connection, self.org_id, self.holder)
        self._leased_until = 0.0

    def _lead(self) -> bool:
        now = time.monotonic()
        if now < self._leased_until - self._lease_seconds / 2:
            return True
        with self._database.write() as connection:
            if not take_lease(connection, self.org_id, self.holder, utc_now(), self._lease_seconds):
                self._leased_until = 0.0
                return False
        self._leased_until = now + self._lease_seconds
        return True

    def _position(self) -> tuple[str, bool]:
        with self._database.read() as connection:
            row = connection.execute(
                select(organizations.c.cursor, organizations.c.rebuild_requested_at).where(
                    organizations.c.org_id == self.org_id
                )
            ).one()
        return row.cursor, row.rebuild_requested_at is not None

    def _wanted(self) -> tuple[int | None, int]:
        """Document version and epoch that Redis must have."""
        with self._database.read() as connection:
            epoch: int = connection.execute(
                select(organizations.c.epoch).where(organizations.c.org_id == self.org_id)
            ).scalar_one()
            return live_version(connection, self.org_id), epoch

    def _is_behind(self, cursor: str) -> bool:
        return parse_stream_id(self._stream.last_id(self.org_id)) < parse_stream_id(cursor)

    def _store(self, cursor: str) -> DrainStep:
        read_at = from_ms(self._gate.now_ms)
        entries = self._stream.read(self.org_id, cursor, self._batch)
        at_end = len(entries) < self._batch
        if not entries and time.monotonic() < self._drained_noted + DRAINED_THROUGH_SECONDS:
            return DrainStep(True, 0, True)
        now = self._host_now() if entries else read_at
        with self._busy():
            batch = [read_event(entry.stream_id, entry.fields, self._plan_of) for entry in entries]
        drained = read_at if at_end else None
        try:
            self._write(batch, cursor, now, drained)
        except MonthMissing as missing:
            # Somebody has dropped it, and `audit verify` says so; what comes now must not wait for that.
            logger.warning("the table for events of %s is gone; it is made anew", missing.month)
            with self._database.write() as connection:
                open_month(connection, missing.month)
            self._write(batch, cursor, now, drained)
        self._drained_noted = time.monotonic()
        if entries:
            self._stream.trim(self.org_id, entries[-1].stream_id)
        return DrainStep(True, len(entries), at_end)

    def _write(self, batch: list[LedgerEvent], cursor: str, now: datetime, drained_through: datetime | None) -> None:
        # The lock first: others may hold it for long.
        with self._database.write() as connection, self._busy():
            write_events(
                connection,
                self.org_id,
                batch,
                cursor=cursor,
                holder=self.holder,
                now=now,
                drained_through=drained_through,
            )

    def _host_now(self) -> datetime:
        """This host's time, unless it is ahead of Redis' by more than a clock may be.

        One jump of one host would else hold for the chain: its `written_at` never goes back.
        """
        return min(utc_now(), from_ms(self._stream.now_ms()) + CLOCK_MARGIN)

    def _busy(self) -> AbstractContextManager[None]:
        return nullcontext() if self._collects_garbage else _without_garbage_collection()

    def _count(self, now: datetime) -> tuple[int, LiveDocument, Recount]:
        with self._database.write() as connection:
            # First of all, as a writer does: from here on the organization's totals are ours alone.
            raised = connection.execute(
                update(organizations)
                .where(organizations.c.org_id == self.org_id, organizations.c.lease_holder == self.holder)
                .values(epoch=organizations.c.epoch + 1, rebuild_requested_at=None)
            )
            if raised.rowcount != 1:
                raise CursorMoved(self.org_id)
            live = live_document(connection, self.org_id)
            counted = recount(connection, live.document, now)
            replace_budget_usage(connection, self.org_id, counted, now)
            epoch = connection.execute(
                select(organizations.c.epoch).where(organizations.c.org_id == self.org_id)
            ).scalar_one()
        return epoch, live, counted

    def _install(self, cursor: str, epoch: int, live: LiveDocument, counted: Recount) -> bool:
        state = Install(
            org_id=self.org_id,
            cursor=parse_stream_id(cursor),
            epoch=epoch,
            document_version=live.version,
            expired_holds=live.document.expired_holds,
            counters=[
                InstalledCounter(
                    name, total.spent_micros, total.held_micros, total.executions, total.counter.period.end_ms
                )
                for name, total in counted.totals.items()
            ],
            holds=[
                InstalledHold(hold.decision_id, hold.record.to_text(), to_ms(hold.expires_at)) for hold in counted.holds
            ],
        )
        return self._gate.ask(state).status == "INSTALLED"

    def _fold_pending(self) -> None:
        """Give Redis what it could not take at its time, oldest first.

        Each leaves an event that says so, and its row goes in the transaction that stores that event. Only at the
        stream's end: so a row that is still here has not been given to Redis, unless that has lost it again.
        """
        with self._database.read() as connection:
            waiting = waiting_events(connection, self.org_id, FOLD_BATCH)
            if not waiting:
                return
            live = live_document(connection, self.org_id)
            ids = {row.decision_id for row in waiting}
            known = {
                row.decision_id: row
                for row in connection.execute(select(decisions).where(decisions.c.decision_id.in_(ids)))
            }
        done, refused, seen = [], [], []
        outdated = False
        for row in waiting:
            decision = known.get(row.decision_id)
            if is_known_denial(row, decision):
                done.append((row.decision_id, row.kind))
                continue
            question = fold_question(row, decision, live.document, self._plan_of)
            reply = self._gate.ask(question)
            if reply.status == "COLD":
                break
            if reply.status == "FOLDED":
                seen.append(row.decision_id)
                outdated = outdated or document_version_of(row) not in (None, live.version)
            outcome = fold_outcome(question, reply.status, decision)
            if outcome == "in the ledger":
                done.append((row.decision_id, row.kind))
            elif outcome:
                logger.warning("%s of %s cannot be folded in: %s", row.kind, row.decision_id, outcome)
                refused.append((row.pending_id, outcome))
        if done or refused or seen:
            with self._database.write() as connection:
                forget_pending(connection, done)
                for pending_id, problem in refused:
                    refuse_pending(connection, pending_id, problem)
                # A settle may have come here before the decision that it settles.
                try_again(connection, seen)
        if outdated:
            # Decided by an older document: only a recount counts them in the budgets of the live one.
            self.rebuild()

    def _plan_of(self, record: CheckRecord, at_ms: int) -> CallPlan:
        """What a check was tested against, by the document version that it names; nothing when that is not known."""
        version = record.document_version
        planner = self._planners.get(version)
        if planner is None:
            try:
                with self._database.read() as connection:
                    planner = document_version(connection, self.org_id, version).planner
            except DocumentError as problem:
                # A ledger restored from a backup. The decision is kept without its readings.
                logger.warning("%s", problem)
                return CallPlan(self.org_id)
            if len(self._planners) >= MOST_PLANNERS:
                self._planners.clear()
            self._planners[version] = planner
        return planner.plan(facts_of(record, self.org_id), at_ms)

    def _drained_through(self, instant: datetime) -> bool:
        with self._database.read() as connection:
            drained = drained_through(connection, self.org_id)
        return drained is not None and drained > instant


@contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """What others of this process leave behind meanwhile is found afterwards."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
