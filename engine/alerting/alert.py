"""What is known of one alert, and what can be observed about it. Pure data.

A key (organization, rule, group, and for latched rules the period) has one `Alert` that lives on: each time it fires
is an episode of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from engine.alerting.rules import Number, exact
from engine.document.alert_rules import Severity


class State(StrEnum):
    """Where an alert is in its life. Acknowledged, silenced and inhibited are flags beside it, never states."""

    INACTIVE = "inactive"
    PENDING = "pending"
    FIRING = "firing"
    RECOVERING = "recovering"
    RESOLVED = "resolved"


LONGEST_KEY = 480
OPEN_STATES = frozenset((State.FIRING, State.RECOVERING))


class Ending(StrEnum):
    """Why an alert is over."""

    CLEARED = "cleared"
    PERIOD_ENDED = "period_ended"
    BUDGET_CHANGED = "budget_changed"
    BUDGET_REMOVED = "budget_removed"
    SPEND_CORRECTED = "spend_corrected"
    RULE_CHANGED = "rule_changed"
    RULE_REMOVED = "rule_removed"


class HiddenBy(StrEnum):
    """Why nobody is told of an alert."""

    SILENCED = "silenced"
    INHIBITED = "inhibited"


@dataclass(frozen=True, slots=True)
class Hidden:
    """An alert that nobody is told of for now. `source` is the id of the silence, or of the alert that inhibits."""

    by: HiddenBy
    source: str


@dataclass(frozen=True, slots=True)
class Ack:
    """Somebody has taken the alert on."""

    by: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Measured:
    """The rule's metric was measured. `severity` is that of the highest level it reaches; left out, the rule's."""

    value: Decimal
    samples: int | None = None
    """How many calls (or days) it rests on, for rules with a least number of them; None is enough of them."""
    severity: Severity | None = None


@dataclass(frozen=True, slots=True)
class NoData:
    """There was nothing to measure."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The rule could not be evaluated; `error` is one line."""

    error: str


Observation = Measured | NoData | Failed


def alert_key(org_id: str, rule_id: str, group: Sequence[str] = (), period_label: str = "") -> str:
    """Names one alert of a rule: what it is about, and of a latched one the period. Ids hold no `|`.

    Names that would be too long together are hashed, so that every key fits its column.
    """
    key = "|".join((org_id, rule_id, period_label, *group))
    if len(key) <= LONGEST_KEY:
        return key
    return "|".join((org_id, rule_id, hashlib.sha256(key.encode()).hexdigest()))


def observed(value: Number | None, *, samples: int | None = None, severity: Severity | None = None) -> Observation:
    """What a query's answer says: a value, or nothing where it has none or not a number."""
    if value is None or exact(value).is_nan():
        return NoData()
    return Measured(exact(value), samples, severity)


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert with its flags. Times are those of the evaluations, so that the same history gives the same alert.

    What belongs to one episode begins anew when it fires; `episode` counts from 1.
    """

    state: State = State.INACTIVE
    since: datetime | None = None
    """When this state began."""
    seen_at: datetime | None = None
    """The newest observation; an older one, or the same again, changes nothing."""
    episode: int = 0
    severity: Severity = "info"
    value: Decimal | None = None
    """The newest measured."""
    fired_at: datetime | None = None
    resolved_at: datetime | None = None
    ending: Ending | None = None
    told_severity: Severity | None = None
    """What the people were told; None until the first message of the episode."""
    told_at: datetime | None = None
    """When they were last called: by the first message, a rise, an escalation or a repeat."""
    waiting_since: datetime | None = None
    """Since when nobody has acknowledged."""
    escalated: int = 0
    """Steps of escalation taken since then."""
    ack: Ack | None = None
    updated_at: datetime | None = None
    updated_value: Decimal | None = None
    """When the thread was last told the value, and which."""
    no_data_since: datetime | None = None
    flaps: int = 0
    near_misses: int = 0
    """Over all episodes."""
    effects: int = 0
    """How many effects the episode had; numbers the next."""

    @property
    def is_open(self) -> bool:
        """Whether it fired and is not over."""
        return self.state in OPEN_STATES

    @property
    def told(self) -> bool:
        """Whether the first message of this episode has left."""
        return self.told_severity is not None
