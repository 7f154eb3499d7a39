"""Clicks travel over a real websocket to a typed action, and only of people who may."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from jobs.delivery.interactions import (
    FAILED,
    NOT_ALLOWED,
    AlertAction,
    Click,
    SlackPerson,
    Wish,
    handle_payload,
    read_clicks,
)
from jobs.delivery.slack_blocks import ACKNOWLEDGE, OPEN, SILENCE
from jobs.delivery.socket_mode import SlackListener
from tests.support.fake_slack import FakeSlack
from tests.support.fake_socket_mode import FakeSocketMode
from tests.support.slack_workspace import APP_TOKEN

ALERT = "0193a7c0-0000-7000-8000-000000000001"
ANN = SlackPerson("T0FAKE0000", "U0ANN00000", "ann")


def clicked(
    action_id: str = ACKNOWLEDGE, value: str | None = ALERT, user_id: str = ANN.user_id, **more: Any
) -> dict[str, Any]:
    """A block_actions payload in the shape Slack sends."""
    action = {"type": "button", "action_id": action_id, "block_id": "bursar_alert", "action_ts": "1764158400.123456",
              "text": {"type": "plain_text", "text": "Acknowledge", "emoji": True}, "style": "primary"}  # fmt: skip
    return {
        "type": "block_actions",
        "user": {"id": user_id, "username": "ann", "name": "ann", "team_id": "T0FAKE0000"},
        "api_app_id": "A0FAKE0000",
        "token": "not-used",
        "container": {"type": "message", "message_ts": "1764158300.000100", "channel_id": "C000000001"},
        "trigger_id": "13345224609.738474920.8088930838d88f008e0",
        "team": {"id": "T0FAKE0000", "domain": "fake"},
        "enterprise": None,
        "is_enterprise_install": False,
        "channel": {"id": "C000000001", "name": "agent-ops"},
        "message": {"type": "message", "user": "U0BURSAR00", "ts": "1764158300.000100", "text": "..."},
        "state": {"values": {}},
        "response_url": "https://hooks.slack.com/actions/T0FAKE0000/1/x",
        "actions": [action if value is None else {**action, "value": value}],
        **more,
    }  # fmt: skip


@dataclass
class Desk:
    """Who may act, what was done, what people were told."""

    done: list[AlertAction] = field(default_factory=list)
    told: list[tuple[Click, str]] = field(default_factory=list)
    heard: threading.Event = field(default_factory=threading.Event)
    broken: bool = False

    def allowed(self, click: Click) -> str | None:
        person = click.person
        return {(ANN.team_id, ANN.user_id): "ann@example.com"}.get((person.team_id, person.user_id))

    def handle(self, action: AlertAction) -> str:
        if self.broken:
            raise RuntimeError("the ledger is away")
        self.done.append(action)
        self.heard.set()
        return f"Done <{action.wish}>"

    def whisper(self, click: Click, words: str) -> None:
        self.told.append((click, words))

    def take(self, payload: dict[str, Any]) -> int:
        return handle_payload(payload, allowed=self.allowed, handler=self.handle, whisper=self.whisper)


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_a_click_becomes_an_action_of_a_person_known_here(desk: Desk) -> None:
    assert desk.take(clicked()) == 1
    assert desk.take(clicked(SILENCE)) == 1
    acknowledged, silenced = desk.done
    click = Click(Wish.ACKNOWLEDGE, ALERT, ANN, "C000000001", "1764158300.000100")
    assert acknowledged == AlertAction(Wish.ACKNOWLEDGE, ALERT, "ann@example.com", click)
    assert (silenced.wish, silenced.silence_for) == (Wish.SILENCE, timedelta(hours=1))
    assert [words for _, words in desk.told] == ["Done <ack>", "Done <silence>"]


@pytest.mark.parametrize(
    "stranger",
    [clicked(user_id="U0EVE00000"), clicked(user={"id": ANN.user_id, "name": "ann", "team_id": "T0OTHER000"})],
)
def test_a_person_nobody_knows_or_of_another_workspace_is_told_no(desk: Desk, stranger: dict[str, Any]) -> None:
    assert desk.take(stranger) == 0
    assert desk.done == []
    assert [words for _, words in desk.told] == [NOT_ALLOWED]


def test_an_action_that_fails_is_told_and_raises_nothing(desk: Desk) -> None:
    desk.broken = True
    assert desk.take(clicked()) == 0
    assert [words for _, words in desk.told] == [FAILED]


def test_an_answer_that_cannot_be_delivered_undoes_nothing(desk: Desk) -> None:
    def whisper(click: Click, words: str) -> None:
        raise OSError("no network")

    assert handle_payload(clicked(), allowed=desk.allowed, handler=desk.handle, whisper=whisper) == 1


@pytest.mark.parametrize(
    "payload",
    [
        {}, clicked(OPEN, None), clicked("somebody_elses"), clicked(value=""), clicked(value=None),
        clicked(value="a|b"), clicked(value="x" * 129), clicked(type="view_submission"),
        clicked(user=None), clicked(user={"id": 7}),
        clicked(actions="x"), clicked(actions=[None, 3, {"action_id": ["x"]}]),
        clicked(container=[], channel={"id": ""}),
        clicked(user={"id": "<!channel>", "team_id": "T0FAKE0000"}),
    ],
)  # fmt: skip
def test_everything_else_is_no_click(payload: dict[str, Any]) -> None:
    assert read_clicks(payload) == []


@pytest.fixture
def socket_mode(fake_slack: FakeSlack) -> Iterator[FakeSocketMode]:
    with FakeSocketMode() as server:
        fake_slack.open_sockets_at(server.url)
        yield server


def listener(fake_slack: FakeSlack, desk: Desk, app_token: str = APP_TOKEN) -> SlackListener:
    return SlackListener(
        app_token, fake_slack.token, fake_slack.base_url, allowed=desk.allowed, handler=desk.handle, ping_seconds=0.2
    )


def wait_for_whispers(fake_slack: FakeSlack, count: int) -> list[dict[str, Any]]:
    for _ in range(200):
        if len(fake_slack.whispers) >= count:
            break
        threading.Event().wait(0.05)
    return fake_slack.whispers


def test_a_click_is_acknowledged_handled_and_answered_for_that_person_alone(
    fake_slack: FakeSlack, socket_mode: FakeSocketMode, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with listener(fake_slack, desk) as listening:
        socket_mode.wait_for_connections(1)
        socket_mode.send_interactive(clicked())
        socket_mode.send_interactive(clicked(user_id="U0EVE00000"))
        told = wait_for_whispers(fake_slack, 2)
        assert listening.connected
    assert [action.user for action in desk.done] == ["ann@example.com"]
    by_user = {body["user"]: (body["channel"], body["text"]) for body in told}
    assert by_user == {
        ANN.user_id: ("C000000001", "Done &lt;ack&gt;"),
        "U0EVE00000": ("C000000001", NOT_ALLOWED),
    }


def test_after_a_goodbye_or_a_broken_connection_it_listens_again(
    fake_slack: FakeSlack, socket_mode: FakeSocketMode, desk: Desk
) -> None:
    with listener(fake_slack, desk):
        socket_mode.wait_for_connections(1)
        socket_mode.say_goodbye()
        socket_mode.wait_for_connections(2)
        socket_mode.hang_up()
        socket_mode.wait_for_connections(3)
        socket_mode.send_interactive(clicked())
        assert desk.heard.wait(10)


def test_a_wrong_app_token_is_said_in_the_log_and_ends_nothing(
    fake_slack: FakeSlack, socket_mode: FakeSocketMode, desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    with listener(fake_slack, desk, app_token="xapp-wrong-secret") as listening:
        fake_slack.wait_for_requests(2)
        assert not listening.connected
    assert "clicks in Slack are not heard: Slack answered invalid_auth" in caplog.text
    assert "wrong-secret" not in caplog.text
