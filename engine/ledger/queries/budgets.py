"""How full the budgets are, and what open holds carry."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Float, case, cast, func, select

from engine.ledger.tables import budget_usage, crossings, decisions


@dataclass(frozen=True, slots=True)
class BudgetUse:
    """One running total: a budget for one scope value in one period. A limit of None means unlimited."""

    budget_id: str
    scope: str
    period: str
    period_label: str
    period_end: datetime
    limit_micros: int | None
    execution_limit: int | None
    spent_micros: int
    held_micros: int
    executions: int
    period_start: datetime | None = None
    updated_at: datetime | None = None

    @property
    def left_micros(self) -> int | None:
        """What is neither spent nor held, below zero when passed; None when unlimited."""
        return None if self.limit_micros is None else self.limit_micros - self.spent_micros - self.held_micros

    @property
    def used_share(self) -> float | None:
        """Spent money as a share of the limit; None when unlimited or when nothing may be spent."""
        return self.spent_micros / self.limit_micros if self.limit_micros else None


@dataclass(frozen=True, slots=True)
class BudgetCrossing:
    """A counter passed a threshold: basis points of its limit (8000 is 80 %), or 0 for the first call it denied."""

    budget_id: str
    scope: str
    period: str
    period_label: str
    threshold: int
    at: datetime
    spent_micros: int
    limit_micros: int | None


@dataclass(frozen=True, slots=True)
class OpenHolds:
    """Allowed calls whose cost is not known yet."""

    count: int
    held_micros: int


def current_budget_use(connection: Connection, org_id: str, *, now: datetime, limit: int = 200) -> list[BudgetUse]:
    """The totals of the periods that `now` lies in, the fullest first, unlimited ones last."""
    table = budget_usage
    carried = cast(table.c.spent_micros + table.c.held_micros, Float)
    # A limit of 0 allows nothing: as full as can be.
    fullness = case(
        (table.c.limit_micros > 0, carried / table.c.limit_micros), (table.c.limit_micros == 0, 1.0), else_=-1.0
    )
    rows = connection.execute(
        select(table)
        .where(table.c.org_id == org_id, table.c.period_start <= now, table.c.period_end > now)
        .order_by(fullness.desc(), table.c.budget_id, table.c.scope, table.c.period)
        .limit(limit)
    )
    return [_use(row) for row in rows]


def budget_history(
    connection: Connection, org_id: str, budget_id: str, scope: str, period: str, *, limit: int = 62
) -> list[BudgetUse]:
    """One budget's months or days for one scope value, newest first, the running one too.

    Every row has the limit of its own time. A period without calls has no row.
    """
    table = budget_usage
    rows = connection.execute(
        select(table)
        .where(
            table.c.org_id == org_id,
            table.c.budget_id == budget_id,
            table.c.scope == scope,
            table.c.period == period,
        )
        .order_by(table.c.period_label.desc())
        .limit(limit)
    )
    return [_use(row) for row in rows]


def budget_crossings(
    connection: Connection, org_id: str, *, now: datetime, since: datetime, limit: int = 200
) -> list[BudgetCrossing]:
    """Thresholds that were passed since `since` and until `now`, newest first."""
    names = BudgetCrossing.__slots__
    rows = connection.execute(
        select(*(crossings.c[name] for name in names))
        .where(crossings.c.org_id == org_id, crossings.c.at >= since, crossings.c.at <= now)
        .order_by(crossings.c.at.desc(), crossings.c.budget_id, crossings.c.scope, crossings.c.threshold.desc())
        .limit(limit)
    )
    return [BudgetCrossing(*row) for row in rows]


def open_holds(connection: Connection, org_id: str) -> OpenHolds:
    """Count and sum the holds that are open now."""
    row = connection.execute(
        select(func.count().label("open"), func.sum(decisions.c.reserve_micros).label("held")).where(
            decisions.c.org_id == org_id, decisions.c.state == "held"
        )
    ).one()
    return OpenHolds(count=row.open, held_micros=int(row.held or 0))


def _use(row: Any) -> BudgetUse:
    return BudgetUse(**{name: getattr(row, name) for name in BudgetUse.__slots__})
