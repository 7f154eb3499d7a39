"""What a budget should allow, from what was spent: watch for two weeks, then small steps, then from history.

The guide's Scaling Strategy: weeks 1-2 monitor, weeks 3-4 adjust by up to 20 %, from month 2 on set by historical data.
"""

from __future__ import annotations

import calendar
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from engine.analytics.amounts import Floats, amount, amounts, p95
from engine.analytics.forecast import LOOK_BACK, WEEK, forecast_month
from engine.money import Micros, divide_half_even, format_usd

WATCH_DAYS = 2 * WEEK
"""Fewer complete days: nothing is proposed."""
STEP_DAYS = 4 * WEEK
"""Fewer complete days: a step of at most 20 %; from here on history speaks."""
STEP_PERCENT = 20
SPARE_PERCENT = 20
"""The guide's safety buffer, on top of mean days that do not know yet how far days differ."""
MICROS_PER_CENT = 10_000


def rough_usd(micros: int) -> str:
    """An amount in a sentence: cents from a dollar on, else four digits, or all where that would be nothing."""
    digits = 100
    return format_usd(round(micros / digits) * digits if abs(micros) >= MICROS_PER_CENT else micros)


class Basis(StrEnum):
    """What a recommendation rests on."""

    WATCH = "watch"
    """Too few days: go on as it is."""
    STEP = "step"
    """A few weeks: at most 20 % up or down."""
    HISTORY = "history"
    """Enough days to know how far they differ."""


@dataclass(frozen=True, slots=True)
class Recommendation:
    """What a limit should be. `proposed_micros` is None while there is nothing to propose; `reason` says why."""

    basis: Basis
    days: int
    """Complete days that it rests on."""
    limit_micros: int
    """The limit as it is."""
    proposed_micros: int | None
    reason: str
    low_micros: int | None = None
    """The ends of the 80 % interval of what the month will cost; None for a day's limit and while watching."""
    high_micros: int | None = None

    @property
    def change_micros(self) -> int:
        """How much is added to the limit, below zero when it is lowered; 0 without a proposal."""
        return 0 if self.proposed_micros is None else self.proposed_micros - self.limit_micros


def recommend_month(
    days: Sequence[int], *, ahead: date, limit_micros: int, committed_micros: int = 0, blocked: bool = False
) -> Recommendation:
    """What the budget of the month of `ahead` should be.

    `days` are the totals of complete days in micro-USD as `forecast_month` takes them: oldest first, without gaps, from
    the first call on, the last being the day before the month begins. `committed_micros` is what that month has spent
    and holds already: the proposal is never below it. `blocked`: calls were denied by the limit, so that the days show
    less than what was wanted, and it is not lowered. Raises `InvalidValue` naming the field.

    1. Below 14 days: no proposal.
    2. Below 28: mean day x days of the month with 20 % to spare, at most 20 % away from the limit.
    3. Else: P95 day x days of the month, at least the upper end of the forecast's 80 % interval. 8 weeks count.
    """
    totals, limit, committed = _checked(days, limit_micros, committed_micros)
    if len(totals) < WATCH_DAYS:
        return _watching(len(totals), limit)
    length = calendar.monthrange(ahead.year, ahead.month)[1]
    forecast = forecast_month([int(day) for day in totals], today=ahead.replace(day=1))
    assert forecast is not None
    low, high = int(forecast.low_micros), int(forecast.high_micros)
    if len(totals) < STEP_DAYS:
        basis = Basis.STEP
        mean = divide_half_even(int(totals.sum()), len(totals))
        needed = _with_spare(mean * length)
        wanted = _within_a_step(needed, limit)
        why = (
            f"{len(totals)} days of history: a mean day of {rough_usd(mean)} makes {rough_usd(needed)} "
            f"in {length} days with {SPARE_PERCENT} % to spare{_stepped(needed, wanted, limit)}"
        )
    else:
        basis = Basis.HISTORY
        day = round(p95(totals))
        needed = max(day * length, high)
        wanted = _rounded_up(needed)
        why = (
            f"19 of 20 days cost at most {rough_usd(day)}, which makes {rough_usd(day * length)} in {length} days; "
            f"the forecast is {rough_usd(low)} to {rough_usd(high)}"
        )
    proposed, why = _bounded(wanted, why, limit, committed, blocked=blocked)
    return Recommendation(basis, len(totals), limit, proposed, f"{why}.", low, high)


