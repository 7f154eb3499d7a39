"""Everything that is kept of one alert, put together for whoever opens it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from engine.alerting.alert_lookup import standing_for
from engine.alerting.alert_message import AlertMessage
from engine.alerting.alert_rows import AlertRow, peek_row
from engine.alerting.effects import Effect, EffectKind, Why
from engine.alerting.messages import message_of
from engine.alerting.rule_words import rule_of
from engine.alerting.rules import Rule
from engine.alerting.shipped import rules_of
from engine.alerting.silences import list_silences
from engine.alerting.silencing import Scope, scopes_of
from engine.alerting.stepping import by_id, facts_of
from engine.alerting.telling import Telling
from engine.alerting.value_history import ValueHistory, value_history
from engine.document.schema import GovernanceDocument
from engine.ledger.queries.alerts import AlertLine, Notification, alert_notifications, find_alert
from engine.ledger.queries.on_call import AlertAct, alert_acts


@dataclass(frozen=True, slots=True)
class OpenedAlert:
    """One alert. `message` is what people would be told of it now; `hidden` and `instead` are sentences."""

    line: AlertLine
    row: AlertRow
    rule: Rule
    rule_in_force: bool
    message: AlertMessage
    history: ValueHistory
    told: tuple[Notification, ...]
    acts: tuple[AlertAct, ...]
    scopes: tuple[Scope, ...]
    silence_id: str | None = None
    """The silence that hides it."""
    hidden: str = ""
    instead: tuple[str, str] | None = None
    """Id and title of the alert that was told instead of a superseded one."""


def open_alert(
    connection: Connection, document: GovernanceDocument, alert_id: str, *, now: datetime, dashboard_url: str
) -> OpenedAlert | None:
    """One alert of the document's organization, whatever its state; None for an unknown one."""
    org_id = document.organization
    line, row = find_alert(connection, org_id, alert_id), peek_row(connection, org_id, alert_id)
    if line is None or row is None:
        return None
    rules = by_id(rules_of(document.alerts))
    rule = rule_of(line, rules)
    # A message that nobody is sent: what a card in Slack would say now.
    effect = Effect(
        EffectKind.PARENT_EDIT, Why.VALUE_MOVED, now, row.alert.episode, row.alert.effects, row.alert.severity,
        ending=row.alert.ending,
    )  # fmt: skip
    telling = Telling(org_id, alert_id, row.title, rule, row.alert, effect, row.labels, row.facts, now)
    told = tuple(alert_notifications(connection, org_id, alert_id))
    higher = standing_for(connection, org_id, line, rules.values())
    labels = dict(facts_of(row, rules, document).labels)
    labels.pop("organization")
    return OpenedAlert(
        line,
        row,
        rule,
        rules.get(line.rule_id) is rule,
        message_of(connection, telling, document, dashboard_url=dashboard_url),
        value_history(connection, telling, document, told),
        told,
        tuple(alert_acts(connection, org_id, alert_id)),
        tuple(scopes_of(line.rule_id, labels)),
        line.hidden_source if line.hidden_by == "silenced" else None,
        _hidden(connection, org_id, line, now),
        None if higher is None else (higher.alert_id, higher.title),
    )


def _hidden(connection: Connection, org_id: str, line: AlertLine, now: datetime) -> str:
    """`Silenced by dana until 14:20 UTC: load test`; empty where nothing hides it."""
    if line.hidden_by is None:
        return ""
    if line.hidden_by == "silenced":
        running = list_silences(connection, org_id, now=now)
        silence = next((each for each in running if each.silence_id == line.hidden_source), None)
        if silence is None:
            return "The silence that hid it is over; it is told within moments"
        return f"Silenced by {silence.author} until {silence.end:%d %b, %H:%M} UTC: {silence.reason}"
    other = find_alert(connection, org_id, line.hidden_source or "")
    return "Hidden: another alert says it already" + ("" if other is None else f": {other.title}")
