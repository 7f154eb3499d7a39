"""A click in Slack acknowledges or silences the alert, of people whom its organization names, and Slack shows it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr

from engine.alerting.silences import list_silences
from engine.ids import new_decision_id
from engine.settings import Settings
from jobs.delivery.channel import Channel
from jobs.delivery.interactions import NOT_ALLOWED, Click, handle_payload
from jobs.delivery.responding import Responding, listener_of
from jobs.delivery.sender import deliver_due
from jobs.delivery.slack import SlackChannel
from jobs.delivery.slack_blocks import ACKNOWLEDGE, SILENCE
from tests.integration.jobs.test_slack_clicks import ANN, clicked
from tests.support.fake_slack import FakeSlack
from tests.support.fake_socket_mode import FakeSocketMode
from tests.support.slack_workspace import APP_TOKEN

if TYPE_CHECKING:
    from tests.integration.jobs.conftest import Office

RESPONDERS = {"ann": {"slack": ANN.user_id, "slack_workspace": ANN.team_id}}
USD = 1_000_000


@dataclass
class Room:
    """An office with a firing budget alert that is in Slack."""

    office: Office
    slack: FakeSlack
    told: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.channels: dict[str, Channel] = {"slack": SlackChannel(self.slack.token, self.slack.base_url, buttons=True)}
        self.office.publish(
            {"id": "all", "per": "org", "monthly_budget_usd": 100},
            channels={"ops": {"slack": "#agent-ops", "mention": "@oncall"}},
            routes={"critical": ["ops"]},
            responders=RESPONDERS,
        )
        self.office.spend(97 * USD)
        self.office.evaluate()
        assert self.deliver() == 1
        self.responding = Responding(self.office.database, self.office.dashboard_url, self.office.clock)

    def deliver(self) -> int:
        delivered = 0
        for _ in range(4):
            delivered += deliver_due(self.office.database, self.channels, clock=self.office.clock)
            self.office.later(seconds=1.1)
        return delivered

    def button(self, action_id: str) -> str:
        """The value of a button of the message in Slack, which is the alert's id."""
        blocks = self.slack.messages[0].body["blocks"]
        buttons = [part for block in blocks if block["type"] == "actions" for part in block["elements"]]
        return str(next(each["value"] for each in buttons if each["action_id"] == action_id))

    def click(self, payload: dict[str, Any]) -> int:
        return handle_payload(
            payload, allowed=self.responding.allowed, handler=self.responding.handle, whisper=self._whisper
        )

    def _whisper(self, click: Click, words: str) -> None:
        self.told.append(words)


@pytest.fixture
def room(office: Office, fake_slack: FakeSlack) -> Room:
    return Room(office, fake_slack)


def fired(office: Office) -> Any:
    (row,) = [row for row in office.alerts() if row.state == "firing"]
    return row


def test_an_acknowledgement_is_in_the_ledger_and_in_the_message_and_its_thread(room: Room) -> None:
    value = room.button(ACKNOWLEDGE)
    assert room.click(clicked(ACKNOWLEDGE, value)) == 1
    assert fired(room.office).acknowledged_by == "ann"
    assert room.told[0].startswith("ann has acknowledged: ")
    assert room.deliver() == 2
    parent, reply = room.slack.messages
    assert parent.edits == 1
    assert "ann" in parent.body["text"]
    assert reply.body["thread_ts"] == parent.ts
    # Who still sees the old message clicks again.
    assert room.click(clicked(ACKNOWLEDGE, value)) == 1
    assert "Nothing changed" in room.told[1]


def test_a_silence_is_for_exactly_this_alert_and_an_hour(room: Room) -> None:
    assert room.click(clicked(SILENCE, room.button(SILENCE))) == 1
    office = room.office
    with office.database.read() as connection:
        (silence,) = list_silences(connection, office.org_id, now=office.now)
    assert (silence.author, silence.end - silence.start) == ("ann", timedelta(hours=1))
    labels = {**fired(office).labels, "rule": fired(office).rule_id}
    assert silence.hides(labels, office.now)
    assert not any(silence.hides({**labels, name: "another"}, office.now) for name in labels)
    assert room.told == [f"ann has silenced until {silence.end:%H:%M} UTC: {fired(office).title}."]


