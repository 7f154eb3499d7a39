"""What `check` answers: the decision, its reason, and everything needed to understand it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Literal

from engine.pricing.basis import Pricing

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
_HTTP_STATUS = {"allowed": 200, "policy": 403, "budget": 402, "rate_limit": 429, "unavailable": 503}


@dataclass(frozen=True, slots=True)
class CounterReading:
    """One budget counter as the gate saw it, before this call."""

    budget_id: str
    scope: str
    period: str
    period_label: str
    limit_micros: int | None
    execution_limit: int | None
    spent_micros: int
    held_micros: int
    executions: int


@dataclass(frozen=True, slots=True)
class RateReading:
    """One rate scope as the gate saw it, before this call: requests in the rolling minute, hour and day."""

    rate_limit_id: str
    per: str
    scope: str
    used: tuple[int, int, int]
    limits: tuple[int | None, int | None, int | None]


@dataclass(frozen=True, slots=True)
class Estimate:
    """The price-book cost of a call, in micro-dollars: what is held is `reserve_micros`."""

    estimate_micros: int
    reserve_micros: int
    multiplier: Decimal
    buffer: Decimal
    price_book_version: str

    @property
    def buffer_micros(self) -> int:
        """Held on top of the estimate."""
        return self.reserve_micros - self.estimate_micros


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer to one `check`. `message` is a sentence a person can act on."""

    id: str
    org_id: str
    agent_id: str
    allowed: bool
    reason: ReasonCode
    message: str
    at: datetime
    estimate: Estimate
    pricing: Pricing
    matched_policies: tuple[str, ...]
    counters: tuple[CounterReading, ...]
    rates: tuple[RateReading, ...]
    retry_after_seconds: int | None
    expires_at: datetime | None
    document_version: int
    prepare_us: int
    gate_us: int

    @property
    def http_status(self) -> int:
        """200 allowed, 402 budget, 403 policy or price, 429 rate limit, 503 gate unavailable."""
        return self.reason.http_status


class Denied(Exception):
    """Raised by `guard` when the call may not happen; carries the `decision`."""

    def __init__(self, decision: Decision) -> None:
        self.decision = decision
        super().__init__(decision.message)
