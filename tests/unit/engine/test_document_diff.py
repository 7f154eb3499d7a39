"""What differs between two documents: by id, by meaning, in words; and a text that says what it is based on."""

from __future__ import annotations

import json
import re
from copy import deepcopy
from typing import Any

import pytest

from engine.document.diff import diff_documents
from engine.document.export import export_text, with_based_on
from engine.document.load import parse_document, parse_text
from engine.document.schema import GovernanceDocument
from engine.document.wording import amounts
from engine.errors import DocumentError
from engine.money import to_micros

BASE: dict[str, Any] = {
    "organization": "acme",
    "timezone": "UTC",
    "agents": {
        "copilot_hr": {"provider": "copilot_studio", "team": "team-hr", "tags": ["hr", "approved"]},
        "coder": {"provider": "azure_openai", "model": "gpt-4o"},
    },
    "budgets": [
        {"id": "team-hr", "per": "org", "monthly_budget_usd": 500, "daily_budget_usd": 50},
        {"id": "copilots", "per": "agent", "preset": "copilot_studio", "applies_to": {"provider": "copilot_studio"}},
    ],
    "rate_limits": [
        {"id": "each-user", "per": "user", "requests_per_minute": 10, "burst_multiplier": 1.5},
        {"id": "org", "per": "org", "preset": "critical"},
    ],
    "policies": [
        {"policy_id": "office", "effect": "allow", "priority": 25, "conditions": [{"environments": ["b", "a"]}]},
        {"policy_id": "go", "effect": "allow"},
    ],
    "alerts": {
        "channels": {"ops": {"slack": "#ops"}, "here": {"log": True}},
        "routes": {"critical": ["ops", "here"]},
        "rules": [
            {"id": "slow", "metric": "governance_check_latency_ms", "threshold": 80, "for": "2m"},
            {"id": "policy_deny", "threshold": 80},
            {"id": "budget_usage_warning", "threshold": "85%"},
        ],
    },
}


def document(content: dict[str, Any] | None = None, **parts: Any) -> GovernanceDocument:
    return parse_document({**deepcopy(BASE if content is None else content), **parts}, "test")


def edited(path: str, value: Any) -> GovernanceDocument:
    """The base with one value replaced, or added; `None` takes it away."""
    content: Any = deepcopy(BASE)
    *steps, last = [int(step) if step.isdigit() else step for step in path.split("/")]
    place = content
    for step in steps:
        place = place[step]
    if value is None:
        del place[last]
    elif isinstance(place, list) and last == len(place):
        place.append(value)
    else:
        place[last] = value
    return document(content)


