"""The shipped examples: a newcomer's first document loads, and the big one shows everything and locks nobody out."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from engine.document.examples import EXAMPLES, example
from engine.document.lint import lint_document
from engine.document.live import LiveDocument
from engine.document.load import parse_text
from engine.document.policy_spec import ConditionSpec
from engine.document.presets import BUDGET_PRESETS, RATE_PRESETS
from engine.document.schema import AgentSpec, GovernanceDocument
from engine.policy.context import PolicyContext
from engine.policy.policy import PolicyEffect

WEDNESDAY_MORNING = datetime(2026, 11, 4, 15, 0, tzinfo=UTC)
WEDNESDAY_NIGHT = datetime(2026, 11, 5, 3, 30, tzinfo=UTC)
SECURITY, COMPLIANCE, OPERATIONS = range(1, 11), range(11, 51), range(51, 101)


@pytest.fixture(scope="module")
def organization() -> GovernanceDocument:
    return parse_text(example("organization"), "organization.yaml").document


def context(name: str, agent: AgentSpec, action: str = "invoke", country: str = "US") -> PolicyContext:
    return PolicyContext(
        org_id="northwind",
        team_id=agent.team,
        user_id="user-1",
        agent_id=name,
        provider=agent.provider,
        environment=agent.environment,
        tags=agent.tags,
        country=country,
        ip="192.0.2.1",
        action=action,
    )


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_example_loads(name: str) -> None:
    source = parse_text(example(name), f"{name}.yaml")
    assert source.based_on is None
    assert source.text.startswith("# ")


def test_another_name_is_no_example() -> None:
    with pytest.raises(KeyError):
        example("../schema")


def test_the_small_example_allows_production_and_denies_development() -> None:
    document = parse_text(example("small"), "small.yaml").document
    policies = LiveDocument(1, document).policies
    for environment, effect in (("production", PolicyEffect.ALLOW), ("development", PolicyEffect.DENY)):
        assert policies.evaluate(PolicyContext(environment=environment), WEDNESDAY_MORNING).effect is effect


def test_the_organization_is_as_big_as_it_says(organization: GovernanceDocument) -> None:
    assert len(organization.agents) == 40
    assert len({agent.team for agent in organization.agents.values()}) == 6
    assert len({agent.provider for agent in organization.agents.values()}) == 8
    assert {agent.environment for agent in organization.agents.values()} == {"production", "staging", "development"}
    assert {budget.per for budget in organization.budgets} == {"org", "team", "agent", "provider", "user"}
    assert {budget.preset for budget in organization.budgets} >= set(BUDGET_PRESETS)
    assert {limit.preset for limit in organization.rate_limits} >= set(RATE_PRESETS)


def test_the_organization_shows_every_kind_of_condition(organization: GovernanceDocument) -> None:
    used = {part for policy in organization.policies for entry in policy.conditions for part in entry.model_fields_set}
    assert used == set(ConditionSpec.model_fields)
    assert 15 <= len(organization.policies) <= 20
    assert [policy.policy_id for policy in organization.policies if policy.shadow] == [
        "trial-vendors-closed-at-weekends"
    ]


def test_the_bands_of_priorities_are_kept(organization: GovernanceDocument) -> None:
    bands = {
        band: [p for p in organization.policies if p.priority in band] for band in (SECURITY, COMPLIANCE, OPERATIONS)
    }
    assert all(bands.values())
    assert {policy.effect for policy in bands[SECURITY]} == {"deny"}
    assert {policy.effect for policy in bands[OPERATIONS]} == {"allow"}
    assert sum(map(len, bands.values())) == len(organization.policies)


def test_every_agent_is_allowed_at_some_time_and_its_route_has_a_channel(organization: GovernanceDocument) -> None:
    policies = LiveDocument(1, organization).policies
    locked_out = [
        name
        for name, agent in organization.agents.items()
        if not any(
            policies.evaluate(context(name, agent, action), at).effect is PolicyEffect.ALLOW
            for at in (WEDNESDAY_MORNING, WEDNESDAY_NIGHT)
            for action in ("invoke", "audit")
        )
    ]
    assert locked_out == []
    assert set(organization.alerts.routes) == {"critical", "warning"}


@pytest.mark.parametrize(
    ("name", "at", "action", "country", "effect"),
    [
        ("hr_payroll_answers", WEDNESDAY_MORNING, "invoke", "US", "allow"),
        ("hr_payroll_answers", WEDNESDAY_NIGHT, "invoke", "US", "deny"),
        ("hr_payroll_answers", WEDNESDAY_MORNING, "invoke", "FR", "deny"),
        ("hr_payroll_answers", WEDNESDAY_MORNING, "export", "US", "deny"),
        ("support_first_line", WEDNESDAY_NIGHT, "invoke", "IE", "allow"),
        ("support_first_line", WEDNESDAY_NIGHT, "invoke", "RU", "deny"),
        ("support_first_line", WEDNESDAY_NIGHT, "invoke", "XX", "deny"),
        ("nightly_summaries", WEDNESDAY_NIGHT, "invoke", "US", "allow"),
        ("nightly_summaries", WEDNESDAY_MORNING, "invoke", "US", "deny"),
        ("sales_quote_old", WEDNESDAY_MORNING, "invoke", "US", "deny"),
        ("sales_quote_old", WEDNESDAY_MORNING, "audit", "US", "allow"),
        ("code_review", WEDNESDAY_NIGHT, "invoke", "XX", "allow"),
    ],
)
def test_the_comments_of_the_organization_are_true(
    organization: GovernanceDocument, name: str, at: datetime, action: str, country: str, effect: str
) -> None:
    asked = context(name, organization.agents[name], action, country)
    assert LiveDocument(1, organization).policies.evaluate(asked, at).effect == effect


@pytest.mark.parametrize("name", EXAMPLES)
def test_nothing_is_to_be_said_against_an_example(name: str) -> None:
    document = parse_text(example(name), f"{name}.yaml").document
    assert lint_document(document, datetime(2026, 11, 25, tzinfo=UTC)) == []
