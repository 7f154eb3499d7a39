"""Windows that end one second or minute early: at 23:59:59 where 24:00 is meant, for ends are not inside."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

from engine.policy.applies import Applies
from engine.policy.context import PolicyContext
from engine.policy.lint.findings import Example
from engine.policy.lint.room import Judged, region
from engine.policy.lint.space import Space
from engine.policy.lint.sweep import closings, instant, moment
from engine.policy.time_window import TimeWindowCondition, clock_text

_TICK = timedelta(microseconds=1)


class Hole(NamedTuple):
    """A sentence, and the first call that falls into it."""

    message: str
    example: Example


class _End(NamedTuple):
    at: datetime
    message: str


def holes(judged: Judged, space: Space) -> Iterator[Hole]:
    """The instants at which a policy stops to apply just before a full minute or hour."""
    windows = [c for c in judged.policy.conditions if type(c) is TimeWindowCondition]
    for window in windows:
        for end in _ends(window, space):
            if not _inside(windows, end.at) and _inside(windows, end.at - _TICK):
                example = _example(judged, space, end.at)
                if example is not None:
                    yield Hole(end.message, example)
                break


def _ends(window: TimeWindowCondition, space: Space) -> Iterator[_End]:
    begins = moment(space.times.spans[0][0])
    for maintenance in window.maintenance_windows:
        end = maintenance.end
        early = _early(end.hour * 3600 + end.minute * 60 + end.second)
        if early and end > begins and instant(end) < space.times.spans[-1][1]:
            full = end.replace(microsecond=0) + timedelta(seconds=early)
            yield _End(end, _sentence("maintenance window ends", end.isoformat(), full.isoformat(), early))
    hours = window.business_hours
    if hours is not None and (early := _early(hours.end)):
        text = _sentence("hours end", clock_text(hours.end), clock_text(hours.end + early), early)
        for at in closings(hours, space.times.spans):
            if moment(at) > begins:
                yield _End(moment(at), text)


def _early(second: int) -> int:
    """By how many seconds this second of a day comes before a full minute or hour; 0 when it does not."""
    if second % 60 == 59:
        return 1
    return 60 if second % 3600 == 59 * 60 else 0


def _sentence(what: str, end: str, full: str, early: int) -> str:
    unit = "second" if early == 1 else "minute"
    return f"Its {what} at {end}, which is not inside: the last {unit} before {full} is left out; end at {full}."


def _inside(windows: list[TimeWindowCondition], at: datetime) -> bool:
    return all(window.applies(PolicyContext(), at) is Applies.YES for window in windows)


def _example(judged: Judged, space: Space, at: datetime) -> Example | None:
    sets = {
        number: sets.maybe if judged.denies else sets.yes
        for number, sets in judged.sets.items()
        if number != space.time_dimension
    }
    for profile in space.profiles:
        found = region(profile.base, sets)
        if found is not None:
            return space.at(space.example(profile, found.box), at)
    return None
