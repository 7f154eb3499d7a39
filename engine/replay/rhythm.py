"""When people and machines make calls: by the hour of their day and the day of their week, in their own zone. Pure."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import accumulate, pairwise
from zoneinfo import ZoneInfo

from engine.clock import from_ms, to_ms
from engine.periods import period_of

HOUR_MS = 3_600_000
MOST_AT_ONCE = 20_000
"""Instants that are drawn together."""


@dataclass(frozen=True, slots=True)
class Rhythm:
    """How busy each local hour from midnight on is, beside each other, and a weekend beside a working day."""

    hours: tuple[int, ...]
    weekend: float


OFFICE = Rhythm((1, 1, 1, 1, 1, 2, 6, 25, 65, 92, 100, 94, 68, 84, 96, 90, 74, 48, 22, 11, 7, 5, 3, 2), 0.18)
"""People: a morning and an afternoon with a dip at noon."""
NIGHT = Rhythm((82, 85, 78, 66, 55, 40, 20, 12, 9, 8, 8, 8, 8, 8, 8, 9, 10, 12, 14, 18, 26, 48, 68, 78), 0.85)
"""Machines: most of it after the close of business, seven days a week."""


@dataclass(frozen=True, slots=True)
class Span:
    """Part of a local day: `[start_ms, end_ms)`; `is_weekend` by the day's name."""

    start_ms: int
    end_ms: int
    is_weekend: bool
    hours: tuple[tuple[int, int, int], ...]
    """The span cut at every full hour of UTC: start, end, local hour. A day of 23 or 25 hours has so many."""

    def size(self, rhythm: Rhythm) -> float:
        """How many calls to expect, beside other spans of the same rhythm."""
        busy = sum(rhythm.hours[local] * (end - start) for start, end, local in self.hours) / HOUR_MS
        return busy * (rhythm.weekend if self.is_weekend else 1.0)

    def instants(self, rhythm: Rhythm, count: int, random_source: random.Random) -> Iterator[tuple[int, list[int]]]:
        """`count` instants of the span, in milliseconds: piece by piece, each with its end, not in order inside.

        A piece has `MOST_AT_ONCE` at most, so that a day of many millions is never in memory as a whole.
        """
        for (start, end, _), number in zip(self.hours, self._by_hour(rhythm, count, random_source), strict=True):
            parts = max(1, min(-(-number // MOST_AT_ONCE), end - start))
            edges = [start + (end - start) * part // parts for part in range(parts + 1)]
            for (first, last), share in zip(pairwise(edges), shares(number, [1.0] * parts), strict=True):
                yield last, [first + int(random_source.random() * (last - first)) for _ in range(share)]

    def _by_hour(self, rhythm: Rhythm, count: int, random_source: random.Random) -> list[int]:
        busy = [float(rhythm.hours[local] * (end - start)) for start, end, local in self.hours]
        if count > MOST_AT_ONCE:
            # Chance makes no difference that anybody would see.
            return shares(count, busy)
        drawn = Counter(random_source.choices(range(len(busy)), busy, k=count))
        return [drawn[hour] for hour in range(len(busy))]


def spans_of_days(start_ms: int, until_ms: int, zone: str) -> Iterator[Span]:
    """The local days of `[start_ms, until_ms)`, the first and the last cut to it."""
    local = ZoneInfo(zone)
    at_ms = start_ms
    while at_ms < until_ms:
        day = period_of("day", from_ms(at_ms), zone)
        end_ms = min(day.end_ms, until_ms)
        # Named by its noon, for where clocks jump at midnight the first instant may bear another date.
        is_weekend = (day.start + timedelta(hours=12)).astimezone(local).weekday() >= 5
        yield Span(at_ms, end_ms, is_weekend, tuple(_hours(at_ms, end_ms, local)))
        at_ms = end_ms


def _hours(start_ms: int, end_ms: int, zone: ZoneInfo) -> Iterator[tuple[int, int, int]]:
    while start_ms < end_ms:
        hour_end = min((start_ms // HOUR_MS + 1) * HOUR_MS, end_ms)
        yield start_ms, hour_end, from_ms(start_ms).astimezone(zone).hour
        start_ms = hour_end


def shares(total: int, sizes: list[float]) -> list[int]:
    """Cut a whole number into whole parts by size; together they are exactly `total`."""
    if not sizes or sum(sizes) <= 0:
        return [total] + [0] * (len(sizes) - 1) if sizes else []
    scale, edges = total / sum(sizes), list(accumulate(sizes, initial=0.0))
    marks = [round(edge * scale) for edge in edges]
    marks[-1] = total
    return [after - before for before, after in pairwise(marks)]


def start_before(until_ms: int, days: int) -> int:
    """The instant so many days of 24 hours before `until_ms`."""
    return to_ms(from_ms(until_ms) - timedelta(days=days))
