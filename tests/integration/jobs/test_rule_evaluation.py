"""Rules that are judged slot by slot: once each over all workers, late or in order, and told as they should be."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import event, select

from engine.alerting import measuring, slot_evaluation
from engine.ledger.tables import rule_states

if TYPE_CHECKING:
    from tests.integration.jobs.conftest import Office

DENIALS = {"id": "denials", "metric": "policy_deny_count", "window": "5m", "comparison": ">", "threshold": 50}
SLACK = {"channels": {"ops": {"slack": "#ops", "mention": "@oncall"}, "leads": {"slack": "#leads"}},
         "routes": {"critical": ["ops"], "warning": ["leads"]}}  # fmt: skip
BUDGET = {"id": "all", "per": "org", "monthly_budget_usd": 1_000_000}
DENIED = {"outcome": "denied", "reason": "policy_deny"}


def only(*rules: dict[str, Any]) -> dict[str, Any]:
    """An alerts part with these rules alone: what else is shipped is off."""
    from engine.alerting.shipped import shipped_rules

    return {**SLACK, "rules": [*rules, *({"id": rule.id, "enabled": False} for rule in shipped_rules())]}


def minutes(office: Office, number: int) -> int:
    """So many minutes pass, each evaluated in its turn; how many slots that were."""
    evaluated = 0
    for _ in range(number):
        office.later(minutes=1)
        office.drain()
        evaluated += office.evaluate_rules()
    return evaluated


def begun(office: Office, *rules: dict[str, Any]) -> None:
    office.publish(BUDGET, **only(*rules))
    office.drain()
    assert office.evaluate_rules() == len(rules)


def kinds(office: Office) -> list[tuple[str, str]]:
    return [(row.action, row.channel) for row in office.outbox()]


def test_a_rule_fires_beyond_its_threshold_and_is_over_when_clear_for_long_enough(office: Office) -> None:
    begun(office, DENIALS)
    office.call(50, DENIED)
    minutes(office, 1)
    assert office.alerts() == []
    office.call(1, DENIED)
    minutes(office, 1)
    (alert,) = office.alerts()
    assert (alert.state, alert.severity, alert.fired_at) == ("firing", "warning", office.now)
    assert (alert.facts["value"], alert.facts["threshold"]) == ("51", "50")
    # Four minutes on the most of them are out of the window: it recovers, and is over five minutes later.
    minutes(office, 4)
    assert office.alerts()[0].state == "recovering"
    minutes(office, 5)
    (alert,) = office.alerts()
    assert (alert.state, alert.resolved_at) == ("resolved", office.now)
    assert kinds(office) == [("post", "leads"), ("edit", "leads"), ("reply", "leads")]


def test_a_rule_waits_until_the_ledger_is_drained_past_the_slot(office: Office) -> None:
    begun(office, DENIALS)
    office.call(60, DENIED)
    office.later(minutes=3)
    assert office.evaluate_rules() == 0
    office.drain()
    assert office.evaluate_rules() == 3
    assert [row.state for row in office.alerts()] == ["firing"]


def test_a_worker_that_was_away_for_six_minutes_misses_nothing(office: Office) -> None:
    begun(office, DENIALS | {"window": "1m", "keep_firing_for": "1m"})
    burst = office.now + timedelta(minutes=1)
    office.call(60, DENIED, at=burst)
    office.later(minutes=6)
    office.drain()
    assert office.evaluate_rules() == 6
    (alert,) = office.alerts()
    assert alert.state == "resolved"
    assert alert.fired_at == burst + timedelta(minutes=1)
    assert kinds(office) == [("post", "leads"), ("edit", "leads"), ("reply", "leads")]


def test_what_clears_before_it_held_is_a_near_miss_and_told_to_nobody(office: Office) -> None:
    begun(office, DENIALS | {"window": "1m", "for": "2m"})
    for again in (1, 2):
        office.call(60, DENIED)
        minutes(office, 1)
        assert [row.state for row in office.alerts()] == ["pending"]
        minutes(office, 1)
        (alert,) = office.alerts()
        assert (alert.state, alert.life["near_misses"]) == ("inactive", again)
    assert office.outbox() == []
    for _ in range(3):
        office.call(60, DENIED)
        minutes(office, 1)
    assert [(row.state, row.life["episode"]) for row in office.alerts()] == [("firing", 1)]


def test_groups_have_alerts_of_their_own(office: Office) -> None:
    begun(office, DENIALS | {"group_by": ["agent"], "severity": "critical"})
    for agent, number in (("bot-a", 60), ("bot-b", 70), ("bot-c", 3)):
        office.call(number, DENIED, agent_id=agent)
    minutes(office, 1)
    assert [(row.labels["agent"], row.facts["value"]) for row in office.alerts()] == [("bot-a", "60"), ("bot-b", "70")]
    assert [row.message["mention"] for row in office.outbox()] == ["@oncall", "@oncall"]
    minutes(office, 11)
    office.call(60, DENIED, agent_id="bot-a")
    minutes(office, 1)
    assert [(row.labels["agent"], row.episode, row.state) for row in office.alerts()] == [
        ("bot-a", 1, "resolved"), ("bot-b", 1, "resolved"), ("bot-a", 2, "firing"),
    ]  # fmt: skip


def test_more_than_ten_of_a_rule_leave_as_one_digest(office: Office) -> None:
    begun(office, DENIALS | {"group_by": ["agent"]})
    for number in range(11):
        office.call(60 + number, DENIED, agent_id=f"bot-{number:02}")
    minutes(office, 1)
    assert office.states() == ["waiting"] * 11
    assert office.depart(seconds=29) == 0
    assert office.depart(seconds=1) == 1
    assert sorted(office.states()) == ["queued"] + ["suppressed"] * 11
    (digest,) = (row for row in office.outbox() if row.state == "queued")
    assert "11" in digest.message["title"]
    assert "bot-10" in digest.message["details"][0]
    # What follows goes into the thread of the digest.
    minutes(office, 10)
    replies = [row for row in office.outbox() if row.action == "reply"]
    assert {row.first_notification_id for row in replies} == {digest.notification_id}
    assert len(replies) == 11


def test_a_rule_that_fails_is_told_after_three_times_and_when_it_works_again(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun(office, DENIALS, DENIALS | {"id": "others"})
    office.call(60, DENIED)
    minutes(office, 1)
    measure = measuring.measure

    def broken(connection: Any, rule: Any, measuring: Any) -> Any:
        if rule.rule_id == "denials":
            raise RuntimeError("no such column")
        return measure(connection, rule, measuring)

    monkeypatch.setattr(slot_evaluation, "measure", broken)
    minutes(office, 20)
    assert {row.rule_id: row.state for row in office.alerts()} == {"denials": "firing", "others": "resolved"}
    news = [row for row in office.outbox() if row.alert_id is None]
    assert [row.channel for row in news] == ["ops"]
    with office.database.read() as connection:
        states = {row.rule_id: row for row in connection.execute(select(rule_states))}
    assert (states["denials"].failures, states["others"].failures) == (20, 0)
    assert states["denials"].error == "RuntimeError: no such column"
    assert states["others"].succeeded_at == office.now
    monkeypatch.setattr(slot_evaluation, "measure", measure)
    minutes(office, 1)
    assert [row.channel for row in office.outbox() if row.alert_id is None] == ["ops", "ops"]


def test_a_slot_is_evaluated_by_one_of_many_and_its_messages_queued_once(office: Office) -> None:
    begun(office, DENIALS | {"group_by": ["agent"], "severity": "critical"})
    for number in range(20):
        office.call(60, DENIED, agent_id=f"bot-{number}")
    office.later(minutes=1)
    office.drain()
    with ThreadPoolExecutor(6) as pool:
        evaluated = [pool.submit(office.evaluate_rules) for _ in range(6)]
    assert sum(each.result() for each in evaluated) == 1
    assert [row.state for row in office.alerts()] == ["firing"] * 20
    assert len(office.outbox()) == 20


@pytest.mark.parametrize("at", ["UPDATE rule_states", "INSERT INTO alerts", "INSERT INTO outbox", "COMMIT"])
def test_a_crash_anywhere_leaves_the_slot_to_be_evaluated_again(office: Office, at: str) -> None:
    begun(office, DENIALS | {"severity": "critical"})
    office.call(60, DENIED)
    office.later(minutes=1)
    office.drain()

    def crash(_connection: object, _cursor: object = None, statement: str = "COMMIT", *_: object) -> None:
        if statement.startswith(at):
            raise KeyboardInterrupt

    name = "commit" if at == "COMMIT" else "before_cursor_execute"
    event.listen(office.database.engine, name, crash)
    with pytest.raises(KeyboardInterrupt):
        office.evaluate_rules()
    event.remove(office.database.engine, name, crash)
    assert (office.alerts(), office.outbox()) == ([], [])
    assert office.evaluate_rules() == 1
    assert office.states() == ["queued"]


def test_what_is_latched_is_told_once_a_day_and_ends_with_it(office: Office) -> None:
    many = {"id": "many", "kind": "latched", "metric": "daily_execution_count", "window": "day", "threshold": 500}
    begun(office, many)
    office.call(500)
    minutes(office, 1)
    assert [(row.state, row.facts["period_label"]) for row in office.alerts()] == [("firing", "2026-11-23")]
    minutes(office, 5)
    assert kinds(office) == [("post", "leads")]
    # 05:00 UTC is midnight in New York; a slot that ends then is the last of its day.
    office.now = office.now.replace(day=24, hour=5, minute=0)
    office.drain()
    office.evaluate_rules()
    assert [row.state for row in office.alerts()] == ["firing"]
    minutes(office, 1)
    assert [(row.state, row.facts.get("resolution")) for row in office.alerts()] == [("resolved", "period_ended")]
    office.call(700)
    minutes(office, 1)
    assert [row.state for row in office.alerts()] == ["resolved", "firing"]


def test_a_rule_that_is_turned_off_ends_its_alerts(office: Office) -> None:
    begun(office, DENIALS)
    office.call(60, DENIED)
    minutes(office, 1)
    office.publish(BUDGET, **only())
    assert office.pass_time(seconds=1) == 1
    assert [(row.state, row.facts["resolution"]) for row in office.alerts()] == [("resolved", "rule_removed")]
