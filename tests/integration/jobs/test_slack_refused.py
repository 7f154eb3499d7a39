"""What Slack refuses of a message, and what is sent in its place; a brief reply is whole outside its thread."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.alerting.action import Action
from jobs.delivery.channel import Channel, Delivery, DeliveryFailed, FirstMessage, Receipt
from jobs.delivery.slack import SlackChannel
from jobs.delivery.slack_webhook import SlackWebhookChannel
from tests.support.alert_messages import FIRING, RESOLVED
from tests.support.fake_slack import FakeSlack, Refused

POST = Delivery("n-1", "#agent-ops", FIRING)


@pytest.fixture
def channel(fake_slack: FakeSlack) -> SlackChannel:
    return SlackChannel(fake_slack.token, fake_slack.base_url, timeout_seconds=2, buttons=True)


@pytest.fixture
def hook(fake_slack: FakeSlack) -> SlackWebhookChannel:
    return SlackWebhookChannel(fake_slack.hook_url, timeout_seconds=2)


def after(first: Receipt, action: Action, key: str = "n-2") -> Delivery:
    return Delivery(key, "#agent-ops", RESOLVED, action, FirstMessage("n-1", first.details))


def brief(first: Receipt) -> Delivery:
    message = replace(FIRING, brief=True, line="It rose.")
    return Delivery("n-2", "#agent-ops", message, Action.REPLY, FirstMessage("n-1", first.details))


def failure(channel: Channel, delivery: Delivery = POST) -> DeliveryFailed:
    with pytest.raises(DeliveryFailed) as raised:
        channel.send(delivery)
    return raised.value


@pytest.mark.parametrize("error", ["thread_not_found", "invalid_thread_ts", "is_archived"])
def test_a_reply_to_what_is_gone_is_a_whole_message_of_its_own_where_the_document_says(
    channel: SlackChannel, fake_slack: FakeSlack, error: str
) -> None:
    first = channel.send(POST)
    fake_slack.answer_next(Refused(error))
    receipt = channel.send(brief(first))
    posted = fake_slack.messages[-1]
    assert (posted.body["channel"], posted.body.get("thread_ts")) == ("#agent-ops", None)
    assert receipt.details["ts"] == posted.ts
    assert FIRING.title in posted.body["text"]


def test_what_is_refused_there_too_is_that_places_fault(channel: SlackChannel, fake_slack: FakeSlack) -> None:
    first = channel.send(POST)
    fake_slack.answer_next(Refused("channel_not_found"), Refused("channel_not_found"))
    failed = failure(channel, brief(first))
    assert (failed.permanent, failed.channel_broken, failed.whole_kind) == (True, True, False)


@pytest.mark.parametrize("action", [Action.POST, Action.REPLY, Action.EDIT])
def test_blocks_that_slack_does_not_like_are_left_out_once(
    channel: SlackChannel, fake_slack: FakeSlack, action: Action
) -> None:
    first = channel.send(POST)
    fake_slack.answer_next(Refused("invalid_blocks"))
    channel.send(after(first, action))
    with_blocks, without = fake_slack.requests[-2:]
    assert (bool(with_blocks.body["blocks"]), without.body["blocks"]) == (True, [])
    assert with_blocks.body["text"] == without.body["text"]
    fake_slack.answer_next(Refused("invalid_blocks"), Refused("invalid_blocks"))
    failed = failure(channel, after(first, action))
    assert (failed.permanent, failed.channel_broken) == (True, False)


@pytest.mark.parametrize("error", ["channel_not_found", "is_archived", "not_in_channel", "message_not_found"])
def test_an_edit_breaks_no_channel(channel: SlackChannel, fake_slack: FakeSlack, error: str) -> None:
    first = channel.send(POST)
    fake_slack.answer_next(Refused(error))
    failed = failure(channel, after(first, Action.EDIT))
    assert (failed.permanent, failed.channel_broken) == (True, False)


@pytest.mark.parametrize("action", [Action.POST, Action.REPLY, Action.EDIT])
def test_a_token_that_is_no_good_breaks_all_channels(
    channel: SlackChannel, fake_slack: FakeSlack, action: Action
) -> None:
    first = channel.send(POST)
    fake_slack.answer_next(Refused("token_revoked"))
    failed = failure(channel, after(first, action))
    assert (failed.channel_broken, failed.whole_kind) == (True, True)
    assert len(fake_slack.requests) == 2


def test_a_brief_reply_is_its_line_in_the_thread_and_whole_anywhere_else(
    channel: SlackChannel, hook: SlackWebhookChannel, fake_slack: FakeSlack
) -> None:
    first = channel.send(POST)
    channel.send(brief(first))
    channel.send(brief(Receipt("slack_webhook")))
    hook.send(brief(Receipt("slack_webhook")))
    in_thread, alone, by_webhook = fake_slack.messages[1:]
    assert FIRING.title not in in_thread.body["text"]
    assert all(FIRING.title in posted.body["text"] for posted in (alone, by_webhook))


def test_a_webhook_leaves_out_blocks_that_slack_does_not_like(hook: SlackWebhookChannel, fake_slack: FakeSlack) -> None:
    fake_slack.answer_next(Refused("invalid_blocks"))
    hook.send(POST)
    assert [bool(request.body["blocks"]) for request in fake_slack.requests] == [True, False]
    assert len(fake_slack.messages) == 1
