"""A review from the ledger, of whichever kind."""

from __future__ import annotations

from engine.ledger.database import Database
from engine.ledger.queries.spend import spend_totals
from engine.reviews.content import Review
from engine.reviews.daily import daily_review
from engine.reviews.monthly import monthly_review
from engine.reviews.reading import Asked
from engine.reviews.weekly import weekly_review


def gather(database: Database, asked: Asked) -> Review:
    """Count a review now, as the ledger is."""
    if asked.period.kind == "daily":
        return daily_review(database, asked)
    return weekly_review(database, asked) if asked.period.kind == "weekly" else monthly_review(database, asked)


def says_something(database: Database, asked: Asked) -> bool:
    """Whether there were calls in the period or in the one before it: that they stopped is worth saying once."""
    with database.read() as connection:
        return any(
            spend_totals(connection, asked.of_period(period)).decisions
            for period in (asked.period, asked.period.before)
        )
