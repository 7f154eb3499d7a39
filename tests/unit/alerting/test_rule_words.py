"""What a rule asks and what an alert measured, in words."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from engine.alerting.rule_words import measured, rule_of
from engine.ledger.queries.alerts import AlertLine
from tests.support.tellings import BUDGET_FACTS, DENIED_FACTS, RULES


def line(rule_id: str, facts: dict[str, Any]) -> AlertLine:
    at = datetime(2026, 11, 23, tzinfo=UTC)
    return AlertLine("a", rule_id, "critical", "firing", "t", {}, facts, at, None, None, None, None, None)


@pytest.mark.parametrize(
    ("rule_id", "facts", "words"),
    [
        ("budget_usage_critical", BUDGET_FACTS, ("96.2 %", ">= 95 %")),
        ("policy_deny", {"value": "73", "threshold": "50"}, ("73 calls in 5 min", "> 50 calls")),
        # It denied a call before the limit was reached: 100 % is not where it fires.
        ("budget_exhausted", DENIED_FACTS | {"value": "0.888"}, ("88.8 %", "")),
        ("budget_exhausted", DENIED_FACTS | {"value": "1.02"}, ("102.0 %", ">= 100 %")),
        ("gone", {"metric": "policy_deny_count", "threshold": "5", "comparison": ">"}, ("", "> 5 calls")),
        ("gone", {}, ("", "")),
    ],
)
def test_the_value_and_the_threshold_of_an_alert(rule_id: str, facts: dict[str, Any], words: tuple[str, str]) -> None:
    assert measured(line(rule_id, facts), RULES) == words


def test_an_alert_keeps_its_metric_when_its_rule_has_another_by_now() -> None:
    facts = {"metric": "decision_count", "threshold": "7"}
    found = rule_of(line("policy_deny", facts), RULES)
    assert (found.rule_id, found.metric, found.threshold) == ("policy_deny", "decision_count", Decimal(7))
