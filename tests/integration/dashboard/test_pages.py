"""Pages with data, empty and without a database, run as Streamlit runs them."""

from __future__ import annotations

import ast
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import streamlit as st
from alembic import command
from sqlalchemy import Table
from streamlit.testing.v1 import AppTest

from engine.ledger.database import Database
from engine.ledger.migrate import _config, migrate
from engine.ledger.tables import decisions, usage
from tests.support.app_pages import APP, open_page, text_of
from tests.support.ledger_rows import SeededLedger, seed_empty_organization, seed_ledger

PAGES = {"spend": "app_pages/spend.py", "decisions": "app_pages/decisions.py"}


def test_the_bare_address_leads_to_spend(ledger: SeededLedger) -> None:
    app = AppTest.from_file(str(APP), default_timeout=60).run()
    assert not app.exception
    assert app.title[0].value == "Spend"


def test_only_alerts_and_rate_limits_run_again_by_themselves() -> None:
    """Others would read the ledger for nobody. A page that failed or is empty looks again until it is not."""
    room = APP.parent
    scripts = {
        str(path.relative_to(room))
        for path in room.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.keyword) and node.arg == "run_every"
    }
    pages = {script for script in scripts if script != "frame.py"}
    assert {Path(script).stem.removesuffix("_list") for script in pages} == {"alerts", "rate_limits"}


def test_freshness_is_stated_and_a_healthy_worker_has_no_banner(ledger: SeededLedger) -> None:
    for name in PAGES:
        app = open_page(name)
        assert f"Data to {ledger.now - timedelta(seconds=2):%H:%M:%S} UTC" in text_of(app)
        assert not app.warning


def test_a_worker_silent_for_half_a_minute_is_announced_on_both_pages(ledger_url: str) -> None:
    database = Database(ledger_url)
    seed_ledger(database, now=datetime.now(UTC), days=2, per_day=5, silent_for=timedelta(seconds=45))
    database.close()
    for name in PAGES:
        assert "The ledger worker has been silent since" in text_of(open_page(name))


def test_decisions_are_listed_newest_first_in_pages(ledger: SeededLedger) -> None:
    app = open_page("decisions")
    assert not app.exception
    newest = sorted(ledger.decisions, key=lambda row: (row["at"], row["decision_id"]), reverse=True)
    table = app.dataframe[0].value
    assert list(table["Agent"]) == [row["agent_id"] for row in newest[:50]]
    older = next(button for button in app.button if button.label == "Older")
    app = older.click().run()
    assert list(app.dataframe[0].value["Agent"]) == [row["agent_id"] for row in newest[50:100]]
    assert "before" in app.query_params
    app = next(button for button in app.button if button.label == "Newest").click().run()
    assert list(app.dataframe[0].value["Agent"]) == [row["agent_id"] for row in newest[:50]]


def test_filters_in_the_address_are_applied(ledger: SeededLedger) -> None:
    app = open_page("decisions", outcome="denied", reason="policy_deny", agent="copilot_hr")
    expected = sum(row["reason"] == "policy_deny" and row["agent_id"] == "copilot_hr" for row in ledger.decisions)
    assert app.selectbox(key="reason").value == "policy_deny"
    assert len(app.dataframe[0].value) == min(expected, 50) > 0


def test_a_filter_on_an_agent_never_seen_shows_nothing_instead_of_everything(ledger: SeededLedger) -> None:
    app = open_page("decisions", agent="ghost")
    assert "No decision matches these filters" in text_of(app)
    assert not app.dataframe


def test_one_decision_is_shown_with_every_test_and_its_money(ledger: SeededLedger) -> None:
    row = next(row for row in ledger.decisions if row["state"] == "settled")
    app = open_page("decisions", decision=row["decision_id"])
    assert not app.exception
    assert [metric.label for metric in app.metric] == ["Estimate", "Hold", "Settlement"]
    tests = app.table[0].value
    assert len(tests) == 6
    assert "org · acme" in "".join(tests["Test"]).replace("\\", "")
    assert app.json
    assert list(app.dataframe[0].value["Event"]) == ["check", "settle"]


def test_a_denied_decision_says_which_test_failed(ledger: SeededLedger) -> None:
    row = next(row for row in ledger.decisions if row["reason"] == "budget_daily_cost")
    app = open_page("decisions", decision=row["decision_id"])
    tests = app.table[0].value
    assert [":red" in result for result in tests["Test"]] == [False, False, True, False, False, False]
    assert row["message"] in text_of(app)


def test_an_unknown_decision_is_said_to_be_unknown(ledger: SeededLedger) -> None:
    app = open_page("decisions", decision="`nothing`")
    assert not app.exception
    assert "no decision with this id" in text_of(app)


