"""Budgets, rate limits and policies to start from, by the guide. A value given beside a preset wins over it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

BudgetPreset = Literal["copilot_studio", "custom_rest_api", "third_party_agent", "webhook", "conservative"]
RatePreset = Literal["high_volume", "user_facing", "background", "critical"]
PolicyPreset = Literal[
    "prod_only",
    "block_dev",
    "business_hours",
    "maintenance_block",
    "north_america_only",
    "block_restricted_countries",
    "copilot_only",
    "block_third_party",
]

# The lower ends of the ranges in the guide, Budget by Provider, for its advice is to start conservative; `conservative`
# is its Setting Budget Limits.
BUDGET_PRESETS: Mapping[str, Mapping[str, Any]] = {
    "copilot_studio": {"monthly_budget_usd": 500, "daily_budget_usd": 50},
    "custom_rest_api": {"monthly_budget_usd": 100, "daily_budget_usd": 10},
    "third_party_agent": {"monthly_budget_usd": 1000, "daily_budget_usd": 100},
    "webhook": {"monthly_budget_usd": 50, "daily_budget_usd": 5},
    "conservative": {"monthly_budget_usd": 100, "daily_budget_usd": 10, "monthly_execution_limit": 1000},
}


def _rate(minute: int, hour: int, day: int, burst: str) -> Mapping[str, Any]:
    return {
        "requests_per_minute": minute,
        "requests_per_hour": hour,
        "requests_per_day": day,
        "burst_multiplier": burst,
    }


# The guide, Rate Limits by Use Case.
RATE_PRESETS: Mapping[str, Mapping[str, Any]] = {
    "high_volume": _rate(100, 5_000, 50_000, "2.0"),
    "user_facing": _rate(10, 100, 500, "1.5"),
    "background": _rate(5, 200, 2_000, "1.0"),
    "critical": _rate(200, 10_000, 100_000, "3.0"),
}


def _policy(policy_id: str, effect: str, priority: int, **condition: Any) -> Mapping[str, Any]:
    conditions = {"conditions": [condition]} if condition else {}
    return {"policy_id": policy_id, "effect": effect, "priority": priority, **conditions}


# The guide, Policy Design Patterns 1 to 4; priorities by its bands. When maintenance is only its owner knows.
POLICY_PRESETS: Mapping[str, Mapping[str, Any]] = {
    preset["policy_id"]: preset
    for preset in (
        _policy("prod_only", "allow", 25, environments=["production"]),
        _policy("block_dev", "deny", 1, environments=["development"]),
        _policy(
            "business_hours",
            "allow",
            25,
            business_hours={
                "days": ["monday", "tuesday", "wednesday", "thursday", "friday"],
                "start_time": "09:00",
                "end_time": "17:00",
                "timezone": "America/New_York",
            },
        ),
        _policy("maintenance_block", "deny", 5),
        _policy("north_america_only", "allow", 25, countries=["US", "CA"]),
        _policy("block_restricted_countries", "deny", 1, countries=["CN", "RU", "KP"]),
        _policy("copilot_only", "allow", 25, providers=["copilot_studio"]),
        _policy("block_third_party", "deny", 1, providers=["third_party_agent"]),
    )
}
