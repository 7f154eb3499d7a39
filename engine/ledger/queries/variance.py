"""Estimate against actual over some days, segment by segment."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from typing import Any, TypeVar

import numpy as np
from sqlalchemy import Connection, Text, cast, null, select

from engine.analytics.ratio import SegmentSums
from engine.analytics.variance import SegmentVariance, variance_of
from engine.ledger.tables import cost_variance
from engine.pricing.segment import Segment

MOST_NAMES = 1_000

Key = TypeVar("Key")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Days:
    """The UTC days of one organization from `start` to just before `end`, of some agents, providers or models.

    `agents` are several to choose from, such as those of a team; None is all.
    """

    org_id: str
    start: date
    end: date
    agent_id: str | None = None
    provider: str | None = None
    model: str | None = None
    complexity: str | None = None
    agents: tuple[str, ...] | None = None


@dataclass
class SegmentTotals:
    """What a segment's calls come to, and what those of each day do.

    `by_day` is of settled calls; `allowed_by_day` has the number of all and the sum of their estimates.
    """

    calls: int = 0
    calls_estimate_micros: int = 0
    sums: SegmentSums = field(default_factory=SegmentSums)
    percents: Counter[int] = field(default_factory=Counter)
    by_day: dict[date, SegmentSums] = field(default_factory=dict)
    allowed_by_day: dict[date, tuple[int, int]] = field(default_factory=dict)

    def add(self, other: SegmentTotals) -> None:
        """Count another's calls in."""
        self.calls += other.calls
        self.calls_estimate_micros += other.calls_estimate_micros
        self.sums += other.sums
        # Not `+=`, which would go through all of ours for each of theirs.
        for percent, calls in other.percents.items():
            self.percents[percent] += calls
        for day, sums in other.by_day.items():
            self.by_day[day] = self.by_day.get(day, SegmentSums()) + sums
        for day, (calls, micros) in other.allowed_by_day.items():
            known = self.allowed_by_day.get(day, (0, 0))
            self.allowed_by_day[day] = (known[0] + calls, known[1] + micros)

    def between(self, start: date, end: date) -> SegmentTotals:
        """Only the days from `start` to just before `end`; without percents, which are not kept apart by day."""
        allowed = {day: counted for day, counted in self.allowed_by_day.items() if start <= day < end}
        settled = {day: sums for day, sums in self.by_day.items() if start <= day < end}
        return SegmentTotals(
            calls=sum(calls for calls, _ in allowed.values()),
            calls_estimate_micros=sum(micros for _, micros in allowed.values()),
            sums=sum(settled.values(), SegmentSums()),
            by_day=settled,
            allowed_by_day=allowed,
        )

    def judged(self, end: date) -> SegmentVariance:
        """What it means, if there were calls from the first day to just before `end`."""
        days = (end - min(self.by_day, default=end)).days
        settled = [sums for sums in self.by_day.values() if sums.calls]
        return variance_of(self.sums, calls=self.calls, days=max(1, days), percents=self.percents, day_sums=settled)


def segment_totals(connection: Connection, days: Days, *, with_percents: bool = True) -> dict[Segment, SegmentTotals]:
    """The totals of each segment that had calls, the most expensive first.

    Without percents (P95 and histograms) months of many segments come several times faster.
    """
    totals = _totals(connection, days, lambda segment, _: segment, with_percents)
    return dict(sorted(totals.items(), key=lambda item: (-item[1].calls_estimate_micros, item[0])))


def daily_totals(connection: Connection, days: Days, *, with_percents: bool = True) -> dict[date, SegmentTotals]:
    """The totals of all segments together, day by day."""
    return _totals(connection, days, lambda _, day: day, with_percents)


def segment_names(
    connection: Connection, org_id: str, *, since: date, limit: int = MOST_NAMES
) -> tuple[list[str], list[str]]:
    """The models and the complexities that were counted since a day, each sorted; at most so many combinations."""
    columns = (cost_variance.c.model, cost_variance.c.complexity)
    rows = connection.execute(
        select(*columns)
        .distinct()
        .where(cost_variance.c.org_id == org_id, cost_variance.c.day >= since)
        .order_by(*columns)
        .limit(limit)
    ).all()
    return sorted({row.model for row in rows}), sorted({row.complexity for row in rows})


_SUMS = ("settled", "estimate_micros", "actual_micros", "estimate_squares", "actual_squares", "products",
         "absolute_error_micros")  # fmt: skip
"""In the order of `SegmentSums`."""


def _totals(
    connection: Connection, days: Days, key_of: Callable[[Segment, date], Key], with_percents: bool
) -> dict[Key, SegmentTotals]:
    """Add up the rows of these days by a key, oldest day first."""
    table = cost_variance
    wanted = [
        table.c[name] == value
        for name in ("agent_id", "provider", "model", "complexity")
        if (value := getattr(days, name)) is not None
    ]
    if days.agents is not None:
        wanted.append(table.c.agent_id.in_(days.agents))
    names = ("calls", "calls_estimate_micros", *_SUMS)
    found = cast(table.c.ratio_percents if with_percents else null(), Text)
    rows = connection.execute(
        select(*(table.c[name] for name in (*Segment._fields, "day")), found, *(table.c[name] for name in names))
        .where(table.c.org_id == days.org_id, table.c.day >= days.start, table.c.day < days.end, *wanted)
        .order_by(table.c.day)
    )
    amounts: dict[Key, list[Any]] = {}
    by_day: dict[Key, dict[date, list[Any]]] = {}
    allowed_by_day: dict[Key, dict[date, list[Any]]] = {}
    percents: dict[Key, list[str]] = {}
    for provider, model, complexity, agent_id, day, ratio_percents, *row in rows:
        key = key_of(Segment(provider, model, complexity, agent_id), day)
        percents.setdefault(key, []).append(ratio_percents or "")
        _add(amounts, key, row)
        _add(by_day.setdefault(key, {}), day, row[2:])
        _add(allowed_by_day.setdefault(key, {}), day, row[:2])
    return {
        key: SegmentTotals(
            calls,
            calls_estimate_micros,
            SegmentSums(*sums),
            _added_up(percents[key]),
            {day: SegmentSums(*of_day) for day, of_day in by_day[key].items()},
            {day: (allowed, micros) for day, (allowed, micros) in allowed_by_day[key].items()},
        )
        for key, (calls, calls_estimate_micros, *sums) in amounts.items()
    }


def _add(totals: dict[T, list[Any]], key: T, row: list[Any]) -> None:
    known = totals.get(key)
    totals[key] = row if known is None else [one + other for one, other in zip(known, row, strict=True)]


def _added_up(texts: list[str]) -> Counter[int]:
    """Calls by percent, from JSON objects such as `{"97": 3, "104": 1}`.

    A month of many segments has hundreds of thousands of pairs: read as numbers, not as objects.
    """
    numbers = "".join(texts).translate(_ONLY_NUMBERS)
    if not numbers.strip():
        return Counter()
    pairs = np.fromstring(numbers, dtype=np.int64, sep=" ").reshape(-1, 2)
    calls = np.bincount(pairs[:, 0], weights=pairs[:, 1])
    return Counter({int(percent): int(calls[percent]) for percent in np.flatnonzero(calls)})


_ONLY_NUMBERS = str.maketrans('{}":,', "     ")
