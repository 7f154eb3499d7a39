"""Numbers of this room as people read them."""

from __future__ import annotations

import math

from engine.analytics.ratio import Ratio
from engine.analytics.samples import Band
from engine.analytics.variance import SegmentVariance


def share_text(share: float) -> str:
    """`12.3 %`."""
    return f"{100 * share:.1f} %"


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
    if judged.ratio is None or judged.band is Band.COUNT_ONLY:
        return "too few settled calls to compare"
    return f"bias {signed_share(judged.ratio.bias)}, 95 % interval {interval_text(judged.ratio)}"
