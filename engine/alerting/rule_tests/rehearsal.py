"""Alerts that live on paper: the real steps of their lives, at times of our choosing, and who would have been told.

Who would be told follows the same rules as in earnest: routes and owners, silences, and the short wait of what is not
urgent. Messages leave the moment they may. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from engine.alerting.alert import Alert, Failed, Hidden, Measured, Observation, State
from engine.alerting.announcing import MAILED
from engine.alerting.attention import NotAcknowledged, acknowledge
from engine.alerting.effects import Effect, EffectKind, Step, Why
from engine.alerting.grouping import WAIT, Waiting, departures
from engine.alerting.lifecycle import advance
from engine.alerting.measuring.labels import labels_about
from engine.alerting.outbox import LOG
from engine.alerting.quieting import AlertFacts, Silence, hidden_by
from engine.alerting.receivers import Concerns, channels_of
from engine.alerting.rule_health import RuleHealth, health_after
from engine.alerting.rules import Rule
from engine.document.alert_rules import RouteName, Severity
from engine.document.schema import GovernanceDocument


@dataclass
class Told:
    """A message that would have left. `to` are names of channels."""

    at: datetime
    kind: str
    rule_id: str
    severity: Severity
    why: str
    group: Mapping[str, str] = field(default_factory=dict)
    to: list[str] = field(default_factory=list)
    number: int = 1
    """How many alerts it is about: of a digest, more than one."""


@dataclass
class Subject:
    """One alert of the rehearsal."""

    key: str
    rule: Rule
    routes: tuple[RouteName, ...]
    group: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    alert: Alert = field(default_factory=Alert)
    superseded: bool = False
    history: list[tuple[datetime, str, Severity]] = field(default_factory=list)
    """Its state and severity from each time on at which one of them changed."""
    effects: list[Effect] = field(default_factory=list)
    peaks: dict[int, Decimal] = field(default_factory=dict)
    """Episode -> the worst value while it was open."""
    told_in: dict[int, list[str]] = field(default_factory=dict)
    """Episode -> the channels in which its messages have begun."""

    @property
    def state(self) -> str:
        """As `history` has it."""
        return "superseded" if self.superseded else self.alert.state.value

    def at(self, instant: datetime) -> tuple[str, Severity, datetime | None]:
        """State and severity at a time, and since when."""
        found: tuple[str, Severity, datetime | None] = (State.INACTIVE.value, self.rule.severity, None)
        for since, state, severity in self.history:
            if since > instant:
                break
            found = (state, severity, since)
        return found

    def note(self, now: datetime) -> None:
        """Keep what changed."""
        last = self.history[-1][1:] if self.history else (State.INACTIVE.value, self.alert.severity)
        if (self.state, self.alert.severity) != last:
            self.history.append((now, self.state, self.alert.severity))
        value, episode = self.alert.value, self.alert.episode
        if self.alert.is_open and value is not None:
            known = self.peaks.setdefault(episode, value)
            self.peaks[episode] = max(known, value) if self.rule.rises else min(known, value)


@dataclass
class _Queued:
    waiting: Waiting
    subject: Subject
    told: Told


class Rehearsal:
    """The alerts of one organization, their silences, and the messages that left."""

    def __init__(self, document: GovernanceDocument) -> None:
        self.document = document
        self.silences: list[Silence] = []
        self.subjects: dict[str, Subject] = {}
        self._told: list[Told] = []
        self._queued: dict[str, list[_Queued]] = {}
        self._health: dict[str, RuleHealth] = {}

    @property
    def told(self) -> list[Told]:
        """What left, oldest first."""
        return sorted(self._told, key=lambda told: told.at)

    def labels(self, group: Mapping[str, str]) -> dict[str, str]:
        """What an alert of a group is about: the group, and of an agent what the document knows of it."""
        return labels_about(self.document, group)

    def observe(self, subject: Subject, observation: Observation | None, now: datetime) -> None:
        """One evaluation, or with None only time that passes."""
        self.take(subject, advance(subject.alert, observation, now, subject.rule, self.hidden(subject, now)), now)

    def time_passes(self, now: datetime) -> None:
        """Whoever has to be called by now is called."""
        self.depart(now)
        for subject in self.subjects.values():
            if subject.alert.is_open:
                self.observe(subject, None, now)

    def acknowledge(self, by: str, now: datetime) -> str | None:
        """All open alerts are taken on; a sentence when that changes nothing."""
        refused = "there is no open alert to acknowledge"
        done = False
        for subject in self.subjects.values():
            if not subject.alert.is_open or subject.superseded:
                continue
            step = acknowledge(subject.alert, by, now)
            if isinstance(step, NotAcknowledged):
                refused = step.reason
                continue
            self.take(subject, step, now)
            done = True
        return None if done else refused

    def evaluated(self, rule: Rule, now: datetime, error: str | None = None) -> None:
        """A rule was evaluated, or could not be: the on-call hears of that after a few times."""
        observation: Observation = Measured(Decimal(0)) if error is None else Failed(error)
        health, news = health_after(self._health.get(rule.rule_id, RuleHealth()), observation, now)
        self._health[rule.rule_id] = health
        if news is not None:
            to = list(channels_of(self.document.alerts, ("critical",))) or [LOG.name]
            self._told.append(Told(now, news.value, rule.rule_id, "critical", error or "over", to=to))

    def hidden(self, subject: Subject, now: datetime) -> Hidden | None:
        """Which silence hides it now."""
        rule, org_id = subject.rule, self.document.organization
        labels = {**subject.labels, "rule": rule.rule_id, "severity": rule.severity, "organization": org_id}
        return hidden_by(AlertFacts(subject.key, org_id, rule.rule_id, rule.metric, labels), self.silences, (), now)

    def take(self, subject: Subject, step: Step, now: datetime) -> None:
        """The alert is as after the step, and its messages are on their way."""
        subject.alert = step.alert
        subject.effects += step.effects
        subject.note(now)
        for effect in step.effects:
            if effect.tells and effect.kind is not EffectKind.PARENT_EDIT:
                self._tell(subject, effect)

    def depart(self, now: datetime) -> None:
        """What waited for others until now leaves, at its time."""
        for channel, queued in self._queued.items():
            while queued:
                look_at = min(item.waiting.since for item in queued) + WAIT
                if look_at > now:
                    break
                left = departures([item.waiting for item in queued], look_at)
                by_key = {item.waiting.key: item for item in queued}
                for waiting in left.single:
                    self._leave(by_key[waiting.key].told, channel, look_at)
                gone = {waiting.key for waiting in left.single}
                for digest in left.digests:
                    why = by_key[digest.keys[0]].told.why
                    number = len(digest.keys)
                    told = Told(look_at, "digest", digest.rule_id, digest.severity, why, to=[channel], number=number)
                    self._told.append(told)
                    gone |= set(digest.keys)
                queued[:] = [item for item in queued if item.waiting.key not in gone]

    def _tell(self, subject: Subject, effect: Effect) -> None:
        rule_id, why = subject.rule.rule_id, effect.why.value
        told = Told(effect.at, effect.kind.value, rule_id, effect.severity, why, subject.group)
        waiting = self._waiting(subject, effect)
        begun = subject.told_in.setdefault(effect.episode, [])
        for channel in self._channels(subject, effect):
            if effect.kind is EffectKind.FIRST_MESSAGE and not waiting.urgent:
                self._queued.setdefault(channel, []).append(_Queued(waiting, subject, told))
            else:
                # What follows waits for its first message.
                self._leave(told, channel, max(effect.at, self._leaves_at(subject, channel) or effect.at))
            if channel not in begun:
                begun.append(channel)

    def _leave(self, told: Told, channel: str, at: datetime) -> None:
        if not told.to:
            self._told.append(told)
        told.at = at
        told.to.append(channel)

    def _leaves_at(self, subject: Subject, channel: str) -> datetime | None:
        queued = self._queued.get(channel, [])
        if not any(item.subject is subject for item in queued):
            return None
        return min(item.waiting.since for item in queued if item.waiting.rule_id == subject.rule.rule_id) + WAIT

    def _channels(self, subject: Subject, effect: Effect) -> list[str]:
        """The route's for what begins a thread; what follows goes where that went."""
        alerts = self.document.alerts
        concerns = Concerns(subject.labels.get("owner"), subject.labels.get("team"), subject.labels.get("provider"))
        if effect.kind is EffectKind.FIRST_MESSAGE:
            found = list(channels_of(alerts, subject.routes, concerns))
            return found or ([] if effect.severity == "info" else [LOG.name])
        if effect.kind is EffectKind.ESCALATION and effect.step > 1:
            return list(channels_of(alerts, ("escalation",), concerns))
        mailed = effect.kind in MAILED or effect.why is Why.SEVERITY_ROSE
        return [name for name in subject.told_in.get(effect.episode, []) if mailed or not self._is_mail(name)]

    def _is_mail(self, channel: str) -> bool:
        spec = self.document.alerts.channels.get(channel)
        return spec is not None and spec.kind == "email"

    def _waiting(self, subject: Subject, effect: Effect) -> Waiting:
        value, threshold = subject.alert.value, subject.rule.threshold
        weight = Decimal(0) if value is None or not threshold else value / threshold
        rule = subject.rule
        org_id = self.document.organization
        key = f"{subject.key}|{effect.episode}"
        return Waiting(key, org_id, rule.rule_id, effect.severity, rule.kind, effect.at, weight)