def recommend_day(
    days: Sequence[int], *, limit_micros: int, committed_micros: int = 0, blocked: bool = False
) -> Recommendation:
    """What the budget of a day should be: the P95 day, in weeks 3-4 at most 20 % away from the limit.

    Takes what `recommend_month` takes; `committed_micros` is of the running day.
    """
    totals, limit, committed = _checked(days, limit_micros, committed_micros)
    if len(totals) < WATCH_DAYS:
        return _watching(len(totals), limit)
    day = round(p95(totals))
    few = len(totals) < STEP_DAYS
    wanted = _within_a_step(day, limit) if few else _rounded_up(day)
    stepped = _stepped(day, wanted, limit) if few else ""
    why = f"{len(totals)} days of history: 19 of 20 days cost at most {rough_usd(day)}{stepped}"
    proposed, why = _bounded(wanted, why, limit, committed, blocked=blocked)
    return Recommendation(Basis.STEP if few else Basis.HISTORY, len(totals), limit, proposed, f"{why}.")


def _checked(days: Sequence[int], limit_micros: int, committed_micros: int) -> tuple[Floats, int, int]:
    totals = amounts("days", days)[-LOOK_BACK:]
    return totals, int(amount("limit_micros", limit_micros)), int(amount("committed_micros", committed_micros))


def _watching(days: int, limit: int) -> Recommendation:
    known = f"{days} complete {'day' if days == 1 else 'days'} of history"
    reason = f"Only {known} so far: watch until there are {WATCH_DAYS} before changing the limit."
    return Recommendation(Basis.WATCH, days, limit, None, reason)


def _bounded(wanted: int, why: str, limit: int, committed: int, *, blocked: bool) -> tuple[Micros, str]:
    proposed = wanted
    if blocked and proposed < limit:
        proposed = limit
        why = f"{why}, but calls were denied by the limit, so it is not lowered"
    elif blocked:
        why = f"{why}; calls were denied by the limit, so more was wanted than the days show"
    if proposed < committed:
        proposed = _rounded_up(committed)
        why = f"{why}, but {rough_usd(committed)} is spent or held already"
    return Micros(proposed), why


def _with_spare(micros: int) -> int:
    return divide_half_even(micros * (100 + SPARE_PERCENT), 100)


def _within_a_step(needed: int, limit: int) -> int:
    """What is needed, at most 20 % away from the limit; rounded without leaving that range."""
    lowest = divide_half_even(limit * (100 - STEP_PERCENT), 100)
    highest = divide_half_even(limit * (100 + STEP_PERCENT), 100)
    inside = min(max(needed, lowest), highest)
    up = _rounded_up(inside)
    if up <= highest:
        return up
    down = up - _step(up)
    return down if down >= lowest else inside


def _stepped(needed: int, wanted: int, limit: int) -> str:
    if abs(needed - limit) * 100 <= STEP_PERCENT * limit:
        return ""
    if wanted == limit:
        return f"; it stays at {rough_usd(limit)}, of which {STEP_PERCENT} % are nothing to begin with"
    direction = "raised" if wanted > limit else "lowered"
    return f"; {direction} from {rough_usd(limit)} by at most {STEP_PERCENT} % while there is so little history"


def _rounded_up(micros: int) -> int:
    """Up to two digits, and whole cents: $443.12 becomes $450, $12.30 becomes $13."""
    step = _step(micros)
    return -(-micros // step) * step


def _step(micros: int) -> int:
    return max(MICROS_PER_CENT, int(10 ** max(0, len(str(micros)) - 2)))
