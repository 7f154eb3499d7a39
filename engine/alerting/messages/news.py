"""Messages that are about no single alert: a digest of many, and news of the rules themselves. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from engine.alerting.alert import State
from engine.alerting.alert_message import AlertMessage
from engine.alerting.effects import Why
from engine.alerting.grouping import TOP
from engine.alerting.messages.given import shown
from engine.alerting.messages.links import alerts_page
from engine.alerting.messages.metrics import about, condition_words, window_words
from engine.alerting.messages.titles import name_among
from engine.alerting.messages.words import duration
from engine.alerting.rule_health import HealthNews, RuleHealth
from engine.alerting.rules import Rule

DIGEST = "digest"
HEALTH = "rule_health"


def digest_of(
    rule: Rule,
    top: Sequence[tuple[str, str]],
    count: int,
    *,
    org_id: str,
    severity: str,
    dashboard_url: str,
    zone: str,
    mention: str | None = None,
) -> AlertMessage:
    """`14 alerts of 'Estimates are off' (more than 15 %)`, with the worst of them: of what, and its value.

    `top` is title and value of each, the worst first.
    """
    condition = condition_words(rule, rule.threshold)
    named = [
        _entry(number, name_among(rule, title), _short(rule, value))
        for number, (title, value) in enumerate(top[:TOP], start=1)
    ]
    more = count - len(named)
    return AlertMessage(
        severity=severity,
        title=f"{count:,} alert{'' if count == 1 else 's'} of '{rule.title or about(rule).title}'"
        f"{f' ({condition})' if condition else ''}",
        kind=DIGEST,
        why=Why.BREACHED.value,
        zone=zone,
        org_id=org_id,
        rule_id=rule.rule_id,
        state=State.FIRING.value,
        threshold_number=str(rule.threshold),
        details=(*named, *((f"And {more:,} more.",) if more > 0 and named else ())),
        page_link=alerts_page(dashboard_url, org_id, rule=rule.rule_id),
        runbook_link=rule.runbook or "",
        mention=mention if severity == "critical" else None,
    )


def health_news(
    rule_id: str,
    health: RuleHealth,
    *,
    works_again: bool,
    dashboard_url: str,
    zone: str,
    now: datetime,
    org_id: str | None = None,
    mention: str | None = None,
) -> AlertMessage:
    """That a rule cannot be evaluated, or can again. `health` is the rule's while it fails, of both."""
    since = health.failing_since
    seconds = 0 if since is None else int((now - since).total_seconds())
    news = HealthNews.WORKS_AGAIN if works_again else HealthNews.CANNOT_BE_EVALUATED
    if works_again:
        title, severity = f"Rule '{rule_id}' is evaluated again", "info"
        details = [f"It was not for {duration(seconds)}."] if since is not None else []
    else:
        title, severity = f"Rule '{rule_id}' cannot be evaluated", "warning"
        failures = f"{health.failures:,} times in a row" if health.failures > 1 else "once"
        details = [f"It failed {failures}. Its alerts stay as they are, and new ones do not fire."]
        error = shown({"error": health.error or ""}, "error")
        details += [f"Error: {error}"] if error else []
    return AlertMessage(
        severity=severity,
        title=title,
        kind=HEALTH,
        why=news.value,
        since=None if works_again else since,
        zone=zone,
        org_id=org_id or "",
        rule_id=rule_id,
        details=tuple(details),
        page_link=alerts_page(dashboard_url, org_id, rule=rule_id),
        mention=mention,
    )


def _short(rule: Rule, value: str) -> str:
    """Without the window, which the digest's title has."""
    return value.removesuffix(f" {window_words(rule)}")


def _entry(number: int, title: str, value: str) -> str:
    # One line each, whatever a name in it holds.
    name, amount = (shown({"it": words}, "it") for words in (title, value))
    return f"{number}. {name}{f': {amount}' if amount else ''}"
