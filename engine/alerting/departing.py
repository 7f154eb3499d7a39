"""Let first messages leave that have waited for more of their rule: each by itself, or very many as one digest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, select

from engine.alerting.action import Action
from engine.alerting.alert_rows import locked_row, update_row
from engine.alerting.grouping import Digest, Waiting, departures
from engine.alerting.messages import digest_of
from engine.alerting.outbox import DIGEST, WaitingGroup, digest, release, waiting_groups, withhold
from engine.alerting.rules import Rule
from engine.alerting.shipped import rules_of
from engine.alerting.stepping import Quiet, by_id
from engine.document.schema import GovernanceDocument
from engine.document.store import live_document
from engine.ledger.database import Database
from engine.ledger.tables import alerts, outbox


def organizations_with_departures(database: Database, now: datetime) -> list[str]:
    """Whose first messages have waited long enough."""
    with database.read() as connection:
        return sorted({group.org_id for group in waiting_groups(connection, now)})


def depart(database: Database, org_id: str, *, dashboard_url: str, now: datetime) -> int:
    """Let every group of an organization leave whose time has come; how many.

    What has been silenced meanwhile, or what another alert says already, is kept back and told when that ends.
    """
    with database.read() as connection:
        groups = [group for group in waiting_groups(connection, now) if group.org_id == org_id]
        if not groups:
            return 0
        document = live_document(connection, org_id).document
        quiet = Quiet.read(connection, document, now)
    rules = by_id(rules_of(document.alerts))
    for group in groups:
        with database.write() as connection:
            _depart(connection, group, document, rules, quiet, dashboard_url, now)
    return len(groups)


def _depart(
    connection: Connection,
    group: WaitingGroup,
    document: GovernanceDocument,
    rules: Mapping[str, Rule],
    quiet: Quiet,
    dashboard_url: str,
    now: datetime,
) -> None:
    kept_back = _kept_back(connection, group, rules, quiet, now)
    leaving = replace(group, messages=tuple(each for each in group.messages if each.notification_id not in kept_back))
    messages = _waiting(connection, leaving)
    found = departures(messages, now)
    # What is left of an alert that is gone leaves by itself.
    known = {message.key for message in messages}
    alone = [each.notification_id for each in leaving.messages if each.notification_id not in known]
    release(connection, [*alone, *(message.key for message in found.single)], now)
    for each in found.digests:
        _send_digest(connection, leaving, each, document, dashboard_url, now)


def _kept_back(
    connection: Connection, group: WaitingGroup, rules: Mapping[str, Rule], quiet: Quiet, now: datetime
) -> set[str]:
    kept: set[str] = set()
    if not quiet.silences and not quiet.inhibiting:
        return kept
    # In the order in which everybody locks alerts.
    for message in sorted(group.messages, key=lambda message: message.alert_id or ""):
        row = None if message.alert_id is None else locked_row(connection, group.org_id, message.alert_id)
        rule = None if row is None else rules.get(row.rule_id)
        hidden = None if row is None or rule is None else quiet.hides(row, rule, now)
        if row is None or hidden is None or not row.alert.is_open or _is_told_elsewhere(connection, row.alert_id):
            continue
        withhold(connection, [message.notification_id], f"{hidden.by.value}: {hidden.source}")
        kept.add(message.notification_id)
        # Nobody was told: so the first message is made up for when nothing hides it any more.
        untold = replace(row.alert, told_severity=None, told_at=None, waiting_since=None)
        update_row(connection, replace(row.after(untold), hidden=hidden))
    return kept


def _is_told_elsewhere(connection: Connection, alert_id: str) -> bool:
    """Whether another channel has its first message already: then this one gets it as well."""
    left = outbox.c.state.not_in(("waiting", "suppressed")) | outbox.c.error.startswith(DIGEST, autoescape=True)
    query = select(outbox.c.notification_id).where(
        outbox.c.alert_id == alert_id, outbox.c.action == Action.POST.value, left
    )
    return connection.execute(query.limit(1)).first() is not None


def _waiting(connection: Connection, group: WaitingGroup) -> list[Waiting]:
    ids = [message.alert_id for message in group.messages]
    rows = connection.execute(
        select(alerts.c.alert_id, alerts.c.rule_id, alerts.c.severity, alerts.c.facts).where(alerts.c.alert_id.in_(ids))
    )
    found = {row.alert_id: row for row in rows}
    return [
        Waiting(
            message.notification_id,
            group.org_id,
            found[message.alert_id].rule_id,
            found[message.alert_id].severity,
            "level",
            message.created_at,
            _beyond(found[message.alert_id].facts),
        )
        for message in group.messages
        if message.alert_id in found
    ]


def _beyond(facts: dict[str, Any]) -> Decimal:
    """How far the value is beyond the threshold."""
    value, threshold = Decimal(facts.get("value", "0")), Decimal(facts["threshold"])
    return abs(value / threshold) if threshold else abs(value)


def _send_digest(
    connection: Connection,
    group: WaitingGroup,
    found: Digest,
    document: GovernanceDocument,
    dashboard_url: str,
    now: datetime,
) -> None:
    messages = {message.notification_id: message.message for message in group.messages}
    rule = by_id(rules_of(document.alerts)).get(found.rule_id) or Rule(found.rule_id, "watchdog", Decimal(1))
    digest(
        connection,
        found.keys,
        org_id=group.org_id,
        channel=group.receiver,
        # Whoever lets the same first message leave says it once.
        dedupe_key=f"{group.group_key}|{min(found.keys)}",
        message=digest_of(
            rule,
            [(messages[each.key].title, messages[each.key].value) for each in found.top],
            len(found.keys),
            org_id=group.org_id,
            severity=found.severity,
            dashboard_url=dashboard_url,
            zone=document.timezone,
        ),
        now=now,
    )
