"""Whom an open alert still has to call, and who has taken it on: first message, rise, escalation, repeat. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from engine.alerting.alert import Ack, Alert, Hidden, State
from engine.alerting.effects import EffectKind, Step, Why
from engine.alerting.rules import RANKS, Rule
from engine.document.alert_rules import Severity

ACK_LASTS = timedelta(hours=24)
ESCALATE_AFTER = (timedelta(minutes=15), timedelta(minutes=30))
"""Without an acknowledgement: the mention again in the channel, then e-mail and webhook."""
REPEAT_AFTER: Mapping[Severity, timedelta] = {"critical": timedelta(hours=4), "warning": timedelta(hours=24)}
"""What is for information is never repeated."""


@dataclass(frozen=True, slots=True)
class NotAcknowledged:
    """Why an acknowledgement changes nothing."""

    reason: str


def acknowledge(alert: Alert, by: str, now: datetime) -> Step | NotAcknowledged:
    """Somebody takes the alert on: no repeats and no escalation until it gets worse, or for 24 hours."""
    if not alert.is_open:
        return NotAcknowledged(f"the alert is {alert.state}; only one that fires can be acknowledged")
    if alert.ack is not None and now - alert.ack.at < ACK_LASTS:
        return NotAcknowledged(f"{alert.ack.by} has acknowledged it already")
    step = Step(alert).changed(ack=Ack(by, now), waiting_since=None, escalated=0)
    if not alert.told:
        return step
    step = step.also(EffectKind.PARENT_EDIT, Why.ACKNOWLEDGED, now, by=by)
    return step.also(EffectKind.THREAD_REPLY, Why.ACKNOWLEDGED, now, by=by)


def without_old_ack(step: Step, now: datetime) -> Step:
    """An acknowledgement ends after 24 hours, and somebody has to take the alert on again."""
    ack = step.alert.ack
    if ack is None or not step.alert.is_open or now - ack.at < ACK_LASTS:
        return step
    step = step.changed(ack=None, waiting_since=now, escalated=0)
    return step.also(EffectKind.PARENT_EDIT, Why.ACK_ENDED, now) if step.alert.told else step


def attended(step: Step, now: datetime, rule: Rule, hidden: Hidden | None) -> Step:
    """Tell whoever has to be told by now. At most one message that calls, besides those of an escalation."""
    alert = step.alert
    if alert.state is not State.FIRING or hidden is not None:
        return step
    if alert.told_severity is None:
        return _told(step, EffectKind.FIRST_MESSAGE, _why_first(step, now), now)
    if RANKS[alert.severity] > RANKS[alert.told_severity]:
        return _told(step, EffectKind.THREAD_REPLY, Why.SEVERITY_ROSE, now, broadcast=True)
    if alert.ack is None:
        calls = _escalated(step, now)
        step = _repeated(step, now, rule) if calls is step else calls
    return _updated(step, now, rule)


def _why_first(step: Step, now: datetime) -> Why:
    if step.alert.fired_at != now:
        return Why.NO_LONGER_HIDDEN
    return Why.NO_DATA if step.alert.no_data_since is not None else Why.BREACHED


def _told(step: Step, kind: EffectKind, why: Why, now: datetime, *, broadcast: bool = False) -> Step:
    """People are called, and their time to acknowledge begins."""
    acked = step.alert.ack is not None
    told = step.changed(
        told_severity=step.alert.severity,
        told_at=now,
        waiting_since=None if acked else now,
        escalated=0,
        updated_at=now,
        updated_value=step.alert.value,
    )
    return told.also(kind, why, now, broadcast=broadcast)


def _escalated(step: Step, now: datetime) -> Step:
    if step.alert.severity != "critical" or step.alert.waiting_since is None:
        return step
    waited = now - step.alert.waiting_since
    for number, after in enumerate(ESCALATE_AFTER, start=1):
        if step.alert.escalated < number and waited >= after:
            step = step.changed(escalated=number, told_at=now)
            step = step.also(EffectKind.ESCALATION, Why.NOT_ACKNOWLEDGED, now, step=number)
    return step


def _repeated(step: Step, now: datetime, rule: Rule) -> Step:
    # Of what is latched people are told once: a budget that stays used up is no news.
    after = REPEAT_AFTER.get(step.alert.severity) if rule.kind == "level" else None
    told_at = step.alert.told_at
    if after is None or told_at is None or now - told_at < after:
        return step
    return step.changed(told_at=now).also(EffectKind.REPEAT, Why.STILL_FIRING, now)


def _updated(step: Step, now: datetime, rule: Rule) -> Step:
    alert = step.alert
    if rule.update_every is None or alert.updated_at is None or now - alert.updated_at < rule.update_every:
        return step
    if alert.value == alert.updated_value:
        return step
    step = step.changed(updated_at=now, updated_value=alert.value)
    return step.also(EffectKind.THREAD_REPLY, Why.VALUE_MOVED, now)
