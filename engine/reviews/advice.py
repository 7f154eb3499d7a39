"""What the limits of budgets should be, from what their counters spent: one recommendation for one limit."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Literal

from engine.admission.limits import limits_of
from engine.analytics.recommendation import Recommendation, recommend_day, recommend_month
from engine.document.schema import BudgetSpec
from engine.ledger.database import Database
from engine.ledger.queries.budgets import BudgetUse
from engine.ledger.queries.coverage import calls_of_counter
from engine.ledger.queries.review_numbers import Counter, counters_between, counters_that_denied, named_counters
from engine.ledger.queries.spend_days import spend_history
from engine.periods import period_of
from engine.reviews.content import BudgetAdvice
from engine.reviews.reading import Asked, usual_days

MOST_ADVICE = 12
"""Limits of one period kind that a recommendation is made for, those of the budgets that spent most."""
MOST_COUNTERS = 2_000
"""Counters of all budgets that are looked through for them."""
LOOKED_AT = 8
"""Counters of one budget that its limit is judged by, those that spent most."""

Kind = Literal["month", "day"]


@dataclass(frozen=True)
class _Limit:
    """A budget's limit of one period kind, and the counters that have it, those that spent most first."""

    budget: BudgetSpec
    limit_micros: int
    scopes: list[str]


def budget_advice(database: Database, asked: Asked, kind: Kind) -> tuple[list[BudgetAdvice], int]:
    """For the limits whose counters were in use in the month and that are still in the document; how many more.

    Counters of each agent, team or provider have one limit together, so that it is judged by the one that needs most.
    A budget for each user is left out: they are too many to be judged one by one.
    """
    month = asked.period
    monthly = kind == "month"
    since, until = (month.label,) * 2 if monthly else (month.first_day.isoformat(), month.last_day.isoformat())
    ahead = month.next_day.isoformat()[:7] if monthly else period_of("day", asked.now, asked.zone).label
    limits = _limits(database, asked, kind, since, until)
    advice = []
    for limit in limits[:MOST_ADVICE]:
        keys = [(limit.budget.id, scope) for scope in limit.scopes[:LOOKED_AT]]
        with database.read() as connection:
            committed = named_counters(connection, asked.org_id, kind, ahead, keys)
            blocked = counters_that_denied(connection, asked.org_id, kind, since, until, keys, for_cost=True)
        made = {
            key: _recommended(database, asked, kind, limit, key, committed.get(key), blocked=key in blocked)
            for key in keys
        }
        # While a counter is watched it may need all that it has: nothing is lowered over its head.
        key = max(made, key=lambda each: _needs(made[each]))
        others, unseen = len(keys) - 1, len(limit.scopes) - len(keys)
        advice.append(BudgetAdvice(limit.budget.id, key[1], kind, made[key], others, unseen))
    return advice, max(0, len(limits) - MOST_ADVICE)


def _needs(made: Recommendation) -> int:
    return made.limit_micros if made.proposed_micros is None else made.proposed_micros


def _limits(database: Database, asked: Asked, kind: Kind, since: str, until: str) -> list[_Limit]:
    budgets: dict[str, tuple[BudgetSpec, int]] = {}
    for budget in asked.document.budgets:
        limit, _ = limits_of(budget, kind)
        if limit is not None and budget.per != "user":
            budgets[budget.id] = (budget, limit)
    scopes: dict[str, list[str]] = defaultdict(list)
    with database.read() as connection:
        found = counters_between(connection, asked.org_id, kind, since, until, budgets, limit=MOST_COUNTERS)
    # In the order of their spend, and so are the budgets by the counter of theirs that spent most.
    for budget_id, scope in found:
        if calls_of_counter(budgets[budget_id][0], scope, asked.history()) is not None:
            scopes[budget_id].append(scope)
    return [_Limit(*budgets[budget_id], own) for budget_id, own in scopes.items()]


def _recommended(
    database: Database,
    asked: Asked,
    kind: Kind,
    limit: _Limit,
    key: Counter,
    taken: BudgetUse | None,
    *,
    blocked: bool,
) -> Recommendation:
    part = calls_of_counter(limit.budget, key[1], asked.history())
    with database.read() as connection:
        history = None if part is None else spend_history(connection, part, zone=asked.zone)
    days = [] if history is None else usual_days(history.days)
    already = 0 if taken is None else max(0, taken.spent_micros + taken.held_micros)
    if kind == "day":
        return recommend_day(days, limit_micros=limit.limit_micros, committed_micros=already, blocked=blocked)
    return recommend_month(
        days,
        ahead=asked.period.next_day,
        limit_micros=limit.limit_micros,
        committed_micros=already,
        blocked=blocked,
    )
