"""A correction of one segment's price, from the calls of a fit window."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal

import numpy as np
from numpy.typing import ArrayLike

from engine.analytics.amounts import Floats, amounts, p95, same_length
from engine.analytics.ratio import Ratio, SegmentSums, ratio_of
from engine.analytics.samples import Band, band_of
from engine.analytics.variance import PROPOSAL_SHARE

SMALLEST_BUFFER = Decimal("0.05")
LARGEST_BUFFER = Decimal("2.00")


@dataclass(frozen=True, slots=True)
class Proposal:
    """`factor`: what to multiply the segment's estimates by, to 3 decimals. `buffer`: what to hold on top, 0.05 to 2.

    `ratio` and `calls` say what it rests on.
    """

    factor: Decimal
    buffer: Decimal
    ratio: Ratio
    calls: int


def fit_segment(estimates: ArrayLike, actuals: ArrayLike, days: ArrayLike | None = None) -> Proposal | None:
    """Propose a factor and a buffer from a segment's settled calls, in micro-USD and in the same order.

    `days` has whole numbers, the same for calls of one day. None unless there are 100 calls and the 95 % interval of
    the ratio excludes +-5 %. Raises `InvalidValue`.
    """
    estimate, actual = amounts("estimates", estimates), amounts("actuals", actuals)
    calls = same_length([("estimates", estimate), ("actuals", actual)])
    ratio = ratio_of(SegmentSums.of(estimate, actual), () if days is None else _by_day(estimate, actual, days))
    if ratio is None or band_of(calls) is not Band.ACT or not ratio.excludes(PROPOSAL_SHARE):
        return None
    factor = Decimal(ratio.value).quantize(Decimal("0.001"))
    if not factor:
        # A price of nothing would let every later call through for free.
        return None
    return Proposal(factor, buffer_for(estimate * float(factor), actual), ratio, calls)


def _by_day(estimate: Floats, actual: Floats, days: ArrayLike) -> list[SegmentSums]:
    labels = np.asarray(days)
    return [SegmentSums.of(estimate[labels == day], actual[labels == day]) for day in np.unique(labels)]


def buffer_for(estimates: Floats, actuals: Floats) -> Decimal:
    """The buffer with which 95 % of the calls would have kept within their reserve, rounded up, 0.05 to 2.00."""
    with np.errstate(divide="ignore", invalid="ignore"):
        excess = np.where(actuals > estimates, actuals / estimates - 1, 0.0)
    share = p95(excess)
    if math.isinf(share):
        return LARGEST_BUFFER
    # Nine digits first: 0.12 is a little more than 12 hundredths in binary, and would become 0.13.
    cents = Decimal(f"{share:.9f}").quantize(Decimal("0.01"), ROUND_CEILING)
    return min(LARGEST_BUFFER, max(SMALLEST_BUFFER, cents))
