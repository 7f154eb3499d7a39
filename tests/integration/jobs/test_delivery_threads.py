"""Replies and edits follow the first message: after it, to where it went, in order; many alerts share one digest."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from engine.alerting.action import Action
from engine.alerting.grouping import WAIT
from engine.alerting.outbox import digest, release, waiting_groups
from engine.alerting.outbox_claims import claim
from engine.alerting.outbox_due import due_notifications
from jobs.delivery.log import LogChannel
from jobs.delivery.sender import LEASE
from tests.support.fake_slack import Dropped, FakeSlack, Refused, ServerError
from tests.support.ledger_copies import LedgerCopies
from tests.support.post_room import FIRST, LEADS, OPS, ORG, PostRoom


@pytest.fixture
def room(database_url: str, fake_slack: FakeSlack, ledger_copies: LedgerCopies) -> Iterator[PostRoom]:
    made = PostRoom(database_url, fake_slack, ledger_copies)
    yield made
    made.database.close()


def begun(room: PostRoom) -> str:
    """A first message, delivered."""
    first = room.put()
    assert room.deliver() == 1
    room.later(seconds=2)
    return first


def test_a_reply_waits_for_its_first_message_and_goes_into_its_thread(room: PostRoom) -> None:
    first = room.put()
    reply = room.put("news", action=Action.REPLY, first=first)
    room.slack.answer_next(ServerError(500))
    room.deliver()
    room.later(seconds=2)
    assert room.deliver() == 0
    assert room.row(reply).attempts == 0
    room.later(seconds=10)
    room.deliver_all(3)
    parent, line = room.slack.messages
    assert (parent.body.get("thread_ts"), line.body["thread_ts"]) == (None, parent.ts)
    assert line.body["channel"] == parent.channel


def test_an_edit_uses_the_channel_id_of_the_answer_and_calls_nobody(room: PostRoom) -> None:
    first = begun(room)
    room.put("better now", action=Action.EDIT, first=first)
    assert room.deliver() == 1
    (message,) = room.slack.messages
    edit = room.slack.requests[-1]
    assert (edit.method, edit.body["channel"], edit.body["ts"]) == ("chat.update", message.channel, message.ts)
    assert message.channel != OPS.target
    assert message.edits == 1


def test_news_of_one_alert_arrive_in_their_order(room: PostRoom) -> None:
    first = room.put()
    for number in range(3):
        room.later(milliseconds=1)
        room.put(f"line {number}", action=Action.REPLY, first=first)
    room.later(milliseconds=1)
    room.put("loud", action=Action.BROADCAST, first=first)
    room.deliver_all(6)
    assert [text.split(": ")[-1] for text in room.posted()] == [FIRST.title, "line 0", "line 1", "line 2", "loud"]


def test_two_letters_about_one_alert_are_never_under_way_at_once(room: PostRoom) -> None:
    first = room.put(to=LEADS)
    room.channels["email"] = LogChannel()
    room.deliver()
    room.later(seconds=1)
    older, newer = (room.put(title, to=LEADS, action=Action.REPLY, first=first) for title in ("older", "newer"))
    with room.database.write() as connection:
        (candidate,) = due_notifications(connection, room.now)
        assert candidate.notification_id == older
        assert claim(connection, candidate, room.now, lambda _: LEASE) is not None
        assert due_notifications(connection, room.now) == []
    room.later(minutes=2)
    assert room.deliver() == 2
    assert room.row(older).delivered_at <= room.row(newer).delivered_at


def test_an_edit_that_a_newer_one_overtook_is_not_sent(room: PostRoom) -> None:
    first = room.put()
    older = room.put("older", action=Action.EDIT, first=first)
    newer = room.put("newer", action=Action.EDIT, first=first)
    room.deliver_all(4)
    assert (room.row(older).state, room.row(older).error) == ("suppressed", "superseded")
    assert room.row(newer).state == "delivered"
    assert [request.method for request in room.slack.requests] == ["chat.postMessage", "chat.update"]


def test_an_edit_that_failed_does_not_undo_a_newer_one(room: PostRoom) -> None:
    first = begun(room)
    older = room.put("older", action=Action.EDIT, first=first)

    class Overtaken:
        """While the older one is being sent, a newer one is queued."""

        paced = True

        def send(self, delivery: object) -> None:
            room.put("newer", action=Action.EDIT, first=first)
            raise RuntimeError

    healthy = room.channels["slack"]
    room.channels["slack"] = Overtaken()  # type: ignore[assignment] # fails, and never answers
    room.deliver()
    room.channels["slack"] = healthy
    room.later(minutes=5)
    room.deliver_all(3)
    assert (room.row(older).state, room.row(older).error) == ("suppressed", "superseded")
    assert room.slack.messages[0].body["text"].split("\n")[0].endswith("newer")


def test_an_edit_made_twice_is_no_repeat(room: PostRoom) -> None:
    first = begun(room)
    room.put("better", action=Action.EDIT, first=first)
    room.slack.answer_next(Dropped(posted=True))
    room.deliver()
    room.later(minutes=1)
    assert room.deliver() == 1
    assert "repeat" not in room.posted()[0]


def test_news_of_a_first_message_that_was_refused_are_messages_of_their_own_and_edits_end(room: PostRoom) -> None:
    first = room.put()
    room.slack.answer_next(Refused("msg_too_long"))
    room.deliver()
    room.later(seconds=2)
    edit = room.put("edit", action=Action.EDIT, first=first)
    reply = room.put("reply", action=Action.REPLY, first=first)
    room.deliver_all(3)
    assert (room.row(edit).state, room.row(edit).error) == ("suppressed", "there is no message to edit")
    assert room.row(reply).state == "delivered"
    (posted,) = room.slack.messages
    assert "thread_ts" not in posted.body
    assert posted.channel == "C000000001"


def test_a_message_that_nobody_is_to_get_is_kept_with_its_reason(room: PostRoom) -> None:
    hidden = room.put(suppressed="silenced: s-1")
    assert room.deliver() == 0
    assert (room.row(hidden).state, room.row(hidden).error) == ("suppressed", "silenced: s-1")


def waiting(room: PostRoom, count: int) -> tuple[list[str], list[str]]:
    """So many alerts with a first message each that waits; the alerts and the messages."""
    alerts = [room.alert() for _ in range(count)]
    return alerts, [room.put(f"alert {n}", alert_id=alert, group_key="g") for n, alert in enumerate(alerts)]


def test_first_messages_wait_for_others_and_leave_by_themselves_when_few(room: PostRoom) -> None:
    _, ids = waiting(room, 2)
    room.later(seconds=20)
    late = room.put("late", alert_id=room.alert(), group_key="g")
    room.later(seconds=9.9)
    with room.database.write() as connection:
        assert waiting_groups(connection, room.now) == []
    assert room.deliver() == 0
    room.later(seconds=0.1)
    with room.database.write() as connection:
        (group,) = waiting_groups(connection, room.now)
        assert group.ids == (*ids, late), "all of a group leave with its oldest"
        assert (group.org_id, group.receiver) == (ORG, OPS)
        assert release(connection, group.ids, room.now) == 3
        assert release(connection, group.ids, room.now) == 0
    assert room.deliver_all(4) == 3


def test_a_digest_stands_for_all_that_waited_and_later_news_go_into_its_thread(room: PostRoom) -> None:
    alerts, ids = waiting(room, 12)
    early = room.put("early news", alert_id=alerts[0], action=Action.REPLY, first=ids[0])
    early_edit = room.put("early edit", alert_id=alerts[0], action=Action.EDIT, first=ids[0])
    room.later(seconds=WAIT.total_seconds())
    digest_id = None
    for attempt in range(2):
        with room.database.write() as connection:
            groups = waiting_groups(connection, room.now)
            made = digest(connection, ids, org_id=ORG, channel=OPS, dedupe_key=f"d{attempt}", message=FIRST,
                          now=room.now)  # fmt: skip
            if attempt == 0:
                assert [len(group.messages) for group in groups] == [12]
                digest_id = made
            else:
                assert (groups, made) == ([], None), "another worker was first"
    assert digest_id is not None
    assert {(room.row(each).state, room.row(each).error) for each in ids} == {("suppressed", f"digest:{digest_id}")}
    reply = room.put("late news", alert_id=alerts[1], action=Action.REPLY, first=digest_id)
    edit = room.put("late edit", alert_id=alerts[1], action=Action.EDIT, first=digest_id)
    room.deliver_all(5)
    parent, *lines = room.slack.messages
    assert [line.body["thread_ts"] for line in lines] == [parent.ts, parent.ts]
    assert {room.row(each).state for each in (early, reply)} == {"delivered"}
    assert {(room.row(each).state, room.row(each).error) for each in (early_edit, edit)} == {
        ("suppressed", f"digest:{digest_id}")
    }
    assert parent.edits == 0


def test_a_dedupe_key_is_taken_once(room: PostRoom) -> None:
    room.put()
    room._number = iter([0])  # type: ignore[assignment] # the same key again
    with pytest.raises(AssertionError):
        room.put()
    assert len(room.rows()) == 1


def test_a_reply_where_the_log_stood_in_for_the_channel_is_a_post(room: PostRoom) -> None:
    room.channels["slack"] = LogChannel(instead="no token")
    first = begun(room)
    room.channels["slack"] = room.slack_channel()
    reply = room.put("news", action=Action.REPLY, first=first)
    assert room.deliver() == 1
    assert room.row(reply).state == "delivered"
    assert "thread_ts" not in room.slack.messages[0].body


def test_replies_by_mail_do_not_wait_for_the_gap(room: PostRoom) -> None:
    room.channels["email"] = LogChannel()
    first = room.put(to=LEADS)
    room.put("news", to=LEADS, action=Action.REPLY, first=first)
    assert room.deliver() + room.deliver() == 2
    assert room.lane(LEADS).last_started_at == room.now - timedelta(0)
