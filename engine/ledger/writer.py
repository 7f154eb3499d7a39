"""Write events into SQL: decisions, rollups, budget usage and the cursor, in the caller's one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection, delete, update

from engine.decision import COST_REASONS, EXECUTION_REASONS
from engine.ledger.budget_moves import BudgetMoves
from engine.ledger.budget_totals import add_budget_usage
from engine.ledger.bulk import insert_rows, rows_with_keys, update_rows
from engine.ledger.decision_rows import (
    CHANGING,
    COUNTED,
    close,
    count_denied_many,
    decision_row,
    examined_in,
    examined_of,
)
from engine.ledger.entries import Checked, Closed, DeniedMany, LedgerEvent
from engine.ledger.event_log import append_events
from engine.ledger.late import LateCalls, late_calls
from engine.ledger.pending import forget_pending
from engine.ledger.rollups import Examined, Rollups
from engine.ledger.tables import decisions, organizations
from engine.ledger.totals import add_rollups

_ID = ("decision_id",)
_COLUMNS = tuple(column.name for column in decisions.columns)
_BUDGET_REASONS = frozenset({*COST_REASONS.values(), *EXECUTION_REASONS.values()})


class CursorMoved(Exception):
    """Another writer has stored these events already; roll back and start from the new cursor."""


def write_events(
    connection: Connection,
    org_id: str,
    batch: Sequence[LedgerEvent],
    *,
    cursor: str,
    holder: str,
    now: datetime,
    drained_through: datetime | None,
) -> None:
    """Store `batch`, which follows `cursor` in the stream, and move the cursor to its end.

    1. Move the cursor by compare-and-set; no row changed means that another writer was first: `CursorMoved`.
    2. Insert the events.
    3. Work out decision rows, rollups and budget usage in memory, then write the changes.

    `drained_through` is given when the batch reached the stream's end: every event before it is now in SQL.
    """
    late = late_calls(connection, org_id) if batch else LateCalls(None)
    _move_cursor(connection, org_id, batch, cursor, holder, drained_through)
    if not batch:
        return
    append_events(connection, org_id, batch, now)
    changes = _Changes(org_id, _known_decisions(connection, batch), late)
    for event in batch:
        changes.take(event)
    replaced = sorted(changes.replaced)
    if replaced:
        for row in rows_with_keys(connection, decisions, _ID, [(each,) for each in replaced], (*COUNTED, "tests")):
            stored = row._asdict()
            changes.rollups.count_decision(stored, examined_of(stored), -1)
        connection.execute(delete(decisions).where(decisions.c.decision_id.in_(replaced)))
    changes.count()
    insert_rows(connection, decisions, _COLUMNS, list(map(itemgetter(*_COLUMNS), changes.new_rows)))
    update_rows(
        connection, decisions, _ID, CHANGING, list(map(itemgetter("decision_id", *CHANGING), changes.changed_rows))
    )
    add_rollups(connection, org_id, changes.rollups, now)
    late.store(connection, org_id, now)
    add_budget_usage(connection, org_id, changes.budgets, now)
    forget_pending(connection, [(event.decision_id, event.kind) for event in batch if event.waited])


class _Changes:
    """What a batch does to decisions and totals, worked out in memory."""

    def __init__(self, org_id: str, known: dict[str, dict[str, Any]], late: LateCalls) -> None:
        self.rollups = Rollups()
        self.late = late
        self.budgets = BudgetMoves()
        self.replaced: set[str] = set()
        self._org_id = org_id
        self._rows = known
        # Made in this batch, with what they were tested against.
        self._new: dict[str, Examined] = {}
        # Changed by this batch: as they were before.
        self._before: dict[str, dict[str, Any]] = {}

    @property
    def new_rows(self) -> list[dict[str, Any]]:
        """Decisions to insert, by id."""
        return [self._rows[decision_id] for decision_id in sorted(self._new)]

    @property
    def changed_rows(self) -> list[dict[str, Any]]:
        """Decisions to update, by id, as they are now."""
        return [self._rows[decision_id] for decision_id in sorted(self._before)]

    def take(self, event: LedgerEvent) -> None:
        """One event, in the stream's order."""
        fact = event.fact
        if isinstance(fact, Checked):
            self._check(event, fact)
        elif isinstance(fact, Closed):
            self._close(event, fact)
        elif isinstance(fact, DeniedMany):
            count_denied_many(self.rollups, event)
            self.late.count_denied(event.at, fact)

    def count(self) -> None:
        """Count decisions as the whole batch leaves them: most are made and settled within one."""
        for decision_id, examined in self._new.items():
            row = self._rows[decision_id]
            self.rollups.count_decision(row, examined)
            self.rollups.count_outcome(row)
            self.late.count(row)
        for decision_id, before in self._before.items():
            self.rollups.count_outcome(before, -1)
            self.rollups.count_outcome(self._rows[decision_id])

    def _check(self, event: LedgerEvent, fact: Checked) -> None:
        decision_id, answer = event.decision_id, fact.answer
        earlier = self._rows.get(decision_id)
        if earlier is not None:
            if not _overrules(event, fact, earlier):
                return
            if decision_id not in self._new:
                self.replaced.add(decision_id)
            self._before.pop(decision_id, None)
        row = self._rows[decision_id] = decision_row(self._org_id, event, fact)
        self._new[decision_id] = examined_in(fact)
        if answer.allowed:
            self.budgets.hold(fact.plan.counters, row["reserve_micros"])
        elif answer.denied_by and answer.reason in _BUDGET_REASONS:
            place = answer.denied_by - 1
            self.budgets.deny(fact.plan.counters[place], fact.counted[place][0], event.at, answer.reason)

    def _close(self, event: LedgerEvent, fact: Closed) -> None:
        decision_id = event.decision_id
        row = self._rows.get(decision_id)
        if row is None:
            # Without a check there is nothing to close: its event was lost with Redis.
            return
        if decision_id not in self._new and decision_id not in self._before:
            self._before[decision_id] = dict(row)
        close(row, event, fact)
        self.budgets.close(fact.before, fact.amount_micros, event.at, cancelled=event.kind == "cancel")


def _move_cursor(
    connection: Connection,
    org_id: str,
    batch: Sequence[LedgerEvent],
    cursor: str,
    holder: str,
    drained_through: datetime | None,
) -> None:
    values: dict[Any, Any] = {"next_seq": organizations.c.next_seq + len(batch)}
    if batch:
        values["cursor"] = batch[-1].stream_id
    if drained_through is not None:
        values["drained_through"] = drained_through
    moved = connection.execute(
        update(organizations)
        .where(
            organizations.c.org_id == org_id,
            organizations.c.cursor == cursor,
            organizations.c.lease_holder == holder,
        )
        .values(values)
    )
    if moved.rowcount != 1:
        raise CursorMoved(org_id)


def _known_decisions(connection: Connection, batch: Sequence[LedgerEvent]) -> dict[str, dict[str, Any]]:
    ids = sorted({event.decision_id for event in batch})
    found = rows_with_keys(connection, decisions, _ID, [(each,) for each in ids], COUNTED)
    return {row.decision_id: dict(zip(COUNTED, row, strict=True)) for row in found}


def _overrules(event: LedgerEvent, fact: Checked, earlier: dict[str, Any]) -> bool:
    """Whether the caller was told yes by its own process while the gate's no was lost on its way."""
    return event.waited and fact.answer.allowed and earlier["outcome"] == "denied"
