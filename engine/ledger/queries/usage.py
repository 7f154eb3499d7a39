"""Spend and decisions per hour or day, from the rollups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import ColumnElement, Connection, and_, case, func, select

from engine.ledger.tables import usage

Grain = Literal["minute", "hour", "day"]
Split = Literal["provider", "agent", "team"]

OTHER = "(other)"
"""Name of everything outside the names asked for; brackets cannot occur in an id."""

_SPLIT_COLUMNS = {"provider": usage.c.provider, "agent": usage.c.agent_id, "team": usage.c.team_id}


@dataclass(frozen=True, slots=True)
class UsageWindow:
    """The buckets of one organization that start in `[start, end)`."""

    org_id: str
    grain: Grain
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class UsageCell:
    """One bucket x name x outcome x reason."""

    bucket: datetime
    name: str
    outcome: str
    reason: str
    decisions: int
    spent_micros: int


@dataclass(frozen=True, slots=True)
class AgentUsage:
    """What one agent did in a window. `spent_micros` includes expired holds, charged at their reserve."""

    agent_id: str
    team_id: str
    provider: str
    spent_micros: int
    allowed: int
    denied: int
    settled: int
    expired: int
    cancelled: int
    failed: int


@dataclass(frozen=True, slots=True)
class UsageTotals:
    """Sums over a window. `spent_micros` includes expired holds, charged at their reserve."""

    spent_micros: int
    latest_spent_micros: int
    allowed: int
    denied: int
    settled: int
    expired: int
    cancelled: int

    @property
    def decisions(self) -> int:
        """All checks."""
        return self.allowed + self.denied

    @property
    def settled_share(self) -> float | None:
        """Share of the charged or awaited calls whose real cost is known; None without any."""
        charged = self.allowed - self.cancelled
        return self.settled / charged if charged > 0 else None


def usage_totals(connection: Connection, window: UsageWindow, *, latest_from: datetime) -> UsageTotals:
    """Sum a window; `latest_spent_micros` counts only the buckets from `latest_from` on."""
    row = connection.execute(
        select(
            func.sum(usage.c.spent_micros).label("spent"),
            func.sum(case((usage.c.bucket >= latest_from, usage.c.spent_micros), else_=0)).label("latest"),
            *_counts(),
        ).where(_inside(window))
    ).one()
    return UsageTotals(
        spent_micros=int(row.spent or 0),
        latest_spent_micros=int(row.latest or 0),
        allowed=int(row.allowed or 0),
        denied=int(row.denied or 0),
        settled=int(row.settled or 0),
        expired=int(row.expired or 0),
        cancelled=int(row.cancelled or 0),
    )


def top_names(connection: Connection, window: UsageWindow, split: Split, *, limit: int = 5) -> list[str]:
    """The providers, agents or teams of a window, the most expensive first."""
    column = _SPLIT_COLUMNS[split]
    spent = func.sum(usage.c.spent_micros)
    rows = connection.execute(
        select(column.label("name"))
        .where(_inside(window))
        .group_by(column)
        .order_by(spent.desc(), func.sum(usage.c.decisions).desc(), column)
        .limit(limit)
    )
    return [row.name for row in rows]


def usage_series(connection: Connection, window: UsageWindow, split: Split, names: Sequence[str]) -> list[UsageCell]:
    """The cells of a window by bucket, oldest first; whoever is not in `names` is counted as `OTHER`.

    At most buckets x (names + 1) x reasons rows.
    """
    column = _SPLIT_COLUMNS[split]
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
        .where(_inside(window))
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


def agent_usage(connection: Connection, window: UsageWindow, *, limit: int = 200) -> list[AgentUsage]:
    """The agents of a window, the most expensive first."""
    agent = (usage.c.agent_id, usage.c.team_id, usage.c.provider)
    spent = func.sum(usage.c.spent_micros)
    rows = connection.execute(
        select(*agent, spent.label("spent"), func.sum(usage.c.failed).label("failed"), *_counts())
        .where(_inside(window))
        .group_by(*agent)
        .order_by(spent.desc(), func.sum(usage.c.decisions).desc(), *agent)
        .limit(limit)
    )
    return [
        AgentUsage(
            agent_id=row.agent_id,
            team_id=row.team_id,
            provider=row.provider,
            spent_micros=int(row.spent),
            allowed=int(row.allowed),
            denied=int(row.denied),
            settled=int(row.settled),
            expired=int(row.expired),
            cancelled=int(row.cancelled),
            failed=int(row.failed),
        )
        for row in rows
    ]


def agent_names(connection: Connection, org_id: str, *, since: datetime, limit: int = 500) -> list[str]:
    """The agents seen in the daily rollups from `since` on, by name."""
    rows = connection.execute(
        select(usage.c.agent_id)
        .distinct()
        .where(usage.c.org_id == org_id, usage.c.grain == "day", usage.c.bucket >= since)
        .order_by(usage.c.agent_id)
        .limit(limit)
    )
    return [row.agent_id for row in rows]


def _inside(window: UsageWindow) -> ColumnElement[bool]:
    return and_(
        usage.c.org_id == window.org_id,
        usage.c.grain == window.grain,
        usage.c.bucket >= window.start,
        usage.c.bucket < window.end,
    )


def _counts() -> tuple[ColumnElement[int], ...]:
    return (
        func.sum(case((usage.c.outcome == "allowed", usage.c.decisions), else_=0)).label("allowed"),
        func.sum(case((usage.c.outcome == "denied", usage.c.decisions), else_=0)).label("denied"),
        func.sum(usage.c.settled).label("settled"),
        func.sum(usage.c.expired).label("expired"),
        func.sum(usage.c.cancelled).label("cancelled"),
    )
