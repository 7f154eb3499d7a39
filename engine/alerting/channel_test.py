"""A test message to one channel: what it says, and how a page has it sent by the worker."""

from __future__ import annotations

from datetime import datetime

from engine.alerting.action import Action
from engine.alerting.alert_message import AlertMessage
from engine.alerting.lane_rows import try_again
from engine.alerting.outbox import Receiver, enqueue
from engine.document.alert_channels import ChannelSpec
from engine.document.schema import GovernanceDocument
from engine.document.store import live_document
from engine.errors import InvalidValue
from engine.ids import new_decision_id
from engine.ledger.audit import AuditEntry, record_audit
from engine.ledger.database import Database
from engine.ledger.queries.channels import TEST_KEY

TITLE = "Test message from Bursar"
ACTION = "channel.test"


def channel_of(document: GovernanceDocument, name: str) -> ChannelSpec:
    """A channel of the document. Raises `InvalidValue` that names those it has."""
    spec = document.alerts.channels.get(name)
    if spec is None:
        known = ", ".join(sorted(document.alerts.channels)) or "it has none yet"
        raise InvalidValue("channel", f"must be one of alerts.channels: {known}")
    return spec


def message_for(document: GovernanceDocument, name: str, now: datetime, dashboard_url: str) -> AlertMessage:
    """What a test says."""
    return AlertMessage(
        severity="info",
        title=TITLE,
        zone=document.timezone,
        since=now,
        details=(f"Channel {name} of organization {document.organization} works.",),
        page_link=dashboard_url,
    )


def queue_test(database: Database, org_id: str, name: str, *, author: str, now: datetime, dashboard_url: str) -> str:
    """Have a test message sent to a channel of the live document; the notification's id.

    The message, its audit entry and one more chance for a channel that is noted as broken are one transaction: when it
    arrives, the channel is well again. Raises `InvalidValue` for a channel that the document does not have.
    """
    with database.read() as connection:
        document = live_document(connection, org_id).document
    spec = channel_of(document, name)
    key = f"{TEST_KEY}{org_id}|{new_decision_id()}|{name}"
    with database.write() as connection:
        # The lane first, as everywhere: senders change lane and message in this order.
        try_again(connection, spec.kind, spec.target)
        record_audit(connection, org_id, AuditEntry(now, author, ACTION, name, "", {"kind": spec.kind}))
        queued = enqueue(
            connection,
            org_id=org_id,
            alert_id=None,
            channel=Receiver(name, spec.kind, spec.target, spec.mention),
            action=Action.POST,
            dedupe_key=key,
            message=message_for(document, name, now, dashboard_url),
            now=now,
        )
    assert queued is not None, "the key is new"
    return queued
