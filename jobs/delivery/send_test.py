"""A test message to one channel, sent at once and not through the outbox."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from engine.alerting.channel_test import channel_of, message_for
from engine.alerting.lane_rows import Lanes, break_lane, finish_lane, pause_lane
from engine.clock import utc_now
from engine.document.alert_channels import ChannelSpec
from engine.document.store import live_document
from engine.ids import new_decision_id
from engine.ledger.database import Database
from engine.ledger.queries.channels import shown_target
from engine.settings import Settings
from jobs.delivery.channel import Channel, Delivery, DeliveryFailed, Receipt
from jobs.delivery.lanes import next_step
from jobs.delivery.places import lanes_of, note_broken, note_works
from jobs.delivery.sender import build_channels


@dataclass(frozen=True, slots=True)
class SendTest:
    """Whether the message arrived where it was meant to, what the channel gave back, and that in a sentence."""

    delivered: bool
    receipt: Mapping[str, Any] = field(default_factory=dict)
    sentence: str = ""


def send_test(
    database: Database,
    settings: Settings,
    org_id: str,
    channel_name: str,
    *,
    channels: Mapping[str, Channel] | None = None,
    clock: Callable[[], datetime] = utc_now,
) -> SendTest:
    """Send a test message to a channel of the organization's document.

    A channel that was broken is well again when it arrives, and is noted as broken when it refuses for good. Raises
    `InvalidValue` for a channel that the document does not have, `DocumentError` without a document.
    """
    with database.read() as connection:
        document = live_document(connection, org_id).document
    spec = channel_of(document, channel_name)
    now = clock()
    message = message_for(document, channel_name, now, settings.dashboard_url)
    known = channels or build_channels(settings)
    test = _Test(database, channel_name, spec, lanes_of(known))
    # The next notification for the place keeps its distance from the test.
    test.moved(now)
    try:
        receipt = known[spec.kind].send(Delivery(new_decision_id(), spec.target, message))
    except DeliveryFailed as failure:
        return test.failed(failure, clock())
    return test.arrived(receipt, clock())


class _Test:
    """A test of one channel, and the lane of it."""

    def __init__(self, database: Database, name: str, spec: ChannelSpec, places: Lanes) -> None:
        self._database, self._name, self._spec, self._places = database, name, spec, places
        self._lane = places.of(spec.kind, spec.target)

    def moved(self, now: datetime, *, delivered: bool = False) -> None:
        with self._database.write() as connection:
            finish_lane(connection, self._spec.kind, self._lane, now, delivered=delivered)

    def arrived(self, receipt: Receipt, now: datetime) -> SendTest:
        place, note = _place(self._name, self._spec), receipt.details.get("note")
        if not receipt.channel_type.startswith(self._spec.kind):
            return SendTest(
                False, receipt.details, f"{place}: {note or 'it is not configured'}; the message went to the log."
            )
        self.moved(now, delivered=True)
        note_works(self._database, self._spec.kind)
        return SendTest(True, receipt.details, f"{place}: the test message arrived{f' ({note})' if note else ''}.")

    def failed(self, failure: DeliveryFailed, now: datetime) -> SendTest:
        step = next_step(failure, attempts=1, first_attempt_at=now, now=now, chance=0.0)
        kind, lane = self._spec.kind, self._lane
        with self._database.write() as connection:
            if step.channel_broken:
                break_lane(connection, kind, lane, step.error, now, whole_kind=step.whole_kind)
            else:
                finish_lane(connection, kind, lane, now, delivered=False)
            if step.lane_paused_until is not None:
                pause_lane(connection, kind, lane, step.lane_paused_until, now)
        if step.channel_broken:
            note_broken(self._database, kind, lane, step, now, self._places)
        words = "the test message may have arrived" if step.mark_repeat else "the test message did not arrive"
        return SendTest(False, {}, f"{_place(self._name, self._spec)}: {words}: {failure.reason}.")


def _place(name: str, spec: ChannelSpec) -> str:
    return f"{name} ({spec.kind} {shown_target(spec.target)})" if spec.target else f"{name} ({spec.kind})"
