"""What happens to alerts by time alone: repeats, escalation, acknowledgements and silences that end, rules that go."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from sqlalchemy import Connection

from engine.alerting.alert import Ending
from engine.alerting.alert_rows import LIVE_STATES, SUPERSEDED, AlertRow, locked_row, peek_rows, update_row
from engine.alerting.announcing import Office
from engine.alerting.lifecycle import advance, end
from engine.alerting.rules import Rule
from engine.alerting.shipped import rules_of
from engine.alerting.stepping import Quiet, by_id, signature_of, take_step
from engine.document.store import live_document, live_version
from engine.ledger.database import Database


def pass_time(database: Database, org_id: str, *, dashboard_url: str, now: datetime) -> int:
    """Let time pass for every alert of an organization; how many changed.

    An alert is locked only when something has to happen to it, and then looked at once more.
    """
    with database.read() as connection:
        if live_version(connection, org_id) is None:
            return 0
        document = live_document(connection, org_id).document
        rules = by_id(rules_of(document.alerts))
        quiet = Quiet.read(connection, document, now)
        live = peek_rows(connection, org_id, (*LIVE_STATES, SUPERSEDED))
    due = [row.alert_id for row in live if _changes(row, rules, quiet, now)]
    office = Office(document, dashboard_url)
    changed = 0
    for alert_id in due:
        with database.write() as connection:
            row = locked_row(connection, org_id, alert_id)
            if row is not None and row.state in (*LIVE_STATES, SUPERSEDED):
                changed += _pass(connection, row, rules, quiet, office, now)
    return changed


def _changes(row: AlertRow, rules: dict[str, Rule], quiet: Quiet, now: datetime) -> bool:
    rule = rules.get(row.rule_id)
    if rule is None or _is_another(row, rule):
        return True
    if row.state == SUPERSEDED:
        return False
    hidden = quiet.hides(row, rule, now)
    step = advance(row.alert, None, now, rule, hidden)
    return hidden != row.hidden or step.alert != row.alert or bool(step.effects)


def _pass(
    connection: Connection, row: AlertRow, rules: dict[str, Rule], quiet: Quiet, office: Office, now: datetime
) -> bool:
    rule = rules.get(row.rule_id)
    if rule is None or _is_another(row, rule):
        why = Ending.RULE_REMOVED if rule is None else Ending.RULE_CHANGED
        return _end_without_rule(connection, row, why, office, now)
    hidden = quiet.hides(row, rule, now)
    step = advance(row.alert, None, now, rule, hidden)
    return take_step(connection, row, step, rule, office, now, hidden=hidden)


def _is_another(row: AlertRow, rule: Rule) -> bool:
    """Whether the rule of this id watches something else now. Rows of before version 0006 do not say."""
    known: str | None = row.facts.get("signature")
    return known is not None and known != signature_of(rule)


def _end_without_rule(connection: Connection, row: AlertRow, why: Ending, office: Office, now: datetime) -> bool:
    """The document has turned the rule off, no longer has it, or has another one of its name."""
    if row.state == SUPERSEDED:
        over = replace(row.alert, ending=why, resolved_at=now)
        update_row(connection, replace(row, alert=over, state="resolved"))
        return True
    gone = Rule(row.rule_id, row.facts["metric"], Decimal(row.facts["threshold"]), severity=row.alert.severity)
    step = end(row.alert, now, why)
    return take_step(connection, row, step, gone, office, now)
