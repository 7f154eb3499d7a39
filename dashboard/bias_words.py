"""How a difference between estimate and actual is written for people. Pure functions."""

from __future__ import annotations

import math

from dashboard.wording import money, named
from engine.analytics.ratio import Ratio
from engine.analytics.samples import ACT_FROM, GREY_FROM, Band
from engine.analytics.variance import SegmentVariance
from engine.pricing.segment import Segment


def signed_percent(share: float) -> str:
    """`+12.3 %`; never a minus before zero."""
    text = f"{100 * share:+,.1f}"
    return "0.0 %" if float(text.replace(",", "")) == 0 else f"{text} %"


def interval_words(ratio: Ratio) -> str:
    """`+9.1 to +15.6 %`, the 95 % interval of the bias."""
    low = signed_percent(ratio.low - 1).removesuffix(" %")
    return f"{low} to {'any' if math.isinf(ratio.high) else signed_percent(ratio.high - 1)}"


def signed_money(micros: int) -> str:
    """`+$12.30`; an amount that is nothing has no sign."""
    return f"{'+' if micros > 0 else ''}{money(micros)}"


def moved_words(share: float) -> str:
    """`33 % more than estimated`."""
    size = f"{100 * abs(share):,.0f}" if abs(share) >= 0.0095 else f"{100 * abs(share):.1f}"
    return f"{size} % {'more' if share > 0 else 'less'} than estimated"


def segment_name(segment: Segment) -> str:
    """`market_research · openai gpt-4o · complex`; the usual complexity is not named."""
    priced = " ".join(part for part in (segment.provider, segment.model) if part)
    special = "" if segment.complexity in ("", "standard") else segment.complexity
    return " · ".join(part for part in (named(segment.agent_id), priced, special) if part)


def verdict_words(judged: SegmentVariance) -> str:
    """What a segment's numbers allow to be said."""
    if judged.band is Band.COUNT_ONLY:
        return f"too few calls: {GREY_FROM} are needed"
    if judged.ratio is None:
        return "estimates are 0"
    if judged.band is Band.GREY:
        return f"too few to act on: {ACT_FROM} are needed"
    if judged.beyond_alert:
        return "surely beyond 15 %"
    return "surely beyond 5 %" if judged.beyond_proposal else "fine"
