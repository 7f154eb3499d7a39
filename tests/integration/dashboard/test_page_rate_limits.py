"""The Rate limits page: its numbers against the rows, its states, its links."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from dashboard.wording import percent
from engine.document.load import parse_document
from engine.document.store import publish_document
from engine.ledger.database import Database
from tests.support.app_pages import open_page, open_within_a_minute, pages_of, text_of
from tests.support.ledger_rows import SeededLedger, seed_ledger

PAGE = "rate_limits"
RATES = {"rate_per_minute": "minute", "rate_per_hour": "hour", "rate_per_day": "day"}
DOCUMENT = {
    "organization": "acme",
    "rate_limits": [{"id": "each-user", "per": "user", "requests_per_minute": 10, "requests_per_hour": 100}],
}


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeededLedger]:
    """A busy week, which these tests only read."""
    url = f"sqlite:///{tmp_path_factory.mktemp('rates') / 'ledger.db'}"
    database = Database(url)
    seeded = seed_ledger(database, now=datetime.now(UTC), days=7, per_day=150)
    publish_document(database, parse_document(DOCUMENT, "test"), author="test", reason="test")
    database.close()
    with pages_of(url):
        yield seeded


def test_every_number_is_that_of_the_rows(ledger: SeededLedger) -> None:
    app, minute = open_within_a_minute(PAGE)
    assert not app.exception
    shown = {metric.label: (metric.value, metric.delta) for metric in app.metric}
    hour = [row for row in ledger.decisions if row["at"] >= minute - timedelta(minutes=59)]
    throttled = sum(row["reason"] in RATES for row in hour)
    lately = sum(row["fail_open"] for row in hour if row["at"] >= minute - timedelta(minutes=4))
    assert shown["429s, last hour"] == (str(throttled), f"{percent(throttled / len(hour))} of {len(hour)} calls")
    assert shown["Fail-open now"][0] == str(lately)
    assert list(shown) == ["Redis p95", "Fail-open now", "429s, last hour", "Limits used up"]


def test_the_table_has_each_scope_under_pressure_with_its_denials_and_its_limit(ledger: SeededLedger) -> None:
    table = open_page(PAGE, range="7d").dataframe(key="scopes").value
    start = ledger.now.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=6)
    denied = Counter(RATES[row["reason"]] for row in ledger.decisions if row["reason"] in RATES and row["at"] >= start)
    assert dict(zip(table["Window"], table["429s"], strict=True)) == dict(denied)
    minute = table[table["Window"] == "minute"].iloc[0]
    assert (minute["Scope"], minute["Limit"], minute["Tier"], minute["Peak"]) == ("user-001", "10", "user", 100.0)


def test_a_link_to_one_scope_narrows_the_table_and_can_be_widened_again(ledger: SeededLedger) -> None:
    app = open_page(PAGE, limit="each-user", scope="nobody")
    assert "Scopes: only each-user of nobody" in text_of(app)
    assert "No scope came to half of a limit here" in text_of(app)
    app = next(button for button in app.button if button.label == "Show all scopes").click().run()
    assert len(app.dataframe(key="scopes").value)
    assert "scope" not in app.query_params


def test_filters_that_match_no_call_say_so_and_nothing_of_the_limiter(ledger: SeededLedger) -> None:
    app = open_page(PAGE, agent="ghost")
    assert not app.exception
    assert app.metric[2].value == "0"
    assert (app.metric[1].value, app.metric[1].delta) == ("0", "no calls just now")


def test_a_viewer_sees_the_page(ledger: SeededLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BURSAR_LOCAL_ROLE", "viewer")
    app = open_page(PAGE)
    assert not app.exception
    assert app.metric
