"""Rate limits: who was throttled, how full the scopes were, and calls let through while the limiter was away."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, case, func, literal_column, select

from engine.decision import RATE_REASONS, WINDOWS
from engine.ledger.queries.slice import MOST_ROWS, Grain, Slice, in_buckets, in_grain, in_usage
from engine.ledger.tables import PRESSED_PERMILLE, limits, usage

RATE_REASON_VALUES = tuple(reason.value for reason in RATE_REASONS)
_WINDOW_OF = dict(zip(RATE_REASON_VALUES, WINDOWS, strict=True))

FULL_PERMILLE = 1000


@dataclass(frozen=True, slots=True)
class Throttling:
    """One bucket: its decisions, those denied for each window (429) and those let through without the limiter."""

    bucket: datetime
    decisions: int
    minute: int
    hour: int
    day: int
    fail_open: int

    @property
    def throttled(self) -> int:
        """Denied by a rate limit."""
        return self.minute + self.hour + self.day


@dataclass(frozen=True, slots=True)
class ScopePressure:
    """One window of one rate scope, in the hours in which it came to half of its limit or more.

    `peak_permille` is the fullest it was, in thousandths of the limit; `full_hours` those in which nothing was left.
    `most_exceeded` is what it denied in its worst hour: a limit higher by so much would have let that hour pass.
    """

    rate_limit_id: str
    scope: str
    window: str
    pressed_hours: int
    full_hours: int
    checks: int
    exceeded: int
    most_exceeded: int
    fail_open: int
    peak_permille: int


@dataclass(frozen=True, slots=True)
class TierDenials:
    """What one rate limit denied in one hour, over all of its scopes; a call may be denied by several."""

    bucket: datetime
    rate_limit_id: str
    exceeded: int


@dataclass(frozen=True, slots=True)
class HeatCell:
    """One hour of one rate scope: the fullest of its windows, in thousandths of the limit, and what it denied."""

    bucket: datetime
    rate_limit_id: str
    scope: str
    peak_permille: int
    exceeded: int


def throttling(connection: Connection, part: Slice, *, grain: Grain) -> list[Throttling]:
    """429s by window and the fail-open strip, oldest bucket first; a bucket without calls has no row.

    As many rows as the slice has minutes, hours or days. Raises `InvalidValue` for too many, and for minutes that are
    no longer kept (`Slice.buckets`).
    """
    columns = [
        func.sum(case((usage.c.reason == reason, usage.c.decisions), else_=0)).label(window)
        for reason, window in _WINDOW_OF.items()
    ]
    rows = connection.execute(
        select(
            usage.c.bucket,
            func.sum(usage.c.decisions).label("decisions"),
            *columns,
            func.sum(usage.c.fail_open).label("fail_open"),
        )
        .where(in_grain(part, grain))
        .group_by(usage.c.bucket)
        .order_by(usage.c.bucket)
    )
    return [Throttling(row.bucket, *map(int, row[1:])) for row in rows]


def tier_denials(connection: Connection, part: Slice) -> list[TierDenials]:
    """What each rate limit denied, by the hour, oldest first: at most hours x rate limits rows.

    Raises `InvalidValue` for too many hours (`Slice.buckets`).
    """
    part.buckets("hour")
    table = limits
    exceeded = func.sum(table.c.exceeded)
    rows = connection.execute(
        select(table.c.bucket, table.c.rate_limit_id, exceeded.label("exceeded"))
        .where(_pressed(part))
        .group_by(table.c.bucket, table.c.rate_limit_id)
        .having(exceeded > 0)
        .order_by(table.c.bucket, table.c.rate_limit_id)
    )
    return [TierDenials(row.bucket, row.rate_limit_id, int(row.exceeded)) for row in rows]


def throttled_agents(connection: Connection, part: Slice, *, limit: int = MOST_ROWS) -> list[tuple[str, str, int, int]]:
    """Agent, team, 429s and all decisions of those that were throttled, the most throttled first."""
    throttled = func.sum(case((usage.c.reason.in_(RATE_REASON_VALUES), usage.c.decisions), else_=0))
    agent = (usage.c.agent_id, usage.c.team_id)
    rows = connection.execute(
        select(*agent, throttled.label("throttled"), func.sum(usage.c.decisions).label("decisions"))
        .where(in_usage(part))
        .group_by(*agent)
        .having(throttled > 0)
        .order_by(throttled.desc(), *agent)
        .limit(limit)
    )
    return [(row.agent_id, row.team_id, int(row.throttled), int(row.decisions)) for row in rows]


def scope_pressure(connection: Connection, part: Slice, *, limit: int = MOST_ROWS) -> list[ScopePressure]:
    """The rate scopes under pressure in the hours of a slice, those that denied most first.

    Rate scopes are no agent's or team's own: of the slice only its organization and hours count.
    """
    table = limits
    scope = (table.c.rate_limit_id, table.c.scope, table.c.window)
    exceeded, peak = func.sum(table.c.exceeded), func.max(table.c.peak_permille)
    rows = connection.execute(
        select(
            *scope,
            func.count().label("pressed_hours"),
            func.sum(case((table.c.peak_permille >= FULL_PERMILLE, 1), else_=0)).label("full_hours"),
            func.sum(table.c.checks).label("checks"),
            exceeded.label("exceeded"),
            func.max(table.c.exceeded).label("most_exceeded"),
            func.sum(table.c.fail_open).label("fail_open"),
            peak.label("peak"),
        )
        .where(_pressed(part))
        .group_by(*scope)
        .order_by(exceeded.desc(), peak.desc(), *scope)
        .limit(limit)
    )
    return [ScopePressure(row.rate_limit_id, row.scope, row.window, *map(int, row[3:])) for row in rows]


def scope_heat(connection: Connection, part: Slice, *, scopes: int = 30) -> list[HeatCell]:
    """Hour x rate scope, for the scopes that denied most or were fullest: at most hours x `scopes` cells.

    By scope, then hour. An hour in which a scope did not come to half of its limit has no cell. Raises `InvalidValue`
    for too many hours (`Slice.buckets`).
    """
    part.buckets("hour")
    table = limits
    scope = (table.c.rate_limit_id, table.c.scope)
    peak, exceeded = func.max(table.c.peak_permille), func.sum(table.c.exceeded)
    cells = (
        select(table.c.bucket, *scope, peak.label("peak"), exceeded.label("exceeded"))
        .where(_pressed(part))
        .group_by(table.c.bucket, *scope)
        .cte("cells")
    )
    name = (cells.c.rate_limit_id, cells.c.scope)
    fullest = (
        select(*name)
        .group_by(*name)
        .order_by(func.sum(cells.c.exceeded).desc(), func.max(cells.c.peak).desc(), *name)
        .limit(scopes)
        .cte("fullest")
    )
    both = (fullest.c.rate_limit_id == cells.c.rate_limit_id) & (fullest.c.scope == cells.c.scope)
    rows = connection.execute(select(cells).select_from(cells.join(fullest, both)).order_by(*name, cells.c.bucket))
    return [HeatCell(row.bucket, row.rate_limit_id, row.scope, row.peak, int(row.exceeded)) for row in rows]


def _pressed(part: Slice) -> ColumnElement[bool]:
    """In the words of the index that has only these rows."""
    return in_buckets(limits, part, "hour") & (limits.c.peak_permille >= literal_column(str(PRESSED_PERMILLE)))
