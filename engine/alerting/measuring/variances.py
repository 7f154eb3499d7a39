"""How far estimates are off, for each segment, as far as it is certain."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, timedelta
from decimal import Decimal

from sqlalchemy import Connection

from engine.alerting.alert import observed
from engine.alerting.measuring.labels import labels_about
from engine.alerting.reading import Measuring, Reading
from engine.alerting.rules import Rule
from engine.analytics.ratio import Ratio
from engine.ledger.queries.variance import Days, segment_totals
from engine.pricing.segment import Segment

LOOK_BACK = timedelta(days=28)
"""Days of calls that a segment is judged by, whatever the rule's window."""
_PLACES = Decimal("0.000001")


def variances(connection: Connection, rule: Rule, measuring: Measuring) -> list[Reading]:
    """The end of each segment's 95 % interval that is nearer to zero, without its sign; 0 when zero is inside.

    So a value above 0.15 says that estimates are certainly off by more than 15 %. Samples are settled calls. A segment
    that had calls in the 28 days before, and none in these, is at 0: its alert ends. One that has calls, but too few of
    them to judge, keeps what it has.
    """
    end = measuring.slot.astimezone(UTC).date() + timedelta(days=1)
    days = Days(
        measuring.org_id,
        end - LOOK_BACK,
        end,
        agent_id=rule.filter.get("agent"),
        provider=rule.filter.get("provider"),
    )
    readings = []
    known = segment_totals(connection, days, with_percents=False)
    for segment, totals in known.items():
        labels = _labels(measuring, segment)
        judged = totals.judged(end)
        if judged.ratio is None or not rule.concerns(labels):
            continue
        ratio = judged.ratio
        facts = {
            **segment._asdict(),
            "ratio": _known(ratio.value),
            "low": _known(ratio.low),
            "high": _known(ratio.high),
            "wape": None if ratio.wape is None else _known(ratio.wape),
            "settled": judged.calls,
            "estimate_micros": totals.sums.estimate_micros,
            "actual_micros": totals.sums.actual_micros,
            "worth_per_month_micros": judged.worth_per_month_micros,
        }
        readings.append(Reading(observed(_certain(ratio), samples=judged.calls), tuple(segment), labels, facts))
    before = replace(days, start=days.start - LOOK_BACK, end=days.start)
    for segment in sorted(segment_totals(connection, before, with_percents=False).keys() - known.keys()):
        labels = _labels(measuring, segment)
        if rule.concerns(labels):
            readings.append(Reading(observed(Decimal(0)), tuple(segment), labels, segment._asdict()))
    return readings


def _labels(measuring: Measuring, segment: Segment) -> dict[str, str]:
    named = {"agent": segment.agent_id, "provider": segment.provider, "model": segment.model}
    return labels_about(measuring.document, named)


def _certain(ratio: Ratio) -> Decimal:
    off = max(0.0, ratio.low - 1, 1 - ratio.high)
    return Decimal(str(off)).quantize(_PLACES)


def _known(value: float) -> float | None:
    """JSON has no infinity."""
    return round(value, 6) if math.isfinite(value) else None
