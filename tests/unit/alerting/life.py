"""A clock, a rule and an alert to step through: what the tests of the lifecycle are written with."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from engine.alerting.alert import Alert, Failed, Hidden, HiddenBy, NoData, Observation, State, observed
from engine.alerting.attention import NotAcknowledged, acknowledge
from engine.alerting.effects import Effect
from engine.alerting.lifecycle import advance
from engine.alerting.rules import Number, Rule
from engine.document.alert_rules import Severity

START = datetime(2026, 11, 23, 9, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
SILENCED = Hidden(HiddenBy.SILENCED, "s-1")

RULE = Rule(
    "policy_deny",
    "policy_deny_count",
    Decimal(50),
    ">",
    keep_firing_for=timedelta(minutes=5),
    no_data="hold",
    severity="warning",
)


class Life:
    """One alert through time. Each step is at the current time; `wait` moves it."""

    def __init__(self, **rule: Any) -> None:
        self.rule = replace(RULE, **rule)
        self.alert = Alert()
        self.now = START
        self.hidden: Hidden | None = None
        self.all: list[Effect] = []

    def is_now(self, state: State) -> bool:
        return self.alert.state is state

    def wait(self, time: timedelta) -> Life:
        self.now += time
        return self

    def sees(self, value: Number | None, *, samples: int | None = None, severity: Severity | None = None) -> list[str]:
        return self.meets(observed(value, samples=samples, severity=severity))

    def meets(self, observation: Observation | None) -> list[str]:
        step = advance(self.alert, observation, self.now, self.rule, self.hidden)
        return self._keep(step.alert, step.effects)

    def no_data(self) -> list[str]:
        return self.meets(NoData())

    def fails(self) -> list[str]:
        return self.meets(Failed("no such table"))

    def time_passes(self) -> list[str]:
        return self.meets(None)

    def acked(self, by: str = "ann") -> list[str]:
        step = acknowledge(self.alert, by, self.now)
        assert not isinstance(step, NotAcknowledged)
        return self._keep(step.alert, step.effects)

    def fired(self, value: Number = 51, **what: Any) -> Life:
        """Make it fire, now."""
        self.sees(value, **what)
        assert self.alert.state == "firing"
        return self

    def _keep(self, alert: Alert, effects: tuple[Effect, ...]) -> list[str]:
        self.alert = alert
        self.all += effects
        return [shown(effect) for effect in effects]


def shown(effect: Effect) -> str:
    """`thread_reply+broadcast severity_rose`, with what makes it special."""
    marks = ("+broadcast" if effect.broadcast else "") + (f"+{effect.step}" if effect.step else "")
    hidden = "" if effect.hidden is None else f" ({effect.hidden.by})"
    return f"{effect.kind}{marks} {effect.why}{hidden}"
