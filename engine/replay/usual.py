"""The scenario that a document is filled with when nobody says more. Pure."""

from __future__ import annotations

import random
from decimal import Decimal
from typing import Any

from engine.document.live import LiveDocument
from engine.document.schema import BudgetSpec, GovernanceDocument, RateLimitSpec
from engine.replay.habits import habits_of
from engine.replay.people import crowd_of
from engine.replay.rhythm import start_before
from engine.replay.scenario import Outage, Scenario

SIZE_OF_EXAMPLE = 9_000
"""Calls a day that the shipped example's limits are meant for, by the habits made up here."""
CALLS_OF_A_PERSON_A_DAY = 12
FEWEST_PEOPLE, MOST_PEOPLE = 5, 900
"""The most keep every pair of person and agent in what callers and plans remember (4096 of each)."""
OUTAGE_MS = 14 * 60_000
OUTAGE_AT = (0.37, 0.83)
"""Where in the history Redis is away, as shares of its length."""


def usual_scenario(live: LiveDocument, *, decisions: int, days: int, until_ms: int, seed: int) -> Scenario:
    """`decisions` calls in the `days` before `until_ms`, by a crowd around all agents of the document."""
    start_ms = start_before(until_ms, days)
    dice = random.Random(seed)  # noqa: S311 - made-up traffic, no secrets
    habits = habits_of(live.document, live.book, dice)
    people = max(FEWEST_PEOPLE, min(MOST_PEOPLE, decisions // days // CALLS_OF_A_PERSON_A_DAY))
    length = until_ms - start_ms
    begins = [start_ms + int(share * length) for share in OUTAGE_AT]
    return Scenario(
        start_ms=start_ms,
        until_ms=until_ms,
        decisions=decisions,
        seed=seed,
        crowd=crowd_of(habits, people, dice),
        longest_burst=_longest_burst(live.document),
        outages=tuple(Outage(begin, begin + min(OUTAGE_MS, length // 20)) for begin in begins),
    )


def fitted(document: GovernanceDocument, *, decisions: int, days: int) -> GovernanceDocument:
    """The shipped example with limits for so many calls: budgets in proportion, rate limits never below its own.

    Ten million calls under limits made for a small company would be ten million denials.
    """
    size = decisions / days / SIZE_OF_EXAMPLE
    budgets = [_resized(budget, size) for budget in document.budgets]
    rates = [_widened(limit, max(1.0, size)) for limit in document.rate_limits]
    return document.model_copy(update={"budgets": budgets, "rate_limits": rates})


def _resized(budget: BudgetSpec, size: float) -> BudgetSpec:
    # So that an outage shows all its sides: calls allowed on trust, and calls denied once that is used up.
    changed: dict[str, Any] = {"on_outage": "bounded"}
    # People are the same everywhere; what grows is their number.
    size = max(1.0, size / 4) if budget.per == "user" else size
    for name in ("monthly_budget_usd", "daily_budget_usd"):
        amount = getattr(budget, name)
        if amount is not None:
            changed[name] = Decimal(max(100, _round(float(amount) * size * 100))) / 100
    for name in ("monthly_execution_limit", "daily_execution_limit"):
        limit = getattr(budget, name)
        if limit is not None:
            changed[name] = max(10, _round(limit * size))
    return budget.model_copy(update=changed)


def _widened(limit: RateLimitSpec, size: float) -> RateLimitSpec:
    factor = max(1.0, size / 4) if limit.per == "user" else size
    names = ("requests_per_minute", "requests_per_hour", "requests_per_day")
    given = {name: value for name in names if (value := getattr(limit, name)) is not None}
    return limit.model_copy(update={name: _round(value * factor) for name, value in given.items()})


def _round(number: float) -> int:
    """To two digits, as people write limits."""
    digits = max(0, len(str(int(number))) - 2)
    unit = int(10**digits)
    return round(number / unit) * unit


def _longest_burst(document: GovernanceDocument) -> int:
    """Twice what the tightest limit of a person's minute lets through."""
    minutes = [limit.limits[0] for limit in document.rate_limits if limit.per == "user"]
    known = [minute for minute in minutes if minute is not None]
    return max(10, min(200, 2 * min(known, default=15)))
