"""The agents that no policy can ever allow, found without looking at the policies themselves."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from engine.document.lint import lint_document, never_allowed
from engine.document.live import LiveDocument
from engine.document.load import parse_document
from engine.policy.lint.findings import FindingCode
from engine.policy.lint.lint import STEPS_PER_QUESTION

AT = datetime(2026, 11, 26, 12, tzinfo=UTC)
AGENTS = {
    "hr": {"provider": "copilot_studio", "team": "hr", "environment": "production"},
    "coder": {"provider": "azure_openai", "model": "gpt-4o", "environment": "development"},
    "hook": {"provider": "webhook"},
}
POLICIES: dict[str, list[dict[str, Any]]] = {
    "all": [{"policy_id": "go", "effect": "allow"}],
    "one": [{"policy_id": "go", "effect": "allow", "conditions": [{"agents": ["hr"]}]}],
    "denied": [{"policy_id": "go", "effect": "allow"}, {"preset": "block_dev"}],
    "at times": [
        {"policy_id": "go", "effect": "allow", "conditions": [{"countries": ["US"]}]},
        {"policy_id": "no", "effect": "deny", "conditions": [{"providers": ["webhook"]}]},
    ],
    "in shadow": [{"policy_id": "go", "effect": "allow", "shadow": True}],
    "none": [],
}


@pytest.mark.parametrize("policies", POLICIES)
@pytest.mark.parametrize("combining", ["deny_overrides", "allow_overrides", "first_applicable"])
def test_they_are_those_that_the_whole_lint_finds(policies: str, combining: str) -> None:
    document = parse_document(
        {"organization": "acme", "agents": AGENTS, "combining": combining, "policies": POLICIES[policies]}, "here"
    )
    about_agents = (FindingCode.UNCOVERED_AGENT, FindingCode.UNDECIDED)
    whole = [each for each in lint_document(document, AT) if each.code in about_agents]
    assert never_allowed(LiveDocument(1, document), AT, STEPS_PER_QUESTION) == whole
    assert (policies in ("one", "denied", "at times")) or whole == []