def sentences(old: GovernanceDocument | None, new: GovernanceDocument) -> list[str]:
    return [str(change) for change in diff_documents(old, new)]


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        ("timezone", "Asia/Tokyo", "timezone UTC -> Asia/Tokyo"),
        ("expired_holds", "release", "expired_holds charge -> release"),
        ("combining", "allow_overrides", "combining deny_overrides -> allow_overrides"),
        ("agents/copilot_hr/team", "team-eng", "agent copilot_hr team team-hr -> team-eng"),
        ("agents/coder/value_per_success_usd", 1.5, "agent coder value_per_success_usd none -> 1.50 USD"),
        ("agents/coder/tags", ["x"], "agent coder tags none -> x"),
        ("agents/coder", None, "agent coder removed (it was: provider azure_openai, model gpt-4o)"),
        ("agents/hook", {"provider": "webhook"}, "agent hook added: provider webhook"),
        ("budgets/0/monthly_budget_usd", 800, "budget team-hr monthly 500 -> 800 USD"),
        ("budgets/0/monthly_budget_usd", "0.5", "budget team-hr monthly 500 -> 0.50 USD"),
        ("budgets/0/monthly_budget_usd", "352.514567", "budget team-hr monthly 500 -> 352.51 USD"),
        ("budgets/0/monthly_budget_usd", "500.004", "budget team-hr monthly 500 -> 500.004 USD"),
        ("budgets/0/monthly_budget_usd", None, "budget team-hr monthly 500 USD -> unlimited"),
        ("budgets/0/monthly_execution_limit", 10_000, "budget team-hr monthly executions unlimited -> 10,000"),
        ("budgets/0/warning_threshold", 0.75, "budget team-hr warning_threshold 0.8 -> 0.75"),
        ("budgets/0/enforcement_mode", "soft", "budget team-hr enforcement_mode hard -> soft"),
        ("budgets/0/per", "team", "budget team-hr per org -> team"),
        ("budgets/0/applies_to", {"team": "t"}, "budget team-hr applies to every call -> team t"),
        (
            "budgets/2",
            {"id": "new", "per": "user", "applies_to": {"agent": "coder"}, "daily_budget_usd": 3},
            "budget new added: per user, for agent coder, daily 3 USD",
        ),
        ("budgets/0", None, "budget team-hr removed (it was: per org, monthly 500 USD, daily 50 USD)"),
        ("rate_limits/0/requests_per_minute", 20, "rate limit each-user per minute 10 -> 20 (15 -> 30 with bursts)"),
        ("rate_limits/0/requests_per_day", 20, "rate limit each-user per day unlimited -> 20"),
        ("rate_limits/0/burst_multiplier", 2, "rate limit each-user burst_multiplier 1.5 -> 2 (per minute 15 -> 20)"),
        ("rate_limits/0/fail_open_on_error", False, "rate limit each-user on_outage local -> closed"),
        (
            "rate_limits/2",
            {"id": "new", "per": "team", "preset": "user_facing"},
            "rate limit new added: per team, 10 per minute (15 with bursts), 100 per hour, 500 per day",
        ),
        ("policies/0/enabled", False, "policy office disabled"),
        ("policies/0/effect", "deny", "policy office effect allow -> deny"),
        ("policies/0/priority", 26, "policy office priority 25 -> 26"),
        (
            "policies/0/conditions",
            [{"environments": ["a"]}, {"providers": ["webhook"]}],
            "policy office applies when environment=a or b -> when environment=a and provider=webhook",
        ),
        ("policies/1", None, "policy go removed (it was: allow always (priority 50))"),
        (
            "policies/2",
            {
                "policy_id": "block_dev",
                "effect": "deny",
                "priority": 1,
                "conditions": [{"environments": ["development"]}],
            },
            "policy block_dev added: deny when environment=development (priority 1)",
        ),
        ("alerts/channels/ops/slack", "#sre", "alert channel ops slack #ops -> #sre"),
        ("alerts/channels/sre", {"slack": "#sre", "mention": "@x"}, "alert channel sre added: slack #sre, mention @x"),
        (
            "alerts/by_team",
            {"team-hr": {"warning": ["ops"]}},
            "alert route warning of team team-hr added: ops",
        ),
        ("alerts/channels/ops/mention", "@on", "alert channel ops mention none -> @on"),
        ("alerts/rules/0/threshold", 90, "alert rule slow: threshold 80 -> 90"),
        ("alerts/rules/0/for", None, "alert rule slow: for 2m -> 0s"),
        ("alerts/rules/0/severity", "critical", "alert rule slow: severity warning -> critical"),
        ("alerts/rules/0/enabled", False, "alert rule slow: turned off"),
        ("alerts/rules/0/filter", {"team": "hr"}, "alert rule slow: filter none -> team=hr"),
        (
            "alerts/rules/0",
            None,
            "alert rule slow removed (it was: metric governance_check_latency_ms, threshold 80, for 2m)",
        ),
        ("alerts/rules/1/threshold", 90, "alert rule policy_deny: threshold 80 -> 90"),
        ("alerts/rules/1/severity", "warning", "alert rule policy_deny: severity critical -> warning"),
        ("alerts/rules/2/threshold", "90%", "alert rule budget_usage_warning: threshold 85% -> 90%"),
        ("alerts/rules/2/threshold", None, "alert rule budget_usage_warning: threshold 85% -> 80%"),
        ("alerts/rules/3", {"id": "watchdog", "enabled": False}, "alert rule watchdog added: off"),
        (
            "alerts/rules/3",
            {"id": "cost_variance", "threshold": 0.2},
            "alert rule cost_variance added: threshold 20%",
        ),
        ("alerts/routes/critical", ["ops"], "alert route critical here, ops -> ops"),
        ("alerts/routes/warning", ["ops"], "alert route warning added: ops"),
        ("alerts/routes/critical", None, "alert route critical removed (it was: here, ops)"),
    ],
)
def test_every_kind_of_change_is_one_sentence(path: str, value: Any, sentence: str) -> None:
    assert sentences(document(), edited(path, value)) == [sentence]


def shuffled(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: shuffled(part) for name, part in reversed(value.items())}
    return [shuffled(part) for part in reversed(value)] if isinstance(value, list) else value


