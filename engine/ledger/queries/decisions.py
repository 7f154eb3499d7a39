"""Decisions: newest first in keyset pages, and one in full."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, literal, select, tuple_

from engine.ledger.queries.decision_filter import (
    DecisionCursor,
    DecisionFilter,
    decided_in,
    matching,
)
from engine.ledger.queries.where_to_look import where_to_look
from engine.ledger.tables import decisions, events
from engine.ledger.types import UtcDateTime

__all__ = [
    "DecisionCursor",
    "DecisionFilter",
    "DecisionLine",
    "DecisionPage",
    "DecisionRecord",
    "RecordedEvent",
    "decision_events",
    "decision_neighbours",
    "decision_page",
    "find_decision",
]


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
    team_id: str = ""
    provider: str = ""
    model: str = ""


@dataclass(frozen=True, slots=True)
class DecisionPage:
    """Some decisions, newest first; `older` is where the next page begins, None at the end."""

    lines: list[DecisionLine]
    older: DecisionCursor | None


@dataclass(frozen=True, slots=True)
class RecordedEvent:
    """One fact of the ledger about a decision, with its place in the organization's chain.

    `hash` is over the event before it, number `seq` - 1, and this one: 64 hexadecimal digits.
    """

    seq: int
    kind: str
    at: datetime
    written_at: datetime
    payload: dict[str, Any]
    hash: str


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
    warning_triggered: bool = False
    degraded: bool = False
    over_soft_budget: bool = False


def decision_page(
    connection: Connection,
    org_id: str,
    wanted: DecisionFilter,
    *,
    before: DecisionCursor | None = None,
    limit: int = 50,
) -> DecisionPage:
    """At most `limit` decisions older than `before`, newest first.

    1. The rollups name the newest hours or days with matches, where an index cannot (`where_to_look`).
    2. Decisions are read in those only. With rare matches a page is shorter than `limit`, or even empty (for one user
       of a policy or reason), and has an older one all the same until the rollups know of no more.
    """
    look = where_to_look(connection, org_id, wanted, before)
    if not look.spans:
        return DecisionPage([], _start_of(look.older))
    query = _lines().where(matching(connection, org_id, wanted), decided_in(look.spans, before))
    # One more than asked for tells whether an older page exists.
    rows = connection.execute(
        query.order_by(decisions.c.at.desc(), decisions.c.decision_id.desc()).limit(limit + 1)
    ).all()
    lines = [DecisionLine(*row) for row in rows[:limit]]
    if len(rows) > limit:
        return DecisionPage(lines, DecisionCursor(lines[-1].at, lines[-1].decision_id))
    return DecisionPage(lines, _start_of(look.older))


def decision_neighbours(connection: Connection, record: DecisionRecord, *, each: int = 5) -> list[DecisionLine]:
    """What else the same agent was asked just before and after: up to `each` decisions either way, newest first."""
    table = decisions
    same = (table.c.org_id == record.org_id, table.c.agent_id == record.agent_id)
    key = (table.c.at, table.c.decision_id)
    place = tuple_(literal(record.at, UtcDateTime), literal(record.decision_id))
    before = _lines().where(*same, tuple_(*key) < place).order_by(*(column.desc() for column in key)).limit(each)
    after = _lines().where(*same, tuple_(*key) > place).order_by(*key).limit(each)
    rows = connection.execute(select(before.subquery()).union_all(select(after.subquery())))
    lines = [DecisionLine(*row) for row in rows]
    return sorted(lines, key=lambda line: (line.at, line.decision_id), reverse=True)


def _lines() -> Select[Any]:
    return select(*(decisions.c[name] for name in DecisionLine.__slots__))


def find_decision(connection: Connection, org_id: str, decision_id: str) -> DecisionRecord | None:
    """One decision of this organization, or None."""
    row = connection.execute(
        select(*(decisions.c[name] for name in DecisionRecord.__slots__)).where(
            decisions.c.org_id == org_id, decisions.c.decision_id == decision_id
        )
    ).one_or_none()
    return None if row is None else DecisionRecord(*row)


def decision_events(connection: Connection, org_id: str, decision_id: str, *, limit: int = 50) -> list[RecordedEvent]:
    """What the ledger recorded about one decision, in the order of recording."""
    rows = connection.execute(
        select(*(events.c[name] for name in RecordedEvent.__slots__))
        .where(events.c.org_id == org_id, events.c.decision_id == decision_id)
        .order_by(events.c.seq)
        .limit(limit)
    )
    return [
        RecordedEvent(row.seq, row.kind, row.at, row.written_at, row.payload, bytes(row.hash).hex()) for row in rows
    ]


def _start_of(older: datetime | None) -> DecisionCursor | None:
    return None if older is None else DecisionCursor.at_start_of(older)
