"""From what happens in an alert's life to notifications: which channels hear of it, and how.

1. A first message is posted to the channels of the alert's routes. Urgent ones leave at once; the others wait a moment
   for more of their rule.
2. All that follows goes to where the first message went: into its thread, or on top of it.
3. What calls nobody stays away from mailboxes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection, select

from engine.alerting.action import Action
from engine.alerting.alert_message import AlertMessage
from engine.alerting.alert_rows import AlertRow
from engine.alerting.effects import COUNTED, Effect, EffectKind, Why
from engine.alerting.grouping import is_urgent
from engine.alerting.messages import message_of
from engine.alerting.outbox import DIGEST, LOG, Receiver, enqueue
from engine.alerting.receivers import Concerns, channels_of
from engine.alerting.rules import Rule
from engine.alerting.telling import Telling
from engine.document.alert_rules import RouteName
from engine.document.schema import AlertsSpec, GovernanceDocument
from engine.ledger.tables import outbox

MAILED = frozenset((EffectKind.FIRST_MESSAGE, EffectKind.RESOLVE_LINE, EffectKind.REPEAT))
"""An escalation mentions again in the channel first; mailboxes are its second step."""
MOST_CHANNELS = 200


@dataclass(frozen=True, slots=True)
class Office:
    """What every message of an organization needs: its document, and where its pages are."""

    document: GovernanceDocument
    dashboard_url: str


@dataclass(frozen=True, slots=True)
class Told:
    """A channel that has heard of the alert, and the notification that began it there."""

    receiver: Receiver
    first_notification_id: str
    in_digest: bool = False
    """Together with others of its rule, so that a reply must say which it is about."""


def announce(
    connection: Connection, row: AlertRow, rule: Rule, effects: Iterable[Effect], office: Office, now: datetime
) -> int:
    """Queue what is to be told of `effects`, in the caller's transaction; how many notifications were new."""
    return sum(
        _announce(connection, row, rule, effect, office, now) for effect in effects if effect.kind not in COUNTED
    )


def receivers_of(alerts: AlertsSpec, names: Iterable[str]) -> list[Receiver]:
    """Channels of the document by name."""
    found = ((name, alerts.channels[name]) for name in names)
    return [Receiver(name, spec.kind, spec.target, spec.mention) for name, spec in found]


def routes_of(rule: Rule, row: AlertRow) -> tuple[RouteName, ...]:
    """The routes of an alert: its rule's, and those of lower thresholds that its one message also stands for."""
    return tuple(row.facts.get("routes", (rule.route,)))


def _announce(
    connection: Connection, row: AlertRow, rule: Rule, effect: Effect, office: Office, now: datetime
) -> int:  # fmt: skip
    ways = _ways(connection, row, rule, effect, office.document.alerts)
    if not ways:
        return 0
    telling = Telling(row.org_id, row.alert_id, row.title, rule, row.alert, effect, row.labels, row.facts, now)
    message = message_of(connection, telling, office.document, dashboard_url=office.dashboard_url)
    return sum(
        enqueue(
            connection,
            org_id=row.org_id,
            alert_id=row.alert_id,
            channel=way.receiver,
            action=way.action,
            dedupe_key="|".join((row.alert_key, str(effect.episode), str(effect.number), way.receiver.name)),
            message=_calling(replace(message, brief=message.brief and not way.whole), way.receiver, effect),
            now=now,
            first_notification_id=way.first_notification_id,
            group_key=_group_of(row, rule, effect, way.receiver),
            suppressed=None if effect.hidden is None else f"{effect.hidden.by.value}: {effect.hidden.source}",
        )
        is not None
        for way in ways
    )


@dataclass(frozen=True, slots=True)
class _Way:
    """To whom, and how. `whole`: nothing above it says which alert it is about."""

    receiver: Receiver
    action: Action = Action.POST
    first_notification_id: str | None = None
    whole: bool = True


