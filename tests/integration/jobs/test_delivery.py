"""Queued messages reach Slack or the log: once, or marked as a possible repeat, and never lost."""

from __future__ import annotations

import logging
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta

import pytest
from pydantic import SecretStr

from engine.alerting.lane_rows import Lanes, broken_lanes
from engine.alerting.outbox import Receiver
from engine.alerting.outbox_claims import Notification, claim
from engine.alerting.outbox_due import due_notifications
from engine.alerting.outbox_outcomes import mark_dead, mark_delivered
from engine.settings import Settings
from jobs.delivery.channel import Channel, Delivery, DeliveryFailed, FailureKind, Receipt
from jobs.delivery.log import LogChannel
from jobs.delivery.mail import MailChannel
from jobs.delivery.sender import LEASE, build_channels, delivery_jobs
from jobs.delivery.slack import SlackChannel
from jobs.delivery.smtp_server import SmtpServer
from tests.support.fake_slack import Dropped, FakeSlack, RateLimited, Refused, ServerError, Slow
from tests.support.fake_smtp import FakeSmtp
from tests.support.ledger_copies import LedgerCopies
from tests.support.post_room import FIRST, LEADS, OPS, PostRoom

ELSEWHERE = Receiver("else", "slack", "#elsewhere")


@pytest.fixture
def room(database_url: str, fake_slack: FakeSlack, ledger_copies: LedgerCopies) -> Iterator[PostRoom]:
    made = PostRoom(database_url, fake_slack, ledger_copies)
    yield made
    made.database.close()


def test_a_message_is_posted_once_with_text_and_blocks_and_its_receipt_is_kept(room: PostRoom) -> None:
    first = room.put()
    assert room.deliver() == 1
    room.later(minutes=5)
    assert room.deliver() == 0
    (posted,) = room.slack.messages
    row = room.row(first)
    assert (row.state, row.attempts, row.error) == ("delivered", 1, None)
    assert row.delivered_at == room.now - timedelta(minutes=5)
    assert row.receipt == {"channel": posted.channel, "ts": posted.ts}
    assert posted.body["text"].startswith(f"@oncall Critical: {FIRST.title}")
    assert posted.body["blocks"]
    assert "repeat" not in posted.body["text"]


def test_a_pause_asked_for_by_slack_holds_the_whole_lane_and_nobody_sleeps(room: PostRoom) -> None:
    for number in range(3):
        room.put(f"message {number}")
    room.put("other place", to=ELSEWHERE)
    room.slack.answer_next(RateLimited(retry_after=7))
    while len(room.slack.requests) < 2:
        room.deliver()
    states = {row.target: row.state for row in room.rows() if row.state in ("retry", "delivered")}
    assert len(states) == 2, "one of two places is paused, the other is not held"
    paused = next(target for target, state in states.items() if state == "retry")
    room.later(seconds=6.9)
    asked = len(room.slack.requests)
    room.deliver()
    assert all(row.attempts == (row.state == "retry") for row in room.rows() if row.target == paused)
    room.later(seconds=0.2)
    assert room.deliver() >= 1
    assert len(room.slack.requests) > asked
    room.deliver_all()
    assert {row.state for row in room.rows()} == {"delivered"}
    assert not any("repeat" in text for text in room.posted()), "a refused message did not arrive"


def test_a_message_queued_during_a_pause_waits_too_and_the_one_before_it_stays_first(room: PostRoom) -> None:
    room.put("one")
    room.slack.answer_next(RateLimited(retry_after=60))
    room.deliver()
    room.later(seconds=1)
    room.put("two")
    assert room.deliver() == 0
    assert len(room.slack.requests) == 1
    room.later(seconds=60)
    room.deliver_all(3)
    assert [text.split(": ")[-1] for text in room.posted()] == ["one", "two"]


def test_a_place_takes_one_message_a_second_and_the_log_all_at_once(room: PostRoom) -> None:
    for number in range(3):
        room.put(f"{number}")
        room.put(f"{number}", to=Receiver("log", "log", ""), alert_id=room.alert())
    assert room.deliver(kinds=("log",)) == 3
    for _ in range(3):
        assert room.deliver() == 1
        room.later(seconds=0.9)
        assert room.deliver() == 0
        room.later(seconds=0.1)
    assert room.deliver() == 0


