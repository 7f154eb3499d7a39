"""What a raise would do to a counter's forecast. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from dashboard.charts.budgets_burn_up import when
from dashboard.reading.budgets_counters import Counter, coming, run_out
from engine.document.raise_spec import RaiseSpec, written_instant
from engine.document.schema import BudgetSpec
from engine.money import MICROS_PER_USD, to_usd
from engine.periods import PeriodKind

LIMITS: dict[PeriodKind, tuple[str, str]] = {
    "month": ("monthly_budget_usd", "monthly_usd"),
    "day": ("daily_budget_usd", "daily_usd"),
}
"""Fields of a budget and of its raises."""


@dataclass(frozen=True, slots=True)
class Raise:
    """What somebody asks for. `hours` is None for good, and then `usd` is the new limit; else it is on top."""

    usd: Decimal
    hours: int | None
    scope: str | None


def raised(budget: BudgetSpec, counter: Counter, asked: Raise) -> BudgetSpec:
    """The budget as it would be. It is only looked at: what makes it so checks everything."""
    limit, more = LIMITS[counter.kind]
    if asked.hours is None:
        return budget.model_copy(update={limit: asked.usd})
    facts: dict[str, Any] = {
        **({} if asked.scope is None else {"scope": asked.scope}),
        more: asked.usd,
        "from": written_instant(counter.now.replace(microsecond=0)),
        "until": written_instant(counter.now.replace(microsecond=0) + timedelta(hours=asked.hours)),
    }
    return budget.model_copy(update={"raises": [*budget.raises, RaiseSpec.model_validate(facts)]})


def effect_words(counter: Counter, budget: BudgetSpec, asked: Raise, zone: str) -> str:
    """A sentence like `At this pace it then runs out 28 Nov 14:05, instead of running out 27 Nov 09:10.`."""
    after, before = run_out(counter, raised(budget, counter, asked)), counter.runs_out
    if after is not None and after <= counter.now:
        return "That is not enough: it stays full."
    if after is None:
        words = f"At this pace it then lasts until its {counter.kind} ends"
    else:
        words = f"At this pace it then runs out {when(after, zone)}"
        words += ", when the raise ends" if _is_end(after, counter.now, asked.hours) else ""
    if before is None:
        return f"{words}, as it does now." if after is None else f"{words}."
    if after is not None and when(after, zone) == when(before, zone):
        return f"{words}, as it does now."
    was = "being full now" if before <= counter.now else f"running out {when(before, zone)}"
    return f"{words}, instead of {was}."


def more_suggested(counter: Counter, hours: int) -> Decimal:
    """What it takes to last so long, with a fifth to spare, and at least a tenth of the limit; rounded up."""
    limit = counter.limit_micros or 0
    length = min(timedelta(hours=hours), counter.end - counter.now)
    needed = counter.committed_micros + coming(counter.per_day_micros, length) * 6 // 5 - limit
    return _rounded_up(max(needed, (counter.base_micros or 0) // 10, MICROS_PER_USD))


def limit_suggested(counter: Counter) -> Decimal:
    """A limit that lasts the period with a tenth to spare, and is at least a tenth above the one there is."""
    base = counter.base_micros or 0
    return _rounded_up(max(counter.expected_micros * 11 // 10, base * 11 // 10, base + MICROS_PER_USD))


def _is_end(instant: datetime, now: datetime, hours: int | None) -> bool:
    return hours is not None and abs(instant - now.replace(microsecond=0) - timedelta(hours=hours)) <= timedelta(
        seconds=1
    )


def _rounded_up(micros: int) -> Decimal:
    """To two digits of dollars."""
    step = max(MICROS_PER_USD, 10 ** max(0, len(str(micros)) - 2))
    return to_usd(-(-micros // step) * step)
