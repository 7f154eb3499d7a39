"""The Alerts page: its numbers against rows of its own, links, what people do with it, its states."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
import streamlit as st
from pydantic import TypeAdapter
from sqlalchemy import insert, select, text, update
from streamlit.testing.v1 import AppTest

from dashboard.access import local_name
from engine.alerting.alert import Alert, State
from engine.alerting.passing import pass_time
from engine.document.load import parse_document
from engine.document.store import publish_document
from engine.ledger.audit import AuditEntry, record_audit
from engine.ledger.database import Database
from engine.ledger.migrate import migrate
from engine.ledger.tables import alerts, audit_log, budget_usage, heartbeats, organizations, outbox, silences, usage
from engine.periods import period_of
from jobs.evaluation import judge_budgets
from tests.support.app_pages import open_page, text_of, with_tables
from tests.support.ledger_rows import BEATING

ORG = "acme"
USD = 1_000_000
NOW = datetime.now(UTC)
DOCUMENT = {
    "organization": ORG,
    "agents": {"hook": {"provider": "webhook", "team": "team-eng"}},
    "budgets": [{"id": "all", "per": "org", "monthly_budget_usd": 100}],
    "alerts": {"channels": {"ops": {"slack": "#ops"}}, "routes": {"critical": ["ops"], "warning": ["ops"]}},
}

LIFE = TypeAdapter(Alert).dump_python(
    Alert(
        State.FIRING, since=NOW - timedelta(minutes=10), seen_at=NOW, episode=1, severity="critical",
        fired_at=NOW - timedelta(minutes=10), value=Decimal(73),
    ), mode="json",
)  # fmt: skip


def add_alert(connection: Any, alert_id: str, state: str, severity: str, *, minutes: float = 10, **more: Any) -> None:
    """A row as evaluation leaves it, only shorter."""
    values = {
        "alert_id": alert_id, "org_id": ORG, "rule_id": "policy_deny", "severity": severity, "state": state,
        "alert_key": alert_id, "episode": 1, "dedupe_key": alert_id, "title": f"Title of {alert_id}",
        "labels": {"rule": "policy_deny", "severity": severity},
        "facts": {"metric": "policy_deny_count", "value": "73", "threshold": "50", "comparison": ">"}, "life": {},
        "fired_at": NOW - timedelta(minutes=minutes), **more,
    }  # fmt: skip
    connection.execute(insert(alerts).values(**values))


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """Alerts of every state, which these tests only read."""
    database = Database(f"sqlite:///{tmp_path_factory.mktemp('alerts') / 'ledger.db'}")
    begin(database)
    with database.write() as connection:
        add_alert(connection, "fires", "firing", "critical", life=LIFE)
        add_alert(connection, "older", "firing", "warning", minutes=90)
        taken = {"acknowledged_by": "dana", "acknowledged_at": NOW}
        add_alert(connection, "taken", "firing", "critical", minutes=5, **taken)
        add_alert(connection, "quiet", "firing", "critical", hidden_by="silenced", hidden_source="gone")
        add_alert(connection, "nearly", "recovering", "warning")
        add_alert(connection, "told", "firing", "info")
        add_alert(connection, "watch", "firing", "info", rule_id="watchdog")
        for number, lasted in enumerate((2, 60, 120)):
            over = NOW - timedelta(hours=5) + timedelta(minutes=lasted)
            add_alert(connection, f"over-{number}", "resolved", "critical", minutes=300, resolved_at=over)
        record_audit(connection, ORG, AuditEntry(NOW, "eve", "alert.acknowledge", "over-1", "on it", {}))
        minute = (NOW - timedelta(minutes=12)).replace(second=0, microsecond=0)
        cell = {"team_id": "", "agent_id": "hook", "provider": "webhook", "model": "", "complexity": "standard",
                "environment": "", "outcome": "denied", "reason": "policy_deny"}  # fmt: skip
        sums = dict.fromkeys(
            ("estimate_micros", "reserve_micros", "spent_micros", "settled", "settled_estimate_micros", "actual_micros",
             "failed", "cancelled", "expired"), 0
        )  # fmt: skip
        connection.execute(
            insert(usage).values(org_id=ORG, grain="minute", bucket=minute, **cell, **sums, decisions=73)
        )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BURSAR_DATABASE_URL", str(database.url))
        st.cache_data.clear()
        yield database
    database.close()
    st.cache_data.clear()
    st.cache_resource.clear()


def begin(database: Database) -> None:
    """A ledger with a live document and jobs that work."""
    migrate(database)
    publish_document(database, parse_document(DOCUMENT, "test"), author="test", reason="test")
    with database.write() as connection:
        connection.execute(update(organizations).values(drained_through=NOW))
        connection.execute(heartbeats.delete())
        connection.execute(heartbeats.insert(), [{"job": job, "last_success_at": NOW} for job in BEATING])


@pytest.fixture
def firing(ledger_url: str) -> Iterator[SimpleNamespace]:
    """A critical alert that fired and was told in Slack, and nothing else but what goes with it."""
    database = Database(ledger_url)
    begin(database)
    month = period_of("month", NOW, "UTC")
    with database.write() as connection:
        connection.execute(
            insert(budget_usage).values(
                org_id=ORG, budget_id="all", scope=ORG, period="month", period_label=month.label,
                period_start=month.start, period_end=month.end, limit_micros=100 * USD, spent_micros=96 * USD,
                held_micros=0, executions=1, updated_at=NOW,
            )
        )  # fmt: skip
    judge_budgets(database, ORG, dashboard_url="http://bursar.test", now=NOW)
    with database.read() as connection:
        alert_id = connection.execute(
            select(alerts.c.alert_id).where(alerts.c.severity == "critical", alerts.c.state == "firing")
        ).scalar_one()
    yield SimpleNamespace(database=database, alert_id=alert_id)
    database.close()


def rows(database: Database, table: Any) -> list[Any]:
    with database.read() as connection:
        return list(connection.execute(select(table)))


def numbers(app: AppTest) -> dict[str, str]:
    return {metric.label: metric.value for metric in app.metric}


def table_of(app: AppTest, column: str) -> Any:
    """The table that has this column."""
    return next(each.value for each in app.dataframe if column in each.value.columns)


def listed(app: AppTest) -> list[str]:
    """The alerts of the list, from the top."""
    return [str(button.key).removeprefix("open_") for button in app.button if str(button.key).startswith("open_")]


def test_every_number_is_what_the_rows_say(many: Database) -> None:
    app = open_page("alerts")
    assert not app.exception
    with many.read() as connection:
        asked = {
            "Firing": "state = 'firing' AND severity <> 'info'",
            "Acknowledged": "acknowledged_by IS NOT NULL AND state IN ('firing', 'recovering')",
            "Recovering": "state = 'recovering'",
            "Silenced": "hidden_by IS NOT NULL AND state IN ('firing', 'recovering')",
        }
        counted = {
            label: str(connection.execute(text(f"SELECT count(*) FROM alerts WHERE {wanted}")).scalar_one())
            for label, wanted in asked.items()
        }
    assert counted["Firing"] == "4"
    assert numbers(app) == {**counted, "Last evaluation": f"{NOW:%H:%M:%S}"}
    assert next(metric.delta for metric in app.metric if metric.label == "Firing") == "2 unattended"


def test_who_needs_somebody_most_is_on_top_and_the_watchdog_needs_nobody(many: Database) -> None:
    app = open_page("alerts")
    assert listed(app) == ["fires", "older", "nearly", "taken", "quiet", "told"]
    shown = text_of(app)
    assert "critical] **Title of fires**" in shown
    assert "73 calls in 5 min, fires above 50 calls" in shown
    assert "acknowledged by dana" in shown


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ({"state": "recovering"}, ["nearly"]),
        ({"state": "acknowledged"}, ["taken"]),
        ({"state": "silenced"}, ["quiet"]),
        ({"severity": "info"}, ["told"]),
        ({"rule": "watchdog"}, ["watch"]),
        ({"state": "resolved", "range": "24h"}, ["over-2", "over-1", "over-0"]),
    ],
)
def test_the_address_says_which_alerts_are_wanted(many: Database, address: dict[str, str], found: list[str]) -> None:
    assert listed(open_page("alerts", **address)) == found


def test_a_link_opens_an_alert_that_is_over_in_a_fresh_session(many: Database) -> None:
    app = open_page("alerts", org=ORG, alert="over-1")
    assert not app.exception
    shown = text_of(app)
    assert app.subheader[0].value.replace("\\", "") == "Title of over-1"
    assert "**Acknowledged by eve**" in shown
    assert "on it" in shown
    assert "**Over after 1 h" in shown
    assert "**What it means.**" in shown, "the runbook"
    assert not [button for button in app.button if str(button.key).startswith("acknowledge")]


def test_the_value_over_time_is_what_was_counted(many: Database) -> None:
    app = with_tables(open_page("alerts", alert="fires"))
    chart = table_of(app, "Value")
    minute = (NOW - timedelta(minutes=12)).replace(second=0, microsecond=0)
    # Those denied in one minute are in the five windows that end after it.
    wanted = {f"{minute + timedelta(minutes=after):%d %b %Y, %H:%M}" for after in range(1, 6)}
    counted = chart[chart["Value"] == "73 calls in 5 min"]
    assert set(counted["Time (UTC)"]) == wanted
    assert set(chart["Value"]) == {"0 calls in 5 min", "73 calls in 5 min"}


def test_an_unknown_alert_is_said_to_be_unknown(many: Database) -> None:
    app = open_page("alerts", alert="`nothing`")
    assert not app.exception
    assert "There is no alert `nothing` in this organization" in text_of(app)


def test_rules_are_shown_with_how_their_alerts_were(many: Database) -> None:
    table = open_page("alerts", tab="Rules").dataframe(key="rules").value.set_index("Rule")
    row = table.loc["policy_deny"]
    assert row["Condition"] == "policy_deny_count > 50 calls in 5 min"
    # Nine fired: one of them was over within 5 minutes, one somebody took on, as the audit log says.
    assert (row["Fired"], row["Acknowledged"], row["Over within 5 min"]) == ("9", "11 %", "11 %")
    assert (table.loc["cost_variance"]["Fired"], table.loc["cost_variance"]["Acknowledged"]) == ("0", "–")


def test_a_rule_is_tried_on_the_past(many: Database) -> None:
    app = open_page("alerts", tab="Backtest")
    app.selectbox(key="backtest_rule").set_value("policy_deny")
    app = app.button(key="backtest_submit").click().run()
    assert not app.exception
    assert "policy_deny would have fired 1 time" in text_of(app)
    assert list(table_of(app, "Peak")["Peak"]) == ["73 calls in 5 min"]
    app.number_input(key="backtest_days").set_value(30)
    app.selectbox(key="backtest_rule").set_value("governance_check_latency")
    app = app.button(key="backtest_submit").click().run()
    assert "Days: must be at most 2 for governance_check_latency" in text_of(app)


def test_acknowledging_writes_the_alert_the_audit_log_and_the_reply_in_the_thread(firing: SimpleNamespace) -> None:
    key = f"acknowledge_{firing.alert_id}"
    app = open_page("alerts", alert=firing.alert_id)
    app.text_input(key=f"{key}_because").set_value("raising it with finance")
    app = app.button(key=f"{key}_submit").click().run()
    assert not app.exception
    (row,) = [each for each in rows(firing.database, alerts) if each.alert_id == firing.alert_id]
    assert row.acknowledged_by == local_name()
    (entry,) = [each for each in rows(firing.database, audit_log) if each.action == "alert.acknowledge"]
    assert (entry.author, entry.subject, entry.reason) == (local_name(), firing.alert_id, "raising it with finance")
    sent = [(each.action, each.message["why"]) for each in rows(firing.database, outbox)]
    assert ("reply", "acknowledged") in sent
    assert ("edit", "acknowledged") in sent
    shown = text_of(app)
    assert f"{local_name()} has acknowledged" in shown
    assert "raising it with finance" in shown
    assert numbers(app)["Acknowledged"] == "1"


def test_a_silence_says_what_it_hides_hides_it_and_ends(firing: SimpleNamespace) -> None:
    key = f"silence_{firing.alert_id}"
    app = open_page("alerts", alert=firing.alert_id)
    app = app.button(key=f"{key}_submit").click().run()
    assert "Reason: say why, in a few words." in text_of(app)
    assert rows(firing.database, silences) == []
    app.radio(key=f"{key}_scope").set_value(2)
    app.text_input(key=f"{key}_reason").set_value("month-end run")
    app = app.button(key=f"{key}_submit").click().run()
    (made,) = rows(firing.database, silences)
    assert made.matchers == [{"label": "budget", "comparison": "=", "value": "all"}]
    assert (made.author, made.reason, made.ends_at - made.starts_at) == (
        local_name(), "month-end run", timedelta(hours=1),
    )  # fmt: skip
    assert "1 open alert" in text_of(app)
    assert app.text_input(key=f"{key}_1_reason").value == "", "the form begins anew: nobody does it twice unawares"
    later = datetime.now(UTC) + timedelta(seconds=1)
    pass_time(firing.database, ORG, dashboard_url="http://bursar.test", now=later)
    st.cache_data.clear()
    app = open_page("alerts", alert=firing.alert_id)
    assert numbers(app)["Silenced"] == "1"
    assert "month-end run" in text_of(app)
    app = app.button(key=f"end_opened_{made.silence_id}_submit").click().run()
    assert rows(firing.database, silences)[0].ended_by == local_name()
    assert "Running (0)" in text_of(open_page("alerts", tab="Silences"))


def test_a_silence_of_matchers_shows_what_it_would_hide_before_it_is_made(firing: SimpleNamespace) -> None:
    app = open_page("alerts", tab="Silences")
    app = app.text_input(key="matchers").set_value("budget=all severity!=info").run()
    (title,) = [each.title for each in rows(firing.database, alerts) if each.alert_id == firing.alert_id]
    assert f"Hides 1 open alert: {title}" in text_of(app)
    app.selectbox(key="new_silence_start").set_value("in 1 h")
    app.text_input(key="new_silence_reason").set_value("planned")
    app = app.button(key="new_silence_submit").click().run()
    assert "To come (1)" in text_of(app)
    app = app.text_input(key="matchers").set_value("colour=red").run()
    assert "alerts have no label 'colour'" in text_of(app)


def test_notifications_are_listed_with_what_became_of_them(firing: SimpleNamespace) -> None:
    table = open_page("alerts", tab="Notifications").dataframe(key="messages").value
    sent = rows(firing.database, outbox)
    assert len(table) == len(sent) > 0
    assert set(table["State"]) == {"waiting"}
    assert set(table["To"]) == {"slack #ops"}


def test_a_viewer_looks_and_changes_nothing(firing: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BURSAR_LOCAL_ROLE", "viewer")
    app = open_page("alerts", alert=firing.alert_id)
    assert not app.exception
    assert numbers(app)["Firing"] == "1"
    app = app.button(key=f"acknowledge_{firing.alert_id}_submit").click().run()
    assert "needs the role operator" in text_of(app)
    assert rows(firing.database, audit_log) == []


def test_a_role_that_was_taken_away_meanwhile_is_refused(
    firing: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = open_page("alerts", alert=firing.alert_id)
    monkeypatch.setenv("BURSAR_LOCAL_ROLE", "viewer")
    app = app.button(key=f"acknowledge_{firing.alert_id}_submit").click().run()
    assert "needs the role operator" in text_of(app)
    assert {row.acknowledged_by for row in rows(firing.database, alerts)} == {None}


def test_without_any_alert_nothing_needs_a_person(ledger_url: str) -> None:
    database = Database(ledger_url)
    begin(database)
    database.close()
    app = open_page("alerts")
    assert not app.exception
    assert "Nothing needs a person now." in text_of(app)
    assert numbers(app)["Firing"] == "0"


def test_an_organization_without_a_document_is_told_where_rules_come_from(ledger_url: str) -> None:
    database = Database(ledger_url)
    migrate(database)
    with database.write() as connection:
        connection.execute(organizations.insert(), [{"org_id": ORG, "created_at": NOW}])
        add_alert(connection, "left", "firing", "critical")
    database.close()
    assert "`bursar apply FILE`" in text_of(open_page("alerts", tab="Rules"))
    app = open_page("alerts", alert="left")
    assert not app.exception
    assert "Title of left" in text_of(app)


def test_a_database_that_does_not_answer_is_a_sentence_and_a_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BURSAR_DATABASE_URL", "postgresql://bursar:secret@127.0.0.1:1/ledger")
    app = open_page("alerts")
    assert not app.exception
    assert "The ledger database cannot be read." in text_of(app)
    assert "secret" not in text_of(app)