def test_the_order_of_lists_and_keys_means_nothing() -> None:
    other = document(shuffled(BASE))
    assert other != document()
    assert sentences(document(), other) == []
    changed = edited("budgets/0/monthly_budget_usd", 800)
    assert diff_documents(other, changed) == diff_documents(document(), changed)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("budgets/1", {"id": "copilots", "per": "agent", "applies_to": {"provider": "copilot_studio"},
                       "monthly_budget_usd": "500.00", "daily_budget_usd": 50.0, "on_outage": "bounded"}),
        ("rate_limits/1", {"id": "org", "per": "org", "requests_per_minute": 200, "requests_per_hour": 10_000,
                           "requests_per_day": 100_000, "burst_multiplier": 3}),
        ("rate_limits/0/on_outage", "local"),
        ("policies/1/enabled", True),
        ("policies/0/conditions", [{"environments": ["a"]}]),
        ("prices", {"unknown_price": "deny"}),
        ("alerts/rules/0/window", "5m"),
        ("alerts/rules/0/for", "120s"),
        ("alerts/rules/1/threshold", "80.0"),
        ("combining", "deny_overrides"),
    ],
)  # fmt: skip
def test_the_same_meaning_in_other_words_is_no_change(path: str, value: Any) -> None:
    if path == "policies/0/conditions":
        two = [{"environments": ["a", "b"], "providers": ["webhook"]}]
        old, new = edited(path, two), edited(path, [{"providers": ["webhook"]}, {"environments": ["b", "a"]}])
        assert sentences(old, new) == []
    else:
        assert sentences(document(), edited(path, value)) == []


def test_prices_of_ones_own_are_compared_one_by_one() -> None:
    own = {"provider": "openai", "model": "gpt-4o", "input_usd_per_million": 2, "effective_from": "2026-12-01"}
    old = edited("prices", {"overrides": [own, {"agent": "coder", "buffer": 0.1}]})
    new = edited(
        "prices",
        {
            "copilot_credits": {"plan": "prepaid", "discount": 0.15},
            "overrides": [{"agent": "coder", "buffer": 0.2}, own | {"output_usd_per_million": 8, "agent": "coder"}],
        },
    )
    gpt, price = "model gpt-4o, provider openai from 2026-12-01", "input_usd_per_million 2"
    assert sentences(old, new) == [
        "prices copilot_credits pay_as_you_go -> prepaid less 15%",
        "price override for agent coder buffer 0.1 -> 0.2",
        f"price override for agent coder, {gpt} added: effective_from 2026-12-01, {price}, output_usd_per_million 8",
        f"price override for {gpt} removed (it was: effective_from 2026-12-01, {price})",
    ]


@pytest.mark.parametrize(
    ("prices", "said"),
    [
        ({"overrides": [{"per_call_usd": 1}]}, "needs provider, model or agent"),
        ({"overrides": [{"agent": "coder"}]}, "needs a price, terms or a buffer"),
        ({"overrides": [{"agent": "coder", "per_call_usd": 1, "credits_per_call": 1}]}, "contradicts per_call_usd"),
        ({"overrides": [{"agent": "coder", "per_call_usd": -1}]}, "must be at least 0, got -1"),
        ({"overrides": [{"agent": "coder", "per_call_usd": ".nan"}]}, "per_call_usd"),
        ({"overrides": [{"agent": "coder", "per_call_usd": 1, "effective_from": "soon"}]}, "such as 2026-12-01"),
        ({"overrides": [{"agent": "coder", "buffer": 0.1}] * 2}, "two are for agent coder; join them"),
        ({"overrides": [{"agent": "coder", "terms": ["weekend"]}]}, "terms"),
        ({"copilot_credits": {"discount": 0.1}}, "only the prepaid plan has one"),
        ({"copilot_credits": {"plan": "barter"}}, "plan"),
    ],
)
def test_prices_that_cannot_be_meant_are_refused(prices: dict[str, Any], said: str) -> None:
    with pytest.raises(DocumentError, match=re.escape(said)):
        parse_document({"organization": "acme", "prices": prices}, "here")


def test_a_change_says_what_it_is_for_programs() -> None:
    (change,) = diff_documents(document(), edited("budgets/0/monthly_budget_usd", "800.50"))
    assert json.loads(json.dumps(change.as_json())) == {
        "kind": "changed",
        "object": "budget",
        "id": "team-hr",
        "field": "monthly_budget_usd",
        "old": "500",
        "new": "800.5",
        "text": "budget team-hr monthly 500 -> 800.50 USD",
    }
    added = diff_documents(document(), edited("agents/hook", {"provider": "webhook"}))[0].as_json()
    assert (added["kind"], added["field"], added["old"]) == ("added", None, None)
    assert added["new"]["provider"] == "webhook"


@pytest.mark.parametrize(
    ("first", "second", "shown"),
    [
        ("353.508312", "352.51", ("353.51", "352.51")),
        ("1.800001", "0.01", ("1.80", "0.01")),
        ("500", "1234", ("500", "1,234")),
        ("0.004321", "12345.678", ("0.004321", "12,345.68")),
        ("352.508312", "352.51", ("352.508312", "352.51")),
        ("499.999999", "500", ("499.999999", "500")),
        ("499.999999", "499.999999", ("500.00", "500.00")),
        ("0.5", "0", ("0.50", "0")),
    ],
)
def test_amounts_have_cents_and_more_only_where_they_would_look_equal(
    first: str, second: str, shown: tuple[str, str]
) -> None:
    assert amounts(to_micros(first), to_micros(second)) == shown


