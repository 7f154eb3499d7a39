"""The organization that is measured, and the calls it makes: the same ones in every run.

1,000 policies, 30 % with business hours and 30 % with CIDR blocks; limits per organization, team and user; two budgets,
each by month and by day. Nothing is ever full:
a denial would be cheaper than what is promised.
"""

from __future__ import annotations

import ipaddress
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
ZONES = ("America/New_York", "Europe/Berlin", "Asia/Tokyo", "UTC")
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_SHARE = 0.375
"""Of the policies that do not always apply have business hours, and as many CIDR blocks: 30 % of all."""
_PROVIDERS = ("azure_openai", "openai", "anthropic", "copilot_studio", "custom_rest_api", "webhook")


class Call(NamedTuple):
    """One call, and whose it is."""

    agent_id: str
    team_id: str
    user_id: str
    ip: str
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
                ip=_address(user),
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


def _address(user: int) -> str:
    """Everybody has an address of his own, somewhere in 10.0.0.0/8."""
    return str(ipaddress.IPv4Address(0x0A000000 + user * 33_331))


def _policy(number: int) -> dict[str, Any]:
    """A third are denials, of environments where no measured agent is; of the others a few apply to each call."""
    dice = random.Random(number)
    denies = number % 3 == 0
    places = _ENVIRONMENTS[2:] if denies else _ENVIRONMENTS
    conditions: list[dict[str, Any]] = [
        {"environments": [places[number % len(places)]]},
        {"providers": [_PROVIDERS[number // 3 % len(_PROVIDERS)], _PROVIDERS[number // 7 % len(_PROVIDERS)]]},
    ]
    # The first few of each place always apply: some call would be denied by night otherwise.
    always = number < 4 * len(places)
    if not always and dice.random() < _SHARE:
        opens = dice.randrange(24 * 60)
        closes = (opens + dice.randrange(60, 20 * 60)) % (24 * 60)
        hours = {"start_time": _clock(opens), "end_time": _clock(closes), "timezone": dice.choice(ZONES)}
        conditions.append({"business_hours": {"days": dice.sample(_DAYS, 5), **hours}})
    if not always and dice.random() < _SHARE:
        block = ipaddress.IPv4Network((_address(dice.randrange(USERS)), dice.choice((10, 12, 16, 20, 24, 32))), False)
        conditions.append({"ips": [str(block)]})
    return {
        "policy_id": f"policy-{number:04}",
        "effect": "deny" if denies else "allow",
        "priority": 1 + number % 100,
        "conditions": conditions,
    }


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"
