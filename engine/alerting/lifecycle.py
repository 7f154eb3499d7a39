"""The life of an alert: a pure function from what it was, what is observed and the time to what it is and what follows.

1. An acknowledgement that is too old ends.
2. The observation moves the state: inactive -> pending -> firing -> recovering -> resolved, and round again.
3. Whoever has to be told by now is told, unless the alert is silenced or inhibited.

An observation at or before the newest one changes nothing, so that an evaluation made twice is as one. Without an
observation only time passes: 1 and 3.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum, auto
from typing import NamedTuple

from engine.alerting.alert import Alert, Ending, Failed, Hidden, Measured, NoData, Observation, State
from engine.alerting.attention import attended, without_old_ack
from engine.alerting.effects import EffectKind, Step, Why
from engine.alerting.rules import RANKS, Rule
from engine.document.alert_rules import Severity


class _Verdict(Enum):
    BREACH = auto()
    BETWEEN = auto()
    """No breach, and not good enough to begin recovering."""
    CLEAR = auto()
    UNKNOWN = auto()
    """Everything stays as it is."""


class _Reading(NamedTuple):
    verdict: _Verdict
    value: Decimal | None = None
    severity: Severity = "info"


def advance(
    alert: Alert, observation: Observation | None, now: datetime, rule: Rule, hidden: Hidden | None = None
) -> Step:
    """One step in the life of an alert. `now` is the end of the slot that was evaluated, or the clock without one.

    `hidden` says that a silence or another alert keeps it from people for now. A first message that was kept from
    them is made up for once that ends, if the alert still fires.
    """
    step = without_old_ack(Step(alert), now)
    if observation is not None and (alert.seen_at is None or now > alert.seen_at):
        step = _observed(step, observation, now, rule, hidden)
    return attended(step, now, rule, hidden)


def fire(alert: Alert, value: Decimal | None, now: datetime, rule: Rule, hidden: Hidden | None = None) -> Step:
    """A latched threshold was crossed, by whoever knows its budget: the alert fires, unless it does already.

    From then on `advance` brings its value up to date, escalates, and takes acknowledgements into account.
    """
    if alert.is_open:
        return Step(alert)
    step = Step(alert).changed(seen_at=now, no_data_since=None, value=value)
    return attended(_fired(step, rule.severity, now, hidden), now, rule, hidden)


def end(alert: Alert, now: datetime, why: Ending) -> Step:
    """The alert is over for another reason than its value: its period, budget or rule is gone."""
    if alert.is_open:
        return _resolved(Step(alert), now, why)
    if alert.state is State.PENDING:
        return Step(alert).changed(state=State.INACTIVE, since=now)
    return Step(alert)


def _observed(step: Step, observation: Observation, now: datetime, rule: Rule, hidden: Hidden | None) -> Step:
    if isinstance(observation, Failed):
        return step
    step = step.changed(seen_at=now)
    if isinstance(observation, NoData):
        step = _without_data(step, now, rule, hidden)
    else:
        step = step.changed(no_data_since=None, value=observation.value)
    return _moved(step, _read(observation, rule), now, rule, hidden)


def _without_data(step: Step, now: datetime, rule: Rule, hidden: Hidden | None) -> Step:
    if rule.no_data == "zero":
        # Nothing happened is what was measured.
        return step.changed(no_data_since=None, value=Decimal(0))
    if step.alert.no_data_since is not None:
        return step
    step = step.changed(no_data_since=now)
    if not step.alert.is_open or not step.alert.told:
        return step
    return step.also(EffectKind.THREAD_REPLY, Why.NO_DATA, now, hidden=hidden)


def _read(observation: Measured | NoData, rule: Rule) -> _Reading:
    """What an observation means to the rule."""
    if isinstance(observation, NoData):
        return _without_value(rule, alert_too=True)
    if observation.samples is not None and observation.samples < rule.min_samples:
        # Too few are not none at all: a rule that alerts without data holds here.
        return _without_value(rule, alert_too=False)
    return _judged(observation.value, observation.severity or rule.severity, rule)


def _without_value(rule: Rule, *, alert_too: bool) -> _Reading:
    match rule.no_data:
        case "zero":
            return _judged(Decimal(0), rule.severity, rule)
        case "alert" if alert_too:
            return _Reading(_Verdict.BREACH, None, rule.severity)
        case "hold" | "alert":
            return _Reading(_Verdict.UNKNOWN)


def _judged(value: Decimal, severity: Severity, rule: Rule) -> _Reading:
    if rule.breached_by(value):
        return _Reading(_Verdict.BREACH, value, severity)
    return _Reading(_Verdict.CLEAR if rule.cleared_by(value) else _Verdict.BETWEEN, value)


def _moved(step: Step, reading: _Reading, now: datetime, rule: Rule, hidden: Hidden | None) -> Step:
    if reading.verdict is _Verdict.UNKNOWN:
        return step
    if reading.verdict is _Verdict.BREACH:
        return _breached(step, reading, now, rule, hidden)
    return _not_breached(step, reading.verdict, now, rule)


def _breached(step: Step, reading: _Reading, now: datetime, rule: Rule, hidden: Hidden | None) -> Step:
    state = step.alert.state
    match state:
        case State.INACTIVE | State.RESOLVED:
            return _begun(step, reading, now, rule, hidden)
        case State.PENDING:
            return _fired_when_held(step, reading, now, rule, hidden)
        case State.FIRING:
            return _with_severity(step, reading.severity, now, hidden)
        case State.RECOVERING:
            step = step.changed(state=State.FIRING, since=now, flaps=step.alert.flaps + 1)
            step = step.also(EffectKind.FLAP, Why.BREACHED_AGAIN, now)
            return _with_severity(step, reading.severity, now, hidden)


def _not_breached(step: Step, verdict: _Verdict, now: datetime, rule: Rule) -> Step:
    state = step.alert.state
    match state:
        case State.INACTIVE | State.RESOLVED:
            return step
        case State.PENDING:
            step = step.changed(state=State.INACTIVE, since=now, near_misses=step.alert.near_misses + 1)
            return step.also(EffectKind.NEAR_MISS, Why.CLEARED_TOO_SOON, now)
        case State.FIRING:
            # What is latched stays so until its period or budget changes.
            if rule.kind == "latched" or verdict is not _Verdict.CLEAR:
                return step
            return _resolved_when_held(step.changed(state=State.RECOVERING, since=now), now, rule)
        case State.RECOVERING:
            # Once it was clear, only a breach makes it fire again; a value in between does not.
            return _resolved_when_held(step, now, rule)


def _begun(step: Step, reading: _Reading, now: datetime, rule: Rule, hidden: Hidden | None) -> Step:
    if rule.kind == "latched" and step.alert.ending is Ending.PERIOD_ENDED:
        # Over by the clock of another worker, which is a little ahead of ours.
        return step
    return _fired_when_held(step.changed(state=State.PENDING, since=now), reading, now, rule, hidden)


def _fired_when_held(step: Step, reading: _Reading, now: datetime, rule: Rule, hidden: Hidden | None) -> Step:
    if _time_in_state(step.alert, now) < rule.hold:
        return step
    return _fired(step, reading.severity, now, hidden)


def _fired(step: Step, severity: Severity, now: datetime, hidden: Hidden | None) -> Step:
    before = step.alert
    # A new episode: nobody was told of it, and nobody has taken it on.
    fired = Alert(
        state=State.FIRING,
        since=now,
        seen_at=before.seen_at,
        episode=before.episode + 1,
        severity=severity,
        value=before.value,
        fired_at=now,
        no_data_since=before.no_data_since,
        near_misses=before.near_misses,
    )
    step = Step(fired, step.effects)
    if hidden is None:
        return step
    return step.also(EffectKind.FIRST_MESSAGE, Why.BREACHED, now, hidden=hidden)


def _with_severity(step: Step, severity: Severity, now: datetime, hidden: Hidden | None) -> Step:
    alert = step.alert
    if severity == alert.severity:
        return step
    rises = RANKS[severity] > RANKS[alert.severity]
    step = step.changed(severity=severity)
    if rises:
        step = step.changed(ack=None, waiting_since=now, escalated=0)
    if alert.told_severity is None:
        return step
    if rises and hidden is not None:
        step = step.also(EffectKind.THREAD_REPLY, Why.SEVERITY_ROSE, now, broadcast=True, hidden=hidden)
    if not rises and RANKS[severity] < RANKS[alert.told_severity]:
        # The next rise is news again.
        step = step.changed(told_severity=severity)
    return step.also(EffectKind.PARENT_EDIT, Why.SEVERITY_ROSE if rises else Why.SEVERITY_FELL, now)


def _resolved_when_held(step: Step, now: datetime, rule: Rule) -> Step:
    if _time_in_state(step.alert, now) < rule.keep_firing_for:
        return step
    return _resolved(step, now, Ending.CLEARED)


def _resolved(step: Step, now: datetime, why: Ending) -> Step:
    fired_at = step.alert.fired_at
    step = step.changed(
        state=State.RESOLVED, since=now, resolved_at=now, ending=why, ack=None, waiting_since=None, escalated=0
    )
    if not step.alert.told:
        # Of what nobody heard of, nobody needs to hear that it is over.
        return step
    lasted = None if fired_at is None else now - fired_at
    step = step.also(EffectKind.PARENT_EDIT, Why.OVER, now, ending=why)
    return step.also(EffectKind.RESOLVE_LINE, Why.OVER, now, ending=why, lasted=lasted)


def _time_in_state(alert: Alert, now: datetime) -> timedelta:
    return timedelta(0) if alert.since is None else now - alert.since
