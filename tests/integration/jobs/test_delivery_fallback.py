"""A channel that takes no messages any more: they go elsewhere and say so, and it is seen when it is well again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import SecretStr

from engine.alerting.action import Action
from engine.alerting.channel_test import TITLE
from engine.alerting.lane_rows import break_lane
from engine.alerting.outbox import Receiver
from engine.alerting.outbox_claims import claim
from engine.alerting.outbox_due import due_notifications
from engine.errors import InvalidValue
from engine.ledger.queries.channels import broken_notice, channel_states
from engine.settings import Settings
from jobs.delivery.send_test import send_test
from jobs.delivery.sender import LEASE
from tests.support.fake_slack import FakeSlack, RateLimited, Refused, ServerError, Slow
from tests.support.ledger_copies import LedgerCopies
from tests.support.post_room import FIRST, LEADS, OPS, ORG, SPARE, Mail, PostRoom

THIRD = Receiver("third", "slack", "#third")


@pytest.fixture
def mail() -> Mail:
    return Mail()


@pytest.fixture
def room(database_url: str, fake_slack: FakeSlack, mail: Mail, ledger_copies: LedgerCopies) -> Iterator[PostRoom]:
    made = PostRoom(database_url, fake_slack, ledger_copies)
    made.channels["email"] = mail
    yield made
    made.database.close()


def states(room: PostRoom, *ids: str) -> list[str]:
    return [room.row(each).state for each in ids]


@pytest.mark.parametrize("answer", [
    *(Refused(error) for error in ("channel_not_found", "is_archived", "invalid_auth", "account_inactive")),
    ServerError(404), ServerError(410),
])  # fmt: skip
def test_what_stays_breaks_the_lane_and_the_message_goes_to_the_fallback(
    room: PostRoom, mail: Mail, answer: Any
) -> None:
    room.publish(fallback=["leads"])
    first = room.put()
    room.slack.answer_next(answer)
    room.deliver()
    reason = f"Slack refused: {answer.error}" if isinstance(answer, Refused) else f"Slack answered HTTP {answer.status}"
    row, lane = room.row(first), room.lane()
    assert (row.state, row.error) == ("dead", f"{reason}; sent to leads instead")
    assert (lane.broken_since, lane.broken_reason) == (room.now, reason)
    assert room.deliver() == 1
    (letter,) = mail.letters
    assert (letter.target, letter.message.title) == (LEADS.target, FIRST.title)
    assert letter.message.details[-1] == f"This was meant for #agent-ops, which did not take it: {reason}."
    assert len(room.slack.requests) == 1


def test_all_that_waits_for_a_broken_lane_takes_the_fallback_and_other_lanes_go_on(room: PostRoom, mail: Mail) -> None:
    room.publish(fallback=["leads"])
    retried = room.put("retried", alert_id=room.alert())
    room.slack.answer_next(ServerError(500), Refused("is_archived"))
    room.deliver()
    room.later(seconds=1)
    breaking = room.put("breaking", alert_id=room.alert())
    queued = [room.put(f"queued {n}", alert_id=room.alert()) for n in range(3)]
    assert states(room, retried) == ["retry"]
    room.deliver(kinds=("slack",))
    room.put("other", to=SPARE, alert_id=room.alert())
    room.deliver_all(3)
    after = room.put("after", alert_id=room.alert())
    room.deliver_all(2)
    titles = {letter.message.title for letter in mail.letters}
    everyone = {"retried", "breaking", "queued 0", "queued 1", "queued 2", "other", "after"}
    assert titles | {text.split(": ")[-1] for text in room.posted()} == everyone
    assert states(room, breaking, retried, *queued, after).count("dead") >= 5
    assert len(mail.letters) + len(room.slack.messages) == len(everyone), "nobody is told twice"


def test_a_message_that_may_have_arrived_says_so_at_the_fallback(room: PostRoom, mail: Mail) -> None:
    room.publish(fallback=["leads"])
    room.channels["slack"] = room.slack_channel(timeout=1)
    room.put()
    room.slack.answer_next(Slow(10), Refused("is_archived"))
    room.deliver()
    room.later(minutes=1)
    room.deliver_all(2)
    (letter,) = mail.letters
    assert letter.message.possible_repeat


def test_without_a_fallback_the_others_of_the_alert_learn_that_they_are_the_only_ones(
    room: PostRoom, mail: Mail
) -> None:
    room.publish()
    first, own = room.put(step="fired"), room.put(to=LEADS, step="fired")
    room.slack.answer_next(Refused("is_archived"))
    room.deliver()
    room.deliver()
    assert sorted(len(letter.message.details) for letter in mail.letters) == [0, 1]
    room.later(seconds=5)
    # The next step is told to both, as it would be without the breakage: the letter has it already.
    reply = room.put("rose", action=Action.BROADCAST, first=first, step="rose")
    room.put("rose", to=LEADS, action=Action.BROADCAST, first=own, step="rose")
    room.deliver_all(3)
    assert [letter.message.title for letter in mail.letters].count("rose") == 1
    assert (room.row(reply).state, room.row(reply).error) == (
        "dead", "Slack refused: is_archived; told anyway: leads",
    )  # fmt: skip


def test_with_nobody_else_the_log_has_it(room: PostRoom, caplog: pytest.LogCaptureFixture) -> None:
    room.publish()
    room.put()
    room.slack.answer_next(Refused("is_archived"))
    room.deliver()
    assert room.deliver() == 1
    assert "This was meant for #agent-ops, which did not take it: Slack refused: is_archived." in caplog.text


def test_a_fallback_that_is_broken_too_ends_in_the_log(room: PostRoom, mail: Mail) -> None:
    room.publish(fallback=["spare"])
    room.put()
    room.slack.answer_next(Refused("is_archived"), Refused("channel_not_found"))
    for _ in range(4):
        room.deliver()
        room.later(seconds=1)
    delivered = [row for row in room.rows() if row.state == "delivered"]
    assert [row.channel_type for row in delivered] == ["log"]
    assert len(delivered[0].message["details"]) == 2
    assert mail.letters == []


def test_the_mention_of_a_fallback_channel_is_its_own(room: PostRoom) -> None:
    room.publish(fallback=["spare"])
    room.put()
    room.slack.answer_next(Refused("is_archived"))
    room.deliver_all(3)
    assert room.posted() == [f"@spare Critical: {FIRST.title}"]


def test_news_queued_before_the_lane_broke_follow_into_the_thread_of_the_stand_in(room: PostRoom) -> None:
    room.publish(fallback=["spare"])
    first = room.put()
    reply = room.put("news", action=Action.REPLY, first=first)
    edit = room.put("edited", action=Action.EDIT, first=first)
    room.slack.answer_next(Refused("is_archived"))
    room.deliver_all(6)
    parent, line = room.slack.messages
    assert line.body["thread_ts"] == parent.ts
    assert parent.channel == line.channel
    assert parent.edits == 1
    assert states(room, first, reply, edit) == ["dead"] * 3


def test_news_of_an_alert_that_moved_stay_with_the_stand_in_also_when_the_channel_is_mended(
    room: PostRoom, mail: Mail
) -> None:
    room.publish(fallback=["leads"])
    first = room.put()
    room.slack.answer_next(Refused("is_archived"))
    room.deliver_all(2)
    (stand_in,) = [row for row in room.rows() if row.channel == "leads"]
    room.later(hours=1)
    room.put("another alert", alert_id=room.alert())
    room.deliver_all(2)
    assert room.lane().broken_since is None, "after an hour the next message tried it"
    reply = room.put("news", action=Action.REPLY, first=first, step="news")
    room.put("news", to=LEADS, action=Action.REPLY, first=stand_in.notification_id, step="news")
    room.deliver_all(2)
    # What calls nobody is kept from mailboxes.
    quiet = room.put("burn update", action=Action.REPLY, first=first, kind="thread_reply")
    room.deliver_all(2)
    assert states(room, reply, quiet) == ["dead", "dead"]
    assert [letter.message.title for letter in mail.letters] == [FIRST.title, "news"]
    assert mail.letters[1].first is not None


def test_a_broken_lane_is_tried_again_after_an_hour_by_one_message(room: PostRoom, mail: Mail) -> None:
    room.publish(fallback=["leads"])
    room.put()
    room.slack.answer_next(Refused("is_archived"), Refused("is_archived"))
    room.deliver()
    broken_since = room.now
    for minutes, asked in ((59, 1), (2, 2), (59, 2)):
        room.later(minutes=minutes)
        for _ in range(2):
            room.put(alert_id=room.alert())
        room.deliver_all(3)
        assert len(room.slack.requests) == asked
    assert room.lane().broken_since == broken_since, "it was never well in between"
    assert len(mail.letters) == 7
    room.later(minutes=2)
    room.put(alert_id=room.alert())
    room.deliver()
    assert len(room.slack.messages) == 1
    assert (room.lane().broken_since, room.lane().broken_reason) == (None, None)


def test_who_looked_before_the_lane_broke_sends_nothing_there(room: PostRoom) -> None:
    room.put()
    with room.database.write() as connection:
        (candidate,) = due_notifications(connection, room.now)
        assert break_lane(connection, OPS.kind, OPS.target, "is_archived", room.now)
        assert claim(connection, candidate, room.now, lambda _: LEASE) is None
        (again,) = due_notifications(connection, room.now)
    assert (candidate.goes_elsewhere, again.goes_elsewhere) == (False, True)


def settings(room: PostRoom, **more: Any) -> Settings:
    token = SecretStr(room.slack.token)
    return Settings(**{"slack_token": token, "slack_base_url": room.slack.base_url, **more})


def test_a_test_message_that_arrives_mends_a_lane_and_pages_know(room: PostRoom) -> None:
    room.publish(fallback=["leads"])
    room.put()
    room.slack.answer_next(Refused("is_archived"))
    room.deliver()
    with room.database.read() as connection:
        state = channel_states(connection, ORG, room.now)[0]
        notice = broken_notice(channel_states(connection, ORG, room.now))
    assert (state.channel_type, state.target, state.broken) == ("slack", "#agent-ops", True)
    assert state.broken_since == room.now
    assert notice is not None
    assert notice.startswith("Notifications do not reach slack #agent-ops (Slack refused: is_archived).")
    tested = send_test(room.database, settings(room), ORG, "ops", clock=room.clock)
    assert (tested.delivered, tested.sentence) == (True, "ops (slack #agent-ops): the test message arrived.")
    assert tested.receipt["ts"] == room.slack.messages[-1].ts
    assert room.posted()[-1] == f"Info: {TITLE}"
    with room.database.read() as connection:
        states = channel_states(connection, ORG, room.now)
    assert broken_notice(states) is None
    assert states[0].last_delivered_at == room.now


def test_a_test_message_that_is_refused_breaks_the_lane_and_a_pause_holds_it(room: PostRoom) -> None:
    room.publish()
    room.slack.answer_next(Refused("channel_not_found"), RateLimited(30))
    refused = send_test(room.database, settings(room), ORG, "ops", clock=room.clock)
    assert (refused.delivered, refused.sentence) == (
        False, "ops (slack #agent-ops): the test message did not arrive: Slack refused: channel_not_found.",
    )  # fmt: skip
    assert room.lane().broken_since == room.now
    later = send_test(room.database, settings(room), ORG, "spare", clock=room.clock)
    assert not later.delivered
    assert (room.lane(SPARE).paused_until - room.now).total_seconds() == 30


def test_a_test_of_a_channel_that_is_not_set_up_or_not_there_says_so(room: PostRoom) -> None:
    room.publish()
    tested = send_test(room.database, Settings(), ORG, "leads", clock=room.clock)
    assert (tested.delivered, tested.sentence) == (
        False,
        "leads (email ann@example.com, bob@example.com): no mail server is configured; the message went to the log.",
    )
    with pytest.raises(InvalidValue, match=r"^channel: must be one of alerts\.channels: leads, ops, spare$"):
        send_test(room.database, Settings(), ORG, "nope")
