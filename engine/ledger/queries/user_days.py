"""In which days a user has calls that may be those of a filter, from the rollup of user x agent x day.

What else is asked for (team, provider, outcome, reason, model, environment) that rollup does not know; the daily cells
of the same agents do. So a day may be named in which it was another user's call; but where nobody's was, none is.
Which policies applied is not asked for: the calls of a user are few enough to look.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, FromClause, exists, func, literal, select

from engine.ledger.queries.decision_filter import IN_ROLLUPS, DecisionFilter, earlier
from engine.ledger.rollups import bucket_of
from engine.ledger.tables import usage, users

DAYS_LOOKED_AT = 100
"""So many days with calls of anybody are looked at for one page."""
CALLS_READ = 5_000
"""So many calls of a user are read for one page, or a whole day of them. Where matches are rare it is shorter."""


class UserDay(NamedTuple):
    """One UTC day: how many calls the user made, and whether any of them may match."""

    day: datetime
    calls: int
    may_match: bool


class ChosenDays(NamedTuple):
    """The days to read, from `oldest` to `newest`, None when there are none; `older` is where to look on, if at all."""

    newest: datetime | None
    oldest: datetime | None
    older: datetime | None


def user_days(
    connection: Connection,
    org_id: str,
    wanted: DecisionFilter,
    *,
    before: datetime | None,
    limit: int = DAYS_LOOKED_AT,
) -> list[UserDay]:
    """The newest days before an instant in which anybody called, newest first.

    Each day is reached from the one after it by one step in the index: counting off the days in the rows themselves
    would read those of all users.
    """
    own = users.c.org_id == org_id
    end = earlier(before, wanted.end)
    start = None if wanted.start is None else bucket_of(wanted.start.astimezone(UTC), "day")
    first = [own, *([users.c.bucket < end] if end else []), *([users.c.bucket >= start] if start else [])]
    days = (
        select(func.max(users.c.bucket).label("day"), literal(1).label("number"))
        .where(*first)
        .cte("days", recursive=True)
    )
    earlier_day = (
        select(func.max(users.c.bucket))
        .where(own, users.c.bucket < days.c.day, *([users.c.bucket >= start] if start else []))
        .scalar_subquery()
    )
    days = days.union_all(select(earlier_day, days.c.number + 1).where(days.c.day.is_not(None), days.c.number < limit))
    calls = (
        select(func.sum(users.c.decisions))
        .where(own, users.c.bucket == days.c.day, users.c.user_id == wanted.user_id)
        .scalar_subquery()
    )
    # With a limit, for PostgreSQL would otherwise look for all of the user's days first, and read those of all users.
    match = select(literal(1)).where(*_may_match(org_id, wanted, days)).limit(1).scalar_subquery()
    rows = connection.execute(
        select(days.c.day, calls.label("calls"), match.is_not(None).label("may_match"))
        .where(days.c.day.is_not(None))
        .order_by(days.c.day.desc())
    )
    return [UserDay(row.day, int(row.calls or 0), bool(row.may_match)) for row in rows]


def chosen_days(
    days: Sequence[UserDay], *, looked_at_most: int = DAYS_LOOKED_AT, calls_read: int = CALLS_READ
) -> ChosenDays:
    """The days to read for a page: from the newest that may match back to as many calls as may be read. Pure.

    Days between two of them are read along, for one span is one step in the index; their calls count too.
    """
    last_looked = days[-1].day if len(days) >= looked_at_most else None
    found = [number for number, day in enumerate(days) if day.may_match]
    if not found:
        return ChosenDays(None, None, last_looked)
    newest = oldest = found[0]
    for number in found[1:]:
        if sum(day.calls for day in days[newest : number + 1]) > calls_read:
            return ChosenDays(days[newest].day, days[oldest].day, days[oldest].day)
        oldest = number
    return ChosenDays(days[newest].day, days[oldest].day, last_looked)


def _may_match(org_id: str, wanted: DecisionFilter, days: FromClause) -> Iterator[ColumnElement[Any]]:
    """The user's rows of a day, and the daily cells of the same agents."""
    yield users.c.org_id == org_id
    yield users.c.bucket == days.c.day
    yield users.c.user_id == wanted.user_id
    if wanted.agent_id is not None:
        yield users.c.agent_id == wanted.agent_id
    if wanted.outcome == "denied":
        yield users.c.denied > 0
    elif wanted.outcome == "allowed":
        yield users.c.decisions > users.c.denied
    others = {name: value for name, value in wanted.values.items() if name in IN_ROLLUPS and name != "agent_id"}
    if others:
        yield exists().where(
            usage.c.org_id == org_id,
            usage.c.grain == "day",
            usage.c.bucket == users.c.bucket,
            usage.c.agent_id == users.c.agent_id,
            *(usage.c[name] == value for name, value in others.items()),
        )
