"""What each metric is about, and how its values are written. Pure."""

from __future__ import annotations

from decimal import Decimal
from enum import Enum, auto
from typing import NamedTuple

from engine.alerting.messages.words import amount, calls, duration, percent, plain_number, threshold_percent
from engine.alerting.rules import Rule


class Topic(Enum):
    """What an alert's cost, callers and links are looked up by."""

    BUDGET = auto()
    TURNED_AWAY = auto()
    FAIL_OPEN = auto()
    LATENCY = auto()
    EXECUTIONS = auto()
    VARIANCE = auto()
    SPEND = auto()
    UNSETTLED = auto()
    ITSELF = auto()
    """Bursar, its Redis, its credentials: about no calls."""


class Unit(Enum):
    """What a value counts."""

    SHARE = auto()
    CALLS = auto()
    MILLISECONDS = auto()
    SECONDS = auto()
    DOLLARS = auto()
    DAYS = auto()
    KEYS = auto()
    NONE = auto()


class About(NamedTuple):
    """One metric. `title` is for rules that have none."""

    topic: Topic
    unit: Unit
    title: str


ABOUT: dict[str, About] = {
    "budget_usage_percentage": About(Topic.BUDGET, Unit.SHARE, "Budget has reached a threshold"),
    "budget_remaining_usd": About(Topic.BUDGET, Unit.DOLLARS, "Little of the budget is left"),
    "budget_forecast_percentage": About(Topic.BUDGET, Unit.SHARE, "Budget will be exceeded"),
    "budget_days_uncovered": About(Topic.BUDGET, Unit.DAYS, "Month's budget will not last until its end"),
    "budget_overspend_count": About(Topic.TURNED_AWAY, Unit.CALLS, "Many calls are denied by budgets"),
    "rate_limit_exceeded_count": About(Topic.TURNED_AWAY, Unit.CALLS, "Many calls exceed their rate limit"),
    "policy_deny_count": About(Topic.TURNED_AWAY, Unit.CALLS, "Many calls are denied by policies"),
    "rate_limit_remaining": About(Topic.TURNED_AWAY, Unit.SHARE, "A rate limit is nearly full"),
    "rate_limit_fail_open_count": About(Topic.FAIL_OPEN, Unit.CALLS, "Many calls passed without their rate limit"),
    "fail_open_seconds": About(Topic.FAIL_OPEN, Unit.SECONDS, "Calls pass without Redis"),
    "governance_check_latency_ms": About(Topic.LATENCY, Unit.MILLISECONDS, "Checks are slow"),
    "policy_evaluation_time_ms": About(Topic.LATENCY, Unit.MILLISECONDS, "Policies are slow"),
    "daily_execution_count": About(Topic.EXECUTIONS, Unit.CALLS, "Many executions"),
    "decision_count": About(Topic.EXECUTIONS, Unit.CALLS, "Many calls"),
    "cost_variance_percentage": About(Topic.VARIANCE, Unit.SHARE, "Estimates are off"),
    "spent_usd": About(Topic.SPEND, Unit.DOLLARS, "Much is spent"),
    "spend_anomaly_usd": About(Topic.SPEND, Unit.DOLLARS, "Unusual spend"),
    "unsettled_percentage": About(Topic.UNSETTLED, Unit.SHARE, "Calls are not settled"),
    "ledger_lag_seconds": About(Topic.ITSELF, Unit.SECONDS, "Ledger is behind, and so are alerts"),
    "redis_evicted_keys": About(Topic.ITSELF, Unit.KEYS, "Redis throws counters away"),
    "redis_evicting_policy": About(Topic.ITSELF, Unit.NONE, "Redis may throw counters away"),
    "credential_age_days": About(Topic.ITSELF, Unit.DAYS, "Credential is old"),
    "watchdog": About(Topic.ITSELF, Unit.NONE, "Rules are evaluated"),
}
OTHER = About(Topic.ITSELF, Unit.NONE, "Alert")
_MEANT = {
    "spend_anomaly_usd": "more than expected",
    "budget_days_uncovered": "short",
    "budget_remaining_usd": "left",
    "rate_limit_remaining": "left",
    "cost_variance_percentage": "off",
}
"""After a value of these metrics."""
_SIDES = {">=": "at least", ">": "more than", "<=": "at most", "<": "less than"}


def about(rule: Rule) -> About:
    """What a rule's metric is about."""
    return ABOUT.get(rule.metric, OTHER)


def value_words(rule: Rule, value: Decimal | None) -> str:
    """`73 calls in 5 min`, `84 ms (p95)`; empty where there is no value, or none that says anything."""
    if value is None:
        return ""
    unit = about(rule).unit
    words = _in_units(unit, value)
    if unit is Unit.MILLISECONDS and words:
        return f"{words} (p{plain_number(rule.quantile * 100)})"
    said = window_words(rule) if unit in (Unit.CALLS, Unit.KEYS) else _MEANT.get(rule.metric, "")
    return f"{words} {said}" if words and said else words


def limit_words(rule: Rule, threshold: Decimal) -> str:
    """The threshold with its unit."""
    unit = about(rule).unit
    return threshold_percent(threshold) if unit is Unit.SHARE else _in_units(unit, threshold)


def condition_words(rule: Rule, threshold: Decimal) -> str:
    """`more than 50 calls in 5 min`; empty where the threshold says nothing."""
    limit = limit_words(rule, threshold)
    if not limit or threshold == 0:
        return ""
    within = f" {window_words(rule)}" if about(rule).unit in (Unit.CALLS, Unit.KEYS) else ""
    return f"{_SIDES[rule.comparison]} {limit}{within}"


def window_words(rule: Rule) -> str:
    """`in 5 min`, `in a day`."""
    if isinstance(rule.window, str):
        return f"in a {rule.window}"
    return f"in {duration(int(rule.window.total_seconds()))}"


def _in_units(unit: Unit, value: Decimal) -> str:
    match unit:
        case Unit.SHARE:
            return percent(value)
        case Unit.DOLLARS:
            return amount(value)
        case Unit.MILLISECONDS:
            return _followed_by("ms", value.quantize(Decimal("0.1")) if abs(value) < 10**9 else value)
        case Unit.SECONDS:
            return duration(int(value)) if abs(value) < 10**12 else ""
        case Unit.DAYS:
            return _followed_by("day" if value == 1 else "days", value)
        case Unit.KEYS:
            return _followed_by("key" if value == 1 else "keys", value)
        case Unit.CALLS:
            return calls(int(value)) if abs(value) < 10**15 else ""
        case Unit.NONE:
            return ""


def _followed_by(unit: str, value: Decimal) -> str:
    number = plain_number(value)
    return f"{number} {unit}" if number else ""
