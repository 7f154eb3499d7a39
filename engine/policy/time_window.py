"""Conditions on when a call is made: weekly business hours on the wall clock, and absolute maintenance windows."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib.resources import files
from typing import Any
from zoneinfo import ZoneInfo

from engine.errors import InvalidValue
from engine.policy.applies import Applies
from engine.policy.context import PolicyContext
from engine.policy.instants import read_instant

DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
DAY_SECONDS = 86_400
WEEK_SECONDS = 7 * DAY_SECONDS

_CLOCK = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])(?::([0-5][0-9]))?")
_HOURS_KEYS = ("days", "start_time", "end_time", "timezone")


@dataclass(frozen=True, slots=True)
class BusinessHours:
    """Hours of some days of the week, on the wall clock of a time zone: half-open, [start, end).

    `start` and `end` are seconds since local midnight, `end` at most 86,400. With start > end the window is overnight,
    and `days` (0 is Monday) name the local day on which it starts. What the wall clock shows counts: when clocks go
    back, both passes of an hour are inside.
    """

    days: frozenset[int]
    start: int
    end: int
    timezone: str

    @property
    def spans(self) -> list[tuple[int, int]]:
        """The window as half-open spans of seconds since Monday 00:00, none of them past the week's end."""
        spans = []
        for day in sorted(self.days):
            begins = day * DAY_SECONDS + self.start
            ends = day * DAY_SECONDS + self.end + (DAY_SECONDS if self.start > self.end else 0)
            if ends <= WEEK_SECONDS:
                spans.append((begins, ends))
            else:
                spans += [(begins, WEEK_SECONDS), (0, ends - WEEK_SECONDS)]
        return spans

    def contains(self, at: datetime) -> bool:
        """Whether the wall clock is inside at this instant."""
        second = week_second(at, self.timezone)
        return any(begins <= second < ends for begins, ends in self.spans)

    def __str__(self) -> str:
        days = " ".join(DAYS[day][:3] for day in sorted(self.days))
        return f"{days} {clock_text(self.start)}-{clock_text(self.end)} {self.timezone}"


@dataclass(frozen=True, slots=True)
class MaintenanceWindow:
    """From one instant to another, half-open."""

    start: datetime
    end: datetime

    def contains(self, at: datetime) -> bool:
        """Whether the instant is inside."""
        return self.start <= at < self.end

    def __str__(self) -> str:
        return f"{self.start.isoformat()} to {self.end.isoformat()}"


class TimeWindowCondition:
    """Applies inside its windows, whatever the policy's effect (guide, Time-Based Restrictions).

    `business_hours`: a mapping with `days`, `start_time`, `end_time` and `timezone`. `maintenance_windows`: a list of
    mappings with `start` and `end`, ISO 8601 with an offset. One of the two: what both together should mean is for two
    conditions, or two policies, to say.
    """

    def __init__(
        self,
        business_hours: Mapping[str, Any] | None = None,
        maintenance_windows: Iterable[Mapping[str, Any]] | None = None,
    ) -> None:
        if (business_hours is None) == (maintenance_windows is None):
            raise InvalidValue(
                "business_hours", "give either business_hours or maintenance_windows; two conditions can say both"
            )
        self.business_hours = None if business_hours is None else read_business_hours(business_hours)
        self.maintenance_windows = () if maintenance_windows is None else read_maintenance_windows(maintenance_windows)

    def applies(self, context: PolicyContext, at: datetime) -> Applies:
        """Whether the instant is inside."""
        del context
        windows = self.maintenance_windows if self.business_hours is None else (self.business_hours,)
        return Applies.YES if any(window.contains(at) for window in windows) else Applies.NO

    def __str__(self) -> str:
        if self.business_hours is not None:
            return f"time in {self.business_hours}"
        return f"time in {' or '.join(map(str, self.maintenance_windows))}"


@cache
def zone(name: str) -> ZoneInfo:
    """A time zone of the IANA database, under its exact name. Raises `InvalidValue` when there is none."""
    if name not in _zone_names():
        raise InvalidValue("timezone", f"no such time zone {name!r}; use an IANA name such as America/New_York")
    return ZoneInfo(name)


@cache
def _zone_names() -> frozenset[str]:
    # Not what this machine has: `localtime` is another zone on every one.
    return frozenset(files("tzdata").joinpath("zones").read_text(encoding="utf-8").split()) - {"Factory"}


