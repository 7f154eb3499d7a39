"""Queued messages reach Slack or the log: once, or marked as a possible repeat, and never lost."""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
import threading
from collections import defaultdict
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr

from engine.alerting.message import Message
from engine.alerting.outbox import claim, due_notifications, mark_dead, mark_delivered
from engine.settings import Settings
from jobs.delivery.channel import Channel, Receipt
from jobs.delivery.log import LogChannel
from jobs.delivery.sender import LEASE, build_channels, deliver_due
from jobs.delivery.slack import SlackChannel
from tests.support.fake_slack import Dropped, FakeSlack, RateLimited, Refused, ServerError, Slow

if TYPE_CHECKING:
    from tests.integration.jobs.conftest import Office

USD = 1_000_000
REPOSITORY = Path(__file__).resolve().parents[3]


class Desk:
    """An office whose warnings go to Slack, with a sender."""

    def __init__(self, office: Office, slack: FakeSlack) -> None:
        self.office, self.slack = office, slack
        self.token = slack.token
        self.channels = self.channels_with(slack.base_url)
        self.queue()

    def channels_with(self, base_url: str, timeout_seconds: int = 5) -> dict[str, Channel]:
        return {"log": LogChannel(), "slack": SlackChannel(self.token, base_url, timeout_seconds=timeout_seconds)}

    def queue(self, agents: int = 1, to: str = "#agent-ops", budget_id: str = "each") -> None:
        """Queue one warning for each of so many agents."""
        self.office.publish(
            {"id": budget_id, "per": "agent", "monthly_budget_usd": 100},
            channels={"ops": {"slack": to}},
            routes={"warning": ["ops"]},
        )
        for number in range(agents):
            self.office.spend(85 * USD, budget_id=budget_id, scope=f"bot-{number}")
        self.office.evaluate()

    def deliver(self, chance: float = 0.0) -> int:
        return deliver_due(self.office.database, self.channels, clock=self.office.clock, chance=lambda: chance)

    def row(self) -> Any:
        (row,) = self.office.outbox()
        return row

    def posted(self) -> list[str]:
        return [message.body["text"] for message in self.slack.messages]


@pytest.fixture
def desk(office: Office, fake_slack: FakeSlack) -> Desk:
    return Desk(office, fake_slack)


def test_a_message_is_posted_once_with_text_and_blocks_and_its_receipt_is_kept(desk: Desk) -> None:
    assert desk.deliver() == 1
    assert desk.deliver() == 0
    (posted,) = desk.slack.messages
    row = desk.row()
    assert (row.state, row.attempts, row.error, row.delivered_at) == ("delivered", 1, None, desk.office.now)
    assert row.receipt == {"channel": posted.channel, "ts": posted.ts}
    assert posted.body["text"].startswith("Warning: Monthly budget 'each' of agent bot-0 is at 85.0 %\n")
    assert [block["type"] for block in posted.body["blocks"]] == ["section", "section"]
    assert "repeat" not in posted.body["text"]


def test_a_pause_asked_for_by_slack_holds_the_whole_channel_and_nobody_sleeps(desk: Desk) -> None:
    desk.queue(3)
    desk.queue(1, to="#elsewhere", budget_id="other")
    desk.slack.answer_next(RateLimited(retry_after=7))
    assert desk.deliver() == 1, "the other channel is not held"
    rows: dict[str, list[Any]] = defaultdict(list)
    for row in desk.office.outbox():
        rows[row.target].append((row.state, row.next_attempt_at - desk.office.now, row.error))
    assert [state for state, *_ in rows["#elsewhere"]] == ["delivered"]
    assert sorted(rows["#agent-ops"], key=str) == [
        ("queued", timedelta(seconds=7), None),
        ("queued", timedelta(seconds=7), None),
        ("retry", timedelta(seconds=7), "ratelimited"),
    ]
    desk.office.later(seconds=6.9)
    assert desk.deliver() == 0
    assert len(desk.slack.requests) == 2
    for _ in range(3):
        desk.office.later(seconds=1)
        assert desk.deliver() == 1, "one message for a channel at a time"
    assert len(desk.slack.messages) == 4
    assert not any("repeat" in text for text in desk.posted()), "a refused message did not arrive"


def test_a_message_queued_during_a_pause_waits_too(desk: Desk) -> None:
    desk.slack.answer_next(RateLimited(retry_after=60))
    desk.deliver()
    desk.office.later(seconds=1)
    desk.queue(2)
    assert desk.deliver() == 0
    assert len(desk.slack.requests) == 1


