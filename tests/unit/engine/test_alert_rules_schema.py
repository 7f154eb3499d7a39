"""Alert rules, channels and routes in a governance document: what is meant, and one sentence for what is not."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from engine.document.alert_channels import ChannelSpec
from engine.document.alert_rules import RuleSpec, length_of
from engine.document.diff import diff_documents
from engine.document.json_schema import document_schema
from engine.document.load import content_hash, document_content, parse_document, parse_text
from engine.document.schema import AlertsSpec, GovernanceDocument
from engine.errors import DocumentError

RULE: dict[str, Any] = {"id": "x", "metric": "policy_deny_count", "threshold": 5}

WHOLE = """\
organization: acme
alerts:
  channels:
    ops: {slack: "#ops", mention: "@oncall"}
    leads: {email: [leads@example.com, other@example.com]}
    hook: {webhook: "https://example.com/alerts"}
    page: {log: true}
  routes: {critical: [ops], warning: [leads], info: [page], management: [leads, hook]}
  by_owner: {hr-leads: {warning: [leads]}}
  by_team: {team-hr: {critical: [ops, leads]}}
  by_provider: {copilot_studio: {warning: [hook]}}
  rules:
  - {id: policy_deny, enabled: false}
  - id: slow
    metric: governance_check_latency_ms
    quantile: 99%
    window: 10m
    comparison: ">"
    threshold: 40.5
    clear: 30
    for: 120s
    keep_firing_for: 1h
    min_samples: 50
    no_data: alert
    severity: critical
    route: management
    runbook: https://example.com/slow
  - {id: hr_budget, metric: budget_usage_percentage, threshold: 70%, filter: {team: team-hr, budget: hr}}
