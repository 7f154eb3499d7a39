"""Alerts and messages of before alerts had a life are carried over by their migration, and can be taken back."""

from __future__ import annotations

import json
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import pytest
from alembic import command
from sqlalchemy import select, text

from engine.alerting.alert_message import AlertMessage
from engine.alerting.alert_rows import peek_rows
from engine.document.load import parse_document
from engine.document.store import publish_document
from engine.ledger.database import Database
from engine.ledger.migrate import _config, migrate
from engine.ledger.tables import alerts, budget_usage, crossings, outbox
from engine.periods import period_of
from jobs.evaluation import judge_budgets

BEFORE = "0005"
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
MONTH = period_of("month", NOW, "UTC")
FACTS = {
    "metric": "budget_usage_percentage", "threshold": "0.95", "budget_id": "all", "per": "org", "scope": "acme",
    "period": "month", "period_label": MONTH.label, "period_start": MONTH.start.isoformat(),
    "period_end": MONTH.end.isoformat(), "limit_micros": 100_000_000, "spent_micros": 96_000_000,
    "seen_spent_micros": 96_000_000, "episode": 1, "document_version": 1,
}  # fmt: skip
MESSAGE = {"severity": "critical", "title": "Monthly budget 'all' is at 96.0 %", "lines": ["$96 of $100 spent."],
           "link": "http://bursar.test/spend", "mention": "@oncall", "repeat": False, "text": "..."}  # fmt: skip


@pytest.fixture
def carried_over(database_url: str) -> Any:
    with closing(Database(database_url)) as database:
        migrate(database)
        document = {"organization": "acme", "budgets": [{"id": "all", "per": "org", "monthly_budget_usd": 100}],
                    "alerts": {"rules": [{"id": "budget_usage_half", "enabled": False}]}}  # fmt: skip
        publish_document(database, parse_document(document, "test"), author="t", reason="t")
        with database.write() as connection:
            command.downgrade(_config(connection), BEFORE)
            for rule, state, threshold in (
                ("budget_usage_critical", "firing", "0.95"), ("budget_usage_warning", "superseded", "0.8"),
            ):  # fmt: skip
                connection.execute(
                    text("INSERT INTO alerts (alert_id, org_id, rule_id, severity, state, dedupe_key, title, facts, "
                         "fired_at) VALUES (:rule, 'acme', :rule, 'critical', :state, :key, 'a title', :facts, :at)"),
                    {"rule": rule, "state": state, "at": NOW if not database.is_sqlite else NOW.replace(tzinfo=None),
                     "key": f"acme|{rule}|all|acme|month|{MONTH.label}|1",
                     "facts": json.dumps({**FACTS, "threshold": threshold})},
                )  # fmt: skip
            at = NOW if not database.is_sqlite else NOW.replace(tzinfo=None)
            connection.execute(
                text("INSERT INTO outbox (notification_id, org_id, alert_id, channel, channel_type, target, dedupe_key,"
                     " message, state, attempts, next_attempt_at, created_at) VALUES ('n', 'acme', "
                     "'budget_usage_critical', 'ops', 'slack', '#ops', 'k', :message, 'queued', 0, :at, :at)"),
                {"message": json.dumps(MESSAGE), "at": at},
            )  # fmt: skip
        migrate(database)
        yield database


def test_an_open_alert_is_the_same_one_afterwards(carried_over: Database) -> None:
    with carried_over.write() as connection:
        connection.execute(
            budget_usage.insert().values(
                org_id="acme", budget_id="all", scope="acme", period="month", period_label=MONTH.label,
                period_start=MONTH.start, period_end=MONTH.end, limit_micros=100_000_000, spent_micros=96_000_000,
                held_micros=0, executions=1, updated_at=NOW,
            )
        )  # fmt: skip
    # Only the mark at 90 %, which there was none of before, is new; it is told with what was told already.
    assert judge_budgets(carried_over, "acme", dashboard_url="", now=NOW) == 1
    assert judge_budgets(carried_over, "acme", dashboard_url="", now=NOW) == 0
    with carried_over.read() as connection:
        found = {row.rule_id: (row.state, row.episode) for row in connection.execute(select(alerts))}
        (row,) = peek_rows(connection, "acme")
        (message,) = connection.execute(select(outbox.c.message)).scalars()
        assert connection.execute(select(crossings)).all() == []
    assert found == {
        "budget_usage_critical": ("firing", 1), "budget_usage_warning": ("superseded", 1),
        "budget_usage_degraded": ("superseded", 1),
    }  # fmt: skip
    assert (row.alert.told_severity, row.alert.fired_at) == ("critical", NOW)
    read = AlertMessage.from_json(message)
    assert (read.title, read.details, read.mention) == (MESSAGE["title"], ("$96 of $100 spent.",), "@oncall")


def test_it_can_be_taken_back(carried_over: Database) -> None:
    with carried_over.write() as connection:
        command.downgrade(_config(connection), BEFORE)
        assert connection.execute(text("SELECT count(*) FROM alerts")).scalar_one() == 2
    migrate(carried_over)
