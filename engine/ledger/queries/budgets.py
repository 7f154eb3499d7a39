"""How full the budgets are, and what open holds carry."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Float, case, cast, func, select

from engine.ledger.tables import budget_usage, decisions


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

    @property
    def used_share(self) -> float | None:
        """Spent money as a share of the limit; None when unlimited or when nothing may be spent."""
        return self.spent_micros / self.limit_micros if self.limit_micros else None


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
    return [
        BudgetUse(
            budget_id=row.budget_id,
            scope=row.scope,
            period=row.period,
            period_label=row.period_label,
            period_end=row.period_end,
            limit_micros=row.limit_micros,
            execution_limit=row.execution_limit,
            spent_micros=row.spent_micros,
            held_micros=row.held_micros,
            executions=row.executions,
        )
        for row in rows
    ]


def open_holds(connection: Connection, org_id: str) -> OpenHolds:
    """Count and sum the holds that are open now."""
    row = connection.execute(
        select(func.count().label("open"), func.sum(decisions.c.reserve_micros).label("held")).where(
            decisions.c.org_id == org_id, decisions.c.state == "held"
        )
    ).one()
    return OpenHolds(count=row.open, held_micros=int(row.held or 0))
