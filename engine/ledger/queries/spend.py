"""Spend: totals of a slice, who spent it, and who spends more or less than before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, case, func, or_, select

from engine.errors import InvalidValue
from engine.ledger.queries.measures import Measures, measures
from engine.ledger.queries.slice import MOST_ROWS, Slice, in_usage
from engine.ledger.tables import usage

Split = Literal["team", "agent", "provider", "model", "environment", "complexity", "reason"]

OTHER = "(other)"
"""Name of everything outside the names asked for; brackets cannot occur in an id."""

SPLIT_COLUMNS: dict[Split, Any] = {
    "team": usage.c.team_id,
    "agent": usage.c.agent_id,
    "provider": usage.c.provider,
    "model": usage.c.model,
    "environment": usage.c.environment,
    "complexity": usage.c.complexity,
    "reason": usage.c.reason,
}


@dataclass(frozen=True, slots=True)
class NamedMeasures:
    """What one team, agent, provider or the like comes to; an absent team, model or environment is an empty name."""

    name: str
    sums: Measures


@dataclass(frozen=True, slots=True)
class AgentSpend:
    """What one agent comes to, with the team and provider it was called under."""

    agent_id: str
    team_id: str
    provider: str
    sums: Measures


@dataclass(frozen=True, slots=True)
class Move:
    """What one name spent in a slice and in an earlier one."""

    name: str
    now_micros: int
    before_micros: int

    @property
    def change_micros(self) -> int:
        """Above zero when it spends more than before."""
        return self.now_micros - self.before_micros


def spend_totals(connection: Connection, part: Slice) -> Measures:
    """All of a slice together."""
    return Measures.of(connection.execute(select(*measures()).where(in_usage(part))).one())


def spend_by(connection: Connection, part: Slice, split: Split, *, limit: int = MOST_ROWS) -> list[NamedMeasures]:
    """A slice by one dimension, the most expensive first."""
    column = SPLIT_COLUMNS[split]
    rows = connection.execute(
        select(column.label("name"), *measures())
        .where(in_usage(part))
        .group_by(column)
        .order_by(*_dearest(), column)
        .limit(limit)
    )
    return [NamedMeasures(row.name, Measures.of(row)) for row in rows]


def agent_spend(connection: Connection, part: Slice, *, limit: int = MOST_ROWS) -> list[AgentSpend]:
    """The agents of a slice, the most expensive first; one that changed its team has a line for each."""
    agent = (usage.c.agent_id, usage.c.team_id, usage.c.provider)
    rows = connection.execute(
        select(*agent, *measures()).where(in_usage(part)).group_by(*agent).order_by(*_dearest(), *agent).limit(limit)
    )
    return [AgentSpend(row.agent_id, row.team_id, row.provider, Measures.of(row)) for row in rows]


def spend_moves(connection: Connection, now: Slice, before: Slice, split: Split, *, limit: int = 10) -> list[Move]:
    """Who moved the spend between two slices of the same length: the largest changes first, up or down.

    `before` must end where `now` begins, or earlier. For "since last month" compare a month to date with the same
    days of the month before.
    """
    if before.end > now.start:
        raise InvalidValue("before", "must end before the slice it is compared with begins")
    column = SPLIT_COLUMNS[split]
    # The pieces of the two do not overlap, so the first bucket of the later one tells them apart.
    is_now = usage.c.bucket >= min((piece.start for piece in now.pieces()), default=now.end)
    spent_now = func.sum(case((is_now, usage.c.spent_micros), else_=0))
    spent_before = func.sum(case((is_now, 0), else_=usage.c.spent_micros))
    inner = (
        select(column.label("name"), spent_now.label("now"), spent_before.label("before"))
        .where(or_(in_usage(now), in_usage(before)))
        .group_by(column)
        .subquery()
    )
    change = inner.c.now - inner.c.before
    rows = connection.execute(
        select(inner).where(change != 0).order_by(func.abs(change).desc(), inner.c.name).limit(limit)
    )
    return [Move(row.name, int(row.now), int(row.before)) for row in rows]


def _dearest() -> tuple[ColumnElement[Any], ...]:
    return func.sum(usage.c.spent_micros).desc(), func.sum(usage.c.decisions).desc()
