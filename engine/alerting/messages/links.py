"""Where a message sends people: the alert's own page, the page about the matter, and the calls behind it. Pure.

Only parameters that the pages read are used: a filter that a page does not know would promise what it does not show.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

from engine.alerting.messages.calls_of import Calls, calls_of, window_of
from engine.alerting.messages.found import REASONS, Found
from engine.alerting.messages.given import Given, label
from engine.alerting.messages.metrics import Topic, about
from engine.alerting.telling import Telling
from engine.document.schema import GovernanceDocument

_RANGES = {"1h": timedelta(hours=1), "24h": timedelta(days=1), "7d": timedelta(days=7), "30d": timedelta(days=30)}
_OFFERED = {"rate-limits": ("24h", "7d"), "policy-denials": ("24h", "7d", "30d")}
"""Ranges of pages that do not have all, the shortest first."""
_SPLITS = {"team": "Team", "provider": "Provider"}
_MONTHS = {"month": "30d", "day": "24h"}
_USAGE = "budget_usage_percentage"


def alerts_page(dashboard_url: str, org_id: str | None, **filters: str | None) -> str:
    """The Alerts page, of one rule where that is named."""
    return _address(dashboard_url, "alerts", org=org_id, **filters)


def alert_page(telling: Telling, dashboard_url: str) -> str:
    """One alert on the Alerts page, with all that is kept of it: one address while it fires and when it is over."""
    return alerts_page(dashboard_url, telling.org_id, alert=telling.alert_id)


def matter_page(telling: Telling, document: GovernanceDocument, dashboard_url: str) -> str:
    """The page about the matter, narrowed to what the alert is about: a budget, a rate limit, a price and so on."""
    metric, org = telling.rule.metric, telling.org_id
    calls = calls_of(telling, document)
    match about(telling.rule).topic:
        case Topic.BUDGET:
            return _address(dashboard_url, "budgets", org=org, **_budget(telling))
        case Topic.TURNED_AWAY if metric == "policy_deny_count":
            return _address(
                dashboard_url, "policy-denials", org=org, range=_offered("policy-denials", telling), **_whose(calls)
            )
        case Topic.LATENCY if metric == "policy_evaluation_time_ms":
            return _address(
                dashboard_url, "policy-denials", org=org, range=_offered("policy-denials", telling), **_whose(calls)
            )
        case Topic.TURNED_AWAY if metric == "budget_overspend_count":
            return _address(dashboard_url, "budgets", org=org, **_whose(calls))
        case Topic.TURNED_AWAY:
            scope = _fullest(telling)
            return _address(
                dashboard_url, "rate-limits", org=org, range=_offered("rate-limits", telling), **_whose(calls), **scope
            )
        case Topic.FAIL_OPEN | Topic.LATENCY:
            # How long Redis takes is most of a check, and without it calls pass open.
            return _address(
                dashboard_url, "rate-limits", org=org, range=_offered("rate-limits", telling), **_whose(calls)
            )
        case Topic.VARIANCE:
            segment = {"model": calls.model, "complexity": label(telling.facts, "complexity")}
            return _address(dashboard_url, "estimates", org=org, **_whose(calls), **segment)
        case Topic.UNSETTLED:
            return _address(dashboard_url, "estimates", org=org, **_whose(calls))
        case Topic.ITSELF:
            return _address(dashboard_url, "health", org=org)
        case Topic.EXECUTIONS | Topic.SPEND:
            return spend_page(telling, dashboard_url)


def spend_page(telling: Telling, dashboard_url: str) -> str:
    """The Spend page, over the time that the alert is about and split by what it is about."""
    # Unusual spend is about yesterday, which the last 24 hours show only in part.
    length = "7d" if telling.rule.metric == "spend_anomaly_usd" else _length(telling)
    split = next((words for name, words in _SPLITS.items() if name in telling.rule.group_by), None)
    return _address(dashboard_url, "spend", org=telling.org_id, range=length, by=split)


def _budget(telling: Telling) -> dict[str, str | None]:
    given, labels = Given(telling.facts), telling.labels
    return {
        "budget": given.text("budget_id") or labels.get("budget"),
        "scope": given.text("scope") or labels.get("scope"),
        "period": given.text("period") or labels.get("period"),
    }


def _whose(calls: Calls) -> dict[str, str | None]:
    return {"team": calls.team_id, "provider": calls.provider, "agent": calls.agent_id}


def _fullest(telling: Telling) -> dict[str, str | None]:
    """The rate limit and its scope that have least left, where the alert knows them."""
    scopes = telling.facts.get("fullest")
    first = scopes[0] if isinstance(scopes, list | tuple) and scopes else None
    given = Given(first if isinstance(first, dict) else {})
    return {"limit": given.text("rate_limit"), "scope": given.text("scope")}


def decisions_page(telling: Telling, document: GovernanceDocument, found: Found, dashboard_url: str) -> str:
    """The calls behind the value; empty where it is about no calls. Of a budget's period the newest come first.

    The page filters by one reason: of several the most frequent is taken. It cannot filter by how a call passed or
    ended, so there is no link to calls that passed without Redis or were never settled.
    """
    topic, rule, given = about(telling.rule).topic, telling.rule, Given(telling.facts)
    if topic in (Topic.ITSELF, Topic.FAIL_OPEN, Topic.UNSETTLED):
        return ""
    calls = calls_of(telling, document)
    outcome: str | None = "allowed"
    reason = calls.reason
    start: datetime | None = None
    end: datetime | None = None
    if topic is Topic.BUDGET:
        start = given.instant("period_start")
        if given.by_denial or (rule.metric == _USAGE and given.threshold(rule) >= 1):
            denied = given.denial_reason
            outcome, reason = "denied", None if denied is None else denied.value
    elif topic is not Topic.VARIANCE:
        start, end = window_of(telling, document)
        if rule.metric in REASONS:
            outcome, reason = "denied", reason or (found.reasons[0][0] if found.reasons else None)
        elif topic is Topic.LATENCY or rule.metric == "decision_count":
            outcome = None
    return _address(
        dashboard_url, "decisions", org=telling.org_id, outcome=outcome, reason=reason, agent=calls.agent_id,
        user=calls.user_id, team=calls.team_id, provider=calls.provider, model=calls.model,
        environment=calls.environment, to=_written(end), **{"from": _written(start)},
    )  # fmt: skip


def _written(instant: datetime | None) -> str | None:
    return None if instant is None else instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _length(telling: Telling) -> str | None:
    """The range of a page that shows the rule's window."""
    window = telling.rule.window
    return _MONTHS.get(window) if isinstance(window, str) else _range(window)


def _offered(page: str, telling: Telling) -> str | None:
    """The shortest range of those that the page offers which shows the window, else its longest."""
    wanted, offered = _length(telling), _OFFERED[page]
    if wanted is None or wanted in offered:
        return wanted
    return offered[0] if wanted == "1h" else offered[-1]


def _range(window: timedelta) -> str:
    """The shortest that shows the window."""
    return next((name for name, length in _RANGES.items() if window <= length), "90d")


def _address(dashboard_url: str, page: str, **parameters: str | None) -> str:
    given = {name: value for name, value in parameters.items() if value}
    return f"{dashboard_url.rstrip('/')}/{page}?{urlencode(given, errors='replace')}"
