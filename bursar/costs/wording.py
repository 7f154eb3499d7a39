"""Numbers of this room as people read them."""

from __future__ import annotations

import math

from engine.analytics.percents import HIGHEST_PERCENT
from engine.analytics.ratio import Ratio
from engine.analytics.samples import Band
from engine.analytics.variance import SegmentVariance
from engine.money import format_usd


def share_text(share: float) -> str:
    """`12.3 %`."""
    return f"{100 * share:.1f} %"


def p95_text(share: float) -> str:
    """`78.0 %`; the counts behind it end at ten times the estimate."""
    most = HIGHEST_PERCENT / 100 - 1
    return f"{100 * most:.0f} % or more" if share >= most else share_text(share)


def rough_usd(micros: int) -> str:
    """An amount for a glance: whole cents, and what is less than one as that."""
    if 0 < abs(micros) < 10_000:
        return "under $0.01"
    return format_usd(round(micros, -4))


def signed_share(share: float) -> str:
    """`+12.3 %`; never a minus before zero."""
    text = f"{100 * share:+.1f}"
    return "0.0 %" if float(text) == 0 else f"{text} %"


def interval_text(ratio: Ratio) -> str:
    """`+9.1 to +15.6 %`."""
    low = signed_share(ratio.low - 1).removesuffix(" %")
    return f"{low} to {'any' if math.isinf(ratio.high) else signed_share(ratio.high - 1)}"


def bias_text(judged: SegmentVariance) -> str:
    """The bias, as far as there are calls enough to speak of one."""
    if judged.ratio is None and judged.calls:
        return "estimates are 0"
    if judged.ratio is None or judged.band is Band.COUNT_ONLY:
        return "too few settled calls to compare"
    return f"bias {signed_share(judged.ratio.bias)}, 95 % interval {interval_text(judged.ratio)}"
