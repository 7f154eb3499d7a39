"""What people do to alerts: acknowledge them, silence them. Each leaves an entry in the audit log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection

from engine.alerting.alert_rows import locked_row, peek_rows
from engine.alerting.announcing import Office
from engine.alerting.attention import NotAcknowledged, acknowledge
from engine.alerting.quieting import Matcher, Silence
from engine.alerting.rules import Rule
from engine.alerting.shipped import rules_of
from engine.alerting.silences import end_row, insert_silence
from engine.alerting.stepping import by_id, facts_of, take_step
from engine.document.schema import GovernanceDocument
from engine.document.store import live_document
from engine.errors import BursarError, InvalidValue
from engine.ids import new_decision_id
from engine.ledger.audit import AuditEntry, record_audit
from engine.ledger.database import Database

LONGEST_NAME = 256


class AlertActionRefused(BursarError):
    """What was asked for is not possible; the sentence says why."""


def acknowledge_alert(
    database: Database, org_id: str, alert_id: str, *, by: str, now: datetime, dashboard_url: str, reason: str = ""
) -> str:
    """Take an alert on: no repeats and no escalation until it gets worse, or for 24 hours. Returns a sentence.

    `reason` goes into the audit log. Doing it twice changes nothing and says so. Raises `AlertActionRefused` for an
    alert that is unknown or over.
    """
    if not 0 < len(by.strip()) <= LONGEST_NAME:
        raise InvalidValue("by", f"must be 1 to {LONGEST_NAME} characters: who acknowledges")
    with database.write() as connection:
        row = locked_row(connection, org_id, alert_id)
        if row is None:
            raise AlertActionRefused(f"organization {org_id} has no alert {alert_id}")
        step = acknowledge(row.alert, by, now)
        if isinstance(step, NotAcknowledged):
            if row.alert.ack is not None and row.alert.is_open:
                return f"Nothing changed: {step.reason}."
            raise AlertActionRefused(step.reason)
        document = live_document(connection, org_id).document
        rule = _rule_of(document, row.rule_id)
        take_step(connection, row, step, rule, Office(document, dashboard_url), now, hidden=row.hidden)
        record_audit(
            connection, org_id, AuditEntry(now, by, "alert.acknowledge", alert_id, reason, {"title": row.title})
        )
    return f"{by} has acknowledged: {row.title}."


def add_silence(
    database: Database,
    org_id: str,
    matchers: Sequence[Matcher],
    *,
    start: datetime,
    end: datetime,
    author: str,
    reason: str,
    now: datetime,
) -> Silence:
    """Tell nobody of the alerts that all matchers fit, for a while. Raises `InvalidValue` naming the field."""
    silence = Silence(new_decision_id(), tuple(matchers), start, end, author, reason)
    with database.write() as connection:
        details = {"matchers": [f"{each.label}{each.comparison}{each.value}" for each in matchers],
                   "from": start.isoformat(), "to": end.isoformat()}  # fmt: skip
        record_audit(
            connection, org_id, AuditEntry(now, author, "alert.silence", silence.silence_id, reason, details)
        )  # fmt: skip
        insert_silence(connection, org_id, silence, now)
    return silence


def end_silence(database: Database, org_id: str, silence_id: str, *, by: str, now: datetime) -> None:
    """Let people hear again. Raises `AlertActionRefused` when no silence of this id is running or to come."""
    with database.write() as connection:
        if not end_row(connection, org_id, silence_id, by=by, now=now):
            raise AlertActionRefused(f"organization {org_id} has no silence {silence_id} that is not over")
        record_audit(connection, org_id, AuditEntry(now, by, "alert.end_silence", silence_id, "", {}))


def hides(connection: Connection, org_id: str, silence: Silence, now: datetime) -> list[str]:
    """The titles of the open alerts that a silence hides now."""
    return hidden_titles(connection, org_id, {"": silence.matchers} if silence.start <= now < silence.end else {}).get(
        "", []
    )


def hidden_titles(
    connection: Connection, org_id: str, matchers: Mapping[str, Sequence[Matcher]]
) -> dict[str, list[str]]:
    """Of each name the titles of the open alerts that all its matchers fit: what a silence of them would hide."""
    document = live_document(connection, org_id).document
    rules = by_id(rules_of(document.alerts))
    labels = [(row.title, facts_of(row, rules, document).labels) for row in peek_rows(connection, org_id)]
    return {
        name: [title for title, about in labels if all(each.matches(about) for each in wanted)]
        for name, wanted in matchers.items()
    }


def _rule_of(document: GovernanceDocument, rule_id: str) -> Rule:
    rule = by_id(rules_of(document.alerts)).get(rule_id)
    if rule is None:
        raise AlertActionRefused(f"its rule {rule_id} is no longer in force")
    return rule
