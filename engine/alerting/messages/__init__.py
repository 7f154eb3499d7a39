"""What people are told of alerts: facts of the alert, what the ledger adds to them, and plain words."""

from __future__ import annotations

from sqlalchemy import Connection

from engine.alerting.alert_message import AlertMessage
from engine.alerting.messages.found import look
from engine.alerting.messages.news import digest_of, health_news
from engine.alerting.messages.titles import title_of
from engine.alerting.messages.writing import written
from engine.alerting.telling import Telling
from engine.document.schema import GovernanceDocument

__all__ = ["digest_of", "health_news", "message_of", "title_of"]


def message_of(
    connection: Connection,
    telling: Telling,
    document: GovernanceDocument,
    *,
    dashboard_url: str,
    mention: str | None = None,
) -> AlertMessage:
    """The message of an effect in an alert's life, with what the ledger knows of the alert's calls.

    `mention` is whom a critical alert calls. Facts that are missing are not said; nothing is raised for them.
    """
    found = look(connection, telling, document)
    return written(telling, document, found, dashboard_url=dashboard_url, mention=mention)