"""


def document(**alerts: Any) -> GovernanceDocument:
    return parse_document({"organization": "acme", "alerts": alerts}, "test")


def refusal(**alerts: Any) -> str:
    with pytest.raises(DocumentError) as refused:
        document(**alerts)
    return str(refused.value)


def test_everything_that_can_be_said_is_read() -> None:
    alerts = parse_text(WHOLE, "f.yaml").document.alerts
    assert {name: (channel.kind, channel.target) for name, channel in alerts.channels.items()} == {
        "ops": ("slack", "#ops"),
        "leads": ("email", "leads@example.com, other@example.com"),
        "hook": ("webhook", "https://example.com/alerts"),
        "page": ("log", ""),
    }
    off, slow, budget = alerts.rules
    assert not off.enabled
    assert (slow.quantile, slow.threshold, slow.clear) == (Decimal("0.99"), Decimal("40.5"), Decimal(30))
    assert length_of(slow.for_) == timedelta(minutes=2)
    assert (budget.threshold, budget.filter.team) == (Decimal("0.7"), "team-hr")


def test_it_means_the_same_when_it_is_read_again_from_its_stored_form() -> None:
    written = parse_text(WHOLE, "f.yaml").document
    stored = parse_document(document_content(written), "version 1 of acme")
    assert stored == written
    assert content_hash(stored) == content_hash(written)
    assert diff_documents(written, stored) == []


def test_two_spellings_of_one_meaning_are_no_difference() -> None:
    first = document(rules=[{**RULE, "for": "60s", "window": "120m"}])
    second = document(rules=[{**RULE, "for": "1m", "window": "2h"}])
    assert content_hash(first) == content_hash(second)


def test_the_json_schema_for_editors_takes_what_the_program_takes() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    validator = jsonschema.Draft202012Validator(document_schema())
    assert list(validator.iter_errors(document_content(parse_text(WHOLE, "f.yaml").document))) == []
    for wrong in ({"for": "soon"}, {"threshold": "lots"}, {"metric": "mood"}, {"severity": "loud"}, {"windw": "5m"}):
        assert not validator.is_valid({"organization": "a", "alerts": {"rules": [{**RULE, **wrong}]}})


@pytest.mark.parametrize(
    ("rule", "sentence"),
    [
        ({"id": "x"}, "rules.0.metric (rule x): is required, for no shipped rule is called 'x'"),
        (
            {"id": "x", "metric": "policy_deny_count"},
            "rules.0.threshold (rule x): is required, for no shipped rule is called 'x'",
        ),
        ({"id": "a b", "enabled": False}, "rules.0.id: must be 1 to 128 letters"),
        (
            {**RULE, "metric": "policy_deny"},
            "rules.0.metric (rule x): is no metric that is kept, got 'policy_deny'; did you",
        ),
        ({**RULE, "metric": "latency_p95"}, "got 'latency_p95'; did you mean 'governance_check_latency_ms'?"),
        ({**RULE, "metric": 5}, "rules.0.metric (rule x): is no metric that is kept, got 5"),
        ({**RULE, "treshold": 5}, "rules.0.treshold (rule x): is not a known key; did you mean 'threshold'?"),
        ({**RULE, "enabled": "no"}, "rules.0.enabled (rule x): must be true or false, got 'no'"),
        (
            {**RULE, "threshold": "many"},
            "rules.0.threshold (rule x): must be a number such as 20, or a percentage such as 95%",
        ),
        ({**RULE, "threshold": -1}, "rules.0.threshold (rule x): must be at least 0, got -1"),
        ({**RULE, "threshold": float("nan")}, "rules.0.threshold (rule x): must be a finite number"),
        ({**RULE, "threshold": 2.5}, "rules.0.threshold (rule x): policy_deny_count is a whole number, got 2.5"),
        ({**RULE, "for": 5}, "rules.0.for (rule x): must be a length of time such as 90s, 5m, 24h or 7d"),
        ({**RULE, "for": "40d"}, "rules.0.for (rule x): must be at most 31d"),
        ({**RULE, "window": "90s"}, "rules.0.window (rule x): must be whole minutes"),
        ({**RULE, "window": "0m"}, "rules.0.window (rule x): must be whole minutes"),
        ({**RULE, "window": "2881m"}, "rules.0.window (rule x): must be whole hours when it is longer than 2d"),
        ({**RULE, "comparison": "="}, "rules.0.comparison (rule x): must be '>=', '>', '<=' or '<', got '='"),
        (
            {**RULE, "severity": "loud"},
            "rules.0.severity (rule x): must be 'critical', 'warning' or 'info', got 'loud'",
        ),
        (
            {**RULE, "route": "boss"},
            "rules.0.route (rule x): must be 'critical', 'warning', 'info', 'management' or 'esc",
        ),
        ({**RULE, "no_data": "ignore"}, "rules.0.no_data (rule x): must be 'hold', 'zero' or 'alert', got 'ignore'"),
        ({**RULE, "runbook": "ask Bob"}, "rules.0.runbook (rule x): must be a link that starts with https://"),
        ({**RULE, "group_by": ["user"]}, "rules.0.group_by.0 (rule x): must be 'team', 'agent'"),
        ({**RULE, "group_by": ["team", "team"]}, "rules.0.group_by (rule x): names the same twice"),
        ({**RULE, "filter": {"budget": "b"}}, "rules.0.filter.budget (rule x): policy_deny_count is not about budgets"),
        (
            {**RULE, "budget_threshold": "warning"},
            "rules.0.budget_threshold (rule x): is for rules about budget_usage_per",
        ),
        ({**RULE, "kind": "latched"}, "rules.0.kind (rule x): latched is for what a calendar period adds up"),
        ({**RULE, "clear": 6}, "rules.0.clear (rule x): must not be above the threshold"),
        ({**RULE, "clear": 5}, "rules.0.clear (rule x): at 5 the alert would fire and be over at once"),
        ({**RULE, "comparison": "<", "clear": 4}, "rules.0.clear (rule x): must not be below the threshold"),
        (
            {"id": "x", "metric": "governance_check_latency_ms", "threshold": 50, "group_by": ["team"]},
            "rules.0.group_by (rule x): only counts of calls can be grouped, which governance_check_latency_ms is not",
        ),
        (
            {"id": "x", "metric": "budget_usage_percentage", "threshold": 95},
            "rules.0.threshold (rule x): budget_usage_percentage is a share; write 95% or 0.95, got 95",
        ),
        (
            {"id": "x", "metric": "budget_usage_percentage", "threshold": "95%", "kind": "level"},
            "rules.0.kind (rule x): budget_usage_percentage is told once in a period",
        ),
        (
            {"id": "x", "metric": "budget_usage_percentage", "threshold": "95%", "comparison": "<"},
            "rules.0.comparison (rule x): a latched rule waits for high values; use >= or >, not <",
        ),
        (
            {"id": "x", "metric": "budget_usage_percentage", "threshold": "95%", "clear": "50%"},
            "rules.0.clear (rule x): a latched rule has none",
        ),
        (
            {"id": "x", "metric": "budget_usage_percentage", "threshold": "95%", "keep_firing_for": "1m"},
            "rules.0.keep_firing_for (rule x): a latched rule has none",
        ),
        (
            {**RULE, "metric": "daily_execution_count", "kind": "latched", "window": "5m"},
            "rules.0.window (rule x): daily_execution_count of a latched rule is of the calendar's day; write day or",
        ),
        (
            {**RULE, "metric": "spend_anomaly_usd", "kind": "latched", "window": "month"},
            "rules.0.window (rule x): spend_anomaly_usd of a latched rule is of the calendar's day",
        ),
        (
            {**RULE, "metric": "budget_forecast_percentage", "window": "day"},
            "rules.0.window (rule x): budget_forecast_percentage of a latched rule is of the calendar's month",
        ),
        (
            {**RULE, "metric": "budget_days_uncovered", "window": "24h"},
            "rules.0.window (rule x): budget_days_uncovered of a latched rule is of the calendar's month",
        ),
        (
            {**RULE, "group_by": ["team"], "no_data": "alert"},
            "rules.0.no_data (rule x): alert is for rules without group_by",
        ),
    ],
)
def test_a_mistake_in_a_rule_is_one_sentence_that_names_the_field(rule: dict[str, Any], sentence: str) -> None:
    assert sentence in refusal(rules=[rule])


@pytest.mark.parametrize(
    ("channel", "sentence"),
    [
        ({}, "a channel needs either slack: '#channel', email: [address], webhook: https://... or log: true"),
        ({"slack": "#x", "log": True}, "a channel needs either"),
        ({"slack": "#x", "email": ["a@example.com"]}, "a channel needs either"),
        ({"email": []}, "a channel needs either"),
        ({"email": "a@example.com"}, "channels.c.email: must be a list"),
        ({"email": ["Leads <a@example.com>"]}, "channels.c.email.0: must be an e-mail address"),
        ({"email": ["a@example.com\nBcc: b@example.com"]}, "channels.c.email.0: must be one line"),
        ({"webhook": "example.com"}, "channels.c.webhook: must be an address such as https://example.com/alerts"),
        ({"webhook": "http://example.com"}, "channels.c.webhook: must start with https://"),
        ({"webhook": "https://me:secret@example.com"}, "channels.c.webhook: must not hold a password"),
        ({"webhook": "https://[::1"}, "channels.c.webhook: must be an address"),
        ({"slack": "agent-ops"}, "channels.c.slack: must be a channel such as '#agent-ops', without spaces, or its id"),
        ({"slack": "agent-ops"}, "got 'agent-ops'; write '#agent-ops'"),
        ({"slack": "#agent ops"}, "channels.c.slack: must be a channel such as '#agent-ops', without spaces"),
        ({"slack": ""}, "channels.c.slack: must be a channel such as '#agent-ops'"),
        ({"slack": "#x", "mention": "oncall"}, "channels.c.mention: must be '@name', '<@U0123ABCD>' or '<!subteam^S"),
        ({"slack": "#x", "mention": "@oncall please look"}, "channels.c.mention: must be '@name'"),
        ({"slack": "#x", "mention": " "}, "channels.c.mention: must be '@name'"),
        ({"log": True, "mention": "@x"}, "channels.c.mention: only a Slack channel can mention somebody"),
    ],
)
def test_a_mistake_in_a_channel_is_one_sentence_that_names_the_field(channel: dict[str, Any], sentence: str) -> None:
    assert sentence in refusal(channels={"c": channel})


def test_a_secret_of_an_address_is_not_repeated_in_the_refusal() -> None:
    assert "hunter2" not in refusal(channels={"c": {"webhook": "https://me:hunter2@example.com"}})


@pytest.mark.parametrize("address", ["http://localhost:9000/hook", "http://127.0.0.1/x", "https://example.com"])
def test_only_this_machine_may_be_called_without_encryption(address: str) -> None:
    assert ChannelSpec(webhook=address).target == address


def test_every_route_must_lead_to_a_channel() -> None:
    assert "alerts.by_team.team-hr.warning: names channel 'x'" in refusal(by_team={"team-hr": {"warning": ["x"]}})
    assert "alerts.routes.management: names channel 'x'" in refusal(routes={"management": ["x"]})
    assert "by_provider.p.loud: the key must be 'critical'" in refusal(by_provider={"p": {"loud": []}})


def test_an_id_is_used_once() -> None:
    twice = [RULE, {"id": "x", "enabled": False}]
    assert refusal(rules=twice) == "test: alerts.rules.1.id: 'x' is used more than once"


@pytest.mark.parametrize(
    ("rule", "window"),
    [
        ({"metric": "daily_execution_count", "kind": "latched"}, "day"),
        ({"metric": "spend_anomaly_usd", "kind": "latched"}, "day"),
        ({"metric": "budget_forecast_percentage"}, "month"),
        ({"metric": "budget_days_uncovered", "kind": "latched"}, "month"),
        ({"metric": "daily_execution_count"}, "5m"),
        ({"metric": "budget_usage_percentage", "threshold": "50%"}, "5m"),
    ],
)
def test_a_latched_rule_fires_once_in_its_metrics_own_day_or_month(rule: dict[str, Any], window: str) -> None:
    written = {**RULE, **rule}
    assert RuleSpec.model_validate(written).window == window
    assert content_hash(document(rules=[written])) == content_hash(document(rules=[{**written, "window": window}]))


def test_a_level_rule_about_executions_may_look_at_any_time() -> None:
    hourly = {**RULE, "metric": "daily_execution_count", "window": "1h"}
    assert RuleSpec.model_validate(hourly).window == "1h"


def test_what_a_rule_does_not_say_has_its_usual_value() -> None:
    rule = RuleSpec.model_validate(RULE)
    assert (rule.comparison, rule.severity, rule.window, rule.for_, rule.keep_firing_for) == (
        ">=",
        "warning",
        "5m",
        "0s",
        "5m",
    )
    assert AlertsSpec().rules == []


@pytest.mark.parametrize("place", ["#agent-ops", "#équipe_1", "C0123ABCDEF", "U0123ABCDEF"])
def test_a_slack_channel_is_a_name_or_an_id(place: str) -> None:
    assert ChannelSpec(slack=place).target == place


@pytest.mark.parametrize(
    "mention",
    ["@oncall", "<!subteam^S0123ABCD>", "<!subteam^S0123ABCD|@oncall>", "<@U0123ABCD>", "<!here>", "@a <@U0123>"],
)
def test_whoever_slack_can_call_may_be_mentioned(mention: str) -> None:
    assert ChannelSpec(slack="#x", mention=mention).mention == mention


@pytest.mark.parametrize(
    ("alerts", "sentence"),
    [
        (
            {"responders": {"dana": {"slack": "dana"}}},
            (
                "alerts.responders.dana.slack: must be a member id such as U0123ABCD, which a Slack profile copies, "
                "and not a name, got 'dana'"
            ),
        ),
        (
            {"responders": {"dana": {"slack_workspace": "acme"}}},
            "responders.dana.slack_workspace: must be the id of a Slack workspace such as T0123ABCD, got 'acme'",
        ),
        (
            {"reviews": {"at": "8:00"}},
            "alerts.reviews.at: must be a time of day from 00:00 to 23:59, such as 08:00, got '8:00'",
        ),
        ({"chanels": {}}, "alerts.chanels: is not a known key; did you mean 'channels'?"),
        (
            {"rules": [{**RULE, "when": 1}]},
            "alerts.rules.0.when (rule x): is not a known key; known here: id, enabled,",
        ),
        ({"rules": [{**RULE, "when": 1}]}, ", runbook, budget_threshold, update_every"),
    ],
)
def test_a_mistake_says_what_is_right_in_words(alerts: dict[str, Any], sentence: str) -> None:
    assert sentence in refusal(**alerts)


def test_of_a_shipped_rule_only_what_differs_is_written() -> None:
    (entry,) = document(rules=[{"id": "policy_deny", "threshold": 80}]).alerts.rules
    assert entry.written() == {"id": "policy_deny", "threshold": Decimal(80)}


@pytest.mark.parametrize(
    ("rule", "sentence"),
    [
        (
            {"id": "policy_deny", "threshold": 80, "metric": None},
            "rules.0.metric (rule policy_deny): is required",
        ),
        (
            {"id": "policy_deny", "threshold": 2.5},
            "rules.0.threshold (rule policy_deny): policy_deny_count is a whole number, got 2.5",
        ),
        (
            {"id": "budget_usage_warning", "threshold": 85},
            "rules.0.threshold (rule budget_usage_warning): budget_usage_percentage is a share; write 95% or 0.95",
        ),
        (
            {"id": "credential_age", "threshold": 60},
            (
                "rules.0.clear (rule credential_age): must not be above the threshold, where the alert fires (clear 90 "
                "is the shipped rule's; write your own)"
            ),
        ),
        (
            {"id": "policy_denny", "threshold": 80},
            (
                "rules.0.metric (rule policy_denny): is required, for no shipped rule is called 'policy_denny'; did "
                "you mean 'policy_deny'?"
            ),
        ),
    ],
)
def test_what_a_change_makes_of_a_shipped_rule_is_checked_as_a_whole(rule: dict[str, Any], sentence: str) -> None:
    assert sentence in refusal(rules=[rule])


def test_a_change_of_a_shipped_rule_to_what_is_usual_is_a_change() -> None:
    severe, usual = (document(rules=[{"id": "policy_deny", **more}]) for more in ({}, {"severity": "warning"}))
    assert content_hash(severe) != content_hash(usual)
    assert [str(change) for change in diff_documents(severe, usual)] == [
        "alert rule policy_deny: severity critical -> warning"
    ]