def test_a_server_error_is_tried_again_after_a_growing_delay(desk: Desk) -> None:
    desk.slack.answer_next(ServerError(500), ServerError(503))
    assert desk.deliver() == 0
    row = desk.row()
    assert (row.state, row.attempts, row.error) == ("retry", 1, "Slack answered HTTP 500 without a reason")
    assert row.next_attempt_at == desk.office.now + timedelta(seconds=7.5)
    desk.office.later(seconds=7.4)
    assert desk.deliver() == 0
    assert len(desk.slack.requests) == 1
    desk.office.later(seconds=0.1)
    desk.deliver()
    assert desk.row().next_attempt_at == desk.office.now + timedelta(seconds=15)
    desk.office.later(seconds=15)
    assert desk.deliver() == 1
    assert desk.row().attempts == 3
    assert desk.posted()[0].startswith("(possible repeat) "), "Slack may have posted before it failed"


@pytest.mark.parametrize("error", ["invalid_auth", "channel_not_found", "is_archived", "account_inactive"])
def test_a_refusal_that_stays_ends_the_message(desk: Desk, error: str) -> None:
    desk.slack.answer_next(Refused(error))
    desk.deliver()
    assert (desk.row().state, desk.row().error) == ("dead", f"Slack refused: {error}")
    desk.office.later(days=2)
    assert desk.deliver() == 0
    assert len(desk.slack.requests) == 1


