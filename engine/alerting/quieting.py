"""What keeps an alert from people for a while: silences that somebody made, and alerts that say it already. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from engine.alerting.alert import Hidden, HiddenBy
from engine.alerting.rules import RANKS
from engine.errors import InvalidValue

LONGEST_SILENCE = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Matcher:
    """One label that must, or must not, have a value. A label that an alert lacks is as an empty one."""

    label: str
    value: str
    comparison: Literal["=", "!="] = "="

    def __post_init__(self) -> None:
        if not self.label:
            raise InvalidValue("matchers", "a matcher needs a label such as rule, severity, team or agent")

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether an alert with these labels is meant."""
        return (labels.get(self.label, "") == self.value) == (self.comparison == "=")


@dataclass(frozen=True, slots=True)
class Silence:
    """Alerts that all matchers fit are told to nobody in `[start, end)`. Raises `InvalidValue` naming the field."""

    silence_id: str
    matchers: tuple[Matcher, ...]
    start: datetime
    end: datetime
    author: str
    reason: str

    def __post_init__(self) -> None:
        if not self.matchers:
            raise InvalidValue("matchers", "a silence needs one at least; without any it would hide every alert")
        for field in ("start", "end"):
            if getattr(self, field).tzinfo is None:
                raise InvalidValue(field, "must have a time zone")
        if self.end <= self.start:
            raise InvalidValue("end", "must be after the start")
        if self.end - self.start > LONGEST_SILENCE:
            raise InvalidValue("end", f"must be at most {LONGEST_SILENCE.days} days after the start")
        for field in ("author", "reason"):
            if not getattr(self, field).strip():
                raise InvalidValue(field, "is required: whoever misses an alert must be able to learn why")

    def hides(self, labels: Mapping[str, str], now: datetime) -> bool:
        """Whether it hides an alert with these labels now."""
        return self.start <= now < self.end and all(matcher.matches(labels) for matcher in self.matchers)


@dataclass(frozen=True, slots=True)
class AlertFacts:
    """An alert as silences and other alerts see it.

    `labels` are what it is about: organization, rule, severity, and of team, agent, provider, budget, per, scope and
    the like those that it has.
    """

    key: str
    org_id: str
    rule_id: str
    metric: str
    labels: Mapping[str, str]
    blocks: bool = False
    """Of a budget's alert: it is a hard one and denies calls by now."""

    @property
    def inhibits(self) -> bool:
        """Whether it says already what others would say. A blocked budget of the organization does, and no Redis."""
        return (self.blocks and self.labels.get("per") == "org") or self.metric == NO_REDIS


def hidden_by(
    facts: AlertFacts, silences: Iterable[Silence], open_alerts: Iterable[AlertFacts], now: datetime
) -> Hidden | None:
    """What hides an alert now: the first silence that does, or else the first open alert."""
    for silence in silences:
        if silence.hides(facts.labels, now):
            return Hidden(HiddenBy.SILENCED, silence.silence_id)
    for other in open_alerts:
        if other.key != facts.key and _inhibits(other, facts):
            return Hidden(HiddenBy.INHIBITED, other.key)
    return None


def _inhibits(other: AlertFacts, facts: AlertFacts) -> bool:
    """Whether `other`, which is open, says already what the alert would say.

    A blocked budget of the organization stops its agents, whatever their own budgets have left; one for some calls
    only (a provider's, a team's) stops the agents whose calls these are. Without Redis calls pass without limits and
    the ledger falls behind, and one alert says so.
    """
    if other.org_id != facts.org_id or not other.inhibits:
        return False
    if other.metric == NO_REDIS:
        return facts.metric in _WITHOUT_REDIS and _rank(other) >= _rank(facts)
    of_agent = facts.metric == "budget_usage_percentage" and facts.labels.get("per") == "agent"
    return of_agent and all(facts.labels.get(name) == other.labels[name] for name in _NARROWED if name in other.labels)


NO_REDIS = "fail_open_seconds"
_NARROWED = ("agent", "team", "provider")


def _rank(facts: AlertFacts) -> int:
    """How bad it is: one that is for information hides nothing that somebody has to hear."""
    return next((rank for severity, rank in RANKS.items() if severity == facts.labels.get("severity")), 0)


_WITHOUT_REDIS = ("rate_limit_fail_open_count", "ledger_lag_seconds")
"""What follows from it: calls pass without limits, and their events wait."""
