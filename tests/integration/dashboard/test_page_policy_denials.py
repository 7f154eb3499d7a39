"""The Policy denials page: its numbers against the rows, its states, a call explained."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from dashboard.filters import Filters
from dashboard.parts.policy_table import link_of
from dashboard.wording import percent, plural
from engine.document.load import parse_document
from engine.document.store import publish_document
from engine.ledger.database import Database
from tests.support.app_pages import open_page, pages_of, text_of
from tests.support.ledger_rows import SeededLedger, seed_ledger

PAGE = "policy_denials"
POLICY = ("policy_deny", "policy_no_allow", "policy_error")
DOCUMENT = {
    "organization": "acme",
    "agents": {
        "copilot_hr": {"provider": "copilot_studio", "team": "team-hr", "environment": "production"},
        "visitor": {"provider": "openai"},
    },
    "policies": [
        {"policy_id": "block_dev", "effect": "deny", "priority": 1, "conditions": [{"environments": ["development"]}]},
        {"policy_id": "unused", "effect": "allow", "priority": 60, "conditions": [{"environments": ["production"]}]},
    ],
}


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeededLedger]:
    """A fortnight, which these tests only read."""
    url = f"sqlite:///{tmp_path_factory.mktemp('policies') / 'ledger.db'}"
    database = Database(url)
    seeded = seed_ledger(database, now=datetime.now(UTC), days=14, per_day=70)
    publish_document(database, parse_document(DOCUMENT, "test"), author="test", reason="test")
    database.close()
    with pages_of(url):
        yield seeded


def test_every_number_is_that_of_the_rows(ledger: SeededLedger) -> None:
    app = open_page(PAGE, range="7d")
    assert not app.exception
    shown = {metric.label: (metric.value, metric.delta) for metric in app.metric}
    start = ledger.now.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=6)
    week = [row for row in ledger.decisions if row["at"] >= start]
    denied = sum(row["reason"] in POLICY for row in week)
    closed = sum(row["reason"] in ("policy_error", "gate_unavailable") for row in week)
    before = {row["reason"] for row in ledger.decisions if row["at"] < start}
    new = {row["reason"] for row in week if row["outcome"] == "denied"} - before
    slowest = sorted(row["prepare_us"] for row in week)[math.ceil(0.95 * len(week)) - 1] / 1000
    assert shown["Denied by policies"] == (str(denied), f"{percent(denied / len(week))} of {plural(len(week), 'call')}")
    assert shown["New reasons"][0] == str(len(new))
    assert shown["Failed closed"][0] == str(closed)
    # Read from a histogram: never less than the true one, and at most 12 % more.
    assert slowest <= float(shown["Evaluation p95"][0].removesuffix(" ms")) + 0.005 <= slowest * 1.12 + 0.01


def test_the_table_has_every_policy_with_its_denials(ledger: SeededLedger) -> None:
    table = open_page(PAGE, range="7d").dataframe(key="policies").value
    start = ledger.now.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=6)
    denied = sum(row["reason"] == "policy_deny" for row in ledger.decisions if row["at"] >= start)
    by_id = {row["Policy"]: row for row in table.to_dict("records")}
    assert by_id["block_dev"]["Denied"] == denied > 0
    assert by_id["unused"]["Last seen"] == "never here"
    assert by_id["office"]["State"] == "no longer in the document"


def test_what_shadow_policies_would_deny_is_counted(ledger: SeededLedger) -> None:
    app = open_page(PAGE, range="7d")
    start = ledger.now.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=6)
    matched = [row["tests"]["policy"]["shadow"]["matched"] for row in ledger.decisions if row["at"] >= start]
    assert app.dataframe[-1].value["Would deny"].sum() == sum(map(bool, matched)) > 0


def test_a_link_to_one_policy_shows_that_one_only(ledger: SeededLedger) -> None:
    app = open_page(PAGE, policy="block_dev")
    assert list(app.dataframe(key="policies").value["Policy"]) == ["block_dev"]
    app = next(button for button in app.button if button.label == "Show all policies").click().run()
    assert len(app.dataframe(key="policies").value) > 1


def test_a_row_leads_to_the_calls_that_it_counts() -> None:
    start = datetime(2026, 11, 20, tzinfo=UTC)
    filters = Filters("7d", team_id="team-hr", agent_id="copilot_hr")
    narrowed = {"from": "2026-11-20T00:00:00+00:00", "team": "team-hr", "agent": "copilot_hr"}
    assert link_of({"Policy": "block_dev", "Denied": 3}, filters, start) == {
        "policy": "block_dev", "outcome": "denied", **narrowed,
    }  # fmt: skip
    # It denied none: a list of its denials would be empty.
    assert link_of({"Policy": "office", "Denied": 0}, filters, start) == {"policy": "office", **narrowed}


def test_one_call_is_explained_condition_by_condition_with_what_would_make_it_allowed(ledger: SeededLedger) -> None:
    app = open_page(PAGE)
    app.selectbox(key="explain_agent").set_value("visitor")
    app.text_input(key="explain_environment").set_value("development")
    app = next(button for button in app.button if button.label == "Explain").click().run()
    assert not app.exception
    lines = [line for line in text_of(app).splitlines() if "asks for" in line]
    for mark, told in (
        (":green", "**block_dev** (deny) asks for environment=development"),
        (":red", "**unused** (allow) asks for environment=production"),
    ):
        assert [line for line in lines if mark in line and told in line]
    assert "To be allowed:" in text_of(app)


def test_a_request_that_cannot_be_is_refused_in_a_sentence(ledger: SeededLedger) -> None:
    app = open_page(PAGE)
    app.text_input(key="explain_environment").set_value("development")
    app = next(button for button in app.button if button.label == "Explain").click().run()
    assert not app.exception
    assert "The call would be refused: environment: is 'development'" in text_of(app)


def test_a_viewer_sees_the_page(ledger: SeededLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BURSAR_LOCAL_ROLE", "viewer")
    app = open_page(PAGE)
    assert not app.exception
    assert app.metric
