"""Take a decision apart: every test with input, limit and result, and what would make the call allowed. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from engine.decision import WINDOWS
from engine.money import format_usd
from engine.policy.cures import policy_cures
from engine.policy.policy import PolicyEffect
from engine.policy.result import ConditionResult

if TYPE_CHECKING:
    from engine.decision import CounterReading, Decision, RateReading

_PERIODS = {"month": "monthly", "day": "daily"}


@dataclass(frozen=True, slots=True)
class Test:
    """One test of a decision. `input` is what the call would bring it to, `limit` what is allowed."""

    name: str
    input: str
    limit: str
    result: Literal["passed", "failed", "marked"]


@dataclass(frozen=True, slots=True)
class Explanation:
    """Every test, and what would make the call allowed: all of it is needed, nothing when it was allowed.

    `conditions` are those of every enabled policy, in order of the policies.
    """

    allowed: bool
    message: str
    tests: tuple[Test, ...]
    would_be_allowed: tuple[str, ...]
    conditions: tuple[ConditionResult, ...] = ()

    def __str__(self) -> str:
        lines = [self.message, *(f"  {test.result}: {test.name}: {test.input} of {test.limit}" for test in self.tests)]
        if self.would_be_allowed:
            lines.append("To be allowed: " + "; ".join(self.would_be_allowed))
        return "\n".join(lines)


def explain(decision: Decision) -> Explanation:
    """Explain a decision by what it carries."""
    tests = [
        *_policy_tests(decision),
        *(test for counter in decision.counters for test in _counter_tests(decision, counter)),
        *(test for rate in decision.rates for test in _rate_tests(rate)),
    ]
    cures = () if decision.allowed else tuple(_cures(decision))
    conditions = () if decision.policy_view is None else decision.policy_view.result.conditions
    return Explanation(decision.allowed, decision.message, tuple(tests), cures, conditions)


def _policy_tests(decision: Decision) -> Iterator[Test]:
    view = decision.policy_view
    if view is None:
        return
    passed = view.result.effect is PolicyEffect.ALLOW
    asked = ", ".join(
        f"{name}={value}"
        for name, value in (
            ("environment", view.context.environment),
            ("provider", view.context.provider),
            ("country", view.context.country),
            ("ip", view.context.ip),
        )
        if value is not None
    )
    yield Test("policies", asked or "nothing known", view.result.reason, "passed" if passed else "failed")


def _counter_tests(decision: Decision, counter: CounterReading) -> Iterator[Test]:
    reserve = decision.estimate.reserve_micros
    name = f"{_PERIODS[counter.period]} budget '{counter.budget_id}' of {counter.scope!r}"
    if counter.limit_micros is not None:
        exceeded = counter.exceeds_cost(reserve)
        yield Test(
            name,
            format_usd(counter.projected_micros(reserve)),
            format_usd(counter.limit_micros),
            _result(exceeded, counter.hard),
        )
    if counter.execution_limit is not None:
        result = _result(counter.exceeds_executions, counter.hard)
        yield Test(f"{name}, executions", str(counter.executions + 1), str(counter.execution_limit), result)


def _rate_tests(rate: RateReading) -> Iterator[Test]:
    for window, used, limit in zip(WINDOWS, rate.used, rate.limits, strict=True):
        if limit is not None:
            name = f"rate limit '{rate.rate_limit_id}' of {rate.per} {rate.scope!r} per {window}"
            yield Test(name, str(used + 1), str(limit), _result(used + 1 > limit, hard=True))


def _result(exceeded: bool, hard: bool) -> Literal["passed", "failed", "marked"]:
    if not exceeded:
        return "passed"
    return "failed" if hard else "marked"


def _cures(decision: Decision) -> Iterator[str]:
    if decision.policy_view is not None and decision.policy_view.result.effect is not PolicyEffect.ALLOW:
        yield from policy_cures(decision.policy_view)
    yield from reason_cures(decision.reason)
    yield from budget_cures(decision.counters, decision.estimate.reserve_micros)
    yield from _rate_cures(decision)


def reason_cures(reason: str) -> Iterator[str]:
    """What a denial for a reason of its own needs, whatever was tested."""
    if reason == "unknown_price":
        yield "add a price for this provider and model to the price book, or give estimated_cost"
    if reason == "gate_unavailable":
        yield "try again when Redis answers"


def budget_cures(counters: Iterable[CounterReading], reserve_micros: int) -> Iterator[str]:
    """By how much the limits of hard budgets are too low for a call with this reserve."""
    for counter in counters:
        period = _PERIODS[counter.period]
        if counter.hard and counter.exceeds_cost(reserve_micros):
            missing = counter.projected_micros(reserve_micros) - (counter.limit_micros or 0)
            shown = format_usd(missing, exact=True)
            yield f"raise {period} budget '{counter.budget_id}' of {counter.scope!r} by {shown}"
        if counter.hard and counter.exceeds_executions:
            missing = counter.executions + 1 - (counter.execution_limit or 0)
            yield f"raise the {period} execution limit of budget '{counter.budget_id}' by {missing}"


def full_windows(rates: Iterable[RateReading]) -> list[tuple[RateReading, str]]:
    """The windows that had no room for one call more."""
    return [
        (rate, window)
        for rate in rates
        for window, used, limit in zip(WINDOWS, rate.used, rate.limits, strict=True)
        if limit is not None and used + 1 > limit
    ]


def _rate_cures(decision: Decision) -> Iterator[str]:
    full = full_windows(decision.rates)
    if not full:
        return
    if decision.rate_wait_seconds is not None:
        yield f"wait {decision.rate_wait_seconds} s"
    else:
        rate, window = full[0]
        yield f"raise rate limit '{rate.rate_limit_id}' per {window}, which allows no request at all"
