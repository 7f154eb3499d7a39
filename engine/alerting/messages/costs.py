"""What waiting costs, in one line: money, calls that are turned away, calls that pass unlimited. Pure."""

from __future__ import annotations

from datetime import datetime

from engine.alerting.messages.found import Found
from engine.alerting.messages.given import Given
from engine.alerting.messages.metrics import Topic, about
from engine.alerting.messages.words import calls, date_and_time, moment, per_hour
from engine.alerting.telling import Telling
from engine.document.schema import GovernanceDocument
from engine.ledger.queries.coverage import runs_out_at
from engine.money import format_usd

_HOURS = 24
_FORECASTS = ("budget_forecast_percentage", "budget_days_uncovered")
_ITSELF = {
    "ledger_lag_seconds": "Alerts and pages are that late; calls are still decided.",
    "redis_evicted_keys": "Budgets and rate limits may let too much pass.",
    "redis_evicting_policy": "When Redis is full, it throws counters of budgets and rate limits away.",
    "credential_age_days": "The older a credential, the longer a stolen one works.",
}


def cost_of_inaction(telling: Telling, document: GovernanceDocument, found: Found) -> str:
    """`$41.00/h, budget gone 14:20 tomorrow, 24 Nov`; empty where nothing is known."""
    hourly = found.calls_per_hour
    match about(telling.rule).topic:
        case Topic.BUDGET:
            is_forecast = telling.rule.metric in _FORECASTS
            return _of_forecast(Given(telling.facts)) if is_forecast else _of_budget(telling, document, found)
        case Topic.TURNED_AWAY:
            return "" if hourly is None else f"{calls(hourly)} turned away in the last hour{_of_users(found)}"
        case Topic.FAIL_OPEN:
            # During an outage not all are counted yet: none is no number.
            least = "at least " if found.more_calls else ""
            return f"{least}{calls(hourly)} passed in the last hour without their rate limit" if hourly else ""
        case Topic.LATENCY:
            return "" if hourly is None else f"{calls(hourly)} checked in the last hour"
        case Topic.EXECUTIONS:
            spent = "" if found.spent_per_hour is None else f", {per_hour(found.spent_per_hour)}"
            return "" if hourly is None else f"{calls(hourly)} in the last hour{spent}"
        case Topic.UNSETTLED:
            return "" if hourly is None else f"{calls(hourly, 'hold')} expired in the last hour, charged by estimate"
        case Topic.VARIANCE:
            return _of_variance(Given(telling.facts))
        case Topic.SPEND:
            return "" if found.spent_per_hour is None else per_hour(found.spent_per_hour)
        case Topic.ITSELF:
            return _ITSELF.get(telling.rule.metric, "")


def budget_outlook(
    telling: Telling, document: GovernanceDocument, found: Found, *, with_zone: bool = False
) -> tuple[str, str]:
    """`$41.00/h` and `gone 14:20 tomorrow, 24 Nov`; empty where nothing is known, and of what is used up.

    A whole message says its zone beside since when it fires; a line by itself needs `with_zone`.
    """
    given = Given(telling.facts)
    if found.spent_per_hour is None or given.period_over:
        # What is spent now is spent in another period.
        return "", ""
    rate = per_hour(found.spent_per_hour) + (" on average" if found.per_hour_is_mean else "")
    limit, spent, end = given.micros("limit_micros"), given.micros("spent_micros"), given.instant("period_end")
    if limit is None or spent is None or is_used_up(given):
        return rate, ""
    gone_at = runs_out_at(limit - spent, found.spent_per_hour * _HOURS, telling.now)
    if gone_at is None or (end is not None and gone_at >= end):
        return rate, "lasts to the end of its period"
    zone = f" ({document.timezone})" if with_zone else ""
    return rate, f"gone {moment(gone_at, telling.now, document.timezone)}{zone}"


def is_used_up(given: Given) -> bool:
    """Whether nothing is left: the limit is spent, or what is held beside it made a call too much."""
    limit, spent = given.micros("limit_micros"), given.micros("spent_micros")
    return given.by_denial or (limit is not None and spent is not None and spent >= limit)


def when_used_up(given: Given, document: GovernanceDocument) -> str:
    """What happens to the calls of a budget of which nothing is left."""
    return "calls pass all the same" if _is_soft(given, document) else "calls are denied"


def _of_budget(telling: Telling, document: GovernanceDocument, found: Found) -> str:
    given = Given(telling.facts)
    if given.period_over:
        return ""
    rate, outlook = budget_outlook(telling, document, found)
    if not is_used_up(given):
        return ", ".join(filter(None, (rate, f"budget {outlook}" if outlook.startswith("gone") else outlook)))
    if _is_soft(given, document):
        return f"{when_used_up(given, document)}{f', {rate}' if rate else ''}"
    turned_away, said = found.calls_per_hour, when_used_up(given, document)
    if turned_away:
        by = " by this or another budget" if found.or_by_another else ""
        said = f"{calls(turned_away)} turned away in the last hour{by}, and more"
    return f"{said}{_until(given.instant('period_end'), document.timezone)}"


def _until(end: datetime | None, zone: str) -> str:
    when = "" if end is None else date_and_time(end, zone)
    return f" until {when}" if when else ""


def _is_soft(given: Given, document: GovernanceDocument) -> bool:
    budget_id = given.text("budget_id")
    return any(budget.id == budget_id and budget.enforcement_mode == "soft" for budget in document.budgets)


def _of_users(found: Found) -> str:
    if not found.users:
        return ""
    return f", of {'at least ' if found.more_users else ''}{calls(found.users, 'user')}"


def _of_variance(given: Given) -> str:
    worth = given.micros("worth_per_month_micros")
    if worth is None:
        return ""
    actual, estimate = given.micros("actual_micros"), given.micros("estimate_micros")
    direction = ""
    if actual is not None and estimate is not None:
        direction = " too low" if actual >= estimate else " too high"
    return f"estimates are {format_usd(abs(worth))} a month{direction or ' off'}"


def _of_forecast(given: Given) -> str:
    """`$41.00 a day, budget gone on 2026-11-27`."""
    per_day, gone_on = given.micros("per_day_micros"), given.text("exhausted_on")
    rate = "" if per_day is None else f"{format_usd(per_day)} a day"
    if is_used_up(given):
        return rate
    return ", ".join(filter(None, (rate, f"budget gone on {gone_on}" if gone_on else "")))
