"""What `check` answers: the decision, its reason, and everything needed to understand it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from engine.clock import from_ms
from engine.errors import InvalidValue
from engine.pricing.basis import Estimate, Pricing

if TYPE_CHECKING:
    from engine.admission.answers import CheckAnswer
    from engine.admission.record import CheckRecord
    from engine.explain import Explanation
    from engine.policy.cures import PolicyView

Outcome = Literal["allowed", "denied"]
HoldState = Literal["denied", "held", "settled", "cancelled", "expired"]


class ReasonCode(StrEnum):
    """Why a call was allowed or denied: one vocabulary for code, SQL, messages and pages."""

    ALLOWED = "allowed"
    POLICY_DENY = "policy_deny"
    POLICY_NO_ALLOW = "policy_no_allow"
    POLICY_ERROR = "policy_error"
    UNKNOWN_PRICE = "unknown_price"
    BUDGET_MONTHLY_COST = "budget_monthly_cost"
    BUDGET_DAILY_COST = "budget_daily_cost"
    BUDGET_MONTHLY_EXECUTIONS = "budget_monthly_executions"
    BUDGET_DAILY_EXECUTIONS = "budget_daily_executions"
    RATE_PER_MINUTE = "rate_per_minute"
    RATE_PER_HOUR = "rate_per_hour"
    RATE_PER_DAY = "rate_per_day"
    GATE_UNAVAILABLE = "gate_unavailable"

    @property
    def group(self) -> str:
        """The rough cause, for summaries: allowed, policy, budget, rate_limit or unavailable."""
        return _GROUPS[self]

    @property
    def http_status(self) -> int:
        """The HTTP status a caller may hand on."""
        return _HTTP_STATUS[self.group]


_GROUPS = {
    ReasonCode.ALLOWED: "allowed",
    ReasonCode.POLICY_DENY: "policy",
    ReasonCode.POLICY_NO_ALLOW: "policy",
    ReasonCode.POLICY_ERROR: "policy",
    ReasonCode.UNKNOWN_PRICE: "policy",
    ReasonCode.BUDGET_MONTHLY_COST: "budget",
    ReasonCode.BUDGET_DAILY_COST: "budget",
    ReasonCode.BUDGET_MONTHLY_EXECUTIONS: "budget",
    ReasonCode.BUDGET_DAILY_EXECUTIONS: "budget",
    ReasonCode.RATE_PER_MINUTE: "rate_limit",
    ReasonCode.RATE_PER_HOUR: "rate_limit",
    ReasonCode.RATE_PER_DAY: "rate_limit",
    ReasonCode.GATE_UNAVAILABLE: "unavailable",
}
COST_REASONS = {"month": ReasonCode.BUDGET_MONTHLY_COST, "day": ReasonCode.BUDGET_DAILY_COST}
EXECUTION_REASONS = {"month": ReasonCode.BUDGET_MONTHLY_EXECUTIONS, "day": ReasonCode.BUDGET_DAILY_EXECUTIONS}
RATE_REASONS = (ReasonCode.RATE_PER_MINUTE, ReasonCode.RATE_PER_HOUR, ReasonCode.RATE_PER_DAY)
WINDOWS = ("minute", "hour", "day")
"""The windows of a rate limit, in the order of every triple about it."""
_HTTP_STATUS = {"allowed": 200, "policy": 403, "budget": 402, "rate_limit": 429, "unavailable": 503}


@dataclass(frozen=True, slots=True)
class CounterReading:
    """One budget counter as the gate saw it, before this call.

    `warning_micros` and `degradation_micros` are the use from which a call is marked; `None` without a cost limit.
    """

    budget_id: str
    scope: str
    period: str
    period_label: str
    limit_micros: int | None
    execution_limit: int | None
    spent_micros: int
    held_micros: int
    executions: int
    hard: bool = True
    warning_micros: int | None = None
    degradation_micros: int | None = None

    @property
    def name(self) -> str:
        """The counter's name, as in Redis."""
        return f"{self.budget_id}|{self.scope}|{self.period}|{self.period_label}"

    def projected_micros(self, reserve_micros: int) -> int:
        """What would be used if a call with this reserve went ahead."""
        return self.spent_micros + self.held_micros + reserve_micros

    def exceeds_cost(self, reserve_micros: int) -> bool:
        """Whether a call with this reserve would pass the cost limit; equal is still within it."""
        return self.limit_micros is not None and self.projected_micros(reserve_micros) > self.limit_micros

    @property
    def exceeds_executions(self) -> bool:
        """Whether one call more would pass the execution limit."""
        return self.execution_limit is not None and self.executions + 1 > self.execution_limit


