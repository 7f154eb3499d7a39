"""The organization that is measured, and the calls it makes: the same ones in every run.

1,000 policies; limits per organization, team and user; two budgets, each by month and by day. Nothing is ever full:
a denial would be cheaper than what is promised.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any, NamedTuple

TEAMS = 10
AGENTS_PER_TEAM = 2
USERS = 500
CALLERS = USERS * AGENTS_PER_TEAM
"""Pairs of a user and an agent."""
POLICIES = 1000
COUNTERS = 4
RATE_SCOPES = 3

_NEVER_FULL_USD = 1_000_000_000
_NEVER_FULL = 1_000_000_000
_MODELS = (
    ("azure_openai", "gpt-4o"),
    ("openai", "gpt-4.1"),
    ("anthropic", "claude-sonnet-5-5"),
    ("azure_openai", "gpt-4o-mini"),
)
_ENVIRONMENTS = ("production", "staging", *(f"landing-zone-{number:02}" for number in range(48)))
_PROVIDERS = ("azure_openai", "openai", "anthropic", "copilot_studio", "custom_rest_api", "webhook")


class Call(NamedTuple):
    """One call, and whose it is."""

    agent_id: str
    team_id: str
    user_id: str
    input_tokens: int
    output_tokens: int


def document(organization: str) -> dict[str, Any]:
    """The governance document of `organization`, as its YAML file would be read."""
    full = {"monthly_budget_usd": _NEVER_FULL_USD, "daily_budget_usd": _NEVER_FULL_USD}
    full |= {"monthly_execution_limit": _NEVER_FULL, "daily_execution_limit": _NEVER_FULL}
    windows = {f"requests_per_{window}": _NEVER_FULL for window in ("minute", "hour", "day")}
    return {
        "organization": organization,
        "timezone": "America/New_York",
        "agents": {_agent(number): _agent_facts(number) for number in range(TEAMS * AGENTS_PER_TEAM)},
        "budgets": [{"id": "whole-company", "per": "org", **full}, {"id": "each-team", "per": "team", **full}],
        "rate_limits": [
            {"id": "org-ceiling", "per": "org", **windows},
            {"id": "each-team", "per": "team", **windows},
            {"id": "each-user", "per": "user", **windows},
        ],
        "policies": [_policy(number) for number in range(POLICIES)],
    }


def calls() -> Iterator[Call]:
    """Calls without end. Every user uses both agents of one team; token counts differ from call to call."""
    dice = random.Random("the same calls in every run")
    callers = [(user, agent) for user in range(USERS) for agent in range(AGENTS_PER_TEAM)]
    while True:
        dice.shuffle(callers)
        for user, agent in callers:
            team = user % TEAMS
            yield Call(
                agent_id=_agent(team * AGENTS_PER_TEAM + agent),
                team_id=_team(team),
                user_id=f"user-{user:04}@example.com",
                input_tokens=dice.randint(50, 8000),
                output_tokens=dice.randint(20, 2000),
            )


def _agent(number: int) -> str:
    return f"assistant-{number:02}"


def _team(number: int) -> str:
    return f"team-{number:02}"


def _agent_facts(number: int) -> dict[str, Any]:
    provider, model = _MODELS[number % len(_MODELS)]
    environment = "staging" if number % 5 == 4 else "production"
    return {
        "provider": provider,
        "model": model,
        "team": _team(number // AGENTS_PER_TEAM),
        "environment": environment,
    }


def _policy(number: int) -> dict[str, Any]:
    """A third are denials, of environments where no measured agent is; of the others a few apply to each call."""
    denies = number % 3 == 0
    places = _ENVIRONMENTS[2:] if denies else _ENVIRONMENTS
    return {
        "policy_id": f"policy-{number:04}",
        "effect": "deny" if denies else "allow",
        "priority": 1 + number % 100,
        "conditions": [
            {"environments": [places[number % len(places)]]},
            {"providers": [_PROVIDERS[number // 3 % len(_PROVIDERS)], _PROVIDERS[number // 7 % len(_PROVIDERS)]]},
        ],
    }
