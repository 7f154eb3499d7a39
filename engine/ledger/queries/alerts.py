"""Alerts: what fires now, what fired, how each rule did, and what became of the messages."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, literal, or_, select, tuple_

from engine.ledger.queries.slice import MOST_ROWS
from engine.ledger.tables import alerts, audit_log, outbox
from engine.ledger.types import UtcDateTime

BRIEF = timedelta(minutes=5)
"""An alert that resolved itself sooner told nobody anything; a rule with many is too nervous."""
UNRESOLVED = ("pending", "firing", "recovering", "superseded")
"""Every state but resolved, by name: an index finds these, and not those that are other than one."""
WANTING = ("pending", "firing", "recovering")
"""Of these the ones that somebody may have to see to: a superseded one is seen to with the one it was told with."""
FIRED = ("firing", "recovering", "resolved")
"""Pending ones did not fire yet, inactive ones never did, and superseded ones were told with another."""
ACKNOWLEDGE = "alert.acknowledge"
"""The action of an audit entry whose subject is the alert that somebody took on."""
WATCHDOG = "watchdog"
"""The rule that always fires, for a watch outside: its alert wants nobody."""
RULES_LATEST = 20_000
"""Only so many of the newest alerts are looked through for how the rules did."""


@dataclass(frozen=True, slots=True)
class AlertFilter:
    """Which alerts are wanted; None means any. Times are when they fired.

    `unresolved`: only those that still want somebody. Give it no `start`: one that fired a year ago still burns.
    """

    state: str | None = None
    severity: str | None = None
    rule_id: str | None = None
    start: datetime | None = None
    end: datetime | None = None
    unresolved: bool = False
    acknowledged: bool = False
    hidden: bool = False
    """Silenced or inhibited."""


@dataclass(frozen=True, slots=True)
class AlertCursor:
    """A place in the order of alerts: everything that fired before this one."""

    fired_at: datetime
    alert_id: str


@dataclass(frozen=True, slots=True)
class AlertLine:
    """One alert. `facts` have what was measured and the threshold, by the rule's kind.

    `hidden_by` is silenced or inhibited, `hidden_source` the silence's or the other alert's id.
    """

    alert_id: str
    rule_id: str
    severity: str
    state: str
    title: str
    labels: dict[str, str]
    facts: dict[str, Any]
    fired_at: datetime
    resolved_at: datetime | None
    acknowledged_by: str | None
    acknowledged_at: datetime | None
    hidden_by: str | None
    hidden_source: str | None


@dataclass(frozen=True, slots=True)
class AlertPage:
    """Some alerts, newest first; `older` is where the next page begins, None at the end."""

    lines: list[AlertLine]
    older: AlertCursor | None


@dataclass(frozen=True, slots=True)
class Notification:
    """One message about an alert on one channel, and how far it came.

    `action` is post, reply, broadcast or edit. `by` is the type of channel that took it: the log, where the channel's
    own is not configured. None until it is delivered.
    """

    notification_id: str
    channel: str
    channel_type: str
    target: str
    action: str
    state: str
    attempts: int
    created_at: datetime
    next_attempt_at: datetime
    delivered_at: datetime | None
    error: str | None
    message: dict[str, Any]
    by: str | None = None


_LINE = tuple(alerts.c[name] for name in AlertLine.__slots__)
_STORED = tuple(name for name in Notification.__slots__ if name != "by")


@dataclass(frozen=True, slots=True)
class RuleQuality:
    """How one rule did: alerts that fired, that are resolved, that resolved within 5 minutes, that somebody took on.

    Of many acknowledgements only those of the newest alerts are known.
    """

    rule_id: str
    fired: int
    resolved: int
    brief: int
    last_fired_at: datetime
    acknowledged: int = 0

    @property
    def acknowledged_share(self) -> float:
        """Share of its alerts that somebody took on."""
        return self.acknowledged / self.fired

    @property
    def brief_share(self) -> float:
        """Share of its alerts that were over before anybody could look."""
        return self.brief / self.fired


def alert_counts(connection: Connection, org_id: str, *, since: datetime) -> dict[tuple[str, str], int]:
    """How many alerts are in each state, by (state, severity): resolved ones that fired since `since`, all others.

    An alert that fired long ago and still does is what a person must see first.
    """
    rows = connection.execute(
        select(alerts.c.state, alerts.c.severity, func.count().label("alerts"))
        .where(alerts.c.org_id == org_id, or_(alerts.c.fired_at >= since, alerts.c.state.in_(UNRESOLVED)))
        .group_by(alerts.c.state, alerts.c.severity)
        .limit(MOST_ROWS)
    )
    return {(row.state, row.severity): row.alerts for row in rows}


def alert_page(
    connection: Connection, org_id: str, wanted: AlertFilter, *, before: AlertCursor | None = None, limit: int = 50
) -> AlertPage:
    """At most `limit` alerts older than `before`, newest first."""
    query = select(*_LINE).where(*matching(org_id, wanted))
    if before is not None:
        place = tuple_(literal(before.fired_at, UtcDateTime), literal(before.alert_id))
        query = query.where(tuple_(alerts.c.fired_at, alerts.c.alert_id) < place)
    # One more than asked for tells whether an older page exists.
    rows = connection.execute(query.order_by(alerts.c.fired_at.desc(), alerts.c.alert_id.desc()).limit(limit + 1)).all()
    lines = [AlertLine(*row) for row in rows[:limit]]
    older = AlertCursor(lines[-1].fired_at, lines[-1].alert_id) if len(rows) > limit else None
    return AlertPage(lines, older)


def matching(org_id: str, wanted: AlertFilter) -> list[ColumnElement[bool]]:
    """The conditions of a filter."""
    named = {column: getattr(wanted, column) for column in ("state", "severity", "rule_id")}
    found = [alerts.c.org_id == org_id]
    found += [alerts.c[column] == value for column, value in named.items() if value is not None]
    if wanted.acknowledged:
        found.append(alerts.c.acknowledged_by.is_not(None))
    if wanted.hidden:
        found.append(alerts.c.hidden_by.is_not(None))
    if wanted.unresolved:
        found.append(alerts.c.state.in_(WANTING))
    if wanted.start is not None:
        found.append(alerts.c.fired_at >= wanted.start)
    if wanted.end is not None:
        found.append(alerts.c.fired_at < wanted.end)
    return found


def find_alert(connection: Connection, org_id: str, alert_id: str) -> AlertLine | None:
    """One alert of this organization, or None."""
    row = connection.execute(
        select(*_LINE).where(alerts.c.org_id == org_id, alerts.c.alert_id == alert_id)
    ).one_or_none()
    return None if row is None else AlertLine(*row)


def alert_notifications(
    connection: Connection, org_id: str, alert_id: str, *, limit: int = MOST_ROWS
) -> list[Notification]:
    """The messages about one alert, oldest first."""
    rows = connection.execute(
        select(*(outbox.c[name] for name in _STORED), outbox.c.receipt)
        .where(outbox.c.org_id == org_id, outbox.c.alert_id == alert_id)
        .order_by(outbox.c.created_at, outbox.c.notification_id)
        .limit(limit)
    )
    return [
        Notification(
            **{name: getattr(row, name) for name in _STORED},
            by=delivered_by(row.state, row.channel_type, row.receipt),
        )
        for row in rows
    ]


def delivered_by(state: str, channel_type: str, receipt: Any) -> str | None:
    """The type of channel that took a message, as its receipt says; None of one that is not delivered."""
    if state != "delivered":
        return None
    return str(receipt.get("by", channel_type)) if isinstance(receipt, dict) else channel_type


def rule_quality(connection: Connection, org_id: str, *, since: datetime, limit: int = MOST_ROWS) -> list[RuleQuality]:
    """How the rules did with the alerts that fired since `since`, the busiest rule first."""
    # An alert that is over keeps no acknowledgement; the audit log does.
    taken_on = _acknowledged(connection, org_id, since)
    newest = (
        select(alerts.c.rule_id, alerts.c.fired_at, alerts.c.resolved_at, alerts.c.alert_id)
        .where(alerts.c.org_id == org_id, alerts.c.fired_at >= since, alerts.c.state.in_(FIRED))
        .order_by(alerts.c.fired_at.desc())
        .limit(RULES_LATEST)
    )
    found: dict[str, list[Any]] = {}
    for row in connection.execute(newest):
        rule = found.setdefault(row.rule_id, [0, 0, 0, row.fired_at, 0])
        rule[0] += 1
        rule[1] += row.resolved_at is not None
        rule[2] += row.resolved_at is not None and row.resolved_at - row.fired_at < BRIEF
        rule[4] += row.alert_id in taken_on
    quality = [RuleQuality(rule_id, *counts) for rule_id, counts in found.items()]
    return sorted(quality, key=lambda each: (-each.fired, each.rule_id))[:limit]


def _acknowledged(connection: Connection, org_id: str, since: datetime) -> set[str]:
    newest = (
        select(audit_log.c.subject)
        .where(audit_log.c.org_id == org_id, audit_log.c.action == ACKNOWLEDGE, audit_log.c.at >= since)
        .order_by(audit_log.c.entry.desc())
        .limit(RULES_LATEST)
    )
    return set(connection.execute(newest).scalars())