@pytest.mark.parametrize("stranger", [
    {"user_id": "U0EVE00000"}, {"user": {"id": ANN.user_id, "name": "ann", "team_id": "T0OTHER000"}},
])  # fmt: skip
def test_who_is_no_responder_of_the_organization_changes_nothing(room: Room, stranger: dict[str, Any]) -> None:
    assert room.click(clicked(ACKNOWLEDGE, room.button(ACKNOWLEDGE), **stranger)) == 0
    assert room.told == [NOT_ALLOWED]
    assert fired(room.office).acknowledged_by is None


def test_an_alert_that_nobody_knows_is_nobodys_to_act_on(room: Room) -> None:
    assert room.click(clicked(ACKNOWLEDGE, new_decision_id())) == 0
    assert room.told == [NOT_ALLOWED]


def test_what_is_not_possible_is_said_as_it_is(room: Room) -> None:
    office = room.office
    office.publish(
        {"id": "all", "per": "org", "monthly_budget_usd": 1000},
        channels={"ops": {"slack": "#agent-ops", "mention": "@oncall"}},
        routes={"critical": ["ops"]},
        responders=RESPONDERS,
    )
    value = room.button(ACKNOWLEDGE)
    office.evaluate()
    assert room.click(clicked(ACKNOWLEDGE, value)) == 0
    assert room.told == ["the alert is resolved; only one that fires can be acknowledged"]


def test_a_second_click_uses_the_silence_there_is(room: Room) -> None:
    value = room.button(SILENCE)
    for _ in range(2):
        assert room.click(clicked(SILENCE, value)) == 1
    office = room.office
    with office.database.read() as connection:
        (silence,) = list_silences(connection, office.org_id, now=office.now)
    assert room.told[1].startswith(f"Nothing changed: ann has silenced until {silence.end:%H:%M} UTC: ")
    office.later(hours=2)
    assert room.click(clicked(SILENCE, value)) == 1
    with office.database.read() as connection:
        assert len(list_silences(connection, office.org_id, now=office.now)) == 1, "the first one is over"


def test_what_is_over_cannot_be_silenced(room: Room) -> None:
    office = room.office
    value = room.button(SILENCE)
    office.publish(
        {"id": "all", "per": "org", "monthly_budget_usd": 1000},
        channels={"ops": {"slack": "#agent-ops", "mention": "@oncall"}},
        routes={"critical": ["ops"]},
        responders=RESPONDERS,
    )
    office.evaluate()
    assert room.click(clicked(SILENCE, value)) == 0
    assert room.told == ["Nothing to silence: the alert is resolved."]
    with office.database.read() as connection:
        assert list_silences(connection, office.org_id, now=office.now) == []


def test_a_listener_hears_clicks_and_without_an_app_token_there_is_none(room: Room) -> None:
    plain = Settings(slack_token=SecretStr(room.slack.token), slack_base_url=room.slack.base_url)
    with listener_of(plain, room.office.database) as nobody:
        assert nobody is None
    settings = plain.model_copy(update={"slack_app_token": SecretStr(APP_TOKEN)})
    with FakeSocketMode() as server:
        room.slack.open_sockets_at(server.url)
        with listener_of(settings, room.office.database) as listening:
            assert listening is not None
            server.wait_for_connections(1)
            server.send_interactive(clicked(ACKNOWLEDGE, room.button(ACKNOWLEDGE), user_id="U0EVE00000"))
            room.slack.wait_for_requests(3, timeout=30)
    assert [whisper["text"] for whisper in room.slack.whispers] == [NOT_ALLOWED]
