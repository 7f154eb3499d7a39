"""Every instant at which some window opens or closes, in the time that lint looks at.

Instants are whole microseconds since 1970 in UTC. A zone is a row of pieces with a fixed offset; within a piece the
wall clock is the instant plus a number, so that an edge of business hours is found by adding, not by trying.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby, pairwise

from engine.policy.time_window import WEEK_SECONDS, BusinessHours, MaintenanceWindow, zone

SECOND = 1_000_000
DAY = 86_400 * SECOND
WEEK = WEEK_SECONDS * SECOND
YEAR = 366 * DAY
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MONDAY = 3 * DAY
"""1970 began on a Thursday: three days after a Monday."""
LAST = (datetime(9999, 12, 30, tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1)
"""Later instants have no wall clock everywhere."""

Span = tuple[int, int]
Change = tuple[int, int, int]
"""An instant, whose state changes (a clock's number), and to what."""


def instant(at: datetime) -> int:
    """A time as a number."""
    return (at - _EPOCH) // timedelta(microseconds=1)


def moment(number: int) -> datetime:
    """A number as a time."""
    return _EPOCH + timedelta(microseconds=number)


def horizon(at: int, windows: Iterable[MaintenanceWindow]) -> list[Span]:
    """The time to look at: a year from `at` on, and what lies behind each edge of a maintenance window to come.

    Between two edges nothing changes but business hours, and those have shown all they have after a year.
    """
    edges = sorted({edge for window in windows for edge in _ends(window) if at < edge < LAST})
    spans = [(at, at + YEAR), *((edge, min(following, edge + YEAR)) for edge, following in pairwise([*edges, LAST]))]
    merged: list[Span] = []
    for begins, ends in sorted(spans):
        if merged and begins <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], min(ends, LAST)))
        elif begins < LAST:
            merged.append((begins, min(ends, LAST)))
    return merged


def states(
    spans: Sequence[Span], hours: Sequence[BusinessHours], windows: Sequence[MaintenanceWindow]
) -> dict[int, int]:
    """Every set of open windows that occurs, and when it first does.

    A set is a number: bit n is window n, business hours first.
    """
    by_zone: dict[str, list[tuple[int, BusinessHours]]] = {}
    for number, each in enumerate(hours):
        by_zone.setdefault(each.timezone, []).append((1 << number, each))
    absolute = [(1 << number, *_ends(window)) for number, window in enumerate(windows, len(hours))]
    clocks = [(name, _week(ours)) for name, ours in by_zone.items()]
    found: dict[int, int] = {}
    for begins, ends in spans:
        changes = [change for number, clock in enumerate(clocks) for change in _ticks(number, *clock, begins, ends)]
        changes += _absolute_changes(len(clocks), absolute, begins, ends)
        changes.sort()
        open_ = [0] * (len(clocks) + 1)
        for at, together in groupby(changes, key=lambda change: change[0]):
            for _, number, state in together:
                open_[number] = state
            found.setdefault(sum(open_), at)
    return found


def closings(hours: BusinessHours, spans: Sequence[Span]) -> Iterator[int]:
    """The instants at which the wall clock shows the end of business hours."""
    points = [ends % WEEK_SECONDS for day in hours.days for ends in [_end_of_day(hours, day)]]
    for begins, ends in spans:
        for piece in _pieces(hours.timezone, begins, ends):
            yield from sorted(at for at, _ in _edges(piece, [(point, 0) for point in points]))


def _end_of_day(hours: BusinessHours, day: int) -> int:
    return (day + (hours.start > hours.end)) * 86_400 + hours.end


def _ends(window: MaintenanceWindow) -> Span:
    return instant(window.start), instant(window.end)


def _week(hours: Sequence[tuple[int, BusinessHours]]) -> list[tuple[int, int]]:
    """For one zone, the seconds of the week at which something changes, and what is open from there on."""
    spans = [(bit, *span) for bit, each in hours for span in each.spans]
    points = sorted({0, *(edge for _, *ends in spans for edge in ends if edge < WEEK_SECONDS)})
    week = []
    for point in points:
        state = 0
        for bit, begins, ends in spans:
            if begins <= point < ends:
                state |= bit
        week.append((point, state))
    return week


def _ticks(number: int, timezone: str, week: Sequence[tuple[int, int]], begins: int, ends: int) -> Iterator[Change]:
    """What a zone's clock opens and closes, from the state at the beginning on."""
    last = None
    for piece in _pieces(timezone, begins, ends):
        at, _, offset = piece
        second = (at + offset + _MONDAY) % WEEK // SECOND
        state = next(state for point, state in reversed(week) if point <= second)
        for tick, after in [(at, state), *_edges(piece, week)]:
            if after != last:
                yield tick, number, after
                last = after


def _edges(piece: tuple[int, int, int], week: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """The instants inside a piece at which the clock shows these seconds of the week."""
    begins, ends, offset = piece
    monday = (begins + offset + _MONDAY) // WEEK * WEEK - _MONDAY - offset
    while monday < ends:
        for point, state in week:
            at = monday + point * SECOND
            if begins < at < ends:
                yield at, state
        monday += WEEK


def _pieces(timezone: str, begins: int, ends: int) -> Iterator[tuple[int, int, int]]:
    """The stretches of a zone with one offset from UTC: from, to, offset."""
    start, offset = begins, _offset(timezone, begins)
    at = begins
    while at < ends:
        following = min(at + DAY, ends)
        if _offset(timezone, following) != offset:
            changes = _change(timezone, at, following)
            if changes < ends:
                yield start, changes, offset
                start, offset = changes, _offset(timezone, changes)
        at = following
    yield start, ends, offset


def _change(timezone: str, before: int, after: int) -> int:
    """The first instant with another offset; clocks change at whole seconds."""
    old = _offset(timezone, before)
    low, high = before // SECOND, -(-after // SECOND)
    while high - low > 1:
        middle = (low + high) // 2
        if _offset(timezone, middle * SECOND) == old:
            low = middle
        else:
            high = middle
    return high * SECOND


def _offset(timezone: str, at: int) -> int:
    shift = moment(at).astimezone(zone(timezone)).utcoffset()
    assert shift is not None
    return shift // timedelta(microseconds=1)


def _absolute_changes(number: int, windows: Sequence[tuple[int, int, int]], begins: int, ends: int) -> Iterator[Change]:
    edges = {edge for _, *both in windows for edge in both if begins < edge < ends}
    for at in sorted({begins, *edges}):
        yield at, number, sum(bit for bit, opens, closes in windows if opens <= at < closes)
