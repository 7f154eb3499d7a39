"""How budgets and rate limits of a call stand, without side effects: the views behind diagnosis and `status`. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from typing import Any

from engine.admission.answers import CheckAnswer
from engine.admission.plan import CallPlan
from engine.admission.questions import Reply
from engine.clock import from_ms
from engine.decision import (
    COST_REASONS,
    EXECUTION_REASONS,
    RATE_REASONS,
    WINDOWS,
    BudgetMarks,
    CounterReading,
    RateReading,
    ReasonCode,
)
from engine.document.live import LiveDocument
from engine.money import to_usd

UNAVAILABLE = "Rate limiter unavailable"
"""The guide's words, Graceful Degradation."""


@dataclass(frozen=True)
class Standing:
    """Counters and rate scopes as they stand; `waits_ms` until each scope has room, -1 for never."""

    at: datetime
    plan: CallPlan
    counted: str
    rated: str
    waits_ms: tuple[int, ...]

    @classmethod
    def of(cls, plan: CallPlan, reply: Reply) -> Standing:
        """Type the answer of `peek.lua`."""
        _, now_ms, counted, rated, waits = reply.raw
        return cls(from_ms(int(now_ms)), plan, counted, rated, tuple(map(int, waits.split())))

    def answer(self, reason: ReasonCode = ReasonCode.ALLOWED, denied_by: int = 0, wait_ms: int = 0) -> CheckAnswer:
        """What the gate would answer to a check for this reason."""
        return CheckAnswer(
            reason, denied_by, 0, wait_ms, 0, self.counted, self.rated, self.plan.counters, self.plan.rates
        )

    @cached_property
    def counters(self) -> tuple[CounterReading, ...]:
        """Every budget counter."""
        return self.answer().counters

    @cached_property
    def rates(self) -> tuple[RateReading, ...]:
        """Every rate scope."""
        return self.answer().rates


@dataclass(frozen=True, slots=True)
class RateLimitCheckResult:
    """Whether rate limits leave room for one request now.

    `limit_exceeded` is per_minute, per_hour or per_day; `remaining` and `current_usage` are of the scope with the least
    room, by window, `None` for unlimited. `retry_after_seconds` is `None` when waiting does not help.
    """

    allowed: bool
    reason: str = ""
    limit_exceeded: str | None = None
    remaining: Mapping[str, int | None] = field(default_factory=dict)
    current_usage: Mapping[str, int] = field(default_factory=dict)
    retry_after_seconds: int | None = None
    fail_open: bool = False


@dataclass(frozen=True, slots=True)
class BudgetCheckResult:
    """Whether budgets leave room for one call of `reserve_usd` now. `counters` has each of them."""

    allowed: bool
    reason: str = ""
    reserve_usd: Decimal = Decimal(0)
    usage_percentage: float = 0.0
    warning_triggered: bool = False
    degraded_mode: bool = False
    over_soft_budget: bool = False
    counters: tuple[CounterReading, ...] = ()


def budget_result(standing: Standing, reserve_micros: int) -> BudgetCheckResult:
    """Test the budgets of a call, in the order in which the gate reports them."""
    marks = BudgetMarks.of(standing.counters, reserve_micros)
    failing = [
        (COST_REASONS[counter.period], index)
        for index, counter in enumerate(standing.counters, 1)
        if counter.hard and counter.exceeds_cost(reserve_micros)
    ] + [
        (EXECUTION_REASONS[counter.period], index)
        for index, counter in enumerate(standing.counters, 1)
        if counter.hard and counter.exceeds_executions
    ]
    message = ""
    if failing:
        reason, index = failing[0]
        message = standing.answer(reason, index).message(reserve_micros, "")
    return BudgetCheckResult(
        allowed=not failing,
        reason=message,
        reserve_usd=to_usd(reserve_micros),
        usage_percentage=max(map(usage_percentage, standing.counters), default=0.0),
        warning_triggered=marks.warning_triggered,
        degraded_mode=marks.degraded,
        over_soft_budget=marks.over_soft_budget,
        counters=standing.counters,
    )


