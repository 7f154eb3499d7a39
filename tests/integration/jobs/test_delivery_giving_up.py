"""A message that does not get through for good is told elsewhere, once, and not before its place had its time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import update

from engine.alerting.action import Action
from engine.alerting.lane_rows import break_lane
from engine.alerting.outbox import Receiver, waiting_groups
from engine.document.load import parse_document
from engine.document.store import publish_document
from engine.ledger.tables import outbox
from jobs.delivery.channel import Delivery, DeliveryFailed, FailureKind, Receipt
from jobs.delivery.webhook import WebhookChannel
from tests.support.fake_slack import Dropped, FakeSlack, RateLimited, Refused, ServerError
from tests.support.fake_webhook import SECRET, FakeWebhook, Says
from tests.support.ledger_copies import LedgerCopies
from tests.support.post_room import CHANNELS, FIRST, LEADS, OPS, ORG, SPARE, Mail, PostRoom


@pytest.fixture
def mail() -> Mail:
    return Mail()


@pytest.fixture
def room(database_url: str, fake_slack: FakeSlack, mail: Mail, ledger_copies: LedgerCopies) -> Iterator[PostRoom]:
    made = PostRoom(database_url, fake_slack, ledger_copies)
    made.channels["email"] = mail
    yield made
    made.database.close()


def test_what_waited_for_a_worker_for_a_day_still_has_its_day(room: PostRoom) -> None:
    first = room.put()
    room.later(hours=25)
    room.slack.answer_next(ServerError(503))
    room.deliver()
    assert (room.row(first).state, room.row(first).first_attempt_at) == ("retry", room.now)
    room.later(hours=23)
    room.slack.answer_next(ServerError(503))
    room.deliver()
    assert room.row(first).state == "retry"
    room.later(hours=1)
    room.slack.answer_next(ServerError(503))
    room.deliver()
    assert room.row(first).state == "dead"


def test_a_place_that_asks_for_pauses_is_never_given_up(room: PostRoom) -> None:
    first = room.put()
    for _ in range(3):
        room.slack.answer_next(RateLimited(2))
        room.deliver()
        room.later(hours=20)
    assert room.deliver() == 1
    assert (room.row(first).state, room.row(first).attempts) == ("delivered", 4)


def test_what_is_given_up_goes_to_the_fallback_which_has_its_own_time(room: PostRoom, mail: Mail) -> None:
    room.publish(fallback=["spare"])
    first = room.put()
    room.slack.answer_next(Dropped(), ServerError(503))
    room.deliver()
    room.later(hours=24)
    room.deliver()
    reason = "given up after 24 hours: Slack answered HTTP 503 without a reason"
    assert (room.row(first).state, room.row(first).error) == ("dead", f"{reason}; sent to spare instead")
    (stand_in,) = [row for row in room.rows() if row.channel == "spare"]
    room.slack.answer_next(ServerError(503))
    room.deliver()
    assert room.row(stand_in.notification_id).state == "retry"
    room.later(minutes=10)
    assert room.deliver() == 1
    assert room.posted() == [f"@spare (possible repeat) Critical: {FIRST.title}"]
    assert room.lane().broken_since is None
    # What follows goes to where the first message is.
    reply = room.put("news", action=Action.REPLY, first=first)
    room.later(seconds=2)
    room.deliver_all(3)
    assert room.row(reply).state == "dead"
    assert room.slack.messages[-1].body["thread_ts"] == room.slack.messages[0].ts


def test_when_nothing_gets_through_it_ends_in_the_log_and_goes_round_no_further(room: PostRoom) -> None:
    room.publish(fallback=["ops", "spare"])
    room.put()

    class Down:
        paced = True

        def send(self, delivery: Delivery) -> Receipt:
            raise DeliveryFailed("cannot be reached")

    room.channels["slack"] = Down()
    for _ in range(8):
        room.deliver()
        room.later(hours=12)
    assert [(row.channel, row.state) for row in room.rows()] == [
        ("ops", "dead"), ("spare", "dead"), ("log", "delivered"),
    ]  # fmt: skip


@pytest.mark.parametrize("action", [Action.POST, Action.BROADCAST])
def test_a_message_that_is_refused_for_good_is_told_elsewhere(room: PostRoom, mail: Mail, action: Action) -> None:
    room.publish(fallback=["leads"])
    first = room.put()
    room.deliver_all(2)
    refused = room.put("critical now", action=action, first=first)
    room.slack.answer_next(Refused("msg_too_long"))
    room.deliver_all(2)
    assert room.row(refused).error == "Slack refused: msg_too_long; sent to leads instead"
    assert [letter.message.title for letter in mail.letters] == ["critical now"]
    assert room.lane().broken_since is None


def test_news_that_call_nobody_are_told_nowhere_else(room: PostRoom, mail: Mail) -> None:
    room.publish(fallback=["leads"])
    first = room.put()
    room.deliver_all(2)
    reply = room.put("a little more", action=Action.REPLY, first=first)
    room.slack.answer_next(Refused("msg_too_long"))
    room.deliver_all(2)
    assert (room.row(reply).state, room.row(reply).error) == ("dead", "Slack refused: msg_too_long")
    assert mail.letters == []


@pytest.mark.parametrize("status", [400, 413, 422])
def test_what_a_webhook_refuses_is_told_elsewhere_without_its_address(
    room: PostRoom, mail: Mail, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    room.publish(fallback=["leads"])
    with FakeWebhook() as receiver:
        room.channels["webhook"] = WebhookChannel(SECRET)
        receiver.script.append(Says(status))
        room.put(to=Receiver("page", "webhook", receiver.url))
        room.deliver()
        room.deliver()
    (letter,) = mail.letters
    said = f"This was meant for http://127.0.0.1, which did not take it: the webhook answered HTTP {status}."
    assert letter.message.details == (said,)
    assert "hooks/bursar" not in caplog.text


def test_a_fallback_that_lost_the_same_message_was_not_told(room: PostRoom, mail: Mail) -> None:
    """It is told to both, the one is broken, the other refuses it."""
    room.publish(fallback=["spare", "leads"])
    with room.database.write() as connection:
        break_lane(connection, "slack", OPS.target, "is_archived", room.now)
    to_spare = room.put(to=SPARE, step="fired")
    room.slack.answer_next(Refused("msg_too_long"))
    room.deliver()
    assert room.row(to_spare).state == "dead"
    to_ops = room.put(step="fired")
    room.deliver_all(3)
    assert room.row(to_ops).error.startswith("is_archived; ")
    assert [letter.message.title for letter in mail.letters] == [FIRST.title], "once, for both"


@pytest.mark.parametrize("configured", [False, True])
def test_a_revoked_token_mails_once_for_all_slack_channels(room: PostRoom, mail: Mail, configured: bool) -> None:
    names = [f"s{number}" for number in range(4)]
    channels: dict[str, Any] = {**{name: {"slack": f"#{name}"} for name in names}, "leads": CHANNELS["leads"]}
    part = {"channels": channels, **({"fallback": [*names[1:], "leads"]} if configured else {})}
    document = parse_document({"organization": ORG, "alerts": part}, "test")
    publish_document(room.database, document, author="test", reason="test")
    for name in names:
        room.put(to=Receiver(name, "slack", f"#{name}"), step="fired")
    room.put(to=LEADS, step="fired")
    room.slack.answer_next(*[Refused("token_revoked")] * 50)
    room.deliver_all(12)
    assert {row.state for row in room.rows() if row.channel_type == "slack"} == {"dead"}
    own, *others = sorted(mail.letters, key=lambda letter: letter.message.possible_repeat)
    assert not own.message.possible_repeat
    assert len(others) <= 1
    assert all(letter.message.possible_repeat for letter in others)
    asked = len(room.slack.requests)
    room.put(to=Receiver("s1", "slack", "#s1"), alert_id=room.alert())
    room.deliver_all(3)
    assert len(room.slack.requests) == asked, "all lanes are broken, nobody is asked for an hour"


def test_a_token_that_works_again_mends_all_lanes_but_not_an_archived_channel(room: PostRoom, mail: Mail) -> None:
    room.publish(fallback=["leads"])
    room.put()
    room.put(to=SPARE)
    room.deliver()
    archived = Receiver("old", "slack", "#old")
    with room.database.write() as connection:
        break_lane(connection, "slack", "#old", "Slack refused: is_archived", room.now)
    room.later(seconds=2)
    room.slack.answer_next(Refused("account_inactive"))
    room.put(alert_id=room.alert())
    room.deliver()
    assert all(room.lane(each).broken_since for each in (OPS, SPARE))
    room.later(hours=1)
    room.put(to=SPARE, alert_id=room.alert())
    room.deliver()
    assert [room.lane(each).broken_since is None for each in (OPS, SPARE, archived)] == [True, True, False]


def test_news_queued_by_who_did_not_know_of_the_stand_in_reach_it(room: PostRoom, mail: Mail) -> None:
    """The evaluation looked before the lane broke, and its message gets a newer id than the stand-in."""
    room.publish(fallback=["leads"])
    first = room.put(step="fired")
    room.slack.answer_next(Refused("is_archived"))
    room.deliver_all(2)
    news = room.put("rose", action=Action.BROADCAST, first=first, step="rose")
    room.deliver_all(2)
    assert room.row(news).error == "Slack refused: is_archived; sent to leads instead"
    assert [letter.message.title for letter in mail.letters] == [FIRST.title, "rose"]
    assert mail.letters[1].first is not None


def test_what_cannot_be_read_is_dead_with_its_reason_and_holds_nothing_up(room: PostRoom) -> None:
    spoilt = [room.put(alert_id=room.alert()), room.put(to=SPARE, alert_id=room.alert())]
    waits = room.put(alert_id=room.alert(), group_key="g")
    newer = room.put("newer", to=Receiver("else", "slack", "#else"), alert_id=room.alert())
    stored = {**room.row(newer).message, "since": "yesterday"}
    known = {**room.row(newer).message, "callers": [{"kind": "agent", "name": "x", "from_a_newer_version": 1}]}
    with room.database.write() as connection:
        break_lane(connection, "slack", SPARE.target, "is_archived", room.now)
        connection.execute(
            update(outbox).where(outbox.c.notification_id.in_([*spoilt, waits])).values(message=stored)
        )  # fmt: skip
        connection.execute(update(outbox).where(outbox.c.notification_id == newer).values(message=known))
    assert room.deliver() == 1
    assert room.row(newer).state == "delivered"
    for each in spoilt:
        assert (room.row(each).state, room.row(each).error) == ("dead", "the message cannot be read: ValueError")
    room.later(minutes=1)
    with room.database.read() as connection:
        (group,) = waiting_groups(connection, room.now)
    assert group.ids == (waits,)


def test_a_permanent_failure_of_a_letter_is_told_elsewhere(room: PostRoom) -> None:
    room.publish(fallback=["spare"])

    class Spam:
        paced = False

        def send(self, delivery: Delivery) -> Receipt:
            raise DeliveryFailed("the mail server refused the text: 554", FailureKind.PERMANENT)

    room.channels["email"] = Spam()
    letter = room.put(to=LEADS)
    room.deliver_all(2)
    assert room.row(letter).error == "the mail server refused the text: 554; sent to spare instead"
    assert len(room.slack.messages) == 1