def test_the_address_chooses_among_several_organizations(ledger: SeededLedger, ledger_url: str) -> None:
    database = Database(ledger_url)
    seed_ledger(database, org_id="globex", now=ledger.now, days=3, per_day=4, seed=5)
    database.close()
    app = open_page("decisions", org="globex")
    assert app.selectbox(key="org").value == "globex"
    assert len(app.dataframe[0].value) == 12


def test_the_organization_and_the_filters_stay_when_the_page_changes(ledger: SeededLedger, ledger_url: str) -> None:
    database = Database(ledger_url)
    seed_ledger(database, org_id="globex", now=ledger.now, days=3, per_day=4, seed=5)
    database.close()
    app = open_page("spend", org="globex", team="team-eng")
    for name in ("budgets", "policy_denials", "spend"):
        app = app.switch_page(f"app_pages/{name}.py").run()
        assert app.query_params["org"] == "globex"
        assert (app.selectbox(key="org").value, app.selectbox(key="team").value) == ("globex", "team-eng"), name
        assert "· globex" in text_of(app)
    app = app.selectbox(key="org").set_value("acme").run()
    # Another organization has other teams.
    assert app.query_params == {"org": "acme"}
    assert (app.selectbox(key="org").value, app.selectbox(key="team").value) == ("acme", None)
    app = app.selectbox(key="team").set_value("team-hr").run()
    assert app.query_params["team"] == "team-hr"
    app = app.selectbox(key="team").set_value(None).run()
    assert "team" not in app.query_params
    assert app.selectbox(key="team").value is None


def test_another_organization_than_the_one_asked_for_is_never_shown(ledger: SeededLedger) -> None:
    app = open_page("spend", org="globex")
    assert "The organization globex is not in this ledger" in text_of(app)
    assert not app.metric


@pytest.mark.parametrize(
    ("name", "sentence"),
    [*((name, "Run `bursar demo`") for name in (*PAGES, "rate_limits")), ("policy_denials", "run `bursar demo`")],
)
def test_an_organization_without_decisions_is_told_what_to_do(ledger_url: str, name: str, sentence: str) -> None:
    database = Database(ledger_url)
    seed_empty_organization(database, now=datetime.now(UTC))
    database.close()
    app = open_page(name)
    assert not app.exception
    assert sentence in text_of(app)


@pytest.mark.parametrize("name", PAGES)
def test_a_ledger_without_tables_is_told_what_to_do(ledger_url: str, name: str) -> None:
    app = AppTest.from_file(str(APP), default_timeout=60).run()
    app = app.switch_page(PAGES[name]).run()
    assert not app.exception
    assert "run `bursar demo`" in text_of(app)


@pytest.mark.parametrize("name", [*PAGES, "rate_limits", "policy_denials"])
def test_a_database_that_does_not_answer_is_a_sentence_and_a_reference(
    monkeypatch: pytest.MonkeyPatch, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("BURSAR_DATABASE_URL", "postgresql://bursar:secret@127.0.0.1:1/ledger")
    app = AppTest.from_file(str(APP), default_timeout=60).run()
    app = app.switch_page(f"app_pages/{name}.py").run()
    assert not app.exception
    assert [error.value.split(" Reference")[0] for error in app.error] == [
        "The ledger database cannot be read. It is tried again every few seconds."
    ]
    reference = app.error[0].value.split("`")[1]
    assert f"reference {reference}" in caplog.text
    assert "secret" not in text_of(app)


@pytest.mark.parametrize(("name", "table"), [("spend", usage), ("decisions", decisions)])
def test_a_ledger_that_fails_while_its_page_is_open_is_explained_too(
    ledger: SeededLedger, ledger_url: str, name: str, table: Table
) -> None:
    app = open_page(name)
    database = Database(ledger_url)
    with database.write() as connection:
        table.drop(connection)
    database.close()
    st.cache_data.clear()
    app = app.run()
    assert not app.exception
    assert "The ledger database cannot be read." in text_of(app)


def test_a_ledger_that_has_yet_to_be_migrated_is_told_what_to_do(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BURSAR_DATABASE_URL", database_url)
    database = Database(database_url)
    seed_empty_organization(database, now=datetime.now(UTC))
    with database.write() as connection:
        command.downgrade(_config(connection), "0006")
    app = open_page("health")
    assert not app.exception
    assert "have version 0006, these pages work with" in text_of(app)
    assert "bursar migrate" in text_of(app)
    migrate(database)
    database.close()
    app = app.run()
    assert "bursar migrate" not in text_of(app)
    st.cache_data.clear()
    st.cache_resource.clear()


def test_a_setting_that_cannot_be_used_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BURSAR_HOLD_SECONDS", "soon")
    app = AppTest.from_file(str(APP), default_timeout=60).run()
    assert not app.exception
    assert "BURSAR_HOLD_SECONDS" in text_of(app)
