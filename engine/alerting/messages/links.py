"""Where a message sends people: the page about the matter, and the calls behind it. Pure.

Only parameters that the pages read are used: a filter that a page does not know would promise what it does not show.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

from engine.alerting.messages.calls_of import calls_of, window_of
from engine.alerting.messages.found import REASONS, Found
from engine.alerting.messages.given import Given
from engine.alerting.messages.metrics import Topic, about
from engine.alerting.telling import Telling
from engine.document.schema import GovernanceDocument

_RANGES = {"1h": timedelta(hours=1), "24h": timedelta(days=1), "7d": timedelta(days=7), "30d": timedelta(days=30)}
_SPLITS = {"team": "Team", "provider": "Provider"}
_MONTH = "30d"
_MONTHS = {"month": _MONTH, "day": "24h"}
_USAGE = "budget_usage_percentage"


def alerts_page(dashboard_url: str, org_id: str | None, **filters: str | None) -> str:
    """The Alerts page, of one rule where that is named."""
    return _address(dashboard_url, "alerts", org=org_id, **filters)


def spend_page(telling: Telling, dashboard_url: str) -> str:
    """The Spend page, over the time that the alert is about and split by what it is about."""
    given, rule = Given(telling.facts), telling.rule
    if about(rule).topic is Topic.BUDGET:
        length: str | None = _MONTHS.get(given.text("period"), _MONTH)
        split = _SPLITS.get(given.text("per") or telling.labels.get("per", ""))
    elif about(rule).topic is Topic.VARIANCE:
        length, split = _MONTH, None
    elif rule.metric == "spend_anomaly_usd":
        # It is about yesterday, which the last 24 hours show only in part.
        length, split = "7d", None
    else:
        length = _MONTHS.get(rule.window) if isinstance(rule.window, str) else _range(rule.window)
        split = next((words for name, words in _SPLITS.items() if name in rule.group_by), None)
    return _address(dashboard_url, "spend", org=telling.org_id, range=length, by=split)


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


def _range(window: timedelta) -> str:
    """The shortest that shows the window."""
    return next((name for name, length in _RANGES.items() if window <= length), "90d")


def _address(dashboard_url: str, page: str, **parameters: str | None) -> str:
    given = {name: value for name, value in parameters.items() if value}
    return f"{dashboard_url.rstrip('/')}/{page}?{urlencode(given, errors='replace')}"
