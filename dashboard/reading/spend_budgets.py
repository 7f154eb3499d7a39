"""Which monthly budgets are used up, or will be before their month ends. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from engine.admission.limits import limits_now
from engine.document.schema import GovernanceDocument
from engine.ledger.queries.budgets import BudgetUse
from engine.ledger.queries.coverage import Pace, runs_out_at
from engine.periods import period_of

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Ahead:
    """A monthly budget counter that does not last: what is spent, and what it will come to at its pace."""

    budget_id: str
    scope: str
    limit_micros: int
    spent_micros: int
    expected_micros: int
    runs_out: datetime

    @property
    def used_up(self) -> bool:
        """Whether it has happened already."""
        return self.spent_micros >= self.limit_micros


def not_lasting(
    budgets: Iterable[BudgetUse], paces: Iterable[Pace], document: GovernanceDocument, now: datetime
) -> list[Ahead]:
    """Those used up first, then those that will be; the furthest beyond their limit first in each.

    A counter without a pace (of a user, or without calls in the last week) spends nothing more; one that had no call
    this month yet has spent nothing. A budget of 0 is not one to run out of.
    """
    month = period_of("month", now, document.timezone)
    spent = {(use.budget_id, use.scope): use.spent_micros for use in budgets if use.period == "month"}
    per_day = {(pace.budget_id, pace.scope): pace.per_day_micros for pace in paces if pace.period == "month"}
    found = []
    for key in sorted(spent.keys() | per_day.keys()):
        limits = limits_now(document, *key, "month", now)
        limit = None if limits is None else limits.micros
        if not limit:
            continue
        so_far, pace = spent.get(key, 0), per_day.get(key, 0)
        expected = so_far + round(pace * ((month.end - now) / _DAY))
        runs_out = runs_out_at(limit - so_far, pace, now)
        if runs_out is not None and (so_far >= limit or expected > limit):
            found.append(Ahead(*key, limit, so_far, expected, runs_out))
    return sorted(found, key=lambda each: (not each.used_up, -each.expected_micros / each.limit_micros))
