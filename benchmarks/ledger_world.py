"""A made-up company for the ledger benchmark: who asks whom, how often, and what comes of it.

Sixty agents of twelve teams at five providers, 2,000 users. A few agents and users make most of the calls, as is usual.
Besides there are, however large the ledger is: an agent of a team of its own that one user called five times, an agent
that was retired eighty days ago, and two reasons with a few decisions. A filter has to look far back for those, and
most others never occur together with them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

ORG = "acme"
WORLD = 2
"""Raise it with every change of what is made up: a ledger that was kept answers other questions then."""
DAYS = 90
"""So many days are filled, today included."""

AGENTS = 60
TEAMS = 12
USERS = 2_000
PROVIDERS = (
    ("azure_openai", "gpt-4o", 31_250),
    ("copilot_studio", "", 50_000),
    ("anthropic", "claude-sonnet-5-5", 84_000),
    ("custom_rest_api", "", 10_000),
    ("webhook", "", 1_000),
)
"""Provider, model, usual estimate in micro-dollars. The first has most agents, the last one agent only."""
_PROVIDER_OF = np.repeat(np.arange(5), (25, 15, 12, 7, 1))

REASONS = (
    ("allowed", 0.90, "Allowed."),
    ("rate_per_minute", 0.040, "Rate limit 'each-user' is reached: 10 per minute. Retry in 12 s."),
    ("policy_deny", 0.025, "Policy 'block_dev' denies development."),
    ("budget_daily_cost", 0.020, "Daily budget 'copilots' would be exceeded: $20.04 > $20.00"),
    ("policy_no_allow", 0.010, "No policy allows this call."),
    ("rate_per_hour", 0.004, "Rate limit 'each-user' is reached: 100 per hour. Retry in 480 s."),
    ("gate_unavailable", 0.0009, "Rate limiter unavailable"),
    ("policy_error", 0.00009, "Policy evaluation failed"),
    ("budget_monthly_cost", 0.00001, "Monthly budget 'org' would be exceeded: $5000.02 > $5000.00"),
)
"""Reason, share of the calls, message."""
RARE_REASONS = {5: "policy_error", 50: "budget_monthly_cost"}
"""One call each so many days ago has this reason; else chance alone decides whether there is any."""
COMPLEXITIES = ("standard", "simple", "complex")
ENVIRONMENTS = ("production", "development")
POLICIES = ("office", "block_dev", "shadow_geo")

MONTHLY_LIMIT, DAILY_LIMIT = 5_000_000_000, 400_000_000
USER_LIMITS, ORG_LIMITS = (10, 100, 500), (2_000, 20_000, 200_000)
"""Requests a minute, an hour, a day."""

RARE_AGENT, RETIRED_AGENT = AGENTS, AGENTS + 1
"""Places in `agents()`, after those that are called every day."""
RARE_USER = USERS
RARE_DAYS = {2: "allowed", 16: "policy_deny", 37: "allowed", 59: "allowed", 83: "rate_per_minute"}
"""So many days ago the rare user called the rare agent, with that outcome, and nobody else ever did."""
RETIRED_DAYS_AGO = 80
RETIRED_EVERY = 50
"""Of the calls before, each of so many was the retired agent's."""


class Agent(NamedTuple):
    """One agent and what is known of it."""

    agent_id: str
    team_id: str
    provider: str
    model: str
    usual_micros: int


def agents() -> list[Agent]:
    """The agents, the busiest first; the rare and the retired one come last."""
    found = []
    for number in range(AGENTS):
        provider, model, usual = PROVIDERS[_PROVIDER_OF[number]]
        found.append(Agent(f"agent_{number:02}", f"team-{number % TEAMS:02}", provider, model, usual))
    provider, model, usual = PROVIDERS[0]
    found.append(Agent("agent_rare", "team-rare", provider, model, usual))
    found.append(Agent("agent_retired", "team-00", provider, model, usual))
    return found


def user_name(number: int) -> str:
    """The id of a user."""
    return f"user-{number:04}"


def shares(number: int, steepness: float) -> Floats:
    """How much each of so many takes part: the first most, in sum 1."""
    weights: Floats = np.arange(1.0, number + 1) ** -steepness
    shared: Floats = weights / weights.sum()
    return shared


def busy_hours() -> Floats:
    """The share of each hour (UTC) in a day's calls."""
    weights: Floats = 1.0 + 4.0 * np.exp(-((np.arange(24) - 14.0) ** 2) / 18.0)
    shared: Floats = weights / weights.sum()
    return shared
