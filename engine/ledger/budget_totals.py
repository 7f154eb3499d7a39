"""Add a batch's changes to `budget_usage`, and note in `crossings` which thresholds counters pass by them.

Whoever calls has locked the organization's row: nobody else changes its counters meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, update

from engine.ledger.budget_moves import FIRST_DENIAL, BudgetKey, BudgetMoves, Crossing, Thresholds, crossed, noted_denial
from engine.ledger.bulk import add_new_rows, rows_with_keys, update_rows, upsert_rows
from engine.ledger.tables import budget_usage, crossings

_KEY = ("org_id", "budget_id", "scope", "period", "period_label")
_AMOUNTS = ("spent_micros", "held_micros", "executions")
_THRESHOLDS = ("limit_micros", "warning_threshold", "degradation_threshold")
_CROSSED = (*_KEY, *Crossing._fields, "written_at")
_OPENED = (*_KEY, "period_start", "period_end", *_THRESHOLDS, "execution_limit", "updated_at", *_AMOUNTS)


class StoredCounter(NamedTuple):
    """A counter's row."""

    thresholds: Thresholds
    spent_micros: int
    held_micros: int
    executions: int


def add_budget_usage(connection: Connection, org_id: str, budgets: BudgetMoves, now: datetime) -> None:
    """Add the moves of budget counters, opening rows where a check of the batch planned them.

    A counter that no check planned and that has no row is not kept: its budget is gone.
    """
    keys = sorted(budgets.moves)
    stored = stored_counters(connection, org_id, keys)
    opened: list[tuple[Any, ...]] = []
    moved: list[tuple[Any, ...]] = []
    passed: list[tuple[BudgetKey, Crossing]] = []
    for key in keys:
        move, planned, known = budgets.moves[key], budgets.planned.get(key), stored.get(key)
        spent_before, before = (0, None) if known is None else (known.spent_micros, known.thresholds)
        if planned is not None:
            after = Thresholds.of(planned)
            opened.append((
                org_id, *key, planned.period.start, planned.period.end,
                after.limit_micros, after.warning, after.degradation, planned.execution_limit, now,
                move.spent_micros, move.held_micros, move.executions,
            ))  # fmt: skip
        elif known is not None:
            after = known.thresholds
            moved.append((
                org_id, *key, now, known.spent_micros + move.spent_micros, known.held_micros + move.held_micros,
                known.executions + move.executions,
            ))  # fmt: skip
        else:
            continue
        passed += [(key, crossing) for crossing in crossed(spent_before, before, after, move.spends, now)]
    replaced = (*_THRESHOLDS, "execution_limit", "updated_at")
    upsert_rows(connection, budget_usage, _OPENED, opened, added=_AMOUNTS, replaced=replaced)
    update_rows(connection, budget_usage, _KEY, ("updated_at", *_AMOUNTS), moved)
    add_crossings(connection, org_id, passed, now)
    note_denials(connection, org_id, budgets.denials, now)


def stored_counters(connection: Connection, org_id: str, keys: Sequence[BudgetKey]) -> dict[BudgetKey, StoredCounter]:
    """The rows of these counters, as far as there are any."""
    columns = (*_KEY[1:], *_THRESHOLDS, *_AMOUNTS)
    rows = rows_with_keys(connection, budget_usage, _KEY, [(org_id, *key) for key in keys], columns)
    found: dict[BudgetKey, StoredCounter] = {}
    for row in rows:
        thresholds = Thresholds(row.limit_micros, row.warning_threshold, row.degradation_threshold)
        found[row.budget_id, row.scope, row.period, row.period_label] = StoredCounter(
            thresholds, row.spent_micros, row.held_micros, row.executions
        )
    return found


def add_crossings(
    connection: Connection, org_id: str, passed: Iterable[tuple[BudgetKey, Crossing]], now: datetime
) -> None:
    """Note crossings, each once in the life of its counter."""
    # A batch may pass a threshold more than once, upward and back and upward again.
    first: dict[tuple[Any, ...], tuple[Any, ...]] = {}
    for key, crossing in passed:
        first.setdefault((key, crossing.threshold), (org_id, *key, *crossing, now))
    add_new_rows(connection, crossings, _CROSSED, [first[key] for key in sorted(first)])


def note_denials(
    connection: Connection, org_id: str, denials: Mapping[BudgetKey, Sequence[Crossing]], now: datetime
) -> None:
    """Note which denial counts of each counter that denied, as if each had come alone (`noted_denial`)."""
    key = (*_KEY, "threshold")
    wanted = [(org_id, *counter, FIRST_DENIAL) for counter in sorted(denials)]
    stored = {
        tuple(row[:4]): Crossing(
            row.threshold, row.at, row.spent_micros, row.limit_micros, row.execution_limit, row.reason
        )
        for row in rows_with_keys(connection, crossings, key, wanted, (*_KEY[1:], *Crossing._fields))
    }
    for counter in sorted(denials):
        before = stored.get(counter)
        noted = noted_denial(before, denials[counter])
        if noted is None or noted is before:
            continue
        if before is None:
            add_new_rows(connection, crossings, _CROSSED, [(org_id, *counter, *noted, now)])
            continue
        named = dict(zip(_KEY, (org_id, *counter), strict=True))
        connection.execute(
            update(crossings)
            .where(*(crossings.c[name] == value for name, value in named.items()))
            .where(crossings.c.threshold == FIRST_DENIAL)
            .values(**noted._asdict(), written_at=now, consumed_at=None)
        )
