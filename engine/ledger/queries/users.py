"""Who asks: users by UTC day and agent."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Connection, func, select

from engine.errors import InvalidValue
from engine.ledger.queries.slice import MOST_ROWS, Slice, in_buckets
from engine.ledger.tables import users

MOST_DAYS = 8
"""A thousand users of a few agents each are tens of thousands of rows a day."""


@dataclass(frozen=True, slots=True)
class UserSpend:
    """What one user comes to; calls without one are the empty name."""

    user_id: str
    decisions: int
    denied: int
    spent_micros: int


def top_users(connection: Connection, part: Slice, *, limit: int = MOST_ROWS) -> list[UserSpend]:
    """The users of the UTC days that a slice touches, the most expensive first.

    Users are known by agent only: of the slice's team and provider nothing is asked. Raises `InvalidValue` for more
    than 8 days.
    """
    if part.end - part.start > timedelta(days=MOST_DAYS):
        raise InvalidValue("start", f"must be at most {MOST_DAYS} days before the end")
    spent, decisions = func.sum(users.c.spent_micros), func.sum(users.c.decisions)
    query = (
        select(
            users.c.user_id,
            decisions.label("decisions"),
            func.sum(users.c.denied).label("denied"),
            spent.label("spent"),
        )
        .where(in_buckets(users, part, "day"))
        .group_by(users.c.user_id)
        .order_by(spent.desc(), decisions.desc(), users.c.user_id)
        .limit(limit)
    )
    if part.agent_id is not None:
        query = query.where(users.c.agent_id == part.agent_id)
    return [
        UserSpend(row.user_id, int(row.decisions), int(row.denied), int(row.spent)) for row in connection.execute(query)
    ]