def test_a_first_document_adds_everything_and_going_back_undoes_it() -> None:
    first = diff_documents(None, document())
    assert {change.kind for change in first} == {"added"}
    assert len(first) == 2 + 2 + 2 + 2 + 2 + 1 + 3
    assert sentences(None, document({"organization": "acme"})) == []
    zoned = diff_documents(None, document(timezone="America/New_York", prices={"unknown_price": "deny"}))
    assert {change.kind for change in zoned} == {"added"}, "nothing was in force that could change"
    assert str(zoned[0]) == "timezone America/New_York"
    assert (zoned[0].field, zoned[0].old, zoned[0].new) == ("timezone", None, "America/New_York")
    back = diff_documents(document(), document({"organization": "acme"}))
    assert [(change.object, change.id) for change in back] == [(change.object, change.id) for change in first]
    assert {change.kind for change in back} == {"removed"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("# Ours\norganization: acme  # us\n", "based_on: 8\n# Ours\norganization: acme  # us\n"),
        ("# Ours\n\n  organization: acme\n", "  based_on: 8\n# Ours\n\n  organization: acme\n"),
        ("# Ours\nbased_on: 7\norganization: acme\n", "# Ours\nbased_on: 8\norganization: acme\n"),
        ("# Ours\r\norganization: acme\r\n", "based_on: 8\r\n# Ours\r\norganization: acme\r\n"),
        ("# Ours\n---\norganization: acme\n", "# Ours\n---\nbased_on: 8\norganization: acme\n"),
        ("%YAML 1.1\n---\norganization: acme\n", "%YAML 1.1\n---\nbased_on: 8\norganization: acme\n"),
        ("based_on: 7  # keep\norganization: acme\n", "based_on: 8  # keep\norganization: acme\n"),
        ("organization: acme\r\nbased_on:   7\r\n", "organization: acme\r\nbased_on:   8\r\n"),
        ("organization: acme\r\n", "based_on: 8\r\norganization: acme\r\n"),
        ("'based_on': 7\norganization: acme", "'based_on': 8\norganization: acme"),
        ("---\norganization: acme\n", "---\nbased_on: 8\norganization: acme\n"),
        ("  organization: acme\n  agents: {}\n", "  based_on: 8\n  organization: acme\n  agents: {}\n"),
        ("{organization: acme, based_on: 7}\n", "{organization: acme, based_on: 8}\n"),
        ("{organization: acme}\n", "{based_on: 8, organization: acme}\n"),
        ('{"organization": "acme", "based_on" : 7}', '{"organization": "acme", "based_on" : 8}'),
        ('{\n\t"organization": "acme"}', '{"based_on": 8, \n\t"organization": "acme"}'),
        (
            "agents:\n  based_on: {provider: webhook}\norganization: acme\nbased_on: 12\n",
            "agents:\n  based_on: {provider: webhook}\norganization: acme\nbased_on: 8\n",
        ),
        (
            '{"agents": {"based_on": {"provider": "based_on"}}, "organization": "a", "based_on": 7}',
            '{"agents": {"based_on": {"provider": "based_on"}}, "organization": "a", "based_on": 8}',
        ),
        ("\ufefforganization: acme\nbased_on: 7\n", "\ufefforganization: acme\nbased_on: 8\n"),
        ("\ufeff# Ours\norganization: acme\n", "\ufeffbased_on: 8\n# Ours\norganization: acme\n"),
    ],
)
def test_a_text_says_its_version_and_keeps_everything_else(text: str, expected: str) -> None:
    assert with_based_on(text, 8) == expected


@pytest.mark.parametrize("wanted", ["yaml", "json"])
def test_a_version_without_a_text_is_written_so_that_it_reads_back_the_same(wanted: Any) -> None:
    for each in (document(), edited("budgets/0/monthly_budget_usd", "123456789.123456")):
        source = parse_text(export_text(each, 3, None, wanted), "test")
        assert (source.document, source.based_on) == (each, 3)


def test_a_text_in_another_format_than_wanted_is_written_anew() -> None:
    applied = "# ours\norganization: acme\n"
    each = parse_text(applied, "test").document
    assert export_text(each, 2, applied) == "based_on: 2\n# ours\norganization: acme\n"
    assert json.loads(export_text(each, 2, applied, "json")) == {"based_on": 2, "organization": "acme"}
    assert export_text(each, 2, '{"organization": "acme"}', "yaml") == "based_on: 2\norganization: acme\n"
