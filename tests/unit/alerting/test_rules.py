"""Rules as data: the shipped ones have the guide's numbers, a document's own change them, boundaries are exact."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.alerting.rules import Rule, budget_rules, merged, threshold_for, unknown_offs
from engine.alerting.shipped import rules_of, shipped_rules
from engine.document.alert_rules import Comparison, RuleSpec
from engine.document.schema import AlertsSpec, BudgetSpec

SHIPPED = {rule.rule_id: rule for rule in rules_of(AlertsSpec())}


def own(*rules: dict[str, Any]) -> AlertsSpec:
    return AlertsSpec.model_validate({"rules": list(rules)})


def budget(**values: Any) -> BudgetSpec:
    return BudgetSpec.model_validate({"id": "b", "per": "org", "monthly_budget_usd": 100, **values})


@pytest.mark.parametrize(
    ("rule_id", "metric", "comparison", "threshold", "window", "severity"),
    [
        ("budget_usage_critical", "budget_usage_percentage", ">=", "0.95", None, "critical"),
        ("rate_limit_fail_open", "rate_limit_fail_open_count", ">", "100", 5, "critical"),
        ("policy_deny", "policy_deny_count", ">", "50", 5, "critical"),
        ("budget_usage_warning", "budget_usage_percentage", ">=", "0.80", None, "warning"),
        ("rate_limit_exceeded", "rate_limit_exceeded_count", ">", "20", 1, "warning"),
        ("governance_check_latency", "governance_check_latency_ms", ">", "50", None, "warning"),
        ("budget_usage_half", "budget_usage_percentage", ">=", "0.50", None, "info"),
        ("daily_execution_count", "daily_execution_count", ">=", "500", None, "info"),
    ],
)
def test_the_shipped_rules_have_the_guides_numbers(
    rule_id: str, metric: str, comparison: str, threshold: str, window: int | None, severity: str
) -> None:
    rule = SHIPPED[rule_id]
    assert (rule.metric, rule.comparison, rule.threshold, rule.severity) == (
        metric,
        comparison,
        Decimal(threshold),
        severity,
    )
    if window is not None:
        assert rule.window == timedelta(minutes=window)


def test_the_three_budget_actions_of_the_guide_are_shipped() -> None:
    lead, degraded, blocked = (
        SHIPPED[name] for name in ("budget_usage_warning", "budget_usage_degraded", "budget_exhausted")
    )
    assert (lead.threshold, lead.route) == (Decimal("0.8"), "warning")
    assert (degraded.threshold, degraded.route, degraded.update_every) == (
        Decimal("0.9"),
        "critical",
        timedelta(minutes=5),
    )
    assert (blocked.threshold, blocked.route, blocked.severity) == (Decimal(1), "management", "critical")


def test_what_else_is_shipped() -> None:
    assert SHIPPED["governance_check_latency"].quantile == Decimal("0.95")
    assert SHIPPED["daily_execution_count"].window == "day"
    assert (SHIPPED["cost_variance"].threshold, SHIPPED["cost_variance"].min_samples) == (Decimal("0.15"), 100)
    assert (SHIPPED["fail_open_lasting"].comparison, SHIPPED["fail_open_lasting"].threshold) == (">=", Decimal(60))
    assert (SHIPPED["unsettled_holds"].comparison, SHIPPED["unsettled_holds"].threshold) == (">", Decimal("0.02"))
    assert (SHIPPED["credential_age"].comparison, SHIPPED["credential_age"].threshold) == (">", Decimal(90))
    assert SHIPPED["budget_forecast_exceeded"].min_samples == 7
    assert {"ledger_lag", "redis_evicted_keys", "redis_evicting_policy", "watchdog"} <= SHIPPED.keys()
    assert SHIPPED["watchdog"].breached_by(1)


def test_every_shipped_rule_says_what_is_the_matter_and_what_to_do() -> None:
    for rule in SHIPPED.values():
        assert rule.title
        assert rule.runbook
    assert len(SHIPPED) == len(shipped_rules())


def test_counts_without_data_are_zero_and_costs_hold() -> None:
    assert SHIPPED["policy_deny"].no_data == "zero"
    assert SHIPPED["unsettled_holds"].no_data == "zero", "where nothing ends, nothing is left unsettled"
    assert SHIPPED["cost_variance"].no_data == "hold"


def test_a_rule_that_is_changed_keeps_its_place_in_the_order() -> None:
    rules = rules_of(own({"id": "policy_deny", "metric": "policy_deny_count", "threshold": 5, "severity": "info"}))
    [deny] = [rule for rule in rules if rule.rule_id == "policy_deny"]
    assert (deny.threshold, deny.comparison, deny.severity) == (Decimal(5), ">", "info")
    assert [rule.rule_id for rule in rules] == list(SHIPPED)


def test_a_documents_rule_may_be_new() -> None:
    rules = rules_of(own({"id": "mine", "metric": "decision_count", "threshold": 5}))
    assert [rule.rule_id for rule in rules] == [*SHIPPED, "mine"]


def test_of_a_shipped_rule_an_entry_changes_only_what_it_writes() -> None:
    (changed,) = (
        rule for rule in rules_of(own({"id": "policy_deny", "threshold": 80})) if rule.rule_id == "policy_deny"
    )
    assert changed == replace(SHIPPED["policy_deny"], threshold=Decimal(80))


def test_a_field_written_as_usual_takes_the_place_of_the_shipped_one() -> None:
    rules = {
        rule.rule_id: rule for rule in rules_of(own({"id": "policy_deny", "severity": "warning", "runbook": None}))
    }
    shipped = SHIPPED["policy_deny"]
    # Without a route of its own a rule takes that of its severity.
    assert rules["policy_deny"] == replace(shipped, severity="warning", route="warning", runbook=None)


def test_the_shipped_rules_stay_as_they_are_whatever_is_laid_over_them() -> None:
    rules_of(own({"id": "policy_deny", "threshold": 80}))
    assert {rule.rule_id: rule for rule in rules_of(AlertsSpec())} == SHIPPED


def test_a_rule_that_is_turned_off_is_gone() -> None:
    rules = rules_of(own({"id": "policy_deny", "enabled": False}))
    assert "policy_deny" not in {rule.rule_id for rule in rules}
    assert len(rules) == len(SHIPPED) - 1


def test_turning_off_what_is_not_there_is_noticed() -> None:
    alerts = own({"id": "policy_deny", "enabled": False}, {"id": "polcy_deny", "enabled": False})
    assert unknown_offs(shipped_rules(), alerts) == (
        (
            "alerts.rules.1.id: no shipped rule is called 'polcy_deny', so there is nothing to turn off; did you mean "
            "'policy_deny'?"
        ),
    )


def test_merging_needs_no_shipped_rule() -> None:
    assert merged([], []) == ()


def test_a_budgets_own_thresholds_replace_80_and_90() -> None:
    its_own = budget(warning_threshold="0.7", degradation_threshold="0.85")
    assert threshold_for(SHIPPED["budget_usage_warning"], its_own) == Decimal("0.7")
    assert threshold_for(SHIPPED["budget_usage_degraded"], its_own) == Decimal("0.85")
    assert threshold_for(SHIPPED["budget_usage_critical"], its_own) == Decimal("0.95")


def test_a_budget_that_says_nothing_keeps_the_rules_threshold() -> None:
    rule = Rule("r", "budget_usage_percentage", Decimal("0.6"), budget_threshold="warning")
    assert threshold_for(rule, budget()) == Decimal("0.6")
    assert threshold_for(rule, budget(warning_threshold="0.8")) == Decimal("0.8")


def test_budget_rules_are_those_looked_at_for_each_counter() -> None:
    assert {rule.rule_id for rule in budget_rules(list(SHIPPED.values()))} == {
        "budget_exhausted",
        "budget_usage_critical",
        "budget_usage_degraded",
        "budget_usage_warning",
        "budget_usage_half",
        "budget_forecast_exceeded",
        "budget_exhausted_early",
    }


@pytest.mark.parametrize(
    ("comparison", "below", "at", "above"),
    [
        (">=", False, True, True),
        (">", False, False, True),
        ("<=", True, True, False),
        ("<", True, False, False),
    ],
)
def test_boundaries_are_exact(comparison: Comparison, below: bool, at: bool, above: bool) -> None:
    rule = Rule("r", "decision_count", Decimal(20), comparison)
    assert [rule.breached_by(value) for value in (19, 20, 21)] == [below, at, above]


@given(st.integers(0, 1_000_000), st.integers(1, 6))
def test_a_float_is_compared_by_how_it_is_written(digits: int, places: int) -> None:
    threshold = Decimal(digits).scaleb(-places)
    assert Rule("r", "m", threshold, ">=").breached_by(float(threshold))
    assert not Rule("r", "m", threshold, ">").breached_by(float(threshold))


def test_an_alert_clears_at_0_8_of_the_threshold_unless_the_rule_says_otherwise() -> None:
    usual = Rule("r", "m", Decimal(50), ">")
    assert usual.clear_level == 40
    assert usual.cleared_by(40)
    assert not usual.cleared_by(Decimal("40.000001"))
    assert Rule("r", "m", Decimal(50), ">", clear=Decimal(10)).clear_level == 10


def test_a_rule_about_low_values_clears_above_its_threshold() -> None:
    rule = Rule("r", "budget_remaining_usd", Decimal(100), "<")
    assert rule.clear_level == 125
    assert rule.cleared_by(125)
    assert not rule.cleared_by(124)
    assert not rule.cleared_by(99)


def test_what_breaches_never_clears() -> None:
    always = Rule("r", "m", Decimal(0), ">=")
    assert always.breached_by(0)
    assert not always.cleared_by(0)


def test_a_rule_concerns_what_its_filter_names() -> None:
    rule = Rule.of(
        RuleSpec.model_validate(
            {"id": "r", "metric": "decision_count", "threshold": 1, "filter": {"team": "t", "agent": "a"}}
        )
    )
    assert rule.concerns({"team": "t", "agent": "a", "provider": "p"})
    assert not rule.concerns({"team": "t"})
    assert not rule.concerns({"team": "t", "agent": "b"})
