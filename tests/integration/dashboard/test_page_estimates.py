"""The Estimate vs actual page: its numbers against the rows, its states, and who may decide on a price."""

from __future__ import annotations

import shutil
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

import dashboard
from dashboard.parts.estimates_residuals import decision_of
from dashboard.wording import money
from engine.document.load import parse_document
from engine.document.store import publish_document
from engine.ledger.audit import audit_entries
from engine.ledger.calibrating import calibrate
from engine.ledger.calibrations import promote, stored_calibration
from engine.ledger.database import Database
from engine.ledger.price_books import BookMoved, SameBook, live_book, publish_book, roll_back
from engine.ledger.variance import refresh_variance
from engine.pricing.segment import Segment
from tests.support.app_pages import with_tables
from tests.support.ledger_rows import SeededLedger, seed_empty_organization, seed_ledger
from tests.support.priced_calls import Row, noisy_days, store_calls

APP = Path(dashboard.__file__).with_name("app.py")
PAGE = "app_pages/estimates.py"
GPT = Segment("openai", "gpt-4o", "standard", "coder")
LEVEL = 1.4


@pytest.fixture(scope="module")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, SeededLedger]:
    """A month of a small company, and one agent whose calls cost 40 % more than the price book says; counted."""
    path = tmp_path_factory.mktemp("estimates") / "ledger.db"
    database = Database(f"sqlite:///{path}")
    now = datetime.now(UTC)
    ledger = seed_ledger(database, now=now, days=30, per_day=10)
    first = now.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=30)
    ledger.decisions += noisy_days(first, 30, 12, level=LEVEL)
    store_calls(database, ledger.decisions[-360:])
    publish_document(database, parse_document({"organization": "acme"}, "test"), author="test", reason="test")
    deque(refresh_variance(database, "acme", now, None), maxlen=0)
    made = calibrate(database, "acme", now, author="bursar", reason="daily")
    assert made is not None
    assert made.challenger.verdict.passed
    database.close()
    return path, ledger


@pytest.fixture
def ledger(seeded: tuple[Path, SeededLedger], monkeypatch: pytest.MonkeyPatch) -> Iterator[SeededLedger]:
    """That ledger, which the test only reads."""
    monkeypatch.setenv("BURSAR_DATABASE_URL", f"sqlite:///{seeded[0]}")
    yield seeded[1]
    st.cache_data.clear()
    st.cache_resource.clear()


@pytest.fixture
def own(seeded: tuple[Path, SeededLedger], ledger_url: str, tmp_path: Path) -> Iterator[Database]:
    """A copy of it, which the test changes."""
    shutil.copy(seeded[0], tmp_path / "ledger.db")
    database = Database(ledger_url)
    yield database
    database.close()


def open_page(**parameters: str) -> AppTest:
    """The page as a visitor with this address sees it first."""
    app = AppTest.from_file(str(APP), default_timeout=60).switch_page(PAGE)
    for key, value in parameters.items():
        app.query_params[key] = value
    return app.run()


def text_of(app: AppTest) -> str:
    blocks = (*app.title, *app.subheader, *app.caption, *app.markdown, *app.info, *app.warning, *app.error)
    return "\n".join(str(block.value) for block in (*blocks, *app.success)).replace("\\", "")


def table_with(app: AppTest, column: str) -> Any:
    """The one table that has this column."""
    [found] = [each.value for each in app.dataframe if column in each.value.columns]
    return found


def calls_of(ledger: SeededLedger, days: int = 30, **facts: Any) -> list[Row]:
    """The calls of the range that were allowed, not cancelled and have these facts."""
    start = ledger.now.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=days - 1)
    return [
        row
        for row in ledger.decisions
        if row["at"] >= start
        and row["outcome"] == "allowed"
        and row["state"] != "cancelled"
        and all(row[name] == value for name, value in facts.items())
    ]


def expected(calls: list[Row]) -> dict[str, str]:
    """The numbers, worked out in the plainest way."""
    settled = [row for row in calls if row["state"] == "settled"]
    estimate, actual = (sum(row[name] for row in settled) for name in ("estimate_micros", "actual_micros"))
    errors = sum(abs(row["actual_micros"] - row["estimate_micros"]) for row in settled)
    today = datetime.now(UTC).date()
    days = (today - min(row["at"].date() for row in calls)).days + 1
    worth = round((actual - estimate) * 30 / days)
    return {
        "Bias": f"{100 * (actual / estimate - 1):+.1f} %",
        "WAPE": f"{100 * errors / actual:.0f} %",
        "Worth a month": f"{'+' if worth > 0 else ''}{money(worth)}",
        "Settled": f"{len(settled):,} of {len(calls):,} calls",
    }