def _ways(connection: Connection, row: AlertRow, rule: Rule, effect: Effect, alerts: AlertsSpec) -> list[_Way]:
    if effect.kind is EffectKind.FIRST_MESSAGE:
        return [_Way(receiver) for receiver in _receivers(row, routes_of(rule, row), alerts)]
    if effect.kind is EffectKind.ESCALATION and effect.step > 1:
        return [_Way(receiver) for receiver in _receivers(row, ("escalation",), alerts) if receiver is not LOG]
    told = told_channels(connection, row.alert_id, alerts)
    if effect.kind is EffectKind.PARENT_EDIT:
        return [_Way(each.receiver, Action.EDIT, each.first_notification_id) for each in told if _edits(each)]
    new: list[_Way] = []
    if effect.why is Why.SEVERITY_ROSE:
        # Whoever hears of what is so bad, and has not heard of it while it was not.
        places = {(each.receiver.kind, each.receiver.target) for each in told}
        receivers = _receivers(row, routes_of(rule, row), alerts)
        new = [_Way(receiver) for receiver in receivers if (receiver.kind, receiver.target) not in places]
    calls = effect.broadcast or effect.kind in (EffectKind.REPEAT, EffectKind.ESCALATION)
    action = Action.BROADCAST if calls else Action.REPLY
    mailed = effect.kind in MAILED or effect.why is Why.SEVERITY_ROSE
    return new + [
        _Way(each.receiver, action, each.first_notification_id, whole=each.in_digest)
        for each in told
        # Of what left in a digest mailboxes hear no more one by one.
        if (mailed and not each.in_digest) or each.receiver.kind != "email"
    ]


def told_channels(connection: Connection, alert_id: str, alerts: AlertsSpec) -> list[Told]:
    """Where messages about an alert have begun, each channel once. Whom a channel mentions is the document's to say."""
    rows = connection.execute(
        select(outbox.c.notification_id, outbox.c.channel, outbox.c.channel_type, outbox.c.target, outbox.c.state,
               outbox.c.error)
        .where(outbox.c.alert_id == alert_id, outbox.c.action == Action.POST)
        .order_by(outbox.c.created_at, outbox.c.notification_id)
        .limit(MOST_CHANNELS)
    )  # fmt: skip
    found: dict[tuple[str, str], Told] = {}
    for row in rows:
        first, in_digest = row.notification_id, row.state == "suppressed"
        if in_digest:
            if not (row.error or "").startswith(DIGEST):
                continue
            first = row.error.removeprefix(DIGEST)
        spec = alerts.channels.get(row.channel)
        receiver = Receiver(row.channel, row.channel_type, row.target, None if spec is None else spec.mention)
        found.setdefault((row.channel_type, row.target), Told(receiver, first, in_digest))
    return list(found.values())


def _receivers(row: AlertRow, routes: Sequence[RouteName], alerts: AlertsSpec) -> list[Receiver]:
    labels = row.labels
    concerns = Concerns(labels.get("owner"), labels.get("team"), labels.get("provider"))
    found = receivers_of(alerts, channels_of(alerts, routes, concerns))
    # For information, pages are enough.
    return found or ([] if row.alert.severity == "info" else [LOG])


def _edits(told: Told) -> bool:
    return told.receiver.kind == "slack"


def _calling(message: AlertMessage, receiver: Receiver, effect: Effect) -> AlertMessage:
    """Who is mentioned: guide, Alert Thresholds: critical pages the on-call, a warning does not."""
    calls = effect.kind in (EffectKind.FIRST_MESSAGE, EffectKind.REPEAT, EffectKind.ESCALATION) or effect.broadcast
    return replace(message, mention=receiver.mention if calls and effect.severity == "critical" else None)


def _group_of(row: AlertRow, rule: Rule, effect: Effect, receiver: Receiver) -> str | None:
    urgent = is_urgent(effect.severity, rule.kind)
    if effect.kind is not EffectKind.FIRST_MESSAGE or urgent or effect.hidden is not None:
        return None
    # A channel of the same name may be another place in the next version of the document.
    place = hashlib.sha256(f"{receiver.kind} {receiver.target}".encode()).hexdigest()[:16]
    return "|".join((row.org_id, rule.rule_id, receiver.name, place))