def test_a_server_error_is_tried_again_after_a_growing_delay(room: PostRoom) -> None:
    first = room.put()
    room.slack.answer_next(ServerError(500), ServerError(503))
    assert room.deliver() == 0
    row = room.row(first)
    assert (row.state, row.attempts, row.error) == ("retry", 1, "Slack answered HTTP 500 without a reason")
    assert row.next_attempt_at == room.now + timedelta(seconds=7.5)
    room.later(seconds=7.4)
    assert room.deliver() == 0
    assert len(room.slack.requests) == 1
    room.later(seconds=0.1)
    room.deliver()
    assert room.row(first).next_attempt_at == room.now + timedelta(seconds=15)
    room.later(seconds=15)
    assert room.deliver() == 1
    assert room.row(first).attempts == 3
    assert "(possible repeat) " in room.posted()[0], "Slack may have posted before it failed"


def test_what_failed_does_not_hold_up_what_follows(room: PostRoom) -> None:
    room.put("one")
    room.slack.answer_next(ServerError(500))
    room.deliver()
    room.later(seconds=1)
    room.put("two")
    assert room.deliver() == 1
    assert room.posted() == ["@oncall Critical: two"]


def test_a_refused_message_is_dead_and_its_channel_stays_well(room: PostRoom) -> None:
    first = room.put()
    room.slack.answer_next(Refused("msg_too_long"))
    room.deliver()
    assert room.row(first).state == "dead"
    assert room.row(first).error == "Slack refused: msg_too_long; sent to log instead"
    assert room.lane().broken_since is None
    room.later(days=2)
    assert room.deliver() == 1, "by the log, which has it instead"
    assert len(room.slack.requests) == 1


@pytest.mark.parametrize(("token", "error"), [("xoxb-wrong-secret", "invalid_auth"), ("x\nlines-secret", "ValueError")])
def test_a_wrong_token_is_written_nowhere(
    room: PostRoom, caplog: pytest.LogCaptureFixture, token: str, error: str
) -> None:
    caplog.set_level(logging.DEBUG)
    first = room.put()
    room.channels["slack"] = room.slack_channel(token=token)
    room.deliver()
    assert error in room.row(first).error
    assert "secret" not in caplog.text + str(room.rows()) + str(room.lane())


def test_a_place_that_hangs_does_not_hold_up_what_is_queued_meanwhile(room: PostRoom) -> None:
    queued, released = threading.Event(), threading.Event()

    class Hangs:
        paced = True

        def send(self, delivery: Delivery) -> Receipt:
            if delivery.target == OPS.target:
                queued.set()
                # Ends only when the other one has been sent, in the same tick.
                assert released.wait(30)
            else:
                released.set()
            return Receipt("slack")

    room.channels = {"slack": Hangs()}
    room.put()
    delivered: list[int] = []
    tick = threading.Thread(target=lambda: delivered.append(room.deliver()))
    tick.start()
    assert queued.wait(30)
    room.put(to=ELSEWHERE)
    tick.join()
    assert delivered == [2]


def test_no_answer_in_time_is_unknown_and_tried_again_with_a_mark(room: PostRoom) -> None:
    room.channels["slack"] = room.slack_channel(timeout=1)
    first = room.put()
    room.slack.answer_next(Slow(10))
    room.deliver()
    assert (room.row(first).state, room.row(first).error) == ("unknown", "Slack did not answer: TimeoutError")
    room.later(minutes=1)
    assert room.deliver() == 1
    assert ["possible repeat" in text for text in room.posted()] == [False, True]


@pytest.mark.parametrize("posted", [False, True])
def test_a_dropped_connection_is_unknown_and_marked_also_after_further_failures(room: PostRoom, posted: bool) -> None:
    first = room.put()
    room.slack.answer_next(Dropped(posted=posted), RateLimited(retry_after=1))
    room.deliver()
    assert room.row(first).state == "unknown"
    for _ in range(2):
        room.later(minutes=1)
        room.deliver()
    assert room.row(first).state == "delivered"
    assert "(possible repeat) " in room.posted()[-1]
    assert len(room.posted()) == 1 + posted


