"""Calendar months and days in a named zone, as exact UTC intervals (promise 7: no reset job exists)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Literal
from zoneinfo import ZoneInfo

from engine.clock import to_ms

PeriodKind = Literal["month", "day"]
PERIOD_KINDS: tuple[PeriodKind, ...] = ("month", "day")


@dataclass(frozen=True, slots=True)
class Period:
    """One calendar month or day: `[start, end)` in UTC, named by its local date (`2026-11`, `2026-11-23`)."""

    kind: PeriodKind
    label: str
    start: datetime
    end: datetime

    @property
    def start_ms(self) -> int:
        """First millisecond that belongs to the period."""
        return to_ms(self.start)

    @property
    def end_ms(self) -> int:
        """First millisecond after the period."""
        return to_ms(self.end)

    def nearest(self, instant: datetime) -> datetime:
        """The instant of the period nearest to `instant`, to the millisecond at its end."""
        return min(max(instant, self.start), self.end - timedelta(milliseconds=1))


def period_of(kind: PeriodKind, instant: datetime, zone: str) -> Period:
    """The month or day that `instant` falls in, by the calendar of the IANA zone `zone`."""
    local_day = instant.astimezone(ZoneInfo(zone)).date()
    first = local_day.replace(day=1) if kind == "month" else local_day
    period = _period(kind, first, zone)
    # Where clocks jump around midnight, a few local times of one day lie inside the neighbour's interval.
    if instant >= period.end:
        return _period(kind, _following(kind, first), zone)
    if instant < period.start:
        return _period(kind, _previous(kind, first), zone)
    return period


@lru_cache(maxsize=4096)
def _period(kind: PeriodKind, first: date, zone: str) -> Period:
    label = first.isoformat()[:7] if kind == "month" else first.isoformat()
    return Period(kind, label, _midnight(first, zone), _midnight(_following(kind, first), zone))


def _following(kind: PeriodKind, first: date) -> date:
    return (first + timedelta(days=32)).replace(day=1) if kind == "month" else first + timedelta(days=1)


def _previous(kind: PeriodKind, first: date) -> date:
    before = first - timedelta(days=1)
    return before.replace(day=1) if kind == "month" else before


def _midnight(day: date, zone: str) -> datetime:
    # fold=0: where midnight happens twice the day starts at the first; where it is skipped, at the jump itself.
    return datetime.combine(day, time(), ZoneInfo(zone)).astimezone(UTC)
