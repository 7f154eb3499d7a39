"""Which calls a page or rule is about, and from which rollups they are added up.

A slice is added up from as few rows as it can be: whole UTC days from the daily rollups, whole hours at its ends from
the hourly ones, the minutes that are left from those of minutes. All three are written in one transaction with the
decisions, so the newest minute is as fresh as they are.

Minutes are kept for two days. An end of a slice that is older is moved to the next whole hour, so that an hour belongs
to the slice in which it begins: nothing is counted twice or left out where two slices meet. That happens only in zones
of half and quarter hours, whose days and months then begin up to 45 minutes late.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Literal, NamedTuple, Self

from sqlalchemy import ColumnElement, Table, and_, false, or_, true

from engine.clock import utc_now
from engine.errors import InvalidValue
from engine.ledger.rollups import MINUTES_KEPT, bucket_of, minutes_from
from engine.ledger.tables import usage

Grain = Literal["minute", "hour", "day"]

STEPS: dict[Grain, timedelta] = {"minute": timedelta(minutes=1), "hour": timedelta(hours=1), "day": timedelta(days=1)}
MOST_ROWS = 200
"""Rows of a table on a page."""
MOST_BUCKETS = 1_500
"""Minutes, hours or days of one series: a day of minutes, two months of hours. No chart has more pixels."""
_DIMENSIONS = ("team_id", "provider", "agent_id", "model", "environment", "reason")


@dataclass(frozen=True, slots=True)
class Slice:
    """The calls of one organization decided in `[start, end)`; of one team, agent or the like where one is named.

    An empty team, model or environment means calls without one. Times are kept in UTC. Rollups know whole minutes: the
    one in which the slice begins and the one in which it ends belong to it. `now` says which minutes are still kept:
    it is the clock's, unless the ledger that is asked lives at another time.
    """

    org_id: str
    start: datetime
    end: datetime
    team_id: str | None = None
    provider: str | None = None
    agent_id: str | None = None
    model: str | None = None
    environment: str | None = None
    reason: str | None = None
    now: datetime = field(default_factory=utc_now, kw_only=True, compare=False)

    def __post_init__(self) -> None:
        for name in ("start", "end", "now"):
            instant: datetime = getattr(self, name)
            if instant.tzinfo is None:
                raise InvalidValue(name, "must have a time zone")
            # The slice is frozen; buckets are those of UTC, and cutting another zone's time would begin them elsewhere.
            object.__setattr__(self, name, instant.astimezone(UTC))
        if self.start > self.end:
            raise InvalidValue("start", "must not be after the end")

    def during(self, start: datetime, end: datetime) -> Self:
        """The same team, provider, agent and so on at another time."""
        return replace(self, start=start, end=end)

    @property
    def dimensions(self) -> dict[str, str]:
        """Columns of the rollups and decisions, and the value asked for."""
        return {name: value for name in _DIMENSIONS if (value := getattr(self, name)) is not None}

    def pieces(self, *, largest: Grain = "day") -> list[Piece]:
        """The buckets that the slice is added up from; `largest` days or hours."""
        return pieces(*self.bounds(), largest=largest)

    def bounds(self) -> tuple[datetime, datetime]:
        """Start and end in UTC, moved to where buckets begin that are kept."""
        # Where hours begin, so that two slices that meet are cut at the same place.
        exact = ceiling(minutes_from(self.now), "hour")
        return (
            bucket_of(self.start, "minute") if self.start >= exact else ceiling(self.start, "hour"),
            ceiling(self.end, "minute" if self.end >= exact else "hour"),
        )

    def buckets(self, grain: Grain) -> Piece:
        """The buckets that the slice touches, for a series of them.

        Raises `InvalidValue` for more than `MOST_BUCKETS`, and for minutes that are no longer kept: without it a chart
        would show nothing where there was something.
        """
        touched = Piece(grain, bucket_of(self.start, grain), self.end)
        if touched.length > MOST_BUCKETS:
            raise InvalidValue("start", f"must be at most {MOST_BUCKETS} {grain}s before the end, not {touched.length}")
        if grain == "minute" and touched.start < minutes_from(self.now):
            kept = MINUTES_KEPT // STEPS["day"]
            raise InvalidValue("start", f"must be at most {kept} days ago for a series by the minute; take hours")
        return touched

    def in_whole_buckets(self) -> Self:
        """The slice itself. Raises `InvalidValue` where its sums would be those of a longer time.

        A page may show the whole of a minute that it only touches; a rule that counts in 5 minutes must not count 6.
        """
        if (self.start, self.end) != self.bounds():
            raise InvalidValue(
                "start, end",
                "must be whole minutes, or whole hours where more than "
                f"{MINUTES_KEPT // STEPS['day']} days ago, got {self.start:%H:%M:%S} to {self.end:%H:%M:%S} UTC",
            )
        return self


class Piece(NamedTuple):
    """Buckets of one grain that start in `[start, end)`."""

    grain: Grain
    start: datetime
    end: datetime

    @property
    def length(self) -> int:
        """How many buckets; one that begins counts."""
        return -((self.start - self.end) // STEPS[self.grain])


def pieces(start: datetime, end: datetime, *, largest: Grain = "day") -> list[Piece]:
    """Cut `[start, end)`, whole minutes of UTC, into days, hours and minutes: at most five pieces, in order."""
    grains: tuple[Grain, ...] = ("day", "hour", "minute")
    return list(_cut(start, end, grains[grains.index(largest) :]))


def in_usage(part: Slice, *, largest: Grain = "day") -> ColumnElement[bool]:
    """The cells of `usage` that a slice is added up from."""
    return and_(in_pieces(usage, part.org_id, part.pieces(largest=largest)), of_dimensions(usage, part))


def in_pieces(table: Table, org_id: str, wanted: list[Piece]) -> ColumnElement[bool]:
    """The rows of a rollup with several grains that belong to these pieces."""
    column = table.c
    return and_(
        column.org_id == org_id,
        or_(
            false(),
            *(
                and_(column.grain == piece.grain, column.bucket >= piece.start, column.bucket < piece.end)
                for piece in wanted
            ),
        ),
    )


def in_grain(part: Slice, grain: Grain) -> ColumnElement[bool]:
    """The cells of `usage` of one grain whose buckets the slice touches, for series by bucket."""
    return and_(in_pieces(usage, part.org_id, [part.buckets(grain)]), of_dimensions(usage, part))


def in_buckets(table: Table, part: Slice, grain: Grain) -> ColumnElement[bool]:
    """The rows of a rollup that has only one grain: the buckets that the slice touches."""
    column = table.c
    return and_(column.org_id == part.org_id, column.bucket >= bucket_of(part.start, grain), column.bucket < part.end)


def of_dimensions(table: Table, part: Slice) -> ColumnElement[bool]:
    """The rows about the slice's team, provider, agent and so on, as far as the table knows of them."""
    return and_(true(), *(table.c[name] == value for name, value in part.dimensions.items() if name in table.c))


def _cut(start: datetime, end: datetime, grains: tuple[Grain, ...]) -> Iterator[Piece]:
    if start >= end:
        return
    grain, *finer = grains
    first, last = ceiling(start, grain), bucket_of(end, grain)
    if first >= last:
        if finer:
            yield from _cut(start, end, tuple(finer))
        else:
            yield Piece(grain, start, end)
        return
    yield from _cut(start, first, tuple(finer))
    yield Piece(grain, first, last)
    yield from _cut(last, end, tuple(finer))


def ceiling(instant: datetime, grain: Grain) -> datetime:
    """Where the next minute, hour or day begins, or the instant itself where one does."""
    floor = bucket_of(instant, grain)
    return floor if floor == instant else floor + STEPS[grain]
