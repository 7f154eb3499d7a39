"""Both pages with data, empty and without a database, run as Streamlit runs them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import streamlit as st
from sqlalchemy import Table
from streamlit.testing.v1 import AppTest

import dashboard
from dashboard.wording import money
from engine.ledger.database import Database
from engine.ledger.tables import decisions, usage
from tests.support.ledger_rows import SeededLedger, seed_empty_organization, seed_ledger

APP = Path(dashboard.__file__).with_name("app.py")
PAGES = {"spend": "app_pages/spend.py", "decisions": "app_pages/decisions.py"}


@pytest.fixture
def ledger_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A ledger of this test's own, which the pages find in the environment."""
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    monkeypatch.setenv("BURSAR_DATABASE_URL", url)
    yield url
    st.cache_data.clear()
    st.cache_resource.clear()


@pytest.fixture
def ledger(ledger_url: str) -> Iterator[SeededLedger]:
    """A month of a small company, up to now."""
    database = Database(ledger_url)
    # Not at the change of an hour, where "now" could be another bucket than the seed's.
    yield seed_ledger(database, now=datetime.now(UTC), days=30, per_day=10)
    database.close()


def open_page(name: str, **parameters: str) -> AppTest:
    """The page as a visitor with this address sees it first."""
    app = AppTest.from_file(str(APP), default_timeout=60)
    for key, value in parameters.items():
        app.query_params[key] = value
    app.run()
    if name == "spend":
        return app
    for key, value in parameters.items():
        app.query_params[key] = value
    return app.switch_page(PAGES[name]).run()


def text_of(app: AppTest) -> str:
    """Everything written on the page, without Markdown's backslashes."""
    blocks = (
        *app.title,
        *app.subheader,
        *app.caption,
        *app.markdown,
        *app.info,
        *app.warning,
        *app.error,
        *app.success,
    )
    return "\n".join(str(block.value) for block in blocks).replace("\\", "")


def test_the_bare_address_leads_to_spend(ledger: SeededLedger) -> None:
    app = AppTest.from_file(str(APP), default_timeout=60).run()
    assert not app.exception
    assert app.title[0].value == "Spend"


def test_spend_answers_with_five_numbers_that_are_the_months(ledger: SeededLedger) -> None:
    app = open_page("spend")
    assert not app.exception
    start = ledger.now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    month = [row for row in ledger.decisions if row["at"] >= start]
    held = [row["reserve_micros"] for row in ledger.decisions if row["state"] == "held"]
    shown = {metric.label: metric.value for metric in app.metric}
    assert list(shown) == [
        "Spent this month",
        "Held now",
        "Fullest budget",
        "Allowed this month",
        "Denied this month",
    ]
    assert shown["Spent this month"] == money(sum(row["spent_micros"] for row in month))
    assert shown["Held now"] == money(sum(held))
    assert shown["Allowed this month"] == str(sum(row["outcome"] == "allowed" for row in month))
    assert shown["Denied this month"] == str(sum(row["outcome"] == "denied" for row in month))


def test_spend_shows_notifications_with_their_delivery_and_the_log_channel(ledger: SeededLedger) -> None:
    text = text_of(open_page("spend"))
    assert "Daily budget 'copilots' of copilot_hr is at 96 %: $19.20 of $20.00" in text
    assert "delivered] to the log channel (for #agent-ops)" in text
    assert "could not be delivered] to slack #team-leads after 2 attempts: channel_not_found" in text


def test_spend_lists_the_agents_of_the_range_in_the_address(ledger: SeededLedger) -> None:
    app = open_page("spend", range="30d", by="Team")
    table = app.dataframe(key="agents").value
    start = ledger.now.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=29)
    agents = {row["agent_id"] for row in ledger.decisions if row["at"] >= start}
    assert set(table["Agent"]) == agents
    assert "in the last 30 days" in text_of(app)
    assert "team-hr spent" in text_of(app) or "team-eng spent" in text_of(app) or "team-support spent" in text_of(app)


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
    assert [":red" in result for result in tests["Result"]] == [False, False, True, False, False, False]
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


def test_another_organization_than_the_one_asked_for_is_never_shown(ledger: SeededLedger) -> None:
    app = open_page("spend", org="globex")
    assert "The organization globex is not in this ledger" in text_of(app)
    assert not app.metric


@pytest.mark.parametrize("name", PAGES)
def test_an_organization_without_decisions_is_told_what_to_do(ledger_url: str, name: str) -> None:
    database = Database(ledger_url)
    seed_empty_organization(database, now=datetime.now(UTC))
    database.close()
    app = open_page(name)
    assert not app.exception
    assert "Run `bursar demo`" in text_of(app)


@pytest.mark.parametrize("name", PAGES)
def test_a_ledger_without_tables_is_told_what_to_do(ledger_url: str, name: str) -> None:
    app = AppTest.from_file(str(APP), default_timeout=60).run()
    app = app.switch_page(PAGES[name]).run()
    assert not app.exception
    assert "run `bursar demo`" in text_of(app)


@pytest.mark.parametrize("name", PAGES)
def test_a_database_that_does_not_answer_is_a_sentence_and_a_reference(
    monkeypatch: pytest.MonkeyPatch, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("BURSAR_DATABASE_URL", "postgresql://bursar:secret@127.0.0.1:1/ledger")
    app = AppTest.from_file(str(APP), default_timeout=60).run()
    app = app.switch_page(PAGES[name]).run()
    assert not app.exception
    assert [error.value.split(" Reference")[0] for error in app.error] == [
        "The ledger database cannot be read. It is tried again every few seconds."
    ]
    reference = app.error[0].value.split("`")[1]
    assert f"reference {reference}" in caplog.text
    assert "secret" not in text_of(app)


@pytest.mark.parametrize(("name", "table"), [("spend", usage), ("decisions", decisions)])
def test_a_live_part_that_fails_while_its_page_is_open_is_explained_too(
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


def test_a_setting_that_cannot_be_used_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BURSAR_HOLD_SECONDS", "soon")
    app = AppTest.from_file(str(APP), default_timeout=60).run()
    assert not app.exception
    assert "BURSAR_HOLD_SECONDS" in text_of(app)
