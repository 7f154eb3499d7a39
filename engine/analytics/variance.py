"""How far a segment's estimates are from its costs, and what may be done about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from engine.analytics.amounts import amount
from engine.analytics.percents import p95_under_estimate
from engine.analytics.ratio import Ratio, SegmentSums, ratio_of
from engine.analytics.samples import Band, band_of
from engine.errors import InvalidValue
from engine.money import Micros

ALERT_SHARE = 0.15
PROPOSAL_SHARE = 0.05
DAYS_OF_MONTH = 30


@dataclass(frozen=True, slots=True)
class SegmentVariance:
    """One segment over some days. Shares are fractions: 0.05 is 5 %."""

    calls: int
    band: Band
    ratio: Ratio | None
    """None when the estimates sum to zero."""
    settled_share: float | None
    """Settled of those allowed and not cancelled, 0 to 1; None without any."""
    p95_under_estimate: float | None
    """What 95 % of the calls exceeded their estimate by at most, 0 to 9 (nine or more); None without calls."""
    worth_per_month_micros: Micros
    """What the bias amounts to in 30 days like those observed; above zero when calls cost more than estimated."""

    @property
    def beyond_alert(self) -> bool:
        """Whether it is certain enough that estimates are off by more than 15 %."""
        return self._certainly_off(ALERT_SHARE)

    @property
    def beyond_proposal(self) -> bool:
        """Whether it is certain enough that estimates are off by more than 5 %."""
        return self._certainly_off(PROPOSAL_SHARE)

    def _certainly_off(self, share: float) -> bool:
        return self.band is Band.ACT and self.ratio is not None and self.ratio.excludes(share)


def variance_of(
    sums: SegmentSums,
    *,
    calls: int,
    days: float,
    percents: Mapping[int, int],
    day_sums: Sequence[SegmentSums] = (),
) -> SegmentVariance:
    """Judge one segment.

    `calls` counts those of the same days that were allowed and not cancelled, `days` is how many days those are (above
    zero), `percents` counts the settled calls by `percent_of`, `day_sums` has the sums of each day. Raises
    `InvalidValue` naming the field.
    """
    amount("calls", calls)
    if amount("days", days) == 0:
        raise InvalidValue("days", "must be more than zero")
    difference = sums.actual_micros - sums.estimate_micros
    return SegmentVariance(
        calls=sums.calls,
        band=band_of(sums.calls),
        ratio=ratio_of(sums, day_sums),
        # A call may be settled on a later day than it was allowed, which must not show as 104 %.
        settled_share=min(1.0, sums.calls / calls) if calls > 0 else None,
        p95_under_estimate=p95_under_estimate(percents),
        worth_per_month_micros=Micros(round(difference * DAYS_OF_MONTH / days)),
    )
