"""What cannot be meant so in the alerts of a document: each finding, and that sound alerts have none."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from engine.document.alerts_lint import alert_findings
from engine.document.limits_lint import DocumentCode
from engine.document.lint import lint_document
from engine.document.load import parse_document

AGENTS: dict[str, Any] = {
    "hr": {"provider": "copilot_studio", "team": "team-hr", "owner": "Dana Lee"},
    "coder": {"provider": "webhook", "team": "team-eng"},
}
OPS = {"ops": {"log": True}}
SOUND: dict[str, Any] = {
    "channels": {"ops": {"log": True}, "spare": {"log": True}, "board": {"log": True}, "hr": {"log": True}},
    "routes": {"critical": ["ops"]},
    "by_owner": {"Dana Lee": {"warning": ["hr"]}},
    "by_team": {"team-hr": {"warning": ["hr"]}},
    "by_provider": {"webhook": {"warning": ["ops"]}},
    "fallback": ["spare"],
    "reviews": {"monthly": ["board"]},
    "responders": {"dana": {"slack": "U0123ABCD"}},
    "rules": [
        {"id": "watchdog", "enabled": False},
        {"id": "mine", "metric": "policy_deny_count", "threshold": 5, "filter": {"team": "team-hr", "agent": "hr"}},
    ],
}


def content(alerts: dict[str, Any], agents: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "organization": "acme",
        "agents": AGENTS if agents is None else agents,
        "budgets": [{"id": "org", "per": "org", "monthly_budget_usd": 9}],
        "policies": [{"policy_id": "go", "effect": "allow"}],
        "alerts": alerts,
    }


def found(alerts: dict[str, Any], agents: dict[str, Any] | None = None) -> list[str]:
    return [str(finding) for finding in alert_findings(parse_document(content(alerts, agents), "here"))]


def test_sound_alerts_have_no_finding() -> None:
    assert found(SOUND) == []


@pytest.mark.parametrize(
    ("alerts", "said"),
    [
        (
            {"channels": OPS},
            "unused_channel: Channel 'ops' is in no route, so nothing is sent to it; add it to one, or remove it.",
        ),
        (
            {"by_owner": {"Dana Leigh": {}}},
            (
                "unknown_name: The routes of owner 'Dana Leigh' are never taken: no registered agent has this owner; "
                "did you mean 'Dana Lee'?"
            ),
        ),
        (
            {"by_team": {"sales": {}}},
            "unknown_name: The routes of team 'sales' are never taken: no registered agent has this team.",
        ),
        (
            {"by_provider": {"openai": {}}},
            "unknown_name: The routes of provider 'openai' are never taken: no registered agent has this provider.",
        ),
        (
            {"responders": {"dana": {}}},
            (
                "no_slack_id: Responder 'dana' has no slack id, so their clicks on buttons are refused; give it, such "
                "as slack: U0123ABCD."
            ),
        ),
        (
            {"rules": [{"id": "wachdog", "enabled": False}]},
            (
                "unknown_name: alerts.rules.0.id: no shipped rule is called 'wachdog', so there is nothing to turn "
                "off; did you mean 'watchdog'?"
            ),
        ),
        (
            {"rules": [{"id": "policy_deny", "filter": {"agent": "codr"}}]},
            (
                "matches_nothing: Alert rule 'policy_deny' is about agent 'codr': no agent of this name is registered; "
                "did you mean 'coder'?"
            ),
        ),
        (
            {"rules": [{"id": "budget_usage_half", "filter": {"budget": "team"}}]},
            "matches_nothing: Alert rule 'budget_usage_half' is about budget 'team': no budget has this id.",
        ),
    ],
)
def test_what_reaches_nobody_is_said(alerts: dict[str, Any], said: str) -> None:
    assert found(alerts) == [said]


def test_a_team_that_calls_may_name_is_no_mistake_unless_it_is_nearly_a_known_one() -> None:
    agents = {**AGENTS, "open": {"provider": "webhook"}}
    assert found({"by_team": {"sales": {}}}, agents) == []
    assert len(found({"by_team": {"team_hr": {}}}, agents)) == 1


def test_without_agents_names_cannot_be_wrong_but_budgets_can() -> None:
    rules = [{"id": "budget_usage_half", "filter": {"agent": "any", "budget": "none"}}]
    assert len(found({"by_owner": {"x": {}}, "rules": rules}, {})) == 1


def test_these_are_found_with_everything_else() -> None:
    document = parse_document(content({"channels": OPS}), "here")
    codes = [finding.code for finding in lint_document(document, datetime(2026, 11, 23, tzinfo=UTC))]
    assert DocumentCode.UNUSED_CHANNEL in codes