def test_a_refused_connection_is_tried_again_without_a_mark(room: PostRoom) -> None:
    first = room.put()
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        room.channels["slack"] = room.slack_channel(url=f"http://127.0.0.1:{unused.getsockname()[1]}/api/")
        room.deliver()
    assert room.row(first).error == "Slack cannot be reached: ConnectionRefusedError (Connection refused)"
    room.channels["slack"] = room.slack_channel()
    room.later(minutes=1)
    assert room.deliver() == 1
    assert "repeat" not in room.posted()[0]


def test_after_a_day_of_failures_a_message_is_given_up_and_says_why(room: PostRoom) -> None:
    first = room.put()
    room.slack.answer_next(ServerError(502), ServerError(502))
    room.deliver()
    room.later(hours=24)
    room.deliver()
    row = room.row(first)
    reason = "given up after 24 hours: Slack answered HTTP 502 without a reason"
    assert (row.state, row.error) == ("dead", f"{reason}; sent to log instead")
    assert room.lane().broken_since is None


def test_who_lost_the_lease_changes_nothing_any_more(room: PostRoom) -> None:
    first = room.put()
    with room.database.write() as connection:
        (candidate,) = due_notifications(connection, room.now)
        slow = claim(connection, candidate, room.now, lambda _: LEASE)
        assert isinstance(slow, Notification)
        assert claim(connection, candidate, room.now, lambda _: LEASE) is None, "it is taken"
    room.later(minutes=2)
    with room.database.write() as connection:
        (abandoned,) = due_notifications(connection, room.now)
        second = claim(connection, abandoned, room.now, lambda _: LEASE)
        assert isinstance(second, Notification)
        assert second.message.possible_repeat
        assert not mark_dead(connection, slow, error="the second is still sending", now=room.now)
        assert mark_delivered(connection, second, by="slack", receipt={"ts": "2"}, now=room.now)
        assert not mark_delivered(connection, slow, by="slack", receipt={"ts": "1"}, now=room.now)
    assert (room.row(first).state, room.row(first).receipt) == ("delivered", {"ts": "2"})


def test_who_looked_before_another_sender_died_cannot_claim_without_looking_again(room: PostRoom) -> None:
    room.put()
    with room.database.write() as connection:
        (candidate,) = due_notifications(connection, room.now)
        assert claim(connection, candidate, room.now, lambda _: LEASE) is not None
        room.later(minutes=2)
        assert claim(connection, candidate, room.now, lambda _: LEASE) is None, "it would be sent without its mark"


def test_a_claim_that_finds_the_lane_busy_leaves_everything_as_it_was(room: PostRoom) -> None:
    room.put("one")
    two = room.put("two", alert_id=room.alert())
    paced = Lanes(paced=frozenset({"slack"}), gap=timedelta(seconds=1))
    with room.database.write() as connection:
        # Somebody who paces nothing sees both, and takes the lane for one.
        first, second = due_notifications(connection, room.now)
        assert claim(connection, first, room.now, lambda _: LEASE, places=paced) is not None
        for after in (0.0, 0.9, 5.0):
            at = room.now + timedelta(seconds=after)
            assert claim(connection, second, at, lambda _: LEASE, places=paced) is None, "one is in flight"
    row, lane = room.row(two), room.lane()
    assert (row.state, row.attempts, lane.last_started_at) == ("queued", 0, room.now)


def test_a_slow_mail_server_is_no_concern_of_slack(room: PostRoom) -> None:
    mailing, go_on = threading.Event(), threading.Event()

    class SlowMail:
        paced = False

        def send(self, delivery: Delivery) -> Receipt:
            mailing.set()
            assert go_on.wait(30)
            return Receipt("email")

    channels: dict[str, Channel] = {"slack": room.slack_channel(), "email": SlowMail()}
    jobs = delivery_jobs(room.database, channels, room.clock)
    assert set(jobs) == {"deliver-slack", "deliver-email"}
    letter, post = room.put(to=LEADS), room.put()
    mail = threading.Thread(target=jobs["deliver-email"])
    mail.start()
    assert mailing.wait(30)
    jobs["deliver-slack"]()
    assert (room.row(post).state, room.row(letter).state) == ("delivered", "sending")
    go_on.set()
    mail.join()
    assert room.row(letter).state == "delivered"