def shown(app: AppTest) -> dict[str, str]:
    return {metric.label: metric.delta if metric.label == "Settled" else metric.value for metric in app.metric}


@pytest.mark.parametrize(
    ("parameters", "days", "facts"),
    [
        ({}, 30, {}),
        ({"range": "7d"}, 7, {}),
        ({"agent": "coder"}, 30, {"agent_id": "coder"}),
        ({"provider": "copilot_studio"}, 30, {"provider": "copilot_studio"}),
        ({"model": "gpt-4o", "complexity": "standard"}, 30, {"model": "gpt-4o"}),
        ({"team": "team-hr"}, 30, {"agent_id": "copilot_hr"}),
    ],
)
def test_every_number_is_that_of_the_rows_that_the_address_asks_for(
    ledger: SeededLedger, parameters: dict[str, str], days: int, facts: dict[str, str]
) -> None:
    app = open_page(**parameters)
    assert not app.exception
    assert not app.error
    numbers = shown(app)
    assert list(numbers) == ["Bias", "WAPE", "Settled", "Worth a month", "Price book"]
    assert numbers.pop("Price book") == "2026-11-01"
    assert numbers == expected(calls_of(ledger, days, **facts))


def test_segments_and_calls_are_those_of_the_rows(ledger: SeededLedger) -> None:
    app = with_tables(open_page())
    table = table_with(app, "WAPE")
    coder = table[table["Agent"] == "coder"].iloc[0]
    calls = calls_of(ledger, agent_id="coder")
    assert coder["Settled"] == f"{len(calls)} of {len(calls)}"
    assert coder["Bias"] == expected(calls)["Bias"]
    assert coder["Verdict"] == "surely beyond 15 %"
    money_of = {
        agent: sum(row["estimate_micros"] for row in calls_of(ledger, agent_id=agent)) for agent in table["Agent"]
    }
    assert list(table["Agent"]) == sorted(table["Agent"], key=lambda agent: -money_of[agent])
    # Only the number of calls where they are too few.
    few = table[table["Verdict"].str.startswith("too few calls")]
    assert len(few)
    assert set(few["Bias"]) == {"–"}


def test_the_rolling_table_has_the_seven_days_up_to_each_day(ledger: SeededLedger) -> None:
    table = table_with(with_tables(open_page(range="7d")), "Day (UTC)")
    week = [row for row in calls_of(ledger, 7) if row["state"] == "settled"]
    bias = sum(row["actual_micros"] for row in week) / sum(row["estimate_micros"] for row in week) - 1
    assert len(table) == 7
    assert table.iloc[0]["Settled"] == str(len(week))
    assert table.iloc[0]["Bias"] == f"{100 * bias:+.1f} %"


def test_the_largest_differences_lead_to_their_decisions(ledger: SeededLedger) -> None:
    app = open_page()
    settled = [row for row in calls_of(ledger) if row["state"] == "settled"]
    worst = sorted(settled, key=lambda row: (-abs(row["actual_micros"] - row["estimate_micros"]), row["decision_id"]))
    assert app.session_state["residuals_shown"] == [row["decision_id"] for row in worst[:50]]
    table = app.dataframe(key="residuals").value
    assert list(table["Agent"]) == [row["agent_id"] for row in worst[:50]]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dashboard.parts.estimates_residuals.organization", lambda: "acme")
        assert decision_of([1], ["a", "b"]) == {"org": "acme", "decision": "b"}
        assert decision_of([2], ["a", "b"]) is decision_of([], ["a"]) is None


def test_a_challenger_shows_its_verdict_and_what_it_would_change(ledger: SeededLedger) -> None:
    app = open_page()
    text = text_of(app)
    assert "Calibration 1 passed the backtest: it corrects 1 segment (waits for a decision)" in text
    assert text.count(":material/check: passed]") == 5
    [row] = table_with(app, "New price").to_dict("records")
    today = ledger.now.replace(hour=0, minute=0, second=0, microsecond=0)
    unseen = [row for row in ledger.decisions if row["agent_id"] == "coder" and row["at"] < today]
    unseen = [row for row in unseen if row["at"] >= today - timedelta(days=7)]
    fitted = [row for row in ledger.decisions if row["agent_id"] == "coder" and row["at"] < today - timedelta(days=7)]
    factor = round(sum(row["actual_micros"] for row in fitted) / sum(row["estimate_micros"] for row in fitted), 3)
    estimate, actual = (sum(row[name] for row in unseen) for name in ("estimate_micros", "actual_micros"))
    assert row["Settled calls"] == str(len(unseen))
    assert row["Price now"] == "$2.50 1M input, $10.00 1M output"
    assert f"${2.5 * factor:.4f}".rstrip("0") in row["New price"]
    assert row["Estimates a month"] == f"+{money(round(estimate * (factor - 1) * 30 / 7))}"
    assert row["Bias"] == f"{100 * (actual / estimate - 1):+.1f} % → {100 * (actual / estimate / factor - 1):+.1f} %"


