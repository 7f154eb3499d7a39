"""One alert with all that is kept of it, from budgets that were judged."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert, select, update

from engine.alerting.actions import acknowledge_alert, add_silence
from engine.alerting.opened import OpenedAlert, open_alert
from engine.alerting.passing import pass_time
from engine.alerting.quieting import Matcher
from engine.document.load import parse_document
from engine.document.schema import GovernanceDocument
from engine.document.store import publish_document
from engine.ledger.database import Database
from engine.ledger.migrate import migrate
from engine.ledger.tables import alerts, budget_usage
from engine.periods import period_of
from jobs.evaluation import judge_budgets

NOW = datetime(2026, 11, 23, 17, tzinfo=UTC)
URL = "http://bursar.test"
USD = 1_000_000
CONTENT: dict[str, Any] = {
    "organization": "acme",
    "budgets": [{"id": "all", "per": "org", "monthly_budget_usd": 100}],
    "alerts": {"channels": {"ops": {"slack": "#ops"}}, "routes": {"critical": ["ops"]}},
}
DOCUMENT = parse_document(CONTENT, "test")


@pytest.fixture
def ledger(tmp_path: Any) -> Iterator[Database]:
    """A budget of which 96 % is spent: one alert was told, those of lower thresholds were not."""
    database = Database(f"sqlite:///{tmp_path / 'ledger.db'}")
    migrate(database)
    publish_document(database, DOCUMENT, author="test", reason="test")
    month = period_of("month", NOW, "UTC")
    with database.write() as connection:
        connection.execute(
            insert(budget_usage).values(
                org_id="acme", budget_id="all", scope="acme", period="month", period_label=month.label,
                period_start=month.start, period_end=month.end, limit_micros=100 * USD, spent_micros=96 * USD,
                held_micros=0, executions=1, updated_at=NOW,
            )
        )  # fmt: skip
    judge_budgets(database, "acme", dashboard_url=URL, now=NOW)
    yield database
    database.close()


def id_of(ledger: Database, rule_id: str) -> str:
    with ledger.read() as connection:
        return str(connection.execute(select(alerts.c.alert_id).where(alerts.c.rule_id == rule_id)).scalar_one())


def opened(
    ledger: Database, alert_id: str, document: GovernanceDocument = DOCUMENT, *, now: datetime = NOW
) -> OpenedAlert | None:
    with ledger.read() as connection:
        return open_alert(connection, document, alert_id, now=now, dashboard_url=URL)


def must(found: OpenedAlert | None) -> OpenedAlert:
    assert found is not None
    return found


def test_the_alert_that_was_told_has_its_rule_its_message_and_its_notification(ledger: Database) -> None:
    found = must(opened(ledger, id_of(ledger, "budget_usage_critical")))
    assert (found.rule.rule_id, found.rule_in_force) == ("budget_usage_critical", True)
    assert (found.line.state, found.hidden, found.silence_id, found.instead) == ("firing", "", None, None)
    assert [(each.channel, each.action) for each in found.told] == [("ops", "post")]
    assert found.message.page_link == f"{URL}/budgets?org=acme&budget=all&scope=acme&period=month"
    assert found.acts == ()
    assert [scope.words for scope in found.scopes] == [
        "This alert, until it gets worse",
        "Every alert of the rule budget_usage_critical",
        "Every alert about the budget all",
    ]


def test_one_that_was_not_told_names_the_one_that_was_instead(ledger: Database) -> None:
    told = must(opened(ledger, id_of(ledger, "budget_usage_critical")))
    lower = must(opened(ledger, id_of(ledger, "budget_usage_warning")))
    assert lower.line.state == "superseded"
    assert lower.instead == (told.line.alert_id, told.line.title)
    assert lower.told == ()


def test_what_people_do_to_it_is_shown_with_their_reasons(ledger: Database) -> None:
    alert_id = id_of(ledger, "budget_usage_critical")
    acknowledge_alert(ledger, "acme", alert_id, by="dana", now=NOW, dashboard_url=URL, reason="on it")
    add_silence(
        ledger, "acme", (Matcher("budget", "all"),), start=NOW, end=NOW + timedelta(hours=1), author="eve",
        reason="load test", now=NOW,
    )  # fmt: skip
    pass_time(ledger, "acme", dashboard_url=URL, now=NOW + timedelta(minutes=1))
    found = must(opened(ledger, alert_id, now=NOW + timedelta(minutes=1)))
    assert [(each.author, each.action, each.reason) for each in found.acts] == [("dana", "alert.acknowledge", "on it")]
    assert found.hidden == "Silenced by eve until 23 Nov, 18:00 UTC: load test"
    assert found.silence_id is not None
    late = must(opened(ledger, alert_id, now=NOW + timedelta(hours=2)))
    assert late.hidden == "The silence that hid it is over; it is told within moments"


def test_an_alert_outlives_its_rule_and_nobody_elses_is_opened(ledger: Database) -> None:
    alert_id = id_of(ledger, "budget_usage_critical")
    with ledger.write() as connection:
        connection.execute(update(alerts).where(alerts.c.alert_id == alert_id).values(rule_id="gone"))
    found = must(opened(ledger, alert_id))
    assert (found.rule_in_force, found.rule.rule_id, found.rule.metric) == (False, "gone", "budget_usage_percentage")
    assert str(found.rule.threshold) == "0.95"
    assert opened(ledger, "nope") is None
    assert opened(ledger, alert_id, parse_document({"organization": "globex"}, "test")) is None
