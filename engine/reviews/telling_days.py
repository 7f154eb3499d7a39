"""The daily review in words. Pure."""

from __future__ import annotations

from engine.reviews.amounts import money_text, percent_text
from engine.reviews.content import DailyReview
from engine.reviews.sections import (
    Section,
    beside,
    count_text,
    counted,
    counter_bars,
    counter_name,
    counter_share,
    day_bars,
)

BEFORE = "the day before"
USUAL = "in the 7 days before"
NO_LIMIT = "No budget with a daily limit was in use."


def daily_headline(review: DailyReview) -> str:
    """The day in one line."""
    spent, ran = review.spent.now or 0, review.executions.now or 0
    return f"Daily review of {review.org_id}, {review.label}: {money_text(spent)}, {counted(ran, 'execution')}"


def daily_digest(review: DailyReview) -> tuple[str, ...]:
    """The day in a few lines."""
    return (*_totals(review), _fullest(review), _denied(review))


def daily_sections(review: DailyReview) -> tuple[Section, ...]:
    """The whole of it."""
    more = (f"{counted(review.more_counters, 'more counter')}, less full.",) if review.more_counters else ()
    return (
        Section(
            "Spend",
            (*_totals(review)[:2], _denied(review)),
            day_bars(review.days, lambda day: day.spent_micros, earlier=len(review.days) - 1),
        ),
        Section(
            "Against daily limits",
            () if review.counters else (NO_LIMIT,),
            counter_bars(review.counters, review.org_id, BEFORE),
            more,
        ),
        Section(
            "Cost per execution",
            (_totals(review)[2],),
            day_bars(review.days, lambda day: day.cost_micros, earlier=len(review.days) - 1),
        ),
    )


def _totals(review: DailyReview) -> tuple[str, str, str]:
    return (
        f"Spent {beside(review.spent, BEFORE)}.",
        f"Executions: {beside(review.executions, BEFORE, count_text)}.",
        f"Cost per execution: {beside(review.cost_per_execution, USUAL)}.",
    )


def _denied(review: DailyReview) -> str:
    return f"Denied calls: {beside(review.denied, BEFORE, count_text)}."


def _fullest(review: DailyReview) -> str:
    if not review.counters:
        return NO_LIMIT
    use = max(review.counters, key=lambda each: counter_share(each) or 0.0)
    name = counter_name(use.budget_id, use.scope, review.org_id)
    share, money = counter_share(use), use.spent.now or 0
    limit = "" if use.limit_micros is None else f" of {money_text(use.limit_micros)}"
    ran = "" if use.execution_limit is None else f", {count_text(use.executions.now or 0)} of "
    ran += "" if use.execution_limit is None else f"{count_text(use.execution_limit)} executions"
    denied = "; it denied calls" if use.blocked else ""
    return f"Fullest daily limit: {name} at {percent_text(share or 0)} ({money_text(money)}{limit}{ran}){denied}."
