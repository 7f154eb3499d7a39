"""Alerts of the made-up company: one an hour, with a message each, and a crossing for each that a budget caused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from benchmarks.ledger_world import AGENTS, DAILY_LIMIT, DAYS, ORG, agents

ALERT_COLUMNS = (
    "alert_id", "org_id", "rule_id", "severity", "state", "alert_key", "episode", "dedupe_key", "title", "labels",
    "facts", "life", "fired_at", "resolved_at",
)  # fmt: skip
MESSAGE_COLUMNS = (
    "notification_id", "org_id", "alert_id", "channel", "channel_type", "target", "dedupe_key", "message", "state",
    "attempts", "next_attempt_at", "created_at", "delivered_at",
)  # fmt: skip
CROSSING_COLUMNS = (
    "org_id", "budget_id", "scope", "period", "period_label", "threshold", "at", "written_at", "spent_micros",
    "limit_micros", "consumed_at",
)  # fmt: skip
RULES = (("budget-95", "critical"), ("budget-80", "warning"), ("budget-50", "info"), ("denied-by-policy", "critical"))
OPEN = 12
"""So many of the newest alerts still fire."""


def _alerts(now: datetime) -> Iterator[tuple[str, str, str, datetime, bool]]:
    for number in range(DAYS * 24):
        rule_id, severity = RULES[number % len(RULES)]
        yield f"alert-{number}", rule_id, severity, now - timedelta(hours=number, minutes=1), number < OPEN


def alert_rows(now: datetime) -> Iterator[tuple[Any, ...]]:
    """Rows of `alerts`."""
    for alert_id, rule_id, severity, at, still in _alerts(now):
        resolved = None if still else at + timedelta(minutes=3 + len(alert_id) % 9)
        state, facts = "firing" if still else "resolved", json.dumps({"spent_micros": 1, "threshold": "0.95"})
        life = json.dumps({"fired_at": at.isoformat()})
        yield (
            alert_id, ORG, rule_id, severity, state, alert_id, 1, alert_id, "Daily budget 'copilots'", "{}", facts,
            life, at, resolved,
        )  # fmt: skip


def message_rows(now: datetime) -> Iterator[tuple[Any, ...]]:
    """Rows of `outbox`."""
    for alert_id, _, _, at, _ in _alerts(now):
        message = json.dumps({"text": "made up"})
        yield (
            f"message-{alert_id}", ORG, alert_id, "ops", "slack", "#agent-ops", alert_id, message, "delivered", 1, at,
            at, at,
        )  # fmt: skip


def crossing_rows(now: datetime) -> Iterator[tuple[Any, ...]]:
    """Rows of `crossings`: the budget of every agent in use came to half of its limit every day."""
    for back in range(DAYS):
        at = now - timedelta(days=back)
        for agent in agents()[:AGENTS]:
            yield (
                ORG, "copilots", agent.agent_id, "day", at.date().isoformat(), 5000, at, at, DAILY_LIMIT // 80,
                DAILY_LIMIT // 40, at,
            )  # fmt: skip