def test_an_engineer_approves_once_with_a_reason_and_the_price_book_moves_on(
    own: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BURSAR_LOCAL_ROLE", "engineer")
    app = open_page()
    app = app.button(key="approve_submit").click().run()
    assert "Reason: say why, in a few words." in text_of(app)
    app.text_input(key="approve_reason").input("answers grew")
    app = app.button(key="approve_submit").click().run()
    assert not app.exception
    assert "Calibration 1 is approved: v1 of the price book is made." in text_of(app)
    assert shown(app)["Price book"] == "v1"
    assert "v1 of the price book is live only since" in text_of(app)
    assert "approve_submit" not in [button.key for button in app.button]
    with own.read() as connection:
        assert live_book(connection, "acme").book.corrections[0].segment == GPT
        entry = next(each for each in audit_entries(connection, "acme") if each.action == "costs.promote")
    assert (entry.reason, entry.details["calibration"]) == ("answers grew", 1)
    assert entry.author


def test_a_second_person_who_approves_the_same_is_refused_in_a_sentence(own: Database) -> None:
    app = open_page()
    with own.write() as connection:
        promote(connection, "acme", 1, author="somebody else", reason="first")
    app.text_input(key="approve_reason").input("second")
    app = app.button(key="approve_submit").click().run()
    assert not app.exception
    assert "Calibration 1 is promoted already." in text_of(app)
    with own.read() as connection:
        assert live_book(connection, "acme").version == 1


def test_a_rejected_calibration_changes_no_price_and_cannot_be_approved(own: Database) -> None:
    app = open_page()
    app.text_input(key="reject_reason").input("an odd week")
    app = app.button(key="reject_submit").click().run()
    assert "Calibration 1 is rejected; no price changed." in text_of(app)
    assert "approve_submit" not in [button.key for button in app.button]
    with own.read() as connection:
        assert live_book(connection, "acme").version == 0
        assert stored_calibration(connection, "acme", 1).state == "rejected"
        assert [each.reason for each in audit_entries(connection, "acme") if each.action == "costs.reject"] == [
            "an odd week"
        ]


def test_a_reason_that_not_every_database_holds_is_refused(own: Database) -> None:
    app = open_page()
    app.text_input(key="reject_reason").input("an odd\x00week")
    app = app.button(key="reject_submit").click().run()
    assert "Reason: must be one line of UTF-8 text" in text_of(app)
    with own.read() as connection:
        assert stored_calibration(connection, "acme", 1).state == "proposed"


def test_rolling_back_shows_what_changes_first_and_is_refused_when_the_book_moved(own: Database) -> None:
    with own.write() as connection:
        promote(connection, "acme", 1, author="ann", reason="first")
    app = open_page()
    assert "rollback_submit" not in [button.key for button in app.button]
    app = app.selectbox(key="back").select(0).run()
    [row] = table_with(app, "New price").to_dict("records")
    assert row["Segment"] == "coder · openai gpt-4o"
    assert row["New price"].startswith("$2.50 1M input")
    # Made a moment ago: no call was estimated by it on a whole day, and what others say is not its bias.
    assert (row["Estimates a month"], row["Bias"]) == ("–", "–")
    assert "What it means a month cannot be told yet of 1 segment." in text_of(app)
    assert "Back to 2026-11-01 (ships with Bursar)** changes 1 row of the book." in text_of(app)
    with own.write() as connection:
        roll_back(connection, "acme", 0, base=1, author="ben", reason="meanwhile")
    app.text_input(key="rollback_reason").input("too late")
    app = app.button(key="rollback_submit").click().run()
    assert not app.exception
    assert "Version 2 of the price book of 'acme' is live, not 1" in text_of(app)


def test_a_book_that_nobody_here_has_seen_is_not_rolled_back(own: Database) -> None:
    with own.write() as connection:
        promote(connection, "acme", 1, author="ann", reason="first")
        roll_back(connection, "acme", 0, base=1, author="ann", reason="second")
    app = open_page().selectbox(key="back").select(1).run()
    with own.write() as connection:
        shipped = live_book(connection, "acme")
        dearer = replace(shipped.book, buffer=Decimal("0.3"))
        publish_book(connection, "acme", dearer, base=2, action="import", author="ben", reason="meanwhile", details={})
    st.cache_data.clear()
    app.text_input(key="rollback_reason").input("too late")
    app = app.button(key="rollback_submit").click().run()
    assert not app.exception
    assert "Version 3 of the price book of 'acme' is live, not 2" in text_of(app)


def test_a_rollback_makes_a_new_version_with_the_old_content_and_says_so_in_the_audit_log(own: Database) -> None:
    with own.write() as connection:
        before = live_book(connection, "acme").book.content_hash
        promote(connection, "acme", 1, author="ann", reason="first")
    app = open_page().selectbox(key="back").select(0).run()
    app.text_input(key="rollback_reason").input("estimates are too high")
    app = app.button(key="rollback_submit").click().run()
    assert "Rolled back: v2 of the price book says what 2026-11-01 did." in text_of(app)
    with own.read() as connection:
        live = live_book(connection, "acme")
        entry = next(each for each in audit_entries(connection, "acme") if each.action == "costs.rollback")
    assert (live.version, live.book.content_hash) == (2, before)
    assert entry.details["content_of"] == 0
    assert entry.details["changed"] == 1


def test_a_rollback_to_what_is_live_or_from_what_is_not_changes_nothing(own: Database) -> None:
    with own.write() as connection:
        promote(connection, "acme", 1, author="ann", reason="first")
    for version, base, error in ((1, 1, SameBook), (0, 0, BookMoved)):
        with pytest.raises(error), own.write() as connection:
            roll_back(connection, "acme", version, base=base, author="ann", reason="x")
    with own.read() as connection:
        assert live_book(connection, "acme").version == 1


def test_a_viewer_sees_the_challenger_and_cannot_decide(own: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    app = open_page()
    monkeypatch.setenv("BURSAR_LOCAL_ROLE", "viewer")
    # The form was open when the role was taken away: it is looked at again.
    app.text_input(key="approve_reason").input("I want it")
    app = app.button(key="approve_submit").click().run()
    assert not app.exception
    assert "his needs the role engineer" in text_of(app)
    with own.read() as connection:
        assert live_book(connection, "acme").version == 0
        assert stored_calibration(connection, "acme", 1).state == "proposed"
    assert "Calibration 1 passed the backtest" in text_of(open_page())


def test_without_a_challenger_the_page_says_why_and_when_the_next_one_is_due(ledger_url: str) -> None:
    database = Database(ledger_url)
    now = datetime.now(UTC)
    seed_ledger(database, now=now, days=20, per_day=5)
    publish_document(database, parse_document({"organization": "acme"}, "test"), author="test", reason="test")
    deque(refresh_variance(database, "acme", now, None), maxlen=0)
    database.close()
    app = open_page()
    assert not app.exception
    text = text_of(app)
    assert "Too few calls: copilot_hr" in text
    assert "The next calibration runs as soon as the worker does." in text
    assert "Calls are priced by the book that Bursar ships." in text


def test_filters_that_match_nothing_say_so_and_no_number_is_made_up(ledger: SeededLedger) -> None:
    app = open_page(agent="ghost")
    assert not app.exception
    assert "clear a filter or take a longer range" in text_of(app)
    assert [metric.value for metric in app.metric][:4] == ["–"] * 4
    assert not any(word in text_of(app) for word in ("NaN", "None", "0 of 0"))


def test_an_organization_without_calls_is_told_what_to_do(ledger_url: str) -> None:
    database = Database(ledger_url)
    seed_empty_organization(database, now=datetime.now(UTC))
    database.close()
    app = open_page()
    assert not app.exception
    assert "Run `bursar demo`, or settle a first call" in text_of(app)
    assert not app.metric


def test_a_database_that_does_not_answer_is_a_sentence_and_a_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BURSAR_DATABASE_URL", "postgresql://bursar:secret@127.0.0.1:1/ledger")
    app = AppTest.from_file(str(APP), default_timeout=60).switch_page(PAGE).run()
    assert not app.exception
    assert "The ledger database cannot be read." in app.error[0].value
    assert "secret" not in text_of(app)
