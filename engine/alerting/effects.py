"""What follows from a step in an alert's life, as data: messages to send and things to count. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from engine.alerting.alert import Alert, Ending, Hidden
from engine.document.alert_rules import Severity


class EffectKind(StrEnum):
    """What is to be done."""

    FIRST_MESSAGE = "first_message"
    """The parent of the episode's thread, once in it."""
    THREAD_REPLY = "thread_reply"
    PARENT_EDIT = "parent_edit"
    """The parent is brought up to date in place; nobody is called."""
    RESOLVE_LINE = "resolve_line"
    REPEAT = "repeat"
    ESCALATION = "escalation"
    NEAR_MISS = "near_miss"
    FLAP = "flap"


COUNTED = frozenset((EffectKind.NEAR_MISS, EffectKind.FLAP))
"""Nobody is told; the rule's quality shows them."""


class Why(StrEnum):
    """The reason of an effect: in rows, metrics and messages alike."""

    BREACHED = "breached"
    NO_DATA = "no_data"
    NO_LONGER_HIDDEN = "no_longer_hidden"
    SEVERITY_ROSE = "severity_rose"
    SEVERITY_FELL = "severity_fell"
    VALUE_MOVED = "value_moved"
    ACKNOWLEDGED = "acknowledged"
    ACK_ENDED = "ack_ended"
    NOT_ACKNOWLEDGED = "not_acknowledged"
    STILL_FIRING = "still_firing"
    CLEARED_TOO_SOON = "cleared_too_soon"
    BREACHED_AGAIN = "breached_again"
    OVER = "over"


@dataclass(frozen=True, slots=True)
class Effect:
    """One thing to do. With `hidden` it is recorded and sent to nobody."""

    kind: EffectKind
    why: Why
    at: datetime
    episode: int
    number: int
    """Within the episode: key, episode and number name the effect for ever."""
    severity: Severity
    broadcast: bool = False
    """A thread reply that shows in the channel as well."""
    step: int = 0
    """Of an escalation: 1 mentions again in the channel, 2 is by e-mail and webhook."""
    hidden: Hidden | None = None
    lasted: timedelta | None = None
    """Of a resolve line: how long it fired."""
    ending: Ending | None = None
    by: str = ""
    """Who acknowledged."""

    @property
    def tells(self) -> bool:
        """Whether a message is to be sent."""
        return self.kind not in COUNTED and self.hidden is None


class Step(NamedTuple):
    """The alert afterwards, and what follows."""

    alert: Alert
    effects: tuple[Effect, ...] = ()

    def changed(self, **values: object) -> Step:
        """The alert with other values; the same effects."""
        return Step(replace(self.alert, **values), self.effects)  # type: ignore[arg-type]

    def also(self, kind: EffectKind, why: Why, at: datetime, **details: object) -> Step:
        """One effect more, numbered."""
        alert = replace(self.alert, effects=self.alert.effects + 1)
        effect = Effect(kind, why, at, alert.episode, alert.effects, alert.severity, **details)  # type: ignore[arg-type]
        return Step(alert, (*self.effects, effect))
