"""Places take messages at their pace: none starves another, none is taken for broken that is well, clocks may jump."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import event, update

from engine.alerting.action import Action
from engine.alerting.lane_rows import LONGEST_LEASE, Lanes, break_lane, finish_lane, pause_lane
from engine.alerting.outbox import Receiver, digest
from engine.alerting.outbox_claims import Notification, claim
from engine.alerting.outbox_due import Candidate, due_notifications
from engine.document.load import parse_document
from engine.document.store import publish_document
from engine.ledger.queries.channels import broken_notice, channel_states, shown_target
from engine.ledger.tables import outbox
from engine.settings import Settings
from jobs.delivery.channel import Channel, Delivery, DeliveryFailed, FailureKind, Receipt
from jobs.delivery.lanes import GAP
from jobs.delivery.log import LogChannel
from jobs.delivery.send_test import send_test
from jobs.delivery.sender import LEASE, LEASES
from jobs.delivery.slack_webhook import SlackWebhookChannel
from jobs.delivery.webhook import WebhookChannel
from tests.support.fake_slack import FakeSlack, Refused
from tests.support.ledger_copies import LedgerCopies
from tests.support.post_room import FIRST, LEADS, OPS, ORG, SPARE, Mail, PostRoom

HANGS, HEALTHY = (Receiver(name, "webhook", f"https://{name}.example.com/") for name in ("hangs", "healthy"))
PACED = Lanes(paced=frozenset({"slack"}), gap=GAP)


@pytest.fixture
def mail() -> Mail:
    return Mail()


@pytest.fixture
def room(database_url: str, fake_slack: FakeSlack, mail: Mail, ledger_copies: LedgerCopies) -> Iterator[PostRoom]:
    made = PostRoom(database_url, fake_slack, ledger_copies)
    made.channels["email"] = mail
    yield made
    made.database.close()


class Hanging:
    """One place hangs until the other has got what is for it."""

    paced = False

    def __init__(self) -> None:
        self.released = threading.Event()
        self.lock = threading.Lock()
        self.hanging = self.most = 0

    def send(self, delivery: Delivery) -> Receipt:
        if delivery.target == HEALTHY.target:
            self.released.set()
            return Receipt("webhook")
        with self.lock:
            self.hanging += 1
            self.most = max(self.most, self.hanging)
        in_time = self.released.wait(30)
        with self.lock:
            self.hanging -= 1
        assert in_time
        raise DeliveryFailed("did not answer", FailureKind.UNKNOWN)


def test_sixty_messages_for_a_place_that_hangs_do_not_starve_another(room: PostRoom) -> None:
    room.channels = {"webhook": (hanging := Hanging())}
    for number in range(60):
        room.put(f"{number}", to=HANGS, alert_id=room.alert())
    room.later(seconds=1)
    last = room.put(to=HEALTHY, alert_id=room.alert())
    assert room.deliver() == 1
    assert room.row(last).state == "delivered"
    assert hanging.most <= 2


def test_of_two_workers_not_more_are_on_their_way_to_one_place(room: PostRoom) -> None:
    ids = [room.put(to=HANGS, alert_id=room.alert()) for _ in range(3)]
    first, second, third = (Candidate(each, ORG, 0, abandoned=False, goes_elsewhere=False) for each in ids)
    with room.database.write() as connection:
        assert len(due_notifications(connection, room.now)) == 2
        assert isinstance(claim(connection, first, room.now, lambda _: LEASE), Notification)
        assert isinstance(claim(connection, second, room.now, lambda _: LEASE), Notification)
        assert claim(connection, third, room.now, lambda _: LEASE) is None
        assert due_notifications(connection, room.now) == []


def test_what_failed_comes_after_what_has_waited_meanwhile(room: PostRoom) -> None:
    old, fresh = room.put(to=HANGS, alert_id=room.alert()), []
    with room.database.write() as connection:
        later = room.now + timedelta(seconds=10)
        connection.execute(
            update(outbox).where(outbox.c.notification_id == old).values(state="retry", next_attempt_at=later)
        )
    room.later(seconds=5)
    fresh = [room.put(to=HANGS, alert_id=room.alert()) for _ in range(2)]
    room.later(seconds=10)
    with room.database.read() as connection:
        found = [each.notification_id for each in due_notifications(connection, room.now)]
    assert sorted(found) == sorted(fresh)


def test_a_lane_that_a_wrong_clock_started_far_ahead_is_free(room: PostRoom) -> None:
    with room.database.write() as connection:
        ahead = room.now + timedelta(days=365)
        finish_lane(connection, "slack", OPS.target, ahead, delivered=True)
        pause_lane(connection, "slack", SPARE.target, ahead, ahead)
        pause_lane(connection, "slack", SPARE.target, room.now - timedelta(seconds=1), room.now)
        pause_lane(connection, "slack", "#paused", ahead, ahead)
    abandoned = room.put("abandoned", to=LEADS, alert_id=room.alert())
    with room.database.write() as connection:
        connection.execute(
            update(outbox)
            .where(outbox.c.notification_id == abandoned)
            .values(state="sending", attempts=1, lease_expires_at=ahead)
        )
    for receiver in (OPS, SPARE, Receiver("paused", "slack", "#paused")):
        room.put(to=receiver, alert_id=room.alert())
    assert room.deliver() == 4
    assert room.lane().last_started_at == room.now, "and it keeps its pace from now on"
    room.put(alert_id=room.alert())
    assert room.deliver() == 0
    room.later(seconds=1)
    assert room.deliver() == 1


def test_a_clock_a_little_behind_does_not_move_a_lane_back(room: PostRoom) -> None:
    with room.database.write() as connection:
        finish_lane(connection, "slack", OPS.target, room.now, delivered=False)
        finish_lane(connection, "slack", OPS.target, room.now - timedelta(seconds=3), delivered=True)
    assert room.lane().last_started_at == room.now
    room.put()
    room.later(seconds=-3)
    with room.database.write() as connection:
        connection.execute(update(outbox).values(next_attempt_at=room.now))
        assert due_notifications(connection, room.now, places=PACED) == [], "it was a moment ago, by a better clock"


def test_an_incoming_webhook_is_one_place_whatever_the_channels_are_called(room: PostRoom) -> None:
    room.channels["slack"] = SlackWebhookChannel(room.slack.hook_url)
    for number in range(4):
        room.put(to=Receiver(f"c{number}", "slack", f"#c{number}"), alert_id=room.alert())
    for _ in range(4):
        assert room.deliver() == 1
        room.later(seconds=1)
    room.put(alert_id=room.alert())
    room.slack.answer_next(Refused("no_service"))
    room.deliver()
    with room.database.read() as connection:
        notice = broken_notice(channel_states(connection, ORG, room.now)) or ""
    assert notice.startswith("Notifications do not reach slack (Slack refused: no_service).")
    room.channels["slack"] = room.slack_channel()
    room.later(hours=1)
    room.put(alert_id=room.alert())
    room.deliver()
    with room.database.read() as connection:
        assert broken_notice(channel_states(connection, ORG, room.now)) is None, "a bot token works"


def test_a_channel_with_and_without_its_hash_is_one_place(room: PostRoom) -> None:
    room.put(alert_id=room.alert())
    room.put(to=Receiver("b", "slack", "agent-ops"), alert_id=room.alert())
    assert room.deliver() == 1
    assert room.deliver() == 0
    room.later(seconds=1)
    assert room.deliver() == 1


def test_a_test_message_moves_the_lane(room: PostRoom) -> None:
    room.publish()
    channels: dict[str, Channel] = {"slack": room.slack_channel()}
    assert send_test(room.database, Settings(), ORG, "ops", channels=channels, clock=room.clock).delivered
    room.put()
    assert room.deliver() == 0
    room.later(seconds=1)
    assert room.deliver() == 1


def test_an_edit_that_nobody_sends_mends_nothing_and_is_no_try(room: PostRoom) -> None:
    first = room.put()
    room.channels["slack"] = SlackWebhookChannel(room.slack.hook_url)
    room.deliver()
    room.later(seconds=2)
    edit = room.put("edit", action=Action.EDIT, first=first)
    room.deliver()
    delivered_at = room.row(first).delivered_at
    with room.database.read() as connection:
        (state,) = channel_states(connection, ORG, room.now)
    assert (room.row(edit).state, state.last_delivered_at) == ("delivered", delivered_at)
    with room.database.write() as connection:
        break_lane(connection, "slack", "", "no_service", room.now)
    room.later(hours=2)
    room.put("edit again", action=Action.EDIT, first=first)
    room.deliver()
    with room.database.read() as connection:
        (state,) = channel_states(connection, ORG, room.now)
    assert state.broken
    assert state.last_started_at == room.now - timedelta(hours=2)


@pytest.mark.parametrize("error", ["channel_not_found", "is_archived", "not_in_channel"])
def test_where_an_old_message_stands_says_nothing_about_the_place_of_new_ones(room: PostRoom, error: str) -> None:
    first = room.put()
    room.deliver_all(2)
    edit = room.put("edit", action=Action.EDIT, first=first)
    room.slack.answer_next(Refused(error))
    room.deliver_all(2)
    assert (room.row(edit).state, room.row(edit).error) == ("dead", f"Slack refused: {error}")
    reply = room.put("Now.", action=Action.REPLY, first=first, brief=True)
    room.slack.answer_next(Refused(error))
    room.deliver_all(2)
    assert room.row(reply).state == "delivered"
    assert "thread_ts" not in room.slack.messages[-1].body
    assert room.lane().broken_since is None


def test_news_in_the_thread_of_a_digest_say_which_alert_they_are_about(room: PostRoom) -> None:
    alerts = [room.alert() for _ in range(3)]
    ids = [room.put(f"agent a{n} is over", alert_id=alert, group_key="g") for n, alert in enumerate(alerts)]
    room.put("agent a1 is over", alert_id=alerts[1], action=Action.REPLY, first=ids[1], brief=True)
    with room.database.write() as connection:
        digest(connection, ids, org_id=ORG, channel=OPS, dedupe_key="d", message=FIRST, now=room.now)
    room.deliver_all(3)
    assert "agent a1 is over" in room.slack.messages[-1].body["text"]


def test_the_address_of_a_webhook_is_shown_nowhere(
    room: PostRoom, mail: Mail, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    url = "https://127.0.0.1:9/hook/TOPSECRET?sig=TOPSECRET"
    content = {"organization": ORG, "alerts": {
        "channels": {"w": {"webhook": url}, "leads": {"email": ["ann@example.com"]}}, "fallback": ["leads"],
    }}  # fmt: skip
    publish_document(room.database, parse_document(content, "test"), author="test", reason="test")
    channel = WebhookChannel("a secret of ours", timeout_seconds=1)
    room.channels["webhook"] = channel
    room.put(to=Receiver("w", "webhook", url))
    room.deliver(kinds=("webhook",))
    tested = send_test(room.database, Settings(), ORG, "w", channels={"webhook": channel}, clock=room.clock)
    with room.database.write() as connection:
        break_lane(connection, "webhook", url, "gone", room.now)
    room.later(minutes=1)
    room.deliver_all(2)
    with room.database.read() as connection:
        notice = broken_notice(channel_states(connection, ORG, room.now))
    (letter,) = mail.letters
    shown = [caplog.text, tested.sentence, str(notice), str(letter.message.details), repr(letter)]
    assert all("127.0.0.1" in words for words in shown[:-1])
    assert not any("TOPSECRET" in words for words in shown)
    assert "TOPSECRET" not in repr(Delivery("k", url, FIRST))
    unset = LogChannel(instead="no webhook secret is configured").send(Delivery("k", url, FIRST))
    assert "TOPSECRET" not in caplog.text + repr(unset)


def test_a_target_that_is_no_web_address_is_shown_as_it_is() -> None:
    assert [shown_target(target) for target in ("#ops", "", "a@b.c", "https://[broken", "https://x.test/s?k=v")] == [
        "#ops", "", "a@b.c", "a web address", "https://x.test",
    ]  # fmt: skip


def test_pages_of_an_organization_show_its_own_places_only(room: PostRoom) -> None:
    room.put()
    with room.database.write() as connection:
        break_lane(connection, "slack", OPS.target, "is_archived", room.now)
        break_lane(connection, "slack", "#of-others", "is_archived", room.now)
    with room.database.read() as connection:
        assert [state.target for state in channel_states(connection, ORG, room.now)] == [OPS.target]
        assert channel_states(connection, "others", room.now) == []


def test_sends_leave_before_what_goes_elsewhere_and_a_document_is_read_once(room: PostRoom, mail: Mail) -> None:
    room.publish(fallback=["leads"])
    with room.database.write() as connection:
        break_lane(connection, "slack", OPS.target, "is_archived", room.now)
    for _ in range(10):
        room.put(alert_id=room.alert())
    room.put("healthy", to=SPARE, alert_id=room.alert())
    documents: list[bool] = []

    def note(connection: object, cursor: object, statement: str, *_: object) -> None:
        if "document_versions" in statement:
            documents.append(True)

    event.listen(room.database.engine, "before_cursor_execute", note)
    assert room.deliver(kinds=("slack",)) == 1
    event.remove(room.database.engine, "before_cursor_execute", note)
    assert len(documents) <= 2, "what is live, and its content"
    assert len([row for row in room.rows() if row.state == "dead"]) == 10


def test_leases_are_shorter_than_the_longest_that_is_believed() -> None:
    assert max(LEASE, *LEASES.values()) < LONGEST_LEASE
