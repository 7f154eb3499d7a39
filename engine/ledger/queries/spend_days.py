"""Spend day by day, in the days of a named zone: for stacked bars, sparklines, burn-up, forecast and anomaly."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from sqlalchemy import Connection, case, func, select

from engine.ledger.queries.day_cells import in_local_days
from engine.ledger.queries.local_days import LocalDays, local_day, local_days
from engine.ledger.queries.slice import Slice, of_dimensions
from engine.ledger.queries.spend import OTHER, SPLIT_COLUMNS, Split
from engine.ledger.tables import usage


@dataclass(frozen=True, slots=True)
class DaySpend:
    """One local day of one name."""

    day: date
    name: str
    spent_micros: int
    decisions: int
    denied: int


@dataclass(frozen=True, slots=True)
class SpendHistory:
    """Complete local days without gaps, oldest first, from the first one with calls to the day before `today`.

    As `forecast_month` and `anomaly_of` take them, money in micro-dollars.
    """

    today: date
    first_day: date
    days: tuple[int, ...]
    so_far_micros: int


def spend_by_day(
    connection: Connection, part: Slice, split: Split, names: Sequence[str], *, zone: str = "UTC"
) -> list[DaySpend]:
    """The days of a slice, split by one dimension; whoever is not in `names` is counted as `OTHER`.

    By day, then name; a day without calls has no row. At most days x (names + 1) rows; raises `InvalidValue` for too
    many days (`Slice.buckets`).
    """
    column = SPLIT_COLUMNS[split]
    days = local_days(part, zone)
    # Grouping by the label, not by the expression: its bound values would count as different expressions.
    inner = (
        select(
            usage.c.grain,
            usage.c.bucket,
            case((column.in_(names), column), else_=OTHER).label("name"),
            usage.c.outcome,
            usage.c.spent_micros,
            usage.c.decisions,
        )
        .where(in_local_days(part.org_id, days), of_dimensions(usage, part))
        .subquery()
    )
    cell = (inner.c.grain, inner.c.bucket, inner.c.name)
    rows = connection.execute(
        select(
            *cell,
            func.sum(inner.c.spent_micros),
            func.sum(inner.c.decisions),
            func.sum(case((inner.c.outcome == "denied", inner.c.decisions), else_=0)),
        ).group_by(*cell)
    )
    found = _by_day(days, rows)
    return [DaySpend(day, name, *sums) for (day, name), sums in sorted(found.items()) if any(sums)]


def spend_history(connection: Connection, part: Slice, *, zone: str = "UTC") -> SpendHistory | None:
    """The days of a slice that ends now; None when it has no calls.

    A forecast looks 56 days back, an anomaly at 60 days with spend: begin a slice 70 days ago, at a local midnight.
    """
    days = local_days(part, zone)
    cell = (usage.c.grain, usage.c.bucket)
    rows = connection.execute(
        select(*cell, usage.c.org_id, func.sum(usage.c.spent_micros), func.sum(usage.c.decisions))
        .where(in_local_days(part.org_id, days), of_dimensions(usage, part))
        .group_by(*cell, usage.c.org_id)
    )
    spent = {day: sums[0] for (day, _), sums in _by_day(days, rows).items() if sums[1]}
    if not spent:
        return None
    today, first = local_day(part.end, zone), min(spent)
    complete = (first + timedelta(days=number) for number in range((today - first).days))
    return SpendHistory(today, first, tuple(spent.get(day, 0) for day in complete), spent.get(today, 0))


def _by_day(days: LocalDays, rows: Iterable[Any]) -> dict[tuple[date, str], list[int]]:
    """Rows of grain, bucket, name and amounts, added up by local day and name."""
    found: dict[tuple[date, str], list[int]] = defaultdict(list)
    for grain, bucket, name, *amounts in rows:
        for day, times in days.shares.get((grain, bucket), ()):
            sums = found[day, name]
            sums.extend([0] * (len(amounts) - len(sums)))
            for index, amount in enumerate(amounts):
                sums[index] += times * int(amount)
    return found
