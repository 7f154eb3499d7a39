"""A day that costs far more than days like it: compared on the log scale, in units that one wild day cannot stretch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date, timedelta
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.analytics.amounts import Floats, amount, amounts
from engine.money import Micros

CUTOFFS = {7: 5.9, 10: 4.0, 14: 3.5, 28: 2.8, 60: 2.5}
"""How many scales above the expected a day must be, by days of history. Few days often look alike by chance."""
FEWEST_DAYS = min(CUTOFFS)
MOST_DAYS = max(CUTOFFS)
LEAST_EXCESS_MICROS = 5_000_000
LEAST_EXCESS_OF_BUDGET = 0.01
LEAST_EXCESS_OF_EXPECTED = 0.25
MAD_TO_SD = 1.4826
"""For normal values the median absolute deviation times this is the standard deviation."""
SMALLEST_SCALE = 0.037
"""Where days are as good as identical any rise is many scales. With this one 25 % more is above the highest cutoff, so
that the 25 % decide, whatever the history."""
MEDIAN_VARIANCE = math.pi / 2
"""The variance of the median of n normal values is this / n of theirs."""
SATURDAY = 5


class Anomaly(NamedTuple):
    """How a day compares with what was expected. `score` is in scales of the log; above the cutoff is unusual."""

    expected_micros: Micros
    excess_micros: Micros
    """Below zero when the day cost less."""
    score: float
    cutoff: float
    is_anomaly: bool


def anomaly_of(
    history: Sequence[int], day_micros: int, *, day: date, budget_micros: int | None = None
) -> Anomaly | None:
    """Judge what `day` cost by the days before it; None (silent) with fewer than 7 of those that cost anything.

    `history` are totals of complete days in micro-USD, oldest first, without gaps, the last being the day before `day`;
    the last 60 that cost anything are used. A day without spend says that nobody called, not what a day of calls
    costs, so it is left out. Raises `InvalidValue` naming the field.

    1. Weekends: their median log less that of weekdays, where there are two of each at least.
    2. Expected: the median of the logs without the weekends' share, plus that share when `day` is at a weekend.
    3. Score: how far the day's log is above it, in scales of 1.4826 x the median absolute deviation. Two weekends say
       less of a Saturday than ten weekdays of a Monday, so the scale grows as few days are alike.
    4. An anomaly scores above the cutoff for so many days, costs 25 % more than expected, and in money $5 more or 1 %
       of `budget_micros` more.
    """
    totals = amounts("history", history)
    cost = amount("day_micros", day_micros)
    budget = None if budget_micros is None else amount("budget_micros", budget_micros)
    weekend = np.array([_is_weekend(day - timedelta(days=back)) for back in range(len(totals), 0, -1)], dtype=bool)
    spent = totals > 0
    logs, weekend = np.log(totals[spent])[-MOST_DAYS:], weekend[spent][-MOST_DAYS:]
    if len(logs) < FEWEST_DAYS:
        return None
    share = _weekend_share(logs, weekend)
    level_logs = logs - share * weekend
    level = float(np.median(level_logs))
    scale = MAD_TO_SD * float(np.median(np.abs(level_logs - level)))
    if share:
        alike = int(np.count_nonzero(weekend == _is_weekend(day)))
        most = max(alike, len(logs) - alike)
        scale *= math.sqrt((1 + MEDIAN_VARIANCE / alike) / (1 + MEDIAN_VARIANCE / most))
    usual = level + share * _is_weekend(day)
    score = (math.log(max(cost, 1.0)) - usual) / max(scale, SMALLEST_SCALE)
    cutoff = cutoff_for(len(logs))
    # Whole micro-dollars, or the median of equal days would be a little above or below them.
    expected = round(math.exp(usual))
    excess = round(cost) - expected
    least = LEAST_EXCESS_MICROS if budget is None else min(LEAST_EXCESS_MICROS, LEAST_EXCESS_OF_BUDGET * budget)
    unusual = score > cutoff and excess >= least and excess >= LEAST_EXCESS_OF_EXPECTED * expected
    return Anomaly(Micros(expected), Micros(excess), score, cutoff, unusual)


def cutoff_for(days: int) -> float:
    """The cutoff for so many days of history, on straight lines between the known ones."""
    return float(np.interp(days, list(CUTOFFS), list(CUTOFFS.values())))


def _weekend_share(logs: Floats, weekend: NDArray[np.bool_]) -> float:
    if min(np.count_nonzero(weekend), np.count_nonzero(~weekend)) < 2:
        return 0.0
    return float(np.median(logs[weekend]) - np.median(logs[~weekend]))


def _is_weekend(day: date) -> bool:
    return day.weekday() >= SATURDAY
