"""The fake Slack answers slack_sdk as Slack does, and misbehaves exactly as told."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import RemoteDisconnected

import pytest
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from tests.support.fake_slack import Dropped, FakeSlack, RateLimited, Refused, ServerError, Slow


@pytest.fixture
def client(fake_slack: FakeSlack) -> WebClient:
    # Without the default handlers a dropped connection is not silently sent again.
    return WebClient(token=fake_slack.token, base_url=fake_slack.base_url, timeout=5, retry_handlers=[])


def refusal(call: SlackApiError) -> str:
    return str(call.response["error"])


def test_a_posted_message_gets_a_channel_id_and_a_timestamp_it_can_be_updated_by(
    fake_slack: FakeSlack, client: WebClient
) -> None:
    posted = client.chat_postMessage(channel="#agent-ops", text="over budget")
    updated = client.chat_update(channel=posted["channel"], ts=posted["ts"], text="acknowledged")
    assert posted["channel"].startswith("C")
    assert posted["message"]["text"] == "over budget"
    seconds, _, micros = posted["ts"].partition(".")
    assert abs(int(seconds) - time.time()) < 60
    assert len(micros) == 6
    assert updated["ts"] == posted["ts"]
    assert updated["text"] == "acknowledged"
    (message,) = fake_slack.messages
    assert (message.body["text"], message.edits) == ("acknowledged", 1)


def test_one_channel_name_has_one_id_and_every_message_its_own_timestamp(client: WebClient) -> None:
    answers = [client.chat_postMessage(channel=name, text="x") for name in ("#ops", "ops", "#board", "#ops")]
    assert answers[0]["channel"] == answers[1]["channel"] == answers[3]["channel"] != answers[2]["channel"]
    assert len({answer["ts"] for answer in answers}) == 4


def test_json_and_form_bodies_are_recorded_alike(fake_slack: FakeSlack, client: WebClient) -> None:
    blocks = [{"type": "section", "text": {"type": "mrkdwn", "text": "*$510* > $500 ü"}}]
    before = time.monotonic()
    client.chat_postMessage(channel="#ops", text="x", blocks=blocks)
    client.api_call("chat.postMessage", data={"channel": "#ops", "text": "x", "blocks": json.dumps(blocks)})
    as_json, as_form = fake_slack.requests
    assert as_json.headers["content-type"].startswith("application/json")
    assert as_form.headers["content-type"].startswith("application/x-www-form-urlencoded")
    assert as_json.body["blocks"] == as_form.body["blocks"] == blocks
    assert as_json.method == as_form.method == "chat.postMessage"
    assert as_json.headers["authorization"] == f"Bearer {fake_slack.token}"
    assert before <= as_json.arrived_at <= as_form.arrived_at <= time.monotonic()


def test_auth_test_names_the_bot(client: WebClient) -> None:
    assert client.auth_test()["bot_id"].startswith("B")


@pytest.mark.parametrize(("token", "error"), [("xoxb-wrong", "invalid_auth"), (None, "not_authed")])
def test_a_wrong_or_missing_token_is_refused_and_posts_nothing(
    fake_slack: FakeSlack, token: str | None, error: str
) -> None:
    stranger = WebClient(token=token, base_url=fake_slack.base_url)
    with pytest.raises(SlackApiError) as call:
        stranger.chat_postMessage(channel="#ops", text="x")
    assert refusal(call.value) == error
    assert fake_slack.messages == []


def test_misbehaviour_comes_once_each_in_order_and_then_all_is_well(fake_slack: FakeSlack, client: WebClient) -> None:
    fake_slack.answer_next(RateLimited(retry_after=7), ServerError(503), Refused("channel_not_found"))
    with pytest.raises(SlackApiError) as limited:
        client.chat_postMessage(channel="#ops", text="x")
    assert limited.value.response.status_code == 429
    assert limited.value.response.headers["Retry-After"] == "7"
    with pytest.raises(SlackApiError) as broken:
        client.chat_postMessage(channel="#ops", text="x")
    assert broken.value.response.status_code == 503
    with pytest.raises(SlackApiError) as refused:
        client.chat_postMessage(channel="#ops", text="x")
    assert refusal(refused.value) == "channel_not_found"
    assert refused.value.response.status_code == 200
    assert fake_slack.messages == []
    assert client.chat_postMessage(channel="#ops", text="x")["ok"]
    assert len(fake_slack.requests) == 4
    assert len(fake_slack.messages) == 1


def test_a_slow_answer_times_out_at_the_client_although_the_message_is_there(fake_slack: FakeSlack) -> None:
    fake_slack.answer_next(Slow(30))
    hasty = WebClient(token=fake_slack.token, base_url=fake_slack.base_url, timeout=1, retry_handlers=[])
    before = time.monotonic()
    with pytest.raises(TimeoutError):
        hasty.chat_postMessage(channel="#ops", text="x")
    assert 0.9 < time.monotonic() - before < 5
    assert len(fake_slack.messages) == 1


def test_a_short_delay_still_answers(fake_slack: FakeSlack, client: WebClient) -> None:
    fake_slack.answer_next(Slow(0.3))
    before = time.monotonic()
    assert client.chat_postMessage(channel="#ops", text="x")["ok"]
    assert time.monotonic() - before >= 0.3


@pytest.mark.parametrize("posted", [False, True])
def test_a_dropped_connection_leaves_open_whether_slack_acted(
    fake_slack: FakeSlack, client: WebClient, posted: bool
) -> None:
    fake_slack.answer_next(Dropped(posted=posted))
    with pytest.raises((RemoteDisconnected, ConnectionError)):
        client.chat_postMessage(channel="#ops", text="x")
    assert fake_slack.requests[0].body["text"] == "x"
    assert len(fake_slack.messages) == int(posted)


def test_an_update_by_name_or_of_an_unknown_message_is_refused(client: WebClient) -> None:
    posted = client.chat_postMessage(channel="#ops", text="x")
    for channel, ts, error in [
        ("#ops", posted["ts"], "channel_not_found"),
        (posted["channel"], "1.000000", "message_not_found"),
    ]:
        with pytest.raises(SlackApiError) as call:
            client.chat_update(channel=channel, ts=ts, text="y")
        assert refusal(call.value) == error


def test_messages_slack_would_refuse_are_refused(fake_slack: FakeSlack, client: WebClient) -> None:
    long = {"type": "section", "text": {"type": "mrkdwn", "text": "x" * 3001}}
    for arguments, error in [
        ({"blocks": [long], "text": "x"}, "invalid_blocks"),
        ({"blocks": [{"type": "divider"}] * 51, "text": "x"}, "invalid_blocks"),
        ({"text": "x" * 40_001}, "msg_too_long"),
    ]:
        with pytest.raises(SlackApiError) as call:
            client.chat_postMessage(channel="#ops", **arguments)  # type: ignore[arg-type]
        assert refusal(call.value) == error
    with pytest.raises(SlackApiError) as empty:
        client.api_call("chat.postMessage", json={"channel": "#ops"})
    assert refusal(empty.value) == "no_text"
    with pytest.raises(SlackApiError) as unknown:
        client.api_call("chat.scream", json={})
    assert refusal(unknown.value) == "unknown_method"
    assert fake_slack.messages == []


def test_requests_of_many_senders_are_all_recorded(fake_slack: FakeSlack, client: WebClient) -> None:
    with ThreadPoolExecutor(8) as pool:
        sent = [pool.submit(client.chat_postMessage, channel="#ops", text=str(n)) for n in range(40)]
        seen = fake_slack.wait_for_requests(40)
        assert len({future.result()["ts"] for future in sent}) == 40
    assert sorted(int(request.body["text"]) for request in seen) == list(range(40))


def test_waiting_for_requests_that_never_come_fails_the_test(fake_slack: FakeSlack) -> None:
    with pytest.raises(AssertionError, match="0 of 1 requests"):
        fake_slack.wait_for_requests(1, timeout=0.1)
