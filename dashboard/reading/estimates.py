"""What the Estimate vs actual page reads of calls: segments, days and single calls."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

import streamlit as st

from dashboard.filters import Filters
from dashboard.reading.base import NAMES_SINCE, database
from engine.analytics.ratio import Ratio, SegmentSums, ratio_of
from engine.analytics.variance import SegmentVariance
from engine.clock import utc_now
from engine.ledger.price_books import SHIPPED, BookRecord, book_history
from engine.ledger.queries.estimates import SettledCall, settled_sample, top_residuals
from engine.ledger.queries.names import agents_of_team
from engine.ledger.queries.variance import Days, SegmentTotals, segment_names, segment_totals
from engine.pricing.segment import Segment

ROLLING_DAYS = 7
MOST_SEGMENTS = 200
MOST_VERSIONS = 50
MOST_RESIDUALS = 50


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the viewer looks at; hashable, so that what is read for it can be kept."""

    filters: Filters
    model: str | None = None
    complexity: str | None = None

    @property
    def narrowed(self) -> bool:
        """Whether it is about a part of the organization only."""
        return self.filters.narrowed or self.model is not None or self.complexity is not None


@dataclass(frozen=True, slots=True)
class SegmentLine:
    """One segment in the range: `calls` allowed and not cancelled, `sums` of the settled ones."""

    segment: Segment
    calls: int
    sums: SegmentSums
    judged: SegmentVariance


@dataclass(frozen=True, slots=True)
class RollingPoint:
    """The seven days that end with this one; `unfinished` when it is not over."""

    day: date
    calls: int
    ratio: Ratio | None
    unfinished: bool


@dataclass(frozen=True, slots=True)
class EstimatesView:
    """Estimate against actual in a range; segments come with the most expensive first, at most `MOST_SEGMENTS`."""

    now: datetime
    start: date
    end: date
    calls: int
    sums: SegmentSums
    total: SegmentVariance
    segments: list[SegmentLine]
    segment_count: int
    rolling: list[RollingPoint]
    versions: list[BookRecord]
    agents: tuple[str, ...] | None
    """The team's, when a team was asked for."""

    @property
    def live_version(self) -> int:
        """The version of the price book that prices calls now."""
        return self.versions[0].version if self.versions else SHIPPED


@dataclass(frozen=True, slots=True)
class CallsView:
    """Single calls: the newest settled ones, and those farthest from their estimate."""

    sample: list[SettledCall]
    residuals: list[SettledCall]


@st.cache_data(ttl=60, max_entries=32, show_spinner=False)
def read_segment_names(url: str, org_id: str) -> tuple[list[str], list[str]]:
    """Models and complexities of the last 90 days."""
    with database(url).read() as connection:
        return segment_names(connection, org_id, since=(utc_now() - NAMES_SINCE).date())


@st.cache_data(ttl=30, max_entries=64, show_spinner=False)
def read_estimates(url: str, org_id: str, wanted: Wanted) -> EstimatesView:
    """Segments, and the rolling ratio of all of them together."""
    now = utc_now()
    filters, window = wanted.filters, wanted.filters.window(now)
    start, end = window.start.date(), window.end.date()
    with database(url).read() as connection:
        agents = None
        if filters.team_id:
            agents = tuple(agents_of_team(connection, org_id, filters.team_id, since=window.start))
        days = Days(
            org_id, start - timedelta(days=ROLLING_DAYS - 1), end, filters.agent_id, filters.provider, wanted.model,
            wanted.complexity, agents,
        )  # fmt: skip
        found = segment_totals(connection, days, with_percents=False)
        versions = book_history(connection, org_id, most=MOST_VERSIONS)
    total, by_day, lines = SegmentTotals(), SegmentTotals(), []
    for segment, totals in found.items():
        by_day.add(totals)
        in_range = totals.between(start, end)
        if in_range.calls:
            total.add(in_range)
            lines.append((in_range.calls_estimate_micros, segment, in_range))
    lines.sort(key=lambda line: (-line[0], line[1]))
    return EstimatesView(
        now, start, end, total.calls, total.sums, total.judged(end),
        [SegmentLine(segment, each.calls, each.sums, each.judged(end)) for _, segment, each in lines[:MOST_SEGMENTS]],
        len(lines), rolling_ratio(by_day.by_day, start, end, now.date()), versions, agents,
    )  # fmt: skip


@st.cache_data(ttl=60, max_entries=64, show_spinner=False)
def read_calls(url: str, org_id: str, wanted: Wanted) -> CallsView:
    """The newest settled calls, and the worst misses among them."""
    now = utc_now()
    part = replace(wanted.filters.part(org_id, now), model=wanted.model)
    with database(url).read() as connection:
        return CallsView(
            settled_sample(connection, part, complexity=wanted.complexity),
            top_residuals(connection, part, complexity=wanted.complexity, limit=MOST_RESIDUALS),
        )


@st.cache_data(ttl=60, max_entries=64, show_spinner=False)
def read_percents(url: str, org_id: str, wanted: Wanted, agents: tuple[str, ...] | None) -> Counter[int]:
    """The settled calls of the range by actual / estimate in whole percents."""
    filters, window = wanted.filters, wanted.filters.window(utc_now())
    days = Days(
        org_id, window.start.date(), window.end.date(), filters.agent_id, filters.provider, wanted.model,
        wanted.complexity, agents,
    )  # fmt: skip
    with database(url).read() as connection:
        return all_percents(segment_totals(connection, days).values())


def all_percents(totals: Iterable[SegmentTotals]) -> Counter[int]:
    """Those of all segments together."""
    together: Counter[int] = Counter()
    for each in totals:
        together.update(each.percents)
    return together


def rolling_ratio(by_day: dict[date, SegmentSums], start: date, end: date, today: date) -> list[RollingPoint]:
    """For each day of the range, the ratio of the seven days that end with it."""
    points = []
    for place in range((end - start).days):
        day = start + timedelta(days=place)
        week = [by_day[each] for back in range(ROLLING_DAYS) if (each := day - timedelta(days=back)) in by_day]
        settled = [sums for sums in week if sums.calls]
        sums = sum(settled, SegmentSums())
        points.append(RollingPoint(day, sums.calls, ratio_of(sums, settled), day >= today))
    return points
