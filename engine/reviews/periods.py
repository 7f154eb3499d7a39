"""Which day, week or month a review looks back on, and from when on it may be made. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from engine.errors import InvalidValue
from engine.periods import period_of

ReviewKind = Literal["daily", "weekly", "monthly"]
REVIEW_KINDS: tuple[ReviewKind, ...] = ("daily", "weekly", "monthly")

_EXAMPLES: dict[ReviewKind, str] = {"daily": "2026-11-25", "weekly": "2026-W47", "monthly": "2026-11"}
_WEEK = re.compile(r"([0-9]{4})-W([0-9]{2})", re.ASCII)
_NOON = time(12)


@dataclass(frozen=True, slots=True)
class ReviewPeriod:
    """The local days `[first_day, next_day)` of a zone, as the UTC interval `[start, end)`."""

    kind: ReviewKind
    label: str
    """`2026-11-25`, `2026-W47` (ISO week) or `2026-11`."""
    zone: str
    first_day: date
    next_day: date
    start: datetime
    end: datetime

    @property
    def last_day(self) -> date:
        """The last local day that belongs to it."""
        return self.next_day - timedelta(days=1)

    @property
    def before(self) -> ReviewPeriod:
        """The day, week or month before."""
        return _period(self.kind, self.first_day - timedelta(days=1), self.zone)

    def due(self, at: time) -> datetime:
        """When its review is due: `at` on the local day after it, in UTC.

        Where clocks skip that time, as much later as they skip; where they show it twice, the first time.
        """
        local = datetime.combine(self.next_day, at, ZoneInfo(self.zone))
        return max(local.astimezone(UTC), self.end)


def newest_due(kind: ReviewKind, now: datetime, *, at: time, zone: str) -> ReviewPeriod:
    """The newest period whose review is due at `now`. Older ones that nobody made stay unmade."""
    today = _local_day(now, zone)
    period = _period(kind, today, zone).before
    return period if period.due(at) <= now else period.before


def newest_complete(kind: ReviewKind, now: datetime, zone: str) -> ReviewPeriod:
    """The newest period that is over at `now`, whether its review is due or not."""
    return _period(kind, _local_day(now, zone), zone).before


def named_period(kind: ReviewKind, label: str, zone: str) -> ReviewPeriod:
    """The period of a label. Raises `InvalidValue` for what is none."""
    try:
        return _period(kind, _first_day(kind, label), zone)
    except (ValueError, OverflowError):
        raise InvalidValue("period", f"must be like {_EXAMPLES[kind]} for a {kind} review, not {label!r}") from None


def local_midnight(day: date, zone: str) -> datetime:
    """When a local day begins, in UTC."""
    return period_of("day", datetime.combine(day, _NOON, ZoneInfo(zone)), zone).start


def _first_day(kind: ReviewKind, label: str) -> date:
    if kind == "daily":
        return _exactly("%Y-%m-%d", label)
    if kind == "monthly":
        return _exactly("%Y-%m", label)
    found = _WEEK.fullmatch(label)
    if found is None:
        raise ValueError(label)
    return date.fromisocalendar(int(found[1]), int(found[2]), 1)


def _exactly(form: str, label: str) -> date:
    day = datetime.strptime(label, form).replace(tzinfo=UTC).date()
    if day.strftime(form) != label:
        raise ValueError(label)
    return day


def _local_day(instant: datetime, zone: str) -> date:
    return date.fromisoformat(period_of("day", instant, zone).label)


def _period(kind: ReviewKind, day: date, zone: str) -> ReviewPeriod:
    if kind == "daily":
        first, following, label = day, day + timedelta(days=1), day.isoformat()
    elif kind == "weekly":
        first = day - timedelta(days=day.weekday())
        following = first + timedelta(days=7)
        year, week, _ = first.isocalendar()
        label = f"{year:04}-W{week:02}"
    else:
        first = day.replace(day=1)
        following = (first + timedelta(days=32)).replace(day=1)
        label = first.isoformat()[:7]
    return ReviewPeriod(
        kind, label, zone, first, following, local_midnight(first, zone), local_midnight(following, zone)
    )
