"""Store a made-up history through the ledger's own writer, batch by batch."""

from __future__ import annotations

import os
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from engine.clock import from_ms
from engine.errors import BursarError
from engine.ids import new_decision_id
from engine.ledger.backfill import lead_fill, outdate_installed_state, refuse_unless_unused
from engine.ledger.database import Database
from engine.ledger.entries import Checked, Closed, LedgerEvent
from engine.ledger.organizations import ensure_organization, release_lease
from engine.ledger.writer import CursorMoved, write_events
from engine.replay.simulation import Simulation

LEASE_SECONDS = 60
"""A batch takes seconds at most, so a fill that was killed keeps nobody from writing for long."""
BATCH = 5_000
SQLITE_BATCH = 4_000
"""Larger than the writer's own: nobody calls this organization yet. Others of the same file wait a second, and so does
whoever stops a fill."""


@dataclass
class FillReport:
    """What is stored, committed batches only. Amounts are micro-dollars; `denied` counts by reason."""

    decisions: int = 0
    events: int = 0
    allowed: int = 0
    denied: Counter[str] = field(default_factory=Counter)
    fail_open: int = 0
    expired: int = 0
    spent_micros: int = 0
    through_ms: int = 0

    def count(self, batch: list[LedgerEvent]) -> None:
        """Take a stored batch in."""
        self.events += len(batch)
        for event in batch:
            fact = event.fact
            if isinstance(fact, Checked):
                self.decisions += 1
                if fact.answer.allowed:
                    self.allowed += 1
                    self.fail_open += bool(fact.record.outage)
                else:
                    self.denied[fact.answer.reason.value] += 1
            elif isinstance(fact, Closed):
                self.expired += event.kind == "expired"
                self.spent_micros += fact.amount_micros - fact.before.charged_micros


class LedgerFill:
    """Holds an empty organization's lease while its history is stored. Use as a context manager.

    Raises `BursarError` when the organization has ever been in use, or when another writer is at work there. With
    `new`, one that the ledger does not know yet is made; it has no document until somebody publishes one.
    """

    def __init__(self, database: Database, org_id: str, *, new: bool = False, batch: int | None = None) -> None:
        self.report = FillReport()
        self._database = database
        self._org_id = org_id
        self._new = new
        self._batch = batch or (SQLITE_BATCH if database.is_sqlite else BATCH)
        self._holder = f"fill:{socket.gethostname()}:{os.getpid()}:{new_decision_id()[-12:]}"
        self._leased_until = 0.0
        self._cursor = "0-0"

    def __enter__(self) -> Self:
        # One transaction: whoever is refused has changed nothing, and from the lease on nobody else writes or installs.
        with self._database.write() as connection:
            if self._new:
                ensure_organization(connection, self._org_id)
            lead_fill(connection, self._org_id, self._holder, LEASE_SECONDS)
            refuse_unless_unused(connection, self._org_id)
        self._leased_until = time.monotonic() + LEASE_SECONDS
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._database.write() as connection:
            if self.report.events:
                outdate_installed_state(connection, self._org_id)
            release_lease(connection, self._org_id, self._holder)

    def store(
        self,
        simulation: Simulation,
        *,
        longest_ms: Callable[[int], int] | None = None,
        on_stored: Callable[[int], None] = lambda now_ms: None,
        stopped: Callable[[], bool] = lambda: False,
    ) -> FillReport:
        """Store every event of `simulation`, or whole batches of it until `stopped` says so.

        Each batch is one transaction, written at the virtual time of its end; none reaches over the end of a month
        (UTC), so that events lie in the partition of their own. `longest_ms` bounds the virtual time of a batch that
        begins at an instant. `on_stored` is told of each commit, and its virtual time. What was made since the last
        commit when `stopped` says so was never begun.
        """
        for batch, now_ms in _batches(simulation, self._batch, longest_ms, stopped):
            self._write(batch, now_ms)
            on_stored(now_ms)
        return self.report

    def _write(self, batch: list[LedgerEvent], now_ms: int) -> None:
        self._lead()
        now = from_ms(now_ms)
        try:
            with self._database.write() as connection:
                write_events(
                    connection,
                    self._org_id,
                    batch,
                    cursor=self._cursor,
                    holder=self._holder,
                    now=now,
                    drained_through=now,
                )
        except CursorMoved:
            raise BursarError(f"another writer has taken over {self._org_id!r}; what is stored stays") from None
        if batch:
            self._cursor = batch[-1].stream_id
        self.report.count(batch)
        self.report.through_ms = now_ms

    def _lead(self) -> None:
        now = time.monotonic()
        if now < self._leased_until - LEASE_SECONDS / 2:
            return
        with self._database.write() as connection:
            lead_fill(connection, self._org_id, self._holder, LEASE_SECONDS)
        self._leased_until = now + LEASE_SECONDS


def _batches(
    simulation: Simulation, most: int, longest_ms: Callable[[int], int] | None, stopped: Callable[[], bool]
) -> Iterator[tuple[list[LedgerEvent], int]]:
    """Events in batches, each with its virtual time; the last one, perhaps empty, at the end of the history."""
    batch: list[LedgerEvent] = []
    ends_ms = _batch_end(simulation.now_ms, longest_ms)
    for event in simulation.events(stopped):
        if stopped():
            return
        # Read after the event was made: it is the time of the gate, at which the event was appended.
        now_ms = simulation.now_ms
        if batch and (len(batch) >= most or now_ms >= ends_ms):
            yield batch, min(now_ms, ends_ms - 1)
            batch = []
        if now_ms >= ends_ms:
            ends_ms = _batch_end(now_ms, longest_ms)
        batch.append(event)
    if not stopped():
        yield batch, simulation.until_ms


def _batch_end(now_ms: int, longest_ms: Callable[[int], int] | None) -> int:
    now = from_ms(now_ms)
    year, month = (now.year, now.month + 1) if now.month < 12 else (now.year + 1, 1)
    of_month = now.replace(year=year, month=month, day=1, hour=0, minute=0, second=0, microsecond=0)
    ends_ms = int(of_month.timestamp()) * 1000
    if longest_ms is None:
        return ends_ms
    step_ms = longest_ms(now_ms)
    return min(ends_ms, (now_ms // step_ms + 1) * step_ms)
