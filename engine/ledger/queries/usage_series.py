"""Spend and decisions minute by minute, hour by hour or by the UTC day, for stacked bars of the newest time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, case, func, select

from engine.ledger.queries.slice import Grain, Slice, in_grain
from engine.ledger.queries.spend import OTHER, SPLIT_COLUMNS, Split
from engine.ledger.tables import usage


@dataclass(frozen=True, slots=True)
class UsageCell:
    """One bucket x name x outcome x reason."""

    bucket: datetime
    name: str
    outcome: str
    reason: str
    decisions: int
    spent_micros: int


def usage_series(
    connection: Connection, part: Slice, split: Split, names: Sequence[str], *, grain: Grain
) -> list[UsageCell]:
    """The cells of a slice by bucket, oldest first; whoever is not in `names` is counted as `OTHER`.

    At most buckets x (names + 1) x reasons rows. Raises `InvalidValue` for too many buckets, and for minutes that are
    no longer kept (`Slice.buckets`). For days of another zone than UTC there is `spend_by_day`.
    """
    column = SPLIT_COLUMNS[split]
    # Grouping by the label, not by the expression: its bound values would count as different expressions.
    inner = (
        select(
            usage.c.bucket,
            case((column.in_(names), column), else_=OTHER).label("name"),
            usage.c.outcome,
            usage.c.reason,
            usage.c.decisions,
            usage.c.spent_micros,
        )
        .where(in_grain(part, grain))
        .subquery()
    )
    cell = (inner.c.bucket, inner.c.name, inner.c.outcome, inner.c.reason)
    rows = connection.execute(
        select(
            *cell,
            func.sum(inner.c.decisions).label("decisions"),
            func.sum(inner.c.spent_micros).label("spent_micros"),
        )
        .group_by(*cell)
        .order_by(*cell)
    )
    return [
        UsageCell(row.bucket, row.name, row.outcome, row.reason, int(row.decisions), int(row.spent_micros))
        for row in rows
    ]
