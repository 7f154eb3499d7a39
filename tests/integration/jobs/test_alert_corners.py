"""Corners of alerting: documents that change while alerts fire, what hides what, periods that end, long names."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from engine.alerting import actions, messages, outbox, slot_evaluation
from engine.alerting.alert_rows import begin, insert_row
from engine.alerting.quieting import Matcher
from engine.alerting.shipped import shipped_rules
from engine.errors import InvalidValue
from jobs.evaluation import EvaluationFailed, depart_all
from tests.support.broken_documents import change_versions

if TYPE_CHECKING:
    from tests.integration.jobs.conftest import Office

USD = 1_000_000
HUNDRED = {"id": "all", "per": "org", "monthly_budget_usd": 100}
EACH = {"id": "each", "per": "agent", "monthly_budget_usd": 100}
CHANNELS = {
    "channels": {"ops": {"slack": "#ops", "mention": "@oncall"}, "leads": {"slack": "#leads"},
                 "post": {"email": ["leads@example.com"]}},
    "routes": {"critical": ["ops"], "warning": ["leads"]},
}  # fmt: skip
DENIED = {"outcome": "denied", "reason": "policy_deny"}
OFF = [{"id": rule.id, "enabled": False} for rule in shipped_rules()]
DENIALS = {"id": "denials", "metric": "policy_deny_count", "window": "5m", "comparison": ">", "threshold": 50}


def published(office: Office, *rules: dict[str, Any], **alerts: Any) -> None:
    office.publish(HUNDRED, **{**CHANNELS, **alerts, "rules": [*rules, *OFF]})


def minutes(office: Office, number: int) -> None:
    for _ in range(number):
        office.later(minutes=1)
        office.drain()
        office.evaluate_rules()


def begun(office: Office, *rules: dict[str, Any], **alerts: Any) -> None:
    published(office, *rules, **alerts)
    office.drain()
    office.evaluate_rules()


def told(office: Office) -> list[tuple[str, str]]:
    return [(row.action, row.channel) for row in office.outbox() if row.state != "suppressed"]


def silenced(office: Office, *matchers: Matcher) -> None:
    actions.add_silence(
        office.database, office.org_id, matchers, start=office.now, end=office.now + timedelta(hours=1),
        author="dana", reason="known", now=office.now,
    )  # fmt: skip


def test_who_hears_of_what_is_critical_hears_when_an_alert_becomes_so(office: Office) -> None:
    begun(office, DENIALS | {"severity": "info"})
    office.call(60, DENIED)
    minutes(office, 1)
    assert told(office) == []
    published(office, DENIALS | {"severity": "critical"})
    minutes(office, 1)
    assert told(office) == [("post", "ops")]
    assert office.outbox()[0].message["mention"] == "@oncall"


def test_a_rule_that_watches_something_else_now_ends_its_alerts(office: Office) -> None:
    begun(office, DENIALS)
    office.call(60, DENIED)
    minutes(office, 1)
    published(office, DENIALS | {"metric": "rate_limit_exceeded_count"})
    office.pass_time(seconds=1)
    assert [(row.state, row.facts["resolution"]) for row in office.alerts()] == [("resolved", "rule_changed")]
    minutes(office, 1)
    assert len(office.alerts()) == 1


def test_a_level_rule_that_becomes_one_on_budgets_leaves_nothing_behind(office: Office) -> None:
    begun(office, DENIALS)
    office.call(60, DENIED)
    minutes(office, 1)
    published(office, {"id": "denials", "metric": "budget_usage_percentage", "threshold": "50%"})
    office.evaluate()
    office.pass_time(seconds=1)
    assert [row.state for row in office.alerts()] == ["resolved"]


def test_a_failure_while_alerts_take_their_step_is_the_rules_own(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun(office, DENIALS, DENIALS | {"id": "others"})
    office.call(60, DENIED)
    title_of = messages.title_of

    def broken(rule: Any, *rest: Any) -> str:
        if rule.rule_id == "denials":
            raise RuntimeError("no words")
        return title_of(rule, *rest)

    monkeypatch.setattr(slot_evaluation, "title_of", broken)
    minutes(office, 3)
    assert [row.rule_id for row in office.alerts()] == ["others"]
    assert [row.channel for row in office.outbox() if row.alert_id is None] == ["ops"]


def test_a_blocked_budget_for_some_calls_hides_no_agent_with_other_calls(office: Office) -> None:
    azure = {"id": "azure", "per": "org", "applies_to": {"provider": "azure_openai"}, "monthly_budget_usd": 100}
    agents = {"copilot": {"provider": "copilot_studio"}, "coder": {"provider": "azure_openai", "model": "gpt-4o"}}
    office.publish(azure, EACH, agents=agents, **CHANNELS)
    office.spend(100 * USD, budget_id="azure")
    office.evaluate()
    office.later(seconds=1)
    for scope in agents:
        office.spend(96 * USD, budget_id="each", scope=scope)
    office.evaluate()
    hidden = {row.labels.get("agent"): row.hidden_by for row in office.alerts() if row.rule_id.endswith("critical")}
    assert hidden == {None: None, "copilot": None, "coder": "inhibited"}


def test_a_silenced_alert_keeps_no_other_back(office: Office) -> None:
    office.publish(HUNDRED, EACH, **CHANNELS)
    silenced(office, Matcher("per", "org"))
    office.spend(100 * USD)
    office.spend(96 * USD, budget_id="each", scope="bot")
    office.evaluate()
    assert sorted(told(office)) == [("post", "leads"), ("post", "ops")]


def test_agents_and_the_organization_blocked_in_one_look_are_one_alert_to_people(office: Office) -> None:
    office.publish(HUNDRED, EACH, **CHANNELS)
    office.spend(100 * USD)
    office.spend(96 * USD, budget_id="each", scope="bot")
    office.evaluate()
    hidden = {row.labels.get("agent"): row.hidden_by for row in office.alerts() if row.state == "firing"}
    assert hidden == {None: None, "bot": "inhibited"}


def test_a_silence_of_what_is_critical_leaves_the_warning_to_be_told(office: Office) -> None:
    office.publish(HUNDRED, **CHANNELS)
    silenced(office, Matcher("severity", "critical"))
    office.spend(97 * USD)
    office.evaluate()
    assert told(office) == [("post", "ops")]
    fired = {row.rule_id: row.hidden_by for row in office.alerts() if row.state == "firing"}
    assert fired == {"budget_usage_critical": "silenced", "budget_usage_degraded": None}


def test_what_crossed_in_the_last_moment_of_a_day_is_told_after_it(office: Office) -> None:
    office.publish({"id": "all", "per": "org", "daily_budget_usd": 10}, **CHANNELS)
    # 05:00 UTC is midnight in New York.
    office.now = office.now.replace(day=24, hour=4, minute=59, second=59)
    office.spend(10 * USD, period="day")
    office.cross(10_000, period="day")
    office.later(seconds=2)
    assert office.evaluate() == 5
    assert ("post", "ops") in told(office)
    assert {row.facts["period_label"] for row in office.alerts()} == {"2026-11-23"}
    office.later(seconds=5)
    assert office.evaluate() == 0
    assert {row.state for row in office.alerts()} == {"resolved"}


def test_a_budget_of_nothing_that_is_spent_from_is_not_without_data(office: Office) -> None:
    office.publish({**HUNDRED, "monthly_budget_usd": 0}, **CHANNELS)
    for spent in (1, 2, 3):
        office.spend(spent)
        office.evaluate()
        office.later(minutes=6)
    assert office.outbox()
    assert all(row.message["why"] != "no_data" for row in office.outbox())


def test_names_of_any_length_that_ids_may_have_fit(office: Office) -> None:
    long = "b" * 128
    office.org_id = "o" * 128
    office.publish({**EACH, "id": long}, **CHANNELS)
    office.spend(97 * USD, budget_id=long, scope="s" * 128)
    assert office.evaluate() == 4
    assert max(len(row.dedupe_key) for row in office.alerts()) <= 512


def test_nobody_with_too_long_a_name_acknowledges(office: Office) -> None:
    with pytest.raises(InvalidValue, match="by: must be 1 to 256 characters"):
        actions.acknowledge_alert(
            office.database, "acme", "x", by="d" * 257, now=office.now, dashboard_url=office.dashboard_url
        )


def waiting(office: Office, number: int) -> None:
    """So many alerts of a rule wait for each other, for two channels."""
    begun(office, DENIALS | {"group_by": ["agent"]}, routes={"warning": ["leads", "post"]})
    for agent in range(number):
        office.call(60 + agent, DENIED, agent_id=f"bot-{agent:02}")
    minutes(office, 1)


def test_what_is_silenced_while_it_waits_for_others_is_kept_back_until_the_silence_ends(office: Office) -> None:
    waiting(office, 2)
    silenced(office, Matcher("agent", "bot-00"))
    office.depart(seconds=30)
    leaving = [row for row in office.outbox() if row.state == "queued"]
    assert {row.channel for row in leaving} == {"leads", "post"}
    assert all("bot-01" in row.message["title"] for row in leaving)
    for _ in range(61):
        office.call(100, DENIED, agent_id="bot-00")
        minutes(office, 1)
    late = [row for row in office.outbox() if "bot-00" in row.message["title"] and row.state != "suppressed"]
    assert sorted((row.action, row.channel) for row in late) == [("post", "leads"), ("post", "post")]


def test_an_unreadable_document_keeps_no_other_organizations_messages_back(office: Office) -> None:
    waiting(office, 1)
    with office.database.write() as connection:
        change_versions(connection, "acme", content={"nonsense": 1})
    office.org_id = "other"
    waiting(office, 1)
    office.later(seconds=30)
    with pytest.raises(EvaluationFailed, match="acme: DocumentError"):
        depart_all(office.database, dashboard_url="", now=office.now)
    assert {row.org_id for row in office.outbox() if row.state == "queued"} == {"other"}


def test_a_digest_is_left_alone_when_some_of_it_is_leaving_already(office: Office) -> None:
    waiting(office, 11)
    office.later(seconds=30)
    with office.database.write() as connection:
        group = outbox.waiting_groups(connection, office.now)[0]
        outbox.release(connection, group.ids[:10], office.now)
        left = outbox.digest(
            connection, group.ids, org_id="acme", channel=group.receiver, dedupe_key="d",
            message=group.messages[0].message, now=office.now,
        )  # fmt: skip
    assert left is None


def test_after_a_digest_each_reply_says_what_it_is_about_and_mailboxes_hear_no_more(office: Office) -> None:
    waiting(office, 11)
    office.depart(seconds=30)
    minutes(office, 12)
    replies = [row for row in office.outbox() if row.action == "reply"]
    assert {row.channel for row in replies} == {"leads"}
    assert len(replies) == 11
    assert {row.message["brief"] for row in replies} == {False}


def test_nobody_is_called_again_for_a_lower_threshold_once_a_higher_one_is_told(office: Office) -> None:
    office.publish(HUNDRED, **CHANNELS)
    for spent in (96, 100):
        office.spend(spent * USD)
        office.evaluate()
        office.later(minutes=1)
    first = len(told(office))
    office.pass_time(minutes=14)
    called = [row for row in office.outbox()[first:] if row.action == "broadcast"]
    assert [row.message["title"] for row in called] == [row.title for row in office.alerts() if "used up" in row.title]


def test_a_budget_that_jumps_over_its_90_percent_is_told_its_burn_all_the_same(office: Office) -> None:
    office.publish(HUNDRED, **CHANNELS)
    for spent, minutes_later in ((96, 6), (97, 0)):
        office.spend(spent * USD)
        office.evaluate()
        office.later(minutes=minutes_later)
    assert [(row.action, row.message["why"]) for row in office.outbox() if row.channel == "ops"] == [
        ("post", "breached"), ("reply", "value_moved"),
    ]  # fmt: skip


def test_a_raised_threshold_is_why_an_alert_is_over(office: Office) -> None:
    begun(office, DENIALS)
    office.call(60, DENIED)
    minutes(office, 1)
    published(office, DENIALS | {"threshold": 500})
    minutes(office, 1)
    assert [(row.state, row.facts["resolution"]) for row in office.alerts()] == [("resolved", "rule_changed")]


def test_the_end_of_an_alert_about_a_raised_budget_shows_the_new_limit(office: Office) -> None:
    office.publish(HUNDRED, **CHANNELS)
    office.spend(96 * USD)
    office.evaluate()
    office.publish({**HUNDRED, "monthly_budget_usd": 200}, **CHANNELS)
    office.later(minutes=1)
    office.evaluate()
    edits = [row for row in office.outbox() if row.action == "edit" and row.channel == "ops"]
    assert "$200.00" in str(edits[-1].message)


def test_what_is_superseded_keeps_the_time_at_which_it_was_crossed(office: Office) -> None:
    office.publish(HUNDRED, **CHANNELS)
    office.spend(96 * USD)
    office.evaluate()
    crossed = office.now
    for spent in (97, 98):
        office.later(minutes=1)
        office.spend(spent * USD)
        office.evaluate()
    assert {row.fired_at for row in office.alerts() if row.state == "superseded"} == {crossed}


def test_management_hears_once_however_old_and_new_limits_deny_in_turn(office: Office) -> None:
    office.publish({**HUNDRED, "monthly_budget_usd": 101}, **CHANNELS)
    office.spend(97 * USD)
    for limit in (101, 100, 101, 100, 101):
        office.deny(limit=limit * USD)
        office.evaluate()
        office.later(minutes=2)
    full = [row for row in office.alerts() if row.rule_id == "budget_exhausted"]
    assert [(row.episode, row.state) for row in full] == [(1, "firing")]


def test_what_crossed_in_a_day_that_is_long_over_is_told_to_nobody(office: Office) -> None:
    office.publish({"id": "all", "per": "org", "daily_budget_usd": 10}, **CHANNELS)
    office.spend(10 * USD, period="day")
    office.cross(10_000, period="day")
    office.later(hours=30)
    assert office.evaluate() == 0
    assert (office.outbox(), office.waiting_crossings()) == ([], 0)


def test_a_silence_keeps_no_alert_back_that_another_channel_has_told_already(office: Office) -> None:
    waiting(office, 1)
    with office.database.write() as connection:
        first = next(row for row in office.outbox() if row.channel == "leads")
        outbox.release(connection, [first.notification_id], office.now)
    silenced(office, Matcher("agent", "bot-00"))
    office.depart(seconds=30)
    assert told(office) == [("post", "leads"), ("post", "post")]


def test_another_spelling_of_a_threshold_is_no_other_threshold(office: Office) -> None:
    begun(office, DENIALS)
    office.call(60, DENIED)
    minutes(office, 1)
    published(office, DENIALS | {"threshold": "50.0"})
    minutes(office, 5)
    assert [row.state for row in office.alerts()] == ["recovering"]


def test_a_rule_that_was_another_one_before_is_told_of_budgets_from_then_on(office: Office) -> None:
    forecast = {"id": "mine", "metric": "budget_forecast_percentage", "threshold": "90%"}
    published(office, forecast)
    with office.database.write() as connection:
        row = begin(
            "acme", "mine", "acme|mine|2026-11|all|acme|month", 1, labels={"rule": "mine", "severity": "warning"},
            facts={"metric": "budget_forecast_percentage", "threshold": "0.9"},
        )  # fmt: skip
        assert insert_row(connection, row, office.now)
    published(office, {"id": "mine", "metric": "budget_usage_percentage", "threshold": "50%"})
    office.spend(60 * USD)
    assert office.evaluate() == 1
    assert office.evaluate() == 0