@dataclass(frozen=True, slots=True)
class BudgetMarks:
    """What budgets say of a call beyond yes and no.

    `warning_triggered` and `degraded`: a counter would reach its warning or degradation threshold; a degraded call
    should take its cheaper path. `over_soft_budget`: a soft budget is passed.
    """

    warning_triggered: bool = False
    degraded: bool = False
    over_soft_budget: bool = False

    @classmethod
    def of(cls, counters: Iterable[CounterReading], reserve_micros: int) -> BudgetMarks:
        """The marks of a call with this reserve, tested against `counters`."""
        warning = degraded = over_soft = False
        for counter in counters:
            projected = counter.projected_micros(reserve_micros)
            warning = warning or (counter.warning_micros is not None and projected >= counter.warning_micros)
            degraded = degraded or (counter.degradation_micros is not None and projected >= counter.degradation_micros)
            if not counter.hard:
                over_soft = over_soft or counter.exceeds_cost(reserve_micros) or counter.exceeds_executions
        return cls(warning, degraded, over_soft)


@dataclass(frozen=True, slots=True)
class RateReading:
    """One rate scope as the gate saw it, before this call: requests in the rolling minute, hour and day."""

    rate_limit_id: str
    per: str
    scope: str
    used: tuple[int, int, int]
    limits: tuple[int | None, int | None, int | None]

    @property
    def remaining(self) -> tuple[int | None, int | None, int | None]:
        """Requests that still fitted in each window, `None` for unlimited."""
        minute, hour, day = (
            None if limit is None else max(0, limit - used) for used, limit in zip(self.used, self.limits, strict=True)
        )
        return minute, hour, day

    @property
    def utilisation(self) -> tuple[float | None, float | None, float | None]:
        """The share of each window's limit that was used, `None` for unlimited."""
        minute, hour, day = (
            None if limit is None else used / limit if limit else 1.0
            for used, limit in zip(self.used, self.limits, strict=True)
        )
        return minute, hour, day


