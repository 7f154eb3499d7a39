"""The time that a rule looks at, as the slice of the ledger it is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from engine.alerting.reading import Measuring
from engine.alerting.rules import Rule
from engine.ledger.queries.slice import Slice
from engine.ledger.rollups import bucket_of
from engine.periods import Period, period_of

_COLUMNS = {"team": "team_id", "agent": "agent_id", "provider": "provider"}
_MOMENT = timedelta(microseconds=1)


def last_moment(slot: datetime) -> datetime:
    """Whose day and month are those of a slot: the one that ends at midnight closes the old ones."""
    return slot - _MOMENT


@dataclass(frozen=True, slots=True)
class Window:
    """What a rule looks at; `period` of a calendar window."""

    part: Slice
    period: Period | None = None

    @property
    def facts(self) -> dict[str, Any]:
        """For messages: where it begins and ends, and which period it is."""
        facts = {"window_start": self.part.start.isoformat(), "window_end": self.part.end.isoformat()}
        return facts if self.period is None else facts | period_facts(self.period)


def window_of(rule: Rule, measuring: Measuring) -> Window:
    """The window that ends with the slot, of what the rule's filter names.

    A day or month is that of the organization's zone in which the slot's last moment lies: the slot at midnight closes
    the old one. Where minutes are not kept any more, two days ago, only its whole hours are looked at.
    """
    period = None
    if isinstance(rule.window, timedelta):
        start = measuring.slot - rule.window
    else:
        period = period_of(rule.window, last_moment(measuring.slot), measuring.document.timezone)
        start = period.start
    return Window(slice_of(rule, measuring, start, measuring.slot), period)


def slice_of(rule: Rule, measuring: Measuring, start: datetime, end: datetime) -> Slice:
    """The calls of `[start, end)` that the rule is about, cut where the ledger's minutes and hours begin."""
    names: dict[str, Any] = {column: rule.filter[name] for name, column in _COLUMNS.items() if name in rule.filter}
    part = Slice(measuring.org_id, start, end, now=measuring.now, **names)
    first, last = part.bounds()
    if last > part.end:
        # Never more than the window: what fires in 5 minutes must not be the calls of an hour.
        last = bucket_of(part.end, "hour")
    return part.during(min(first, last), last)


def period_facts(period: Period) -> dict[str, Any]:
    """A calendar period for messages."""
    return {
        "period": period.kind,
        "period_label": period.label,
        "period_start": period.start.isoformat(),
        "period_end": period.end.isoformat(),
    }
