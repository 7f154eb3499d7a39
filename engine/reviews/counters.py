"""Budget counters of a day or month beside those of the one before."""

from __future__ import annotations

from typing import Literal

from engine.ledger.database import Database
from engine.ledger.queries.review_numbers import counters_of_period, counters_that_denied, named_counters
from engine.reviews.content import Compared, CounterUse
from engine.reviews.periods import ReviewPeriod

MOST_COUNTERS = 12
"""More of them nobody reads in a message; the fullest come first."""


def counter_uses(
    database: Database, org_id: str, kind: Literal["day", "month"], period: ReviewPeriod
) -> tuple[tuple[CounterUse, ...], int]:
    """The fullest counters of the day or month that a daily or monthly review is about, and how many more there are."""
    label, before_label = period.label, period.before.label
    with database.read() as connection:
        found, more = counters_of_period(connection, org_id, kind, label, limit=MOST_COUNTERS)
        keys = [(use.budget_id, use.scope) for use in found]
        before = named_counters(connection, org_id, kind, before_label, keys) if keys else {}
        denied = counters_that_denied(connection, org_id, kind, label, label, keys) if keys else set()
    uses = []
    for use in found:
        earlier = before.get((use.budget_id, use.scope))
        uses.append(
            CounterUse(
                budget_id=use.budget_id,
                scope=use.scope,
                limit_micros=use.limit_micros,
                execution_limit=use.execution_limit,
                spent=Compared(use.spent_micros, None if earlier is None else earlier.spent_micros),
                executions=Compared(use.executions, None if earlier is None else earlier.executions),
                blocked=(use.budget_id, use.scope) in denied,
            )
        )
    return tuple(uses), more
