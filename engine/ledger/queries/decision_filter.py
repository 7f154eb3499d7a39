"""Which decisions are wanted, from which place on, and in which spans of time. Where to look is in `where_to_look`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, Self

from sqlalchemy import ColumnElement, Connection, and_, false, func, literal, or_, select, true
from sqlalchemy.dialects.postgresql import JSONB

from engine.ids import check_id
from engine.ledger.queries.slice import Slice
from engine.ledger.tables import decisions

IN_ROLLUPS = ("agent_id", "team_id", "provider", "outcome", "reason", "model", "environment")
"""What a filter shares with the key of `usage`."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LARGEST_MICROSECONDS = 253_402_300_799_000_000  # the end of the year 9999
_NO_ID = "0"
"""Ids are hexadecimal, and none comes before this one."""


@dataclass(frozen=True, slots=True)
class DecisionFilter:
    """Which decisions are wanted, decided in `[start, end)`; None means any.

    `policy_id` is a policy that applied; shadow policies do not count. An empty team, user, model or environment means
    calls without one.
    """

    outcome: str | None = None
    reason: str | None = None
    agent_id: str | None = None
    user_id: str | None = None
    team_id: str | None = None
    provider: str | None = None
    policy_id: str | None = None
    start: datetime | None = None
    end: datetime | None = None
    model: str | None = None
    environment: str | None = None

    @classmethod
    def within(
        cls,
        part: Slice,
        *,
        outcome: str | None = None,
        reason: str | None = None,
        user_id: str | None = None,
        policy_id: str | None = None,
    ) -> Self:
        """The decisions of a slice."""
        return cls(
            outcome,
            part.reason if reason is None else reason,
            part.agent_id,
            user_id,
            part.team_id,
            part.provider,
            policy_id,
            part.start,
            part.end,
            part.model,
            part.environment,
        )

    @property
    def values(self) -> dict[str, str]:
        """Columns of `decisions`, and the value asked for."""
        names = (*IN_ROLLUPS, "user_id")
        return {name: value for name in names if (value := getattr(self, name)) is not None}


@dataclass(frozen=True, slots=True)
class DecisionCursor:
    """A place in the order of decisions: everything older than this one."""

    at: datetime
    decision_id: str

    def token(self) -> str:
        """The cursor as text for a URL."""
        return f"{(self.at - _EPOCH) // timedelta(microseconds=1)}.{self.decision_id}"

    @property
    def reach(self) -> datetime:
        """All that is older was decided before this instant: of the cursor's own there may be some, but at a start."""
        return self.at if self.decision_id == _NO_ID else self.at + timedelta(microseconds=1)

    @classmethod
    def at_start_of(cls, bucket: datetime) -> DecisionCursor:
        """Everything older than an instant."""
        return cls(bucket, _NO_ID)

    @classmethod
    def parse(cls, token: str) -> DecisionCursor | None:
        """Read `token()` back; None when it is not one."""
        microseconds, _, decision_id = token.partition(".")
        if not (microseconds.isascii() and microseconds.isdigit() and len(microseconds) <= 18):
            return None
        if int(microseconds) > _LARGEST_MICROSECONDS:
            return None
        try:
            check_id(decision_id, "decision")
        except ValueError:
            return None
        return cls(_EPOCH + timedelta(microseconds=int(microseconds)), decision_id)


class Span(NamedTuple):
    """Instants in `[start, end)`; None is without a bound."""

    start: datetime | None
    end: datetime | None


def matching(connection: Connection, org_id: str, wanted: DecisionFilter) -> ColumnElement[bool]:
    """The decisions that a filter keeps, by everything but time."""
    table = decisions
    conditions = [table.c.org_id == org_id, *(table.c[name] == value for name, value in wanted.values.items())]
    if wanted.policy_id is not None:
        conditions.append(_applied(connection, wanted.policy_id))
    return and_(*conditions)


def decided_in(spans: list[Span], before: DecisionCursor | None = None) -> ColumnElement[bool]:
    """The decisions of these spans, and of those only the ones after a cursor in the order newest first.

    Each span has one end, the cursor's own where that comes first: with two of them, or with a comparison of pairs
    beside a start, SQLite prefers the index by time alone to that of the filter, and reads everybody's decisions.
    """
    at = decisions.c.at
    bounds = [Span(span.start, earlier(span.end, before.reach if before else None)) for span in spans]
    within = or_(
        false(),
        *(
            and_(true(), *([at >= span.start] if span.start else []), *([at < span.end] if span.end else []))
            for span in bounds
        ),
    )
    if before is None or before.decision_id == _NO_ID:
        return within
    return and_(within, or_(at != before.at, decisions.c.decision_id < before.decision_id))


def earlier(one: datetime | None, other: datetime | None) -> datetime | None:
    """The nearer of two ends, where None is no end."""
    return min((each for each in (one, other) if each is not None), default=None)


def later(one: datetime | None, other: datetime | None) -> datetime | None:
    """The nearer of two starts, where None is no start."""
    return max((each for each in (one, other) if each is not None), default=None)


def _applied(connection: Connection, policy_id: str) -> ColumnElement[bool]:
    if connection.dialect.name == "postgresql":
        return decisions.c.tests.bool_op("@>")(literal({"policy": {"matched": [policy_id]}}, JSONB()))
    each = func.json_each(decisions.c.tests, "$.policy.matched").table_valued("value")
    return select(each.c.value).where(each.c.value == policy_id).exists()
