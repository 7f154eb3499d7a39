"""Which counters and rate scopes a call is tested against. Pure: document, facts and instant in, plan out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from engine.document.schema import AppliesTo, BudgetSpec, GovernanceDocument, RateLimitSpec
from engine.money import to_micros
from engine.periods import PERIOD_KINDS, Period, PeriodKind, period_of
from engine.request import CallFacts


@dataclass(frozen=True, slots=True)
class PlannedCounter:
    """One running total: a budget, for one scope value, in one period."""

    budget_id: str
    scope: str
    period: Period
    limit_micros: int | None
    execution_limit: int | None

    @property
    def name(self) -> str:
        """The counter's name in Redis. Ids hold no `|`, so names cannot collide."""
        return counter_name(self.budget_id, self.scope, self.period.kind, self.period.label)


@dataclass(frozen=True, slots=True)
class PlannedRate:
    """One rate scope: a rate limit for one scope value, with limits of the rolling minute, hour and day."""

    rate_limit_id: str
    per: str
    scope: str
    limits: tuple[int | None, int | None, int | None]


def counter_name(budget_id: str, scope: str, kind: str, label: str) -> str:
    """The name of a counter, built from what identifies it."""
    return f"{budget_id}|{scope}|{kind}|{label}"


def plan_counters(document: GovernanceDocument, facts: CallFacts, at: datetime) -> list[PlannedCounter]:
    """The budget counters of a call at `at`: months first, then days (the order in which denials are reported)."""
    matching = [
        (budget, scope)
        for budget in document.budgets
        if _matches(budget.applies_to, facts) and (scope := facts.scope_value(budget.per)) is not None
    ]
    return [
        counter
        for kind in PERIOD_KINDS
        for budget, scope in matching
        for counter in _counters_of(budget, scope, kind, at, document.timezone)
    ]


def plan_rates(document: GovernanceDocument, facts: CallFacts) -> list[PlannedRate]:
    """The rate scopes of a call, in the order in which denials are reported: org, team, user, then the rest."""
    order = {"org": 0, "team": 1, "user": 2}
    planned = [
        PlannedRate(limit.id, limit.per, scope, limit.limits)
        for limit in document.rate_limits
        if _matches(limit.applies_to, facts)
        and _limits_something(limit)
        and (scope := facts.scope_value(limit.per)) is not None
    ]
    return sorted(planned, key=lambda rate: order.get(rate.per, 3))


def limits_of(budget: BudgetSpec, kind: PeriodKind) -> tuple[int | None, int | None]:
    """A budget's limits in a month or day: micro-dollars and executions, `None` for unlimited."""
    usd = budget.monthly_budget_usd if kind == "month" else budget.daily_budget_usd
    executions = budget.monthly_execution_limit if kind == "month" else budget.daily_execution_limit
    return (None if usd is None else to_micros(usd), executions)


def _counters_of(budget: BudgetSpec, scope: str, kind: PeriodKind, at: datetime, zone: str) -> Iterator[PlannedCounter]:
    limit, executions = limits_of(budget, kind)
    if limit is not None or executions is not None:
        yield PlannedCounter(budget.id, scope, period_of(kind, at, zone), limit, executions)


def _limits_something(limit: RateLimitSpec) -> bool:
    return any(value is not None for value in limit.limits)


def _matches(applies_to: AppliesTo, facts: CallFacts) -> bool:
    return (
        applies_to.provider in (None, facts.provider)
        and applies_to.team in (None, facts.team_id)
        and applies_to.agent in (None, facts.agent_id)
    )