def test_who_takes_no_mail_for_now_gets_it_later_and_nobody_twice(room: PostRoom) -> None:
    with FakeSmtp(refuse={"bob@example.com": "450 4.2.1 later"}) as server:
        reached = SmtpServer("127.0.0.1", server.port, implicit_tls=False, allow_unencrypted=True)
        room.channels = {"email": MailChannel(reached, "Bursar <alerts@example.com>")}
        first = room.put(to=LEADS)
        room.deliver()
        room.deliver()
        assert room.row(first).receipt["refused"] == {"bob@example.com": "450"}
        server.refuse.clear()
        room.later(minutes=1)
        room.deliver_all(3)
        assert [letter.recipients for letter in server.letters] == [["ann@example.com"], ["bob@example.com"]]
    assert [row.state for row in room.rows()] == ["delivered"] * 2


def test_a_channel_with_very_many_addresses_is_served_and_breaks_like_others(room: PostRoom) -> None:
    many = Receiver("all", "email", ", ".join(f"{n:02}-{'x' * 50}@{'y' * 60}.example.com" for n in range(50)))
    refused = [FailureKind.TRANSIENT, FailureKind.PERMANENT]

    class Refuses:
        paced = False

        def send(self, delivery: Delivery) -> Receipt:
            raise DeliveryFailed("no", refused.pop(0), channel_broken=True)

    room.channels = {"email": Refuses(), "log": LogChannel()}
    first = room.put(to=many)
    waits = room.put(to=many, alert_id=room.alert())
    room.deliver()
    room.later(minutes=1)
    room.deliver_all(3)
    assert [room.row(each).state for each in (first, waits)] == ["dead", "dead"]
    assert Counter(row.state for row in room.rows() if row.channel_type == "log") == {"delivered": 2}


def test_a_channel_without_a_sender_is_dead_and_goes_to_the_log(room: PostRoom) -> None:
    room.channels = {"log": LogChannel()}
    first = room.put()
    room.deliver()
    room.deliver()
    assert "no channel of type slack here" in room.row(first).error
    with room.database.read() as connection:
        assert broken_lanes(connection) == {("slack", OPS.target)}
    assert [row.state for row in room.rows() if row.channel_type == "log"] == ["delivered"]


def test_an_error_nobody_foresaw_is_unknown_and_tells_no_secret(room: PostRoom) -> None:
    class Breaks:
        paced = False

        def send(self, delivery: Delivery) -> Receipt:
            raise RuntimeError("token xoxb-secret")

    room.channels = {"slack": Breaks()}
    first = room.put()
    room.deliver()
    assert (room.row(first).state, room.row(first).error) == ("unknown", "sending failed: RuntimeError")


def test_a_permanent_failure_of_a_message_says_so() -> None:
    assert DeliveryFailed("no", FailureKind.PERMANENT).permanent


def test_without_a_token_slack_messages_go_to_the_log_and_say_so(
    room: PostRoom, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "bursar.notifications")
    room.channels = build_channels(Settings(slack_token=None))
    first = room.put()
    assert room.deliver() == 1
    row = room.row(first)
    assert (row.state, row.channel_type, row.target) == ("delivered", "slack", "#agent-ops")
    note = "no Slack token is configured"
    assert row.receipt == {"meant_for": "#agent-ops", "note": note, "by": "log"}
    assert FIRST.title in caplog.text
    assert f"[meant for #agent-ops: {note}]" in caplog.text
    assert room.lane().last_delivered_at is None, "nothing is known of the channel itself"


@pytest.mark.parametrize("token", ["", "  "])
def test_an_empty_token_is_none(token: str) -> None:
    assert isinstance(build_channels(Settings(slack_token=SecretStr(token)))["slack"], LogChannel)
    assert isinstance(build_channels(Settings(slack_token=SecretStr("xoxb-1")))["slack"], SlackChannel)
