"""What cannot be meant so outside of policies: each finding, and that a sound document has none."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from engine.document.limits_lint import DocumentCode, limit_findings
from engine.document.live import LiveDocument
from engine.document.load import parse_document

AT = datetime(2026, 11, 26, 12, tzinfo=UTC)
AGENTS: dict[str, Any] = {
    "hr": {"provider": "copilot_studio", "team": "team-hr", "environment": "production"},
    "coder": {"provider": "azure_openai", "model": "gpt-4o", "team": "team-eng", "environment": "production"},
}
SOUND: dict[str, Any] = {
    "organization": "acme",
    "agents": AGENTS,
    "budgets": [
        {"id": "b", "per": "team", "applies_to": {"team": "team-hr"}, "monthly_budget_usd": 9, "daily_budget_usd": 9},
        {"id": "none", "per": "agent", "monthly_budget_usd": 0, "daily_budget_usd": 5},
        {"id": "few", "per": "agent", "daily_execution_limit": 5},
    ],
    "rate_limits": [{"id": "r", "per": "user", "preset": "user_facing"}],
    "policies": [{"policy_id": "p", "effect": "allow", "conditions": [{"agents": ["hr", "coder"]}]}],
}


def found(**parts: Any) -> list[tuple[str, str | None, str]]:
    document = parse_document({**SOUND, **parts}, "here")
    return [
        (finding.code, finding.policy_id, finding.message)
        for finding in limit_findings(document, LiveDocument(1, document).prices, AT)
    ]


def test_a_sound_document_has_no_finding() -> None:
    assert found() == []


@pytest.mark.parametrize(
    ("parts", "code", "said"),
    [
        ({"budgets": [{"id": "e", "per": "org"}]}, DocumentCode.LIMITS_NOTHING, "Budget 'e' limits nothing"),
        ({"rate_limits": [{"id": "e", "per": "org"}]}, DocumentCode.LIMITS_NOTHING, "Rate limit 'e' limits nothing"),
        (
            {"prices": {"overrides": [{"agent": "nobody", "per_call_usd": 1}]}},
            DocumentCode.MATCHES_NOTHING,
            "Price override for agent nobody applies to no registered agent",
        ),
        (
            {"prices": {"overrides": [{"agent": "hr", "per_call_usd": 0}]}},
            DocumentCode.FREE_CALLS,
            "Price override for agent hr says that per_call_usd is 0: no budget holds anything for that",
        ),
        (
            {"prices": {"overrides": [{"agent": "coder", "model": "gpt-4o-mini", "terms": ["batch"]}]}},
            DocumentCode.MATCHES_NOTHING,
            "Price override for agent coder, model gpt-4o-mini applies to no registered agent",
        ),
        (
            {"prices": {"overrides": [{"agent": "hr", "input_usd_per_million": 1, "provider": "copilot_studio"}]}},
            DocumentCode.HALF_A_PRICE,
            "Price override for agent hr, provider copilot_studio gives input_usd_per_million where the price book",
        ),
        (
            {"budgets": [{"id": "e", "per": "org", "monthly_budget_usd": 5, "daily_budget_usd": 10}]},
            DocumentCode.NEVER_REACHED,
            "Budget 'e' allows more by daily_budget_usd (10) than by monthly_budget_usd (5)",
        ),
        (
            {"rate_limits": [{"id": "e", "per": "org", "requests_per_minute": 100, "requests_per_day": 10}]},
            DocumentCode.NEVER_REACHED,
            "Rate limit 'e' allows more by requests_per_minute (100) than by requests_per_day (10)",
        ),
        (
            {
                "budgets": [
                    {
                        "id": "e",
                        "per": "org",
                        "monthly_budget_usd": 5,
                        "warning_threshold": 0.95,
                        "degradation_threshold": 0.9,
                    }
                ]
            },
            DocumentCode.THRESHOLDS,
            "Budget 'e' warns at 0.95 and degrades at 0.9 already",
        ),
        *(
            (
                {"budgets": [{"id": "e", "per": "org", "monthly_budget_usd": 5, "applies_to": applies_to}]},
                DocumentCode.MATCHES_NOTHING,
                f"Budget 'e' applies to no registered agent ({given})",
            )
            for applies_to, given in (
                ({"agent": "nobody"}, "agent=nobody"),
                ({"team": "team-x"}, "team=team-x"),
                ({"provider": "copilot_studo"}, "provider=copilot_studo"),
                ({"provider": "copilot_studio", "team": "team-eng"}, "provider=copilot_studio team=team-eng"),
            )
        ),
        (
            {"agents": {"a": {"provider": "copilot_studo"}}, "budgets": [], "policies": []},
            DocumentCode.UNPRICED,
            "Agent 'a' has provider 'copilot_studo', which the price book lacks",
        ),
        (
            {"agents": {"a": {"provider": "openai"}}, "budgets": [], "policies": []},
            DocumentCode.UNPRICED,
            "Agent 'a' has no model, by which openai is priced",
        ),
        (
            {"agents": {"a": {"provider": "openai", "model": "gpt-5o"}}, "budgets": [], "policies": []},
            DocumentCode.UNPRICED,
            "Agent 'a' has model 'gpt-5o', which the price book lacks",
        ),
        *(
            (
                {"policies": [{"policy_id": "p", "effect": "allow", "conditions": [{field: names}]}]},
                DocumentCode.UNKNOWN_NAME,
                f"Of its {field} no registered agent has {names[1]}",
            )
            for field, names in (
                ("agents", ["hr", "hrr"]),
                ("teams", ["team-hr", "team-x"]),
                ("providers", ["azure_openai", "azure"]),
                ("environments", ["production", "prod"]),
            )
        ),
    ],
)
def test_what_cannot_be_meant_so_is_said(parts: dict[str, Any], code: DocumentCode, said: str) -> None:
    [(got, _, message)] = found(**parts)
    assert got is code
    assert message.startswith(said)


def test_what_a_call_may_bring_is_not_unknown() -> None:
    open_agent = {**AGENTS, "any": {"provider": "webhook"}}
    policy = {"policy_id": "p", "effect": "allow", "conditions": [{"teams": ["team-hr", "team-x"]}]}
    budget = {"id": "e", "per": "org", "monthly_budget_usd": 5, "applies_to": {"team": "team-x"}}
    assert found(agents=open_agent, policies=[policy], budgets=[budget]) == []
    assert found(agents={}, budgets=[{**budget, "applies_to": {"agent": "x"}}]) == []
