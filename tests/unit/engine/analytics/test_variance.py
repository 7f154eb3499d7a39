"""The verdict on one segment."""

from __future__ import annotations

import math
from typing import Any

import pytest

from engine.analytics.ratio import Ratio, SegmentSums
from engine.analytics.samples import Band
from engine.analytics.variance import SegmentVariance, variance_of
from engine.errors import InvalidValue
from engine.money import Micros


def certain(calls: int, percent: int) -> SegmentVariance:
    """Calls that all cost so many percent of their estimate."""
    sums = SegmentSums.of([50_000] * calls, [500 * percent] * calls)
    return variance_of(sums, calls=calls, days=1, percents={percent: calls})


def with_interval(low: float, high: float, band: Band = Band.ACT) -> SegmentVariance:
    return SegmentVariance(100, band, Ratio(1.0, low, high, 0.1), 1.0, 0.0, Micros(0))


@pytest.mark.parametrize(
    ("calls", "band", "acts"),
    [(29, Band.COUNT_ONLY, False), (30, Band.GREY, False), (99, Band.GREY, False), (100, Band.ACT, True)],
)
def test_however_far_off_nothing_is_done_below_100_calls(calls: int, band: Band, acts: bool) -> None:
    found = certain(calls, 200)
    assert (found.band, found.beyond_alert, found.beyond_proposal) == (band, acts, acts)


@pytest.mark.parametrize(
    ("percent", "alert", "proposal"),
    [
        (100, False, False),
        (104, False, False),
        (110, False, True),
        (90, False, True),
        (120, True, True),
        (80, True, True),
    ],
)
def test_a_proposal_needs_5_percent_and_an_alert_15_on_either_side(percent: int, alert: bool, proposal: bool) -> None:
    found = certain(100, percent)
    assert (found.beyond_alert, found.beyond_proposal) == (alert, proposal)


@pytest.mark.parametrize(
    ("low", "high", "alert", "proposal"),
    [
        (1.05, 1.4, False, False),
        (math.nextafter(1.05, 2), 1.4, False, True),
        (1.15, 1.4, False, True),
        (math.nextafter(1.15, 2), 1.4, True, True),
        (0.5, 0.95, False, False),
        (0.5, math.nextafter(0.95, 0), False, True),
        (0.5, 0.85, False, True),
        (0.5, math.nextafter(0.85, 0), True, True),
    ],
)
def test_the_whole_interval_must_be_beyond(low: float, high: float, alert: bool, proposal: bool) -> None:
    found = with_interval(low, high)
    assert (found.beyond_alert, found.beyond_proposal) == (alert, proposal)


def test_a_perfect_model_shows_0_and_not_the_buffer() -> None:
    # 50,000 estimated, 60,000 held, 50,000 spent: against the reserve this would be -16.7 %.
    found = certain(100, 100)
    assert found.ratio is not None
    assert (found.ratio.bias, found.ratio.wape, found.p95_under_estimate, found.worth_per_month_micros) == (0, 0, 0, 0)


def test_worth_is_the_difference_at_30_days_like_these() -> None:
    sums = SegmentSums.of([50_000] * 70, [60_000] * 70)
    assert variance_of(sums, calls=70, days=7, percents={}).worth_per_month_micros == 3_000_000
    saved = SegmentSums.of([60_000] * 70, [50_000] * 70)
    assert variance_of(saved, calls=70, days=7, percents={}).worth_per_month_micros == -3_000_000


@pytest.mark.parametrize(("calls", "share"), [(100, 0.5), (50, 1.0), (40, 1.0), (0, None)])
def test_the_settled_share_is_of_all_calls(calls: int, share: float | None) -> None:
    sums = SegmentSums.of([1] * 50, [1] * 50)
    assert variance_of(sums, calls=calls, days=1, percents={}).settled_share == share


def test_days_that_differ_widen_the_interval_however_many_calls_there_are() -> None:
    cheap, dear = SegmentSums.of([100] * 500, [80] * 500), SegmentSums.of([100] * 500, [140] * 500)
    days = [cheap, dear] * 4
    total = sum(days, SegmentSums())
    alone = variance_of(total, calls=4000, days=8, percents={})
    by_day = variance_of(total, calls=4000, days=8, percents={}, day_sums=days)
    assert alone.beyond_proposal
    assert not by_day.beyond_proposal
    assert alone.ratio is not None
    assert by_day.ratio is not None
    assert by_day.ratio.value == alone.ratio.value
    assert by_day.ratio.low < alone.ratio.low < alone.ratio.high < by_day.ratio.high
    few = variance_of(total, calls=4000, days=8, percents={}, day_sums=days[:6])
    assert few.ratio == alone.ratio, "six days are too few to tell how days differ"


def test_an_empty_segment_has_a_verdict_too() -> None:
    found = variance_of(SegmentSums(), calls=0, days=1, percents={})
    assert found == SegmentVariance(0, Band.COUNT_ONLY, None, None, None, Micros(0))
    assert not found.beyond_alert
    assert not found.beyond_proposal


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"calls": -1}, "calls"),
        ({"calls": math.nan}, "calls"),
        ({"days": 0}, "days"),
        ({"days": math.nan}, "days"),
        ({"percents": {100: -1}}, "percents"),
    ],
)
def test_wrong_numbers_are_refused_by_name(change: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        variance_of(SegmentSums(), **(dict[str, Any](calls=1, days=1, percents={}) | change))
    assert refused.value.field == field