def rate_result(standing: Standing) -> RateLimitCheckResult:
    """Test the rate limits of a call, in the order in which the gate reports them: org, team, user."""
    for index, rate in enumerate(standing.rates, 1):
        for window, used, limit in zip(range(3), rate.used, rate.limits, strict=True):
            if limit is not None and used + 1 > limit:
                wait = -1 if -1 in standing.waits_ms else max(standing.waits_ms)
                answer = standing.answer(RATE_REASONS[window], index, wait)
                return RateLimitCheckResult(
                    allowed=False,
                    reason=answer.message(0, ""),
                    limit_exceeded=f"per_{WINDOWS[window]}",
                    remaining=dict(zip(WINDOWS, rate.remaining, strict=True)),
                    current_usage=dict(zip(WINDOWS, rate.used, strict=True)),
                    retry_after_seconds=answer.retry_after_seconds,
                )
    if not standing.rates:
        return RateLimitCheckResult(allowed=True)
    tightest = max(standing.rates, key=lambda rate: max(share or 0.0 for share in rate.utilisation))
    return RateLimitCheckResult(
        allowed=True,
        remaining=dict(zip(WINDOWS, tightest.remaining, strict=True)),
        current_usage=dict(zip(WINDOWS, tightest.used, strict=True)),
    )


def unavailable_rate_result(plan: CallPlan) -> RateLimitCheckResult:
    """What the rate limits of a call say while Redis is away: open unless one of them is closed."""
    allowed = all(rate.outage_mode != "closed" for rate in plan.rates)
    return RateLimitCheckResult(allowed=allowed, reason=UNAVAILABLE, fail_open=allowed)


def agent_status(agent_id: str, live: LiveDocument, standing: Standing) -> dict[str, Any]:
    """Everything about one agent at a glance. Of several budgets the one with the least left counts."""
    month, day = _tightest(standing.counters, "month"), _tightest(standing.counters, "day")
    rates = rate_result(standing)
    marks = BudgetMarks.of(standing.counters, 0)
    used = max(map(usage_percentage, standing.counters), default=0.0)
    policies = live.policies.policies.values()
    return {
        "external_agent_id": agent_id,
        "organization_id": live.document.organization,
        "budget": {
            **_amounts(month, "monthly"),
            **_amounts(day, "daily"),
            **_executions(standing.counters),
            "usage_percentage": used,
            "warning_triggered": marks.warning_triggered,
            "degraded_mode": marks.degraded,
        },
        "rate_limit": {
            "allowed": rates.allowed,
            "limit_exceeded": rates.limit_exceeded,
            "remaining": dict(rates.remaining),
            "current_usage": dict(rates.current_usage),
            "retry_after_seconds": rates.retry_after_seconds,
        },
        "policy": {
            "total_policies": len(policies),
            "enabled_policies": sum(policy.enabled for policy in policies),
        },
        "timestamp": standing.at.isoformat(),
    }


def usage_percentage(counter: CounterReading) -> float:
    """`budget_usage_percentage`: spent as a percentage of the limit; holds are not in it."""
    if not counter.limit_micros:
        return 0.0 if counter.limit_micros is None else 100.0
    return round(100 * counter.spent_micros / counter.limit_micros, 4)


def _tightest(counters: Sequence[CounterReading], period: str) -> CounterReading | None:
    limited = [counter for counter in counters if counter.period == period and counter.limit_micros is not None]
    return min(limited, key=_left, default=None)


def _left(counter: CounterReading) -> int:
    return (counter.limit_micros or 0) - counter.spent_micros - counter.held_micros


def _amounts(counter: CounterReading | None, word: str) -> dict[str, Decimal | None]:
    return {
        f"{word}_budget_usd": None if counter is None else to_usd(counter.limit_micros or 0),
        f"{word}_spent_usd": None if counter is None else to_usd(counter.spent_micros),
        f"remaining_{word}_usd": None if counter is None else to_usd(max(0, _left(counter))),
    }


def _executions(counters: Sequence[CounterReading]) -> dict[str, int | None]:
    shown: dict[str, int | None] = {}
    left: list[int] = []
    for period, word in (("month", "monthly"), ("day", "daily")):
        limited = [c for c in counters if c.period == period and c.execution_limit is not None]
        counter = min(limited, key=lambda c: (c.execution_limit or 0) - c.executions, default=None)
        shown[f"{word}_execution_limit"] = None if counter is None else counter.execution_limit
        shown[f"{word}_execution_count"] = None if counter is None else counter.executions
        if counter is not None:
            left.append(max(0, (counter.execution_limit or 0) - counter.executions))
    return {**shown, "remaining_executions": min(left, default=None)}