def test_a_wrong_token_ends_the_message_and_is_written_nowhere(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    desk.token = "xoxb-wrong-secret"
    desk.channels = desk.channels_with(desk.slack.base_url)
    desk.deliver()
    assert (desk.row().state, desk.row().error) == ("dead", "Slack refused: invalid_auth")
    assert "wrong-secret" not in caplog.text + str(tuple(desk.row()))


def test_a_token_that_cannot_be_sent_at_all_is_written_nowhere(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    desk.token = "xoxb-two\nlines-secret"
    desk.channels = desk.channels_with(desk.slack.base_url)
    desk.deliver()
    assert desk.row().error == "sending failed: ValueError"
    assert "lines-secret" not in caplog.text + str(tuple(desk.row()))


def test_no_answer_in_time_is_tried_again_and_marked(desk: Desk) -> None:
    desk.channels = desk.channels_with(desk.slack.base_url, timeout_seconds=1)
    desk.slack.answer_next(Slow(10))
    desk.deliver()
    assert (desk.row().state, desk.row().error) == ("retry", "Slack did not answer: TimeoutError")
    desk.office.later(minutes=1)
    assert desk.deliver() == 1
    first, second = desk.slack.messages
    assert "repeat" not in first.body["text"]
    assert second.body["text"].startswith("(possible repeat) Warning: ")
    assert "(possible repeat)" in second.body["blocks"][0]["text"]["text"]


@pytest.mark.parametrize("posted", [False, True])
def test_a_dropped_connection_is_tried_again_and_marked_also_after_further_failures(desk: Desk, posted: bool) -> None:
    desk.slack.answer_next(Dropped(posted=posted), RateLimited(retry_after=1))
    for _ in range(3):
        desk.deliver()
        desk.office.later(minutes=1)
    assert desk.row().state == "delivered"
    assert desk.posted()[-1].startswith("(possible repeat) ")
    assert len(desk.posted()) == 1 + posted


def test_a_refused_connection_is_tried_again_without_a_mark(desk: Desk) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        desk.channels = desk.channels_with(f"http://127.0.0.1:{unused.getsockname()[1]}/api/")
        desk.deliver()
    assert desk.row().error == "Slack cannot be reached: ConnectionRefusedError (Connection refused)"
    desk.channels = desk.channels_with(desk.slack.base_url)
    desk.office.later(minutes=1)
    assert desk.deliver() == 1
    assert "repeat" not in desk.posted()[0]


def test_after_a_day_of_failures_a_message_is_given_up_and_says_why(desk: Desk) -> None:
    desk.slack.answer_next(ServerError(502), ServerError(502))
    desk.deliver()
    desk.office.later(hours=24)
    desk.deliver()
    assert desk.row().state == "dead"
    assert desk.row().error == "given up after 24 hours: Slack answered HTTP 502 without a reason"


class Dies:
    """A channel that delivers, and whose process then ends before it can say so."""

    paced = True

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    def send(self, target: str, message: Message) -> Receipt:
        self._channel.send(target, message)
        raise SystemExit


def test_a_crash_between_sending_and_noting_it_repeats_the_message_and_says_so(desk: Desk) -> None:
    healthy = desk.channels
    desk.channels = {**healthy, "slack": Dies(healthy["slack"])}
    with pytest.raises(SystemExit):
        desk.deliver()
    assert desk.row().state == "sending"
    desk.channels = healthy
    desk.office.later(seconds=LEASE.total_seconds() - 1)
    assert desk.deliver() == 0, "the lease still runs"
    desk.office.later(seconds=1)
    assert desk.deliver() == 1
    assert ["possible repeat" in text for text in desk.posted()] == [False, True]
    assert (desk.row().state, desk.row().attempts) == ("delivered", 2)


SENDER = """
import sys
from datetime import datetime
from engine.ledger.database import Database
from engine.settings import read_settings
from jobs.delivery.sender import build_channels, deliver_due

now = datetime.fromisoformat(sys.argv[1])
deliver_due(Database(read_settings().ledger_url), build_channels(read_settings()), clock=lambda: now)
"""


def test_a_sender_killed_while_slack_is_slow_leaves_a_message_that_is_repeated_and_says_so(desk: Desk) -> None:
    desk.slack.answer_next(Slow(30))
    url = desk.office.database.url.render_as_string(hide_password=False)
    settings = {"DATABASE_URL": url, "SLACK_TOKEN": desk.token, "SLACK_BASE_URL": desk.slack.base_url}
    sender = subprocess.Popen(
        [sys.executable, "-c", SENDER, desk.office.now.isoformat()],
        cwd=REPOSITORY,
        env=os.environ | {f"BURSAR_{name}": value for name, value in settings.items()},
    )
    desk.slack.wait_for_requests(1, timeout=30)
    sender.kill()
    sender.wait()
    assert desk.row().state == "sending"
    desk.office.later(minutes=2)
    assert desk.deliver() == 1
    assert ["possible repeat" in text for text in desk.posted()] == [False, True]


def test_who_lost_the_lease_changes_nothing_any_more(desk: Desk) -> None:
    database, office = desk.office.database, desk.office
    with database.write() as connection:
        (candidate,) = due_notifications(connection, office.now)
        slow = claim(connection, candidate, office.now, LEASE)
        assert slow is not None
        assert claim(connection, candidate, office.now, LEASE) is None, "it is taken"
    office.later(minutes=2)
    with database.write() as connection:
        (abandoned,) = due_notifications(connection, office.now)
        second = claim(connection, abandoned, office.now, LEASE)
        assert second is not None
        assert not mark_dead(connection, slow, error="the second is still sending")
        assert mark_delivered(connection, second, channel_type="slack", receipt={"ts": "2"}, now=office.now)
        assert not mark_delivered(connection, slow, channel_type="slack", receipt={"ts": "1"}, now=office.now)
    assert (desk.row().state, desk.row().receipt) == ("delivered", {"ts": "2"})


def test_who_looked_before_another_sender_died_cannot_claim_without_looking_again(desk: Desk) -> None:
    database, office = desk.office.database, desk.office
    with database.write() as connection:
        (candidate,) = due_notifications(connection, office.now)
        assert claim(connection, candidate, office.now, LEASE) is not None
        office.later(minutes=2)
        assert claim(connection, candidate, office.now, LEASE) is None, "it would be sent without its mark"


def test_many_senders_at_once_deliver_each_message_once(desk: Desk) -> None:
    desk.queue(12)
    # In the log nothing is paced: all twelve are due for everybody at the same moment.
    counting = LogChannel(instead="test")
    channels: dict[str, Channel] = {"log": counting, "slack": counting}
    barrier, delivered = threading.Barrier(4), []

    def send() -> None:
        barrier.wait()
        delivered.append(deliver_due(desk.office.database, channels, clock=desk.office.clock))

    threads = [threading.Thread(target=send) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(delivered) == 12
    assert {(row.state, row.attempts) for row in desk.office.outbox()} == {("delivered", 1)}


@pytest.fixture
def captured(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "bursar.notifications")
    return caplog


def test_without_a_token_slack_messages_go_to_the_log_and_say_so(
    desk: Desk, captured: pytest.LogCaptureFixture
) -> None:
    desk.channels = build_channels(Settings(slack_token=None))
    assert desk.deliver() == 1
    row = desk.row()
    assert (row.state, row.channel_type, row.target) == ("delivered", "log", "#agent-ops")
    assert row.receipt == {"meant_for": "#agent-ops", "note": "no Slack token is configured"}
    assert "Monthly budget 'each' of agent bot-0 is at 85.0 %" in captured.text
    assert "[meant for #agent-ops: no Slack token is configured]" in captured.text


@pytest.mark.parametrize("token", ["", "  "])
def test_an_empty_token_is_none(token: str) -> None:
    assert isinstance(build_channels(Settings(slack_token=SecretStr(token)))["slack"], LogChannel)
    assert isinstance(build_channels(Settings(slack_token=SecretStr("xoxb-1")))["slack"], SlackChannel)
