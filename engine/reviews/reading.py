"""What gathering a review needs at hand: the document, the period, the clock; and the questions all kinds share."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from engine.document.schema import BudgetSpec, GovernanceDocument
from engine.ledger.queries.measures import Measures
from engine.ledger.queries.review_numbers import AgentDay
from engine.ledger.queries.slice import Slice
from engine.money import to_micros
from engine.reviews.content import Compared, DayPoint, cost_per_execution
from engine.reviews.periods import ReviewPeriod, local_midnight

HISTORY_DAYS = 70
"""A forecast looks 56 days back, an anomaly at 60 days with spend."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Which review of whom. `now` is the moment it is made, which says what is kept by the minute."""

    document: GovernanceDocument
    period: ReviewPeriod
    now: datetime

    @property
    def org_id(self) -> str:
        """Whose review."""
        return self.document.organization

    @property
    def zone(self) -> str:
        """The organization's zone."""
        return self.period.zone

    def slice(self, first: date, following: date) -> Slice:
        """The calls of the local days `[first, following)`."""
        start, end = (local_midnight(day, self.zone) for day in (first, following))
        return Slice(self.org_id, start, end, now=self.now)

    def of_period(self, period: ReviewPeriod) -> Slice:
        """The calls of a period."""
        return Slice(self.org_id, period.start, period.end, now=self.now)

    def history(self) -> Slice:
        """The calls of the days that forecasts and anomalies look at, up to the end of the period."""
        return self.slice(self.period.next_day - timedelta(days=HISTORY_DAYS), self.period.next_day)


def organization_budget(document: GovernanceDocument) -> tuple[str, int] | None:
    """The budget of everything that the organization calls in a month, in micro-dollars; of several the smallest."""
    found = [
        (to_micros(budget.monthly_budget_usd), budget.id)
        for budget in document.budgets
        if budget.per == "org" and budget.monthly_budget_usd is not None and _applies_to_all(budget)
    ]
    limit, budget_id = min(found, default=(None, ""))
    return None if limit is None else (budget_id, int(limit))


def agent_budgets(document: GovernanceDocument) -> list[str]:
    """The budgets that give each agent a month of its own."""
    return [each.id for each in document.budgets if each.per == "agent" and each.monthly_budget_usd is not None]


def usual_days(days: Iterable[int]) -> list[int]:
    """Days as forecasts and recommendations take them: a correction can take one below nothing, and counts as none."""
    return [max(0, day) for day in days]


def compared_sums(now: Measures, before: Measures) -> tuple[Compared, Compared, Compared]:
    """Spend, executions and cost per execution of a period and the one before it."""
    return (
        Compared(now.spent_micros, before.spent_micros),
        Compared(now.executions, before.executions),
        Compared(
            cost_per_execution(now.spent_micros, now.executions),
            cost_per_execution(before.spent_micros, before.executions),
        ),
    )


def points(found: dict[tuple[date, str], AgentDay], first: date, days: int) -> tuple[DayPoint, ...]:
    """So many days from the first on, all agents together; a day without calls is a zero."""
    return tuple(_point(found, first + timedelta(days=number)) for number in range(days))


def _point(found: dict[tuple[date, str], AgentDay], day: date) -> DayPoint:
    own = [sums for (of_day, _), sums in found.items() if of_day == day]
    return DayPoint(day, sum(each.spent_micros for each in own), sum(each.executions for each in own))


def added(days: Iterable[DayPoint]) -> tuple[int, int]:
    """Spend and executions of some days together."""
    known = list(days)
    return sum(day.spent_micros for day in known), sum(day.executions for day in known)


def _applies_to_all(budget: BudgetSpec) -> bool:
    return budget.applies_to.provider is None and budget.applies_to.team is None and budget.applies_to.agent is None
