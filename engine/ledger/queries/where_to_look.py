"""In which spans of time the rollups say that there are decisions of a filter.

`decisions` is indexed by time alone and by agent, user and reason with time. A filter on anything else, or on two of
them at once, may have its next match anywhere in the past; reading back until there is one would read the whole
ledger. The rollups have the same columns in their keys, so they are asked first, and decisions are then read only in
the hours that they name, or for a user, in the days (`user_days`).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Table, Text, and_, func, literal_column, select

from engine.ledger.queries.decision_filter import IN_ROLLUPS, DecisionCursor, DecisionFilter, Span, earlier, later
from engine.ledger.queries.slice import STEPS, Grain
from engine.ledger.queries.user_days import DAYS_LOOKED_AT, chosen_days, user_days
from engine.ledger.rollups import bucket_of
from engine.ledger.tables import policies, usage

HOURS_A_PAGE = 24
"""So many hours with matches are read for one page. Where matches are rare it is shorter than asked for."""


class Look(NamedTuple):
    """Where to read decisions: `spans`, newest first, and then whatever is older than `older`; None is the end."""

    spans: list[Span]
    older: datetime | None


def where_to_look(
    connection: Connection, org_id: str, wanted: DecisionFilter, before: DecisionCursor | None = None
) -> Look:
    """Where the next decisions of a filter may be.

    1. For nothing, an agent, a reason or a user alone an index of `decisions` answers: everywhere.
    2. For a user and more: in the newest days in which that user has calls that may match.
    3. For the rest: in the newest hours with matches.
    """
    reach = before.reach if before else None
    alone = set(wanted.values) | ({"policy_id"} if wanted.policy_id is not None else set())
    if alone in (set(), {"agent_id"}, {"reason"}, {"user_id"}):
        return Look([Span(wanted.start, wanted.end)], None)
    if wanted.user_id is not None:
        days = user_days(connection, org_id, wanted, before=reach)
        chosen = chosen_days(days, looked_at_most=DAYS_LOOKED_AT)
        spans = [] if chosen.newest is None else [Span(chosen.oldest, chosen.newest + STEPS["day"])]
        return Look([_within(span, wanted) for span in spans], chosen.older)
    hours = hours_with_matches(connection, org_id, wanted, before=reach)
    return Look(_spans_of(hours, wanted), hours[-1] if len(hours) == HOURS_A_PAGE else None)


def hours_with_matches(
    connection: Connection, org_id: str, wanted: DecisionFilter, *, before: datetime | None, limit: int = HOURS_A_PAGE
) -> list[datetime]:
    """The newest hours before an instant that have decisions of a filter without a user, newest first.

    Fewer than `limit` are all that there are.
    """
    rolled_up = {name: value for name, value in wanted.values.items() if name in IN_ROLLUPS}
    if wanted.policy_id is not None:
        return _hours_of_policy(connection, org_id, wanted, rolled_up, before, limit)
    # Days first: looking through all hours of months for a few takes as long as looking through their decisions.
    # One more than hours are wanted: of the newest day all matches may lie after the filter's end or the cursor.
    days = (
        select(usage.c.bucket)
        .distinct()
        .where(*_rolled_up(usage, org_id, rolled_up, wanted, before, "day"), usage.c.grain == "day")
        .order_by(usage.c.bucket.desc())
        .limit(limit + 1)
        .cte("days")
    )
    hours = (
        select(usage.c.bucket)
        .distinct()
        .select_from(
            days.join(
                usage, and_(usage.c.bucket >= days.c.bucket, usage.c.bucket < _day_after(connection, days.c.bucket))
            )
        )
        .where(*_rolled_up(usage, org_id, rolled_up, wanted, before, "hour"), usage.c.grain == "hour")
        .order_by(usage.c.bucket.desc())
        .limit(limit)
    )
    return [row.bucket for row in connection.execute(hours)]


def _hours_of_policy(
    connection: Connection,
    org_id: str,
    wanted: DecisionFilter,
    rolled_up: dict[str, str],
    before: datetime | None,
    limit: int,
) -> list[datetime]:
    bucket = policies.c.bucket
    rows = connection.execute(
        select(bucket)
        .distinct()
        .where(
            *_rolled_up(policies, org_id, rolled_up, wanted, before, "hour"),
            policies.c.policy_id == wanted.policy_id,
            ~policies.c.shadow,
        )
        .order_by(bucket.desc())
        .limit(limit)
    )
    return [row.bucket for row in rows]


def _rolled_up(
    table: Table,
    org_id: str,
    rolled_up: dict[str, str],
    wanted: DecisionFilter,
    before: datetime | None,
    grain: Grain,
) -> Iterator[ColumnElement[bool]]:
    yield table.c.org_id == org_id
    for name, value in rolled_up.items():
        if name in table.c:
            yield table.c[name] == value
    if wanted.start is not None:
        yield table.c.bucket >= bucket_of(wanted.start.astimezone(UTC), grain)
    end = earlier(before, wanted.end)
    if end is not None:
        yield table.c.bucket < end


def _day_after(connection: Connection, bucket: ColumnElement[datetime]) -> ColumnElement[Any]:
    if connection.dialect.name == "postgresql":
        return bucket + literal_column("INTERVAL '1 day'")
    # Without fractions of a second, which sorts just before the same instant with them.
    return func.datetime(bucket, "+1 day", type_=Text)


def _spans_of(hours: list[datetime], wanted: DecisionFilter) -> list[Span]:
    """These hours, newest first, as few spans, within the filter's own time."""
    spans: list[list[datetime]] = []
    for hour in hours:
        end = hour + STEPS["hour"]
        if spans and spans[-1][0] == end:
            spans[-1][0] = hour
        else:
            spans.append([hour, end])
    return [_within(Span(start, end), wanted) for start, end in spans]


def _within(span: Span, wanted: DecisionFilter) -> Span:
    return Span(later(span.start, wanted.start), earlier(span.end, wanted.end))
