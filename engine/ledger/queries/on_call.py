"""What the person on call looks at: how many alerts want somebody, the worst of them, what was done, what was sent."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, and_, case, func, select

from engine.ledger.queries.alerts import (
    WATCHDOG,
    AlertFilter,
    AlertLine,
    Notification,
    delivered_by,
    matching,
)
from engine.ledger.queries.slice import MOST_ROWS
from engine.ledger.tables import alerts, audit_log, outbox

OPEN = ("firing", "recovering")
MOST_ACTS = 50
_SEVERITIES = {"critical": 0, "warning": 1, "info": 2}
_STATES = {"firing": 0, "recovering": 1, "pending": 2}


@dataclass(frozen=True, slots=True)
class AlertNumbers:
    """How many alerts are open. Those acknowledged or hidden are among those that fire or recover.

    What fires for information only is not counted: it wants nobody.
    """

    firing: int
    recovering: int
    acknowledged: int
    hidden: int
    unattended: int
    """Those that fire, are not hidden, and that nobody has taken on."""


@dataclass(frozen=True, slots=True)
class AlertAct:
    """What a person did to an alert, from the audit log."""

    at: datetime
    author: str
    action: str
    reason: str


def alert_numbers(connection: Connection, org_id: str) -> AlertNumbers:
    """The numbers of the alerts that are open now."""
    table = alerts.c
    is_open = table.state.in_(OPEN)
    wants = and_(table.state == "firing", table.hidden_by.is_(None), table.acknowledged_by.is_(None))

    def number(condition: ColumnElement[bool]) -> ColumnElement[int]:
        return func.sum(case((condition, 1), else_=0))

    row = connection.execute(
        select(
            number(table.state == "firing"),
            number(table.state == "recovering"),
            number(table.acknowledged_by.is_not(None)),
            number(table.hidden_by.is_not(None)),
            number(wants),
        ).where(table.org_id == org_id, is_open, table.severity != "info")
    ).one()
    return AlertNumbers(*(int(value or 0) for value in row))


def worst_alerts(
    connection: Connection, org_id: str, wanted: AlertFilter, *, limit: int = MOST_ROWS
) -> list[AlertLine]:  # fmt: skip
    """Who needs somebody most comes first: not taken on and not hidden, then by severity, by state, the newest.

    What is over comes last, whatever it was. The watchdog's alert is there for whoever asks for its rule.
    """
    over = case((alerts.c.state.in_(tuple(_STATES)), 0), else_=1)
    attended = case((and_(alerts.c.hidden_by.is_(None), alerts.c.acknowledged_by.is_(None)), 0), else_=1)
    order = (
        over,
        # Of what is over, or fires for information only, nobody asks who has taken it on.
        case((alerts.c.severity == "info", 1), else_=0),
        attended,
        case(_SEVERITIES, value=alerts.c.severity, else_=len(_SEVERITIES)),
        case(_STATES, value=alerts.c.state, else_=len(_STATES)),
        alerts.c.fired_at.desc(),
        alerts.c.alert_id.desc(),
    )
    query = select(*(alerts.c[name] for name in AlertLine.__slots__)).where(*matching(org_id, wanted))
    if wanted.rule_id != WATCHDOG:
        query = query.where(alerts.c.rule_id != WATCHDOG)
    return [AlertLine(*row) for row in connection.execute(query.order_by(*order).limit(limit))]


def alert_acts(connection: Connection, org_id: str, alert_id: str) -> list[AlertAct]:
    """What people did to one alert, the oldest first."""
    rows = connection.execute(
        select(*(audit_log.c[name] for name in AlertAct.__slots__))
        .where(audit_log.c.org_id == org_id, audit_log.c.subject == alert_id)
        .order_by(audit_log.c.entry)
        .limit(MOST_ACTS)
    )
    return [AlertAct(*row) for row in rows]


def recent_messages(connection: Connection, org_id: str, *, limit: int = 100) -> list[tuple[str | None, Notification]]:
    """The newest messages of every kind, each with the id of the alert it is about."""
    names = [name for name in Notification.__slots__ if name != "by"]
    rows = connection.execute(
        select(*(outbox.c[name] for name in names), outbox.c.alert_id, outbox.c.receipt)
        .where(outbox.c.org_id == org_id)
        .order_by(outbox.c.created_at.desc(), outbox.c.notification_id.desc())
        .limit(limit)
    )
    return [
        (
            row.alert_id,
            Notification(
                **{name: getattr(row, name) for name in names},
                by=delivered_by(row.state, row.channel_type, row.receipt),
            ),
        )
        for row in rows
    ]
