"""Estimate against actual over some days, segment by segment."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from sqlalchemy import Connection, Row, select

from engine.analytics.ratio import SegmentSums
from engine.analytics.variance import SegmentVariance, variance_of
from engine.ledger.tables import cost_variance
from engine.pricing.segment import Segment


@dataclass(frozen=True, slots=True)
class Days:
    """The UTC days of one organization from `start` to just before `end`, of some agents, providers or models."""

    org_id: str
    start: date
    end: date
    agent_id: str | None = None
    provider: str | None = None
    model: str | None = None


@dataclass
class SegmentTotals:
    """What a segment's calls come to, and what those of each day do."""

    calls: int = 0
    calls_estimate_micros: int = 0
    sums: SegmentSums = field(default_factory=SegmentSums)
    percents: Counter[int] = field(default_factory=Counter)
    by_day: dict[date, SegmentSums] = field(default_factory=dict)

    def add(self, other: SegmentTotals) -> None:
        """Count another's calls in."""
        self.calls += other.calls
        self.calls_estimate_micros += other.calls_estimate_micros
        self.sums += other.sums
        self.percents += other.percents
        for day, sums in other.by_day.items():
            self.by_day[day] = self.by_day.get(day, SegmentSums()) + sums

    def judged(self, end: date) -> SegmentVariance:
        """What it means, if there were calls from the first day to just before `end`."""
        days = (end - min(self.by_day, default=end)).days
        settled = [sums for sums in self.by_day.values() if sums.calls]
        return variance_of(self.sums, calls=self.calls, days=max(1, days), percents=self.percents, day_sums=settled)


def segment_totals(connection: Connection, days: Days) -> dict[Segment, SegmentTotals]:
    """The totals of each segment that had calls, the most expensive first."""
    totals: dict[Segment, SegmentTotals] = {}
    for segment, _, of_day in _rows(connection, days):
        totals.setdefault(segment, SegmentTotals()).add(of_day)
    return dict(sorted(totals.items(), key=lambda item: (-item[1].calls_estimate_micros, item[0])))


def daily_totals(connection: Connection, days: Days) -> dict[date, SegmentTotals]:
    """The totals of all segments together, day by day."""
    totals: dict[date, SegmentTotals] = {}
    for _, day, of_day in _rows(connection, days):
        totals.setdefault(day, SegmentTotals()).add(of_day)
    return totals


def _rows(connection: Connection, days: Days) -> list[tuple[Segment, date, SegmentTotals]]:
    wanted = [
        cost_variance.c[name] == value
        for name in ("agent_id", "provider", "model")
        if (value := getattr(days, name)) is not None
    ]
    rows = connection.execute(
        select(cost_variance)
        .where(
            cost_variance.c.org_id == days.org_id,
            cost_variance.c.day >= days.start,
            cost_variance.c.day < days.end,
            *wanted,
        )
        .order_by(cost_variance.c.day)
    )
    return [(Segment(*(getattr(row, name) for name in Segment._fields)), row.day, _totals(row)) for row in rows]


def _totals(row: Row[Any]) -> SegmentTotals:
    sums = SegmentSums(
        row.settled,
        row.estimate_micros,
        row.actual_micros,
        row.estimate_squares,
        row.actual_squares,
        row.products,
        row.absolute_error_micros,
    )
    percents = Counter({int(percent): calls for percent, calls in row.ratio_percents.items()})
    return SegmentTotals(row.calls, row.calls_estimate_micros, sums, percents, {row.day: sums})
