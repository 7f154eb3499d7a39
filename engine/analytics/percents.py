"""Actual cost in whole percents of the estimate, counted: enough to know the tail, and small enough to keep per day."""

from __future__ import annotations

from collections.abc import Mapping

from engine.analytics.amounts import amount, rank_of_95
from engine.errors import InvalidValue

HIGHEST_PERCENT = 1000
"""The top bucket is open-ended: ten times the estimate or more."""


def percent_of(estimate_micros: int, actual_micros: int) -> int:
    """The bucket of one call: actual / estimate in percent, rounded up, at most 1000.

    Rounded up, so that the bucket's number is a bound of what is in it. A call estimated at nothing is in bucket 100
    when it was free, else in the top one.
    """
    amount("estimate_micros", estimate_micros)
    amount("actual_micros", actual_micros)
    if not estimate_micros:
        return HIGHEST_PERCENT if actual_micros else 100
    return min(HIGHEST_PERCENT, -(-actual_micros * 100 // estimate_micros))


def p95_under_estimate(percents: Mapping[int, int]) -> float | None:
    """What 95 % of the calls exceeded their estimate by at most, as a share of it: 0 to 9, None without calls.

    `percents` maps a bucket to its count. 9 means "nine times or more". Raises `InvalidValue` for negative counts.
    """
    for percent, count in percents.items():
        if percent < 0 or count < 0:
            raise InvalidValue("percents", f"must not be negative, got {count} calls at {percent} %")
    rank = rank_of_95(sum(percents.values()))
    seen = 0
    for percent in sorted(percents):
        seen += percents[percent]
        if seen >= rank > 0:
            return max(0, min(percent, HIGHEST_PERCENT) - 100) / 100
    return None
