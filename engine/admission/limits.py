"""What a budget limits its counters to: by itself, and with the raises that are in force at an instant. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from engine.clock import to_ms
from engine.document.schema import BudgetSpec, GovernanceDocument
from engine.money import to_micros
from engine.periods import PeriodKind

FOREVER_MS = 2**53
"""An end that never comes, which a double still has exactly."""


@dataclass(frozen=True, slots=True)
class LimitsInForce:
    """The limits of one counter, micro-dollars and executions, `None` for unlimited; as such in `[from_ms, until_ms)`.

    `base_micros` is the budget's own limit, without raises.
    """

    micros: int | None
    executions: int | None
    base_micros: int | None
    from_ms: int = 0
    until_ms: int = FOREVER_MS

    @property
    def raised_by_micros(self) -> int:
        """What raises add to the budget's own limit."""
        return 0 if self.micros is None or self.base_micros is None else self.micros - self.base_micros


def limits_of(budget: BudgetSpec, kind: PeriodKind) -> tuple[int | None, int | None]:
    """A budget's own limits in a month or day: micro-dollars and executions, `None` for unlimited.

    What holds for a counter at an instant is for `limits_at` to say.
    """
    usd = budget.monthly_budget_usd if kind == "month" else budget.daily_budget_usd
    executions = budget.monthly_execution_limit if kind == "month" else budget.daily_execution_limit
    return (None if usd is None else to_micros(usd), executions)


def limits_at(budget: BudgetSpec, kind: PeriodKind, scope: str, at_ms: int) -> LimitsInForce:
    """The limits of the counter of `scope` at `at_ms`, and between which two beginnings or ends of raises they hold."""
    base, executions = limits_of(budget, kind)
    limit, from_ms, until_ms = base, 0, FOREVER_MS
    for each in budget.raises:
        more = each.usd(kind)
        if limit is None or more is None or not each.concerns(scope):
            continue
        if each.from_ms <= at_ms < each.until_ms:
            limit += to_micros(more)
        for boundary in (each.from_ms, each.until_ms):
            if boundary <= at_ms:
                from_ms = max(from_ms, boundary)
            else:
                until_ms = min(until_ms, boundary)
    return LimitsInForce(limit, executions, base, from_ms, until_ms)


def limits_now(
    document: GovernanceDocument, budget_id: str, scope: str, kind: PeriodKind, at: datetime
) -> LimitsInForce | None:
    """The limits of a counter by a document at an instant; `None` when it has no such budget.

    A row of `budget_usage` has the limit of the counter's last call, and a raise may have begun or ended since.
    """
    budget = next((budget for budget in document.budgets if budget.id == budget_id), None)
    return None if budget is None else limits_at(budget, kind, scope, to_ms(at))
