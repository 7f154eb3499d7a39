"""What a month will cost, from its days so far and the days before: month to date + trailing 7-day mean x days left."""

from __future__ import annotations

import calendar
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np

from engine.analytics.amounts import Floats, amount, amounts
from engine.analytics.quantiles import student_t
from engine.money import Micros

WEEK = 7
INTERVAL = 0.80
FEWEST_DAYS = 3
"""Before the third of a month its forecast is rough."""
LOOK_BACK = 8 * WEEK
"""Days that say how much days differ."""
PROFILE = 4 * WEEK


@dataclass(frozen=True, slots=True)
class Crossing:
    """The day on which the month's spend exceeds a limit: by the forecast, and at the ends of the 80 % interval.

    None: not within this month. All three are the same day once it has happened.
    """

    day: date | None
    earliest: date | None
    latest: date | None


@dataclass(frozen=True, slots=True)
class Forecast:
    """The month's total with an 80 % interval, and what it is made of."""

    total_micros: Micros
    low_micros: Micros
    high_micros: Micros
    month_to_date_micros: Micros
    """Including what today has so far."""
    mean_day_micros: Micros
    """The mean of the last 7 complete days."""
    days_left: int
    """Including today."""
    rough: bool
    """Before the third of the month, or with fewer than 7 complete days behind: say so beside the number."""
    crossing: Crossing | None
    """None when no limit was given."""

    def surely_exceeds(self, limit_micros: int) -> bool:
        """Whether even the lower end of the interval is above a limit ("forecast to exceed")."""
        return self.low_micros > limit_micros


def forecast_month(
    days: Sequence[int], *, today: date, so_far_micros: int = 0, limit_micros: int | None = None
) -> Forecast | None:
    """Forecast the month of `today`; None without a single complete day behind.

    `days` are the totals of complete days in micro-USD, oldest first, without gaps, the last being yesterday; a day
    without spend is a 0, but days before the first call ever are left out. Days of earlier months belong to it: 14 or
    more make a good interval, 56 are looked at.
    `so_far_micros` is what today has so far; today is expected to become a mean day, or what it has if that is more.
    Raises `InvalidValue` naming the field.

    The interval has three parts. Days differ by chance: s for one day, from days a week apart, so that weekends do
    not count as chance. k days left then differ by s x sqrt(k), and the mean of 7 days that each of them was given is
    itself off by s / sqrt(7): together s x sqrt(k + k²/7). And where the days left are not whole weeks, the weekdays
    among the rest may be dear or cheap ones: the interval reaches out by that much on their side.
    """
    totals = amounts("days", days)
    so_far = amount("so_far_micros", so_far_micros)
    limit = None if limit_micros is None else amount("limit_micros", limit_micros)
    if not len(totals):
        return None
    left = calendar.monthrange(today.year, today.month)[1] - today.day + 1
    complete = totals[max(0, len(totals) - (today.day - 1)) :]
    spent = float(complete.sum())
    mean = float(totals[-WEEK:].mean())
    ahead = np.arange(1.0, left + 1)
    points: Floats = spent + max(so_far, mean) + mean * (ahead - 1)
    spread = _spread(totals) * np.sqrt(ahead + ahead**2 / min(WEEK, len(totals)))
    tilt = np.cumsum(_profile(totals)[np.arange(left) % WEEK])
    known = spent + so_far
    lows: Floats = np.maximum(known, points + np.minimum(tilt, 0.0) - spread)
    highs: Floats = points + np.maximum(tilt, 0.0) + spread
    return Forecast(
        total_micros=Micros(round(points[-1])),
        low_micros=Micros(round(lows[-1])),
        high_micros=Micros(round(highs[-1])),
        month_to_date_micros=Micros(round(known)),
        mean_day_micros=Micros(round(mean)),
        days_left=left,
        rough=today.day < FEWEST_DAYS or len(totals) < WEEK,
        crossing=None if limit is None else _crossing(complete, known, (points, highs, lows), today, limit),
    )


def _spread(totals: Floats) -> float:
    """How far a day may be from what is usual for its weekday, at the level of the interval."""
    recent = totals[-LOOK_BACK:]
    if len(recent) == 1:
        # One day says nothing of how days differ: as much as the day itself.
        return float(recent[0]) * student_t((1 + INTERVAL) / 2, 1)
    if len(recent) < 2 * WEEK:
        # Weekends count as chance here; less than two weeks cannot tell them apart.
        return float(recent.std(ddof=1)) * student_t((1 + INTERVAL) / 2, len(recent) - 1)
    differences = recent[WEEK:] - recent[:-WEEK]
    # A week may be in two differences, so they say less than their number.
    degrees = len(differences) // 2
    return math.sqrt(float((differences**2).mean()) / 2) * student_t((1 + INTERVAL) / 2, degrees)


def _profile(totals: Floats) -> Floats:
    """What the 7 weekdays from today on differ from the mean day by; zeros unless two weeks are known."""
    weeks = min(PROFILE, len(totals)) // WEEK
    if weeks < 2:
        return np.zeros(WEEK)
    by_weekday: Floats = totals[-weeks * WEEK :].reshape(weeks, WEEK).mean(axis=0)
    difference: Floats = by_weekday - by_weekday.mean()
    return difference


def _crossing(
    complete: Floats, known: float, ahead: tuple[Floats, Floats, Floats], today: date, limit: float
) -> Crossing:
    past = np.flatnonzero(np.cumsum(complete) > limit)
    if len(past):
        day = today - timedelta(days=len(complete) - int(past[0]))
        return Crossing(day, day, day)
    if known > limit:
        return Crossing(today, today, today)
    point, high, low = (_first_above(values, today, limit) for values in ahead)
    return Crossing(point, high, low)


def _first_above(values: Floats, today: date, limit: float) -> date | None:
    above = np.flatnonzero(np.round(values) > limit)
    return today + timedelta(days=int(above[0])) if len(above) else None
