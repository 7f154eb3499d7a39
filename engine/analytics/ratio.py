"""What a segment's calls cost against what they were estimated at, from sums that can be kept per day and added up."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from engine.analytics.amounts import amount, amounts, same_length
from engine.analytics.quantiles import student_t
from engine.money import MICROS_PER_USD

CONFIDENCE = 0.95
FEWEST_DAYS = 7


@dataclass(frozen=True, slots=True)
class SegmentSums:
    """Sums over the settled calls of one segment; two of them add up with `+`.

    `calls` settled; `estimate_micros` without buffer, since a buffer is kept aside and not expected to be spent;
    `actual_micros`; three sums of squares and products in USD²; `error_micros` = sum of |actual - estimate|.
    Raises `InvalidValue` naming the field when one is negative or not finite.
    """

    calls: int = 0
    estimate_micros: int = 0
    actual_micros: int = 0
    estimate_squared: float = 0.0
    actual_squared: float = 0.0
    estimate_times_actual: float = 0.0
    error_micros: int = 0

    def __post_init__(self) -> None:
        for field in fields(self):
            amount(field.name, getattr(self, field.name))

    def __add__(self, other: SegmentSums) -> SegmentSums:
        return SegmentSums(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    @classmethod
    def of(cls, estimates: ArrayLike, actuals: ArrayLike) -> SegmentSums:
        """The sums of calls given one by one, both in micro-USD. Raises `InvalidValue`."""
        estimate, actual = amounts("estimates", estimates), amounts("actuals", actuals)
        calls = same_length([("estimates", estimate), ("actuals", actual)])
        usd_estimate, usd_actual = estimate / MICROS_PER_USD, actual / MICROS_PER_USD
        return cls(
            calls=calls,
            estimate_micros=round(estimate.sum()),
            actual_micros=round(actual.sum()),
            estimate_squared=float((usd_estimate * usd_estimate).sum()),
            actual_squared=float((usd_actual * usd_actual).sum()),
            estimate_times_actual=float((usd_estimate * usd_actual).sum()),
            error_micros=round(np.abs(actual - estimate).sum()),
        )


class Ratio(NamedTuple):
    """R = sum(actual) / sum(estimate), the 95 % interval around it, and WAPE = sum|actual - estimate| / sum(actual).

    1 is a perfect model. WAPE is None when nothing was spent. Under two calls the interval is 0 to infinity.
    """

    value: float
    low: float
    high: float
    wape: float | None

    @property
    def bias(self) -> float:
        """R - 1: above zero when calls cost more than estimated."""
        return self.value - 1

    def excludes(self, share: float) -> bool:
        """Whether the whole interval lies outside 1 +- share; touching the edge is not outside."""
        return self.low > 1 + share or self.high < 1 - share


def ratio_of(sums: SegmentSums, days: Sequence[SegmentSums] = ()) -> Ratio | None:
    """The ratio of a segment with its interval; None when the estimates sum to zero.

    `days` are the same calls day by day. Calls of one day often cost too much or too little together, and then many
    calls say less than their number: from seven days on the interval is the wider one of that between calls and that
    between days.

    The spread of R comes from the residuals actual - R x estimate (the linearised ratio estimator), so calls of very
    different size may be mixed. The interval is symmetric in log R, since costs are skewed and R cannot be negative,
    and its width uses Student's t.
    """
    if not sums.estimate_micros:
        return None
    value = sums.actual_micros / sums.estimate_micros
    if not sums.actual_micros:
        # Every call was free. All actuals are equal then, and so is the interval.
        return Ratio(0.0, 0.0, 0.0 if sums.calls > 1 else math.inf, None)
    wape = sums.error_micros / sums.actual_micros
    if sums.calls < 2:
        return Ratio(value, 0.0, math.inf, wape)
    residual = sums.actual_squared - 2 * value * sums.estimate_times_actual + value * value * sums.estimate_squared
    # Rounding may leave a little less than nothing.
    squares = max(0.0, residual) * sums.calls / (sums.calls - 1)
    relative = math.sqrt(squares) / (sums.actual_micros / MICROS_PER_USD)
    width = student_t((1 + CONFIDENCE) / 2, sums.calls - 1) * relative
    if len(days) >= FEWEST_DAYS:
        width = max(width, student_t((1 + CONFIDENCE) / 2, len(days) - 1) * _between_days(value, sums, days))
    # A single huge call among small ones: beyond any number the interval says no more than "unknown".
    reach = math.exp(min(700.0, width))
    return Ratio(value, value / reach, value * reach, wape)


def _between_days(value: float, sums: SegmentSums, days: Sequence[SegmentSums]) -> float:
    """Relative standard error of the ratio, taking days for what varies."""
    squares = sum((day.actual_micros - value * day.estimate_micros) ** 2 for day in days)
    return math.sqrt(squares * len(days) / (len(days) - 1)) / sums.actual_micros
