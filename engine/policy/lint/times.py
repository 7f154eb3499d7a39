"""The times that policies tell apart: every combination of open windows that will occur."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from engine.policy.applies import Condition
from engine.policy.lint.dimension import Sets, meet
from engine.policy.lint.sweep import Span, horizon, instant, moment, states
from engine.policy.time_window import BusinessHours, MaintenanceWindow, TimeWindowCondition


class Times:
    """The atoms: distinct sets of open windows, by when they first occur. The time is never unknown."""

    word = "time"
    fields: frozenset[str] = frozenset()

    def __init__(self, conditions: Iterable[Condition], at: datetime) -> None:
        ours = [c for c in conditions if type(c) is TimeWindowCondition]
        hours = list(dict.fromkeys(c.business_hours for c in ours if c.business_hours is not None))
        windows = list(dict.fromkeys(window for c in ours for window in c.maintenance_windows))
        self.spans: list[Span] = horizon(instant(at), windows)
        found = sorted(states(self.spans, hours, windows).items(), key=lambda item: item[1])
        self._instants = [moment(at) for _, at in found]
        self.everything = (1 << len(found)) - 1
        every: list[BusinessHours | MaintenanceWindow] = [*hours, *windows]
        self._open = dict(zip(every, _columns([state for state, _ in found], len(every)), strict=True))

    def sets(self, conditions: Sequence[Condition]) -> Sets:
        """When conditions apply."""
        return meet((self._of(c) for c in conditions if type(c) is TimeWindowCondition), self.everything)

    def value(self, atom: int) -> datetime:
        """The first instant of an atom."""
        return self._instants[atom.bit_length() - 1]

    def _of(self, condition: TimeWindowCondition) -> Sets:
        windows: tuple[BusinessHours | MaintenanceWindow, ...] = condition.maintenance_windows
        if condition.business_hours is not None:
            windows = (condition.business_hours,)
        inside = 0
        for window in windows:
            inside |= self._open[window]
        return Sets(inside, inside)


def _columns(rows: Sequence[int], width: int) -> list[int]:
    """Of rows of bits the columns: bit m of number n is bit n of row m."""
    if not width:
        return []
    # Text is turned around much faster than numbers bit by bit; the highest bit stands first in both.
    text = "".join(format(row, f"0{width}b") for row in reversed(rows))
    return [int(text[width - 1 - number :: width], 2) for number in range(width)]
