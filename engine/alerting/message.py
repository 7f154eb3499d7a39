"""What a notification says, in words that fit every channel. Pure; channels add their own markup."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from engine.alerting.budget_usage import Crossing
from engine.money import format_usd

_PERIOD_WORDS = {"month": "Monthly", "day": "Daily"}
_PAGE_RANGES = {"month": "30d", "day": "24h"}


@dataclass(frozen=True, slots=True)
class Spenders:
    """Who spent most of a counter: names with micro-dollars, the most expensive first."""

    agents: Sequence[tuple[str, int]] = ()
    users: Sequence[tuple[str, int]] = ()


@dataclass(frozen=True, slots=True)
class Message:
    """One notification. `mention` is whom to call, for channels that can; `repeat` marks one that may have arrived."""

    severity: str
    title: str
    lines: tuple[str, ...]
    link: str
    mention: str | None = None
    repeat: bool = False

    @property
    def headline(self) -> str:
        """Severity and title, and whether this may be a repeat."""
        mark = "(possible repeat) " if self.repeat else ""
        return f"{mark}{self.severity.capitalize()}: {self.title}"

    @property
    def text(self) -> str:
        """All of it as plain text."""
        return "\n".join((self.headline, *self.lines, self.link))

    def to_json(self) -> dict[str, Any]:
        """The form that is stored; `text` is there for readers of the row."""
        return {**asdict(self), "lines": list(self.lines), "text": self.text}

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> Message:
        """Read `to_json()` back."""
        fields = {name: stored[name] for name in ("severity", "title", "link", "mention", "repeat")}
        return cls(lines=tuple(stored["lines"]), **fields)


def crossing_title(crossing: Crossing) -> str:
    """`Monthly budget 'copilots' of agent copilot_hr is at 96.2 %`."""
    counter = crossing.use.counter
    whose = "" if crossing.budget.per == "org" else f" of {crossing.budget.per} {counter.scope}"
    name = f"{_PERIOD_WORDS[counter.period]} budget '{counter.budget_id}'{whose}"
    if crossing.limit_micros == 0:
        return f"{name} allows no spend, and {format_usd(crossing.use.spent_micros)} was spent"
    return f"{name} is at {_percent(crossing.use.spent_micros, crossing.limit_micros)}"


def crossing_message(
    crossing: Crossing, spenders: Spenders, *, org_id: str, zone: str, dashboard_url: str, mention: str | None
) -> Message:
    """What to tell about a crossing. `zone` is the budget's calendar; the link shows the organization's spend."""
    use, level = crossing.use, crossing.level
    amounts = f"{format_usd(use.spent_micros)} of {format_usd(crossing.limit_micros)} spent"
    lines = [
        f"{amounts}; {level.severity} from {_share(level.threshold)} on.",
        f"Period {use.counter.period_label} ends {_local(use.period_end, zone)}.",
    ]
    if spenders.agents:
        lines.append(f"Most by agents: {_listed(spenders.agents)}.")
    if spenders.users:
        lines.append(f"Most by users, in the latest calls: {_listed(spenders.users)}.")
    return Message(
        severity=level.severity,
        title=crossing_title(crossing),
        lines=tuple(lines),
        link=_spend_page(dashboard_url, org_id, use.counter.period),
        # Guide, Alert Thresholds: critical pages the on-call, a warning does not.
        mention=mention if level.severity == "critical" else None,
    )


def _spend_page(dashboard_url: str, org_id: str, period: str) -> str:
    return f"{dashboard_url.rstrip('/')}/spend?{urlencode({'org': org_id, 'range': _PAGE_RANGES[period]})}"


def _percent(spent: int, limit: int) -> str:
    # Rounded down, so that 94.99 % is never called 95.0 %.
    tenths = spent * 1000 // limit
    return f"{tenths // 10:,}.{tenths % 10} %"


def _share(threshold: Decimal) -> str:
    return f"{(threshold * 100).normalize():f} %"


def _local(instant: datetime, zone: str) -> str:
    return f"{instant.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M} {zone}"


def _listed(spenders: Sequence[tuple[str, int]]) -> str:
    return ", ".join(f"{name} {format_usd(spent)}" for name, spent in spenders)
