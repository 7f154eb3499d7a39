"""Which counters and rate scopes a call is tested against. Pure: document, facts and instant in, plan out."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from functools import cached_property, lru_cache
from typing import Literal

from engine.admission.keys import ring_key, state_keys
from engine.admission.limits import FOREVER_MS, limits_at
from engine.clock import from_ms, to_ms
from engine.document.schema import AppliesTo, BudgetSpec, GovernanceDocument, RateLimitSpec
from engine.periods import PERIOD_KINDS, Period, PeriodKind, period_of
from engine.request import CallFacts

REMEMBERED_PLANS = 4096
"""Plans kept by a planner; users are many, so when there are more it begins anew."""

_PERIOD_NUMBERS = {"month": 1, "day": 2}
_REPORT_ORDER = {"org": 0, "team": 1, "user": 2}


@dataclass(frozen=True, slots=True)
class PlannedCounter:
    """One running total: a budget, for one scope value, in one period.

    `outage_allowance` is the share of its limits that one process may use while Redis is away; `None` lets nothing
    pass. Its limits are those of `[limits_from_ms, limits_until_ms)`: before and after that other raises are in force.
    """

    budget_id: str
    scope: str
    period: Period
    limit_micros: int | None
    execution_limit: int | None
    hard: bool = True
    warning_threshold: Decimal = Decimal("0.80")
    degradation_threshold: Decimal = Decimal("0.90")
    outage_allowance: Decimal | None = Decimal("0.01")
    limits_from_ms: int = 0
    limits_until_ms: int = FOREVER_MS
    name: str = field(init=False)
    """The counter's name in Redis. Ids hold no `|`, so names cannot collide."""
    warning_micros: int | None = field(init=False)
    """The use from which calls are marked with a warning; `None` without a cost limit."""
    degradation_micros: int | None = field(init=False)

    def __post_init__(self) -> None:
        name = counter_name(self.budget_id, self.scope, self.period.kind, self.period.label)
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "warning_micros", _reached_at(self.limit_micros, self.warning_threshold))
        object.__setattr__(self, "degradation_micros", _reached_at(self.limit_micros, self.degradation_threshold))

    @property
    def from_ms(self) -> int:
        """It is this counter, with these limits, from here."""
        return max(self.period.start_ms, self.limits_from_ms)

    @property
    def until_ms(self) -> int:
        """It is so until just before here."""
        return min(self.period.end_ms, self.limits_until_ms)


@dataclass(frozen=True, slots=True)
class PlannedRate:
    """One rate scope: a rate limit for one scope value, with limits of the rolling minute, hour and day."""

    rate_limit_id: str
    per: str
    scope: str
    limits: tuple[int | None, int | None, int | None]
    outage_mode: Literal["local", "open", "closed"] = "local"

    @property
    def name(self) -> str:
        """What tells this scope from every other."""
        return f"{self.rate_limit_id}|{self.scope}"


@dataclass(frozen=True, eq=False)
class CallPlan:
    """The counters and rate scopes of a call while its periods and raises last, and what the gate's script needs."""

    org_id: str
    counters: tuple[PlannedCounter, ...] = ()
    rates: tuple[PlannedRate, ...] = ()

    @cached_property
    def from_ms(self) -> int:
        """The plan holds from here."""
        return max((counter.from_ms for counter in self.counters), default=0)

    @cached_property
    def until_ms(self) -> int:
        """The plan holds until just before here."""
        return min((counter.until_ms for counter in self.counters), default=FOREVER_MS)

    def nearest_ms(self, at_ms: int) -> int:
        """The instant nearest to `at_ms` at which the plan holds."""
        return min(max(at_ms, self.from_ms), self.until_ms - 1)

    @cached_property
    def counter_names(self) -> tuple[str, ...]:
        """Names of the counters in Redis."""
        return tuple(counter.name for counter in self.counters)

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """The keys of the organization's state and of each rate scope."""
        return (*state_keys(self.org_id), *self.ring_keys)

    @cached_property
    def ring_keys(self) -> tuple[str, ...]:
        """The key of each rate scope."""
        return tuple(ring_key(self.org_id, rate.rate_limit_id, rate.scope) for rate in self.rates)

    @cached_property
    def numbers(self) -> bytes:
        """The plan's numbers as `check.lua` unpacks them. A soft budget has no limit there."""
        numbers = [len(self.counters), len(self.rates), self.from_ms, self.until_ms]
        for counter in self.counters:
            numbers += [
                _PERIOD_NUMBERS[counter.period.kind],
                counter.period.end_ms,
                _limit(counter.limit_micros if counter.hard else None),
                _limit(counter.execution_limit if counter.hard else None),
            ]
        numbers += [_limit(limit) for rate in self.rates for limit in rate.limits]
        # None of them is above 2^53, so a double has it exactly.
        return struct.pack(f">{len(numbers)}d", *numbers)


class Planner:
    """Plans the calls of one document. Safe to share between threads."""

    def __init__(self, document: GovernanceDocument) -> None:
        self._document = document
        self._plans: dict[tuple[str | None, ...], CallPlan] = {}

    def plan(self, facts: CallFacts, at_ms: int) -> CallPlan:
        """The plan of a call at `at_ms`, remembered for calls like it."""
        key = (facts.agent_id, facts.team_id, facts.user_id)
        plan = self._plans.get(key)
        if plan is None or not plan.from_ms <= at_ms < plan.until_ms:
            if len(self._plans) >= REMEMBERED_PLANS:
                self._plans = {}
            at = from_ms(at_ms)
            plan = CallPlan(
                facts.org_id, tuple(plan_counters(self._document, facts, at)), tuple(plan_rates(self._document, facts))
            )
            self._plans[key] = plan
        return plan


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
    planned = [
        PlannedRate(limit.id, limit.per, scope, limit.limits, limit.outage_mode)
        for limit in document.rate_limits
        if _matches(limit.applies_to, facts)
        and _limits_something(limit)
        and (scope := facts.scope_value(limit.per)) is not None
    ]
    return sorted(planned, key=lambda rate: _REPORT_ORDER.get(rate.per, 3))


def _counters_of(budget: BudgetSpec, scope: str, kind: PeriodKind, at: datetime, zone: str) -> Iterator[PlannedCounter]:
    limits = limits_at(budget, kind, scope, to_ms(at))
    if limits.micros is not None or limits.executions is not None:
        yield PlannedCounter(
            budget.id,
            scope,
            period_of(kind, at, zone),
            limits.micros,
            limits.executions,
            budget.enforcement_mode == "hard",
            budget.warning_threshold,
            budget.degradation_threshold,
            budget.outage_allowance if budget.on_outage == "bounded" else None,
            limits.from_ms,
            limits.until_ms,
        )


def _limits_something(limit: RateLimitSpec) -> bool:
    return any(value is not None for value in limit.limits)


def _matches(applies_to: AppliesTo, facts: CallFacts) -> bool:
    return (
        applies_to.provider in (None, facts.provider)
        and applies_to.team in (None, facts.team_id)
        and applies_to.agent in (None, facts.agent_id)
    )


@lru_cache(maxsize=4096)
def _reached_at(limit_micros: int | None, share: Decimal) -> int | None:
    # Rounded up: a use below it is below the exact share too.
    return None if limit_micros is None else math.ceil(Fraction(share) * limit_micros)


def _limit(value: int | None) -> int:
    return -1 if value is None else value