@dataclass(frozen=True, repr=False)
class Decision:
    """The answer to one `check`.

    `answer` and `record` are what the gate said and was asked; most callers want the properties made of them.
    `repeated`: the idempotency key was allowed before and this is that decision again, without readings. `gate_us` is
    how long the gate took, in microseconds, `prepare_us` everything before it.
    """

    id: str
    org_id: str
    estimate: Estimate
    pricing: Pricing
    answer: CheckAnswer
    record: CheckRecord
    gate_us: int
    repeated: bool = False
    policy_view: PolicyView | None = field(default=None, compare=False)

    def __repr__(self) -> str:
        return f"Decision({self.id}, allowed={self.allowed}, reason={self.reason.value}, message={self.message!r})"

    @property
    def allowed(self) -> bool:
        """Whether the call may happen."""
        return self.answer.allowed

    @property
    def reason(self) -> ReasonCode:
        """Why, as a code."""
        return self.answer.reason

    @cached_property
    def message(self) -> str:
        """Why, as a sentence a person can act on."""
        return self.answer.message(self.record.reserve_micros, self.record.denial)

    @property
    def agent_id(self) -> str:
        """The agent that would be called."""
        return self.record.agent_id

    @property
    def at(self) -> datetime:
        """When it was decided, by Redis' clock."""
        return from_ms(self.answer.now_ms)

    @property
    def matched_policies(self) -> tuple[str, ...]:
        """Ids of the policies that applied, in order."""
        return self.record.matched_policies

    @property
    def counters(self) -> tuple[CounterReading, ...]:
        """Every budget counter that was tested."""
        return self.answer.counters

    @property
    def rates(self) -> tuple[RateReading, ...]:
        """Every rate scope that was tested."""
        return self.answer.rates

    @property
    def retry_after_seconds(self) -> int | None:
        """Whole seconds after which only time stands between the caller and a yes; `None` when waiting is no cure."""
        return self.answer.retry_after_seconds

    @property
    def expires_at(self) -> datetime | None:
        """When the hold expires unless it is settled; `None` when there is none."""
        return from_ms(self.answer.expires_ms) if self.allowed else None

    @property
    def document_version(self) -> int:
        """The version of the governance document that decided."""
        return self.record.document_version

    @property
    def prepare_us(self) -> int:
        """Microseconds for facts, policies, price and plan."""
        return self.record.prepare_us

    @property
    def outage(self) -> str:
        """Why the gate did not decide; empty when it did."""
        return self.record.outage

    @cached_property
    def marks(self) -> BudgetMarks:
        """What budgets say of the call beyond yes and no."""
        return BudgetMarks.of(self.counters, self.record.reserve_micros)

    @property
    def http_status(self) -> int:
        """200 allowed, 402 budget, 403 policy or price, 429 rate limit, 503 gate unavailable."""
        return self.reason.http_status

    @property
    def fail_open(self) -> bool:
        """Whether the call was allowed although Redis was away."""
        return self.allowed and bool(self.outage)

    @property
    def degraded(self) -> bool:
        """Whether a budget is so far used that the call should take its cheaper path."""
        return self.marks.degraded

    @property
    def warning_triggered(self) -> bool:
        """Whether a budget has reached its warning threshold."""
        return self.marks.warning_triggered

    @property
    def over_soft_budget(self) -> bool:
        """Whether a soft budget is passed."""
        return self.marks.over_soft_budget

    @property
    def rate_wait_seconds(self) -> int | None:
        """Whole seconds until every full rate window has room, whatever else stands in the way; `None` for never."""
        return None if self.answer.wait_ms < 0 else -(-self.answer.wait_ms // 1000)

    @property
    def price_book_version(self) -> str:
        """The price book that the estimate comes from."""
        return self.estimate.price_book_version

    @property
    def budget_percentages(self) -> dict[str, float]:
        """Spent plus held as a percentage of the limit, for each counter with a cost limit, before this call."""
        return {
            counter.name: round(100 * (counter.spent_micros + counter.held_micros) / counter.limit_micros, 2)
            for counter in self.counters
            if counter.limit_micros
        }

    def explain(self) -> Explanation:
        """Every test with input, limit and result, and what would make the call allowed."""
        from engine.explain import explain

        return explain(self)


class Denied(Exception):
    """Raised by `guard` when the call may not happen; carries the `decision`."""

    def __init__(self, decision: Decision) -> None:
        self.decision = decision
        super().__init__(decision.message)


def input_told(
    decision: Decision, input_tokens: int | None, cached_input_tokens: int | None, cache_write_tokens: int | None
) -> tuple[int | None, int | None, int | None]:
    """The input tokens of a call that is settled: as told now, else all of them as told when it was checked.

    Never a mixture: who tells input tokens anew may count in those that were expected from a cache. Raises
    `InvalidValue` for cached tokens without the input tokens beside them.
    """
    told = (input_tokens, cached_input_tokens, cache_write_tokens)
    if told == (None, None, None):
        usage = decision.record.usage
        return usage.input_tokens, usage.cached_input_tokens, usage.cache_write_tokens
    if input_tokens is None:
        raise InvalidValue("input_tokens", "must be given beside cached_input_tokens or cache_write_tokens")
    return told
