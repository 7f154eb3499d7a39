"""What the on-call hears of the rules themselves: that one cannot be evaluated, and that it can again."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from engine.alerting.action import Action
from engine.alerting.announcing import Office, receivers_of
from engine.alerting.messages import health_news
from engine.alerting.outbox import LOG, enqueue
from engine.alerting.receivers import channels_of
from engine.alerting.rule_health import HealthNews, RuleHealth
from engine.alerting.rules import Rule


def tell_rule_news(
    connection: Connection,
    org_id: str,
    rule: Rule,
    health: RuleHealth,
    news: HealthNews,
    office: Office,
    now: datetime,
) -> None:
    """Queue it for the channels of critical alerts, in the caller's transaction."""
    alerts = office.document.alerts
    message = health_news(
        rule.rule_id,
        health,
        works_again=news is HealthNews.WORKS_AGAIN,
        now=now,
        zone=office.document.timezone,
        dashboard_url=office.dashboard_url,
        org_id=org_id,
    )
    for receiver in receivers_of(alerts, channels_of(alerts, ("critical",))) or [LOG]:
        enqueue(
            connection,
            org_id=org_id,
            alert_id=None,
            channel=receiver,
            action=Action.POST,
            dedupe_key="|".join((org_id, "rule", rule.rule_id, news, now.isoformat(), receiver.name)),
            message=message,
            now=now,
        )
