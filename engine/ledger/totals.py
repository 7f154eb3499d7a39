"""Add deltas to the `usage` and `budget_usage` rows, or open the rows."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, update

from engine.ledger.rollups import DIMENSIONS, BudgetKey, Deltas
from engine.ledger.tables import budget_usage, usage
from engine.ledger.upsert import insert_or

BudgetLimits = dict[BudgetKey, dict[str, Any]]
"""Limits and period bounds of counters that may need a row."""

_BUDGET_KEY = ("budget_id", "scope", "period", "period_label")
_BUDGET_AMOUNTS = ("spent_micros", "held_micros", "executions")
_USAGE_AMOUNTS = (
    "decisions",
    "estimate_micros",
    "reserve_micros",
    "spent_micros",
    "settled",
    "settled_estimate_micros",
    "actual_micros",
    "failed",
    "cancelled",
    "expired",
    "fail_open",
)


def add_usage(connection: Connection, org_id: str, deltas: Deltas) -> None:
    """Add the deltas of `usage` cells."""
    rows = [
        {
            "org_id": org_id,
            **dict(zip(("grain", "bucket", *DIMENSIONS), key, strict=True)),
            **{name: cell.get(name, 0) for name in _USAGE_AMOUNTS},
        }
        for key, cell in deltas.usage.items()
    ]
    if not rows:
        return
    statement = insert_or(connection, usage)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=[column.name for column in usage.primary_key],
            set_={name: usage.c[name] + statement.excluded[name] for name in _USAGE_AMOUNTS},
        ),
        rows,
    )


def add_budget_usage(
    connection: Connection,
    org_id: str,
    deltas: Deltas,
    limits: BudgetLimits,
    now: datetime,
) -> None:
    """Add the deltas of budget counters; `limits` has those that a check of this batch used."""
    opened, moved = [], []
    for key, amounts in deltas.budgets.items():
        identity = dict(zip(_BUDGET_KEY, key, strict=True))
        change = {name: amounts.get(name, 0) for name in _BUDGET_AMOUNTS}
        row = {"org_id": org_id, "updated_at": now, **identity, **change}
        if key in limits:
            opened.append({**row, **limits[key]})
        else:
            moved.append({f"the_{name}": value for name, value in row.items()})
    if opened:
        statement = insert_or(connection, budget_usage)
        replaced = ("limit_micros", "execution_limit", "updated_at")
        connection.execute(
            statement.on_conflict_do_update(
                index_elements=[column.name for column in budget_usage.primary_key],
                set_={name: budget_usage.c[name] + statement.excluded[name] for name in _BUDGET_AMOUNTS}
                | {name: statement.excluded[name] for name in replaced},
            ),
            opened,
        )
    if moved:
        connection.execute(
            update(budget_usage)
            .where(*(budget_usage.c[name] == bindparam(f"the_{name}") for name in ("org_id", *_BUDGET_KEY)))
            .values(
                {name: budget_usage.c[name] + bindparam(f"the_{name}") for name in _BUDGET_AMOUNTS}
                | {"updated_at": bindparam("the_updated_at")}
            ),
            moved,
        )
