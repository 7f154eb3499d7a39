"""Decisions for a file: how many, and all of them in order, a batch at a time."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, func, or_, select

from engine.ledger.queries.decision_filter import DecisionFilter, Span, decided_in, later, matching
from engine.ledger.tables import decisions

EXPORTED = (
    "decision_id", "at", "agent_id", "team_id", "user_id", "provider", "model", "environment", "complexity", "action",
    "outcome", "reason", "message", "state", "estimate_micros", "reserve_micros", "spent_micros", "actual_micros",
    "success", "input_tokens", "output_tokens", "cached_input_tokens", "cache_write_tokens", "microcredits",
    "estimate_basis", "expires_at", "closed_at", "document_version", "price_book_version", "prepare_us", "outage",
    "fail_open", "warning_triggered", "degraded", "over_soft_budget",
)  # fmt: skip
"""Columns, in this order."""


class Place(NamedTuple):
    """The last decision that was handed over."""

    at: datetime
    decision_id: str


def count_decisions(connection: Connection, org_id: str, wanted: DecisionFilter, *, most: int | None = None) -> int:
    """How many decisions a file would have, counted up to `most`. Reads them: for exports, never for pages."""
    span = [Span(wanted.start, wanted.end)]
    found = select(decisions.c.decision_id).where(matching(connection, org_id, wanted), decided_in(span))
    counted = select(func.count()).select_from(found.limit(most).subquery())
    return connection.execute(counted).scalar_one()


def decision_batch(
    connection: Connection, org_id: str, wanted: DecisionFilter, *, after: Place | None, limit: int = 2_000
) -> list[Any]:
    """At most `limit` decisions after a place, oldest first; rows of `EXPORTED`. Fewer than `limit`: the end.

    Each batch may be read in a transaction of its own: a decision never moves in this order.
    """
    table = decisions
    # One start, as `decided_in` has one end.
    span = Span(later(wanted.start, after.at if after else None), wanted.end)
    query = select(*(table.c[name] for name in EXPORTED)).where(
        matching(connection, org_id, wanted), decided_in([span])
    )
    if after is not None:
        query = query.where(or_(table.c.at != after.at, table.c.decision_id > after.decision_id))
    return list(connection.execute(query.order_by(table.c.at, table.c.decision_id).limit(limit)))
