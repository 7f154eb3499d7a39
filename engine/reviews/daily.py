"""The daily review from the ledger."""

from __future__ import annotations

from datetime import timedelta

from engine.ledger.database import Database
from engine.ledger.queries.review_numbers import days_by_agent
from engine.ledger.queries.spend import spend_totals
from engine.reviews.content import Compared, DailyReview, cost_per_execution
from engine.reviews.counters import counter_uses
from engine.reviews.reading import Asked, added, compared_sums, points

TREND_DAYS = 7


def daily_review(database: Database, asked: Asked) -> DailyReview:
    """What a day came to, by the day before, the 7 days before and its limits."""
    period = asked.period
    first = period.first_day - timedelta(days=TREND_DAYS)
    with database.read() as connection:
        now = spend_totals(connection, asked.of_period(period))
        before = spend_totals(connection, asked.of_period(period.before))
        by_day = days_by_agent(connection, asked.slice(first, period.next_day), (), zone=asked.zone)
    counters, more = counter_uses(database, asked.org_id, "day", period)
    days = points(by_day, first, TREND_DAYS + 1)
    spent, executions, cost = compared_sums(now, before)
    return DailyReview(
        org_id=asked.org_id,
        label=period.label,
        zone=asked.zone,
        spent=spent,
        executions=executions,
        denied=Compared(now.denied, before.denied),
        cost_per_execution=Compared(cost.now, cost_per_execution(*added(days[:-1]))),
        days=days,
        counters=counters,
        more_counters=more,
    )
