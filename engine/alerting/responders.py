"""Who may act on an alert from Slack, and what the alert is about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, select

from engine.alerting.alert import OPEN_STATES
from engine.document.store import live_document
from engine.errors import DocumentError
from engine.ledger.tables import alerts


@dataclass(frozen=True, slots=True)
class AlertIdentity:
    """Whose alert it is, the labels that tell it from others, and where it is in its life."""

    org_id: str
    rule_id: str
    title: str
    labels: Mapping[str, str]
    state: str

    @property
    def is_open(self) -> bool:
        """Whether it fired and is not over."""
        return self.state in OPEN_STATES


def identify_alert(connection: Connection, alert_id: str) -> AlertIdentity | None:
    """The alert of this id, of whichever organization; None when there is none."""
    row = connection.execute(
        select(alerts.c.org_id, alerts.c.rule_id, alerts.c.title, alerts.c.labels, alerts.c.state).where(
            alerts.c.alert_id == alert_id
        )
    ).one_or_none()
    return None if row is None else AlertIdentity(*row)


def slack_responder(connection: Connection, org_id: str, *, user_id: str, workspace_id: str) -> str | None:
    """The name under which a Slack user may act on this organization's alerts; None: they may not."""
    try:
        responders = live_document(connection, org_id).document.alerts.responders
    except DocumentError:
        return None
    for name, spec in responders.items():
        if spec.slack == user_id and spec.slack_workspace in (None, workspace_id):
            return name
    return None
