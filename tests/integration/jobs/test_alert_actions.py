"""What people and time do to alerts: acknowledge, silence, escalate, repeat; and what one alert keeps another from."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import select

from engine.alerting import actions, silences
from engine.alerting.actions import AlertActionRefused
from engine.alerting.quieting import Matcher
from engine.errors import InvalidValue
from engine.ledger.tables import audit_log

if TYPE_CHECKING:
    from tests.integration.jobs.conftest import Office

USD = 1_000_000
HUNDRED = {"id": "all", "per": "org", "monthly_budget_usd": 100}
CHANNELS = {
    "channels": {"ops": {"slack": "#ops", "mention": "@oncall"}, "leads": {"email": ["leads@example.com"]},
                 "pager": {"webhook": "https://example.com/page"}},
    "routes": {"critical": ["ops"], "escalation": ["leads", "pager"]},
}  # fmt: skip


@pytest.fixture
def firing(office: Office) -> str:
    """The id of a critical alert that fires and was told."""
    office.publish(HUNDRED, **CHANNELS)
    office.spend(96 * USD)
    office.evaluate()
    return str(next(row.alert_id for row in office.alerts() if row.state == "firing"))


def acknowledge(office: Office, alert_id: str, by: str = "dana") -> str:
    said: str = actions.acknowledge_alert(
        office.database, office.org_id, alert_id, by=by, now=office.now, dashboard_url=office.dashboard_url
    )
    return said


def silence(office: Office, *matchers: Matcher, hours: float = 1) -> Any:
    return actions.add_silence(
        office.database, office.org_id, matchers, start=office.now, end=office.now + timedelta(hours=hours),
        author="dana", reason="known", now=office.now,
    )  # fmt: skip


def told(office: Office) -> list[tuple[str, str]]:
    return [(row.action, row.channel) for row in office.outbox() if row.state != "suppressed"]


def audited(office: Office) -> list[tuple[str, str]]:
    with office.database.read() as connection:
        return [(row.action, row.author) for row in connection.execute(select(audit_log).order_by(audit_log.c.entry))]


def test_nobody_acknowledges_and_it_escalates_by_steps(office: Office, firing: str) -> None:
    del firing
    assert office.pass_time(minutes=14, seconds=59) == 0
    assert office.pass_time(seconds=1) == 1
    assert told(office) == [("post", "ops"), ("broadcast", "ops")]
    assert office.outbox()[1].message["mention"] == "@oncall"
    assert office.pass_time(minutes=14) == 0
    assert office.pass_time(minutes=1) == 1
    assert sorted(told(office)[2:]) == [("post", "leads"), ("post", "pager")]
    assert office.pass_time(minutes=1) == 0


def test_an_acknowledgement_stops_that_and_is_shown_where_the_alert_is(office: Office, firing: str) -> None:
    office.later(minutes=1)
    assert acknowledge(office, firing).startswith("dana has acknowledged")
    (alert,) = (row for row in office.alerts() if row.alert_id == firing)
    assert (alert.acknowledged_by, alert.acknowledged_at) == ("dana", office.now)
    assert sorted(told(office)) == [("edit", "ops"), ("post", "ops"), ("reply", "ops")]
    assert {row.message["acknowledged_by"] for row in office.outbox()[1:]} == {"dana"}
    assert office.pass_time(hours=5) == 0
    # After a day somebody has to take it on again.
    assert office.pass_time(hours=19) == 1
    assert office.alerts()[0].acknowledged_by is None
    assert audited(office)[-1] == ("alert.acknowledge", "dana")


def test_acknowledging_twice_says_so_and_writes_nothing(office: Office, firing: str) -> None:
    acknowledge(office, firing)
    before = (told(office), audited(office))
    assert acknowledge(office, firing, "eve") == "Nothing changed: dana has acknowledged it already."
    assert (told(office), audited(office)) == before


def test_what_cannot_be_acknowledged_is_refused_in_a_sentence(office: Office, firing: str) -> None:
    with pytest.raises(AlertActionRefused, match="organization acme has no alert nobody"):
        acknowledge(office, "nobody")
    office.publish({**HUNDRED, "monthly_budget_usd": 1000}, **CHANNELS)
    office.evaluate()
    with pytest.raises(AlertActionRefused, match="only one that fires can be acknowledged"):
        acknowledge(office, firing)


def test_a_silenced_alert_fires_without_a_word_and_is_told_when_the_silence_ends(office: Office) -> None:
    office.publish(HUNDRED, **CHANNELS)
    made = silence(office, Matcher("budget", "all"))
    office.spend(96 * USD)
    office.evaluate()
    (alert,) = (row for row in office.alerts() if row.state == "firing")
    assert (alert.hidden_by, alert.hidden_source) == ("silenced", made.silence_id)
    (kept,) = office.outbox()
    assert (kept.state, kept.error) == ("suppressed", f"silenced: {made.silence_id}")
    assert office.pass_time(minutes=59) == 0
    assert office.pass_time(minutes=1) == 1
    assert told(office) == [("post", "ops")]
    assert office.alerts()[-1].hidden_by is None


def test_a_silence_ended_by_hand_ends_now(office: Office) -> None:
    office.publish(HUNDRED, **CHANNELS)
    made = silence(office, Matcher("severity", "info", "!="), hours=24)
    office.spend(96 * USD)
    office.evaluate()
    office.later(minutes=1)
    actions.end_silence(office.database, office.org_id, made.silence_id, by="eve", now=office.now)
    assert office.pass_time(seconds=1) == 1
    assert told(office) == [("post", "ops")]
    with office.database.read() as connection:
        assert silences.list_silences(connection, office.org_id, now=office.now) == []
        assert [each.end for each in silences.list_silences(connection, office.org_id, now=office.now, over=True)] == [
            office.now - timedelta(seconds=1)
        ]
    with pytest.raises(AlertActionRefused, match="no silence"):
        actions.end_silence(office.database, office.org_id, made.silence_id, by="eve", now=office.now)
    assert [action for action, _ in audited(office)][-2:] == ["alert.silence", "alert.end_silence"]


def test_a_silence_says_what_it_hides(office: Office, firing: str) -> None:
    made = silence(office, Matcher("budget", "all"))
    with office.database.read() as connection:
        hidden = actions.hides(connection, office.org_id, made, office.now)
    titles = {row.alert_id: row.title for row in office.alerts()}
    assert hidden == [titles[firing]]


@pytest.mark.parametrize(
    ("matchers", "hours", "sentence"),
    [((), 1, "matchers"), ((Matcher("rule", "x"),), 24 * 31, "at most 30 days"), ((Matcher("rule", "x"),), 0, "after")],
)
def test_a_silence_that_cannot_be_is_refused_whole(office: Office, matchers: Any, hours: float, sentence: str) -> None:
    office.publish(HUNDRED, **CHANNELS)
    before = audited(office)
    with pytest.raises(InvalidValue, match=sentence):
        silence(office, *matchers, hours=hours)
    assert audited(office) == before


def test_a_blocked_budget_of_the_organization_hides_those_of_its_agents(office: Office) -> None:
    each = {"id": "each", "per": "agent", "monthly_budget_usd": 10}
    office.publish(HUNDRED, each, **CHANNELS)
    office.spend(100 * USD)
    office.evaluate()
    office.later(seconds=1)
    office.spend(10 * USD, budget_id="each", scope="bot")
    office.evaluate()
    rows = {(row.labels["per"], row.state): row for row in office.alerts() if row.state == "firing"}
    blocked, hidden = rows["org", "firing"], rows["agent", "firing"]
    assert (hidden.hidden_by, hidden.hidden_source) == ("inhibited", blocked.alert_id)
    assert told(office) == [("post", "ops")]
    # Raised: the agent's own is news now.
    office.publish({**HUNDRED, "monthly_budget_usd": 1000}, each, **CHANNELS)
    office.later(seconds=1)
    office.evaluate()
    assert office.pass_time(seconds=1) == 1
    assert told(office)[-1] == ("post", "ops")


def test_the_thread_of_a_nearly_full_budget_is_told_the_burn_every_five_minutes(office: Office) -> None:
    office.publish(HUNDRED, **{**CHANNELS, "routes": {"critical": ["ops"], "warning": ["leads"]}})
    office.spend(91 * USD)
    office.evaluate()
    # The on-call hears of the 90 %, and the leads of the 80 % that were passed with it.
    assert sorted(told(office)) == [("post", "leads"), ("post", "ops")]
    for spent, seconds in ((92, 10), (93, 280), (93.5, 10)):
        office.later(seconds=seconds)
        office.spend(int(spent * USD))
        office.evaluate()
    updates = [row for row in office.outbox() if row.action == "reply"]
    # Told to the thread, and not to mailboxes.
    assert [row.channel for row in updates] == ["ops"]
    assert "93.5 %" in str(updates[0].message)
