"""What reviews count that no page does: local days by agent, counters of a past period, calls beyond their estimate."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import Connection, Float, case, cast, func, or_, select, true, tuple_

from engine.decision import COST_REASONS
from engine.ledger.queries.budgets import BudgetUse
from engine.ledger.queries.day_cells import in_local_days
from engine.ledger.queries.local_days import local_days
from engine.ledger.queries.slice import Slice, of_dimensions
from engine.ledger.queries.spend import OTHER
from engine.ledger.tables import budget_usage, crossings, decisions, usage

Counter = tuple[str, str]
"""Budget and scope."""


@dataclass(frozen=True, slots=True)
class AgentDay:
    """What one agent came to on one local day."""

    spent_micros: int
    executions: int


@dataclass(frozen=True, slots=True)
class ResidualCall:
    """A settled call, its estimate and its actual cost."""

    decision_id: str
    at: datetime
    agent_id: str
    estimate_micros: int
    actual_micros: int


def days_by_agent(
    connection: Connection, part: Slice, names: Collection[str], *, zone: str
) -> dict[tuple[date, str], AgentDay]:
    """The local days of a slice by agent; whoever is not in `names` is counted as `OTHER`.

    A day without calls has no entry. At most days x (names + 1) entries; raises `InvalidValue` for too many days.
    """
    days = local_days(part, zone)
    ran = case((usage.c.outcome == "denied", 0), else_=usage.c.decisions - usage.c.cancelled)
    inner = (
        select(
            usage.c.grain,
            usage.c.bucket,
            case((usage.c.agent_id.in_(list(names)), usage.c.agent_id), else_=OTHER).label("name"),
            usage.c.spent_micros,
            ran.label("executions"),
            usage.c.decisions,
        )
        .where(in_local_days(part.org_id, days), of_dimensions(usage, part))
        .subquery()
    )
    cell = (inner.c.grain, inner.c.bucket, inner.c.name)
    rows = connection.execute(
        select(
            *cell, func.sum(inner.c.spent_micros), func.sum(inner.c.executions), func.sum(inner.c.decisions)
        ).group_by(*cell)
    )
    found: dict[tuple[date, str], list[int]] = defaultdict(lambda: [0, 0, 0])
    for grain, bucket, name, *sums in rows:
        for day, times in days.shares.get((grain, bucket), ()):
            for place, amount in enumerate(sums):
                found[day, name][place] += times * int(amount)
    return {key: AgentDay(spent, executions) for key, (spent, executions, calls) in found.items() if calls}


def counters_of_period(
    connection: Connection, org_id: str, period: str, label: str, *, limit: int = 20
) -> tuple[list[BudgetUse], int]:
    """The running totals of a day or month, the fullest first, unlimited ones last, and how many more there are."""
    table = budget_usage
    of_period = (table.c.org_id == org_id, table.c.period == period, table.c.period_label == label)
    by_money = cast(table.c.spent_micros, Float) / func.nullif(table.c.limit_micros, 0)
    by_count = cast(table.c.executions, Float) / func.nullif(table.c.execution_limit, 0)
    fullness = case(
        (func.coalesce(by_money, -1.0) >= func.coalesce(by_count, -1.0), func.coalesce(by_money, -1.0)), else_=by_count
    )
    rows = connection.execute(
        select(table).where(*of_period).order_by(fullness.desc(), table.c.budget_id, table.c.scope).limit(limit)
    ).all()
    count = connection.execute(select(func.count()).select_from(table).where(*of_period)).scalar_one()
    return [_use(row) for row in rows], count - len(rows)


def named_counters(
    connection: Connection, org_id: str, period: str, label: str, wanted: Sequence[Counter]
) -> dict[Counter, BudgetUse]:
    """The running totals of these budgets and scopes in another day or month, as far as there are any."""
    table = budget_usage
    rows = connection.execute(
        select(table).where(
            table.c.org_id == org_id,
            table.c.period == period,
            table.c.period_label == label,
            tuple_(table.c.budget_id, table.c.scope).in_(list(wanted)),
        )
    )
    return {(row.budget_id, row.scope): _use(row) for row in rows}


def counters_between(
    connection: Connection,
    org_id: str,
    period: str,
    since: str,
    until: str,
    budget_ids: Collection[str],
    *,
    limit: int = 20,
) -> list[Counter]:
    """The counters of these budgets with totals in the days or months from label `since` to `until`, dearest first."""
    table = budget_usage
    rows = connection.execute(
        select(table.c.budget_id, table.c.scope)
        .where(
            table.c.org_id == org_id,
            table.c.period == period,
            table.c.period_label >= since,
            table.c.period_label <= until,
            table.c.budget_id.in_(list(budget_ids)),
        )
        .group_by(table.c.budget_id, table.c.scope)
        .order_by(func.sum(table.c.spent_micros).desc(), table.c.budget_id, table.c.scope)
        .limit(limit)
    )
    return [(row.budget_id, row.scope) for row in rows]


def counters_that_denied(
    connection: Connection,
    org_id: str,
    period: str,
    since: str,
    until: str,
    wanted: Sequence[Counter],
    *,
    for_cost: bool = False,
) -> set[Counter]:
    """Those of these budgets and scopes that denied a call in the periods from label `since` to label `until`.

    `for_cost`: not those that did so for their number of executions. Of what is older than reasons that is not known.
    """
    table = crossings
    cost = or_(table.c.reason.is_(None), table.c.reason.in_([code.value for code in COST_REASONS.values()]))
    key = (table.c.budget_id, table.c.scope)
    rows = connection.execute(
        select(*key)
        .distinct()
        .where(
            table.c.org_id == org_id,
            table.c.period == period,
            table.c.period_label >= since,
            table.c.period_label <= until,
            table.c.threshold == 0,
            cost if for_cost else true(),
            tuple_(*key).in_(list(wanted)),
        )
    )
    return {(row.budget_id, row.scope) for row in rows}


def largest_residuals(
    connection: Connection, org_id: str, start: datetime, end: datetime, *, limit: int = 5
) -> list[ResidualCall]:
    """Settled calls decided in `[start, end)` that cost at least 25 % more than estimated, the largest excess first.

    Calls that were estimated at nothing are left out: they say that a price is missing, not that a call was unusual.
    """
    column = decisions.c
    excess = column.actual_micros - column.estimate_micros
    rows = connection.execute(
        select(column.decision_id, column.at, column.agent_id, column.estimate_micros, column.actual_micros)
        .where(
            column.org_id == org_id,
            column.at >= start,
            column.at < end,
            column.state == "settled",
            column.estimate_micros > 0,
            column.actual_micros * 4 >= column.estimate_micros * 5,
        )
        .order_by(excess.desc(), column.decision_id)
        .limit(limit)
    )
    return [ResidualCall(*row) for row in rows]


def _use(row: object) -> BudgetUse:
    return BudgetUse(**{name: getattr(row, name) for name in BudgetUse.__slots__})
