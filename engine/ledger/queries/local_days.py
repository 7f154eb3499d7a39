"""Days of a named zone, added up from few rows of rollups whose days are those of UTC. Pure.

A local day is the UTC days between two midnights of UTC near its ends, plus or minus the hours by which those are off:
in New York five hours a day are read beside the daily rows, instead of all twenty-four. An hour belongs to the local
day in which it begins, which is exact where the zone's offset is whole hours, daylight saving included. In zones of
half and quarter hours days so begin up to 45 minutes late; the running totals of budgets are exact in any zone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple

from engine.ledger.queries.slice import STEPS, Grain, Piece, Slice, ceiling, pieces
from engine.ledger.rollups import bucket_of
from engine.periods import period_of

_HALF_A_DAY = timedelta(hours=12)


class Share(NamedTuple):
    """A bucket counts so many times (1 or -1) into a local day."""

    day: date
    times: int


@dataclass(frozen=True)
class LocalDays:
    """The buckets to read for a slice, and which days each of them counts into."""

    wanted: list[Piece]
    shares: Mapping[tuple[Grain, datetime], list[Share]]


def local_days(part: Slice, zone: str) -> LocalDays:
    """Cut a slice at the midnights of a zone.

    1. Boundaries are the slice's start, the local midnights inside, its end; each has a nearest midnight of UTC.
    2. The UTC days between two of those midnights count into the local day between the two boundaries.
    3. Hours between a boundary and its midnight are given to the day before it and taken from the day after it, or the
       other way round where the midnight comes later.

    Raises `InvalidValue` for too many days.
    """
    part.buckets("day")
    boundaries = list(_boundaries(*part.bounds(), zone))
    if not boundaries:
        return LocalDays([], {})
    wanted: list[Piece] = []
    shares: dict[tuple[Grain, datetime], list[Share]] = defaultdict(list)
    days = [local_day(start, zone) for start in boundaries[:-1]]
    midnights = [_nearest_midnight(boundary) for boundary in boundaries]
    for day, first, last in zip(days, midnights, midnights[1:], strict=False):
        for bucket in _buckets(Piece("day", first, last)):
            shares["day", bucket].append(Share(day, 1))
    if midnights[0] < midnights[-1]:
        wanted.append(Piece("day", midnights[0], midnights[-1]))
    for boundary, midnight, before, after in zip(boundaries, midnights, [None, *days], [*days, None], strict=True):
        times = 1 if midnight <= boundary else -1
        for piece in pieces(min(boundary, midnight), max(boundary, midnight), largest="hour"):
            wanted.append(piece)
            for bucket in _buckets(piece):
                if before is not None:
                    shares[piece.grain, bucket].append(Share(before, times))
                if after is not None:
                    shares[piece.grain, bucket].append(Share(after, -times))
    return LocalDays(wanted, shares)


def local_day(instant: datetime, zone: str) -> date:
    """The day of a zone that an instant lies in."""
    return date.fromisoformat(period_of("day", instant, zone).label)


def _boundaries(start: datetime, end: datetime, zone: str) -> Iterator[datetime]:
    if start >= end:
        return
    yield start
    midnight = ceiling(period_of("day", start, zone).end, "hour")
    while midnight < end:
        if midnight > start:
            yield midnight
        midnight = ceiling(period_of("day", midnight, zone).end, "hour")
    yield end


def _nearest_midnight(instant: datetime) -> datetime:
    return bucket_of((instant + _HALF_A_DAY).astimezone(UTC), "day")


def _buckets(piece: Piece) -> Iterator[datetime]:
    bucket = piece.start
    while bucket < piece.end:
        yield bucket
        bucket += STEPS[piece.grain]
