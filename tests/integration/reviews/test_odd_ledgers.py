"""Reviews of ledgers that are unusual: days below nothing, more limits and counters than anybody reads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from typing import Any, cast
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import insert

from engine.ledger.database import Database
from engine.ledger.migrate import migrate
from engine.ledger.tables import budget_usage, crossings
from engine.periods import period_of
from engine.reviews.content import MonthlyReview, Review
from engine.reviews.gathering import gather
from engine.reviews.periods import REVIEW_KINDS, ReviewKind, named_period
from engine.reviews.reading import Asked
from engine.reviews.telling import all_lines, sections
from tests.integration.alerting.conftest import USD, ZONE, Books
from tests.support.ledger_copies import LedgerCopies

NOW = datetime(2026, 12, 1, 14, tzinfo=UTC)
LABELS: dict[ReviewKind, str] = {"daily": "2026-11-29", "weekly": "2026-W48", "monthly": "2026-11"}
LAST = date(2026, 11, 30)
DAY = timedelta(days=1)


@pytest.fixture
def books(database_url: str, ledger_copies: LedgerCopies) -> Iterator[Books]:
    ledger_copies.put(database_url, migrate)
    with closing(Database(database_url)) as database:
        yield Books(database)


def noon(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, 12, tzinfo=ZoneInfo(ZONE))


def review(books: Books, kind: ReviewKind) -> Review:
    return gather(books.database, Asked(books.document, named_period(kind, LABELS[kind], ZONE), NOW))


def monthly(books: Books) -> MonthlyReview:
    return cast("MonthlyReview", review(books, "monthly"))


def used(books: Books, budget: str, scope: str, spent: int, label: str = "2026-11") -> None:
    kind: Any = "month" if len(label) == 7 else "day"
    at = noon(date.fromisoformat(f"{label}-15" if kind == "month" else label))
    period = period_of(kind, at, ZONE)
    with books.database.write() as connection:
        connection.execute(
            insert(budget_usage).values(
                org_id="acme", budget_id=budget, scope=scope, period=kind, period_label=label,
                period_start=period.start, period_end=period.end, limit_micros=USD, spent_micros=spent, held_micros=0,
                executions=1, updated_at=NOW,
            )
        )  # fmt: skip


@pytest.mark.parametrize("kind", REVIEW_KINDS)
def test_a_day_below_nothing_stops_no_review(books: Books, kind: ReviewKind) -> None:
    """Corrections are counted where they belong; what comes out below zero is shown, and forecast as nothing."""
    books.written(budgets=[{"id": "org", "per": "org", "monthly_budget_usd": 300, "daily_budget_usd": 20}])
    for number in range(40):
        books.calls(noon(LAST - number * DAY), spent_micros=(8 + number % 3) * USD)
    books.calls(noon(date(2026, 11, 29)), spent_micros=-50 * USD)
    books.calls(noon(date(2026, 11, 10)), spent_micros=-50 * USD)
    used(books, "org", "acme", -3 * USD)
    used(books, "org", "acme", -3 * USD, "2026-11-29")
    made = review(books, kind)
    assert "-$" in "\n".join(all_lines(made))
    assert all(0 <= bar.share <= 1 for section in sections(made) for bar in section.bars)


def test_a_month_that_began_late_says_on_how_many_of_its_days_there_were_calls(books: Books) -> None:
    books.written(budgets=[{"id": "org", "per": "org", "monthly_budget_usd": 300, "daily_budget_usd": 20}])
    for number in (0, 1, 3):
        books.calls(noon(LAST - number * DAY), spent_micros=USD)
    used(books, "org", "acme", 3 * USD)
    used(books, "org", "acme", USD, "2026-11-30")
    lines = all_lines(monthly(books))
    said = "; there were calls on 3 of its 30 days only, the first on 2026-11-27."
    assert sum(line.endswith(said) for line in lines) == 1
    reasons = [line for line in lines if "watch until there are 14" in line]
    assert len(reasons) == 1
    assert reasons[0].startswith("2 limits without a proposal: Only 4 complete days")


def test_one_limit_of_many_counters_has_one_recommendation_by_the_one_that_needs_most(books: Books) -> None:
    books.written(budgets=[{"id": "each", "per": "agent", "monthly_budget_usd": 100}])
    for number in range(40):
        # The copilot spent more in all, hook needs more on its days.
        books.calls(noon(LAST - number * DAY), agent="copilot", spent_micros=4 * USD)
        books.calls(noon(LAST - number * DAY), agent="hook", spent_micros=9 * USD if number % 4 == 0 else USD)
    for scope, spent in (("copilot", 120 * USD), ("hook", 90 * USD), *((f"a{index}", index) for index in range(10))):
        used(books, "each", scope, spent)
    found = monthly(books)
    (advice,) = found.advice
    assert (advice.budget_id, advice.scope, advice.period) == ("each", "hook", "month")
    assert (advice.other_counters, advice.not_looked_at) == (7, 4)
    assert (advice.recommendation.proposed_micros or 0) >= 31 * 9 * USD
    lines = "\n".join(all_lines(found))
    assert "each, a month each, as hook needs most: $100.00 -> " in lines
    assert "7 others with the same limit need no more; 4 that spent less were not looked at." in lines


def test_while_one_counter_is_watched_the_limit_of_all_is_not_lowered(books: Books) -> None:
    books.written(budgets=[{"id": "each", "per": "agent", "monthly_budget_usd": 500}])
    for number in range(40):
        books.calls(noon(LAST - number * DAY), agent="copilot", spent_micros=USD)
    for number in range(5):
        books.calls(noon(LAST - number * DAY), agent="hook", spent_micros=15 * USD)
    for scope, spent in (("copilot", 40 * USD), ("hook", 75 * USD)):
        used(books, "each", scope, spent)
    (advice,) = monthly(books).advice
    assert (advice.scope, advice.recommendation.proposed_micros) == ("hook", None)


def test_limits_that_are_not_judged_are_counted_and_the_dearest_are_first(books: Books) -> None:
    budgets = [{"id": f"b{number:02}", "per": "org", "monthly_budget_usd": 100} for number in range(15)]
    books.written(budgets=budgets)
    books.calls(noon(LAST), spent_micros=USD)
    for number in range(15):
        used(books, f"b{number:02}", "acme", number * USD)
    found = monthly(books)
    assert [each.budget_id for each in found.advice] == [f"b{number:02}" for number in range(14, 2, -1)]
    assert found.more_advice == 3
    assert "3 more limits of budgets that spent less, not judged here." in all_lines(found)


@pytest.mark.parametrize(("reason", "blocked"), [("budget_monthly_cost", True), ("budget_monthly_executions", False)])
def test_only_calls_denied_for_their_cost_say_that_the_limit_was_too_low(
    books: Books, reason: str, blocked: bool
) -> None:
    books.written(budgets=[{"id": "org", "per": "org", "monthly_budget_usd": 500, "monthly_execution_limit": 9_000}])
    for number in range(40):
        books.calls(noon(LAST - number * DAY), spent_micros=USD)
    used(books, "org", "acme", 30 * USD)
    with books.database.write() as connection:
        connection.execute(
            insert(crossings).values(
                org_id="acme", budget_id="org", scope="acme", period="month", period_label="2026-11", threshold=0,
                spent_micros=0, limit_micros=USD, at=NOW, written_at=NOW, reason=reason,
            )
        )  # fmt: skip
    (advice,) = monthly(books).advice
    assert ("calls were denied by the limit" in advice.recommendation.reason) is blocked
    assert ((advice.recommendation.proposed_micros or 0) < 500 * USD) is not blocked