def week_second(at: datetime, timezone: str) -> int:
    """Seconds since Monday 00:00 on the wall clock of a zone, rounded down."""
    local = at.astimezone(zone(timezone))
    return local.weekday() * DAY_SECONDS + local.hour * 3600 + local.minute * 60 + local.second


def read_business_hours(values: Mapping[str, Any]) -> BusinessHours:
    """Type business hours. Raises `InvalidValue` naming the part that cannot be used."""
    if not isinstance(values, Mapping):
        raise InvalidValue("business_hours", f"must have {', '.join(_HOURS_KEYS)}, got {values!r}")
    for key in _HOURS_KEYS:
        if values.get(key) is None:
            raise InvalidValue(f"business_hours.{key}", "is missing")
    unknown = [key for key in values if key not in _HOURS_KEYS]
    if unknown:
        raise InvalidValue(f"business_hours.{unknown[0]}", f"is not one of {', '.join(_HOURS_KEYS)}")
    start = read_clock(values["start_time"], "business_hours.start_time")
    end = read_clock(values["end_time"], "business_hours.end_time")
    if start == end:
        raise InvalidValue(
            "business_hours.end_time", "is the start time too, so nothing is inside; for whole days use 00:00 to 24:00"
        )
    if start == DAY_SECONDS:
        raise InvalidValue("business_hours.start_time", "24:00 can only be an end; a day starts at 00:00")
    name = values["timezone"]
    if not isinstance(name, str):
        raise InvalidValue("business_hours.timezone", f"must be an IANA name such as America/New_York, got {name!r}")
    try:
        zone(name)
    except InvalidValue as refused:
        raise InvalidValue("business_hours.timezone", refused.problem) from None
    return BusinessHours(_days(values["days"]), start, end, name)


def read_maintenance_windows(values: Iterable[Mapping[str, Any]]) -> tuple[MaintenanceWindow, ...]:
    """Type maintenance windows. Raises `InvalidValue` naming the part that cannot be used."""
    field = "maintenance_windows"
    if isinstance(values, str | Mapping) or not isinstance(values, Iterable):
        raise InvalidValue(field, "must be a list of windows with start and end")
    windows = tuple(_window(window, f"{field}.{index}") for index, window in enumerate(values))
    if not windows:
        raise InvalidValue(field, "must be a list of at least one window with start and end")
    return windows


def _window(values: Mapping[str, Any], field: str) -> MaintenanceWindow:
    if not isinstance(values, Mapping):
        raise InvalidValue(field, f"must have start and end, got {values!r}")
    unknown = [key for key in values if key not in ("start", "end")]
    if unknown:
        raise InvalidValue(f"{field}.{unknown[0]}", "is not one of start, end")
    start, end = (read_instant(values.get(key), f"{field}.{key}") for key in ("start", "end"))
    if end <= start:
        raise InvalidValue(f"{field}.end", f"must be after the start, {start.isoformat()}")
    return MaintenanceWindow(start, end)


def read_clock(value: object, field: str = "time") -> int:
    """Seconds since midnight, at most 86,400. Raises `InvalidValue`."""
    if value == "24:00":
        return DAY_SECONDS
    found = _CLOCK.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise InvalidValue(field, f'must be a time of day such as "09:00", up to "24:00", got {value!r}')
    hours, minutes, seconds = found.groups()
    return int(hours) * 3600 + int(minutes) * 60 + int(seconds or 0)


def clock_text(seconds: int) -> str:
    """Seconds since midnight as people write them: 09:00, 23:59:59."""
    minutes, rest = divmod(seconds, 60)
    return f"{minutes // 60:02}:{minutes % 60:02}" + (f":{rest:02}" if rest else "")


def _days(values: object) -> frozenset[int]:
    field = "business_hours.days"
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise InvalidValue(field, "must be a list of days such as [monday, tuesday]")
    days = frozenset(read_day(value, field) for value in values)
    if not days:
        raise InvalidValue(field, "must name at least one day")
    return days


def read_day(value: object, field: str = "days") -> int:
    """A day of the week, 0 for Monday. Raises `InvalidValue`."""
    name = value.lower() if isinstance(value, str) else value
    if name not in DAYS:
        raise InvalidValue(field, f"{value!r} is not a day; use {', '.join(DAYS)}")
    return DAYS.index(name)
