"""Decisions: newest first in keyset pages, and one in full."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, literal, select, tuple_

from engine.ids import check_id
from engine.ledger.tables import decisions, events
from engine.ledger.types import UtcDateTime

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LARGEST_MICROSECONDS = 253_402_300_799_000_000  # the end of the year 9999


@dataclass(frozen=True, slots=True)
class DecisionFilter:
    """Which decisions are wanted; None means any."""

    outcome: str | None = None
    reason: str | None = None
    agent_id: str | None = None
    user_id: str | None = None


@dataclass(frozen=True, slots=True)
class DecisionCursor:
    """A place in the order of decisions: everything older than this one."""

    at: datetime
    decision_id: str

    def token(self) -> str:
        """The cursor as text for a URL."""
        return f"{(self.at - _EPOCH) // timedelta(microseconds=1)}.{self.decision_id}"

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


@dataclass(frozen=True, slots=True)
class DecisionLine:
    """One decision in a list. `spent_micros` is 0 while its hold is open."""

    decision_id: str
    at: datetime
    outcome: str
    reason: str
    message: str
    state: str
    agent_id: str
    user_id: str
    estimate_micros: int
    reserve_micros: int
    spent_micros: int


@dataclass(frozen=True, slots=True)
class DecisionPage:
    """Some decisions, newest first; `older` is where the next page begins, None at the end."""

    lines: list[DecisionLine]
    older: DecisionCursor | None


@dataclass(frozen=True, slots=True)
class LedgerEvent:
    """One fact of the ledger about a decision."""

    seq: int
    kind: str
    at: datetime
    written_at: datetime
    payload: dict[str, Any]


@dataclass(frozen=True, slots=True)
class DecisionRecord:
    """One decision in full. Absent team, user, model and environment are empty strings.

    `outage` says why the gate did not decide, empty when it did; `fail_open` that the call was allowed all the same.
    """

    decision_id: str
    org_id: str
    at: datetime
    agent_id: str
    team_id: str
    user_id: str
    provider: str
    model: str
    environment: str
    complexity: str
    action: str
    outcome: str
    reason: str
    message: str
    state: str
    estimate_micros: int
    reserve_micros: int
    spent_micros: int
    actual_micros: int | None
    success: bool | None
    input_tokens: int | None
    output_tokens: int | None
    cached_input_tokens: int | None
    cache_write_tokens: int | None
    microcredits: int | None
    estimate_basis: str
    expires_at: datetime | None
    closed_at: datetime | None
    document_version: int
    price_book_version: str
    prepare_us: int
    outage: str
    fail_open: bool
    tests: dict[str, Any]


def decision_page(
    connection: Connection,
    org_id: str,
    wanted: DecisionFilter,
    *,
    before: DecisionCursor | None = None,
    limit: int = 50,
) -> DecisionPage:
    """At most `limit` decisions older than `before`, newest first."""
    table = decisions
    query = select(*(table.c[name] for name in DecisionLine.__slots__)).where(table.c.org_id == org_id)
    for column, value in (
        (table.c.outcome, wanted.outcome),
        (table.c.reason, wanted.reason),
        (table.c.agent_id, wanted.agent_id),
        (table.c.user_id, wanted.user_id),
    ):
        if value is not None:
            query = query.where(column == value)
    if before is not None:
        place = tuple_(literal(before.at, UtcDateTime), literal(before.decision_id))
        query = query.where(tuple_(table.c.at, table.c.decision_id) < place)
    # One more than asked for tells whether an older page exists.
    rows = connection.execute(query.order_by(table.c.at.desc(), table.c.decision_id.desc()).limit(limit + 1)).all()
    lines = [DecisionLine(*row) for row in rows[:limit]]
    older = DecisionCursor(lines[-1].at, lines[-1].decision_id) if len(rows) > limit else None
    return DecisionPage(lines, older)


def find_decision(connection: Connection, org_id: str, decision_id: str) -> DecisionRecord | None:
    """One decision of this organization, or None."""
    row = connection.execute(
        select(*(decisions.c[name] for name in DecisionRecord.__slots__)).where(
            decisions.c.org_id == org_id, decisions.c.decision_id == decision_id
        )
    ).one_or_none()
    return None if row is None else DecisionRecord(*row)


def decision_events(connection: Connection, org_id: str, decision_id: str, *, limit: int = 50) -> list[LedgerEvent]:
    """What the ledger recorded about one decision, in the order of recording."""
    rows = connection.execute(
        select(*(events.c[name] for name in LedgerEvent.__slots__))
        .where(events.c.org_id == org_id, events.c.decision_id == decision_id)
        .order_by(events.c.seq)
        .limit(limit)
    )
    return [LedgerEvent(*row) for row in rows]
