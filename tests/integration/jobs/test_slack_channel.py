"""Slack by token and by incoming webhook, over real HTTP against a Slack that misbehaves."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Self

import pytest
from pydantic import SecretStr

from engine.alerting.action import Action
from engine.alerting.outbox_claims import NOTHING_TO_EDIT
from engine.errors import InvalidValue
from engine.settings import Settings
from jobs.delivery.channel import Channel, Delivery, DeliveryFailed, FailureKind, FirstMessage, Receipt
from jobs.delivery.sender import build_channels
from jobs.delivery.slack import SlackChannel
from jobs.delivery.slack_webhook import LIMITED, NO_EDITS, SlackWebhookChannel
from tests.support.alert_messages import BARE, FIRING, RESOLVED
from tests.support.fake_slack import Dropped, FakeSlack, RateLimited, Refused, ServerError, Slow
from tests.support.slack_workspace import HOOK_CHANNEL

POST = Delivery("n-1", "#agent-ops", FIRING)


@pytest.fixture
def channel(fake_slack: FakeSlack) -> SlackChannel:
    return SlackChannel(fake_slack.token, fake_slack.base_url, timeout_seconds=2, buttons=True)


@pytest.fixture
def hook(fake_slack: FakeSlack) -> SlackWebhookChannel:
    return SlackWebhookChannel(fake_slack.hook_url, timeout_seconds=2)


def after(first: Receipt, action: Action, key: str = "n-2") -> Delivery:
    return Delivery(key, "#agent-ops", RESOLVED, action, FirstMessage("n-1", first.details))


def failure(channel: Channel, delivery: Delivery = POST) -> DeliveryFailed:
    with pytest.raises(DeliveryFailed) as raised:
        channel.send(delivery)
    return raised.value


def test_the_life_of_an_alert_is_one_message_edited_in_place_with_its_history_in_the_thread(
    channel: SlackChannel, fake_slack: FakeSlack
) -> None:
    first = channel.send(POST)
    channel.send(after(first, Action.EDIT))
    reply = channel.send(after(first, Action.REPLY))
    channel.send(after(first, Action.BROADCAST))
    parent, line, shout = fake_slack.messages
    assert first.details == {"channel": parent.channel, "ts": parent.ts}
    assert (parent.edits, parent.body["text"].split("\n")[0]) == (1, f"Resolved: {RESOLVED.title}")
    assert ":large_green_circle:" in parent.body["blocks"][0]["text"]["text"]
    assert [message.body["thread_ts"] for message in (line, shout)] == [parent.ts, parent.ts]
    assert [message.body["reply_broadcast"] for message in (line, shout)] == [False, True]
    assert reply.details["ts"] == line.ts
    edit = fake_slack.requests[1]
    assert (edit.method, edit.body["channel"]) == ("chat.update", parent.channel), "by id, not by name"


def test_every_request_has_text_and_buttons_are_on_the_first_message_only(
    channel: SlackChannel, fake_slack: FakeSlack
) -> None:
    first = channel.send(POST)
    channel.send(replace(after(first, Action.REPLY), message=FIRING))
    kinds = [[block["type"] for block in request.body["blocks"]] for request in fake_slack.requests]
    assert ["actions" in kind for kind in kinds] == [True, False]
    assert all(request.body["text"] for request in fake_slack.requests)
    assert fake_slack.requests[0].body["link_names"] is True, "@oncall is looked up"


def test_an_edit_of_a_message_that_never_arrived_is_left_out(channel: SlackChannel, fake_slack: FakeSlack) -> None:
    assert channel.send(after(Receipt("log"), Action.EDIT)).details == {"note": NOTHING_TO_EDIT}
    assert fake_slack.requests == []


@pytest.mark.parametrize("action", [Action.REPLY, Action.BROADCAST])
def test_news_of_a_first_message_that_never_arrived_are_a_message_of_their_own(
    channel: SlackChannel, fake_slack: FakeSlack, action: Action
) -> None:
    channel.send(after(Receipt("log"), action))
    (request,) = fake_slack.requests
    assert (request.method, request.body.get("thread_ts")) == ("chat.postMessage", None)


def test_failures_are_told_apart(channel: SlackChannel, fake_slack: FakeSlack) -> None:
    fake_slack.answer_next(
        RateLimited(7), ServerError(500), Refused("channel_not_found"), Refused("is_archived"), Refused("invalid_auth"),
        Refused("account_inactive"), Refused("msg_too_long"), ServerError(404), ServerError(410), ServerError(302),
        Slow(5), Dropped(posted=True), Refused("some_new_error"),
    )  # fmt: skip
    seen = [failure(channel) for _ in range(13)]
    transient, unknown, permanent = FailureKind.TRANSIENT, FailureKind.UNKNOWN, FailureKind.PERMANENT
    assert [(one.kind, one.channel_broken, one.maybe_delivered) for one in seen] == [
        (FailureKind.RATE_LIMITED, False, False),
        (transient, False, True),
        *[(permanent, True, False)] * 4,
        (permanent, False, False),
        *[(permanent, True, False)] * 3,
        *[(unknown, False, True)] * 2,
        (transient, False, False),
    ]
    assert seen[0].pause_seconds == 7
    assert len(fake_slack.requests) == 13, "nothing is sent twice behind our back"


def test_an_edit_that_may_have_arrived_needs_no_mark(channel: SlackChannel, fake_slack: FakeSlack) -> None:
    first = channel.send(POST)
    fake_slack.answer_next(Dropped(posted=True), ServerError(500))
    for _ in range(2):
        failed = failure(channel, after(first, Action.EDIT))
        assert (failed.kind, failed.maybe_delivered) == (FailureKind.TRANSIENT, False)


def test_an_edit_of_a_message_that_somebody_deleted_is_final_and_the_channel_stays_fine(channel: SlackChannel) -> None:
    first = channel.send(POST)
    gone = Receipt("slack", {**first.details, "ts": "1.000000"})
    failed = failure(channel, after(gone, Action.EDIT))
    assert (failed.reason, failed.permanent, failed.channel_broken) == ("Slack refused: message_not_found", True, False)


def test_a_pause_is_reported_at_once_and_never_slept(channel: SlackChannel, fake_slack: FakeSlack) -> None:
    fake_slack.answer_next(RateLimited(60))
    started = time.monotonic()
    assert failure(channel).pause_seconds == 60
    assert time.monotonic() - started < 5


class Redirecting:
    """A server that sends everybody elsewhere and notes who came."""

    def __init__(self, elsewhere: str) -> None:
        self.asked: list[bytes] = []
        self._answer = f"HTTP/1.1 302 Found\r\nLocation: {elsewhere}\r\nContent-Length: 0\r\n\r\n".encode()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                self.asked.append(connection.recv(65536))
                connection.sendall(self._answer)

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def redirecting(fake_slack: FakeSlack) -> Iterator[Redirecting]:
    server = Redirecting(f"{fake_slack.base_url}chat.postMessage")
    yield server
    server.close()


def test_a_redirect_is_not_followed_with_the_token(fake_slack: FakeSlack, redirecting: Redirecting) -> None:
    failed = failure(SlackChannel(fake_slack.token, f"http://127.0.0.1:{redirecting.port}/api/"))
    assert (failed.reason, failed.channel_broken) == ("Slack answered HTTP 302", True)
    assert fake_slack.requests == []


def test_proxies_of_the_environment_are_not_used_and_the_setting_is(
    fake_slack: FakeSlack, redirecting: Redirecting, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{redirecting.port}")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    SlackChannel(fake_slack.token, fake_slack.base_url).send(POST)
    assert (len(fake_slack.requests), redirecting.asked) == (1, [])
    proxied = SlackChannel(
        fake_slack.token, fake_slack.base_url, proxy=f"http://me:pw@127.0.0.1:{redirecting.port}", timeout_seconds=1
    )
    assert failure(proxied).reason.startswith("Slack cannot be reached")
    asked = redirecting.asked[0].decode()
    assert asked.startswith("CONNECT 127.0.0.1:")
    assert "Basic bWU6cHc=" in asked
    assert fake_slack.token not in asked


class ConnectProxy:
    """A proxy that opens one tunnel and notes who asked for it."""

    def __init__(self) -> None:
        self.asked = b""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join(10)
        self._listener.close()

    def _serve(self) -> None:
        near, _ = self._listener.accept()
        self.asked = near.recv(65536)
        host, port = self.asked.split()[1].decode().split(":")
        near.sendall(b"HTTP/1.0 200 Connection established\r\n\r\n")
        with near, socket.create_connection((host, int(port))) as far:
            back = threading.Thread(target=self._pass_on, args=(far, near))
            back.start()
            self._pass_on(near, far)
            back.join(10)

    @staticmethod
    def _pass_on(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)


def test_a_proxy_that_is_set_is_a_tunnel_and_does_not_see_the_token(fake_slack: FakeSlack) -> None:
    with ConnectProxy() as proxy:
        SlackChannel(fake_slack.token, fake_slack.base_url, proxy=proxy.url).send(POST)
    assert len(fake_slack.messages) == 1
    assert proxy.asked.startswith(b"CONNECT 127.0.0.1:")
    assert fake_slack.token.encode() not in proxy.asked


@pytest.mark.parametrize(
    "url", ["proxy:3128", "https://proxy.test:3128", "http://proxy.test", "http://:1", "http://p:x"]
)
def test_a_proxy_that_cannot_be_one_is_said_at_the_start(url: str) -> None:
    with pytest.raises(InvalidValue, match=r"^BURSAR_PROXY_URL: must be http://") as raised:
        build_channels(Settings(slack_token=SecretStr("xoxb-1"), proxy_url=SecretStr(url)))
    assert "proxy" not in raised.value.problem.replace("http://[user:password@]host:port", "")


def test_nobody_there_is_transient(fake_slack: FakeSlack) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/"
        for channel in (SlackChannel("t", url), SlackWebhookChannel(url)):
            failed = failure(channel)
            assert (failed.kind, failed.maybe_delivered) == (FailureKind.TRANSIENT, False)
            assert failed.reason == "Slack cannot be reached: ConnectionRefusedError (Connection refused)"


def test_a_webhook_posts_without_buttons_and_says_what_it_cannot_do(
    hook: SlackWebhookChannel, fake_slack: FakeSlack
) -> None:
    receipt = hook.send(POST)
    (posted,) = fake_slack.messages
    assert posted.channel == HOOK_CHANNEL
    assert posted.body["text"].startswith("@oncall Critical: ")
    assert "actions" not in [block["type"] for block in posted.body["blocks"]]
    small_print = posted.body["blocks"][-1]["elements"][0]["text"]
    assert small_print == f"{LIMITED} Meant for #\u2060agent-ops."
    assert receipt == Receipt("slack_webhook", {"note": LIMITED})


def test_a_webhook_leaves_edits_out_and_posts_replies_as_messages(
    hook: SlackWebhookChannel, fake_slack: FakeSlack
) -> None:
    first = hook.send(POST)
    assert hook.send(after(first, Action.EDIT)).details == {"note": NO_EDITS}
    hook.send(after(first, Action.REPLY))
    assert [message.body.get("thread_ts") for message in fake_slack.messages] == [None, None]


def test_failures_of_a_webhook_are_told_apart(hook: SlackWebhookChannel, fake_slack: FakeSlack) -> None:
    fake_slack.answer_next(
        RateLimited(9), ServerError(503), Refused("no_service"), Refused("channel_is_archived"),
        Refused("action_prohibited"), Refused("invalid_payload"), Dropped(), Slow(5),
    )  # fmt: skip
    seen = [failure(hook) for _ in range(8)]
    assert [(one.kind, one.channel_broken) for one in seen] == [
        (FailureKind.RATE_LIMITED, False),
        (FailureKind.TRANSIENT, False),
        *[(FailureKind.PERMANENT, True)] * 3,
        (FailureKind.PERMANENT, False),
        *[(FailureKind.UNKNOWN, False)] * 2,
    ]
    assert seen[0].pause_seconds == 9
    assert seen[2].reason == "Slack refused: no_service"


@pytest.mark.parametrize(
    "url", ["http://hooks.slack.test/x", "ftp://x", "https://u:p@hooks.slack.test", "https://[", "no"]
)
def test_a_webhook_that_is_no_plain_https_address_is_refused_and_not_quoted(url: str) -> None:
    failed = failure(SlackWebhookChannel(url))
    assert (failed.permanent, failed.channel_broken) == (True, True)
    assert "slack.test" not in failed.reason


def test_settings_choose_the_way(fake_slack: FakeSlack) -> None:
    token, hook = SecretStr("xoxb-1"), SecretStr(fake_slack.hook_url)
    both = build_channels(Settings(slack_token=token, slack_webhook_url=hook))
    degraded = build_channels(Settings(slack_webhook_url=hook))
    assert isinstance(both["slack"], SlackChannel)
    assert isinstance(degraded["slack"], SlackWebhookChannel)
    degraded["slack"].send(Delivery("n", "", BARE))
    assert [message.channel for message in fake_slack.messages] == [HOOK_CHANNEL]
