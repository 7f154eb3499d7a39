"""Single calls, estimate against actual: a sample for density and token charts, and the worst misses.

The sums by segment and day are in `queries.variance`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, Subquery, func, select

from engine.ledger.queries.decision_filter import DecisionFilter, decided_in, matching
from engine.ledger.queries.slice import Slice
from engine.ledger.queries.where_to_look import where_to_look
from engine.ledger.tables import decisions
from engine.pricing.basis import EstimateBasis

LATEST_DECISIONS = 10_000
"""Only so many of a slice's newest calls are looked through for the worst: a bound on the time it takes."""
SAMPLE = 2_000
"""Points beyond this only darken a density chart."""


@dataclass(frozen=True, slots=True)
class SettledCall:
    """One settled call. Tokens are None where the price does not ask for them."""

    decision_id: str
    at: datetime
    agent_id: str
    provider: str
    model: str
    price_book_version: str
    estimate_micros: int
    actual_micros: int
    input_tokens: int | None
    output_tokens: int | None

    @property
    def residual_micros(self) -> int:
        """Above zero when the call cost more than estimated."""
        return self.actual_micros - self.estimate_micros


def settled_sample(
    connection: Connection,
    part: Slice,
    *,
    complexity: str | None = None,
    latest: int = LATEST_DECISIONS,
    limit: int = SAMPLE,
) -> list[SettledCall]:
    """The newest settled calls among a slice's `latest` decisions, newest first.

    Of a team, provider or model, those of the newest 24 hours with calls of theirs. Calls with the caller's own
    `estimated_cost` are left out: they say nothing about the price book.
    """
    newest = _newest(connection, part, latest)
    rows = connection.execute(
        _settled(newest, complexity).order_by(newest.c.at.desc(), newest.c.decision_id.desc()).limit(limit)
    )
    return [SettledCall(*row) for row in rows]


def top_residuals(
    connection: Connection,
    part: Slice,
    *,
    complexity: str | None = None,
    latest: int = LATEST_DECISIONS,
    limit: int = 50,
) -> list[SettledCall]:
    """The calls farthest from their estimate, of the slice's `latest` newest ones, by the size of the difference.

    As `settled_sample` otherwise.
    """
    newest = _newest(connection, part, latest)
    rows = connection.execute(
        _settled(newest, complexity)
        .order_by(func.abs(newest.c.actual_micros - newest.c.estimate_micros).desc(), newest.c.decision_id)
        .limit(limit)
    )
    return [SettledCall(*row) for row in rows]


def _newest(connection: Connection, part: Slice, latest: int) -> Subquery:
    table = decisions
    columns = (*SettledCall.__slots__, "state", "estimate_basis", "complexity")
    wanted = DecisionFilter.within(part)
    spans = where_to_look(connection, part.org_id, wanted).spans
    return (
        select(*(table.c[name] for name in columns))
        .where(matching(connection, part.org_id, wanted), decided_in(spans))
        .order_by(table.c.at.desc(), table.c.decision_id.desc())
        .limit(latest)
        .subquery()
    )


def _settled(newest: Subquery, complexity: str | None) -> Select[Any]:
    query = select(*(newest.c[name] for name in SettledCall.__slots__)).where(
        newest.c.state == "settled", newest.c.estimate_basis != EstimateBasis.GIVEN.value
    )
    return query if complexity is None else query.where(newest.c.complexity == complexity)
