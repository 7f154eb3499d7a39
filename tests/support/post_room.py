"""An outbox with a real ledger under it, a clock that stands still, and the sender."""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import insert, select

from engine.alerting.action import Action
from engine.alerting.alert_message import AlertMessage
from engine.alerting.outbox import Receiver, enqueue
from engine.document.load import parse_document
from engine.document.store import publish_document
from engine.ids import new_decision_id
from engine.ledger.database import Database
from engine.ledger.migrate import migrate
from engine.ledger.tables import alerts, lanes, outbox
from jobs.delivery.channel import Channel, Delivery, Receipt
from jobs.delivery.log import LogChannel
from jobs.delivery.sender import deliver_due
from jobs.delivery.slack import SlackChannel
from tests.support.fake_slack import FakeSlack
from tests.support.ledger_copies import LedgerCopies

ORG = "acme"
OPS = Receiver("ops", "slack", "#agent-ops", "@oncall")
CHANNELS = {
    "ops": {"slack": "#agent-ops", "mention": "@oncall"},
    "spare": {"slack": "#spare", "mention": "@spare"},
    "leads": {"email": ["ann@example.com", "bob@example.com"]},
}
SPARE = Receiver("spare", "slack", "#spare", "@spare")
LEADS = Receiver("leads", "email", "ann@example.com, bob@example.com")
FIRST = AlertMessage(severity="critical", title="Budget copilots is at 96.2 %", mention="@oncall")


class Mail:
    """Takes letters."""

    paced = False

    def __init__(self) -> None:
        self.letters: list[Delivery] = []

    def send(self, delivery: Delivery) -> Receipt:
        self.letters.append(delivery)
        return Receipt("email", {"message_id": delivery.key, "subject": "s"})


class PostRoom:
    """Puts notifications into the outbox and sends them; `now` is what the sender takes for now."""

    def __init__(self, database_url: str, slack: FakeSlack, ledger_copies: LedgerCopies) -> None:
        ledger_copies.put(database_url, migrate)
        self.database, self.slack = Database(database_url), slack
        self.now = datetime(2026, 11, 23, 12, tzinfo=UTC)
        self.channels: dict[str, Channel] = {"log": LogChannel(), "slack": self.slack_channel()}
        self._number = itertools.count()
        self.alert_id = self.alert()

    def slack_channel(self, *, token: str | None = None, url: str | None = None, timeout: float = 5) -> SlackChannel:
        return SlackChannel(token or self.slack.token, url or self.slack.base_url, timeout_seconds=timeout)

    def clock(self) -> datetime:
        return self.now

    def later(self, **duration: float) -> None:
        self.now += timedelta(**duration)

    def publish(self, **alerts_part: Any) -> None:
        content = {"organization": ORG, "alerts": {"channels": CHANNELS, **alerts_part}}
        publish_document(self.database, parse_document(content, "test"), author="test", reason="test")

    def alert(self, labels: Mapping[str, str] | None = None) -> str:
        """A row that notifications are about."""
        alert_id = new_decision_id()
        with self.database.write() as connection:
            connection.execute(
                insert(alerts).values(
                    alert_id=alert_id, org_id=ORG, rule_id="r", severity="critical", state="firing", alert_key=alert_id,
                    episode=1, dedupe_key=alert_id, title=FIRST.title, labels=dict(labels or {}), facts={}, life={},
                    fired_at=self.now,
                )
            )  # fmt: skip
        return alert_id

    def put(
        self,
        title: str = FIRST.title,
        *,
        to: Receiver = OPS,
        action: Action = Action.POST,
        first: str | None = None,
        alert_id: str | None = None,
        step: str = "",
        kind: str = "",
        brief: bool = False,
        **more: Any,
    ) -> str:
        """Queue a notification; its id. Those of one `step` in the life of an alert tell the same."""
        with self.database.write() as connection:
            added = enqueue(
                connection,
                org_id=ORG,
                alert_id=alert_id or self.alert_id,
                channel=to,
                action=action,
                dedupe_key=f"{step or f'n-{next(self._number)}'}|{to.name}",
                message=replace(FIRST, title=title, kind=kind, brief=brief, line="Now." if brief else ""),
                now=self.now,
                first_notification_id=first,
                **more,
            )
        assert added is not None
        # The next one's id is of a later millisecond, and so sorts after this one.
        time.sleep(0.001)
        return added

    def deliver(self, *, kinds: tuple[str, ...] | None = None) -> int:
        """One tick."""
        return deliver_due(self.database, self.channels, kinds=kinds, clock=self.clock, chance=lambda: 0.0)

    def deliver_all(self, seconds: int = 10) -> int:
        """Ticks, a second and a bit apart."""
        delivered = 0
        for _ in range(seconds):
            delivered += self.deliver()
            self.later(seconds=1.1)
        return delivered

    def row(self, notification_id: str) -> Any:
        with self.database.read() as connection:
            return connection.execute(select(outbox).where(outbox.c.notification_id == notification_id)).one()

    def rows(self) -> list[Any]:
        with self.database.read() as connection:
            return list(connection.execute(select(outbox).order_by(outbox.c.notification_id)))

    def lane(self, receiver: Receiver = OPS) -> Any:
        with self.database.read() as connection:
            return connection.execute(
                select(lanes).where(lanes.c.channel_type == receiver.kind, lanes.c.target == receiver.target)
            ).one()

    def posted(self) -> list[str]:
        """First lines of what stands in Slack, in the order of posting."""
        return [message.body["text"].split("\n")[0] for message in self.slack.messages]
