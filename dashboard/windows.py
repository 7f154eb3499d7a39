"""The time that the Spend page shows: whole minutes, hours or days in UTC. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from engine.ledger.queries.slice import STEPS, Grain, Slice
from engine.ledger.rollups import bucket_of

RANGES: dict[str, tuple[str, Grain, int]] = {
    "1h": ("the last hour", "minute", 60),
    "24h": ("the last 24 hours", "hour", 24),
    "7d": ("the last 7 days", "day", 7),
    "30d": ("the last 30 days", "day", 30),
    "90d": ("the last 90 days", "day", 90),
}
"""Key in the URL -> words, grain, number of buckets including the current one."""

FEWEST_MINUTES = 10


@dataclass(frozen=True, slots=True)
class Window:
    """The buckets that start in `[start, end)`; the last one is not over."""

    grain: Grain
    start: datetime
    end: datetime

    def of(self, org_id: str, now: datetime) -> Slice:
        """The calls of one organization in it."""
        return Slice(org_id, self.start, self.end, now=now)


def window_of(range_key: str, now: datetime, since: datetime | None = None) -> Window:
    """The buckets of a range, up to and including the current one.

    Minutes before `since`, when there was no ledger yet, are left out down to the last ten.
    """
    _, grain, buckets = RANGES[range_key]
    step = STEPS[grain]
    current = bucket_of(now.astimezone(UTC), grain)
    start = current - step * (buckets - 1)
    if grain == "minute" and since is not None:
        start = max(start, min(bucket_of(since.astimezone(UTC), grain), current - step * (FEWEST_MINUTES - 1)))
    return Window(grain, start, current + step)


def month_of(now: datetime) -> Window:
    """The days of the current UTC month so far."""
    today = today_of(now)
    return Window("day", today.start.replace(day=1), today.end)


def today_of(now: datetime) -> Window:
    """The current UTC day."""
    today = bucket_of(now.astimezone(UTC), "day")
    return Window("day", today, today + STEPS["day"])
