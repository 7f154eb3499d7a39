"""What the cells of `usage` add up to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

from sqlalchemy import ColumnElement, case, func

from engine.ledger.tables import usage

_SUMMED = (
    "decisions",
    "spent_micros",
    "settled",
    "settled_estimate_micros",
    "actual_micros",
    "absolute_error_micros",
    "failed",
    "cancelled",
    "expired",
    "fail_open",
)


@dataclass(frozen=True, slots=True)
class Measures:
    """Sums over some calls. `spent_micros` has actual costs and, for expired holds, their reserves.

    `settled_estimate_micros`, `actual_micros` and `absolute_error_micros` (|actual - estimate|) are of settled calls,
    `denied_estimate_micros` is what the denied ones would have cost by their estimates, `allowed_estimate_micros` what
    the allowed ones should cost by theirs, cancelled ones too.
    """

    decisions: int = 0
    spent_micros: int = 0
    settled: int = 0
    settled_estimate_micros: int = 0
    actual_micros: int = 0
    absolute_error_micros: int = 0
    failed: int = 0
    cancelled: int = 0
    expired: int = 0
    fail_open: int = 0
    denied: int = 0
    denied_estimate_micros: int = 0
    allowed_estimate_micros: int = 0

    @property
    def allowed(self) -> int:
        """Calls that might be made."""
        return self.decisions - self.denied

    @property
    def executions(self) -> int:
        """Allowed and not cancelled, as budgets count them."""
        return self.allowed - self.cancelled

    @property
    def succeeded(self) -> int:
        """Settled as successful."""
        return self.settled - self.failed

    @property
    def cost_per_success_micros(self) -> int | None:
        """All that was spent for each successful call; None without any."""
        return round(self.spent_micros / self.succeeded) if self.succeeded else None

    @property
    def settled_share(self) -> float | None:
        """Share of the executions whose real cost is known, 0 to 1; None without any."""
        return self.settled / self.executions if self.executions > 0 else None

    @property
    def settled_cost_share(self) -> float | None:
        """The same of their cost, by the estimates: a dear call that is not settled weighs more; None without any.

        What cancelled calls would have cost counts as not settled, for it is not known apart.
        """
        allowed = self.allowed_estimate_micros
        return self.settled_estimate_micros / allowed if allowed else None

    @property
    def unsettled_share(self) -> float | None:
        """Expired of those that ended settled or expired, 0 to 1; None without any."""
        ended = self.settled + self.expired
        return self.expired / ended if ended else None

    @property
    def denied_share(self) -> float | None:
        """Denied of all decisions, 0 to 1; None without any."""
        return self.denied / self.decisions if self.decisions else None

    @property
    def bias(self) -> float | None:
        """(actual - estimate) / estimate over settled calls; None without an estimate."""
        estimate = self.settled_estimate_micros
        return (self.actual_micros - estimate) / estimate if estimate else None

    @property
    def wape(self) -> float | None:
        """Sum of |actual - estimate| / sum of actual; None when nothing was paid."""
        return self.absolute_error_micros / self.actual_micros if self.actual_micros else None

    @classmethod
    def of(cls, row: Any) -> Self:
        """Read a row that has `measures()`."""
        # Sums of nothing are NULL, and PostgreSQL's sums of big integers are decimals.
        return cls(**{name: int(getattr(row, name) or 0) for name in cls.__slots__})


def measures() -> list[ColumnElement[int]]:
    """The columns that `Measures.of` reads."""
    denied = usage.c.outcome == "denied"
    return [
        *(func.sum(usage.c[name]).label(name) for name in _SUMMED),
        func.sum(case((denied, usage.c.decisions), else_=0)).label("denied"),
        func.sum(case((denied, usage.c.estimate_micros), else_=0)).label("denied_estimate_micros"),
        func.sum(case((denied, 0), else_=usage.c.estimate_micros)).label("allowed_estimate_micros"),
    ]
