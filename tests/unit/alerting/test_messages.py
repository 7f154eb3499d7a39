"""What messages say, for every effect and every shipped rule."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any, get_args

import pytest

from engine.alerting.alert import Ending
from engine.alerting.effects import EffectKind, Why
from engine.alerting.messages import digest_of, health_news, title_of
from engine.alerting.messages.found import Found
from engine.alerting.messages.metrics import ABOUT
from engine.alerting.rule_health import RuleHealth
from engine.alerting.rules import Rule
from engine.document.alert_rules import Metric
from tests.support.tellings import (
    ACKNOWLEDGED,
    ALERT_ID,
    BUDGET_CRITICAL,
    BUDGET_DENIED,
    BUDGET_FACTS,
    BUDGET_FOUND,
    BUDGET_LABELS,
    BURN_FOUND,
    BURN_UPDATE,
    DENIALS_OVER,
    DOCUMENT,
    NOW,
    OVER_FOUND,
    POLICY_DENY,
    POLICY_FACTS,
    POLICY_FOUND,
    RESOLVE_LINE,
    RULES,
    URL,
    VARIANCE_FACTS,
    VARIANCE_LABELS,
    message,
    over,
    telling,
)

CALLS = Found(calls_per_hour=340, spent_per_hour=41_000_000)
DAY_FACTS = {
    **BUDGET_FACTS, "budget_id": "gentle", "per": "org", "scope": "org", "period": "day", "period_label": "2026-11-23",
    "period_start": "2026-11-23T05:00:00+00:00", "period_end": "2026-11-24T05:00:00+00:00",
    "limit_micros": 10_000_000,
}  # fmt: skip


def title(rule: str, facts: dict[str, Any], labels: dict[str, str] | None = None) -> str:
    return title_of(RULES[rule], labels or {}, facts, DOCUMENT)


def test_a_title_names_the_budget_and_the_threshold_and_no_value_that_moves() -> None:
    assert BUDGET_CRITICAL.title == "Monthly budget 'copilots' of agent copilot_hr has reached 95 %"
    assert title("budget_usage_degraded", DAY_FACTS | {"threshold": "0.875"}) == (
        "Daily budget 'gentle' has reached 87.5 %"
    )
    assert title("budget_exhausted", DAY_FACTS | {"threshold": "1"}) == "Daily budget 'gentle' is used up"
    assert BUDGET_DENIED.title == "Monthly budget 'copilots' of agent copilot_hr has denied its first call at 99.98 %"
    assert title("budget_exhausted", DAY_FACTS | {"limit_micros": 0}) == (
        "Daily budget 'gentle' allows no spend, and there is some"
    )
    assert title("budget_forecast_exceeded", BUDGET_FACTS | {"threshold": "1"}) == (
        "Monthly budget 'copilots' of agent copilot_hr will be exceeded"
    )
    for moved in (BUDGET_FACTS | {"value": "0.99", "spent_micros": 495_000_000}, BUDGET_FACTS):
        assert title_of(RULES["budget_usage_critical"], BUDGET_LABELS, moved, DOCUMENT) == BUDGET_CRITICAL.title


def test_the_title_of_a_level_rule_says_what_it_is_about_and_from_when_on() -> None:
    assert POLICY_DENY.title == "Many calls are denied by policies (more than 50 calls in 5 min)"
    assert title("cost_variance", VARIANCE_FACTS, VARIANCE_LABELS) == (
        "Estimates are off: agent coder, model gpt-4o, complexity complex (more than 15 %)"
    )
    assert title("governance_check_latency", {}) == "Checks are slow (more than 50 ms)"
    assert title("fail_open_lasting", {}) == "Calls pass without Redis (at least 1 min)"
    assert title("redis_evicted_keys", {}) == "Redis throws counters away"
    assert title("spend_anomaly", {"day": "2026-11-22", "threshold": "0"}, {"agent": "coder"}) == (
        "Unusual spend on 2026-11-22: agent coder"
    )
    assert title("watchdog", {}) == "Rules are evaluated"


def test_a_rule_of_ones_own_is_called_as_its_author_called_it() -> None:
    own = Rule("mine", "budget_usage_percentage", Decimal("0.7"), title="Marketing is nearly done", kind="latched")
    assert title_of(own, BUDGET_LABELS, BUDGET_FACTS | {"threshold": "0.7"}, DOCUMENT) == (
        "Marketing is nearly done: monthly budget 'copilots' of agent copilot_hr has reached 70 %"
    )
    filtered = Rule("mine", "policy_deny_count", Decimal(5), ">=", filter={"team": "team-hr"}, group_by=("agent",))
    assert title_of(filtered, {"agent": "coder"}, {}, DOCUMENT) == (
        "Many calls are denied by policies: agent coder, team team-hr (at least 5 calls in 5 min)"
    )


@pytest.mark.parametrize(
    ("rule", "value", "limit", "cost"),
    [
        ("policy_deny", "73 calls in 5 min", "50 calls", "340 calls turned away in the last hour"),
        ("rate_limit_exceeded", "73 calls in 1 min", "20 calls", "340 calls turned away in the last hour"),
        ("rate_limit_fail_open", "73 calls in 5 min", "100 calls",
         "340 calls passed in the last hour without their rate limit"),
        ("fail_open_lasting", "1 min 13 s", "1 min", "340 calls passed in the last hour without their rate limit"),
        ("governance_check_latency", "73 ms (p95)", "50 ms", "340 calls checked in the last hour"),
        ("daily_execution_count", "73 calls in a day", "500 calls", "340 calls in the last hour, $41.00/h"),
        ("ledger_lag", "1 min 13 s", "1 min", "Alerts and pages are that late; calls are still decided."),
        ("redis_evicted_keys", "73 keys in 5 min", "", "Budgets and rate limits may let too much pass."),
        ("spend_anomaly", "$73.00 more than expected", "", "$41.00/h"),
        ("credential_age", "73 days", "90 days", "The older a credential, the longer a stolen one works."),
        ("budget_exhausted_early", "73 days short", "1 day", ""),
        ("watchdog", "", "", ""),
    ],
)  # fmt: skip
def test_every_kind_of_value_has_its_unit_and_its_cost(rule: str, value: str, limit: str, cost: str) -> None:
    told = message(telling(rule, facts={"value": "73"}, labels={}), CALLS)
    assert (told.value, told.limit, told.cost_of_inaction) == (value, limit, cost)


@pytest.mark.parametrize("rule", ["rate_limit_fail_open", "fail_open_lasting"])
def test_none_counted_yet_is_no_number_of_calls_that_passed(rule: str) -> None:
    told = telling(rule, facts={"value": "101"}, labels={})
    assert message(told, Found(calls_per_hour=0)).cost_of_inaction == ""
    assert message(told, Found(calls_per_hour=2_000, more_calls=True)).cost_of_inaction == (
        "at least 2,000 calls passed in the last hour without their rate limit"
    )


@pytest.mark.parametrize("rule", ["rate_limit_fail_open", "fail_open_lasting", "unsettled_holds"])
def test_where_the_page_has_no_filter_for_the_calls_there_is_no_link_to_them(rule: str) -> None:
    assert message(telling(rule, facts={"value": "1"}, labels={}), CALLS).data_link == ""


def test_users_are_counted_among_those_turned_away() -> None:
    assert message(POLICY_DENY, POLICY_FOUND).cost_of_inaction.endswith("in the last hour, of 12 users")
    more = replace(POLICY_FOUND, more_users=True)
    assert message(POLICY_DENY, more).cost_of_inaction.endswith(", of at least 12 users")


def test_an_estimate_that_is_off_says_by_how_much_and_which_way() -> None:
    told = message(telling("cost_variance", facts=VARIANCE_FACTS, labels=VARIANCE_LABELS), Found())
    assert told.value == "18.2 % off"
    assert told.cost_of_inaction == "estimates are $288.00 a month too low"
    assert told.details[0] == "412 settled calls cost $360.00; their estimates come to $292.80."


def test_one_message_says_which_lower_thresholds_it_stands_for() -> None:
    assert message(BUDGET_CRITICAL).details[-1] == "This also stands for 80 % and 90 %, passed at the same time."
    texts = telling(facts=BUDGET_FACTS | {"instead_of": ["50 %", "80 %", "90 %"]})
    assert "stands for 50 %, 80 % and 90 %," in message(texts).details[-1]


def test_a_burn_update_is_one_line() -> None:
    told = message(BURN_UPDATE, BURN_FOUND)
    assert told.brief
    assert told.line == "93.4 % now, $12.40/h, gone at 14:39 (America/New_York)"
    assert told.mention is None


def test_the_end_says_how_long_it_lasted_why_it_is_over_and_what_it_cost() -> None:
    told = message(RESOLVE_LINE, OVER_FOUND)
    assert told.brief
    assert told.line == "Over after 1 h 12 min: the budget was changed. $31.20 was spent meanwhile."
    assert told.resolved is not None
    assert told.resolved.cost_micros == 31_200_000
    unknown = message(RESOLVE_LINE, Found())
    assert unknown.line == "Over after 1 h 12 min: the budget was changed."


def test_the_end_of_an_alert_about_denials_says_how_many_were_turned_away_and_no_money() -> None:
    line = replace(DENIALS_OVER, effect=replace(DENIALS_OVER.effect, kind=EffectKind.RESOLVE_LINE))
    told = message(line, Found(turned_away_while_open=38))
    assert told.line == "Over after 1 h 12 min: the value is fine again. 38 calls were turned away meanwhile."
    assert "$" not in told.line
    one = message(line, Found(turned_away_while_open=1))
    assert one.line.endswith("1 call was turned away meanwhile.")
    assert message(line, Found(turned_away_while_open=0)).line.endswith("fine again.")


@pytest.mark.parametrize("ending", Ending)
def test_every_ending_has_words(ending: Ending) -> None:
    ended = telling(kind=EffectKind.PARENT_EDIT, why=Why.OVER, alert=over(ending), ending=ending)
    told = message(ended)
    assert told.resolved is not None
    assert told.resolved.reason
    assert "_" not in told.resolved.reason


def test_who_took_it_on_is_said_in_the_thread_and_in_the_parent() -> None:
    told = message(ACKNOWLEDGED)
    assert told.brief
    assert told.line == ("ann has acknowledged this: no further mentions or escalation for 24 h, unless it gets worse.")
    level = replace(ACKNOWLEDGED, rule=RULES["policy_deny"])
    assert "no repeats or escalation for 24 h" in message(level).line
    edited = message(replace(ACKNOWLEDGED, effect=replace(ACKNOWLEDGED.effect, kind=EffectKind.PARENT_EDIT)))
    assert not edited.brief
    assert edited.acknowledged_by == "ann"


@pytest.mark.parametrize(("step", "waited"), [(1, "15 min"), (2, "30 min")])
def test_an_escalation_calls_again_and_says_how_long_nobody_came(step: int, waited: str) -> None:
    told = message(telling(kind=EffectKind.ESCALATION, why=Why.NOT_ACKNOWLEDGED, step=step))
    assert told.line == f"Nobody has acknowledged this for {waited}."
    assert told.mention == "@oncall"
    assert told.value == "$481.20 (96.2 %)", "who is called first by the escalation knows nothing of it yet"


def test_a_repeat_says_for_how_long_and_a_rise_how_bad() -> None:
    repeat = telling("policy_deny", EffectKind.REPEAT, Why.STILL_FIRING, facts=POLICY_FACTS, labels={})
    assert message(repeat, POLICY_FOUND).line == "Still so after 1 h."
    rise = telling(kind=EffectKind.THREAD_REPLY, why=Why.SEVERITY_ROSE, broadcast=True)
    told = message(rise)
    assert (told.line, told.mention, told.brief) == ("It is critical now.", "@oncall", False)


def test_only_what_is_critical_and_calls_mentions_somebody() -> None:
    assert message(BUDGET_CRITICAL).mention == "@oncall"
    assert message(telling("budget_usage_warning")).mention is None
    for kind, why in ((EffectKind.PARENT_EDIT, Why.SEVERITY_FELL), (EffectKind.THREAD_REPLY, Why.NO_DATA)):
        assert message(telling(kind=kind, why=why)).mention is None


def test_a_digest_has_the_worst_five_and_a_link_to_all() -> None:
    top = [(f"Estimates are off: agent a{number}\n<!channel> (more than 15 %)", "30 %") for number in range(7)]
    told = digest_of(RULES["cost_variance"], top, 14, org_id="acme", severity="warning", dashboard_url=f"{URL}/",
                     zone="UTC", mention="@oncall")  # fmt: skip
    assert told.title == "14 alerts of 'Estimates are off' (more than 15 %)"
    assert told.details[0] == "1. agent a0 <!channel>: 30 %"
    assert [line[:2] for line in told.details] == ["1.", "2.", "3.", "4.", "5.", "An"]
    assert told.details[-1] == "And 9 more."
    assert told.page_link == f"{URL}/alerts?org=acme&rule=cost_variance"
    assert told.mention is None
    assert told.alert_id == ""
    assert "\n" not in told.details[0]


def test_an_entry_of_a_digest_says_what_tells_it_from_the_others() -> None:
    rule = Rule("mine", "policy_deny_count", Decimal(5), ">=", group_by=("agent",), title="Tries: many")
    titles = [title_of(rule, labels, {"threshold": level}, DOCUMENT)
              for labels, level in (({"agent": "dev11"}, "5"), ({"agent": "dev12"}, "7"), ({}, "5"))]  # fmt: skip
    told = digest_of(rule, [(each, "15 calls in 5 min") for each in titles], 14, org_id="acme", severity="warning",
                     dashboard_url=URL, zone="UTC")  # fmt: skip
    assert told.details[:3] == (
        "1. agent dev11: 15 calls",
        "2. agent dev12 (at least 7 calls in 5 min): 15 calls",
        "3. Tries: many (at least 5 calls in 5 min): 15 calls",
    )


def test_programs_are_told_whose_alert_it_is_and_the_numbers() -> None:
    told = message(BUDGET_CRITICAL)
    assert (told.org_id, told.rule_id, told.state) == ("acme", "budget_usage_critical", "firing")
    assert told.labels == BUDGET_LABELS
    assert (told.value_number, told.threshold_number) == ("0.9624", "0.95")
    assert message(RESOLVE_LINE).state == "resolved"


def test_what_hid_an_alert_is_named() -> None:
    told = telling(why=Why.NO_LONGER_HIDDEN)
    assert message(told, replace(BUDGET_FOUND, hidden_by="a silence of ann: load test")).line == (
        "Until now it was hidden by a silence of ann: load test."
    )
    assert message(told).line == "Until now it was hidden by a silence or another alert."


def test_the_ops_channel_hears_that_a_rule_fails_and_that_it_works_again() -> None:
    health = RuleHealth(3, NOW - timedelta(hours=2), "no such table: x\nmore")
    failing = health_news("policy_deny", health, works_again=False, dashboard_url=URL, zone="UTC", now=NOW)
    assert failing.title == "Rule 'policy_deny' cannot be evaluated"
    assert failing.details[-1] == "Error: no such table: x more"
    fine = health_news("policy_deny", health, works_again=True, dashboard_url=URL, zone="UTC", now=NOW)
    assert (fine.severity, fine.title) == ("info", "Rule 'policy_deny' is evaluated again")
    assert fine.details == ("It was not for 2 h.",)


def test_every_metric_has_words() -> None:
    assert set(ABOUT) == set(get_args(Metric))


def test_no_message_is_silent_on_what_to_do() -> None:
    for rule in RULES.values():
        told = message(telling(rule, facts={"value": "1"}, labels={}), CALLS)
        assert told.runbook_link
        assert told.alert_link == f"{URL}/alerts?org=acme&alert={ALERT_ID}"
        assert told.page_link.startswith(f"{URL}/")
